/* Listing, loading and saving snapshots, and finding files by the start of their names. */
#include "repo/repo.h"

#include <stdlib.h>
#include "base/mem.h"

struct id_list {
    struct id *items;
    size_t count, cap;
};

static int collect_id(void *ctx, const char *name, uint64_t size_bytes)
{
    struct id_list *l = ctx;
    (void)size_bytes;
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->items = mem_array(l->items, l->cap, sizeof *l->items);
    }
    if (id_from_hex(name, strlen(name), &l->items[l->count]) == 0)
        l->count++;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

int repo_list_ids(struct repo *r, enum store_type type, struct id **out, size_t *count_out, struct err *err)
{
    struct id_list l = {0};
    if (store_list(r->store, type, collect_id, &l, err) != 0) {
        free(l.items);
        return -1;
    }
    if (l.count > 1)
        qsort(l.items, l.count, sizeof *l.items, compare_ids);
    *out = l.items;
    *count_out = l.count;
    return 0;
}

int repo_find_id(struct repo *r, enum store_type type, const char *prefix, struct id *out, struct err *err)
{
    struct id *ids;
    size_t count, found = 0, len = strlen(prefix);
    char hex[ID_HEX_BYTES];
    if (len == 0 || len > ID_HEX_CHARS || strspn(prefix, "0123456789abcdef") != len)
        return err_set(err, ERR_USAGE, "'%.80s' is no ID: it must be up to 64 digits of 0-9 and a-f", prefix);
    if (repo_list_ids(r, type, &ids, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(id_to_hex(&ids[i], hex), prefix, len) == 0) {
            *out = ids[i];
            found++;
        }
    }
    free(ids);
    if (found == 1)
        return 0;
    if (found > 1)
        return err_set(err, ERR_USAGE, "%zu files in %s start with '%s': give more digits", found,
                       store_type_name(type), prefix);
    return err_set(err, ERR_NOT_FOUND, "nothing in %s starts with '%s'", store_type_name(type), prefix);
}

static int read_one(struct repo *r, struct codec *c, const struct id *id, struct buf *json, struct err *err)
{
    buf_clear(json);
    return repo_load_unpacked(r, c, STORE_SNAPSHOT, id, json, err);
}

/* The same, of the i-th that the memo lists. */
static int remember_one(struct repo *r, struct codec *c, size_t i, struct buf *json, struct err *err)
{
    buf_clear(json);
    if (snapshot_memo_get(r->memo, i, json))
        return 0;
    int rc = read_one(r, c, &r->memo->texts[i].id, json, err);
    if (rc == 0)
        snapshot_memo_put(r->memo, i, json);
    return rc;
}

static int decode_one(const struct id *id, const struct buf *json, struct snapshot *out, struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (snapshot_decode((const char *)json->data, json->len, out, err) != 0)
        return err_wrap(err, "cannot read snapshot %.8s", id_to_hex(id, hex));
    out->id = *id;
    return 0;
}

int repo_load_snapshot(struct repo *r, const struct id *id, struct snapshot *out, struct err *err)
{
    struct buf json;
    struct codec *c = codec_new(r, err);
    if (c == NULL)
        return -1;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    int rc = read_one(r, c, id, &json, err);
    if (rc == 0)
        rc = decode_one(id, &json, out, err);
    buf_release(&json);
    codec_free(c);
    return rc;
}

static int compare_snapshots(const void *a, const void *b)
{
    const struct snapshot *x = a, *y = b;
    if (x->time.tv_sec != y->time.tv_sec)
        return x->time.tv_sec < y->time.tv_sec ? -1 : 1;
    if (x->time.tv_nsec != y->time.tv_nsec)
        return x->time.tv_nsec < y->time.tv_nsec ? -1 : 1;
    return id_compare(&x->id, &y->id);
}

int repo_load_snapshots(struct repo *r, struct snapshot_list *out, struct strlist *broken, struct err *err)
{
    struct id *ids = NULL;
    size_t count;
    struct err this;
    struct buf json;
    *out = (struct snapshot_list){0};
    struct codec *c = codec_new(r, err);
    if (c == NULL)
        return -1;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    int rc = repo_list_ids(r, STORE_SNAPSHOT, &ids, &count, err);
    if (rc == 0)
        out->items = mem_array(NULL, count, sizeof *out->items);
    if (rc == 0 && r->memo != NULL)
        snapshot_memo_list(r->memo, ids, count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int got = r->memo != NULL ? remember_one(r, c, i, &json, &this) : read_one(r, c, &ids[i], &json, &this);
        if (got == 0 && decode_one(&ids[i], &json, &out->items[out->count], &this) == 0) {
            out->count++;
        } else if (this.code == ERR_NOT_FOUND) {
            continue; /* somebody forgot it since we listed */
        } else if (broken != NULL) {
            strlist_add(broken, this.message);
        } else {
            if (err != NULL)
                *err = this;
            rc = -1;
        }
    }
    if (rc != 0)
        snapshot_list_release(out);
    else if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, compare_snapshots);
    buf_release(&json);
    codec_free(c);
    free(ids);
    return rc;
}

void snapshot_list_release(struct snapshot_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        snapshot_release(&l->items[i]);
    free(l->items);
    *l = (struct snapshot_list){0};
}

int repo_save_snapshot(struct repo *r, struct codec *c, struct snapshot *s, struct err *err)
{
    struct buf json;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    snapshot_encode(s, &json);
    int rc = json.overflow ? err_set(err, ERR_UNSUPPORTED, "the snapshot's description is too large")
                           : repo_save_unpacked(r, c, STORE_SNAPSHOT, json.data, json.len, &s->id, err);
    buf_release(&json);
    return rc;
}
