#include "cli/run_view.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/journal.h"

enum { SHOWN_BYTES = 4096 };

/* --- on the way --- */

static void on_begin(void *ctx, const struct plan_tier *tier)
{
    struct run_view *v = ctx;
    v->started_ns = os_monotonic_ns();
    v->rate = (struct cli_rate){.sampled_ns = v->started_ns};
    if (v->cli->json)
        cli_json(v->cli, json_pack("{s:s, s:s}", "message_type", "tier_started", "tier", tier->name));
}

static void on_warning(void *ctx, const struct plan_tier *tier, const char *message)
{
    struct run_view *v = ctx;
    if (v->cli->json) {
        json_t *line = json_pack("{s:s, s:{s:o}}", "message_type", "warning", "warning", "message",
                                 cli_json_string(message, strlen(message)));
        if (tier != NULL)
            json_object_set_new(line, "tier", json_string(tier->name));
        cli_json_error(v->cli, line);
    } else if (tier != NULL) {
        cli_warn(v->cli, "%s: %s", tier->name, message);
    } else {
        cli_warn(v->cli, "%s", message);
    }
}

static void on_failure(void *ctx, const struct plan_tier *tier, const char *message)
{
    struct run_view *v = ctx;
    if (v->cli->json)
        cli_json_error(v->cli, json_pack("{s:s, s:{s:o}, s:s}", "message_type", "error", "error", "message",
                                         cli_json_string(message, strlen(message)), "tier", tier->name));
    else
        cli_error(v->cli, "%s: %s", tier->name, message);
}

static void on_note(void *ctx, const struct plan_tier *tier, const char *message)
{
    struct run_view *v = ctx;
    char shown[SHOWN_BYTES];
    cli_note(v->cli, "%s: %s", tier->name, cli_printable(message, shown, sizeof shown));
}

/* --- a tier's end --- */

static const char *mark(const struct cli *cli, const struct record *r)
{
    if (r->status == RECORD_FAILED)
        return cli->color_out ? "\033[1;31mfailed\033[0m" : "failed";
    if (r->exit_code != 0)
        return cli->color_out ? "\033[33mincomplete\033[0m" : "incomplete";
    return r->status == RECORD_SKIPPED ? "skipped" : "ok";
}

static const char *priority(const struct cli *cli, const struct record *r)
{
    if (!cli->journal_out)
        return "";
    return r->status == RECORD_FAILED ? OS_JOURNAL_ERROR : r->exit_code != 0 ? OS_JOURNAL_WARNING : "";
}

static void print_destination(struct run_view *v, const struct record_destination *d)
{
    char added[24], free_text[24], count[32];
    if (d->status == RECORD_FAILED)
        return; /* it has been said */
    char *removed = d->removed > 0 ? mem_printf(", %s old removed", cli_count(d->removed, count)) : mem_strdup("");
    char *left = d->total_bytes > 0 ? mem_printf(", %s free", bytes_text(d->free_bytes, free_text)) : mem_strdup("");
    cli_print(v->cli, "  → %s: %s added%s%s%s%s", d->name, bytes_text(d->bytes_added, added),
              d->verified ? ", confirmed" : "", removed, d->pruned ? ", pruned" : "", left);
    free(removed);
    free(left);
}

static void print_push(struct run_view *v, const struct record_source *s)
{
    char shown[SHOWN_BYTES];
    if (s->push != NULL && !s->push_failed)
        cli_print(v->cli, "  %s pushed: %s", s->name, cli_printable(s->push, shown, sizeof shown));
}

static void print_tier(struct run_view *v, const struct record *r)
{
    char size[24], duration[32], count[32];
    cli_print(v->cli, "%s%s: %s, %s source%s, %s in %s%s", priority(v->cli, r), r->tier, mark(v->cli, r),
              cli_count(r->source_count, count), r->source_count == 1 ? "" : "s", bytes_text(r->bytes_processed, size),
              cli_duration(r->duration_ms * 1000000, duration), v->dry_run ? " (dry run: nothing was stored)" : "");
    for (size_t i = 0; !v->cli->quiet && !v->dry_run && i < r->destination_count; i++)
        print_destination(v, &r->destinations[i]);
    for (size_t i = 0; !v->cli->quiet && i < r->source_count; i++)
        print_push(v, &r->sources[i]);
}

static json_t *strings(const struct strlist *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, cli_json_string(list->items[i], strlen(list->items[i])));
    return array;
}

static json_t *destinations_json(const struct record *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->destination_count; i++) {
        const struct record_destination *d = &r->destinations[i];
        json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:b, s:b}", "name", d->name, "status",
                              record_status_name(d->status), "bytes_added", (json_int_t)d->bytes_added, "removed",
                              (json_int_t)d->removed, "verified", d->verified, "pruned", d->pruned);
        if (d->message != NULL)
            json_object_set_new(o, "message", cli_json_string(d->message, strlen(d->message)));
        if (d->total_bytes > 0) {
            json_object_set_new(o, "free_bytes", json_integer((json_int_t)d->free_bytes));
            json_object_set_new(o, "total_bytes", json_integer((json_int_t)d->total_bytes));
        }
        json_array_append_new(array, o);
    }
    return array;
}

static json_t *sources_json(const struct record *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->source_count; i++) {
        const struct record_source *s = &r->sources[i];
        json_t *o =
            json_pack("{s:o, s:s, s:I, s:I}", "name", cli_json_string(s->name, strlen(s->name)), "status",
                      record_status_name(s->status), "bytes", (json_int_t)s->bytes, "files", (json_int_t)s->files);
        if (s->message != NULL)
            json_object_set_new(o, "message", cli_json_string(s->message, strlen(s->message)));
        if (s->push != NULL)
            json_object_set_new(o, "push", cli_json_string(s->push, strlen(s->push)));
        json_array_append_new(array, o);
    }
    return array;
}

static void tier_json(struct run_view *v, const struct record *r)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "message_type", "tier", "tier",
                          r->tier, "status", record_status_name(r->status), "exit_code", r->exit_code, "duration_ms",
                          (json_int_t)r->duration_ms, "bytes_processed", (json_int_t)r->bytes_processed, "bytes_added",
                          (json_int_t)r->bytes_added, "snapshots", strings(&r->snapshots), "sources", sources_json(r),
                          "destinations", destinations_json(r), "warnings", strings(&r->warnings));
    if (r->error != NULL)
        json_object_set_new(o, "error", cli_json_string(r->error, strlen(r->error)));
    if (v->dry_run)
        json_object_set_new(o, "dry_run", json_true());
    cli_json(v->cli, o);
}

static void on_end(void *ctx, const struct plan_tier *tier, const struct record *record)
{
    struct run_view *v = ctx;
    (void)tier;
    if (v->cli->json)
        tier_json(v, record);
    else
        print_tier(v, record);
    fflush(stdout); /* whoever reads a log wants to see it when it happens */
}

/* --- the live line --- */

static void draw_engine(struct run_view *v, char *out, size_t cap)
{
    const struct engine_progress *p = &v->progress.engine;
    const char *stage = atomic_load(&p->stage);
    uint64_t done = atomic_load(&p->done), total = atomic_load(&p->total);
    char a[32], b[32];
    if (stage == NULL)
        return;
    if (total > 0)
        snprintf(out, cap, "  %s  %s / %s", stage, cli_count(done, a), cli_count(total, b));
    else
        snprintf(out, cap, "  %s", stage);
}

static void draw_reading(struct run_view *v, char *out, size_t cap, unsigned columns)
{
    struct backup_progress *p = v->progress.reading;
    uint64_t bytes = atomic_load(&p->bytes_done), files = atomic_load(&p->files_done);
    char count[32], size[24], rate[24], path[SHOWN_BYTES], shown[SHOWN_BYTES];
    cli_rate_sample(&v->rate, os_monotonic_ns(), bytes);
    size_t used = (size_t)snprintf(out, cap, "  %s files  %s", cli_count(files, count), bytes_text(bytes, size));
    if (v->rate.per_second > 0 && used < cap)
        used += (size_t)snprintf(out + used, cap - used, "  %s/s", bytes_text((uint64_t)v->rate.per_second, rate));
    backup_progress_current(p, path, sizeof path);
    if (path[0] == '\0' || used + 12 > columns || used >= cap)
        return;
    cli_printable(path, shown, sizeof shown);
    cli_text_cut(shown, columns - (unsigned)used - 2, true);
    snprintf(out + used, cap - used, "  %s", shown);
}

void run_view_draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    struct run_view *v = ctx;
    const char *tier = atomic_load(&v->progress.tier), *destination = atomic_load(&v->progress.destination);
    if (tier == NULL)
        return;
    size_t used = (size_t)snprintf(out, cap, "%s%s%s", tier, destination != NULL ? " → " : "",
                                   destination != NULL ? destination : "");
    if (used >= cap)
        return;
    unsigned left = columns > cli_text_columns(out) ? columns - (unsigned)cli_text_columns(out) : 0;
    if (atomic_load(&v->progress.in_engine))
        draw_engine(v, out + used, cap - used);
    else
        draw_reading(v, out + used, cap - used, left);
}

json_t *run_view_status(void *ctx)
{
    struct run_view *v = ctx;
    const char *tier = atomic_load(&v->progress.tier), *destination = atomic_load(&v->progress.destination);
    if (tier == NULL)
        return NULL;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I}", "message_type", "status", "tier", tier, "files_done",
                          (json_int_t)atomic_load(&v->progress.reading->files_done), "bytes_done",
                          (json_int_t)atomic_load(&v->progress.reading->bytes_done));
    if (destination != NULL)
        json_object_set_new(o, "destination", json_string(destination));
    return o;
}

/* --- all of it --- */

void run_view_init(struct run_view *v, struct cli *cli, bool dry_run)
{
    *v = (struct run_view){.cli = cli, .dry_run = dry_run, .started_ns = os_monotonic_ns()};
    v->progress.reading = backup_progress_new();
    v->reporter = (struct run_reporter){.ctx = v,
                                        .tier_begin = on_begin,
                                        .warning = on_warning,
                                        .failure = on_failure,
                                        .note = on_note,
                                        .tier_end = on_end};
}

void run_view_release(struct run_view *v)
{
    backup_progress_free(v->progress.reading);
}

void run_view_summary(struct run_view *v, const struct run_result *r)
{
    if (v->cli->json) {
        cli_json(v->cli, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i}", "message_type", "summary", "run_id",
                                   r->run_id, "due", (json_int_t)r->due, "completed", (json_int_t)r->completed,
                                   "partial", (json_int_t)r->partial, "failed", (json_int_t)r->failed, "skipped",
                                   (json_int_t)r->skipped, "exit_code", r->exit_code));
        return;
    }
    if (r->due == 0)
        cli_note(v->cli, "nothing is due; name a tier, or give --all, to run it all the same");
}
