/* An entry of jobs.json made into a job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_reader.h"

enum {
    TIMEOUT_DEFAULT_MS = 3600000,
    TIMEOUT_MIN_MS = 100,
    RETRY_TIMES_MAX = 100,
    RETRY_AFTER_DEFAULT_MS = 60000,
    RETRY_AFTER_MAX_MS = 3600000,
    FOLLOWERS_MAX = 64
};
#define TIMEOUT_MAX_MS (INT64_C(30) * 86400000)

static const char TIME[] = "Unix milliseconds, up to the year 9999";

/* --- the ID --- */

static int read_id(const struct jobs_part *p, struct job *j)
{
    int rc = jobs_get_text(p, "id", &j->id);
    if (rc == 0)
        return jobs_mistake(p, NULL, true, "id is missing");
    if (rc > 0 && !job_id_valid(j->id))
        return jobs_mistake(p, jobs_get(p, "id"), true,
                            "id: it names the run log, so it must have 1 to %d bytes, no slash, no control characters "
                            "and no dot at its beginning",
                            JOB_ID_MAX_BYTES);
    return rc < 0 ? -1 : 0;
}

/* --- what is clawback's own --- */

static int read_retry(const struct jobs_part *entry, struct job *j)
{
    const struct jobs_node *n = jobs_get(entry, "retry");
    int64_t times = 0, after = RETRY_AFTER_DEFAULT_MS;
    if (n == NULL)
        return 0;
    if (n->kind != JOBS_OBJECT)
        return jobs_unexpected(entry, n, "retry", "an object like {\"times\": 3, \"afterMs\": 60000}");
    struct jobs_part p = {.r = entry->r, .object = n, .prefix = "retry."};
    if (jobs_get_integer(&p, "times", 0, RETRY_TIMES_MAX, "a number from 0 to 100", &times) < 0 ||
        jobs_get_integer(&p, "afterMs", 1, RETRY_AFTER_MAX_MS, "milliseconds, from 1 to an hour", &after) < 0)
        return -1;
    j->retry = (struct job_retry){.times = (unsigned)times, .after_ms = (uint64_t)after};
    return 0;
}

static int read_followers(const struct jobs_part *p, const char *key, struct strlist *out)
{
    struct strlist ids = {0};
    int rc = jobs_get_list(p, key, true, &ids);
    if (rc > 0 && ids.count > FOLLOWERS_MAX)
        rc = jobs_mistake(p, jobs_get(p, key), true, "%s: found %zu jobs, expected %d or fewer", key, ids.count,
                          FOLLOWERS_MAX);
    for (size_t i = 0; rc > 0 && i < ids.count; i++)
        if (!strlist_contains(out, ids.items[i]))
            strlist_add(out, ids.items[i]);
    strlist_release(&ids);
    return rc < 0 ? -1 : 0;
}

static int read_rules(const struct jobs_part *p, struct job *j)
{
    int64_t jitter = (int64_t)j->jitter_ms, timeout = (int64_t)j->timeout_ms;
    int rc = jobs_get_integer(p, "jitterMs", 0, JOBS_SPAN_MAX_MS, "milliseconds, 0 or more", &jitter);
    if (jobs_get_integer(p, "timeoutMs", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, "milliseconds, from 100 to 30 days",
                         &timeout) < 0)
        rc = -1;
    j->jitter_ms = (uint64_t)jitter;
    j->timeout_ms = (uint64_t)timeout;
    if (jobs_get_bool(p, "catchUp", &j->catch_up) < 0 || jobs_get_bool(p, "deleteAfterRun", &j->delete_after_run) < 0 ||
        read_retry(p, j) < 0 || read_followers(p, "onSuccess", &j->on_success) < 0 ||
        read_followers(p, "onFailure", &j->on_failure) < 0)
        rc = -1;
    return rc < 0 ? -1 : 0;
}

/* --- the rest --- */

static int read_names(const struct jobs_part *p, struct job *j)
{
    int rc = 0;
    const struct {
        const char *key;
        char **to;
    } texts[] = {{"agentId", &j->agent_id},
                 {"name", &j->name},
                 {"sessionTarget", &j->session_target},
                 {"wakeMode", &j->wake_mode}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        rc |= jobs_get_text(p, texts[i].key, texts[i].to) < 0;
    rc |= jobs_get_bool(p, "enabled", &j->enabled) < 0;
    rc |= jobs_get_integer(p, "createdAtMs", 0, JOBS_TIME_MAX_MS, TIME, &j->created_ms) < 0;
    rc |= jobs_get_integer(p, "updatedAtMs", 0, JOBS_TIME_MAX_MS, TIME, &j->updated_ms) < 0;
    return rc != 0 ? -1 : 0;
}

/* The planning document says "pending", OpenClaw "ok", "error", "skipped", run logs "completed" and "failed". What else
 * is there is nothing. */
static enum job_status status_of(const char *name)
{
    static const struct {
        const char *name;
        enum job_status status;
    } NAMES[] = {
        {"ok", JOB_OK}, {"completed", JOB_OK}, {"error", JOB_ERROR}, {"failed", JOB_ERROR}, {"skipped", JOB_SKIPPED}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(name, NAMES[i].name) == 0)
            return NAMES[i].status;
    return JOB_NEVER;
}

/* A state that cannot be read breaks nothing: the job counts as never run. */
static void read_state(const struct jobs_part *entry, struct job *j)
{
    const struct jobs_node *n = jobs_get(entry, "state");
    bool broken = entry->r->broken;
    size_t before = entry->r->report->count;
    int64_t duration = 0;
    char *status = NULL;
    if (n == NULL)
        return;
    struct jobs_part p = {.r = entry->r, .object = n, .prefix = "state."};
    if (n->kind != JOBS_OBJECT)
        jobs_unexpected(entry, n, "state", "an object");
    jobs_get_integer(&p, "lastRunAtMs", 0, JOBS_TIME_MAX_MS, TIME, &j->last_run_ms);
    jobs_get_integer(&p, "lastDurationMs", 0, JOBS_SPAN_MAX_MS, "milliseconds, 0 or more", &duration);
    jobs_get_text(&p, "lastStatus", &status);
    j->last_duration_ms = (uint64_t)duration;
    j->last_status = status != NULL ? status_of(status) : JOB_NEVER;
    for (size_t i = before; i < entry->r->report->count; i++)
        entry->r->report->items[i].left_out = false;
    entry->r->broken = broken;
    free(status);
}

bool jobs_read_entry(const struct jobs_text *t, const struct jobs_node *entry, size_t position, struct job *out,
                     struct jobs_report *report)
{
    char number[32];
    snprintf(number, sizeof number, "#%zu", position + 1);
    struct jobs_reader r = {.t = t, .id = number, .report = report};
    struct jobs_part p = {.r = &r, .object = entry, .prefix = ""};
    struct job j = {.enabled = true, .catch_up = true, .timeout_ms = TIMEOUT_DEFAULT_MS};
    if (entry->kind != JOBS_OBJECT) {
        jobs_mistake(&p, NULL, true, "found something else than an object");
        return false;
    }
    if (read_id(&p, &j) == 0)
        r.id = j.id;
    read_names(&p, &j);
    jobs_read_schedule(&p, &j);
    jobs_read_payload(&p, &j);
    read_rules(&p, &j);
    read_state(&p, &j);
    if (r.broken)
        job_release(&j);
    *out = j;
    return !r.broken;
}
