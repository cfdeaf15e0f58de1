#include "source/source.h"

#include <stddef.h>

void source_free(struct source *s)
{
    if (s == NULL)
        return;
    strlist_release(&s->paths);
    s->ops->free(s);
}
