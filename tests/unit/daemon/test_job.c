#include "daemon/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static struct job full(void)
{
    struct job j = {.enabled = true,
                    .created_ms = 1,
                    .updated_ms = 2,
                    .timeout_ms = 3,
                    .jitter_ms = 4,
                    .catch_up = true,
                    .retry = {.times = 5, .after_ms = 6},
                    .last_run_ms = 7,
                    .last_status = JOB_ERROR,
                    .last_duration_ms = 8};
    j.id = mem_strdup("id");
    j.agent_id = mem_strdup("agent");
    j.name = mem_strdup("name");
    j.session_target = mem_strdup("target");
    j.wake_mode = mem_strdup("wake");
    j.cron_text = mem_strdup("0 2 * * *");
    j.schedule = (struct schedule){.kind = SCHEDULE_CRON, .cron_text = j.cron_text, .zone = mem_strdup("UTC")};
    assert_int_equal(cron_parse(j.cron_text, &j.schedule.cron, NULL), 0);
    strlist_add(&j.argv, "a");
    strlist_add(&j.env, "A=1");
    strlist_add(&j.on_success, "s");
    strlist_add(&j.on_failure, "f");
    j.text = mem_strdup("text");
    j.directory = mem_strdup("/");
    j.input = mem_strdup("in");
    return j;
}

static void test_job__a_copy_is_equal_and_its_own(void **state)
{
    (void)state;
    struct job a = full(), b;
    job_copy(&b, &a);
    assert_true(job_equal(&a, &b));
    assert_ptr_not_equal(a.id, b.id);
    assert_ptr_equal(b.schedule.cron_text, b.cron_text);
    assert_true(b.last_run_ms == 7 && b.last_status == JOB_ERROR && b.updated_ms == 2);
    job_release(&a);
    assert_null(a.id);
    assert_string_equal(b.on_failure.items[0], "f");
    job_copy(&a, &b);
    job_release(&a);
    job_release(&b);
    struct job nothing = {0}, other;
    job_copy(&other, &nothing);
    assert_true(job_equal(&nothing, &other));
    job_release(&other);
}

static void replace(char **text, const char *with)
{
    free(*text);
    *text = mem_strdup(with);
}

enum { CHANGES = 22 };

static void change(struct job *j, int which)
{
    char **texts[] = {&j->id,   &j->agent_id,  &j->name,  &j->session_target, &j->wake_mode,
                      &j->text, &j->directory, &j->input, &j->schedule.zone};
    struct strlist *lists[] = {&j->argv, &j->env, &j->on_success, &j->on_failure};
    if (which < 9)
        replace(texts[which], "changed");
    else if (which < 13)
        strlist_add(lists[which - 9], "more");
    else if (which == 13)
        j->enabled = false;
    else if (which == 14)
        j->created_ms++;
    else if (which == 15)
        j->timeout_ms++;
    else if (which == 16)
        j->jitter_ms++;
    else if (which == 17)
        j->catch_up = false;
    else if (which == 18)
        j->delete_after_run = true;
    else if (which == 19)
        j->retry.times++;
    else if (which == 20)
        j->retry.after_ms++;
    else
        j->agent_turn = true;
}

static void test_job__differs_when_anything_that_is_asked_for_does(void **state)
{
    (void)state;
    for (int i = 0; i < CHANGES; i++) {
        struct job a = full(), b = full();
        change(&b, i);
        if (job_equal(&a, &b))
            fail_msg("change %d was not seen", i);
        job_release(&a);
        job_release(&b);
    }
    struct job a = full(), b = full();
    b.last_run_ms = b.updated_ms = 99;
    b.last_status = JOB_OK;
    b.last_duration_ms = 99;
    assert_true(job_equal(&a, &b)); /* state is nothing that is asked for */
    replace(&b.cron_text, "0  2  *  *  *");
    b.schedule.cron_text = b.cron_text;
    assert_true(job_equal(&a, &b)); /* nor is how it is written */
    job_release(&a);
    job_release(&b);
}

static void test_job__schedules_are_equal_when_they_mean_the_same(void **state)
{
    (void)state;
    struct schedule every = {.kind = SCHEDULE_EVERY, .every_ms = 5, .at_ms = 1}, other = every;
    other.at_ms = 2; /* no matter for an interval */
    assert_true(job_schedule_equal(&every, &other));
    other.anchor_ms = 3;
    assert_false(job_schedule_equal(&every, &other));
    other = (struct schedule){.kind = SCHEDULE_AT, .at_ms = 5};
    assert_false(job_schedule_equal(&every, &other));
    struct schedule at = other;
    assert_true(job_schedule_equal(&at, &other));
    at.at_ms++;
    assert_false(job_schedule_equal(&at, &other));
    struct schedule a = {.kind = SCHEDULE_CRON}, b = {.kind = SCHEDULE_CRON};
    assert_int_equal(cron_parse("@daily", &a.cron, NULL), 0);
    assert_int_equal(cron_parse("0 0 * * *", &b.cron, NULL), 0);
    assert_true(job_schedule_equal(&a, &b));
    assert_int_equal(cron_parse("0 */24 * * *", &b.cron, NULL), 0);
    assert_false(job_schedule_equal(&a, &b)); /* it follows the elapsed time */
    struct schedule none = {0};
    assert_true(job_schedule_equal(&none, &(struct schedule){0}));
}

static void test_job__has_words_for_its_status(void **state)
{
    (void)state;
    assert_string_equal(job_status_name(JOB_NEVER), "pending");
    assert_string_equal(job_status_name(JOB_OK), "ok");
    assert_string_equal(job_status_name(JOB_ERROR), "error");
    assert_string_equal(job_status_name(JOB_SKIPPED), "skipped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job__a_copy_is_equal_and_its_own),
        cmocka_unit_test(test_job__differs_when_anything_that_is_asked_for_does),
        cmocka_unit_test(test_job__schedules_are_equal_when_they_mean_the_same),
        cmocka_unit_test(test_job__has_words_for_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
