/*
 * OpenPGP encryption (RFC 4880) of a stream by the `gpg` program: the one that opens the archives, too. gpg is run as a
 * subprocess rather than through GPGME, which runs the same program, but through its agent.
 *
 * With a passphrase: AES-256, SHA-512, an iterated and salted key (65,011,712 bytes hashed, the most the format knows),
 * integrity protected, no compression. The passphrase goes through a pipe, is in no argument list and no file. gpg gets
 * an empty home of its own (0700, removed afterwards), no configuration, no keyring, no terminal, and starts no agent.
 *
 * To recipients: the owner's keyring ($GNUPGHOME or ~/.gnupg) is read, nothing of the owner's gpg.conf is; every key
 * named is trusted (--trust-model always). This host cannot read the result unless it has a secret key.
 *
 * A stream belongs to two threads: one writes, one reads. What is done at the end is done by one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"

enum openpgp_kind { OPENPGP_SYMMETRIC, OPENPGP_RECIPIENTS, OPENPGP_NONE };

struct openpgp_options {
    enum openpgp_kind kind;
    const char *passphrase;           /* symmetric: one line, not empty */
    const struct strlist *recipients; /* fingerprints, key IDs or addresses; at least one */
};

/* Does it work, here and now? Encrypts a few bytes (and, symmetric, decrypts them). ERR_NOT_FOUND: gpg is not
 * installed; ERR_USAGE: a key is missing, expired or cannot encrypt (each named), the passphrase cannot be used;
 * ERR_FAILED: gpg's own words. state_dir: see archive_sink_options. OPENPGP_NONE is always fine. */
int openpgp_check(const struct openpgp_options *o, const char *state_dir, struct err *err);

struct openpgp;

/* Starts gpg. kind is not OPENPGP_NONE; decrypting is for OPENPGP_SYMMETRIC only. */
int openpgp_encrypt(struct openpgp **out, const struct openpgp_options *o, const char *state_dir, struct err *err);
int openpgp_decrypt(struct openpgp **out, const struct openpgp_options *o, const char *state_dir, struct err *err);

/* The writing thread. Waits while gpg is busy, as long as somebody reads. -1 when gpg is gone (openpgp_end() knows
 * why) or openpgp_abort() was called. */
int openpgp_write(struct openpgp *p, const void *data, size_t len, struct err *err);
void openpgp_close_input(struct openpgp *p); /* the end of what goes in */

/* The reading thread: up to cap bytes, as many as can be had: count, 0 at the end, -1. */
int64_t openpgp_read(struct openpgp *p, void *data, size_t cap, struct err *err);

/* After the last read, by the reading thread: gpg's verdict. Only 0 means that all is there, and intact.
 * ERR_WRONG_PASSPHRASE, ERR_CORRUPT (decrypting), ERR_FAILED with gpg's last words. */
int openpgp_end(struct openpgp *p, struct err *err);

/* From any thread: openpgp_write() returns -1 from now on. */
void openpgp_abort(struct openpgp *p);
/* Stops gpg if it still runs, removes its home. NULL is nothing. */
void openpgp_free(struct openpgp *p);
