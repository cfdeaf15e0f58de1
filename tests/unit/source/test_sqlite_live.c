/*
 * Copies of databases that other processes are writing to. Every copy that is accepted must be sound and hold a
 * committed state, no older than what was committed when the copy was begun; writers must get on meanwhile.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "source/sqlite_image.h"
#include "store/scratch.h"

enum { MAX_ATTEMPTS = 30 }; /* where nobody holds the database open for long, luck is needed */

/* Shared with the writer. */
struct progress {
    volatile long long committed; /* the number of the last committed transaction */
    volatile long long begun;
    volatile bool stop;
};

struct scenario {
    const char *journal_mode;
    const char *pragmas;     /* more of them */
    unsigned filler_mib;     /* how big the database is before it starts */
    unsigned truncate_every; /* WAL checkpoint (TRUNCATE) every so many transactions; 0: never */
    unsigned vacuum_every;
    bool insisting_succeeds; /* the second attempt, at the latest, is accepted */
    unsigned reopen_every;   /* closes the database (the last one to do so checkpoints and deletes the WAL) */
    unsigned rest_us;        /* pause after each transaction */
    unsigned copies;
    unsigned step;     /* bytes a read */
    unsigned pause_us; /* after each read */
};

static void make_database(const char *path, const struct scenario *s)
{
    sqlite3 *db = sql_open(path);
    char sql[512];
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; PRAGMA synchronous=OFF; %s", s->journal_mode, s->pragmas);
    sql_ok(db, sql);
    sql_ok(db, "CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v);"
               "CREATE TABLE log(id INTEGER PRIMARY KEY, body BLOB); CREATE INDEX log_body ON log(substr(body,1,20));"
               "CREATE TABLE state(n, log_rows); INSERT INTO state VALUES(0,0); CREATE TABLE filler(body BLOB);"
               "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<500)"
               "INSERT INTO a SELECT i, 100 FROM c; INSERT INTO b SELECT id, -100 FROM a;");
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<%u)"
             "INSERT INTO filler SELECT randomblob(10240) FROM c WHERE %u>0",
             s->filler_mib * 100, s->filler_mib);
    sql_ok(db, sql);
    sqlite3_close(db);
}

/* One transaction: money moves between the tables, rows come and go in the log, and the counts are noted. */
static void transact(sqlite3 *db, unsigned n, bool commit)
{
    char sql[1024];
    unsigned rows = n % 17 == 0 ? 150 : 3;
    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE; UPDATE a SET v=v-%u WHERE id=%u; UPDATE b SET v=v+%u WHERE id=%u;"
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<%u)"
             "INSERT INTO log(body) SELECT randomblob(2000) FROM c;"
             "DELETE FROM log WHERE id < (SELECT max(id) FROM log) - %u;"
             "UPDATE filler SET body=randomblob(10240) WHERE rowid=abs(random())%%1000;"
             "UPDATE state SET n=n+1, log_rows=(SELECT count(*) FROM log);",
             n, n % 500 + 1, n, n * 7 % 500 + 1, rows, n % 90 == 0 ? 0 : 250);
    sql_ok(db, sql);
    sql_ok(db, commit ? "COMMIT" : "ROLLBACK");
}

static void write_on(const char *path, const struct scenario *s, struct progress *p)
{
    sqlite3 *db = NULL;
    char pragmas[512];
    /* Not waiting for the disk makes more transactions; one scenario asks for it. */
    snprintf(pragmas, sizeof pragmas, "PRAGMA journal_mode=%s; PRAGMA cache_size=20; PRAGMA synchronous=OFF; %s",
             s->journal_mode, s->pragmas);
    for (unsigned n = 1; !p->stop; n++) {
        if (db == NULL) {
            db = sql_open(path);
            sql_ok(db, pragmas);
        }
        bool commit = n % 11 != 5;
        p->begun += commit;
        transact(db, n, commit);
        p->committed += commit;
        if (s->truncate_every > 0 && n % s->truncate_every == 0)
            sql_ok(db, "PRAGMA wal_checkpoint(TRUNCATE)");
        if (s->vacuum_every > 0 && n % s->vacuum_every == 0)
            sql_ok(db, "VACUUM");
        if (s->reopen_every > 0 && n % s->reopen_every == 0) {
            sqlite3_close(db);
            db = NULL;
        }
        if (s->rest_us > 0)
            usleep(s->rest_us);
    }
    sqlite3_close(db);
}

static pid_t start_writer(const char *path, const struct scenario *s, struct progress *p)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test does not stop it */
        write_on(path, s, p);
        _exit(0);
    }
    return pid;
}

/* As the files source does it: after a copy that may be torn comes one that insists. */
static unsigned copy_until_accepted(const char *path, const struct scenario *s, struct image *out)
{
    for (unsigned attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        struct sqlite_capture *c;
        struct err err = {0};
        int rc = attempt == 1 ? sqlite_capture_open(&c, path, 20000, &err)
                              : sqlite_capture_open_insisting(&c, path, 20000, &err);
        if (rc != 0)
            fail_msg("%s", err.message);
        if (image_read(c, s->step, s->pause_us, out, &err) == 0)
            return attempt;
        assert_int_equal(err.code, ERR_CHANGED);
    }
    fail_msg("no copy was accepted");
    return 0;
}

static void check_image(struct image *image, long long at_least, long long at_most)
{
    sqlite3 *db = image_open(image);
    assert_true(image_is_sound(db));
    assert_int_equal(sql_number(db, "SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b)"), 0);
    assert_int_equal(sql_number(db, "SELECT log_rows - (SELECT count(*) FROM log) FROM state"), 0);
    long long n = sql_number(db, "SELECT n FROM state");
    assert_true(n >= at_least);
    assert_true(n <= at_most);
    sqlite3_close(db);
}

static void run(const struct scenario *s)
{
    char *dir = scratch_make(), *path = os_path_join(dir, "live.db");
    struct progress *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    make_database(path, s);
    pid_t writer = start_writer(path, s, p);
    while (p->committed < 5)
        usleep(1000);
    unsigned attempts[4] = {0};
    long long before = p->committed;
    for (unsigned i = 0; i < s->copies; i++) {
        struct image image;
        long long at_least = p->committed;
        unsigned needed = copy_until_accepted(path, s, &image);
        attempts[needed < 3 ? needed : 3]++;
        check_image(&image, at_least, p->begun);
        usleep(i % 7 * 1000);
    }
    long long written = p->committed - before;
    p->stop = true;
    int status;
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    print_message("# %s: %u copies beside %lld transactions; accepted at attempt 1: %u, 2: %u, later: %u\n",
                  s->journal_mode, s->copies, written, attempts[1], attempts[2], attempts[3]);
    assert_true(written >= s->copies / 2);
    if (s->insisting_succeeds)
        assert_int_equal(attempts[1] + attempts[2], s->copies);
    sqlite3 *db = sql_open(path);
    assert_true(image_is_sound(db));
    sqlite3_close(db);
    munmap(p, sizeof *p);
    free(path);
    scratch_remove(dir);
}

static void test_sqlite_live__wal_small(void **state)
{
    (void)state;
    run(&(struct scenario){
        .journal_mode = "WAL", .pragmas = "PRAGMA wal_autocheckpoint=20", .copies = 60, .step = 1 << 20});
}

static void test_sqlite_live__wal_small_with_truncating_checkpoints(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "WAL",
                           .pragmas = "PRAGMA wal_autocheckpoint=7",
                           .truncate_every = 9,
                           .vacuum_every = 40,
                           .copies = 60,
                           .step = 1 << 20});
}

static void test_sqlite_live__wal_small_opened_and_closed(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "WAL", .pragmas = "", .reopen_every = 3, .copies = 60, .step = 1 << 20});
}

static void test_sqlite_live__wal_big(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "WAL",
                           .pragmas = "PRAGMA wal_autocheckpoint=50",
                           .insisting_succeeds = true,
                           .filler_mib = 9,
                           .rest_us = 200,
                           .copies = 15,
                           .step = 65536,
                           .pause_us = 300});
}

static void test_sqlite_live__wal_big_with_rare_checkpoints(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "WAL",
                           .pragmas = "PRAGMA wal_autocheckpoint=5000",
                           .insisting_succeeds = true,
                           .filler_mib = 9,
                           .copies = 15,
                           .step = 100001,
                           .pause_us = 100});
}

static void test_sqlite_live__wal_big_with_truncating_checkpoints(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "WAL",
                           .pragmas = "PRAGMA wal_autocheckpoint=10",
                           .insisting_succeeds = true,
                           .filler_mib = 9,
                           .truncate_every = 5,
                           .vacuum_every = 300,
                           .rest_us = 500,
                           .copies = 15,
                           .step = 16384,
                           .pause_us = 30});
}

static void test_sqlite_live__wal_big_opened_and_closed(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "WAL",
                           .pragmas = "PRAGMA wal_autocheckpoint=30",
                           .filler_mib = 9,
                           .reopen_every = 4,
                           .rest_us = 1000,
                           .copies = 15,
                           .step = 65536,
                           .pause_us = 50});
}

static void test_sqlite_live__delete_small(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "DELETE", .pragmas = "", .copies = 40, .step = 1 << 20, .rest_us = 500});
}

static void test_sqlite_live__truncate_small(void **state)
{
    (void)state;
    run(&(struct scenario){
        .journal_mode = "TRUNCATE", .pragmas = "", .copies = 60, .step = 1 << 20, .vacuum_every = 30});
}

static void test_sqlite_live__persist_small(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "PERSIST", .pragmas = "", .copies = 60, .step = 1 << 20});
}

static void test_sqlite_live__delete_big(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "DELETE",
                           .pragmas = "PRAGMA synchronous=OFF",
                           .insisting_succeeds = true,
                           .filler_mib = 9,
                           .rest_us = 2000,
                           .copies = 12,
                           .step = 65536,
                           .pause_us = 100});
}

static void test_sqlite_live__persist_big_with_long_pauses(void **state)
{
    (void)state;
    run(&(struct scenario){.journal_mode = "PERSIST",
                           .pragmas = "",
                           .insisting_succeeds = true,
                           .filler_mib = 9,
                           .rest_us = 60000,
                           .copies = 8,
                           .step = 262144,
                           .pause_us = 500});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite_live__wal_small),
        cmocka_unit_test(test_sqlite_live__wal_small_with_truncating_checkpoints),
        cmocka_unit_test(test_sqlite_live__wal_small_opened_and_closed),
        cmocka_unit_test(test_sqlite_live__wal_big),
        cmocka_unit_test(test_sqlite_live__wal_big_with_rare_checkpoints),
        cmocka_unit_test(test_sqlite_live__wal_big_with_truncating_checkpoints),
        cmocka_unit_test(test_sqlite_live__wal_big_opened_and_closed),
        cmocka_unit_test(test_sqlite_live__delete_small),
        cmocka_unit_test(test_sqlite_live__truncate_small),
        cmocka_unit_test(test_sqlite_live__persist_small),
        cmocka_unit_test(test_sqlite_live__delete_big),
        cmocka_unit_test(test_sqlite_live__persist_big_with_long_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
