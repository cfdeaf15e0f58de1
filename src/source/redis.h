/*
 * A Redis server (or Valkey, or KeyDB) as a source: a whole, verified RDB dump under "/redis/NAME", taken fresh from
 * the server, and what an RDB file does not say.
 *
 *     redis/NAME/dump.rdb      all databases, functions included, cut finely
 *     redis/NAME/server.json   version, keys per database, modules, users (ACL), settings: see redis_server.h
 *
 * By URL the dump is asked for over the replication protocol: the server forks, its child sends the state of that
 * moment; nothing is written on this side, and we never become a replica. In a container the container's own redis-cli
 * does the same (no port needs to be open). Either way the dump ends well only if its framing, its own end mark and its
 * checksum all agree (rdb.h); otherwise there is no snapshot.
 *
 * What the server notices: one fork, as for a BGSAVE. With `repl-diskless-sync yes` (the default from Redis 7.0 on)
 * nothing is written to its disk, and the server waits `repl-diskless-sync-delay` (5 s) before it begins; with `no` it
 * writes its dump file first, as BGSAVE does.
 *
 * Threading: a source belongs to one thread; the content it pushes may be read on another. Passwords are copied, wiped
 * when freed, and appear in no message and no argument list.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "source/source.h"

/* Exactly one of container and url. All strings are copied. */
struct redis_options {
    const char *container;
    const char *url;      /* see redis_url.h; what it says of user and password is overridden by those here */
    const char *user;     /* an ACL user; NULL: the default one, or the URL's */
    const char *password; /* the text itself; NULL: none, or the URL's */
    uint64_t timeout_ms;  /* for the whole dump; 0: one hour */
};

/* Looks at the server at once (half a minute at most), as postgres_source_new() does; the dump is asked for when the
 * sink opens it. `strict` is set. Errors:
 *   ERR_NOT_FOUND   it does not run: nobody listens, no such container, or one that is stopped (`when: running`)
 *   ERR_PERMISSION  it wants a password, refuses this one, or does not let us in for another reason
 *   ERR_USAGE       the options or the URL are wrong
 *   ERR_TIMEOUT, ERR_FAILED (it is loading; no such host …), ERR_INTERRUPTED: the message says what to do
 * What goes wrong with the dump itself is reported as unreadable, under "/redis/NAME/dump.rdb". Warnings, in push: a
 * replica, a node of a cluster, a dump without a checksum or of a kind that is newer than rdb.h knows. */
int redis_source_new(struct source **out, const struct redis_options *options, struct err *err);
/* "/redis/NAME", as the source will call itself, whether the server runs or not; of container and url alone. NULL: the
 * URL is none. The caller frees it. */
char *redis_source_path(const struct redis_options *options);

enum redis_state {
    REDIS_DOWN,    /* nobody listens, or the container is absent or stopped */
    REDIS_FAILED,  /* it, or what listens there, does not answer as it should */
    REDIS_DENIED,  /* it wants a password, or refuses this one */
    REDIS_LOADING, /* it is reading its data from disk */
    REDIS_UP,
};

enum { REDIS_VERSION_BYTES = 64 };

/* What discovery and doctor want to know. */
struct redis_probe {
    enum redis_state state;
    struct err why;                    /* unless UP */
    char product[REDIS_VERSION_BYTES]; /* "redis", "valkey", "keydb"; "" when unknown */
    char version[REDIS_VERSION_BYTES];
    bool wants_password; /* DENIED: none was given */
    bool may_replicate;  /* PSYNC or SYNC is there, and this user may call it, and REPLCONF; true where that cannot be
                            told */
    bool is_replica, is_cluster;
    uint64_t keys; /* in all databases */
    uint64_t used_memory_bytes;
};

/* Looks, within options->timeout_ms (0: 5 s). Never fails: the answer is in *out. */
void redis_probe(const struct redis_options *options, struct redis_probe *out);
