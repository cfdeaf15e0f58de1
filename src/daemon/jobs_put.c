/* jobs.json: putting an entry in, or in the place of the one that is there. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_document.h"
#include "daemon/jobs_edit.h"
#include "daemon/jobs_file.h"
#include "daemon/jobs_reader.h"
#include "daemon/jobs_replace.h"
#include "os/file.h"

/* What an entry may lack after it was put in anew, though it had it before. Other members are not known here: they
 * stay. */
static const char *const OWN[] = {"agentId",   "name",      "enabled",  "sessionTarget", "wakeMode",  "retry",
                                  "onSuccess", "onFailure", "jitterMs", "catchUp",       "timeoutMs", "deleteAfterRun"};
enum { OWN_COUNT = sizeof OWN / sizeof *OWN };

struct putting {
    json_t *entry;
    char *id;
    int64_t now_ms;
};

/* Strings of the text's own. */
struct set_list {
    struct jobs_set *items;
    size_t count;
};

static void add_set(struct set_list *l, const char *key, char *value)
{
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    l->items[l->count++] = (struct jobs_set){.key = key, .value = value};
}

static void release_sets(struct set_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].value);
    free(l->items);
}

static char *dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
    char *copy = mem_strdup(text != NULL ? text : "null");
    free(text);
    return copy;
}

/* --- in the place of one --- */

static bool means_the_same(const struct jobs_text *t, const struct jobs_node *n, const json_t *value)
{
    json_t *has = jobs_text_json(t, n);
    bool same = has != NULL && json_equal(has, value);
    json_decref(has);
    return same;
}

static bool stays(const struct jobs_text *t, const struct jobs_node *old, const char *key)
{
    bool kept = strcmp(key, "state") == 0 || strcmp(key, "createdAtMs") == 0;
    return strcmp(key, "updatedAtMs") == 0 || (kept && jobs_text_member(t, old, key) != NULL);
}

static void collect_sets(const struct putting *p, const struct jobs_text *t, const struct jobs_node *old,
                         struct set_list *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(p->entry, key, value)
    {
        const struct jobs_node *n = jobs_text_member(t, old, key);
        if (!stays(t, old, key) && (n == NULL || !means_the_same(t, n, value)))
            add_set(out, key, dump(value, 0));
    }
}

/* The next member that is to go; NULL: none. */
static const struct jobs_node *find_surplus(const struct putting *p, const struct jobs_text *t,
                                            const struct jobs_node *old)
{
    for (const struct jobs_node *n = jobs_text_first(t, old); n != NULL; n = jobs_text_next(t, n))
        for (size_t i = 0; i < OWN_COUNT; i++)
            if (jobs_text_key_is(t, n, OWN[i]) && json_object_get(p->entry, OWN[i]) == NULL)
                return n;
    return NULL;
}

/* One member goes at a time, each from the text that the last one left. */
static int remove_surplus(const struct putting *p, struct buf *text, bool *removed, struct err *err)
{
    *removed = false;
    for (;;) {
        struct jobs_text t;
        struct buf next;
        const struct jobs_node *entries;
        if (jobs_document_parse((const char *)text->data, text->len, &t, &entries, err) != 0)
            return -1;
        const struct jobs_node *old = jobs_find_entry(&t, entries, p->id), *surplus = find_surplus(p, &t, old);
        struct jobs_edits *e = jobs_edits_new(&t);
        int rc = 0;
        buf_init(&next, text->max);
        if (surplus != NULL) {
            jobs_edit_remove(e, old, surplus);
            rc = jobs_edits_apply(e, &next, err);
        }
        jobs_edits_free(e);
        jobs_text_release(&t);
        if (surplus == NULL || rc != 0) {
            buf_release(&next);
            return rc;
        }
        buf_release(text);
        *text = next;
        *removed = true;
    }
}

static int set_members(const struct putting *p, const struct buf *text, bool changed, struct buf *out, struct err *err)
{
    struct jobs_text t;
    const struct jobs_node *entries;
    if (jobs_document_parse((const char *)text->data, text->len, &t, &entries, err) != 0)
        return -1;
    const struct jobs_node *old = jobs_find_entry(&t, entries, p->id);
    struct set_list sets = {0};
    struct jobs_edits *e = jobs_edits_new(&t);
    collect_sets(p, &t, old, &sets);
    if (changed || sets.count > 0)
        add_set(&sets, "updatedAtMs", jobs_number_text(p->now_ms));
    jobs_edit_set(e, old, sets.items, sets.count);
    int rc = jobs_edits_apply(e, out, err);
    jobs_edits_free(e);
    release_sets(&sets);
    jobs_text_release(&t);
    return rc;
}

static int update(const struct putting *p, const struct buf *now, struct buf *out, struct err *err)
{
    struct buf text;
    bool removed;
    buf_init(&text, JOBS_FILE_MAX_BYTES);
    buf_append(&text, now->data, now->len);
    int rc = remove_surplus(p, &text, &removed, err);
    if (rc == 0)
        rc = set_members(p, &text, removed, out, err);
    buf_release(&text);
    return rc;
}

/* --- a new one --- */

static json_t *complete(const struct putting *p)
{
    json_t *entry = json_copy(p->entry);
    if (json_object_get(entry, "createdAtMs") == NULL)
        json_object_set_new(entry, "createdAtMs", json_integer(p->now_ms));
    json_object_set_new(entry, "updatedAtMs", json_integer(p->now_ms));
    return entry;
}

static int append(const struct putting *p, const struct jobs_text *t, const struct jobs_node *entries, struct buf *out,
                  struct err *err)
{
    json_t *entry = complete(p);
    char *pretty = dump(entry, JSON_INDENT(2)), *compact = dump(entry, 0);
    struct jobs_edits *e = jobs_edits_new(t);
    jobs_edit_append(e, entries, pretty, compact);
    int rc = jobs_edits_apply(e, out, err);
    jobs_edits_free(e);
    free(pretty);
    free(compact);
    json_decref(entry);
    return rc;
}

static int make_with(void *ctx, const struct buf *now, struct buf *out, struct err *err)
{
    static const char EMPTY[] = "{\n  \"version\": 1,\n  \"jobs\": []\n}\n";
    const struct putting *p = ctx;
    struct jobs_text t;
    const struct jobs_node *entries;
    const char *text = now != NULL ? (const char *)now->data : EMPTY;
    if (jobs_document_parse(text, now != NULL ? now->len : sizeof EMPTY - 1, &t, &entries, err) != 0)
        return -1;
    bool there = now != NULL && jobs_find_entry(&t, entries, p->id) != NULL;
    int rc = there ? 0 : append(p, &t, entries, out, err);
    jobs_text_release(&t);
    return there ? update(p, now, out, err) : rc;
}

static const char *first_reason(const struct jobs_report *report)
{
    size_t i = 0;
    while (i + 1 < report->count && !report->items[i].left_out)
        i++;
    return report->items[i].message;
}

/* The entry must be one that reading would take. */
static int check(const json_t *entry, char **id, struct err *err)
{
    struct jobs_text t;
    struct jobs_report report = {0};
    struct job j = {0};
    char *text = dump(entry, 0);
    int rc = jobs_text_parse(&t, text, strlen(text), err);
    if (rc == 0) {
        if (jobs_read_entry(&t, jobs_text_root(&t), 0, &j, &report))
            *id = mem_strdup(j.id);
        else
            rc = err_set(err, ERR_USAGE, "the job is broken: %s", first_reason(&report));
        jobs_text_release(&t);
    }
    job_release(&j);
    jobs_report_release(&report);
    free(text);
    return rc;
}

static int make_directory(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    char *dir = mem_strndup(path, (size_t)(slash - path));
    int rc = os_make_dirs(dir, 0700, err);
    free(dir);
    return rc;
}

int jobs_file_put(const char *path, const char *entry_json, int64_t now_ms, struct err *err)
{
    json_error_t where;
    struct putting p = {.now_ms = now_ms};
    p.entry = json_loads(entry_json, JSON_REJECT_DUPLICATES, &where);
    int rc = json_is_object(p.entry) ? check(p.entry, &p.id, err)
                                     : err_set(err, ERR_USAGE, "the job is no JSON object: %s", where.text);
    if (rc == 0)
        rc = make_directory(path, err);
    if (rc == 0)
        rc = jobs_replace(path, true, make_with, &p, err);
    free(p.id);
    json_decref(p.entry);
    return rc;
}
