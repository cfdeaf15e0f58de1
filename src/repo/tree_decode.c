/* Reading trees: tree_decode() of repo/tree.h. One pass over the text; nodes point into the tree's arena. */
#include "repo/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json_scan.h"
#include "os/clock.h"
#include "os/memory.h"
#include "repo/quote.h"

/* In the order in which writers put them, so that a key is nearly always found at the first or second try. */
enum key {
    KEY_NAME,
    KEY_TYPE,
    KEY_MODE,
    KEY_MTIME,
    KEY_ATIME,
    KEY_CTIME,
    KEY_UID,
    KEY_GID,
    KEY_USER,
    KEY_GROUP,
    KEY_INODE,
    KEY_DEVICE_ID,
    KEY_SIZE,
    KEY_LINKS,
    KEY_LINK_TARGET,
    KEY_LINK_TARGET_RAW,
    KEY_XATTRS,
    KEY_DEVICE,
    KEY_CONTENT,
    KEY_SUBTREE,
    KEY_UNKNOWN,
};

enum { KEY_BYTES = 24 };
static const char KEYS[KEY_UNKNOWN][KEY_BYTES] = {
    [KEY_NAME] = "name",
    [KEY_TYPE] = "type",
    [KEY_MODE] = "mode",
    [KEY_MTIME] = "mtime",
    [KEY_ATIME] = "atime",
    [KEY_CTIME] = "ctime",
    [KEY_UID] = "uid",
    [KEY_GID] = "gid",
    [KEY_USER] = "user",
    [KEY_GROUP] = "group",
    [KEY_INODE] = "inode",
    [KEY_DEVICE_ID] = "device_id",
    [KEY_SIZE] = "size",
    [KEY_LINKS] = "links",
    [KEY_LINK_TARGET] = "linktarget",
    [KEY_LINK_TARGET_RAW] = "linktarget_raw",
    [KEY_XATTRS] = "extended_attributes",
    [KEY_DEVICE] = "device",
    [KEY_CONTENT] = "content",
    [KEY_SUBTREE] = "subtree",
};

/* A value that repeats from node to node: its text in the input, and what it meant. */
struct interned {
    const char *text;
    size_t len;
    const char *value;
};

struct reader {
    struct json_scan scan;
    struct arena *arena;
    const char *problem;      /* the first one that is not plain bad syntax */
    const char *field;        /* the known key that was read last, for messages; NULL: none */
    struct buf text, decoded; /* scratch */
    struct id *ids;           /* scratch */
    size_t id_cap;
    struct node_xattr *xattrs; /* scratch */
    size_t xattr_cap;
    struct interned user, group;
    struct json_slice time_text; /* the time that was read last: atime mostly repeats mtime */
    struct timespec time;
    unsigned next_key;
    char *consumed; /* the text from here on is still there; NULL: all stays */
};

/* So much of the text is given back at once. */
enum { CONSUME_BYTES = 1 << 20 };

static void bad(struct reader *r, const char *problem)
{
    if (r->problem == NULL && !json_scan_failed(&r->scan))
        r->problem = problem;
    json_fail(&r->scan);
}

static enum key find_key(struct reader *r, const struct json_slice *key)
{
    if (key->len >= KEY_BYTES)
        return KEY_UNKNOWN;
    for (unsigned i = 0, k = r->next_key; i < KEY_UNKNOWN; i++, k = k + 1 < KEY_UNKNOWN ? k + 1 : 0) {
        if (memcmp(KEYS[k], key->p, key->len) == 0 && KEYS[k][key->len] == '\0') {
            r->next_key = k + 1 < KEY_UNKNOWN ? k + 1 : 0;
            return (enum key)k;
        }
    }
    return KEY_UNKNOWN;
}

static bool slices_equal(const struct json_slice *a, const struct json_slice *b)
{
    return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

/* A string's meaning, which stays only until the next call; false on failure. */
static bool read_text(struct reader *r, const char **text, size_t *len)
{
    struct json_slice s;
    if (!json_scan_string(&r->scan, &s))
        return false;
    *text = s.p;
    *len = s.len;
    if (!s.escaped)
        return true;
    buf_clear(&r->text);
    if (!json_unescape(&s, &r->text)) {
        bad(r, "malformed escape");
        return false;
    }
    *text = buf_cstr(&r->text);
    *len = r->text.len;
    return true;
}

/* A string that has to work as a C string, in the arena; NULL on failure. */
static const char *read_string(struct reader *r)
{
    const char *text;
    size_t len;
    if (!read_text(r, &text, &len))
        return NULL;
    if (memchr(text, '\0', len) != NULL) {
        bad(r, "NUL in a name");
        return NULL;
    }
    return arena_strndup(r->arena, text, len);
}

/* Users and groups: an empty one is none. */
static const char *read_interned(struct reader *r, struct interned *last)
{
    const char *start = r->scan.p;
    if (last->text != NULL && (size_t)(r->scan.end - start) >= last->len && memcmp(start, last->text, last->len) == 0) {
        r->scan.p += last->len;
        return last->value;
    }
    const char *value = read_string(r);
    if (value != NULL && value[0] == '\0')
        value = NULL;
    if (!json_scan_failed(&r->scan))
        *last = (struct interned){start, (size_t)(r->scan.p - start), value};
    return value;
}

static void read_name(struct reader *r, struct node *n)
{
    struct json_slice s;
    if (!json_scan_string(&r->scan, &s))
        return;
    const char *name = s.p;
    size_t len = s.len;
    if (s.escaped) {
        buf_clear(&r->text);
        buf_clear(&r->decoded);
        if (!json_unescape(&s, &r->text) || !quote_unquote(buf_cstr(&r->text), r->text.len, &r->decoded)) {
            bad(r, "malformed escape");
            return;
        }
        name = buf_cstr(&r->decoded);
        len = r->decoded.len;
    }
    bool dots = name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
    if (len == 0 || dots || memchr(name, '/', len) != NULL || memchr(name, '\0', len) != NULL) {
        bad(r, "no name that a file can have");
        return;
    }
    n->name = arena_strndup(r->arena, name, len);
    n->name_len = len;
}

/* A type that we do not know is something that cannot be restored, which must not make its siblings unreadable. */
static enum node_type read_type(struct reader *r)
{
    struct json_slice s;
    if (!json_scan_string(&r->scan, &s))
        return NODE_TYPE_COUNT;
    for (enum node_type t = NODE_FILE; t < NODE_TYPE_COUNT; t++)
        if (json_key_is(&s, node_type_name(t)))
            return t;
    return NODE_IRREGULAR;
}

static uint32_t read_u32(struct reader *r)
{
    uint64_t v = json_u64(&r->scan);
    if (v > UINT32_MAX)
        bad(r, "number too large");
    return (uint32_t)v;
}

static void read_time(struct reader *r, struct timespec *out)
{
    struct json_slice s;
    if (!json_scan_string(&r->scan, &s))
        return;
    if (r->time_text.p == NULL || !slices_equal(&s, &r->time_text)) {
        if (os_time_parse(s.p, s.len, &r->time) != 0) {
            bad(r, "no time");
            return;
        }
        r->time_text = s;
    }
    *out = r->time;
}

static bool read_id(struct reader *r, struct id *out)
{
    struct json_slice s;
    if (!json_scan_string(&r->scan, &s))
        return false;
    if (id_from_hex(s.p, s.len, out) != 0) {
        bad(r, "no ID");
        return false;
    }
    return true;
}

/* Decodes base64 into the arena, with a NUL behind it; NULL on failure. */
static const char *read_base64(struct reader *r, size_t *len)
{
    const char *text;
    size_t text_len;
    if (!read_text(r, &text, &text_len))
        return NULL;
    buf_clear(&r->decoded);
    if (base64_decode(text, text_len, &r->decoded) != 0) {
        bad(r, "malformed base64");
        return NULL;
    }
    *len = r->decoded.len;
    return arena_strndup(r->arena, buf_cstr(&r->decoded), r->decoded.len);
}

static void read_link_target(struct reader *r, struct node *n)
{
    const char *text;
    size_t len;
    if (!read_text(r, &text, &len))
        return;
    n->link_target = arena_strndup(r->arena, text, len);
    n->link_target_len = len;
}

static void read_content(struct reader *r, struct node *n)
{
    size_t count = 0;
    if (!json_array_begin(&r->scan))
        return;
    for (; json_array_next(&r->scan); count++) {
        if (count == r->id_cap) {
            r->id_cap = r->id_cap == 0 ? 16 : r->id_cap * 2;
            r->ids = mem_array(r->ids, r->id_cap, sizeof *r->ids);
        }
        if (!read_id(r, &r->ids[count]))
            return;
    }
    n->content = count > 0 ? arena_copy(r->arena, r->ids, count * sizeof *r->ids) : NULL;
    n->content_count = count;
}

static void read_xattr(struct reader *r, struct node_xattr *x)
{
    struct json_slice key;
    *x = (struct node_xattr){0};
    if (!json_object_begin(&r->scan))
        return;
    while (json_object_next(&r->scan, &key)) {
        if (json_scan_null(&r->scan))
            continue;
        if (json_key_is(&key, "name"))
            x->name = read_string(r);
        else if (json_key_is(&key, "value"))
            x->value = read_base64(r, &x->size);
        else
            json_skip(&r->scan, NULL);
    }
    if (x->name == NULL)
        bad(r, "extended attribute without a name");
}

static void read_xattrs(struct reader *r, struct node *n)
{
    size_t count = 0;
    if (!json_array_begin(&r->scan))
        return;
    for (; json_array_next(&r->scan); count++) {
        if (count == r->xattr_cap) {
            r->xattr_cap = r->xattr_cap == 0 ? 8 : r->xattr_cap * 2;
            r->xattrs = mem_array(r->xattrs, r->xattr_cap, sizeof *r->xattrs);
        }
        read_xattr(r, &r->xattrs[count]);
    }
    n->xattrs = count > 0 ? arena_copy(r->arena, r->xattrs, count * sizeof *r->xattrs) : NULL;
    n->xattr_count = count;
}

/* What a node's fields have said so far, beyond the node itself. */
struct node_state {
    struct node *node;
    bool raw_target; /* linktarget_raw was there: it wins over linktarget */
};

static void read_rare_field(struct reader *r, enum key key, struct node_state *state)
{
    struct node *n = state->node;
    switch (key) {
    case KEY_LINK_TARGET:
        if (state->raw_target)
            json_skip(&r->scan, NULL);
        else
            read_link_target(r, n);
        break;
    case KEY_LINK_TARGET_RAW:
        n->link_target = read_base64(r, &n->link_target_len);
        state->raw_target = true;
        break;
    case KEY_XATTRS:
        read_xattrs(r, n);
        break;
    case KEY_DEVICE:
        n->device = json_u64(&r->scan);
        break;
    default: /* not known, or of no use but in `raw`: generic_attributes, error */
        json_skip(&r->scan, NULL);
    }
}

static void read_field(struct reader *r, enum key key, struct node_state *state)
{
    struct node *n = state->node;
    switch (key) {
    case KEY_NAME:
        read_name(r, n);
        break;
    case KEY_TYPE:
        n->type = read_type(r);
        break;
    case KEY_MODE:
        n->mode = read_u32(r);
        break;
    case KEY_MTIME:
        read_time(r, &n->mtime);
        break;
    case KEY_ATIME:
        read_time(r, &n->atime);
        break;
    case KEY_CTIME:
        read_time(r, &n->ctime);
        break;
    case KEY_UID:
        n->uid = read_u32(r);
        break;
    case KEY_GID:
        n->gid = read_u32(r);
        break;
    case KEY_USER:
        n->user = read_interned(r, &r->user);
        break;
    case KEY_GROUP:
        n->group = read_interned(r, &r->group);
        break;
    case KEY_INODE:
        n->inode = json_u64(&r->scan);
        break;
    case KEY_DEVICE_ID:
        n->device_id = json_u64(&r->scan);
        break;
    case KEY_SIZE:
        n->size = json_u64(&r->scan);
        break;
    case KEY_LINKS:
        n->links = json_u64(&r->scan);
        break;
    case KEY_CONTENT:
        read_content(r, n);
        break;
    case KEY_SUBTREE:
        n->has_subtree = read_id(r, &n->subtree);
        break;
    default:
        read_rare_field(r, key, state);
    }
}

/* What a time is that a node does not give: the first second of year 1, the zero of the format's first implementation.
 */
static const struct timespec NO_TIME = {.tv_sec = -62135596800};

/* The scanner stands at the node. */
static void read_node(struct reader *r, struct node *n)
{
    const char *start = r->scan.p;
    *n = (struct node){.type = NODE_TYPE_COUNT, .mtime = NO_TIME, .atime = NO_TIME, .ctime = NO_TIME};
    struct node_state state = {.node = n};
    r->next_key = KEY_NAME;
    r->field = NULL;
    if (!json_object_begin(&r->scan))
        return;
    struct json_slice text;
    while (json_object_next(&r->scan, &text)) {
        enum key key = find_key(r, &text);
        r->field = key < KEY_UNKNOWN ? KEYS[key] : NULL;
        if (!json_scan_null(&r->scan)) /* null leaves a field as if it were not there */
            read_field(r, key, &state);
    }
    if (json_scan_failed(&r->scan))
        return;
    r->field = NULL;
    if (r->consumed == NULL) {
        n->raw = start;
        n->raw_len = (size_t)(r->scan.p - start);
    }
    if (n->name == NULL)
        bad(r, "node without a name");
    else if (n->type == NODE_TYPE_COUNT)
        bad(r, "node without a type");
}

/* Gives back what has been read; nothing may point to it any more. */
static void consume(struct reader *r)
{
    size_t bytes = r->consumed != NULL ? (size_t)(r->scan.p - r->consumed) : 0;
    if (bytes < CONSUME_BYTES)
        return;
    r->time_text.p = NULL;
    r->user.text = r->group.text = NULL;
    os_memory_discard(r->consumed, bytes);
    r->consumed += bytes;
}

static void read_nodes(struct reader *r, struct tree *t)
{
    size_t cap = 0;
    if (!json_array_begin(&r->scan))
        return;
    while (json_array_next(&r->scan)) {
        if (t->count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            t->nodes = mem_array(t->nodes, cap, sizeof *t->nodes);
        }
        struct node *n = &t->nodes[t->count];
        read_node(r, n);
        if (json_scan_failed(&r->scan))
            return;
        if (t->count > 0 && tree_compare_names(n[-1].name, n[-1].name_len, n->name, n->name_len) >= 0) {
            bad(r, "names do not ascend");
            return;
        }
        t->count++;
        consume(r);
    }
}

static void read_tree(struct reader *r, struct tree *t)
{
    struct json_slice key;
    bool seen = false;
    if (!json_object_begin(&r->scan))
        return;
    while (json_object_next(&r->scan, &key)) {
        if (!json_key_is(&key, "nodes")) {
            json_skip(&r->scan, NULL);
            continue;
        }
        if (seen)
            bad(r, "two lists of nodes");
        seen = true;
        if (!json_scan_null(&r->scan))
            read_nodes(r, t);
    }
    if (!seen)
        bad(r, "no list of nodes");
    if (!json_scan_at_end(&r->scan))
        bad(r, "text behind the end");
}

static int report(const struct reader *r, size_t node, struct err *err)
{
    const char *problem = r->problem != NULL ? r->problem : "malformed or cut-off JSON";
    if (r->field == NULL)
        return err_set(err, ERR_CORRUPT, "tree is damaged: at node %zu: %s", node, problem);
    return err_set(err, ERR_CORRUPT, "tree is damaged: at node %zu, '%s': %s", node, r->field, problem);
}

static int decode(const char *json, size_t len, char *consumed, struct tree *out, struct err *err)
{
    *out = (struct tree){0};
    if (len > TREE_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "tree is damaged: it has %zu bytes", len);
    struct reader r = {.arena = &out->arena, .consumed = consumed};
    arena_init(&out->arena);
    json_scan_init(&r.scan, json, len);
    buf_init(&r.text, len);
    buf_init(&r.decoded, len);
    read_tree(&r, out);
    int result = json_scan_failed(&r.scan) ? report(&r, out->count, err) : 0;
    buf_release(&r.text);
    buf_release(&r.decoded);
    free(r.ids);
    free(r.xattrs);
    if (result != 0)
        tree_release(out);
    return result;
}

int tree_decode(const char *json, size_t len, struct tree *out, struct err *err)
{
    return decode(json, len, NULL, out, err);
}

int tree_decode_consume(struct buf *json, struct tree *out, struct err *err)
{
    char *text = (char *)json->data;
    int rc = decode(text, json->len, text, out, err);
    buf_clear(json);
    return rc;
}
