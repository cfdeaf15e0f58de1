#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

#include <sqlite3.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"
#include "run/bounded.h"
#include "run/discover.h"
#include "run/discover_servers.h"
#include "run/mounts.h"
#include "run/processes.h"

static char base[] = "/tmp/clawback-discover-XXXXXX";

static char *in_base(const char *name)
{
    return os_path_join(base, name);
}

static int run(const char *command)
{
    char sh[] = "sh", flag[] = "-c", *text = mem_strdup(command), *argv[] = {sh, flag, text, NULL};
    struct process_options options = {.argv = argv, .stdin_fd = -1, .timeout_ms = 60000};
    struct err err = {0};
    int rc = process_run(&options, NULL, &err);
    if (rc != 0)
        print_message("%s: %s\n", command, err.message);
    free(text);
    return rc;
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(base));
    static const char *const CLEAN[] = {"OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME",
                                        "OPENCLAW_PROFILE",   "CLAWDBOT_STATE_DIR",   "CLAWDBOT_CONFIG_PATH",
                                        "CLAWDBOT_PROFILE"};
    for (size_t i = 0; i < sizeof CLEAN / sizeof *CLEAN; i++)
        unsetenv(CLEAN[i]);
    setenv("HOME", base, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char *command = mem_printf("rm -rf %s", base);
    run(command);
    free(command);
    return 0;
}

/* ---- bounded */

static void answer(void *ctx, struct buf *out)
{
    buf_append_str(out, ctx);
}

static void hang(void *ctx, struct buf *out)
{
    buf_append_str(out, "half an answer");
    (void)ctx;
    for (;;)
        pause();
}

static void die(void *ctx, struct buf *out)
{
    (void)ctx;
    buf_append_str(out, "half an answer");
    abort();
}

static void too_much(void *ctx, struct buf *out)
{
    (void)ctx;
    buf_reserve(out, BOUNDED_OUTPUT_MAX_BYTES);
    out->len = BOUNDED_OUTPUT_MAX_BYTES;
    buf_append_byte(out, 'x');
}

static void test_bounded__hands_over_what_was_found(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    char text[] = "found";
    buf_init(&out, 100);
    assert_int_equal(bounded_run(answer, text, 5000, &out, &err), 0);
    assert_string_equal(buf_cstr(&out), "found");
    buf_release(&out);
}

static void test_bounded__gives_up_on_what_hangs(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    buf_init(&out, 100);
    uint64_t began = os_monotonic_ns();
    assert_int_equal(bounded_run(hang, NULL, 200, &out, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_int_equal(out.len, 0);
    assert_true(os_monotonic_ns() - began < 4000000000u);
    buf_release(&out);
}

static void test_bounded__a_dead_child_has_no_answer(void **state)
{
    (void)state;
    struct buf out;
    struct err err;
    buf_init(&out, 100);
    assert_int_equal(bounded_run(die, NULL, 5000, &out, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_int_equal(bounded_run(too_much, NULL, 5000, &out, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

/* ---- mounts */

static const char MOUNTINFO[] = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
                                "28 27 0:5 / /dev rw - devtmpfs devtmpfs rw\n"
                                "29 27 0:30 / /tmp rw shared:5 - tmpfs tmpfs rw\n"
                                "30 27 8:1 / /boot rw - ext4 /dev/sda1 rw\n"
                                "31 27 250:17 / /mnt/my\\040drive rw,nosuid shared:7 master:2 - ext4 /dev/zz1 rw\n"
                                "32 27 0:44 / /srv/nas rw - nfs4 nas:/export rw\n"
                                "33 27 7:3 / /snap/core/1 ro - squashfs /dev/loop3 ro\n"
                                "34 27 250:33 / /media/disc ro - iso9660 /dev/sr0 ro\n"
                                "35 32 0:44 / /srv/nas rw - nfs4 nas:/newer rw\n"
                                "36 27 254:0 /x /mnt/bind rw - ext4 /dev/vda rw\n"
                                "not a line at all\n"
                                "37 27 8:2\n";

static void test_mounts__reads_the_kernels_table(void **state)
{
    (void)state;
    struct mounts m;
    mounts_parse(MOUNTINFO, sizeof MOUNTINFO - 1, &m);
    assert_int_equal(m.count, 10);
    assert_string_equal(m.items[4].path, "/mnt/my drive");
    assert_string_equal(m.items[4].type, "ext4");
    assert_true(m.items[4].block);
    assert_int_equal(m.items[4].major, 250);
    assert_true(m.items[5].network);
    assert_true(m.items[6].read_only);
    assert_true(m.items[2].memory);
    assert_string_equal(mounts_of(&m, "/mnt/my drive/x/y")->path, "/mnt/my drive");
    assert_string_equal(mounts_of(&m, "/mnt/my")->path, "/");
    assert_string_equal(mounts_of(&m, "/srv/nas")->source, "nas:/newer"); /* the later one covers the earlier */
    mounts_release(&m);
    mounts_parse("", 0, &m);
    assert_null(mounts_of(&m, "/"));
}

static void test_mounts__external_are_other_disks_and_network_drives(void **state)
{
    (void)state;
    static const char *const SYSTEM[] = {"/", "/home"};
    struct mounts m;
    mounts_parse(MOUNTINFO, sizeof MOUNTINFO - 1, &m);
    size_t count = 0;
    for (size_t i = 0; i < m.count; i++)
        if (mounts_is_external(&m, &m.items[i], SYSTEM, 2)) {
            assert_true(strcmp(m.items[i].path, "/mnt/my drive") == 0 || strcmp(m.items[i].path, "/srv/nas") == 0);
            count++;
        }
    assert_int_equal(count, 3); /* the NAS is mounted twice */
    assert_true(mounts_same_disk(&m.items[0], &m.items[9]));
    assert_false(mounts_same_disk(&m.items[0], &m.items[4]));
    mounts_release(&m);
}

/* As a service with ProtectSystem= and two ReadWritePaths= sees them: a drive is mounted at the second, nothing at the
 * first. */
static const char IN_A_SERVICE[] = "60 59 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"
                                   "61 60 254:0 /usr /usr ro master:1 - ext4 /dev/vda rw\n"
                                   "62 61 254:0 /usr/local/bare /usr/local/bare rw master:1 - ext4 /dev/vda rw\n"
                                   "63 61 250:17 / /usr/local/drive rw master:9 - ext4 /dev/zz1 rw\n"
                                   "64 63 250:17 / /usr/local/drive rw master:9 - ext4 /dev/zz1 rw\n"
                                   "65 60 254:0 /srv/data /mnt/data rw - ext4 /dev/vda rw\n"
                                   "66 60 250:33 /@ /srv rw - btrfs /dev/zz2 rw\n"
                                   "67 66 250:33 /@/b /srv/b rw - btrfs /dev/zz2 rw\n"
                                   "68 66 250:33 /@snap /srv/c rw - btrfs /dev/zz2 rw\n"
                                   "70 71 0:9 / /odd rw - ext4 /dev/zz3 rw\n"
                                   "71 70 0:9 / /odd rw - ext4 /dev/zz3 rw\n";

static void expect_below(const struct mounts *m, const char *path, unsigned id)
{
    const struct mount_point *p = mounts_of(m, path);
    assert_non_null(p);
    assert_int_equal(mounts_below_own(m, p)->id, id);
}

static void test_mounts__what_is_mounted_onto_itself_is_what_it_was(void **state)
{
    (void)state;
    struct mounts m;
    mounts_parse(IN_A_SERVICE, sizeof IN_A_SERVICE - 1, &m);
    expect_below(&m, "/home", 60);
    expect_below(&m, "/usr/lib", 60);
    expect_below(&m, "/usr/local/bare/x", 60);
    expect_below(&m, "/usr/local/drive", 63);
    expect_below(&m, "/mnt/data", 65);
    expect_below(&m, "/srv/b", 66);
    expect_below(&m, "/srv/c", 68);
    mounts_below_own(&m, mounts_of(&m, "/odd")); /* ends */
    mounts_release(&m);
}

static void expect_place(const char *fstab, const char *path, const char *expected)
{
    char *place = mounts_expected(fstab, path);
    assert_true(mem_same_string(place, expected));
    free(place);
}

static void test_mounts__fstab_tells_what_should_be_mounted(void **state)
{
    (void)state;
    char *fstab = in_base("fstab");
    FILE *f = fopen(fstab, "w");
    assert_non_null(f);
    fputs("# drives\n/dev/sda1 / ext4 defaults 0 1\n\nLABEL=usb /srv/my\\040usb ext4 noauto 0 2\n"
          "/dev/sdb1 /srv/ ext4 defaults 0 2\nnas:/b /srv/nas nfs noauto\n/dev/sda2 none swap sw 0 0\nbroken\n",
          f);
    fclose(f);
    expect_place(fstab, "/srv/my usb/backups", "/srv/my usb");
    expect_place(fstab, "/srv/nas", "/srv/nas");
    expect_place(fstab, "/srv/nasty", "/srv");
    expect_place(fstab, "/home/me", NULL);
    expect_place("/no/such/fstab", "/srv/nas", NULL);
    free(fstab);
}

static void test_mounts__of_this_machine(void **state)
{
    (void)state;
    struct mounts m;
    struct err err;
    struct mount_space space;
    assert_int_equal(mounts_read(&m, &err), 0);
    const struct mount_point *root = mounts_of(&m, "/");
    assert_non_null(root);
    assert_true(mounts_same_disk(root, root));
    mounts_release(&m);
    assert_int_equal(mounts_space(base, &space, &err), 0);
    assert_true(space.total_bytes > 0 && space.writable && space.is_dir);
    assert_int_equal(mounts_space("/no/such/place", &space, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    char *deep = in_base("not/there"), *there = mounts_existing(deep);
    assert_string_equal(there, base);
    free(deep);
    free(there);
    there = mounts_existing("/nowhere/at/all");
    assert_string_equal(there, "/");
    free(there);
}

/* ---- processes and ports */

static void test_processes__listening_ports(void **state)
{
    (void)state;
    static const char TCP[] =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1 1 0\n"
        "   1: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1 1 0\n"
        "   2: 0A00000A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1 1 0\n"
        "   3: 0100007F:9999 0100007F:18EB 01 00000000:00000000 00:00000000 00000000   101        0 1 1 0\n"
        "   4: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1 1 0\n"
        "garbage\n";
    static const char TCP6[] =
        "   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1\n"
        "   1: 0000000000000000FFFF00000100007F:0017 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1\n"
        "   2: 000080FE00000000000000000A00000A:0018 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1\n";
    uint16_t ports[8];
    size_t count = processes_ports_parse(TCP, sizeof TCP - 1, ports, 0, 8);
    assert_int_equal(count, 2);
    assert_int_equal(ports[0], 6379);
    assert_int_equal(ports[1], 5432);
    count = processes_ports_parse(TCP6, sizeof TCP6 - 1, ports, count, 8);
    assert_int_equal(count, 4);
    assert_int_equal(ports[3], 0x17);
    assert_int_equal(processes_ports_parse(TCP, sizeof TCP - 1, ports, 0, 1), 1);
}

static void test_processes__finds_a_port_of_this_machine(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    uint16_t ports[4096];
    size_t count = processes_ports(ports, 4096), found = 0;
    for (size_t i = 0; i < count; i++)
        found += ports[i] == ntohs(address.sin_port);
    assert_int_equal(found, 1);
    close(fd);
}

struct sought {
    pid_t pid;
    bool found;
    int64_t started;
};

static bool look(void *ctx, const struct process_seen *p)
{
    struct sought *s = ctx;
    assert_int_not_equal(p->pid, getpid());
    if (p->pid == s->pid) {
        s->found = process_mentions(p, "clawback-looked-for") && !process_mentions(p, "something else");
        s->started = p->started;
    }
    return !s->found;
}

static void test_processes__are_seen_with_their_arguments(void **state)
{
    (void)state;
    char sleep_name[] = "sh", flag[] = "-c", script[] = "sleep 20; : clawback-looked-for";
    char *argv[] = {sleep_name, flag, script, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    struct sought s = {.pid = pid};
    for (int i = 0; i < 200 && !s.found; i++) {
        processes_each(look, &s);
        os_sleep_ms(10);
    }
    kill(pid, SIGKILL);
    assert_true(s.found);
    struct timespec now = os_now();
    assert_true(s.started > now.tv_sec - 60 && s.started <= now.tv_sec + 1);
}

/* ---- Redis' title */

static void test_discover__redis_by_its_title(void **state)
{
    (void)state;
    uint16_t port;
    char *socket;
    assert_true(discover_redis_title("redis-server 127.0.0.1:7001", &port, &socket));
    assert_int_equal(port, 7001);
    assert_null(socket);
    assert_true(discover_redis_title("/usr/bin/redis-server *:6379 [cluster]", &port, &socket));
    assert_int_equal(port, 6379);
    assert_true(discover_redis_title("valkey-server unixsocket:/run/v.sock", &port, &socket));
    assert_string_equal(socket, "/run/v.sock");
    free(socket);
    assert_false(discover_redis_title("redis-server", &port, &socket));
    assert_false(discover_redis_title("not-redis-server 1:2", &port, &socket));
    assert_false(discover_redis_title("redis-server config.conf", &port, &socket));
    assert_false(discover_redis_title("vim notes", &port, &socket));
    assert_null(socket);
}

/* ---- containers */

static void test_discover__containers(void **state)
{
    (void)state;
    static const char INSPECT[] =
        "[{\"Name\":\"/ai-erp-postgres\",\"Config\":{\"Image\":\"postgres:15-alpine\",\"Env\":[\"PATH=/x\","
        "\"POSTGRES_USER=erp_user\",\"POSTGRES_DB=ai_erp\",\"POSTGRES_PASSWORD=hush\"]},"
        "\"State\":{\"Running\":true},\"NetworkSettings\":{\"Ports\":{\"5432/tcp\":[{\"HostIp\":\"0.0.0.0\","
        "\"HostPort\":\"5432\"}],\"9/tcp\":null}}},"
        "{\"Name\":\"/cache\",\"Config\":{\"Image\":\"docker.io/bitnami/"
        "redis@sha256:00\"},\"State\":{\"Running\":false}},"
        "{\"Name\":\"/ai-erp-postgres\",\"Config\":{\"Image\":\"postgres\"},\"State\":{\"Running\":true}},"
        "{\"Name\":\"/gis\",\"Config\":{\"Image\":\"localhost/own\",\"Env\":[\"PGDATA=/"
        "d\"]},\"State\":{\"Running\":true}},"
        "{\"Name\":\"/web\",\"Config\":{\"Image\":\"nginx\"},\"State\":{\"Running\":true}},"
        "{\"Config\":{\"Image\":\"redis\"}}, 7]";
    struct discovery d = {0};
    uint16_t ports[4];
    size_t count = 0;
    discover_containers_parse(&d, INSPECT, sizeof INSPECT - 1, ports, &count, 4);
    assert_int_equal(d.postgres.count, 2);
    assert_string_equal(d.postgres.items[0].container, "ai-erp-postgres");
    assert_string_equal(d.postgres.items[0].user, "erp_user");
    assert_string_equal(d.postgres.items[0].database, "ai_erp");
    assert_int_equal(d.postgres.items[0].access, DISCOVERED_READY);
    assert_string_equal(d.postgres.items[1].container, "gis");
    assert_null(d.postgres.items[1].user);
    assert_int_equal(d.redis.count, 1);
    assert_string_equal(d.redis.items[0].container, "cache");
    assert_int_equal(d.redis.items[0].access, DISCOVERED_STOPPED);
    assert_int_equal(count, 1);
    assert_int_equal(ports[0], 5432);
    discover_containers_parse(&d, "not json", 8, ports, &count, 4);
    assert_int_equal(d.postgres.count, 2);
    discovery_release(&d);
}

/* An engine in PATH that says what it is told to. */
static void test_discover__asks_the_engine(void **state)
{
    (void)state;
    char *bin = in_base("bin"), *docker = in_base("bin/docker"), *podman = in_base("bin/podman");
    static const char SCRIPT[] =
        "#!/bin/sh\n"
        "if [ \"$1\" = ps ]; then echo aaa; echo bbb; exit 0; fi\n"
        "[ \"$*\" = 'inspect aaa bbb' ] || exit 3\n"
        "echo '[{\"Name\":\"/r\",\"Config\":{\"Image\":\"redis:7\"},\"State\":{\"Running\":true}}]'\n";
    static const char BROKEN[] = "#!/bin/sh\necho no such luck >&2; exit 1\n";
    struct err err;
    assert_int_equal(os_make_dirs(bin, 0755, &err), 0);
    assert_int_equal(os_write_file_atomic(docker, SCRIPT, sizeof SCRIPT - 1, 0755, &err), 0);
    assert_int_equal(os_write_file_atomic(podman, BROKEN, sizeof BROKEN - 1, 0755, &err), 0);
    char *before = mem_strdup(getenv("PATH")), *path = mem_printf("%s:%s", bin, before);
    setenv("PATH", path, 1);
    struct discovery d = {0};
    uint16_t ports[4];
    size_t count = 0;
    discover_containers(&d, ports, &count, 4);
    setenv("PATH", before, 1);
    assert_int_equal(d.redis.count, 1);
    assert_string_equal(d.redis.items[0].container, "r");
    assert_int_equal(d.notes.count, 1);
    assert_non_null(strstr(d.notes.items[0], "no such luck"));
    discovery_release(&d);
    free(before);
    free(path);
    free(bin);
    free(docker);
    free(podman);
}

/* ---- all of it */

static void make_database(const char *path)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_discover__a_home_with_all_there_may_be(void **state)
{
    (void)state;
    char *command =
        mem_printf("cd %s && mkdir -p .openclaw/state .openclaw/workspace/sub .openclaw/workspace/node_modules && "
                   "echo '{}' > .openclaw/openclaw.json && mkdir more && "
                   "git init -q .openclaw/workspace && git init -q --bare .openclaw/workspace/sub/bare.git && "
                   "git -C .openclaw/workspace remote add origin /nowhere",
                   base);
    assert_int_equal(run(command), 0);
    free(command);
    char *db = in_base(".openclaw/state/openclaw.sqlite"), *other = in_base(".openclaw/workspace/node_modules/x.db");
    char *third = in_base("more/it");
    make_database(db);
    make_database(other);
    make_database(third);
    struct strlist paths = {0};
    char *more = in_base("more");
    strlist_add(&paths, more);
    const struct discover_options options = {.paths = &paths};
    struct discovery d;
    struct err err;
    assert_int_equal(discover(&options, &d, &err), 0);
    assert_int_equal(d.home.roots.count, 1);
    assert_int_equal(d.repository_count, 2);
    assert_int_equal(d.repositories[0].remotes.count, 1);
    assert_string_equal(d.repositories[0].remotes.items[0], "origin");
    assert_int_equal(d.repositories[1].remotes.count, 0);
    assert_int_equal(d.sqlite.count, 2);
    assert_string_equal(d.sqlite.items[0], db);
    assert_true(d.total_bytes > 0);
    assert_false(d.search_cut);
    discovery_release(&d);
    strlist_release(&paths);
    free(more);
    free(db);
    free(other);
    free(third);
}

static void test_discover__the_home_that_is_named(void **state)
{
    (void)state;
    struct discovery d;
    struct err err;
    char *plain = in_base("plain");
    assert_int_equal(os_make_dirs(plain, 0700, &err), 0);
    const struct discover_options options = {.home = plain};
    assert_int_equal(discover(&options, &d, &err), 0);
    assert_int_equal(d.home.roots.count, 1);
    assert_string_equal(d.home.roots.items[0], plain);
    discovery_release(&d);
    const struct discover_options missing = {.home = "/no/such/home"};
    assert_int_equal(discover(&missing, &d, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    discovery_release(&d);
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounded__hands_over_what_was_found),
        cmocka_unit_test(test_bounded__gives_up_on_what_hangs),
        cmocka_unit_test(test_bounded__a_dead_child_has_no_answer),
        cmocka_unit_test(test_mounts__reads_the_kernels_table),
        cmocka_unit_test(test_mounts__external_are_other_disks_and_network_drives),
        cmocka_unit_test(test_mounts__what_is_mounted_onto_itself_is_what_it_was),
        cmocka_unit_test(test_mounts__fstab_tells_what_should_be_mounted),
        cmocka_unit_test(test_mounts__of_this_machine),
        cmocka_unit_test(test_processes__listening_ports),
        cmocka_unit_test(test_processes__finds_a_port_of_this_machine),
        cmocka_unit_test(test_processes__are_seen_with_their_arguments),
        cmocka_unit_test(test_discover__redis_by_its_title),
        cmocka_unit_test(test_discover__containers),
        cmocka_unit_test(test_discover__asks_the_engine),
        cmocka_unit_test(test_discover__a_home_with_all_there_may_be),
        cmocka_unit_test(test_discover__the_home_that_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
