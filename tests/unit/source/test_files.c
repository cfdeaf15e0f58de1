#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/interrupt.h"
#include "source/files.h"
#include "source/recording_sink.h"

/* ---- running the source */

/* Paths are separated by a space and relative to the place. */
static int run_options(struct recorder *r, const char *paths, struct files_options options, struct err *err)
{
    struct strlist list = {0};
    char *copy = mem_strdup(paths), *rest = copy, *path;
    while ((path = strsep(&rest, " ")) != NULL) {
        char *full = path[0] == '/' ? mem_strdup(path) : place_path(r->place, path);
        strlist_add(&list, full);
        free(full);
    }
    options.paths = &list;
    struct files *f;
    int rc = files_new(&f, &options, &r->reporter, err);
    if (rc == 0) {
        rc = files_run(f, &r->sink, err);
        files_free(f);
    }
    free(copy);
    strlist_release(&list);
    return rc;
}

static void run(struct recorder *r, const char *paths, struct files_options options)
{
    struct err err = {0};
    if (run_options(r, paths, options, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(r->depth, 0);
}

static const struct files_options PLAIN = {.threads = 2};

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof *p);
    place_make(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    place_remove(p);
    free(p);
    return 0;
}

/* Runs with the options and compares what the sink was given, and the reports. */
static void expect(const struct place *p, const char *paths, struct files_options options, const char *order,
                   const char *reports)
{
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    run(r, paths, options);
    assert_string_equal(buf_cstr(&r->order), order);
    assert_string_equal(buf_cstr(&r->reports), reports);
    recorder_release(r);
    free(r);
}

/* ---- order and paths */

static void test_files__pushes_names_in_byte_order_depth_first(void **state)
{
    const struct place *p = *state;
    place_dir(p, "a");
    place_dir(p, "a/sub");
    place_file(p, "a/sub/deep", "");
    place_file(p, "a/z", "");
    place_file(p, "a-b", "");
    place_file(p, "a.b", "");
    place_file(p, "B", "");
    place_file(p, "\xff", "");
    place_file(p, "\xc3\xa4", "");
    place_file(p, "new\nline", "");
    place_file(p, "-", "");
    place_dir(p, "empty");
    expect(p, "", PLAIN,
           "/\n-\nB\na/\na/sub/\na/sub/deep\n/\na/z\n/\na-b\na.b\nempty/\n/\nnew\nline\n\xc3\xa4\n\xff\n/\n", "");
}

static void test_files__makes_nodes_of_the_parents(void **state)
{
    const struct place *p = *state;
    place_dir(p, "one");
    place_dir(p, "one/two");
    place_file(p, "one/two/file", "text");
    place_file(p, "one/other", "");
    assert_int_equal(fchmodat(p->fd, "one", 0701, 0), 0);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    r->want = "one";
    run(r, "one/two/file", PLAIN);
    assert_string_equal(buf_cstr(&r->order), "/\none/\none/two/\none/two/file\n/\n/\n/\n");
    assert_int_equal(r->parents, 1); /* /tmp */
    assert_int_equal(r->wanted.type, NODE_DIR);
    assert_int_equal(r->wanted.mode, NODE_MODE_DIR | 0701);
    assert_int_equal(r->last.type, NODE_FILE);
    assert_int_equal(r->last.size, 4);
    recorder_release(r);
    free(r);
}

static void test_files__takes_paths_within_paths_once(void **state)
{
    const struct place *p = *state;
    place_dir(p, "a");
    place_dir(p, "a/b");
    place_file(p, "a/b/x", "");
    place_file(p, "a/y", "");
    place_dir(p, "c");
    place_file(p, "c/z", "");
    place_file(p, "c/not", "");
    expect(p, "a/b a a/b a/y c/z a/b/x a//y ./c/./z", PLAIN, "/\na/\na/b/\na/b/x\n/\na/y\n/\nc/\nc/z\n/\n/\n", "");
}

static void test_files__stores_a_given_symlink_but_follows_one_on_the_way(void **state)
{
    const struct place *p = *state;
    place_dir(p, "real");
    place_dir(p, "real/in");
    place_file(p, "real/in/f", "");
    place_file(p, "real/out", "");
    assert_int_equal(symlinkat("real", p->fd, "link"), 0);
    expect(p, "link", PLAIN, "/\nlink\n/\n", "");
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    r->want = "link";
    run(r, "link/in", PLAIN);
    assert_string_equal(buf_cstr(&r->order), "/\nlink/\nlink/in/\nlink/in/f\n/\n/\n/\n");
    assert_int_equal(r->wanted.type, NODE_DIR);
    recorder_release(r);
    free(r);
}

static void test_files__reports_paths_that_do_not_exist(void **state)
{
    const struct place *p = *state;
    place_file(p, "f", "");
    expect(p, "f missing f/below", PLAIN, "/\nf\n/\n", "unreadable missing\nunreadable f/below\n");

    struct recorder *r = mem_alloc(sizeof *r);
    struct err err = {0};
    recorder_make(r, p);
    assert_int_equal(run_options(r, "missing gone/too", PLAIN, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(r->order.len, 0);
    assert_string_equal(buf_cstr(&r->reports), "unreadable missing\nunreadable gone/too\n");
    recorder_release(r);
    free(r);
}

static void test_files__rejects_relative_paths_and_bad_options(void **state)
{
    (void)state;
    struct strlist relative = {0}, good = {0}, empty_tag = {0}, tag_path = {0}, long_tag = {0};
    struct sink_reporter reporter = {0};
    struct err err;
    struct files *f;
    strlist_add(&relative, "not/absolute");
    strlist_add(&good, "/tmp");
    strlist_add(&empty_tag, ":header");
    strlist_add(&tag_path, "a/b");
    char *text = mem_zalloc(5000);
    memset(text, 'x', 4999);
    text[1] = ':';
    strlist_add(&long_tag, text);
    free(text);
    const struct files_options BAD[] = {{.paths = &relative},
                                        {.paths = &good, .exclude_if_present = &empty_tag},
                                        {.paths = &good, .exclude_if_present = &tag_path},
                                        {.paths = &good, .exclude_if_present = &long_tag}};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        err_clear(&err);
        assert_int_equal(files_new(&f, &BAD[i], &reporter, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
    strlist_release(&relative);
    strlist_release(&good);
    strlist_release(&empty_tag);
    strlist_release(&tag_path);
    strlist_release(&long_tag);
    files_free(NULL);
}

static void test_files__takes_the_root_itself(void **state)
{
    const struct place *p = *state;
    struct filter *all = filter_new();
    assert_int_equal(filter_add(all, "/*", false, NULL), 0);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    run(r, "/", (struct files_options){.exclude = all, .threads = 1});
    assert_int_equal(r->order.len, 0);
    assert_int_equal(r->parents, 0);
    assert_non_null(strstr(buf_cstr(&r->reports), "excluded /tmp: pattern\n"));
    recorder_release(r);
    free(r);
    filter_free(all);
}

/* ---- exclusion */

static void test_files__leaves_out_what_patterns_exclude(void **state)
{
    const struct place *p = *state;
    place_dir(p, "node_modules");
    place_file(p, "node_modules/x", "");
    place_file(p, "a.pyc", "");
    place_file(p, "a.py", "");
    place_dir(p, "given");
    place_file(p, "given/f", "");
    struct filter *f = filter_new();
    assert_int_equal(filter_add(f, "*.pyc", false, NULL), 0);
    assert_int_equal(filter_add(f, "node_modules", false, NULL), 0);
    expect(p, "", (struct files_options){.exclude = f, .threads = 1}, "/\na.py\ngiven/\ngiven/f\n/\n/\n",
           "excluded a.pyc: pattern\nexcluded node_modules: pattern\n");
    /* A given path may be excluded like any other; what leads to it stays. */
    assert_int_equal(filter_add(f, "given", false, NULL), 0);
    expect(p, "a.py given/f", (struct files_options){.exclude = f, .threads = 1}, "/\na.py\ngiven/\n/\n/\n",
           "excluded given/f: pattern\n");
    filter_free(f);
}

static void test_files__keeps_only_the_tag_of_a_tagged_directory(void **state)
{
    const struct place *p = *state;
    static const char TAG[] = "Signature: 8a477f597d28d172789f06886806bc55\n# more\n";
    place_dir(p, "cache");
    place_file(p, "cache/CACHEDIR.TAG", TAG);
    place_file(p, "cache/x", "");
    place_dir(p, "cache/sub");
    place_dir(p, "fake");
    place_file(p, "fake/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc5");
    place_file(p, "fake/x", "");
    place_dir(p, "named");
    place_file(p, "named/.nobackup", "");
    place_file(p, "named/x", "");
    place_dir(p, "headed");
    place_file(p, "headed/tag", "HEADER and more");
    place_file(p, "headed/x", "");
    place_dir(p, "other");
    place_file(p, "other/tag", "OTHER");
    struct strlist present = {0};
    strlist_add(&present, ".nobackup");
    strlist_add(&present, "tag:HEADER");
    struct files_options o = {.exclude_caches = true, .exclude_if_present = &present, .threads = 1};
    static const char WHY[] = "a file beside it marks the directory as excluded";
    char reports[1024];
    snprintf(reports, sizeof reports,
             "excluded cache/sub: %s\nexcluded cache/x: %s\nexcluded headed/x: %s\nexcluded named/x: %s\n", WHY, WHY,
             WHY, WHY);
    expect(p, "", o,
           "/\ncache/\ncache/CACHEDIR.TAG\n/\nfake/\nfake/CACHEDIR.TAG\nfake/x\n/\nheaded/\nheaded/tag\n/\n"
           "named/\nnamed/.nobackup\n/\nother/\nother/tag\n/\n/\n",
           reports);
    snprintf(reports, sizeof reports, "excluded named/x: %s\n", WHY);
    expect(p, "named/x", o, "/\nnamed/\n/\n/\n", reports);
    strlist_release(&present);
}

static void test_files__leaves_out_large_files(void **state)
{
    const struct place *p = *state;
    place_file(p, "small", "1234");
    place_file(p, "large", "12345");
    expect(p, "", (struct files_options){.exclude_larger_than = 4, .threads = 1}, "/\nsmall\n/\n",
           "excluded large: larger than the limit\n");
}

/* Runs `fn` in a process of its own; its exit status. */
static int in_child(void (*fn)(const struct place *p), const struct place *p)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn(p);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

enum { CHILD_FAILED = 1, CHILD_CANNOT = 77 };

/* As `expect`, but for a child. */
static void child_expect(const struct place *p, const char *paths, struct files_options options, const char *order,
                         const char *reports)
{
    struct recorder *r = mem_alloc(sizeof *r);
    struct err err = {0};
    recorder_make(r, p);
    r->read_files = true;
    int rc = run_options(r, paths, options, &err);
    if (rc != 0 || strcmp(buf_cstr(&r->order), order) != 0 || strcmp(buf_cstr(&r->reports), reports) != 0) {
        fprintf(stderr, "%d %s\n%s\n%s\n", rc, err.message, buf_cstr(&r->order), buf_cstr(&r->reports));
        _exit(CHILD_FAILED);
    }
    recorder_release(r);
    free(r);
}

static void mount_and_walk(const struct place *p)
{
    char *mount_point = place_path(p, "mnt");
    char *file = place_path(p, "mnt/inside"), *sub = place_path(p, "mnt/sub"), *bound = place_path(p, "bound");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", mount_point, "tmpfs", 0, NULL) != 0)
        _exit(CHILD_CANNOT);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    mkdir(sub, 0700);
    if (mount(file, bound, NULL, MS_BIND, NULL) != 0)
        _exit(CHILD_CANNOT);
    struct files_options o = {.one_file_system = true, .threads = 1};
    child_expect(p, "", o, "/\nmnt/\n/\nx\n/\n", "excluded bound: on another file system\n");
    child_expect(p, " mnt/sub", o, "/\nmnt/\nmnt/sub/\n/\n/\nx\n/\n",
                 "excluded bound: on another file system\nexcluded mnt/inside: on another file system\n");
    child_expect(p, "mnt", o, "/\nmnt/\nmnt/inside\nmnt/sub/\n/\n/\n/\n", "");
    o.one_file_system = false;
    child_expect(p, "", o, "/\nbound\nmnt/\nmnt/inside\nmnt/sub/\n/\n/\nx\n/\n", "");
}

static void test_files__stays_on_one_file_system(void **state)
{
    const struct place *p = *state;
    place_dir(p, "mnt");
    place_file(p, "bound", "");
    place_file(p, "x", "");
    int status = in_child(mount_and_walk, p);
    if (status == CHILD_CANNOT) {
        print_message("mounting is not allowed here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- nodes */

static void test_files__describes_every_kind_of_entry(void **state)
{
    const struct place *p = *state;
    place_file(p, "file", "12345");
    assert_int_equal(fchmodat(p->fd, "file", 04751, 0), 0);
    const struct timespec times[2] = {{1000, 1}, {1234567890, 987654321}};
    assert_int_equal(utimensat(p->fd, "file", times, 0), 0);
    assert_int_equal(linkat(p->fd, "file", p->fd, "hard", 0), 0);
    assert_int_equal(symlinkat("to/\xff nowhere", p->fd, "link"), 0);
    assert_int_equal(mkfifoat(p->fd, "pipe", 0600), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", p->root);
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(sock, (struct sockaddr *)&address, sizeof address), 0);
    close(sock);
    struct stat st;
    assert_int_equal(fstatat(p->fd, "file", &st, 0), 0);

    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    r->want = "file";
    run(r, "", PLAIN);
    assert_string_equal(buf_cstr(&r->order), "/\nfile\nhard\nlink\npipe\n/\n");
    const struct node *n = &r->wanted;
    assert_int_equal(n->type, NODE_FILE);
    assert_int_equal(n->mode, NODE_MODE_SETUID | 0751);
    assert_int_equal(n->size, 5);
    assert_int_equal(n->links, 2);
    assert_int_equal(n->inode, st.st_ino);
    assert_int_equal(n->device_id, st.st_dev);
    assert_int_equal(n->device, 0);
    assert_int_equal(n->uid, st.st_uid);
    assert_int_equal(n->mtime.tv_sec, 1234567890);
    assert_int_equal(n->mtime.tv_nsec, 987654321);
    assert_memory_equal(&n->atime, &n->mtime, sizeof n->atime);
    assert_int_equal(n->ctime.tv_sec, st.st_ctim.tv_sec);
    assert_int_equal(n->xattr_count, 0);
    if (st.st_uid == 0)
        assert_string_equal(n->user, "root");
    assert_int_equal(r->last.type, NODE_FIFO);
    assert_int_equal(r->last.mode, NODE_MODE_FIFO | 0600);
    assert_int_equal(r->last.links, 0);
    r->want = "link";
    run(r, "", (struct files_options){.with_atime = true, .threads = 1});
    assert_int_equal(r->wanted.type, NODE_SYMLINK);
    assert_int_equal(r->wanted.links, 1);
    assert_int_equal(r->wanted.size, 0);
    assert_int_equal(r->wanted.link_target_len, 12);
    assert_memory_equal(r->wanted.link_target, "to/\xff nowhere", 12);
    r->want = "file";
    run(r, "", (struct files_options){.with_atime = true, .threads = 1});
    assert_int_equal(r->wanted.atime.tv_sec, 1000);
    recorder_release(r);
    free(r);
}

static void test_files__describes_devices(void **state)
{
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, *state);
    run(r, "/dev/null", PLAIN);
    assert_int_equal(r->last.type, NODE_CHARDEV);
    assert_int_equal(r->last.device, st.st_rdev);
    assert_int_equal(r->last.size, 0);
    assert_int_equal(r->last.links, st.st_nlink);
    recorder_release(r);
    free(r);
}

static void test_files__leaves_out_names_of_unknown_owners(void **state)
{
    const struct place *p = *state;
    place_file(p, "a", "");
    if (geteuid() != 0) {
        print_message("only root can give files away\n");
        skip();
    }
    assert_int_equal(fchownat(p->fd, "a", 3999999999u, 3999999998u, 0), 0);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    run(r, "", PLAIN);
    assert_int_equal(r->last.uid, 3999999999u);
    assert_null(r->last.user);
    assert_null(r->last.group);
    recorder_release(r);
    free(r);
}

static void test_files__reads_extended_attributes_unless_they_are_known(void **state)
{
    const struct place *p = *state;
    place_file(p, "f", "");
    char *path = place_path(p, "f");
    if (setxattr(path, "user.one", "value", 5, 0) != 0) {
        free(path);
        print_message("no extended attributes here\n");
        skip();
    }
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    run(r, "", PLAIN);
    assert_int_equal(r->last.xattr_count, 1);
    assert_string_equal(r->last.xattrs[0].name, "user.one");
    assert_int_equal(r->last.xattrs[0].size, 5);
    assert_memory_equal(r->last.xattrs[0].value, "value", 5);

    static const struct node_xattr KNOWN[] = {{"user.known", "k", 1}, {"user.two", "", 0}};
    const struct node known = {.xattrs = KNOWN, .xattr_count = 2};
    r->known_node = &known;
    run(r, "", PLAIN);
    assert_int_equal(r->last.xattr_count, 2);
    assert_string_equal(r->last.xattrs[0].name, "user.known");
    recorder_release(r);
    free(r);
    free(path);
}

/* ---- what cannot be read */

static void walk_as_nobody(const struct place *p)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(CHILD_CANNOT);
    child_expect(p, "", PLAIN, "/\nopen\nsecret\n/\n", "unreadable closed\n");
    struct recorder *r = mem_alloc(sizeof *r);
    struct err err;
    recorder_make(r, p);
    r->read_files = true;
    if (run_options(r, "secret", PLAIN, &err) != 0 || r->open_error != ERR_PERMISSION)
        _exit(CHILD_FAILED);
    recorder_release(r);
    free(r);
    child_expect(p, "closed/x open", PLAIN, "/\nclosed/\n/\nopen\n/\n", "unreadable closed/x\n");
}

static void test_files__reports_what_may_not_be_read(void **state)
{
    const struct place *p = *state;
    place_dir(p, "closed");
    place_file(p, "closed/x", "");
    place_file(p, "open", "");
    place_file(p, "secret", "s");
    assert_int_equal(fchmodat(p->fd, "secret", 0, 0), 0);
    assert_int_equal(fchmodat(p->fd, "closed", 0, 0), 0);
    int status = in_child(walk_as_nobody, p);
    if (status == CHILD_CANNOT) {
        print_message("only root can become somebody else\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- large and deep */

static void test_files__handles_paths_beyond_the_kernels_limit(void **state)
{
    const struct place *p = *state;
    enum { DEPTH = 120 };
    char name[61];
    memset(name, 'n', 60);
    name[60] = '\0';
    int dir = dup(p->fd);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(dir, name, 0700), 0);
        int next = openat(dir, name, O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(dir);
        dir = next;
    }
    int fd = openat(dir, "file", O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "deep down", 9), 9);
    bool has_xattrs = fsetxattr(fd, "user.deep", "x", 1, 0) == 0;
    close(fd);
    assert_int_equal(symlinkat("target", dir, "link"), 0);
    close(dir);

    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    r->read_files = true;
    r->want = "file";
    run(r, "", PLAIN);
    assert_int_equal(r->reports.len, 0);
    assert_string_equal(buf_cstr(&r->content), "deep down");
    assert_int_equal(r->wanted.xattr_count, has_xattrs);
    assert_string_equal(r->last.link_target, "target");
    recorder_release(r);
    free(r);
}

static void make_many(const struct place *p, const char *dir, unsigned count)
{
    char name[64];
    place_dir(p, dir);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s/%06u", dir, i);
        if (i % 1000 == 7) {
            place_dir(p, name);
            snprintf(name, sizeof name, "%s/%06u/in", dir, i);
        }
        place_file(p, name, "");
    }
}

static void test_files__walks_many_files_with_many_threads_in_order(void **state)
{
    const struct place *p = *state;
    make_many(p, "large", 9000); /* three chunks */
    for (unsigned d = 0; d < 40; d++) {
        char name[16];
        snprintf(name, sizeof name, "d%02u", d);
        make_many(p, name, 25);
    }
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    run(r, "", (struct files_options){.threads = 4});
    char *order = mem_strdup(buf_cstr(&r->order));
    unsigned lines = 0;
    for (const char *s = order; *s != '\0'; s++)
        lines += *s == '\n';
    /* the top, 41 directories twice, 9000 + 1000 files, 9 + 40 directories with a file each in them */
    assert_int_equal(lines, 2 + 41 * 2 + 10000 + (9 + 40) * 2);
    const char *before = "";
    char *rest = order, *line;
    while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
        if (line[0] == '/')
            continue;
        assert_true(strcmp(before, line) < 0);
        before = line;
    }
    buf_clear(&r->order);
    run(r, "", (struct files_options){.threads = 1});
    free(order);
    recorder_release(r);
    free(r);
}

/* Given time before the run, the scan stops where enough is ahead, and goes on later. */
static void test_files__scans_ahead_only_so_far(void **state)
{
    const struct place *p = *state;
    enum { DIRS = 20, LINKS = 4000 };
    char name[32];
    for (unsigned d = 0; d < DIRS; d++) {
        snprintf(name, sizeof name, "%02u", d);
        place_dir(p, name);
        for (unsigned i = 0; i < LINKS; i++) {
            snprintf(name, sizeof name, "%02u/%u", d, i);
            assert_int_equal(symlinkat("x", p->fd, name), 0);
        }
    }
    struct strlist paths = {0};
    strlist_add(&paths, p->root);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    const struct files_options o = {.paths = &paths, .threads = 2};
    struct files *f;
    assert_int_equal(files_new(&f, &o, &r->reporter, NULL), 0);
    usleep(1000000);
    assert_int_equal(files_run(f, &r->sink, NULL), 0);
    files_free(f);
    size_t lines = 0;
    for (size_t i = 0; i < r->order.len; i++)
        lines += r->order.data[i] == '\n';
    assert_int_equal(lines, 2 + DIRS * 2 + DIRS * LINKS);
    strlist_release(&paths);
    recorder_release(r);
    free(r);
}

static void test_files__ends_at_once_when_the_sink_fails(void **state)
{
    const struct place *p = *state;
    make_many(p, "large", 5000);
    make_many(p, "more", 50);
    for (unsigned after = 1; after < 5000; after += 1 + after / 2) {
        struct recorder *r = mem_alloc(sizeof *r);
        struct err err = {0};
        recorder_make(r, p);
        r->fail_after = after;
        assert_int_equal(run_options(r, "", PLAIN, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_int_equal(r->pushes, after);
        recorder_release(r);
        free(r);
    }
}

static void run_interrupted(const struct place *p)
{
    struct recorder *r = mem_alloc(sizeof *r);
    struct err err = {0};
    recorder_make(r, p);
    os_interrupt_install();
    raise(SIGTERM);
    int rc = run_options(r, "", PLAIN, &err);
    recorder_release(r);
    free(r);
    _exit(rc == -1 && err.code == ERR_INTERRUPTED ? 0 : CHILD_FAILED);
}

static void test_files__ends_when_interrupted(void **state)
{
    const struct place *p = *state;
    place_file(p, "f", "");
    assert_int_equal(in_child(run_interrupted, p), 0);
}

static void test_files__can_be_freed_without_a_run(void **state)
{
    const struct place *p = *state;
    make_many(p, "large", 5000);
    struct strlist paths = {0};
    strlist_add(&paths, p->root);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    struct files *f;
    const struct files_options o = {.paths = &paths};
    assert_int_equal(files_new(&f, &o, &r->reporter, NULL), 0);
    usleep(20000);
    files_free(f);
    strlist_release(&paths);
    recorder_release(r);
    free(r);
}

/* What vanishes between listing and pushing is no error. */
static void remove_the_next(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 0 && strcmp(buf_cstr(&r->content), "") == 0) {
        unlinkat(r->place->fd, "b/link", 0);
        unlinkat(r->place->fd, "b", AT_REMOVEDIR);
    }
}

static void test_files__is_not_disturbed_by_what_vanishes(void **state)
{
    const struct place *p = *state;
    place_file(p, "a", "x");
    place_dir(p, "b");
    assert_int_equal(symlinkat("x", p->fd, "b/link"), 0);
    struct recorder *r = mem_alloc(sizeof *r);
    recorder_make(r, p);
    r->read_files = true;
    r->meanwhile = remove_the_next;
    run(r, "", PLAIN);
    assert_int_equal(r->reports.len, 0);
    assert_non_null(strstr(buf_cstr(&r->order), "/\na\n"));
    assert_null(strstr(buf_cstr(&r->order), "link"));
    recorder_release(r);
    free(r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_files__pushes_names_in_byte_order_depth_first),
        TEST(test_files__makes_nodes_of_the_parents),
        TEST(test_files__takes_paths_within_paths_once),
        TEST(test_files__stores_a_given_symlink_but_follows_one_on_the_way),
        TEST(test_files__reports_paths_that_do_not_exist),
        TEST(test_files__rejects_relative_paths_and_bad_options),
        TEST(test_files__takes_the_root_itself),
        TEST(test_files__leaves_out_what_patterns_exclude),
        TEST(test_files__keeps_only_the_tag_of_a_tagged_directory),
        TEST(test_files__leaves_out_large_files),
        TEST(test_files__stays_on_one_file_system),
        TEST(test_files__describes_every_kind_of_entry),
        TEST(test_files__describes_devices),
        TEST(test_files__leaves_out_names_of_unknown_owners),
        TEST(test_files__reads_extended_attributes_unless_they_are_known),
        TEST(test_files__reports_what_may_not_be_read),
        TEST(test_files__handles_paths_beyond_the_kernels_limit),
        TEST(test_files__walks_many_files_with_many_threads_in_order),
        TEST(test_files__scans_ahead_only_so_far),
        TEST(test_files__ends_at_once_when_the_sink_fails),
        TEST(test_files__ends_when_interrupted),
        TEST(test_files__can_be_freed_without_a_run),
        TEST(test_files__is_not_disturbed_by_what_vanishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
