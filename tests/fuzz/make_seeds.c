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
#include "daemon/memory.h"
#include "monitor/record_internal.h"
#include "os/file.h"
#include "repo/index.h"
#include "repo/pack.h"
#include "repo/snapshot.h"
#include "repo/tree.h"
#include "run/installed.h"
#include "../unit/source/pg_archive_image.h"

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

/* Both spellings, and the layouts that people have. */
static void seed_jobs(void)
{
    write_text(
        "jobs", "document",
        "{\n  \"version\": 1,\n  \"jobs\": [\n    {\n      \"id\": \"a\", // mine\n      \"enabled\": false,\n"
        "      \"schedule\": {\"kind\": \"interval\", \"intervalMs\": 7200000 /* 2 h */},\n"
        "      \"payload\": {\"kind\": \"systemEvent\", \"command\": \"true\"},\n"
        "      \"retry\": {\"times\": 3, \"afterMs\": 5},\n      \"onSuccess\": [\"b\", \"a\"],\n"
        "      \"state\": {\"lastRunAtMs\": null, \"lastStatus\": \"pending\"}\n    },\n    {\"id\": \"b\"}\n  ]\n}\n");
    write_text(
        "jobs", "openclaw",
        "[{id:'b',schedule:{kind:'cron',expr:'@daily',tz:'UTC'},payload:{kind:'command',argv:['a','\\u00e9'],cwd:"
        "'/',env:{A:'1'},timeoutSeconds:5.0},deleteAfterRun:true,},{id:\"c\",schedule:{kind:'at',at:"
        "'2026-02-04T06:00:00Z'},payload:{kind:'agentTurn',message:'x'}},\r\n\t{} , // end\r\n]");
}

static void seed_schedules(void)
{
    write_text("cron", "cron", "*/15,3 0-5/2 1,15 jan-MAR fri-sun");
    write_text("cron", "duration", "1d2h3m4s5ms");
    write_text("cron", "rule", "CET-1CEST,M3.5.0,M10.5.0/3");
    write_text("cron", "days", "<+03>-3:30:15XXX,J60/-2,300/25:00:01");
    write_text("cron", "time", "2026-12-24 18:00:30");
}

static void seed_plans(void)
{
    write_text("plan", "small",
               "passphrase: {file: /p}\ndestinations: {d: {path: /b}}\ntiers: {t: {files: /x, to: d}}\n");
    write_text("plan", "large",
               "version: 1\nhome: /h\nhost: x\npassphrase: {command: [a, b]}\nlimits: {cpus: 2, read: 20MB/s}\n"
               "hooks: {before: [a], after: b, failure: c, timeout: 5m}\ndestinations:\n"
               "  a: {path: /a, require_mount: true, reserve: 1GiB, limit_write: 5MB, compression: max}\n"
               "  b: {repository: \"local:/b\", allow_unencrypted: yes, passphrase: {env: X}}\n"
               "tiers:\n  t: &t\n    cron: \"*/5 * * * mon\"\n    timezone: UTC\n    files: [/x, ~/y]\n"
               "    exclude: [\"*.log\"]\n    exclude_larger_than: 1GB\n    one_file_system: true\n"
               "    git: [/g, {path: /h, push: o, timeout: 1m}]\n"
               "    postgres: [{container: c}, {url: \"postgres://u:p@h/d\", user: u}]\n"
               "    redis: {url: \"redis://h\", password: {credential: c}}\n    sqlite: /s\n"
               "    command: [{name: n, command: [c]}]\n    when: running\n    on_shrink: warn\n    to: [a, b]\n"
               "    keep: {within: 7d, weekly: 4, daily: all}\n    timeout: 1h\n"
               "  u:\n    <<: *t\n    at: 2030-01-01 12:00\n    cron:\n    format: archive\n"
               "    archive: {prefix: p, compression: zstd, recipients: [r], encrypt: false}\n");
    write_text(
        "plan", "watch",
        "passphrase: {file: /p}\ndestinations: {d: {path: /b}}\ntiers: {t: {files: /x, to: d, retry: {times: 2}}}\n"
        "health: {late: 25%, slow: 10m, slow_factor: 2.5, critical_free: 1GB, proof: off, prometheus: /x}\n"
        "alerts:\n  repeat: 24h\n  digest_at: 08:00\n  digest_day: monday\n  channels:\n"
        "    a: {telegram: {token: {file: /t}, chat: -1}, level: critical, digest: [daily, weekly]}\n"
        "    b: {email: {server: \"smtps://h:1\", from: N <a@b>, to: [a@b], user: u, password: {env: P}, tls: none}}\n"
        "    c: {webhook: \"https://h/?token=x\", timeout: 5s}\n"
        "    d: {webhook: {url: {file: /u}, format: gotify, token: {file: /t}, ca_file: /c}}\n"
        "    e: {ping: {url: \"http://u:p@h/0123456789abcdef\", tiers: [t], style: kuma}}\n"
        "    f: {openclaw: {channel: x, target: y}}\n    g: {command: [a]}\n    h: {syslog: }\n");
}

/* One change, and a rule behind it: version 2. */
static void seed_zone(void)
{
    static const unsigned char BLOCK[] = {'T', 'Z', 'i', 'f', '2', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                          0,   0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4};
    static const unsigned char TYPES[] = {1, 0, 0, 14, 16, 0, 0, 0, 0, 28, 32, 1, 0, 'A', 'B', 'C', 0};
    static const unsigned char TIME[] = {0, 0, 0, 0, 0x65, 0, 0, 0};
    struct buf file;
    buf_init(&file, 1 << 12);
    buf_append(&file, BLOCK, sizeof BLOCK);
    buf_append(&file, TIME + 4, 4);
    buf_append(&file, TYPES, sizeof TYPES);
    buf_append(&file, BLOCK, sizeof BLOCK);
    buf_append(&file, TIME, sizeof TIME);
    buf_append(&file, TYPES, sizeof TYPES);
    buf_append_str(&file, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    write_buf("zone", "one-change", &file);
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

/* Every version of the layout, behind the byte that fuzz_pg_archive.c wants. */
static void seed_pg_archives(void)
{
    for (unsigned minor = 12; minor <= 17; minor++) {
        char name[16];
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_append_byte(&b, (unsigned char)(3 * minor));
        image_whole(&b, minor);
        snprintf(name, sizeof name, "version-%u", minor);
        write_buf("pg_archive", name, &b);
    }
}

/* Behind the byte that the targets want: a dump of some types, whose checksum is made right there; and replies. */
static void seed_redis(void)
{
    static const char dump[] = "\x31REDIS0011\xfa\x09redis-ver\x05"
                               "7.2.4\xf5\x04"
                               "code\xfe\x00\xfb\x05\x01"
                               "\x00\x01"
                               "a\xc1\x01\x02\xfc"
                               "12345678\x00\x01"
                               "b\xc3\x04\x14\x00"
                               "a\x20\x00"
                               "\x12\x01"
                               "l\x01\x02\x02lp\x05\x01"
                               "z\x01\x01m"
                               "12345678\x04\x01h\x01\x01"
                               "f\x01v"
                               "\x15\x01s\x01\x01i\x02lp\x05\x06\x07\x01\x02\x03\x04\x05\x01\x01g\x01\x02\x09\x01"
                               "0123456789abcdef"
                               "12345678\x03\x01\x01"
                               "c"
                               "1234567812345678\x01"
                               "0123456789abcdef"
                               "\x07\x01m\x05\x02\x01\x05\x01x\x00\xff"
                               "checksum";
    write_seed("rdb", "types", dump, sizeof dump - 1);
    write_text("redis_reply", "kinds", "\x05+OK\r\n-ERR no\r\n:12\r\n$3\r\nabc\r\n$-1\r\n*2\r\n*1\r\n+a\r\n:1\r\n");
}

static void seed_records(void)
{
    static const char STARTED[] = "{\"timestamp\":\"2026-02-04T06:00:00Z\",\"status\":\"started\",\"jobId\":\"config\","
                                  "\"runId\":\"0123456789abcdef\",\"pid\":4711}";
    struct record r = {.status = RECORD_FAILED, .time.tv_sec = 1770184800, .duration_ms = 135000, .exit_code = 1};
    struct buf line;
    r.tier = mem_strdup("config");
    r.run_id = mem_strdup("0123456789abcdef");
    r.error = mem_strdup("no room");
    r.retry = r.job = r.interrupted = true;
    strlist_add(&r.warnings, "w");
    strlist_add(&r.snapshots, "s");
    struct record_source *s = record_add_source(&r, "/x");
    s->bytes = 5;
    s->message = mem_strdup("m");
    s->push = mem_strdup("pushed");
    record_add_path(s, "/x/y", 4);
    record_add_destination(&r, "d")->total_bytes = 7;
    buf_init(&line, 1 << 20);
    record_encode(&r, &line);
    write_seed("record", "failed", line.data, line.len - 1);
    write_text("record", "started", STARTED);
    buf_release(&line);
    record_release(&r);
}

static void seed_alerts(void)
{
    write_text("alerts_log", "two",
               "{\"timestamp\":\"2026-02-04T06:00:00Z\",\"timeMs\":1770184800000,\"change\":\"opened\",\"rule\":"
               "\"late\",\"subject\":\"config\",\"level\":2,\"now\":2,\"levelName\":\"warning\",\"text\":\"t\","
               "\"sinceMs\":1,\"openedMs\":2,\"toldLevel\":2,\"told\":true}\n{\"torn\n"
               "{\"change\":\"closed\",\"rule\":\"a\",\"subject\":\"\",\"was\":\"w\",\"details\":\"d\","
               "\"command\":\"c\"}\n");
}

static void seed_memory(void)
{
    char id[] = "config";
    const struct scheduler_memory m = {.id = id, .schedule = 0x123456789, .handled_ms = 1770184800000, .attempt = 2};
    struct buf text;
    buf_init(&text, 1 << 12);
    memory_encode(&m, 1, &text);
    buf_append_str(&text, "{\"id\":\"torn");
    write_buf("memory", "torn", &text);
    write_text("memory", "unsummed",
               "{\"id\":\"a\",\"schedule\":\"00000000000000ff\",\"firstSeenMs\":1,\"lastRunMs\":2,\"dueMs\":3,"
               "\"retryMs\":4,\"askedMs\":5,\"attempt\":1,\"depth\":1,\"running\":true\n{\"id\":\"b\",\"new\":[1]\n");
}

static void seed_crontabs(void)
{
    char *ours = mem_printf("A=1\n%s\n0 3 * * * x\n%s\n* * * * * y", INSTALLED_CRON_BEGIN, INSTALLED_CRON_END);
    write_text("crontab", "ours", ours);
    write_text("crontab", "torn", INSTALLED_CRON_BEGIN);
    write_text("crontab", "other", "# mine\n0 3 * * * x\n@daily y");
    free(ours);
}

/* Behind the two bytes that fuzz_channel.c wants: Telegram's, and of the others what a status may come with. */
static void seed_channels(void)
{
    write_text("channel", "telegram", "\x04\x0c{\"ok\":true,\"result\":{\"message_id\":7}}");
    write_text("channel", "moved",
               "\x04\x0f{\"ok\":false,\"error_code\":400,\"description\":\"group chat was upgraded\",\"parameters\":"
               "{\"migrate_to_chat_id\":-1001234567890,\"retry_after\":5}}");
    write_text("channel", "gotify", "\x11\x10{\"error\":\"Unauthorized\",\"errorDescription\":\"token\"}");
    write_text("channel", "slack", "\x05\x0finvalid_payload 123456:AAsecretSECRET\n");
    write_text("channel", "portal", "\x06\x0e<html>log in first</html>");
}

/* Answers parted by NUL, as fuzz_openclaw.c wants them: the help, the list, the new job. */
static void seed_openclaw(void)
{
    static const char HELP[] = "  --command-argv <json>\n  --declaration-key <key>\n  --command-env <x>\n  --exact\n";
    static const char LIST[] =
        "warning: [x]\n{\"jobs\":[{\"id\":\"r-1\",\"name\":\"n\",\"enabled\":true,\"declarationKey\":"
        "\"clawback:run\",\"schedule\":{\"kind\":\"every\",\"everyMs\":3600000},\"payload\":{\"kind\":\"command\","
        "\"argv\":[\"/usr/bin/clawback\"],\"timeoutSeconds\":0},\"state\":{\"lastStatus\":\"ok\",\"lastRunAtMs\":1,"
        "\"nextRunAtMs\":2}}],\"hasMore\":true}";
    struct buf answers;
    buf_init(&answers, 1 << 16);
    buf_append(&answers, HELP, sizeof HELP);
    buf_append(&answers, LIST, sizeof LIST);
    buf_append_str(&answers, "{\"job\":{\"id\":\"r-2\"}}");
    write_buf("openclaw", "whole", &answers);
    buf_init(&answers, 1 << 16);
    buf_append(&answers, "", 1);
    buf_append_str(&answers, "[{\"id\":\"x\",\"payload\":{\"kind\":\"systemEvent\",\"text\":\"clawback:run\"}}]");
    write_buf("openclaw", "placeholder", &answers);
    write_text("openclaw", "list", LIST);
}

static void seed_control(void)
{
    write_text("control", "status", "\x01\x05{\"ask\":\"status\"}\n");
    write_text("control", "run", "\x01\x05{\"ask\":\"run-now\",\"job\":\"config\"}\n");
    write_text("control", "reload", "\x01\x05{\"ask\":\"reload\"}\n");
    write_text("control", "torn", "\x01\x01{\"ask\":");
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
    seed_jobs();
    seed_schedules();
    seed_plans();
    seed_zone();
    seed_sqlite_wal();
    seed_pg_archives();
    seed_redis();
    seed_records();
    seed_alerts();
    seed_memory();
    seed_crontabs();
    seed_channels();
    seed_openclaw();
    seed_control();
    return 0;
}
