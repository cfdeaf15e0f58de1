#include "cli/engine_progress.h"
#include "base/bytes.h"

static double share_done(const struct engine_progress *p)
{
    uint64_t bytes = atomic_load(&p->bytes_total), total = atomic_load(&p->total);
    if (bytes > 0)
        return (double)atomic_load(&p->bytes_done) / (double)bytes;
    return total > 0 ? (double)atomic_load(&p->done) / (double)total : 0;
}

static void draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    const struct engine_progress *p = ctx;
    const char *stage = atomic_load(&p->stage);
    uint64_t done = atomic_load(&p->done), total = atomic_load(&p->total);
    char done_text[32], total_text[32], size_text[BYTES_TEXT_BYTES] = "";
    (void)columns;
    if (stage == NULL)
        return;
    if (atomic_load(&p->bytes_total) > 0)
        bytes_text(atomic_load(&p->bytes_done), size_text);
    if (total > 0)
        snprintf(out, cap, "%s  %s / %s  %.0f %%  %s", stage, cli_count(done, done_text), cli_count(total, total_text),
                 100 * share_done(p), size_text);
    else if (done > 0)
        snprintf(out, cap, "%s  %s", stage, cli_count(done, done_text));
    else
        snprintf(out, cap, "%s", stage);
}

static json_t *status(void *ctx)
{
    const struct engine_progress *p = ctx;
    const char *stage = atomic_load(&p->stage);
    if (stage == NULL)
        return NULL;
    return json_pack("{s:s, s:s, s:f, s:I, s:I}", "message_type", "status", "stage", stage, "percent_done",
                     share_done(p), "done", (json_int_t)atomic_load(&p->done), "total",
                     (json_int_t)atomic_load(&p->total));
}

struct cli_progress *cli_engine_progress_start(struct cli *cli, struct engine_progress *progress)
{
    return cli_progress_start_json(cli, draw, status, progress);
}
