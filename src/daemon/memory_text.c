/*
 * A line: {"id":ID,"schedule":"16 hex digits", numbers …,"running":bool,"sum":"16 hex digits"}
 * The sum is FNV-1a, 64 bits, of what stands before its comma.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "daemon/memory.h"
#include "repo/quote.h"

enum { SUM_BYTES = 16 };
static const char SUM_BEGINS[] = ",\"sum\":\"", SUM_ENDS[] = "\"}";

static uint64_t sum_of(const void *p, size_t len)
{
    const unsigned char *bytes = p;
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* The numbers of an entry, by their names. */
static const struct {
    const char *name;
    size_t offset;
} TIMES[] = {
    {"handledMs", offsetof(struct scheduler_memory, handled_ms)},
    {"firstSeenMs", offsetof(struct scheduler_memory, first_seen_ms)},
    {"lastRunMs", offsetof(struct scheduler_memory, last_run_ms)},
    {"dueMs", offsetof(struct scheduler_memory, due_ms)},
    {"retryMs", offsetof(struct scheduler_memory, retry_ms)},
    {"askedMs", offsetof(struct scheduler_memory, asked_ms)},
};
enum { TIME_COUNT = sizeof TIMES / sizeof *TIMES };

/* ------------------------------------------------------------------------------------------------------------- writing
 */

static void encode_one(const struct scheduler_memory *m, struct buf *out)
{
    size_t start = out->len;
    buf_append_str(out, "{\"id\":\"");
    quote_json(m->id, strlen(m->id), out);
    buf_printf(out, "\",\"schedule\":\"%016" PRIx64 "\"", m->schedule);
    for (size_t i = 0; i < TIME_COUNT; i++) {
        int64_t ms;
        memcpy(&ms, (const char *)m + TIMES[i].offset, sizeof ms);
        if (ms != 0)
            buf_printf(out, ",\"%s\":%" PRId64, TIMES[i].name, ms);
    }
    buf_printf(out, ",\"attempt\":%u,\"depth\":%u,\"running\":%s", m->attempt, m->depth, m->running ? "true" : "false");
    if (!out->overflow)
        buf_printf(out, "%s%016" PRIx64 "%s\n", SUM_BEGINS, sum_of(out->data + start, out->len - start), SUM_ENDS);
}

void memory_encode(const struct scheduler_memory *items, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++)
        encode_one(&items[i], out);
}

/* ------------------------------------------------------------------------------------------------------------- reading
 */

static bool sum_matches(const char *line, size_t len)
{
    size_t tail = sizeof SUM_BEGINS - 1 + SUM_BYTES + sizeof SUM_ENDS - 1;
    if (len <= tail)
        return false;
    char expected[64];
    snprintf(expected, sizeof expected, "%s%016" PRIx64 "%s", SUM_BEGINS, sum_of(line, len - tail), SUM_ENDS);
    return memcmp(line + len - tail, expected, tail) == 0;
}

/* The meaning of a string, without NUL in it; the caller frees it. NULL: it is none. */
static char *take_string(struct json_scan *s)
{
    struct json_slice slice;
    struct buf text;
    char *out = NULL;
    buf_init(&text, 64 << 10);
    if (json_scan_string(s, &slice) && json_unescape(&slice, &text) && !text.overflow &&
        (text.len == 0 || memchr(text.data, '\0', text.len) == NULL))
        out = mem_strdup(buf_cstr(&text));
    buf_release(&text);
    return out;
}

static void take_fingerprint(struct json_scan *s, struct scheduler_memory *m)
{
    char *text = take_string(s);
    if (text != NULL)
        m->schedule = strtoull(text, NULL, 16);
    free(text);
}

static unsigned take_count(struct json_scan *s)
{
    uint64_t n = json_u64(s);
    return n < 1000000 ? (unsigned)n : 1000000;
}

static void take_time(struct json_scan *s, const struct json_slice *key, struct scheduler_memory *m)
{
    for (size_t i = 0; i < TIME_COUNT; i++)
        if (json_key_is(key, TIMES[i].name)) {
            int64_t ms = json_i64(s);
            memcpy((char *)m + TIMES[i].offset, &ms, sizeof ms);
            return;
        }
    json_skip(s, NULL); /* of a newer program */
}

/* False: the line is damaged. Its id is the caller's. */
static bool decode_one(const char *line, size_t len, struct scheduler_memory *m)
{
    struct json_scan s;
    struct json_slice key;
    *m = (struct scheduler_memory){0};
    if (!sum_matches(line, len))
        return false;
    json_scan_init(&s, line, len);
    json_object_begin(&s);
    while (json_object_next(&s, &key)) {
        if (json_key_is(&key, "id")) {
            free(m->id);
            m->id = take_string(&s);
        } else if (json_key_is(&key, "schedule")) {
            take_fingerprint(&s, m);
        } else if (json_key_is(&key, "attempt")) {
            m->attempt = take_count(&s);
        } else if (json_key_is(&key, "depth")) {
            m->depth = take_count(&s);
        } else if (json_key_is(&key, "running")) {
            m->running = json_bool(&s);
        } else {
            take_time(&s, &key, m);
        }
    }
    if (!json_scan_failed(&s) && json_scan_at_end(&s) && m->id != NULL && job_id_valid(m->id))
        return true;
    free(m->id);
    return false;
}

/* By ID, of one ID the later line first. */
static int by_id(const void *a, const void *b)
{
    const struct scheduler_memory *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order != 0 ? order : (*x < *y) - (*x > *y);
}

/* Leaves the last line of each job. */
static void leave_last(struct memory_list *l)
{
    struct scheduler_memory **sorted = mem_array(NULL, l->count + 1, sizeof(struct scheduler_memory *));
    struct scheduler_memory *kept = mem_array(NULL, l->count + 1, sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++)
        sorted[i] = &l->items[i];
    qsort(sorted, l->count, sizeof(struct scheduler_memory *), by_id);
    for (size_t i = 0; i < l->count; i++)
        if (count > 0 && strcmp(kept[count - 1].id, sorted[i]->id) == 0)
            free(sorted[i]->id);
        else
            kept[count++] = *sorted[i];
    free(sorted);
    free(l->items);
    l->items = kept;
    l->count = count;
}

void memory_decode(const char *text, size_t len, struct memory_list *out)
{
    size_t cap = 0;
    *out = (struct memory_list){0};
    for (const char *p = text, *end = text + len; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t line_len = (size_t)((newline != NULL ? newline : end) - p);
        if (out->count == cap) {
            cap = cap > 0 ? cap * 2 : 64;
            out->items = mem_array(out->items, cap, sizeof *out->items);
        }
        if (decode_one(p, line_len, &out->items[out->count]))
            out->count++;
        else if (line_len > 0)
            out->damaged++;
        p += line_len + (newline != NULL);
    }
    leave_last(out);
}

void memory_list_release(struct memory_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].id);
    free(l->items);
    *l = (struct memory_list){0};
}
