/* Index files: the document form of an index. The contract is in repo/index.h. */
#include "repo/index.h"

#include <stdlib.h>
#include "base/json_scan.h"
#include "base/mem.h"

static int corrupt(struct err *err, const struct json_scan *s)
{
    return err_set(err, ERR_CORRUPT, "the index is malformed near byte %zu", (size_t)(s->p - s->start));
}

static bool scan_id(struct json_scan *s, struct id *out)
{
    struct json_slice text;
    if (json_scan_string(s, &text) && id_from_hex(text.p, text.len, out) == 0)
        return true;
    json_fail(s);
    return false;
}

static uint32_t scan_u32(struct json_scan *s)
{
    uint64_t v = json_u64(s);
    if (v > UINT32_MAX)
        json_fail(s);
    return (uint32_t)v;
}

static void scan_type(struct json_scan *s, enum blob_type *out)
{
    struct json_slice text;
    if (!json_scan_string(s, &text))
        return;
    if (json_key_is(&text, "data"))
        *out = BLOB_DATA;
    else if (json_key_is(&text, "tree"))
        *out = BLOB_TREE;
    else
        json_fail(s);
}

static void scan_blob(struct json_scan *s, struct pack_blob *out)
{
    enum { ID = 1, TYPE = 2, OFFSET = 4, LENGTH = 8, ALL = 15 };
    unsigned seen = 0;
    struct json_slice key;
    *out = (struct pack_blob){0};
    if (!json_object_begin(s))
        return;
    while (json_object_next(s, &key)) {
        if (json_key_is(&key, "id")) {
            scan_id(s, &out->id);
            seen |= ID;
        } else if (json_key_is(&key, "type")) {
            scan_type(s, &out->type);
            seen |= TYPE;
        } else if (json_key_is(&key, "offset")) {
            out->offset = scan_u32(s);
            seen |= OFFSET;
        } else if (json_key_is(&key, "length")) {
            out->length = scan_u32(s);
            seen |= LENGTH;
        } else if (json_key_is(&key, "uncompressed_length")) {
            out->raw_length = scan_u32(s);
        } else {
            json_skip(s, NULL);
        }
    }
    if (seen != ALL || out->length > UINT32_MAX - out->offset)
        json_fail(s);
}

struct blob_list {
    struct pack_blob *items;
    size_t count, cap;
};

static void scan_blobs(struct json_scan *s, struct blob_list *list)
{
    list->count = 0;
    if (json_scan_null(s) || !json_array_begin(s))
        return;
    while (json_array_next(s)) {
        if (list->count == list->cap) {
            list->cap = list->cap == 0 ? 256 : list->cap * 2;
            list->items = mem_array(list->items, list->cap, sizeof *list->items);
        }
        scan_blob(s, &list->items[list->count]);
        if (json_scan_failed(s))
            return;
        list->count++;
    }
}

static int scan_pack(struct json_scan *s, struct blob_list *list, index_pack_fn *fn, void *ctx, struct err *err)
{
    struct json_slice key;
    struct id id;
    bool have_id = false;
    list->count = 0;
    if (!json_object_begin(s))
        return corrupt(err, s);
    while (json_object_next(s, &key)) {
        if (json_key_is(&key, "id"))
            have_id = scan_id(s, &id);
        else if (json_key_is(&key, "blobs"))
            scan_blobs(s, list);
        else
            json_skip(s, NULL);
    }
    if (json_scan_failed(s) || !have_id)
        return corrupt(err, s);
    return fn(ctx, &id, list->items, list->count, err);
}

static int scan_packs(struct json_scan *s, index_pack_fn *fn, void *ctx, struct err *err)
{
    struct blob_list list = {0};
    int rc = 0;
    if (json_scan_null(s))
        return 0;
    if (!json_array_begin(s))
        return corrupt(err, s);
    while (rc == 0 && json_array_next(s))
        rc = scan_pack(s, &list, fn, ctx, err);
    free(list.items);
    return rc;
}

int index_decode(const char *json, size_t len, index_pack_fn *fn, void *ctx, struct err *err)
{
    struct json_scan s;
    struct json_slice key;
    int rc = 0;
    json_scan_init(&s, json, len);
    if (len > 0 && json[0] == '[') {
        rc = scan_packs(&s, fn, ctx, err);
    } else if (json_object_begin(&s)) {
        while (rc == 0 && json_object_next(&s, &key)) {
            if (json_key_is(&key, "packs"))
                rc = scan_packs(&s, fn, ctx, err);
            else
                json_skip(&s, NULL);
        }
    }
    if (rc == 0 && !json_scan_at_end(&s))
        return corrupt(err, &s);
    return rc;
}

void index_encode_begin(struct buf *out)
{
    buf_append_str(out, "{\"packs\":[");
}

static void encode_id(struct buf *out, const struct id *id)
{
    char hex[ID_HEX_BYTES];
    buf_append(out, id_to_hex(id, hex), ID_HEX_CHARS);
}

void index_encode_pack(struct buf *out, const struct id *pack_id, const struct pack_blob *blobs, size_t count)
{
    if (out->len > 0 && out->data[out->len - 1] == '}')
        buf_append_byte(out, ',');
    buf_append_str(out, "{\"id\":\"");
    encode_id(out, pack_id);
    buf_append_str(out, "\",\"blobs\":[");
    for (size_t i = 0; i < count; i++) {
        const struct pack_blob *b = &blobs[i];
        buf_append_str(out, i > 0 ? ",{\"id\":\"" : "{\"id\":\"");
        encode_id(out, &b->id);
        buf_append_str(out,
                       b->type == BLOB_TREE ? "\",\"type\":\"tree\",\"offset\":" : "\",\"type\":\"data\",\"offset\":");
        buf_append_u64(out, b->offset);
        buf_append_str(out, ",\"length\":");
        buf_append_u64(out, b->length);
        if (b->raw_length > 0) {
            buf_append_str(out, ",\"uncompressed_length\":");
            buf_append_u64(out, b->raw_length);
        }
        buf_append_byte(out, '}');
    }
    buf_append_str(out, "]}");
}

void index_encode_end(struct buf *out)
{
    buf_append_str(out, "]}\n");
}
