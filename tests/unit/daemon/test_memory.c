#include "daemon/memory.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "daemon/scheduler_fixture.h"
#include "os/file.h"
#include "store/scratch.h"

static struct scheduler_memory full(const char *id)
{
    return (struct scheduler_memory){.id = (char *)(uintptr_t)id,
                                     .schedule = UINT64_C(0xfedcba9876543210),
                                     .handled_ms = START,
                                     .first_seen_ms = -5,
                                     .last_run_ms = INT64_MAX,
                                     .due_ms = INT64_MIN + 1,
                                     .retry_ms = 7,
                                     .asked_ms = 8,
                                     .attempt = 3,
                                     .depth = 4,
                                     .running = true};
}

static void expect_equal(const struct scheduler_memory *a, const struct scheduler_memory *b)
{
    assert_string_equal(a->id, b->id);
    assert_true(a->schedule == b->schedule && a->handled_ms == b->handled_ms && a->first_seen_ms == b->first_seen_ms);
    assert_true(a->last_run_ms == b->last_run_ms && a->due_ms == b->due_ms && a->retry_ms == b->retry_ms);
    assert_true(a->asked_ms == b->asked_ms && a->attempt == b->attempt && a->depth == b->depth);
    assert_true(a->running == b->running);
}

static void test_memory__reads_what_it_wrote(void **state)
{
    (void)state;
    static const char *const IDS[] = {"backup", "a \"quoted\" \\ one", "Sicherung täglich ☃", "{\"id\":\"x\"}"};
    struct scheduler_memory items[4];
    struct memory_list list;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < 4; i++)
        items[i] = i < 3 ? full(IDS[i]) : (struct scheduler_memory){.id = (char *)(uintptr_t)IDS[i]};
    memory_encode(items, 4, &text);
    memory_decode((const char *)text.data, text.len, &list);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.damaged, 0);
    for (size_t i = 0; i < 4; i++) {
        size_t found = 0;
        while (strcmp(list.items[found].id, IDS[i]) != 0)
            assert_true(++found < 4);
        expect_equal(&list.items[found], &items[i]);
    }
    memory_list_release(&list);
    buf_release(&text);
}

static void test_memory__the_last_line_of_a_job_counts(void **state)
{
    (void)state;
    struct memory_list list;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int64_t i = 1; i <= 50; i++)
        memory_encode((struct scheduler_memory[]){{.id = (char[]){"a"}, .handled_ms = i},
                                                  {.id = (char[]){"b"}, .handled_ms = -i}},
                      2, &text);
    memory_decode((const char *)text.data, text.len, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].handled_ms, 50);
    assert_int_equal(list.items[1].handled_ms, -50);
    memory_list_release(&list);
    memory_decode("", 0, &list);
    assert_int_equal(list.count, 0);
    memory_list_release(&list);
    buf_release(&text);
}

/* Cut anywhere, any byte changed: that line is lost, and nothing wrong is believed. */
static void test_memory__a_damaged_line_costs_itself(void **state)
{
    (void)state;
    struct scheduler_memory items[] = {full("first"), full("middle"), full("last")};
    struct memory_list list;
    struct buf text;
    buf_init(&text, 1 << 20);
    memory_encode(items, 3, &text);
    for (size_t cut = 0; cut < text.len; cut++) {
        memory_decode((const char *)text.data, cut, &list);
        assert_true(list.count <= 3 && list.damaged <= 1);
        for (size_t i = 0; i < list.count; i++)
            assert_int_equal(list.items[i].handled_ms, START);
        memory_list_release(&list);
    }
    for (size_t at = 0; at < text.len; at++)
        for (int flip = 1; flip < 256; flip *= 2) {
            text.data[at] ^= (unsigned char)flip;
            memory_decode((const char *)text.data, text.len, &list);
            assert_true(list.count >= 1 && list.count <= 3);
            for (size_t i = 0; i < list.count; i++) {
                items[0].id = list.items[i].id;
                expect_equal(&list.items[i], &items[0]);
            }
            memory_list_release(&list);
            text.data[at] ^= (unsigned char)flip;
        }
    buf_release(&text);
}

static void append_line(struct buf *text, const char *line)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (const char *p = line; *p != '\0'; p++)
        sum = (sum ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    buf_printf(text, "%s,\"sum\":\"%016llx\"}\n", line, (unsigned long long)sum);
}

static void test_memory__of_others_it_takes_what_it_knows(void **state)
{
    (void)state;
    struct memory_list list;
    struct buf text;
    buf_init(&text, 1 << 20);
    append_line(&text, "{\"id\":\"newer\",\"handledMs\":5,\"unknown\":{\"a\":[1,2]},\"attempt\":99999999999");
    append_line(&text, "{\"id\":\"twice\",\"id\":\"twice-again\"");
    append_line(&text, "{\"handledMs\":5");
    append_line(&text, "{\"id\":\"../x\"");
    append_line(&text, "{\"id\":\"nul\\u0000\"");
    append_line(&text, "{\"id\":7");
    append_line(&text, "{\"id\":\"x\",\"handledMs\":\"5\"");
    append_line(&text, "{\"id\":\"x\",\"schedule\":5");
    append_line(&text, "[");
    append_line(&text, "");
    buf_append_str(&text, "\n\n{}\n");
    memory_decode((const char *)text.data, text.len, &list);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0].id, "newer");
    assert_int_equal(list.items[0].handled_ms, 5);
    assert_int_equal(list.items[0].attempt, 1000000);
    assert_string_equal(list.items[1].id, "twice-again");
    assert_int_equal(list.damaged, 9);
    memory_list_release(&list);
    buf_release(&text);
}

/* ------------------------------------------------------------------------------------------------------------ the file
 */

static off_t size_of(const char *dir)
{
    struct stat st;
    char *path = os_path_join(dir, "daemon-memory.jsonl");
    off_t size = stat(path, &st) == 0 ? st.st_size : -1;
    if (size >= 0)
        assert_int_equal(st.st_mode & 07777, 0600);
    free(path);
    return size;
}

static void test_memory__what_was_saved_is_found_again(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct fixture f;
    struct memory_file *m;
    struct memory_list list;
    off_t largest = 0;
    fixture_init(&f);
    add_every(&f, "a", MINUTE);
    add_every(&f, "b", HOUR);
    set_jobs(&f);
    assert_int_equal(memory_open(dir, &m, &list, NULL), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(memory_save(m, f.s, NULL), 0);
    off_t whole = size_of(dir);
    assert_int_equal(memory_save(m, f.s, NULL), 0); /* nothing changed */
    assert_int_equal(size_of(dir), whole);
    for (int i = 0; i < 2000; i++) {
        struct scheduler_start start;
        pass(&f, MINUTE);
        while (scheduler_next_start(f.s, f.now, &start))
            ended(&f, start.job->id, JOB_OK);
        assert_int_equal(memory_save(m, f.s, NULL), 0);
        largest = size_of(dir) > largest ? size_of(dir) : largest;
    }
    assert_true(largest > 60000 && largest < 70000); /* it is replaced in time */
    memory_close(m);
    assert_int_equal(memory_open(dir, &m, &list, NULL), 0);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.damaged, 0);
    for (size_t i = 0; i < list.count; i++)
        expect_equal(&list.items[i], scheduler_memory_of(f.s, list.items[i].id));
    memory_list_release(&list);
    memory_close(m);
    memory_close(NULL);
    fixture_release(&f);
    scratch_remove(dir);
}

/* Writes fail within a line; what comes after is whole again. */
static void test_memory__a_full_disk_is_made_up_for(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct fixture f;
    struct memory_file *m;
    struct memory_list list;
    struct err err = {0};
    struct rlimit before, small;
    struct scheduler_start start;
    fixture_init(&f);
    add_every(&f, "a", MINUTE);
    set_jobs(&f);
    assert_int_equal(memory_open(dir, &m, &list, NULL), 0);
    assert_int_equal(memory_save(m, f.s, NULL), 0);
    pass(&f, MINUTE);
    assert_true(scheduler_next_start(f.s, f.now, &start));
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = (rlim_t)size_of(dir) + 10, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = memory_save(m, f.s, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err.message, "daemon-memory.jsonl"));
    memory_close(m);
    assert_int_equal(memory_open(dir, &m, &list, NULL), 0); /* killed now: what was saved before is there */
    assert_int_equal(list.count, 1);
    assert_int_equal(list.damaged, 1);
    assert_false(list.items[0].running);
    memory_list_release(&list);
    assert_int_equal(memory_save(m, f.s, NULL), 0);
    memory_close(m);
    assert_int_equal(memory_open(dir, &m, &list, NULL), 0);
    assert_int_equal(list.damaged, 0);
    assert_true(list.count == 1 && list.items[0].running);
    memory_list_release(&list);
    memory_close(m);
    fixture_release(&f);
    scratch_remove(dir);
}

/* A file in the way, a directory that went away: an error each time, and the next save writes all of it. */
static void test_memory__goes_on_without_a_file(void **state)
{
    (void)state;
    char *dir = scratch_make(), *path = os_path_join(dir, "daemon-memory.jsonl"), *moved = mem_printf("%s.moved", dir);
    struct fixture f;
    struct memory_file *m;
    struct memory_list list;
    struct err err = {0};
    fixture_init(&f);
    add_every(&f, "a", MINUTE);
    set_jobs(&f);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(memory_open(dir, &m, &list, &err), -1);
    assert_int_equal(list.count, 0);
    assert_int_equal(memory_save(m, f.s, &err), -1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(memory_save(m, f.s, &err), 0);
    assert_true(size_of(dir) > 0);
    assert_int_equal(rename(dir, moved), 0);
    assert_true(scheduler_ask(f.s, "a", f.now));
    assert_int_equal(memory_save(m, f.s, &err), -1);
    assert_int_equal(memory_save(m, f.s, &err), -1);
    assert_int_equal(rename(moved, dir), 0);
    assert_int_equal(memory_save(m, f.s, &err), 0);
    memory_close(m);
    assert_int_equal(memory_open(dir, &m, &list, &err), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].asked_ms, START);
    memory_list_release(&list);
    memory_close(m);
    fixture_release(&f);
    free(path);
    free(moved);
    scratch_remove(dir);
}

/* One too large is not read, and replaced. */
static void test_memory__a_file_without_end_is_not_read(void **state)
{
    (void)state;
    char *dir = scratch_make(), *path = os_path_join(dir, "daemon-memory.jsonl");
    struct memory_file *m;
    struct memory_list list;
    struct err err = {0};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, (off_t)MEMORY_FILE_MAX_BYTES + 1), 0);
    close(fd);
    assert_int_equal(memory_open(dir, &m, &list, &err), -1);
    assert_int_equal(list.count, 0);
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", MINUTE);
    set_jobs(&f);
    assert_int_equal(memory_save(m, f.s, &err), 0);
    assert_true(size_of(dir) < 1000);
    fixture_release(&f);
    memory_close(m);
    free(path);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__reads_what_it_wrote),
        cmocka_unit_test(test_memory__the_last_line_of_a_job_counts),
        cmocka_unit_test(test_memory__a_damaged_line_costs_itself),
        cmocka_unit_test(test_memory__of_others_it_takes_what_it_knows),
        cmocka_unit_test(test_memory__what_was_saved_is_found_again),
        cmocka_unit_test(test_memory__a_full_disk_is_made_up_for),
        cmocka_unit_test(test_memory__goes_on_without_a_file),
        cmocka_unit_test(test_memory__a_file_without_end_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
