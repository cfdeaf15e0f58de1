#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/pool.h"
#include "os/priority.h"

/* Priority and affinity are a thread's own: each case has one to spoil. */
struct job {
    int (*fn)(void);
    int result;
};

static void *job_main(void *arg)
{
    struct job *job = arg;
    job->result = job->fn();
    return NULL;
}

static int in_thread(int (*fn)(void))
{
    struct job job = {.fn = fn};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, job_main, &job), 0);
    pthread_join(thread, NULL);
    return job.result;
}

static int lower(void)
{
    os_priority_lower();
    return getpriority(PRIO_PROCESS, 0);
}

static int lower_a_low_one(void)
{
    setpriority(PRIO_PROCESS, 0, 15);
    return lower();
}

static int io_class(void)
{
    os_priority_lower();
    return (int)(syscall(SYS_ioprio_get, 1, 0) >> 13);
}

static void test_priority__is_at_least_ten(void **state)
{
    (void)state;
    assert_true(in_thread(lower) >= 10);
    assert_int_equal(in_thread(lower_a_low_one), 15);
    assert_int_equal(in_thread(io_class), 3);
}

static int limit_to_one(void)
{
    if (os_limit_cpus(1, NULL) != 0)
        return 100;
    return (int)os_cpu_count();
}

static int limit_to_none_and_many(void)
{
    unsigned before = os_cpu_count();
    if (os_limit_cpus(0, NULL) != 0 || os_cpu_count() != before)
        return 1;
    return os_limit_cpus(100000, NULL) != 0 || os_cpu_count() != before;
}

static void test_priority__limits_cpus(void **state)
{
    (void)state;
    assert_int_equal(in_thread(limit_to_one), 1);
    assert_int_equal(in_thread(limit_to_none_and_many), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority__is_at_least_ten),
        cmocka_unit_test(test_priority__limits_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
