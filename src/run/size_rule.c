#include "run/size_rule.h"
#include "base/bytes.h"

#include <stdio.h>
#include <string.h>

enum size_verdict size_rule_check(uint64_t bytes, uint64_t last_bytes, char why[SIZE_RULE_MESSAGE_BYTES])
{
    char now[32], before[32];
    why[0] = '\0';
    if (bytes == 0) {
        snprintf(why, SIZE_RULE_MESSAGE_BYTES, "empty");
        return SIZE_EMPTY;
    }
    if (bytes >= last_bytes / 10)
        return SIZE_FINE;
    snprintf(why, SIZE_RULE_MESSAGE_BYTES, "only %s, and was %s before", bytes_text(bytes, now),
             bytes_text(last_bytes, before));
    return SIZE_SHRUNKEN;
}

/* The source of that name in a record, or NULL. */
static const struct record_source *find_source(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->source_count; i++)
        if (strcmp(r->sources[i].name, name) == 0)
            return &r->sources[i];
    return NULL;
}

const struct record_source *size_rule_last_list(const struct record_list *l, const char *source)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record_source *s = find_source(&l->items[i], source);
        if (s != NULL && s->dump_count > 0)
            return s;
    }
    return NULL;
}

/* One that was too small is no measure, unless the run passed it with a word. */
static const struct record_dump *find_fine(const struct record_source *s, const char *path)
{
    for (size_t i = 0; i < s->dump_count; i++)
        if ((!s->dumps[i].suspect || s->status == RECORD_COMPLETED) && strcmp(s->dumps[i].path, path) == 0)
            return &s->dumps[i];
    return NULL;
}

uint64_t size_rule_last_dump(const struct record_list *l, const char *source, const char *path)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record_source *s = find_source(&l->items[i], source);
        const struct record_dump *d = s != NULL ? find_fine(s, path) : NULL;
        if (d != NULL)
            return d->bytes;
    }
    return 0;
}

uint64_t size_rule_last_source(const struct record_list *l, const char *source)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record_source *s = find_source(&l->items[i], source);
        if (s != NULL && s->status == RECORD_COMPLETED)
            return s->bytes;
    }
    return 0;
}
