#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "os/clock.h"
#include "repo/quote.h"

/*
 * Encoding runs once for every file of every backup. Fields of bounded size are written through a plain pointer into
 * room that was reserved for all of them at once.
 */

#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)

enum {
    U64_MAX_CHARS = 20,
    ID_JSON_CHARS = ID_HEX_CHARS + 3, /* quotes and comma */
    /* Type, mode, three times, uid, gid, with their keys. */
    HEAD_MAX_BYTES = 96 + 3 * OS_TIME_BYTES + 3 * U64_MAX_CHARS,
    /* Inode, device_id, size, links, with their keys. */
    NUMBERS_MAX_BYTES = 64 + 4 * U64_MAX_CHARS,
    /* Device, content's brackets, subtree, with their keys. */
    TAIL_MAX_BYTES = 64 + U64_MAX_CHARS + ID_JSON_CHARS,
};

static char *put(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

static char *put_u64(char *p, uint64_t v)
{
    char digits[U64_MAX_CHARS];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    return put(p, digits + n, sizeof digits - n);
}

static char *put_time(char *p, const struct timespec *t)
{
    return p + os_time_format(t, p);
}

static char *put_id(char *p, const struct id *id)
{
    static const char HEX[] = "0123456789abcdef";
    *p++ = '"';
    for (size_t i = 0; i < ID_BYTES; i++) {
        *p++ = HEX[id->bytes[i] >> 4];
        *p++ = HEX[id->bytes[i] & 15];
    }
    *p++ = '"';
    return p;
}

static void encode_head(struct buf *out, const struct node *n)
{
    char *start = (char *)buf_reserve(out, HEAD_MAX_BYTES), *p = start;
    if (p == NULL)
        return;
    const char *type = node_type_name(n->type);
    p = PUT(p, "\",\"type\":\"");
    p = put(p, type, strlen(type));
    *p++ = '"';
    if (n->mode != 0) {
        p = PUT(p, ",\"mode\":");
        p = put_u64(p, n->mode);
    }
    p = PUT(p, ",\"mtime\":\"");
    const char *mtime = p;
    p = put_time(p, &n->mtime);
    size_t mtime_len = (size_t)(p - mtime);
    p = PUT(p, "\",\"atime\":\"");
    bool same = n->atime.tv_sec == n->mtime.tv_sec && n->atime.tv_nsec == n->mtime.tv_nsec; /* nearly always */
    p = same ? put(p, mtime, mtime_len) : put_time(p, &n->atime);
    p = PUT(p, "\",\"ctime\":\"");
    p = put_time(p, &n->ctime);
    p = PUT(p, "\",\"uid\":");
    p = put_u64(p, n->uid);
    p = PUT(p, ",\"gid\":");
    p = put_u64(p, n->gid);
    out->len += (size_t)(p - start);
}

static void encode_numbers(struct buf *out, const struct node *n)
{
    char *start = (char *)buf_reserve(out, NUMBERS_MAX_BYTES), *p = start;
    if (p == NULL)
        return;
    if (n->inode != 0)
        p = put_u64(PUT(p, ",\"inode\":"), n->inode);
    if (n->device_id != 0)
        p = put_u64(PUT(p, ",\"device_id\":"), n->device_id);
    if (n->size != 0)
        p = put_u64(PUT(p, ",\"size\":"), n->size);
    if (n->links != 0)
        p = put_u64(PUT(p, ",\"links\":"), n->links);
    out->len += (size_t)(p - start);
}

static void encode_string(struct buf *out, const char *key, const char *s, size_t len)
{
    buf_append_str(out, key);
    quote_json(s, len, out);
    buf_append_byte(out, '"');
}

static void encode_base64(struct buf *out, const char *key, const void *data, size_t len)
{
    buf_append_str(out, key);
    base64_encode(data, len, out);
    buf_append_byte(out, '"');
}

static void encode_link_target(struct buf *out, const struct node *n)
{
    encode_string(out, ",\"linktarget\":\"", n->link_target, n->link_target_len);
    if (!quote_is_utf8(n->link_target, n->link_target_len))
        encode_base64(out, ",\"linktarget_raw\":\"", n->link_target, n->link_target_len);
}

static void encode_xattrs(struct buf *out, const struct node *n)
{
    for (size_t i = 0; i < n->xattr_count; i++) {
        const struct node_xattr *x = &n->xattrs[i];
        buf_append_str(out, i == 0 ? ",\"extended_attributes\":[" : ",");
        encode_string(out, "{\"name\":\"", x->name, strlen(x->name));
        if (x->value == NULL)
            buf_append_str(out, ",\"value\":null");
        else
            encode_base64(out, ",\"value\":\"", x->value, x->size);
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ']');
}

static void encode_tail(struct buf *out, const struct node *n)
{
    char *start = (char *)buf_reserve(out, TAIL_MAX_BYTES + n->content_count * ID_JSON_CHARS), *p = start;
    if (p == NULL)
        return;
    if (n->device != 0)
        p = put_u64(PUT(p, ",\"device\":"), n->device);
    if (n->type == NODE_FILE || n->content_count > 0) {
        p = PUT(p, ",\"content\":[");
        for (size_t i = 0; i < n->content_count; i++) {
            if (i > 0)
                *p++ = ',';
            p = put_id(p, &n->content[i]);
        }
        *p++ = ']';
    } else {
        p = PUT(p, ",\"content\":null");
    }
    if (n->has_subtree)
        p = put_id(PUT(p, ",\"subtree\":"), &n->subtree);
    *p++ = '}';
    out->len += (size_t)(p - start);
}

void tree_encode_begin(struct buf *out)
{
    buf_append_str(out, "{\"nodes\":[");
}

void tree_encode_node(struct buf *out, const struct node *n, bool first)
{
    if (!first)
        buf_append_byte(out, ',');
    if (n->raw != NULL) {
        buf_append(out, n->raw, n->raw_len);
        return;
    }
    buf_append(out, "{\"name\":\"", 9);
    quote_name(n->name, n->name_len, out);
    encode_head(out, n);
    if (n->user != NULL && n->user[0] != '\0')
        encode_string(out, ",\"user\":\"", n->user, strlen(n->user));
    if (n->group != NULL && n->group[0] != '\0')
        encode_string(out, ",\"group\":\"", n->group, strlen(n->group));
    encode_numbers(out, n);
    if (n->link_target_len > 0)
        encode_link_target(out, n);
    if (n->xattr_count > 0)
        encode_xattrs(out, n);
    encode_tail(out, n);
}

void tree_encode_end(struct buf *out)
{
    buf_append_str(out, "]}\n");
}

void tree_release(struct tree *t)
{
    arena_release(&t->arena);
    free(t->nodes);
    *t = (struct tree){0};
}

int tree_compare_names(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

const struct node *tree_find(const struct tree *t, const char *name, size_t name_len)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct node *n = &t->nodes[middle];
        int order = tree_compare_names(name, name_len, n->name, n->name_len);
        if (order == 0)
            return n;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
