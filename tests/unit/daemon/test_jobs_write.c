/* Writing jobs.json: what changes, what stays, and who else writes it. */
#include "daemon/jobs_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "daemon/jobs_replace.h"
#include "daemon/jobs_text.h"
#include "os/clock.h"
#include "store/scratch.h"

enum { NOW = 1000 };

static char *dir, *path;

static int set_up(void **state)
{
    (void)state;
    dir = scratch_make();
    path = jobs_file_default(dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jobs_replace_set_hook(NULL);
    free(path);
    scratch_remove(dir);
    return 0;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* The caller frees it. */
static char *file_text(void)
{
    struct buf b;
    buf_init(&b, 16 << 20);
    if (os_read_file(path, &b, NULL) != 0)
        return mem_strdup("(none)");
    char *text = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    return text;
}

static void expect_file(const char *expected)
{
    char *text = file_text();
    assert_string_equal(text, expected);
    free(text);
}

/* Nothing but the file itself may be left in its directory. */
static void expect_alone(void)
{
    size_t count = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += *e->d_name != '.';
    closedir(d);
    assert_int_equal(count, 1);
}

static void enable(const char *id, bool on)
{
    struct jobs_change c = {.id = id, .set_enabled = true, .enabled = on};
    struct err err = {0};
    if (jobs_file_change(path, &c, 1, NOW, &err) != 0)
        fail_msg("%s", err.message);
}

static void ran(const char *id, int64_t when, enum job_status status, uint64_t duration)
{
    struct jobs_change c = {
        .id = id, .set_state = true, .last_run_ms = when, .last_status = status, .last_duration_ms = duration};
    struct err err = {0};
    if (jobs_file_change(path, &c, 1, NOW, &err) != 0)
        fail_msg("%s", err.message);
}

/* --- what changes --- */

static void test_jobs_write__changes_the_bytes_of_a_value_only(void **state)
{
    (void)state;
    write_file(
        "{ // mine\n \"version\" : 1,\n\"jobs\":[{\"id\":\"a\" , 'enabled':false /* not yet */, updatedAtMs : 5 ,"
        "\n\tstate:{ \"lastStatus\" :\"pending\",\"x\":[1,  2], \"lastRunAtMs\":null, "
        "\"lastDurationMs\":0}\n},],}\n\n");
    enable("a", true);
    expect_file(
        "{ // mine\n \"version\" : 1,\n\"jobs\":[{\"id\":\"a\" , 'enabled':true /* not yet */, updatedAtMs : 1000 ,"
        "\n\tstate:{ \"lastStatus\" :\"pending\",\"x\":[1,  2], \"lastRunAtMs\":null, "
        "\"lastDurationMs\":0}\n},],}\n\n");
    ran("a", 77, JOB_OK, 8);
    expect_file(
        "{ // mine\n \"version\" : 1,\n\"jobs\":[{\"id\":\"a\" , 'enabled':true /* not yet */, updatedAtMs : 1000 ,"
        "\n\tstate:{ \"lastStatus\" :\"ok\",\"x\":[1,  2], \"lastRunAtMs\":77, \"lastDurationMs\":8}\n},],}\n\n");
    expect_alone();
}

static void expect_ran(const char *before, const char *after)
{
    write_file(before);
    ran("a", 7, JOB_ERROR, 9);
    expect_file(after);
}

#define STATE "{\"lastRunAtMs\": 7, \"lastStatus\": \"error\", \"lastDurationMs\": 9}"

static void test_jobs_write__adds_members_that_look_like_their_neighbours(void **state)
{
    (void)state;
    expect_ran("[{\"id\":\"a\"}]", "[{\"id\":\"a\",\"state\":" STATE "}]");
    expect_ran("[{\"id\": \"a\"}]", "[{\"id\": \"a\", \"state\": " STATE "}]");
    expect_ran("[{\"x\":1,\"id\":\"a\"}]", "[{\"x\":1,\"id\":\"a\",\"state\":" STATE "}]");
    expect_ran("[{x:1, id:'a'}]", "[{x:1, id:'a', \"state\":" STATE "}]");
    expect_ran("[\n  {\n    \"id\": \"a\"\n  }\n]", "[\n  {\n    \"id\": \"a\",\n    \"state\": " STATE "\n  }\n]");
    expect_ran("[{\r\n\t\"id\" : \"a\"\r\n}]", "[{\r\n\t\"id\" : \"a\",\r\n\t\"state\" : " STATE "\r\n}]");
    expect_ran("[{\n \"id\": \"a\", // name\n}]", "[{\n \"id\": \"a\", // name\n \"state\": " STATE ",\n}]");
    expect_ran("[{\n \"id\": \"a\" // name\n}]", "[{\n \"id\": \"a\", // name\n \"state\": " STATE "\n}]");
    expect_ran("[{\"id\": \"a\" // name\n}]", "[{\"id\": \"a\", // name\n\"state\": " STATE "\n}]");
    expect_ran("[{\"id\": \"a\" // name\r\n}]", "[{\"id\": \"a\", // name\r\n\"state\": " STATE "\r\n}]");
    expect_ran("[{\"id\": \"a\" /* x */ /* y\n*/}]", "[{\"id\": \"a\", /* x */ \"state\": " STATE " /* y\n*/}]");
    expect_ran("[{\"id\": \"a\" /**/ , /* * / */ }]", "[{\"id\": \"a\" /**/ , /* * / */ \"state\": " STATE ", }]");
    expect_ran("[{\"id\"/*k*/:/*v*/\"a\"}]", "[{\"id\"/*k*/:/*v*/\"a\",\"state\": " STATE "}]");
    expect_ran("[{id:'a',state:{}}]",
               "[{id:'a',state:{\"lastRunAtMs\": 7, \"lastStatus\": \"error\", \"lastDurationMs\": 9}}]");
    expect_ran("[{id:'a',state:{/* none */}}]",
               "[{id:'a',state:{\"lastRunAtMs\": 7, \"lastStatus\": \"error\", \"lastDurationMs\": 9/* none */}}]");
    expect_ran("[{\"id\": \"a\" // name\xE2\x80\xA9}]", "[{\"id\": \"a\", // name\n\"state\": " STATE "\xE2\x80\xA9}]");
    expect_ran("[{\"id\": \"a\" /*/ x */}]", "[{\"id\": \"a\", /*/ x */ \"state\": " STATE "}]");
    expect_ran("[{id:'a',state:null}]", "[{id:'a',state:" STATE "}]");
    expect_ran("[{id:'a',state:'?'}]", "[{id:'a',state:" STATE "}]");
    expect_ran("[{id:'a',state:{lastStatus:'x',lastStatus:'ok'}}]",
               "[{id:'a',state:{lastStatus:'x',lastStatus:\"error\",\"lastRunAtMs\":7,\"lastDurationMs\":9}}]");
}

static void test_jobs_write__changes_many_at_once_and_the_last_word_counts(void **state)
{
    (void)state;
    write_file("[{id:'a'},{id:'b'},{id:'c',enabled:true}]");
    struct jobs_change c[] = {
        {.id = "a", .set_enabled = true, .enabled = true},
        {.id = "b", .set_state = true, .last_run_ms = 1, .last_status = JOB_OK},
        {.id = "a", .set_enabled = true, .enabled = false},
        {.id = "gone", .set_enabled = true, .enabled = false},
        {.id = "b", .set_state = true, .last_run_ms = 2, .last_status = JOB_SKIPPED, .last_duration_ms = 3},
        {.id = "c", .set_enabled = true, .enabled = false},
    };
    assert_int_equal(jobs_file_change(path, c, sizeof c / sizeof *c, NOW, NULL), 0);
    expect_file("[{id:'a',\"enabled\":false,\"updatedAtMs\":1000},"
                "{id:'b',\"state\":{\"lastRunAtMs\": 2, \"lastStatus\": \"skipped\", \"lastDurationMs\": 3}},"
                "{id:'c',enabled:false,\"updatedAtMs\":1000}]");
}

static void test_jobs_write__writes_nothing_when_nothing_changes(void **state)
{
    (void)state;
    struct stat before, after;
    write_file("[{id:'a',enabled:true,state:{lastRunAtMs:7,lastStatus:\"error\",lastDurationMs:9}},{id:'b'}]");
    assert_int_equal(stat(path, &before), 0);
    enable("a", true);
    enable("b", true); /* what is not said is true */
    ran("a", 7, JOB_ERROR, 9);
    ran("nobody", 7, JOB_ERROR, 9);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
}

static void test_jobs_write__changes_the_entry_that_reading_takes(void **state)
{
    (void)state;
    write_file(
        "[{id:'a',broken:1},{id:'a',schedule:{kind:'every',everyMs:1000},payload:{kind:'systemEvent',text:'x'}}]");
    enable("a", false);
    expect_file("[{id:'a',broken:1},{id:'a',schedule:{kind:'every',everyMs:1000},payload:{kind:'systemEvent',text:'x'},"
                "\"enabled\":false,\"updatedAtMs\":1000}]");
}

/* --- removing and putting --- */

static void expect_removed(const char *before, const char *after)
{
    struct err err = {0};
    write_file(before);
    if (jobs_file_remove(path, "a", &err) != 0)
        fail_msg("%s: %s", before, err.message);
    expect_file(after);
}

static void test_jobs_write__removes_an_entry_with_its_line(void **state)
{
    (void)state;
    expect_removed("[{id:'a'}]", "[]");
    expect_removed("[{id:'a'},{id:'b'}]", "[{id:'b'}]");
    expect_removed("[{id:'b'}, {id:'a'}]", "[{id:'b'} ]");
    expect_removed("[{id:'b'}, {id:'a'},]", "[{id:'b'}, ]");
    expect_removed("{\"jobs\": [\n  {\"id\": \"b\"},\n  {\"id\": \"a\"}\n]}", "{\"jobs\": [\n  {\"id\": \"b\"}\n]}");
    expect_removed("[\n  {\"id\": \"a\"}, // the first\n  {\"id\": \"b\"} // the second\n]",
                   "[\n  {\"id\": \"b\"} // the second\n]");
    expect_removed("[ // list\n  {\"id\": \"a\"}, {\"id\": \"b\"}\n]", "[ // list\n  {\"id\": \"b\"}\n]");
    expect_removed("[\n  {\"id\": \"b\"}, // comma\n  {\"id\": \"a\"} ]", "[\n  {\"id\": \"b\"} // comma\n  ]");
    expect_removed("[\r\n  {\r\n    \"id\": \"a\"\r\n  },\r\n  {\"id\": \"b\"}\r\n]\r\n",
                   "[\r\n  {\"id\": \"b\"}\r\n]\r\n");
    struct err err = {0};
    assert_int_equal(jobs_file_remove(path, "nobody", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    expect_file("[\r\n  {\"id\": \"b\"}\r\n]\r\n");
}

#define JOB                                                             \
    "\"schedule\": {\"kind\": \"interval\", \"intervalMs\": 7200000}, " \
    "\"payload\": {\"kind\": \"systemEvent\", \"command\": \"true\"}"

static void put(const char *entry)
{
    struct err err = {0};
    if (jobs_file_put(path, entry, NOW, &err) != 0)
        fail_msg("%s", err.message);
}

static void test_jobs_write__makes_a_file_with_the_first_entry(void **state)
{
    (void)state;
    struct stat st;
    free(path);
    path = mem_printf("%s/new/dir/jobs.json", dir);
    put("{\"id\": \"a\", " JOB "}");
    expect_file("{\n  \"version\": 1,\n  \"jobs\": [\n    {\n      \"id\": \"a\",\n      \"schedule\": {\n"
                "        \"kind\": \"interval\",\n        \"intervalMs\": 7200000\n      },\n      \"payload\": {\n"
                "        \"kind\": \"systemEvent\",\n        \"command\": \"true\"\n      },\n"
                "      \"createdAtMs\": 1000,\n      \"updatedAtMs\": 1000\n    }\n  ]\n}\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    put("{\"id\": \"b\", \"createdAtMs\": 5, " JOB "}");
    struct job_list jobs;
    struct jobs_report report;
    assert_int_equal(jobs_file_load(path, &jobs, &report, NULL), 0);
    assert_int_equal(jobs.count, 2);
    assert_int_equal(jobs.items[1].created_ms, 5);
    job_list_release(&jobs);
    jobs_report_release(&report);
}

static void test_jobs_write__puts_entries_into_lists_of_every_layout(void **state)
{
    (void)state;
#define ENTRY "{\"id\": \"z\", " JOB ", \"createdAtMs\": 1000, \"updatedAtMs\": 1000}"
    static const char *const CASES[][2] = {
        {"[]", "[" ENTRY "]"},
        {"[{\"id\":\"x\"}]", "[{\"id\":\"x\"}, " ENTRY "]"},
        {"[{\"id\":\"x\"},{\"id\":\"y\"},]", "[{\"id\":\"x\"},{\"id\":\"y\"}," ENTRY ",]"},
        {"{\"jobs\":[ ]}", "{\"jobs\":[" ENTRY " ]}"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        write_file(CASES[i][0]);
        put("{\"id\": \"z\", " JOB "}");
        expect_file(CASES[i][1]);
    }
    write_file("[\r\n\t{\"id\":\"x\"} // one\r\n]");
    put("{\"id\": \"z\", " JOB "}");
    char *text = file_text();
    assert_non_null(strstr(text, "{\"id\":\"x\"}, // one\r\n\t{\r\n\t  \"id\": \"z\",\r\n\t  \"schedule\""));
    free(text);
    write_file("{\n\t\"jobs\": []\r\n}");
    put("{\"id\": \"z\", " JOB "}");
    text = file_text();
    assert_non_null(strstr(text, "\t\"jobs\": [\n\t  {\n\t    \"id\": \"z\""));
    free(text);
}

static void test_jobs_write__puts_an_entry_over_an_old_one(void **state)
{
    (void)state;
    write_file("[{\n  \"id\": \"a\", // mine\n  \"agentId\": \"old\",\n  \"mystery\": [1, 2],\n  \"enabled\": false,\n"
               "  \"schedule\": { kind:'interval', intervalMs:7200000 /* 2 h */ },\n"
               "  \"payload\": {\"kind\": \"systemEvent\", \"command\": \"false\"},\n  \"createdAtMs\": 5,\n"
               "  \"state\": {\"lastRunAtMs\": 6},\n  \"timeoutMs\": 5000\n}]");
    put("{\"id\": \"a\", \"name\": \"n\", \"createdAtMs\": 99, \"updatedAtMs\": 98, \"enabled\": true, "
        "\"state\": {}, " JOB "}");
    static const char AFTER[] =
        "[{\n  \"id\": \"a\", // mine\n  \"mystery\": [1, 2],\n  \"enabled\": true,\n"
        "  \"schedule\": { kind:'interval', intervalMs:7200000 /* 2 h */ },\n"
        "  \"payload\": {\"kind\": \"systemEvent\", \"command\": \"true\"},\n  \"createdAtMs\": 5,\n"
        "  \"state\": {\"lastRunAtMs\": 6},\n  \"name\": \"n\",\n  \"updatedAtMs\": 1000\n}]";
    expect_file(AFTER);
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    struct err err = {0};
    assert_int_equal(jobs_file_put(path, "{\"id\": \"a\", \"name\": \"n\", \"enabled\": true, " JOB "}", 2 * NOW, &err),
                     0);
    expect_file(AFTER);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_int_equal(jobs_file_put(path, "{\"id\": \"a\", \"enabled\": true, " JOB "}", 2 * NOW, &err), 0);
    char *text = file_text();
    assert_null(strstr(text, "\"name\""));
    assert_non_null(strstr(text, "\"updatedAtMs\": 2000"));
    free(text);
}

static void test_jobs_write__puts_no_broken_entry_anywhere(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      "[]",
                                      "5",
                                      "{\"id\": \"a\"}",
                                      "{\"id\": \"../a\", " JOB "}",
                                      "{\"id\": \"a\"",
                                      "{\"id\": \"a\", \"state\": 5, \"retry\": 5, " JOB "}"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct err err = {0};
        assert_int_equal(jobs_file_put(path, BAD[i], NOW, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_int_equal(access(path, F_OK), -1);
    }
}

/* --- the file --- */

static void test_jobs_write__keeps_permissions_and_owner_and_follows_links(void **state)
{
    (void)state;
    struct stat st;
    char *link_path = os_path_join(dir, "link.json"), *real = path;
    write_file("[{id:'a'}]");
    assert_int_equal(chmod(path, 0640), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(chown(path, 65534, 65533), 0);
    assert_int_equal(symlink("jobs.json", link_path), 0);
    path = link_path;
    enable("a", false);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(real, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0640);
    if (root)
        assert_true(st.st_uid == 65534 && st.st_gid == 65533);
    expect_file("[{id:'a',\"enabled\":false,\"updatedAtMs\":1000}]");
    path = real;
    free(link_path);
}

static void test_jobs_write__touches_no_file_that_it_cannot_read(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "{\n", "[{id:'a'} {id:'b'}]", "{version:3,jobs:[{id:'a'}]}", "[{id:'a'}]x"};
    struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = false};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct err err = {0};
        write_file(BAD[i]);
        assert_int_equal(jobs_file_change(path, &c, 1, NOW, &err), -1);
        assert_int_equal(err.code, i == 3 ? ERR_UNSUPPORTED : ERR_CORRUPT);
        assert_non_null(strstr(err.message, path));
        assert_int_equal(jobs_file_put(path, "{\"id\": \"a\", " JOB "}", NOW, &err), -1);
        assert_int_equal(jobs_file_remove(path, "a", &err), -1);
        expect_file(BAD[i]);
        expect_alone();
    }
    struct err err = {0};
    assert_int_equal(unlink(path), 0);
    assert_int_equal(jobs_file_change(path, &c, 1, NOW, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(jobs_file_remove(path, "a", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_jobs_write__refuses_to_grow_beyond_the_limit(void **state)
{
    (void)state;
    size_t len = JOBS_FILE_MAX_BYTES - 20;
    char *text = mem_alloc(len + 1);
    memset(text, ' ', len);
    text[len] = '\0';
    memcpy(text, "[{id:'a'}]", 10);
    write_file(text);
    struct err err = {0};
    struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = false};
    assert_int_equal(jobs_file_change(path, &c, 1, NOW, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    expect_file(text);
    free(text);
}

static void test_jobs_write__removes_what_a_killed_process_left(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"jobs.json.tmp-0123456789abcdef", "jobs.json.tmp-notours",
                                        "jobs.json.tmp-0123456789abcdef0", "other.json.tmp-0123456789abcdef"};
    char *names[4];
    for (size_t i = 0; i < 4; i++) {
        names[i] = os_path_join(dir, NAMES[i]);
        assert_int_equal(os_write_file_atomic(names[i], "", 0, 0600, NULL), 0);
    }
    write_file("[{id:'a'}]");
    enable("a", false);
    assert_int_equal(access(names[0], F_OK), 0); /* it may be somebody's who is at work */
    struct timespec later = os_now();
    later.tv_sec += 3700;
    os_clock_set(&later);
    enable("a", true);
    os_clock_set(NULL);
    assert_int_equal(access(names[0], F_OK), -1);
    for (size_t i = 0; i < 4; i++) {
        assert_true(i == 0 || access(names[i], F_OK) == 0);
        free(names[i]);
    }
}

/* --- others who write it --- */

static int edits_left;
static enum jobs_replace_moment edit_moment;

/* An editor that replaces the file. */
static void edit_by_rename(const char *name, enum jobs_replace_moment moment)
{
    if (moment != edit_moment || edits_left-- <= 0)
        return;
    char *text = mem_printf("[{id:'a', theirs: %d}]", edits_left), *other = mem_printf("%s.editor", name);
    assert_int_equal(os_write_file_atomic(other, text, strlen(text), 0600, NULL), 0);
    assert_int_equal(rename(other, name), 0);
    free(text);
    free(other);
}

/* One that writes into it, with the same length. */
static void edit_in_place(const char *name, enum jobs_replace_moment moment)
{
    if (moment != edit_moment || edits_left-- <= 0)
        return;
    FILE *f = fopen(name, "r+");
    fprintf(f, "[{id:'a', theirs: %d}]", edits_left);
    fclose(f);
}

static void test_jobs_write__takes_what_others_wrote_meanwhile_as_the_base(void **state)
{
    (void)state;
    jobs_replace_hook *const editors[] = {edit_by_rename, edit_in_place};
    for (size_t i = 0; i < 4; i++) {
        edit_moment = i < 2 ? JOBS_BEFORE_COMPARING : JOBS_BEFORE_REPLACING;
        write_file("[{id:'a', theirs: 9}]");
        jobs_replace_set_hook(editors[i % 2]);
        edits_left = 3;
        enable("a", false);
        expect_file("[{id:'a', theirs: 0, \"enabled\": false, \"updatedAtMs\": 1000}]");
        jobs_replace_set_hook(NULL);
        expect_alone();
    }
}

static void test_jobs_write__gives_up_on_a_file_that_never_rests(void **state)
{
    (void)state;
    struct err err = {0};
    struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = false};
    write_file("[{id:'a', theirs: 9}]");
    jobs_replace_set_hook(edit_by_rename);
    edits_left = 1000;
    assert_int_equal(jobs_file_change(path, &c, 1, NOW, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    char *text = file_text();
    assert_null(strstr(text, "enabled"));
    free(text);
    expect_alone();
}

static void delete_it(const char *name, enum jobs_replace_moment moment)
{
    if (moment == edit_moment && edits_left-- > 0)
        assert_int_equal(unlink(name), 0);
}

static void create_it(const char *name, enum jobs_replace_moment moment)
{
    if (moment == edit_moment && edits_left-- > 0)
        assert_int_equal(os_write_file_atomic(name, "[{id:'x'}]", 10, 0600, NULL), 0);
}

static void test_jobs_write__sees_files_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct err err = {0};
        struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = false};
        edit_moment = i == 0 ? JOBS_BEFORE_COMPARING : JOBS_BEFORE_REPLACING;
        write_file("[{id:'a'}]");
        jobs_replace_set_hook(delete_it);
        edits_left = 1;
        assert_int_equal(jobs_file_change(path, &c, 1, NOW, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        jobs_replace_set_hook(create_it);
        edits_left = 1;
        put("{\"id\": \"z\", " JOB "}");
        expect_file("[{id:'x'}, " ENTRY "]");
        expect_alone();
    }
}

static void test_jobs_write__waits_for_a_lock_but_not_for_ever(void **state)
{
    (void)state;
    struct err err = {0};
    struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = false};
    write_file("[{id:'a'}]");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(jobs_file_change(path, &c, 1, NOW, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    assert_non_null(strstr(err.message, "another program holds it locked"));
    close(fd);
    enable("a", false);
}

static void test_jobs_write__a_full_disk_changes_nothing(void **state)
{
    (void)state;
    struct err err = {0};
    struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = false};
    struct rlimit old, small = {0};
    write_file("[{id:'a', name: 'a name that is long enough to be more than the limit'}]");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 40, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = jobs_file_change(path, &c, 1, NOW, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -1);
    expect_file("[{id:'a', name: 'a name that is long enough to be more than the limit'}]");
    expect_alone();
}

struct editor {
    _Atomic bool stop;
    unsigned counter;
};

/* Reads, raises a number, replaces, over and over: nobody may ever put the number back. */
static void *edit_over_and_over(void *ctx)
{
    struct editor *e = ctx;
    char *other = mem_printf("%s.editor", path);
    while (!e->stop) {
        char *text = file_text(), *number = strstr(text, "theirs:");
        assert_non_null(number);
        unsigned has = (unsigned)strtoul(number + 7, NULL, 10);
        assert_true(has == e->counter);
        char digits[8];
        snprintf(digits, sizeof digits, "%05u", ++e->counter);
        memcpy(number + 7, digits, 5);
        /* The leading zeros would be no JSON: a blank is. */
        for (char *p = number + 7; *p == '0' && p[1] >= '0' && p[1] <= '9'; p++)
            *p = ' ';
        assert_int_equal(os_write_file_atomic(other, text, strlen(text), 0600, NULL), 0);
        assert_int_equal(rename(other, path), 0);
        free(text);
        os_sleep_ms(2);
    }
    free(other);
    return NULL;
}

static void *switch_over_and_over(void *ctx)
{
    struct editor *e = ctx;
    bool on = false;
    while (!e->stop) {
        struct jobs_change c = {.id = "a", .set_enabled = true, .enabled = on = !on};
        jobs_file_change(path, &c, 1, NOW, NULL);
    }
    return NULL;
}

static void test_jobs_write__never_undoes_what_others_do_at_the_same_time(void **state)
{
    (void)state;
    struct editor e = {0};
    pthread_t threads[3];
    write_file("[{id:'a', theirs:    0, enabled: true}]");
    assert_int_equal(pthread_create(&threads[0], NULL, edit_over_and_over, &e), 0);
    for (int i = 1; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, switch_over_and_over, &e), 0);
    os_sleep_ms(600);
    e.stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(e.counter > 10);
    char *text = file_text();
    assert_int_equal(strtoul(strstr(text, "theirs:") + 7, NULL, 10), e.counter);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jobs_write__changes_the_bytes_of_a_value_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__adds_members_that_look_like_their_neighbours, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__changes_many_at_once_and_the_last_word_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__writes_nothing_when_nothing_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__changes_the_entry_that_reading_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__removes_an_entry_with_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__makes_a_file_with_the_first_entry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__puts_entries_into_lists_of_every_layout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__puts_an_entry_over_an_old_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__puts_no_broken_entry_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__keeps_permissions_and_owner_and_follows_links, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__touches_no_file_that_it_cannot_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__refuses_to_grow_beyond_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__removes_what_a_killed_process_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__takes_what_others_wrote_meanwhile_as_the_base, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__gives_up_on_a_file_that_never_rests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__sees_files_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__waits_for_a_lock_but_not_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__a_full_disk_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_write__never_undoes_what_others_do_at_the_same_time, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
