/* The scheduler's memory: torn and damaged lines cost themselves, what is read can be written and is the same. The
 * second time every line gets the checksum that it needs, as the only thing that keeps others out. */
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const char *text, size_t len)
{
    struct memory_list first, again;
    struct buf one, two;
    memory_decode(text, len, &first);
    buf_init(&one, MEMORY_FILE_MAX_BYTES);
    memory_encode(first.items, first.count, &one);
    memory_decode(buf_cstr(&one), one.len, &again);
    buf_init(&two, MEMORY_FILE_MAX_BYTES);
    memory_encode(again.items, again.count, &two);
    if (first.count != again.count || again.damaged != 0 || one.len != two.len ||
        memcmp(buf_cstr(&one), buf_cstr(&two), one.len) != 0)
        abort();
    memory_list_release(&first);
    memory_list_release(&again);
    buf_release(&one);
    buf_release(&two);
}

static void add_sums(const char *text, size_t len, struct buf *out)
{
    for (const char *p = text, *end = text + len; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline != NULL ? newline : end;
        uint64_t sum = UINT64_C(0xcbf29ce484222325);
        for (const char *c = p; c < stop; c++)
            sum = (sum ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
        buf_append(out, p, (size_t)(stop - p));
        buf_printf(out, ",\"sum\":\"%016" PRIx64 "\"}\n", sum);
        p = stop + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf summed;
    buf_init(&summed, MEMORY_FILE_MAX_BYTES);
    add_sums((const char *)data, size, &summed);
    decode((const char *)data, size);
    decode(buf_cstr(&summed), summed.len);
    buf_release(&summed);
    return 0;
}
