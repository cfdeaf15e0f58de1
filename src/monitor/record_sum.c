/* What the tiers of a run amount to. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/record.h"

/* A run that has just ended is at the end of its logs; so many lines back it is looked for. */
enum { LINES_SEARCHED = 100 };

/* The last that the tier has of this run. */
static const struct record *find_ended(const struct record_list *l, const char *run_id)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record *r = &l->items[i];
        if (r->status != RECORD_STARTED && r->run_id != NULL && strcmp(r->run_id, run_id) == 0)
            return r;
    }
    return NULL;
}

static struct record_destination *destination_of(struct record *to, const char *name)
{
    for (size_t i = 0; i < to->destination_count; i++)
        if (strcmp(to->destinations[i].name, name) == 0)
            return &to->destinations[i];
    struct record_destination *d = record_add_destination(to, name);
    d->status = RECORD_COMPLETED;
    d->verified = true;
    return d;
}

static void add_destination(struct record *to, const struct record_destination *from)
{
    struct record_destination *d = destination_of(to, from->name);
    d->bytes_added += from->bytes_added;
    d->removed += from->removed;
    d->verified = d->verified && from->verified;
    d->pruned = d->pruned || from->pruned;
    if (from->total_bytes > 0) {
        d->free_bytes = from->free_bytes;
        d->total_bytes = from->total_bytes;
    }
    bool worse = from->status == RECORD_FAILED && d->status != RECORD_FAILED;
    if (from->message != NULL && (worse || d->message == NULL)) {
        free(d->message);
        d->message = mem_strdup(from->message);
    }
    if (worse)
        d->status = RECORD_FAILED;
}

/* NULL: nothing is the matter. The caller frees it. */
static char *trouble_of(const struct record *r)
{
    const char *tier = r->tier != NULL ? r->tier : "";
    if (r->status == RECORD_FAILED)
        return mem_printf("%s: %s", tier, r->error != NULL ? r->error : "it failed");
    if (r->exit_code == 0)
        return NULL;
    return mem_printf("%s: %s", tier, r->warnings.count > 0 ? r->warnings.items[0] : "it is incomplete");
}

static void add(struct record *to, const struct record *from, bool first)
{
    bool nothing_to_store = from->status == RECORD_SKIPPED;
    char *trouble = trouble_of(from);
    to->bytes_processed += from->bytes_processed;
    to->bytes_added += from->bytes_added;
    to->uploaded = (first || to->uploaded) && (from->uploaded || nothing_to_store);
    strlist_copy(&to->snapshots, &from->snapshots);
    for (size_t i = 0; i < from->destination_count; i++)
        add_destination(to, &from->destinations[i]);
    if (trouble != NULL)
        strlist_add(&to->warnings, trouble);
    free(trouble);
}

size_t record_sum_run(const char *state_dir, const char *run_id, struct record *r)
{
    struct strlist logs = {0};
    record_list_logs(state_dir, &logs);
    size_t tiers = 0;
    bool stored = false;
    for (size_t i = 0; i < logs.count; i++) {
        struct record_list l;
        if (record_list_read(state_dir, logs.items[i], LINES_SEARCHED, &l, NULL) != 0)
            continue;
        const struct record *ended = find_ended(&l, run_id);
        if (ended != NULL) {
            add(r, ended, tiers++ == 0);
            stored = stored || ended->uploaded;
        }
        record_list_release(&l);
    }
    if (tiers > 0)
        r->uploaded = r->uploaded && stored;
    strlist_release(&logs);
    return tiers;
}
