/* Whole archives, opened by gpg and tar alone; and what becomes of contents that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <sys/syscall.h>
#include "archive_place.h"
#include "sink/archive_file.h"
#include "sink/archive_sink.h"

#define NAME "full_2026-02-04_02.tar.gz.gpg"
enum { MIB = 1 << 20 };

/* As on file systems that cannot rename without replacing, or link: in place of the C library's. */
static int rename_errno, link_errno;
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    errno = rename_errno;
    return rename_errno != 0 ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
int link(const char *from, const char *to)
{
    errno = link_errno;
    return link_errno != 0 ? -1 : linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* An archive that is being made in one or two directories. */
struct making {
    char *dirs[2];
    struct archive_target targets[2];
    struct archive_sink_options options;
    struct reports reports;
    struct archive_sink *archive;
    struct sink *sink;
    struct err err;
};

static void making_init(struct making *m, size_t targets)
{
    *m = (struct making){0};
    reports_init(&m->reports);
    for (size_t i = 0; i < targets; i++) {
        m->dirs[i] = scratch_make();
        m->targets[i].dir = m->dirs[i];
    }
    m->options = (struct archive_sink_options){.targets = m->targets,
                                               .target_count = targets,
                                               .prefix = "full",
                                               .time = {.tv_sec = 1770172245},
                                               .encryption = {.kind = OPENPGP_SYMMETRIC, .passphrase = PASSPHRASE},
                                               .verify = ARCHIVE_VERIFY_DECRYPT,
                                               .host = "host",
                                               .version = "1.2.3"};
}

static void begin(struct making *m)
{
    m->archive = archive_sink_new(&m->options, &m->reports.reporter, NULL, &m->err);
    if (m->archive == NULL)
        fail_msg("%s", m->err.message);
    m->sink = archive_sink_base(m->archive);
}

static void end(struct making *m)
{
    assert_ok(archive_sink_finish(m->archive, &m->err), &m->err);
}

static void push(struct making *m, const char *name, struct fake *f)
{
    assert_ok(push_fake(m->sink, name, f, &m->err), &m->err);
    assert_int_equal(f->released, 1);
    assert_int_equal(f->opened, f->closed);
}

static void making_free(struct making *m)
{
    archive_sink_free(m->archive);
    for (size_t i = 0; i < 2; i++)
        if (m->dirs[i] != NULL)
            scratch_remove(m->dirs[i]);
}

/* Opens the archive below dirs[target] with stock programs into "out" there. */
static void extract(const struct making *m, size_t target)
{
    const char *path = archive_sink_result(m->archive, target)->path;
    assert_non_null(path);
    free(shell(false,
               "cd %s && mkdir -m 700 home out && echo '" PASSPHRASE
               "' | gpg --homedir home --batch --quiet --no-autostart "
               "--pinentry-mode loopback --passphrase-fd 0 --decrypt '%s' | tar xzp -C out 2>&1",
               m->dirs[target], path));
}

static void assert_extracted(const struct making *m, const char *name, const struct fake *f)
{
    char *path = mem_printf("%s/out/%s", m->dirs[0], name);
    assert_is_fake(path, f);
    free(path);
}

/* The member's line of the manifest. */
static json_t *load_manifest(const struct making *m)
{
    char *path = mem_printf("%s/out/.clawback-manifest.json", m->dirs[0]);
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    free(path);
    return root;
}

static const json_t *find_member(const json_t *manifest, const char *path)
{
    size_t i;
    json_t *member;
    json_array_foreach(json_object_get(manifest, "members"), i, member)
    {
        const char *is = json_string_value(json_object_get(member, "path"));
        if (is != NULL && strcmp(is, path) == 0)
            return member;
    }
    return NULL;
}

static void assert_empty(const char *dir)
{
    char *list = shell(false, "ls -A %s", dir);
    assert_string_equal(list, "");
    free(list);
}

/* ---- what goes right */

static void test_archive__gpg_and_tar_alone_open_it(void **state)
{
    (void)state;
    struct making m;
    making_init(&m, 2);
    char *tag = mem_strdup("tier=full");
    struct strlist tags = {&tag, 1, 1};
    m.options.tags = &tags;
    begin(&m);
    struct fake empty = fake_file(0), small = fake_file(12345), dump = fake_dump(100000),
                large = fake_file(9 * MIB + 77);
    struct node link = make_node("link", NODE_SYMLINK, 0777), fifo = make_node("fifo\nodd", NODE_FIFO, 0600);
    struct node socket = make_node("socket", NODE_SOCKET, 0600);
    link.link_target = "a/small";
    link.link_target_len = 7;
    assert_ok(push_dir(m.sink, "a", &m.err), &m.err);
    push(&m, "empty", &empty);
    push(&m, "small", &small);
    assert_ok(push_dir(m.sink, "b", &m.err), &m.err);
    push(&m, "large", &large);
    assert_ok(m.sink->ops->dir_end(m.sink, &m.err), &m.err);
    assert_ok(m.sink->ops->dir_end(m.sink, &m.err), &m.err);
    assert_ok(m.sink->ops->entry(m.sink, &link, "link", NULL, &m.err), &m.err);
    assert_ok(m.sink->ops->entry(m.sink, &socket, "socket", NULL, &m.err), &m.err);
    /* A further source begins at the root again, whatever the one before left open. */
    assert_ok(push_dir(m.sink, "broken", &m.err), &m.err);
    m.sink = archive_sink_base(m.archive);
    assert_ok(push_dir(m.sink, "postgres", &m.err), &m.err);
    push(&m, "shop.dump", &dump);
    assert_ok(m.sink->ops->entry(m.sink, &fifo, "fifo", NULL, &m.err), &m.err);
    assert_ok(m.sink->ops->dir_end(m.sink, &m.err), &m.err);
    end(&m);

    for (size_t i = 0; i < 2; i++) {
        const struct archive_result *r = archive_sink_result(m.archive, i);
        assert_int_equal(r->error.code, ERR_NONE);
        assert_string_equal(strrchr(r->path, '/') + 1, NAME);
        assert_int_equal(r->proof, i == 0 ? ARCHIVE_DECRYPTED : ARCHIVE_READ_BACK);
        struct id id;
        assert_ok(archive_checksum_read(m.dirs[i], NAME, &id, &m.err), &m.err);
        assert_true(id_equal(&id, &r->sha256));
        char *list = shell(
            false, "cd %s && ls -A && sha256sum --strict --status -c " NAME ".sha256 && stat -c %%a " NAME, m.dirs[i]);
        assert_string_equal(list, NAME "\n" NAME ".sha256\nfull_latest.tar.gz.gpg\nlatest.tar.gz.gpg\n600");
        free(list);
    }
    struct archive_summary s;
    archive_sink_summary(m.archive, &s);
    assert_int_equal(s.files, 4);
    assert_int_equal(s.dirs, 4);
    assert_int_equal(s.others, 2);
    assert_int_equal(s.left_out, 1);
    assert_int_equal(s.content_bytes, 12345 + 100000 + 9 * MIB + 77);
    assert_true(s.tar_bytes > s.content_bytes);
    assert_int_equal(m.reports.unreadable + m.reports.warnings, 0);

    extract(&m, 0);
    assert_extracted(&m, "a/empty", &empty);
    assert_extracted(&m, "a/small", &small);
    assert_extracted(&m, "a/b/large", &large);
    assert_extracted(&m, "postgres/shop.dump", &dump);
    char *seen = shell(
        false, "cd %s/out && readlink link && test -p 'postgres/fifo\nodd' && stat -c '%%a %%.9Y' a/small", m.dirs[0]);
    assert_string_equal(seen, "a/small\n640 1700000000.123456789");
    free(seen);

    json_t *manifest = load_manifest(&m);
    assert_string_equal(json_string_value(json_object_get(manifest, "host")), "host");
    assert_string_equal(json_string_value(json_array_get(json_object_get(manifest, "tags"), 0)), "tier=full");
    assert_int_equal(json_array_size(json_object_get(manifest, "members")), 10);
    assert_int_equal(json_integer_value(json_object_get(manifest, "member_count")), 10);
    assert_true(json_is_true(json_object_get(manifest, "complete")));
    assert_null(json_object_get(manifest, "missing"));
    char *hash = shell(false, "sha256sum < %s/out/a/b/large | cut -c1-64", m.dirs[0]);
    const json_t *member = find_member(manifest, "a/b/large");
    assert_string_equal(json_string_value(json_object_get(member, "sha256")), hash);
    assert_int_equal(json_integer_value(json_object_get(member, "size")), 9 * MIB + 77);
    assert_string_equal(json_string_value(json_object_get(member, "mtime")), "2023-11-14T22:13:20.123456789Z");
    assert_string_equal(json_string_value(json_object_get(find_member(manifest, "link"), "target")), "a/small");
    free(hash);
    json_decref(manifest);
    free(tag);
    making_free(&m);
}

static void test_archive__names_what_it_lacks(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(100);
    making_init(&m, 1);
    begin(&m);
    push(&m, "f", &f);
    archive_sink_lacks(m.archive, ARCHIVE_LACKS_FAILED, "/postgres/\xff", "it said \"no\"");
    archive_sink_lacks(m.archive, ARCHIVE_LACKS_ABSENT, "/redis/local", NULL);
    end(&m);
    extract(&m, 0);
    json_t *manifest = load_manifest(&m), *missing = json_object_get(manifest, "missing");
    assert_true(json_is_false(json_object_get(manifest, "complete")));
    assert_int_equal(json_array_size(missing), 2);
    const json_t *first = json_array_get(missing, 0), *second = json_array_get(missing, 1);
    assert_string_equal(json_string_value(json_object_get(first, "source_base64")), "L3Bvc3RncmVzL/8=");
    assert_string_equal(json_string_value(json_object_get(first, "status")), "failed");
    assert_string_equal(json_string_value(json_object_get(first, "message")), "it said \"no\"");
    assert_string_equal(json_string_value(json_object_get(second, "source")), "/redis/local");
    assert_string_equal(json_string_value(json_object_get(second, "status")), "skipped");
    assert_null(json_object_get(second, "message"));
    json_decref(manifest);
    /* The checksum file, which anybody may read, has numbers only. */
    char *seen = shell(false, "cat %s/*.sha256", m.dirs[0]);
    assert_non_null(strstr(seen, "# complete: no: 1 failed, 1 not running"));
    assert_null(strstr(seen, "redis"));
    free(seen);
    making_free(&m);
}

static void test_archive__every_codec_with_and_without_encryption(void **state)
{
    (void)state;
    static const struct {
        enum compress_codec codec;
        bool encrypted;
        const char *name, *open;
    } CASES[] = {
        {COMPRESS_GZIP, false, "full_2026-02-04_02.tar.gz", "tar xzf %s/full_2026-02-04_02.tar.gz -C %s"},
        {COMPRESS_ZSTD, false, "full_2026-02-04_02.tar.zst", "zstd -dc %s/full_2026-02-04_02.tar.zst | tar x -C %s"},
        {COMPRESS_NONE, false, "full_2026-02-04_02.tar", "tar xf %s/full_2026-02-04_02.tar -C %s"},
        {COMPRESS_ZSTD, true, "full_2026-02-04_02.tar.zst.gpg", NULL},
        {COMPRESS_NONE, true, "full_2026-02-04_02.tar.gpg", NULL},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct making m;
        struct fake f = fake_file(3 * MIB);
        making_init(&m, 1);
        m.options.codec = CASES[i].codec;
        if (!CASES[i].encrypted)
            m.options.encryption.kind = OPENPGP_NONE;
        begin(&m);
        push(&m, "f", &f);
        end(&m);
        const struct archive_result *r = archive_sink_result(m.archive, 0);
        assert_string_equal(strrchr(r->path, '/') + 1, CASES[i].name);
        assert_int_equal(r->proof, ARCHIVE_DECRYPTED);
        if (CASES[i].open != NULL) {
            char *out = mem_printf("%s/out", m.dirs[0]);
            free(shell(false, "mkdir %s", out));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            free(shell(false, CASES[i].open, m.dirs[0], out));
#pragma GCC diagnostic pop
            free(out);
            assert_extracted(&m, "f", &f);
        }
        making_free(&m);
    }
}

static void test_archive__never_replaces_another(void **state)
{
    (void)state;
    static const char *const NAMES[] = {NAME, "full_2026-02-04_02-30.tar.gz.gpg", "full_2026-02-04_02-30-45.tar.gz.gpg",
                                        "full_2026-02-04_02-30-45-2.tar.gz.gpg"};
    struct making m;
    making_init(&m, 2);
    scratch_write(m.dirs[1], NAME, "another", 7); /* the same name in both */
    for (int i = 1; i < 4; i++) {
        struct fake f = fake_file(10);
        rename_errno = i > 1 ? EINVAL : 0;
        link_errno = i > 2 ? EPERM : 0;
        begin(&m);
        push(&m, "f", &f);
        end(&m);
        for (size_t t = 0; t < 2; t++)
            assert_string_equal(strrchr(archive_sink_result(m.archive, t)->path, '/') + 1, NAMES[i]);
        archive_sink_free(m.archive);
    }
    m.archive = NULL;
    rename_errno = link_errno = 0;
    char *seen = shell(false, "cd %s && cat " NAME " && readlink latest.tar.gz.gpg", m.dirs[1]);
    assert_string_equal(seen, "anotherfull_2026-02-04_02-30-45-2.tar.gz.gpg");
    free(seen);
    making_free(&m);
}

static void test_archive__hard_links_refer_to_what_is_there(void **state)
{
    (void)state;
    struct making m;
    struct fake content = fake_file(1000), gone = fake_file(1000), again = fake_file(1000);
    making_init(&m, 1);
    begin(&m);
    gone.open_fails = true;
    gone.code = ERR_NOT_FOUND;
    struct node n = make_node("one", NODE_FILE, 0600);
    n.inode = 7;
    n.links = 3;
    struct sink_content contents[] = {{.ctx = &gone, .open = fake_open, .release = fake_release},
                                      {.ctx = &content, .open = fake_open, .release = fake_release},
                                      {.ctx = &again, .open = fake_open, .release = fake_release}};
    static const char *const NAMES[] = {"one", "two", "three"};
    for (size_t i = 0; i < 3; i++) {
        n.name = NAMES[i];
        n.name_len = strlen(n.name);
        assert_ok(m.sink->ops->entry(m.sink, &n, n.name, &contents[i], &m.err), &m.err);
    }
    end(&m);
    assert_int_equal(gone.released + content.released + again.released, 3);
    assert_int_equal(again.opened, 0);
    extract(&m, 0);
    char *seen = shell(false, "cd %s/out && test ! -e one && test two -ef three && echo linked", m.dirs[0]);
    assert_string_equal(seen, "linked");
    free(seen);
    assert_extracted(&m, "two", &content);
    json_t *manifest = load_manifest(&m);
    assert_string_equal(json_string_value(json_object_get(find_member(manifest, "three"), "target")), "two");
    json_decref(manifest);
    making_free(&m);
}

static void test_archive__holes_stay_holes(void **state)
{
    (void)state;
    static const struct hole FEW[] = {{1000, 4 * MIB}, {5 * MIB, 2 * MIB + 100}};
    static const struct hole WIDE[] = {{MIB + 100, 50 * MIB}, {53 * MIB, 20 * MIB}};
    static const struct hole LATE[] = {{10 * MIB, 4 * MIB}};
    static const struct hole TINY[] = {{4096, 100}, {8192, 8192}};
    struct making m;
    struct fake few = fake_file(9 * MIB), wide = fake_file(90 * MIB), late = fake_file(16 * MIB),
                tiny = fake_file(65536);
    struct fake all = fake_file(30 * MIB);
    struct hole everything = {0, 30 * MIB};
    making_init(&m, 1);
    begin(&m);
    few.holes = FEW, few.hole_count = 2;
    wide.holes = WIDE, wide.hole_count = 2;
    late.holes = LATE, late.hole_count = 1;
    tiny.holes = TINY, tiny.hole_count = 2;
    all.holes = &everything, all.hole_count = 1;
    push(&m, "few", &few);
    push(&m, "wide", &wide);
    assert_int_equal(wide.opened, 2); /* once for where the holes are */
    push(&m, "late", &late);
    push(&m, "tiny", &tiny);
    push(&m, "all", &all);
    end(&m);
    assert_int_equal(m.reports.warnings + m.reports.unreadable, 0);
    extract(&m, 0);
    assert_extracted(&m, "few", &few);
    assert_extracted(&m, "wide", &wide);
    assert_extracted(&m, "late", &late);
    assert_extracted(&m, "tiny", &tiny);
    assert_extracted(&m, "all", &all);
    char *seen = shell(false,
                       "cd %s/out && for f in few wide all; do [ $(( $(stat -c '%%b * 512' $f) )) -lt "
                       "$(( $(stat -c %%s $f) / 2 )) ] && echo $f; done",
                       m.dirs[0]);
    assert_string_equal(seen, "few\nwide\nall");
    free(seen);
    json_t *manifest = load_manifest(&m);
    char *hash = shell(false, "sha256sum < %s/out/wide | cut -c1-64", m.dirs[0]);
    assert_string_equal(json_string_value(json_object_get(find_member(manifest, "wide"), "sha256")), hash);
    free(hash);
    json_decref(manifest);
    making_free(&m);
}

/* A database, or a dump whose length nobody knows, larger than what is kept in memory. */
static void test_archive__large_dumps_are_kept_back_until_they_are_whole(void **state)
{
    (void)state;
    struct making m;
    struct fake dump = fake_dump(20 * MIB + 5), database = fake_file(12 * MIB), twice = fake_dump(9 * MIB);
    struct fake broken = fake_dump(30 * MIB), short_one = fake_dump(10 * MIB);
    making_init(&m, 1);
    begin(&m);
    database.cut = SINK_CUT_FIXED;
    twice.again = 2;
    broken.fail_at = 20 * MIB;
    broken.code = ERR_IO;
    short_one.finish_fails = true;
    push(&m, "dump", &dump);
    push(&m, "database", &database);
    push(&m, "twice", &twice);
    assert_int_equal(twice.opened, 3);
    assert_int_equal(m.reports.unreadable, 0);
    push(&m, "broken", &broken);
    assert_int_equal(m.reports.unreadable, 1);
    push(&m, "short", &short_one);
    assert_int_equal(m.reports.unreadable, 2);
    end(&m);
    extract(&m, 0);
    assert_extracted(&m, "dump", &dump);
    assert_extracted(&m, "database", &database);
    assert_extracted(&m, "twice", &twice);
    char *seen = shell(false, "ls %s/out", m.dirs[0]);
    assert_string_equal(seen, "database\ndump\ntwice"); /* of those that failed there is no trace */
    free(seen);
    making_free(&m);
}

/* ---- contents that misbehave */

static void test_archive__small_files_that_change_are_read_again(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(5000), bad = fake_file(5000), vanished = fake_file(5000), locked = fake_file(5000);
    making_init(&m, 1);
    begin(&m);
    f.again = 2;
    bad.finish_fails = true;
    vanished.open_fails = locked.open_fails = true;
    vanished.code = ERR_NOT_FOUND;
    locked.code = ERR_PERMISSION;
    push(&m, "f", &f);
    assert_int_equal(f.opened, 3);
    push(&m, "bad", &bad);
    assert_int_equal(m.reports.unreadable, 1);
    push(&m, "vanished", &vanished);
    assert_int_equal(m.reports.unreadable, 1);
    push(&m, "locked", &locked);
    assert_int_equal(m.reports.unreadable, 2);
    assert_int_equal(m.reports.last.code, ERR_PERMISSION);
    end(&m);
    struct archive_summary s;
    archive_sink_summary(m.archive, &s);
    assert_int_equal(s.left_out, 3);
    assert_int_equal(s.files, 1);
    extract(&m, 0);
    assert_extracted(&m, "f", &f);
    making_free(&m);
}

static void test_archive__large_files_that_change_are_reported(void **state)
{
    (void)state;
    struct making m;
    struct fake changed = fake_file(9 * MIB), grew = fake_file(10 * MIB), shrank = fake_file(9 * MIB);
    struct fake broken = fake_file(11 * MIB), refused = fake_file(9 * MIB), after = fake_file(100);
    making_init(&m, 1);
    begin(&m);
    changed.again = 1;
    grew.announced = 9 * MIB;
    shrank.announced = 10 * MIB;
    broken.fail_at = 10 * MIB;
    broken.code = ERR_IO;
    refused.finish_fails = true;
    push(&m, "changed", &changed);
    assert_int_equal(m.reports.warnings, 1);
    assert_non_null(strstr(m.reports.last_warning, "changed while it was read"));
    push(&m, "grew", &grew);
    assert_int_equal(m.reports.warnings, 2);
    push(&m, "shrank", &shrank);
    assert_int_equal(m.reports.unreadable, 1);
    assert_int_equal(m.reports.last.code, ERR_CHANGED);
    push(&m, "broken", &broken);
    assert_int_equal(m.reports.unreadable, 2);
    assert_int_equal(m.reports.last.code, ERR_IO);
    assert_non_null(strstr(m.reports.last.message, "zeros stand for the rest of 'broken'"));
    push(&m, "refused", &refused);
    assert_int_equal(m.reports.unreadable, 3);
    push(&m, "after", &after);
    end(&m);
    struct archive_summary s;
    archive_sink_summary(m.archive, &s);
    assert_int_equal(s.incomplete, 3);
    assert_int_equal(s.files, 6);
    extract(&m, 0); /* the archive is whole all the same */
    assert_extracted(&m, "after", &after);
    assert_extracted(&m, "changed", &changed);
    grew.bytes = 9 * MIB;
    assert_extracted(&m, "grew", &grew);
    struct hole tail = {9 * MIB, MIB}, rest = {10 * MIB, MIB};
    shrank.bytes = 10 * MIB, shrank.holes = &tail, shrank.hole_count = 1;
    broken.holes = &rest, broken.hole_count = 1;
    assert_extracted(&m, "shrank", &shrank);
    assert_extracted(&m, "broken", &broken);
    json_t *manifest = load_manifest(&m);
    assert_true(json_is_true(json_object_get(find_member(manifest, "broken"), "incomplete")));
    assert_true(json_is_true(json_object_get(find_member(manifest, "changed"), "changed")));
    assert_null(json_object_get(find_member(manifest, "after"), "changed"));
    json_decref(manifest);
    making_free(&m);
}

/* Between the reading for the holes and that for the rest. */
static void fill_hole(void *arg)
{
    struct fake *f = arg;
    if (f->opened == 2)
        f->hole_count = 0;
}

static void test_archive__large_files_with_holes_that_change_are_reported(void **state)
{
    (void)state;
    static const struct hole HOLES[] = {{MIB, 4 * MIB}, {15 * MIB, 4 * MIB}};
    struct making m;
    struct fake filled = fake_file(20 * MIB), broken = fake_file(20 * MIB), after = fake_file(100);
    making_init(&m, 1);
    begin(&m);
    filled.holes = broken.holes = HOLES;
    filled.hole_count = broken.hole_count = 2;
    filled.at_half = fill_hole;
    filled.arg = &filled;
    push(&m, "filled", &filled);
    assert_int_equal(m.reports.warnings, 1);
    broken.fail_at = 18 * MIB; /* in the second hole, which is stepped over; so it ends early */
    broken.code = ERR_IO;
    push(&m, "broken", &broken);
    assert_int_equal(m.reports.unreadable, 1);
    push(&m, "after", &after);
    end(&m);
    extract(&m, 0);
    assert_extracted(&m, "after", &after);
    filled.holes = HOLES, filled.hole_count = 2;
    assert_extracted(&m, "filled", &filled);
    making_free(&m);
}

static void test_archive__an_interrupt_ends_it_and_leaves_nothing(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        struct making m;
        struct fake f = fake_file(large ? 12 * MIB : 1000);
        making_init(&m, 2);
        begin(&m);
        f.fail_at = large ? 11 * MIB : 500;
        f.code = ERR_INTERRUPTED;
        assert_int_equal(push_fake(m.sink, "f", &f, &m.err), -1);
        assert_int_equal(m.err.code, ERR_INTERRUPTED);
        assert_int_equal(f.released, 1);
        assert_int_equal(f.opened, f.closed);
        assert_int_equal(archive_sink_finish(m.archive, &m.err), -1);
        assert_int_equal(m.err.code, ERR_INTERRUPTED);
        assert_int_equal(archive_sink_result(m.archive, 1)->error.code, ERR_INTERRUPTED);
        assert_empty(m.dirs[0]);
        assert_empty(m.dirs[1]);
        making_free(&m);
    }
}

static void test_archive_abandon__leaves_nothing(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(20 * MIB);
    making_init(&m, 2);
    begin(&m);
    push(&m, "f", &f);
    archive_sink_abandon(m.archive);
    assert_int_equal(archive_sink_result(m.archive, 0)->error.code, ERR_FAILED);
    assert_null(archive_sink_result(m.archive, 0)->path);
    assert_empty(m.dirs[0]);
    archive_sink_abandon(m.archive);
    making_free(&m);
    archive_sink_free(NULL);
}

/* ---- what goes wrong around it */

static void test_archive__says_at_once_what_cannot_be(void **state)
{
    (void)state;
    struct making m;
    making_init(&m, 1);
    struct archive_sink_options good = m.options;
    m.options.target_count = 0;
    assert_null(archive_sink_new(&m.options, &m.reports.reporter, NULL, &m.err));
    assert_int_equal(m.err.code, ERR_USAGE);
    m.options = good;
    m.options.prefix = "a/b";
    assert_null(archive_sink_new(&m.options, &m.reports.reporter, NULL, &m.err));
    m.options = good;
    m.options.encryption.passphrase = "";
    assert_null(archive_sink_new(&m.options, &m.reports.reporter, NULL, &m.err));
    m.options = good;
    m.options.level = 77;
    assert_null(archive_sink_new(&m.options, &m.reports.reporter, NULL, &m.err));
    assert_int_equal(m.err.code, ERR_USAGE);
    m.options = good;
    m.targets[0].dir = "/nowhere/at/all";
    assert_null(archive_sink_new(&m.options, &m.reports.reporter, NULL, &m.err));
    assert_int_equal(m.err.code, ERR_NOT_FOUND);
    m.targets[0] = (struct archive_target){.dir = m.dirs[0], .reserve_bytes = UINT64_MAX};
    assert_null(archive_sink_new(&m.options, &m.reports.reporter, NULL, &m.err));
    assert_int_equal(m.err.code, ERR_NO_SPACE);
    assert_empty(m.dirs[0]);
    making_free(&m);
}

static void test_archive__one_target_that_fails_does_not_stop_the_other(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(1000);
    making_init(&m, 2);
    m.targets[0].dir = "/nowhere/at/all";
    m.targets[1].limit_write_bytes_per_s = 100 * MIB;
    begin(&m);
    push(&m, "f", &f);
    end(&m);
    assert_int_equal(archive_sink_result(m.archive, 0)->error.code, ERR_NOT_FOUND);
    assert_null(archive_sink_result(m.archive, 0)->path);
    assert_int_equal(archive_sink_result(m.archive, 1)->proof, ARCHIVE_DECRYPTED); /* the first that lives */
    extract(&m, 1);
    making_free(&m);
}

/* The gpg that this process has started. */
static void kill_gpg(void *arg)
{
    char *pid = shell(false, "pgrep -P %ld -x gpg", (long)getpid());
    *(int *)arg = kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
    free(pid);
}

static void test_archive__gpg_killed_in_the_middle_is_said(void **state)
{
    (void)state;
    struct making m;
    int killed = -1;
    struct fake f = fake_file(64 * MIB);
    making_init(&m, 2);
    begin(&m);
    f.at_half = kill_gpg;
    f.arg = &killed;
    if (push_fake(m.sink, "f", &f, &m.err) == 0)
        assert_int_equal(archive_sink_finish(m.archive, &m.err), -1);
    assert_int_equal(killed, 0);
    assert_non_null(strstr(m.err.message, "gpg"));
    assert_non_null(strstr(m.err.message, "killed by signal 9"));
    archive_sink_abandon(m.archive);
    assert_empty(m.dirs[0]);
    assert_empty(m.dirs[1]);
    making_free(&m);
}

/* A byte of what is in the first target changes behind its back. */
static void spoil(void *arg)
{
    const struct making *m = arg;
    free(
        shell(false, "printf X | dd of=\"$(ls %s/.clawback-*)\" bs=1 seek=70000 conv=notrunc status=none", m->dirs[0]));
}

static void test_archive__what_was_not_written_right_gets_no_name(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(30 * MIB);
    making_init(&m, 2);
    m.options.codec = COMPRESS_NONE;
    begin(&m);
    f.at_half = spoil;
    f.arg = &m;
    push(&m, "f", &f);
    end(&m);
    const struct archive_result *r = archive_sink_result(m.archive, 0);
    assert_null(r->path);
    assert_int_equal(r->error.code, ERR_CORRUPT);
    assert_non_null(strstr(r->error.message, "was not written right"));
    assert_empty(m.dirs[0]);
    assert_int_equal(archive_sink_result(m.archive, 1)->proof, ARCHIVE_DECRYPTED);
    making_free(&m);
}

static void test_archive__a_name_that_cannot_be_given_is_said(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(1000);
    making_init(&m, 1);
    begin(&m);
    push(&m, "f", &f);
    rename_errno = EACCES;
    assert_int_equal(archive_sink_finish(m.archive, &m.err), -1);
    rename_errno = 0;
    assert_int_equal(m.err.code, ERR_PERMISSION);
    assert_empty(m.dirs[0]);
    making_free(&m);
}

static void test_archive__without_verification_it_says_so(void **state)
{
    (void)state;
    struct making m;
    struct fake f = fake_file(1000);
    making_init(&m, 1);
    m.options.verify = ARCHIVE_VERIFY_NONE;
    begin(&m);
    push(&m, "f", &f);
    end(&m);
    assert_int_equal(archive_sink_result(m.archive, 0)->proof, ARCHIVE_UNPROVEN);
    archive_sink_free(m.archive);
    m.options.verify = ARCHIVE_VERIFY_READ;
    f = fake_file(1000);
    begin(&m);
    push(&m, "f", &f);
    end(&m);
    assert_int_equal(archive_sink_result(m.archive, 0)->proof, ARCHIVE_READ_BACK);
    making_free(&m);
}

/* Attributes too large, names that are not UTF-8: the one is reported and left out, the other is kept. */
static void test_archive__odd_metadata(void **state)
{
    (void)state;
    struct making m;
    struct fake huge = fake_file(10), odd = fake_file(10);
    making_init(&m, 1);
    begin(&m);
    struct node_xattr x = {"user.large", mem_zalloc(65 * MIB), 65 * MIB};
    struct node n = make_node("huge", NODE_FILE, 0600), dir = make_node("dir", NODE_DIR, 0700);
    n.xattrs = dir.xattrs = &x;
    n.xattr_count = dir.xattr_count = 1;
    struct sink_content content = {.ctx = &huge, .open = fake_open, .release = fake_release};
    assert_ok(m.sink->ops->entry(m.sink, &n, "huge", &content, &m.err), &m.err);
    assert_int_equal(m.reports.unreadable, 1);
    assert_ok(m.sink->ops->dir_begin(m.sink, &dir, &m.err), &m.err);
    assert_int_equal(m.reports.unreadable, 2);
    assert_ok(m.sink->ops->dir_end(m.sink, &m.err), &m.err);
    push(&m, "latin1 \xe9 \"quoted\"", &odd);
    end(&m);
    extract(&m, 0);
    assert_extracted(&m, "latin1 \xe9 \"quoted\"", &odd);
    json_t *manifest = load_manifest(&m);
    const json_t *member = json_array_get(json_object_get(manifest, "members"), 0);
    assert_string_equal(json_string_value(json_object_get(member, "path_base64")), "bGF0aW4xIOkgInF1b3RlZCI=");
    json_decref(manifest);
    free((void *)(uintptr_t)x.value);
    making_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archive__gpg_and_tar_alone_open_it),
        cmocka_unit_test(test_archive__names_what_it_lacks),
        cmocka_unit_test(test_archive__every_codec_with_and_without_encryption),
        cmocka_unit_test(test_archive__never_replaces_another),
        cmocka_unit_test(test_archive__hard_links_refer_to_what_is_there),
        cmocka_unit_test(test_archive__holes_stay_holes),
        cmocka_unit_test(test_archive__large_dumps_are_kept_back_until_they_are_whole),
        cmocka_unit_test(test_archive__small_files_that_change_are_read_again),
        cmocka_unit_test(test_archive__large_files_that_change_are_reported),
        cmocka_unit_test(test_archive__large_files_with_holes_that_change_are_reported),
        cmocka_unit_test(test_archive__an_interrupt_ends_it_and_leaves_nothing),
        cmocka_unit_test(test_archive_abandon__leaves_nothing),
        cmocka_unit_test(test_archive__says_at_once_what_cannot_be),
        cmocka_unit_test(test_archive__one_target_that_fails_does_not_stop_the_other),
        cmocka_unit_test(test_archive__gpg_killed_in_the_middle_is_said),
        cmocka_unit_test(test_archive__what_was_not_written_right_gets_no_name),
        cmocka_unit_test(test_archive__a_name_that_cannot_be_given_is_said),
        cmocka_unit_test(test_archive__without_verification_it_says_so),
        cmocka_unit_test(test_archive__odd_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
