#include "run/destination.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "run/marker.h"
#include "run/mounts.h"
#include "run/reserved_store.h"
#include "store/local.h"
#include "store/scratch.h"

static char *dir, *state_dir, *place;
static struct plan_destination usb;

static int set_up(void **state)
{
    (void)state;
    dir = scratch_make();
    state_dir = os_path_join(dir, "state");
    place = os_path_join(dir, "usb");
    usb = (struct plan_destination){.name = "usb", .location = place};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(state_dir);
    free(place);
    scratch_remove(dir);
    return 0;
}

static struct destination_check look(bool look_only, bool adopt)
{
    struct destination_check c;
    destination_check(
        &usb, &(struct destination_options){.state_dir = state_dir, .look_only = look_only, .adopt = adopt}, &c);
    return c;
}

static enum destination_problem check_now(bool adopt, const char *words)
{
    struct destination_check c = look(false, adopt);
    enum destination_problem problem = c.problem;
    if (words != NULL && strstr(c.err.message, words) == NULL)
        fail_msg("'%s' is not in: %s", words, c.err.message);
    destination_check_release(&c);
    return problem;
}

static void test_destination__is_made_and_marked_on_first_use(void **state)
{
    (void)state;
    struct destination_check c = look(true, false);
    assert_int_equal(c.problem, DESTINATION_OK);
    assert_true(c.local && !c.exists && c.first_use && !c.has_repository);
    assert_true(c.total_bytes > 0 && c.free_bytes <= c.total_bytes);
    destination_check_release(&c);
    assert_false(scratch_has(dir, "usb")); /* looking makes nothing */
    assert_int_equal(check_now(false, NULL), DESTINATION_OK);
    assert_true(scratch_has(place, "clawback-destination.json"));
    struct marker here, remembered;
    char *state_file = marker_state_path(state_dir, "usb"), *file = marker_path(place);
    assert_int_equal(marker_read(file, &here, NULL), 0);
    assert_int_equal(marker_read(state_file, &remembered, NULL), 0);
    assert_true(id_equal(&here.id, &remembered.id) && !id_is_zero(&here.id));
    free(state_file);
    free(file);
    c = look(false, false);
    assert_true(c.exists && !c.first_use);
    destination_check_release(&c);
}

static void test_destination__that_vanished_is_missing(void **state)
{
    (void)state;
    check_now(false, NULL);
    char *away = os_path_join(dir, "away");
    rename(place, away);
    free(away);
    assert_int_equal(check_now(false, "was before"), DESTINATION_MISSING);
    assert_false(scratch_has(dir, "usb"));
    assert_int_equal(check_now(true, NULL), DESTINATION_OK);
}

static void test_destination__another_drive_is_the_wrong_one(void **state)
{
    (void)state;
    check_now(false, NULL);
    char *file = marker_path(place);
    unlink(file);
    assert_int_equal(check_now(false, "marker is missing"), DESTINATION_WRONG_DRIVE);
    struct marker other = {.id = {{1, 2, 3}}};
    assert_int_equal(marker_write(file, &other, "usb", NULL), 0);
    assert_int_equal(check_now(false, "wrong drive"), DESTINATION_WRONG_DRIVE);
    assert_int_equal(check_now(true, NULL), DESTINATION_OK);
    assert_int_equal(check_now(false, NULL), DESTINATION_OK);
    struct marker now;
    marker_read(file, &now, NULL);
    assert_true(id_equal(&now.id, &other.id)); /* adopting takes the drive's own */
    free(file);
}

static void test_destination__a_damaged_marker_is_said(void **state)
{
    (void)state;
    check_now(false, NULL);
    scratch_write(place, "clawback-destination.json", "{}", 2);
    assert_int_equal(check_now(false, "damaged"), DESTINATION_UNUSABLE);
    assert_int_equal(check_now(true, NULL), DESTINATION_OK);
    assert_int_equal(check_now(false, NULL), DESTINATION_OK);
    char *state_file = marker_state_path(state_dir, "usb");
    unlink(state_file);
    FILE *f = fopen(state_file, "w");
    fputs("nonsense", f);
    fclose(f);
    free(state_file);
    struct destination_check c = look(false, false); /* the drive is believed */
    assert_int_equal(c.problem, DESTINATION_OK);
    assert_int_equal(c.warnings.count, 1);
    destination_check_release(&c);
}

static void test_destination__a_repository_that_is_gone_or_another(void **state)
{
    (void)state;
    struct id one = {{1}}, two = {{2}};
    struct err err = {0};
    check_now(false, NULL);
    scratch_write(place, "config", "x", 1);
    assert_int_equal(destination_remember(&usb, state_dir, &one, &err), 0);
    assert_int_equal(destination_remember(&usb, state_dir, &one, &err), 0);
    assert_int_equal(destination_remember(&usb, state_dir, &two, &err), -1);
    assert_non_null(strstr(err.message, "another repository"));
    assert_int_equal(check_now(false, NULL), DESTINATION_OK);
    char *config = os_path_join(place, "config");
    unlink(config);
    free(config);
    assert_int_equal(check_now(false, "is gone"), DESTINATION_WRONG_DRIVE);
    assert_int_equal(check_now(true, NULL), DESTINATION_OK);
    assert_int_equal(destination_remember(&usb, state_dir, &two, &err), 0);
}

static void test_destination__needs_room_and_a_directory(void **state)
{
    (void)state;
    usb.reserve_bytes = UINT64_MAX;
    assert_int_equal(check_now(false, "reserve"), DESTINATION_NO_SPACE);
    assert_false(scratch_has(dir, "usb"));
    usb.reserve_bytes = 0;
    scratch_write(dir, "usb", "x", 1);
    assert_int_equal(check_now(false, "no directory"), DESTINATION_UNUSABLE);
}

/* On the drive that every Linux has: nothing is written. */
static void look_at_drive(const char *path, const char *mount_point, bool adopt, enum destination_problem expected,
                          const char *words)
{
    usb = (struct plan_destination){.name = "usb", .location = path, .require_mount = true, .mount_point = mount_point};
    struct destination_check c = look(true, adopt);
    if (c.problem != expected || strstr(c.err.message, words) == NULL)
        fail_msg("'%s', mounted at '%s': %s", path, mount_point, c.err.message);
    destination_check_release(&c);
}

static void test_destination__whose_drive_must_be_mounted(void **state)
{
    (void)state;
    static const char SHM[] = "/dev/shm", ITSELF[] = "nothing is mounted at '/dev/shm/clawback-none' itself";
    char real[PATH_MAX];
    struct mounts mounts;
    assert_int_equal(mounts_read(&mounts, NULL), 0);
    bool is_mount = realpath(SHM, real) != NULL && strcmp(mounts_of(&mounts, real)->path, SHM) == 0;
    mounts_release(&mounts);
    if (!is_mount || access(SHM, W_OK) != 0)
        skip();
    look_at_drive(SHM, NULL, false, DESTINATION_OK, "");
    /* What is mounted above it may be the drive, or hold its mount point: the plan has to say. */
    look_at_drive("/dev/shm/clawback-none", NULL, false, DESTINATION_NOT_MOUNTED, ITSELF);
    look_at_drive("/dev/shm/clawback-none", NULL, false, DESTINATION_NOT_MOUNTED, "say so: 'require_mount: /dev/shm'");
    look_at_drive("/dev/shm/clawback-none", NULL, true, DESTINATION_OK, "");
    look_at_drive("/dev/shm/clawback-none", SHM, false, DESTINATION_OK, "");
    look_at_drive("/dev/shm/clawback-none/x", "/dev/shm/clawback-none", false, DESTINATION_NOT_MOUNTED,
                  "nothing is mounted at '/dev/shm/clawback-none' (require_mount)");
    look_at_drive(place, SHM, false, DESTINATION_NOT_MOUNTED, "does not lie on what is mounted at '/dev/shm'");
    /* Once it is known, its marker tells. */
    char *known = marker_state_path(state_dir, "usb"), *known_dir = os_path_join(state_dir, "destinations");
    struct marker m = {.id = {{1}}};
    assert_int_equal(os_make_dirs(known_dir, 0700, NULL), 0);
    assert_int_equal(marker_write(known, &m, "usb", NULL), 0);
    look_at_drive("/dev/shm/clawback-none", NULL, false, DESTINATION_MISSING, "was before");
    free(known_dir);
    free(known);
}

static void test_destination__below_a_file_cannot_be_made(void **state)
{
    (void)state;
    scratch_write(dir, "usb", "x", 1);
    char *below = os_path_join(place, "below");
    usb.location = below;
    struct destination_check c = look(false, false);
    assert_int_not_equal(c.problem, DESTINATION_OK);
    assert_true(c.err.message[0] != '\0');
    destination_check_release(&c);
    free(below);
}

static void test_destination__warns_of_the_same_disk(void **state)
{
    (void)state;
    struct destination_check c;
    struct strlist sources = {0};
    strlist_add(&sources, "/nosuch");
    strlist_add(&sources, dir);
    destination_check(&usb, &(struct destination_options){.state_dir = state_dir, .sources = &sources}, &c);
    assert_true(c.same_disk);
    assert_int_equal(c.warnings.count, 1);
    assert_non_null(strstr(c.warnings.items[0], "same disk"));
    destination_check_release(&c);
    strlist_release(&sources);
}

static void test_destination__of_a_kind_that_is_not_known(void **state)
{
    (void)state;
    uint64_t free_bytes, total_bytes;
    usb.location = "s3:somewhere";
    assert_int_equal(check_now(false, "not supported"), DESTINATION_UNUSABLE);
    assert_null(destination_path(&usb));
    assert_null(destination_archive_dir(&(struct plan){.host = "h"}, &usb));
    assert_false(destination_space(&usb, &free_bytes, &total_bytes));
    usb.location = "local:/x";
    assert_string_equal(destination_path(&usb), "/x");
    char *archives = destination_archive_dir(&(struct plan){.host = "a/b"}, &usb);
    assert_string_equal(archives, "/x/archives/a_b");
    free(archives);
    assert_string_equal(destination_problem_name(DESTINATION_WRONG_DRIVE), "the wrong drive");
}

/* --- opening */

static struct plan plan_with(const char *passphrase)
{
    setenv("TEST_PASSPHRASE", passphrase, 1);
    return (struct plan){.passphrase = {.kind = SECRET_ENV, .name = "TEST_PASSPHRASE"}};
}

static void test_destination__opens_what_it_made(void **state)
{
    (void)state;
    struct plan p = plan_with("one passphrase");
    struct repo *r;
    struct err err = {0};
    usb.compression = "max";
    assert_int_equal(destination_open(&p, &usb, NULL, false, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_non_null(strstr(err.message, "usb"));
    check_now(false, NULL);
    assert_int_equal(destination_open(&p, &usb, NULL, true, &r, &err), 0);
    assert_int_equal(r->options.compression, REPO_COMPRESSION_MAX);
    repo_free(r);
    usb.compression = "nonsense";
    assert_int_equal(destination_open(&p, &usb, NULL, true, &r, &err), 0);
    assert_int_equal(r->options.compression, REPO_COMPRESSION_AUTO);
    repo_free(r);
    p = plan_with("another one");
    assert_int_equal(destination_open(&p, &usb, NULL, true, &r, &err), -1);
    assert_int_equal(err.code, ERR_WRONG_PASSPHRASE);
    usb.passphrase = (struct secret){.kind = SECRET_ENV, .name = "TEST_NOT_SET"};
    assert_int_equal(destination_open(&p, &usb, NULL, false, &r, &err), -1);
    assert_non_null(strstr(err.message, "passphrase"));
    p.passphrase.kind = usb.passphrase.kind = SECRET_NONE;
    assert_int_equal(destination_open(&p, &usb, NULL, false, &r, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
}

static void test_destination__opens_again_without_its_passphrase(void **state)
{
    (void)state;
    struct plan p = plan_with("one passphrase");
    struct repo *r;
    struct destination_kept kept = {0};
    struct err err = {0};
    check_now(false, NULL);
    assert_int_equal(destination_open_again(&p, &usb, &kept, NULL, true, &r, &err), 0);
    assert_true(repo_key_is_kept(&kept.key));
    repo_free(r);
    p = plan_with("another one");
    assert_int_equal(destination_open_again(&p, &usb, &kept, NULL, false, &r, &err), 0);
    assert_true(id_equal(&r->config.id, &kept.key.repository));
    repo_free(r);
    /* What does not fit any more is forgotten, and the passphrase decides. */
    kept.key.repository.bytes[0] ^= 1;
    assert_int_equal(destination_open_again(&p, &usb, &kept, NULL, false, &r, &err), -1);
    assert_int_equal(err.code, ERR_WRONG_PASSPHRASE);
    assert_false(repo_key_is_kept(&kept.key));
    p = plan_with("one passphrase");
    assert_int_equal(destination_open_again(&p, &usb, &kept, NULL, false, &r, &err), 0);
    assert_true(repo_key_is_kept(&kept.key));
    repo_free(r);
    destination_kept_release(&kept);
}

/* --- the store that leaves space alone */

static void test_reserved_store__keeps_packs_out_of_the_reserve(void **state)
{
    (void)state;
    static const char NAME[] = "1100000000000000000000000000000000000000000000000000000000000000";
    struct err err = {0};
    struct store *inner, *s;
    uint64_t plain, left;
    assert_int_equal(store_local_new(&inner, place, &err), 0);
    assert_ptr_equal(reserved_store_new(inner, 0), inner);
    s = reserved_store_new(inner, UINT64_MAX / 2);
    assert_int_equal(store_create(s, &err), 0);
    assert_int_equal(store_free_space(inner, &plain, &err), 0);
    assert_int_equal(store_free_space(s, &left, &err), 0);
    assert_true(plain > 0 && left == 0);
    struct store_spool *sp;
    assert_int_equal(store_spool_new(s, &sp, &err), 0);
    assert_int_equal(store_spool_write(s, sp, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_non_null(strstr(err.message, "left alone"));
    store_spool_discard(s, sp);
    assert_int_equal(store_save(s, STORE_PACK, NAME, "x", 1, &err), -1);
    assert_int_equal(store_save(s, STORE_INDEX, NAME, "x", 1, &err), 0); /* what is small goes through */
    reserved_store_lift(s);
    reserved_store_lift(inner);
    assert_int_equal(store_spool_new(s, &sp, &err), 0);
    assert_int_equal(store_spool_write(s, sp, "x", 1, &err), 0);
    assert_int_equal(store_spool_commit(s, sp, STORE_PACK, NAME, &err), 0);
    char byte;
    assert_int_equal(store_read(s, STORE_PACK, NAME, 0, &byte, 1, &err), 0);
    assert_int_equal(store_size(s, STORE_PACK, NAME, &left, &err), 0);
    assert_int_equal(store_remove(s, STORE_PACK, NAME, &err), 0);
    assert_int_equal(store_clean(s, &err), 0);
    store_reserve_keep(s);
    assert_true(store_reserve_give_up(s));
    assert_false(store_reserve_give_up(s));
    store_reserve_retake(s);
    assert_true(store_reserve_give_up(s));
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_destination__is_made_and_marked_on_first_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__that_vanished_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__another_drive_is_the_wrong_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__a_damaged_marker_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__a_repository_that_is_gone_or_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__needs_room_and_a_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__whose_drive_must_be_mounted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__below_a_file_cannot_be_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__warns_of_the_same_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__of_a_kind_that_is_not_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__opens_what_it_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination__opens_again_without_its_passphrase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reserved_store__keeps_packs_out_of_the_reserve, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
