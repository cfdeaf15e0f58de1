/* Checking a repository, and saying what any damage means. */
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/damage_report.h"
#include "cli/engine_progress.h"
#include "engine/check.h"

enum { SHOWN_OF_A_KIND = 20, KINDS = CHECK_DUPLICATE + 1 };

struct check_command_options {
    bool read_data, unused;
    const char *subset;
};

static const struct option OPTIONS[] = {
    {.name = "read-data",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct check_command_options, read_data),
     .help = "read every pack and prove every byte"},
    {.name = "read-data-subset",
     .kind = OPTION_STRING,
     .offset = offsetof(struct check_command_options, subset),
     .metavar = "PART",
     .help = "read a part: n/t (the n-th of t), x% or a size like 500M (chosen at random)"},
    {.name = "check-unused",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct check_command_options, unused),
     .help = "count blobs that no snapshot needs as errors"},
    OPTION_END,
};

/* What the reporter collects for people; programs get every line. */
struct view {
    struct cli *cli;
    uint64_t seen[KINDS];
    struct damage_report *damage;
};

static void problem_json(struct cli *cli, const struct check_problem *p)
{
    bool is_error = check_kind_is_error(p->kind);
    json_t *doc = json_pack("{s:s, s:s, s:o}", "message_type", is_error ? "error" : "note", "kind",
                            check_kind_name(p->kind), "message", cli_json_string(p->message, strlen(p->message)));
    if (p->id != NULL)
        json_object_set_new(doc, "id", cli_json_id(p->id));
    if (is_error)
        cli_json_error(cli, doc);
    else
        cli_json(cli, doc);
}

static void show_problem(void *ctx, const struct check_problem *p)
{
    struct view *v = ctx;
    uint64_t seen = v->seen[p->kind]++;
    if (v->cli->json)
        problem_json(v->cli, p);
    else if (!check_kind_is_error(p->kind) && v->cli->verbose == 0)
        return; /* the summary counts them */
    else if (seen < SHOWN_OF_A_KIND || v->cli->verbose > 0)
        cli_print(v->cli, "%s%s", check_kind_is_error(p->kind) ? "error: " : "", p->message);
    else if (seen == SHOWN_OF_A_KIND)
        cli_print(v->cli, "error: more of this kind (%s); --verbose shows all", check_kind_name(p->kind));
}

static void show_damage(void *ctx, const struct damage *d)
{
    struct view *v = ctx;
    if (!v->cli->json) {
        damage_report_add(v->damage, d);
        return;
    }
    cli_json(v->cli,
             json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:I, s:I}", "message_type", "damage", "snapshot",
                       cli_json_id(&d->snapshot->id), "time", cli_json_time(&d->snapshot->time), "path",
                       cli_json_string(d->path, strlen(d->path)), "type", d->is_dir ? "dir" : "file", "blob",
                       cli_json_id(&d->blob), "lost_blobs", (json_int_t)d->lost, "blobs", (json_int_t)d->parts));
}

static void print_counts(struct cli *cli, const struct check_result *r)
{
    char snapshots[32], packs[32], blobs[32], trees[32], read[32], bytes[24];
    cli_print(cli, "checked %s snapshots, %s trees, %s blobs in %s packs", cli_count(r->snapshots, snapshots),
              cli_count(r->trees, trees), cli_count(r->blobs, blobs), cli_count(r->packs, packs));
    if (r->packs_read > 0)
        cli_print(cli, "read %s packs, %s", cli_count(r->packs_read, read), bytes_text(r->bytes_read, bytes));
    if (r->unused_packs > 0)
        cli_print(
            cli, "%s packs (%s) are in no index, left by an interrupted backup or prune; 'clawback prune' removes them",
            cli_count(r->unused_packs, packs), bytes_text(r->unused_pack_bytes, bytes));
    if (r->duplicate_blobs > 0)
        cli_print(cli, "%s blobs are stored more than once, which does no harm; 'clawback prune' tidies up",
                  cli_count(r->duplicate_blobs, blobs));
}

/* The way out, in the order in which it is gone. */
static void print_advice(struct cli *cli, const struct check_result *r)
{
    if (r->repair_index)
        cli_print(cli, "'clawback repair index' brings the index into line with the packs that are there");
    if (!r->repair_index && r->damaged_paths == 0)
        cli_print(cli, "'clawback prune' removes what nothing needs, and with it damage that touches no file");
    if (r->repair_snapshots && r->packs_read > 0)
        cli_print(cli,
                  "'clawback repair index --read-data' takes what is damaged out of the index: a backup after it, of "
                  "sources that still have it, brings it back");
    if (r->repair_snapshots)
        cli_print(cli,
                  "'clawback repair snapshots' writes the touched snapshots anew without what is lost; a backup first, "
                  "of sources that still have it, may bring it back");
}

static void print_result(struct cli *cli, const struct check_result *r, struct view *v)
{
    char number[32];
    damage_report_print(cli, v->damage);
    if (!cli->quiet)
        print_counts(cli, r);
    if (r->errors == 0) {
        cli_print(cli, "no errors were found");
        return;
    }
    cli_print(cli, "%s error%s found; %s", cli_count(r->errors, number), r->errors == 1 ? " was" : "s were",
              r->damaged_paths > 0 ? "the files above are touched" : "no file of any snapshot is touched");
    print_advice(cli, r);
}

static void print_json(struct cli *cli, const struct check_result *r)
{
    cli_json(cli, json_pack("{s:s, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "message_type",
                            "summary", "num_errors", (json_int_t)r->errors, "suggest_repair_index", r->repair_index,
                            "suggest_repair_snapshots", r->repair_snapshots, "suggest_prune", r->prune, "damaged_paths",
                            (json_int_t)r->damaged_paths, "snapshots", (json_int_t)r->snapshots, "packs",
                            (json_int_t)r->packs, "packs_read", (json_int_t)r->packs_read, "bytes_read",
                            (json_int_t)r->bytes_read, "unused_packs", (json_int_t)r->unused_packs, "duplicate_blobs",
                            (json_int_t)r->duplicate_blobs, "unused_blobs", (json_int_t)r->unused_blobs));
}

static int check(struct cli *cli, struct repo *repo, struct lock *lock, const struct check_options *options)
{
    struct view view = {.cli = cli, .damage = damage_report_new()};
    const struct check_reporter reporter = {.ctx = &view, .problem = show_problem, .damage = show_damage};
    struct engine_progress counters = {.stage = NULL};
    struct check_result result;
    struct err err = {0};
    struct cli_progress *progress = cli_engine_progress_start(cli, &counters);
    int rc = check_run(repo, lock, options, &reporter, &counters, &result, &err);
    cli_progress_stop(progress);
    if (rc == 0 && cli->json)
        print_json(cli, &result);
    else if (rc == 0)
        print_result(cli, &result, &view);
    damage_report_free(view.damage);
    if (rc != 0)
        return cli_fail(cli, &err);
    return result.errors > 0 ? err_exit_status(ERR_CORRUPT) : 0;
}

static int run_check(struct cli *cli, void *options, int argc, char **argv)
{
    const struct check_command_options *o = options;
    struct check_options check_options = {.unused = o->unused};
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (o->read_data)
        check_options.read.kind = CHECK_READ_ALL;
    if (argc > 0)
        err_set(&err, ERR_USAGE, "check takes no argument '%s'", argv[0]);
    else if (o->read_data && o->subset != NULL)
        err_set(&err, ERR_USAGE, "--read-data and --read-data-subset exclude each other");
    if (err.code != ERR_NONE || (o->subset != NULL && check_subset_parse(o->subset, &check_options.read, &err) != 0) ||
        cli_open_locked(cli, cli->no_lock ? CLI_LOCK_NONE : CLI_LOCK_EXCLUSIVE, false, &repo, &lock, &err) != 0)
        return cli_fail(cli, &err);
    cli_be_nice(cli);
    int status = check(cli, repo, lock, &check_options);
    lock_release(lock);
    repo_free(repo);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback check", "is everything there, and does it fit together?"},
    {"clawback check --read-data", "is every byte what it was?"},
    {"clawback check --read-data-subset 3/7", "the third part of seven: in a week everything is read"},
    {NULL, NULL},
};

const struct command cmd_check = {
    .name = "check",
    .arguments = "",
    .summary = "Check the repository, and say which files any damage touches",
    .description = "Looks at all index files, packs (by name and size), snapshots and trees: is everything there that "
                   "the snapshots need? "
                   "With --read-data every pack is read too, and every blob decrypted and compared with its ID.\n\n"
                   "For all that is damaged or missing, the snapshots and files that need it are named. Exit status 1 "
                   "when anything is.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct check_command_options),
    .examples = EXAMPLES,
    .group = "Tidying",
    .run = run_check,
};
