/*
 * libyaml's events made into a tree. Its own yaml_document would do the same, but follows anchors that contain
 * themselves and has no bounds.
 */
#include "plan/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"

struct anchor {
    char *name;
    const struct yaml_node *node; /* complete: an alias cannot contain itself */
};

struct builder {
    yaml_parser_t parser;
    const char *text;
    size_t len;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap, node_count;
    struct yaml_node dropped; /* a list: no part of the tree, but an anchor may be in it */
    struct yaml_position *where;
    struct err *err;
};

static int fail(struct builder *b, unsigned line, unsigned column, const char *why)
{
    *b->where = (struct yaml_position){line, column};
    return err_set(b->err, ERR_CORRUPT, "%s", why);
}

static int fail_at(struct builder *b, const yaml_mark_t *mark, const char *why)
{
    return fail(b, (unsigned)mark->line + 1, (unsigned)mark->column + 1, why);
}

/* --------------------------------------------------------------------------------------------------------------- nodes
 */

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, unsigned line, unsigned column, size_t depth)
{
    if (depth > YAML_DEPTH_MAX) {
        fail(b, line, column, "nested too deeply");
        return NULL;
    }
    if (b->node_count++ == YAML_NODES_MAX) {
        fail(b, line, column, "too many values in one file");
        return NULL;
    }
    struct yaml_node *n = mem_zalloc(sizeof *n);
    n->kind = kind;
    n->line = line;
    n->column = column;
    return n;
}

void yaml_node_free(struct yaml_node *n)
{
    if (n == NULL)
        return;
    for (size_t i = 0; i < n->count; i++) {
        if (n->keys != NULL)
            yaml_node_free(n->keys[i]);
        yaml_node_free(n->items[i]);
    }
    mem_wipe_string(n->text); /* it may be a password in a URL */
    free(n->keys);
    free(n->items);
    free(n);
}

/* Takes both over. key: NULL in a list. In a map both are NULL where merging has taken them away. */
static void add_item(struct yaml_node *to, struct yaml_node *key, struct yaml_node *item)
{
    if (to->count == to->cap) {
        to->cap = to->cap == 0 ? 8 : to->cap * 2;
        to->items = mem_array(to->items, to->cap, sizeof(struct yaml_node *));
        if (to->kind == YAML_MAP)
            to->keys = mem_array(to->keys, to->cap, sizeof(struct yaml_node *));
    }
    to->items[to->count] = item;
    if (to->kind == YAML_MAP)
        to->keys[to->count] = key;
    to->count++;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; map->kind == YAML_MAP && i < map->count; i++)
        if (strcmp(map->keys[i]->text, key) == 0)
            return map->items[i];
    return NULL;
}

bool yaml_is_null(const struct yaml_node *n)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; n->kind == YAML_SCALAR && n->plain && i < sizeof NULLS / sizeof *NULLS; i++)
        if (strcmp(n->text, NULLS[i]) == 0)
            return true;
    return false;
}

static int copy_node(struct builder *b, const struct yaml_node *from, size_t depth, struct yaml_node **out)
{
    struct yaml_node *n = new_node(b, from->kind, from->line, from->column, depth);
    *out = n;
    if (n == NULL)
        return -1;
    n->plain = from->plain;
    if (from->text != NULL)
        n->text = mem_strdup(from->text);
    for (size_t i = 0; i < from->count; i++) {
        struct yaml_node *key = NULL, *item = NULL;
        int rc = from->keys != NULL ? copy_node(b, from->keys[i], depth + 1, &key) : 0;
        if (rc == 0)
            rc = copy_node(b, from->items[i], depth + 1, &item);
        if (rc < 0) {
            yaml_node_free(key);
            yaml_node_free(item);
            yaml_node_free(n);
            *out = NULL;
            return -1;
        }
        add_item(n, key, item);
    }
    return 0;
}

/* -------------------------------------------------------------------------------------------------------------- events
 */

/* libyaml has no line for bytes that it cannot decode, only their place. */
static int fail_reading(struct builder *b)
{
    unsigned line = 1, column = 1;
    size_t end = b->parser.problem_offset < b->len ? b->parser.problem_offset : b->len;
    for (size_t i = 0; i < end; i++) {
        bool is_new = b->text[i] == '\n';
        line += is_new;
        column = is_new ? 1 : column + (((unsigned char)b->text[i] & 0xC0) != 0x80);
    }
    bool control = b->parser.problem != NULL && strstr(b->parser.problem, "control") != NULL;
    return fail(b, line, column,
                control ? "a control character, which a configuration cannot hold" : "bytes that are no UTF-8");
}

static int fail_parsing(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_READER_ERROR)
        return fail_reading(b);
    const char *problem = p->problem != NULL ? p->problem : "it is no YAML";
    /* Indentation by tabs is the mistake that people cannot see. */
    if (strstr(problem, "cannot start any token") != NULL && p->problem_mark.index < b->len &&
        memchr(b->text, '\t', b->len) != NULL)
        problem = "a character that cannot start a value here (is it a tab? indent with blanks)";
    if (p->context == NULL)
        return fail_at(b, &p->problem_mark, problem);
    char why[256];
    snprintf(why, sizeof why, "%s (%s from line %zu on)", problem, p->context, p->context_mark.line + 1);
    return fail_at(b, &p->problem_mark, why);
}

static int next_event(struct builder *b, yaml_event_t *event)
{
    return yaml_parser_parse(&b->parser, event) == 1 ? 0 : fail_parsing(b);
}

/* "!!str" makes text of what looks like something else. *is_text: it is so tagged. */
static int check_tag(struct builder *b, const yaml_event_t *event, const yaml_char_t *tag, bool *is_text)
{
    static const char *const KNOWN[] = {"str", "int", "float", "bool", "null", "seq", "map", "timestamp"};
    static const char PREFIX[] = "tag:yaml.org,2002:";
    const char *name = (const char *)tag;
    *is_text = name != NULL && (strcmp(name, "!") == 0 || strcmp(name, "tag:yaml.org,2002:str") == 0);
    if (name == NULL || *is_text)
        return 0;
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 && strcmp(name + sizeof PREFIX - 1, KNOWN[i]) == 0)
            return 0;
    return fail_at(b, &event->start_mark, "tags (a word that begins with !) are not understood");
}

static void remember(struct builder *b, const yaml_char_t *name, const struct yaml_node *node)
{
    if (name == NULL)
        return;
    if (b->anchor_count == b->anchor_cap) {
        b->anchor_cap = b->anchor_cap == 0 ? 8 : b->anchor_cap * 2;
        b->anchors = mem_array(b->anchors, b->anchor_cap, sizeof *b->anchors);
    }
    b->anchors[b->anchor_count++] = (struct anchor){mem_strdup((const char *)name), node};
}

static int build_alias(struct builder *b, const yaml_event_t *event, size_t depth, struct yaml_node **out)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = b->anchor_count; i-- > 0;) /* the last of its name */
        if (strcmp(b->anchors[i].name, name) == 0)
            return copy_node(b, b->anchors[i].node, depth, out);
    fail_at(b, &event->start_mark, "");
    return err_set(b->err, ERR_CORRUPT, "no anchor '&%.40s' stands before this alias", name);
}

static int build_scalar(struct builder *b, const yaml_event_t *event, size_t depth, struct yaml_node **out)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    bool is_text;
    if (check_tag(b, event, event->data.scalar.tag, &is_text) < 0)
        return -1;
    if (memchr(value, '\0', len) != NULL)
        return fail_at(b, &event->start_mark, "a NUL character, which a configuration cannot hold");
    struct yaml_node *n =
        new_node(b, YAML_SCALAR, (unsigned)event->start_mark.line + 1, (unsigned)event->start_mark.column + 1, depth);
    if (n == NULL)
        return -1;
    n->text = mem_strndup(value, len);
    n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_text;
    *out = n;
    remember(b, event->data.scalar.anchor, n);
    return 0;
}

static int build(struct builder *b, yaml_event_t *event, size_t depth, struct yaml_node **out);

static int build_list(struct builder *b, struct yaml_node *list, size_t depth)
{
    for (;;) {
        yaml_event_t event;
        struct yaml_node *item = NULL;
        if (next_event(b, &event) < 0)
            return -1;
        bool over = event.type == YAML_SEQUENCE_END_EVENT;
        int rc = over ? 0 : build(b, &event, depth + 1, &item);
        yaml_event_delete(&event);
        if (over || rc < 0)
            return rc;
        add_item(list, NULL, item);
    }
}

/* Keys that the map does not have itself, from a map or a list of maps behind "<<". They move. */
static int merge(struct builder *b, struct yaml_node *map, struct yaml_node *from, bool may_be_list)
{
    if (from->kind == YAML_SCALAR || (from->kind == YAML_LIST && !may_be_list))
        return fail(b, from->line, from->column, "'<<' needs a map, or a list of maps");
    for (size_t i = 0; i < from->count; i++) {
        if (from->kind == YAML_LIST) {
            if (merge(b, map, from->items[i], false) < 0)
                return -1;
        } else if (yaml_get(map, from->keys[i]->text) == NULL) {
            add_item(map, from->keys[i], from->items[i]);
            from->keys[i] = from->items[i] = NULL;
        }
    }
    return 0;
}

static int check_key(struct builder *b, const struct yaml_node *map, struct yaml_node *key)
{
    if (key->kind != YAML_SCALAR)
        return fail(b, key->line, key->column, "a key that is no plain text");
    for (size_t i = 0; i < map->count && key->first_line == 0; i++)
        if (strcmp(map->keys[i]->text, key->text) == 0)
            key->first_line = map->keys[i]->line;
    return 0;
}

/* A key is there; reads its value and adds both, or keeps it in *merged for the end. Takes the key over. */
static int build_pair(struct builder *b, struct yaml_node *map, struct yaml_node *key, size_t depth,
                      struct yaml_node *merged)
{
    struct yaml_node *item = NULL;
    yaml_event_t event;
    int rc = check_key(b, map, key);
    if (rc == 0 && (rc = next_event(b, &event)) == 0) {
        rc = build(b, &event, depth + 1, &item);
        yaml_event_delete(&event);
    }
    if (rc == 0 && key->plain && strcmp(key->text, "<<") == 0) {
        add_item(merged, NULL, item);
        add_item(&b->dropped, NULL, key);
    } else if (rc == 0) {
        add_item(map, key, item);
    } else {
        yaml_node_free(key);
    }
    return rc;
}

static int build_map(struct builder *b, struct yaml_node *map, size_t depth)
{
    struct yaml_node merged = {.kind = YAML_LIST};
    int rc = 0;
    bool over = false;
    while (rc == 0 && !over) {
        yaml_event_t event;
        struct yaml_node *key = NULL;
        if ((rc = next_event(b, &event)) < 0)
            break;
        over = event.type == YAML_MAPPING_END_EVENT;
        if (!over)
            rc = build(b, &event, depth + 1, &key);
        yaml_event_delete(&event);
        if (rc == 0 && !over)
            rc = build_pair(b, map, key, depth, &merged);
    }
    for (size_t i = 0; i < merged.count; i++) {
        if (rc == 0)
            rc = merge(b, map, merged.items[i], true);
        add_item(&b->dropped, NULL, merged.items[i]);
    }
    free(merged.items);
    return rc;
}

/* A list or a map, of which the first event is there. */
static int build_collection(struct builder *b, const yaml_event_t *event, size_t depth, struct yaml_node **out)
{
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT, is_text;
    const yaml_char_t *tag = is_list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    const yaml_char_t *anchor = is_list ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    if (check_tag(b, event, tag, &is_text) < 0)
        return -1;
    struct yaml_node *n = new_node(b, is_list ? YAML_LIST : YAML_MAP, (unsigned)event->start_mark.line + 1,
                                   (unsigned)event->start_mark.column + 1, depth);
    if (n == NULL)
        return -1;
    if ((is_list ? build_list(b, n, depth) : build_map(b, n, depth)) < 0) {
        yaml_node_free(n);
        return -1;
    }
    remember(b, anchor, n);
    *out = n;
    return 0;
}

static int build(struct builder *b, yaml_event_t *event, size_t depth, struct yaml_node **out)
{
    *out = NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(b, event, depth, out);
    case YAML_ALIAS_EVENT:
        return build_alias(b, event, depth, out);
    default:
        return build_collection(b, event, depth, out);
    }
}

/* The events around the one document. */
static int build_stream(struct builder *b, struct yaml_node **out)
{
    for (;;) {
        yaml_event_t event;
        int rc = next_event(b, &event);
        if (rc < 0)
            return -1;
        yaml_event_type_t type = event.type;
        if (type == YAML_DOCUMENT_START_EVENT && *out != NULL)
            rc = fail_at(b, &event.start_mark, "a second document ('---'), but a configuration is one");
        else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                 type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT)
            rc = build(b, &event, 0, out);
        yaml_event_delete(&event);
        if (rc < 0 || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

int yaml_parse_document(const char *text, size_t len, struct yaml_node **out, struct yaml_position *where,
                        struct err *err)
{
    struct builder b = {.text = text, .len = len, .where = where, .err = err, .dropped = {.kind = YAML_LIST}};
    *out = NULL;
    *where = (struct yaml_position){1, 1};
    if (yaml_parser_initialize(&b.parser) != 1)
        return err_set(err, ERR_FAILED, "cannot start the YAML parser");
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
    int rc = build_stream(&b, out);
    if (rc < 0) {
        yaml_node_free(*out);
        *out = NULL;
    }
    for (size_t i = 0; i < b.anchor_count; i++)
        free(b.anchors[i].name);
    free(b.anchors);
    for (size_t i = 0; i < b.dropped.count; i++)
        yaml_node_free(b.dropped.items[i]);
    free(b.dropped.items);
    yaml_parser_delete(&b.parser);
    return rc;
}
