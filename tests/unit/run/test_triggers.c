/* From a plan to what must be started when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plan/config.h"
#include "plan/parsed.h"
#include "run/triggers.h"

static struct plan *plan_of(const char *tiers)
{
    char text[4096];
    snprintf(text, sizeof text,
             "home: /nowhere\npassphrase: {env: SOME_PASSPHRASE}\ndestinations: {usb: {path: /mnt/usb}}\ntiers:\n%s",
             tiers);
    return parsed(text, "/etc/some/plan.yaml", true);
}

static void make(const char *tiers, bool with_health, struct plan **plan, struct trigger_list *out)
{
    *plan = plan_of(tiers);
    triggers_make(*plan, "/usr/bin/clawback", with_health, out);
}

static void release(struct plan *plan, struct trigger_list *l)
{
    triggers_release(l);
    plan_free(plan);
}

static void test_triggers__are_one_for_each_schedule(void **state)
{
    (void)state;
    struct plan *plan;
    struct trigger_list l;
    make("  git: {every: 2h, files: [/a], to: [usb]}\n"
         "  config: {every: 2h, files: [/a], to: [usb]}\n"
         "  full: {cron: \"0 0 * * 0\", files: [/a], to: [usb]}\n",
         true, &plan, &l);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.items[0].id, "clawback");
    assert_string_equal(l.items[0].name, "clawback: git, config");
    assert_int_equal(l.items[0].schedule.every_ms, 2 * 3600 * 1000);
    assert_string_equal(l.items[1].id, "clawback-run-full");
    assert_int_equal(l.items[1].schedule.kind, SCHEDULE_CRON);
    assert_string_equal(l.items[2].id, "clawback-health");
    assert_int_equal(l.items[2].schedule.every_ms, 3600 * 1000);
    release(plan, &l);
}

static void test_triggers__leave_out_intervals_that_another_one_starts_in_time(void **state)
{
    (void)state;
    struct plan *plan;
    struct trigger_list l;
    make("  slow: {every: 6h, files: [/a], to: [usb]}\n"
         "  quick: {every: 90m, files: [/a], to: [usb]}\n"
         "  odd: {every: 2h, files: [/a], to: [usb]}\n",
         false, &plan, &l);
    assert_int_equal(l.count, 2); /* 6h is four times 90m; 2h is not */
    assert_string_equal(l.items[0].name, "clawback: slow, quick");
    assert_int_equal(l.items[0].schedule.every_ms, 90 * 60 * 1000);
    assert_string_equal(l.items[1].name, "clawback: slow, odd");
    release(plan, &l);
}

static void test_triggers__leave_out_what_is_disabled_or_has_no_schedule(void **state)
{
    (void)state;
    struct plan *plan;
    struct trigger_list l;
    make("  off: {every: 1h, enabled: false, files: [/a], to: [usb]}\n"
         "  named: {files: [/a], to: [usb]}\n",
         false, &plan, &l);
    assert_int_equal(l.count, 0);
    release(plan, &l);
}

static void test_triggers__tell_zones_apart(void **state)
{
    (void)state;
    struct plan *plan;
    struct trigger_list l;
    make("  here: {cron: \"0 3 * * *\", files: [/a], to: [usb]}\n"
         "  there: {cron: \"0 3 * * *\", timezone: Asia/Tokyo, files: [/a], to: [usb]}\n"
         "  there2: {cron: \"0 3 * * *\", timezone: Asia/Tokyo, files: [/a], to: [usb]}\n",
         false, &plan, &l);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.items[1].name, "clawback: there, there2");
    release(plan, &l);
}

static void test_triggers__name_a_plan_that_is_not_at_the_usual_place(void **state)
{
    (void)state;
    struct plan *plan;
    struct trigger_list l;
    make("  a: {every: 1h, files: [/a], to: [usb]}\n", true, &plan, &l);
    const char *const expected[] = {"/usr/bin/clawback", "run", "--wait", "-c", "/etc/some/plan.yaml"};
    assert_int_equal(l.items[0].argv.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(l.items[0].argv.items[i], expected[i]);
    assert_string_equal(l.items[1].argv.items[1], "health");
    assert_string_equal(l.items[1].argv.items[2], "--scheduled");
    assert_string_equal(l.items[1].argv.items[4], "/etc/some/plan.yaml");
    release(plan, &l);
}

static void test_triggers__leave_the_usual_plan_unnamed(void **state)
{
    (void)state;
    char usual[] = "/home/me/.config/clawback/clawback.yaml";
    struct plan *plan = plan_of("  a: {every: 1h, files: [/a], to: [usb]}\n");
    struct trigger_list l;
    unsetenv("CLAWBACK_CONFIG");
    setenv("XDG_CONFIG_HOME", "/home/me/.config", 1);
    plan->file = usual;
    triggers_make(plan, "/usr/bin/clawback", false, &l);
    assert_int_equal(l.items[0].argv.count, 3);
    release(plan, &l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_triggers__are_one_for_each_schedule),
        cmocka_unit_test(test_triggers__leave_out_intervals_that_another_one_starts_in_time),
        cmocka_unit_test(test_triggers__leave_out_what_is_disabled_or_has_no_schedule),
        cmocka_unit_test(test_triggers__tell_zones_apart),
        cmocka_unit_test(test_triggers__name_a_plan_that_is_not_at_the_usual_place),
        cmocka_unit_test(test_triggers__leave_the_usual_plan_unnamed),
    };
    return cmocka_run_group_tests_name("run/triggers", tests, NULL, NULL);
}
