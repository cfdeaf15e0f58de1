/* The 32-byte SHA-256 names of blobs and files in a repository. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ID_BYTES = 32, ID_HEX_CHARS = 64, ID_HEX_BYTES = 65, ID_SHORT_CHARS = 8 };

struct id {
    unsigned char bytes[ID_BYTES];
};

static inline bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_BYTES) == 0;
}
static inline int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_BYTES);
}
bool id_is_zero(const struct id *id);
/* Writes 64 lower-case hex digits and a NUL; returns out. */
char *id_to_hex(const struct id *id, char out[ID_HEX_BYTES]);
/* The first 8 digits, for people. */
char *id_to_short(const struct id *id, char out[ID_SHORT_CHARS + 1]);
/* Takes exactly 64 hex digits (lower case, as names in a repository are). 0, or -1 when it is anything else. */
int id_from_hex(const char *hex, size_t len, struct id *out);
/* Eight bytes of it as a hash: IDs are uniformly distributed. */
static inline uint64_t id_hash(const struct id *id)
{
    uint64_t h;
    memcpy(&h, id->bytes, sizeof h);
    return h;
}
