/* What was tried: databases, schedulers, clocks, restores. */
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "monitor/rules_internal.h"

enum { DETAILS_MAX_BYTES = 4096 };

static const char *text_of(const struct fact_check *c)
{
    return c->text != NULL && *c->text != '\0' ? c->text : "it does not say why";
}

static void dumps(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; f->dumps.looked && i < f->dumps.count; i++) {
        const struct fact_check *c = &f->dumps.items[i];
        if (c->ok) {
            finding_add(out, "dump-failed", c->subject, ALERT_FINE, "%s can be dumped", c->subject);
            continue;
        }
        struct finding *found = finding_add(out, "dump-failed", c->subject, ALERT_WARNING, "%s cannot be dumped: %s",
                                            c->subject, text_of(c));
        rules_command(found, "clawback doctor");
    }
}

static void jobs(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; f->jobs.looked && i < f->jobs.count; i++) {
        const struct fact_check *c = &f->jobs.items[i];
        if (c->ok) {
            finding_add(out, "job-failed", c->subject, ALERT_FINE, "the last run of job '%s' went well", c->subject);
            continue;
        }
        struct finding *found =
            finding_add(out, "job-failed", c->subject, ALERT_CRITICAL, "job '%s' failed at %s", c->subject, text_of(c));
        rules_command(found, "clawback runs '%s'", c->subject);
    }
}

/* One finding for all of them: which there are changes when another one is installed. */
static void schedulers(const struct facts *f, struct finding_list *out)
{
    const struct fact_check *first = NULL;
    size_t dead = 0;
    bool nothing = true;
    struct buf others;
    if (!f->schedulers.looked)
        return;
    buf_init(&others, DETAILS_MAX_BYTES);
    for (size_t i = 0; i < f->schedulers.count; i++) {
        const struct fact_check *c = &f->schedulers.items[i];
        nothing = nothing && !c->ok && !c->partly;
        if (c->ok)
            continue;
        if (dead++ == 0)
            first = c;
        else
            buf_printf(&others, "%s%s: %s", others.len > 0 ? "\n" : "", c->subject, text_of(c));
    }
    if (first == NULL && f->schedulers.count > 0) {
        finding_add(out, "scheduler", "", ALERT_FINE, "the next run will be started");
    } else if (first != NULL) {
        const char *what = nothing         ? "nothing will start the next run: "
                           : first->partly ? "not all that is due will be started: "
                                           : "";
        struct finding *found = finding_add(out, "scheduler", "", ALERT_WARNING, "%s%s", what, text_of(first));
        found->details = others.len > 0 ? mem_strdup(buf_cstr(&others)) : NULL;
        /* As run/installed.h names it when there is nothing whose state could be shown. */
        bool none = strcmp(first->subject, "schedule") == 0;
        rules_command(found, none ? "clawback schedule install" : "clawback schedule status");
    }
    buf_release(&others);
}

static void skews(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; f->skews.looked && f->plan->health.skew_ms > 0 && i < f->skews.count; i++) {
        const struct fact_check *c = &f->skews.items[i];
        struct finding *found =
            finding_add(out, "skew", c->subject, c->ok ? ALERT_FINE : ALERT_WARNING, "%s", text_of(c));
        if (!c->ok)
            rules_command(found, "timedatectl status");
    }
}

static void proof(const struct facts *f, struct finding_list *out)
{
    char when[RULES_TEXT_BYTES], allowed[RULES_TEXT_BYTES];
    uint64_t max_ms = f->plan->health.proof_max_age_ms;
    int64_t counted_ms = f->proof_ms != 0 ? f->proof_ms : f->watched_since_ms;
    if (!f->proof_looked || max_ms == 0 || counted_ms == 0)
        return;
    rules_duration((int64_t)max_ms, allowed);
    rules_ago(counted_ms, f->now_ms, when);
    if (counted_ms > f->now_ms || (uint64_t)(f->now_ms - counted_ms) <= max_ms) {
        finding_add(out, "proof", "", ALERT_FINE,
                    f->proof_ms != 0 ? "a restore was last proven %s"
                                     : "runs are recorded since %s: a restore is not due",
                    when);
        return;
    }
    struct finding *found;
    if (f->proof_ms != 0)
        found = finding_add(out, "proof", "", ALERT_WARNING,
                            "a restore was last proven %s, and is to be proven every %s", when, allowed);
    else
        found =
            finding_add(out, "proof", "", ALERT_WARNING,
                        "no restore was ever proven since the first run %s, and one is to be every %s", when, allowed);
    found->since_ms = counted_ms;
    rules_command(found, "clawback restore latest --target DIR --verify");
}

void rules_services(const struct facts *f, struct finding_list *out)
{
    dumps(f, out);
    jobs(f, out);
    schedulers(f, out);
    skews(f, out);
    proof(f, out);
}
