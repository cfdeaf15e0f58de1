/* Runs that have begun and not ended. However much was written since, their starts are what tells whoever comes after a
 * daemon or a run that was killed; so they are found in a whole log, and not cut away before their ends are. */
#include <string.h>
#include "monitor/record_internal.h"

/* What a record says of it. Runs of a tier, or of a job, do not overlap: whatever began before this one is over. */
static enum { IS_OPEN, IS_OVER, SAYS_NOTHING } look_at(const struct record *r)
{
    if (r->status == RECORD_SKIPPED && r->run_id == NULL)
        return SAYS_NOTHING; /* a job's time that came meanwhile */
    if (r->status != RECORD_STARTED)
        return IS_OVER;
    return r->run_id != NULL ? IS_OPEN : SAYS_NOTHING;
}

const struct record *record_unended(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        switch (look_at(&l->items[i])) {
        case IS_OPEN:
            return &l->items[i];
        case IS_OVER:
            return NULL;
        case SAYS_NOTHING:
            break;
        }
    return NULL;
}

const char *record_find_unended(const char *text, size_t len, bool job, size_t *len_out)
{
    for (const char *end = text + len, *start; end > text; end = start) {
        struct record r;
        const char *stop = end[-1] == '\n' ? end - 1 : end;
        for (start = stop; start > text && start[-1] != '\n';)
            start--;
        *len_out = (size_t)(stop - start);
        if (record_is_job_line(start, *len_out) != job || record_decode(start, *len_out, &r) != 0)
            continue;
        int found = r.job == job ? (int)look_at(&r) : SAYS_NOTHING;
        record_release(&r);
        if (found != SAYS_NOTHING)
            return found == IS_OPEN ? start : NULL;
    }
    return NULL;
}

void record_add_unended(const char *text, size_t len, size_t cut, struct buf *out)
{
    for (int job = 0; job < 2; job++) {
        size_t line_len;
        const char *line = record_find_unended(text, len, job != 0, &line_len);
        if (line == NULL || line >= text + cut)
            continue;
        buf_append(out, line, line_len);
        buf_append_byte(out, '\n');
    }
}
