/*
 * Key files: the master key, encrypted with a key that scrypt derives from a passphrase. Plain JSON:
 * created, username, hostname, kdf:"scrypt", N, r, p, salt, data.
 */
#pragma once
#include <time.h>
#include "repo/repo.h"

struct key_info {
    struct id id;
    char username[64], hostname[256];
    struct timespec created;
};

/* Tries the passphrase on every key file (at most 20): the master key and the key's ID. ERR_WRONG_PASSPHRASE when none
 * opens, ERR_NO_REPOSITORY when there is none. */
int key_open_any(struct store *store, const char *passphrase, struct cipher_key *out, struct id *id_out,
                 struct err *err);
/* Adds a key file for this passphrase. username, hostname: NULL for the current ones. */
int key_add(struct store *store, const struct cipher_key *master, const char *passphrase, const char *username,
            const char *hostname, struct id *id_out, struct err *err);
int key_read_info(struct store *store, const struct id *id, struct key_info *out, struct err *err);
/* Parses a key file's text and tries to open it. For tests and fuzzing; key_open_any uses it. */
int key_decode(const char *json, size_t len, const char *passphrase, struct cipher_key *out, struct err *err);
