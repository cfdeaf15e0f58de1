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
enum { EXIT_WARNING = 1, EXIT_CRITICAL = 2 }; /* of `clawback health` */

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

static char *command_of(const json_t *job)
{
    const json_t *payload = json_object_get(job, "payload"), *argv = json_object_get(payload, "argv");
    const json_t *command = argv != NULL ? argv : json_object_get(payload, "command");
    struct strlist words = {0};
    for (size_t i = 0; i < json_array_size(command); i++)
        if (json_is_string(json_array_get(command, i)))
            strlist_add(&words, json_string_value(json_array_get(command, i)));
    if (json_is_string(command))
        strlist_add(&words, json_string_value(command));
    char *text = strlist_join(&words, " ");
    strlist_release(&words);
    return text;
}

/* The exit status of `clawback health` says what it found, and it has told of that itself. A finding that it failed
 * would make it fail the next time, too, for ever. */
static bool says_what_it_found(const json_t *job, const struct record *failed)
{
    if (failed->exit_code != EXIT_WARNING && failed->exit_code != EXIT_CRITICAL)
        return false;
    char *command = command_of(job);
    const char *us = strstr(command, "clawback"), *verb = us != NULL ? strstr(us, " health") : NULL;
    bool is_health = verb != NULL && strchr(" ;\n", verb[strlen(" health")]) != NULL;
    bool says = is_health && strstr(command, "--scheduled") == NULL; /* which makes it 0 but for graver things */
    free(command);
    return says;
}

static void look_at_job(const struct health_options *o, const struct facts_held *held, const json_t *job,
                        int64_t now_ms, struct fact_list *out)
{
    const char *id = json_string_value(json_object_get(job, "id"));
    struct record_list l;
    if (record_list_read_job(o->state_dir, id, RECORDS_READ, &l, NULL) != 0)
        return;
    const struct record *last = last_end(&l);
    int64_t ago_ms = last != NULL ? now_ms - os_time_ms(&last->time) : 0;
    bool failed = last != NULL && last->status == RECORD_FAILED && !says_what_it_found(job, last);
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
        if (json_is_string(json_object_get(job, "id")) && !json_is_false(json_object_get(job, "enabled")))
            look_at_job(o, held, job, now_ms, out);
    }
    json_decref(doc);
    free(path);
}
