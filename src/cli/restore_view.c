#include "cli/restore_view.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "os/clock.h"

enum { SHOWN_FACTOR = 10 };

typedef unsigned long long ull;

/* --- reports, on any thread --- */

static void json_problem(struct cli *cli, const char *type, const char *path, const char *message)
{
    cli_json_error(cli, json_pack("{s:s, s:{s:o}, s:s, s:o}", "message_type", type, type, "message",
                                  cli_json_string(message, strlen(message)), "during", "restore", "item",
                                  cli_json_string(path, strlen(path))));
}

static void problem(struct restore_view *v, const char *type, const char *path, const char *message)
{
    if (v->cli->json) {
        json_problem(v->cli, type, path, message);
        return;
    }
    char *text = mem_printf("%s: %s", path, message);
    size_t cap = strlen(text) * SHOWN_FACTOR + 1;
    char *shown = mem_alloc(cap);
    cli_warn(v->cli, "%s", cli_printable(text, shown, cap));
    free(shown);
    free(text);
}

static void on_error(void *ctx, const char *path, const struct err *err)
{
    problem(ctx, "error", path, err->message);
}

static void on_warning(void *ctx, const char *path, const char *what)
{
    problem(ctx, "warning", path, what);
}

/* restic's words for what happens to an entry. */
static const char *action_word(enum restore_action action)
{
    switch (action) {
    case RESTORE_CREATED:
        return "restored";
    case RESTORE_UPDATED:
        return "updated";
    case RESTORE_DELETED:
        return "deleted";
    default:
        return "unchanged";
    }
}

static void on_item(void *ctx, enum restore_action action, const char *path, uint64_t bytes)
{
    struct restore_view *v = ctx;
    if (action == RESTORE_UNCHANGED && v->cli->verbose < 2)
        return;
    if (v->cli->json) {
        cli_json(v->cli,
                 json_pack("{s:s, s:s, s:o, s:I}", "message_type", "verbose_status", "action", action_word(action),
                           "item", cli_json_string(path, strlen(path)), "size", (json_int_t)bytes));
        return;
    }
    size_t cap = strlen(path) * SHOWN_FACTOR + 1;
    char *shown = mem_alloc(cap);
    char size[24];
    cli_printable(path, shown, cap);
    if (bytes > 0)
        cli_print(v->cli, "%-9s %s (%s)", action_word(action), shown, bytes_text(bytes, size));
    else
        cli_print(v->cli, "%-9s %s", action_word(action), shown);
    free(shown);
}

void restore_view_init(struct restore_view *v, struct cli *cli, bool dry_run, bool list)
{
    *v = (struct restore_view){.cli = cli, .dry_run = dry_run, .started_ns = os_monotonic_ns()};
    v->rate.sampled_ns = v->started_ns;
    v->reporter =
        (struct restore_reporter){.ctx = v, .error = on_error, .warning = on_warning, .item = list ? on_item : NULL};
}

/* --- the live line --- */

/* Bytes and files that are dealt with, and the share of the whole: negative when it is not known. */
struct state {
    bool verifying;
    uint64_t bytes, files, total_bytes, total_files;
    double share;
};

static struct state look(const struct restore_progress *p)
{
    struct state s = {.total_bytes = atomic_load(&p->total_bytes), .total_files = atomic_load(&p->total_files)};
    const char *stage = atomic_load(&p->stage);
    s.verifying = stage != NULL && strcmp(stage, "verifying") == 0;
    if (s.verifying) {
        s.bytes = atomic_load(&p->bytes_verified);
        s.files = atomic_load(&p->files_verified);
    } else {
        s.bytes = atomic_load(&p->bytes_done) + atomic_load(&p->bytes_skipped);
        s.files = atomic_load(&p->files_done) + atomic_load(&p->files_skipped);
    }
    s.share = -1;
    if (s.total_bytes > 0)
        s.share = s.bytes >= s.total_bytes ? 1 : (double)s.bytes / (double)s.total_bytes;
    return s;
}

static const char *clock_text(uint64_t seconds, char out[32])
{
    ull h = seconds / 3600, m = seconds / 60 % 60, s = seconds % 60;
    if (h > 0)
        snprintf(out, 32, "%llu:%02llu:%02llu", h, m, s);
    else
        snprintf(out, 32, "%llu:%02llu", m, s);
    return out;
}

void restore_view_draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    struct restore_view *v = ctx;
    uint64_t now = os_monotonic_ns(), seconds = (now - v->started_ns) / 1000000000;
    const char *stage = atomic_load(&v->progress.stage);
    struct state s = look(&v->progress);
    char elapsed[32], count[32], bytes[24], rate[24], eta[32];
    (void)columns;
    cli_rate_sample(&v->rate, now, s.bytes);
    size_t used = (size_t)snprintf(out, cap, "[%s] %s", clock_text(seconds, elapsed), stage != NULL ? stage : "");
    if (s.share >= 0)
        used += (size_t)snprintf(out + used, cap - used, " %.1f%%", s.share * 100);
    used += (size_t)snprintf(out + used, cap - used, "  %s files  %s", cli_count(s.files, count),
                             bytes_text(s.bytes, bytes));
    if (v->rate.per_second > 0)
        used += (size_t)snprintf(out + used, cap - used, "  %s/s", bytes_text((uint64_t)v->rate.per_second, rate));
    if (v->rate.per_second > 0 && s.share > 0 && s.share < 1 && seconds >= 2)
        used += (size_t)snprintf(out + used, cap - used, "  ETA %s",
                                 clock_text((uint64_t)((double)(s.total_bytes - s.bytes) / v->rate.per_second), eta));
    uint64_t errors = atomic_load(&v->progress.errors);
    if (errors > 0)
        snprintf(out + used, cap - used, "  %s errors", cli_count(errors, count));
}

/* --- JSON --- */

static void set_count(json_t *to, const char *name, uint64_t n)
{
    if (n > 0)
        json_object_set_new(to, name, json_integer((json_int_t)n));
}

/* What a status line and the summary have in common; zero counts are left out, as restic does. */
static void set_counts(json_t *line, struct restore_view *v)
{
    struct restore_progress *p = &v->progress;
    set_count(line, "seconds_elapsed", (os_monotonic_ns() - v->started_ns) / 1000000000);
    set_count(line, "total_files", atomic_load(&p->total_files));
    set_count(line, "files_restored", atomic_load(&p->files_done));
    set_count(line, "files_skipped", atomic_load(&p->files_skipped));
    set_count(line, "files_deleted", atomic_load(&p->files_deleted));
    set_count(line, "total_bytes", atomic_load(&p->total_bytes));
    set_count(line, "bytes_restored", atomic_load(&p->bytes_done));
    set_count(line, "bytes_skipped", atomic_load(&p->bytes_skipped));
    set_count(line, "files_verified", atomic_load(&p->files_verified));
    set_count(line, "error_count", atomic_load(&p->errors));
}

json_t *restore_view_status(void *ctx)
{
    struct restore_view *v = ctx;
    struct state s = look(&v->progress);
    json_t *line = json_pack("{s:s, s:f}", "message_type", "status", "percent_done", s.share > 0 ? s.share : 0.0);
    set_counts(line, v);
    return line;
}

/* --- summary --- */

static void text_summary(struct restore_view *v, const char *target, const struct restore_result *r)
{
    struct restore_progress *p = &v->progress;
    struct cli *cli = v->cli;
    char count[32], bytes[24], time[32];
    if (cli->quiet)
        return;
    cli_print(cli, "%s %s files and directories, %s, to %s in %s", v->dry_run ? "would restore" : "restored",
              cli_count(atomic_load(&p->files_done), count), bytes_text(atomic_load(&p->bytes_done), bytes), target,
              cli_duration(r->duration_ns, time));
    if (atomic_load(&p->files_skipped) > 0)
        cli_print(cli, "left alone, as they are right already or protected: %s (%s)",
                  cli_count(atomic_load(&p->files_skipped), count), bytes_text(atomic_load(&p->bytes_skipped), bytes));
    if (atomic_load(&p->files_deleted) > 0)
        cli_print(cli, "%s, as the snapshot lacks them: %s", v->dry_run ? "would delete" : "deleted",
                  cli_count(atomic_load(&p->files_deleted), count));
    if (atomic_load(&p->files_verified) > 0)
        cli_print(cli, "read again and compared: %s files (%s)", cli_count(atomic_load(&p->files_verified), count),
                  bytes_text(atomic_load(&p->bytes_verified), bytes));
}

void restore_view_summary(struct restore_view *v, const char *target, const struct restore_result *r)
{
    if (v->cli->json) {
        json_t *line = json_pack("{s:s}", "message_type", "summary");
        if (v->dry_run)
            json_object_set_new(line, "dry_run", json_true());
        set_counts(line, v);
        cli_json(v->cli, line);
    } else {
        text_summary(v, target, r);
    }
    if (r->owners_kept > 0)
        cli_note(v->cli, "note: the owner of %llu entries could not be set; only root may do that",
                 (ull)r->owners_kept);
    if (r->xattrs_unsupported > 0)
        cli_warn(
            v->cli,
            "%llu extended attributes could not be set: the target's file system, or your rights, do not allow them",
            (ull)r->xattrs_unsupported);
}
