#include "plan/config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "plan/config_values.h"

/* ------------------------------------------------------------------------------------------------------------ mistakes
 */

/* Kept in order of their places; of one place, in order of their finding. */
void config_report_add(struct config_report *report, const struct config_mistake *m)
{
    static char too_many[] = "there are more mistakes than are shown";
    static const struct config_mistake LAST = {.message = too_many}; /* sorts first: it is seen */
    if (report->count > CONFIG_MISTAKES_MAX)
        return;
    if (report->count == CONFIG_MISTAKES_MAX)
        m = &LAST;
    report->items = mem_array(report->items, report->count + 1, sizeof *report->items);
    size_t i = report->count++;
    for (; i > 0; i--) {
        const struct config_mistake *before = &report->items[i - 1];
        if (before->line < m->line || (before->line == m->line && before->column <= m->column))
            break;
        report->items[i] = *before;
    }
    report->items[i] = *m;
    report->items[i].message = mem_strdup(m->message);
    report->errors += !m->warning;
    report->grave += !m->warning && !m->watching;
}

static void __attribute__((format(printf, 4, 0)))
add_formatted(struct config_reader *r, const struct yaml_node *at, bool warning, const char *format, va_list args)
{
    char text[ERR_MESSAGE_BYTES], message[ERR_MESSAGE_BYTES];
    const char *trail = buf_cstr(&r->trail);
    vsnprintf(text, sizeof text, format, args);
    snprintf(message, sizeof message, "%s%s%s", trail, trail[0] != '\0' ? ": " : "", text);
    config_report_add(r->report, &(struct config_mistake){at->line, at->column, message, warning, r->watching});
    r->mistakes += !warning;
}

void config_mistake(struct config_reader *r, const struct yaml_node *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(r, at, false, format, args);
    va_end(args);
}

void config_warn(struct config_reader *r, const struct yaml_node *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(r, at, true, format, args);
    va_end(args);
}

void config_expected(struct config_reader *r, const struct yaml_node *at, const char *what)
{
    char shown[SHOWN_BYTES];
    if (at->kind == YAML_LIST)
        config_mistake(r, at, "found a list, expected %s", what);
    else if (at->kind == YAML_MAP)
        config_mistake(r, at, "found keys with values, expected %s", what);
    else if (at->plain && strcmp(at->text, "~") == 0)
        config_mistake(r, at, "found ~, which is nothing in YAML (the home directory is ~/), expected %s", what);
    else if (yaml_is_null(at))
        config_mistake(r, at, "found nothing, expected %s", what);
    else
        config_mistake(r, at, "found '%s', expected %s", text_shown(at->text, shown), what);
}

/* --------------------------------------------------------------------------------------------------------------- trail
 */

size_t config_trail_push(struct config_reader *r, const char *key)
{
    char shown[SHOWN_BYTES];
    size_t was = r->trail.len;
    if (was > 0)
        buf_append_byte(&r->trail, '.');
    buf_append_str(&r->trail, text_shown(key, shown));
    return was;
}

size_t config_trail_push_index(struct config_reader *r, size_t index)
{
    size_t was = r->trail.len;
    buf_printf(&r->trail, "[%zu]", index + 1); /* people count from 1 */
    return was;
}

void config_trail_pop(struct config_reader *r, size_t len)
{
    r->trail.len = len;
}

/* ---------------------------------------------------------------------------------------------------------------- maps
 */

static void unknown_key(struct config_reader *r, const struct yaml_node *key, const struct config_field *fields)
{
    enum { KEYS_MAX = 64 };
    const char *keys[KEYS_MAX + 1];
    size_t count = 0;
    for (const struct config_field *f = fields; f->key != NULL && count < KEYS_MAX; f++)
        keys[count++] = f->key;
    keys[count] = NULL;
    char shown[SHOWN_BYTES];
    const char *near = nearest_word(key->text, keys);
    text_shown(key->text, shown);
    if (near != NULL) {
        config_mistake(r, key, "unknown key '%s'; did you mean '%s'?", shown, near);
        return;
    }
    char list[600];
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", keys[i]);
    config_mistake(r, key, "unknown key '%s', expected one of %s", shown, list);
}

void config_read_map(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *fields)
{
    if (yaml_is_null(n))
        return;
    if (n->kind != YAML_MAP) {
        config_expected(r, n, "keys with values");
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct config_field *f = fields;
        while (f->key != NULL && strcmp(f->key, n->keys[i]->text) != 0)
            f++;
        if (f->key == NULL) {
            unknown_key(r, n->keys[i], fields);
            continue;
        }
        size_t was = config_trail_push(r, f->key);
        f->take(r, n->items[i], (char *)to + f->offset, f);
        config_trail_pop(r, was);
    }
}

void config_take_map(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    config_read_map(r, n, to, f->more);
}

void *config_name_array(struct config_reader *r, const struct yaml_node *n, size_t item_bytes, size_t *count)
{
    *count = 0; /* a section that is there twice: what the first had is gone */
    if (n->kind != YAML_MAP) {
        if (!yaml_is_null(n))
            config_expected(r, n, "a name for each, with its keys below it");
        return NULL;
    }
    char *array = arena_alloc(r->arena, n->count * item_bytes + 1);
    memset(array, 0, n->count * item_bytes + 1);
    *count = n->count;
    return array;
}

/* ----------------------------------------------------------------------------------------------------- lists of
 * structs
 */

/* An item that is one text: the map {scalar_key: text}. */
static void read_short_item(struct config_reader *r, const struct yaml_node *n, void *item,
                            const struct config_items *items)
{
    const struct config_field *f = items->fields;
    while (strcmp(f->key, items->scalar_key) != 0)
        f++;
    f->take(r, n, (char *)item + f->offset, f);
}

static void read_item(struct config_reader *r, const struct yaml_node *n, void *item, const struct config_items *items)
{
    if (items->init != NULL)
        items->init(item);
    if (n->kind == YAML_SCALAR && items->scalar_key != NULL)
        read_short_item(r, n, item, items);
    else if (n->kind != YAML_MAP)
        config_expected(r, n, "keys with values, like {container: NAME}");
    else
        config_read_map(r, n, item, items->fields);
}

void config_take_items(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    const struct config_items *items = f->more;
    bool is_list = n->kind == YAML_LIST;
    size_t count = is_list ? n->count : 1;
    if (yaml_is_null(n) || count == 0)
        return;
    char *array = arena_alloc(r->arena, count * items->item_bytes);
    memset(array, 0, count * items->item_bytes);
    for (size_t i = 0; i < count; i++) {
        size_t was = is_list ? config_trail_push_index(r, i) : r->trail.len;
        read_item(r, is_list ? n->items[i] : n, array + i * items->item_bytes, items);
        config_trail_pop(r, was);
    }
    *(void **)to = array;
    *(size_t *)((char *)to + items->count_offset) = count;
}

/* ------------------------------------------------------------------------------------------------------- in the plan
 */

char *config_keep(struct config_reader *r, const char *text)
{
    return arena_strndup(r->arena, text, strlen(text));
}

void config_list_room(struct config_reader *r, struct strlist *list, size_t count)
{
    *list = (struct strlist){.items = arena_alloc(r->arena, (count + 1) * sizeof(char *)), .cap = count};
}

void config_list_add(struct config_reader *r, struct strlist *list, const char *text)
{
    list->items[list->count++] = config_keep(r, text);
}
