/*
 * Proving that a file on the disk is the archive that was made: it is read once, from the disk rather than from memory
 * as far as the system allows, at its end position and beyond nothing.
 */
#pragma once
#include "base/id.h"
#include "sink/compress.h"
#include "sink/openpgp.h"

struct archive_verification {
    int fd; /* synced */
    const char *dir;
    uint64_t bytes;
    struct id sha256;     /* of the file */
    struct id tar_sha256; /* of what is in it, decrypted and decompressed */
    enum compress_codec codec;
    const struct openpgp_options *encryption; /* not recipients, for archive_verify_content() */
    const char *state_dir;
};

/* The file's SHA-256. ERR_CORRUPT, ERR_IO. */
int archive_verify_bytes(const struct archive_verification *v, struct err *err);
/* That, and in the same reading it is decrypted and decompressed, and the tar's SHA-256 compared. */
int archive_verify_content(const struct archive_verification *v, struct err *err);
