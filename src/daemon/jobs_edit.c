/*
 * Invariants: edits do not overlap; at one offset they are applied in the order in which they were made. `of_child` and
 * `added_to` say for every node of the tree what becomes of it, independently of the bytes: what verify() goes by.
 */
#include "daemon/jobs_edit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_edit_layout.h"

struct edit {
    size_t at, remove, order;
    char *insert;
};

/* What a node becomes, or what is added to one. */
struct intent {
    bool removed;
    char *key;   /* NULL: an element */
    char *value; /* the text that it has to have then */
    size_t next; /* the next that is added to the same; 0: none */
};

struct jobs_edits {
    const struct jobs_text *t;
    struct edit *edits;
    size_t edit_count;
    struct intent *intents; /* [0] is nobody's */
    size_t intent_count;
    size_t *of_child, *added_to; /* by node: an intent, or 0 */
};

struct jobs_edits *jobs_edits_new(const struct jobs_text *t)
{
    struct jobs_edits *e = mem_zalloc(sizeof *e);
    e->t = t;
    e->of_child = mem_zalloc(t->count * sizeof *e->of_child);
    e->added_to = mem_zalloc(t->count * sizeof *e->added_to);
    e->intents = mem_zalloc(sizeof *e->intents);
    e->intent_count = 1;
    return e;
}

void jobs_edits_free(struct jobs_edits *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->edit_count; i++)
        free(e->edits[i].insert);
    for (size_t i = 0; i < e->intent_count; i++) {
        free(e->intents[i].key);
        free(e->intents[i].value);
    }
    free(e->edits);
    free(e->intents);
    free(e->of_child);
    free(e->added_to);
    free(e);
}

static size_t index_of(const struct jobs_edits *e, const struct jobs_node *n)
{
    return (size_t)(n - e->t->nodes);
}

/* Takes `insert` over. */
static void add_edit(struct jobs_edits *e, size_t at, size_t remove, char *insert)
{
    e->edits = mem_array(e->edits, e->edit_count + 1, sizeof *e->edits);
    e->edits[e->edit_count] = (struct edit){.at = at, .remove = remove, .insert = insert, .order = e->edit_count};
    e->edit_count++;
}

static size_t add_intent(struct jobs_edits *e, bool removed, const char *key, const char *value)
{
    e->intents = mem_array(e->intents, e->intent_count + 1, sizeof *e->intents);
    e->intents[e->intent_count] = (struct intent){.removed = removed,
                                                  .key = key != NULL ? mem_strdup(key) : NULL,
                                                  .value = value != NULL ? mem_strdup(value) : NULL};
    return e->intent_count++;
}

/* --- setting and adding --- */

static bool has_text(const struct jobs_edits *e, const struct jobs_node *n, const char *text)
{
    size_t len = strlen(text);
    return n->end - n->start == len && memcmp(e->t->text + n->start, text, len) == 0;
}

static void replace_value(struct jobs_edits *e, const struct jobs_node *n, const char *value)
{
    if (has_text(e, n, value))
        return;
    e->of_child[index_of(e, n)] = add_intent(e, false, NULL, value);
    add_edit(e, n->start, n->end - n->start, mem_strdup(value));
}

/* The text of all that is added, elements ready to be written, goes in at one place. */
static void insert_elements(struct jobs_edits *e, const struct jobs_node *container, const struct jobs_layout *l,
                            const struct strlist *elements)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    for (size_t i = 0; i < elements->count; i++) {
        if (i > 0)
            buf_append_byte(&text, ',');
        if (i > 0 || container->last != 0 || l->multiline)
            buf_append_str(&text, l->before);
        buf_append_str(&text, elements->items[i]);
    }
    if (l->trailing_comma)
        buf_append_byte(&text, ',');
    buf_append_str(&text, l->behind);
    if (l->comma_at != 0)
        add_edit(e, l->comma_at, 0, mem_strdup(","));
    add_edit(e, l->at, 0, mem_strdup(buf_cstr(&text)));
    buf_release(&text);
}

void jobs_edit_set(struct jobs_edits *e, const struct jobs_node *object, const struct jobs_set *sets, size_t count)
{
    struct strlist added = {0};
    struct jobs_layout l;
    size_t last = 0;
    jobs_layout_find(e->t, object, &l);
    for (size_t i = 0; i < count; i++) {
        const struct jobs_node *n = jobs_text_member(e->t, object, sets[i].key);
        if (n != NULL) {
            replace_value(e, n, sets[i].value);
            continue;
        }
        char *text = mem_printf("\"%s\"%s%s", sets[i].key, l.colon, sets[i].value);
        strlist_add(&added, text);
        free(text);
        size_t intent = add_intent(e, false, sets[i].key, sets[i].value);
        *(last == 0 ? &e->added_to[index_of(e, object)] : &e->intents[last].next) = intent;
        last = intent;
    }
    if (added.count > 0)
        insert_elements(e, object, &l, &added);
    strlist_release(&added);
    jobs_layout_release(&l);
}

void jobs_edit_append(struct jobs_edits *e, const struct jobs_node *list, const char *pretty, const char *compact)
{
    struct strlist added = {0};
    struct jobs_layout l;
    jobs_layout_find(e->t, list, &l);
    char *text = l.multiline ? jobs_layout_indent(pretty, l.before) : mem_strdup(compact);
    strlist_add(&added, text);
    e->added_to[index_of(e, list)] = add_intent(e, false, NULL, text);
    insert_elements(e, list, &l, &added);
    strlist_release(&added);
    jobs_layout_release(&l);
    free(text);
}

/* --- taking out --- */

void jobs_edit_remove(struct jobs_edits *e, const struct jobs_node *container, const struct jobs_node *child)
{
    const struct jobs_node *before = NULL;
    for (const struct jobs_node *n = jobs_text_first(e->t, container); n != child; n = jobs_text_next(e->t, n))
        before = n;
    size_t from, to;
    jobs_layout_extent(e->t, child, &from, &to);
    e->of_child[index_of(e, child)] = add_intent(e, true, NULL, NULL);
    if (child->comma == 0 && before != NULL)
        add_edit(e, before->comma, 1, mem_strdup(""));
    add_edit(e, from, to - from, mem_strdup(""));
}

/* --- the new text --- */

static int by_place(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void write_text(struct jobs_edits *e, struct buf *out)
{
    size_t at = 0;
    if (e->edit_count > 0)
        qsort(e->edits, e->edit_count, sizeof *e->edits, by_place);
    for (size_t i = 0; i < e->edit_count; i++) {
        const struct edit *edit = &e->edits[i];
        assert(edit->at >= at);
        buf_append(out, e->t->text + at, edit->at - at);
        buf_append_str(out, edit->insert);
        at = edit->at + edit->remove;
    }
    buf_append(out, e->t->text + at, e->t->len - at);
}

static bool same_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool same_key(const struct jobs_text *a, const struct jobs_node *x, const struct jobs_text *b,
                     const struct jobs_node *y)
{
    return same_bytes(a->text + x->key_start, x->key_end - x->key_start, b->text + y->key_start,
                      y->key_end - y->key_start);
}

static bool has_value(const struct jobs_text *t, const struct jobs_node *n, const char *value)
{
    return same_bytes(t->text + n->start, n->end - n->start, value, strlen(value));
}

static bool as_meant(const struct jobs_edits *e, const struct jobs_node *before, const struct jobs_text *t,
                     const struct jobs_node *after);

static bool children_as_meant(const struct jobs_edits *e, const struct jobs_node *before, const struct jobs_text *t,
                              const struct jobs_node *after)
{
    const struct jobs_node *a = jobs_text_first(t, after);
    for (const struct jobs_node *b = jobs_text_first(e->t, before); b != NULL; b = jobs_text_next(e->t, b)) {
        size_t intent = e->of_child[index_of(e, b)];
        if (intent != 0 && e->intents[intent].removed)
            continue;
        if (a == NULL || !same_key(e->t, b, t, a))
            return false;
        if (intent != 0 ? !has_value(t, a, e->intents[intent].value) : !as_meant(e, b, t, a))
            return false;
        a = jobs_text_next(t, a);
    }
    for (size_t i = e->added_to[index_of(e, before)]; i != 0; i = e->intents[i].next) {
        const char *key = e->intents[i].key;
        if (a == NULL || !has_value(t, a, e->intents[i].value) || (key != NULL && !jobs_text_key_is(t, a, key)))
            return false;
        a = jobs_text_next(t, a);
    }
    return a == NULL;
}

static bool as_meant(const struct jobs_edits *e, const struct jobs_node *before, const struct jobs_text *t,
                     const struct jobs_node *after)
{
    if (before->kind != after->kind)
        return false;
    if (before->kind == JOBS_ARRAY || before->kind == JOBS_OBJECT)
        return children_as_meant(e, before, t, after);
    return same_bytes(e->t->text + before->start, before->end - before->start, t->text + after->start,
                      after->end - after->start);
}

int jobs_edits_apply(struct jobs_edits *e, struct buf *out, struct err *err)
{
    struct jobs_text t;
    size_t from = out->len;
    write_text(e, out);
    if (out->overflow)
        return err_set(err, ERR_NO_SPACE, "it would be too large");
    if (jobs_text_parse(&t, buf_cstr(out) + from, out->len - from, err) != 0)
        return err_wrap(err, "the change would damage it");
    bool good = as_meant(e, jobs_text_root(e->t), &t, jobs_text_root(&t));
    jobs_text_release(&t);
    return good ? 0 : err_set(err, ERR_FAILED, "the change would damage it");
}
