/* The repository's configuration file: {"version","id","chunker_polynomial"}, encrypted, never compressed. */
#pragma once
#include "repo/repo.h"

/* Parses the decrypted text. ERR_UNSUPPORTED for a version that we do not know, ERR_CORRUPT for anything malformed or a
 * polynomial that is no irreducible one of degree 53. Keys that other programs use to change the rules set read_only.
 */
int repo_config_decode(const char *json, size_t len, struct repo_config *out, struct err *err);
/* Reads and decrypts it. ERR_NO_REPOSITORY when there is none. */
int repo_config_load(struct store *store, const struct cipher_key *key, struct repo_config *out, struct err *err);
int repo_config_save(struct store *store, const struct cipher_key *key, const struct repo_config *config,
                     struct err *err);
