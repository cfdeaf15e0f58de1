/* Counting what snapshots hold. */
#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "engine/stats.h"

static const char *const MODES[] = {"restore-size", "files-by-contents", "blobs-per-file", "raw-data", NULL};

struct stats_args {
    struct cli_snapshot_filter filter;
    int mode;
};

static const struct option OPTIONS[] = {
    {.name = "mode",
     .kind = OPTION_CHOICE,
     .offset = offsetof(struct stats_args, mode),
     .choices = MODES,
     .metavar = "MODE",
     .help = "what is counted (the default is restore-size)"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct stats_args, filter),
    OPTION_END,
};

static void draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    const struct stats_progress *p = ctx;
    char entries[32];
    (void)columns;
    snprintf(out, cap, "counting: %llu snapshots, %s entries…", (unsigned long long)atomic_load(&p->snapshots),
             cli_count(atomic_load(&p->entries), entries));
}

static double ratio(uint64_t a, uint64_t b)
{
    return b > 0 ? (double)a / (double)b : 0;
}

static void print_json(struct cli *cli, enum stats_mode mode, const struct stats_result *s)
{
    json_t *line = json_pack("{s:I}", "total_size", (json_int_t)s->bytes);
    if (mode == STATS_RAW_DATA && s->plain_bytes > 0) {
        json_object_set_new(line, "total_uncompressed_size", json_integer((json_int_t)s->plain_bytes));
        if (s->compressed_bytes > 0)
            json_object_set_new(line, "compression_ratio",
                                json_real(ratio(s->compressed_plain_bytes, s->compressed_bytes)));
        json_object_set_new(line, "compression_progress",
                            json_real(ratio(s->compressed_plain_bytes, s->plain_bytes) * 100));
        json_object_set_new(line, "compression_space_saving", json_real((1 - ratio(s->bytes, s->plain_bytes)) * 100));
    }
    if (mode != STATS_RAW_DATA)
        json_object_set_new(line, "total_file_count", json_integer((json_int_t)s->files));
    if (mode == STATS_RAW_DATA || mode == STATS_BLOBS_PER_FILE)
        json_object_set_new(line, "total_blob_count", json_integer((json_int_t)s->blobs));
    json_object_set_new(line, "snapshots_count", json_integer((json_int_t)s->snapshots));
    cli_json(cli, line);
}

static void print_text(struct cli *cli, enum stats_mode mode, const struct stats_result *s)
{
    char bytes[24], number[32];
    cli_print(cli, "Stats in %s mode:", MODES[mode]);
    cli_print(cli, "     Snapshots processed:  %s", cli_count(s->snapshots, number));
    if (s->blobs > 0)
        cli_print(cli, "        Total Blob Count:  %s", cli_count(s->blobs, number));
    if (mode != STATS_RAW_DATA)
        cli_print(cli, "        Total File Count:  %s", cli_count(s->files, number));
    if (s->plain_bytes > 0)
        cli_print(cli, " Total Uncompressed Size:  %s", bytes_text(s->plain_bytes, bytes));
    cli_print(cli, "              Total Size:  %s", bytes_text(s->bytes, bytes));
    if (s->plain_bytes > 0)
        cli_print(cli, "    Compression Progress:  %.2f%%", ratio(s->compressed_plain_bytes, s->plain_bytes) * 100);
    if (s->compressed_bytes > 0)
        cli_print(cli, "       Compression Ratio:  %.2fx", ratio(s->compressed_plain_bytes, s->compressed_bytes));
    if (s->plain_bytes > 0)
        cli_print(cli, "Compression Space Saving:  %.2f%%", (1 - ratio(s->bytes, s->plain_bytes)) * 100);
}

static int count(struct cli *cli, struct repo *repo, const struct stats_args *args,
                 const struct snapshot *const *chosen, size_t chosen_count, struct err *err)
{
    enum stats_mode mode = (enum stats_mode)args->mode;
    struct stats_progress progress = {0};
    struct stats_result result;
    struct cli_progress *line = cli_progress_start(cli, draw, &progress);
    int rc = stats_run(repo, chosen, chosen_count, mode, &progress, &result, err);
    cli_progress_stop(line);
    if (rc == 0 && cli->json)
        print_json(cli, mode, &result);
    else if (rc == 0)
        print_text(cli, mode, &result);
    return rc;
}

/* The snapshots named, or all that the filter lets through. */
static int choose_and_count(struct cli *cli, struct repo *repo, const struct stats_args *args, int argc, char **argv,
                            struct err *err)
{
    struct snapshot_list list = {0};
    if (argc == 0 && repo_load_snapshots(repo, &list, NULL, err) < 0)
        return -1;
    struct snapshot *named = mem_zalloc(((size_t)argc + 1) * sizeof *named);
    const struct snapshot **chosen = mem_zalloc((list.count + (size_t)argc + 1) * sizeof(struct snapshot *));
    size_t chosen_count = 0, named_count = 0;
    int rc = 0;
    for (size_t i = 0; i < list.count; i++)
        if (cli_snapshot_matches(&args->filter, &list.items[i]))
            chosen[chosen_count++] = &list.items[i];
    for (int i = 0; i < argc && rc == 0; i++) {
        rc = cli_find_snapshot(cli, repo, argv[i], &args->filter, &named[named_count], NULL, err);
        if (rc == 0)
            chosen[chosen_count++] = &named[named_count++];
    }
    if (rc == 0)
        rc = count(cli, repo, args, chosen, chosen_count, err);
    for (size_t i = 0; i < named_count; i++)
        snapshot_release(&named[i]);
    free(named);
    free((void *)(uintptr_t)chosen);
    snapshot_list_release(&list);
    return rc;
}

static int run_stats(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (cli_open_locked(cli, CLI_LOCK_SHARED, true, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = choose_and_count(cli, repo, options, argc, argv, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback stats latest", "how much a restore of the newest snapshot writes"},
    {"clawback stats --mode raw-data", "what all snapshots together take in the repository"},
    {NULL, NULL},
};

const struct command cmd_stats = {
    .name = "stats",
    .arguments = "[SNAPSHOT…]",
    .summary = "Count files, blobs and bytes",
    .description = "The modes:\n\n"
                   "  restore-size       what restoring each snapshot would write\n"
                   "  files-by-contents  files of different content, once each\n"
                   "  blobs-per-file     the blobs of each such file\n"
                   "  raw-data           what is stored: every blob once, compressed",
    .options = OPTIONS,
    .options_bytes = sizeof(struct stats_args),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_stats,
};
