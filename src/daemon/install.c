#include "daemon/install.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "plan/secret.h"

static const struct install_kind *const KINDS[VIA_COUNT] = {[VIA_OPENCLAW] = &INSTALL_OPENCLAW,
                                                            [VIA_DAEMON] = &INSTALL_DAEMON,
                                                            [VIA_SYSTEMD] = &INSTALL_SYSTEMD,
                                                            [VIA_CRON] = &INSTALL_CRON};
/* The best first. The daemon can always be there, but somebody has to start it. */
static const enum schedule_via PREFERENCE[] = {VIA_SYSTEMD, VIA_CRON, VIA_DAEMON};

/* --- what a scheduled run needs of our environment --- */

/* Where things are; nothing that may be secret. */
static const char *const NEEDED[] = {"CLAWBACK_CACHE_DIR",
                                     "CLAWBACK_PASSPHRASE_FILE",
                                     "CLAWBACK_OPENCLAW",
                                     "CLAWBACK_LOG",
                                     "CLAWBACK_LOG_LEVEL",
                                     "XDG_CONFIG_HOME",
                                     "XDG_CACHE_HOME",
                                     "XDG_DATA_HOME",
                                     "XDG_STATE_HOME",
                                     "OPENCLAW_STATE_DIR",
                                     "OPENCLAW_CONFIG_PATH",
                                     "OPENCLAW_HOME",
                                     "OPENCLAW_PROFILE",
                                     "DOCKER_HOST",
                                     "http_proxy",
                                     "https_proxy",
                                     "HTTPS_PROXY",
                                     "all_proxy",
                                     "ALL_PROXY",
                                     "no_proxy",
                                     "NO_PROXY",
                                     "SSL_CERT_FILE",
                                     "GNUPGHOME",
                                     "TZ",
                                     "TZDIR"};

/* scheme://user:password@host: units and crontabs are read by others. */
static bool has_password(const char *value)
{
    const char *user = strstr(value, "://");
    if (user == NULL)
        return false;
    user += 3;
    const char *colon = user + strcspn(user, ":/@");
    return *colon == ':' && colon[strcspn(colon, "/@")] == '@';
}

static void add_variable(struct install *in, const char *name, const char *value)
{
    if (value == NULL || *value == '\0' || value[strcspn(value, "\r\n")] != '\0')
        return;
    if (has_password(value)) {
        in->withheld = name;
        return;
    }
    char *text = mem_printf("%s=%s", name, value);
    strlist_add(&in->environment, text);
    free(text);
}

/* Only the absolute directories, each once: a relative one would mean another place there. */
static char *clean_path(const char *path)
{
    struct strlist dirs = {0};
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        char *dir = mem_strndup(path, len);
        if (*dir == '/' && !strlist_contains(&dirs, dir))
            strlist_add(&dirs, dir);
        free(dir);
        path += len + (path[len] == ':');
    }
    if (dirs.count == 0)
        strlist_add(&dirs, "/usr/local/bin:/usr/bin:/bin");
    char *text = strlist_join(&dirs, ":");
    strlist_release(&dirs);
    return text;
}

static void gather_environment(struct install *in)
{
    char *path = clean_path(getenv("PATH"));
    add_variable(in, "PATH", path);
    free(path);
    /* However we found it: the scheduler's must be the same one, or two records were kept. */
    add_variable(in, "CLAWBACK_STATE_DIR", in->state_dir);
    for (size_t i = 0; i < sizeof NEEDED / sizeof *NEEDED; i++)
        add_variable(in, NEEDED[i], getenv(NEEDED[i]));
}

static void warn_of_variable(struct install *in, const struct secret *s, const char *whose)
{
    if (s->kind == SECRET_ENV)
        install_tell(in, INSTALL_WARNING,
                     "the passphrase of %s comes from an environment variable, which a scheduled run will not have: "
                     "use {file: …} or {command: …} instead",
                     whose);
}

static void warn_of_secrets(struct install *in)
{
    if (in->withheld != NULL)
        install_tell(in, INSTALL_WARNING, "%s holds a password, and so is not given to scheduled runs", in->withheld);
    warn_of_variable(in, &in->plan->passphrase, "the plan");
    for (size_t i = 0; i < in->plan->destination_count; i++)
        warn_of_variable(in, &in->plan->destinations[i].passphrase, in->plan->destinations[i].name);
}

int install_begin(struct install *in, struct err *err)
{
    gather_environment(in);
    openclaw_command_find(&in->openclaw, in->plan != NULL ? in->plan->home : NULL);
    return installed_read(in->state_dir, &in->installed, err);
}

void install_end(struct install *in)
{
    strlist_release(&in->environment);
    openclaw_command_release(&in->openclaw);
    installed_release(&in->installed);
}

/* --- putting --- */

static int save(struct install *in, struct err *err)
{
    return in->dry_run ? 0 : installed_write(in->state_dir, &in->installed, err);
}

struct order {
    enum schedule_via via;
    const struct trigger_list *triggers;
    bool enabled, watchdog, placeholder;
};

/* As it was. Always -1. */
static int undo(struct install *in, struct installed_item *item, struct installed_item *before)
{
    enum schedule_via via = item->via;
    bool was_there = before->since_ms != 0;
    installed_item_release(item);
    *item = *before;
    item->via = via;
    if (!was_there)
        installed_remove(&in->installed, via);
    return -1;
}

/* The plan that a trigger names; "": the usual one. */
static const char *plan_of(const struct strlist *argv)
{
    for (size_t i = 1; i + 1 < argv->count; i++)
        if (strcmp(argv->items[i], "-c") == 0)
            return argv->items[i + 1];
    return "";
}

static void tell_of_other_plan(struct install *in, const struct installed_item *before,
                               const struct trigger_list *triggers)
{
    if (before->trigger_count == 0 || triggers->count == 0)
        return;
    const char *old = plan_of(&before->triggers[0].argv), *new = plan_of(&triggers->items[0].argv);
    if (strcmp(old, new) != 0)
        install_tell(in, INSTALL_WARNING,
                     "this replaces the schedule of %s%s%s: of that plan nothing is backed up by itself from now on "
                     "(one plan may have the tiers of both)",
                     *old != '\0' ? "'" : "the usual plan", old, *old != '\0' ? "'" : "");
}

/* Remembered as soon as anything may be there, so that it can be removed; not when it failed before the first step. */
static int put_one(struct install *in, const struct order *o, struct err *err)
{
    struct installed_item *item = installed_add(&in->installed, o->via), before = *item;
    struct timespec now = os_now();
    *item = (struct installed_item){.via = o->via,
                                    .watchdog = o->watchdog,
                                    .enabled = o->enabled,
                                    .placeholder = o->placeholder,
                                    .since_ms = before.since_ms != 0 ? before.since_ms : (int64_t)now.tv_sec * 1000};
    installed_set_triggers(item, o->triggers);
    tell_of_other_plan(in, &before, o->triggers);
    size_t steps = in->steps;
    int rc = KINDS[o->via]->put(in, &before, item, err);
    if (rc < 0) {
        err_wrap(err, "cannot install the schedule in %s", schedule_via_name(o->via));
        if (in->steps == steps)
            return undo(in, item, &before);
    }
    if (save(in, rc == 0 ? err : NULL) < 0)
        rc = -1;
    installed_item_release(&before);
    return rc;
}

static bool best(struct install *in, enum schedule_via *out)
{
    const char *why_not = NULL;
    for (size_t i = 0; i < sizeof PREFERENCE / sizeof *PREFERENCE; i++)
        if (KINDS[PREFERENCE[i]]->ready(in, &why_not)) {
            *out = PREFERENCE[i];
            return true;
        }
    return false;
}

/* One that was installed to carry runs carries its health, too. */
static bool is_watched(const struct install *in)
{
    for (size_t i = 0; i < in->installed.count; i++)
        if (in->installed.items[i].via != VIA_OPENCLAW && !in->installed.items[i].watchdog)
            return true;
    return false;
}

static int put_watchdog(struct install *in, const struct trigger_list *all, bool enabled, struct err *err)
{
    struct trigger_list health = {.items = &all->items[all->count - 1], .count = 1};
    struct order o = {.triggers = &health, .enabled = enabled, .watchdog = true};
    const char *why_not = NULL;
    if (is_watched(in))
        return 0;
    best(in, &o.via);
    if (o.via == VIA_DAEMON && !INSTALL_SYSTEMD.ready(in, &why_not))
        install_tell(in, INSTALL_WARNING,
                     "nothing independent watches OpenClaw, whose cron dies with its gateway: neither systemd nor a "
                     "cron daemon runs here; the watchdog is a job of clawback's daemon, which has to be started");
    install_tell(in, INSTALL_NOTE, "a watchdog of its own, in %s, looks every hour whether backups come",
                 schedule_via_name(o.via));
    return put_one(in, &o, err);
}

/* Runs come from OpenClaw, and something else watches; or, where it cannot run programs, it gets to see them. */
static int put_with_openclaw(struct install *in, const struct trigger_list *all, bool enabled, bool commands,
                             enum schedule_via *used, struct err *err)
{
    struct trigger_list runs = {.items = all->items, .count = all->count - 1};
    struct order o = {.via = VIA_OPENCLAW, .triggers = &runs, .enabled = enabled};
    if (commands) {
        *used = VIA_OPENCLAW;
        return put_one(in, &o, err) < 0 ? -1 : put_watchdog(in, all, enabled, err);
    }
    best(in, used);
    install_tell(in, INSTALL_NOTE,
                 "this OpenClaw cannot run programs by itself: it gets a disabled job that shows our runs, and %s "
                 "starts them",
                 schedule_via_name(*used));
    struct order main = {.via = *used, .triggers = all, .enabled = enabled};
    runs.count = 1;
    o.placeholder = true;
    return put_one(in, &main, err) < 0 ? -1 : put_one(in, &o, err);
}

static void tell_others(struct install *in, enum schedule_via used)
{
    for (size_t i = 0; i < in->installed.count; i++) {
        const struct installed_item *item = &in->installed.items[i];
        if (item->via == used || item->watchdog || item->placeholder)
            continue;
        install_tell(in, INSTALL_NOTE,
                     "%s has a schedule, too (two never run at once): 'clawback schedule remove --via %s' removes it",
                     schedule_via_name(item->via), schedule_via_name(item->via));
    }
}

static int check_ready(struct install *in, int via, struct err *err)
{
    const char *why_not = NULL;
    /* A crontab can be written before its daemon runs; a manager or a gateway that is not there can be told nothing. */
    if (via != VIA_OPENCLAW && via != VIA_SYSTEMD)
        return 0;
    if (KINDS[via]->ready(in, &why_not))
        return 0;
    return err_set(err, ERR_NOT_FOUND, "cannot install the schedule in %s: %s",
                   schedule_via_name((enum schedule_via)via), why_not);
}

int install_put(struct install *in, const struct install_options *o, enum schedule_via *used, struct err *err)
{
    struct trigger_list all = {0};
    const char *why_not = NULL;
    if (o->via >= 0 && check_ready(in, o->via, err) < 0)
        return -1;
    triggers_make(in->plan, in->program, true, &all);
    if (all.count < 2) {
        triggers_release(&all);
        return err_set(err, ERR_USAGE, "no tier of the plan has a schedule: give one 'every: 2h'");
    }
    warn_of_secrets(in);
    bool here = o->via == VIA_OPENCLAW || (o->via < 0 && INSTALL_OPENCLAW.ready(in, &why_not));
    bool commands = here && install_openclaw_runs_commands(in);
    int rc;
    if (o->via == VIA_OPENCLAW || commands) {
        rc = put_with_openclaw(in, &all, !o->disabled, commands, used, err);
    } else {
        struct order order = {.triggers = &all, .enabled = !o->disabled};
        best(in, &order.via);
        if (o->via >= 0)
            order.via = (enum schedule_via)o->via;
        *used = order.via;
        rc = put_one(in, &order, err);
    }
    if (rc == 0)
        tell_others(in, *used);
    triggers_release(&all);
    return rc;
}

/* --- taking back, switching, starting --- */

static int check_installed(const struct install *in, int via, struct err *err)
{
    if (via < 0 && in->installed.count > 0)
        return 0;
    if (via >= 0 && installed_find(&in->installed, (enum schedule_via)via) != NULL)
        return 0;
    if (via < 0)
        return err_set(err, ERR_NOT_FOUND, "no schedule is installed: 'clawback schedule install' installs one");
    return err_set(err, ERR_NOT_FOUND, "no schedule is installed in %s", schedule_via_name((enum schedule_via)via));
}

int install_remove(struct install *in, int via, struct err *err)
{
    int rc = check_installed(in, via, err);
    bool checked = rc == 0;
    for (int v = 0; checked && v < VIA_COUNT; v++) {
        struct installed_item *item = installed_find(&in->installed, (enum schedule_via)v);
        struct err why = {0};
        if (item == NULL || (via >= 0 && via != v))
            continue;
        if (KINDS[v]->remove(in, item, &why) < 0) {
            err_wrap(&why, "cannot remove the schedule from %s", schedule_via_name((enum schedule_via)v));
            if (rc == 0 && err != NULL)
                *err = why;
            rc = -1;
        } else if (!in->dry_run) {
            installed_remove(&in->installed, (enum schedule_via)v);
        }
    }
    if (checked && save(in, rc == 0 ? err : NULL) < 0)
        rc = -1;
    const struct installed_item *openclaw = installed_find(&in->installed, VIA_OPENCLAW);
    if (checked && !in->dry_run && openclaw != NULL && in->installed.count == 1)
        install_tell(in, INSTALL_WARNING,
                     openclaw->placeholder ? "nothing starts backups now: what is left in OpenClaw only shows them"
                                           : "nothing watches OpenClaw now, whose cron dies with its gateway");
    return rc;
}

int install_enable(struct install *in, int via, bool on, struct err *err)
{
    int rc = check_installed(in, via, err);
    for (size_t i = 0; rc == 0 && i < in->installed.count; i++) {
        struct installed_item *item = &in->installed.items[i];
        if (via >= 0 && via != (int)item->via)
            continue;
        rc = KINDS[item->via]->enable(in, item, on, err);
        if (rc < 0)
            err_wrap(err, "cannot %s the schedule in %s", on ? "enable" : "disable", schedule_via_name(item->via));
        else if (!in->dry_run)
            item->enabled = on;
    }
    if (in->installed.count > 0 && save(in, rc == 0 ? err : NULL) < 0)
        rc = -1;
    return rc;
}

static const struct installed_trigger *find_trigger(const struct install *in, const char *id,
                                                    const struct installed_item **item_out)
{
    for (size_t i = 0; i < in->installed.count; i++) {
        const struct installed_item *item = &in->installed.items[i];
        for (size_t k = 0; !item->placeholder && k < item->trigger_count; k++)
            if (id == NULL ? !item->watchdog : strcmp(item->triggers[k].id, id) == 0) {
                *item_out = item;
                return &item->triggers[k];
            }
    }
    return NULL;
}

int install_run_now(struct install *in, const char *id, bool *here, const struct strlist **argv_out, struct err *err)
{
    const struct installed_item *item = NULL;
    *here = false;
    if (check_installed(in, -1, err) < 0)
        return -1;
    const struct installed_trigger *t = find_trigger(in, id, &item);
    if (t == NULL)
        return err_set(err, ERR_USAGE, "no trigger '%s' is installed: 'clawback schedule status' lists them",
                       id != NULL ? id : "of a run");
    if (KINDS[item->via]->run_now != NULL)
        return KINDS[item->via]->run_now(in, item, t, err);
    *here = true;
    *argv_out = &t->argv;
    return 0;
}

/* --- looking --- */

/* What would be installed there today. */
static bool is_changed(const struct install *in, const struct installed_item *item)
{
    struct trigger_list all = {0};
    if (in->plan == NULL)
        return false;
    triggers_make(in->plan, in->program, true, &all);
    struct trigger_list wanted = all;
    if (item->watchdog) {
        wanted.items = &all.items[all.count - 1];
        wanted.count = 1;
    } else if (item->via == VIA_OPENCLAW) {
        wanted.count = item->placeholder && all.count > 1 ? 1 : all.count - 1;
    }
    bool changed = !installed_matches(item, &wanted);
    triggers_release(&all);
    return changed;
}

/* It may have been moved since. */
static void look_program(struct install_state *s)
{
    const char *program = s->trigger_count > 0 ? s->triggers[0].trigger->argv.items[0] : NULL;
    if (program == NULL || s->item->placeholder || access(program, X_OK) == 0)
        return;
    s->alive = false;
    free(s->problem); /* this comes first */
    s->problem = mem_printf("'%s', which it starts, is gone: run 'clawback schedule install' again", program);
}

int install_status(struct install *in, int64_t now_ms, struct install_state_list *out, struct err *err)
{
    (void)err;
    *out = (struct install_state_list){.items = mem_array(NULL, in->installed.count + 1, sizeof *out->items)};
    for (size_t i = 0; i < in->installed.count; i++) {
        const struct installed_item *item = &in->installed.items[i];
        struct install_state *s = &out->items[out->count++];
        *s =
            (struct install_state){.item = item, .changed = is_changed(in, item), .trigger_count = item->trigger_count};
        s->triggers = mem_zalloc((item->trigger_count + 1) * sizeof *s->triggers);
        for (size_t k = 0; k < item->trigger_count; k++)
            s->triggers[k].trigger = &item->triggers[k];
        KINDS[item->via]->look(in, now_ms, s);
        look_program(s);
        if (!item->enabled && s->problem == NULL) {
            s->alive = false;
            s->problem = mem_strdup("disabled: 'clawback schedule enable' lets it begin");
        }
    }
    return 0;
}

void install_state_list_release(struct install_state_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        for (size_t k = 0; k < l->items[i].trigger_count; k++)
            free(l->items[i].triggers[k].last_status);
        free(l->items[i].triggers);
        free(l->items[i].problem);
    }
    free(l->items);
    *l = (struct install_state_list){0};
}
