/* Reading compiled time zones and looking in them. The rule for later years: schedule_rule.c. */
#include "plan/schedule_zone.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "plan/schedule_rule.h"

enum {
    FILE_MAX_BYTES = 256 << 10, /* the largest have 4 KB */
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    NAME_MAX_BYTES = 100,
    SECONDS_PER_DAY = 86400,
};

struct zone {
    int64_t *changes; /* Unix times, ascending */
    int32_t *offsets; /* from each of them on */
    size_t count;
    int32_t first_offset; /* before the first */
    bool has_rule;        /* it holds after the last change */
    struct zone_rule rule;
};

/* ------------------------------------------------------------------------------------------------------------ the file
 */

/* A header's counts, and the sizes that follow from them. */
struct block {
    uint32_t isut_count, isstd_count, leap_count, time_count, type_count, char_count;
    size_t time_bytes; /* of one: 4 in the first block, 8 in the second */
    size_t len;        /* without the header */
};

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read_time(const unsigned char *p, size_t bytes)
{
    if (bytes == 4)
        return (int32_t)read_u32(p);
    return (int64_t)((uint64_t)read_u32(p) << 32 | read_u32(p + 4));
}

/* False when it is no header, or what it announces is not all there. */
static bool read_header(const unsigned char *p, size_t len, size_t time_bytes, struct block *b)
{
    if (len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    uint32_t *counts[] = {&b->isut_count, &b->isstd_count, &b->leap_count,
                          &b->time_count, &b->type_count,  &b->char_count};
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = read_u32(p + 20 + 4 * i);
        if (*counts[i] > FILE_MAX_BYTES)
            return false;
    }
    b->time_bytes = time_bytes;
    b->len = b->time_count * (time_bytes + 1) + (size_t)b->type_count * TYPE_BYTES + b->char_count +
             b->leap_count * (time_bytes + 4) + b->isstd_count + b->isut_count;
    return b->type_count > 0 && b->len <= len - HEADER_BYTES;
}

/* The changes of one block. */
static bool read_changes(const unsigned char *p, const struct block *b, struct zone *z)
{
    const unsigned char *indexes = p + b->time_count * b->time_bytes, *types = indexes + b->time_count;
    z->count = b->time_count;
    z->changes = mem_array(NULL, z->count + 1, sizeof *z->changes);
    z->offsets = mem_array(NULL, z->count + 1, sizeof *z->offsets);
    for (size_t i = 0; i < z->count; i++) {
        z->changes[i] = read_time(p + i * b->time_bytes, b->time_bytes);
        if (indexes[i] >= b->type_count || (i > 0 && z->changes[i] <= z->changes[i - 1]))
            return false;
        z->offsets[i] = (int32_t)read_u32(types + (size_t)indexes[i] * TYPE_BYTES);
    }
    z->first_offset = (int32_t)read_u32(types);
    for (size_t i = 0; i < b->type_count; i++) {
        int32_t offset = (int32_t)read_u32(types + i * TYPE_BYTES);
        if (offset <= -2 * SECONDS_PER_DAY || offset >= 2 * SECONDS_PER_DAY)
            return false;
    }
    return b->leap_count == 0; /* clocks that count leap seconds are not Unix's */
}

/* "\nRULE\n"; an empty rule: none is known. */
static bool read_footer(const unsigned char *p, size_t len, struct zone *z)
{
    const unsigned char *end = len > 1 && p[0] == '\n' ? memchr(p + 1, '\n', len - 1) : NULL;
    if (end == NULL)
        return false;
    if (end == p + 1)
        return true;
    char *text = mem_strndup((const char *)p + 1, (size_t)(end - p - 1));
    z->has_rule = zone_rule_parse(text, &z->rule);
    free(text);
    return z->has_rule;
}

static bool read_zone(const unsigned char *p, size_t len, struct zone *z)
{
    struct block first, second;
    if (!read_header(p, len, 4, &first))
        return false;
    if (p[4] == '\0') /* version 1 */
        return read_changes(p + HEADER_BYTES, &first, z);
    p += HEADER_BYTES + first.len;
    len -= HEADER_BYTES + first.len;
    if (!read_header(p, len, 8, &second) || !read_changes(p + HEADER_BYTES, &second, z))
        return false;
    return read_footer(p + HEADER_BYTES + second.len, len - HEADER_BYTES - second.len, z);
}

static int load_file(const char *path, struct zone *z, struct err *err)
{
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    int rc = os_read_file(path, &text, err);
    if (rc == 0 && !read_zone(text.data, text.len, z))
        rc = err_set(err, ERR_CORRUPT, "'%s' is no time zone file", path);
    buf_release(&text);
    return rc;
}

/* ----------------------------------------------------------------------------------------------------------- the names
 */

/* A name cannot lead out of the directory of zones. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES || name[0] == '/' || name[0] == '.' || strstr(name, "/.") != NULL)
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/.") == len;
}

static char *path_of(const char *name)
{
    const char *dir = getenv("TZDIR");
    return os_path_join(dir != NULL && dir[0] == '/' ? dir : "/usr/share/zoneinfo", name);
}

static int load_named(const char *name, struct zone *z, struct err *err)
{
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0)
        return 0; /* works on a machine without time zone data as well */
    if (!is_name(name))
        return err_set(err, ERR_USAGE, "'%.40s' is no name of a time zone like Europe/Berlin", name);
    char *path = path_of(name);
    struct err why = {0};
    int rc = load_file(path, z, &why);
    if (rc < 0 &&
        (why.code == ERR_NOT_FOUND || why.code == ERR_IO || why.code == ERR_FAILED)) /* the last: a directory */
        err_set(err, ERR_USAGE, "time zone '%s' is not known: there is no file '%s' (package tzdata)", name, path);
    else if (rc < 0)
        err_set(err, ERR_USAGE, "time zone '%s' cannot be used: %s", name, why.message);
    free(path);
    return rc;
}

static void reset(struct zone *z)
{
    free(z->changes);
    free(z->offsets);
    *z = (struct zone){0};
}

/* As the C library does it, UTC is what remains when nothing can be understood. */
static void load_local(struct zone *z)
{
    const char *tz = getenv("TZ");
    if (tz == NULL) {
        if (load_file("/etc/localtime", z, NULL) < 0)
            reset(z);
        return;
    }
    if (tz[0] == ':')
        tz++;
    if (tz[0] == '\0')
        return;
    int rc = tz[0] == '/' ? load_file(tz, z, NULL) : load_named(tz, z, NULL);
    if (rc == 0)
        return;
    reset(z);
    z->has_rule = zone_rule_parse(tz, &z->rule);
}

int zone_load(const char *name, struct zone **out, struct err *err)
{
    struct zone *z = mem_zalloc(sizeof *z);
    *out = NULL;
    if (name == NULL) {
        load_local(z);
    } else if (load_named(name, z, err) < 0) {
        zone_free(z);
        return -1;
    }
    *out = z;
    return 0;
}

void zone_free(struct zone *z)
{
    if (z == NULL)
        return;
    reset(z);
    free(z);
}

bool zone_equal(const struct zone *a, const struct zone *b)
{
    return a->count == b->count && a->first_offset == b->first_offset && a->has_rule == b->has_rule &&
           (!a->has_rule || zone_rule_equal(&a->rule, &b->rule)) &&
           (a->count == 0 || (memcmp(a->changes, b->changes, a->count * sizeof *a->changes) == 0 &&
                              memcmp(a->offsets, b->offsets, a->count * sizeof *a->offsets) == 0));
}

/* ------------------------------------------------------------------------------------------------------------- looking
 */

/* How many changes lie at or before the instant. */
static size_t changes_until(const struct zone *z, int64_t t)
{
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->changes[middle] <= t)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t offset_before(const struct zone *z, size_t i)
{
    return i == 0 ? z->first_offset : z->offsets[i - 1];
}

/* Behind the last change that the file lists. */
static void find_by_rule(const struct zone *z, int64_t t, struct zone_span *out)
{
    zone_rule_find(&z->rule, t, out);
    if (z->count > 0 && out->start_s <= z->changes[z->count - 1]) {
        out->start_s = z->changes[z->count - 1];
        out->before_s = offset_before(z, z->count - 1);
    }
}

void zone_find(const struct zone *z, int64_t unix_s, struct zone_span *out)
{
    size_t i = changes_until(z, unix_s);
    if (i == z->count && z->has_rule) {
        find_by_rule(z, unix_s, out);
        return;
    }
    *out = (struct zone_span){.start_s = i == 0 ? INT64_MIN : z->changes[i - 1],
                              .end_s = i == z->count ? INT64_MAX : z->changes[i],
                              .offset_s = offset_before(z, i),
                              .before_s = offset_before(z, i == 0 ? 0 : i - 1)};
}

int64_t zone_instant(const struct zone *z, int64_t local_s)
{
    struct zone_span span;
    zone_find(z, local_s - 2 * SECONDS_PER_DAY, &span); /* offsets are smaller than that */
    while (span.end_s != INT64_MAX && local_s - span.offset_s >= span.end_s) {
        int64_t change = span.end_s;
        zone_find(z, change, &span);
        if (local_s < change + span.offset_s)
            return change; /* clocks went over it */
    }
    return local_s - span.offset_s;
}
