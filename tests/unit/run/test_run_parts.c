/* Locks, hooks, and what stands between sources and sinks. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "plan/home.h"
#include "run/hooks.h"
#include "run/host_lock.h"
#include "run/open_sink.h"
#include "run/tier_files.h"
#include "run/watched_source.h"
#include "source/virtual.h"
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

/* --- the lock */

/* Whether another process gets it. */
static int try_elsewhere(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct host_lock *l;
        struct err err = {0};
        int rc = host_lock_acquire(&l, dir, false, &err);
        _exit(rc == 0 ? 0 : err.code == ERR_LOCKED && strstr(err.message, "run of a, b") != NULL ? 11 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

/* Such as one that hangs in a network drive that is gone: it has all our descriptors. */
static void test_host_lock__ends_though_a_child_lives(void **state)
{
    (void)state;
    struct host_lock *l;
    struct err err = {0};
    assert_int_equal(host_lock_acquire(&l, dir, false, &err), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    host_lock_release(l);
    int rc = host_lock_acquire(&l, dir, false, &err);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(rc, 0);
    host_lock_release(l);
}

static void test_host_lock__keeps_others_out_and_says_who(void **state)
{
    (void)state;
    struct host_lock *l;
    struct err err = {0};
    char who[200];
    assert_false(host_lock_held(dir, who, sizeof who));
    assert_int_equal(host_lock_acquire(&l, dir, false, &err), 0);
    host_lock_describe(l, "run of a, b");
    assert_int_equal(try_elsewhere(), 11);
    assert_true(host_lock_held(dir, who, sizeof who));
    assert_non_null(strstr(who, "(run of a, b)"));
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld since", (long)getpid());
    assert_true(strncmp(who, pid, strlen(pid)) == 0);
    host_lock_release(l);
    assert_int_equal(try_elsewhere(), 0);
    assert_false(host_lock_held(dir, who, sizeof who));
    host_lock_release(NULL);
}

static void test_host_lock__ends_with_its_holder(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct host_lock *l;
        struct err err = {0};
        byte = host_lock_acquire(&l, dir, false, &err) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &byte, 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    struct host_lock *l;
    struct err err = {0};
    assert_int_equal(host_lock_acquire(&l, dir, false, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(host_lock_acquire(&l, dir, true, &err), 0);
    host_lock_release(l);
    close(ready[0]);
    close(ready[1]);
}

static void test_host_lock__needs_a_directory(void **state)
{
    (void)state;
    struct host_lock *l;
    struct err err = {0};
    scratch_write(dir, "file", "x", 1);
    char *below = os_path_join(dir, "file/below");
    assert_int_equal(host_lock_acquire(&l, below, false, &err), -1);
    assert_non_null(strstr(err.message, "state directory"));
    free(below);
}

/* --- hooks */

static struct plan_hooks hooks_of(const char *script)
{
    struct plan_hooks h = {0};
    struct strlist *lists[] = {&h.before, &h.after, &h.failure};
    for (size_t i = 0; i < 3; i++) {
        strlist_add(lists[i], "/bin/sh");
        strlist_add(lists[i], "-c");
        strlist_add(lists[i], script);
    }
    return h;
}

static void hooks_release(struct plan_hooks *h)
{
    strlist_release(&h->before);
    strlist_release(&h->after);
    strlist_release(&h->failure);
}

static void test_hooks__hear_of_the_run(void **state)
{
    (void)state;
    struct err err = {0};
    char *script = mem_printf("env | grep ^CLAWBACK_ | sort > %s/heard", dir), *heard = os_path_join(dir, "heard");
    struct plan_hooks h = hooks_of(script);
    struct record r = {.status = RECORD_FAILED, .bytes_processed = 5, .bytes_added = 4, .exit_code = 1};
    r.error = mem_strdup("no space");
    strlist_add(&r.snapshots, "a");
    strlist_add(&r.snapshots, "b");
    unsetenv("CLAWBACK_PASSPHRASE");
    assert_int_equal(hook_run(&h, HOOK_FAILURE, "0011", "config", &r, &err), 0);
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(os_read_file(heard, &text, NULL), 0);
    assert_string_equal(buf_cstr(&text), "CLAWBACK_BYTES_ADDED=4\nCLAWBACK_BYTES_PROCESSED=5\nCLAWBACK_ERROR=no space\n"
                                         "CLAWBACK_EXIT_CODE=1\nCLAWBACK_HOOK=failure\nCLAWBACK_RUN_ID=0011\n"
                                         "CLAWBACK_SNAPSHOTS=a b\nCLAWBACK_STATUS=failed\nCLAWBACK_TIER=config\n");
    buf_clear(&text);
    assert_int_equal(hook_run(&h, HOOK_BEFORE, "0011", NULL, NULL, &err), 0);
    assert_int_equal(os_read_file(heard, &text, NULL), 0);
    assert_string_equal(buf_cstr(&text), "CLAWBACK_HOOK=before\nCLAWBACK_RUN_ID=0011\n");
    assert_int_equal(hook_run(&h, HOOK_AFTER, "0011", NULL, NULL, &err), 0);
    buf_release(&text);
    record_release(&r);
    hooks_release(&h);
    free(script);
    free(heard);
}

static void test_hooks__failures_and_timeouts_are_errors(void **state)
{
    (void)state;
    struct err err = {0};
    struct plan_hooks none = {0}, h = hooks_of("echo why >&2; exit 4");
    assert_int_equal(hook_run(&none, HOOK_BEFORE, "1", "t", NULL, &err), 0);
    assert_int_equal(hook_run(&h, HOOK_BEFORE, "1", "t", NULL, &err), -1);
    assert_non_null(strstr(err.message, "hook 'before' of tier t"));
    assert_non_null(strstr(err.message, "why"));
    hooks_release(&h);
    h = hooks_of("sleep 60");
    h.timeout_ms = 100;
    assert_int_equal(hook_run(&h, HOOK_AFTER, "1", NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    hooks_release(&h);
}

/* --- a source and a sink that fail when they are told to */

struct double_source {
    struct source source;
    int start_rc, push_rc;
    bool freed;
};

static int double_start(struct source *s, const struct sink_reporter *reporter, struct err *err)
{
    (void)reporter;
    (void)err;
    return ((struct double_source *)s)->start_rc;
}

static int double_push(struct source *s, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    (void)reporter;
    struct virtual_tree *t = virtual_tree_new((struct timespec){0});
    virtual_tree_add(t, "a/.env", bytes_content_new("KEY=secret", 10));
    virtual_tree_add(t, "a/plain", bytes_content_new("text", 4));
    int rc = virtual_tree_push(t, sink, err);
    virtual_tree_free(t);
    return rc != 0 ? rc : ((struct double_source *)s)->push_rc;
}

static void double_free(struct source *s)
{
    ((struct double_source *)s)->freed = true;
}

static const struct source_ops DOUBLE_OPS = {.start = double_start, .push = double_push, .free = double_free};

struct double_sink {
    struct sink sink;
    int dirs, files, rc;
};

static int double_dir_begin(struct sink *s, const struct node *dir_node, struct err *err)
{
    (void)dir_node;
    (void)err;
    ((struct double_sink *)s)->dirs++;
    return ((struct double_sink *)s)->rc;
}

static int double_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                        struct err *err)
{
    (void)node;
    (void)path;
    (void)err;
    if (content != NULL)
        content->release(content->ctx);
    ((struct double_sink *)s)->files++;
    return 0;
}

static int double_dir_end(struct sink *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}

static const struct sink_ops SINK_OPS = {
    .dir_begin = double_dir_begin, .entry = double_entry, .dir_end = double_dir_end};

static void test_watched_source__tells_whose_fault_it_was(void **state)
{
    (void)state;
    static const struct {
        int start, push, sink;
        bool fault;
    } CASES[] = {{0, 0, 0, false}, {-1, 0, 0, true}, {0, -1, 0, true}, {0, 0, -1, false}, {0, -1, -1, false}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct double_source inner = {
            .source = {.ops = &DOUBLE_OPS, .strict = true}, .start_rc = CASES[i].start, .push_rc = CASES[i].push};
        struct double_sink sink = {.sink = {.ops = &SINK_OPS}, .rc = CASES[i].sink};
        struct sink_reporter reporter = {0};
        struct err err = {0};
        strlist_add(&inner.source.paths, "/x");
        struct source *s = watched_source_new(&inner.source);
        assert_true(s->strict);
        assert_string_equal(s->paths.items[0], "/x");
        int started = source_start(s, &reporter, &err);
        assert_int_equal(started, CASES[i].start);
        if (started == 0)
            assert_int_equal(source_push(s, &sink.sink, &reporter, &err), CASES[i].push | CASES[i].sink);
        assert_int_equal(watched_source_failed(s), CASES[i].fault);
        source_free(s);
        assert_true(inner.freed);
    }
}

/* Two files whose sizes are known before they are read, as those of a file system are. */
static int sized_push(struct source *s, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    const struct node dir_node = {.name = "a", .name_len = 1}, link = {.name = "c", .name_len = 1, .size = 1000},
                      files[] = {{.name = "x", .name_len = 1, .size = 10}, {.name = "y", .name_len = 1, .size = 4}};
    (void)s;
    (void)reporter;
    sink->ops->dir_begin(sink, &dir_node, err);
    for (int i = 0; i < 2; i++)
        sink->ops->entry(sink, &files[i], "", bytes_content_new("", 0), err);
    sink->ops->entry(sink, &link, "", NULL, err);
    return sink->ops->dir_end(sink, err);
}

static void test_watched_source__knows_where_the_bytes_are(void **state)
{
    (void)state;
    static const struct source_ops SIZED_OPS = {.push = sized_push, .free = double_free};
    struct double_source inner = {.source = {.ops = &SIZED_OPS}};
    struct double_sink sink = {.sink = {.ops = &SINK_OPS}};
    struct sink_reporter reporter = {0};
    struct err err = {0};
    size_t count;
    struct source *s = watched_source_new(&inner.source);
    assert_int_equal(source_push(s, &sink.sink, &reporter, &err), 0);
    struct record_path *paths = watched_source_take_paths(s, RECORD_PATHS_MAX, &count);
    assert_int_equal(count, 2);
    assert_string_equal(paths[0].path, "/a/x");
    assert_int_equal(paths[0].bytes, 10);
    assert_string_equal(paths[1].path, "/a/y");
    assert_int_equal(paths[1].bytes, 4);
    for (size_t i = 0; i < count; i++)
        free(paths[i].path);
    free(paths);
    source_free(s);
}

/* --- sizes of dumps */

/* A content whose first reading is no good, or none of them. */
struct double_dump {
    struct sink_content content;
    unsigned again;
    enum sink_finish outcome;
    int opened, closed, released;
};

static enum sink_finish dump_double_finish(void *state, struct node *node, struct err *err)
{
    struct double_dump *d = state;
    (void)err;
    node->size += 1000; /* as read: more than was known before */
    if (d->again > 0) {
        d->again--;
        return SINK_FINISH_AGAIN;
    }
    return d->outcome;
}

static void dump_double_close(void *state)
{
    ((struct double_dump *)state)->closed++;
}

static int dump_double_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    struct double_dump *d = ctx;
    (void)attempt;
    (void)node;
    (void)err;
    d->opened++;
    *out = (struct sink_stream){
        .state = d, .cut = SINK_CUT_FIXED, .cut_bytes = 4096, .finish = dump_double_finish, .close = dump_double_close};
    return 0;
}

static void dump_double_release(void *ctx)
{
    ((struct double_dump *)ctx)->released++;
}

static struct double_dump dump_of(enum sink_finish outcome, unsigned again)
{
    return (struct double_dump){.content = {.open = dump_double_open, .release = dump_double_release, .is_dump = true},
                                .again = again,
                                .outcome = outcome};
}

static struct double_dump doubles[5];
static int dumps_push(struct source *s, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    static const char *const NAMES[] = {"d", "c", "b", "a", "e"};
    (void)s;
    (void)reporter;
    for (size_t i = 0; i < 5; i++) {
        const struct node node = {.name = NAMES[i], .name_len = 1, .size = i};
        doubles[i].content.ctx = &doubles[i];
        if (sink->ops->entry(sink, &node, NAMES[i], &doubles[i].content, err) != 0)
            return -1;
    }
    return 0;
}

/* Reads all but what it is said to know already. */
static int reading_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                         struct err *err)
{
    (void)s;
    struct node copy = *node;
    enum sink_finish outcome = SINK_FINISH_AGAIN;
    for (unsigned attempt = 1; strcmp(path, "a") != 0 && outcome == SINK_FINISH_AGAIN; attempt++) {
        struct sink_stream stream;
        copy.size = node->size;
        assert_int_equal(content->open(content->ctx, attempt, &copy, &stream, err), 0);
        assert_int_equal(stream.cut, SINK_CUT_FIXED);
        assert_int_equal(stream.cut_bytes, 4096);
        assert_true(stream.hole == NULL && stream.skip == NULL);
        outcome = stream.finish(stream.state, &copy, err);
        stream.close(stream.state);
    }
    content->release(content->ctx);
    return 0;
}

static void test_watched_source__knows_each_dump_that_is_whole(void **state)
{
    (void)state;
    static const struct source_ops DUMPS_OPS = {.push = dumps_push, .free = double_free};
    static const struct sink_ops READING_OPS = {.entry = reading_entry};
    struct double_source inner = {.source = {.ops = &DUMPS_OPS}};
    struct sink sink = {.ops = &READING_OPS};
    struct sink_reporter reporter = {0};
    struct err err = {0};
    size_t count;
    doubles[0] = dump_of(SINK_FINISH_OK, 0);    /* d */
    doubles[1] = dump_of(SINK_FINISH_OK, 2);    /* c: read three times */
    doubles[2] = dump_of(SINK_FINISH_ERROR, 0); /* b */
    doubles[3] = dump_of(SINK_FINISH_OK, 0);    /* a: not read */
    doubles[4] = dump_of(SINK_FINISH_OK, 0);    /* e: no dump */
    doubles[4].content.is_dump = false;
    struct source *s = watched_source_new(&inner.source);
    assert_int_equal(source_push(s, &sink, &reporter, &err), 0);
    struct record_dump *dumps = watched_source_take_dumps(s, &count);
    assert_int_equal(count, 3);
    static const struct {
        const char *path;
        uint64_t bytes;
    } EXPECTED[] = {{"a", 3}, {"c", 1001}, {"d", 1000}};
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(dumps[i].path, EXPECTED[i].path);
        assert_int_equal(dumps[i].bytes, EXPECTED[i].bytes);
        assert_false(dumps[i].suspect);
        free(dumps[i].path);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(doubles[i].released, 1);
        assert_int_equal(doubles[i].opened, doubles[i].closed);
    }
    assert_int_equal(doubles[1].opened, 3);
    free(dumps);
    source_free(s);
}

static void note_excluded(void *ctx, const char *path, const char *why)
{
    struct strlist *l = ctx;
    char *text = mem_printf("%s: %s", path, why);
    strlist_add(l, text);
    free(text);
}

static void test_open_sink__keeps_secrets_out(void **state)
{
    (void)state;
    struct double_source source = {.source = {.ops = &DOUBLE_OPS}};
    struct double_sink sink = {.sink = {.ops = &SINK_OPS}};
    struct strlist told = {0};
    struct sink_reporter reporter = {.ctx = &told, .excluded = note_excluded};
    struct err err = {0};
    struct open_sink *o = open_sink_new(&sink.sink, &(struct plan){0}, &reporter);
    assert_int_equal(double_push(&source.source, open_sink_base(o), &reporter, &err), 0);
    assert_int_equal(sink.files, 1);
    assert_int_equal(sink.dirs, 1);
    assert_int_equal(open_sink_left_out(o), 1);
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.items[0], ".env"));
    reporter.excluded = NULL;
    assert_int_equal(double_push(&source.source, open_sink_base(o), &reporter, &err), 0);
    assert_int_equal(open_sink_left_out(o), 2);
    open_sink_free(o);
    open_sink_free(NULL);
    strlist_release(&told);
}

/* --- the files of a tier */

static char *below(const char *name)
{
    return os_path_join(dir, name);
}

static void make(const char *name)
{
    char *path = below(name);
    os_make_dirs(path, 0700, NULL);
    free(path);
}

static struct tier_files gather(const struct plan *p, const struct plan_tier *t)
{
    struct tier_files f;
    struct err err = {0};
    if (tier_files_gather(p, t, "/cache", &f, &err) != 0)
        fail_msg("%s", err.message);
    return f;
}

static bool takes(const struct tier_files *f, const char *name)
{
    char *path = below(name);
    bool yes = f->filter == NULL || !filter_match(f->filter, path);
    free(path);
    return yes;
}

static void test_tier_files__a_home_brings_its_excludes_and_what_is_elsewhere(void **state)
{
    (void)state;
    char *real = realpath(dir, NULL), *home = mem_printf("%s/agent", real), *work = mem_printf("%s/work", real);
    char *config = mem_printf("{agents: {defaults: {workspace: '%s'}}}", work);
    setenv("HOME", real, 1);
    make("agent/cache");
    make("agent/agents");
    make("work");
    scratch_write(home, "openclaw.json", config, strlen(config));
    struct plan p = {.host = "h"};
    struct plan_tier t = {.name = "t"};
    strlist_add(&t.files, home);
    strlist_add(&t.exclude, "*.log");
    struct tier_files f = gather(&p, &t);
    assert_true(strlist_contains(&f.paths, home) && strlist_contains(&f.paths, work));
    assert_false(takes(&f, "agent/cache/x") || takes(&f, "agent/x.log") || takes(&f, "work/node_modules"));
    assert_true(takes(&f, "agent/agents/x") && takes(&f, "work/cache"));
    assert_string_equal(f.excludes.items[f.excludes.count - 1], "*.log");
    tier_files_release(&f);
    t.no_agent_excludes = true;
    f = gather(&p, &t);
    assert_true(strlist_contains(&f.paths, work) && takes(&f, "agent/cache/x") && !takes(&f, "agent/x.log"));
    assert_false(takes(&f, "agent/.ssh") || takes(&f, "agent/agents/.ssh/x") || takes(&f, "work/.ssh/id"));
    assert_true(takes(&f, "elsewhere/.ssh"));
    assert_int_equal(f.unread.count, 0);
    tier_files_release(&f);
    scratch_write(home, "openclaw.json", "{nothing", 8);
    f = gather(&p, &t);
    assert_int_equal(f.unread.count, 1);
    assert_non_null(strstr(f.unread_why.items[0], f.unread.items[0]));
    tier_files_release(&f);
    strlist_release(&t.files);
    strlist_release(&t.exclude);
    free(real);
    free(home);
    free(work);
    free(config);
}

static void test_tier_files__other_directories_are_taken_whole(void **state)
{
    (void)state;
    char *data = below("data");
    setenv("HOME", data, 1);
    make("data/node_modules");
    struct plan p = {.host = "h"};
    struct plan_tier t = {.name = "t"};
    strlist_add(&t.files, data);
    struct tier_files f = gather(&p, &t);
    assert_int_equal(f.paths.count, 1);
    assert_true(takes(&f, "data/node_modules/x"));
    tier_files_release(&f);
    strlist_release(&t.files);
    free(data);
}

static void test_tier_files__what_is_ours_is_never_taken(void **state)
{
    (void)state;
    char *data = below("stuff"), *inside = below("stuff/backups"), *far = below("far");
    setenv("HOME", far, 1);
    make("stuff/backups");
    struct plan_destination d[] = {{.name = "inside", .location = inside}, {.name = "around", .location = dir}};
    struct plan p = {.host = "h", .destinations = d, .destination_count = 2};
    struct plan_tier t = {.name = "t"};
    strlist_add(&t.files, data);
    struct tier_files f = gather(&p, &t);
    assert_false(takes(&f, "stuff/backups/data/00/x"));
    assert_false(takes(&f, "data/x") || takes(&f, "archives/h/x") || takes(&f, "clawback-destination.json"));
    assert_true(takes(&f, "stuff/mine"));
    assert_true(filter_match(f.filter, "/cache/x"));
    tier_files_release(&f);
    strlist_release(&t.files);
    free(data);
    free(inside);
    free(far);
}

static void test_tier_files__a_bad_pattern_is_said(void **state)
{
    (void)state;
    struct plan p = {.host = "h"};
    struct plan_tier t = {.name = "t"};
    struct tier_files f;
    struct err err = {0};
    strlist_add(&t.files, "/nosuch");
    strlist_add(&t.exclude, "[a");
    assert_int_equal(tier_files_gather(&p, &t, NULL, &f, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    tier_files_release(&f);
    strlist_release(&t.files);
    strlist_release(&t.exclude);
}

int main(void)
{
    static const char *const VARIABLES[] = {"OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME",
                                            "OPENCLAW_PROFILE",   "CLAWDBOT_STATE_DIR",   "CLAWDBOT_CONFIG_PATH"};
    for (size_t i = 0; i < sizeof VARIABLES / sizeof *VARIABLES; i++)
        unsetenv(VARIABLES[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_host_lock__keeps_others_out_and_says_who, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_host_lock__ends_though_a_child_lives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_host_lock__ends_with_its_holder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_host_lock__needs_a_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hooks__hear_of_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hooks__failures_and_timeouts_are_errors, set_up, tear_down),
        cmocka_unit_test(test_watched_source__tells_whose_fault_it_was),
        cmocka_unit_test(test_watched_source__knows_each_dump_that_is_whole),
        cmocka_unit_test(test_watched_source__knows_where_the_bytes_are),
        cmocka_unit_test(test_open_sink__keeps_secrets_out),
        cmocka_unit_test_setup_teardown(test_tier_files__a_home_brings_its_excludes_and_what_is_elsewhere, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_tier_files__other_directories_are_taken_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tier_files__what_is_ours_is_never_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tier_files__a_bad_pattern_is_said, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
