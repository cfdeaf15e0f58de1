/* Jobs of the daemon's that are no runs of the plan: what became of them. Where tiers ran, the rules for tiers tell. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "run/health_facts.h"
#include "run/retry.h"

/* A retry is waited for as long as it may take to come. */
enum { RECORDS_READ = 100, RETRY_MAX_MS = RETRY_WAIT_MAX_MS + 5 * 60 * 1000, EXIT_INTERRUPTED = 130 };

/* The last that ran, not what was only missed. */
static const struct record *last_end(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status == RECORD_COMPLETED || l->items[i].status == RECORD_FAILED)
            return &l->items[i];
    return NULL;
}

static bool told_by_tier(const struct facts_held *held, const struct record *failed)
{
    for (size_t i = 0; failed->run_id != NULL && i < held->tier_count; i++)
        for (size_t k = 0; k < held->records[i].count; k++) {
            const struct record *r = &held->records[i].items[k];
            if (r->status == RECORD_FAILED && r->exit_code != EXIT_INTERRUPTED && r->run_id != NULL &&
                strcmp(r->run_id, failed->run_id) == 0)
                return true;
        }
    return false;
}

static void look_at_job(const struct health_options *o, const struct facts_held *held, const char *id, int64_t now_ms,
                        struct fact_list *out)
{
    struct record_list l;
    if (record_list_read_job(o->state_dir, id, RECORDS_READ, &l, NULL) != 0)
        return;
    const struct record *last = last_end(&l);
    int64_t ago_ms = last != NULL ? now_ms - os_time_ms(&last->time) : 0;
    bool failed = last != NULL && last->status == RECORD_FAILED;
    bool undecided = failed && (last->interrupted || (last->retry && ago_ms >= 0 && ago_ms < RETRY_MAX_MS));
    if (failed && !undecided && !told_by_tier(held, last)) {
        char when[OS_TIME_BYTES];
        char *text = mem_printf("%s: %s", os_time_format_human(&last->time, when),
                                last->error != NULL ? last->error : "its record does not say why");
        fact_list_add(out, id, false, text);
        free(text);
    } else if (last != NULL && !undecided) {
        fact_list_add(out, id, true, "it went well");
    }
    record_list_release(&l);
}

void health_look_jobs(const struct health_options *o, const struct facts_held *held, int64_t now_ms,
                      struct fact_list *out)
{
    char *path = os_path_join(o->state_dir, "jobs.json");
    json_t *doc = health_load_json5(path);
    const json_t *jobs = json_is_array(doc) ? doc : json_object_get(doc, "jobs");
    out->looked = true;
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);
        const char *id = json_string_value(json_object_get(job, "id"));
        if (id != NULL && !json_is_false(json_object_get(job, "enabled")))
            look_at_job(o, held, id, now_ms, out);
    }
    json_decref(doc);
    free(path);
}
