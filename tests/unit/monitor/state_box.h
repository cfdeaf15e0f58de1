/* A state directory for a test, and run logs in it. */
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "monitor/record.h"
#include "monitor/state_tables.h"
#include "os/clock.h"
#include "store/scratch.h"

static const int64_t START_MS = 1770192000000; /* 2026-02-04T08:00:00Z */

static inline struct timespec box_time(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

static inline void box_clock(int64_t ms)
{
    static struct timespec t; /* it is kept by address */
    t = box_time(ms);
    os_clock_set(&t);
}

static inline int box_set_up(void **state)
{
    box_clock(START_MS);
    return scratch_set_up(state);
}

static inline int box_tear_down(void **state)
{
    os_clock_set(NULL);
    return scratch_tear_down(state);
}

static inline struct state *box_open(void)
{
    struct state *s = NULL;
    struct err err = {0};
    if (state_open(&s, scratch_dir, &err) != 0)
        fail_msg("%s", err.message);
    return s;
}

static inline void box_record(enum record_status status, const char *tier, const char *run_id, int64_t at_ms,
                              uint64_t bytes, int exit_code)
{
    struct err err = {0};
    struct record r = {.status = status, .time = box_time(at_ms), .exit_code = exit_code, .bytes_processed = bytes};
    r.tier = mem_strdup(tier);
    r.run_id = mem_strdup(run_id);
    r.pid = 4711;
    if (status == RECORD_FAILED)
        r.error = mem_strdup("it broke");
    if (status != RECORD_STARTED) {
        r.duration_ms = 1500;
        r.bytes_added = bytes / 10;
        r.uploaded = status == RECORD_COMPLETED;
        strlist_add(&r.snapshots, "0123456789abcdef");
        strlist_add(&r.warnings, "something is odd");
        struct record_source *source = record_add_source(&r, "/home");
        source->status = status;
        source->bytes = bytes;
        source->files = 12;
        record_add_path(source, "/home/logs", bytes / 2);
        struct record_destination *d = record_add_destination(&r, "usb");
        d->status = status;
        d->free_bytes = 1000;
        d->total_bytes = 1000 + bytes;
    }
    if (record_append(scratch_dir, &r, &err) != 0)
        fail_msg("%s", err.message);
    record_release(&r);
}

/* A whole run: ten seconds. */
static inline void box_run(const char *tier, const char *run_id, int64_t at_ms, uint64_t bytes)
{
    box_record(RECORD_STARTED, tier, run_id, at_ms, 0, 0);
    box_record(RECORD_COMPLETED, tier, run_id, at_ms + 10000, bytes, 0);
}

static inline void box_follow(struct state *s)
{
    struct err err = {0};
    if (state_follow_logs(s, &err) != 0)
        fail_msg("%s", err.message);
}

static inline struct record_list box_runs(struct state *s, const struct run_query *q)
{
    struct record_list l;
    struct err err = {0};
    if (state_runs(s, q, &l, &err) != 0)
        fail_msg("%s", err.message);
    return l;
}

static inline size_t box_count(struct state *s)
{
    struct record_list l = box_runs(s, &(struct run_query){.max = 100000});
    size_t count = l.count;
    record_list_release(&l);
    return count;
}

static inline char *box_path(const char *name)
{
    return os_path_join(scratch_dir, name);
}
