#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/interrupt.h"
#include "os/rate.h"

static void test_rate__zero_is_no_limit(void **state)
{
    (void)state;
    assert_null(os_rate_new(0));
    uint64_t start = os_monotonic_ns();
    os_rate_take(NULL, UINT64_MAX);
    assert_true(os_monotonic_ns() - start < 100000000u);
    assert_true(os_rate_step(NULL) == UINT64_MAX);
    os_rate_free(NULL);
}

static void test_rate__allows_a_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct os_rate *r = os_rate_new(1000000);
    uint64_t start = os_monotonic_ns();
    os_rate_take(r, 0);
    for (int i = 0; i < 30; i++)
        os_rate_take(r, 10000);
    uint64_t ns = os_monotonic_ns() - start;
    assert_true(ns > 180000000u); /* 0.3 s less 0.1 s */
    assert_true(ns < 3000000000u);
    assert_int_equal(os_rate_step(r), 100000);
    os_rate_free(r);
    r = os_rate_new(10);
    assert_int_equal(os_rate_step(r), 4096);
    os_rate_free(r);
}

static void *take_much(void *arg)
{
    for (int i = 0; i < 10; i++)
        os_rate_take(arg, 10000);
    return NULL;
}

static void test_rate__is_shared_by_threads(void **state)
{
    (void)state;
    struct os_rate *r = os_rate_new(1000000);
    pthread_t threads[4];
    uint64_t start = os_monotonic_ns();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_much, r), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(os_monotonic_ns() - start > 280000000u); /* 0.4 s less 0.1 s */
    os_rate_free(r);
}

static void test_rate__does_not_delay_an_interruption(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        os_interrupt_install();
        raise(SIGTERM);
        struct os_rate *r = os_rate_new(1);
        os_rate_take(r, 1000000);
        os_rate_free(r);
        _exit(42);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate__zero_is_no_limit),
        cmocka_unit_test(test_rate__allows_a_burst_and_then_the_rate),
        cmocka_unit_test(test_rate__is_shared_by_threads),
        cmocka_unit_test(test_rate__does_not_delay_an_interruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
