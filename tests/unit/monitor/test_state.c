#include "monitor/state.h"

#include "state_box.h"
#include <pwd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "monitor/record_internal.h"

static const int64_t DAY_MS = 24 * 3600 * 1000LL;

/* --- making --- */

static void test_state__is_made_private_and_opens_again(void **state)
{
    (void)state;
    struct state *s = box_open();
    struct err err = {0};
    assert_int_equal(scratch_mode(scratch_dir, "state.sqlite"), 0600);
    assert_int_equal(state_note_set(s, "digest.daily", "2026-02-04", &err), 0);
    assert_string_equal(state_dir_of(s), scratch_dir);
    state_close(s);
    s = box_open();
    char *value = NULL;
    assert_int_equal(state_note_get(s, "digest.daily", &value, &err), 0);
    assert_string_equal(value, "2026-02-04");
    free(value);
    state_close(s);
    state_close(NULL);
}

static void test_state__makes_its_directory(void **state)
{
    (void)state;
    char *dir = box_path("a/b");
    struct state *s = NULL;
    struct err err = {0};
    assert_int_equal(state_open(&s, dir, &err), 0);
    assert_int_equal(scratch_mode(scratch_dir, "a/b"), 0700);
    state_close(s);
    free(dir);
}

static void test_state__notes_are_replaced_and_taken_away(void **state)
{
    (void)state;
    struct state *s = box_open();
    struct err err = {0};
    char *value = (char *)(uintptr_t) "x";
    assert_int_equal(state_note_get(s, "none", &value, &err), 0);
    assert_null(value);
    state_note_set(s, "key", "one", &err);
    state_note_set(s, "key", "two", &err);
    assert_int_equal(state_note_get(s, "key", &value, &err), 0);
    assert_string_equal(value, "two");
    free(value);
    assert_int_equal(state_note_set(s, "key", NULL, &err), 0);
    assert_int_equal(state_note_get(s, "key", &value, &err), 0);
    assert_null(value);
    state_close(s);
}

static void test_state__measurements_come_in_order_and_the_same_moment_replaces(void **state)
{
    (void)state;
    struct state *s = box_open();
    struct err err = {0};
    struct state_point *points;
    size_t count;
    assert_int_equal(state_measure(s, "x", 3000, 30, &err), 0);
    assert_int_equal(state_measure(s, "x", 1000, 10, &err), 0);
    assert_int_equal(state_measure(s, "x", 3000, 33, &err), 0);
    assert_int_equal(state_measure(s, "y", 2000, 99, &err), 0);
    assert_int_equal(state_series(s, "x", 0, &points, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_true(points[0].at_ms == 1000 && points[0].value == 10 && points[1].value == 33);
    free(points);
    assert_int_equal(state_series(s, "x", 1001, &points, &count, &err), 0);
    assert_int_equal(count, 1);
    free(points);
    assert_int_equal(state_series(s, "z", 0, &points, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_null(points);
    state_close(s);
}

static void test_state__a_transaction_takes_what_is_written_with_it(void **state)
{
    (void)state;
    struct state *s = box_open();
    struct err err = {0};
    char *value;
    assert_int_equal(state_begin(s, &err), 0);
    assert_true(state_in_transaction(s));
    assert_int_equal(state_begin(s, &err), -1);
    assert_int_equal(state_note_set(s, "key", "value", &err), 0);
    state_rollback(s);
    state_rollback(s);
    assert_int_equal(state_note_get(s, "key", &value, &err), 0);
    assert_null(value);
    err_clear(&err);
    assert_int_equal(state_commit(s, &err), -1);
    state_close(s);
}

/* --- following --- */

static void test_state__follows_runs_and_gives_them_back_as_they_were(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "0000000000000001", START_MS, 5000);
    box_record(RECORD_STARTED, "git", "0000000000000002", START_MS + 60000, 0, 0);
    box_follow(s);
    struct record_list l = box_runs(s, &(struct run_query){0});
    assert_int_equal(l.count, 2);
    assert_int_equal(l.items[0].status, RECORD_STARTED);
    assert_string_equal(l.items[0].tier, "git");
    assert_int_equal(l.items[0].pid, 4711);
    const struct record *r = &l.items[1];
    assert_int_equal(r->status, RECORD_COMPLETED);
    assert_int_equal(r->bytes_processed, 5000);
    assert_int_equal(r->bytes_added, 500);
    assert_int_equal(r->duration_ms, 1500);
    assert_true(r->uploaded);
    assert_int_equal(r->source_count, 1);
    assert_string_equal(r->sources[0].paths[0].path, "/home/logs");
    assert_int_equal(r->destination_count, 1);
    assert_int_equal(r->warnings.count, 1);
    assert_true(r->time.tv_sec == START_MS / 1000 + 10);
    record_list_release(&l);
    state_close(s);
}

static void test_state__following_again_changes_nothing(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "0000000000000001", START_MS, 5000);
    for (int i = 0; i < 3; i++)
        box_follow(s);
    assert_int_equal(box_count(s), 1);
    box_run("config", "0000000000000003", START_MS + 20000, 6000);
    box_follow(s);
    assert_int_equal(box_count(s), 2);
    state_close(s);
}

static void test_state__an_end_comes_to_its_beginning_later(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_record(RECORD_STARTED, "config", "0000000000000001", START_MS, 0, 0);
    box_follow(s);
    box_record(RECORD_FAILED, "config", "0000000000000001", START_MS + 5000, 10, 1);
    box_follow(s);
    struct record_list l = box_runs(s, &(struct run_query){0});
    assert_int_equal(l.count, 1);
    assert_int_equal(l.items[0].status, RECORD_FAILED);
    assert_string_equal(l.items[0].error, "it broke");
    record_list_release(&l);
    state_close(s);
}

static void test_state__one_id_may_be_tried_again(void **state)
{
    (void)state;
    struct state *s = box_open();
    for (int i = 0; i < 3; i++) {
        box_record(RECORD_STARTED, "config", "0000000000000001", START_MS + i * 100000, 0, 0);
        box_record(i < 2 ? RECORD_FAILED : RECORD_COMPLETED, "config", "0000000000000001",
                   START_MS + i * 100000 + 50000, 10, i < 2 ? 1 : 0);
        box_follow(s);
    }
    struct record_list l = box_runs(s, &(struct run_query){.run_id = "00000000"});
    assert_int_equal(l.count, 3);
    assert_int_equal(l.items[0].status, RECORD_COMPLETED);
    assert_int_equal(l.items[2].status, RECORD_FAILED);
    record_list_release(&l);
    state_close(s);
}

static void cut_log(const char *tier, size_t lines)
{
    struct buf text;
    char *path = record_path(scratch_dir, tier);
    buf_init(&text, 64 << 20);
    assert_int_equal(os_read_file(path, &text, NULL), 0);
    const char *all = buf_cstr(&text), *from = record_last_lines(all, text.len, lines);
    assert_int_equal(os_write_file_atomic(path, from, text.len - (size_t)(from - all), 0600, NULL), 0);
    buf_release(&text);
    free(path);
}

static void test_state__keeps_runs_whose_lines_were_rotated_away(void **state)
{
    (void)state;
    struct state *s = box_open();
    char id[20];
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "%016x", i);
        box_run("config", id, START_MS + i * 100000, 5000);
    }
    box_follow(s);
    cut_log("config", 5);
    box_run("config", "00000000000000ff", START_MS + 9000000, 5000);
    box_follow(s);
    assert_int_equal(box_count(s), 21);
    cut_log("config", 1);
    box_follow(s);
    assert_int_equal(box_count(s), 21);
    state_close(s);
}

static void test_state__notices_a_log_that_was_exchanged_in_place(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "0000000000000001", START_MS, 5000);
    box_follow(s);
    char *path = record_path(scratch_dir, "config");
    assert_int_equal(truncate(path, 0), 0);
    free(path);
    box_run("config", "0000000000000002", START_MS + 100000, 5000);
    box_run("config", "0000000000000003", START_MS + 200000, 5000);
    box_follow(s);
    assert_int_equal(box_count(s), 3);
    state_close(s);
}

static void add_raw(const char *tier, const char *text)
{
    char *path = record_path(scratch_dir, tier);
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
    free(path);
}

static void test_state__takes_a_torn_line_when_it_is_whole(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "0000000000000001", START_MS, 5000);
    add_raw("config", "{\"timestamp\":\"2026-02-04T09:00:00Z\",\"status\":\"started\",\"jobId\":\"config\",");
    box_follow(s);
    assert_int_equal(box_count(s), 1);
    assert_int_equal(state_damaged(s, "config", 0), 0);
    add_raw("config", "\"runId\":\"0000000000000002\",\"pid\":1}\n");
    box_follow(s);
    assert_int_equal(box_count(s), 2);
    assert_int_equal(state_damaged(s, "config", 0), 0);
    state_close(s);
}

static void test_state__counts_damaged_lines_once_and_says_since_when(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "0000000000000001", START_MS, 5000);
    add_raw("config", "garbage\n\n{\"half\":\n");
    box_run("config", "0000000000000002", START_MS + 100000, 5000);
    box_follow(s);
    assert_int_equal(box_count(s), 2);
    assert_int_equal(state_damaged(s, "config", 0), 2);
    assert_int_equal(state_damaged(s, "config", START_MS + 1), 0);
    assert_int_equal(state_damaged(s, "git", 0), 0);
    cut_log("config", 100);
    box_follow(s);
    assert_int_equal(state_damaged(s, "config", 0), 2);
    box_clock(START_MS + DAY_MS);
    add_raw("config", "more\n");
    box_follow(s);
    assert_int_equal(state_damaged(s, "config", START_MS + 1), 3);
    box_clock(START_MS + 30 * DAY_MS);
    add_raw("config", "again\n");
    box_follow(s);
    assert_int_equal(state_damaged(s, "config", START_MS + 1), 1);
    state_close(s);
}

static void test_state__passes_over_what_is_no_log(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "0000000000000001", START_MS, 5000);
    char *dir = box_path("runs/dir.jsonl"), *link = box_path("runs/link.jsonl"), *pipe = box_path("runs/pipe.jsonl");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(symlink("config.jsonl", link), 0);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    scratch_write(scratch_dir, "runs/.jsonl", "x\n", 2);
    scratch_write(scratch_dir, "runs/notes.txt", "x\n", 2);
    box_follow(s);
    assert_int_equal(box_count(s), 1);
    free(dir);
    free(link);
    free(pipe);
    state_close(s);
}

/* Not through record_append(), which cuts a log that is too large. */
static void add_start(const char *run_id, int64_t at_ms)
{
    struct record r = {.status = RECORD_STARTED, .time = box_time(at_ms)};
    struct buf line;
    r.tier = mem_strdup("config");
    r.run_id = mem_strdup(run_id);
    buf_init(&line, 1 << 20);
    record_encode(&r, &line);
    add_raw("config", buf_cstr(&line));
    buf_release(&line);
    record_release(&r);
}

static void test_state__takes_the_end_of_a_log_that_somebody_let_grow(void **state)
{
    (void)state;
    struct state *s = box_open();
    size_t len = 5 << 20;
    char *junk = mem_alloc(len + 1), *dir = box_path("runs");
    memset(junk, 'x', len);
    junk[len] = '\0';
    mkdir(dir, 0700);
    add_start("0000000000000009", START_MS);
    add_raw("config", junk);
    add_raw("config", "\n");
    add_start("0000000000000001", START_MS);
    box_follow(s);
    assert_int_equal(box_count(s), 1);
    assert_int_equal(state_damaged(s, "config", 0), 0);
    /* … and a line that never ends, behind what was read. */
    add_raw("config", junk);
    add_raw("config", "\n");
    add_start("0000000000000002", START_MS + 100000);
    box_follow(s);
    assert_int_equal(box_count(s), 2);
    assert_int_equal(state_damaged(s, "config", 0), 2);
    free(junk);
    free(dir);
    state_close(s);
}

/* --- asking --- */

static void test_state__asks_by_tier_time_outcome_and_number(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "000000000000000a", START_MS, 1);
    box_run("git", "000000000000000b", START_MS + 100000, 2);
    box_record(RECORD_FAILED, "config", "000000000000000c", START_MS + 200000, 3, 1);
    box_record(RECORD_COMPLETED, "git", "100000000000000d", START_MS + 300000, 4, 3);
    struct record job = {.status = RECORD_COMPLETED, .time = box_time(START_MS + 400000), .job = true};
    job.tier = mem_strdup("nightly");
    job.run_id = mem_strdup("000000000000000e");
    assert_int_equal(record_append(scratch_dir, &job, NULL), 0);
    record_release(&job);
    box_follow(s);
    static const struct {
        struct run_query q;
        size_t count;
    } cases[] = {
        {{.tier = "config"}, 2},
        {{.tier = "none"}, 0},
        {{.failed_only = true}, 2},
        {{.run_id = "1000"}, 1},
        {{.tiers_only = true}, 4},
        {{.jobs_only = true}, 1},
        {{.max = 3}, 3},
        {{.since_ms = START_MS + 200000}, 3},
        {{.until_ms = START_MS + 200000}, 2},
        {{.tier = "git", .failed_only = true}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record_list l = box_runs(s, &cases[i].q);
        if (l.count != cases[i].count)
            fail_msg("case %zu: %zu", i, l.count);
        record_list_release(&l);
    }
    struct record_list l = box_runs(s, &(struct run_query){.max = 1});
    assert_true(l.items[0].job);
    record_list_release(&l);
    state_close(s);
}

static void test_state__measures_destinations_from_the_records(void **state)
{
    (void)state;
    struct state *s = box_open();
    struct err err = {0};
    struct state_point *points;
    size_t count;
    box_run("config", "000000000000000a", START_MS, 5000);
    box_follow(s);
    assert_int_equal(state_series(s, "destination.used:usb", 0, &points, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_true(points[0].value == 5000);
    free(points);
    state_close(s);
}

/* --- thinning --- */

static void test_state__thins_what_is_old(void **state)
{
    (void)state;
    struct state *s = box_open();
    struct err err = {0};
    box_run("config", "000000000000000a", START_MS - 400 * DAY_MS, 1000);
    box_run("config", "000000000000000b", START_MS - 100 * DAY_MS, 2000);
    box_run("config", "000000000000000c", START_MS - 10 * DAY_MS, 3000);
    box_run("config", "000000000000000d", START_MS - 20000, 4000);
    for (int hour = 0; hour < 24; hour++)
        state_measure(s, "x", START_MS - 100 * DAY_MS - START_MS % DAY_MS + hour * 3600000, hour, &err);
    box_follow(s);
    box_clock(START_MS + DAY_MS);
    box_follow(s);
    assert_int_equal(box_count(s), 3);
    struct record_list l = box_runs(s, &(struct run_query){0});
    assert_int_equal(l.items[0].warnings.count, 1);
    assert_int_equal(l.items[1].sources[0].path_count, 1);
    const struct record *old = &l.items[2];
    assert_int_equal(old->warnings.count, 0);
    assert_int_equal(old->status, RECORD_COMPLETED);
    assert_int_equal(old->bytes_processed, 2000);
    assert_string_equal(old->run_id, "000000000000000b");
    assert_int_equal(old->source_count, 1);
    assert_string_equal(old->sources[0].name, "/home");
    assert_int_equal(old->sources[0].bytes, 2000);
    assert_true(old->uploaded);
    record_list_release(&l);
    struct state_point *points;
    size_t count;
    assert_int_equal(state_series(s, "x", 0, &points, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_true(points[0].value == 23);
    free(points);
    state_close(s);
}

static void test_state__a_clock_years_ahead_thins_nothing(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "000000000000000a", START_MS - 10 * DAY_MS, 1000);
    box_run("config", "000000000000000b", START_MS, 1000);
    box_clock(START_MS + 5000 * DAY_MS);
    box_follow(s);
    assert_int_equal(box_count(s), 2);
    state_close(s);
}

/* --- where nothing can be written --- */

static void as_nobody(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        struct passwd *user = getpwnam("nobody");
        if (geteuid() == 0 && (user == NULL || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
            _exit(2);
        body();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void cannot_open(void)
{
    struct state *s = NULL;
    struct err err = {0};
    if (state_open(&s, scratch_dir, &err) == 0 || s != NULL || err.code == ERR_NONE || err.message[0] == '\0')
        _exit(3);
    if (strstr(err.message, scratch_dir) == NULL)
        _exit(4);
}

static void test_state__says_politely_that_the_directory_is_read_only(void **state)
{
    (void)state;
    assert_int_equal(chmod(scratch_dir, 0555), 0);
    as_nobody(cannot_open);
    assert_int_equal(chmod(scratch_dir, 0700), 0);
    struct state *s = box_open();
    state_close(s);
    assert_int_equal(chmod(scratch_dir, 0555), 0);
    as_nobody(cannot_open);
    assert_int_equal(chmod(scratch_dir, 0700), 0);
    state_close(box_open());
}

/* As on a full disk: no file may grow. */
static void cannot_grow(void)
{
    struct state *s = NULL;
    struct err err = {0};
    struct rlimit none = {.rlim_cur = 40000, .rlim_max = 40000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    char *big = mem_alloc(100001);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    if (state_open(&s, scratch_dir, &err) == 0 && state_note_set(s, "big", big, &err) == 0)
        _exit(3);
    state_close(s);
    free(big);
}

static void test_state__a_full_disk_breaks_nothing(void **state)
{
    (void)state;
    struct state *s = box_open();
    box_run("config", "000000000000000a", START_MS, 1000);
    box_follow(s);
    state_close(s);
    pid_t child = fork();
    if (child == 0) {
        cannot_grow();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    s = box_open();
    assert_int_equal(box_count(s), 1);
    assert_false(scratch_has(scratch_dir, "state.sqlite.damaged"));
    state_close(s);
}

static void test_state__waits_for_another_writer_and_then_says_so(void **state)
{
    (void)state;
    struct state *a = box_open(), *b = box_open();
    struct err err = {0};
    assert_int_equal(state_begin(a, &err), 0);
    assert_int_equal(state_note_set(a, "x", "y", &err), 0);
    sqlite3_busy_timeout(state_handle(b), 50);
    assert_int_equal(state_note_set(b, "x", "z", &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_int_equal(state_commit(a, &err), 0);
    assert_int_equal(state_note_set(b, "x", "z", &err), 0);
    state_close(a);
    state_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, box_set_up, box_tear_down)
        TEST(test_state__is_made_private_and_opens_again),
        TEST(test_state__makes_its_directory),
        TEST(test_state__notes_are_replaced_and_taken_away),
        TEST(test_state__measurements_come_in_order_and_the_same_moment_replaces),
        TEST(test_state__a_transaction_takes_what_is_written_with_it),
        TEST(test_state__follows_runs_and_gives_them_back_as_they_were),
        TEST(test_state__following_again_changes_nothing),
        TEST(test_state__an_end_comes_to_its_beginning_later),
        TEST(test_state__one_id_may_be_tried_again),
        TEST(test_state__keeps_runs_whose_lines_were_rotated_away),
        TEST(test_state__notices_a_log_that_was_exchanged_in_place),
        TEST(test_state__takes_a_torn_line_when_it_is_whole),
        TEST(test_state__counts_damaged_lines_once_and_says_since_when),
        TEST(test_state__passes_over_what_is_no_log),
        TEST(test_state__takes_the_end_of_a_log_that_somebody_let_grow),
        TEST(test_state__asks_by_tier_time_outcome_and_number),
        TEST(test_state__measures_destinations_from_the_records),
        TEST(test_state__thins_what_is_old),
        TEST(test_state__a_clock_years_ahead_thins_nothing),
        TEST(test_state__says_politely_that_the_directory_is_read_only),
        TEST(test_state__a_full_disk_breaks_nothing),
        TEST(test_state__waits_for_another_writer_and_then_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
