/* Records of the daemon's jobs beside those of tiers, and what a run's tiers amount to. */
#include "monitor/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/scratch.h"

static char *dir;

static int set_up(void **state)
{
    (void)state;
    dir = scratch_make();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static struct record make(const char *name, const char *run, enum record_status status, time_t when)
{
    struct record r = {.status = status, .time = {.tv_sec = when}};
    r.tier = mem_strdup(name);
    r.run_id = run != NULL ? mem_strdup(run) : NULL;
    return r;
}

static void append(struct record *r)
{
    struct err err = {0};
    if (record_append(dir, r, &err) != 0)
        fail_msg("%s", err.message);
    record_release(r);
}

static void add(const char *name, bool job, const char *run, enum record_status status, time_t when)
{
    struct record r = make(name, run, status, when);
    r.job = job;
    append(&r);
}

static void add_raw(const char *name, const char *text)
{
    char *path = record_path(dir, name);
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
    free(path);
}

static void expect_runs(const struct record_list *l, const char *const *runs)
{
    for (size_t i = 0; i < l->count; i++)
        assert_string_equal(l->items[i].run_id, runs[i]);
    assert_null(runs[l->count]);
}

/* --- two kinds in one log --- */

static void test_record__keeps_jobs_and_tiers_of_one_log_apart(void **state)
{
    (void)state;
    struct record_list l;
    add("config", false, "t1", RECORD_STARTED, 1);
    add("config", true, "j1", RECORD_STARTED, 2);
    add("config", true, "j1", RECORD_COMPLETED, 3);
    add("config", false, "t1", RECORD_COMPLETED, 4);
    add("config", true, "j2", RECORD_STARTED, 5);
    assert_int_equal(record_list_read(dir, "config", 100, &l, NULL), 0);
    expect_runs(&l, (const char *const[]){"t1", "t1", NULL});
    assert_false(l.items[0].job);
    assert_int_equal(record_last_started_ms(&l), 1000);
    assert_null(record_unended(&l));
    record_list_release(&l);
    assert_int_equal(record_list_read_job(dir, "config", 100, &l, NULL), 0);
    expect_runs(&l, (const char *const[]){"j1", "j1", "j2", NULL});
    assert_true(l.items[0].job);
    assert_string_equal(record_unended(&l)->run_id, "j2");
    record_list_release(&l);
    assert_int_equal(record_list_read(dir, "config", 1, &l, NULL), 0); /* the last one of its kind */
    assert_int_equal(l.count, 1);
    assert_int_equal(l.items[0].status, RECORD_COMPLETED);
    record_list_release(&l);
    assert_int_equal(record_list_read_job(dir, "config", 2, &l, NULL), 0);
    expect_runs(&l, (const char *const[]){"j1", "j2", NULL});
    record_list_release(&l);
    assert_int_equal(record_list_read_job(dir, "other", 2, &l, NULL), 0);
    assert_int_equal(l.count, 0);
    record_list_release(&l);
}

/* Times that came while the job ran, so many bytes and more of them. */
static void add_skipped(const char *name, size_t bytes)
{
    static const char LINE[] = "{\"timestampMs\":9,\"status\":\"skipped\",\"jobId\":\"x\",\"by\":\"daemon\"}\n";
    size_t count = bytes / (sizeof LINE - 1) + 1;
    char *text = mem_zalloc(count * (sizeof LINE - 1) + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * (sizeof LINE - 1), LINE, sizeof LINE - 1);
    add_raw(name, text);
    free(text);
}

static off_t size_of(const char *name)
{
    struct stat st;
    char *path = record_path(dir, name);
    assert_int_equal(stat(path, &st), 0);
    free(path);
    return st.st_size;
}

static void expect_unended(const char *name, bool job, const char *run_id)
{
    struct record_list l;
    assert_int_equal((job ? record_list_read_job : record_list_read)(dir, name, 100, &l, NULL), 0);
    const struct record *r = record_unended(&l);
    if (run_id == NULL)
        assert_null(r);
    else
        assert_string_equal(r != NULL ? r->run_id : "none", run_id);
    record_list_release(&l);
}

static void test_record__a_start_without_an_end_is_found_however_much_came_since(void **state)
{
    (void)state;
    add("config", true, "j1", RECORD_STARTED, 1);
    add_skipped("config", 300000); /* more than 2,000 lines */
    expect_unended("config", true, "j1");
    expect_unended("config", false, NULL);
    add("config", true, "j1", RECORD_FAILED, 2);
    expect_unended("config", true, NULL);
}

static void count_starts(void *ctx, struct record *r, const char *line, size_t len)
{
    size_t *starts = ctx;
    (void)line;
    (void)len;
    *starts += r->status == RECORD_STARTED;
}

static void test_record__a_start_without_an_end_survives_cutting(void **state)
{
    (void)state;
    size_t starts = 0;
    add("config", true, "old", RECORD_STARTED, 1); /* its end was lost */
    add("config", false, "t1", RECORD_STARTED, 1);
    add("config", true, "j1", RECORD_STARTED, 2);
    for (int i = 0; i < 2; i++) { /* it is kept when it stands at the beginning already, too */
        add_skipped("config", RECORD_FILE_MAX_BYTES);
        add("config", true, NULL, RECORD_SKIPPED, 3);
        assert_true(size_of("config") < RECORD_FILE_MAX_BYTES);
        expect_unended("config", true, "j1");
        expect_unended("config", false, "t1");
    }
    assert_int_equal(record_each_line(dir, "config", count_starts, &starts, NULL), 0);
    assert_int_equal(starts, 2);
    add_skipped("config", RECORD_FILE_MAX_BYTES);
    add("config", true, "j1", RECORD_COMPLETED, 4);
    add("config", false, "t1", RECORD_COMPLETED, 4);
    starts = 0; /* an end that is kept keeps its start */
    assert_int_equal(record_each_line(dir, "config", count_starts, &starts, NULL), 0);
    assert_int_equal(starts, 2);
    add_skipped("config", RECORD_FILE_MAX_BYTES);
    add("config", true, NULL, RECORD_SKIPPED, 5);
    starts = 0;
    assert_int_equal(record_each_line(dir, "config", count_starts, &starts, NULL), 0);
    assert_int_equal(starts, 0);
}

static void test_record__a_text_cannot_pass_for_a_jobs_mark(void **state)
{
    (void)state;
    struct record_list l;
    struct record r = make("config", "t1", RECORD_FAILED, 1);
    r.error = mem_strdup("{\"by\":\"daemon\"}");
    append(&r);
    add_raw("config", "{\"timestampMs\":5,\"status\":\"started\",\"jobId\":\"x\",\"runId\":\"o\",\"by\":\"cron\"}\n");
    add_raw("config",
            "{\"timestampMs\":5,\"status\":\"started\",\"jobId\":\"x\",\"runId\":\"s\", \"by\": \"daemon\"}\n");
    add_raw("config", "{\"timestampMs\":5,\"status\":\"started\",\"runId\":\"n\",\"x\":{\"by\":\"daemon\"}}\n");
    assert_int_equal(record_list_read(dir, "config", 100, &l, NULL), 0);
    expect_runs(&l, (const char *const[]){"t1", "o", NULL});
    assert_int_equal(l.damaged, 0);
    record_list_release(&l);
    assert_int_equal(record_list_read_job(dir, "config", 100, &l, NULL), 0);
    assert_int_equal(l.count, 0);
    record_list_release(&l);
}

struct lines {
    size_t count, bytes;
    struct record kept;
};

static void on_line(void *ctx, struct record *r, const char *line, size_t len)
{
    struct lines *l = ctx;
    l->count++;
    l->bytes += len;
    assert_true(line[0] == '{' && line[len - 1] == '}');
    if (l->count == 2) {
        l->kept = *r;
        *r = (struct record){0};
    }
}

static void test_record__gives_every_line_of_a_log(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct strlist names = {0};
    struct err err = {0};
    record_list_logs(dir, &names);
    assert_int_equal(names.count, 0);
    add("git", false, "t1", RECORD_STARTED, 1);
    add_raw("git", "junk\n\n");
    add("git", true, "j1", RECORD_COMPLETED, 2);
    add("config", false, "t2", RECORD_STARTED, 3);
    add_raw("no-log", "");
    char *other = mem_printf("%s/runs/notes.txt", dir);
    assert_int_equal(os_write_file_atomic(other, "", 0, 0600, NULL), 0);
    record_list_logs(dir, &names);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.items[0], "config");
    assert_string_equal(names.items[1], "git");
    assert_int_equal(record_each_line(dir, "git", on_line, &lines, &err), 0);
    assert_int_equal(lines.count, 2);
    assert_true(lines.kept.job);
    record_release(&lines.kept);
    assert_int_equal(record_each_line(dir, "nobody", on_line, &lines, &err), 0);
    assert_int_equal(record_each_line(dir, "no-log", on_line, &lines, &err), 0);
    assert_int_equal(lines.count, 2);
    free(other);
    other = record_path(dir, "directory");
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(record_each_line(dir, "directory", on_line, &lines, &err), -1);
    free(other);
    strlist_release(&names);
}

/* --- what is new in a record --- */

static void test_record__keeps_the_paths_of_a_source(void **state)
{
    (void)state;
    struct record_list l;
    struct record r = make("config", "t1", RECORD_COMPLETED, 1);
    struct record_source *s = record_add_source(&r, "/home");
    for (unsigned i = 0; i < RECORD_PATHS_MAX + 5; i++)
        record_add_path(s, i == 0 ? "/home/a\xFF" : "/home/b", i + 10);
    record_add_source(&r, "/etc");
    append(&r);
    assert_int_equal(record_list_read(dir, "config", 1, &l, NULL), 0);
    s = &l.items[0].sources[0];
    assert_int_equal(s->path_count, RECORD_PATHS_MAX);
    assert_string_equal(s->paths[0].path, "/home/a?");
    assert_string_equal(s->paths[1].path, "/home/b");
    assert_int_equal(s->paths[1].bytes, 11);
    assert_int_equal(l.items[0].sources[1].path_count, 0);
    record_list_release(&l);
}

static void expect_message(const char *members, const char *message, size_t warnings)
{
    struct record_list l;
    char *text = mem_printf("{\"timestamp\":\"2026-02-04T06:02:15Z\",\"by\":\"daemon\",%s}\n", members);
    add_raw("config", text);
    assert_int_equal(record_list_read_job(dir, "config", 1, &l, NULL), 0);
    const struct record *r = &l.items[l.count - 1]; /* the start may be before it */
    if (message != NULL)
        assert_string_equal(r->message, message);
    else
        assert_null(r->message);
    assert_int_equal(r->warnings.count, warnings);
    record_list_release(&l);
    free(text);
}

static void test_record__finds_the_message_of_older_lines(void **state)
{
    (void)state;
    add("config", true, "t1", RECORD_STARTED, 1);
    expect_message("\"status\":\"skipped\",\"message\":\"m\"", "m", 0);
    expect_message("\"status\":\"skipped\",\"message\":\"m\",\"warnings\":[\"w\"]", "m", 1);
    expect_message("\"status\":\"skipped\",\"warnings\":[\"missed it\"]", "missed it", 0);
    expect_message("\"status\":\"completed\",\"exitCode\":0,\"warnings\":[\"note\"]", "note", 0);
    expect_message("\"status\":\"completed\",\"exitCode\":3,\"warnings\":[\"w\"]", NULL, 1);
    expect_message("\"status\":\"completed\",\"exitCode\":0,\"warnings\":[\"w\",\"x\"]", NULL, 2);
    expect_message("\"status\":\"failed\",\"message\":7", NULL, 0);
}

static void test_record__cuts_a_message_that_is_too_long(void **state)
{
    (void)state;
    struct record_list l;
    struct record r = make("config", "t1", RECORD_COMPLETED, 1);
    size_t len = 5 << 20;
    r.job = true;
    r.message = mem_zalloc(len + 1);
    for (size_t i = 0; i < len; i++)
        r.message[i] = i % 2 == 1 ? '\xc3' : '\xa4';
    r.message[0] = 'x';
    r.message[len - 1] = 'y';
    append(&r);
    assert_int_equal(record_list_read_job(dir, "config", 1, &l, NULL), 0);
    assert_int_equal(l.count, 1);
    size_t kept = strlen(l.items[0].message);
    assert_true(kept >= (16 << 10) - 1 && kept <= 16 << 10);
    assert_true(memcmp(l.items[0].message + kept - 2, "\xc3\xa4", 2) == 0);
    record_list_release(&l);
}

static void test_record__drops_paths_before_it_drops_sources(void **state)
{
    (void)state;
    struct record_list l;
    struct record r = make("config", "t1", RECORD_COMPLETED, 1);
    char *path = mem_zalloc(60001);
    memset(path, 'p', 60000);
    struct record_source *s = record_add_source(&r, "/home");
    for (unsigned i = 0; i < RECORD_PATHS_MAX; i++)
        record_add_path(s, path, i);
    free(path);
    strlist_add(&r.warnings, "w");
    append(&r);
    assert_int_equal(record_list_read(dir, "config", 1, &l, NULL), 0);
    assert_int_equal(l.items[0].source_count, 1);
    assert_int_equal(l.items[0].sources[0].path_count, 0);
    assert_int_equal(l.items[0].warnings.count, 1);
    record_list_release(&l);
}

static void expect_foreign(const char *members, uint64_t duration_ms, uint64_t bytes)
{
    struct record_list l;
    char *text = mem_printf("{\"timestamp\":\"2026-02-04T06:02:15Z\",\"status\":\"completed\",%s}\n", members);
    add_raw("config", text);
    assert_int_equal(record_list_read(dir, "config", 1, &l, NULL), 0);
    assert_int_equal(l.items[0].duration_ms, duration_ms);
    assert_int_equal(l.items[0].bytes_processed, bytes);
    record_list_release(&l);
    free(text);
}

static void test_record__takes_sizes_and_times_from_the_texts_of_others(void **state)
{
    (void)state;
    add("config", false, "t1", RECORD_STARTED, 1);
    expect_foreign("\"duration\":\"135s\",\"backupSize\":\"850MB\"", 135000, 850000000);
    expect_foreign("\"duration\":\"2m\",\"backupSize\":\"1.5GB\"", 120000, 1500000000);
    expect_foreign("\"duration\":\"135s\",\"durationMs\":7,\"backupSize\":\"850MB\",\"bytesProcessed\":8", 7, 8);
    expect_foreign("\"duration\":\"long\",\"backupSize\":\"huge\"", 0, 0);
    expect_foreign("\"duration\":5,\"backupSize\":\"5 apples\"", 0, 0);
    expect_foreign("\"duration\":\"\",\"backupSize\":\"1e400B\"", 0, 0);
    expect_foreign("\"backupSize\":\"12B\"", 0, 12);
    expect_foreign("\"backupSize\":\"99999999999EB\"", 0, 0);
}

static void test_record__a_few_long_lines_are_not_rewritten_in_vain(void **state)
{
    (void)state;
    struct stat before, after;
    char *path = record_path(dir, "config"), *message = mem_zalloc(400001);
    memset(message, 'm', 400000);
    for (int i = 0; i < 8; i++) {
        struct record r = make("config", "t", RECORD_FAILED, i);
        r.error = mem_strdup(message);
        append(&r);
    }
    assert_int_equal(stat(path, &before), 0);
    assert_true(before.st_size > RECORD_FILE_MAX_BYTES);
    add("config", false, "last", RECORD_STARTED, 9);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    free(path);
    free(message);
}

/* --- sums --- */

static struct record_destination *destination(struct record *r, const char *name, enum record_status status,
                                              uint64_t added)
{
    struct record_destination *d = record_add_destination(r, name);
    d->status = status;
    d->bytes_added = added;
    d->verified = status == RECORD_COMPLETED;
    return d;
}

static void test_record_sum__adds_up_the_tiers_of_a_run(void **state)
{
    (void)state;
    struct record sum = {.status = RECORD_COMPLETED};
    assert_int_equal(record_sum_run(dir, "r", &sum), 0);
    add("config", false, "r", RECORD_STARTED, 1);
    assert_int_equal(record_sum_run(dir, "r", &sum), 0);
    /* A first attempt, which does not count: the second one has all of it. */
    struct record r = make("config", "r", RECORD_FAILED, 2);
    r.bytes_processed = 1000000;
    append(&r);
    r = make("config", "r", RECORD_COMPLETED, 3);
    r.bytes_processed = 100;
    r.bytes_added = 10;
    r.uploaded = true;
    strlist_add(&r.snapshots, "s1");
    struct record_destination *d = destination(&r, "usb", RECORD_COMPLETED, 6);
    d->free_bytes = 50;
    d->total_bytes = 60;
    d->removed = 2;
    destination(&r, "nas", RECORD_COMPLETED, 4)->message = mem_strdup("slow");
    append(&r);
    r = make("git", "r", RECORD_COMPLETED, 4);
    r.bytes_processed = 11;
    r.bytes_added = 1;
    r.exit_code = 3;
    r.uploaded = true;
    strlist_add(&r.snapshots, "s2");
    strlist_add(&r.warnings, "one file is missing");
    d = destination(&r, "usb", RECORD_COMPLETED, 1);
    d->free_bytes = 40;
    d->total_bytes = 60;
    d->pruned = true;
    destination(&r, "nas", RECORD_FAILED, 0)->message = mem_strdup("gone");
    append(&r);
    r = make("databases", "r", RECORD_SKIPPED, 5);
    append(&r);
    add("git", false, "other", RECORD_FAILED, 6);
    add("job", true, "r", RECORD_FAILED, 7); /* its own record is none of its tiers' */
    assert_int_equal(record_sum_run(dir, "r", &sum), 3);
    assert_true(sum.bytes_processed == 111 && sum.bytes_added == 11 && sum.uploaded);
    assert_int_equal(sum.snapshots.count, 2);
    assert_int_equal(sum.warnings.count, 1);
    assert_string_equal(sum.warnings.items[0], "git: one file is missing");
    assert_int_equal(sum.destination_count, 2);
    const struct record_destination *usb = &sum.destinations[0], *nas = &sum.destinations[1];
    assert_string_equal(usb->name, "usb");
    assert_true(usb->bytes_added == 7 && usb->free_bytes == 40 && usb->total_bytes == 60 && usb->removed == 2);
    assert_true(usb->verified && usb->pruned && usb->status == RECORD_COMPLETED);
    assert_true(nas->status == RECORD_FAILED && !nas->verified);
    assert_string_equal(nas->message, "gone");
    record_release(&sum);
}

static void test_record_sum__uploaded_means_all_of_it(void **state)
{
    (void)state;
    struct record sum = {0};
    struct record r = make("config", "r", RECORD_COMPLETED, 1);
    r.uploaded = true;
    append(&r);
    r = make("git", "r", RECORD_FAILED, 2);
    r.error = mem_strdup("no room");
    append(&r);
    add("zero", false, "r", RECORD_FAILED, 2);
    assert_int_equal(record_sum_run(dir, "r", &sum), 3);
    assert_false(sum.uploaded);
    assert_int_equal(sum.warnings.count, 2);
    assert_string_equal(sum.warnings.items[0], "git: no room");
    assert_string_equal(sum.warnings.items[1], "zero: it failed");
    record_release(&sum);
    add("skipped", false, "s", RECORD_SKIPPED, 1);
    assert_int_equal(record_sum_run(dir, "s", &sum), 1);
    assert_false(sum.uploaded); /* nothing was */
    record_release(&sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_record__keeps_jobs_and_tiers_of_one_log_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__a_start_without_an_end_is_found_however_much_came_since, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_record__a_start_without_an_end_survives_cutting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__a_text_cannot_pass_for_a_jobs_mark, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__gives_every_line_of_a_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__keeps_the_paths_of_a_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__drops_paths_before_it_drops_sources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__finds_the_message_of_older_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__cuts_a_message_that_is_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__takes_sizes_and_times_from_the_texts_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__a_few_long_lines_are_not_rewritten_in_vain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record_sum__adds_up_the_tiers_of_a_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record_sum__uploaded_means_all_of_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
