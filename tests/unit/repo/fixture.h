/* A small repository in a temporary directory, for tests. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "repo/repo.h"
#include "repo/writer.h"
#include "store/local.h"
#include "store/scratch.h"

#define FIXTURE_PASSPHRASE "a passphrase for tests"
/* Irreducible, of degree 53. */
#define FIXTURE_POLYNOMIAL 0x3DA3358B4DC173ULL

struct fixture {
    char dir[64]; /* holds "repo" and "cache" */
    char path[96], cache[96];
    struct repo *repo;
    struct codec *codec;
};

/* Ends the test with the error's message when rc is not 0. */
static inline void fixture_ok(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->message);
}

static inline void fixture_reopen(struct fixture *f, bool with_cache)
{
    struct err err;
    struct store *store;
    struct repo_options options = {.cache_dir = with_cache ? f->cache : NULL, .threads = 2};
    codec_free(f->codec);
    repo_free(f->repo);
    fixture_ok(store_local_new(&store, f->path, &err), &err);
    fixture_ok(repo_open(&f->repo, store, FIXTURE_PASSPHRASE, &options, &err), &err);
    f->codec = codec_new(f->repo, &err);
    assert_non_null(f->codec);
}

static inline struct fixture *fixture_new(unsigned version)
{
    struct err err;
    struct store *store;
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/clawback-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/repo", f->dir);
    snprintf(f->cache, sizeof f->cache, "%s/cache", f->dir);
    fixture_ok(store_local_new(&store, f->path, &err), &err);
    fixture_ok(repo_init(store, FIXTURE_PASSPHRASE, version, FIXTURE_POLYNOMIAL, &err), &err);
    store_free(store);
    fixture_reopen(f, false);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    codec_free(f->codec);
    repo_free(f->repo);
    scratch_remove_tree(f->dir);
    free(f);
}

/* A blob's worth of bytes that differ with `seed`; compressible by half. */
static inline void fixture_bytes(unsigned char *out, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = (unsigned char)(seed >> 24 & ((i & 64) != 0 ? 0xff : 0x03));
    }
}
