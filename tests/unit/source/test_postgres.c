/* Against stand-ins for PostgreSQL's tools: shell scripts that answer from files. Real servers are for
 * tests/integration/test_postgres.py. */
#include "source/postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/file.h"
#include "source/pg_archive_image.h"
#include "source/postgres_client.h"
#include "source/postgres_server.h"
#include "source/recording_sink.h"

static const char PSQL[] = "#!/bin/sh\n"
                           "here=$(dirname \"$0\")\n"
                           "{ printf '%s\\n' \"psql\" \"$@\"; env; } >>\"$here/calls\"\n"
                           "case \"$*\" in *\"$(cat \"$here/down-for\" 2>/dev/null || echo nothing)\"*)\n"
                           "    cat \"$here/down\" >&2; exit 2 ;;\n"
                           "esac\n"
                           "while read -r line; do\n"
                           "    case $line in\n"
                           "    *'pg_catalog.pg_database d'*) cat \"$here/server\" ;;\n"
                           "    *extversion*) printf 'plpgsql 1.0\\0' ;;\n"
                           "    *'FROM denied'*) cat \"$here/denied\" ;;\n"
                           "    *pg_export_snapshot*) cat \"$here/snapshot\" ;;\n"
                           "    *gexec*) cat \"$here/counts\" || exit 3 ;;\n"
                           "    *echo*) echo clawback-end ;;\n"
                           "    esac\n"
                           "done\n";
static const char PG_DUMP[] = "#!/bin/sh\n"
                              "here=$(dirname \"$0\")\n"
                              "[ \"$1\" != --version ] || { cat \"$here/version\"; exit 0; }\n"
                              "printf '%s\\n' pg_dump \"$@\" >>\"$here/calls\"\n"
                              "cat \"$here/dump\"\n"
                              "cat \"$here/dump-words\" >&2 2>/dev/null\n"
                              "exit \"$(cat \"$here/dump-status\")\"\n";
static const char PG_DUMPALL[] = "#!/bin/sh\n"
                                 "here=$(dirname \"$0\")\n"
                                 "printf '%s\\n' pg_dumpall \"$@\" >>\"$here/calls\"\n"
                                 "cat \"$here/globals\"\n";
static const char PG_RESTORE[] = "#!/bin/sh\n"
                                 "here=$(dirname \"$0\")\n"
                                 "cat >\"$here/seen\"\n"
                                 "exit \"$(cat \"$here/restore-status\")\"\n";
static const char COUNTS[] = "{\"schema\" : \"public\", \"name\" : \"a table\", \"rows\" : 3}\n"
                             "{\"schema\" : \"other\", \"name\" : \"empty\", \"rows\" : 0}\n";

static struct place place;
static char *path_was;

static void write_tool(const char *name, const char *script)
{
    char *path = place_path(&place, name);
    place_file(&place, name, script);
    assert_int_equal(chmod(path, 0755), 0);
    free(path);
}

/* NUL after each value. */
static void add_values(struct buf *b, const char *const *values)
{
    for (; *values != NULL; values++) {
        buf_append_str(b, *values);
        buf_append_byte(b, '\0');
    }
}

static void write_server(bool superuser, const char *const *databases)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    add_values(&b, (const char *const[]){"150018", "15.18 (Debian)", "erp", superuser ? "t" : "f",
                                         superuser ? "t" : "f", "f", "/run/pg", "5433", NULL});
    for (; *databases != NULL; databases++) {
        const char *limit = strcmp(*databases, "torn") == 0 ? "-2" : "-1";
        add_values(&b, (const char *const[]){*databases, "owner", "UTF8", "C.UTF-8", "C",
                                             strcmp(*databases, "closed") == 0 ? "f" : "t",
                                             strncmp(*databases, "template", 8) == 0 ? "t" : "f", limit, "8000", NULL});
    }
    place_bytes(&place, "server", b.data, b.len);
    buf_release(&b);
}

static void write_dump(unsigned minor)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    image_whole(&b, minor);
    place_bytes(&place, "dump", b.data, b.len);
    buf_release(&b);
}

static int set_up(void **state)
{
    (void)state;
    place_make(&place);
    path_was = mem_strdup(getenv("PATH"));
    char *path = mem_printf("%s:%s", place.root, path_was);
    setenv("PATH", path, 1);
    free(path);
    write_tool("psql", PSQL);
    write_tool("pg_dump", PG_DUMP);
    write_tool("pg_dumpall", PG_DUMPALL);
    write_tool("pg_restore", PG_RESTORE);
    place_file(&place, "version", "pg_dump (PostgreSQL) 15.3\n");
    place_file(&place, "snapshot", "00000003-0000001B-1\n");
    place_file(&place, "counts", COUNTS);
    place_file(&place, "dump-status", "0\n");
    place_file(&place, "restore-status", "0\n");
    place_file(&place, "globals", "CREATE ROLE x;\n-- PostgreSQL database cluster dump complete\n");
    write_server(true, (const char *const[]){"shop", "template0", NULL});
    write_dump(14);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    setenv("PATH", path_was, 1);
    free(path_was);
    place_remove(&place);
    return 0;
}

static char *file_text(const char *name)
{
    struct buf b;
    char *path = place_path(&place, name);
    buf_init(&b, 1 << 20);
    if (os_read_file(path, &b, NULL) != 0)
        buf_clear(&b);
    char *text = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    free(path);
    return text;
}

/* ------------------------------------------------------------------------------- a sink that opens in a chosen order
 */

enum { FILES_MAX = 64 };
struct taken {
    struct sink sink;
    struct sink_reporter reporter;
    char *names[FILES_MAX];
    struct sink_content contents[FILES_MAX];
    struct buf texts[FILES_MAX];
    struct err errors[FILES_MAX];
    size_t count;
    struct buf folders, words;
    bool backwards, never;
    size_t step;
};

static int take_dir(struct sink *s, const struct node *dir, struct err *err)
{
    (void)err;
    buf_printf(&((struct taken *)(void *)s)->folders, "/%s", dir->name);
    return 0;
}

static int take_dir_end(struct sink *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}

static int take_entry(struct sink *s, const struct node *n, const char *path, struct sink_content *content,
                      struct err *err)
{
    struct taken *t = (struct taken *)(void *)s;
    (void)path;
    (void)err;
    assert_true(t->count < FILES_MAX);
    t->names[t->count] = mem_strdup(n->name);
    t->contents[t->count] = *content;
    buf_init(&t->texts[t->count++], 1 << 20);
    return 0;
}

static const struct sink_ops TAKE = {take_dir, take_entry, take_dir_end, NULL};

static void take_unreadable(void *ctx, const char *path, const struct err *err)
{
    buf_printf(&((struct taken *)ctx)->words, "unreadable %s: %s\n", path, err->message);
}

static void take_warning(void *ctx, const char *path, const char *what)
{
    buf_printf(&((struct taken *)ctx)->words, "warning %s: %s\n", path, what);
}

static void take_excluded(void *ctx, const char *path, const char *why)
{
    buf_printf(&((struct taken *)ctx)->words, "excluded %s: %s\n", path, why);
}

static void read_content(struct taken *t, size_t i)
{
    const struct sink_content *c = &t->contents[i];
    struct sink_stream stream;
    struct node node = {0};
    struct err *err = &t->errors[i];
    if (c->open(c->ctx, 1, &node, &stream, err) != 0) {
        assert_int_not_equal(err->code, ERR_NOT_FOUND);
        return;
    }
    char *room = mem_alloc(t->step);
    int64_t n;
    while ((n = stream.read(stream.state, room, t->step, err)) > 0)
        buf_append(&t->texts[i], room, (size_t)n);
    enum sink_finish finish = stream.finish(stream.state, &node, n < 0 ? NULL : err);
    assert_int_equal(finish, n < 0 ? SINK_FINISH_ERROR : SINK_FINISH_OK);
    if (n == 0) {
        assert_int_equal(node.size, t->texts[i].len);
        assert_int_equal(stream.read(stream.state, room, t->step, err), 0);
    }
    stream.close(stream.state);
    free(room);
}

static void taken_release(struct taken *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->names[i]);
        buf_release(&t->texts[i]);
    }
    buf_release(&t->folders);
    buf_release(&t->words);
}

/* Pushes the source and reads all it has. `t`: zeroed, or with its first settings; to be released. */
static int take(struct taken *t, const struct postgres_options *options, struct err *err)
{
    struct source *s;
    t->sink.ops = &TAKE;
    t->reporter = (struct sink_reporter){t, take_unreadable, take_warning, take_excluded};
    t->step = t->step == 0 ? 1 << 16 : t->step;
    buf_init(&t->folders, 10000);
    buf_init(&t->words, 100000);
    if (postgres_source_new(&s, options, err) != 0)
        return -1;
    assert_true(s->strict);
    int rc = source_start(s, &t->reporter, err);
    if (rc == 0)
        rc = source_push(s, &t->sink, &t->reporter, err);
    if (rc == 0) {
        buf_append_byte(&t->folders, '\0');
        assert_string_equal((const char *)t->folders.data, s->paths.items[0]);
    }
    for (size_t i = 0; i < t->count && rc == 0 && !t->never; i++)
        read_content(t, t->backwards ? t->count - 1 - i : i);
    for (size_t i = 0; i < t->count; i++)
        t->contents[i].release(t->contents[i].ctx);
    source_free(s);
    return rc;
}

static size_t index_of(const struct taken *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->names[i], name) == 0)
            return i;
    fail_msg("there is no '%s'", name);
    return 0;
}

static const char *text_of(struct taken *t, const char *name)
{
    size_t i = index_of(t, name);
    if (t->errors[i].code != ERR_NONE)
        fail_msg("%s: %s", name, t->errors[i].message);
    return buf_cstr(&t->texts[i]);
}

static void assert_says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in '%s'", part, text);
}

static const struct postgres_options URL = {.url = "postgresql://erp:geheim@127.0.0.1:1/"};

/* ----------------------------------------------------------------------------------------------------- all is well */

static void test_postgres__a_server_becomes_four_files(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct taken t = {.backwards = i % 2 == 1, .step = i < 2 ? 1 << 16 : 7};
        struct err err = {0};
        if (take(&t, &URL, &err) != 0)
            fail_msg("%s", err.message);
        assert_int_equal(t.count, 4);
        assert_string_equal(t.names[0], "globals.sql");
        assert_string_equal(t.names[1], "server.json");
        assert_string_equal(t.names[2], "shop.counts.json");
        assert_string_equal(t.names[3], "shop.dump");
        assert_says(text_of(&t, "shop.counts.json"), "{\"schema\": \"public\", \"name\": \"a table\", \"rows\": 3}");
        assert_says(text_of(&t, "shop.dump"), "PGDMP");
        assert_says(text_of(&t, "globals.sql"), "CREATE ROLE x;");
        assert_says(text_of(&t, "server.json"), "\"plpgsql\": \"1.0\"");
        assert_string_equal(buf_cstr(&t.words), "excluded /postgres/127.0.0.1:1/template0: a template\n");
        taken_release(&t);
    }
}

static void test_postgres__password_is_in_no_argument(void **state)
{
    (void)state;
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, &URL, &err), 0);
    taken_release(&t);
    char *calls = file_text("calls");
    char *first = strstr(calls, "geheim");
    assert_non_null(first);
    for (char *p = first; p != NULL; p = strstr(p + 1, "geheim"))
        assert_memory_equal(p - strlen("PGPASSWORD="), "PGPASSWORD=", strlen("PGPASSWORD="));
    assert_says(calls, "--dbname\npostgresql://erp@127.0.0.1:1/shop\n");
    assert_says(calls, "pg_dump\n--no-password\n");
    assert_says(calls, "--format=custom\n--compress=0\n--snapshot=00000003-0000001B-1\n--lock-wait-timeout=60000\n");
    free(calls);
}

static void test_postgres__nothing_opened_starts_nothing(void **state)
{
    (void)state;
    struct taken t = {.never = true};
    struct err err = {0};
    assert_int_equal(take(&t, &URL, &err), 0);
    char *calls = file_text("calls");
    assert_null(strstr(calls, "pg_dump\n"));
    free(calls);
    taken_release(&t);
}

static void test_postgres__odd_names_get_files_of_their_own(void **state)
{
    (void)state;
    static const char *const names[] = {"a/b", "a_b", "it's", "..", "\xff", "torn", "closed", NULL};
    write_server(true, names);
    struct taken t = {0};
    struct err err = {0};
    if (take(&t, &URL, &err) != 0)
        fail_msg("%s", err.message);
    assert_says(text_of(&t, "a_b.counts.json"), "\"database\": \"a/b\"");
    assert_says(text_of(&t, "a_b-2.counts.json"), "\"database\": \"a_b\"");
    assert_says(text_of(&t, "it's.dump"), "PGDMP");
    assert_int_equal(t.count, 5 * 2 + 2);
    assert_says(text_of(&t, "server.json"), "\"name\": \"?\"");
    assert_says(buf_cstr(&t.words), "torn: it was being dropped");
    assert_says(buf_cstr(&t.words), "closed: allows no connections");
    taken_release(&t);
}

static void test_postgres__one_database_alone(void **state)
{
    (void)state;
    write_server(true, (const char *const[]){"shop", "template1", "closed", NULL});
    struct postgres_options o = {.socket = "/run/pg/.s.PGSQL.5433", .user = "erp", .database = "shop", .password = "x"};
    struct taken t = {0};
    struct err err = {0};
    if (take(&t, &o, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(t.count, 4);
    assert_string_equal(buf_cstr(&t.words), "");
    taken_release(&t);
    char *calls = file_text("calls");
    assert_says(calls, "dbname='shop' user='erp' host='/run/pg' port='5433'");
    free(calls);
}

static void test_postgres__local_server_is_settled_once_asked(void **state)
{
    (void)state;
    struct postgres_options o = {.user = "erp", .password = "x"};
    struct taken t = {0};
    struct err err = {0};
    if (take(&t, &o, &err) != 0)
        fail_msg("%s", err.message);
    taken_release(&t);
    char *calls = file_text("calls");
    assert_says(calls, "dbname='postgres' user='erp'\n");
    assert_says(calls, "dbname='shop' user='erp' host='/run/pg' port='5433'\n");
    free(calls);
}

static void test_postgres__less_than_a_superuser_gets_roles_without_passwords(void **state)
{
    (void)state;
    write_server(false, (const char *const[]){"shop", NULL});
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, &URL, &err), 0);
    assert_says(buf_cstr(&t.words), "globals.sql: roles are stored without their passwords");
    taken_release(&t);
    char *calls = file_text("calls");
    assert_says(calls, "--no-role-passwords");
    free(calls);
}

static void test_postgres__newer_dump_is_shown_to_pg_restore(void **state)
{
    (void)state;
    write_dump(17);
    for (size_t step = 3; step < 20; step += 10) {
        struct taken t = {.step = step};
        struct err err = {0};
        assert_int_equal(take(&t, &URL, &err), 0);
        assert_says(text_of(&t, "shop.dump"), "PGDMP");
        assert_says(buf_cstr(&t.words), "shop.dump: its format (1.17) is newer than this program knows");
        char *seen = place_path(&place, "seen"), *dump = place_path(&place, "dump");
        struct buf a, b;
        buf_init(&a, 1 << 20);
        buf_init(&b, 1 << 20);
        assert_int_equal(os_read_file(seen, &a, NULL), 0);
        assert_int_equal(os_read_file(dump, &b, NULL), 0);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        buf_release(&a);
        buf_release(&b);
        free(seen);
        free(dump);
        taken_release(&t);
    }
    place_file(&place, "restore-status", "1\n");
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, &URL, &err), 0);
    assert_says(t.errors[index_of(&t, "shop.dump")].message, "pg_restore cannot read the dump's table of contents");
    taken_release(&t);
}

static void test_postgres__tables_that_a_dump_leaves_out_are_told(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        char *counts = mem_printf("%s{\"schema\":\"x\",\"name\":\"left out\",\"rows\":1}\n", COUNTS);
        place_file(&place, "counts", counts);
        free(counts);
        struct taken t = {.backwards = i == 1};
        struct err err = {0};
        assert_int_equal(take(&t, &URL, &err), 0);
        assert_says(buf_cstr(&t.words),
                    "shop.dump: 1 of the tables that have rows are not in the dump, x.left out first");
        assert_says(text_of(&t, "shop.dump"), "PGDMP");
        taken_release(&t);
    }
}

/* --------------------------------------------------------------------------------------------------- a dump that is
 * bad */

static struct err failure_of(const char *name, bool backwards)
{
    struct taken t = {.backwards = backwards};
    struct err err = {0};
    if (take(&t, &URL, &err) != 0)
        fail_msg("%s", err.message);
    struct err found = t.errors[index_of(&t, name)];
    assert_int_not_equal(found.code, ERR_NONE);
    assert_int_not_equal(found.code, ERR_NOT_FOUND);
    assert_says(found.message, "the database 'shop' of the server at '127.0.0.1:1': ");
    taken_release(&t);
    return found;
}

static void test_postgres__failing_or_short_dump_is_no_dump(void **state)
{
    (void)state;
    place_file(&place, "dump-status", "1\n");
    place_file(&place, "dump-words",
               "pg_dump: error: Dumping the contents of table \"t\" failed: PQgetCopyData() failed.\n"
               "pg_dump: detail: Error message from server: server closed the connection\n");
    struct err err = failure_of("shop.dump", false);
    assert_int_equal(err.code, ERR_FAILED);
    assert_says(err.message, "PQgetCopyData() failed., Error message from server: server closed the connection");
    place_file(&place, "dump-status", "0\n");
    place_file(&place, "dump", "");
    assert_says(failure_of("shop.dump", false).message, "the dump is empty");
    place_file(&place, "dump", "PGDMP\001\016"); /* and no more */
    assert_int_equal(failure_of("shop.dump", false).code, ERR_CORRUPT);
    place_file(&place, "dump", "something else altogether");
    assert_says(failure_of("shop.dump", false).message, "does not begin as one of pg_dump's");
}

static void test_postgres__dump_must_have_the_rows_that_were_counted(void **state)
{
    (void)state;
    place_file(&place, "counts", "{\"schema\" : \"public\", \"name\" : \"a table\", \"rows\" : 4}\n");
    assert_says(failure_of("shop.dump", false).message, "has 3 rows of the table public.a table, which has 4");
    assert_says(failure_of("shop.counts.json", true).message, "has 3 rows of the table public.a table, which has 4");
}

static void test_postgres__counts_that_make_no_sense_are_an_error(void **state)
{
    (void)state;
    static const char *const answers[] = {"nonsense\n", "{\"schema\":1}\n", "{\"schema\":\"a\",\"name\":\"b\"}\n",
                                          "{\"schema\":\"a\",\"name\":\"b\",\"rows\":-1}\n"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        place_file(&place, "counts", answers[i]);
        assert_says(failure_of("shop.counts.json", false).message, "a count that makes no sense");
    }
    char *large = mem_alloc(70002);
    memset(large, 'x', 70000);
    memcpy(large + 70000, "\n", 2);
    place_file(&place, "counts", large);
    free(large);
    assert_says(failure_of("shop.counts.json", false).message, "a line that is too long");
    assert_int_equal(unlinkat(place.fd, "counts", 0), 0);
    assert_says(failure_of("shop.counts.json", false).message, "cannot count the rows of");
}

static void test_postgres__snapshot_must_have_a_name(void **state)
{
    (void)state;
    static const char *const answers[] = {"", "\n", "x y\n", "--snapshot=1\n"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        place_file(&place, "snapshot", answers[i]);
        assert_says(failure_of("shop.dump", true).message, "psql does not name a snapshot");
    }
    write_tool("psql", "#!/bin/sh\nhere=$(dirname \"$0\")\nread -r line\ncase $line in\nSET*) exit 0 ;;\n"
                       "*pg_extension*) printf 'plpgsql 1.0\\0' ;;\n*) cat \"$here/server\" ;;\nesac\n");
    assert_says(failure_of("shop.dump", true).message, "psql ended without an answer");
}

static void test_postgres__globals_that_stop_short_are_an_error(void **state)
{
    (void)state;
    place_file(&place, "globals", "CREATE ROLE x;\n");
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, &URL, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_says(err.message,
                "cannot dump roles and tablespaces of the server at '127.0.0.1:1': what pg_dumpall wrote stops");
    assert_int_equal(t.count, 0);
    taken_release(&t);
}

/* ----------------------------------------------------------------------------------------------- a server that is not
 */

static struct err refusal(const struct postgres_options *o)
{
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, o, &err), -1);
    assert_int_equal(t.count, 0);
    taken_release(&t);
    return err;
}

static void test_postgres__server_that_is_down_is_not_found(void **state)
{
    (void)state;
    place_file(&place, "down-for", "dbname");
    place_file(&place, "down",
               "psql: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n");
    struct err err = refusal(&URL);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_says(err.message, "cannot ask the server at '127.0.0.1:1': connection to server");
    place_file(&place, "down", "psql: error: FATAL:  password authentication failed for user \"erp\"\n");
    assert_int_equal(refusal(&URL).code, ERR_PERMISSION);
}

static void test_postgres__without_a_database_postgres_another_is_asked(void **state)
{
    (void)state;
    place_file(&place, "down-for", "1:1/postgres");
    place_file(&place, "down", "psql: error: FATAL:  database \"postgres\" does not exist\n");
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, &URL, &err), 0);
    taken_release(&t);
    place_file(&place, "down-for", "dbname");
    err = refusal(&URL);
    assert_says(err.message, "database \"postgres\" does not exist");
}

static void test_postgres__database_that_lets_nobody_in_is_named(void **state)
{
    (void)state;
    place_file(&place, "down-for", "1:1/shop");
    place_file(&place, "down", "psql: error: FATAL:  permission denied for database \"shop\"\n");
    struct err err = refusal(&URL);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_says(err.message, "cannot enter the database 'shop' of the server at '127.0.0.1:1': permission denied");
}

static void test_postgres__nothing_to_dump_is_an_error(void **state)
{
    (void)state;
    write_server(true, (const char *const[]){"template0", NULL});
    assert_says(refusal(&URL).message, "has no database that could be dumped");
}

static void test_postgres__nonsense_from_psql_is_an_error(void **state)
{
    (void)state;
    place_file(&place, "server", "hello\n");
    assert_says(refusal(&URL).message, "psql does not say what the server at '127.0.0.1:1' is");
}

static void test_postgres__missing_tools_are_named(void **state)
{
    (void)state;
    setenv("PATH", "/nonexistent", 1);
    struct err err = refusal(&URL);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_says(err.message, "there is no program 'psql': install postgresql-client");
}

static void test_postgres__tools_older_than_the_server_are_refused(void **state)
{
    (void)state;
    struct pg_client c;
    struct err err = {0};
    assert_int_equal(pg_client_open(&c, &URL, &err), 0);
    assert_int_equal(pg_client_choose_tools(&c, 150003, &err), 0);
    assert_null(c.bin_dir);
    assert_int_equal(pg_client_choose_tools(&c, 990000, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_says(err.message, "older than the server at '127.0.0.1:1' (99): install postgresql-client-99 or newer");
    place_file(&place, "version", "what?\n");
    assert_int_equal(pg_client_choose_tools(&c, 990000, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    pg_client_release(&c);
}

static void test_postgres__contradictions_are_found_at_once(void **state)
{
    (void)state;
    struct source *s;
    struct err err = {0};
    struct postgres_options o = {.url = "postgresql://h", .container = "c"};
    assert_int_equal(postgres_source_new(&s, &o, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_null(s);
}

static void test_postgres__databases_are_listed(void **state)
{
    (void)state;
    struct postgres_databases d;
    struct err err = {0};
    assert_int_equal(postgres_list_databases(&d, &URL, &err), 0);
    assert_string_equal(d.server_version, "15.18 (Debian)");
    assert_int_equal(d.count, 2);
    assert_string_equal(d.items[0].name, "shop");
    assert_int_equal(d.items[0].size_bytes, 8000);
    assert_false(d.items[0].skipped);
    assert_true(d.items[1].skipped);
    postgres_databases_release(&d);
    struct postgres_options o = {.url = "postgresql://h/template0"};
    assert_int_equal(postgres_list_databases(&d, &o, &err), 0);
    assert_int_equal(d.count, 1);
    assert_false(d.items[0].skipped);
    postgres_databases_release(&d);
    place_file(&place, "down-for", "dbname");
    place_file(&place, "down", "Connection refused\n");
    assert_int_equal(postgres_list_databases(&d, &URL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* ----------------------------------------------------------------------------------------------------- in a container
 */

/* The stand-in for an engine: what is "there" is here. */
static const char DOCKER[] =
    "#!/bin/sh\n"
    "here=$(dirname \"$0\")\n"
    "[ \"$1\" != container ] || { cat \"$here/inspect\"; exit 0; }\n"
    "while [ \"$1\" != 77 ]; do case $1 in -e) shift; case $1 in *=*) export \"$1\" ;; esac ;; esac; shift; done\n"
    "shift\n"
    "export POSTGRES_PASSWORD=own\n"
    "exec \"$@\"\n";

static void use_container(const char *env)
{
    write_tool("docker", DOCKER);
    char *text = mem_printf("[{\"Id\":\"77\",\"Name\":\"/erp\",\"Config\":{\"Env\":[%s]},"
                            "\"State\":{\"Status\":\"running\",\"Running\":true}}]",
                            env);
    place_file(&place, "inspect", text);
    free(text);
}

static void test_postgres__container_lends_its_own_user_and_password(void **state)
{
    (void)state;
    use_container("\"POSTGRES_USER=erp_user\",\"POSTGRES_PASSWORD=own\"");
    struct postgres_options o = {.container = "erp"};
    struct taken t = {0};
    struct err err = {0};
    if (take(&t, &o, &err) != 0)
        fail_msg("%s", err.message);
    assert_says(text_of(&t, "shop.dump"), "PGDMP");
    taken_release(&t);
    char *calls = file_text("calls");
    assert_says(calls, "user='erp_user'\n");
    assert_says(calls, "PGPASSWORD=own\n");
    free(calls);
}

static void test_postgres__container_gives_its_password_to_nobody_else(void **state)
{
    (void)state;
    use_container("\"POSTGRES_USER=erp_user\"");
    struct postgres_options o = {.container = "erp", .user = "reader"};
    struct taken t = {0};
    struct err err = {0};
    assert_int_equal(take(&t, &o, &err), 0);
    taken_release(&t);
    char *calls = file_text("calls");
    assert_null(strstr(calls, "PGPASSWORD=own"));
    free(calls);
}

static void test_postgres__container_without_tools_or_with_old_ones(void **state)
{
    (void)state;
    use_container("");
    struct postgres_options o = {.container = "erp", .user = "reader"}, own = {.container = "erp"};
    place_file(&place, "version", "pg_dump (PostgreSQL) 13.1\n");
    struct err err = refusal(&o);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_says(err.message, "pg_dump in the container 'erp' is of version 13, older than its server (15): give a URL");
    char *tools = place_path(&place, "tools");
    place_dir(&place, "tools");
    static const char *const needed[] = {"sh", "cat", "dirname"};
    for (size_t i = 0; i < 3; i++) {
        char *from = mem_printf("/usr/bin/%s", needed[i]), *to = mem_printf("%s/%s", tools, needed[i]);
        assert_int_equal(symlink(from, to), 0);
        free(from);
        free(to);
    }
    assert_int_equal(unlinkat(place.fd, "psql", 0), 0);
    char *path = mem_printf("%s:%s", place.root, tools);
    setenv("PATH", path, 1);
    err = refusal(&o);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_says(err.message, "the container 'erp' has no program 'psql': give a URL");
    err = refusal(&own);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_says(err.message, "no such program: 'psql' (give a URL");
    free(path);
    free(tools);
}

static void test_postgres__container_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    write_tool("docker", "#!/bin/sh\necho 'Error: No such container: erp' >&2; exit 1\n");
    write_tool("podman", "#!/bin/sh\necho 'Error: no such container erp' >&2; exit 125\n");
    struct postgres_options o = {.container = "erp"};
    struct err err = refusal(&o);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_says(err.message, "there is no container 'erp'");
}

/* ------------------------------------------------------------------------------------------------------------- rights
 */

/* What a user that is no superuser, unless `superuser`, is denied when psql answers with these values. */
static struct err denied_with(bool superuser, bool check_rights, const char *const *values)
{
    struct postgres_databases found;
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1 << 16);
    add_values(&b, values);
    place_bytes(&place, "denied", b.data, b.len);
    buf_release(&b);
    write_server(superuser, (const char *const[]){"shop", "template0", NULL});
    struct postgres_options options = URL;
    options.check_rights = check_rights;
    if (postgres_list_databases(&found, &options, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(found.count, 2);
    err = found.denied;
    postgres_databases_release(&found);
    return err;
}

static void test_postgres_rights__what_may_not_be_read_is_named(void **state)
{
    (void)state;
    static const char *const all[] = {"7", "schema a", "7", "table b.c", "7", "1 large object", NULL},
                             *const one[] = {"1", "sequence x.y", NULL}, *const none[] = {NULL};
    struct err err = denied_with(false, true, all);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_says(err.message, "user 'erp' may not read all that a dump of 'shop' takes: schema a, table b.c, 1 large "
                             "object and 4 more; give it");
    assert_says(denied_with(false, true, one).message, "takes: sequence x.y; give it");
    assert_int_equal(denied_with(false, true, none).code, ERR_NONE);
    /* A superuser may, and who does not want to know is not told. */
    assert_int_equal(denied_with(true, true, one).code, ERR_NONE);
    assert_int_equal(denied_with(false, false, one).code, ERR_NONE);
    place_file(&place, "down-for", "1:1/shop");
    place_file(&place, "down", "psql: error: FATAL:  permission denied for database \"shop\"\n");
    assert_says(denied_with(false, true, none).message, "cannot look at the database 'shop' of the server at");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_postgres__a_server_becomes_four_files),
        TEST(test_postgres__password_is_in_no_argument),
        TEST(test_postgres__nothing_opened_starts_nothing),
        TEST(test_postgres__odd_names_get_files_of_their_own),
        TEST(test_postgres__one_database_alone),
        TEST(test_postgres__local_server_is_settled_once_asked),
        TEST(test_postgres__less_than_a_superuser_gets_roles_without_passwords),
        TEST(test_postgres__newer_dump_is_shown_to_pg_restore),
        TEST(test_postgres__tables_that_a_dump_leaves_out_are_told),
        TEST(test_postgres__failing_or_short_dump_is_no_dump),
        TEST(test_postgres__dump_must_have_the_rows_that_were_counted),
        TEST(test_postgres__counts_that_make_no_sense_are_an_error),
        TEST(test_postgres__snapshot_must_have_a_name),
        TEST(test_postgres__globals_that_stop_short_are_an_error),
        TEST(test_postgres__server_that_is_down_is_not_found),
        TEST(test_postgres__without_a_database_postgres_another_is_asked),
        TEST(test_postgres__database_that_lets_nobody_in_is_named),
        TEST(test_postgres__nothing_to_dump_is_an_error),
        TEST(test_postgres__nonsense_from_psql_is_an_error),
        TEST(test_postgres__missing_tools_are_named),
        TEST(test_postgres__tools_older_than_the_server_are_refused),
        TEST(test_postgres__contradictions_are_found_at_once),
        TEST(test_postgres__databases_are_listed),
        TEST(test_postgres__container_lends_its_own_user_and_password),
        TEST(test_postgres__container_gives_its_password_to_nobody_else),
        TEST(test_postgres__container_without_tools_or_with_old_ones),
        TEST(test_postgres__container_that_is_not_there_is_not_found),
        TEST(test_postgres_rights__what_may_not_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
