/* Runs for people: a table of many, everything of one, a line each. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/runs.h"
#include "cli/table.h"
#include "os/clock.h"

enum { COLUMNS = 7, GAP = 2, TEXT_MIN_COLUMNS = 20, SHOWN_BYTES = 4096 };

/* The begin of what has ended. */
static struct timespec began(const struct record *r)
{
    struct timespec t = r->time;
    if (r->status == RECORD_STARTED)
        return t;
    t.tv_sec -= (time_t)(r->duration_ms / 1000);
    t.tv_nsec -= (long)(r->duration_ms % 1000) * 1000000;
    if (t.tv_nsec < 0) {
        t.tv_nsec += 1000000000;
        t.tv_sec--;
    }
    return t;
}

static const char *what_is_wrong(const struct record *r)
{
    if (r->error != NULL)
        return r->error;
    if (r->exit_code != 0 && r->warnings.count > 0)
        return r->warnings.items[0];
    return "";
}

/* The caller frees it. */
static char *name_of(const struct record *r)
{
    return mem_printf("%s%s", r->tier != NULL ? r->tier : "", r->job ? " (job)" : "");
}

/* --- the table --- */

struct cells {
    char *texts[COLUMNS];
};

/* Control characters, line breaks too, would tear the line. */
static char *one_line(const char *text)
{
    size_t cap = strlen(text) * 10 + 1;
    char *shown = mem_alloc(cap), *copy = mem_strdup(text);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    cli_printable(copy, shown, cap);
    free(copy);
    return shown;
}

static void make_cells(const struct run_row *row, struct cells *out)
{
    const struct record *r = &row->record;
    bool ended = r->status == RECORD_COMPLETED || r->status == RECORD_FAILED;
    char when[OS_TIME_BYTES], duration[32] = "", size[24] = "", added[24] = "";
    struct timespec start = began(r);
    if (r->status != RECORD_STARTED && (r->duration_ms > 0 || ended))
        cli_duration(r->duration_ms * 1000000, duration);
    if (ended && (r->bytes_processed > 0 || !r->job))
        cli_bytes(r->bytes_processed, size);
    if (ended && (r->bytes_added > 0 || !r->job))
        cli_bytes(r->bytes_added, added);
    *out = (struct cells){{mem_strdup(os_time_format_human(&start, when)), name_of(r), mem_strdup(runs_outcome(row)),
                           mem_strdup(duration), mem_strdup(size), mem_strdup(added), one_line(what_is_wrong(r))}};
}

/* How wide the last column may be: what the others leave of the terminal. */
static size_t room_for_text(const struct cells *all, size_t count, const char *const *headers)
{
    size_t taken = 0, total = cli_columns(stdout);
    if (isatty(STDOUT_FILENO) != 1 && getenv("COLUMNS") == NULL)
        return SIZE_MAX;
    for (size_t c = 0; c + 1 < COLUMNS; c++) {
        size_t width = cli_text_columns(headers[c] + (*headers[c] == '>'));
        for (size_t i = 0; i < count; i++) {
            size_t has = cli_text_columns(all[i].texts[c]);
            width = has > width ? has : width;
        }
        taken += width + GAP;
    }
    return total > taken + TEXT_MIN_COLUMNS ? total - taken : TEXT_MIN_COLUMNS;
}

void runs_print_table(struct cli *cli, const struct run_rows *rows, size_t shown)
{
    static const char *const HEADERS[] = {
        "When", "What", "Outcome", ">Duration", ">Size", ">Added", "What is the matter", NULL};
    struct cli_table *table = cli_table_new(HEADERS);
    struct cells *all = mem_array(NULL, shown + 1, sizeof *all);
    char footer[100];
    for (size_t i = 0; i < shown; i++)
        make_cells(&rows->items[i], &all[i]);
    size_t room = room_for_text(all, shown, HEADERS);
    for (size_t i = 0; i < shown; i++) {
        cli_text_cut(all[i].texts[COLUMNS - 1], room, false);
        cli_table_row(table, (const char *const *)all[i].texts);
        for (size_t c = 0; c < COLUMNS; c++)
            free(all[i].texts[c]);
    }
    if (shown < rows->count)
        snprintf(footer, sizeof footer, "the newest %zu of %zu runs; --last %zu shows all", shown, rows->count,
                 rows->count);
    else
        snprintf(footer, sizeof footer, "%zu run%s", shown, shown == 1 ? "" : "s");
    cli_table_print(cli, table, footer);
    cli_table_free(table);
    free(all);
}

/* --- one run --- */

static const char *status_word(enum record_status s)
{
    return s == RECORD_COMPLETED ? "ok" : record_status_name(s);
}

static void print_labelled(struct cli *cli, const char *label, const char *text)
{
    char *shown = one_line(text);
    cli_print(cli, "  %-10s %s", label, shown);
    free(shown);
}

static void print_sources(struct cli *cli, const struct record *r)
{
    if (r->source_count == 0)
        return;
    struct cli_table *t = cli_table_new((const char *const[]){"  Source", "", ">Files", ">Size", "", NULL});
    for (size_t i = 0; i < r->source_count; i++) {
        const struct record_source *s = &r->sources[i];
        char files[32], size[24], *name = mem_printf("  %s", s->name);
        char *text = mem_printf("%s%s%s%s%s", s->message != NULL ? s->message : "",
                                s->message != NULL && s->push != NULL ? "; " : "", s->push != NULL ? "push: " : "",
                                s->push != NULL ? s->push : "", s->suspect ? " (much smaller than the last time)" : "");
        cli_table_row(t, (const char *const[]){name, status_word(s->status), cli_count(s->files, files),
                                               cli_bytes(s->bytes, size), text});
        free(name);
        free(text);
    }
    cli_table_print(cli, t, NULL);
    cli_table_free(t);
}

static void print_destinations(struct cli *cli, const struct record *r)
{
    if (r->destination_count == 0)
        return;
    struct cli_table *t =
        cli_table_new((const char *const[]){"  Destination", "", ">Added", ">Free", ">Removed", "Proved", "", NULL});
    for (size_t i = 0; i < r->destination_count; i++) {
        const struct record_destination *d = &r->destinations[i];
        char added[24], left[24] = "", removed[32], *name = mem_printf("  %s", d->name);
        if (d->total_bytes > 0)
            cli_bytes(d->free_bytes, left);
        cli_table_row(t, (const char *const[]){name, status_word(d->status), cli_bytes(d->bytes_added, added), left,
                                               cli_count(d->removed, removed), d->verified ? "yes" : "no",
                                               d->message != NULL ? d->message : ""});
        free(name);
    }
    cli_table_print(cli, t, NULL);
    cli_table_free(t);
}

static void print_record(struct cli *cli, const struct run_row *row)
{
    const struct record *r = &row->record;
    char when[OS_TIME_BYTES], duration[32], size[24], added[24], *name = name_of(r), *shown = one_line(name);
    struct timespec start = began(r);
    cli_print(cli, "%s: %s", shown, runs_outcome(row));
    free(name);
    free(shown);
    print_labelled(cli, "began", os_time_format_human(&start, when));
    if (row->open)
        return;
    print_labelled(cli, "ended", os_time_format_human(&r->time, when));
    cli_print(cli, "  %-10s %s, exit status %d", "took", cli_duration(r->duration_ms * 1000000, duration),
              r->exit_code);
    if (r->bytes_processed > 0 || r->bytes_added > 0 || !r->job)
        cli_print(cli, "  %-10s %s read, %s added", "size", cli_bytes(r->bytes_processed, size),
                  cli_bytes(r->bytes_added, added));
    if (r->error != NULL)
        print_labelled(cli, "error", r->error);
    for (size_t i = 0; i < r->warnings.count; i++)
        print_labelled(cli, "warning", r->warnings.items[i]);
    for (size_t i = 0; i < r->snapshots.count; i++)
        print_labelled(cli, i == 0 ? "snapshots" : "", r->snapshots.items[i]);
    print_sources(cli, r);
    print_destinations(cli, r);
}

void runs_print_run(struct cli *cli, const struct run_rows *rows)
{
    for (size_t i = rows->count; i-- > 0;) { /* as it went */
        const struct record *r = &rows->items[i].record;
        if (i + 1 == rows->count || strcmp(rows->items[i + 1].record.run_id, r->run_id) != 0)
            cli_print(cli, "%srun %s\n", i + 1 < rows->count ? "\n" : "", r->run_id);
        else
            cli_print(cli, "%s", "");
        print_record(cli, &rows->items[i]);
    }
}

/* --- a line each --- */

void runs_print_line(struct cli *cli, const struct record *r, const char *line, size_t len)
{
    char when[OS_TIME_BYTES], duration[32], size[24];
    if (cli->json) {
        json_t *o = runs_json(line, len);
        if (o != NULL)
            cli_json(cli, o);
        return;
    }
    struct run_row row = {.record = *r};
    char *name = name_of(r), *shown = one_line(name), *wrong = one_line(what_is_wrong(r));
    os_time_format_human(&r->time, when);
    if (r->status == RECORD_STARTED)
        cli_print(cli, "%s  %s  started", when, shown);
    else
        cli_print(cli, "%s  %s  %s in %s, %s%s%s", when, shown, runs_outcome(&row),
                  cli_duration(r->duration_ms * 1000000, duration), cli_bytes(r->bytes_processed, size),
                  *wrong != '\0' ? ": " : "", wrong);
    free(name);
    free(shown);
    free(wrong);
}
