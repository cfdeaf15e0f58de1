#include "cli/prune_run.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "cli/engine_progress.h"

int prune_args_read(const struct prune_args *args, struct prune_options *out, struct err *err)
{
    *out = (struct prune_options){
        .max_repack_bytes = args->max_repack_given ? args->max_repack_bytes : UINT64_MAX,
        .repack_small = args->repack_small,
        .repack_cacheable_only = args->repack_cacheable_only,
        .repack_uncompressed = args->repack_uncompressed,
    };
    if (prune_limit_parse(args->max_unused != NULL ? args->max_unused : "5%", &out->max_unused, err) != 0)
        return err_wrap(err, "option '--max-unused'");
    return 0;
}

static void print_line(struct cli *cli, const char *label, uint64_t blobs, uint64_t bytes)
{
    char count[32], size[24];
    cli_print(cli, "%-26s %12s blobs  %12s", label, cli_count(blobs, count), bytes_text(bytes, size));
}

static void print_packs(struct cli *cli, const char *label, uint64_t packs, uint64_t bytes)
{
    char count[32], size[24];
    cli_print(cli, "%-26s %12s packs  %12s", label, cli_count(packs, count), bytes_text(bytes, size));
}

static void planned(void *ctx, const struct prune_result *r)
{
    struct cli *cli = ctx;
    if (cli->quiet || cli->json)
        return;
    print_line(cli, "needed:", r->used_blobs, r->used_bytes);
    if (r->duplicate_blobs > 0)
        print_line(cli, "stored more than once:", r->duplicate_blobs, r->duplicate_bytes);
    print_line(cli, "not needed:", r->unused_blobs, r->unused_bytes);
    if (r->unreferenced_packs > 0)
        print_packs(cli, "in no index:", r->unreferenced_packs, r->unreferenced_bytes);
    if (r->missing_packs > 0)
        print_packs(cli, "gone, and not needed:", r->missing_packs, 0);
    print_packs(cli, "to remove:", r->delete_packs + r->unreferenced_packs - r->missing_packs,
                r->delete_bytes + r->unreferenced_bytes);
    print_packs(cli, "to repack:", r->repack_packs, r->repack_bytes + r->repack_drop_bytes);
    print_packs(cli, "to leave as they are:", r->keep_packs,
                r->used_bytes - r->repack_bytes + r->remaining_unused_bytes);
    char size[24];
    cli_print(cli, "not needed, but left:      %34s", bytes_text(r->remaining_unused_bytes, size));
}

static void damaged(void *ctx, const struct id *pack, const char *message)
{
    char hex[ID_HEX_BYTES];
    cli_warn(ctx, "pack %s stays where it is, since a blob in it that is needed is damaged: %s", id_to_hex(pack, hex),
             message);
}

static void print_summary(struct cli *cli, const struct prune_result *r)
{
    char removed[32], repacked[32], freed[24], before[24], after[24];
    cli_print(cli, "packs removed: %s, of which repacked: %s", cli_count(r->packs_removed, removed),
              cli_count(r->packs_repacked, repacked));
    if (r->bytes_after <= r->bytes_before)
        cli_print(cli, "freed %s: %s before, %s now", bytes_text(r->bytes_before - r->bytes_after, freed),
                  bytes_text(r->bytes_before, before), bytes_text(r->bytes_after, after));
    else
        cli_print(cli, "the packs grew from %s to %s", bytes_text(r->bytes_before, before),
                  bytes_text(r->bytes_after, after));
}

static json_t *counts(const char *unit, uint64_t n, uint64_t bytes)
{
    return json_pack("{s:I, s:I}", unit, (json_int_t)n, "bytes", (json_int_t)bytes);
}

static json_t *plan_json(const struct prune_result *r)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "used", counts("blobs", r->used_blobs, r->used_bytes),
                     "duplicate", counts("blobs", r->duplicate_blobs, r->duplicate_bytes), "unused",
                     counts("blobs", r->unused_blobs, r->unused_bytes), "unreferenced",
                     counts("packs", r->unreferenced_packs, r->unreferenced_bytes), "remove",
                     counts("packs", r->delete_packs, r->delete_bytes), "repack",
                     counts("packs", r->repack_packs, r->repack_bytes + r->repack_drop_bytes), "remaining_unused_bytes",
                     (json_int_t)r->remaining_unused_bytes);
}

static void summary_json(struct cli *cli, const struct prune_result *r, bool dry_run)
{
    json_t *doc = json_pack("{s:s, s:b, s:I, s:I, s:I, s:o}", "message_type", "summary", "dry_run", dry_run,
                            "snapshots", (json_int_t)r->snapshots, "packs_before", (json_int_t)r->packs_before,
                            "bytes_before", (json_int_t)r->bytes_before, "plan", plan_json(r));
    if (r->executed) {
        json_t *done =
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packs_removed", (json_int_t)r->packs_removed,
                      "packs_repacked", (json_int_t)r->packs_repacked, "packs_damaged", (json_int_t)r->packs_damaged,
                      "packs_no_space", (json_int_t)r->packs_no_space, "bytes_written", (json_int_t)r->bytes_written,
                      "packs_after", (json_int_t)r->packs_after, "bytes_after", (json_int_t)r->bytes_after,
                      "bytes_freed", (json_int_t)(r->bytes_before - r->bytes_after));
        json_object_update(doc, done);
        json_decref(done);
    }
    cli_json(cli, doc);
}

/* What was done is said also when it ended early: the rest is as safe as before. */
static void print_result(struct cli *cli, const struct prune_result *r, bool dry_run, bool failed)
{
    bool idle = r->packs_removed == 0 && r->index_removed == 0;
    if (cli->json)
        summary_json(cli, r, dry_run);
    else if (dry_run)
        cli_print(cli, "nothing was changed (--dry-run)");
    else if (!idle)
        print_summary(cli, r);
    else if (!failed)
        cli_print(cli, "nothing had to be removed");
    if (r->packs_no_space > 0)
        cli_warn(cli, "%llu packs were not repacked, since there is not enough free space",
                 (unsigned long long)r->packs_no_space);
}

int prune_run_and_print(struct cli *cli, struct repo *repo, struct lock *lock, const struct prune_options *options)
{
    const struct prune_reporter reporter = {.ctx = cli, .planned = planned, .damaged = damaged};
    struct engine_progress counters = {.stage = NULL};
    struct prune_result result;
    struct err err = {0};
    struct cli_progress *progress = cli_engine_progress_start(cli, &counters);
    int rc = prune_run(repo, lock, options, &reporter, &counters, &result, &err);
    cli_progress_stop(progress);
    if (rc == 0 || result.executed)
        print_result(cli, &result, options->dry_run, rc != 0);
    if (rc == 0 && result.packs_damaged > 0)
        rc = err_set(&err, ERR_CORRUPT, "%llu packs hold damaged blobs that are needed; run 'check --read-data'",
                     (unsigned long long)result.packs_damaged);
    if (rc != 0 && err.code == ERR_NO_SPACE)
        err_advise(&err, "remove something else from the repository's disk and prune again; what is stored is safe");
    return rc == 0 ? 0 : cli_fail(cli, &err);
}
