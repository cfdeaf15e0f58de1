/* The machine's clock, and what the records say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include "base/mem.h"
#include "monitor/record.h"
#include "os/clock.h"
#include "os/file.h"
#include "plan/schedule.h"
#include "run/doctor_checks.h"
#include "run/health_late.h"

enum { RECORDS_READ = 500, FUTURE_SLACK_S = 120 };
/* No release is older: 2026-01-01. */
static const time_t FIRST_RELEASE = 1767225600;

/* --- what the records say --- */

static void age_text(double seconds, char out[32])
{
    duration_format(seconds > 0 ? (uint64_t)(seconds / 60) * 60000 : 0, out);
    if (seconds < 60)
        snprintf(out, 32, "a moment");
}

static double seconds_since(const struct timespec *t)
{
    struct timespec now = os_now();
    return difftime(now.tv_sec, t->tv_sec);
}

static void tell_last(struct doctor *d, const struct plan_tier *t, const struct record_list *l)
{
    const struct record *ended = record_last_ended(l), *good = record_last_good(l, 3);
    char age[32];
    if (ended == NULL) {
        doctor_say(d, DOCTOR_YELLOW, "make the first backup: clawback run --all", "tier '%s' has never run", t->name);
        return;
    }
    if (ended->status == RECORD_FAILED) {
        char *advice = mem_printf("put it right, then: clawback run %s", t->name);
        doctor_say(d, DOCTOR_RED, advice, "the last run of tier '%s' failed: %s", t->name,
                   ended->error != NULL ? ended->error : "for a reason it did not tell");
        free(advice);
        return;
    }
    if (good == NULL)
        good = ended;
    double since = seconds_since(&good->time);
    age_text(since, age);
    int64_t late_ms = health_late_ms(t, d->plan->health.late_percent, l, 0);
    if (late_ms != 0 && (int64_t)os_now().tv_sec * 1000 > late_ms)
        doctor_say(d, DOCTOR_YELLOW, "see why the scheduler does not run it; by hand: clawback run",
                   "tier '%s' was last backed up %s ago, and is overdue", t->name, age);
    else if (good->exit_code != 0)
        doctor_say(d, DOCTOR_YELLOW, "see the warnings of the last run: clawback runs",
                   "tier '%s' ran %s ago, but something is missing", t->name, age);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "tier '%s' was %s %s ago", t->name,
                   good->status == RECORD_SKIPPED ? "skipped (nothing of it was running)" : "backed up", age);
}

/* Proofs are recorded like the runs of a tier, under this name. */
static void tell_proof(struct doctor *d)
{
    struct record_list l = {0};
    record_list_read(d->options->state_dir, "drill", RECORDS_READ, &l, NULL);
    const struct record *good = record_last_good(&l, 0);
    double days = good != NULL ? seconds_since(&good->time) / 86400 : 0;
    double max_days = (double)d->plan->health.proof_max_age_ms / 1000 / 86400;
    if (good == NULL)
        doctor_say(d, DOCTOR_YELLOW, "restore something and compare it: clawback restore latest --target DIR --verify",
                   "no restore has been proven yet: a backup counts once something came back from it");
    else if (max_days > 0 && days > max_days)
        doctor_say(d, DOCTOR_YELLOW, "prove it again: clawback restore latest --target DIR --verify",
                   "the last proven restore was %.0f days ago", days);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "a restore was proven %.0f days ago", days);
    record_list_release(&l);
}

void doctor_history(struct doctor *d)
{
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        const struct plan_tier *t = &d->plan->tiers[i];
        struct record_list l = {0};
        struct err err = {0};
        if (t->disabled)
            continue;
        if (record_list_read(d->options->state_dir, t->name, RECORDS_READ, &l, &err) < 0)
            doctor_say(d, DOCTOR_YELLOW, "see who may read clawback's state directory", "%s", err.message);
        else
            tell_last(d, t, &l);
        if (l.damaged > 0)
            doctor_say(d, DOCTOR_YELLOW, "harmless; they are passed over",
                       "%zu lines in the records of tier '%s' are damaged", l.damaged, t->name);
        record_list_release(&l);
    }
    tell_proof(d);
}

/* --- the clock --- */

/* The newest time that anything of ours was written: the clock cannot be before it. */
static time_t newest_trace(const struct doctor *d)
{
    struct stat st;
    time_t newest = FIRST_RELEASE;
    if (stat("/proc/self/exe", &st) == 0 && st.st_mtime > newest)
        newest = st.st_mtime;
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        char *path = record_path(d->options->state_dir, d->plan->tiers[i].name);
        if (stat(path, &st) == 0 && st.st_mtime > newest)
            newest = st.st_mtime;
        free(path);
    }
    return newest;
}

void doctor_clock(struct doctor *d)
{
    struct timespec now = os_now();
    char text[OS_TIME_BYTES];
    struct timex state = {0};
    int status = adjtimex(&state);
    os_time_format_human(&now, text);
    if (now.tv_sec + FUTURE_SLACK_S < newest_trace(d)) {
        doctor_say(d, DOCTOR_RED, "set it (timedatectl set-ntp true): retention and schedules go by it",
                   "the clock says %s, which is before things that were written already", text);
        return;
    }
    if (status < 0)
        doctor_say(d, DOCTOR_YELLOW, "see that it is right", "the clock says %s; the system does not tell more", text);
    else if (status == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
        doctor_say(d, DOCTOR_YELLOW, "keep it in step by itself: timedatectl set-ntp true",
                   "the clock says %s, and nothing keeps it in step", text);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "the clock says %s and is kept in step", text);
}
