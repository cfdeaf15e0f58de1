/* An entry's schedule, as the planning document writes it and as OpenClaw does. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_reader.h"
#include "plan/schedule.h"
#include "plan/schedule_zone.h"

enum { INTERVAL_MIN_MS = 1000 };
static const char INTERVAL[] = "milliseconds, from 1000 to a hundred years";
static const char TIME[] = "Unix milliseconds, from 1 to the year 9999";

/* `own` is how this kind calls it, `other` how the other one does. */
static int read_interval(const struct jobs_part *p, const char *own, const char *other, struct schedule *s)
{
    int64_t every = 0;
    const char *key = jobs_get(p, own) == NULL && jobs_get(p, other) != NULL ? other : own;
    if (jobs_get(p, key) == NULL)
        return jobs_mistake(p, NULL, true, "%s%s is missing: %s", p->prefix, key, INTERVAL);
    if (jobs_get_integer(p, key, INTERVAL_MIN_MS, JOBS_SPAN_MAX_MS, INTERVAL, &every) < 0)
        return -1;
    s->kind = SCHEDULE_EVERY;
    s->every_ms = (uint64_t)every;
    return jobs_get_integer(p, "anchorMs", 0, JOBS_TIME_MAX_MS, TIME, &s->anchor_ms) < 0 ? -1 : 0;
}

/* tz, checked: the zone's data must be there. */
static int read_zone(const struct jobs_part *p, struct schedule *s)
{
    struct err err = {0};
    struct zone *zone;
    int rc = jobs_get_text(p, "tz", &s->zone);
    if (rc <= 0)
        return rc;
    if (zone_load(s->zone, &zone, &err) < 0)
        return jobs_mistake(p, jobs_get(p, "tz"), true, "%stz: %s", p->prefix, err.message);
    zone_free(zone);
    return 0;
}

/* A time without an offset is UTC's, as in OpenClaw, unless tz says otherwise. */
static int read_moment(const struct jobs_part *p, const char *text, struct schedule *s)
{
    struct err err = {0};
    const char *zone = s->zone != NULL ? s->zone : "UTC";
    int rc = schedule_parse_time(text, zone, &s->at_ms, &err);
    if (rc == 0 && (s->at_ms < 1 || s->at_ms > JOBS_TIME_MAX_MS))
        rc = err_set(&err, ERR_USAGE, "'%.40s' is before 1970 or after 9999", text);
    return rc == 0 ? 0 : jobs_mistake(p, jobs_get(p, "at"), true, "%sat: %s", p->prefix, err.message);
}

static int read_at(const struct jobs_part *p, struct schedule *s)
{
    char *text = NULL;
    int rc = jobs_get_text(p, "at", &text), number = 0;
    s->kind = SCHEDULE_AT;
    if (rc > 0)
        rc = read_moment(p, text, s);
    else if (rc == 0)
        rc = number = jobs_get_integer(p, "atMs", 1, JOBS_TIME_MAX_MS, TIME, &s->at_ms);
    if (rc == 0 && text == NULL && number == 0)
        rc = jobs_mistake(p, NULL, true,
                          "%sat is missing: a time like \"2026-12-24T18:00:00Z\", or atMs: Unix milliseconds",
                          p->prefix);
    free(text);
    return rc < 0 ? -1 : 0;
}

static int read_cron(const struct jobs_part *p, struct job *j)
{
    struct err err = {0};
    struct schedule *s = &j->schedule;
    const char *key = jobs_get(p, "cron") != NULL ? "cron" : "expr";
    int rc = jobs_get_text(p, key, &j->cron_text);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return jobs_mistake(p, NULL, true, "%s%s is missing: an expression like \"0 */2 * * *\"", p->prefix, key);
    if (cron_parse(j->cron_text, &s->cron, &err) < 0)
        return jobs_mistake(p, jobs_get(p, key), true, "%s%s: %s", p->prefix, key, err.message);
    s->kind = SCHEDULE_CRON;
    s->cron_text = j->cron_text;
    return 0;
}

static int read_kind(const struct jobs_part *p, const char *kind, struct job *j)
{
    if (strcmp(kind, "interval") == 0)
        return read_interval(p, "intervalMs", "everyMs", &j->schedule);
    if (strcmp(kind, "every") == 0)
        return read_interval(p, "everyMs", "intervalMs", &j->schedule);
    if (strcmp(kind, "cron") == 0)
        return read_cron(p, j);
    if (strcmp(kind, "at") == 0)
        return read_at(p, &j->schedule);
    return jobs_unexpected(p, jobs_get(p, "kind"), "kind", "\"interval\" (or \"every\"), \"cron\" or \"at\"");
}

int jobs_read_schedule(const struct jobs_part *entry, struct job *j)
{
    const struct jobs_node *n = jobs_get(entry, "schedule");
    char *kind = NULL;
    int64_t stagger = 0;
    if (n == NULL)
        return jobs_mistake(entry, NULL, true, "schedule is missing");
    if (n->kind != JOBS_OBJECT)
        return jobs_unexpected(entry, n, "schedule", "an object");
    struct jobs_part p = {.r = entry->r, .object = n, .prefix = "schedule."};
    int rc = jobs_get_text(&p, "kind", &kind);
    if (rc == 0)
        rc = jobs_mistake(&p, NULL, true, "schedule.kind is missing: \"interval\" (or \"every\"), \"cron\" or \"at\"");
    if (rc > 0)
        rc = read_zone(&p, &j->schedule);
    if (rc == 0)
        rc = read_kind(&p, kind, j);
    if (rc == 0 && jobs_get_integer(&p, "staggerMs", 0, JOBS_SPAN_MAX_MS, "milliseconds", &stagger) < 0)
        rc = -1;
    j->jitter_ms = (uint64_t)stagger;
    free(kind);
    return rc;
}
