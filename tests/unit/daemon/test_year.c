/*
 * A year of the scheduler under a clock that does everything clocks do, against an oracle that knows what is due by
 * looking at every minute of that year through the C library, and by counting.
 *
 * What must hold: each due time is started exactly once, or reported as missed exactly once, in order; never before its
 * time; as soon as the loop looked after it (and its jitter); never two of one job at once. Whatever happens: restarts
 * and kills at any moment, also within the write of the memory; memory lost; jobs.json edited; clocks set ahead, back,
 * and to 1970; suspends; runs that take longer than their interval; failures and their retries; followers.
 *
 * CLAWBACK_TEST_SEEDS=N: that many years (default: 4, but none is begun after six seconds); CLAWBACK_TEST_SEED=N: only
 * that one.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "daemon/memory.h"
#include "daemon/scheduler.h"
#include "os/clock.h"
#include "daemon/year_tables.h"

static int fill_before(void **state)
{
    (void)state;
    fill_tables();
    return 0;
}

static int empty_after(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        free(tables[i].times);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------- the
 * world
 */

enum {
    WALL_JOBS = 26,
    FLOATING_JOBS = 6,
    AT_JOBS = 6,
    FOLLOWERS = 4,
    JOBS = WALL_JOBS + FLOATING_JOBS + AT_JOBS + FOLLOWERS,
    ENOUGH_S = 6,
};

/* A job of the file, and what the oracle knows of it. */
struct model {
    struct job job;
    bool in_file;
    uint64_t known_asks;         /* what it asked for when the daemon read the file, or its memory says so */
    bool known;                  /* the daemon has it, or had it when it ended */
    bool remembered;             /* its memory has it */
    struct table table;          /* of those with due times on the wall clock */
    size_t next;                 /* the first of them that is not accounted for */
    int64_t seen_ms, handled_ms; /* wall */
    bool at_done, at_must_miss;
    /* intervals without anchor; the true time */
    int64_t began_t, saved_wall;
    bool unsure;
    /* retries, runs */
    int64_t retry_t, retry_wait; /* 0: none */
    unsigned attempt, depth;
    bool running, will_fail, will_retry;
    int64_t ends_t, due_ms;
    int64_t started_ms; /* the last due time that was started; 0 when the clock may show it once more */
    unsigned chained;   /* starts, or reports, that are still to come in this look */
};

struct world {
    uint64_t seed, random;
    int64_t t, offset, boot_offset, lag; /* wall = t + offset; boot = t + boot_offset */
    int64_t end;
    bool set; /* the wall clock, when it was looked at last */
    struct model models[JOBS];
    struct scheduler *s;
    struct buf disk;
    uint64_t starts, missed, retries, chains, caught_up, restarts, kills, losses, edits, jumps, looks;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static bool one_in(struct world *w, uint64_t n)
{
    return draw(w, n) == 0;
}

static int64_t wall(const struct world *w)
{
    return w->t + w->offset;
}

static struct scheduler_time now_of(const struct world *w)
{
    return (struct scheduler_time){.wall_ms = wall(w), .boot_ms = w->t + w->boot_offset};
}

static bool is_floating(const struct model *m)
{
    return m->job.schedule.kind == SCHEDULE_EVERY && m->job.schedule.anchor_ms == 0;
}

static bool is_at(const struct model *m)
{
    return m->job.schedule.kind == SCHEDULE_AT;
}

static bool is_wall(const struct model *m)
{
    return m->table.count > 0 && !is_at(m);
}

static bool in_force(const struct model *m)
{
    return m->in_file && m->job.enabled;
}

/* What it asks for, as a number: two that ask for the same have the same. */
static uint64_t asks_of(const struct model *m)
{
    const struct schedule *s = &m->job.schedule;
    uint64_t times = is_wall(m) ? (uint64_t)(uintptr_t)m->table.times : (uint64_t)s->at_ms + s->every_ms;
    return times * 2 + m->job.enabled;
}

#define FAIL(w, m, format, ...)                                                                                 \
    fail_msg("seed %" PRIu64 " at %" PRId64 " (wall %" PRId64 "), job %s: " format, (w)->seed, (w)->t, wall(w), \
             (m)->job.id, __VA_ARGS__)

/* ------------------------------------------------------------------------------------------------------------- the
 * oracle
 */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void find_next(struct model *m)
{
    if (!is_wall(m))
        return;
    int64_t since = larger(m->seen_ms, m->handled_ms);
    size_t low = 0, high = m->table.count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->table.times[middle] > since)
            high = middle;
        else
            low = middle + 1;
    }
    m->next = low;
}

static void counts_from_now(struct world *w, struct model *m)
{
    m->seen_ms = wall(w) >= CLOCK_SET ? wall(w) : 0;
    m->began_t = w->t;
    m->unsure = false;
    if (is_at(m) && !m->at_done)
        m->at_must_miss = wall(w) >= CLOCK_SET && m->job.schedule.at_ms <= m->seen_ms;
    find_next(m);
}

/* The oracle's view of the clocks at this moment, as the header describes it. */
static void clocks_are_seen(struct world *w)
{
    bool set = wall(w) >= CLOCK_SET, became = set && !w->set;
    w->set = set;
    if (!set)
        return;
    for (size_t i = 0; i < JOBS; i++) {
        struct model *m = &w->models[i];
        if (became && m->in_file) {
            if (m->seen_ms == 0) {
                m->seen_ms = wall(w);
                if (is_at(m) && !m->at_done)
                    m->at_must_miss = m->job.schedule.at_ms <= m->seen_ms;
            }
            if (m->unsure) {
                m->began_t = w->t - larger(0, wall(w) - m->saved_wall);
                m->unsure = false;
            }
            find_next(m);
        }
        if (is_wall(m) && in_force(m) && larger(m->seen_ms, m->handled_ms) > wall(w) + 3 * HOUR) {
            m->started_ms = 0;
            if (m->seen_ms > wall(w) + 3 * HOUR)
                m->seen_ms = wall(w);
            if (m->handled_ms > wall(w) + 3 * HOUR)
                m->handled_ms = wall(w);
            find_next(m);
        }
    }
}

static struct model *model_of(struct world *w, const char *id)
{
    for (size_t i = 0; i < JOBS; i++)
        if (strcmp(w->models[i].job.id, id) == 0)
            return &w->models[i];
    fail_msg("no job %s", id);
    return NULL;
}

static void run_is_over(struct world *w, struct model *m, bool ok, bool retry)
{
    m->running = false;
    if (!m->in_file)
        return;
    if (!ok && retry && m->job.enabled && m->attempt <= m->job.retry.times) {
        m->retry_wait = smaller((int64_t)m->job.retry.after_ms << (m->attempt - 1), HOUR);
        m->retry_t = w->t + m->retry_wait;
        return;
    }
    const struct strlist *then = ok ? &m->job.on_success : &m->job.on_failure;
    for (size_t i = 0; i < then->count; i++) {
        struct model *f = model_of(w, then->items[i]);
        if (f->in_file)
            f->chained++;
        f->depth = m->depth + 1;
    }
}

/* What happened in one look, of one job. */
struct events {
    struct scheduler_start start;
    bool started;
    size_t missed_count;
    struct scheduler_missed missed[4]; /* as many as missed_count says */
};

/* The missed ones and the one that is started are the next of the table, without a gap. */
static void account_wall(struct world *w, struct model *m, const struct events *e)
{
    size_t first = m->next;
    for (size_t i = 0; i < e->missed_count; i++) {
        const struct scheduler_missed *x = &e->missed[i];
        if (x->count == 0 || m->next + x->count > m->table.count || m->table.times[m->next] != x->first_ms ||
            m->table.times[m->next + x->count - 1] != x->last_ms || x->last_ms > wall(w))
            FAIL(w, m, "%" PRIu64 " missed from %" PRId64 " to %" PRId64 ", expected them from %" PRId64, x->count,
                 x->first_ms, x->last_ms, m->table.times[m->next]);
        m->next += x->count;
        w->missed += x->count;
    }
    bool by_itself = e->started && (e->start.reason == RUN_DUE || e->start.reason == RUN_CAUGHT_UP);
    if (by_itself) {
        if (m->table.times[m->next] != e->start.due_ms || e->start.due_ms > wall(w))
            FAIL(w, m, "started for %" PRId64 ", expected %" PRId64, e->start.due_ms, m->table.times[m->next]);
        if (m->at_must_miss)
            FAIL(w, m, "started for %" PRId64 ", which was past when it was put in", e->start.due_ms);
        if (e->start.due_ms <= m->started_ms)
            FAIL(w, m, "started for %" PRId64 " again", e->start.due_ms);
        m->started_ms = e->start.due_ms;
        int64_t late = wall(w) - e->start.due_ms;
        if ((late <= MINUTE && e->start.reason != RUN_DUE) ||
            (late > MINUTE + (int64_t)m->job.jitter_ms && (e->start.reason != RUN_CAUGHT_UP || !m->job.catch_up)))
            FAIL(w, m, "started for %" PRId64 " as %d", e->start.due_ms, e->start.reason);
        m->next++;
    }
    if (m->next == first)
        return;
    m->handled_ms = m->table.times[m->next - 1];
    m->at_done = is_at(m);
    bool late = wall(w) - m->handled_ms > MINUTE;
    if (!by_itself && !e->started && !m->running && !m->at_must_miss && (m->job.catch_up || !late))
        FAIL(w, m, "nothing started for %" PRId64, m->handled_ms);
}

/* An interval after it began, on a clock that never jumps. */
static void account_floating(struct world *w, struct model *m, const struct events *e)
{
    int64_t every = (int64_t)m->job.schedule.every_ms;
    for (size_t i = 0; i < e->missed_count; i++) {
        const struct scheduler_missed *x = &e->missed[i];
        int64_t due = m->began_t + every;
        if (x->first_ms != due + w->offset || x->last_ms != x->first_ms + (int64_t)(x->count - 1) * every ||
            x->last_ms > wall(w) || x->count == 0)
            FAIL(w, m, "%" PRIu64 " missed at %" PRId64 ", expected %" PRId64, x->count, x->first_ms, due + w->offset);
        bool late = w->t - due > MINUTE;
        if (!m->running && !e->started && (m->job.catch_up || !late))
            FAIL(w, m, "nothing started for %" PRId64, x->first_ms);
        m->began_t = m->running || e->started ? x->last_ms - w->offset : w->t;
        m->unsure = false;
        w->missed += x->count;
    }
    if (!e->started || e->start.reason > RUN_CAUGHT_UP)
        return;
    int64_t due = m->began_t + every, late = w->t - due;
    if (due > w->t || e->start.due_ms != due + w->offset)
        FAIL(w, m, "started for %" PRId64 ", expected %" PRId64, e->start.due_ms, due + w->offset);
    if (late > MINUTE + (int64_t)m->job.jitter_ms && !m->job.catch_up)
        FAIL(w, m, "made up for %" PRId64, e->start.due_ms);
    /* It keeps its beat, unless it was late by more than jitter accounts for: then both are right near the border. */
    int64_t beat = due;
    while (beat + every <= w->t)
        beat += every;
    const struct scheduler_memory *memory = scheduler_memory_of(w->s, m->job.id);
    int64_t began = memory->handled_ms - w->offset;
    bool may_keep = late <= 30 * SECOND + (int64_t)m->job.jitter_ms, may_begin = late > 30 * SECOND;
    if (!(may_keep && began == beat) && !(may_begin && began == w->t))
        FAIL(w, m, "its interval begins at %" PRId64 ", expected %" PRId64 " or %" PRId64, began, beat, w->t);
    m->began_t = began;
    m->unsure = false;
}

static void account_follower(struct world *w, struct model *m, const struct events *e)
{
    unsigned count = e->started && e->start.reason == RUN_CHAINED;
    for (size_t i = 0; i < e->missed_count; i++)
        count += (unsigned)e->missed[i].count;
    if (count != m->chained)
        FAIL(w, m, "followed %u times, expected %u", count, m->chained);
    w->chains += count;
    m->chained = 0;
}

static void account_start(struct world *w, struct model *m, const struct scheduler_start *start)
{
    if (m->running)
        FAIL(w, m, "a second run of it, reason %d", start->reason);
    if (!m->in_file || (!m->job.enabled && start->reason != RUN_ASKED))
        FAIL(w, m, "started for %" PRId64 ", it is not to run", start->due_ms);
    if (start->reason == RUN_RETRY) {
        if (m->retry_t == 0 || w->t < m->retry_t || start->attempt != m->attempt + 1 || start->due_ms != m->due_ms)
            FAIL(w, m, "attempt %u, expected %u at %" PRId64, start->attempt, m->attempt + 1, m->retry_t);
        w->retries++;
    } else if (start->attempt != 1) {
        FAIL(w, m, "attempt %u", start->attempt);
    }
    m->retry_t = 0;
    m->attempt = start->attempt;
    m->due_ms = start->due_ms;
    m->depth = start->reason == RUN_CHAINED || start->reason == RUN_RETRY ? m->depth : 0;
    m->running = true;
    m->ends_t = w->t + (one_in(w, 40) ? (int64_t)draw(w, 5 * (uint64_t)HOUR) : (int64_t)draw(w, 40000));
    m->will_fail = one_in(w, 6);
    m->will_retry = !one_in(w, 4);
    m->job.last_run_ms = wall(w);
    w->starts++;
    w->caught_up += start->reason == RUN_CAUGHT_UP;
}

/* Whatever is due by now was accounted for. */
static void nothing_is_left(struct world *w, struct model *m)
{
    if (m->retry_t != 0 && m->retry_t <= w->t)
        FAIL(w, m, "no retry at %" PRId64, m->retry_t);
    if (!in_force(m))
        return;
    if (is_floating(m)) {
        int64_t every = (int64_t)m->job.schedule.every_ms;
        if (w->t >= m->began_t + every + smaller((int64_t)m->job.jitter_ms, every - 1))
            FAIL(w, m, "nothing happened for %" PRId64, m->began_t + every + w->offset);
    } else if (m->table.count > 0 && wall(w) >= CLOCK_SET && !m->at_done) {
        int64_t due = m->table.times[m->next];
        int64_t gap = due != INT64_MAX ? m->table.times[m->next + 1] - due - 1 : 0;
        if (due != INT64_MAX && wall(w) >= due + smaller((int64_t)m->job.jitter_ms, gap))
            FAIL(w, m, "nothing happened for %" PRId64, due);
    }
}

static void account(struct world *w, struct model *m, const struct events *e)
{
    if (m->job.schedule.kind == SCHEDULE_NONE)
        account_follower(w, m, e);
    else if (is_floating(m))
        account_floating(w, m, e);
    else
        account_wall(w, m, e);
    if (e->started)
        account_start(w, m, &e->start);
}

/* --------------------------------------------------------------------------------------------------------- the daemon
 */

static struct job_list file_of(const struct world *w, struct job *items)
{
    struct job_list l = {.items = items};
    for (size_t i = 0; i < JOBS; i++)
        if (w->models[i].in_file)
            items[l.count++] = w->models[i].job;
    return l;
}

/* What changed goes to disk, as lines behind the others; now and then all of it anew. */
static void save(struct world *w)
{
    const struct scheduler_memory *items;
    if (w->disk.len > 200000) {
        size_t count = scheduler_each_memory(w->s, &items);
        buf_clear(&w->disk);
        memory_encode(items, count, &w->disk);
        scheduler_changed_memory(w->s, &items);
    } else {
        size_t count = scheduler_changed_memory(w->s, &items);
        memory_encode(items, count, &w->disk);
    }
    assert_false(w->disk.overflow);
}

static void end_runs(struct world *w)
{
    for (size_t i = 0; i < JOBS; i++) {
        struct model *m = &w->models[i];
        if (!m->running || m->ends_t > w->t)
            continue;
        run_is_over(w, m, !m->will_fail, m->will_retry);
        int64_t retry = scheduler_ended(w->s, m->job.id, m->will_fail ? JOB_ERROR : JOB_OK, m->will_retry, now_of(w));
        if (retry != (m->retry_t != 0 ? m->retry_t + w->offset : 0))
            FAIL(w, m, "its retry is at %" PRId64 ", expected %" PRId64, retry, m->retry_t + w->offset);
    }
}

static void collect(struct world *w, struct events *events)
{
    struct scheduler_start start;
    struct scheduler_missed missed;
    for (size_t i = 0; i < JOBS; i++) {
        events[i].started = false;
        events[i].missed_count = 0;
    }
    while (scheduler_next_start(w->s, now_of(w), &start)) {
        struct model *m = model_of(w, start.job->id);
        struct events *e = &events[m - w->models];
        if (e->started)
            FAIL(w, m, "started twice at once, reasons %d and %d", e->start.reason, start.reason);
        e->start = start;
        e->started = true;
    }
    while (scheduler_next_missed(w->s, &missed)) {
        struct model *m = model_of(w, missed.id);
        struct events *e = &events[m - w->models];
        if (e->missed_count == sizeof e->missed / sizeof *e->missed)
            FAIL(w, m, "missed: %s", missed.why);
        e->missed[e->missed_count++] = missed;
    }
}

static void look(struct world *w)
{
    struct events events[JOBS];
    w->looks++;
    clocks_are_seen(w);
    end_runs(w);
    collect(w, events);
    save(w);
    for (size_t i = 0; i < JOBS; i++) {
        account(w, &w->models[i], &events[i]);
        nothing_is_left(w, &w->models[i]);
    }
}

/* Nothing is remembered but what jobs.json says of the last run. */
static void counts_from_state(struct world *w, struct model *m)
{
    int64_t ran = m->job.last_run_ms;
    counts_from_now(w, m);
    if (is_at(m)) {
        m->at_done = ran >= m->job.schedule.at_ms;
        m->at_must_miss = !m->at_done && m->seen_ms != 0 && m->job.schedule.at_ms <= m->seen_ms;
        m->next = m->at_done;
    } else if (ran >= CLOCK_SET && ran <= wall(w)) {
        m->seen_ms = ran;
        if (is_floating(m))
            m->began_t = w->t - (wall(w) - ran);
        find_next(m);
    }
}

/* The oracle takes over what became of the file. */
static void file_is_read(struct world *w, bool restarted)
{
    for (size_t i = 0; i < JOBS; i++) {
        struct model *m = &w->models[i];
        bool was_known = m->known;
        m->known = m->in_file;
        if (!m->in_file) {
            m->retry_t = 0;
            continue;
        }
        bool changed = asks_of(m) != m->known_asks;
        m->known_asks = asks_of(m);
        if (was_known && !changed)
            continue;
        if (!was_known || !m->job.enabled || restarted)
            m->retry_t = 0;
        if (!m->remembered && (restarted || is_at(m)))
            counts_from_state(w, m);
        else
            counts_from_now(w, m);
        m->remembered = true;
    }
}

static void read_file(struct world *w)
{
    struct job items[JOBS];
    struct job_list l = file_of(w, items);
    clocks_are_seen(w);
    file_is_read(w, false);
    scheduler_set_jobs(w->s, &l, NULL, 0, now_of(w));
    look(w);
}

/* --------------------------------------------------------------------------------------------------------- its restart
 */

/* The lines that got to disk whole. */
static bool is_on_disk(const struct buf *text, const char *id)
{
    char key[64];
    snprintf(key, sizeof key, "{\"id\":\"%s\"", id);
    const char *at = text->len > 0 ? strstr((const char *)text->data, key) : NULL;
    return at != NULL && strchrnul(at, '\n')[-1] == '}';
}

/* Killed while what this look found is written: what did not get to disk never happened. */
static void killed_within_look(struct world *w)
{
    struct events events[JOBS];
    struct model before[JOBS];
    const struct scheduler_memory *changed;
    struct buf lines;
    clocks_are_seen(w);
    memcpy(before, w->models, sizeof before);
    end_runs(w);
    collect(w, events);
    buf_init(&lines, 1 << 20);
    size_t count = scheduler_changed_memory(w->s, &changed);
    memory_encode(changed, count, &lines);
    if (lines.len > 0)
        lines.len = draw(w, lines.len + 1);
    buf_cstr(&lines);
    buf_append(&w->disk, lines.data, lines.len);
    buf_cstr(&lines);
    for (size_t i = 0; i < JOBS; i++) {
        struct model *m = &w->models[i];
        if (is_on_disk(&lines, m->job.id)) {
            account(w, m, &events[i]);
        } else {
            *m = before[i];
        }
        m->chained = 0;
    }
    buf_append_byte(&w->disk, '\n');
    buf_release(&lines);
    w->kills++;
}

static void restore_model(struct world *w, struct model *m, int64_t offset_before)
{
    bool set = wall(w) >= CLOCK_SET;
    if (m->seen_ms == 0 && set)
        m->seen_ms = wall(w);
    find_next(m);
    if (is_at(m) && !m->at_done && set)
        m->at_must_miss = m->at_must_miss || m->job.schedule.at_ms <= m->seen_ms;
    if (is_floating(m)) {
        m->unsure = !set && m->saved_wall >= CLOCK_SET;
        m->began_t = m->unsure ? w->t : w->t - larger(0, wall(w) - m->saved_wall);
    }
    if (m->retry_t != 0) {
        int64_t left = m->retry_t + offset_before - wall(w);
        m->retry_t = w->t + (set ? smaller(larger(left, 0), m->retry_wait) : m->retry_wait);
    }
}

static void forget(struct world *w, struct model *m)
{
    if (m->job.last_run_ms < m->started_ms || m->job.last_run_ms > wall(w)) /* the clock was set back */
        m->started_ms = 0;
    m->known = m->remembered = m->at_done = false;
    m->retry_t = m->handled_ms = 0;
    m->attempt = 0;
    if (is_at(m))
        m->next = 0;
}

static void edit(struct world *w);

/* The daemon is not there for a while; the clock may be another one afterwards, and the file too. */
static void restart(struct world *w)
{
    int64_t offset_before = w->offset;
    bool lost = one_in(w, 8);
    for (size_t i = 0; i < JOBS; i++) {
        struct model *m = &w->models[i];
        if (is_floating(m) && !m->unsure)
            m->saved_wall = m->began_t + w->offset;
    }
    scheduler_free(w->s);
    w->s = scheduler_new();
    w->t += one_in(w, 3) ? (int64_t)draw(w, 3 * (uint64_t)DAY) : (int64_t)draw(w, 30000);
    if (one_in(w, 2))
        w->boot_offset = 1000 - w->t; /* of the machine */
    if (one_in(w, 4))
        w->offset += (int64_t)draw(w, 2 * (uint64_t)DAY) - DAY;
    if (wall(w) - w->t > 8 * DAY || w->t - wall(w) > 8 * DAY)
        w->offset = 0;
    if (one_in(w, 6))
        w->offset = 5000 - w->t; /* 1970 */
    for (uint64_t edits = one_in(w, 3) ? draw(w, 4) : 0; edits > 0; edits--)
        edit(w);
    w->set = wall(w) >= CLOCK_SET;
    bool interrupted[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        struct model *m = &w->models[i];
        interrupted[i] = m->running && !lost;
        m->running = false;
        m->chained = 0;
        if (lost)
            forget(w, m);
        else if (m->in_file && m->known && asks_of(m) == m->known_asks)
            restore_model(w, m, offset_before);
    }
    file_is_read(w, true);
    for (size_t i = 0; i < JOBS; i++)
        if (interrupted[i] && w->models[i].in_file)
            run_is_over(w, &w->models[i], false, true);
    if (lost)
        buf_clear(&w->disk);
    struct memory_list memory;
    struct job items[JOBS];
    struct job_list l = file_of(w, items);
    memory_decode((const char *)w->disk.data, w->disk.len, &memory);
    scheduler_set_jobs(w->s, &l, memory.items, memory.count, now_of(w));
    memory_list_release(&memory);
    w->restarts++;
    w->losses += lost;
    look(w);
}

/* ------------------------------------------------------------------------------------------------------- the owner's
 * hand
 */

static void give_times(struct world *w, struct model *m)
{
    m->started_ms = 0;
    struct schedule *s = &m->job.schedule;
    size_t chosen = draw(w, TABLE_COUNT);
    free(s->zone);
    *s = (struct schedule){0};
    m->table = tables[chosen];
    if (chosen >= (size_t)ZONE_COUNT * EXPRESSION_COUNT) {
        *s = (struct schedule){.kind = SCHEDULE_EVERY,
                               .every_ms = (uint64_t)GRIDS[chosen - (size_t)ZONE_COUNT * EXPRESSION_COUNT],
                               .anchor_ms = ANCHOR};
        return;
    }
    s->kind = SCHEDULE_CRON;
    s->zone = mem_strdup(ZONES[chosen / EXPRESSION_COUNT]);
    assert_int_equal(cron_parse(EXPRESSIONS[chosen % EXPRESSION_COUNT], &s->cron, NULL), 0);
}

static void give_moment(struct world *w, struct model *m)
{
    int64_t base = wall(w) >= CLOCK_SET ? wall(w) : w->t;
    m->job.schedule.kind = SCHEDULE_AT;
    m->job.schedule.at_ms = base - HOUR + (int64_t)draw(w, (uint64_t)(20 * DAY));
    m->table.times = mem_array(m->table.times, 2, sizeof *m->table.times);
    m->table.times[0] = m->job.schedule.at_ms;
    m->table.times[1] = INT64_MAX;
    m->table.count = 2;
    m->next = 0;
    m->at_done = m->at_must_miss = false;
    m->started_ms = 0;
}

static void give_interval(struct world *w, struct model *m)
{
    static const int64_t INTERVALS[] = {11 * 60000, 3600000, 2 * 3600000, 5 * 3600000 + 7, 86400000, 7 * 86400000};
    m->job.schedule =
        (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)INTERVALS[draw(w, sizeof INTERVALS / 8)]};
}

static void change_times(struct world *w, struct model *m)
{
    if (m->job.schedule.kind == SCHEDULE_NONE)
        return;
    if (is_floating(m)) {
        give_interval(w, m);
    } else if (is_at(m)) {
        give_moment(w, m);
    } else {
        give_times(w, m);
    }
}

static void edit(struct world *w)
{
    struct model *m = &w->models[draw(w, JOBS)];
    w->edits++;
    switch (draw(w, 6)) {
    case 0:
        change_times(w, m);
        break;
    case 1:
    case 2:
        m->job.enabled = !m->job.enabled;
        break;
    case 3:
        m->in_file = !m->in_file;
        break;
    case 4:
        m->job.jitter_ms = one_in(w, 2) ? draw(w, 20 * (uint64_t)MINUTE) : 0;
        break;
    default:
        m->job.catch_up = !m->job.catch_up;
        m->job.retry.times = (unsigned)draw(w, 4);
        break;
    }
}

static void make_job(struct world *w, size_t i)
{
    struct model *m = &w->models[i];
    m->job = (struct job){.id = mem_printf("job-%02zu", i),
                          .enabled = !one_in(w, 6),
                          .catch_up = !one_in(w, 5),
                          .jitter_ms = one_in(w, 4) ? draw(w, 20 * (uint64_t)MINUTE) : 0,
                          .retry = {.times = (unsigned)draw(w, 4), .after_ms = 1000 + draw(w, 1500000)}};
    m->in_file = !one_in(w, 10);
    if (i < WALL_JOBS)
        give_times(w, m);
    else if (i < WALL_JOBS + FLOATING_JOBS)
        give_interval(w, m);
    else if (i < WALL_JOBS + FLOATING_JOBS + AT_JOBS)
        give_moment(w, m);
    char name[16];
    if (one_in(w, 3)) {
        snprintf(name, sizeof name, "job-%02d", (int)(JOBS - FOLLOWERS + draw(w, FOLLOWERS)));
        strlist_add(one_in(w, 2) ? &m->job.on_success : &m->job.on_failure, name);
    }
}

/* ----------------------------------------------------------------------------------------------------------- the year
 */

static void set_clock(struct world *w)
{
    int64_t before = w->offset;
    if (wall(w) < CLOCK_SET || one_in(w, 4))
        w->offset = (int64_t)draw(w, 20000) - 10000;
    else if (one_in(w, 2))
        w->offset += (int64_t)draw(w, (uint64_t)(10 * HOUR)) - 5 * HOUR;
    else
        w->offset += (int64_t)draw(w, (uint64_t)(10 * DAY)) - 5 * DAY;
    if (w->offset > 8 * DAY || w->offset < -8 * DAY)
        w->offset = 0;
    if (w->offset - before < 2 * SECOND && before - w->offset < 2 * SECOND) /* that is drift */
        w->offset = before;
    w->jumps++;
    look(w);
}

static void ask(struct world *w)
{
    struct model *m = &w->models[draw(w, JOBS)];
    clocks_are_seen(w);
    if (scheduler_ask(w->s, m->job.id, now_of(w)) != (m->in_file && !m->running))
        FAIL(w, m, "asked for, running %d", m->running);
    look(w);
}

static void something_happens(struct world *w)
{
    switch (draw(w, 10)) {
    case 0:
    case 1:
        restart(w);
        break;
    case 2:
        killed_within_look(w);
        restart(w);
        break;
    case 3:
    case 4:
        set_clock(w);
        break;
    case 5: /* the machine sleeps */
        w->t += (int64_t)draw(w, (uint64_t)(20 * HOUR));
        look(w);
        break;
    case 6:
        ask(w);
        break;
    default:
        for (uint64_t n = 1 + draw(w, 3); n > 0; n--)
            edit(w);
        read_file(w);
        break;
    }
}

static int64_t until_next_end(const struct world *w)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < JOBS; i++)
        if (w->models[i].running)
            next = smaller(next, larger(w->models[i].ends_t - w->t, 0));
    return next;
}

/* Waits for whatever comes first. The loop is a little late, and now and then more than that. */
static void wait_and_look(struct world *w, int64_t event_t)
{
    int64_t wait = smaller(scheduler_wait_ms(w->s, now_of(w)), until_next_end(w));
    wait = smaller(wait, event_t - w->t);
    w->t += larger(wait, 0) + (one_in(w, 10) ? (int64_t)draw(w, one_in(w, 20) ? 25000 : 60) : 0);
    look(w);
}

static void live_a_year(uint64_t seed)
{
    struct world *w = mem_zalloc(sizeof *w);
    *w = (struct world){.seed = seed, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .t = year_begins()};
    w->end = w->t + 366 * DAY;
    w->boot_offset = 60000 - w->t;
    w->set = true;
    for (int i = 0; i < 10; i++)
        draw(w, 2);
    buf_init(&w->disk, 1 << 20);
    for (size_t i = 0; i < JOBS; i++)
        make_job(w, i);
    w->s = scheduler_new();
    read_file(w);
    while (w->t < w->end) {
        int64_t event_t = w->t + (int64_t)draw(w, (uint64_t)(wall(w) < CLOCK_SET ? 2 * HOUR : 3 * DAY));
        while (w->t < event_t)
            wait_and_look(w, event_t);
        something_happens(w);
    }
    print_message("# seed %" PRIu64 ": %" PRIu64 " looks, %" PRIu64 " starts (%" PRIu64 " made up, %" PRIu64
                  " retries), %" PRIu64 " missed, %" PRIu64 " followed, %" PRIu64 " restarts (%" PRIu64
                  " kills, %" PRIu64 " without memory), %" PRIu64 " clocks set, %" PRIu64 " edits\n",
                  seed, w->looks, w->starts, w->caught_up, w->retries, w->missed, w->chains, w->restarts, w->kills,
                  w->losses, w->jumps, w->edits);
    scheduler_free(w->s);
    buf_release(&w->disk);
    for (size_t i = 0; i < JOBS; i++) {
        if (is_at(&w->models[i]))
            free(w->models[i].table.times);
        job_release(&w->models[i].job);
    }
    free(w);
}

static void test_year__each_due_time_is_started_or_missed_exactly_once(void **state)
{
    (void)state;
    const char *one = getenv("CLAWBACK_TEST_SEED"), *many = getenv("CLAWBACK_TEST_SEEDS");
    if (one != NULL) {
        live_a_year(strtoull(one, NULL, 10));
        return;
    }
    uint64_t count = many != NULL ? strtoull(many, NULL, 10) : 4, first = (uint64_t)time(NULL) % 1000000 * 1000;
    uint64_t enough_ns = os_monotonic_ns() + ENOUGH_S * UINT64_C(1000000000);
    /* One that is the same each time, and others. */
    for (uint64_t i = 0; i < count && (i == 0 || many != NULL || os_monotonic_ns() < enough_ns); i++)
        live_a_year(i == 0 ? 1 : first + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_year__each_due_time_is_started_or_missed_exactly_once),
    };
    return cmocka_run_group_tests(tests, fill_before, empty_after);
}
