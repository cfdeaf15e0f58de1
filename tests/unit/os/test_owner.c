#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#include <cmocka.h>

#include "os/owner.h"

static void test_owner__knows_root_and_remembers_it(void **state)
{
    (void)state;
    struct os_owners *o = os_owners_new();
    const char *user = os_user_name(o, 0);
    assert_string_equal(user, "root");
    assert_string_equal(os_group_name(o, 0), "root");
    assert_ptr_equal(os_user_name(o, 0), user);
    os_owners_free(o);
    os_owners_free(NULL);
}

static void test_owner__has_no_name_for_strangers(void **state)
{
    (void)state;
    struct os_owners *o = os_owners_new();
    for (int again = 0; again < 2; again++)
        for (uid_t id = 3999990000u; id < 3999990100u; id++) {
            assert_null(os_user_name(o, id));
            assert_null(os_group_name(o, id));
        }
    assert_string_equal(os_user_name(o, 0), "root");
    os_owners_free(o);
}

static void *ask(void *arg)
{
    for (uid_t id = 0; id < 200; id++)
        (void)(os_user_name(arg, id % 50) == os_group_name(arg, id % 50));
    return NULL;
}

static void test_owner__answers_many_threads(void **state)
{
    (void)state;
    struct os_owners *o = os_owners_new();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, o), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_string_equal(os_user_name(o, 0), "root");
    os_owners_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner__knows_root_and_remembers_it),
        cmocka_unit_test(test_owner__has_no_name_for_strangers),
        cmocka_unit_test(test_owner__answers_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
