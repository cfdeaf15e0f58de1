/* Repositories with known snapshots, and ways to damage them. */
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "../repo/fixture.h"
#include "crypto/cipher.h"
#include "crypto/sha256.h"
#include "engine/check.h"
#include "engine/prune.h"
#include "engine/stored_files.h"
#include "os/file.h"
#include "repo/pack.h"
#include "repo/snapshot.h"
#include "store/fault.h"
#include "store/local.h"

/* A file of a snapshot: its bytes follow from seed and length. */
struct spec {
    const char *name;
    uint32_t seed;
    size_t len;
};

static inline void index_now(struct fixture *f)
{
    struct err err;
    fixture_ok(repo_load_index_uncached(f->repo, NULL, &err), &err);
}

static inline void put_node(struct buf *out, const struct node *node, bool first)
{
    tree_encode_node(out, node, first);
}

/* Stores one file's content as blobs of at most `cut` bytes. */
static inline struct node file_node(struct fixture *f, struct writer *w, const struct spec *spec, size_t cut,
                                    struct id *ids)
{
    struct err err;
    struct node node = {.name = spec->name, .name_len = strlen(spec->name), .type = NODE_FILE, .mode = 0644};
    unsigned char *bytes = mem_alloc(spec->len + 1);
    fixture_bytes(bytes, spec->len, spec->seed);
    for (size_t at = 0; at < spec->len; at += cut) {
        size_t n = spec->len - at < cut ? spec->len - at : cut;
        fixture_ok(writer_blob(w, f->codec, BLOB_DATA, bytes + at, n, &ids[node.content_count++], NULL, &err), &err);
    }
    node.size = spec->len;
    node.content = ids;
    free(bytes);
    return node;
}

static inline void save_tree(struct fixture *f, struct writer *w, const struct buf *json, struct id *out)
{
    struct err err;
    fixture_ok(writer_blob(w, f->codec, BLOB_TREE, json->data, json->len, out, NULL, &err), &err);
}

/* The tree of these files (in ascending order of name). */
static inline void files_tree(struct fixture *f, struct writer *w, const struct spec *specs, size_t count, size_t cut,
                              struct id *out)
{
    struct buf json;
    buf_init(&json, 1 << 20);
    tree_encode_begin(&json);
    for (size_t i = 0; i < count; i++) {
        struct id ids[64];
        struct node node = file_node(f, w, &specs[i], cut, ids);
        put_node(&json, &node, i == 0);
    }
    tree_encode_end(&json);
    save_tree(f, w, &json, out);
    buf_release(&json);
}

/* A tree with one directory in it, `name`. */
static inline void dir_tree(struct fixture *f, struct writer *w, const char *name, const struct id *subtree,
                            struct id *out)
{
    struct buf json;
    struct node node = {.name = name, .name_len = strlen(name), .type = NODE_DIR, .mode = NODE_MODE_DIR | 0755};
    node.subtree = *subtree;
    node.has_subtree = true;
    buf_init(&json, 1 << 20);
    tree_encode_begin(&json);
    put_node(&json, &node, true);
    tree_encode_end(&json);
    save_tree(f, w, &json, out);
    buf_release(&json);
}

/* A snapshot of this root, `when` seconds after 2020-01-01, by `host`, of `path`, with a tag unless it is NULL. */
static inline struct id save_snapshot(struct fixture *f, const struct id *root, int64_t when, const char *host,
                                      const char *path, const char *tag)
{
    struct err err;
    struct snapshot s;
    snapshot_init(&s);
    s.time.tv_sec = 1577836800 + when;
    s.tree = *root;
    s.hostname = mem_strdup(host);
    strlist_add(&s.paths, path);
    if (tag != NULL)
        strlist_add(&s.tags, tag);
    fixture_ok(repo_save_snapshot(f->repo, f->codec, &s, &err), &err);
    struct id id = s.id;
    snapshot_release(&s);
    return id;
}

/* Stores /dir/<files> as a snapshot, with packs and an index file of its own. */
static inline struct id add_snapshot(struct fixture *f, int64_t when, const struct spec *specs, size_t count)
{
    struct err err;
    struct id files, root;
    index_now(f);
    struct writer *w = writer_new(f->repo, false, &err);
    files_tree(f, w, specs, count, 1000, &files);
    dir_tree(f, w, "dir", &files, &root);
    fixture_ok(writer_flush(w, &err), &err);
    writer_free(w);
    return save_snapshot(f, &root, when, "host", "/dir", NULL);
}

static inline void remove_snapshot(struct fixture *f, const struct id *id)
{
    struct err err;
    char hex[ID_HEX_BYTES];
    fixture_ok(store_remove(f->repo->store, STORE_SNAPSHOT, id_to_hex(id, hex), &err), &err);
}

/* The path of a stored file; into out. */
static inline const char *stored_path(const struct fixture *f, enum store_type type, const struct id *id, char out[256])
{
    char hex[ID_HEX_BYTES];
    id_to_hex(id, hex);
    if (type == STORE_PACK)
        snprintf(out, 256, "%s/data/%.2s/%s", f->path, hex, hex);
    else
        snprintf(out, 256, "%s/%s/%s", f->path, store_type_name(type), hex);
    return out;
}

static inline void flip_byte(const struct fixture *f, enum store_type type, const struct id *id, off_t offset)
{
    char path[256];
    unsigned char c;
    stored_path(f, type, id, path);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, offset), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, offset), 1);
    close(fd);
}

static inline void cut_file(const struct fixture *f, enum store_type type, const struct id *id, off_t length)
{
    char path[256];
    stored_path(f, type, id, path);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, length), 0);
}

static inline void delete_file(const struct fixture *f, enum store_type type, const struct id *id)
{
    char path[256];
    assert_int_equal(unlink(stored_path(f, type, id, path)), 0);
}

static inline size_t count_files(const struct fixture *f, enum store_type type)
{
    struct err err;
    struct stored_files files;
    fixture_ok(stored_files_list(f->repo->store, type, &files, &err), &err);
    size_t count = files.count;
    stored_files_release(&files);
    return count;
}

static inline struct id nth_file(const struct fixture *f, enum store_type type, size_t n)
{
    struct err err;
    struct stored_files files;
    fixture_ok(stored_files_list(f->repo->store, type, &files, &err), &err);
    assert_true(n < files.count);
    struct id id = files.items[n].id;
    stored_files_release(&files);
    return id;
}

/* The place of the n-th blob (of 1000 bytes) of what `spec` describes. Loads the index. */
static inline struct blob_place find_blob(struct fixture *f, const struct spec *spec, size_t n)
{
    struct id id;
    struct index_entry e;
    struct blob_place place = {0};
    unsigned char *bytes = mem_alloc(spec->len);
    struct sha256 *sha = sha256_new();
    fixture_bytes(bytes, spec->len, spec->seed);
    size_t at = n * 1000, len = spec->len - at < 1000 ? spec->len - at : 1000;
    sha256_once(sha, bytes + at, len, &id);
    sha256_free(sha);
    free(bytes);
    index_now(f);
    assert_true(index_find(f->repo->index, BLOB_DATA, &id, &e, &place.pack_id));
    place.id = id;
    place.offset = e.offset;
    place.length = e.length;
    place.raw_length = e.raw_length;
    return place;
}

/* The pack that holds the root tree of a snapshot, and whose only blobs are its trees. */
static inline struct id tree_pack(struct fixture *f, const struct id *snapshot)
{
    struct err err;
    struct snapshot_list list;
    struct index_entry e;
    struct id pack = {0};
    index_now(f);
    fixture_ok(repo_load_snapshots(f->repo, &list, NULL, &err), &err);
    for (size_t i = 0; i < list.count; i++)
        if (id_equal(&list.items[i].id, snapshot))
            assert_true(index_find(f->repo->index, BLOB_TREE, &list.items[i].tree, &e, &pack));
    snapshot_list_release(&list);
    return pack;
}

/* Writes blobs as they come, compressed or not at all, of any types, as one pack; names it in an index file unless
 * `unnamed`. */
struct raw_blob {
    enum blob_type type;
    const void *bytes;
    size_t len;
};
static inline struct id craft_pack(struct fixture *f, const struct raw_blob *raw, size_t count, bool unnamed)
{
    struct err err;
    struct pack_blob blobs[16] = {0};
    struct buf pack, header;
    struct id id;
    char hex[ID_HEX_BYTES];
    struct cipher *cipher = cipher_new(&f->repo->key, &err);
    struct sha256 *sha = sha256_new();
    buf_init(&pack, 1 << 24);
    buf_init(&header, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        blobs[i] = (struct pack_blob){.type = raw[i].type,
                                      .offset = (uint32_t)pack.len,
                                      .length = (uint32_t)(raw[i].len + CIPHER_OVERHEAD_BYTES)};
        sha256_once(sha, raw[i].bytes, raw[i].len, &blobs[i].id);
        unsigned char *to = buf_reserve(&pack, blobs[i].length);
        fixture_ok(cipher_seal(cipher, raw[i].bytes, raw[i].len, to, &err), &err);
        pack.len += blobs[i].length;
    }
    pack_header_encode(blobs, count, &header);
    uint32_t field = (uint32_t)(header.len + CIPHER_OVERHEAD_BYTES);
    unsigned char *to = buf_reserve(&pack, field + sizeof field);
    fixture_ok(cipher_seal(cipher, header.data, header.len, to, &err), &err);
    memcpy(to + field, &field, sizeof field); /* the tests' machines are little-endian */
    pack.len += field + sizeof field;
    sha256_once(sha, pack.data, pack.len, &id);
    fixture_ok(store_save(f->repo->store, STORE_PACK, id_to_hex(&id, hex), pack.data, pack.len, &err), &err);
    if (!unnamed) {
        index_now(f);
        struct writer *w = writer_new(f->repo, false, &err);
        fixture_ok(writer_index_pack(w, &id, blobs, count, &err), &err);
        fixture_ok(writer_flush(w, &err), &err);
        writer_free(w);
    }
    buf_release(&pack);
    buf_release(&header);
    sha256_free(sha);
    cipher_free(cipher);
    return id;
}

/*
 * Checking.
 */

struct findings {
    uint64_t kinds[CHECK_DUPLICATE + 1];
    uint64_t damages;
    char last_path[256], all_paths[4096];
    char messages[16384];
};

static inline void note_problem(void *ctx, const struct check_problem *p)
{
    struct findings *f = ctx;
    f->kinds[p->kind]++;
    assert_non_null(p->message);
    assert_non_null(check_kind_name(p->kind));
    size_t used = strlen(f->messages);
    snprintf(f->messages + used, sizeof f->messages - used, "%s\n", p->message);
}

static inline void note_damage(void *ctx, const struct damage *d)
{
    struct findings *f = ctx;
    f->damages++;
    snprintf(f->last_path, sizeof f->last_path, "%s", d->path);
    size_t used = strlen(f->all_paths);
    snprintf(f->all_paths + used, sizeof f->all_paths - used, "%s%s\n", d->path, d->is_dir ? "/" : "");
}

static inline struct check_result run_check(struct fixture *f, bool read_data, bool unused, struct findings *findings)
{
    struct err err;
    struct check_result result;
    const struct check_options options = {.read = {.kind = read_data ? CHECK_READ_ALL : CHECK_READ_NONE},
                                          .unused = unused};
    const struct check_reporter reporter = {.ctx = findings, .problem = note_problem, .damage = note_damage};
    *findings = (struct findings){0};
    fixture_ok(check_run(f->repo, NULL, &options, &reporter, NULL, &result, &err), &err);
    return result;
}

/* Fails the test with what was found, if anything was. */
static inline void assert_clean(struct fixture *f)
{
    struct findings *findings = mem_alloc(sizeof *findings);
    struct check_result r = run_check(f, true, false, findings);
    if (r.errors > 0)
        fail_msg("%s", findings->messages);
    free(findings);
}

/*
 * Copies, so that one repository can be spoilt many times.
 */

static inline void copy_one_file(const char *source, const char *target)
{
    struct err err;
    struct buf bytes;
    buf_init(&bytes, 1 << 26);
    fixture_ok(os_read_file(source, &bytes, &err), &err);
    int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(os_write_full(fd, bytes.data, bytes.len), 0);
    close(fd);
    buf_release(&bytes);
}

static inline void copy_directory(const char *from, const char *to)
{
    char source[512], target[512];
    DIR *dir = opendir(from);
    assert_non_null(dir);
    mkdir(to, 0700);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(source, sizeof source, "%s/%s", from, e->d_name);
        snprintf(target, sizeof target, "%s/%s", to, e->d_name);
        assert_int_equal(lstat(source, &st), 0);
        if (S_ISDIR(st.st_mode))
            copy_directory(source, target);
        else
            copy_one_file(source, target);
    }
    closedir(dir);
}

/* Makes the fixture's repository work on a copy until end_copy(); in memory where that can be had, since syncing a disk
 * thousands of times takes minutes and proves nothing here. */
struct copy {
    struct store *store;
    char path[96];
};

static inline struct copy begin_copy(struct fixture *f)
{
    struct err err;
    struct copy c = {.store = f->repo->store};
    memcpy(c.path, f->path, sizeof c.path);
    if (access("/dev/shm", W_OK) == 0)
        snprintf(f->path, sizeof f->path, "/dev/shm/clawback-test-%ld", (long)getpid());
    else
        snprintf(f->path, sizeof f->path, "%s/copy", f->dir);
    copy_directory(c.path, f->path);
    fixture_ok(store_local_new(&f->repo->store, f->path, &err), &err);
    return c;
}

static inline void end_copy(struct fixture *f, const struct copy *c)
{
    store_free(f->repo->store);
    scratch_remove_tree(f->path);
    memcpy(f->path, c->path, sizeof c->path);
    f->repo->store = c->store;
}

/* Wraps the store that is in use; the fault's calls count from 1. */
static inline void begin_fault(struct fixture *f, enum store_fault kind, unsigned long call)
{
    f->repo->store = store_fault_new(f->repo->store, kind, call);
}

/* A fresh, sound store at the same place. Returns how many calls there were. */
static inline unsigned long end_fault(struct fixture *f)
{
    struct err err;
    unsigned long calls = store_fault_calls(f->repo->store);
    store_free(f->repo->store);
    fixture_ok(store_local_new(&f->repo->store, f->path, &err), &err);
    return calls;
}
