/*
 * Schedules in the words of others: systemd's calendar events (systemd.time(7)) and lines of a crontab (crontab(5)).
 * Read the system's time zones; nothing else.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/strlist.h"
#include "plan/schedule.h"

/* Appends the values of OnCalendar= lines for a schedule of kind CRON or AT. Two, where a day of the month or a day of
 * the week is enough: "*-*-13 09:00:00" and "Fri *-*-* 09:00:00". systemd passes over a time that daylight saving
 * skips: where the zone has that, fixed hours of the night (0 to 3) get lines for the hour after them, too; whoever is
 * started decides what is due. */
void calendar_from_schedule(const struct schedule *s, struct strlist *out);

/* What of a schedule a crontab can say. */
struct crontab_times {
    char *fields;     /* "0 *\/2 * * *" */
    const char *zone; /* borrowed; a CRON_TZ line is needed; NULL: none */
    bool finer;       /* it comes more often than the schedule; whoever is started decides what is due */
};
/*
 * index: the how-manieth line it is, so that intervals of several do not all begin at the same minute. zones: the cron
 * daemon knows CRON_TZ. An interval becomes the longest one that divides it and that a crontab can say; an expression
 * in a zone which is not the local one, where there is no CRON_TZ, its minutes of every hour (or every quarter of an
 * hour, where the zones are apart by other than whole hours). AT: that minute of every year, by local time.
 */
void crontab_from_schedule(const struct schedule *s, size_t index, bool zones, struct crontab_times *out);
