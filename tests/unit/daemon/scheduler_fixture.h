/* A scheduler with a clock of its own and a few jobs, for tests. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "daemon/scheduler.h"

static const int64_t SECOND = 1000, MINUTE = 60000, HOUR = 3600000, DAY = 86400000;
static const int64_t START = 1767225600000; /* 1 January 2026, 00:00 UTC */

enum { FIXTURE_JOBS = 8 };
struct fixture {
    struct scheduler *s;
    struct scheduler_time now;
    struct job jobs[FIXTURE_JOBS];
    size_t count;
};

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.s = scheduler_new(), .now = {.wall_ms = START, .boot_ms = 1000000}};
}

static inline void fixture_release(struct fixture *f)
{
    scheduler_free(f->s);
    for (size_t i = 0; i < f->count; i++)
        job_release(&f->jobs[i]);
}

static inline struct job *add_job(struct fixture *f, const char *id)
{
    assert_true(f->count < FIXTURE_JOBS);
    struct job *j = &f->jobs[f->count++];
    *j = (struct job){.id = mem_strdup(id), .enabled = true, .catch_up = true};
    return j;
}

static inline struct job *add_cron(struct fixture *f, const char *id, const char *expression, const char *zone)
{
    struct job *j = add_job(f, id);
    j->schedule = (struct schedule){.kind = SCHEDULE_CRON, .zone = mem_strdup(zone)};
    assert_int_equal(cron_parse(expression, &j->schedule.cron, NULL), 0);
    return j;
}

static inline struct job *add_every(struct fixture *f, const char *id, int64_t every_ms)
{
    struct job *j = add_job(f, id);
    j->schedule = (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)every_ms};
    return j;
}

static inline struct job *add_at(struct fixture *f, const char *id, int64_t at_ms)
{
    struct job *j = add_job(f, id);
    j->schedule = (struct schedule){.kind = SCHEDULE_AT, .at_ms = at_ms};
    return j;
}

static inline void set_jobs(struct fixture *f)
{
    struct job_list l = {.items = f->jobs, .count = f->count};
    scheduler_set_jobs(f->s, &l, NULL, 0, f->now);
}

static inline void pass(struct fixture *f, int64_t ms)
{
    f->now.wall_ms += ms;
    f->now.boot_ms += ms;
}

/* Another process, with what this one remembers, or without. */
static inline void restart_with(struct fixture *f, bool memory)
{
    const struct scheduler_memory *items;
    size_t count = scheduler_each_memory(f->s, &items);
    struct scheduler *s = scheduler_new();
    struct job_list l = {.items = f->jobs, .count = f->count};
    scheduler_set_jobs(s, &l, items, memory ? count : 0, f->now);
    scheduler_free(f->s);
    f->s = s;
}

/* The next start is this one; it is marked as running. */
static inline void expect_start(struct fixture *f, const char *id, enum scheduler_reason reason, int64_t due_ms)
{
    struct scheduler_start start;
    if (!scheduler_next_start(f->s, f->now, &start))
        fail_msg("'%s' is not started", id);
    assert_string_equal(start.job->id, id);
    assert_int_equal(start.reason, reason);
    assert_int_equal(start.due_ms, due_ms);
}

static inline void expect_nothing(struct fixture *f)
{
    struct scheduler_start start;
    struct scheduler_missed missed;
    if (scheduler_next_start(f->s, f->now, &start))
        fail_msg("'%s' is started, reason %d", start.job->id, start.reason);
    if (scheduler_next_missed(f->s, &missed))
        fail_msg("'%s' is missed: %s", missed.id, missed.why);
}

static inline void expect_missed(struct fixture *f, const char *id, uint64_t count, int64_t first_ms, int64_t last_ms,
                                 const char *why)
{
    struct scheduler_missed m;
    if (!scheduler_next_missed(f->s, &m))
        fail_msg("'%s' is not reported", id);
    assert_string_equal(m.id, id);
    assert_int_equal(m.count, count);
    assert_int_equal(m.first_ms, first_ms);
    assert_int_equal(m.last_ms, last_ms);
    assert_string_equal(m.why, why);
}

static inline void ended(struct fixture *f, const char *id, enum job_status status)
{
    scheduler_ended(f->s, id, status, true, f->now);
}
