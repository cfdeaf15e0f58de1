/* Listing snapshots: chosen, grouped, the newest of each group if asked. */
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/snapshot_text.h"
#include "cli/table.h"
#include "engine/grouping.h"
#include "os/clock.h"

struct snapshots_options {
    struct cli_snapshot_filter filter;
    int64_t latest;
    bool compact;
    const char *group_by;
};

static const struct option OPTIONS[] = {
    CLI_SNAPSHOT_FILTER_OPTIONS(struct snapshots_options, filter),
    {.name = "latest",
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct snapshots_options, latest),
     .min = 1,
     .max = INT32_MAX,
     .metavar = "N",
     .help = "only the newest N of each host and set of paths"},
    {.name = "group-by",
     .short_name = 'g',
     .kind = OPTION_STRING,
     .offset = offsetof(struct snapshots_options, group_by),
     .metavar = "KEYS",
     .group = "How they are shown",
     .help = "in groups by host, paths and tags: any of these, with commas between"},
    {.name = "compact",
     .short_name = 'c',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct snapshots_options, compact),
     .help = "one line each"},
    OPTION_END,
};

/* --- grouping --- */

struct row {
    const struct snapshot *snapshot;
    struct buf key; /* of its group */
    bool shown;
};

static void set_keys(struct row *rows, size_t count, const struct snapshot_grouping *by)
{
    for (size_t i = 0; i < count; i++) {
        buf_release(&rows[i].key);
        grouping_key(rows[i].snapshot, by, &rows[i].key);
    }
}

/* Rows are in order of time: of each group the last n stay. */
static void keep_latest(struct row *rows, size_t count, int64_t n)
{
    for (size_t i = 0; i < count; i++) {
        int64_t newer = 0;
        for (size_t k = i + 1; k < count && newer < n; k++)
            newer += grouping_compare(&rows[i].key, &rows[k].key) == 0;
        rows[i].shown = newer < n;
    }
}

/* --- what is shown --- */

static void add_row(struct cli_table *table, const struct snapshot *s, bool compact)
{
    char id[ID_SHORT_CHARS + 1], when[OS_TIME_BYTES], size[24] = "";
    char *tags = strlist_join(&s->tags, compact ? "," : "\n"), *paths = strlist_join(&s->paths, compact ? "," : "\n");
    if (s->has_summary)
        bytes_text(s->summary.total_bytes_processed, size);
    cli_table_row(table, (const char *const[]){id_to_short(&s->id, id), os_time_format_human(&s->time, when),
                                               s->hostname, tags, paths, size});
    free(tags);
    free(paths);
}

static json_t *string_array(const struct strlist *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, cli_json_string(list->items[i], strlen(list->items[i])));
    return array;
}

static json_t *group_key_json(const struct snapshot *s, const struct snapshot_grouping *by)
{
    return json_pack(
        "{s:o, s:o, s:o}", "hostname",
        by->host && s->hostname != NULL ? cli_json_string(s->hostname, strlen(s->hostname)) : json_string(""), "paths",
        by->paths ? string_array(&s->paths) : json_null(), "tags", by->tags ? string_array(&s->tags) : json_null());
}

static void print_group_heading(struct cli *cli, const struct snapshot *s, const struct snapshot_grouping *by)
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
    size_t cap = text.len * 10 + 1;
    char *shown = mem_alloc(cap);
    cli_print(cli, "snapshots for (%s):", cli_printable(buf_cstr(&text) + (text.len >= 2 ? 2 : 0), shown, cap));
    free(shown);
    free(paths);
    free(tags);
    buf_release(&text);
}

/* One group: the rows with this key that are shown. */
static void show_table(struct cli *cli, const struct row *rows, size_t count, const struct buf *key, bool compact)
{
    struct cli_table *table =
        cli_table_new((const char *const[]){"ID", "Time", "Host", "Tags", "Paths", ">Size", NULL});
    size_t shown = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i].shown && grouping_compare(&rows[i].key, key) == 0) {
            add_row(table, rows[i].snapshot, compact);
            shown++;
        }
    char footer[64], number[32];
    snprintf(footer, sizeof footer, "%s snapshot%s", cli_count(shown, number), shown == 1 ? "" : "s");
    cli_table_print(cli, table, footer);
    cli_table_free(table);
}

static json_t *json_list(const struct row *rows, size_t count, const struct buf *key)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (rows[i].shown && grouping_compare(&rows[i].key, key) == 0)
            json_array_append_new(list, snapshot_json(rows[i].snapshot));
    return list;
}

static bool key_seen_before(const struct row *rows, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (rows[i].shown && grouping_compare(&rows[i].key, &rows[index].key) == 0)
            return true;
    return false;
}

static void show(struct cli *cli, const struct row *rows, size_t count, const struct snapshots_options *o,
                 const struct snapshot_grouping *by)
{
    bool grouped = by->host || by->paths || by->tags;
    json_t *groups = json_array();
    size_t shown = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].shown || key_seen_before(rows, i))
            continue;
        shown++;
        if (cli->json && grouped)
            json_array_append_new(groups, json_pack("{s:o, s:o}", "group_key", group_key_json(rows[i].snapshot, by),
                                                    "snapshots", json_list(rows, count, &rows[i].key)));
        else if (cli->json) {
            json_t *list = json_list(rows, count, &rows[i].key);
            json_array_extend(groups, list);
            json_decref(list);
        } else {
            if (grouped)
                print_group_heading(cli, rows[i].snapshot, by);
            show_table(cli, rows, count, &rows[i].key, o->compact);
        }
    }
    if (cli->json) {
        cli_json(cli, groups);
        return;
    }
    json_decref(groups);
    if (shown == 0)
        cli_note(cli, "there are no such snapshots");
}

/* --- the run --- */

static bool named(int argc, char **argv, const struct id *id)
{
    char hex[ID_HEX_BYTES];
    id_to_hex(id, hex);
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], hex, strlen(argv[i])) == 0)
            return true;
    return false;
}

/* Every ID given must name one snapshot; "latest" among them is the newest match. */
static int check_names(struct repo *repo, int argc, char **argv, const struct snapshot_list *list,
                       const struct cli_snapshot_filter *filter, char latest[ID_HEX_BYTES], struct err *err)
{
    for (int i = 0; i < argc; i++) {
        struct id id;
        if (strcmp(argv[i], "latest") != 0) {
            if (repo_find_id(repo, STORE_SNAPSHOT, argv[i], &id, err) < 0)
                return -1;
            continue;
        }
        size_t k = list->count;
        while (k > 0 && !cli_snapshot_matches(filter, &list->items[k - 1]))
            k--;
        if (k == 0)
            return err_set(err, ERR_NOT_FOUND, "no snapshot matches");
        argv[i] = id_to_hex(&list->items[k - 1].id, latest);
    }
    return 0;
}

static int list_snapshots(struct cli *cli, struct repo *repo, const struct snapshots_options *o,
                          const struct snapshot_grouping *by, int argc, char **argv, struct err *err)
{
    struct snapshot_grouping default_by = {.host = true, .paths = true};
    struct snapshot_list list = {0};
    struct strlist broken = {0};
    char latest[ID_HEX_BYTES];
    if (repo_load_snapshots(repo, &list, &broken, err) < 0) {
        strlist_release(&broken);
        return -1;
    }
    for (size_t i = 0; i < broken.count; i++)
        cli_warn(cli, "%s", broken.items[i]);
    int rc = check_names(repo, argc, argv, &list, &o->filter, latest, err);
    struct row *rows = mem_zalloc((list.count + 1) * sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        if (argc > 0 ? named(argc, argv, &list.items[i].id) : cli_snapshot_matches(&o->filter, &list.items[i]))
            rows[count++] = (struct row){.snapshot = &list.items[i], .shown = true};
    if (o->latest > 0) {
        set_keys(rows, count, &default_by);
        keep_latest(rows, count, o->latest);
    }
    set_keys(rows, count, by);
    if (rc == 0)
        show(cli, rows, count, o, by);
    for (size_t i = 0; i < count; i++)
        buf_release(&rows[i].key);
    free(rows);
    snapshot_list_release(&list);
    if (rc == 0 && broken.count > 0)
        rc = err_set(err, ERR_CORRUPT, "%zu snapshot%s cannot be read", broken.count, broken.count == 1 ? "" : "s");
    strlist_release(&broken);
    return rc;
}

static int run_snapshots(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    struct snapshot_grouping by;
    const struct snapshots_options *o = options;
    if (grouping_parse(o->group_by != NULL ? o->group_by : "", &by, &err) < 0 ||
        cli_open_locked(cli, CLI_LOCK_SHARED, false, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = list_snapshots(cli, repo, o, &by, argc, argv, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback snapshots --latest 1", "the newest of each host and set of paths"},
    {"clawback snapshots --tag tier=hourly --group-by host,paths", "one tier's, in groups"},
    {NULL, NULL},
};

const struct command cmd_snapshots = {
    .name = "snapshots",
    .arguments = "[ID…]",
    .summary = "List the snapshots",
    .options = OPTIONS,
    .options_bytes = sizeof(struct snapshots_options),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_snapshots,
};
