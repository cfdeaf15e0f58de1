#include "run/health_facts.h"

#include <stdlib.h>

enum { PATIENCE_MS = 20000 };

uint64_t health_patience_ms(const struct health_options *o)
{
    return o->patience_ms != 0 ? o->patience_ms : PATIENCE_MS;
}

int looks_run(struct look *looks, size_t count, uint64_t timeout_ms, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        buf_init(&looks[i].out, BOUNDED_OUTPUT_MAX_BYTES);
        if (bounded_start(&looks[i].process, looks[i].fn, looks[i].ctx, timeout_ms, &looks[i].why) != 0)
            looks[i].process = NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (looks[i].process == NULL || bounded_finish(looks[i].process, &looks[i].out, &looks[i].why) == 0)
            continue;
        if (looks[i].why.code == ERR_INTERRUPTED) {
            rc = -1;
            if (err != NULL)
                *err = looks[i].why;
        }
    }
    return rc;
}

void looks_release(struct look *looks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_release(&looks[i].out);
    free(looks);
}
