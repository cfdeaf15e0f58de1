/*
 * Sealing blobs besides the writer: prune compresses what is stored uncompressed (a repository that was of version 1
 * once), and repair stores blobs that the index knows but that are lost. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "repo/repo.h"

struct resealer;
/* NULL on failure. */
struct resealer *resealer_new(const struct repo *r, struct err *err);
void resealer_free(struct resealer *s);

enum reseal_how {
    RESEAL_PLAIN,    /* not compressed */
    RESEAL_SHORTER,  /* compressed where that makes it shorter; else *out is NULL and the blob as it was */
    RESEAL_COMPRESS, /* compressed in any case */
};
/* Seals plaintext (len > 0 unless RESEAL_PLAIN). Fills in blob's length and raw_length; *out is borrowed until the next
 * call. */
int resealer_seal(struct resealer *s, const void *plain, size_t len, enum reseal_how how, struct pack_blob *blob,
                  const unsigned char **out, struct err *err);
