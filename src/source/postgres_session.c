#include "source/postgres_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json_scan.h"
#include "base/mem.h"

enum { LINE_BYTES_MAX = 64 << 10, SNAPSHOT_BYTES_MAX = 200, LOCK_WAIT_MS = 60000 };

/* What ends the answer to a question. */
#define END_MARK "clawback-end"

struct pg_session {
    struct pg_tool *tool;
    int fd; /* psql's standard input; -1 once it is closed */
    struct buf line;
    char *snapshot;
};

/* Settings of the server or the user that would break off a long transaction are lifted for this one; one process is
 * enough for counting. Those that older servers don't have are set where they are known. */
static const char BEGIN[] =
    "SET statement_timeout = 0; SET lock_timeout = %u; SET row_security = off; SET "
    "max_parallel_workers_per_gather = 0;\n"
    "SELECT 1 FROM pg_catalog.pg_settings WHERE CASE WHEN name IN ('idle_in_transaction_session_timeout',\n"
    " 'transaction_timeout', 'idle_session_timeout') THEN pg_catalog.set_config(name, '0', false) IS NULL END;\n"
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n"
    "SELECT pg_catalog.pg_export_snapshot();\n"
    "\\echo " END_MARK "\n";

/* Writes a question for each table, and asks it. Left out is what pg_dump leaves out: what belongs to extensions, and
 * unlogged tables of a standby, which cannot be read. */
static const char COUNT[] =
    "SELECT pg_catalog.format('SELECT pg_catalog.json_build_object(''schema'', %L::text, ''name'', %L::text, ''rows'', "
    "pg_catalog.count(*)) FROM ONLY %I.%I', n.nspname, c.relname, n.nspname, c.relname)\n"
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n"
    "WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'\n"
    "AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())\n"
    "AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = "
    "'pg_catalog.pg_class'::pg_catalog.regclass\n"
    "  AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')\n"
    "ORDER BY n.nspname, c.relname\n"
    "\\gexec\n"
    "\\echo " END_MARK "\n";

unsigned pg_lock_wait_ms(uint64_t timeout_ms)
{
    return timeout_ms == 0 || timeout_ms / 2 > LOCK_WAIT_MS ? LOCK_WAIT_MS : (unsigned)(timeout_ms / 2);
}

/* A socket, not a pipe: psql may be gone when we write, and a socket can say so without a signal. */
static int start_psql(struct pg_session *s, const struct pg_client *c, const char *database, uint64_t timeout_ms,
                      struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(err, errno, "cannot start 'psql'");
    struct strlist args = {0};
    pg_psql_arguments(&args);
    struct pg_tool_options options = {.name = "psql",
                                      .args = &args,
                                      .database = database,
                                      .as_utf8 = true,
                                      .with_stdin = true,
                                      .stdin_fd = ends[0],
                                      .timeout_ms = timeout_ms};
    int rc = pg_tool_start(&s->tool, c, &options, err);
    close(ends[0]);
    s->fd = ends[1];
    strlist_release(&args);
    return rc;
}

/* What psql cannot take any more is found out when its answer is missing. */
static void say(struct pg_session *s, const char *text)
{
    for (size_t len = strlen(text); len > 0;) {
        ssize_t n = send(s->fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

/* The next line, without its end. psql is never ahead of us by more than a line that we want, so that reading byte by
 * byte is the way not to wait for more. -1 at the end, too: it is never meant to come. */
static int read_line(struct pg_session *s, struct err *err)
{
    char byte;
    int64_t n;
    buf_clear(&s->line);
    while ((n = pg_tool_read(s->tool, &byte, 1, err)) == 1) {
        if (byte == '\n')
            return s->line.overflow ? err_set(err, ERR_FAILED, "psql answers with a line that is too long") : 0;
        buf_append_byte(&s->line, (unsigned char)byte);
    }
    if (n == 0 && pg_tool_wait(s->tool, err) == 0)
        err_set(err, ERR_FAILED, "psql ended without an answer");
    return -1;
}

static bool is_end(struct pg_session *s)
{
    return strcmp(buf_cstr(&s->line), END_MARK) == 0;
}

static int take_snapshot(struct pg_session *s, struct err *err)
{
    for (;;) {
        if (read_line(s, err) != 0)
            return -1;
        if (is_end(s))
            break;
        free(s->snapshot);
        s->snapshot = mem_strdup(buf_cstr(&s->line));
    }
    size_t len = s->snapshot != NULL ? strlen(s->snapshot) : 0;
    if (len == 0 || len > SNAPSHOT_BYTES_MAX || strspn(s->snapshot, "0123456789ABCDEFabcdef-") != len)
        return err_set(err, ERR_FAILED, "psql does not name a snapshot");
    return 0;
}

int pg_session_open(struct pg_session **out, const struct pg_client *c, const char *database, uint64_t timeout_ms,
                    struct err *err)
{
    struct pg_session *s = mem_zalloc(sizeof *s);
    s->fd = -1;
    buf_init(&s->line, LINE_BYTES_MAX);
    int rc = start_psql(s, c, database, timeout_ms, err);
    if (rc == 0) {
        char *begin = mem_printf(BEGIN, pg_lock_wait_ms(timeout_ms));
        say(s, begin);
        free(begin);
        rc = take_snapshot(s, err);
    }
    if (rc != 0) {
        pg_session_free(s);
        s = NULL;
    }
    *out = s;
    return rc;
}

const char *pg_session_snapshot(const struct pg_session *s)
{
    return s->snapshot;
}

/* {"schema" : "public", "name" : "x", "rows" : 12} */
static int take_count(struct pg_session *s, struct pg_rows *rows, struct err *err)
{
    struct json_scan scan;
    struct json_slice key, value;
    struct buf schema, name;
    uint64_t count = 0;
    unsigned seen = 0;
    buf_init(&schema, LINE_BYTES_MAX);
    buf_init(&name, LINE_BYTES_MAX);
    json_scan_init(&scan, s->line.data, s->line.len);
    json_object_begin(&scan);
    while (json_object_next(&scan, &key)) {
        if (json_key_is(&key, "rows")) {
            count = json_u64(&scan);
            seen |= 1;
        } else if (json_scan_string(&scan, &value)) {
            bool is_schema = json_key_is(&key, "schema");
            seen |= json_unescape(&value, is_schema ? &schema : &name) ? is_schema ? 2U : 4U : 0U;
        }
    }
    int rc = json_scan_failed(&scan) || seen != 7
                 ? err_set(err, ERR_FAILED, "psql answers with a count that makes no sense")
                 : pg_rows_add(rows, buf_cstr(&schema), buf_cstr(&name), count, err);
    buf_release(&schema);
    buf_release(&name);
    return rc;
}

int pg_session_count(struct pg_session *s, struct pg_rows *out, struct err *err)
{
    say(s, COUNT);
    for (;;) {
        if (read_line(s, err) != 0)
            return -1;
        if (is_end(s))
            break;
        if (take_count(s, out, err) != 0)
            return -1;
    }
    pg_rows_sort(out);
    return 0;
}

void pg_session_free(struct pg_session *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    pg_tool_free(s->tool);
    buf_release(&s->line);
    free(s->snapshot);
    free(s);
}
