#include "engine/node_patch.h"

#include <string.h>

#include "base/json_scan.h"

int node_patch(const char *raw, size_t len, const char *key, const char *value, struct buf *out)
{
    struct json_scan s;
    struct json_slice name, text;
    bool found = false, empty = true;
    const char *copied = raw; /* everything before this is in out already */
    json_scan_init(&s, raw, len);
    if (!json_object_begin(&s))
        return -1;
    while (json_object_next(&s, &name)) {
        bool wanted = json_key_is(&name, key);
        empty = false;
        if (!json_skip(&s, &text))
            return -1;
        if (!wanted)
            continue;
        buf_append(out, copied, (size_t)(text.p - copied));
        buf_append_str(out, value);
        copied = text.p + text.len;
        found = true;
    }
    if (json_scan_failed(&s))
        return -1;
    const char *brace = raw + len;
    while (*--brace != '}') {
    }
    buf_append(out, copied, (size_t)(brace - copied));
    if (!found)
        buf_printf(out, "%s\"%s\":%s", empty ? "" : ",", key, value);
    buf_append(out, brace, (size_t)(raw + len - brace));
    return 0;
}
