#include "plan/schedule.h"

#include <string.h>
#include <time.h>

#include "os/clock.h"
#include "plan/cron.h"
#include "plan/schedule_zone.h"

enum { EVERY_MIN_MS = 1000 };

static int64_t seconds_of(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0);
}

/* --------------------------------------------------------------------------------------------------------------- every
 */

static int64_t add_clamped(int64_t a, uint64_t b)
{
    return b > (uint64_t)INT64_MAX || a > INT64_MAX - (int64_t)b ? INT64_MAX : a + (int64_t)b;
}

static int64_t next_on_grid(int64_t anchor, uint64_t every, int64_t after)
{
    if (after < anchor)
        return anchor;
    uint64_t past = (uint64_t)after - (uint64_t)anchor;
    return add_clamped(after, every - past % every);
}

static int64_t next_interval(const struct schedule *s, int64_t after, int64_t last_run)
{
    if (s->anchor_ms != 0)
        return next_on_grid(s->anchor_ms, s->every_ms, after);
    int64_t at_once = add_clamped(after, 1);
    int64_t due = last_run != 0 ? add_clamped(last_run, s->every_ms) : at_once;
    return due > at_once ? due : at_once;
}

/* ---------------------------------------------------------------------------------------------------------------- cron
 */

/* cron_next() with its last answer kept: what is rare is looked for across many spans. */
struct search {
    const struct cron *cron;
    bool known;
    int64_t from, found; /* nothing matches from `from` up to `found`, which does */
};

static bool find_label(struct search *s, int64_t from, int64_t *out)
{
    if (!s->known || from < s->from || from > s->found) {
        if (!cron_next(s->cron, from, &s->found))
            return false;
        s->known = true;
        s->from = from;
    }
    *out = s->found;
    return true;
}

/*
 * Within a span of one offset the wall clock runs evenly: the next match on it is the one that is due. What is special
 * lies at a span's beginning, for fixed times: labels up to `had` were shown before the change. Those between `had` and
 * the first that is shown now were skipped, and are due at the change; those that are shown again are not due again.
 */
static bool next_in_span(struct search *s, const struct zone_span *span, bool is_later, int64_t from_s, int64_t *out)
{
    int64_t label = from_s + span->offset_s, found;
    if (!s->cron->any_hour && span->start_s != INT64_MIN) {
        int64_t had = span->start_s + span->before_s;
        if (is_later && had < label && find_label(s, had, &found) && found < label) {
            *out = span->start_s;
            return true;
        }
        if (had > label)
            label = had;
    }
    if (!find_label(s, label, &found))
        return false;
    *out = found - span->offset_s;
    return span->end_s == INT64_MAX || *out < span->end_s;
}

/* The first second from `from_s` on that is due. */
static bool next_by_cron(const struct cron *c, const struct zone *z, int64_t from_s, int64_t *out)
{
    enum { SPANS_MAX = 400 }; /* four changes a year for a hundred years; cron_next looks ahead for 48 */
    struct search search = {.cron = c};
    struct zone_span span;
    zone_find(z, from_s, &span);
    /* A change at this very moment: what it skips is due now. */
    bool is_later = span.start_s == from_s;
    for (int i = 0; i < SPANS_MAX; i++) {
        if (next_in_span(&search, &span, is_later, from_s, out))
            return true;
        if (span.end_s == INT64_MAX)
            return false;
        from_s = span.end_s;
        zone_find(z, from_s, &span);
        is_later = true;
    }
    return false;
}

static bool next_cron(const struct schedule *s, const struct zone *zone, int64_t after_ms, int64_t *out)
{
    int64_t found = 0;
    if (after_ms > INT64_MAX - 1000 || zone == NULL ||
        !next_by_cron(&s->cron, zone, seconds_of(after_ms) + 1, &found) || found > INT64_MAX / 1000)
        return false;
    *out = found * 1000;
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ together
 */

bool schedule_next_in(const struct schedule *s, const struct zone *zone, int64_t after_ms, int64_t last_run_ms,
                      int64_t *next_ms_out)
{
    switch (s->kind) {
    case SCHEDULE_NONE:
        break;
    case SCHEDULE_EVERY:
        if (s->every_ms == 0)
            return false;
        *next_ms_out = next_interval(s, after_ms, last_run_ms);
        return *next_ms_out > after_ms;
    case SCHEDULE_CRON:
        return next_cron(s, zone, after_ms, next_ms_out);
    case SCHEDULE_AT:
        *next_ms_out = s->at_ms;
        return s->at_ms > after_ms;
    }
    return false;
}

bool schedule_next(const struct schedule *s, int64_t after_ms, int64_t last_run_ms, int64_t *next_ms_out)
{
    struct zone *zone = NULL;
    if (s->kind == SCHEDULE_CRON && zone_load(s->zone, &zone, NULL) < 0)
        return false;
    bool ok = schedule_next_in(s, zone, after_ms, last_run_ms, next_ms_out);
    zone_free(zone);
    return ok;
}

int schedule_check(const struct schedule *s, struct err *err)
{
    if (s->kind == SCHEDULE_EVERY && s->every_ms < EVERY_MIN_MS)
        return err_set(err, ERR_USAGE, "the interval is too short: a second is the least");
    if (s->zone == NULL)
        return 0;
    struct zone *zone;
    if (zone_load(s->zone, &zone, err) < 0)
        return -1;
    zone_free(zone);
    return 0;
}

/* ----------------------------------------------------------------------------------------------------- a time as text
 */

/* Does the date at the beginning exist? (30 February reads like one.) */
static bool date_exists(const struct tm *date)
{
    struct tm again = *date;
    return timegm(&again) != (time_t)-1 && again.tm_mday == date->tm_mday;
}

/* "2026-12-24 18:00[:30]", with a T in the middle too, as if it was UTC. */
static bool parse_label(const char *text, int64_t *out)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end == NULL || end - text != 10 || (*end != ' ' && *end != 'T') || !date_exists(&tm))
        return false;
    const char *time = end + 1;
    end = strptime(time, "%H:%M", &tm);
    if (end != NULL && *end == ':')
        end = strptime(time, "%H:%M:%S", &tm);
    if (end == NULL || *end != '\0')
        return false;
    *out = (int64_t)timegm(&tm);
    return true;
}

int schedule_parse_time(const char *text, const char *zone, int64_t *ms_out, struct err *err)
{
    struct timespec t;
    struct tm date = {0};
    if (os_time_parse(text, strlen(text), &t) == 0 && strptime(text, "%Y-%m-%d", &date) != NULL && date_exists(&date)) {
        *ms_out = os_time_ms(&t);
        return 0;
    }
    int64_t label;
    if (!parse_label(text, &label))
        return err_set(err, ERR_USAGE, "'%.40s' is no time like 2026-12-24T18:00:00+01:00 or 2026-12-24 18:00", text);
    struct zone *z;
    if (zone_load(zone, &z, err) < 0)
        return -1;
    *ms_out = zone_instant(z, label) * 1000;
    zone_free(z);
    return 0;
}
