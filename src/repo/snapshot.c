#include "repo/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "repo/quote.h"

enum { SNAPSHOT_MAX_BYTES = 256 << 20 };

void snapshot_init(struct snapshot *s)
{
    *s = (struct snapshot){0};
}

void snapshot_release(struct snapshot *s)
{
    strlist_release(&s->paths);
    strlist_release(&s->excludes);
    strlist_release(&s->tags);
    free(s->hostname);
    free(s->username);
    free(s->program_version);
    free(s->unknown);
    free(s->unknown_summary);
    snapshot_init(s);
}

/* The summary's counters in the format's order. */
static const struct counter {
    const char *key;
    size_t offset;
} COUNTERS[] = {
#define COUNTER(name)                                  \
    {                                                  \
#name, offsetof(struct snapshot_summary, name) \
    }
    COUNTER(files_new),
    COUNTER(files_changed),
    COUNTER(files_unmodified),
    COUNTER(dirs_new),
    COUNTER(dirs_changed),
    COUNTER(dirs_unmodified),
    COUNTER(data_blobs),
    COUNTER(tree_blobs),
    COUNTER(data_added),
    COUNTER(data_added_packed),
    COUNTER(total_files_processed),
    COUNTER(total_bytes_processed),
#undef COUNTER
};
enum { COUNTER_COUNT = sizeof COUNTERS / sizeof COUNTERS[0] };

static uint64_t *counter_value(struct snapshot_summary *summary, const struct counter *c)
{
    return (uint64_t *)(void *)((char *)summary + c->offset);
}

static void encode_key(struct buf *out, const char *key)
{
    buf_append_str(out, ",\"");
    buf_append_str(out, key);
    buf_append_str(out, "\":");
}

static void encode_text(struct buf *out, const char *s)
{
    buf_append_byte(out, '"');
    quote_json(s, strlen(s), out);
    buf_append_byte(out, '"');
}

static void encode_time(struct buf *out, const struct timespec *t)
{
    char text[OS_TIME_BYTES];
    os_time_format(t, text);
    encode_text(out, text);
}

/* The stored text keeps the offset of the place where the snapshot was made. */
static void encode_snapshot_time(struct buf *out, const struct snapshot *s)
{
    struct timespec stored;
    bool holds = os_time_parse(s->time_text, strlen(s->time_text), &stored) == 0 && stored.tv_sec == s->time.tv_sec &&
                 stored.tv_nsec == s->time.tv_nsec;
    if (holds)
        encode_text(out, s->time_text);
    else
        encode_time(out, &s->time);
}

static void encode_id(struct buf *out, const char *key, const struct id *id)
{
    char hex[ID_HEX_BYTES];
    encode_key(out, key);
    encode_text(out, id_to_hex(id, hex));
}

static void encode_string(struct buf *out, const char *key, const char *s)
{
    if (s == NULL || s[0] == '\0')
        return;
    encode_key(out, key);
    encode_text(out, s);
}

static void encode_number(struct buf *out, const char *key, uint64_t v)
{
    encode_key(out, key);
    buf_append_u64(out, v);
}

static void encode_list(struct buf *out, const char *key, const struct strlist *l)
{
    encode_key(out, key);
    for (size_t i = 0; i < l->count; i++) {
        buf_append_byte(out, i == 0 ? '[' : ',');
        encode_text(out, l->items[i]);
    }
    buf_append_str(out, l->count == 0 ? "[]" : "]");
}

static void encode_summary(struct buf *out, const struct snapshot *s)
{
    struct snapshot_summary summary = s->summary;
    buf_append_str(out, ",\"summary\":{\"backup_start\":");
    encode_time(out, &summary.backup_start);
    encode_key(out, "backup_end");
    encode_time(out, &summary.backup_end);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        encode_number(out, COUNTERS[i].key, *counter_value(&summary, &COUNTERS[i]));
    if (s->unknown_summary != NULL)
        buf_append_str(out, s->unknown_summary);
    buf_append_byte(out, '}');
}

void snapshot_encode(const struct snapshot *s, struct buf *out)
{
    buf_append_str(out, "{\"time\":");
    encode_snapshot_time(out, s);
    if (s->has_parent)
        encode_id(out, "parent", &s->parent);
    encode_id(out, "tree", &s->tree);
    encode_list(out, "paths", &s->paths);
    encode_string(out, "hostname", s->hostname);
    encode_string(out, "username", s->username);
    if (s->has_uid && s->uid != 0)
        encode_number(out, "uid", s->uid);
    if (s->has_uid && s->gid != 0)
        encode_number(out, "gid", s->gid);
    if (s->excludes.count > 0)
        encode_list(out, "excludes", &s->excludes);
    if (s->tags.count > 0)
        encode_list(out, "tags", &s->tags);
    if (s->has_original)
        encode_id(out, "original", &s->original);
    encode_string(out, "program_version", s->program_version);
    if (s->has_summary)
        encode_summary(out, s);
    if (s->unknown != NULL)
        buf_append_str(out, s->unknown);
    buf_append_byte(out, '}');
}

struct reader {
    struct json_scan scan;
    const char *problem; /* the first one that is not plain bad syntax */
    struct snapshot *s;
    struct buf text, unknown, unknown_summary;
    bool has_time, has_tree;
};

static void bad(struct reader *r, const char *problem)
{
    if (r->problem == NULL && !json_scan_failed(&r->scan))
        r->problem = problem;
    json_fail(&r->scan);
}

/* A string's meaning, which stays only until the next call; NULL on failure. */
static const char *read_text(struct reader *r)
{
    struct json_slice slice;
    if (!json_scan_string(&r->scan, &slice))
        return NULL;
    buf_clear(&r->text);
    if (!json_unescape(&slice, &r->text) || (r->text.len > 0 && memchr(r->text.data, '\0', r->text.len) != NULL)) {
        bad(r, "malformed string");
        return NULL;
    }
    return buf_cstr(&r->text);
}

static void read_string(struct reader *r, char **out)
{
    const char *text = read_text(r);
    if (text == NULL)
        return;
    free(*out);
    *out = mem_strdup(text);
}

static void read_list(struct reader *r, struct strlist *out)
{
    strlist_release(out);
    if (!json_array_begin(&r->scan))
        return;
    while (json_array_next(&r->scan)) {
        const char *text = read_text(r);
        if (text != NULL)
            strlist_add(out, text);
    }
}

static bool read_id(struct reader *r, struct id *out)
{
    struct json_slice slice;
    if (!json_scan_string(&r->scan, &slice))
        return false;
    if (id_from_hex(slice.p, slice.len, out) != 0) {
        bad(r, "malformed ID");
        return false;
    }
    return true;
}

static uint32_t read_u32(struct reader *r)
{
    uint64_t v = json_u64(&r->scan);
    if (v > UINT32_MAX)
        bad(r, "number too large");
    return (uint32_t)v;
}

static bool read_time(struct reader *r, struct timespec *out, struct json_slice *text)
{
    if (!json_scan_string(&r->scan, text))
        return false;
    if (os_time_parse(text->p, text->len, out) != 0) {
        bad(r, "malformed time");
        return false;
    }
    return true;
}

/* The offset at the end of a time that is well-formed. */
static int utc_offset_s(const struct json_slice *time)
{
    if (time->p[time->len - 1] == 'Z')
        return 0;
    const char *p = time->p + time->len - 6; /* "+hh:mm" */
    int hours = (p[1] - '0') * 10 + (p[2] - '0'), minutes = (p[4] - '0') * 10 + (p[5] - '0');
    return (p[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

static void read_snapshot_time(struct reader *r)
{
    struct json_slice text;
    if (!read_time(r, &r->s->time, &text))
        return;
    r->has_time = true;
    r->s->utc_offset_s = utc_offset_s(&text);
    size_t kept = text.len < sizeof r->s->time_text ? text.len : 0;
    memcpy(r->s->time_text, text.p, kept);
    r->s->time_text[kept] = '\0';
}

static void keep_unknown(struct reader *r, const struct json_slice *key, struct buf *to)
{
    struct json_slice value;
    if (!json_skip(&r->scan, &value))
        return;
    if (memchr(key->p, '\0', key->len) != NULL || memchr(value.p, '\0', value.len) != NULL) {
        bad(r, "NUL byte"); /* what we keep is a C string */
        return;
    }
    buf_append_str(to, ",\"");
    buf_append(to, key->p, key->len);
    buf_append_str(to, "\":");
    buf_append(to, value.p, value.len);
}

/* The summary's times by key, or NULL. */
static struct timespec *summary_time(struct snapshot_summary *summary, const struct json_slice *key)
{
    if (json_key_is(key, "backup_start"))
        return &summary->backup_start;
    return json_key_is(key, "backup_end") ? &summary->backup_end : NULL;
}

static void read_summary_member(struct reader *r, const struct json_slice *key)
{
    struct json_slice text;
    struct timespec *time = summary_time(&r->s->summary, key);
    uint64_t *counter = NULL;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (json_key_is(key, COUNTERS[i].key))
            counter = counter_value(&r->s->summary, &COUNTERS[i]);
    if (time == NULL && counter == NULL)
        keep_unknown(r, key, &r->unknown_summary);
    else if (json_scan_null(&r->scan))
        return;
    else if (time != NULL)
        read_time(r, time, &text);
    else
        *counter = json_u64(&r->scan);
}

static void read_summary(struct reader *r)
{
    struct json_slice key;
    r->s->has_summary = true;
    r->s->summary = (struct snapshot_summary){0};
    buf_clear(&r->unknown_summary);
    if (!json_object_begin(&r->scan))
        return;
    while (json_object_next(&r->scan, &key))
        read_summary_member(r, &key);
}

static void read_uid(struct reader *r)
{
    r->s->uid = read_u32(r);
    r->s->has_uid = true;
}

static void read_gid(struct reader *r)
{
    r->s->gid = read_u32(r);
    r->s->has_uid = true;
}

static void read_tree_id(struct reader *r)
{
    r->has_tree = read_id(r, &r->s->tree);
}

static void read_parent(struct reader *r)
{
    r->s->has_parent = read_id(r, &r->s->parent);
}

static void read_original(struct reader *r)
{
    r->s->has_original = read_id(r, &r->s->original);
}

static void read_paths(struct reader *r)
{
    read_list(r, &r->s->paths);
}

static void read_excludes(struct reader *r)
{
    read_list(r, &r->s->excludes);
}

static void read_tags(struct reader *r)
{
    read_list(r, &r->s->tags);
}

static void read_hostname(struct reader *r)
{
    read_string(r, &r->s->hostname);
}

static void read_username(struct reader *r)
{
    read_string(r, &r->s->username);
}

static void read_program_version(struct reader *r)
{
    read_string(r, &r->s->program_version);
}

static const struct member {
    const char *key;
    void (*read)(struct reader *r);
} MEMBERS[] = {
    {"time", read_snapshot_time},
    {"parent", read_parent},
    {"tree", read_tree_id},
    {"paths", read_paths},
    {"hostname", read_hostname},
    {"username", read_username},
    {"uid", read_uid},
    {"gid", read_gid},
    {"excludes", read_excludes},
    {"tags", read_tags},
    {"original", read_original},
    {"program_version", read_program_version},
    {"summary", read_summary},
};

static void read_member(struct reader *r, const struct json_slice *key)
{
    for (size_t i = 0; i < sizeof MEMBERS / sizeof MEMBERS[0]; i++) {
        if (json_key_is(key, MEMBERS[i].key)) {
            if (!json_scan_null(&r->scan)) /* null leaves a field as if it were not there */
                MEMBERS[i].read(r);
            return;
        }
    }
    keep_unknown(r, key, &r->unknown);
}

static void read_snapshot(struct reader *r)
{
    struct json_slice key;
    if (!json_object_begin(&r->scan))
        return;
    while (json_object_next(&r->scan, &key))
        read_member(r, &key);
    if (!r->has_time || !r->has_tree)
        bad(r, "time or tree is missing");
    if (!json_scan_at_end(&r->scan))
        bad(r, "text behind the end");
}

static char *take_text(struct buf *b)
{
    return b->len > 0 ? mem_strdup(buf_cstr(b)) : NULL;
}

int snapshot_decode(const char *json, size_t len, struct snapshot *out, struct err *err)
{
    snapshot_init(out);
    if (len > SNAPSHOT_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "snapshot is damaged: it has %zu bytes", len);
    struct reader r = {.s = out};
    json_scan_init(&r.scan, json, len);
    buf_init(&r.text, len);
    buf_init(&r.unknown, len);
    buf_init(&r.unknown_summary, len);
    read_snapshot(&r);
    int result = 0;
    if (json_scan_failed(&r.scan)) {
        result = err_set(err, ERR_CORRUPT, "snapshot is damaged: %s",
                         r.problem != NULL ? r.problem : "malformed or cut-off JSON");
        snapshot_release(out);
    } else {
        out->unknown = take_text(&r.unknown);
        out->unknown_summary = take_text(&r.unknown_summary);
    }
    buf_release(&r.text);
    buf_release(&r.unknown);
    buf_release(&r.unknown_summary);
    return result;
}

bool snapshot_has_tags(const struct snapshot *s, const struct strlist *tags)
{
    if (tags->count == 0)
        return s->tags.count == 0;
    for (size_t i = 0; i < tags->count; i++) {
        bool none_wanted = tags->items[i][0] == '\0' && s->tags.count == 0;
        if (!none_wanted && !strlist_contains(&s->tags, tags->items[i]))
            return false;
    }
    return true;
}

bool snapshot_has_path(const struct snapshot *s, const char *path)
{
    return strlist_contains(&s->paths, path);
}
