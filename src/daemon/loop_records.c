/* Run logs. Lines that cannot be written wait in memory, in order, for as long as there are not too many of them. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"

enum { TRY_AGAIN_MS = 5000 };

struct record loop_record_new(enum record_status status, const char *job, const char *run_id, int64_t wall_ms)
{
    return (struct record){.status = status,
                           .job = true,
                           .time = loop_timespec(wall_ms),
                           .tier = mem_strdup(job),
                           .run_id = run_id != NULL ? mem_strdup(run_id) : NULL};
}

static void keep(struct loop *l, struct record *r)
{
    struct records_waiting *w = &l->waiting;
    if (w->count == LOOP_RECORDS_WAITING_MAX) {
        record_release(&w->items[0]);
        memmove(w->items, w->items + 1, (w->count - 1) * sizeof *w->items);
        w->count--;
        w->lost++;
    }
    w->items = mem_array(w->items, w->count + 1, sizeof *w->items);
    w->items[w->count++] = *r;
    *r = (struct record){0};
    if (l->waiting_ns == UINT64_MAX)
        l->waiting_ns = loop_in_ms(TRY_AGAIN_MS);
}

static void say_trouble(struct loop *l, const struct err *err)
{
    char *text = mem_printf("%s; jobs go on, their lines are kept in memory", err->message);
    loop_say_trouble(&l->waiting.said, LOG_LEVEL_ERROR, text);
    free(text);
}

void loop_record(struct loop *l, struct record *r)
{
    struct err err = {0};
    if (l->waiting.count > 0) { /* the order of lines tells what happened */
        keep(l, r);
        return;
    }
    if (record_append(l->options.state_dir, r, &err) == 0) {
        record_release(r);
        return;
    }
    say_trouble(l, &err);
    keep(l, r);
}

void loop_records_retry(struct loop *l)
{
    struct records_waiting *w = &l->waiting;
    struct err err = {0};
    size_t done = 0;
    while (done < w->count && record_append(l->options.state_dir, &w->items[done], &err) == 0)
        record_release(&w->items[done++]);
    if (done > 0)
        memmove(w->items, w->items + done, (w->count - done) * sizeof *w->items);
    w->count -= done;
    if (w->count > 0) {
        say_trouble(l, &err);
        l->waiting_ns = loop_in_ms(TRY_AGAIN_MS);
        return;
    }
    l->waiting_ns = UINT64_MAX;
    free(w->items);
    w->items = NULL;
    if (loop_said_well(&w->said))
        loop_say(LOG_LEVEL_INFO, "run logs can be written again; %llu lines were lost", (unsigned long long)w->lost);
    w->lost = 0;
}

void loop_records_release(struct loop *l)
{
    for (size_t i = 0; i < l->waiting.count; i++)
        record_release(&l->waiting.items[i]);
    free(l->waiting.items);
    loop_said_well(&l->waiting.said);
}
