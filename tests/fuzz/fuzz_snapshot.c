/*
 * Snapshots: what decodes must encode to text that decodes and encodes to the same again. Strings that are not UTF-8
 * are escaped as \ufffd once and stand as that rune from then on, so the second text is the first that must come back.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "repo/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("TZ", "UTC0", 1);
}

static bool encode_decoded(const void *data, size_t size, struct buf *out)
{
    struct snapshot s;
    buf_init(out, (size_t)1 << 30);
    if (snapshot_decode(data, size, &s, NULL) != 0)
        return false;
    snapshot_encode(&s, out);
    snapshot_release(&s);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first, second, third;
    if (!encode_decoded(data, size, &first))
        return 0;
    if (!encode_decoded(first.data, first.len, &second) || !encode_decoded(second.data, second.len, &third))
        abort();
    bool replaced = memmem(first.data, first.len, "\\ufffd", 6) != NULL;
    const struct buf *before = replaced ? &second : &first, *after = replaced ? &third : &second;
    if (before->len != after->len || memcmp(before->data, after->data, after->len) != 0)
        abort();
    buf_release(&first);
    buf_release(&second);
    buf_release(&third);
    return 0;
}
