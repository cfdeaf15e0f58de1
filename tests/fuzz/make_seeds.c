/*
 * Writes the inputs that fuzzing starts from, made by our own encoders:
 *
 *     make-seeds DIRECTORY        DIRECTORY/TARGET/NAME, for every target
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "repo/index.h"
#include "repo/pack.h"
#include "repo/snapshot.h"
#include "repo/tree.h"

static const char *directory;

static void die(const char *what)
{
    fprintf(stderr, "make-seeds: %s\n", what);
    exit(1);
}

static void write_seed(const char *target, const char *name, const void *p, size_t len)
{
    struct err err = {0};
    char *dir = os_path_join(directory, target), *path = os_path_join(dir, name);
    if (os_make_dirs(dir, 0755, &err) < 0 || os_write_file_atomic(path, p, len, 0644, &err) < 0)
        die(err.message);
    free(dir);
    free(path);
}

static void write_text(const char *target, const char *name, const char *text)
{
    write_seed(target, name, text, strlen(text));
}

static void write_buf(const char *target, const char *name, struct buf *b)
{
    write_seed(target, name, b->data, b->len);
    buf_release(b);
}

static struct id some_id(unsigned char first)
{
    struct id id;
    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (unsigned char)(first + i);
    return id;
}

static struct pack_blob some_blob(unsigned i)
{
    bool compressed = i % 3 != 0;
    return (struct pack_blob){.id = some_id((unsigned char)(i * 7)),
                              .type = i % 2 ? BLOB_TREE : BLOB_DATA,
                              .offset = i * 100,
                              .length = 100,
                              .raw_length = compressed ? 500 + i : 0};
}

static void seed_packs_and_indexes(void)
{
    struct pack_blob blobs[5];
    struct id packs[2] = {some_id(1), some_id(200)};
    struct buf header, index;
    for (unsigned i = 0; i < 5; i++)
        blobs[i] = some_blob(i);
    buf_init(&header, 1 << 20);
    buf_append_byte(&header, 0); /* see fuzz_pack_header.c */
    pack_header_encode(blobs, 5, &header);
    write_buf("pack_header", "five", &header);
    buf_init(&index, 1 << 20);
    index_encode_begin(&index);
    index_encode_pack(&index, &packs[0], blobs, 3);
    buf_append_byte(&index, ',');
    index_encode_pack(&index, &packs[1], blobs + 3, 2);
    index_encode_end(&index);
    write_buf("index", "two-packs", &index);
    write_text("index", "empty", "{\"packs\":[]}\n");
}

static void seed_trees(void)
{
    static const struct node_xattr xattrs[] = {{"user.a", "1", 1}, {"user.b", NULL, 0}};
    static const char *const NAMES[] = {"a", "b", "c \"\\\n", "d\xFF", "e\xC3\xA9", "f", "g", "h"};
    struct id content[2] = {some_id(1), some_id(2)};
    struct buf out;
    buf_init(&out, 1 << 20);
    tree_encode_begin(&out);
    for (unsigned i = 0; i < NODE_TYPE_COUNT && i < sizeof NAMES / sizeof *NAMES; i++) {
        struct node n = {.name = NAMES[i],
                         .name_len = strlen(NAMES[i]),
                         .type = (enum node_type)i,
                         .mode = 0644,
                         .mtime = {1700000000, 123456789},
                         .atime = {1700000000, 0},
                         .ctime = {1700000001, 5},
                         .user = "root",
                         .inode = 100 + i,
                         .device_id = 5,
                         .links = i == NODE_FILE ? 2 : 0,
                         .size = i == NODE_FILE ? 12345 : 0,
                         .xattrs = xattrs,
                         .xattr_count = i == NODE_FILE ? 2 : 0,
                         .content = content,
                         .content_count = i == NODE_FILE ? 2 : 0,
                         .subtree = content[0],
                         .has_subtree = i == NODE_DIR,
                         .device = i == NODE_CHARDEV ? 259 : 0};
        if (i == NODE_SYMLINK) {
            n.link_target = "to/\xFFodd";
            n.link_target_len = strlen(n.link_target);
        }
        tree_encode_node(&out, &n, i == 0);
    }
    tree_encode_end(&out);
    write_buf("tree", "every-type", &out);
    write_text("tree", "empty", "{\"nodes\":[]}\n");
}

static void seed_snapshots(void)
{
    struct snapshot s;
    struct buf out;
    snapshot_init(&s);
    s.time = (struct timespec){1700000000, 123456789};
    s.has_parent = s.has_original = s.has_summary = s.has_uid = true;
    s.parent = some_id(3);
    s.tree = some_id(4);
    s.original = some_id(5);
    strlist_add(&s.paths, "/home/\xFFx");
    strlist_add(&s.excludes, "*.o");
    strlist_add(&s.tags, "tier=1");
    s.hostname = mem_strdup("host");
    s.username = mem_strdup("user");
    s.program_version = mem_strdup("clawback");
    s.unknown = mem_strdup(",\"future\":{\"a\":[1,2]}");
    s.summary.files_new = 7;
    buf_init(&out, 1 << 20);
    snapshot_encode(&s, &out);
    write_buf("snapshot", "full", &out);
    snapshot_release(&s);
}

static void seed_small_documents(void)
{
    write_text("config", "version-2",
               "{\"version\":2,\"id\":\"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\","
               "\"chunker_polynomial\":\"25b468838dcb75\"}");
    write_text(
        "key", "cheap",
        "{\"created\":\"2026-01-01T00:00:00Z\",\"username\":\"u\",\"hostname\":\"h\",\"kdf\":\"scrypt\",\"N\":16,"
        "\"r\":1,\"p\":1,\"salt\":\"AAECAwQFBgcICQoLDA0ODw==\",\"data\":\"AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8A"
        "AQIDBAUGBwgJCgsMDQ4P\"}");
    write_text("json5", "all",
               "// c\n{a:1,'b':[.5,5.,+1,-0x1F,1e9,],\"c\":'it\\'s \\x41\\u00e9\\\n',/* d */$e_:null,f:true,g:{}}");
}

/* A log of two transactions, behind the byte that fuzz_sqlite_wal.c wants: a page size of 512 << 3. */
static void seed_sqlite_wal(void)
{
    struct err err = {0};
    struct buf log;
    sqlite3 *db;
    char *path = os_path_join(directory, "seed.sqlite"), *wal = mem_printf("%s-wal", path);
    unlink(path);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; CREATE TABLE t(a);"
                     "INSERT INTO t VALUES(zeroblob(9000));",
                     NULL, NULL, NULL) != SQLITE_OK)
        die("cannot make a database");
    buf_init(&log, 1 << 20);
    buf_append_byte(&log, 3);
    if (os_read_file(wal, &log, &err) < 0)
        die(err.message);
    write_buf("sqlite_wal", "two-transactions", &log);
    sqlite3_close(db);
    unlink(path);
    free(path);
    free(wal);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    if (argc != 2)
        die("usage: make-seeds DIRECTORY");
    directory = argv[1];
    if (setenv("TZ", "UTC0", 1) != 0 || os_make_dirs(directory, 0755, &err) < 0)
        die(err.message);
    seed_packs_and_indexes();
    seed_trees();
    seed_snapshots();
    seed_small_documents();
    seed_sqlite_wal();
    return 0;
}
