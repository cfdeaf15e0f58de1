#include "engine/stored_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int add_file(void *ctx, const char *name, uint64_t size_bytes)
{
    struct stored_files *f = ctx;
    struct id id;
    if (id_from_hex(name, strlen(name), &id) != 0)
        return 0;
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 64 : f->cap * 2;
        f->items = mem_array(f->items, f->cap, sizeof *f->items);
    }
    f->items[f->count++] = (struct stored_file){.id = id, .bytes = size_bytes};
    f->bytes += size_bytes;
    return 0;
}

/* The ID is the first member: files and bare IDs compare alike. */
static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

int stored_files_list(struct store *s, enum store_type type, struct stored_files *out, struct err *err)
{
    *out = (struct stored_files){0};
    if (store_list(s, type, add_file, out, err) != 0)
        return -1;
    if (out->count > 0)
        qsort(out->items, out->count, sizeof *out->items, compare_ids);
    return 0;
}

const struct stored_file *stored_files_find(const struct stored_files *f, const struct id *id)
{
    return f->count == 0 ? NULL : bsearch(id, f->items, f->count, sizeof *f->items, compare_ids);
}

void stored_files_release(struct stored_files *f)
{
    free(f->items);
    *f = (struct stored_files){0};
}
