#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/fault.h"
#include "store/scratch.h"

static void assert_opens_at(const char *location, const char *path)
{
    struct err err = {0};
    struct store *s;
    if (store_open(&s, location, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(s->location, path);
    store_free(s);
}

static void test_store_open__takes_paths(void **state)
{
    (void)state;
    char *cwd = getcwd(NULL, 0);
    char *relative = os_path_join(cwd, "a/repository"), *odd = os_path_join(cwd, "s3:bucket");
    assert_opens_at("/srv/repository", "/srv/repository");
    assert_opens_at("/srv/../srv//repository/", "/srv/repository");
    assert_opens_at("a/repository", relative);
    assert_opens_at("local:/srv/repository", "/srv/repository");
    assert_opens_at("local:a/repository", relative);
    assert_opens_at("local:s3:bucket", odd);
    assert_opens_at("./s3:bucket", odd);
    assert_opens_at("/srv/s3:bucket", "/srv/s3:bucket");
    assert_opens_at("/", "/");
    free(relative);
    free(odd);
    free(cwd);
}

static void test_store_open__refuses_schemes_it_does_not_know(void **state)
{
    (void)state;
    static const char *const locations[] = {"s3:s3.example.com/bucket",
                                            "sftp:user@host:/srv",
                                            "rest:http://host/",
                                            "rclone:remote:path",
                                            "gs:bucket:/",
                                            "azure:container:/",
                                            "b2:bucket",
                                            "swift:container:/path",
                                            "https://host/path",
                                            "LOCAL:/srv",
                                            "locals:/srv",
                                            "loc:/srv"};
    for (size_t i = 0; i < sizeof locations / sizeof locations[0]; i++) {
        struct err err = {0};
        struct store *s;
        assert_int_equal(store_open(&s, locations[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(s);
        char scheme[16];
        size_t len = strcspn(locations[i], ":") + 1;
        memcpy(scheme, locations[i], len);
        scheme[len] = '\0';
        assert_non_null(strstr(err.message, scheme));
    }
}

static void test_store_open__keeps_passwords_out_of_messages(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *s;
    assert_int_equal(store_open(&s, "rest:https://me:hunter2@host/", &err), -1);
    assert_null(strstr(err.message, "hunter2"));
}

static void test_store_open__refuses_an_empty_location(void **state)
{
    (void)state;
    static const char *const locations[] = {"", "local:"};
    for (size_t i = 0; i < 2; i++) {
        struct err err = {0};
        struct store *s;
        assert_int_equal(store_open(&s, locations[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

static void test_store_open__touches_nothing(void **state)
{
    (void)state;
    char *dir = scratch_make(), *path = os_path_join(dir, "repository");
    assert_opens_at(path, path);
    assert_false(scratch_has(dir, "repository"));
    free(path);
    scratch_remove(dir);
}

static void test_store_open__says_when_there_is_no_working_directory(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *s;
    char *cwd = getcwd(NULL, 0), *dir = scratch_make();
    assert_int_equal(chdir(dir), 0);
    scratch_remove(dir);
    assert_int_equal(store_open(&s, "repository", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(chdir(cwd), 0);
    free(cwd);
}

static void test_store_label__speaks_to_people(void **state)
{
    (void)state;
    char label[STORE_LABEL_BYTES];
    const char *name = "ab12cd3456000000000000000000000000000000000000000000000000000000";
    assert_string_equal(store_label(STORE_PACK, name, label), "pack 'ab12cd34'");
    assert_string_equal(store_label(STORE_SNAPSHOT, name, label), "snapshot 'ab12cd34'");
    assert_string_equal(store_label(STORE_CONFIG, NULL, label), "config file");
}

static void test_store_list__config_passes_on_errors(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *inner, *s;
    assert_int_equal(store_open(&inner, "/nowhere", &err), 0);
    s = store_fault_new(inner, STORE_FAULT_FAIL, 1);
    assert_int_equal(store_list(s, STORE_CONFIG, NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(store_list(s, STORE_CONFIG, NULL, NULL, NULL), -1);
    store_free(s);
}

static void test_store_read_all__leaves_the_buffer_alone_when_reading_fails(void **state)
{
    (void)state;
    static const char name[] = "1100000000000000000000000000000000000000000000000000000000000000";
    char *dir = scratch_make();
    struct store *inner, *s;
    struct buf b;
    buf_init(&b, 100);
    buf_append_str(&b, "abc");
    assert_int_equal(store_open(&inner, dir, NULL), 0);
    assert_int_equal(store_create(inner, NULL), 0);
    assert_int_equal(store_save(inner, STORE_KEY, name, "text", 4, NULL), 0);
    s = store_fault_new(inner, STORE_FAULT_ONCE, 2); /* 1 asks for the size */
    assert_int_equal(store_read_all(s, STORE_KEY, name, &b, NULL), -1);
    assert_string_equal(buf_cstr(&b), "abc");
    assert_int_equal(store_read_all(s, STORE_KEY, name, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), "abctext");
    store_free(s);
    buf_release(&b);
    scratch_remove(dir);
}

static void test_store_free_space__needs_the_feature(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *s;
    uint64_t bytes;
    assert_int_equal(store_open(&s, "/", &err), 0);
    assert_int_equal(store_free_space(s, &bytes, &err), 0);
    s->features &= ~(unsigned)STORE_FREE_SPACE;
    assert_int_equal(store_free_space(s, &bytes, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    store_free(s);
    store_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_open__takes_paths),
        cmocka_unit_test(test_store_open__refuses_schemes_it_does_not_know),
        cmocka_unit_test(test_store_open__keeps_passwords_out_of_messages),
        cmocka_unit_test(test_store_open__refuses_an_empty_location),
        cmocka_unit_test(test_store_open__touches_nothing),
        cmocka_unit_test(test_store_open__says_when_there_is_no_working_directory),
        cmocka_unit_test(test_store_label__speaks_to_people),
        cmocka_unit_test(test_store_list__config_passes_on_errors),
        cmocka_unit_test(test_store_read_all__leaves_the_buffer_alone_when_reading_fails),
        cmocka_unit_test(test_store_free_space__needs_the_feature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
