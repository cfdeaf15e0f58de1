/* Changing tags. A snapshot is a file named by its content: it is written anew, then the old one is removed. */
#include <stdlib.h>
#include <string.h>
#include "cli/commands.h"
#include "cli/snapshot_text.h"
#include "os/interrupt.h"

struct tag_options {
    struct cli_snapshot_filter filter;
    struct strlist set, add, remove;
    bool set_given;
};

static const struct option OPTIONS[] = {
    {.name = "set",
     .kind = OPTION_LIST,
     .offset = offsetof(struct tag_options, set),
     .set_offset = offsetof(struct tag_options, set_given),
     .metavar = "TAG[,TAG…]",
     .group = "What to change",
     .help = "replace all tags by these; '' leaves none"},
    {.name = "add",
     .kind = OPTION_LIST,
     .offset = offsetof(struct tag_options, add),
     .metavar = "TAG[,TAG…]",
     .help = "add these"},
    {.name = "remove",
     .kind = OPTION_LIST,
     .offset = offsetof(struct tag_options, remove),
     .metavar = "TAG[,TAG…]",
     .help = "remove these"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct tag_options, filter),
    OPTION_END,
};

static void split_all(const struct strlist *lists, struct strlist *out)
{
    for (size_t i = 0; i < lists->count; i++)
        snapshot_split_tags(lists->items[i], out);
}

static void add_missing(struct strlist *to, const struct strlist *tags)
{
    for (size_t i = 0; i < tags->count; i++)
        if (!strlist_contains(to, tags->items[i]))
            strlist_add(to, tags->items[i]);
}

/* The new tags in order; true when they differ from what is there. */
static bool retag(const struct snapshot *s, const struct tag_options *o, struct strlist *out)
{
    struct strlist set = {0}, add = {0}, remove = {0};
    split_all(&o->set, &set);
    split_all(&o->add, &add);
    split_all(&o->remove, &remove);
    if (!o->set_given)
        strlist_copy(out, &s->tags);
    add_missing(out, &set);
    add_missing(out, &add);
    for (size_t i = 0; i < remove.count; i++)
        strlist_remove(out, remove.items[i]);
    strlist_release(&set);
    strlist_release(&add);
    strlist_release(&remove);
    return !strlist_equal(out, &s->tags);
}

/* New file first: whatever happens, the snapshot is there at least once. */
static int rewrite(struct cli *cli, struct repo *repo, struct codec *codec, struct snapshot *s, struct strlist *tags,
                   struct err *err)
{
    struct id old = s->id;
    char hex[ID_HEX_BYTES];
    if (!s->has_original) {
        s->has_original = true;
        s->original = old;
    }
    struct strlist before = s->tags;
    s->tags = *tags;
    *tags = before;
    if (repo_save_snapshot(repo, codec, s, err) < 0 ||
        (!id_equal(&old, &s->id) && store_remove(repo->store, STORE_SNAPSHOT, id_to_hex(&old, hex), err) < 0))
        return err_wrap(err, "cannot change the tags of snapshot '%.8s'", id_to_hex(&old, hex));
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:o, s:o}", "message_type", "changed", "old_snapshot_id", cli_json_id(&old),
                                "new_snapshot_id", cli_json_id(&s->id)));
    else if (cli->verbose > 0) {
        char short_id[2][ID_SHORT_CHARS + 1];
        cli_note(cli, "%s is now %s", id_to_short(&old, short_id[0]), id_to_short(&s->id, short_id[1]));
    }
    return 0;
}

static bool chosen(const struct snapshot *s, const struct tag_options *o, const struct id *ids, size_t id_count)
{
    for (size_t i = 0; i < id_count; i++)
        if (id_equal(&ids[i], &s->id))
            return true;
    return id_count == 0 && cli_snapshot_matches(&o->filter, s);
}

static int retag_all(struct cli *cli, struct repo *repo, const struct tag_options *o, const struct id *ids,
                     size_t id_count, uint64_t *changed, struct err *err)
{
    struct snapshot_list list = {0};
    if (repo_load_snapshots(repo, &list, NULL, err) < 0)
        return -1;
    struct codec *codec = codec_new(repo, err);
    int rc = codec == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        if (!chosen(&list.items[i], o, ids, id_count))
            continue;
        struct strlist tags = {0};
        if (retag(&list.items[i], o, &tags)) {
            rc = os_check_interrupt(err);
            if (rc == 0)
                rc = rewrite(cli, repo, codec, &list.items[i], &tags, err);
            *changed += rc == 0;
        }
        strlist_release(&tags);
    }
    codec_free(codec);
    snapshot_list_release(&list);
    return rc;
}

static int run_tag(struct cli *cli, void *options, int argc, char **argv)
{
    const struct tag_options *o = options;
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    struct id *ids = NULL;
    uint64_t changed = 0;
    if (!o->set_given && o->add.count == 0 && o->remove.count == 0)
        err_set(&err, ERR_USAGE, "nothing to do: give --set, --add or --remove");
    else if (o->set_given && (o->add.count > 0 || o->remove.count > 0))
        err_set(&err, ERR_USAGE, "--set and --add or --remove exclude each other");
    if (err.code != ERR_NONE || cli_open_locked(cli, CLI_LOCK_EXCLUSIVE, false, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = cli_find_snapshot_ids(cli, repo, &o->filter, argc, argv, &ids, &err);
    if (rc == 0)
        rc = retag_all(cli, repo, o, ids, (size_t)argc, &changed, &err);
    free(ids);
    lock_release(lock);
    repo_free(repo);
    if (rc < 0)
        return cli_fail(cli, &err);
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:I}", "message_type", "summary", "changed_snapshots", (json_int_t)changed));
    else
        cli_print(cli, "changed the tags of %llu snapshot%s", (unsigned long long)changed, changed == 1 ? "" : "s");
    return 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback tag --add keep latest", "mark the newest snapshot"},
    {"clawback tag --set '' --tag old", "take all tags from the snapshots that have the tag 'old'"},
    {NULL, NULL},
};

const struct command cmd_tag = {
    .name = "tag",
    .arguments = "[ID…]",
    .summary = "Change the tags of snapshots",
    .description =
        "Without an ID, of all snapshots that match --host, --tag and --path. A snapshot whose tags change gets a "
        "new ID and remembers its first one ('original').",
    .options = OPTIONS,
    .options_bytes = sizeof(struct tag_options),
    .examples = EXAMPLES,
    .group = "Tidying",
    .run = run_tag,
};
