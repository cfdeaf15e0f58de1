/* jobs.json: writing, see jobs_edit.h and jobs_replace.h. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_document.h"
#include "daemon/jobs_edit.h"
#include "daemon/jobs_file.h"
#include "daemon/jobs_reader.h"
#include "daemon/jobs_replace.h"

/* --- finding entries --- */

/* A string of its own, or NULL. */
static char *id_of(const struct jobs_text *t, const struct jobs_node *entry)
{
    const struct jobs_node *n = jobs_text_member(t, entry, "id");
    char *id = NULL;
    return n != NULL && jobs_text_string(t, n, &id) ? id : NULL;
}

static bool is_good(const struct jobs_text *t, const struct jobs_node *entry)
{
    struct jobs_report report = {0};
    struct job j;
    bool good = jobs_read_entry(t, entry, 0, &j, &report);
    job_release(&j);
    jobs_report_release(&report);
    return good;
}

const struct jobs_node *jobs_find_entry(const struct jobs_text *t, const struct jobs_node *entries, const char *id)
{
    const struct jobs_node *first = NULL;
    for (const struct jobs_node *n = jobs_text_first(t, entries); n != NULL; n = jobs_text_next(t, n)) {
        char *has = id_of(t, n);
        bool same = has != NULL && strcmp(has, id) == 0;
        free(has);
        if (same && is_good(t, n))
            return n;
        first = same && first == NULL ? n : first;
    }
    return first;
}

/* The same for many: entries by their IDs, and in the order of the file among equal ones. */
struct place {
    char *id;
    const struct jobs_node *entry;
};
struct places {
    struct place *items;
    size_t count;
};

static int by_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void find_places(const struct jobs_text *t, const struct jobs_node *entries, struct places *out)
{
    *out = (struct places){.items = mem_array(NULL, t->count, sizeof *out->items)};
    for (const struct jobs_node *n = jobs_text_first(t, entries); n != NULL; n = jobs_text_next(t, n)) {
        char *id = id_of(t, n);
        if (id != NULL)
            out->items[out->count++] = (struct place){.id = id, .entry = n};
    }
    qsort(out->items, out->count, sizeof *out->items, by_id);
}

static const struct jobs_node *place_of(const struct jobs_text *t, const struct places *p, const char *id)
{
    size_t from = 0, to = p->count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (strcmp(p->items[middle].id, id) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    for (size_t i = from; i < p->count && strcmp(p->items[i].id, id) == 0; i++)
        if (is_good(t, p->items[i].entry))
            return p->items[i].entry;
    return from < p->count && strcmp(p->items[from].id, id) == 0 ? p->items[from].entry : NULL;
}

static void release_places(struct places *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i].id);
    free(p->items);
}

/* --- members to set --- */

enum { SETS_MAX = 8 };

struct sets {
    struct jobs_set items[SETS_MAX];
    size_t count;
};

static void add_set(struct sets *s, const char *key, char *value)
{
    s->items[s->count++] = (struct jobs_set){.key = key, .value = value};
}

static void release_sets(struct sets *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].value);
    s->count = 0;
}

char *jobs_number_text(int64_t n)
{
    return mem_printf("%lld", (long long)n);
}

static void set_state(struct jobs_edits *e, const struct jobs_text *t, const struct jobs_node *entry,
                      const struct jobs_change *c, struct sets *of_entry)
{
    const struct jobs_node *state = jobs_text_member(t, entry, "state");
    struct sets s = {0};
    add_set(&s, "lastRunAtMs", jobs_number_text(c->last_run_ms));
    add_set(&s, "lastStatus", mem_printf("\"%s\"", job_status_name(c->last_status)));
    add_set(&s, "lastDurationMs", jobs_number_text((int64_t)c->last_duration_ms));
    if (state != NULL && state->kind == JOBS_OBJECT)
        jobs_edit_set(e, state, s.items, s.count);
    else
        add_set(of_entry, "state",
                mem_printf("{\"%s\": %s, \"%s\": %s, \"%s\": %s}", s.items[0].key, s.items[0].value, s.items[1].key,
                           s.items[1].value, s.items[2].key, s.items[2].value));
    release_sets(&s);
}

static void change_entry(struct jobs_edits *e, const struct jobs_text *t, const struct jobs_node *entry,
                         const struct jobs_change *c, int64_t now_ms)
{
    struct sets s = {0};
    const struct jobs_node *enabled = jobs_text_member(t, entry, "enabled");
    bool is_enabled = enabled == NULL || enabled->kind == JOBS_NULL || jobs_text_is_true(t, enabled);
    if (c->set_enabled && is_enabled != c->enabled) {
        add_set(&s, "enabled", mem_strdup(c->enabled ? "true" : "false"));
        add_set(&s, "updatedAtMs", jobs_number_text(now_ms));
    }
    if (c->set_state)
        set_state(e, t, entry, c, &s);
    if (s.count > 0)
        jobs_edit_set(e, entry, s.items, s.count);
    release_sets(&s);
}

/* --- changing --- */

struct changing {
    const struct jobs_change *changes;
    size_t count;
    int64_t now_ms;
};

/* Several changes of one entry as one: what is said later counts. False: an earlier one has it in it. */
static bool merge(const struct changing *c, size_t index, struct jobs_change *out)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(c->changes[i].id, c->changes[index].id) == 0)
            return false;
    *out = c->changes[index];
    for (size_t i = index + 1; i < c->count; i++) {
        const struct jobs_change *other = &c->changes[i];
        if (strcmp(other->id, out->id) != 0)
            continue;
        if (other->set_enabled) {
            out->set_enabled = true;
            out->enabled = other->enabled;
        }
        if (other->set_state) {
            out->set_state = true;
            out->last_run_ms = other->last_run_ms;
            out->last_status = other->last_status;
            out->last_duration_ms = other->last_duration_ms;
        }
    }
    return true;
}

static int make_changed(void *ctx, const struct buf *now, struct buf *out, struct err *err)
{
    const struct changing *c = ctx;
    struct jobs_text t;
    const struct jobs_node *entries, *entry;
    if (jobs_document_parse((const char *)now->data, now->len, &t, &entries, err) != 0)
        return -1;
    struct jobs_edits *e = jobs_edits_new(&t);
    struct places places;
    find_places(&t, entries, &places);
    for (size_t i = 0; i < c->count; i++) {
        struct jobs_change merged;
        if (merge(c, i, &merged) && (entry = place_of(&t, &places, merged.id)) != NULL)
            change_entry(e, &t, entry, &merged, c->now_ms);
    }
    int rc = jobs_edits_apply(e, out, err);
    release_places(&places);
    jobs_edits_free(e);
    jobs_text_release(&t);
    return rc;
}

int jobs_file_change(const char *path, const struct jobs_change *changes, size_t count, int64_t now_ms, struct err *err)
{
    struct changing c = {.changes = changes, .count = count, .now_ms = now_ms};
    return jobs_replace(path, false, make_changed, &c, err);
}

/* --- removing --- */

static int make_without(void *ctx, const struct buf *now, struct buf *out, struct err *err)
{
    const char *id = ctx;
    struct jobs_text t;
    const struct jobs_node *entries;
    if (jobs_document_parse((const char *)now->data, now->len, &t, &entries, err) != 0)
        return -1;
    const struct jobs_node *entry = jobs_find_entry(&t, entries, id);
    int rc = entry != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "there is no job '%s'", id);
    struct jobs_edits *e = jobs_edits_new(&t);
    if (rc == 0) {
        jobs_edit_remove(e, entries, entry);
        rc = jobs_edits_apply(e, out, err);
    }
    jobs_edits_free(e);
    jobs_text_release(&t);
    return rc;
}

int jobs_file_remove(const char *path, const char *id, struct err *err)
{
    char *copy = mem_strdup(id);
    int rc = jobs_replace(path, false, make_without, copy, err);
    free(copy);
    return rc;
}
