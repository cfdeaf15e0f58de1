/* Runs for people: a table of many, everything of one, a line each. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/runs.h"
#include "cli/screen.h"
#include "cli/table.h"
#include "cli/text.h"
#include "monitor/rules.h"
#include "os/clock.h"

enum {
    COLUMNS = 7,
    NAME = 2,
    ADDED = 6,
    GAP = 2,
    NAME_MIN_COLUMNS = 8,
    INDENT = 4,
    LABEL_COLUMNS = 13,
    HEAD_LINES = 2,
    MINUTES = 16,
    TABLE_MAX_BYTES = 1 << 30
};

static const char *what_is_wrong(const struct record *r)
{
    if (r->error != NULL)
        return r->error;
    if (r->exit_code != 0 && r->warnings.count > 0)
        return r->warnings.items[0];
    if ((r->exit_code != 0 || r->status == RECORD_SKIPPED) && r->message != NULL)
        return r->message;
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

static char *one_line_name(const struct record *r)
{
    char *name = name_of(r), *shown = one_line(name);
    free(name);
    return shown;
}

/* reason_out: NULL: there is nothing to say. */
static void make_cells(const struct run_row *row, struct cells *out, char **reason_out)
{
    const struct record *r = &row->record;
    bool ended = r->status == RECORD_COMPLETED || r->status == RECORD_FAILED;
    char when[OS_TIME_BYTES], duration[32] = "", size[24] = "", added[24] = "";
    struct timespec start = runs_began(row);
    if (r->status != RECORD_STARTED && (r->duration_ms > 0 || ended))
        cli_duration(r->duration_ms * 1000000, duration);
    if (ended && (r->bytes_processed > 0 || !r->job))
        bytes_text(r->bytes_processed, size);
    if (ended && (r->bytes_added > 0 || !r->job))
        bytes_text(r->bytes_added, added);
    os_time_format_human(&start, when);
    when[MINUTES] = '\0';
    const char *wrong = r->status != RECORD_SKIPPED ? what_is_wrong(r) : "", *id = r->run_id != NULL ? r->run_id : "";
    *out = (struct cells){{mem_strdup(when), mem_strndup(id, strnlen(id, RUN_ID_SHORT)), one_line_name(r),
                           mem_strdup(runs_outcome(row)), mem_strdup(duration), mem_strdup(size), mem_strdup(added)}};
    *reason_out = *wrong != '\0' ? one_line(wrong) : NULL;
}

/* How wide the columns up to there are, with the gaps between them. */
static size_t width_of(const struct cells *all, size_t count, const char *const *headers, size_t columns)
{
    size_t taken = 0;
    for (size_t c = 0; c < columns; c++) {
        size_t width = cli_text_columns(headers[c] + (*headers[c] == '>'));
        for (size_t i = 0; i < count; i++) {
            size_t has = cli_text_columns(all[i].texts[c]);
            width = has > width ? has : width;
        }
        taken += width + (c > 0 ? GAP : 0);
    }
    return taken;
}

/* Where even that is too wide, names give way. */
static void cut_names(struct cells *all, size_t count, size_t too_many)
{
    size_t widest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t has = cli_text_columns(all[i].texts[NAME]);
        widest = has > widest ? has : widest;
    }
    size_t room = widest > too_many + NAME_MIN_COLUMNS ? widest - too_many : NAME_MIN_COLUMNS;
    for (size_t i = 0; i < count; i++)
        cli_text_cut(all[i].texts[NAME], room, false);
}

static void add_reason(const char *reason, size_t width, struct buf *out)
{
    buf_printf(out, "%*s", INDENT, "");
    text_fill(out, reason, strlen(reason), INDENT, INDENT, width);
    buf_append_byte(out, '\n');
}

/* The table, and after each of its lines the reason where there is one. */
static void print_with_reasons(struct cli *cli, const struct cli_table *table, char *const *reasons, size_t count,
                               const char *footer)
{
    struct buf plain, out;
    size_t line = 0;
    buf_init(&plain, TABLE_MAX_BYTES);
    buf_init(&out, TABLE_MAX_BYTES);
    cli_table_render(table, footer, &plain);
    for (const char *p = buf_cstr(&plain); *p != '\0'; line++) {
        size_t len = strcspn(p, "\n");
        buf_append(&out, p, len);
        buf_append_byte(&out, '\n');
        p += len + (p[len] == '\n');
        if (line >= HEAD_LINES && line - HEAD_LINES < count && reasons[line - HEAD_LINES] != NULL)
            add_reason(reasons[line - HEAD_LINES], screen_text_width(), &out);
    }
    cli_print(cli, "%.*s", (int)out.len - 1, buf_cstr(&out));
    buf_release(&plain);
    buf_release(&out);
}

static struct cli_table *make_table(struct cells *all, size_t count, size_t width)
{
    const char *headers[COLUMNS + 1] = {"When", "Run", "What", "Outcome", ">Took", ">Size", ">Added", NULL};
    size_t has = width_of(all, count, headers, COLUMNS);
    if (has > width) {
        headers[ADDED] = NULL;
        has = width_of(all, count, headers, ADDED);
    }
    if (has > width)
        cut_names(all, count, has - width);
    struct cli_table *table = cli_table_new(headers);
    for (size_t i = 0; i < count; i++)
        cli_table_row(table, (const char *const *)all[i].texts);
    return table;
}

void runs_print_table(struct cli *cli, const struct run_rows *rows, size_t shown)
{
    struct cells *all = mem_array(NULL, shown + 1, sizeof *all);
    char footer[100], **reasons = mem_array(NULL, shown + 1, sizeof *reasons);
    for (size_t i = 0; i < shown; i++)
        make_cells(&rows->items[i], &all[i], &reasons[i]);
    if (shown < rows->count)
        snprintf(footer, sizeof footer, "the newest %zu of %zu runs; --last %zu shows all", shown, rows->count,
                 rows->count);
    else
        snprintf(footer, sizeof footer, "%zu run%s", shown, shown == 1 ? "" : "s");
    struct cli_table *table = make_table(all, shown, screen_text_width());
    print_with_reasons(cli, table, reasons, shown, footer);
    cli_table_free(table);
    for (size_t i = 0; i < shown; i++) {
        for (size_t c = 0; c < COLUMNS; c++)
            free(all[i].texts[c]);
        free(reasons[i]);
    }
    free(reasons);
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
    struct buf out;
    buf_init(&out, TABLE_MAX_BYTES);
    text_fill(&out, shown, strlen(shown), LABEL_COLUMNS, LABEL_COLUMNS, screen_text_width());
    cli_print(cli, "  %-10s %s", label, buf_cstr(&out));
    buf_release(&out);
    free(shown);
}

/* The caller frees it; NULL: there is nothing to say. */
static char *text_of_source(const struct record_source *s)
{
    char *text = mem_printf("%s%s%s%s%s", s->message != NULL ? s->message : "",
                            s->message != NULL && s->push != NULL ? "; " : "", s->push != NULL ? "push: " : "",
                            s->push != NULL ? s->push : "", s->suspect ? " (much smaller than the last time)" : "");
    char *shown = *text != '\0' ? one_line(text) : NULL;
    free(text);
    return shown;
}

static char *indented(const char *name)
{
    char *shown = one_line(name), *text = mem_printf("  %s", shown);
    free(shown);
    return text;
}

static void print_and_free(struct cli *cli, struct cli_table *t, char **texts, size_t count)
{
    print_with_reasons(cli, t, texts, count, NULL);
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
    cli_table_free(t);
}

static void print_sources(struct cli *cli, const struct record *r)
{
    if (r->source_count == 0)
        return;
    struct cli_table *t = cli_table_new((const char *const[]){"  Source", "", ">Files", ">Size", NULL});
    char **texts = mem_array(NULL, r->source_count, sizeof *texts);
    for (size_t i = 0; i < r->source_count; i++) {
        const struct record_source *s = &r->sources[i];
        char files[32], size[24], *name = indented(s->name);
        texts[i] = text_of_source(s);
        cli_table_row(t, (const char *const[]){name, status_word(s->status), cli_count(s->files, files),
                                               bytes_text(s->bytes, size)});
        free(name);
    }
    print_and_free(cli, t, texts, r->source_count);
}

static void print_destinations(struct cli *cli, const struct record *r)
{
    if (r->destination_count == 0)
        return;
    struct cli_table *t =
        cli_table_new((const char *const[]){"  Destination", "", ">Added", ">Free", ">Removed", "Proved", NULL});
    char **texts = mem_array(NULL, r->destination_count, sizeof *texts);
    for (size_t i = 0; i < r->destination_count; i++) {
        const struct record_destination *d = &r->destinations[i];
        char added[24], left[RULES_TEXT_BYTES] = "", removed[32], *name = indented(d->name);
        if (d->total_bytes > 0)
            bytes_text(d->free_bytes, left);
        texts[i] = d->message != NULL ? one_line(d->message) : NULL;
        cli_table_row(t, (const char *const[]){name, status_word(d->status), bytes_text(d->bytes_added, added), left,
                                               cli_count(d->removed, removed), d->verified ? "yes" : "no"});
        free(name);
    }
    print_and_free(cli, t, texts, r->destination_count);
}

static void print_record(struct cli *cli, const struct run_row *row)
{
    const struct record *r = &row->record;
    char when[OS_TIME_BYTES], duration[32], size[24], added[24], *name = name_of(r), *shown = one_line(name);
    struct timespec start = runs_began(row);
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
        cli_print(cli, "  %-10s %s read, %s added", "size", bytes_text(r->bytes_processed, size),
                  bytes_text(r->bytes_added, added));
    if (r->error != NULL)
        print_labelled(cli, "error", r->error);
    if (r->message != NULL)
        print_labelled(cli, r->status == RECORD_SKIPPED ? "why" : "it said", r->message);
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
                  cli_duration(r->duration_ms * 1000000, duration), bytes_text(r->bytes_processed, size),
                  *wrong != '\0' ? ": " : "", wrong);
    free(name);
    free(shown);
    free(wrong);
}
