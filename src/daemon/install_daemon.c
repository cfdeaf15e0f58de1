/* Our own daemon: entries of jobs.json, and the daemon itself as a service of systemd. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/control.h"
#include "daemon/install.h"
#include "daemon/install_systemd.h"
#include "daemon/jobs_file.h"
#include "os/clock.h"
#include "os/file.h"
#include "run/systemctl.h"

enum { UNIT_MAX_BYTES = 64 << 10 };

/* Not "clawback-…", since a tier's name may follow that. */
static const char UNIT[] = "clawbackd.service";

/* It can always be started by hand. */
static bool is_ready(struct install *in, const char **why_not)
{
    (void)in;
    (void)why_not;
    return true;
}

/* --- entries --- */

static json_t *environment_json(const struct install *in)
{
    json_t *env = json_object();
    for (size_t i = 0; i < in->environment.count; i++) {
        const char *text = in->environment.items[i], *equals = strchr(text, '=');
        char *name = mem_strndup(text, (size_t)(equals - text));
        json_object_set_new(env, name, json_string(equals + 1));
        free(name);
    }
    return env;
}

static char *entry_text(const struct install *in, const struct installed_trigger *t, bool enabled)
{
    json_t *argv = json_array();
    for (size_t i = 0; i < t->argv.count; i++)
        json_array_append_new(argv, json_string(t->argv.items[i]));
    json_t *payload = json_pack("{s:s, s:o, s:o, s:I}", "kind", "command", "argv", argv, "env", environment_json(in),
                                "timeoutSeconds", (json_int_t)((t->timeout_ms + 999) / 1000));
    json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:o, s:s, s:s, s:o}", "id", t->id, "agentId", "main", "name", t->name,
                          "enabled", enabled, "schedule", installed_schedule_json(&t->schedule), "sessionTarget",
                          "system", "wakeMode", "now", "payload", payload);
    char *text = json_dumps(j, JSON_INDENT(2));
    json_decref(j);
    return text;
}

/* Does the file say the same already? Then it is not touched. */
static bool is_there(const char *path, const char *entry, const char *id)
{
    struct job_list there = {0}, wanted = {0};
    struct jobs_report report = {0}, mistakes = {0};
    bool same = false;
    int loaded = jobs_file_load(path, &there, &report, NULL);
    char *list = mem_printf("[%s]", entry);
    const struct job *old = loaded == 0 ? job_find(&there, id) : NULL;
    if (old != NULL && jobs_parse(list, strlen(list), &wanted, &mistakes, NULL) == 0 && wanted.count == 1) {
        wanted.items[0].created_ms = old->created_ms;
        same = job_equal(&wanted.items[0], old) && wanted.items[0].enabled == old->enabled;
    }
    free(list);
    jobs_report_release(&mistakes);
    jobs_report_release(&report);
    job_list_release(&wanted);
    job_list_release(&there);
    return same;
}

static int put_entry(struct install *in, const char *path, const struct installed_trigger *t, bool enabled,
                     struct err *err)
{
    char *entry = entry_text(in, t, enabled);
    int rc = 0;
    if (is_there(path, entry, t->id)) {
        install_tell(in, INSTALL_SAME, "job '%s' in %s is as it should be", t->id, path);
    } else {
        install_tell(in, INSTALL_STEP, "put job '%s' into %s", t->id, path);
        if (in->dry_run)
            install_tell(in, INSTALL_TEXT, "%s\n", entry);
        else
            rc = jobs_file_put(path, entry, os_now_ms(), err);
    }
    free(entry);
    return rc;
}

static int remove_entry(struct install *in, const char *path, const char *id, struct err *err)
{
    struct job_list there = {0};
    struct jobs_report report = {0};
    struct err why = {0};
    int rc = jobs_file_load(path, &there, &report, &why);
    bool found = rc == 0 && job_find(&there, id) != NULL;
    jobs_report_release(&report);
    job_list_release(&there);
    if (rc < 0 && why.code != ERR_NOT_FOUND) {
        if (err != NULL)
            *err = why;
        return -1;
    }
    if (!found)
        return 0;
    install_tell(in, INSTALL_STEP, "remove job '%s' from %s", id, path);
    if (in->dry_run || jobs_file_remove(path, id, &why) == 0 || why.code == ERR_NOT_FOUND)
        return 0;
    if (err != NULL)
        *err = why;
    return -1;
}

/* --- the daemon itself --- */

static int put_unit(struct install *in, struct err *err)
{
    struct unit_options o;
    struct os_user user;
    struct buf text;
    struct unit_seen seen = {0};
    bool changed = false;
    buf_init(&text, UNIT_MAX_BYTES);
    install_unit_options(in, &o, &user);
    unit_daemon(&o, in->program, &text);
    char *path = install_unit_path(UNIT);
    int rc = install_make_writable(in, &o, err);
    if (rc == 0)
        rc = install_write_file(in, path, buf_cstr(&text), 0644, &changed, err);
    if (rc == 0 && changed)
        rc = install_reload(in, err);
    if (rc == 0 && !in->dry_run)
        systemctl_look(UNIT, &seen, NULL);
    static const char *const ENABLE[] = {"enable", "--now", UNIT, NULL}, *const RESTART[] = {"restart", UNIT, NULL};
    if (rc == 0 && (!seen.active || !seen.enabled))
        rc = install_systemctl(in, ENABLE, err);
    else if (rc == 0 && changed)
        rc = install_systemctl(in, RESTART, err);
    install_hint_lingering(in);
    os_user_release(&user);
    free(path);
    buf_release(&text);
    return rc;
}

/* Where nobody starts it by itself. */
static void tell_how_to_start(struct install *in, const char *why_not)
{
    const char *const words[] = {in->program};
    char *why = NULL, *program = install_shell_text(words, 1);
    if (!installed_daemon_lives(in->state_dir, os_now_ms(), &why))
        install_tell(in, INSTALL_WARNING,
                     "%s, so nothing starts the daemon: start it yourself, now and after each start of the system: "
                     "nohup %s daemon >/dev/null 2>&1 &",
                     why_not, program);
    if (installed_cron_lives(&why))
        install_tell(in, INSTALL_NOTE, "a line for 'crontab -e' that does so: @reboot %s daemon", program);
    free(program);
    free(why);
}

static int put_daemon(struct install *in, const struct installed_item *before, struct installed_item *item,
                      struct err *err)
{
    char *path = jobs_file_default(in->state_dir);
    const char *why_not = NULL;
    char *unit = install_unit_path(UNIT);
    int rc = install_check_unit_owner(in, unit, err);
    free(unit);
    for (size_t i = 0; rc == 0 && i < before->trigger_count; i++) {
        bool wanted = false;
        for (size_t k = 0; k < item->trigger_count; k++)
            wanted = wanted || strcmp(item->triggers[k].id, before->triggers[i].id) == 0;
        if (!wanted)
            rc = remove_entry(in, path, before->triggers[i].id, err);
    }
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = put_entry(in, path, &item->triggers[i], item->enabled, err);
    if (rc == 0 && install_systemd_ready(in, &why_not))
        rc = put_unit(in, err);
    else if (rc == 0)
        tell_how_to_start(in, why_not);
    item->detail = path;
    return rc;
}

/* Jobs of somebody else may be in the file: then the daemon stays. */
static bool has_other_jobs(const char *path, const struct installed_item *item)
{
    struct job_list there = {0};
    struct jobs_report report = {0};
    bool others = false;
    if (jobs_file_load(path, &there, &report, NULL) == 0)
        for (size_t i = 0; i < there.count; i++) {
            bool ours = false;
            for (size_t k = 0; k < item->trigger_count; k++)
                ours = ours || strcmp(there.items[i].id, item->triggers[k].id) == 0;
            others = others || !ours;
        }
    others = others || report.count > 0;
    jobs_report_release(&report);
    job_list_release(&there);
    return others;
}

static int remove_unit(struct install *in, struct err *err)
{
    static const char *const DISABLE[] = {"disable", "--now", UNIT, NULL};
    char *path = install_unit_path(UNIT);
    bool there = access(path, F_OK) == 0, lives = there && systemctl_lives();
    int rc = lives ? install_systemctl(in, DISABLE, err) : 0;
    if (rc == 0 && there)
        rc = install_remove_file(in, path, NULL, err);
    if (rc == 0 && lives) {
        install_forget_failure(in, UNIT);
        rc = install_reload(in, err);
    }
    free(path);
    return rc;
}

static int remove_daemon(struct install *in, struct installed_item *item, struct err *err)
{
    char *path = jobs_file_default(in->state_dir), *why = NULL;
    bool others = has_other_jobs(path, item);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = remove_entry(in, path, item->triggers[i].id, err);
    if (rc == 0 && others)
        install_tell(in, INSTALL_NOTE, "the daemon stays: there are other jobs in %s", path);
    else if (rc == 0)
        rc = remove_unit(in, err);
    if (rc == 0 && !others && !in->dry_run && installed_daemon_lives(in->state_dir, os_now_ms(), &why))
        install_tell(in, INSTALL_NOTE, "a daemon that was started by hand still runs, without jobs");
    free(why);
    free(path);
    return rc;
}

static int enable_daemon(struct install *in, struct installed_item *item, bool on, struct err *err)
{
    char *path = jobs_file_default(in->state_dir);
    struct jobs_change *changes = mem_array(NULL, item->trigger_count + 1, sizeof *changes);
    for (size_t i = 0; i < item->trigger_count; i++) {
        changes[i] = (struct jobs_change){.id = item->triggers[i].id, .set_enabled = true, .enabled = on};
        install_tell(in, INSTALL_STEP, "%s job '%s' in %s", on ? "enable" : "disable", item->triggers[i].id, path);
    }
    int rc = in->dry_run ? 0 : jobs_file_change(path, changes, item->trigger_count, os_now_ms(), err);
    free(changes);
    free(path);
    return rc;
}

static int run_daemon(struct install *in, const struct installed_item *item, const struct installed_trigger *t,
                      struct err *err)
{
    (void)item;
    install_tell(in, INSTALL_STEP, "ask the daemon to run job '%s'", t->id);
    return in->dry_run ? 0 : control_ask_for(in->state_dir, "run-now", t->id, NULL, err);
}

/* --- looking --- */

static void look_file(const char *path, struct install_state *state)
{
    struct job_list jobs = {0};
    struct jobs_report report = {0};
    struct err err = {0};
    if (jobs_file_load(path, &jobs, &report, &err) < 0 && state->problem == NULL)
        state->problem = mem_strdup(err.message);
    for (size_t i = 0; i < state->trigger_count; i++) {
        struct install_trigger_state *s = &state->triggers[i];
        const struct job *j = job_find(&jobs, s->trigger->id);
        s->there = j != NULL;
        if (j == NULL) {
            if (state->problem == NULL)
                state->problem = mem_printf("job '%s' is gone from %s", s->trigger->id, path);
            continue;
        }
        s->enabled = j->enabled;
        s->last_ms = j->last_run_ms;
        if (j->last_status == JOB_OK || j->last_status == JOB_ERROR)
            s->last_status = mem_strdup(j->last_status == JOB_OK ? "ok" : "error");
    }
    jobs_report_release(&report);
    job_list_release(&jobs);
}

/* What the daemon has in its head is newer than the file. */
static void look_asking(const char *state_dir, struct install_state *state)
{
    json_t *reply = NULL, *j;
    size_t n;
    if (control_ask_for(state_dir, "status", NULL, &reply, NULL) < 0)
        return;
    json_array_foreach(json_object_get(reply, "jobs"), n, j)
    {
        const char *id = json_string_value(json_object_get(j, "id"));
        for (size_t i = 0; id != NULL && i < state->trigger_count; i++) {
            struct install_trigger_state *s = &state->triggers[i];
            if (strcmp(s->trigger->id, id) != 0)
                continue;
            s->next_ms = json_integer_value(json_object_get(j, "nextMs"));
            s->last_ms = json_integer_value(json_object_get(j, "lastRunMs"));
        }
    }
    json_decref(reply);
}

static void look_daemon(struct install *in, int64_t now, struct install_state *state)
{
    char *path = jobs_file_default(in->state_dir);
    state->alive = installed_daemon_lives(in->state_dir, now, &state->problem);
    look_file(path, state);
    if (state->alive)
        look_asking(in->state_dir, state);
    state->alive = state->alive && state->problem == NULL;
    free(path);
}

const struct install_kind INSTALL_DAEMON = {.via = VIA_DAEMON,
                                            .ready = is_ready,
                                            .put = put_daemon,
                                            .remove = remove_daemon,
                                            .enable = enable_daemon,
                                            .run_now = run_daemon,
                                            .look = look_daemon};
