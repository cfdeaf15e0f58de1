#include "monitor/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <cmocka.h>

#include "base/buf.h"
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

static void add(enum record_status status, time_t when, const char *run, int exit_code)
{
    struct err err = {0};
    struct record r = {.status = status, .time = {.tv_sec = when, .tv_nsec = 250000000}, .exit_code = exit_code};
    r.tier = mem_strdup("config");
    r.run_id = mem_strdup(run);
    r.pid = 4711;
    assert_int_equal(record_append(dir, &r, &err), 0);
    record_release(&r);
}

static void add_raw(const char *text)
{
    char *path = record_path(dir, "config");
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
    free(path);
}

static void whole_text(struct buf *out)
{
    char *path = record_path(dir, "config");
    buf_init(out, 64 << 20);
    assert_int_equal(os_read_file(path, out, NULL), 0);
    buf_cstr(out);
    free(path);
}

static struct record_list read_all(size_t max)
{
    struct record_list l;
    struct err err = {0};
    assert_int_equal(record_list_read(dir, "config", max, &l, &err), 0);
    return l;
}

static void fill(struct record *r)
{
    *r = (struct record){.status = RECORD_FAILED,
                         .time = {.tv_sec = 1770192135, .tv_nsec = 7000000},
                         .duration_ms = 134900,
                         .bytes_processed = 850000000,
                         .bytes_added = 77,
                         .exit_code = 1,
                         .interrupted = true,
                         .incomplete = true,
                         .retry = true,
                         .retry_at_ms = 1770192200007};
    r->tier = mem_strdup("config");
    r->run_id = mem_strdup("0011223344556677");
    r->error = mem_strdup("disk full: \"0.2GB\" free\n");
    strlist_add(&r->warnings, "w1");
    strlist_add(&r->snapshots, "abc");
    struct record_source *s = record_add_source(r, "/postgres/shop");
    s->status = RECORD_SKIPPED;
    s->message = mem_strdup("not running");
    s->bytes = 5;
    s->files = 6;
    s->unreadable = 7;
    s->suspect = true;
    record_add_dump(s, "/postgres/shop/a.dump", 12345678901, false);
    record_add_dump(s, "/postgres/shop/b.dump", 0, true);
    s->push = mem_strdup("3 updated");
    s->push_failed = true;
    strlist_add(&s->push_refs, "refs/heads/main rejected (non-fast-forward)");
    strlist_add(&s->push_refs, "refs/tags/v1 created");
    struct record_destination *d = record_add_destination(r, "usb");
    *d = (struct record_destination){.name = d->name,
                                     .status = RECORD_COMPLETED,
                                     .bytes_added = 1,
                                     .free_bytes = 2,
                                     .total_bytes = 3,
                                     .removed = 4,
                                     .verified = true,
                                     .pruned = true};
    d->message = mem_strdup("fine");
}

static void test_record__reads_what_it_wrote(void **state)
{
    (void)state;
    struct record r;
    struct err err = {0};
    fill(&r);
    assert_int_equal(record_append(dir, &r, &err), 0);
    record_release(&r);
    struct record_list l = read_all(10);
    assert_int_equal(l.count, 1);
    const struct record *got = &l.items[0];
    assert_int_equal(got->status, RECORD_FAILED);
    assert_int_equal(got->time.tv_sec, 1770192135);
    assert_int_equal(got->time.tv_nsec, 7000000);
    assert_string_equal(got->error, "disk full: \"0.2GB\" free\n");
    assert_true(got->retry && got->interrupted && got->incomplete && !got->uploaded);
    assert_true(got->retry_at_ms == 1770192200007);
    assert_int_equal(got->duration_ms, 134900);
    assert_int_equal(got->bytes_added, 77);
    assert_string_equal(got->warnings.items[0], "w1");
    assert_string_equal(got->snapshots.items[0], "abc");
    const struct record_source *s = &got->sources[0];
    assert_string_equal(s->name, "/postgres/shop");
    assert_int_equal(s->status, RECORD_SKIPPED);
    assert_true(s->suspect && s->push_failed && s->bytes == 5 && s->files == 6 && s->unreadable == 7);
    assert_int_equal(s->dump_count, 2);
    assert_string_equal(s->dumps[0].path, "/postgres/shop/a.dump");
    assert_true(s->dumps[0].bytes == 12345678901 && !s->dumps[0].suspect);
    assert_string_equal(s->dumps[1].path, "/postgres/shop/b.dump");
    assert_true(s->dumps[1].bytes == 0 && s->dumps[1].suspect);
    assert_string_equal(s->push, "3 updated");
    assert_int_equal(s->push_refs.count, 2);
    assert_string_equal(s->push_refs.items[0], "refs/heads/main rejected (non-fast-forward)");
    const struct record_destination *d = &got->destinations[0];
    assert_true(d->verified && d->pruned && d->bytes_added == 1 && d->free_bytes == 2 && d->total_bytes == 3);
    assert_true(d->removed == 4 && d->status == RECORD_COMPLETED);
    assert_string_equal(d->message, "fine");
    record_list_release(&l);
}

static void test_record__looks_as_the_document_has_it(void **state)
{
    (void)state;
    struct record r;
    struct buf text;
    add(RECORD_STARTED, 1770184800, "a", 0);
    fill(&r);
    r.status = RECORD_COMPLETED;
    r.uploaded = true;
    record_append(dir, &r, NULL);
    record_release(&r);
    whole_text(&text);
    const char *all = buf_cstr(&text);
    static const char FIRST[] = "{\"timestamp\":\"2026-02-04T06:00:00Z\",\"status\":\"started\",\"jobId\":\"config\",";
    assert_memory_equal(all, FIRST, sizeof FIRST - 1);
    const char *second = strchr(all, '\n') + 1;
    assert_non_null(strstr(second, "\"status\":\"completed\",\"jobId\":\"config\""));
    assert_non_null(strstr(second, "\"duration\":\"135s\",\"backupSize\":\"850MB\",\"uploaded\":true"));
    buf_release(&text);
}

static void test_record__rounds_sizes_for_people(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } CASES[] = {{0, "\"0B\""},         {999, "\"999B\""},        {1234, "\"1.2KB\""},       {9960, "\"10KB\""},
                 {999600, "\"1.0MB\""}, {850123456, "\"850MB\""}, {1234567890, "\"1.2GB\""}, {UINT64_MAX, "\"18EB\""}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct record r = {.status = RECORD_COMPLETED, .bytes_processed = CASES[i].bytes};
        struct buf text;
        r.tier = mem_strdup("config");
        assert_int_equal(record_append(dir, &r, NULL), 0);
        record_release(&r);
        whole_text(&text);
        assert_non_null(strstr(buf_cstr(&text), CASES[i].text));
        buf_release(&text);
    }
}

static void test_record__reads_lines_of_others(void **state)
{
    (void)state;
    add(RECORD_STARTED, 1, "a", 0);
    add_raw("{\"timestamp\":\"2026-02-04T08:02:45Z\",\"status\":\"completed\",\"jobId\":\"x\",\"duration\":\"165s\","
            "\"backupSize\":\"890MB\",\"uploaded\":true,\"new\":{\"a\":[1]}}\n");
    struct record_list l = read_all(10);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.items[1].time.tv_sec, 1770192165);
    assert_true(l.items[1].uploaded);
    record_list_release(&l);
}

static void test_record__passes_over_what_is_no_record(void **state)
{
    (void)state;
    add(RECORD_STARTED, 1, "a", 0);
    add_raw("not json\n\n[1]\n{\"status\":\"completed\"}\n{\"timestamp\":\"x\",\"status\":\"failed\"}\n"
            "{\"timestamp\":\"2026-02-04T08:02:45Z\",\"status\":\"dancing\"}\n"
            "{\"timestampMs\":1,\"status\":\"failed\",\"sources\":[1,{\"status\":\"odd\"}],\"destinations\":[{}],"
            "\"snapshots\":[1,\"a\"],\"bytesProcessed\":-4}\n");
    struct record_list l = read_all(100);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.damaged, 5);
    assert_int_equal(l.items[1].source_count, 2);
    assert_int_equal(l.items[1].snapshots.count, 1);
    assert_int_equal(l.items[1].bytes_processed, 0);
    record_list_release(&l);
}

static void test_record__goes_on_after_a_torn_line(void **state)
{
    (void)state;
    add(RECORD_STARTED, 1, "a", 0);
    add_raw("{\"timestamp\":\"2026-02-04T08:");
    add(RECORD_COMPLETED, 2, "b", 0);
    struct record_list l = read_all(10);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.damaged, 1);
    assert_string_equal(l.items[1].run_id, "b");
    record_list_release(&l);
}

static void test_record__survives_text_that_is_no_utf8(void **state)
{
    (void)state;
    struct record r = {.status = RECORD_FAILED, .error = mem_strdup("cannot read '\xff\xfe'")};
    r.tier = mem_strdup("config");
    assert_int_equal(record_append(dir, &r, NULL), 0);
    record_release(&r);
    struct record_list l = read_all(1);
    assert_string_equal(l.items[0].error, "cannot read '\?\?'");
    record_list_release(&l);
}

static void test_record__drops_lists_that_are_too_long(void **state)
{
    (void)state;
    struct record r = {.status = RECORD_COMPLETED};
    r.tier = mem_strdup("config");
    char *warning = mem_zalloc(20001);
    memset(warning, 'w', 20000);
    for (int i = 0; i < 80; i++)
        strlist_add(&r.warnings, warning);
    free(warning);
    assert_int_equal(record_append(dir, &r, NULL), 0);
    record_release(&r);
    struct record_list l = read_all(1);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.items[0].warnings.count, 0);
    record_list_release(&l);
}

static void test_record__keeps_the_last_lines_of_a_long_log(void **state)
{
    (void)state;
    struct buf text;
    char id[20];
    for (int i = 0; i < 2500; i++) {
        struct record r = {.status = RECORD_COMPLETED, .time = {.tv_sec = i}};
        char message[700];
        memset(message, 'm', sizeof message - 1);
        message[sizeof message - 1] = '\0';
        snprintf(id, sizeof id, "%d", i);
        r.tier = mem_strdup("config");
        r.run_id = mem_strdup(id);
        strlist_add(&r.warnings, message);
        assert_int_equal(record_append(dir, &r, NULL), 0);
        record_release(&r);
    }
    whole_text(&text);
    assert_true(text.len <= RECORD_FILE_MAX_BYTES);
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    assert_true(lines >= RECORD_KEPT_LINES && lines < 2500);
    buf_release(&text);
    struct record_list l = read_all(5000);
    assert_int_equal(l.count, RECORD_KEPT_LINES);
    assert_int_equal(l.damaged, 0);
    assert_string_equal(l.items[l.count - 1].run_id, "2499");
    record_list_release(&l);
    l = read_all(3);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.items[0].run_id, "2497");
    record_list_release(&l);
    l = read_all(0);
    assert_int_equal(l.count, 0);
    record_list_release(&l);
}

static void test_record__reads_only_the_end_of_a_huge_log(void **state)
{
    (void)state;
    add(RECORD_STARTED, 1, "first", 0);
    char *path = record_path(dir, "config"), *junk = mem_zalloc((1 << 20) + 1);
    memset(junk, 'j', 1 << 20);
    FILE *f = fopen(path, "a");
    for (int i = 0; i < 6; i++)
        fprintf(f, "%s\n", junk);
    fclose(f);
    free(junk);
    add_raw("{\"timestampMs\":5,\"status\":\"completed\",\"runId\":\"last\"}\n");
    struct record_list l = read_all(10);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.items[0].run_id, "last");
    record_list_release(&l);
    free(path);
}

static void test_record__of_a_tier_that_never_ran_is_empty(void **state)
{
    (void)state;
    struct record_list l = read_all(10);
    assert_int_equal(l.count, 0);
    assert_null(record_last_ended(&l));
    assert_null(record_last_good(&l, 0));
    assert_null(record_unended(&l));
    assert_int_equal(record_last_started_ms(&l), 0);
    record_list_release(&l);
}

static void test_record__finds_the_last_of_each_kind(void **state)
{
    (void)state;
    add(RECORD_STARTED, 10, "a", 0);
    add(RECORD_COMPLETED, 11, "a", 0);
    add(RECORD_STARTED, 20, "b", 0);
    add(RECORD_COMPLETED, 21, "b", 3);
    add(RECORD_STARTED, 30, "c", 0);
    add(RECORD_FAILED, 31, "c", 1);
    struct record_list l = read_all(10);
    assert_string_equal(record_last_ended(&l)->run_id, "c");
    assert_string_equal(record_last_good(&l, 0)->run_id, "a");
    assert_string_equal(record_last_good(&l, 3)->run_id, "b");
    assert_null(record_unended(&l));
    assert_true(record_last_started_ms(&l) == 30250);
    record_list_release(&l);
    add(RECORD_STARTED, 40, "d", 0);
    l = read_all(10);
    assert_string_equal(record_unended(&l)->run_id, "d");
    assert_string_equal(record_last_ended(&l)->run_id, "c");
    record_list_release(&l);
}

static void test_record__files_are_private(void **state)
{
    (void)state;
    struct stat st;
    add(RECORD_STARTED, 1, "a", 0);
    char *path = record_path(dir, "config"), *runs = os_path_join(dir, "runs");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(runs, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    free(path);
    free(runs);
}

static void test_record__a_tiers_name_stays_in_its_directory(void **state)
{
    (void)state;
    char *path = record_path("/s", "../x/y");
    assert_string_equal(path, "/s/runs/_._x_y.jsonl");
    free(path);
}

static void test_record__says_what_cannot_be_written(void **state)
{
    (void)state;
    struct err err = {0};
    struct record r = {.tier = mem_strdup("config")};
    scratch_write(dir, "file", "x", 1);
    char *below = os_path_join(dir, "file");
    assert_int_equal(record_append(below, &r, &err), -1);
    assert_true(err.message[0] != '\0');
    free(below);
    /* A directory in the place of the log. */
    char *path = record_path(dir, "config");
    assert_int_equal(os_make_dirs(path, 0700, &err), 0);
    assert_int_equal(record_append(dir, &r, &err), -1);
    assert_non_null(strstr(err.message, "log '"));
    struct record_list l;
    assert_int_equal(record_list_read(dir, "config", 1, &l, &err), -1);
    free(path);
    record_release(&r);
}

/* What does not fit is not there by half. */
static void test_record__a_full_disk_tears_nothing(void **state)
{
    (void)state;
    struct buf before, after;
    struct err err = {0};
    struct record r = {.status = RECORD_COMPLETED, .tier = mem_strdup("config")};
    add(RECORD_STARTED, 1, "a", 0);
    whole_text(&before);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = before.len + 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = record_append(dir, &r, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(rc, -1);
    whole_text(&after);
    assert_int_equal(after.len, before.len);
    buf_release(&before);
    buf_release(&after);
    record_release(&r);
}

static void test_record__state_lies_where_the_environment_says(void **state)
{
    (void)state;
    static const struct {
        const char *own, *xdg, *home, *expected;
    } CASES[] = {{"/own//x", "/xdg", "/home/a", "/own/x"},
                 {"", "/xdg", "/home/a", "/xdg/clawback"},
                 {NULL, "relative", "/home/a", "/home/a/.local/state/clawback"},
                 {NULL, NULL, "/home/a", "/home/a/.local/state/clawback"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        CASES[i].own != NULL ? setenv("CLAWBACK_STATE_DIR", CASES[i].own, 1) : unsetenv("CLAWBACK_STATE_DIR");
        CASES[i].xdg != NULL ? setenv("XDG_STATE_HOME", CASES[i].xdg, 1) : unsetenv("XDG_STATE_HOME");
        setenv("HOME", CASES[i].home, 1);
        char *found = record_state_dir();
        assert_string_equal(found, CASES[i].expected);
        free(found);
    }
    unsetenv("CLAWBACK_STATE_DIR");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    if (geteuid() == 0) {
        char *found = record_state_dir();
        assert_string_equal(found, "/var/lib/clawback");
        free(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_record__reads_what_it_wrote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__looks_as_the_document_has_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__rounds_sizes_for_people, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__reads_lines_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__passes_over_what_is_no_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__goes_on_after_a_torn_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__survives_text_that_is_no_utf8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__drops_lists_that_are_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__keeps_the_last_lines_of_a_long_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__reads_only_the_end_of_a_huge_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__of_a_tier_that_never_ran_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__finds_the_last_of_each_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__files_are_private, set_up, tear_down),
        cmocka_unit_test(test_record__a_tiers_name_stays_in_its_directory),
        cmocka_unit_test_setup_teardown(test_record__says_what_cannot_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record__a_full_disk_tears_nothing, set_up, tear_down),
        cmocka_unit_test(test_record__state_lies_where_the_environment_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
