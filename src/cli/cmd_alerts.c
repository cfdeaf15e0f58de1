#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/nearest.h"
#include "cli/alerts_view.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "monitor/channel.h"
#include "monitor/message.h"
#include "monitor/outbox.h"
#include "monitor/record.h"
#include "monitor/rules.h"
#include "monitor/state.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "plan/withhold.h"

enum { LAST_DEFAULT = 20, FLUSH_DEFAULT_MS = 60000 };

struct alerts_options {
    const char *config, *channel;
    int64_t last;
    uint64_t timeout_ms, for_ms;
    bool last_given, timeout_given, for_given, due;
};

static const struct option OPTIONS[] = {
    {.name = "last",
     .short_name = 'n',
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct alerts_options, last),
     .set_offset = offsetof(struct alerts_options, last_given),
     .min = 1,
     .max = 2000,
     .metavar = "N",
     .help = "history: the newest N changes (default 20)"},
    {.name = "channel",
     .kind = OPTION_STRING,
     .offset = offsetof(struct alerts_options, channel),
     .metavar = "NAME",
     .help = "test: only this channel"},
    {.name = "timeout",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct alerts_options, timeout_ms),
     .set_offset = offsetof(struct alerts_options, timeout_given),
     .metavar = "TIME",
     .help = "flush: for so long at most (default 1m)"},
    {.name = "due",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct alerts_options, due),
     .help = "flush: leave what failed until it is to be tried again, as the daemon does"},
    {.name = "for",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct alerts_options, for_ms),
     .set_offset = offsetof(struct alerts_options, for_given),
     .metavar = "TIME",
     .help = "silence: for so long; 0 ends it"},
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct alerts_options, config),
     .metavar = "FILE",
     .help = "test, flush: the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration "
             "directory)"},
    OPTION_END,
};

/* --- list, history --- */

/* Is there anything to open? Who only looks makes no database. */
static bool state_exists(const char *state_dir)
{
    char *database = os_path_join(state_dir, "state.sqlite"), *log = os_path_join(state_dir, "alerts.jsonl");
    bool there = access(database, F_OK) == 0 || access(log, F_OK) == 0;
    free(database);
    free(log);
    return there;
}

static int list(struct cli *cli, const struct alerts_options *o, const char *state_dir, int argc, char **argv,
                struct err *err)
{
    (void)o;
    (void)argc;
    (void)argv;
    struct state *s = NULL;
    struct alert_list open = {0};
    if (state_exists(state_dir) && (state_open(&s, state_dir, err) != 0 || alerts_open(s, &open, err) != 0)) {
        state_close(s);
        return -1;
    }
    alerts_view_open(cli, s, &open, os_now_ms());
    alert_list_release(&open);
    state_close(s);
    return 0;
}

static int history(struct cli *cli, const struct alerts_options *o, const char *state_dir, int argc, char **argv,
                   struct err *err)
{
    (void)argc;
    (void)argv;
    struct alert_list changes;
    if (alerts_history(state_dir, o->last_given ? (size_t)o->last : LAST_DEFAULT, &changes, err) != 0)
        return -1;
    alerts_view_history(cli, &changes);
    alert_list_release(&changes);
    return 0;
}

/* --- test --- */

static void show_answer(struct cli *cli, const struct plan_channel *c, const char *text, const struct err *err)
{
    char shown[ERR_MESSAGE_BYTES * 4];
    bool taken = err->code == ERR_NONE;
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:s, s:s, s:b, s:o}", "message_type", "channel", "name", c->name, "kind",
                                channel_kind_name(c->kind), "ok", taken, "answer",
                                cli_json_string(taken ? text : err->message, strlen(taken ? text : err->message))));
    else
        cli_print(cli, "%s (%s): %s%s", c->name, channel_kind_name(c->kind),
                  taken ? "taken: " : "FAILED: ", cli_printable(taken ? text : err->message, shown, sizeof shown));
}

static bool test_channel(struct cli *cli, const struct plan *p, const struct plan_channel *c)
{
    struct message m;
    struct channel_answer answer = {.hopeless = false};
    struct err err = {0};
    message_test(&m, p->host, os_now_ms());
    bool taken = channel_send(c, &m, &answer, &err) == 0;
    message_release(&m);
    show_answer(cli, c, answer.text, &err);
    return taken;
}

static int check_channel(const struct plan *p, const char *name, struct err *err)
{
    struct strlist names = {0};
    bool known = name == NULL;
    for (size_t i = 0; i < p->alerts.channel_count; i++) {
        known = known || strcmp(p->alerts.channels[i].name, name) == 0;
        strlist_add(&names, p->alerts.channels[i].name);
    }
    char *list_text = strlist_join(&names, ", ");
    int rc = 0;
    if (names.count == 0)
        rc = err_set(err, ERR_USAGE, "there are no channels in '%s': write some below 'alerts: channels:'", p->file);
    else if (!known)
        rc = err_set(err, ERR_USAGE, "there is no channel '%s' in '%s'; there are: %s", name, p->file, list_text);
    free(list_text);
    strlist_release(&names);
    return rc;
}

static int test(struct cli *cli, const struct alerts_options *o, const char *state_dir, int argc, char **argv,
                struct err *err)
{
    (void)state_dir;
    (void)argc;
    (void)argv;
    struct plan *plan = NULL;
    size_t failed = 0;
    if (cli_load_plan(cli, o->config, &plan, err) != 0)
        return -1;
    plan_withhold_secrets(plan);
    int rc = check_channel(plan, o->channel, err);
    for (size_t i = 0; rc == 0 && i < plan->alerts.channel_count; i++) {
        const struct plan_channel *c = &plan->alerts.channels[i];
        if (o->channel != NULL && strcmp(c->name, o->channel) != 0)
            continue;
        rc = os_check_interrupt(err);
        failed += rc == 0 && !test_channel(cli, plan, c);
    }
    plan_free(plan);
    return rc != 0 ? -1 : failed > 0 ? err_exit_status(ERR_FAILED) : 0;
}

/* --- flush --- */

static void show_flushed(struct cli *cli, const struct outbox_result *r)
{
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:I, s:I, s:I}", "message_type", "summary", "sent", (json_int_t)r->sent,
                                "waiting", (json_int_t)r->waiting, "given_up", (json_int_t)r->given_up));
    else
        cli_print(cli, "%zu sent, %zu waiting, %zu given up", r->sent, r->waiting, r->given_up);
}

static int flush(struct cli *cli, const struct alerts_options *o, const char *state_dir, int argc, char **argv,
                 struct err *err)
{
    (void)argc;
    (void)argv;
    struct plan *plan = NULL;
    struct state *s = NULL;
    struct outbox_result result = {0};
    uint64_t limit_ms = o->timeout_given ? o->timeout_ms : FLUSH_DEFAULT_MS;
    limit_ms = limit_ms < UINT64_MAX / 4000000 ? limit_ms : UINT64_MAX / 4000000;
    int rc = cli_load_plan_to_run(cli, o->config, &plan, err);
    if (rc == 0)
        plan_withhold_secrets(plan);
    if (rc == 0 && state_exists(state_dir)) {
        rc = state_open(&s, state_dir, err);
        if (rc == 0 && !o->due)
            rc = outbox_hurry(s, os_now_ms(), err);
        if (rc == 0)
            rc = outbox_flush(plan, s, os_monotonic_ns() + limit_ms * 1000000, &result, err);
    }
    if (rc == 0)
        show_flushed(cli, &result);
    state_close(s);
    plan_free(plan);
    return rc;
}

/* --- silence --- */

static int check_silence(const struct alerts_options *o, const char *rule, struct err *err)
{
    if (!o->for_given)
        return err_set(err, ERR_USAGE, "for how long? --for 2d (0 ends a silence)");
    for (size_t i = 0; RULE_NAMES[i] != NULL; i++)
        if (strcmp(RULE_NAMES[i], rule) == 0)
            return 0;
    const char *nearest = nearest_word(rule, RULE_NAMES);
    return err_set(err, ERR_USAGE, "there is no rule '%s'%s%s%s", rule, nearest != NULL ? "; did you mean '" : "",
                   nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

static int silence(struct cli *cli, const struct alerts_options *o, const char *state_dir, int argc, char **argv,
                   struct err *err)
{
    const char *rule = argv[0], *subject = argc > 1 ? argv[1] : NULL;
    int64_t now = os_now_ms();
    int64_t until = o->for_ms == 0 ? 0 : o->for_ms < (uint64_t)(INT64_MAX - now) ? now + (int64_t)o->for_ms : INT64_MAX;
    struct state *s = NULL;
    if (check_silence(o, rule, err) != 0 || state_open(&s, state_dir, err) != 0)
        return -1;
    int rc = alerts_silence(s, rule, subject, until, err);
    /* What ends the silence of one subject does not end that of all. */
    int64_t still = rc == 0 && subject != NULL && until == 0 ? alerts_silenced_until(s, rule, subject, now) : 0;
    state_close(s);
    if (rc != 0)
        return rc;
    if (still != 0) {
        cli_note(cli, "all of '%s' is silenced, too: 'clawback alerts silence %s --for 0' ends that", rule, rule);
        return 0;
    }
    char when[OS_TIME_BYTES];
    struct timespec t = {.tv_sec = until / 1000};
    if (until == 0)
        cli_note(cli, "'%s' is told again", rule);
    else
        cli_note(cli, "'%s'%s%s is not told until %s; 'clawback alerts' shows it all the same", rule,
                 subject != NULL ? " of " : "", subject != NULL ? subject : "", os_time_format_human(&t, when));
    return 0;
}

/* --- which of them --- */

struct action {
    const char *name;
    int (*run)(struct cli *cli, const struct alerts_options *o, const char *state_dir, int argc, char **argv,
               struct err *err);
    int min_arguments, max_arguments;
    bool last, channel, timeout, due, silence, config; /* options that it has */
};
static const struct action ACTIONS[] = {
    {.name = "list", .run = list},
    {.name = "history", .run = history, .last = true},
    {.name = "test", .run = test, .channel = true, .config = true},
    {.name = "flush", .run = flush, .timeout = true, .due = true, .config = true},
    {.name = "silence", .run = silence, .silence = true, .min_arguments = 1, .max_arguments = 2},
};
enum { ACTION_COUNT = sizeof ACTIONS / sizeof *ACTIONS };

static const struct action *find_action(const char *name, struct err *err)
{
    const char *names[ACTION_COUNT + 1] = {NULL};
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(ACTIONS[i].name, name) == 0)
            return &ACTIONS[i];
        names[i] = ACTIONS[i].name;
    }
    const char *nearest = nearest_word(name, names);
    err_set(err, ERR_USAGE, "'alerts' has no '%s': list, history, test, flush or silence%s%s%s", name,
            nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    return NULL;
}

/* An option that an action has no use for is a mistake, and not passed over. */
static int check(const struct action *a, const struct alerts_options *o, int argc, struct err *err)
{
    const char *foreign = o->last_given && !a->last           ? "--last"
                          : o->channel != NULL && !a->channel ? "--channel"
                          : o->timeout_given && !a->timeout   ? "--timeout"
                          : o->due && !a->due                 ? "--due"
                          : o->for_given && !a->silence       ? "--for"
                          : o->config != NULL && !a->config   ? "--config"
                                                              : NULL;
    if (foreign != NULL)
        return err_set(err, ERR_USAGE, "'alerts %s' has no option %s", a->name, foreign);
    if (argc < a->min_arguments)
        return err_set(err, ERR_USAGE, "'alerts silence' needs the name of a rule: 'clawback alerts' shows it");
    if (argc > a->max_arguments)
        return err_set(err, ERR_USAGE, "'alerts %s' takes %s", a->name,
                       a->max_arguments == 0 ? "no arguments" : "a rule and a subject at most");
    return 0;
}

static int run_alerts(struct cli *cli, void *options, int argc, char **argv)
{
    const struct alerts_options *o = options;
    struct err err = {0};
    const struct action *a = find_action(argc > 0 ? argv[0] : "list", &err);
    int rest = argc > 0 ? argc - 1 : 0;
    if (a == NULL || check(a, o, rest, &err) != 0)
        return cli_fail(cli, &err);
    char *state_dir = record_state_dir();
    int rc = a->run(cli, o, state_dir, rest, argc > 0 ? argv + 1 : argv, &err);
    free(state_dir);
    return rc < 0 ? cli_fail(cli, &err) : rc;
}

static const struct command_example EXAMPLES[] = {
    {"clawback alerts", "what is open, the worst first, and what to type"},
    {"clawback alerts history --last 50", "what was opened, got worse, was over"},
    {"clawback alerts test", "does a message reach you? Each channel's answer"},
    {"clawback alerts flush", "send what waits, now"},
    {"clawback alerts silence growth config --for 2d", "I know, and it is all right"},
    {NULL, NULL},
};

const struct command cmd_alerts = {
    .name = "alerts",
    .arguments = "[ACTION [RULE [SUBJECT]]]",
    .summary = "Show what is wrong, and how it is told",
    .description =
        "Alerts are opened and closed by `clawback health` and at the end of each run. Without an argument those that "
        "are open are shown, with the command to type; `history` shows how they came and went.\n\n"
        "`test` sends a test message through every channel of the plan and shows each answer; the exit status is 1 "
        "when one failed. `flush` sends what waits in the outbox, now; by itself that is done by the daemon and by "
        "`clawback health`, which wait longer after each failure. `silence` keeps an "
        "alert from being told for some time; it is shown all the same, and told when it is still open then.\n\n"
        "The exit status is else 0 whatever is shown: that of `clawback health` says how things stand.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct alerts_options),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_alerts,
};
