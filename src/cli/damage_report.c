#include "cli/damage_report.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/clock.h"

enum {
    RECORDS_MAX = 100000,
    PATHS_SHOWN = 100,
    SNAPSHOTS_SHOWN = 4,
    SHOWN_BYTES = 4096,
};

struct record {
    char *path;
    struct id snapshot;
    struct timespec time;
    bool is_dir;
    size_t lost, parts;
};

struct damage_report {
    struct record *records;
    size_t count, cap;
    uint64_t total;
};

struct damage_report *damage_report_new(void)
{
    return mem_zalloc(sizeof(struct damage_report));
}

void damage_report_free(struct damage_report *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->records[i].path);
    free(r->records);
    free(r);
}

void damage_report_add(struct damage_report *r, const struct damage *d)
{
    r->total++;
    if (r->count == RECORDS_MAX)
        return;
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 64 : r->cap * 2;
        r->records = mem_array(r->records, r->cap, sizeof *r->records);
    }
    r->records[r->count++] = (struct record){
        .path = mem_strdup(d->path),
        .snapshot = d->snapshot->id,
        .time = d->snapshot->time,
        .is_dir = d->is_dir,
        .lost = d->lost,
        .parts = d->parts,
    };
}

/* By path, the newest snapshot first. */
static int compare_records(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int c = strcmp(x->path, y->path);
    if (c != 0)
        return c;
    return x->time.tv_sec > y->time.tv_sec ? -1 : x->time.tv_sec < y->time.tv_sec;
}

static void print_path(struct cli *cli, const struct record *r, size_t count)
{
    char path[SHOWN_BYTES], extent[64] = "everything below it", when[OS_TIME_BYTES], id[ID_SHORT_CHARS + 1];
    struct buf snapshots;
    buf_init(&snapshots, SHOWN_BYTES);
    for (size_t i = 0; i < count && i < SNAPSHOTS_SHOWN; i++)
        buf_printf(&snapshots, "%s%s (%s)", i > 0 ? ", " : "", id_to_short(&r[i].snapshot, id),
                   os_time_format_human(&r[i].time, when));
    if (count > SNAPSHOTS_SHOWN)
        buf_printf(&snapshots, " and %zu older", count - SNAPSHOTS_SHOWN);
    if (!r->is_dir)
        snprintf(extent, sizeof extent, "%zu of %zu parts", r->lost, r->parts);
    cli_print(cli, "  %s: %s, in %s", cli_printable(r->path, path, sizeof path), extent, buf_cstr(&snapshots));
    buf_release(&snapshots);
}

void damage_report_print(struct cli *cli, struct damage_report *r)
{
    char number[32];
    size_t paths = 0;
    if (r->count == 0)
        return;
    qsort(r->records, r->count, sizeof *r->records, compare_records);
    cli_print(cli, "\nlost in snapshots:");
    for (size_t first = 0, end; first < r->count; first = end) {
        for (end = first + 1; end < r->count && strcmp(r->records[first].path, r->records[end].path) == 0;)
            end++;
        if (paths++ < PATHS_SHOWN)
            print_path(cli, r->records + first, end - first);
    }
    if (paths > PATHS_SHOWN || r->total > r->count)
        cli_print(cli, "  … %s paths in all (--json names each)",
                  cli_count(r->total > r->count ? r->total : paths, number));
}
