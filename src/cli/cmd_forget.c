/* Removing snapshots by a policy or by their IDs. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/prune_run.h"
#include "cli/snapshot_text.h"
#include "cli/table.h"
#include "engine/forget.h"
#include "os/clock.h"

struct forget_command_options {
    int64_t last, hourly, daily, weekly, monthly, yearly;
    const char *within, *within_hourly, *within_daily, *within_weekly, *within_monthly, *within_yearly;
    struct strlist keep_tags;
    struct cli_snapshot_filter filter;
    const char *group_by;
    bool compact, dry_run, prune;
    struct prune_args prune_args;
};

#define KEEP_COUNT(long_name, letter, member, what)                                             \
    {                                                                                           \
        .name = "keep-" long_name, .short_name = letter, .kind = OPTION_COUNT,                  \
        .offset = offsetof(struct forget_command_options, member), .metavar = "N", .help = what \
    }
#define KEEP_WITHIN(long_name, member, what)                                                           \
    {                                                                                                  \
        .name = "keep-within" long_name, .kind = OPTION_STRING,                                        \
        .offset = offsetof(struct forget_command_options, member), .metavar = "DURATION", .help = what \
    }

static const struct option OPTIONS[] = {
    {.name = "keep-last",
     .short_name = 'l',
     .kind = OPTION_COUNT,
     .offset = offsetof(struct forget_command_options, last),
     .metavar = "N",
     .group = "What to keep",
     .help = "the newest N ('all' for this and the next: no limit)"},
    KEEP_COUNT("hourly", 'H', hourly, "the newest of each of N hours"),
    KEEP_COUNT("daily", 'd', daily, "the newest of each of N days"),
    KEEP_COUNT("weekly", 'w', weekly, "the newest of each of N weeks"),
    KEEP_COUNT("monthly", 'm', monthly, "the newest of each of N months"),
    KEEP_COUNT("yearly", 'y', yearly, "the newest of each of N years"),
    KEEP_WITHIN("", within, "all that are less than this older than the newest; like 1y5m7d2h"),
    KEEP_WITHIN("-hourly", within_hourly, "the newest of each hour within this time"),
    KEEP_WITHIN("-daily", within_daily, "the newest of each day within this time"),
    KEEP_WITHIN("-weekly", within_weekly, "the newest of each week within this time"),
    KEEP_WITHIN("-monthly", within_monthly, "the newest of each month within this time"),
    KEEP_WITHIN("-yearly", within_yearly, "the newest of each year within this time"),
    {.name = "keep-tag",
     .kind = OPTION_LIST,
     .offset = offsetof(struct forget_command_options, keep_tags),
     .metavar = "TAG[,TAG…]",
     .help = "all that have these tags; again for others"},
    {.name = "host",
     .kind = OPTION_LIST,
     .offset = offsetof(struct forget_command_options, filter.hosts),
     .metavar = "NAME",
     .group = "Which snapshots",
     .help = "only snapshots of this host"},
    {.name = "tag",
     .kind = OPTION_LIST,
     .offset = offsetof(struct forget_command_options, filter.tags),
     .metavar = "TAG[,TAG…]",
     .help = "only snapshots that have all these tags; again for others"},
    {.name = "path",
     .kind = OPTION_LIST,
     .offset = offsetof(struct forget_command_options, filter.paths),
     .metavar = "PATH",
     .help = "only snapshots of this path; again for more, all must be in it"},
    {.name = "group-by",
     .short_name = 'g',
     .kind = OPTION_STRING,
     .offset = offsetof(struct forget_command_options, group_by),
     .metavar = "KEYS",
     .help = "apply the policy to each group by itself: host, paths, tags with commas between (default host,paths)"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct forget_command_options, dry_run),
     .group = "What to do",
     .help = "change nothing; say what would be removed, and why what is kept is kept"},
    {.name = "compact",
     .short_name = 'c',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct forget_command_options, compact),
     .help = "one line for each snapshot"},
    {.name = "prune",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct forget_command_options, prune),
     .help = "then remove the data that no snapshot needs, if any snapshot was removed"},
    PRUNE_OPTIONS(struct forget_command_options, prune_args),
    OPTION_END,
};

/* --- options --- */

static int count_of(int64_t n)
{
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

static int read_durations(const struct forget_command_options *o, struct retention_policy *p, struct err *err)
{
    const struct {
        const char *name, *text;
        struct retention_duration *out;
    } within[] = {
        {"keep-within", o->within, &p->within},
        {"keep-within-hourly", o->within_hourly, &p->within_hourly},
        {"keep-within-daily", o->within_daily, &p->within_daily},
        {"keep-within-weekly", o->within_weekly, &p->within_weekly},
        {"keep-within-monthly", o->within_monthly, &p->within_monthly},
        {"keep-within-yearly", o->within_yearly, &p->within_yearly},
    };
    for (size_t i = 0; i < sizeof within / sizeof *within; i++)
        if (within[i].text != NULL && retention_parse_duration(within[i].text, within[i].out, err) != 0)
            return err_wrap(err, "option '--%s'", within[i].name);
    return 0;
}

/* Released by release_policy(), also after a failure. */
static int read_policy(const struct forget_command_options *o, struct retention_policy *p, struct err *err)
{
    *p = (struct retention_policy){
        .last = count_of(o->last),
        .hourly = count_of(o->hourly),
        .daily = count_of(o->daily),
        .weekly = count_of(o->weekly),
        .monthly = count_of(o->monthly),
        .yearly = count_of(o->yearly),
        .now = os_now(),
    };
    p->keep_tags = mem_zalloc((o->keep_tags.count + 1) * sizeof *p->keep_tags);
    for (size_t i = 0; i < o->keep_tags.count; i++) {
        struct strlist *tags = &p->keep_tags[p->keep_tag_count++];
        snapshot_split_tags(o->keep_tags.items[i], tags);
        if (tags->count == 0)
            strlist_add(tags, ""); /* those without tags */
    }
    return read_durations(o, p, err);
}

static void release_policy(struct retention_policy *p)
{
    for (size_t i = 0; i < p->keep_tag_count; i++)
        strlist_release(&p->keep_tags[i]);
    free(p->keep_tags);
}

/* --- output --- */

/* Reasons are the last column, and there only for what is kept. */
static void add_row(struct cli_table *table, const struct forget_entry *e, bool compact)
{
    char id[ID_SHORT_CHARS + 1], when[OS_TIME_BYTES];
    const struct snapshot *s = e->snapshot;
    const char *separator = compact ? ", " : "\n";
    char *tags = strlist_join(&s->tags, compact ? "," : "\n"), *paths = strlist_join(&s->paths, separator);
    char *reasons = strlist_join(&e->item.reasons, separator);
    cli_table_row(table, (const char *const[]){id_to_short(&s->id, id), os_time_format_human(&s->time, when),
                                               s->hostname, tags, paths, reasons});
    free(tags);
    free(paths);
    free(reasons);
}

static void print_entries(struct cli *cli, const struct forget_result *r, const struct forget_group *g, bool keep,
                          bool compact)
{
    const char *const headers[] = {"ID", "Time", "Host", "Tags", "Paths", keep ? "Reasons" : NULL, NULL};
    struct cli_table *table = cli_table_new(headers);
    char footer[64], number[32];
    size_t count = 0;
    for (size_t i = g->begin; i < g->end; i++) {
        if (r->entries[i].item.keep != keep)
            continue;
        add_row(table, &r->entries[i], compact);
        count++;
    }
    if (count > 0) {
        snprintf(footer, sizeof footer, "%s snapshot%s", cli_count(count, number), count == 1 ? "" : "s");
        cli_print(cli, "%s %s:", keep ? "keep" : "remove", footer);
        cli_table_print(cli, table, footer);
        cli_print(cli, "%s", "");
    }
    cli_table_free(table);
}

static void print_heading(struct cli *cli, const struct snapshot *s, const struct snapshot_grouping *by)
{
    char *paths = strlist_join(&s->paths, ", "), *tags = strlist_join(&s->tags, ", ");
    struct buf text;
    buf_init(&text, REPO_UNPACKED_MAX_BYTES);
    if (by->host)
        buf_printf(&text, ", host [%s]", s->hostname != NULL ? s->hostname : "");
    if (by->tags)
        buf_printf(&text, ", tags [%s]", tags);
    if (by->paths)
        buf_printf(&text, ", paths [%s]", paths);
    if (text.len > 2) {
        size_t cap = text.len * 10 + 1;
        char *shown = mem_alloc(cap);
        cli_print(cli, "snapshots for (%s):", cli_printable(buf_cstr(&text) + 2, shown, cap));
        free(shown);
    }
    buf_release(&text);
    free(paths);
    free(tags);
}

static void print_groups(struct cli *cli, const struct forget_result *r, const struct forget_options *o, bool compact)
{
    struct buf policy;
    buf_init(&policy, 64 << 10);
    retention_describe(&o->policy, &policy);
    cli_print(cli, "policy: %s\n", buf_cstr(&policy));
    buf_release(&policy);
    for (size_t i = 0; i < r->group_count; i++) {
        print_heading(cli, r->entries[r->groups[i].begin].snapshot, &o->grouping);
        print_entries(cli, r, &r->groups[i], true, compact);
        print_entries(cli, r, &r->groups[i], false, compact);
    }
    if (r->group_count == 0)
        cli_note(cli, "there are no such snapshots");
}

static json_t *strings_json(const struct strlist *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, cli_json_string(list->items[i], strlen(list->items[i])));
    return array;
}

static json_t *entries_json(const struct forget_result *r, const struct forget_group *g, bool keep)
{
    json_t *list = json_array();
    for (size_t i = g->begin; i < g->end; i++)
        if (r->entries[i].item.keep == keep)
            json_array_append_new(list, snapshot_json(r->entries[i].snapshot));
    return list;
}

static json_t *reasons_json(const struct forget_result *r, const struct forget_group *g)
{
    json_t *list = json_array();
    for (size_t i = g->begin; i < g->end; i++)
        if (r->entries[i].item.keep)
            json_array_append_new(list, json_pack("{s:o, s:o}", "snapshot", snapshot_json(r->entries[i].snapshot),
                                                  "matches", strings_json(&r->entries[i].item.reasons)));
    return list;
}

static json_t *group_json(const struct forget_result *r, const struct forget_group *g,
                          const struct snapshot_grouping *by)
{
    const struct snapshot *s = r->entries[g->begin].snapshot;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "tags", by->tags ? strings_json(&s->tags) : json_null(), "host",
                     by->host && s->hostname != NULL ? cli_json_string(s->hostname, strlen(s->hostname))
                                                     : json_string(""),
                     "paths", by->paths ? strings_json(&s->paths) : json_null(), "keep", entries_json(r, g, true),
                     "remove", entries_json(r, g, false), "reasons", reasons_json(r, g));
}

static void print_json(struct cli *cli, const struct forget_result *r, const struct forget_options *o)
{
    json_t *groups = json_array(), *ids = json_array();
    for (size_t i = 0; i < r->group_count; i++)
        json_array_append_new(groups, group_json(r, &r->groups[i], &o->grouping));
    for (size_t i = 0; i < r->remove_count; i++)
        json_array_append_new(ids, cli_json_id(&r->remove[i]));
    if (o->id_count == 0) {
        cli_json(cli, groups);
        json_decref(ids);
        return;
    }
    json_decref(groups);
    cli_json(cli,
             json_pack("{s:s, s:b, s:o}", "message_type", "summary", "dry_run", o->dry_run, "removed_snapshots", ids));
}

/* A snapshot that cannot be read has an ID only. */
static void print_one_removed(struct cli *cli, const struct forget_result *r, const struct id *id, bool dry_run)
{
    char short_id[ID_SHORT_CHARS + 1], when[OS_TIME_BYTES], path[4096];
    const struct snapshot *s = NULL;
    for (size_t i = 0; i < r->entry_count && s == NULL; i++)
        if (id_equal(&r->entries[i].snapshot->id, id))
            s = r->entries[i].snapshot;
    const char *verb = dry_run ? "would remove" : "removed";
    id_to_short(id, short_id);
    if (s == NULL)
        cli_print(cli, "%s %s", verb, short_id);
    else
        cli_print(cli, "%s %s of %s, %s%s%s%s", verb, short_id, os_time_format_human(&s->time, when),
                  s->hostname != NULL ? s->hostname : "unknown host", s->paths.count > 0 ? ", " : "",
                  s->paths.count > 0 ? cli_printable(s->paths.items[0], path, sizeof path) : "",
                  s->paths.count > 1 ? " and more" : "");
}

static void print_removed(struct cli *cli, const struct forget_result *r, bool by_id, bool dry_run)
{
    char number[32];
    bool named = cli->verbose > 0 || (by_id && dry_run && !cli->quiet); /* by policy, the groups have named them */
    for (size_t i = 0; named && i < r->remove_count; i++)
        print_one_removed(cli, r, &r->remove[i], dry_run);
    cli_print(cli, "%s %s snapshot%s", dry_run ? "would remove" : "removed",
              cli_count(dry_run ? r->remove_count : r->removed, number),
              (dry_run ? r->remove_count : r->removed) == 1 ? "" : "s");
}

static void print_result(struct cli *cli, const struct forget_result *r, const struct forget_options *o, bool compact)
{
    if (cli->json) {
        print_json(cli, r, o);
        return;
    }
    if (o->id_count == 0 && !cli->quiet)
        print_groups(cli, r, o, compact);
    print_removed(cli, r, o->id_count > 0, o->dry_run);
}

/* --- the run --- */

static int prune_after(struct cli *cli, struct repo *repo, struct lock *lock, const struct forget_command_options *o,
                       const struct forget_result *r)
{
    struct prune_options prune;
    if (!o->prune || r->remove_count == 0)
        return 0;
    prune_args_read(&o->prune_args, &prune, NULL); /* was good before anything began */
    prune.dry_run = o->dry_run;
    prune.ignore_snapshots = r->remove;
    prune.ignore_count = o->dry_run ? r->remove_count : 0;
    return prune_run_and_print(cli, repo, lock, &prune);
}

static int forget(struct cli *cli, struct repo *repo, struct lock *lock, const struct forget_command_options *o,
                  const struct forget_options *options)
{
    struct forget_result result;
    struct err err = {0};
    int rc = forget_run(repo, lock, options, &result, &err), status = 0;
    if (rc == 0) {
        print_result(cli, &result, options, o->compact);
        status = prune_after(cli, repo, lock, o, &result);
    } else if (result.removed > 0) {
        cli_warn(cli, "%zu of %zu snapshots were removed before this:", result.removed, result.remove_count);
    }
    for (size_t i = 0; rc == 0 && options->id_count == 0 && i < result.broken.count; i++)
        cli_warn(cli, "%s", result.broken.items[i]);
    if (rc == 0 && options->id_count == 0 && result.broken.count > 0)
        rc = err_set(&err, ERR_CORRUPT,
                     "%zu snapshot%s cannot be read and stayed; 'forget ID' removes what is of no use",
                     result.broken.count, result.broken.count == 1 ? "" : "s");
    forget_result_release(&result);
    return rc != 0 ? cli_fail(cli, &err) : status;
}

static int locked_run(struct cli *cli, struct forget_command_options *o, struct forget_options *options, int argc,
                      char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (cli_open_locked(cli, CLI_LOCK_EXCLUSIVE, false, &repo, &lock, &err) != 0)
        return cli_fail(cli, &err);
    struct id *ids;
    int status;
    options->match = cli_snapshot_match;
    options->match_ctx = &o->filter;
    options->id_count = (size_t)argc;
    if (cli_find_snapshot_ids(cli, repo, &o->filter, argc, argv, &ids, &err) != 0) {
        status = cli_fail(cli, &err);
    } else {
        options->ids = ids;
        status = forget(cli, repo, lock, o, options);
    }
    free(ids);
    lock_release(lock);
    repo_free(repo);
    return status;
}

static int run_forget(struct cli *cli, void *options, int argc, char **argv)
{
    struct forget_command_options *o = options;
    struct forget_options forget_options = {.dry_run = o->dry_run};
    struct prune_options prune;
    struct err err = {0};
    int status;
    int rc = read_policy(o, &forget_options.policy, &err);
    if (rc == 0)
        rc = grouping_parse(o->group_by != NULL ? o->group_by : "host,paths", &forget_options.grouping, &err);
    if (rc == 0)
        rc = prune_args_read(&o->prune_args, &prune, &err);
    if (rc == 0 && argc == 0 && retention_is_empty(&forget_options.policy))
        rc = err_set(&err, ERR_USAGE,
                     "nothing says what to keep (--keep-last, --keep-daily, …) or which snapshots to "
                     "remove; nothing was removed");
    status = rc != 0 ? cli_fail(cli, &err) : locked_run(cli, o, &forget_options, argc, argv);
    release_policy(&forget_options.policy);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback forget --keep-last 12 --keep-daily 7 --keep-weekly 4 --dry-run", "try a policy"},
    {"clawback forget --keep-within-daily 30d --tag tier=hourly --prune",
     "for one tier's snapshots, and free the space"},
    {"clawback forget 4bba301e", "remove one snapshot"},
    {NULL, NULL},
};

const struct command cmd_forget = {
    .name = "forget",
    .arguments = "[ID…]",
    .summary = "Remove snapshots that a policy does not keep",
    .description =
        "Snapshots are put into groups (by host and paths, unless --group-by says otherwise), and the "
        "policy is applied to each "
        "group. A snapshot stays if any of the --keep rules keeps it; of each hour, day, week, month or "
        "year the newest counts. "
        "The last snapshot of a group is never removed by a policy, only by its ID. Backups of the agent home "
        "(which have the tag agent-home=…) are one group for each host, whatever paths were found.\n\n"
        "With IDs, exactly these snapshots are removed, whatever the policy.\n\n"
        "Forget removes only the snapshots themselves; 'prune' (or --prune) frees the space.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct forget_command_options),
    .examples = EXAMPLES,
    .group = "Tidying",
    .run = run_forget,
};
