/*
 * Followers (onSuccess, onFailure) across entries. One that is not there is taken out; so are those that make a circle,
 * which would run for ever: circles are the strongly connected components (Tarjan 1972) of more than one job, and jobs
 * that follow themselves.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_reader.h"

struct vertex {
    struct job *job;
    size_t order, low, component; /* order 0: not seen yet */
    bool on_stack;
};

struct graph {
    struct vertex *vertices; /* sorted by ID */
    size_t count;
    size_t *stack, stacked;
    size_t next_order, next_component;
};

static int by_id(const void *a, const void *b)
{
    const struct vertex *x = a, *y = b;
    return strcmp(x->job->id, y->job->id);
}

static struct vertex *find(const struct graph *g, const char *id)
{
    size_t from = 0, to = g->count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = strcmp(id, g->vertices[middle].job->id);
        if (order == 0)
            return &g->vertices[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

/* --- what is not there --- */

static void drop_unknown(const struct graph *g, const struct job *j, struct strlist *followers, const char *key,
                         struct jobs_report *report)
{
    struct strlist kept = {0};
    for (size_t i = 0; i < followers->count; i++) {
        const char *id = followers->items[i];
        if (find(g, id) != NULL)
            strlist_add(&kept, id);
        else
            jobs_report_add(report, j->id, mem_printf("%s: there is no job '%.*s'", key, JOB_ID_MAX_BYTES, id), false);
    }
    strlist_release(followers);
    *followers = kept;
}

/* --- circles --- */

static void visit(struct graph *g, struct vertex *v);

static void visit_followers(struct graph *g, struct vertex *v, const struct strlist *followers)
{
    for (size_t i = 0; i < followers->count; i++) {
        struct vertex *w = find(g, followers->items[i]);
        if (w->order == 0) {
            visit(g, w);
            v->low = w->low < v->low ? w->low : v->low;
        } else if (w->on_stack) {
            v->low = w->order < v->low ? w->order : v->low;
        }
    }
}

/* As deep as there are jobs at most: JOBS_MAX. */
static void visit(struct graph *g, struct vertex *v)
{
    v->order = v->low = ++g->next_order;
    v->on_stack = true;
    g->stack[g->stacked++] = (size_t)(v - g->vertices);
    visit_followers(g, v, &v->job->on_success);
    visit_followers(g, v, &v->job->on_failure);
    if (v->low != v->order)
        return;
    size_t component = ++g->next_component;
    struct vertex *w;
    do {
        w = &g->vertices[g->stack[--g->stacked]];
        w->on_stack = false;
        w->component = component;
    } while (w != v);
}

/* Within a component every follower closes a circle. */
static void drop_circular(const struct graph *g, const struct vertex *v, struct strlist *followers, const char *key,
                          struct jobs_report *report)
{
    struct strlist kept = {0};
    for (size_t i = 0; i < followers->count; i++) {
        const char *id = followers->items[i];
        if (find(g, id)->component != v->component)
            strlist_add(&kept, id);
        else
            jobs_report_add(
                report, v->job->id,
                strcmp(id, v->job->id) == 0
                    ? mem_printf("%s: the job would follow itself for ever; it will not", key)
                    : mem_printf("%s: '%s' would follow in a circle that comes back to this job; it will not", key, id),
                false);
    }
    strlist_release(followers);
    *followers = kept;
}

void jobs_check_followers(struct job_list *l, struct jobs_report *report)
{
    struct graph g = {.count = l->count};
    g.vertices = mem_zalloc((l->count + 1) * sizeof *g.vertices);
    g.stack = mem_zalloc((l->count + 1) * sizeof *g.stack);
    for (size_t i = 0; i < l->count; i++)
        g.vertices[i].job = &l->items[i];
    qsort(g.vertices, g.count, sizeof *g.vertices, by_id);
    for (size_t i = 0; i < l->count; i++) {
        drop_unknown(&g, &l->items[i], &l->items[i].on_success, "onSuccess", report);
        drop_unknown(&g, &l->items[i], &l->items[i].on_failure, "onFailure", report);
    }
    for (size_t i = 0; i < g.count; i++)
        if (g.vertices[i].order == 0)
            visit(&g, &g.vertices[i]);
    for (size_t i = 0; i < g.count; i++) {
        drop_circular(&g, &g.vertices[i], &g.vertices[i].job->on_success, "onSuccess", report);
        drop_circular(&g, &g.vertices[i], &g.vertices[i].job->on_failure, "onFailure", report);
    }
    free(g.vertices);
    free(g.stack);
}
