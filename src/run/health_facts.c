#include "run/health_facts.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "run/again.h"
#include "run/health_late.h"
#include "run/host_lock.h"
#include "run/installed.h"
#include "run/retry.h"
#include "run/run.h"

enum { RETRY_GRACE_MS = 5 * 60 * 1000 }; /* another run may hold the lock when its time has come */

void fact_list_add(struct fact_list *l, const char *subject, bool ok, const char *text)
{
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    l->items[l->count++] =
        (struct fact_check){.subject = mem_strdup(subject), .ok = ok, .text = mem_strdup(text != NULL ? text : "")};
}

void fact_list_release(struct fact_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free((void *)(uintptr_t)l->items[i].subject);
        free((void *)(uintptr_t)l->items[i].text);
    }
    free(l->items);
    *l = (struct fact_list){0};
}

/* --- tiers --- */

static bool is_there(pid_t pid)
{
    return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* Begun and not ended, by a process that is still there: others were killed. */
static bool is_running(const struct record_list *records, bool locked)
{
    const struct record *begun = record_unended(records);
    return locked && begun != NULL && is_there(begun->pid);
}

/* How often the run that has failed was tried, and by whom. */
static unsigned count_tries(const struct record_list *records, const struct record *failed, pid_t *pid_out)
{
    unsigned tries = 0;
    *pid_out = 0;
    for (size_t i = 0; i < records->count; i++) {
        const struct record *r = &records->items[i];
        if (r->run_id == NULL || strcmp(r->run_id, failed->run_id) != 0)
            continue;
        tries += r->status == RECORD_FAILED;
        *pid_out = r->status == RECORD_STARTED ? r->pid : *pid_out;
    }
    return tries;
}

/* The last run failed, but whoever started it is to try again; or the process that made it waits for its next attempt
 * by the plan, or is at it. We ourselves do not: whoever looks at the end of a run has made all its attempts. */
static bool is_retrying(const struct plan_tier *t, const struct record_list *records, bool running, int64_t now_ms)
{
    const struct record *failed = record_last_ended(records), *begun = record_unended(records);
    pid_t pid;
    if (failed == NULL || failed->status != RECORD_FAILED || !failed->retry || failed->run_id == NULL)
        return false;
    if (failed->retry_at_ms != 0)
        return again_awaited(records, running, now_ms);
    unsigned tries = count_tries(records, failed, &pid);
    if (tries > t->retry.times || pid == getpid() || !is_there(pid))
        return false;
    if (begun != NULL)
        return running && begun->run_id != NULL && strcmp(begun->run_id, failed->run_id) == 0;
    int64_t ago_ms = now_ms - os_time_ms(&failed->time);
    return ago_ms >= 0 && (uint64_t)ago_ms < retry_delay_ms(&t->retry, tries) + RETRY_GRACE_MS;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Since when somebody has had the task of running the plan: the first record, or the installation. */
static int64_t watched_since(const char *state_dir, const struct record_list *records, size_t count)
{
    struct installed installed = {0};
    int64_t since = 0;
    for (size_t i = 0; i < count; i++)
        if (records[i].count > 0)
            since = earlier(since, os_time_ms(&records[i].items[0].time));
    if (installed_read(state_dir, &installed, NULL) == 0)
        for (size_t i = 0; i < installed.count; i++)
            since = earlier(since, installed.items[i].since_ms);
    installed_release(&installed);
    return since;
}

/* A tier that never ran may be a new one: a plan that was changed since gives it its time anew. */
static int64_t tier_since(const struct plan *p, const struct record_list *records, int64_t watched_ms)
{
    struct stat st;
    if (records->count > 0)
        return os_time_ms(&records->items[0].time);
    if (watched_ms == 0 || p->file == NULL || stat(p->file, &st) != 0)
        return watched_ms;
    int64_t changed_ms = os_time_ms(&st.st_mtim);
    return changed_ms > watched_ms ? changed_ms : watched_ms;
}

static void gather_tiers(const struct health_options *o, struct facts *f, struct facts_held *held)
{
    bool locked = host_lock_held(o->state_dir, (char[256]){0}, 256);
    for (size_t i = 0; i < held->tier_count; i++) {
        struct err err = {0};
        held->unread[i] =
            record_list_read(o->state_dir, o->plan->tiers[i].name, RECORD_KEPT_LINES, &held->records[i], &err) != 0;
        if (held->unread[i])
            strlist_add(&held->trouble, err.message);
    }
    f->watched_since_ms = watched_since(o->state_dir, held->records, held->tier_count);
    for (size_t i = 0; i < held->tier_count; i++) {
        struct fact_tier *t = &held->tiers[i];
        *t = (struct fact_tier){.tier = &o->plan->tiers[i]};
        if (held->unread[i])
            continue;
        t->records = &held->records[i];
        t->running = is_running(t->records, locked);
        t->retrying = is_retrying(t->tier, t->records, t->running, f->now_ms);
        run_tier_due(t->tier, t->records, f->now_ms, &t->next_ms);
        t->late_ms = health_late_ms(t->tier, o->plan->health.late_percent, t->records,
                                    tier_since(o->plan, t->records, f->watched_since_ms));
    }
    f->tiers = held->tiers;
    f->tier_count = held->tier_count;
}

/* --- destinations --- */

/* Rules say whose problem it is; our messages begin with that, too. */
static const char *problem_of(const struct destination_look *look, const struct plan_destination *d)
{
    if (look->message == NULL)
        return NULL;
    char *prefix = mem_printf("destination '%s': ", d->name);
    size_t len = strlen(prefix);
    bool has = strncmp(look->message, prefix, len) == 0;
    free(prefix);
    return look->message + (has ? len : 0);
}

/* Where its drive is not mounted, what is seen is the room of another file system. */
static bool is_its_own_room(enum destination_problem problem)
{
    return problem == DESTINATION_OK || problem == DESTINATION_NO_SPACE || problem == DESTINATION_NOT_WRITABLE;
}

static int gather_destinations(const struct health_options *o, struct facts *f, struct facts_held *held,
                               struct err *err)
{
    int rc = health_look_destinations(o, held->looks, err);
    for (size_t i = 0; i < held->destination_count; i++) {
        struct destination_look *look = &held->looks[i];
        const struct plan_destination *d = &o->plan->destinations[i];
        forecast_from_records(held->records, held->tier_count, d, f->now_ms, &look->forecast);
        forecast_describe(&look->forecast, look->forecast_text, sizeof look->forecast_text);
        held->destinations[i] = (struct fact_destination){
            .destination = d,
            .ready = look->problem == DESTINATION_OK,
            .unknown = look->silent && o->run_ended, /* a drive that sleeps takes a while to wake */
            .problem = problem_of(look, d),
            .space_known = look->total_bytes > 0 && is_its_own_room(look->problem),
            .free_bytes = look->free_bytes,
            .total_bytes = look->total_bytes,
            .forecast = look->forecast.kind != FORECAST_UNKNOWN ? look->forecast_text : NULL,
            .full_ms = look->forecast.kind == FORECAST_DATE ? look->forecast.full_ms : 0,
        };
    }
    f->destinations = held->destinations;
    f->destination_count = held->destination_count;
    return rc;
}

const struct destination_look *facts_destination_look(const struct facts_held *held, size_t i)
{
    return &held->looks[i];
}

/* --- the rest --- */

/* Proofs are recorded like the runs of a tier, under this name. Where none is, nobody set out to prove anything, unless
 * the plan says how old a proof may be. */
static void gather_proof(const struct health_options *o, struct facts *f)
{
    enum { RECORDS_READ = 500 };
    static const uint64_t DEFAULT_MAX_AGE_MS = 35 * 24 * 3600000ULL;
    struct record_list l = {0};
    record_list_read(o->state_dir, "drill", RECORDS_READ, &l, NULL);
    const struct record *good = record_last_good(&l, 0);
    f->proof_ms = good != NULL ? os_time_ms(&good->time) : 0;
    f->proof_looked = l.count > 0 || o->plan->health.proof_max_age_ms != DEFAULT_MAX_AGE_MS;
    record_list_release(&l);
}

int health_gather(const struct health_options *o, struct facts *out, struct facts_held **held_out, struct err *err)
{
    struct facts_held *held = mem_zalloc(sizeof *held);
    *out = (struct facts){
        .now_ms = os_now_ms(), .plan = o->plan, .state_dir = o->state_dir, .awake_since_ms = os_started_ms()};
    held->tier_count = o->plan->tier_count;
    held->destination_count = o->plan->destination_count;
    held->records = mem_zalloc((held->tier_count + 1) * sizeof *held->records);
    held->unread = mem_zalloc((held->tier_count + 1) * sizeof *held->unread);
    held->tiers = mem_zalloc((held->tier_count + 1) * sizeof *held->tiers);
    held->looks = mem_zalloc((held->destination_count + 1) * sizeof *held->looks);
    held->destinations = mem_zalloc((held->destination_count + 1) * sizeof *held->destinations);
    gather_tiers(o, out, held);
    gather_proof(o, out);
    health_look_jobs(o, held, out->now_ms, &held->jobs);
    int rc = gather_destinations(o, out, held, err);
    if (rc == 0)
        rc = health_look_schedulers(o, out->now_ms, &held->schedulers, err);
    if (rc == 0 && !o->quick && !o->plan->health.no_dump_check)
        rc = health_look_databases(o, &held->dumps, err);
    if (rc == 0 && !o->quick)
        health_compare_clocks(o, held, out->now_ms, &held->skews);
    out->dumps = held->dumps;
    out->jobs = held->jobs;
    out->schedulers = held->schedulers;
    out->skews = held->skews;
    *held_out = held;
    return rc;
}

void facts_release(struct facts_held *held)
{
    if (held == NULL)
        return;
    for (size_t i = 0; i < held->tier_count; i++)
        record_list_release(&held->records[i]);
    for (size_t i = 0; i < held->destination_count; i++)
        free(held->looks[i].message);
    strlist_release(&held->trouble);
    free(held->records);
    free(held->unread);
    free(held->tiers);
    free(held->looks);
    free(held->destinations);
    fact_list_release(&held->dumps);
    fact_list_release(&held->jobs);
    fact_list_release(&held->schedulers);
    fact_list_release(&held->skews);
    free(held);
}
