#include "daemon/scheduler_fixture.h"

#define RUNS_STILL "it still ran"
#define NOT_RUNNING "the daemon was not running then"
#define SET_AHEAD "the clock was set ahead over it"
#define ASLEEP "the machine slept or was too busy then"
#define PAST_ALREADY "it was past already when the entry was put in"

/* -------------------------------------------------------------------------------------------------- times on the wall
 */

static void test_scheduler__a_due_time_is_started_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "hourly", "0 * * * *", "UTC");
    set_jobs(&f);
    expect_nothing(&f); /* this very moment is not after itself */
    assert_int_equal(scheduler_wait_ms(f.s, f.now), HOUR);
    assert_int_equal(scheduler_next_due_ms(f.s, "hourly", f.now), START + HOUR);
    pass(&f, HOUR - 1);
    expect_nothing(&f);
    pass(&f, 1);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 0);
    expect_start(&f, "hourly", RUN_DUE, START + HOUR);
    expect_nothing(&f);
    ended(&f, "hourly", JOB_OK);
    expect_nothing(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), HOUR);
    fixture_release(&f);
}

static void test_scheduler__what_is_due_while_it_runs_is_missed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC");
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    pass(&f, 3 * HOUR);
    assert_false(scheduler_next_start(f.s, f.now, &(struct scheduler_start){0}));
    expect_missed(&f, "a", 3, START + 2 * HOUR, START + 4 * HOUR, RUNS_STILL);
    ended(&f, "a", JOB_OK);
    expect_nothing(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + 5 * HOUR);
    fixture_release(&f);
}

static void test_scheduler__one_run_makes_up_for_all_that_was_slept_through(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC");
    add_cron(&f, "never-late", "0 * * * *", "UTC")->catch_up = false;
    set_jobs(&f);
    pass(&f, 5 * HOUR + 2 * MINUTE);
    expect_start(&f, "a", RUN_CAUGHT_UP, START + 5 * HOUR);
    assert_false(scheduler_next_start(f.s, f.now, &(struct scheduler_start){0}));
    expect_missed(&f, "a", 4, START + HOUR, START + 4 * HOUR, ASLEEP);
    expect_missed(&f, "never-late", 5, START + HOUR, START + 5 * HOUR, ASLEEP);
    expect_nothing(&f);
    fixture_release(&f);
}

static void test_scheduler__a_restart_makes_up_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "daily", "0 3 * * *", "Europe/Berlin");
    set_jobs(&f);
    pass(&f, 2 * DAY + 12 * HOUR);
    restart_with(&f, true);
    expect_start(&f, "daily", RUN_CAUGHT_UP, START + 2 * DAY + 2 * HOUR);
    expect_missed(&f, "daily", 2, START + 2 * HOUR, START + DAY + 2 * HOUR, NOT_RUNNING);
    ended(&f, "daily", JOB_OK);
    restart_with(&f, true);
    expect_nothing(&f);
    fixture_release(&f);
}

static void test_scheduler__a_clock_that_goes_back_makes_nothing_due_twice(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC");
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    ended(&f, "a", JOB_OK);
    f.now.wall_ms -= 3 * HOUR;
    pass(&f, 3 * HOUR);
    expect_nothing(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + 2 * HOUR);
    fixture_release(&f);
}

/* A clock that was years ahead keeps no job from running; here and after a restart. */
static void test_scheduler__a_clock_that_was_wrong_is_forgotten(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct fixture f;
        fixture_init(&f);
        add_cron(&f, "a", "0 * * * *", "UTC");
        set_jobs(&f);
        f.now.wall_ms += 3652 * DAY + MINUTE / 2;
        expect_start(&f, "a", RUN_DUE, START + 3652 * DAY);
        expect_missed(&f, "a", 3652 * 24 - 1, START + HOUR, START + 3652 * DAY - HOUR, SET_AHEAD);
        ended(&f, "a", JOB_OK);
        f.now.wall_ms = START + 2 * HOUR + 1;
        if (again)
            restart_with(&f, true);
        expect_nothing(&f);
        pass(&f, HOUR);
        expect_start(&f, "a", RUN_DUE, START + 3 * HOUR);
        fixture_release(&f);
    }
}

static void test_scheduler__a_clock_in_1970_is_no_clock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    f.now.wall_ms = 5000;
    struct job *old = add_cron(&f, "new", "* * * * *", "UTC");
    add_every(&f, "every", HOUR);
    add_at(&f, "at", START + 30 * DAY);
    old->last_run_ms = 4000; /* says a clock that was not set then either */
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "every", RUN_DUE, 5000 + HOUR);
    expect_nothing(&f);
    ended(&f, "every", JOB_OK);
    assert_int_equal(scheduler_next_due_ms(f.s, "new", f.now), 0);
    f.now.wall_ms = START;
    expect_nothing(&f);
    assert_int_equal(scheduler_next_due_ms(f.s, "every", f.now), START + HOUR);
    assert_int_equal(scheduler_next_due_ms(f.s, "new", f.now), START + MINUTE);
    assert_int_equal(scheduler_next_due_ms(f.s, "at", f.now), START + 30 * DAY);
    f.now.wall_ms = 5000;
    restart_with(&f, true);
    expect_nothing(&f);
    f.now.wall_ms = START + 1;
    expect_nothing(&f);
    assert_int_equal(scheduler_next_due_ms(f.s, "every", f.now), START + HOUR);
    fixture_release(&f);
}

/* An age of misses is counted, not lived through. */
static void test_scheduler__ages_are_skipped_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "* * * * *", "Europe/Berlin");
    add_job(&f, "b")->schedule = (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = 1000, .anchor_ms = 1};
    add_every(&f, "c", SECOND);
    set_jobs(&f);
    pass(&f, 20000 * DAY);
    struct scheduler_start start;
    struct scheduler_missed missed;
    size_t starts = 0, misses = 0;
    while (scheduler_next_start(f.s, f.now, &start))
        starts++;
    assert_int_equal(starts, 3);
    while (scheduler_next_missed(f.s, &missed)) {
        assert_int_equal(missed.count, strcmp(missed.id, "a") == 0 ? 20000 * 1440 - 1 : 20000 * 86400 - 1);
        misses++;
    }
    assert_int_equal(misses, 2);
    pass(&f, 20000 * DAY); /* while they run */
    assert_false(scheduler_next_start(f.s, f.now, &start));
    for (misses = 0; scheduler_next_missed(f.s, &missed); misses++)
        assert_string_equal(missed.why, RUNS_STILL);
    assert_true(misses >= 3 && misses < 6);
    fixture_release(&f);
}

static void test_scheduler__times_at_the_end_of_numbers_do_no_harm(void **state)
{
    (void)state;
    static const int64_t EDGES[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    enum { COUNT = sizeof EDGES / sizeof *EDGES };
    for (size_t from = 0; from < COUNT; from++)
        for (size_t to = 0; to < COUNT; to++) {
            struct fixture f;
            fixture_init(&f);
            f.now = (struct scheduler_time){.wall_ms = EDGES[from], .boot_ms = 5};
            add_cron(&f, "cron", "* * * * *", "Europe/Berlin")->jitter_ms = UINT64_MAX;
            add_every(&f, "every", SECOND)->jitter_ms = UINT64_MAX;
            add_every(&f, "longest", INT64_MAX)->schedule.every_ms = UINT64_MAX;
            add_job(&f, "grid")->schedule =
                (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = 1000, .anchor_ms = INT64_MIN};
            add_at(&f, "first", INT64_MIN);
            add_at(&f, "last", INT64_MAX)->retry = (struct job_retry){.times = UINT32_MAX, .after_ms = UINT64_MAX};
            set_jobs(&f);
            struct scheduler_start start;
            f.now = (struct scheduler_time){.wall_ms = EDGES[to], .boot_ms = INT64_MAX};
            for (int i = 0; i < 20 && scheduler_next_start(f.s, f.now, &start); i++)
                ended(&f, start.job->id, JOB_ERROR);
            assert_true(scheduler_wait_ms(f.s, f.now) >= 0);
            scheduler_next_due_ms(f.s, "longest", f.now);
            restart_with(&f, true);
            fixture_release(&f);
        }
}

/* ------------------------------------------------------------------------------------------------------------------ at
 */

static void test_scheduler__at_comes_once_for_ever(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_at(&f, "a", START + HOUR);
    set_jobs(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), HOUR);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    ended(&f, "a", JOB_OK);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), INT64_MAX);
    f.now.wall_ms -= 30 * DAY;
    expect_nothing(&f);
    pass(&f, 40 * DAY);
    expect_nothing(&f);
    restart_with(&f, true);
    expect_nothing(&f);
    size_t count = f.count; /* removed and put back, in two processes */
    f.count = 0;
    set_jobs(&f);
    restart_with(&f, true);
    expect_nothing(&f);
    f.count = count;
    set_jobs(&f);
    expect_nothing(&f);
    fixture_release(&f);
}

static void test_scheduler__at_is_made_up_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_at(&f, "a", START + HOUR);
    set_jobs(&f);
    pass(&f, 5 * DAY);
    restart_with(&f, true);
    expect_start(&f, "a", RUN_CAUGHT_UP, START + HOUR);
    expect_nothing(&f);
    fixture_release(&f);
}

static void test_scheduler__at_that_was_past_when_put_in_is_missed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_at(&f, "past", START - 1);
    add_at(&f, "disabled", START + HOUR)->enabled = false;
    add_at(&f, "ran", START - HOUR)->last_run_ms = START - HOUR + 7;
    add_at(&f, "seen", START - HOUR)->created_ms = START - DAY;
    add_at(&f, "put-in-late", START - HOUR)->created_ms = START - DAY;
    f.jobs[4].updated_ms = START - MINUTE;
    set_jobs(&f);
    expect_start(&f, "seen", RUN_CAUGHT_UP, START - HOUR);
    expect_missed(&f, "past", 1, START - 1, START - 1, PAST_ALREADY);
    expect_missed(&f, "put-in-late", 1, START - HOUR, START - HOUR, PAST_ALREADY);
    expect_nothing(&f);
    pass(&f, 2 * HOUR);
    expect_nothing(&f);
    f.jobs[1].enabled = true;
    set_jobs(&f);
    expect_missed(&f, "disabled", 1, START + HOUR, START + HOUR, PAST_ALREADY);
    f.jobs[0].schedule.at_ms = f.now.wall_ms + 5; /* another moment is another thing */
    set_jobs(&f);
    pass(&f, 5);
    expect_start(&f, "past", RUN_DUE, f.now.wall_ms);
    fixture_release(&f);
}

/* ----------------------------------------------------------------------------------------------------------- intervals
 */

static void test_scheduler__intervals_keep_their_beat(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", 10 * SECOND);
    set_jobs(&f);
    for (int i = 1; i <= 100; i++) {
        f.now.boot_ms = 1000000 + i * 10 * SECOND + i % 7 * 50;
        f.now.wall_ms = START + i * 10 * SECOND + i % 7 * 50;
        expect_start(&f, "a", RUN_DUE, START + i * 10 * SECOND);
        ended(&f, "a", JOB_OK);
        expect_nothing(&f);
    }
    fixture_release(&f);
}

static void test_scheduler__a_late_interval_begins_anew(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", HOUR);
    add_every(&f, "never-late", HOUR)->catch_up = false;
    set_jobs(&f);
    pass(&f, HOUR + 40 * MINUTE); /* suspended */
    expect_start(&f, "a", RUN_CAUGHT_UP, START + HOUR);
    ended(&f, "a", JOB_OK);
    assert_false(scheduler_next_start(f.s, f.now, &(struct scheduler_start){0}));
    expect_missed(&f, "never-late", 1, START + HOUR, START + HOUR, ASLEEP);
    expect_nothing(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), HOUR);
    fixture_release(&f);
}

static void test_scheduler__intervals_are_missed_while_it_runs(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", MINUTE);
    set_jobs(&f);
    pass(&f, MINUTE);
    expect_start(&f, "a", RUN_DUE, START + MINUTE);
    pass(&f, 10 * MINUTE + 30 * SECOND);
    struct scheduler_start start;
    uint64_t missed = 0;
    struct scheduler_missed m;
    assert_false(scheduler_next_start(f.s, f.now, &start));
    while (scheduler_next_missed(f.s, &m))
        missed += m.count;
    assert_int_equal(missed, 10);
    assert_int_equal(m.last_ms, START + 11 * MINUTE);
    ended(&f, "a", JOB_OK);
    pass(&f, 30 * SECOND);
    expect_start(&f, "a", RUN_DUE, START + 12 * MINUTE);
    fixture_release(&f);
}

static void test_scheduler__intervals_do_not_mind_the_wall_clock(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", HOUR);
    set_jobs(&f);
    pass(&f, 30 * MINUTE);
    f.now.wall_ms += 5 * DAY;
    expect_nothing(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 30 * MINUTE);
    restart_with(&f, true); /* what is remembered goes by the new one */
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 30 * MINUTE);
    f.now.wall_ms -= 50 * DAY;
    restart_with(&f, true); /* never longer than the interval */
    assert_int_equal(scheduler_wait_ms(f.s, f.now), HOUR);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, f.now.wall_ms);
    fixture_release(&f);
}

/* -------------------------------------------------------------------------------------------------------------- jitter
 */

static void test_scheduler__jitter_is_the_same_again_and_ends_before_the_next_time(void **state)
{
    (void)state;
    struct fixture f, g;
    int64_t least = INT64_MAX, most = 0;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->jitter_ms = (uint64_t)DAY;
    set_jobs(&f);
    for (int i = 1; i <= 200; i++) {
        int64_t at = scheduler_next_due_ms(f.s, "a", f.now), due = START + i * HOUR;
        restart_with(&f, true);
        assert_int_equal(scheduler_next_due_ms(f.s, "a", f.now), at);
        assert_true(at >= due && at < due + HOUR);
        least = at - due < least ? at - due : least;
        most = at - due > most ? at - due : most;
        pass(&f, at - f.now.wall_ms - 1);
        expect_nothing(&f);
        pass(&f, 1);
        expect_start(&f, "a", RUN_DUE, due);
        ended(&f, "a", JOB_OK);
    }
    assert_true(least < 2 * MINUTE && most > 58 * MINUTE);
    fixture_init(&g);
    add_cron(&g, "b", "0 * * * *", "UTC")->jitter_ms = (uint64_t)DAY;
    g.now = f.now;
    set_jobs(&g);
    assert_int_not_equal(scheduler_next_due_ms(f.s, "a", f.now), scheduler_next_due_ms(g.s, "b", f.now));
    fixture_release(&g);
    fixture_release(&f);
}

/* One that waits for its jitter is not missed when the clock leaps over the next. */
static void test_scheduler__jitter_and_a_leap(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->jitter_ms = (uint64_t)HOUR;
    set_jobs(&f);
    pass(&f, 3 * HOUR); /* the third waits, the second is made up for */
    expect_start(&f, "a", RUN_DUE + (scheduler_next_due_ms(f.s, "a", f.now) < f.now.wall_ms - MINUTE),
                 START + 2 * HOUR);
    expect_missed(&f, "a", 1, START + HOUR, START + HOUR, ASLEEP);
    ended(&f, "a", JOB_OK);
    int64_t third = scheduler_next_due_ms(f.s, "a", f.now);
    assert_true(third >= START + 3 * HOUR && third < START + 4 * HOUR);
    fixture_release(&f);
}

/* ------------------------------------------------------------------------------------------------------------- retries
 */

static void test_scheduler__retries_wait_twice_as_long_each_time(void **state)
{
    (void)state;
    static const int64_t WAITS[] = {10, 20, 40, 60, 60};
    struct fixture f;
    fixture_init(&f);
    struct job *j = add_at(&f, "a", START + HOUR);
    j->retry = (struct job_retry){.times = 5, .after_ms = (uint64_t)(10 * MINUTE)};
    strlist_add(&j->on_failure, "sorry");
    add_job(&f, "sorry");
    set_jobs(&f);
    pass(&f, HOUR);
    struct scheduler_start start;
    assert_true(scheduler_next_start(f.s, f.now, &start));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(start.retry_after_ms, WAITS[i] * MINUTE);
        pass(&f, SECOND);
        assert_int_equal(scheduler_ended(f.s, "a", JOB_ERROR, true, f.now), f.now.wall_ms + WAITS[i] * MINUTE);
        assert_int_equal(scheduler_next_due_ms(f.s, "a", f.now), f.now.wall_ms + WAITS[i] * MINUTE);
        expect_nothing(&f);
        pass(&f, MINUTE);
        if (i % 2 == 1)
            restart_with(&f, true);
        assert_int_equal(scheduler_wait_ms(f.s, f.now), (WAITS[i] - 1) * MINUTE);
        pass(&f, (WAITS[i] - 1) * MINUTE);
        assert_true(scheduler_next_start(f.s, f.now, &start));
        assert_int_equal(start.reason, RUN_RETRY);
        assert_int_equal(start.attempt, i + 2);
        assert_int_equal(start.due_ms, START + HOUR);
    }
    assert_int_equal(start.retry_after_ms, 0);
    assert_int_equal(scheduler_ended(f.s, "a", JOB_ERROR, true, f.now), 0);
    expect_start(&f, "sorry", RUN_CHAINED, f.now.wall_ms);
    fixture_release(&f);
}

static void test_scheduler__no_retry_where_it_does_not_help_or_another_run_comes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->retry = (struct job_retry){.times = 3, .after_ms = (uint64_t)(50 * MINUTE)};
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    assert_int_equal(scheduler_ended(f.s, "a", JOB_ERROR, false, f.now), 0);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + 2 * HOUR);
    pass(&f, 30 * MINUTE);
    assert_int_not_equal(scheduler_ended(f.s, "a", JOB_ERROR, true, f.now), 0);
    pass(&f, 30 * MINUTE); /* the next time comes before it */
    expect_start(&f, "a", RUN_DUE, START + 3 * HOUR);
    ended(&f, "a", JOB_OK);
    pass(&f, 30 * MINUTE);
    expect_nothing(&f);
    pass(&f, 30 * MINUTE);
    expect_start(&f, "a", RUN_DUE, START + 4 * HOUR);
    assert_int_not_equal(scheduler_ended(f.s, "a", JOB_ERROR, true, f.now), 0);
    f.jobs[0].enabled = false; /* then nothing comes */
    set_jobs(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), INT64_MAX);
    assert_true(scheduler_ask(f.s, "a", f.now));
    expect_start(&f, "a", RUN_ASKED, f.now.wall_ms);
    assert_int_equal(scheduler_ended(f.s, "a", JOB_ERROR, true, f.now), 0);
    fixture_release(&f);
}

static void test_scheduler__a_run_that_a_restart_interrupts_has_failed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->retry = (struct job_retry){.times = 1, .after_ms = (uint64_t)MINUTE};
    strlist_add(&add_cron(&f, "b", "0 * * * *", "UTC")->on_failure, "sorry");
    add_job(&f, "sorry");
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    expect_start(&f, "b", RUN_DUE, START + HOUR);
    restart_with(&f, true);
    expect_start(&f, "sorry", RUN_CHAINED, f.now.wall_ms);
    expect_nothing(&f);
    pass(&f, MINUTE);
    expect_start(&f, "a", RUN_RETRY, START + HOUR);
    fixture_release(&f);
}

/* Its process outlived the daemon and is watched on. */
static void test_scheduler__a_run_that_is_adopted_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->retry = (struct job_retry){.times = 1, .after_ms = (uint64_t)MINUTE};
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    struct scheduler_memory m = *scheduler_memory_of(f.s, "a");
    struct job_list l = {.items = f.jobs, .count = f.count};
    struct scheduler *s = scheduler_new();
    m.adopted = true;
    scheduler_set_jobs(s, &l, &m, 1, f.now);
    scheduler_free(f.s);
    f.s = s;
    assert_false(scheduler_ask(f.s, "a", f.now));
    pass(&f, HOUR);
    assert_false(scheduler_next_start(f.s, f.now, &(struct scheduler_start){0}));
    expect_missed(&f, "a", 1, START + 2 * HOUR, START + 2 * HOUR, RUNS_STILL);
    ended(&f, "a", JOB_ERROR);
    pass(&f, MINUTE);
    expect_start(&f, "a", RUN_RETRY, START + HOUR);
    fixture_release(&f);
}

/* -------------------------------------------------------------------------------------------------------------- chains
 */

static void test_scheduler__followers_start_or_are_reported(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct job *j = add_cron(&f, "a", "0 * * * *", "UTC");
    static const char *const FOLLOWERS[] = {"b", "disabled", "running", "unknown", "b"};
    for (size_t i = 0; i < 5; i++)
        strlist_add(&j->on_success, FOLLOWERS[i]);
    strlist_add(&j->on_failure, "sorry");
    add_job(&f, "b");
    add_job(&f, "disabled")->enabled = false;
    add_job(&f, "running");
    add_job(&f, "sorry");
    set_jobs(&f);
    assert_true(scheduler_ask(f.s, "running", f.now));
    expect_start(&f, "running", RUN_ASKED, START);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    pass(&f, MINUTE);
    ended(&f, "a", JOB_OK);
    int64_t t = f.now.wall_ms;
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 0);
    restart_with(&f, true); /* what is to follow survives; "running" was interrupted */
    expect_start(&f, "b", RUN_CHAINED, t);
    expect_nothing(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + 2 * HOUR);
    ended(&f, "a", JOB_SKIPPED);
    expect_nothing(&f);
    assert_true(scheduler_ask(f.s, "running", f.now) && scheduler_ask(f.s, "a", f.now));
    expect_start(&f, "running", RUN_ASKED, f.now.wall_ms);
    expect_start(&f, "a", RUN_ASKED, f.now.wall_ms);
    ended(&f, "b", JOB_OK);
    ended(&f, "a", JOB_OK);
    t = f.now.wall_ms;
    expect_missed(&f, "disabled", 1, t, t, "it is disabled");
    expect_missed(&f, "running", 1, t, t, RUNS_STILL);
    expect_missed(&f, "b", 1, t, t, "it was about to start already");
    f.jobs[1].enabled = false; /* b, before it starts */
    set_jobs(&f);
    assert_false(scheduler_next_start(f.s, f.now, &(struct scheduler_start){0}));
    expect_missed(&f, "b", 1, t, t, "it is disabled");
    expect_nothing(&f);
    fixture_release(&f);
}

static void test_scheduler__a_circle_of_followers_ends(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    strlist_add(&add_job(&f, "a")->on_success, "b");
    strlist_add(&add_job(&f, "b")->on_success, "a");
    set_jobs(&f);
    assert_true(scheduler_ask(f.s, "a", f.now));
    struct scheduler_start start;
    unsigned runs = 0;
    while (scheduler_next_start(f.s, f.now, &start)) {
        assert_true(++runs < 100);
        ended(&f, runs % 2 == 1 ? "a" : "b", JOB_OK);
    }
    assert_int_equal(runs, 17);
    expect_missed(&f, "b", 1, START, START, "the chain of jobs that start it is too long");
    fixture_release(&f);
}

/* --------------------------------------------------------------------------------------------------------------- asked
 */

static void test_scheduler__what_is_asked_for_runs_enabled_or_not(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->enabled = false;
    set_jobs(&f);
    assert_false(scheduler_ask(f.s, "nobody", f.now));
    assert_true(scheduler_ask(f.s, "a", f.now));
    assert_true(scheduler_ask(f.s, "a", f.now)); /* once is enough */
    pass(&f, MINUTE);
    restart_with(&f, true);
    expect_start(&f, "a", RUN_ASKED, START);
    assert_false(scheduler_ask(f.s, "a", f.now));
    expect_nothing(&f);
    ended(&f, "a", JOB_OK);
    expect_nothing(&f);
    assert_int_equal(scheduler_ended(f.s, "a", JOB_OK, true, f.now), 0); /* it does not run */
    assert_int_equal(scheduler_ended(f.s, "nobody", JOB_OK, true, f.now), 0);
    fixture_release(&f);
}

/* --------------------------------------------------------------------------------------------------------- the owner's
 */

static void test_scheduler__an_edit_counts_from_now_only_when_it_concerns_times(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct job *j = add_every(&f, "a", HOUR);
    set_jobs(&f);
    pass(&f, 30 * MINUTE);
    j->name = mem_strdup("another");
    set_jobs(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 30 * MINUTE);
    assert_string_equal(scheduler_job(f.s, "a")->name, "another");
    j->schedule.every_ms = (uint64_t)(2 * HOUR);
    set_jobs(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 2 * HOUR);
    pass(&f, HOUR);
    j->enabled = false;
    set_jobs(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), INT64_MAX);
    pass(&f, 5 * HOUR);
    expect_nothing(&f);
    j->enabled = true;
    restart_with(&f, true); /* also when nobody was there to see it */
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 2 * HOUR);
    fixture_release(&f);
}

static void test_scheduler__one_that_is_removed_while_it_runs_runs_on(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    strlist_add(&add_cron(&f, "a", "0 * * * *", "UTC")->on_success, "b");
    add_job(&f, "b");
    set_jobs(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + HOUR);
    f.count = 0;
    set_jobs(&f);
    assert_null(scheduler_job(f.s, "a"));
    assert_true(scheduler_memory_of(f.s, "a")->running);
    assert_null(scheduler_memory_of(f.s, "nobody"));
    f.count = 2;
    set_jobs(&f);
    assert_false(scheduler_ask(f.s, "a", f.now)); /* never two at once */
    pass(&f, HOUR);
    assert_false(scheduler_next_start(f.s, f.now, &(struct scheduler_start){0}));
    expect_missed(&f, "a", 1, START + 2 * HOUR, START + 2 * HOUR, RUNS_STILL);
    f.count = 0;
    set_jobs(&f);
    ended(&f, "a", JOB_OK);
    expect_nothing(&f);
    f.count = 2;
    pass(&f, 2 * HOUR);
    set_jobs(&f); /* back: from now */
    expect_nothing(&f);
    pass(&f, HOUR);
    expect_start(&f, "a", RUN_DUE, START + 5 * HOUR);
    fixture_release(&f);
}

static void test_scheduler__without_memory_the_entry_itself_says_when_it_ran(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC")->last_run_ms = START - 3 * HOUR + 5;
    add_every(&f, "b", 2 * HOUR)->last_run_ms = START - HOUR;
    add_cron(&f, "edited", "0 * * * *", "UTC")->last_run_ms = START - 3 * HOUR;
    f.jobs[2].updated_ms = START - MINUTE;
    add_cron(&f, "future", "0 * * * *", "UTC")->last_run_ms = START + DAY;
    pass(&f, MINUTE);
    set_jobs(&f);
    expect_start(&f, "a", RUN_DUE, START);
    expect_missed(&f, "a", 2, START - 2 * HOUR, START - HOUR, NOT_RUNNING);
    expect_start(&f, "edited", RUN_DUE, START);
    expect_nothing(&f);
    assert_int_equal(scheduler_next_due_ms(f.s, "b", f.now), START + HOUR);
    assert_int_equal(scheduler_next_due_ms(f.s, "nobody", f.now), 0);
    fixture_release(&f);
}

/* A file that cannot be read at the start takes nothing away. */
static void test_scheduler__an_empty_set_at_first_forgets_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC");
    set_jobs(&f);
    pass(&f, 2 * HOUR);
    f.count = 0;
    restart_with(&f, true);
    expect_nothing(&f);
    f.count = 1;
    set_jobs(&f);
    expect_start(&f, "a", RUN_DUE, START + 2 * HOUR);
    fixture_release(&f);
}

static void test_scheduler__of_two_with_one_id_the_first_counts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", HOUR);
    add_every(&f, "a", MINUTE);
    add_every(&f, "a", SECOND);
    set_jobs(&f);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), HOUR);
    fixture_release(&f);
}

/* What is not taken stays due. */
static void test_scheduler__starts_wait_for_who_asks(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_cron(&f, "a", "0 * * * *", "UTC");
    add_cron(&f, "b", "0 * * * *", "UTC");
    set_jobs(&f);
    pass(&f, HOUR);
    struct scheduler_start start;
    assert_true(scheduler_next_start(f.s, f.now, &start));
    pass(&f, 20 * SECOND);
    assert_int_equal(scheduler_wait_ms(f.s, f.now), 0);
    assert_true(scheduler_next_start(f.s, f.now, &start));
    assert_int_equal(start.due_ms, START + HOUR);
    expect_nothing(&f);
    fixture_release(&f);
}

/* -------------------------------------------------------------------------------------------------------------- many
 */

enum { MANY = 10000 };

static struct job_list many_jobs(void)
{
    struct job_list l = {.items = mem_array(NULL, MANY, sizeof *l.items), .count = MANY};
    for (size_t i = 0; i < MANY; i++)
        l.items[i] = (struct job){.id = mem_printf("job-%zu", i * 7919 % MANY),
                                  .enabled = true,
                                  .schedule = {.kind = SCHEDULE_EVERY, .every_ms = 1000 + i, .anchor_ms = (int64_t)i}};
    return l;
}

static void test_scheduler__ten_thousand_jobs_come_in_order(void **state)
{
    (void)state;
    struct scheduler *s = scheduler_new();
    struct scheduler_time now = {.wall_ms = START, .boot_ms = 5};
    struct scheduler_start start;
    struct job_list l = many_jobs();
    scheduler_set_jobs(s, &l, NULL, 0, now);
    size_t starts = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t wait = scheduler_wait_ms(s, now);
        assert_true(wait >= 0 && wait < 20);
        now.wall_ms += wait;
        now.boot_ms += wait;
        for (; scheduler_next_start(s, now, &start); starts++) {
            assert_int_equal(start.due_ms, now.wall_ms);
            scheduler_ended(s, start.job->id, JOB_OK, false, now);
        }
    }
    assert_true(starts >= 2000);
    const struct scheduler_memory *memory;
    assert_int_equal(scheduler_each_memory(s, &memory), MANY);
    assert_true(scheduler_changed_memory(s, &memory) == MANY);
    assert_int_equal(scheduler_changed_memory(s, &memory), 0);
    struct job_list none = {0}; /* some that are gone are kept in mind */
    scheduler_set_jobs(s, &none, NULL, 0, now);
    assert_int_equal(scheduler_each_memory(s, &memory), 1000);
    assert_int_equal(scheduler_wait_ms(s, now), INT64_MAX);
    scheduler_free(s);
    job_list_release(&l);
}

static void test_scheduler__reports_that_nobody_fetches_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    add_every(&f, "a", MINUTE);
    set_jobs(&f);
    pass(&f, MINUTE);
    expect_start(&f, "a", RUN_DUE, START + MINUTE);
    struct scheduler_start start;
    struct scheduler_missed m;
    for (int i = 0; i < 100007; i++) {
        pass(&f, MINUTE);
        assert_false(scheduler_next_start(f.s, f.now, &start));
    }
    assert_true(scheduler_next_missed(f.s, &m));
    assert_int_equal(m.first_ms, START + 9 * MINUTE);
    size_t count = 1;
    while (scheduler_next_missed(f.s, &m))
        count++;
    assert_int_equal(count, 100000);
    scheduler_free(NULL);
    fixture_release(&f);
}

/* The machine's zone changes under a daemon that runs. */
static void test_scheduler__time_zones_are_read_again(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    setenv("TZ", "UTC", 1);
    struct job *j = add_cron(&f, "local", "0 12 * * *", "UTC");
    free(j->schedule.zone);
    j->schedule.zone = NULL;
    add_cron(&f, "nowhere", "0 12 * * *", "Europe/Nowhere");
    add_cron(&f, "utc", "0 12 * * *", "UTC");
    set_jobs(&f);
    assert_int_equal(scheduler_next_due_ms(f.s, "local", f.now), START + 12 * HOUR);
    assert_int_equal(scheduler_next_due_ms(f.s, "nowhere", f.now), 0);
    setenv("TZ", "Asia/Kathmandu", 1);
    pass(&f, HOUR);
    assert_int_equal(scheduler_next_due_ms(f.s, "local", f.now), START + 6 * HOUR + 15 * MINUTE);
    assert_int_equal(scheduler_next_due_ms(f.s, "utc", f.now), START + 12 * HOUR);
    unsetenv("TZ");
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler__a_due_time_is_started_once),
        cmocka_unit_test(test_scheduler__what_is_due_while_it_runs_is_missed),
        cmocka_unit_test(test_scheduler__one_run_makes_up_for_all_that_was_slept_through),
        cmocka_unit_test(test_scheduler__a_restart_makes_up_once),
        cmocka_unit_test(test_scheduler__a_clock_that_goes_back_makes_nothing_due_twice),
        cmocka_unit_test(test_scheduler__a_clock_that_was_wrong_is_forgotten),
        cmocka_unit_test(test_scheduler__a_clock_in_1970_is_no_clock),
        cmocka_unit_test(test_scheduler__ages_are_skipped_at_once),
        cmocka_unit_test(test_scheduler__times_at_the_end_of_numbers_do_no_harm),
        cmocka_unit_test(test_scheduler__at_comes_once_for_ever),
        cmocka_unit_test(test_scheduler__at_is_made_up_for),
        cmocka_unit_test(test_scheduler__at_that_was_past_when_put_in_is_missed),
        cmocka_unit_test(test_scheduler__intervals_keep_their_beat),
        cmocka_unit_test(test_scheduler__a_late_interval_begins_anew),
        cmocka_unit_test(test_scheduler__intervals_are_missed_while_it_runs),
        cmocka_unit_test(test_scheduler__intervals_do_not_mind_the_wall_clock),
        cmocka_unit_test(test_scheduler__jitter_is_the_same_again_and_ends_before_the_next_time),
        cmocka_unit_test(test_scheduler__jitter_and_a_leap),
        cmocka_unit_test(test_scheduler__retries_wait_twice_as_long_each_time),
        cmocka_unit_test(test_scheduler__no_retry_where_it_does_not_help_or_another_run_comes),
        cmocka_unit_test(test_scheduler__a_run_that_a_restart_interrupts_has_failed),
        cmocka_unit_test(test_scheduler__a_run_that_is_adopted_goes_on),
        cmocka_unit_test(test_scheduler__followers_start_or_are_reported),
        cmocka_unit_test(test_scheduler__a_circle_of_followers_ends),
        cmocka_unit_test(test_scheduler__what_is_asked_for_runs_enabled_or_not),
        cmocka_unit_test(test_scheduler__an_edit_counts_from_now_only_when_it_concerns_times),
        cmocka_unit_test(test_scheduler__one_that_is_removed_while_it_runs_runs_on),
        cmocka_unit_test(test_scheduler__without_memory_the_entry_itself_says_when_it_ran),
        cmocka_unit_test(test_scheduler__an_empty_set_at_first_forgets_nothing),
        cmocka_unit_test(test_scheduler__of_two_with_one_id_the_first_counts),
        cmocka_unit_test(test_scheduler__starts_wait_for_who_asks),
        cmocka_unit_test(test_scheduler__ten_thousand_jobs_come_in_order),
        cmocka_unit_test(test_scheduler__reports_that_nobody_fetches_are_bounded),
        cmocka_unit_test(test_scheduler__time_zones_are_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
