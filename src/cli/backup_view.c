#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/backup_args.h"
#include "os/clock.h"

enum { PATH_SHOWN_BYTES = 4096, SHOWN_FACTOR = 10 };

/* --- reports from the source, on any thread --- */

static void problem_json(struct cli *cli, const char *path, const char *message)
{
    json_t *line = json_pack("{s:s, s:{s:o}, s:s, s:o}", "message_type", "error", "error", "message",
                             cli_json_string(message, strlen(message)), "during", "archival", "item",
                             cli_json_string(path, strlen(path)));
    cli_json_error(cli, line);
}

/* "PATH: what", unless the message names the path by itself. */
static void keep_problem(struct backup_view *v, const char *path, const char *message)
{
    if (v->cli->json) {
        problem_json(v->cli, path, message);
        return;
    }
    pthread_mutex_lock(&v->mutex);
    v->problem_count++;
    if (v->problems.count < BACKUP_PROBLEMS_SHOWN) {
        char *text = strstr(message, path) != NULL ? mem_strdup(message) : mem_printf("%s: %s", path, message);
        strlist_add(&v->problems, text);
        free(text);
    }
    pthread_mutex_unlock(&v->mutex);
}

static void on_unreadable(void *ctx, const char *path, const struct err *err)
{
    keep_problem(ctx, path, err->message);
}

static void on_warning(void *ctx, const char *path, const char *what)
{
    struct backup_view *v = ctx;
    char shown[PATH_SHOWN_BYTES];
    if (v->cli->json)
        cli_json_error(v->cli, json_pack("{s:s, s:{s:o}, s:s, s:o}", "message_type", "warning", "warning", "message",
                                         cli_json_string(what, strlen(what)), "during", "archival", "item",
                                         cli_json_string(path, strlen(path))));
    else
        cli_warn(v->cli, "%s: %s", cli_printable(path, shown, sizeof shown), what);
}

static void on_excluded(void *ctx, const char *path, const char *why)
{
    struct backup_view *v = ctx;
    char shown[PATH_SHOWN_BYTES];
    if (v->cli->verbose > 1)
        cli_note(v->cli, "left out %s (%s)", cli_printable(path, shown, sizeof shown), why);
}

/* --- of each file and directory: -v with --json, -vv for people --- */

static const char *action_word(enum backup_action action)
{
    static const char *const WORDS[] = {
        [BACKUP_NEW] = "new", [BACKUP_MODIFIED] = "modified", [BACKUP_UNCHANGED] = "unchanged"};
    return WORDS[action];
}

/* restic's line, whatever it is about. */
static void item_json(struct cli *cli, const char *type, const char *action, const struct backup_item *i,
                      uint64_t total_files)
{
    cli_json(cli,
             json_pack("{s:s, s:s, s:o, s:f, s:I, s:I, s:I, s:I, s:I}", "message_type", type, "action", action, "item",
                       cli_json_string(i->path, strlen(i->path)), "duration", (double)i->duration_ns / 1e9, "data_size",
                       (json_int_t)i->data_bytes, "data_size_in_repo", (json_int_t)i->data_stored_bytes,
                       "metadata_size", (json_int_t)i->tree_bytes, "metadata_size_in_repo",
                       (json_int_t)i->tree_stored_bytes, "total_files", (json_int_t)total_files));
}

static void item_text(struct cli *cli, const struct backup_item *i)
{
    size_t len = strlen(i->path), cap = len * SHOWN_FACTOR + 1;
    char *shown = mem_alloc(cap), time[32], added[24], stored[24], trees[24];
    cli_printable(i->path, shown, cap);
    cli_duration(i->duration_ns, time);
    bytes_text(i->data_bytes, added);
    bytes_text(i->data_stored_bytes, stored);
    bytes_text(i->tree_stored_bytes, trees);
    if (i->action == BACKUP_UNCHANGED)
        cli_print(cli, "%-9s %s", action_word(i->action), shown);
    else if (i->path[len - 1] == '/')
        cli_print(cli, "%-9s %s, saved in %s (%s of metadata stored)", action_word(i->action), shown, time, trees);
    else
        cli_print(cli, "%-9s %s, saved in %s (%s added, %s stored)", action_word(i->action), shown, time, added,
                  stored);
    free(shown);
}

static void on_item(void *ctx, const struct backup_item *item)
{
    struct backup_view *v = ctx;
    if (v->cli->json)
        item_json(v->cli, "verbose_status", action_word(item->action), item, 0);
    else if (v->cli->verbose >= 2)
        item_text(v->cli, item);
}

static void on_walked(void *ctx, uint64_t files, uint64_t bytes)
{
    struct backup_view *v = ctx;
    uint64_t duration_ns = os_monotonic_ns() - v->started_ns;
    const struct backup_item all = {.path = "", .duration_ns = duration_ns, .data_bytes = bytes};
    char time[32], count[32], size[24];
    if (v->cli->json)
        item_json(v->cli, "status", "scan_finished", &all, files);
    else
        cli_print(v->cli, "scan finished in %s: %s files, %s", cli_duration(duration_ns, time), cli_count(files, count),
                  bytes_text(bytes, size));
}

void backup_view_init(struct backup_view *v, struct cli *cli, bool dry_run)
{
    *v = (struct backup_view){.cli = cli, .dry_run = dry_run, .started_ns = os_monotonic_ns()};
    v->rate.sampled_ns = v->started_ns;
    v->progress = backup_progress_new();
    v->reporter =
        (struct sink_reporter){.ctx = v, .unreadable = on_unreadable, .warning = on_warning, .excluded = on_excluded};
    v->listener = (struct backup_listener){.ctx = v, .item = on_item, .walked = on_walked};
    if (cli->verbose > 0)
        v->progress->listener = &v->listener;
    pthread_mutex_init(&v->mutex, NULL);
}

void backup_view_release(struct backup_view *v)
{
    backup_progress_free(v->progress);
    strlist_release(&v->problems);
    pthread_mutex_destroy(&v->mutex);
}

/* --- the live line --- */

static const char *clock_text(uint64_t seconds, char out[32])
{
    unsigned long long h = seconds / 3600, m = seconds / 60 % 60, s = seconds % 60;
    if (h > 0)
        snprintf(out, 32, "%llu:%02llu:%02llu", h, m, s);
    else
        snprintf(out, 32, "%llu:%02llu", m, s);
    return out;
}

/* What share is done, 0 … 1, by the parent snapshot's size; negative when nobody knows. */
static double share_done(uint64_t bytes, uint64_t total)
{
    if (total == 0)
        return -1;
    return bytes >= total ? 0.999 : (double)bytes / (double)total;
}

void backup_view_draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    struct backup_view *v = ctx;
    struct backup_progress *p = v->progress;
    const char *stage = atomic_load(&p->stage);
    uint64_t now = os_monotonic_ns(), seconds = (now - v->started_ns) / 1000000000;
    uint64_t bytes = atomic_load(&p->bytes_done), files = atomic_load(&p->files_done),
             total = atomic_load(&p->total_bytes);
    char elapsed[32], count[32], size[24], rate[24], eta[32], path[PATH_SHOWN_BYTES], shown[PATH_SHOWN_BYTES];
    size_t used = (size_t)snprintf(out, cap, "[%s]", clock_text(seconds, elapsed));
    if (stage != NULL && strcmp(stage, "reading") != 0) {
        snprintf(out + used, cap - used, " %s…", stage);
        return;
    }
    cli_rate_sample(&v->rate, now, bytes);
    double share = share_done(bytes, total);
    if (share >= 0)
        used += (size_t)snprintf(out + used, cap - used, " %.1f%%", share * 100);
    used +=
        (size_t)snprintf(out + used, cap - used, "  %s files  %s", cli_count(files, count), bytes_text(bytes, size));
    if (v->rate.per_second > 0)
        used += (size_t)snprintf(out + used, cap - used, "  %s/s", bytes_text((uint64_t)v->rate.per_second, rate));
    if (share > 0 && v->rate.per_second > 0 && bytes < total && seconds >= 2)
        used += (size_t)snprintf(out + used, cap - used, "  ETA %s",
                                 clock_text((uint64_t)((double)(total - bytes) / v->rate.per_second), eta));
    uint64_t errors = atomic_load(&p->errors);
    if (errors > 0)
        used += (size_t)snprintf(out + used, cap - used, "  %s unreadable", cli_count(errors, count));
    backup_progress_current(p, path, sizeof path);
    size_t taken = cli_text_columns(out) + 3;
    if (path[0] == '\0' || taken + 10 > columns)
        return;
    cli_printable(path, shown, sizeof shown);
    cli_text_cut(shown, columns - taken, true);
    snprintf(out + used, cap - used, "  %s", shown);
}

/* --- JSON --- */

json_t *backup_view_status(void *ctx)
{
    struct backup_view *v = ctx;
    struct backup_progress *p = v->progress;
    uint64_t now = os_monotonic_ns(), bytes = atomic_load(&p->bytes_done), total = atomic_load(&p->total_bytes);
    uint64_t total_files = atomic_load(&p->total_files), errors = atomic_load(&p->errors);
    cli_rate_sample(&v->rate, now, bytes);
    double share = share_done(bytes, total);
    json_t *line = json_pack("{s:s, s:I, s:f}", "message_type", "status", "seconds_elapsed",
                             (json_int_t)((now - v->started_ns) / 1000000000), "percent_done", share > 0 ? share : 0.0);
    if (share > 0 && v->rate.per_second > 0 && bytes < total)
        json_object_set_new(line, "seconds_remaining",
                            json_integer((json_int_t)((double)(total - bytes) / v->rate.per_second)));
    if (total_files > 0)
        json_object_set_new(line, "total_files", json_integer((json_int_t)total_files));
    json_object_set_new(line, "files_done", json_integer((json_int_t)atomic_load(&p->files_done)));
    if (total > 0)
        json_object_set_new(line, "total_bytes", json_integer((json_int_t)total));
    json_object_set_new(line, "bytes_done", json_integer((json_int_t)bytes));
    if (errors > 0)
        json_object_set_new(line, "error_count", json_integer((json_int_t)errors));
    char path[PATH_SHOWN_BYTES];
    backup_progress_current(p, path, sizeof path);
    if (path[0] != '\0') {
        json_t *files = json_array();
        json_array_append_new(files, cli_json_string(path, strlen(path)));
        json_object_set_new(line, "current_files", files);
    }
    return line;
}

struct cost {
    double cpu_seconds;
    uint64_t memory_bytes;
};

static struct cost measure_cost(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct cost){.cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
                         .memory_bytes = (uint64_t)usage.ru_maxrss * 1024};
}

static void set_count(json_t *to, const char *name, uint64_t n)
{
    json_object_set_new(to, name, json_integer((json_int_t)n));
}

static void summary_json(struct backup_view *v, const struct backup_result *r)
{
    const struct snapshot_summary *s = &r->summary;
    struct cost cost = measure_cost();
    json_t *line = json_pack("{s:s}", "message_type", "summary");
    if (v->dry_run)
        json_object_set_new(line, "dry_run", json_true());
    set_count(line, "files_new", s->files_new);
    set_count(line, "files_changed", s->files_changed);
    set_count(line, "files_unmodified", s->files_unmodified);
    set_count(line, "dirs_new", s->dirs_new);
    set_count(line, "dirs_changed", s->dirs_changed);
    set_count(line, "dirs_unmodified", s->dirs_unmodified);
    set_count(line, "data_blobs", s->data_blobs);
    set_count(line, "tree_blobs", s->tree_blobs);
    set_count(line, "data_added", s->data_added);
    set_count(line, "data_added_packed", s->data_added_packed);
    set_count(line, "total_files_processed", s->total_files_processed);
    set_count(line, "total_bytes_processed", s->total_bytes_processed);
    json_object_set_new(line, "total_duration", json_real((double)r->duration_ns / 1e9));
    json_object_set_new(line, "backup_start", cli_json_time(&s->backup_start));
    json_object_set_new(line, "backup_end", cli_json_time(&s->backup_end));
    set_count(line, "error_count", r->unreadable);
    json_object_set_new(line, "cpu_seconds", json_real(cost.cpu_seconds));
    set_count(line, "peak_memory_bytes", cost.memory_bytes);
    if (r->saved)
        json_object_set_new(line, "snapshot_id", cli_json_id(&r->snapshot_id));
    cli_json(v->cli, line);
}

/* --- for people --- */

void backup_view_problems(struct backup_view *v)
{
    char count[32];
    for (size_t i = 0; i < v->problems.count; i++)
        cli_warn(v->cli, "not backed up: %s", v->problems.items[i]);
    if (v->problem_count > v->problems.count)
        cli_warn(v->cli, "… and %s more that could not be read",
                 cli_count(v->problem_count - v->problems.count, count));
}

static void counts_line(struct cli *cli, const char *what, uint64_t fresh, uint64_t changed, uint64_t same)
{
    char text[3][32];
    cli_print(cli, "%-8s %s new, %s changed, %s unmodified", what, cli_count(fresh, text[0]),
              cli_count(changed, text[1]), cli_count(same, text[2]));
}

static void result_line(struct backup_view *v, const struct backup_result *r)
{
    char id[ID_SHORT_CHARS + 1];
    if (r->saved)
        cli_print(v->cli, "snapshot %s%s%s saved", v->cli->color_out ? "\033[1m" : "", id_to_short(&r->snapshot_id, id),
                  v->cli->color_out ? "\033[0m" : "");
    else if (v->dry_run)
        cli_print(v->cli, "nothing was stored: this was a dry run");
    else
        cli_print(v->cli, "nothing changed: no new snapshot was made");
}

void backup_view_summary(struct backup_view *v, const struct backup_result *r)
{
    const struct snapshot_summary *s = &r->summary;
    struct cli *cli = v->cli;
    if (cli->json) {
        summary_json(v, r);
        return;
    }
    if (cli->quiet)
        return;
    char a[32], b[24], c[32], d[24];
    struct cost cost = measure_cost();
    counts_line(cli, "Files:", s->files_new, s->files_changed, s->files_unmodified);
    counts_line(cli, "Folders:", s->dirs_new, s->dirs_changed, s->dirs_unmodified);
    cli_print(cli, "%-8s %s of new data, %s as %s", "Added:", bytes_text(s->data_added, b),
              bytes_text(s->data_added_packed, d), v->dry_run ? "it would be stored" : "stored");
    cli_print(cli, "%-8s %s of processor time, at most %s of memory",
              "Cost:", cli_duration((uint64_t)(cost.cpu_seconds * 1e9), c), bytes_text(cost.memory_bytes, d));
    if (r->unreadable > 0)
        cli_print(cli, "%-8s %s could not be read and %s not in the snapshot", "Missing:", cli_count(r->unreadable, a),
                  r->unreadable == 1 ? "is" : "are");
    cli_print(cli, "\nprocessed %s files, %s in %s", cli_count(s->total_files_processed, a),
              bytes_text(s->total_bytes_processed, b), cli_duration(r->duration_ns, c));
    result_line(v, r);
}
