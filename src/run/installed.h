/*
 * Which schedulers were told to start us: schedule.json in the state directory, written by `clawback schedule install`,
 * and whether each of them is really there and alive.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>
#include "base/err.h"
#include "base/strlist.h"
#include "monitor/facts.h"
#include "plan/schedule.h"
#include "run/triggers.h"

enum schedule_via { VIA_OPENCLAW, VIA_DAEMON, VIA_SYSTEMD, VIA_CRON, VIA_COUNT };
const char *schedule_via_name(enum schedule_via via); /* "openclaw" … */

/* A trigger as it was installed; all strings are its own, those of the schedule too. */
struct installed_trigger {
    char *id, *name;
    struct schedule schedule;
    struct strlist argv;
    uint64_t timeout_ms;
    char *ref; /* what the scheduler calls it, where that is not ours to say (OpenClaw's job ID); NULL */
};

/* At most one of each via. */
struct installed_item {
    enum schedule_via via;
    bool watchdog; /* only there to notice that the first one is dead */
    bool enabled;
    bool placeholder; /* OPENCLAW: its jobs are only to be seen; something else starts us */
    int64_t since_ms;
    char *detail;  /* for people: the units', jobs' or file's names; NULL */
    char *program; /* OPENCLAW: its command, absolute; NULL for others */
    char *home;    /* OPENCLAW: its state directory; NULL: its own default */
    struct installed_trigger *triggers;
    size_t trigger_count;
};
struct installed {
    struct installed_item *items;
    size_t count;
};
/* No file: 0, empty. A damaged one: ERR_CORRUPT. */
int installed_read(const char *state_dir, struct installed *out, struct err *err);
int installed_write(const char *state_dir, const struct installed *i, struct err *err);
void installed_release(struct installed *i);

struct installed_item *installed_find(const struct installed *i, enum schedule_via via); /* NULL: none */
/* A new one, zeroed but for via, or the one that is there. Borrowed until the next. */
struct installed_item *installed_add(struct installed *i, enum schedule_via via);
void installed_remove(struct installed *i, enum schedule_via via);
/* Copies; replaces those that were there. */
void installed_set_triggers(struct installed_item *item, const struct trigger_list *triggers);
void installed_item_release(struct installed_item *item);
/* The shortest interval in which something that was installed starts `clawback run`; 0: none does by an interval. */
uint64_t installed_period_ms(const char *state_dir);
/* Would installing these again change anything (but the time zone's data)? */
bool installed_matches(const struct installed_item *item, const struct trigger_list *triggers);

/* {"kind":"every","everyMs",["anchorMs"]}, {"kind":"cron","expr",["tz"]}, {"kind":"at","atMs"}: also what jobs.json
 * takes. */
json_t *installed_schedule_json(const struct schedule *s);
/* "every 2h", "cron 0 3 * * 0 (Europe/Berlin)", "at 2026-12-24 18:00:00". The caller frees it. */
char *installed_schedule_text(const struct schedule *s);

/* Looks at each, within seconds and without starting node: is the daemon's lock held, its heartbeat young, our jobs in
 * its file, the timers active, the crontab's lines there, OpenClaw's gateway answering? One item for each, subject
 * "daemon" …. None installed: one for each that was set up by hand (run/handmade.h), else one that is not ok, subject
 * "schedule". Strings are owned by the list: installed_checks_release().
 */
void installed_check(const char *state_dir, int64_t now_ms, struct fact_list *out);
void installed_checks_release(struct fact_list *l);

/* Parts of it, for whoever installs. Each appends a sentence to *why (which the caller frees) when the answer is no. */
bool installed_daemon_lives(const char *state_dir, int64_t now_ms, char **why);
bool installed_cron_lives(char **why); /* a cron daemon among the processes */
/* Something answers at the gateway's port of this machine, as the configuration in this state directory (NULL: the
 * usual one) says. True also where it listens on an address that we cannot know. */
bool installed_gateway_answers(const char *home, char **why);
/* The first and the last line of our part of a crontab. */
extern const char INSTALLED_CRON_BEGIN[], INSTALLED_CRON_END[];
