#include "cli/runs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"

bool runs_match(const struct run_filter *f, const struct record *r)
{
    bool wrong = r->status == RECORD_FAILED || (r->status == RECORD_COMPLETED && r->exit_code != 0);
    if (f->names->count > 0 && (r->tier == NULL || !strlist_contains(f->names, r->tier)))
        return false;
    if (f->run_id != NULL && (r->run_id == NULL || strncmp(r->run_id, f->run_id, strlen(f->run_id)) != 0))
        return false;
    return os_time_ms(&r->time) >= f->since_ms && (wrong || !f->failed);
}

struct gathering {
    const struct run_filter *filter;
    struct run_rows *rows;
    size_t read;
    struct run_row last[2]; /* of the log that is read, tiers' and jobs': STARTED ones without an end yet */
};

static void add_row(struct gathering *g, const struct run_row *row)
{
    g->rows->items = mem_array(g->rows->items, g->rows->count + 1, sizeof *g->rows->items);
    g->rows->items[g->rows->count++] = *row;
}

static void release_row(struct run_row *row)
{
    record_release(&row->record);
    free(row->line);
    row->line = NULL;
}

/* One that was killed has its end from the run after it: only its own first line tells when it was. */
static struct timespec begin_of_killed(const struct run_row *open, const struct record *r)
{
    bool same = open->line != NULL && r->run_id != NULL && open->record.run_id != NULL &&
                strcmp(open->record.run_id, r->run_id) == 0;
    return same && r->interrupted && r->duration_ms == 0 ? open->record.time : (struct timespec){0};
}

static void on_line(void *ctx, struct record *r, const char *line, size_t len)
{
    struct gathering *g = ctx;
    struct run_row *open = &g->last[r->job], row = {.rank = g->read++};
    /* Runs of one tier or job do not overlap: whatever began before is over. */
    row.began = begin_of_killed(open, r);
    release_row(open);
    if (r->status != RECORD_STARTED && !runs_match(g->filter, r))
        return;
    row.record = *r;
    row.line = mem_strndup(line, len);
    *r = (struct record){0};
    if (row.record.status == RECORD_STARTED) {
        row.open = true;
        *open = row;
    } else {
        add_row(g, &row);
    }
}

static int gather_log(struct gathering *g, const char *state_dir, const char *name, struct err *err)
{
    int rc = record_each_line(state_dir, name, on_line, g, err);
    for (int i = 0; i < 2; i++) {
        struct run_row *open = &g->last[i];
        if (open->line != NULL && runs_match(g->filter, &open->record))
            add_row(g, open);
        else
            release_row(open);
        *open = (struct run_row){0};
    }
    return rc;
}

struct timespec runs_began(const struct run_row *row)
{
    const struct record *r = &row->record;
    struct timespec t = r->time;
    if (row->began.tv_sec != 0)
        return row->began;
    if (r->status == RECORD_STARTED)
        return t;
    t.tv_sec -= (time_t)(r->duration_ms / 1000);
    t.tv_nsec -= (long)(r->duration_ms % 1000) * 1000000;
    if (t.tv_nsec < 0) {
        t.tv_nsec += 1000000000;
        t.tv_sec--;
    }
    return t;
}

static int by_time(const struct run_row *x, const struct timespec *first, const struct run_row *y,
                   const struct timespec *second)
{
    int64_t a = os_time_ms(first), b = os_time_ms(second);
    if (a != b)
        return a > b ? -1 : 1;
    return x->rank > y->rank ? -1 : x->rank < y->rank;
}

static int last_begun_first(const void *a, const void *b)
{
    struct timespec first = runs_began(a), second = runs_began(b);
    return by_time(a, &first, b, &second);
}

static int last_ended_first(const void *a, const void *b)
{
    const struct run_row *x = a, *y = b;
    return by_time(x, x->began.tv_sec != 0 ? &x->began : &x->record.time, y,
                   y->began.tv_sec != 0 ? &y->began : &y->record.time);
}

static int check_names(const char *state_dir, const struct strlist *names, struct err *err)
{
    for (size_t i = 0; i < names->count; i++) {
        char *path = record_path(state_dir, names->items[i]);
        bool there = access(path, F_OK) == 0;
        int rc = there ? 0
                       : err_set(err, ERR_NOT_FOUND, "there is no run log '%s': no job or tier '%.200s' has run yet",
                                 path, names->items[i]);
        free(path);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int runs_gather(const char *state_dir, const struct run_filter *filter, struct run_rows *out, struct err *err)
{
    struct gathering g = {.filter = filter, .rows = out};
    struct strlist logs = {0};
    *out = (struct run_rows){0};
    if (check_names(state_dir, filter->names, err) != 0)
        return -1;
    if (filter->names->count > 0)
        strlist_copy(&logs, filter->names);
    else
        record_list_logs(state_dir, &logs);
    int rc = 0;
    for (size_t i = 0; i < logs.count && rc == 0; i++)
        rc = gather_log(&g, state_dir, logs.items[i], err);
    if (out->count > 0)
        qsort(out->items, out->count, sizeof *out->items, filter->by_begin ? last_begun_first : last_ended_first);
    strlist_release(&logs);
    if (rc != 0)
        runs_release(out);
    return rc;
}

void runs_release(struct run_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        release_row(&rows->items[i]);
    free(rows->items);
    *rows = (struct run_rows){0};
}

bool runs_ambiguous(const struct run_rows *rows, const char **other)
{
    for (size_t i = 1; i < rows->count; i++) {
        *other = rows->items[i].record.run_id;
        if (strcmp(*other, rows->items[0].record.run_id) != 0)
            return true;
    }
    return false;
}

/* --- what became of it --- */

static bool is_alive(pid_t pid)
{
    return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

const char *runs_outcome(const struct run_row *row)
{
    const struct record *r = &row->record;
    switch (r->status) {
    case RECORD_STARTED:
        return is_alive(r->pid) ? "running" : "did not end";
    case RECORD_FAILED:
        return r->interrupted ? "interrupted" : "failed";
    case RECORD_SKIPPED:
        return "skipped";
    case RECORD_COMPLETED:
        break;
    }
    return r->exit_code == 0 ? "ok" : "incomplete";
}

json_t *runs_json(const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, 0, NULL);
    if (o != NULL)
        json_object_set_new(o, "message_type", json_string("run"));
    return o;
}
