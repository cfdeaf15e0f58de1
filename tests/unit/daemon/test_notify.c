#include "daemon/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "store/scratch.h"

/* A service manager: a datagram socket with that name, path or "@abstract". */
static int listener(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    assert_true(len < sizeof a.sun_path);
    memcpy(a.sun_path, name, len);
    if (name[0] == '@')
        a.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[512];
    ssize_t n = recv(fd, got, sizeof got - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void expect_nothing(int fd)
{
    char got[8];
    assert_int_equal(recv(fd, got, sizeof got, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static int clear(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return scratch_set_up(state);
}

static void say_everything(int fd)
{
    char got[512];
    unsigned long long usec;
    struct notifier *n = notify_open();
    notify_ready(n);
    expect(fd, "READY=1");
    notify_status(n, "2 jobs\nREADY=0");
    expect(fd, "STATUS=2 jobs READY=0");
    notify_alive(n);
    expect(fd, "WATCHDOG=1");
    notify_reloading(n);
    ssize_t len = recv(fd, got, sizeof got - 1, 0);
    assert_true(len > 0);
    got[len] = '\0';
    assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
    assert_true(usec > 0);
    notify_stopping(n);
    expect(fd, "STOPPING=1");
    expect_nothing(fd);
    notify_close(n);
}

static void test_notify__speaks_to_a_path(void **state)
{
    (void)state;
    char *path = os_path_join(scratch_dir, "notify");
    int fd = listener(path);
    say_everything(fd);
    close(fd);
    free(path);
}

static void test_notify__speaks_to_an_abstract_name(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "@clawback-test-%ld", (long)getpid());
    int fd = listener(name);
    say_everything(fd);
    close(fd);
}

static void test_notify__says_a_status_once(void **state)
{
    (void)state;
    char *path = os_path_join(scratch_dir, "notify");
    int fd = listener(path);
    struct notifier *n = notify_open();
    notify_status(n, "1 job");
    expect(fd, "STATUS=1 job");
    notify_status(n, "1 job");
    expect_nothing(fd);
    notify_status(n, "2 jobs");
    expect(fd, "STATUS=2 jobs");
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    notify_status(n, long_text);
    char got[2000];
    assert_in_range(recv(fd, got, sizeof got, 0), 100, 300);
    notify_close(n);
    close(fd);
    free(path);
}

static void test_notify__is_nothing_without_a_listener(void **state)
{
    (void)state;
    static const char *const names[] = {"", "@", "/", "relative", "vsock:2:1", "/nowhere/at/all"};
    setenv("WATCHDOG_USEC", "1000000", 1);
    for (size_t i = 0; i <= sizeof names / sizeof *names; i++) {
        if (i > 0)
            setenv("NOTIFY_SOCKET", names[i - 1], 1);
        struct notifier *n = notify_open();
        notify_ready(n);
        notify_status(n, "x");
        notify_alive(n);
        notify_close(n);
    }
    char long_name[200] = "/";
    memset(long_name + 1, 'x', sizeof long_name - 2);
    setenv("NOTIFY_SOCKET", long_name, 1);
    struct notifier *n = notify_open();
    notify_ready(n);
    assert_int_equal(notify_alive_every_ms(n), 0);
    notify_close(n);
    notify_close(NULL);
}

static uint64_t every_ms(const char *usec, const char *pid)
{
    setenv("WATCHDOG_USEC", usec, 1);
    if (pid != NULL)
        setenv("WATCHDOG_PID", pid, 1);
    else
        unsetenv("WATCHDOG_PID");
    struct notifier *n = notify_open();
    uint64_t ms = notify_alive_every_ms(n);
    notify_close(n);
    return ms;
}

static void test_notify__knows_how_often_the_watchdog_wants_to_hear(void **state)
{
    (void)state;
    char *path = os_path_join(scratch_dir, "notify"), pid[32];
    int fd = listener(path);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_int_equal(every_ms("30000000", NULL), 15000);
    assert_int_equal(every_ms("30000000", pid), 15000);
    assert_int_equal(every_ms("30000000", "1"), 0);
    assert_int_equal(every_ms("10", NULL), 1);
    assert_int_equal(every_ms("0", NULL), 0);
    assert_int_equal(every_ms("soon", NULL), 0);
    assert_int_equal(every_ms("-5", NULL), 0);
    assert_int_equal(every_ms("30s", NULL), 0);
    close(fd);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notify__speaks_to_a_path, clear, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_notify__speaks_to_an_abstract_name, clear, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_notify__says_a_status_once, clear, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_notify__is_nothing_without_a_listener, clear, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_notify__knows_how_often_the_watchdog_wants_to_hear, clear,
                                        scratch_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
