/*
 * Every single bit of every file of a small repository is flipped, one at a time. Each time `check --read-data` must
 * report it, or it must be harmless: the snapshot restores to exactly what it was, without an error. And in no case may
 * a restore end without an error and have made anything else.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include "../repo/fixture.h"
#include "base/base64.h"
#include "crypto/kdf.h"
#include "crypto/sha256.h"
#include "engine/backup.h"
#include "engine/check.h"
#include "engine/restore.h"
#include "os/file.h"
#include "source/files.h"

enum { FILES_MAX = 16, SIGNATURE_MAX_BYTES = 64 << 10 };

struct place {
    char dir[64], repo[96], source[96], target[96];
    char *files[FILES_MAX]; /* paths of the repository's files */
    size_t file_count;
    struct buf good; /* what a restore must bring */
    uint64_t flips, unopened, unreported;
    struct snapshot snapshot;
};

/* ------------------------------------------------------------------------------------------------- making a repository
 */

static void write_file(const char *dir, const char *name, const void *p, size_t len)
{
    char *path = os_path_join(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(os_write_full(fd, p, len), 0);
    close(fd);
    free(path);
}

static void make_source(const struct place *p)
{
    unsigned char bytes[500];
    char *path = os_path_join(p->source, "link");
    assert_int_equal(mkdir(p->source, 0750), 0);
    fixture_bytes(bytes, sizeof bytes, 7);
    write_file(p->source, "noise", bytes, sizeof bytes);
    memset(bytes, 'a', sizeof bytes);
    write_file(p->source, "even", bytes, sizeof bytes); /* gets compressed */
    write_file(p->source, "empty", bytes, 0);
    assert_int_equal(symlink("noise", path), 0);
    free(path);
}

static void add_base64(struct buf *json, const void *p, size_t len)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    base64_encode(p, len, &text);
    buf_append(json, text.data, text.len);
    buf_release(&text);
}

static void master_key_json(struct buf *json, const struct cipher_key *key)
{
    buf_append_str(json, "{\"mac\":{\"k\":\"");
    add_base64(json, key->mac_k, sizeof key->mac_k);
    buf_append_str(json, "\",\"r\":\"");
    add_base64(json, key->mac_r, sizeof key->mac_r);
    buf_append_str(json, "\"},\"encrypt\":\"");
    add_base64(json, key->encrypt, sizeof key->encrypt);
    buf_append_str(json, "\"}");
}

/* The text of a key file whose passphrase costs next to nothing to check: it is checked ten thousands of times. */
static void cheap_key_json(struct buf *json, const struct cipher_key *master)
{
    static const unsigned char salt[KDF_SALT_BYTES] = "salt";
    const struct kdf_params params = {.n = 4, .r = 1, .p = 1};
    struct cipher_key user;
    struct buf plain;
    struct err err;
    buf_init(&plain, 4096);
    master_key_json(&plain, master);
    assert_int_equal(kdf_scrypt(FIXTURE_PASSPHRASE, strlen(FIXTURE_PASSPHRASE), salt, sizeof salt, &params,
                                (unsigned char *)&user, sizeof user, &err),
                     0);
    struct cipher *cipher = cipher_new(&user, &err);
    unsigned char *sealed = mem_alloc(plain.len + CIPHER_OVERHEAD_BYTES);
    fixture_ok(cipher_seal(cipher, plain.data, plain.len, sealed, &err), &err);
    buf_append_str(json,
                   "{\"created\":\"2026-01-01T00:00:00Z\",\"username\":\"u\",\"hostname\":\"h\",\"kdf\":\"scrypt\","
                   "\"N\":4,\"r\":1,\"p\":1,\"salt\":\"");
    add_base64(json, salt, sizeof salt);
    buf_append_str(json, "\",\"data\":\"");
    add_base64(json, sealed, plain.len + CIPHER_OVERHEAD_BYTES);
    buf_append_str(json, "\"}");
    free(sealed);
    cipher_free(cipher);
    buf_release(&plain);
}

static void save_cheap_key(struct store *store, const struct cipher_key *master, const struct id *old)
{
    char hex[ID_HEX_BYTES];
    struct id id;
    struct err err;
    struct buf json;
    buf_init(&json, 1 << 16);
    cheap_key_json(&json, master);
    struct sha256 *sha = sha256_new();
    sha256_once(sha, json.data, json.len, &id);
    sha256_free(sha);
    fixture_ok(store_save(store, STORE_KEY, id_to_hex(&id, hex), json.data, json.len, &err), &err);
    fixture_ok(store_remove(store, STORE_KEY, id_to_hex(old, hex), &err), &err);
    buf_release(&json);
}

static int open_repo(void *ctx, struct repo **out, struct err *err)
{
    const struct place *p = ctx;
    const struct repo_options options = {.threads = 1};
    struct store *store;
    fixture_ok(store_local_new(&store, p->repo, err), err);
    return repo_open(out, store, FIXTURE_PASSPHRASE, &options, err);
}

static void make_repository(struct place *p)
{
    struct store *store;
    struct repo *repo;
    struct err err;
    fixture_ok(store_local_new(&store, p->repo, &err), &err);
    fixture_ok(repo_init(store, FIXTURE_PASSPHRASE, 2, FIXTURE_POLYNOMIAL, &err), &err);
    store_free(store);
    fixture_ok(open_repo(p, &repo, &err), &err);
    save_cheap_key(repo->store, &repo->key, &repo->key_id);
    repo_free(repo);
}

static void no_report(void *ctx, const char *path, const struct err *err)
{
    (void)ctx;
    fail_msg("%s: %s", path, err->message);
}

static void no_warning(void *ctx, const char *path, const char *what)
{
    (void)ctx, (void)path, (void)what;
}

static void back_up(struct place *p)
{
    struct err err;
    struct backup_result result;
    struct strlist paths = {0}, none = {0};
    struct backup_progress *progress = backup_progress_new();
    const struct sink_reporter reporter = {.unreadable = no_report, .warning = no_warning};
    strlist_add(&paths, p->source);
    const struct files_options files = {.paths = &paths, .base = p->source, .threads = 1};
    struct source *source = files_source_new(&files);
    const struct backup_options options = {.source = source,
                                           .tags = &none,
                                           .exclude_list = &none,
                                           .hostname = "host",
                                           .program_version = "1",
                                           .no_lock = true};
    fixture_ok(backup_run(open_repo, p, &options, &reporter, progress, &result, &err), &err);
    assert_true(result.saved);
    source_free(source);
    backup_progress_free(progress);
    strlist_release(&paths);
}

/* ------------------------------------------------------------------------------------------------------ what it holds
 */

static struct place *walked; /* nftw has no argument for it */

static int note_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    /* The reserve is no data: it only takes up space. */
    if (type == FTW_F && st->st_size > 0 && strcmp(path + ftw->base, "reserve") != 0) {
        assert_true(walked->file_count < FILES_MAX);
        walked->files[walked->file_count++] = mem_strdup(path);
        assert_int_equal(chmod(path, 0600), 0);
    }
    return 0;
}

/* Everything about one entry of the target, as text. */
static void sign_entry(const char *path, const char *name, struct buf *out)
{
    unsigned char bytes[1024];
    struct stat st;
    ssize_t n = 0;
    assert_int_equal(lstat(path, &st), 0);
    buf_printf(out, "%s %o %lld %lld.%ld ", name, st.st_mode, S_ISREG(st.st_mode) ? (long long)st.st_size : 0LL,
               (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    if (S_ISLNK(st.st_mode))
        n = readlink(path, (char *)bytes, sizeof bytes);
    if (S_ISREG(st.st_mode)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        n = os_pread_full(fd, bytes, sizeof bytes, 0);
        close(fd);
    }
    assert_true(n >= 0);
    buf_append(out, bytes, (size_t)n);
    buf_append_byte(out, '\n');
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_no_dot(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

/* The tree is flat. */
static void sign_target(const struct place *p, struct buf *out)
{
    struct dirent **entries = NULL;
    buf_clear(out);
    int count = scandir(p->target, &entries, is_no_dot, compare_names);
    for (int i = 0; i < count; i++) {
        char *path = os_path_join(p->target, entries[i]->d_name);
        sign_entry(path, entries[i]->d_name, out);
        free(path);
        free(entries[i]);
    }
    free(entries);
}

/* ------------------------------------------------------------------------------------------------------- the two verbs
 */

static void count_error(void *ctx, const char *path, const struct err *err)
{
    (void)path;
    assert_true(err->message[0] != '\0');
    ++*(uint64_t *)ctx;
}

static void count_warning(void *ctx, const char *path, const char *what)
{
    (void)ctx, (void)path, (void)what;
}

/* Restores the only snapshot. True when it says that all went well. */
static bool restore_says_fine(struct place *p, struct buf *found)
{
    struct err err;
    struct repo *repo;
    struct snapshot_list list = {0};
    uint64_t errors = 0;
    struct restore_progress progress = {0};
    struct restore_result result;
    const struct restore_options options = {.target = p->target, .threads = 1};
    const struct restore_reporter reporter = {.ctx = &errors, .error = count_error, .warning = count_warning};
    scratch_remove_tree(p->target);
    bool fine = false;
    if (open_repo(p, &repo, &err) != 0)
        return false;
    if (repo_load_index(repo, NULL, &err) == 0 && repo_load_snapshots(repo, &list, NULL, &err) == 0 && list.count == 1)
        fine = restore_run(repo, &list.items[0], &options, &reporter, &progress, &result, &err) == 0 && errors == 0 &&
               atomic_load(&progress.errors) == 0;
    snapshot_list_release(&list);
    repo_free(repo);
    sign_target(p, found);
    return fine;
}

static void hear_problem(void *ctx, const struct check_problem *problem)
{
    (void)ctx;
    assert_true(problem->message[0] != '\0');
}

static void hear_damage(void *ctx, const struct damage *d)
{
    (void)ctx;
    assert_true(d->path[0] != '\0');
}

static bool check_says_fine(struct place *p)
{
    struct err err;
    struct repo *repo;
    struct check_result result;
    const struct check_options options = {.read = {.kind = CHECK_READ_ALL}};
    const struct check_reporter reporter = {.problem = hear_problem, .damage = hear_damage};
    if (open_repo(p, &repo, &err) != 0)
        return false;
    int rc = check_run(repo, NULL, &options, &reporter, NULL, &result, &err);
    repo_free(repo);
    return rc == 0 && result.errors == 0;
}

/* --------------------------------------------------------------------------------------------------------------- tests
 */

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof *p);
    snprintf(p->dir, sizeof p->dir, "%s/clawback-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->repo, sizeof p->repo, "%s/repo", p->dir);
    snprintf(p->source, sizeof p->source, "%s/source", p->dir);
    snprintf(p->target, sizeof p->target, "%s/target", p->dir);
    buf_init(&p->good, SIGNATURE_MAX_BYTES);
    make_source(p);
    make_repository(p);
    back_up(p);
    walked = p;
    nftw(p->repo, note_file, 16, FTW_PHYS);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    scratch_remove_tree(p->dir);
    for (size_t i = 0; i < p->file_count; i++)
        free(p->files[i]);
    buf_release(&p->good);
    free(p);
    return 0;
}

static void test_bitflips__nothing_is_reported_without_one(void **state)
{
    struct place *p = *state;
    assert_int_equal(p->file_count, 6); /* config, key, snapshot, index, a pack of data and one of trees */
    assert_true(check_says_fine(p));
    assert_true(restore_says_fine(p, &p->good));
    assert_true(p->good.len > 1000);
    assert_false(p->good.overflow);
}

static void try_flip(struct place *p, const char *file, size_t byte, unsigned bit, struct buf *found)
{
    bool restored = restore_says_fine(p, found);
    bool same = found->len == p->good.len && memcmp(found->data, p->good.data, found->len) == 0;
    bool unreported = check_says_fine(p);
    p->flips++;
    p->unreported += unreported;
    if (restored && !same)
        fail_msg("%s, byte %zu, bit %u: a wrong restore without an error", file, byte, bit);
    if (unreported && !restored)
        fail_msg("%s, byte %zu, bit %u: check finds nothing, but it cannot be restored", file, byte, bit);
}

static void flip_all_bits(struct place *p, const char *file)
{
    struct buf found;
    struct stat st;
    buf_init(&found, SIGNATURE_MAX_BYTES);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at++) {
        unsigned char was, is;
        assert_int_equal(pread(fd, &was, 1, at), 1);
        for (unsigned bit = 0; bit < 8; bit++) {
            is = (unsigned char)(was ^ 1U << bit);
            assert_int_equal(pwrite(fd, &is, 1, at), 1);
            try_flip(p, file + strlen(p->repo), (size_t)at, bit, &found);
        }
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
    }
    close(fd);
    buf_release(&found);
}

static void test_bitflips__each_is_reported_or_harmless(void **state)
{
    struct place *p = *state;
    uint64_t unreported_elsewhere = 0;
    assert_true(p->good.len > 0);
    for (size_t i = 0; i < p->file_count; i++) {
        p->unreported = 0;
        flip_all_bits(p, p->files[i]);
        if (strstr(p->files[i], "/keys/") == NULL)
            unreported_elsewhere += p->unreported;
        print_message("# %s: %llu flips so far, %llu of these harmless\n", p->files[i] + strlen(p->repo),
                      (unsigned long long)p->flips, (unsigned long long)p->unreported);
    }
    /* Only a key file has anything in it that nothing proves: who made it, and when. */
    assert_int_equal(unreported_elsewhere, 0);
    assert_true(p->flips > 10000);
    assert_true(check_says_fine(p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitflips__nothing_is_reported_without_one),
        cmocka_unit_test(test_bitflips__each_is_reported_or_harmless),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
