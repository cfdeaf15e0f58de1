#include "engine/fetch.h"

#include <stdlib.h>
#include "base/mem.h"

/* Invariants: window[0 … window_len) are the bytes at window_offset of pack window_pack; bytes before window_fresh may
 * have been overwritten by decrypting and are not used again. `view` is the plaintext of blob_id when has_blob; it lies
 * in `blob` or in the window, which is not read into before has_blob is false. */
enum {
    CHEAP_WINDOW_BYTES = 512 << 10,
    CHEAP_GAP_BYTES = 8 << 10,
    REMOTE_WINDOW_BYTES = 4 << 20,
    REMOTE_GAP_BYTES = 256 << 10,
    KEEP_BYTES = 4 << 20,
};

struct planned {
    struct blob_place place;
    bool known;
};

struct fetch {
    struct repo *repo;
    struct codec *codec;
    uint32_t window_max, gap_max;
    struct planned *plan;
    size_t plan_count, plan_cap;
    unsigned char *window;
    size_t window_cap;
    struct id window_pack;
    uint64_t window_offset, window_fresh;
    uint32_t window_len;
    struct buf blob;
    struct blob_view view;
    struct id blob_id;
    bool has_blob;
};

struct fetch *fetch_new(struct repo *r, struct err *err)
{
    struct codec *codec = codec_new(r, err);
    if (codec == NULL)
        return NULL;
    struct fetch *f = mem_zalloc(sizeof *f);
    f->repo = r;
    f->codec = codec;
    bool cheap = r->store->features & STORE_CHEAP_READS;
    f->window_max = cheap ? CHEAP_WINDOW_BYTES : REMOTE_WINDOW_BYTES;
    f->gap_max = cheap ? CHEAP_GAP_BYTES : REMOTE_GAP_BYTES;
    buf_init(&f->blob, REPO_BLOB_MAX_BYTES);
    return f;
}

void fetch_free(struct fetch *f)
{
    if (f == NULL)
        return;
    codec_free(f->codec);
    buf_release(&f->blob);
    free(f->window);
    free(f->plan);
    free(f);
}

void fetch_plan_clear(struct fetch *f)
{
    f->plan_count = 0;
}

size_t fetch_plan_add(struct fetch *f, const struct id *id)
{
    if (f->plan_count == f->plan_cap) {
        f->plan_cap = f->plan_cap * 2 + 64;
        f->plan = mem_array(f->plan, f->plan_cap, sizeof *f->plan);
    }
    struct planned *p = &f->plan[f->plan_count];
    struct index_entry entry;
    *p = (struct planned){.place = {.id = *id, .type = BLOB_DATA}};
    p->known = index_find(f->repo->index, BLOB_DATA, id, &entry, &p->place.pack_id);
    if (p->known) {
        p->place.offset = entry.offset;
        p->place.length = entry.length;
        p->place.raw_length = entry.raw_length;
    }
    return f->plan_count++;
}

static uint32_t plain_bytes(uint32_t length, uint32_t raw_length)
{
    if (raw_length != 0)
        return raw_length;
    return length > CIPHER_OVERHEAD_BYTES ? length - CIPHER_OVERHEAD_BYTES : 0;
}

bool fetch_size(const struct fetch *f, size_t position, uint32_t *bytes_out)
{
    const struct planned *p = &f->plan[position];
    *bytes_out = p->known ? plain_bytes(p->place.length, p->place.raw_length) : 0;
    return p->known;
}

bool fetch_size_of(const struct fetch *f, const struct id *id, uint32_t *bytes_out)
{
    struct index_entry entry;
    bool known = index_find(f->repo->index, BLOB_DATA, id, &entry, NULL);
    *bytes_out = known ? plain_bytes(entry.length, entry.raw_length) : 0;
    return known;
}

static bool in_window(const struct fetch *f, const struct blob_place *place)
{
    return f->window_len > 0 && id_equal(&f->window_pack, &place->pack_id) && place->offset >= f->window_fresh &&
           (uint64_t)place->offset + place->length <= f->window_offset + f->window_len;
}

/* How many bytes from the planned blob's offset on to read, so that the blobs that follow come along. */
static uint32_t window_length(const struct fetch *f, size_t position)
{
    const struct blob_place *first = &f->plan[position].place;
    uint64_t end = (uint64_t)first->offset + first->length;
    for (size_t i = position + 1; i < f->plan_count; i++) {
        const struct planned *p = &f->plan[i];
        if (!p->known || !id_equal(&p->place.pack_id, &first->pack_id) || p->place.offset < end ||
            p->place.offset - end > f->gap_max)
            break;
        uint64_t longer = (uint64_t)p->place.offset + p->place.length;
        if (longer - first->offset > f->window_max)
            break;
        end = longer;
    }
    return (uint32_t)(end - first->offset);
}

static int read_window(struct fetch *f, size_t position, struct err *err)
{
    const struct blob_place *place = &f->plan[position].place;
    uint32_t len = window_length(f, position);
    if (len > f->window_cap || (f->window_cap > KEEP_BYTES && len <= KEEP_BYTES)) {
        free(f->window);
        f->window_cap = len > f->window_max ? len : f->window_max;
        f->window = mem_alloc(f->window_cap);
    }
    f->window_len = 0;
    char hex[ID_HEX_BYTES];
    if (store_read(f->repo->store, STORE_PACK, id_to_hex(&place->pack_id, hex), place->offset, f->window, len, err) < 0)
        return -1;
    f->window_len = len;
    f->window_pack = place->pack_id;
    f->window_offset = place->offset;
    f->window_fresh = place->offset;
    return 0;
}

/* Through the repository, which tries every copy and says what is wrong. */
static int load_slowly(struct fetch *f, const struct id *id, struct err *err)
{
    int rc = repo_load_blob(f->repo, f->codec, BLOB_DATA, id, &f->blob, err);
    f->view = (struct blob_view){.data = f->blob.data, .len = f->blob.len};
    return rc;
}

static int load_planned(struct fetch *f, size_t position, struct err *err)
{
    const struct planned *p = &f->plan[position];
    if (!p->known || p->place.length < CIPHER_OVERHEAD_BYTES)
        return load_slowly(f, &p->place.id, err);
    if (!in_window(f, &p->place) && read_window(f, position, err) < 0)
        return load_slowly(f, &p->place.id, err);
    unsigned char *stored = f->window + (p->place.offset - f->window_offset);
    f->window_fresh = (uint64_t)p->place.offset + p->place.length;
    if (repo_view_blob(f->codec, &p->place, stored, &f->blob, &f->view, err) == 0)
        return 0;
    return load_slowly(f, &p->place.id, err);
}

static int keep(struct fetch *f, int result, const struct id *id, const unsigned char **data_out, size_t *len_out)
{
    f->has_blob = result == 0;
    f->blob_id = *id;
    *data_out = f->view.data;
    *len_out = f->view.len;
    return result;
}

static bool have_already(struct fetch *f, const struct id *id, const unsigned char **data_out, size_t *len_out)
{
    if (!f->has_blob || !id_equal(&f->blob_id, id)) {
        f->has_blob = false;
        buf_shrink(&f->blob, KEEP_BYTES);
        return false;
    }
    *data_out = f->view.data;
    *len_out = f->view.len;
    return true;
}

int fetch_blob(struct fetch *f, size_t position, const unsigned char **data_out, size_t *len_out, struct err *err)
{
    const struct id id = f->plan[position].place.id;
    if (have_already(f, &id, data_out, len_out)) /* a run of zeros is one blob many times */
        return 0;
    return keep(f, load_planned(f, position, err), &id, data_out, len_out);
}

int fetch_one(struct fetch *f, const struct id *id, const unsigned char **data_out, size_t *len_out, struct err *err)
{
    if (have_already(f, id, data_out, len_out))
        return 0;
    return keep(f, load_slowly(f, id, err), id, data_out, len_out);
}
