/* The database that is lost, damaged, of another version, written by several, and killed while it is written. */
#include "state_box.h"
#include <sys/wait.h>
#include "monitor/alerts.h"
#include "monitor/record_internal.h"

enum { RUNS = 60 };

static void some_runs(int from, int count)
{
    char id[20];
    for (int i = from; i < from + count; i++) {
        snprintf(id, sizeof id, "%016x", i);
        box_run(i % 2 == 0 ? "config" : "git", id, START_MS + i * 20000LL, 1000 + (uint64_t)i);
    }
}

static struct finding_list one_finding(enum alert_level level)
{
    struct finding_list l = {0};
    finding_add(&l, "late", "config", level, "config is late");
    return l;
}

static void set_alert(struct state *s, enum alert_level level)
{
    struct finding_list l = one_finding(level);
    struct err err = {0};
    if (alerts_update(s, &l, &(struct plan_alerts){0}, START_MS, NULL, NULL, &err) != 0)
        fail_msg("%s", err.message);
    finding_list_release(&l);
}

/* Everything that state_runs() gives back, as text. */
static void dump_runs(struct state *s, struct buf *out)
{
    struct record_list l = box_runs(s, &(struct run_query){.max = 100000});
    buf_init(out, 64 << 20);
    for (size_t i = 0; i < l.count; i++)
        record_encode(&l.items[i], out);
    record_list_release(&l);
    buf_cstr(out);
}

static bool is_sound(struct state *s)
{
    struct err err = {0};
    sqlite3_stmt *q = state_query(s, &err, "PRAGMA integrity_check", "");
    bool sound = q != NULL && state_step(s, q, &err) == 1 && strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
    sqlite3_finalize(q);
    return sound;
}

/* A database with runs and an open alert, closed again. Its content as text. */
static void make_one(struct buf *content)
{
    struct state *s = box_open();
    some_runs(0, RUNS);
    box_follow(s);
    set_alert(s, ALERT_CRITICAL);
    dump_runs(s, content);
    state_close(s);
}

static void read_database(struct buf *out)
{
    char *path = box_path("state.sqlite");
    buf_init(out, 64 << 20);
    assert_int_equal(os_read_file(path, out, NULL), 0);
    free(path);
}

/* After whatever was done to the file: all that can be known again is. */
static void check_rebuilt(const struct buf *content)
{
    struct state *s = box_open();
    struct buf now;
    struct err err = {0};
    box_follow(s);
    dump_runs(s, &now);
    assert_string_equal((const char *)now.data, (const char *)content->data);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
    assert_int_equal(state_note_set(s, "still", "works", &err), 0);
    assert_true(is_sound(s));
    buf_release(&now);
    state_close(s);
    s = box_open();
    assert_int_equal(box_count(s), RUNS);
    state_close(s);
}

static void test_state_damage__lost_is_rebuilt_as_it_was(void **state)
{
    (void)state;
    struct buf content;
    make_one(&content);
    char *path = box_path("state.sqlite");
    assert_int_equal(unlink(path), 0);
    free(path);
    check_rebuilt(&content);
    assert_false(scratch_has(scratch_dir, "state.sqlite.damaged"));
    buf_release(&content);
}

static void test_state_damage__an_empty_file_is_filled(void **state)
{
    (void)state;
    struct buf content;
    make_one(&content);
    scratch_write(scratch_dir, "state.sqlite", "", 0);
    check_rebuilt(&content);
    buf_release(&content);
}

static void test_state_damage__garbage_is_kept_aside_and_replaced(void **state)
{
    (void)state;
    struct buf content, aside;
    static const char garbage[] = "this is no database, and has never been one: it is a letter to nobody, longer than "
                                  "a header of a hundred bytes";
    make_one(&content);
    scratch_write(scratch_dir, "state.sqlite", garbage, sizeof garbage);
    check_rebuilt(&content);
    char *path = box_path("state.sqlite.damaged");
    buf_init(&aside, 1 << 20);
    assert_int_equal(os_read_file(path, &aside, NULL), 0);
    assert_string_equal(buf_cstr(&aside), garbage);
    assert_int_equal(scratch_mode(scratch_dir, "state.sqlite.damaged"), 0600);
    buf_release(&aside);
    free(path);
    buf_release(&content);
}

static void test_state_damage__zeros_are_replaced(void **state)
{
    (void)state;
    struct buf content, file;
    make_one(&content);
    read_database(&file);
    memset(file.data, 0, file.len);
    scratch_write(scratch_dir, "state.sqlite", file.data, file.len);
    check_rebuilt(&content);
    buf_release(&file);
    buf_release(&content);
}

static void test_state_damage__a_directory_in_its_place_is_moved_away(void **state)
{
    (void)state;
    struct buf content;
    make_one(&content);
    char *path = box_path("state.sqlite");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
    check_rebuilt(&content);
    assert_true(scratch_has(scratch_dir, "state.sqlite.damaged"));
    buf_release(&content);
}

static void test_state_damage__truncated_anywhere_it_is_rebuilt(void **state)
{
    (void)state;
    struct buf content, file;
    make_one(&content);
    read_database(&file);
    srand(4);
    for (int i = 0; i < 25; i++) {
        /* Of its last page alone SQLite takes the missing end for zeros. */
        scratch_write(scratch_dir, "state.sqlite", file.data, (size_t)rand() % (file.len - 4096));
        check_rebuilt(&content);
    }
    buf_release(&file);
    buf_release(&content);
}

/* What is flipped in a text nobody can notice; but whatever is, everything goes on working, and is sound in the end. */
static void test_state_damage__flipped_bytes_never_stop_it(void **state)
{
    (void)state;
    struct buf content, file;
    make_one(&content);
    read_database(&file);
    srand(5);
    for (int i = 0; i < 60; i++) {
        unsigned char *copy = mem_copy(file.data, file.len);
        int flips = i < 30 ? 3 : 300;
        for (int k = 0; k < flips; k++)
            copy[(size_t)rand() % file.len] = (unsigned char)rand();
        scratch_write(scratch_dir, "state.sqlite", copy, file.len);
        free(copy);
        struct state *s = box_open();
        struct err err = {0};
        struct alert_list open;
        box_follow(s);
        box_count(s);
        assert_int_equal(alerts_open(s, &open, &err), 0);
        alert_list_release(&open);
        set_alert(s, ALERT_WARNING);
        assert_int_equal(state_note_set(s, "still", "works", &err), 0);
        state_close(s);
    }
    buf_release(&file);
    buf_release(&content);
}

/* Every page but the first, which holds the schema: noticed only when it is used. */
static void test_state_damage__shows_while_it_is_open_and_is_repaired(void **state)
{
    (void)state;
    struct buf content, file, now;
    make_one(&content);
    read_database(&file);
    memset(file.data + 4096, 0xee, file.len - 4096);
    scratch_write(scratch_dir, "state.sqlite", file.data, file.len);
    struct state *s = box_open();
    box_follow(s);
    dump_runs(s, &now);
    assert_string_equal((const char *)now.data, (const char *)content.data);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
    assert_true(is_sound(s));
    state_close(s);
    buf_release(&now);
    buf_release(&file);
    buf_release(&content);
}

/* One process repairs it while another has it open, and both go on. */
static void test_state_damage__others_that_have_it_open_go_on(void **state)
{
    (void)state;
    struct buf content;
    struct err err = {0};
    make_one(&content);
    struct state *other = box_open(), *s = box_open();
    char *value = NULL;
    assert_int_equal(state_note_set(other, "before", "x", &err), 0);
    assert_int_equal(box_count(other), RUNS);
    assert_int_equal(state_begin(s, &err), 0);
    assert_int_equal(state_run(s, &err, "DROP TABLE notes", ""), 0);
    assert_int_equal(state_commit(s, &err), 0);
    assert_int_equal(state_note_set(s, "after", "y", &err), 0);
    assert_int_equal(state_note_set(other, "other", "z", &err), 0);
    assert_int_equal(state_note_get(s, "other", &value, &err), 0);
    assert_string_equal(value, "z");
    free(value);
    assert_int_equal(state_note_get(other, "after", &value, &err), 0);
    assert_string_equal(value, "y");
    free(value);
    box_follow(other);
    assert_int_equal(box_count(s), RUNS);
    state_close(s);
    state_close(other);
    check_rebuilt(&content);
    buf_release(&content);
}

static void drop(struct state *s, const char *table)
{
    char sql[64];
    struct err err = {0};
    snprintf(sql, sizeof sql, "DROP TABLE %s", table);
    assert_int_equal(state_run(s, &err, sql, ""), 0);
}

/* Whatever is the first to notice: it repairs, and answers. */
static void test_state_damage__each_question_repairs_what_it_finds(void **state)
{
    (void)state;
    struct buf content, now;
    struct err err = {0};
    struct alert_list open;
    struct state_point *points;
    size_t count;
    char *value;
    make_one(&content);
    struct state *s = box_open();
    drop(s, "runs");
    dump_runs(s, &now);
    assert_string_equal((const char *)now.data, (const char *)content.data);
    buf_release(&now);
    drop(s, "alerts");
    assert_int_equal(alerts_open(s, &open, &err), 0);
    assert_int_equal(open.count, 1);
    alert_list_release(&open);
    drop(s, "alerts");
    set_alert(s, ALERT_CRITICAL);
    assert_int_equal(alerts_open_level(s, "late", "config"), ALERT_CRITICAL);
    drop(s, "measurements");
    assert_int_equal(state_series(s, "x", 0, &points, &count, &err), 0);
    drop(s, "notes");
    assert_int_equal(state_note_get(s, "x", &value, &err), 0);
    drop(s, "silences");
    assert_int_equal(alerts_silence(s, "late", NULL, 1, &err), 0);
    drop(s, "run_sources");
    some_runs(RUNS, 1);
    box_follow(s);
    assert_int_equal(box_count(s), RUNS + 1);
    assert_int_equal(err.code, ERR_NONE);
    state_close(s);
    buf_release(&content);
}

/* Within a transaction nothing is exchanged under its feet. */
static void test_state_damage__a_transaction_fails_and_the_next_repairs(void **state)
{
    (void)state;
    struct buf content;
    struct err err = {0};
    make_one(&content);
    struct state *s = box_open();
    drop(s, "notes");
    assert_int_equal(state_begin(s, &err), 0);
    assert_int_equal(state_note_set(s, "x", "y", &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_false(state_mend(s, &err));
    state_rollback(s);
    err_clear(&err);
    assert_int_equal(state_begin(s, &err), 0);
    assert_int_equal(state_note_set(s, "x", "y", &err), 0);
    assert_int_equal(state_commit(s, &err), 0);
    state_close(s);
    check_rebuilt(&content);
    buf_release(&content);
}

static void test_state_damage__a_run_of_impossible_values_is_left_out(void **state)
{
    (void)state;
    struct buf content, now;
    struct err err = {0};
    make_one(&content);
    struct state *s = box_open();
    assert_int_equal(state_run(s, &err, "UPDATE runs SET status = 77, line = NULL", ""), 0);
    assert_int_equal(box_count(s), 0);
    assert_int_equal(state_run(s, &err, "UPDATE runs SET line = 'garbage', status = 1", ""), 0);
    dump_runs(s, &now);
    assert_non_null(strstr((const char *)now.data, "\"completed\""));
    buf_release(&now);
    state_close(s);
    buf_release(&content);
}

static void test_state_damage__of_a_newer_program_is_rebuilt(void **state)
{
    (void)state;
    struct buf content;
    struct err err = {0};
    make_one(&content);
    struct state *s = box_open();
    assert_int_equal(state_run(s, &err, "PRAGMA user_version = 7", ""), 0);
    state_close(s);
    check_rebuilt(&content);
    assert_true(scratch_has(scratch_dir, "state.sqlite.damaged"));
    buf_release(&content);
}

static void test_state_damage__a_table_that_lacks_a_column_is_rebuilt(void **state)
{
    (void)state;
    struct buf content;
    struct err err = {0};
    make_one(&content);
    struct state *s = box_open();
    assert_int_equal(state_run(s, &err, "ALTER TABLE outbox DROP COLUMN last_error", ""), 0);
    state_close(s);
    check_rebuilt(&content);
    buf_release(&content);
}

static void test_state_damage__a_damaged_journal_costs_nothing_that_is_known(void **state)
{
    (void)state;
    struct buf content;
    make_one(&content);
    scratch_write(scratch_dir, "state.sqlite-wal", "garbage that is no journal", 26);
    scratch_write(scratch_dir, "state.sqlite-shm", "garbage", 7);
    check_rebuilt(&content);
    buf_release(&content);
}

static void test_state_damage__a_damaged_alert_log_restores_what_is_left_of_it(void **state)
{
    (void)state;
    struct buf content, log;
    make_one(&content);
    char *path = box_path("alerts.jsonl");
    buf_init(&log, 1 << 20);
    buf_append_str(&log, "garbage\n{\"change\":\"opened\"}\n{\"change\":7,\"rule\":\"x\"}\n");
    assert_int_equal(os_read_file(path, &log, NULL), 0);
    buf_append_str(&log,
                   "{\"change\":\"opened\",\"rule\":\"slow\",\"subject\":\"git\",\"now\":99,\"level\":-4}\n{\"torn");
    scratch_write(scratch_dir, "alerts.jsonl", log.data, log.len);
    free(path);
    path = box_path("state.sqlite");
    unlink(path);
    free(path);
    check_rebuilt(&content);
    buf_release(&log);
    buf_release(&content);
}

/* --- kills and company --- */

/* Writes until it is killed. */
static void write_for_ever(int seed)
{
    char id[20], value[20];
    struct state *s = NULL;
    srand((unsigned)seed);
    while (state_open(&s, scratch_dir, NULL) != 0)
        ;
    for (int i = 0;; i++) {
        snprintf(id, sizeof id, "%08x%08x", seed, i);
        snprintf(value, sizeof value, "%d", i);
        box_run("killed", id, START_MS + i * 20000LL, 1000);
        state_follow_logs(s, NULL);
        state_note_set(s, "count", value, NULL);
        struct finding_list l = one_finding(i % 2 == 0 ? ALERT_CRITICAL : ALERT_FINE);
        alerts_update(s, &l, &(struct plan_alerts){0}, START_MS + i * 4000000LL, NULL, NULL, NULL);
        finding_list_release(&l);
    }
}

static void test_state_damage__killed_at_any_moment_it_is_valid(void **state)
{
    (void)state;
    srand(6);
    for (int round = 0; round < 30; round++) {
        pid_t child = fork();
        if (child == 0)
            write_for_ever(round);
        usleep((useconds_t)(rand() % 60000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct state *s = box_open();
        struct err err = {0};
        assert_true(is_sound(s));
        box_follow(s);
        struct record_list there, known = box_runs(s, &(struct run_query){.tier = "killed", .max = 100000});
        assert_int_equal(record_list_read(scratch_dir, "killed", RECORD_KEPT_LINES, &there, &err), 0);
        size_t begun = 0;
        for (size_t i = 0; i < there.count; i++)
            begun += there.items[i].status == RECORD_STARTED;
        assert_true(known.count >= begun);
        record_list_release(&there);
        record_list_release(&known);
        state_close(s);
        assert_false(scratch_has(scratch_dir, "state.sqlite.damaged"));
    }
}

enum { WRITERS = 4, WRITES = 40 };

static void be_a_writer(int number)
{
    char key[32], id[20], tier[20];
    struct state *s = NULL;
    struct err err = {0};
    if (state_open(&s, scratch_dir, &err) != 0)
        _exit(1);
    snprintf(tier, sizeof tier, "tier%d", number);
    for (int i = 0; i < WRITES; i++) {
        snprintf(key, sizeof key, "%d.%d", number, i);
        snprintf(id, sizeof id, "%08x%08x", number, i);
        box_run(tier, id, START_MS + i * 20000LL, 1000);
        struct finding_list l = {0};
        finding_add(&l, "late", tier, i % 2 == 0 ? ALERT_CRITICAL : ALERT_FINE, "x");
        if (state_follow_logs(s, &err) != 0 || state_note_set(s, key, "x", &err) != 0 ||
            alerts_update(s, &l, &(struct plan_alerts){0}, START_MS, NULL, NULL, &err) != 0) {
            fprintf(stderr, "%s\n", err.message);
            _exit(2);
        }
        finding_list_release(&l);
    }
    state_close(s);
    _exit(0);
}

static void test_state_damage__four_processes_write_at_once(void **state)
{
    (void)state;
    pid_t children[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        if ((children[i] = fork()) == 0)
            be_a_writer(i);
    for (int i = 0; i < WRITERS; i++) {
        int status;
        waitpid(children[i], &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    struct state *s = box_open();
    struct err err = {0};
    box_follow(s);
    assert_int_equal(box_count(s), WRITERS * WRITES);
    sqlite3_stmt *q = state_query(s, &err, "SELECT count(*) FROM notes WHERE key LIKE '%.%'", "");
    assert_int_equal(state_step(s, q, &err), 1);
    assert_int_equal(sqlite3_column_int(q, 0), WRITERS * WRITES);
    sqlite3_finalize(q);
    assert_true(is_sound(s));
    state_close(s);
    assert_false(scratch_has(scratch_dir, "state.sqlite.damaged"));
}

/* All of them find it damaged at once. */
static void test_state_damage__four_processes_repair_it_once(void **state)
{
    (void)state;
    struct buf content;
    make_one(&content);
    for (int round = 0; round < 5; round++) {
        pid_t children[WRITERS];
        scratch_write(scratch_dir, "state.sqlite", "garbage garbage garbage garbage garbage garbage garbage", 55);
        for (int i = 0; i < WRITERS; i++)
            if ((children[i] = fork()) == 0) {
                struct state *s = NULL;
                struct err err = {0};
                char key[8];
                snprintf(key, sizeof key, "w%d", i);
                if (state_open(&s, scratch_dir, &err) != 0 || state_note_set(s, key, "x", &err) != 0) {
                    fprintf(stderr, "%s\n", err.message);
                    _exit(1);
                }
                state_close(s);
                _exit(0);
            }
        for (int i = 0; i < WRITERS; i++) {
            int status;
            waitpid(children[i], &status, 0);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        struct state *s = box_open();
        for (int i = 0; i < WRITERS; i++) {
            char key[8], *value;
            snprintf(key, sizeof key, "w%d", i);
            assert_int_equal(state_note_get(s, key, &value, NULL), 0);
            assert_non_null(value);
            free(value);
        }
        state_close(s);
    }
    check_rebuilt(&content);
    buf_release(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, box_set_up, box_tear_down)
        TEST(test_state_damage__lost_is_rebuilt_as_it_was),
        TEST(test_state_damage__an_empty_file_is_filled),
        TEST(test_state_damage__garbage_is_kept_aside_and_replaced),
        TEST(test_state_damage__zeros_are_replaced),
        TEST(test_state_damage__a_directory_in_its_place_is_moved_away),
        TEST(test_state_damage__truncated_anywhere_it_is_rebuilt),
        TEST(test_state_damage__flipped_bytes_never_stop_it),
        TEST(test_state_damage__shows_while_it_is_open_and_is_repaired),
        TEST(test_state_damage__others_that_have_it_open_go_on),
        TEST(test_state_damage__each_question_repairs_what_it_finds),
        TEST(test_state_damage__a_transaction_fails_and_the_next_repairs),
        TEST(test_state_damage__a_run_of_impossible_values_is_left_out),
        TEST(test_state_damage__of_a_newer_program_is_rebuilt),
        TEST(test_state_damage__a_table_that_lacks_a_column_is_rebuilt),
        TEST(test_state_damage__a_damaged_journal_costs_nothing_that_is_known),
        TEST(test_state_damage__a_damaged_alert_log_restores_what_is_left_of_it),
        TEST(test_state_damage__killed_at_any_moment_it_is_valid),
        TEST(test_state_damage__four_processes_write_at_once),
        TEST(test_state_damage__four_processes_repair_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
