#include "monitor/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

enum { TEXT_BYTES = 2048 }; /* messages are short; what is longer is cut */

struct finding *finding_add(struct finding_list *l, const char *rule, const char *subject, enum alert_level level,
                            const char *text, ...)
{
    char buffer[TEXT_BYTES];
    va_list args;
    va_start(args, text);
    vsnprintf(buffer, sizeof buffer, text, args);
    va_end(args);
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    struct finding *f = &l->items[l->count++];
    *f = (struct finding){.rule = rule, .subject = mem_strdup(subject), .level = level, .text = mem_strdup(buffer)};
    return f;
}

void finding_release(struct finding *f)
{
    free(f->subject);
    free(f->text);
    free(f->details);
    free(f->command);
    *f = (struct finding){0};
}

void finding_list_release(struct finding_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        finding_release(&l->items[i]);
    free(l->items);
    *l = (struct finding_list){0};
}

enum alert_level finding_list_worst(const struct finding_list *l)
{
    enum alert_level worst = ALERT_FINE;
    for (size_t i = 0; i < l->count; i++)
        worst = l->items[i].level > worst ? l->items[i].level : worst;
    return worst;
}
