#include "engine/grouping.h"

#include <string.h>

#include "repo/repo.h"

int grouping_parse(const char *text, struct snapshot_grouping *out, struct err *err)
{
    static const struct {
        const char *name, *other;
        size_t offset;
    } KEYS[] = {
        {"host", "hosts", offsetof(struct snapshot_grouping, host)},
        {"paths", "path", offsetof(struct snapshot_grouping, paths)},
        {"tags", "tag", offsetof(struct snapshot_grouping, tags)},
    };
    *out = (struct snapshot_grouping){0};
    while (*text != '\0') {
        size_t len = strcspn(text, ","), k = 0;
        for (; k < 3; k++)
            if ((strlen(KEYS[k].name) == len && memcmp(KEYS[k].name, text, len) == 0) ||
                (strlen(KEYS[k].other) == len && memcmp(KEYS[k].other, text, len) == 0))
                break;
        if (k == 3)
            return err_set(err, ERR_USAGE, "'%.*s' is nothing to group by: it is none of host, paths, tags", (int)len,
                           text);
        *(bool *)((char *)out + KEYS[k].offset) = true;
        text += len + (text[len] == ',');
    }
    return 0;
}

static void append_sorted(struct buf *key, const struct strlist *list)
{
    struct strlist sorted = {0};
    strlist_copy(&sorted, list);
    strlist_sort(&sorted);
    for (size_t i = 0; i < sorted.count; i++)
        buf_append(key, sorted.items[i], strlen(sorted.items[i]) + 1);
    buf_append_byte(key, '\0'); /* no path and no tag is empty: this cannot be taken for one */
    strlist_release(&sorted);
}

static const char *home_tag(const struct snapshot *s)
{
    for (size_t i = 0; i < s->tags.count; i++)
        if (strncmp(s->tags.items[i], GROUPING_HOME_TAG, strlen(GROUPING_HOME_TAG)) == 0)
            return s->tags.items[i];
    return NULL;
}

void grouping_key(const struct snapshot *s, const struct snapshot_grouping *by, struct buf *key)
{
    buf_init(key, REPO_UNPACKED_MAX_BYTES);
    if (by->host) {
        buf_append_str(key, s->hostname != NULL ? s->hostname : "");
        buf_append_byte(key, '\0');
    }
    const char *home = by->paths ? home_tag(s) : NULL;
    if (home != NULL)
        buf_append(key, home, strlen(home) + 1);
    else if (by->paths)
        append_sorted(key, &s->paths);
    if (by->tags)
        append_sorted(key, &s->tags);
}

int grouping_compare(const struct buf *a, const struct buf *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int c = len > 0 ? memcmp(a->data, b->data, len) : 0;
    return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}
