/* What starts the runs by itself, and who is told how they went. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "run/doctor_checks.h"
#include "run/health_facts.h"
#include "run/installed.h"

/* --- the scheduler --- */

static const struct installed_item *item_of(const struct installed *all, const char *subject)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(schedule_via_name(all->items[i].via), subject) == 0)
            return &all->items[i];
    return NULL;
}

static void tell_scheduler(struct doctor *d, const struct installed *all, const struct fact_check *c)
{
    const struct installed_item *item = item_of(all, c->subject);
    const char *what = item != NULL && item->watchdog ? "looks after the schedule" : "starts the backups";
    if (c->ok)
        doctor_say(d, DOCTOR_GREEN, NULL, "%s %s (%s)", c->subject, what, c->text);
    else if (item == NULL)
        doctor_say(d, DOCTOR_YELLOW, "once a run by hand went well: clawback schedule install",
                   "nothing starts backups by itself: %s", c->text);
    else if (!item->enabled)
        doctor_say(d, DOCTOR_YELLOW, "once a run by hand went well: clawback schedule enable",
                   "nothing is started by %s: %s", c->subject, c->text);
    else
        doctor_say(d, DOCTOR_YELLOW, "see clawback schedule status; by hand meanwhile: clawback run",
                   "%s %s no more: %s", c->subject, what, c->text);
}

void doctor_scheduler(struct doctor *d)
{
    struct installed all = {0};
    struct fact_list looked = {0};
    struct err err = {0};
    if (installed_read(d->options->state_dir, &all, &err) < 0) {
        doctor_say(d, DOCTOR_YELLOW, "write it again: clawback schedule install", "%s", err.message);
        return;
    }
    installed_check(d->options->state_dir, (int64_t)os_now().tv_sec * 1000, &looked);
    for (size_t i = 0; i < looked.count; i++)
        tell_scheduler(d, &all, &looked.items[i]);
    installed_checks_release(&looked);
    installed_release(&all);
}

/* --- channels --- */

/* A channel's secrets, as a scheduled run will have to find them. Anything wrong is said; false then. */
static bool secret_is_there(struct doctor *d, const struct plan_channel *c, const struct secret *s, const char *what)
{
    char *text = NULL;
    struct err err = {0};
    if (s->kind == SECRET_NONE)
        return true;
    if (secret_fetch(s, &text, &err) < 0) {
        doctor_say(d, DOCTOR_YELLOW, "put it there, then: clawback alerts test", "channel '%s': %s: %s", c->name, what,
                   err.message);
        return false;
    }
    mem_wipe_string(text);
    if (s->kind == SECRET_FILE && secret_file_exposed(s->name)) {
        char *advice = mem_printf("chmod 600 '%s'", s->name);
        doctor_say(d, DOCTOR_YELLOW, advice, "channel '%s': others can read file '%s'", c->name, s->name);
        free(advice);
        return false;
    }
    if (s->kind == SECRET_ENV) {
        doctor_say(d, DOCTOR_YELLOW, "a file is safer: {file: …}, mode 0600",
                   "channel '%s': %s comes from the environment, where a scheduler will not have it", c->name, what);
        return false;
    }
    return true;
}

static bool program_is_there(struct doctor *d, const struct plan_channel *c)
{
    const char *program = c->command.count > 0 ? c->command.items[0] : "";
    if (c->kind != CHANNEL_COMMAND || *program != '/' || access(program, X_OK) == 0)
        return true;
    doctor_say(d, DOCTOR_YELLOW, "put it there, then: clawback alerts test",
               "channel '%s': '%s' is no program that can be run", c->name, program);
    return false;
}

static void one_channel(struct doctor *d, const struct plan_channel *c)
{
    bool address = secret_is_there(d, c, &c->address.secret, "its address");
    bool token = secret_is_there(d, c, &c->token, c->kind == CHANNEL_EMAIL ? "its password" : "its token");
    if (program_is_there(d, c) && address && token)
        doctor_say(d, DOCTOR_GREEN, NULL, "channel '%s' (%s) has what it needs; 'clawback alerts test' tries it",
                   c->name, channel_kind_name(c->kind));
}

void doctor_alerts(struct doctor *d)
{
    const struct plan_alerts *a = &d->plan->alerts;
    for (size_t i = 0; i < a->channel_count; i++)
        one_channel(d, &a->channels[i]);
    if (a->channel_count == 0)
        doctor_say(d, DOCTOR_YELLOW,
                   "add a channel under alerts: in the configuration, which has examples, then: clawback alerts test",
                   "nobody is told when a backup fails: no channel for alerts is configured");
}
