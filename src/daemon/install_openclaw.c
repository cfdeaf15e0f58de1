/*
 * OpenClaw's cron, through its own command line. What it can do it is asked for (`openclaw cron add --help`), no
 * version is ever compared:
 *
 *     --command-argv      it can start us; without it there is only a disabled placeholder job, for people to see
 *     --declaration-key   the same `cron add` again changes the job in place; without it the job is looked for and
 * edited
 *
 * Changing in place leaves out the name and what disables a job: those go by calls of their own, where they differ.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/install.h"
#include "os/clock.h"

enum { HELP_MAX_BYTES = 1 << 20, ARGS_MAX = 40 };

struct abilities {
    bool commands, keys, environment, exact;
};

/* An option as the help lists it: not as a part of a longer one. */
static bool lists(const char *help, const char *option)
{
    size_t len = strlen(option);
    for (const char *at = help; (at = strstr(at, option)) != NULL; at += len)
        if (at[len] == ' ' || at[len] == '\n')
            return true;
    return false;
}

static int ask_abilities(struct install *in, struct abilities *out, struct err *err)
{
    static const char *const ARGS[] = {"cron", "add", "--help", NULL};
    struct buf help;
    buf_init(&help, HELP_MAX_BYTES);
    int rc = openclaw_command_run(&in->openclaw, ARGS, &help, err);
    const char *text = buf_cstr(&help);
    *out = (struct abilities){.commands = lists(text, "--command-argv"),
                              .keys = lists(text, "--declaration-key"),
                              .environment = lists(text, "--command-env"),
                              .exact = lists(text, "--exact")};
    buf_release(&help);
    return rc < 0 ? err_wrap(err, "cannot ask OpenClaw what its cron can do") : 0;
}

bool install_openclaw_runs_commands(struct install *in)
{
    struct abilities can = {0};
    return in->openclaw.program != NULL && ask_abilities(in, &can, NULL) == 0 && can.commands;
}

static bool is_ready(struct install *in, const char **why_not)
{
    char *why = NULL;
    bool ok = false;
    if (in->openclaw.program == NULL)
        *why_not = "there is no openclaw command (in PATH, or named by CLAWBACK_OPENCLAW)";
    else if (in->openclaw.home == NULL)
        *why_not = "no home of an OpenClaw was found";
    else if (!installed_gateway_answers(in->openclaw.home, &why))
        *why_not = "OpenClaw's gateway does not answer";
    else
        ok = true;
    free(why);
    return ok;
}

/* --- words for its command line --- */

struct call {
    struct strlist words;
    const char *args[ARGS_MAX + 1];
};

static void add(struct call *c, const char *option, const char *value)
{
    strlist_add(&c->words, option);
    if (value != NULL)
        strlist_add(&c->words, value);
}

/* Says it, and does it unless it is a dry run; *out (may be NULL): the document it answers with. */
static int make_call(struct install *in, struct call *c, json_t **out, struct err *err)
{
    size_t count = c->words.count < ARGS_MAX ? c->words.count : ARGS_MAX;
    for (size_t i = 0; i < count; i++)
        c->args[i] = c->words.items[i];
    char *shown = install_shell_text(c->args, count);
    install_tell(in, INSTALL_STEP, "run openclaw %s", shown);
    free(shown);
    int rc = 0;
    if (!in->dry_run && out != NULL)
        rc = openclaw_command_json(&in->openclaw, c->args, out, err);
    else if (!in->dry_run)
        rc = openclaw_command_run(&in->openclaw, c->args, NULL, err);
    strlist_release(&c->words);
    return rc;
}

static int call_of_job(struct install *in, const char *verb, const char *id, struct err *err)
{
    struct call c = {0};
    add(&c, "cron", verb);
    add(&c, id, NULL);
    return make_call(in, &c, NULL, err);
}

/* One number and one unit, which every version reads. */
static char *interval_text(uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s % 86400 == 0)
        return mem_printf("%llud", (unsigned long long)(s / 86400));
    if (s % 3600 == 0)
        return mem_printf("%lluh", (unsigned long long)(s / 3600));
    return s % 60 == 0 ? mem_printf("%llum", (unsigned long long)(s / 60)) : mem_printf("%llus", (unsigned long long)s);
}

/* The names that not every version knows, in five fields. */
static const char *five_fields(const char *text)
{
    static const struct {
        const char *name, *fields;
    } NAMES[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
                 {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
                 {"@hourly", "0 * * * *"}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcasecmp(text, NAMES[i].name) == 0)
            return NAMES[i].fields;
    return text;
}

static void add_schedule(struct call *c, const struct schedule *s, const struct abilities *can)
{
    if (s->kind == SCHEDULE_EVERY) {
        char *every = interval_text(s->every_ms);
        add(c, "--every", every);
        free(every);
    } else if (s->kind == SCHEDULE_CRON) {
        add(c, "--cron", five_fields(s->cron_text));
        if (s->zone != NULL)
            add(c, "--tz", s->zone);
        if (can->exact)
            add(c, "--exact", NULL);
    } else {
        time_t seconds = (time_t)(s->at_ms / 1000);
        struct tm tm;
        char text[64];
        gmtime_r(&seconds, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        add(c, "--at", text);
    }
}

/* What is started: our arguments, behind env where variables cannot be given otherwise. */
static json_t *argv_json(const struct install *in, const struct installed_trigger *t, const struct abilities *can)
{
    json_t *argv = json_array();
    if (!can->environment && in->environment.count > 0) {
        json_array_append_new(argv, json_string("/usr/bin/env"));
        for (size_t i = 0; i < in->environment.count; i++)
            json_array_append_new(argv, json_string(in->environment.items[i]));
    }
    for (size_t i = 0; i < t->argv.count; i++)
        json_array_append_new(argv, json_string(t->argv.items[i]));
    return argv;
}

static void add_payload(struct call *c, const struct install *in, const struct installed_trigger *t,
                        const struct abilities *can)
{
    json_t *argv = argv_json(in, t, can);
    char *text = json_dumps(argv, JSON_COMPACT),
         *timeout = mem_printf("%llu", (unsigned long long)(t->timeout_ms / 1000));
    add(c, "--command-argv", text);
    for (size_t i = 0; can->environment && i < in->environment.count; i++)
        add(c, "--command-env", in->environment.items[i]);
    add(c, "--timeout-seconds", timeout);
    add(c, "--no-deliver", NULL);
    free(timeout);
    free(text);
    json_decref(argv);
}

/* --- jobs that are there --- */

static int list_jobs(struct install *in, json_t **out, struct err *err)
{
    static const char *const ARGS[] = {"cron", "list", "--all", "--json", NULL};
    if (openclaw_command_json(&in->openclaw, ARGS, out, err) == 0)
        return 0;
    return err_wrap(err, "cannot ask OpenClaw for its jobs (its gateway must run)");
}

static bool is_text(json_t *j, const char *key, const char *text)
{
    const char *found = json_string_value(json_object_get(j, key));
    return found != NULL && text != NULL && strcmp(found, text) == 0;
}

static json_t *search(json_t *jobs, const char *ref, const char *id)
{
    json_t *j;
    size_t n;
    json_array_foreach(jobs, n, j)
    {
        json_t *payload = json_object_get(j, "payload");
        bool ours = is_text(j, "id", ref) || is_text(j, "declarationKey", id) ||
                    (is_text(payload, "kind", "systemEvent") && is_text(payload, "text", id));
        if (ours && json_is_string(json_object_get(j, "id"))) /* without one nothing can be done with it */
            return j;
    }
    return NULL;
}

/* By its ID there, by our key, or, of a placeholder, by its text. A list may be only the first page of them all.
 * Borrowed from the list. */
static json_t *find_job(const struct install *in, json_t *list, const char *ref, const char *id)
{
    json_t *jobs = json_is_array(list) ? list : json_object_get(list, "jobs"), *found = search(jobs, ref, id),
           *job = NULL;
    if (found != NULL || ref == NULL || !json_is_true(json_object_get(list, "hasMore")))
        return found;
    const char *const args[] = {"cron", "get", ref, NULL};
    if (openclaw_command_json(&in->openclaw, args, &job, NULL) < 0)
        return NULL;
    json_array_append_new(jobs, job);
    return search(jobs, ref, id);
}

static bool has_schedule(json_t *job, const struct schedule *s)
{
    json_t *j = json_object_get(job, "schedule");
    const char *tz = json_string_value(json_object_get(j, "tz"));
    if (s->kind == SCHEDULE_EVERY)
        return is_text(j, "kind", "every") &&
               json_integer_value(json_object_get(j, "everyMs")) == (json_int_t)s->every_ms;
    if (s->kind == SCHEDULE_AT) {
        const char *at = json_string_value(json_object_get(j, "at"));
        struct timespec t;
        return at != NULL && os_time_parse(at, strlen(at), &t) == 0 && t.tv_sec == s->at_ms / 1000;
    }
    return s->kind == SCHEDULE_CRON && is_text(j, "kind", "cron") && is_text(j, "expr", five_fields(s->cron_text)) &&
           (s->zone == NULL ? tz == NULL || *tz == '\0' : tz != NULL && strcmp(tz, s->zone) == 0);
}

static bool has_environment(const struct install *in, json_t *payload, const struct abilities *can)
{
    json_t *env = json_object_get(payload, "env");
    if (json_object_size(env) != (can->environment ? in->environment.count : 0))
        return false;
    for (size_t i = 0; can->environment && i < in->environment.count; i++) {
        const char *text = in->environment.items[i], *equals = strchr(text, '=');
        char *name = mem_strndup(text, (size_t)(equals - text));
        bool same = is_text(env, name, equals + 1);
        free(name);
        if (!same)
            return false;
    }
    return true;
}

static bool has_payload(const struct install *in, json_t *job, const struct installed_trigger *t,
                        const struct abilities *can)
{
    json_t *payload = json_object_get(job, "payload"), *argv = argv_json(in, t, can);
    bool same = json_equal(json_object_get(payload, "argv"), argv) && has_environment(in, payload, can) &&
                json_integer_value(json_object_get(payload, "timeoutSeconds")) == (json_int_t)(t->timeout_ms / 1000);
    json_decref(argv);
    return same;
}

static void remember(struct installed_trigger *t, json_t *job)
{
    const char *id = json_string_value(json_object_get(job, "id"));
    if (id == NULL)
        return;
    free(t->ref);
    t->ref = mem_strdup(id);
}

/* --- putting --- */

/* Makes it, or what can be changed in place. The document says what is there then. */
static int write_job(struct install *in, const struct abilities *can, struct installed_trigger *t, json_t *old,
                     bool enabled, json_t **now, struct err *err)
{
    struct call c = {0};
    bool edit = old != NULL && !can->keys;
    add(&c, "cron", edit ? "edit" : "add");
    if (edit)
        add(&c, json_string_value(json_object_get(old, "id")), NULL);
    add(&c, "--name", t->name);
    if (can->keys)
        add(&c, "--declaration-key", t->id);
    add_schedule(&c, &t->schedule, can);
    if (can->commands) {
        add_payload(&c, in, t, can);
    } else {
        add(&c, "--session", "main");
        add(&c, "--system-event", t->id);
    }
    /* Without it a new one could start before it is disabled. */
    if (old == NULL && !enabled)
        add(&c, "--disabled", NULL);
    if (!edit)
        add(&c, "--json", NULL);
    *now = NULL;
    int rc = make_call(in, &c, edit ? NULL : now, err);
    if (json_object_get(*now, "job") != NULL) {
        json_t *job = json_incref(json_object_get(*now, "job"));
        json_decref(*now);
        *now = job;
    }
    return rc;
}

static int set_name(struct install *in, const char *ref, const char *name, struct err *err)
{
    struct call c = {0};
    add(&c, "cron", "edit");
    add(&c, ref, NULL);
    add(&c, "--name", name);
    return make_call(in, &c, NULL, err);
}

static int put_job(struct install *in, const struct abilities *can, json_t *list, struct installed_trigger *t,
                   const char *old_ref, bool enabled, struct err *err)
{
    json_t *old = find_job(in, list, old_ref, t->id), *now = NULL;
    bool content = old != NULL && has_schedule(old, &t->schedule) && (!can->commands || has_payload(in, old, t, can));
    bool named = old != NULL && is_text(old, "name", t->name);
    bool was_enabled = old != NULL && json_is_true(json_object_get(old, "enabled"));
    int rc = 0;
    if (old != NULL)
        remember(t, old);
    if (content && named && was_enabled == enabled) {
        install_tell(in, INSTALL_SAME, "OpenClaw's job '%s' is as it should be", t->name);
        return 0;
    }
    if (!content) {
        rc = write_job(in, can, t, old, enabled, &now, err);
        if (rc == 0 && now != NULL)
            remember(t, now);
        if (rc == 0 && old == NULL && !in->dry_run && t->ref == NULL)
            rc = err_set(err, ERR_FAILED, "OpenClaw did not say what it calls the new job '%s'", t->name);
        named = named || old == NULL || !can->keys;
    }
    if (rc == 0 && !named)
        rc = set_name(in, t->ref, t->name, err);
    if (rc == 0 && old != NULL && was_enabled != enabled)
        rc = call_of_job(in, enabled ? "enable" : "disable", t->ref, err);
    json_decref(now);
    return rc;
}

static const char *ref_before(const struct installed_item *before, const char *id)
{
    for (size_t i = 0; i < before->trigger_count; i++)
        if (strcmp(before->triggers[i].id, id) == 0)
            return before->triggers[i].ref;
    return NULL;
}

static int remove_job(struct install *in, json_t *list, const struct installed_trigger *t, struct err *err)
{
    json_t *job = find_job(in, list, t->ref, t->id);
    const char *id = json_string_value(json_object_get(job, "id"));
    return id == NULL ? 0 : call_of_job(in, "rm", id, err);
}

static int remove_stale(struct install *in, json_t *list, const struct installed_item *before,
                        const struct installed_item *item, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < before->trigger_count; i++) {
        bool wanted = false;
        for (size_t k = 0; k < item->trigger_count; k++)
            wanted = wanted || strcmp(item->triggers[k].id, before->triggers[i].id) == 0;
        if (!wanted)
            rc = remove_job(in, list, &before->triggers[i], err);
    }
    return rc;
}

/* Gateways have one job of each key. */
static int check_owner(const struct install *in, json_t *list, const struct installed_trigger *t, struct err *err)
{
    json_t *payload = json_object_get(find_job(in, list, NULL, t->id), "payload"), *word;
    const char *dir = json_string_value(json_object_get(json_object_get(payload, "env"), "CLAWBACK_STATE_DIR"));
    char *text = dir != NULL ? mem_printf("CLAWBACK_STATE_DIR='%s'", dir) : mem_strdup("");
    size_t n;
    json_array_foreach(json_object_get(payload, "argv"), n, word)
    {
        char *longer = mem_printf("%s\n%s", text, json_is_string(word) ? json_string_value(word) : "");
        free(text);
        text = longer;
    }
    int rc = install_check_owner(in, "OpenClaw", text, err);
    free(text);
    return rc;
}

/* Jobs in a home that is not this one any more stay there: its gateway may be gone. */
static int put_openclaw(struct install *in, const struct installed_item *before, struct installed_item *item,
                        struct err *err)
{
    struct abilities can;
    json_t *list = NULL;
    int rc = ask_abilities(in, &can, err);
    if (rc == 0)
        rc = list_jobs(in, &list, err);
    if (rc == 0)
        for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
            rc = check_owner(in, list, &item->triggers[i], err);
    if (rc == 0)
        rc = remove_stale(in, list, before, item, err);
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = put_job(in, &can, list, &item->triggers[i], ref_before(before, item->triggers[i].id),
                     item->enabled && can.commands, err);
    item->program = mem_strdup(in->openclaw.program);
    item->home = in->openclaw.home == NULL ? NULL : mem_strdup(in->openclaw.home);
    item->detail = mem_printf(can.commands ? "cron jobs of %s" : "a job of %s that shows our runs",
                              item->home != NULL ? item->home : "OpenClaw");
    json_decref(list);
    return rc;
}

/* The command may have moved meanwhile, the home is the one that has the jobs. */
static void use_item(struct install *in, const struct installed_item *item)
{
    if (in->openclaw.program == NULL && item->program != NULL)
        in->openclaw.program = mem_strdup(item->program);
    if (item->home != NULL) {
        free(in->openclaw.home);
        in->openclaw.home = mem_strdup(item->home);
    }
}

static int check_program(const struct install *in, struct err *err)
{
    if (in->openclaw.program != NULL)
        return 0;
    return err_set(err, ERR_NOT_FOUND, "there is no openclaw command (in PATH, or named by CLAWBACK_OPENCLAW)");
}

/* Neither found now nor where it was. */
static bool program_is_gone(struct install *in, const struct installed_item *item)
{
    if (in->openclaw.program != NULL && access(in->openclaw.program, X_OK) == 0)
        return false;
    if (item->program == NULL || access(item->program, X_OK) < 0)
        return true;
    free(in->openclaw.program);
    in->openclaw.program = mem_strdup(item->program);
    return false;
}

static int remove_openclaw(struct install *in, struct installed_item *item, struct err *err)
{
    json_t *list = NULL;
    if (item->home != NULL && access(item->home, F_OK) < 0 && errno == ENOENT) {
        install_tell(in, INSTALL_NOTE, "%s is gone, and our jobs with it", item->home);
        return 0;
    }
    use_item(in, item);
    if (program_is_gone(in, item)) {
        install_tell(in, INSTALL_WARNING,
                     "there is no openclaw command any more: what its gateway had of us is forgotten; should it come "
                     "back, 'openclaw cron list' and 'openclaw cron rm ID' remove our jobs");
        return 0;
    }
    int rc = list_jobs(in, &list, err);
    for (size_t i = 0; rc == 0 && i < item->trigger_count; i++)
        rc = remove_job(in, list, &item->triggers[i], err);
    json_decref(list);
    return rc;
}

/* A placeholder stays disabled: enabled, it would wake a model. */
static int enable_openclaw(struct install *in, struct installed_item *item, bool on, struct err *err)
{
    use_item(in, item);
    int rc = check_program(in, err);
    for (size_t i = 0; rc == 0 && !item->placeholder && i < item->trigger_count; i++)
        if (item->triggers[i].ref != NULL)
            rc = call_of_job(in, on ? "enable" : "disable", item->triggers[i].ref, err);
    return rc;
}

static int run_openclaw(struct install *in, const struct installed_item *item, const struct installed_trigger *t,
                        struct err *err)
{
    use_item(in, item);
    if (check_program(in, err) < 0)
        return -1;
    if (t->ref == NULL)
        return err_set(err, ERR_FAILED, "OpenClaw's job '%s' is not known: run 'clawback schedule install' again",
                       t->id);
    return call_of_job(in, "run", t->ref, err);
}

/* --- looking --- */

static void look_job(const struct install *in, json_t *list, struct install_trigger_state *s,
                     struct install_state *state)
{
    json_t *job = find_job(in, list, s->trigger->ref, s->trigger->id), *inner = json_object_get(job, "state");
    const char *status = json_string_value(json_object_get(inner, "lastStatus"));
    s->there = job != NULL;
    s->enabled = json_is_true(json_object_get(job, "enabled"));
    s->last_ms = json_integer_value(json_object_get(inner, "lastRunAtMs"));
    s->next_ms = s->enabled ? json_integer_value(json_object_get(inner, "nextRunAtMs")) : 0;
    s->last_status = status != NULL ? mem_strdup(status) : NULL;
    if (job == NULL && state->problem == NULL)
        state->problem = mem_printf("OpenClaw has no job '%s' any more", s->trigger->name);
    else if (!state->item->placeholder && state->item->enabled && !s->enabled && state->problem == NULL)
        state->problem = mem_printf("OpenClaw's job '%s' is disabled there", s->trigger->name);
}

static void look_openclaw(struct install *in, int64_t now_ms, struct install_state *state)
{
    json_t *list = NULL;
    struct err err = {0};
    (void)now_ms;
    use_item(in, state->item);
    if (installed_gateway_answers(state->item->home, &state->problem)) {
        if (check_program(in, &err) < 0 || list_jobs(in, &list, &err) < 0)
            state->problem = mem_strdup(err.message);
        for (size_t i = 0; state->problem == NULL && i < state->trigger_count; i++)
            look_job(in, list, &state->triggers[i], state);
    }
    state->alive = state->problem == NULL;
    json_decref(list);
}

const struct install_kind INSTALL_OPENCLAW = {.via = VIA_OPENCLAW,
                                              .ready = is_ready,
                                              .put = put_openclaw,
                                              .remove = remove_openclaw,
                                              .enable = enable_openclaw,
                                              .run_now = run_openclaw,
                                              .look = look_openclaw};
