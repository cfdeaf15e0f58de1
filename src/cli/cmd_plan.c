/* The manifest: what each tier would take, what not, which of it is secret, where it would go. */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "cli/table.h"
#include "cli/text.h"
#include "monitor/record.h"
#include "os/clock.h"
#include "os/file.h"
#include "plan/schedule.h"
#include "run/destination.h"
#include "run/forecast.h"
#include "run/manifest.h"

enum { SHOWN_EXCLUDES = 12, SHOWN_SECRETS = 12, PATH_SHOWN_BYTES = 4096, SERVER_MS = 5000 };
enum { COUNT_COLUMNS = 26, WHY_COLUMNS_MIN = 24 }; /* "files" and "size" with their gaps; of the reasons */

struct plan_args {
    const char *config;
    bool all, no_servers;
};

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct plan_args, config),
     .metavar = "FILE",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)"},
    {.name = "all",
     .short_name = 'a',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct plan_args, all),
     .help = "list every exclude and every sensitive file, however many"},
    {.name = "no-servers",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct plan_args, no_servers),
     .help = "do not ask databases how large they are"},
    OPTION_END,
};

static json_t *text_json(const char *s)
{
    return s != NULL ? cli_json_string(s, strlen(s)) : json_null();
}

/* --- when and for how long --- */

static void schedule_text(const struct schedule *s, struct buf *out)
{
    char every[32];
    if (s->kind == SCHEDULE_EVERY) {
        duration_format(s->every_ms, every);
        buf_printf(out, "every %s", every);
    } else {
        buf_append_str(out, s->kind == SCHEDULE_CRON ? "by cron"
                            : s->kind == SCHEDULE_AT ? "once"
                                                     : "only when it is named");
    }
    int64_t next_ms;
    struct timespec now = os_now();
    if (s->kind == SCHEDULE_CRON && schedule_next(s, (int64_t)now.tv_sec * 1000, 0, &next_ms)) {
        char text[OS_TIME_BYTES];
        struct timespec next = {.tv_sec = next_ms / 1000};
        buf_printf(out, ", next %s", os_time_format_human(&next, text));
    }
}

static void keep_text(const struct plan_keep *k, struct buf *out)
{
    if (k->all || retention_is_empty(&k->policy))
        buf_append_str(out, "keep all");
    else
        retention_describe(&k->policy, out);
}

/* --- for people --- */

/* "~/x" for what lies in the user's home: lines are short enough as it is. Into out, which is returned. */
static const char *short_path(const char *path, char *out, size_t cap)
{
    char *home = os_path_expand_home("~");
    size_t len = strlen(home);
    bool below = len > 1 && strncmp(path, home, len) == 0 && path[len] == '/';
    snprintf(out, cap, "%s%s", below ? "~" : "", below ? path + len : path);
    free(home);
    return out;
}

static void print_paths(struct cli *cli, const struct manifest *m)
{
    char shown[PATH_SHOWN_BYTES], count[32], bytes[24];
    for (size_t i = 0; i < m->path_count; i++) {
        const struct manifest_path *p = &m->paths[i];
        cli_printable(p->path, shown, sizeof shown);
        if (p->missing)
            cli_print(cli, "  takes      %s   IS NOT THERE", shown);
        else
            cli_print(cli, "  takes      %s   %s files, %s", shown, cli_count(p->files, count),
                      bytes_text(p->bytes, bytes));
    }
}

static void print_items(struct cli *cli, const struct manifest *m)
{
    char shown[PATH_SHOWN_BYTES], detail[PATH_SHOWN_BYTES], bytes[24];
    for (size_t i = 0; i < m->item_count; i++) {
        const struct manifest_item *item = &m->items[i];
        cli_printable(item->name, shown, sizeof shown);
        cli_printable(item->detail != NULL ? item->detail : "", detail, sizeof detail);
        cli_print(cli, "  %-10s %s%s%s%s%s%s", item->kind, shown, item->bytes_known ? "   " : "",
                  item->bytes_known ? bytes_text(item->bytes, bytes) : "",
                  item->detail != NULL ? item->problem && !item->absent ? "   PROBLEM: " : "   (" : "", detail,
                  item->detail != NULL && !(item->problem && !item->absent) ? ")" : "");
    }
}

/* What the table's other columns leave of the terminal for the reasons. */
static size_t why_columns(const struct manifest *m, size_t shown)
{
    char path[PATH_SHOWN_BYTES];
    size_t widest = 0, width = cli_columns(stdout);
    for (size_t i = 0; i < shown; i++) {
        size_t columns = cli_text_columns(short_path(m->excludes[i].rule, path, sizeof path));
        widest = columns > widest ? columns : widest;
    }
    size_t used = 2 + widest + COUNT_COLUMNS;
    return width > used + WHY_COLUMNS_MIN ? width - used : WHY_COLUMNS_MIN;
}

static void print_excludes(struct cli *cli, const struct manifest *m, bool all)
{
    static const char *const HEADERS[] = {"  leaves out", ">files", ">size", "because", NULL};
    char count[32], bytes[24];
    if (m->exclude_count == 0)
        return;
    struct cli_table *t = cli_table_new(HEADERS);
    size_t shown = all || m->exclude_count <= SHOWN_EXCLUDES ? m->exclude_count : SHOWN_EXCLUDES;
    size_t left = why_columns(m, shown);
    for (size_t i = 0; i < shown; i++) {
        char path[PATH_SHOWN_BYTES], *rule = mem_printf("  %s", short_path(m->excludes[i].rule, path, sizeof path));
        struct buf why;
        buf_init(&why, PATH_SHOWN_BYTES);
        text_fill(&why, m->excludes[i].why, strlen(m->excludes[i].why), 0, 0, left);
        const char *cells[] = {rule, cli_count(m->excludes[i].files, count), bytes_text(m->excludes[i].bytes, bytes),
                               buf_cstr(&why)};
        cli_table_row(t, cells);
        buf_release(&why);
        free(rule);
    }
    cli_table_print(cli, t, NULL);
    cli_table_free(t);
    if (shown < m->exclude_count)
        cli_print(cli, "  … and %zu smaller ones (--all shows them)", m->exclude_count - shown);
}

static void print_secrets(struct cli *cli, const struct manifest *m, bool all)
{
    char path[PATH_SHOWN_BYTES], raw[PATH_SHOWN_BYTES];
    if (m->secret_count == 0)
        return;
    cli_print(cli, "  secret     %zu sensitive file%s, %s:", m->secret_count, m->secret_count == 1 ? "" : "s",
              manifest_leaves_secrets_out(m) ? "left out, since the archive is not encrypted"
                                             : "encrypted with all the rest");
    size_t shown = all || m->secret_count <= SHOWN_SECRETS ? m->secret_count : SHOWN_SECRETS;
    for (size_t i = 0; i < shown; i++)
        cli_print(cli, "               %s   (%s%s)",
                  cli_printable(short_path(m->secrets[i].path, raw, sizeof raw), path, sizeof path), m->secrets[i].what,
                  m->secrets[i].exposed ? "; other users can read it" : "");
    if (shown < m->secret_count)
        cli_print(cli, "               … and %zu more (--all shows them)", m->secret_count - shown);
}

static void look(const struct plan_destination *d, const char *state_dir, struct destination_check *out)
{
    const struct destination_options options = {.state_dir = state_dir, .look_only = true};
    destination_check(d, &options, out);
}

static void forecast_of(const struct plan *p, const struct plan_destination *d, const char *state_dir, char *out,
                        size_t cap)
{
    struct timespec now = os_now();
    struct forecast f;
    forecast_destination(p, d, state_dir, (int64_t)now.tv_sec * 1000, &f);
    forecast_describe(&f, out, cap);
}

static void print_destinations(struct cli *cli, const struct plan *p, const struct plan_tier *t, const char *state_dir)
{
    for (size_t i = 0; i < t->to.count; i++) {
        const struct plan_destination *d = plan_destination_find(p, t->to.items[i]);
        struct destination_check c;
        char bytes[24], forecast[256];
        look(d, state_dir, &c);
        forecast_of(p, d, state_dir, forecast, sizeof forecast);
        if (c.problem != DESTINATION_OK)
            cli_print(cli, "  goes to    %s: %s   NOT READY: %s", d->name, d->location,
                      destination_problem_name(c.problem));
        else if (c.total_bytes > 0)
            cli_print(cli, "  goes to    %s: %s   %s free (%s)", d->name, d->location, bytes_text(c.free_bytes, bytes),
                      forecast);
        else
            cli_print(cli, "  goes to    %s: %s", d->name, d->location);
        destination_check_release(&c);
    }
}

static void print_manifest(struct cli *cli, const struct plan *p, const struct manifest *m, const char *state_dir,
                           bool all)
{
    char count[32], bytes[24], excluded[24];
    struct buf when;
    buf_init(&when, 1 << 16);
    schedule_text(&m->tier->schedule, &when);
    buf_append_str(&when, "; ");
    keep_text(&m->tier->keep, &when);
    cli_print(cli, "%s%s: %s%s", cli->color_out ? "\033[1m" : "", m->tier->name, buf_cstr(&when),
              cli->color_out ? "\033[0m" : "");
    buf_release(&when);
    print_paths(cli, m);
    print_items(cli, m);
    for (size_t i = 0; i < m->unreadable.count; i++)
        cli_print(cli, "  unreadable %s", m->unreadable.items[i]);
    if (m->unreadable_count > m->unreadable.count)
        cli_print(cli, "  unreadable … and %s more", cli_count(m->unreadable_count - m->unreadable.count, count));
    print_excludes(cli, m, all);
    print_secrets(cli, m, all);
    print_destinations(cli, p, m->tier, state_dir);
    if (m->path_count > 0)
        cli_print(cli, "  together   %s files, %s; %s left out", cli_count(m->files, count),
                  bytes_text(m->bytes, bytes), bytes_text(m->excluded_bytes, excluded));
    cli_print(cli, "%s", "");
}

/* --- for programs --- */

static json_t *paths_json(const struct manifest *m)
{
    json_t *out = json_array();
    for (size_t i = 0; i < m->path_count; i++)
        json_array_append_new(out,
                              json_pack("{s:o, s:b, s:I, s:I, s:I}", "path", text_json(m->paths[i].path), "missing",
                                        m->paths[i].missing, "files", (json_int_t)m->paths[i].files, "dirs",
                                        (json_int_t)m->paths[i].dirs, "bytes", (json_int_t)m->paths[i].bytes));
    return out;
}

static json_t *items_json(const struct manifest *m)
{
    json_t *out = json_array();
    for (size_t i = 0; i < m->item_count; i++) {
        const struct manifest_item *item = &m->items[i];
        json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:o, s:b, s:b}", "kind", item->kind, "name",
                                             text_json(item->name), "detail", text_json(item->detail), "bytes",
                                             item->bytes_known ? json_integer((json_int_t)item->bytes) : json_null(),
                                             "problem", item->problem, "absent", item->absent));
    }
    return out;
}

static json_t *excludes_json(const struct manifest *m)
{
    json_t *out = json_array();
    for (size_t i = 0; i < m->exclude_count; i++) {
        const struct manifest_exclude *e = &m->excludes[i];
        json_array_append_new(out, json_pack("{s:o, s:o, s:I, s:I, s:o}", "rule", text_json(e->rule), "why",
                                             text_json(e->why), "files", (json_int_t)e->files, "bytes",
                                             (json_int_t)e->bytes, "example", text_json(e->example)));
    }
    return out;
}

static json_t *secrets_json(const struct manifest *m)
{
    json_t *out = json_array();
    for (size_t i = 0; i < m->secret_count; i++)
        json_array_append_new(out, json_pack("{s:o, s:s, s:b}", "path", text_json(m->secrets[i].path), "what",
                                             m->secrets[i].what, "exposed", m->secrets[i].exposed));
    return out;
}

static json_t *destinations_json(const struct plan *p, const struct plan_tier *t, const char *state_dir)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->to.count; i++) {
        const struct plan_destination *d = plan_destination_find(p, t->to.items[i]);
        struct destination_check c;
        char forecast[256];
        look(d, state_dir, &c);
        forecast_of(p, d, state_dir, forecast, sizeof forecast);
        json_t *one = json_pack("{s:o, s:o, s:s, s:o}", "name", text_json(d->name), "location", text_json(d->location),
                                "state", destination_problem_name(c.problem), "forecast", text_json(forecast));
        if (c.total_bytes > 0) {
            json_object_set_new(one, "free_bytes", json_integer((json_int_t)c.free_bytes));
            json_object_set_new(one, "total_bytes", json_integer((json_int_t)c.total_bytes));
        }
        if (c.problem != DESTINATION_OK)
            json_object_set_new(one, "message", text_json(c.err.message));
        json_array_append_new(out, one);
        destination_check_release(&c);
    }
    return out;
}

static json_t *unreadable_json(const struct manifest *m)
{
    json_t *out = json_array();
    for (size_t i = 0; i < m->unreadable.count; i++)
        json_array_append_new(out, text_json(m->unreadable.items[i]));
    return out;
}

static void manifest_json(struct cli *cli, const struct plan *p, const struct manifest *m, const char *state_dir)
{
    struct buf keep, when;
    buf_init(&keep, 1 << 16);
    buf_init(&when, 1 << 16);
    keep_text(&m->tier->keep, &keep);
    schedule_text(&m->tier->schedule, &when);
    json_t *doc = json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "message_type", "tier", "tier",
                            text_json(m->tier->name), "format",
                            m->tier->format == PLAN_ARCHIVE ? "archive" : "repository", "paths", paths_json(m),
                            "sources", items_json(m), "excludes", excludes_json(m), "secrets", secrets_json(m),
                            "destinations", destinations_json(p, m->tier, state_dir), "unreadable", unreadable_json(m));
    json_object_set_new(doc, "encrypted",
                        json_boolean(!(m->tier->format == PLAN_ARCHIVE && m->tier->archive.unencrypted)));
    json_object_set_new(doc, "schedule", text_json(buf_cstr(&when)));
    json_object_set_new(doc, "keep", text_json(buf_cstr(&keep)));
    json_object_set_new(doc, "files", json_integer((json_int_t)m->files));
    json_object_set_new(doc, "dirs", json_integer((json_int_t)m->dirs));
    json_object_set_new(doc, "bytes", json_integer((json_int_t)m->bytes));
    json_object_set_new(doc, "excluded_files", json_integer((json_int_t)m->excluded_files));
    json_object_set_new(doc, "excluded_bytes", json_integer((json_int_t)m->excluded_bytes));
    json_object_set_new(doc, "unreadable_count", json_integer((json_int_t)m->unreadable_count));
    cli_json(cli, doc);
    buf_release(&keep);
    buf_release(&when);
}

/* --- which tiers --- */

static int no_such_tier(const struct plan *p, const char *name, struct err *err)
{
    struct strlist names = {0};
    for (size_t i = 0; i < p->tier_count; i++)
        strlist_add(&names, p->tiers[i].name);
    char *list = strlist_join(&names, ", ");
    err_set(err, ERR_USAGE, "there is no tier '%s'; there are: %s", name, list);
    free(list);
    strlist_release(&names);
    return -1;
}

/* Those that arguments name, or all that are not disabled; the caller frees *out. */
static int choose_tiers(const struct plan *p, int argc, char **argv, const struct plan_tier ***out, size_t *count_out,
                        struct err *err)
{
    size_t max = (argc > 0 ? (size_t)argc : p->tier_count) + 1;
    const struct plan_tier **chosen = mem_zalloc(max * sizeof(struct plan_tier *));
    size_t count = 0;
    for (size_t i = 0; argc == 0 && i < p->tier_count; i++)
        if (!p->tiers[i].disabled)
            chosen[count++] = &p->tiers[i];
    for (int i = 0; i < argc; i++) {
        chosen[count] = plan_tier_find(p, argv[i]);
        if (chosen[count++] == NULL) {
            free((void *)(uintptr_t)chosen);
            return no_such_tier(p, argv[i], err);
        }
    }
    *out = chosen;
    *count_out = count;
    return 0;
}

/* --- all of it --- */

static void draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    struct manifest_progress *p = ctx;
    char files[32], bytes[24];
    (void)columns;
    snprintf(out, cap, "looking: %s files, %s…", cli_count(atomic_load(&p->files), files),
             bytes_text(atomic_load(&p->bytes), bytes));
}

static int one_tier(struct cli *cli, const struct plan *p, const struct plan_tier *t, const struct plan_args *args,
                    const char *state_dir, struct err *err)
{
    char *cache_dir = cli_cache_dir(cli);
    const struct manifest_options options = {
        .cache_dir = cache_dir, .look_into = true, .servers = !args->no_servers, .server_timeout_ms = SERVER_MS};
    struct manifest_progress counters = {0};
    struct manifest m;
    struct cli_progress *progress = cli_progress_start(cli, draw, &counters);
    int rc = manifest_make(p, t, &options, &counters, &m, err);
    cli_progress_stop(progress);
    if (rc == 0 && cli->json)
        manifest_json(cli, p, &m, state_dir);
    else if (rc == 0)
        print_manifest(cli, p, &m, state_dir, args->all);
    manifest_release(&m);
    free(cache_dir);
    return rc;
}

static int run_plan_command(struct cli *cli, void *options, int argc, char **argv)
{
    const struct plan_args *args = options;
    const struct plan_tier **tiers = NULL;
    struct plan *plan = NULL;
    struct err err = {0};
    size_t count = 0;
    char *state_dir = record_state_dir();
    int rc = cli_load_plan(cli, args->config, &plan, &err);
    if (rc == 0)
        rc = choose_tiers(plan, argc, argv, &tiers, &count, &err);
    if (rc == 0)
        cli_be_nice(cli);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = one_tier(cli, plan, tiers[i], args, state_dir, &err);
    free((void *)(uintptr_t)tiers);
    free(state_dir);
    plan_free(plan);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback plan", "what every tier would take, and what it leaves out"},
    {"clawback plan config --all", "one tier, with every exclude and every sensitive file"},
    {NULL, NULL},
};

const struct command cmd_plan = {
    .name = "plan",
    .arguments = "[TIER…]",
    .summary = "Show what each tier would take, leave out, and where it would go",
    .description =
        "The manifest: for each tier its paths with files and sizes, repositories and databases, what is left "
        "out and why, which files hold secrets (by name, and by what they look like; contents are never "
        "shown), and the destinations. It is made by the same walk as a backup, and changes nothing.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct plan_args),
    .examples = EXAMPLES,
    .group = "Plan",
    .run = run_plan_command,
};
