/* Making, opening and closing repositories. */
#include "repo/repo.h"

#include <stdlib.h>
#include "base/mem.h"
#include "chunk/polynomial.h"
#include "os/file.h"
#include "os/pool.h"
#include "repo/config.h"
#include "repo/key.h"

int repo_init(struct store *store, const char *passphrase, unsigned version, uint64_t polynomial, struct err *err)
{
    struct cipher_key master;
    struct id key_id;
    struct repo_config config = {.version = version, .polynomial = polynomial};
    if (passphrase[0] == '\0')
        return err_set(err, ERR_USAGE, "an empty passphrase protects nothing: give another");
    int rc = -1;
    if (crypto_random(config.id.bytes, ID_BYTES, err) == 0 &&
        (polynomial != 0 || polynomial_random(&config.polynomial, err) == 0) &&
        cipher_key_generate(&master, err) == 0 && store_create(store, err) == 0 &&
        key_add(store, &master, passphrase, NULL, NULL, &key_id, err) == 0)
        /* The configuration comes last: what has one is a repository, and is whole. */
        rc = repo_config_save(store, &master, &config, err);
    if (rc == 0)
        store_reserve_keep(store);
    mem_wipe(&master, sizeof master);
    return rc;
}

/* The repository's own folder in the cache, made if it is missing. A cache that cannot be made is no reason to fail. */
static char *cache_folder(const char *cache_dir, const struct id *repo_id)
{
    char hex[ID_HEX_BYTES];
    if (cache_dir == NULL)
        return NULL;
    char *dir = os_path_join(cache_dir, id_to_hex(repo_id, hex));
    if (os_make_dirs(dir, 0700, NULL) != 0) {
        free(dir);
        return NULL;
    }
    return dir;
}

static struct repo *repo_new(struct store *store, const struct repo_options *options)
{
    struct repo *r = mem_zalloc(sizeof *r);
    r->store = store;
    r->options = *options;
    if (r->options.pack_target_bytes == 0)
        r->options.pack_target_bytes = REPO_PACK_TARGET_BYTES;
    if (r->options.threads == 0)
        r->options.threads = os_cpu_count();
    r->options.cache_dir = NULL; /* the caller's string need not live on */
    return r;
}

/* Is there a repository at all? That is better news than a wrong passphrase. */
static int check_there(struct store *store, struct err *err)
{
    uint64_t bytes;
    struct err why = {0};
    if (store_size(store, STORE_CONFIG, "config", &bytes, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND || why.code == ERR_NO_REPOSITORY)
        return err_set(err, ERR_NO_REPOSITORY, "there is no repository at '%s'", store->location);
    if (err != NULL)
        *err = why;
    return -1;
}

int repo_open(struct repo **out, struct store *store, const char *passphrase, const struct repo_options *options,
              struct err *err)
{
    struct repo *r = repo_new(store, options);
    if (check_there(store, err) != 0 || key_open_any(store, passphrase, &r->key, &r->key_id, err) != 0 ||
        repo_config_load(store, &r->key, &r->config, err) != 0) {
        repo_free(r);
        return -1;
    }
    r->cache_dir = cache_folder(options->cache_dir, &r->config.id);
    *out = r;
    return 0;
}

void repo_keep_key(const struct repo *r, struct repo_key *out)
{
    *out = (struct repo_key){.key = r->key, .key_id = r->key_id, .repository = r->config.id};
}

void repo_key_wipe(struct repo_key *k)
{
    mem_wipe(k, sizeof *k);
}

bool repo_key_is_kept(const struct repo_key *k)
{
    return !id_is_zero(&k->key_id);
}

static int check_key_file(struct store *store, const struct id *key_id, struct err *err)
{
    char hex[ID_HEX_BYTES];
    uint64_t bytes;
    struct err why = {0};
    if (store_size(store, STORE_KEY, id_to_hex(key_id, hex), &bytes, &why) == 0)
        return 0;
    if (why.code == ERR_NOT_FOUND)
        return err_set(err, ERR_WRONG_PASSPHRASE, "the key %.8s of '%s' has been removed", hex, store->location);
    if (err != NULL)
        *err = why;
    return -1;
}

int repo_open_again(struct repo **out, struct store *store, const struct repo_key *kept,
                    const struct repo_options *options, struct err *err)
{
    struct repo *r = repo_new(store, options);
    r->key = kept->key;
    r->key_id = kept->key_id;
    /* Whoever takes a key away wants what it opened to be opened no more. That the configuration can be read proves
     * that the key is this repository's. */
    if (check_there(store, err) != 0 || check_key_file(store, &kept->key_id, err) != 0 ||
        repo_config_load(store, &r->key, &r->config, err) != 0)
        goto fail;
    if (!id_equal(&r->config.id, &kept->repository)) {
        err_set(err, ERR_CORRUPT, "another repository is at '%s' than before", store->location);
        goto fail;
    }
    r->cache_dir = cache_folder(options->cache_dir, &r->config.id);
    *out = r;
    return 0;
fail:
    repo_free(r);
    return -1;
}

void repo_free(struct repo *r)
{
    if (r == NULL)
        return;
    index_free(r->index);
    store_free(r->store);
    free(r->cache_dir);
    mem_wipe(&r->key, sizeof r->key);
    free(r);
}

int repo_check_writable(const struct repo *r, struct err *err)
{
    if (!r->config.read_only)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "the repository at '%s' cannot be written by this program: %s",
                   r->store->location, r->config.read_only_why);
}
