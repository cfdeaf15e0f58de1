/*
 * systemd: a service and a timer for each trigger, of the system when we are root, else of the user's own manager. Unit
 * files go where systemd.unit(5) says that an administrator's or a user's own go; the first directory in
 * $SYSTEMD_UNIT_PATH instead, when that is set.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/install.h"
#include "daemon/install_systemd.h"
#include "daemon/install_units.h"
#include "os/file.h"
#include "os/user.h"
#include "run/systemctl.h"

enum { UNIT_MAX_BYTES = 64 << 10, OUTPUT_MAX_BYTES = 1 << 20 };

char *install_unit_path(const char *unit)
{
    const char *named = getenv("SYSTEMD_UNIT_PATH"), *config = getenv("XDG_CONFIG_HOME");
    char *dir;
    if (named != NULL && *named == '/')
        dir = mem_strndup(named, strcspn(named, ":"));
    else if (!systemctl_is_user())
        dir = mem_strdup("/etc/systemd/system");
    else
        dir = config != NULL && *config == '/' ? mem_printf("%s/systemd/user", config)
                                               : os_path_expand_home("~/.config/systemd/user");
    char *path = os_path_join(dir, unit);
    free(dir);
    return path;
}

int install_systemctl(struct install *in, const char *const *args, struct err *err)
{
    size_t count = 0;
    while (args[count] != NULL)
        count++;
    char *shown = install_shell_text(args, count);
    install_tell(in, INSTALL_STEP, "run systemctl %s%s", systemctl_is_user() ? "--user " : "", shown);
    free(shown);
    return in->dry_run ? 0 : systemctl_run(args, NULL, err);
}

int install_reload(struct install *in, struct err *err)
{
    static const char *const RELOAD[] = {"daemon-reload", NULL};
    return install_systemctl(in, RELOAD, err);
}

void install_hint_lingering(struct install *in)
{
    struct os_user user = {0};
    if (!systemctl_is_user() || os_user_load(&user, geteuid(), NULL) < 0)
        return;
    char *mark = mem_printf("/var/lib/systemd/linger/%s", user.name);
    if (access(mark, F_OK) < 0)
        install_tell(in, INSTALL_WARNING,
                     "nothing of this runs while you are not logged in, until you allow it: loginctl enable-linger %s",
                     user.name);
    free(mark);
    os_user_release(&user);
}

bool install_systemd_ready(struct install *in, const char **why_not)
{
    (void)in;
    if (systemctl_lives())
        return true;
    if (!systemctl_is_user())
        *why_not = "systemd does not run here";
    else if (access("/run/systemd/system", F_OK) == 0) /* sd_booted(3) */
        *why_not = "systemd does not run for this user ('loginctl enable-linger' lets it, without a login)";
    else
        *why_not = "systemd does not run for this user";
    return false;
}

void install_unit_options(const struct install *in, struct unit_options *out, struct os_user *user)
{
    *user = (struct os_user){0};
    if (!systemctl_is_user())
        os_user_load(user, geteuid(), NULL);
    const char *home = getenv("HOME");
    *out = (struct unit_options){.user = systemctl_is_user(),
                                 .environment = &in->environment,
                                 .plan = in->plan,
                                 .home = systemctl_is_user() ? NULL
                                         : home != NULL      ? home
                                                             : user->home};
}

static bool awaits_drive(const struct plan *p, const char *path)
{
    for (size_t i = 0; i < p->destination_count; i++)
        if (p->destinations[i].require_mount && strcmp(p->destinations[i].location, path) == 0)
            return true;
    return false;
}

int install_make_writable(struct install *in, const struct unit_options *o, struct err *err)
{
    struct strlist paths = {0};
    int rc = 0;
    if (unit_is_hardened(o))
        unit_writable_paths(o, &paths);
    for (size_t i = 0; rc == 0 && i < paths.count; i++) {
        if (access(paths.items[i], F_OK) == 0 || awaits_drive(in->plan, paths.items[i]))
            continue;
        install_tell(in, INSTALL_STEP, "make directory %s", paths.items[i]);
        if (!in->dry_run)
            rc = os_make_dirs(paths.items[i], 0700, err);
    }
    strlist_release(&paths);
    return rc;
}

void install_forget_failure(struct install *in, const char *service)
{
    const char *const args[] = {"reset-failed", service, NULL};
    /* There is none to forget, mostly: then it says that the unit is not loaded. */
    if (!in->dry_run)
        systemctl_run(args, NULL, NULL);
}

static int write_unit(struct install *in, const char *unit, struct buf *text, bool *changed, struct err *err)
{
    char *path = install_unit_path(unit);
    int rc = install_write_file(in, path, buf_cstr(text), 0644, changed, err);
    free(path);
    return rc;
}

static int write_units(struct install *in, const struct unit_options *o, const struct installed_trigger *t,
                       bool *changed, struct err *err)
{
    struct buf text;
    buf_init(&text, UNIT_MAX_BYTES);
    char *service = mem_printf("%s.service", t->id), *timer = mem_printf("%s.timer", t->id);
    unit_service(o, t, &text);
    int rc = write_unit(in, service, &text, changed, err);
    buf_clear(&text);
    unit_timer(t, &text);
    if (rc == 0)
        rc = write_unit(in, timer, &text, changed, err);
    free(timer);
    free(service);
    buf_release(&text);
    return rc;
}

static int switch_timer(struct install *in, const char *id, bool on, struct err *err)
{
    char *timer = mem_printf("%s.timer", id);
    struct unit_seen seen = {0};
    if (!in->dry_run)
        systemctl_look(timer, &seen, NULL);
    const char *const on_args[] = {"enable", "--now", timer, NULL}, *const off[] = {"disable", "--now", timer, NULL};
    int rc = 0;
    if (in->dry_run || (on && (!seen.active || !seen.enabled)) || (!on && (seen.active || seen.enabled)))
        rc = install_systemctl(in, on ? on_args : off, err);
    else
        install_tell(in, INSTALL_SAME, "%s is %s", timer, on ? "enabled" : "disabled");
    free(timer);
    return rc;
}

/* Stops it (a run that is under way goes on), then its files go. */
static int remove_trigger(struct install *in, const char *id, bool *removed, struct err *err)
{
    char *timer = mem_printf("%s.timer", id), *service = mem_printf("%s.service", id);
    char *timer_path = install_unit_path(timer), *service_path = install_unit_path(service);
    int rc = 0;
    if (access(timer_path, F_OK) == 0 && systemctl_lives())
        rc = switch_timer(in, id, false, err);
    if (rc == 0)
        rc = install_remove_file(in, timer_path, removed, err);
    if (rc == 0)
        rc = install_remove_file(in, service_path, removed, err);
    if (rc == 0 && *removed && systemctl_lives())
        install_forget_failure(in, service);
    free(timer_path);
    free(service_path);
    free(timer);
    free(service);
    return rc;
}

static bool is_among(const struct installed_item *item, const char *id)
{
    for (size_t i = 0; i < item->trigger_count; i++)
        if (strcmp(item->triggers[i].id, id) == 0)
            return true;
    return false;
}

/* A timer that is active keeps its old times until it is started again. */
static int restart_changed(struct install *in, const char *id, struct err *err)
{
    char *timer = mem_printf("%s.timer", id);
    struct unit_seen seen = {0};
    const char *const args[] = {"restart", timer, NULL};
    int rc = 0;
    if (!in->dry_run && systemctl_look(timer, &seen, NULL) == 0 && seen.active)
        rc = install_systemctl(in, args, err);
    free(timer);
    return rc;
}

static int check_owner(const struct install *in, const char *id, struct err *err)
{
    char *unit = mem_printf("%s.service", id), *path = install_unit_path(unit);
    int rc = install_check_unit_owner(in, path, err);
    free(path);
    free(unit);
    return rc;
}

static int put_systemd(struct install *in, const struct installed_item *before, struct installed_item *item,
                       struct err *err)
{
    struct unit_options o;
    struct os_user user;
    bool any = false;
    int rc = 0;
    bool *changed = mem_zalloc(item->trigger_count + 1);
    install_unit_options(in, &o, &user);
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = check_owner(in, item->triggers[i].id, err);
    if (rc == 0)
        rc = install_make_writable(in, &o, err);
    for (size_t i = 0; rc == 0 && i < before->trigger_count; i++)
        if (!is_among(item, before->triggers[i].id))
            rc = remove_trigger(in, before->triggers[i].id, &any, err);
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++) {
        rc = write_units(in, &o, &item->triggers[i], &changed[i], err);
        any = any || changed[i];
    }
    if (rc == 0 && any)
        rc = install_reload(in, err);
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++) {
        if (changed[i] && item->enabled)
            rc = restart_changed(in, item->triggers[i].id, err);
        if (rc == 0)
            rc = switch_timer(in, item->triggers[i].id, item->enabled, err);
    }
    item->detail = install_unit_path("clawback*.timer");
    install_hint_lingering(in);
    os_user_release(&user);
    free(changed);
    return rc;
}

static int remove_systemd(struct install *in, struct installed_item *item, struct err *err)
{
    bool any = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = remove_trigger(in, item->triggers[i].id, &any, err);
    /* Where no manager runs there is nothing to tell. */
    return rc == 0 && any && systemctl_lives() ? install_reload(in, err) : rc;
}

static int enable_systemd(struct install *in, struct installed_item *item, bool on, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = switch_timer(in, item->triggers[i].id, on, err);
    return rc;
}

static int run_systemd(struct install *in, const struct installed_item *item, const struct installed_trigger *t,
                       struct err *err)
{
    (void)item;
    char *service = mem_printf("%s.service", t->id);
    const char *const args[] = {"start", "--no-block", service, NULL};
    int rc = install_systemctl(in, args, err);
    free(service);
    return rc;
}

/* --- looking --- */

static int64_t milliseconds(json_t *t, const char *key)
{
    return json_integer_value(json_object_get(t, key)) / 1000;
}

/* Older versions than 248 know no JSON: then the times are not known. */
static json_t *list_timers(void)
{
    static const char *const ARGS[] = {"list-timers", "--all", "--output=json", "clawback*", NULL};
    struct buf text;
    buf_init(&text, OUTPUT_MAX_BYTES);
    json_t *list = systemctl_run(ARGS, &text, NULL) == 0 ? json_loads(buf_cstr(&text), 0, NULL) : NULL;
    buf_release(&text);
    return list;
}

static void look_trigger(json_t *timers, struct install_trigger_state *s, struct install_state *state)
{
    char *timer = mem_printf("%s.timer", s->trigger->id);
    struct unit_seen seen = {0};
    struct err err = {0};
    json_t *t;
    size_t n;
    if (systemctl_look(timer, &seen, &err) < 0 && state->problem == NULL)
        state->problem = mem_strdup(err.message);
    s->there = seen.loaded;
    s->enabled = seen.active;
    json_array_foreach(timers, n, t)
    {
        const char *unit = json_string_value(json_object_get(t, "unit"));
        if (unit == NULL || strcmp(unit, timer) != 0)
            continue;
        s->last_ms = milliseconds(t, "last");
        s->next_ms = milliseconds(t, "next");
    }
    if (state->problem == NULL && !s->there)
        state->problem = mem_printf("%s is gone", timer);
    else if (state->problem == NULL && state->item->enabled && !s->enabled)
        state->problem = mem_printf("%s is not active", timer);
    free(timer);
}

static void look_systemd(struct install *in, int64_t now_ms, struct install_state *state)
{
    (void)in;
    (void)now_ms;
    json_t *timers = list_timers();
    for (size_t i = 0; i < state->trigger_count; i++)
        look_trigger(timers, &state->triggers[i], state);
    state->alive = state->problem == NULL;
    json_decref(timers);
}

const struct install_kind INSTALL_SYSTEMD = {.via = VIA_SYSTEMD,
                                             .ready = install_systemd_ready,
                                             .put = put_systemd,
                                             .remove = remove_systemd,
                                             .enable = enable_systemd,
                                             .run_now = run_systemd,
                                             .look = look_systemd};
