#include "daemon/install_calendar.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/clock.h"
#include "plan/schedule_zone.h"

enum { TEXT_MAX_BYTES = 8192, MINUTE_MS = 60 * 1000, HOUR_MINUTES = 60, DAY_MINUTES = 1440, WEEK_MINUTES = 10080 };

/* --- systemd --- */

static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static bool is_full(uint64_t bits, unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++)
        if ((bits >> i & 1) == 0)
            return false;
    return true;
}

/* "*", or "0,15..20,45". */
static void append_set(struct buf *out, uint64_t bits, unsigned first, unsigned last)
{
    if (is_full(bits, first, last)) {
        buf_append_byte(out, '*');
        return;
    }
    bool any = false;
    for (unsigned i = first; i <= last; i++) {
        if ((bits >> i & 1) == 0)
            continue;
        unsigned end = i;
        while (end < last && (bits >> (end + 1) & 1) != 0)
            end++;
        buf_printf(out, "%s%02u", any ? "," : "", i);
        if (end >= i + 2)
            buf_printf(out, "..%02u", end);
        else
            end = i;
        any = true;
        i = end;
    }
}

static void append_days(struct buf *out, unsigned bits)
{
    bool any = false;
    if (is_full(bits, 0, 6))
        return;
    for (unsigned i = 0; i < 7; i++)
        if ((bits >> i & 1) != 0) {
            buf_printf(out, "%s%s", any ? "," : "", DAYS[i]);
            any = true;
        }
    buf_append_byte(out, ' ');
}

static void add_line(const struct schedule *s, uint32_t hours, uint32_t month_days, unsigned week_days,
                     struct strlist *out)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    append_days(&text, week_days);
    buf_append_str(&text, "*-");
    append_set(&text, s->cron.months, 1, 12);
    buf_append_byte(&text, '-');
    append_set(&text, month_days, 1, 31);
    buf_append_byte(&text, ' ');
    append_set(&text, hours, 0, 23);
    buf_append_byte(&text, ':');
    append_set(&text, s->cron.minutes, 0, 59);
    buf_append_str(&text, ":00");
    if (s->zone != NULL)
        buf_printf(&text, " %s", s->zone);
    strlist_add(out, buf_cstr(&text));
    buf_release(&text);
}

static void add_lines(const struct schedule *s, uint32_t hours, struct strlist *out)
{
    static const uint32_t EVERY_DATE = 0xfffffffe;
    const struct cron *c = &s->cron;
    if (c->any_day_of_month || c->any_day_of_week) { /* both have to match */
        add_line(s, hours, c->days_of_month, c->days_of_week, out);
        return;
    }
    add_line(s, hours, c->days_of_month, 0x7f, out);
    add_line(s, hours, EVERY_DATE, c->days_of_week, out);
}

/* Do its clocks jump within a year? */
static bool zone_changes(const char *name)
{
    struct zone *zone = NULL;
    bool changes = false;
    if (zone_load(name, &zone, NULL) < 0)
        return false;
    int64_t now_s = os_now().tv_sec;
    struct zone_span span;
    zone_find(zone, now_s, &span);
    changes = span.end_s - now_s < 366 * 86400LL;
    zone_free(zone);
    return changes;
}

void calendar_from_schedule(const struct schedule *s, struct strlist *out)
{
    if (s->kind == SCHEDULE_AT) {
        time_t seconds = (time_t)(s->at_ms / 1000);
        struct tm tm;
        char text[64];
        gmtime_r(&seconds, &tm);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
        strlist_add(out, text);
        return;
    }
    add_lines(s, s->cron.hours, out);
    uint32_t again = s->cron.any_hour || !zone_changes(s->zone) ? 0 : (s->cron.hours & 0x0f) << 1 & ~s->cron.hours;
    if (again != 0)
        add_lines(s, again, out);
}

/* --- crontab --- */

/* The longest interval in minutes that divides this one and that five fields can say. */
static unsigned sayable(uint64_t minutes)
{
    static const unsigned LENGTHS[] = {WEEK_MINUTES,
                                       DAY_MINUTES,
                                       12 * HOUR_MINUTES,
                                       8 * HOUR_MINUTES,
                                       6 * HOUR_MINUTES,
                                       4 * HOUR_MINUTES,
                                       3 * HOUR_MINUTES,
                                       2 * HOUR_MINUTES,
                                       HOUR_MINUTES,
                                       30,
                                       20,
                                       15,
                                       12,
                                       10,
                                       6,
                                       5,
                                       4,
                                       3,
                                       2};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++)
        if (minutes % LENGTHS[i] == 0)
            return LENGTHS[i];
    return 1;
}

static char *every_text(unsigned minutes, size_t index)
{
    /* Of several, each begins some minutes after the one before. */
    unsigned start = (unsigned)(index * 7 % (minutes < HOUR_MINUTES ? minutes : HOUR_MINUTES));
    if (minutes == 1)
        return mem_strdup("* * * * *");
    if (minutes < HOUR_MINUTES)
        return start == 0 ? mem_printf("*/%u * * * *", minutes) : mem_printf("%u-59/%u * * * *", start, minutes);
    if (minutes == HOUR_MINUTES)
        return mem_printf("%u * * * *", start);
    if (minutes < DAY_MINUTES)
        return mem_printf("%u */%u * * *", start, minutes / HOUR_MINUTES);
    return mem_printf(minutes == DAY_MINUTES ? "%u 0 * * *" : "%u 0 * * 0", start);
}

/* How far apart the clocks of two zones are, in seconds; and whether by whole hours all year long. */
static bool compare_zones(const char *zone, bool *whole_hours)
{
    struct zone *theirs = NULL, *ours = NULL;
    bool same = zone_load(zone, &theirs, NULL) == 0 && zone_load(NULL, &ours, NULL) == 0;
    int64_t now_s = os_now().tv_sec;
    *whole_hours = same;
    for (int week = 0; ours != NULL && theirs != NULL && week < 53; week++) {
        struct zone_span a, b;
        zone_find(theirs, now_s + week * 7 * 86400LL, &a);
        zone_find(ours, now_s + week * 7 * 86400LL, &b);
        same = same && a.offset_s == b.offset_s;
        *whole_hours = *whole_hours && (a.offset_s - b.offset_s) % 3600 == 0;
    }
    zone_free(theirs);
    zone_free(ours);
    return same;
}

static char *minutes_of_each_hour(const struct cron *c)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    for (unsigned i = 0; i < 60; i++)
        if ((c->minutes >> i & 1) != 0)
            buf_printf(&text, "%s%u", text.len > 0 ? "," : "", i);
    char *out = mem_printf("%s * * * *", buf_cstr(&text));
    buf_release(&text);
    return out;
}

static void from_expression(const struct schedule *s, bool zones, struct crontab_times *out)
{
    bool whole_hours = true;
    if (s->zone == NULL || zones || compare_zones(s->zone, &whole_hours)) {
        out->zone = s->zone != NULL && zones ? s->zone : NULL;
        out->fields = mem_strdup(s->cron_text);
        return;
    }
    out->finer = true;
    out->fields = whole_hours ? minutes_of_each_hour(&s->cron) : mem_strdup("*/15 * * * *");
}

void crontab_from_schedule(const struct schedule *s, size_t index, bool zones, struct crontab_times *out)
{
    *out = (struct crontab_times){0};
    if (s->kind == SCHEDULE_CRON) {
        from_expression(s, zones, out);
    } else if (s->kind == SCHEDULE_AT) {
        time_t seconds = (time_t)(s->at_ms / 1000);
        struct tm tm;
        localtime_r(&seconds, &tm);
        out->fields = mem_printf("%d %d %d %d *", tm.tm_min, tm.tm_hour, tm.tm_mday, tm.tm_mon + 1);
    } else {
        uint64_t minutes = s->every_ms / MINUTE_MS;
        unsigned said = sayable(minutes > 0 ? minutes : 1);
        out->finer = (uint64_t)said * MINUTE_MS != s->every_ms;
        out->fields = every_text(said, index);
    }
}
