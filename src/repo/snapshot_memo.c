#include "repo/snapshot_memo.h"

#include <stdlib.h>
#include "base/mem.h"

/* Both lists are sorted: one walk along them takes over what stays. */
void snapshot_memo_list(struct snapshot_memo *m, const struct id *ids, size_t count)
{
    struct snapshot_memo now = {.texts = mem_zalloc((count + 1) * sizeof *now.texts), .count = count};
    size_t old = 0;
    for (size_t i = 0; i < count; i++) {
        now.texts[i].id = ids[i];
        while (old < m->count && id_compare(&m->texts[old].id, &ids[i]) < 0)
            old++;
        if (old < m->count && id_equal(&m->texts[old].id, &ids[i])) {
            now.texts[i] = m->texts[old];
            now.bytes += now.texts[i].len;
            m->texts[old++].json = NULL;
        }
    }
    snapshot_memo_release(m);
    *m = now;
}

bool snapshot_memo_get(const struct snapshot_memo *m, size_t i, struct buf *out)
{
    if (m->texts[i].json == NULL)
        return false;
    buf_append(out, m->texts[i].json, m->texts[i].len);
    return true;
}

void snapshot_memo_put(struct snapshot_memo *m, size_t i, const struct buf *json)
{
    if (m->texts[i].json != NULL || json->len > SNAPSHOT_MEMO_MAX_BYTES - m->bytes)
        return;
    m->texts[i].json = mem_strndup((const char *)json->data, json->len);
    m->texts[i].len = json->len;
    m->bytes += json->len;
}

void snapshot_memo_release(struct snapshot_memo *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->texts[i].json);
    free(m->texts);
    *m = (struct snapshot_memo){0};
}
