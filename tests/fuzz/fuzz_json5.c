/* JSON5: what converts must be JSON for the project's own strict scanner, and convert to itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "plan/json5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first, second;
    buf_init(&first, (size_t)64 << 20);
    buf_init(&second, (size_t)64 << 20);
    if (json5_to_json((const char *)data, size, &first, NULL) == 0) {
        struct json_scan s;
        json_scan_init(&s, first.data, first.len);
        if (!json_skip(&s, NULL) || !json_scan_at_end(&s))
            abort();
        if (json5_to_json((const char *)first.data, first.len, &second, NULL) != 0)
            abort();
        if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
            abort();
    }
    buf_release(&first);
    buf_release(&second);
    return 0;
}
