/* Making, opening, storing, loading, keys, configuration, locks. */
#include "fixture.h"
#include <sys/stat.h>
#include <sys/wait.h>
#include "chunk/polynomial.h"
#include "os/clock.h"
#include "repo/config.h"
#include "repo/key.h"
#include "repo/lock.h"
#include "store/fault.h"

static void test_repo_init__refuses_a_second_time_and_an_empty_passphrase(void **state)
{
    (void)state;
    struct err err;
    struct store *store;
    struct fixture *f = fixture_new(2);
    fixture_ok(store_local_new(&store, f->path, &err), &err);
    assert_int_equal(repo_init(store, "x", 2, 0, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(repo_init(store, "", 2, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    store_free(store);
    fixture_free(f);
}

static int open_at(const char *path, const char *passphrase, struct repo **out, struct err *err)
{
    struct store *store;
    struct repo_options options = {0};
    return store_local_new(&store, path, err) == 0 ? repo_open(out, store, passphrase, &options, err) : -1;
}

static void test_repo_open__tells_no_repository_from_wrong_passphrase(void **state)
{
    (void)state;
    struct err err;
    struct repo *r;
    struct fixture *f = fixture_new(2);
    assert_int_equal(open_at(f->path, "another", &r, &err), -1);
    assert_int_equal(err.code, ERR_WRONG_PASSPHRASE);
    assert_int_equal(open_at(f->dir, FIXTURE_PASSPHRASE, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_int_equal(open_at("/nonexistent/place", FIXTURE_PASSPHRASE, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    fixture_free(f);
}

static int open_again_at(const char *path, const struct repo_key *kept, struct repo **out, struct err *err)
{
    struct store *store;
    struct repo_options options = {0};
    return store_local_new(&store, path, err) == 0 ? repo_open_again(out, store, kept, &options, err) : -1;
}

static void test_repo_open_again__opens_what_was_open_before(void **state)
{
    (void)state;
    struct err err;
    struct repo *r;
    struct repo_key kept = {0};
    struct fixture *f = fixture_new(2);
    assert_false(repo_key_is_kept(&kept));
    repo_keep_key(f->repo, &kept);
    assert_true(repo_key_is_kept(&kept));
    fixture_ok(open_again_at(f->path, &kept, &r, &err), &err);
    assert_memory_equal(&r->key, &f->repo->key, sizeof r->key);
    assert_true(id_equal(&r->key_id, &f->repo->key_id));
    assert_true(id_equal(&r->config.id, &f->repo->config.id));
    assert_true(r->config.polynomial == f->repo->config.polynomial);
    assert_true(r->options.threads > 0 && r->options.pack_target_bytes == REPO_PACK_TARGET_BYTES);
    repo_free(r);
    repo_key_wipe(&kept);
    assert_false(repo_key_is_kept(&kept));
    fixture_free(f);
}

static void test_repo_open_again__not_what_is_gone_or_another(void **state)
{
    (void)state;
    struct err err;
    struct repo *r;
    struct repo_key kept, other;
    char hex[ID_HEX_BYTES], key_file[256];
    struct fixture *f = fixture_new(2), *second = fixture_new(2);
    repo_keep_key(f->repo, &kept);
    assert_int_equal(open_again_at(f->dir, &kept, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_int_equal(open_again_at("/nonexistent/place", &kept, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    repo_keep_key(second->repo, &other);
    /* With another's key, were its file there; and with the right one for what says it is another repository. */
    other.key_id = kept.key_id;
    assert_int_equal(open_again_at(f->path, &other, &r, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    other = kept;
    other.repository = second->repo->config.id;
    assert_int_equal(open_again_at(f->path, &other, &r, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    snprintf(key_file, sizeof key_file, "%s/keys/%s", f->path, id_to_hex(&kept.key_id, hex));
    assert_int_equal(unlink(key_file), 0);
    assert_int_equal(open_again_at(f->path, &kept, &r, &err), -1);
    assert_int_equal(err.code, ERR_WRONG_PASSPHRASE);
    assert_int_equal(open_again_at(f->path, &kept, &r, NULL), -1);
    fixture_free(second);
    fixture_free(f);
}

static void test_repo_init__makes_a_random_irreducible_polynomial(void **state)
{
    (void)state;
    struct err err;
    struct store *store;
    struct repo *r;
    struct fixture *f = fixture_new(2);
    char path[128];
    snprintf(path, sizeof path, "%s/second", f->dir);
    fixture_ok(store_local_new(&store, path, &err), &err);
    fixture_ok(repo_init(store, "p", 1, 0, &err), &err);
    store_free(store);
    fixture_ok(open_at(path, "p", &r, &err), &err);
    assert_int_equal(r->config.version, 1);
    assert_true(polynomial_irreducible(r->config.polynomial));
    assert_int_not_equal(r->config.polynomial, FIXTURE_POLYNOMIAL);
    repo_free(r);
    fixture_free(f);
}

static void test_keys__added_and_removed_ones(void **state)
{
    (void)state;
    struct err err;
    struct repo *r;
    struct id id;
    struct key_info info;
    char hex[ID_HEX_BYTES];
    struct fixture *f = fixture_new(2);
    fixture_ok(key_add(f->repo->store, &f->repo->key, "second", "ada", "engine", &id, &err), &err);
    fixture_ok(open_at(f->path, "second", &r, &err), &err);
    assert_true(id_equal(&r->key_id, &id));
    assert_memory_equal(&r->key, &f->repo->key, sizeof r->key);
    repo_free(r);
    fixture_ok(key_read_info(f->repo->store, &id, &info, &err), &err);
    assert_string_equal(info.username, "ada");
    assert_string_equal(info.hostname, "engine");
    assert_true(info.created.tv_sec > 1700000000);
    fixture_ok(store_remove(f->repo->store, STORE_KEY, id_to_hex(&id, hex), &err), &err);
    assert_int_equal(open_at(f->path, "second", &r, &err), -1);
    assert_int_equal(err.code, ERR_WRONG_PASSPHRASE);
    fixture_free(f);
}

static void test_key_decode__refuses_what_is_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err_code code;
    } bad[] = {
        {"", ERR_CORRUPT},
        {"[]", ERR_CORRUPT},
        {"{}", ERR_UNSUPPORTED},
        {"{\"kdf\":\"argon2\"}", ERR_UNSUPPORTED},
        {"{\"kdf\":\"scrypt\",\"N\":0,\"r\":8,\"p\":1}", ERR_UNSUPPORTED},
        {"{\"kdf\":\"scrypt\",\"N\":3,\"r\":8,\"p\":1,\"salt\":\"AAAA\",\"data\":\"AAAA\"}", ERR_UNSUPPORTED},
        {"{\"kdf\":\"scrypt\",\"N\":16,\"r\":1,\"p\":1,\"salt\":\"!\",\"data\":\"AAAA\"}", ERR_CORRUPT},
        {"{\"kdf\":\"scrypt\",\"N\":16,\"r\":1,\"p\":1,\"salt\":\"AAAA\",\"data\":\"AAAA\"}", ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cipher_key key;
        struct err err;
        assert_int_equal(key_decode(bad[i].json, strlen(bad[i].json), "x", &key, &err), -1);
        if (err.code != bad[i].code)
            fail_msg("%s: %s", bad[i].json, err.message);
    }
}

static int decode_config(const char *json, struct repo_config *out, struct err *err)
{
    return repo_config_decode(json, strlen(json), out, err);
}

#define REPO_ID "5c3ec2e0ad3b6a2fd5d3a2b0c1b6a5f4e3d2c1b0a99887766554433221100fe0"

static void test_config__checks_version_id_and_polynomial(void **state)
{
    (void)state;
    struct repo_config c;
    struct err err;
    fixture_ok(
        decode_config("{\"version\":2,\"id\":\"" REPO_ID "\",\"chunker_polynomial\":\"3da3358b4dc173\"}", &c, &err),
        &err);
    assert_int_equal(c.polynomial, FIXTURE_POLYNOMIAL);
    assert_false(c.read_only);
    assert_int_equal(decode_config("{\"version\":3,\"id\":\"" REPO_ID "\"}", &c, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_int_equal(decode_config("{\"version\":2,\"id\":\"12\",\"chunker_polynomial\":\"3da3358b4dc173\"}", &c, &err),
                     -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(
        decode_config("{\"version\":2,\"id\":\"" REPO_ID "\",\"chunker_polynomial\":\"3da3358b4dc172\"}", &c, &err),
        -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(decode_config("not json", &c, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void test_config__of_another_writers_rules_is_read_only(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    fixture_ok(decode_config("{\"version\":2,\"id\":\"" REPO_ID "\",\"chunker_polynomial\":\"3da3358b4dc173\","
                             "\"append_only\":true}",
                             &f->repo->config, &err),
               &err);
    assert_true(f->repo->config.read_only);
    assert_int_equal(repo_check_writable(f->repo, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    fixture_free(f);
}

/* Stores blobs of many sizes, in several packs. */
static void store_and_load(unsigned version, enum repo_compression compression)
{
    struct err err;
    struct fixture *f = fixture_new(version);
    f->repo->options.compression = compression;
    f->repo->options.pack_target_bytes = 1 << 20;
    codec_free(f->codec);
    f->codec = codec_new(f->repo, &err);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    struct writer *w = writer_new(f->repo, false, &err);
    enum { COUNT = 40 };
    struct id ids[COUNT];
    unsigned char *p = mem_alloc(COUNT * 30011);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct writer_put put;
        fixture_bytes(p, i * 3001 * 10, i);
        fixture_ok(writer_blob(w, f->codec, i % 4 == 0 ? BLOB_TREE : BLOB_DATA, p, i * 3001 * 10, &ids[i], &put, &err),
                   &err);
        assert_true(put.is_new);
        fixture_ok(writer_blob(w, f->codec, i % 4 == 0 ? BLOB_TREE : BLOB_DATA, p, i * 3001 * 10, &ids[i], &put, &err),
                   &err);
        assert_false(put.is_new);
    }
    fixture_ok(writer_flush(w, &err), &err);
    struct writer_stats stats;
    writer_stats(w, &stats);
    assert_int_equal(stats.data_blobs, 30);
    assert_int_equal(stats.tree_blobs, 10);
    assert_true(stats.packs > 3);
    writer_free(w);
    fixture_reopen(f, false);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    struct buf out;
    buf_init(&out, REPO_BLOB_MAX_BYTES);
    for (uint32_t i = 0; i < COUNT; i++) {
        fixture_bytes(p, i * 3001 * 10, i);
        fixture_ok(repo_load_blob(f->repo, f->codec, i % 4 == 0 ? BLOB_TREE : BLOB_DATA, &ids[i], &out, &err), &err);
        assert_int_equal(out.len, i * 3001 * 10);
        assert_memory_equal(out.data, p, out.len);
    }
    buf_release(&out);
    free(p);
    fixture_free(f);
}

static void test_blobs__are_loaded_as_stored(void **state)
{
    (void)state;
    store_and_load(1, REPO_COMPRESSION_AUTO);
    store_and_load(2, REPO_COMPRESSION_OFF);
    store_and_load(2, REPO_COMPRESSION_FASTEST);
    store_and_load(2, REPO_COMPRESSION_AUTO);
    store_and_load(2, REPO_COMPRESSION_BETTER);
    store_and_load(2, REPO_COMPRESSION_MAX);
}

static void test_blobs__missing_ones_are_named(void **state)
{
    (void)state;
    struct err err;
    struct fixture *f = fixture_new(2);
    struct buf out;
    struct id id = {{0xab, 0xcd}};
    buf_init(&out, REPO_BLOB_MAX_BYTES);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    assert_int_equal(repo_load_blob(f->repo, f->codec, BLOB_DATA, &id, &out, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "abcd0000"));
    buf_release(&out);
    fixture_free(f);
}

static void test_writer__dry_run_writes_nothing(void **state)
{
    (void)state;
    struct err err;
    struct fixture *f = fixture_new(2);
    struct id id, *ids;
    size_t count;
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    struct writer *w = writer_new(f->repo, true, &err);
    fixture_ok(writer_blob(w, f->codec, BLOB_DATA, "hello", 5, &id, NULL, &err), &err);
    fixture_ok(writer_flush(w, &err), &err);
    writer_free(w);
    fixture_ok(repo_list_ids(f->repo, STORE_PACK, &ids, &count, &err), &err);
    assert_int_equal(count, 0);
    free(ids);
    fixture_ok(repo_list_ids(f->repo, STORE_INDEX, &ids, &count, &err), &err);
    assert_int_equal(count, 0);
    free(ids);
    fixture_free(f);
}

static int closed_gate(void *ctx, struct err *err)
{
    ++*(int *)ctx;
    return err_set(err, ERR_LOCKED, "closed");
}

static void test_writer__gate_stops_the_first_write(void **state)
{
    (void)state;
    struct err err;
    struct fixture *f = fixture_new(2);
    struct id id, *ids;
    size_t count;
    int asked = 0;
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    struct writer *w = writer_new(f->repo, false, &err);
    writer_set_gate(w, closed_gate, &asked);
    fixture_ok(writer_blob(w, f->codec, BLOB_DATA, "hello", 5, &id, NULL, &err), &err);
    assert_int_equal(writer_flush(w, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    assert_int_equal(asked, 1);
    assert_int_equal(writer_blob(w, f->codec, BLOB_DATA, "again", 5, &id, NULL, &err), -1); /* broken for good */
    writer_free(w);
    fixture_ok(repo_list_ids(f->repo, STORE_PACK, &ids, &count, &err), &err);
    assert_int_equal(count, 0);
    free(ids);
    fixture_free(f);
}

static void test_unpacked__damage_is_noticed(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        struct err err;
        struct id id;
        struct buf out;
        char path[256], hex[ID_HEX_BYTES];
        struct fixture *f = fixture_new(version);
        buf_init(&out, 1 << 20);
        fixture_ok(repo_save_unpacked(f->repo, f->codec, STORE_INDEX, "{\"packs\":[]}", 12, &id, &err), &err);
        fixture_ok(repo_load_unpacked(f->repo, f->codec, STORE_INDEX, &id, &out, &err), &err);
        assert_int_equal(out.len, 12);
        assert_memory_equal(out.data, "{\"packs\":[]}", 12);
        snprintf(path, sizeof path, "%s/index/%s", f->path, id_to_hex(&id, hex));
        chmod(path, 0600);
        FILE *file = fopen(path, "r+b");
        fseek(file, 20, SEEK_SET);
        fputc('x', file);
        fputc('y', file);
        fclose(file);
        assert_int_equal(repo_load_unpacked(f->repo, f->codec, STORE_INDEX, &id, &out, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        buf_release(&out);
        fixture_free(f);
    }
}

static void test_find_id__wants_one_match(void **state)
{
    (void)state;
    struct err err;
    struct id a, found;
    char hex[ID_HEX_BYTES];
    struct fixture *f = fixture_new(2);
    fixture_ok(repo_save_unpacked(f->repo, f->codec, STORE_SNAPSHOT, "{}", 2, &a, &err), &err);
    id_to_hex(&a, hex);
    hex[8] = '\0';
    fixture_ok(repo_find_id(f->repo, STORE_SNAPSHOT, hex, &found, &err), &err);
    assert_true(id_equal(&a, &found));
    for (int i = 0; i < 17; i++) { /* eighteen names in all: two of them share a first digit */
        struct id other;
        fixture_ok(repo_save_unpacked(f->repo, f->codec, STORE_SNAPSHOT, "{ }", 3, &other, &err), &err);
    }
    unsigned ambiguous = 0;
    for (const char *d = "0123456789abcdef"; *d != '\0'; d++) {
        char one[2] = {*d, '\0'};
        if (repo_find_id(f->repo, STORE_SNAPSHOT, one, &found, &err) != 0 && err.code == ERR_USAGE)
            ambiguous++;
    }
    assert_true(ambiguous > 0);
    assert_int_equal(repo_find_id(f->repo, STORE_SNAPSHOT, "latest", &found, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(repo_find_id(f->repo, STORE_SNAPSHOT, "", &found, &err), -1);
    fixture_free(f);
}

static void test_lock__exclusive_and_shared(void **state)
{
    (void)state;
    struct err err;
    struct lock *a, *b, *c;
    struct fixture *f = fixture_new(2);
    fixture_ok(lock_acquire(&a, f->repo, false, 0, &err), &err);
    fixture_ok(lock_acquire(&b, f->repo, false, 0, &err), &err);
    assert_int_equal(lock_acquire(&c, f->repo, true, 0, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    assert_int_equal(lock_check(a, &err), 0);
    lock_release(a);
    lock_release(b);
    fixture_ok(lock_acquire(&c, f->repo, true, 0, &err), &err);
    assert_int_equal(lock_acquire(&a, f->repo, false, 300, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    lock_release(c);
    struct id *ids;
    size_t count;
    fixture_ok(repo_list_ids(f->repo, STORE_LOCK, &ids, &count, &err), &err);
    assert_int_equal(count, 0);
    free(ids);
    fixture_free(f);
}

static void test_lock__begun_locks_that_meet_are_noticed_at_the_second_look(void **state)
{
    (void)state;
    struct err err;
    struct lock *a, *b;
    struct fixture *f = fixture_new(2);
    fixture_ok(lock_begin(&a, f->repo, false, 0, &err), &err);
    fixture_ok(lock_confirm(a, &err), &err);
    fixture_ok(lock_confirm(a, &err), &err); /* again: nothing */
    assert_int_equal(lock_begin(&b, f->repo, true, 0, &err), -1);
    lock_release(a);
    fixture_ok(lock_begin(&a, f->repo, false, 0, &err), &err);
    lock_release(a); /* never confirmed */
    fixture_ok(lock_acquire(&b, f->repo, true, 0, &err), &err);
    lock_release(b);
    fixture_free(f);
}

static const uint64_t SLEEP_NS = 8ULL * 3600 * 1000000000;

static void test_lock__survives_a_sleep_of_the_machine(void **state)
{
    (void)state;
    struct err err;
    struct lock *l;
    struct id *before, *after;
    size_t count;
    struct fixture *f = fixture_new(2);
    fixture_ok(lock_acquire(&l, f->repo, true, 0, &err), &err);
    fixture_ok(repo_list_ids(f->repo, STORE_LOCK, &before, &count, &err), &err);
    assert_int_equal(count, 1);
    os_clock_sleep(SLEEP_NS);
    fixture_ok(lock_check(l, &err), &err);
    fixture_ok(repo_list_ids(f->repo, STORE_LOCK, &after, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_false(id_equal(&before[0], &after[0])); /* refreshed at once */
    lock_release(l);
    free(before);
    free(after);
    fixture_free(f);
}

static void test_lock__removed_while_the_machine_slept_is_lost(void **state)
{
    (void)state;
    struct err err;
    struct lock *l;
    struct id *ids;
    size_t count;
    struct fixture *f = fixture_new(2);
    fixture_ok(lock_acquire(&l, f->repo, true, 0, &err), &err);
    assert_int_equal(lock_remove_stale(f->repo, true, &err), 1);
    fixture_ok(lock_check(l, &err), &err); /* does not look every time */
    os_clock_sleep(SLEEP_NS);
    assert_int_equal(lock_check(l, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    assert_non_null(strstr(err.message, "removed the lock"));
    lock_release(l);
    fixture_ok(repo_list_ids(f->repo, STORE_LOCK, &ids, &count, &err), &err);
    assert_int_equal(count, 0); /* and none in its place */
    free(ids);
    fixture_free(f);
}

static int (*plain_save)(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                         struct err *err);
static struct repo *unlocked_repo;

/* While a lock is written somebody removes those that are there. */
static int unlock_and_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                           struct err *err)
{
    if (type == STORE_LOCK)
        assert_int_equal(lock_remove_stale(unlocked_repo, true, err), 1);
    return plain_save(s, type, name, p, len, err);
}

static void test_lock__removed_while_it_is_refreshed_is_lost(void **state)
{
    (void)state;
    struct err err;
    struct lock *l;
    struct id *ids;
    size_t count;
    struct fixture *f = fixture_new(2);
    const struct store_ops *ops = f->repo->store->ops;
    struct store_ops unlocking = *ops;
    fixture_ok(lock_acquire(&l, f->repo, true, 0, &err), &err);
    unlocked_repo = f->repo;
    plain_save = ops->save;
    unlocking.save = unlock_and_save;
    f->repo->store->ops = &unlocking;
    os_clock_sleep(SLEEP_NS);
    assert_int_equal(lock_check(l, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    f->repo->store->ops = ops;
    assert_int_equal(lock_prove(l, &err), -1);
    lock_release(l);
    fixture_ok(repo_list_ids(f->repo, STORE_LOCK, &ids, &count, &err), &err);
    assert_int_equal(count, 0);
    free(ids);
    fixture_free(f);
}

static void test_lock__of_a_dead_process_is_stale(void **state)
{
    (void)state;
    struct err err;
    struct lock *a;
    struct fixture *f = fixture_new(2);
    pid_t child = fork();
    if (child == 0)
        _exit(lock_acquire(&a, f->repo, true, 0, NULL) == 0 ? 0 : 1); /* leaves its lock behind */
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_int_equal(lock_remove_stale(f->repo, false, &err), 1);
    child = fork();
    if (child == 0)
        _exit(lock_acquire(&a, f->repo, true, 0, NULL) == 0 ? 0 : 1);
    waitpid(child, &status, 0);
    fixture_ok(lock_acquire(&a, f->repo, true, 0, &err), &err);   /* takes the dead one away */
    assert_int_equal(lock_remove_stale(f->repo, false, &err), 0); /* ours is alive */
    assert_int_equal(lock_remove_stale(f->repo, true, &err), 1);
    lock_release(a);
    fixture_free(f);
}

static void test_lock__of_another_host_is_stale_after_half_an_hour(void **state)
{
    (void)state;
    struct timespec now = os_now();
    struct lock_info info = {.time = now, .hostname = "elsewhere", .pid = 1};
    assert_false(lock_is_stale(&info));
    info.time.tv_sec -= 29 * 60;
    assert_false(lock_is_stale(&info));
    info.time.tv_sec -= 2 * 60;
    assert_true(lock_is_stale(&info));
}

static void save_one(struct fixture *f, int time_s, struct id *id)
{
    struct err err;
    struct snapshot s;
    snapshot_init(&s);
    s.time.tv_sec = time_s;
    s.hostname = mem_strdup("h");
    fixture_ok(repo_save_snapshot(f->repo, f->codec, &s, &err), &err);
    *id = s.id;
    snapshot_release(&s);
}

/* How many calls of the store it takes to load so many, and how many were broken. */
static unsigned long calls_to_load(struct fixture *f, size_t expected, size_t expected_broken)
{
    struct err err;
    struct snapshot_list list;
    struct strlist broken = {0};
    unsigned long before = store_fault_calls(f->repo->store);
    fixture_ok(repo_load_snapshots(f->repo, &list, &broken, &err), &err);
    assert_int_equal(list.count, expected);
    assert_int_equal(broken.count, expected_broken);
    for (size_t i = 0; i < list.count; i++)
        assert_string_equal(list.items[i].hostname, "h");
    snapshot_list_release(&list);
    strlist_release(&broken);
    return store_fault_calls(f->repo->store) - before;
}

static void test_snapshots__that_are_known_are_not_read_again(void **state)
{
    (void)state;
    struct err err;
    struct snapshot_memo memo = {0};
    struct id ids[3], bad;
    char hex[ID_HEX_BYTES];
    struct fixture *f = fixture_new(2);
    f->repo->store = store_fault_new(f->repo->store, STORE_FAULT_NONE, 0);
    save_one(f, 100, &ids[0]);
    save_one(f, 200, &ids[1]);
    unsigned long all = calls_to_load(f, 2, 0);
    f->repo->memo = &memo;
    assert_int_equal(calls_to_load(f, 2, 0), all);
    assert_int_equal(calls_to_load(f, 2, 0), 1); /* the list */
    assert_true(memo.bytes > 0 && memo.count == 2);
    /* What is new is read, what is gone is dropped, and what is broken stays so. */
    unsigned long one = (all - 1) / 2;
    save_one(f, 300, &ids[2]);
    assert_int_equal(calls_to_load(f, 3, 0), 1 + one);
    fixture_ok(repo_save_unpacked(f->repo, f->codec, STORE_SNAPSHOT, "{}", 2, &bad, &err), &err);
    assert_int_equal(calls_to_load(f, 3, 1), 1 + one);
    assert_int_equal(calls_to_load(f, 3, 1), 1);
    fixture_ok(store_remove(f->repo->store, STORE_SNAPSHOT, id_to_hex(&ids[1], hex), &err), &err);
    assert_int_equal(calls_to_load(f, 2, 1), 1);
    assert_int_equal(memo.count, 3);
    f->repo->memo = NULL;
    snapshot_memo_release(&memo);
    assert_int_equal(memo.bytes, 0);
    fixture_free(f);
}

static void test_snapshots__are_read_again_where_there_is_no_room(void **state)
{
    (void)state;
    struct snapshot_memo memo = {0};
    struct id ids[2] = {{{1}}, {{2}}};
    struct buf text;
    buf_init(&text, SNAPSHOT_MEMO_MAX_BYTES + 1);
    snapshot_memo_list(&memo, ids, 2);
    memset(buf_reserve(&text, SNAPSHOT_MEMO_MAX_BYTES), 'x', SNAPSHOT_MEMO_MAX_BYTES);
    text.len = SNAPSHOT_MEMO_MAX_BYTES;
    snapshot_memo_put(&memo, 1, &text);
    snapshot_memo_put(&memo, 0, &text);
    buf_clear(&text);
    assert_false(snapshot_memo_get(&memo, 0, &text));
    assert_true(snapshot_memo_get(&memo, 1, &text));
    assert_int_equal(text.len, SNAPSHOT_MEMO_MAX_BYTES);
    snapshot_memo_list(&memo, ids, 1);
    assert_int_equal(memo.bytes, 0);
    buf_release(&text);
    snapshot_memo_release(&memo);
}

static void test_snapshots__are_listed_by_time_and_broken_ones_named(void **state)
{
    (void)state;
    struct err err;
    struct snapshot_list list;
    struct strlist broken = {0};
    struct id id;
    struct fixture *f = fixture_new(2);
    for (int i = 0; i < 5; i++) {
        struct snapshot s;
        snapshot_init(&s);
        s.time.tv_sec = 1000000 - i;
        s.hostname = mem_strdup("h");
        strlist_add(&s.paths, "/x");
        fixture_ok(repo_save_snapshot(f->repo, f->codec, &s, &err), &err);
        snapshot_release(&s);
    }
    fixture_ok(repo_load_snapshots(f->repo, &list, NULL, &err), &err);
    assert_int_equal(list.count, 5);
    for (size_t i = 1; i < 5; i++)
        assert_true(list.items[i - 1].time.tv_sec < list.items[i].time.tv_sec);
    snapshot_list_release(&list);
    fixture_ok(repo_save_unpacked(f->repo, f->codec, STORE_SNAPSHOT, "{}", 2, &id, &err), &err);
    assert_int_equal(repo_load_snapshots(f->repo, &list, NULL, &err), -1);
    fixture_ok(repo_load_snapshots(f->repo, &list, &broken, &err), &err);
    assert_int_equal(list.count, 5);
    assert_int_equal(broken.count, 1);
    snapshot_list_release(&list);
    strlist_release(&broken);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repo_init__refuses_a_second_time_and_an_empty_passphrase),
        cmocka_unit_test(test_repo_open__tells_no_repository_from_wrong_passphrase),
        cmocka_unit_test(test_repo_open_again__opens_what_was_open_before),
        cmocka_unit_test(test_repo_open_again__not_what_is_gone_or_another),
        cmocka_unit_test(test_repo_init__makes_a_random_irreducible_polynomial),
        cmocka_unit_test(test_keys__added_and_removed_ones),
        cmocka_unit_test(test_key_decode__refuses_what_is_malformed),
        cmocka_unit_test(test_config__checks_version_id_and_polynomial),
        cmocka_unit_test(test_config__of_another_writers_rules_is_read_only),
        cmocka_unit_test(test_blobs__are_loaded_as_stored),
        cmocka_unit_test(test_blobs__missing_ones_are_named),
        cmocka_unit_test(test_writer__dry_run_writes_nothing),
        cmocka_unit_test(test_writer__gate_stops_the_first_write),
        cmocka_unit_test(test_unpacked__damage_is_noticed),
        cmocka_unit_test(test_find_id__wants_one_match),
        cmocka_unit_test(test_lock__exclusive_and_shared),
        cmocka_unit_test(test_lock__begun_locks_that_meet_are_noticed_at_the_second_look),
        cmocka_unit_test(test_lock__survives_a_sleep_of_the_machine),
        cmocka_unit_test(test_lock__removed_while_the_machine_slept_is_lost),
        cmocka_unit_test(test_lock__removed_while_it_is_refreshed_is_lost),
        cmocka_unit_test(test_lock__of_a_dead_process_is_stale),
        cmocka_unit_test(test_lock__of_another_host_is_stale_after_half_an_hour),
        cmocka_unit_test(test_snapshots__that_are_known_are_not_read_again),
        cmocka_unit_test(test_snapshots__are_read_again_where_there_is_no_room),
        cmocka_unit_test(test_snapshots__are_listed_by_time_and_broken_ones_named),
    };
    return cmocka_run_group_tests_name("repo", tests, NULL, NULL);
}
