#include "repo/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/*
 * Invariants
 *  1. While sealed, loaded[0 … count) is sorted by (id, type, pack, offset) and buckets[b] is the position of the first
 * entry whose first `bucket_bits` bits are ≥ b; buckets[2^bits] == count.
 *  2. An added entry is in exactly one shard (by the ID's first byte) and keeps its position there for good. Its pack
 * is PACK_PENDING until index_place().
 *  3. packs[] only grows. Entries name packs by position.
 */
enum {
    SHARDS = 256,
    SHARD_BLOCK_ENTRIES = 128, /* 6 KiB: added entries never move, so that growing leaves no holes in the heap */
    BUCKET_ENTRIES = 8,        /* aimed at, on average */
    BUCKET_BITS_MAX = 26,
};
static const uint32_t PACK_PENDING = 0x7fffffffU;
static const uint32_t TYPE_BIT = 0x80000000U;

struct shard {
    pthread_mutex_t mutex;
    struct index_entry **blocks;
    uint32_t count, block_count;
    uint32_t *slots; /* entry position + 1; 0: free */
    uint32_t slot_count;
};

struct index {
    void *loaded_memory; /* what to free: `loaded` may start a little into it */
    struct index_entry *loaded;
    size_t count, cap;
    uint32_t *buckets;
    unsigned bucket_bits;
    bool sealed;
    struct shard shards[SHARDS];
    _Atomic size_t added; /* entries placed */
    pthread_mutex_t packs_mutex;
    struct id *packs;
    uint32_t pack_count, pack_cap;
    uint32_t *pack_slots; /* by ID: pack number + 1; 0: free */
    uint32_t pack_slot_count;
};

struct index *index_new(void)
{
    struct index *ix = mem_zalloc(sizeof *ix);
    pthread_mutex_init(&ix->packs_mutex, NULL);
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&ix->shards[i].mutex, NULL);
    return ix;
}

void index_free(struct index *ix)
{
    if (ix == NULL)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &ix->shards[i];
        for (uint32_t b = 0; b < s->block_count; b++)
            free(s->blocks[b]);
        free(s->blocks);
        free(s->slots);
        pthread_mutex_destroy(&s->mutex);
    }
    pthread_mutex_destroy(&ix->packs_mutex);
    free(ix->loaded_memory);
    free(ix->buckets);
    free(ix->packs);
    free(ix->pack_slots);
    free(ix);
}

/*
 * Packs.
 */

/* Where a hash lands in a table of n slots: no division, any n. */
static uint32_t slot_of(uint64_t hash, uint32_t n)
{
    return (uint32_t)(((hash >> 32) * n) >> 32);
}

static void pack_slots_insert(struct index *ix, uint32_t pack)
{
    uint32_t i = slot_of(id_hash(&ix->packs[pack]), ix->pack_slot_count);
    while (ix->pack_slots[i] != 0)
        i = i + 1 == ix->pack_slot_count ? 0 : i + 1;
    ix->pack_slots[i] = pack + 1;
}

static void packs_grow(struct index *ix)
{
    ix->pack_cap = ix->pack_cap == 0 ? 64 : ix->pack_cap + ix->pack_cap / 2;
    ix->packs = mem_array(ix->packs, ix->pack_cap, sizeof *ix->packs);
    free(ix->pack_slots);
    ix->pack_slot_count = ix->pack_cap + ix->pack_cap / 2;
    ix->pack_slots = mem_zalloc(ix->pack_slot_count * sizeof *ix->pack_slots);
    for (uint32_t p = 0; p < ix->pack_count; p++)
        pack_slots_insert(ix, p);
}

/* The number of a pack, a new one if it is new. PACK_PENDING when there are too many. */
static uint32_t pack_number(struct index *ix, const struct id *id)
{
    pthread_mutex_lock(&ix->packs_mutex);
    uint32_t number = PACK_PENDING;
    if (ix->pack_slot_count > 0) {
        uint32_t i = slot_of(id_hash(id), ix->pack_slot_count);
        for (; ix->pack_slots[i] != 0; i = i + 1 == ix->pack_slot_count ? 0 : i + 1)
            if (id_equal(&ix->packs[ix->pack_slots[i] - 1], id)) {
                number = ix->pack_slots[i] - 1;
                goto out;
            }
    }
    if (ix->pack_count == PACK_PENDING - 1)
        goto out;
    if (ix->pack_count == ix->pack_cap)
        packs_grow(ix);
    number = ix->pack_count++;
    ix->packs[number] = *id;
    pack_slots_insert(ix, number);
out:
    pthread_mutex_unlock(&ix->packs_mutex);
    return number;
}

size_t index_pack_count(const struct index *ix)
{
    return ix->pack_count;
}

const struct id *index_pack_id(const struct index *ix, uint32_t pack)
{
    return &ix->packs[pack];
}

/*
 * The loaded part.
 */

/* Adopted memory does not start with the first entry: then the entries move once. */
static void set_capacity(struct index *ix, size_t cap)
{
    if (ix->loaded_memory == ix->loaded) {
        ix->loaded = mem_array(ix->loaded, cap, sizeof *ix->loaded);
    } else {
        struct index_entry *moved = mem_array(NULL, cap, sizeof *moved);
        memcpy(moved, ix->loaded, ix->count * sizeof *moved);
        free(ix->loaded_memory);
        ix->loaded = moved;
    }
    ix->loaded_memory = ix->loaded;
    ix->cap = cap;
}

struct index *index_adopt(void *memory, size_t offset_bytes, size_t count, const struct id *packs, uint32_t pack_count)
{
    struct index *ix = index_new();
    ix->loaded_memory = memory;
    ix->loaded = (struct index_entry *)(void *)((unsigned char *)memory + offset_bytes);
    ix->count = ix->cap = count;
    for (uint32_t i = 0; i < pack_count; i++)
        pack_number(ix, &packs[i]);
    index_seal(ix);
    return ix;
}

int index_load_pack(struct index *ix, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                    struct err *err)
{
    uint32_t pack = pack_number(ix, pack_id);
    if (pack == PACK_PENDING || count > UINT32_MAX - ix->count)
        return err_set(err, ERR_UNSUPPORTED, "the repository holds more blobs or packs than this program can count");
    if (ix->count + count > ix->cap) {
        set_capacity(ix, ix->count + count + ix->cap / 4);
    }
    for (size_t i = 0; i < count; i++)
        ix->loaded[ix->count++] = (struct index_entry){
            .id = blobs[i].id,
            .pack_and_type = pack | (blobs[i].type == BLOB_TREE ? TYPE_BIT : 0),
            .offset = blobs[i].offset,
            .length = blobs[i].length,
            .raw_length = blobs[i].raw_length,
        };
    return 0;
}

static size_t bucket_of(const struct id *id, unsigned bits)
{
    uint32_t first =
        (uint32_t)id->bytes[0] << 24 | (uint32_t)id->bytes[1] << 16 | (uint32_t)id->bytes[2] << 8 | id->bytes[3];
    return bits == 0 ? 0 : first >> (32 - bits);
}

static int compare_entries(const struct index_entry *a, const struct index_entry *b)
{
    int c = id_compare(&a->id, &b->id);
    if (c != 0)
        return c;
    if (index_entry_type(a) != index_entry_type(b))
        return index_entry_type(a) < index_entry_type(b) ? -1 : 1;
    if (a->pack_and_type != b->pack_and_type)
        return a->pack_and_type < b->pack_and_type ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Moves every entry into its bucket's range, in place: each is swapped to where it belongs until the one that belongs
 * here comes along. `next` is scratch of one counter a bucket. */
static void distribute(struct index *ix, uint32_t *next)
{
    size_t buckets = (size_t)1 << ix->bucket_bits;
    memcpy(next, ix->buckets, buckets * sizeof *next);
    for (size_t b = 0; b < buckets; b++) {
        while (next[b] < ix->buckets[b + 1]) {
            struct index_entry *e = &ix->loaded[next[b]];
            size_t home = bucket_of(&e->id, ix->bucket_bits);
            if (home == b) {
                next[b]++;
                continue;
            }
            struct index_entry *to = &ix->loaded[next[home]++];
            struct index_entry t = *to;
            *to = *e;
            *e = t;
        }
    }
}

static int compare_entries_void(const void *a, const void *b)
{
    return compare_entries(a, b);
}

/* Buckets hold few entries, unless somebody made IDs by other means than a hash. */
static void sort_bucket(struct index_entry *e, size_t n)
{
    if (n > 64) {
        qsort(e, n, sizeof *e, compare_entries_void);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct index_entry t = e[i];
        size_t j = i;
        for (; j > 0 && compare_entries(&e[j - 1], &t) > 0; j--)
            e[j] = e[j - 1];
        e[j] = t;
    }
}

/* Counts the entries of each bucket into buckets[] as running sums. */
static void count_buckets(struct index *ix)
{
    size_t buckets = (size_t)1 << ix->bucket_bits;
    memset(ix->buckets, 0, (buckets + 1) * sizeof *ix->buckets);
    for (size_t i = 0; i < ix->count; i++)
        ix->buckets[bucket_of(&ix->loaded[i].id, ix->bucket_bits) + 1]++;
    for (size_t b = 0; b < buckets; b++)
        ix->buckets[b + 1] += ix->buckets[b];
}

static void make_buckets(struct index *ix)
{
    ix->bucket_bits = 0;
    while (ix->bucket_bits < BUCKET_BITS_MAX && ((size_t)BUCKET_ENTRIES << ix->bucket_bits) < ix->count)
        ix->bucket_bits++;
    ix->buckets = mem_array(ix->buckets, ((size_t)1 << ix->bucket_bits) + 1, sizeof *ix->buckets);
    count_buckets(ix);
}

static bool is_sorted(const struct index *ix)
{
    for (size_t i = 1; i < ix->count; i++)
        if (compare_entries(&ix->loaded[i - 1], &ix->loaded[i]) >= 0)
            return false;
    return true;
}

static void remove_exact_duplicates(struct index *ix)
{
    size_t kept = 0;
    for (size_t i = 0; i < ix->count; i++)
        if (kept == 0 || compare_entries(&ix->loaded[kept - 1], &ix->loaded[i]) != 0)
            ix->loaded[kept++] = ix->loaded[i];
    ix->count = kept;
}

void index_seal(struct index *ix)
{
    make_buckets(ix);
    if (!is_sorted(ix)) {
        size_t buckets = (size_t)1 << ix->bucket_bits;
        uint32_t *next = mem_array(NULL, buckets, sizeof *next);
        distribute(ix, next);
        free(next);
        for (size_t b = 0; b < buckets; b++)
            sort_bucket(ix->loaded + ix->buckets[b], ix->buckets[b + 1] - ix->buckets[b]);
        remove_exact_duplicates(ix);
        make_buckets(ix);
    }
    if (ix->cap > ix->count) {
        set_capacity(ix, ix->count);
    }
    ix->sealed = true;
}

void index_unseal(struct index *ix)
{
    ix->sealed = false;
}

size_t index_count(const struct index *ix)
{
    return ix->count + atomic_load(&((struct index *)(uintptr_t)ix)->added);
}

size_t index_memory_bytes(const struct index *ix)
{
    size_t bytes = sizeof *ix + ix->cap * sizeof *ix->loaded + (((size_t)1 << ix->bucket_bits) + 1) * 4 +
                   ix->pack_cap * sizeof *ix->packs + ix->pack_slot_count * 4;
    for (unsigned i = 0; i < SHARDS; i++) {
        const struct shard *s = &ix->shards[i];
        bytes +=
            s->block_count * (SHARD_BLOCK_ENTRIES * sizeof(struct index_entry) + sizeof(void *)) + s->slot_count * 4;
    }
    return bytes;
}

size_t index_loaded_count(const struct index *ix)
{
    return ix->count;
}

const struct index_entry *index_loaded(const struct index *ix, size_t position)
{
    return &ix->loaded[position];
}

size_t index_position(const struct index *ix, enum blob_type type, const struct id *id)
{
    if (ix->count == 0)
        return SIZE_MAX;
    size_t b = bucket_of(id, ix->bucket_bits);
    size_t low = ix->buckets[b], high = ix->buckets[b + 1], end = high;
    while (low < high) { /* the first entry not below (id, type) */
        size_t middle = low + (high - low) / 2;
        const struct index_entry *e = &ix->loaded[middle];
        int c = id_compare(&e->id, id);
        if (c < 0 || (c == 0 && index_entry_type(e) < type))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == end || index_entry_type(&ix->loaded[low]) != type || !id_equal(&ix->loaded[low].id, id))
        return SIZE_MAX;
    return low;
}

/*
 * The added part.
 */

static struct shard *shard_of(const struct index *ix, const struct id *id)
{
    return &((struct index *)(uintptr_t)ix)->shards[id->bytes[0]];
}

static struct index_entry *shard_entry(const struct shard *s, uint32_t position)
{
    return &s->blocks[position / SHARD_BLOCK_ENTRIES][position % SHARD_BLOCK_ENTRIES];
}

/* The second eight bytes: the first byte chose the shard. */
static uint64_t shard_hash(const struct id *id)
{
    uint64_t h;
    memcpy(&h, id->bytes + 8, sizeof h);
    return h;
}

static struct index_entry *shard_find(const struct shard *s, enum blob_type type, const struct id *id)
{
    if (s->slot_count == 0)
        return NULL;
    uint32_t i = slot_of(shard_hash(id), s->slot_count);
    for (; s->slots[i] != 0; i = i + 1 == s->slot_count ? 0 : i + 1) {
        struct index_entry *e = shard_entry(s, s->slots[i] - 1);
        if (id_equal(&e->id, id) && index_entry_type(e) == type)
            return e;
    }
    return NULL;
}

static void shard_slot_insert(struct shard *s, uint32_t position)
{
    uint32_t i = slot_of(shard_hash(&shard_entry(s, position)->id), s->slot_count);
    while (s->slots[i] != 0)
        i = i + 1 == s->slot_count ? 0 : i + 1;
    s->slots[i] = position + 1;
}

static struct index_entry *shard_append(struct shard *s)
{
    if (s->count == s->block_count * SHARD_BLOCK_ENTRIES) {
        s->blocks = mem_array(s->blocks, s->block_count + 1, sizeof(struct index_entry *));
        s->blocks[s->block_count++] = mem_array(NULL, SHARD_BLOCK_ENTRIES, sizeof(struct index_entry));
    }
    return shard_entry(s, s->count++);
}

static void shard_insert(struct shard *s, enum blob_type type, const struct id *id)
{
    struct index_entry *e = shard_append(s);
    *e = (struct index_entry){.id = *id, .pack_and_type = PACK_PENDING | (type == BLOB_TREE ? TYPE_BIT : 0)};
    if ((uint64_t)s->count * 20 <= (uint64_t)s->slot_count * 17) { /* at most 85 % full */
        shard_slot_insert(s, s->count - 1);
        return;
    }
    free(s->slots);
    s->slot_count = s->slot_count == 0 ? 32 : s->slot_count + s->slot_count / 4;
    s->slots = mem_zalloc(s->slot_count * sizeof *s->slots);
    for (uint32_t i = 0; i < s->count; i++)
        shard_slot_insert(s, i);
}

bool index_find(const struct index *ix, enum blob_type type, const struct id *id, struct index_entry *out,
                struct id *pack_id_out)
{
    size_t position = index_position(ix, type, id);
    bool found = position != SIZE_MAX;
    if (found) {
        *out = ix->loaded[position];
    } else {
        struct shard *s = shard_of(ix, id);
        pthread_mutex_lock(&s->mutex);
        const struct index_entry *e = shard_find(s, type, id);
        found = e != NULL && index_entry_pack(e) != PACK_PENDING;
        if (found)
            *out = *e;
        pthread_mutex_unlock(&s->mutex);
    }
    if (found && pack_id_out != NULL) {
        pthread_mutex_t *m = &((struct index *)(uintptr_t)ix)->packs_mutex;
        pthread_mutex_lock(m);
        *pack_id_out = ix->packs[index_entry_pack(out)];
        pthread_mutex_unlock(m);
    }
    return found;
}

bool index_known(const struct index *ix, enum blob_type type, const struct id *id)
{
    if (index_position(ix, type, id) != SIZE_MAX)
        return true;
    struct shard *s = shard_of(ix, id);
    pthread_mutex_lock(&s->mutex);
    bool known = shard_find(s, type, id) != NULL;
    pthread_mutex_unlock(&s->mutex);
    return known;
}

bool index_claim(struct index *ix, enum blob_type type, const struct id *id)
{
    if (index_position(ix, type, id) != SIZE_MAX)
        return false;
    struct shard *s = shard_of(ix, id);
    pthread_mutex_lock(&s->mutex);
    bool is_new = shard_find(s, type, id) == NULL;
    if (is_new)
        shard_insert(s, type, id);
    pthread_mutex_unlock(&s->mutex);
    return is_new;
}

void index_place(struct index *ix, const struct id *pack_id, const struct pack_blob *blobs, size_t count)
{
    uint32_t pack = pack_number(ix, pack_id);
    for (size_t i = 0; i < count; i++) {
        struct shard *s = shard_of(ix, &blobs[i].id);
        pthread_mutex_lock(&s->mutex);
        struct index_entry *e = shard_find(s, blobs[i].type, &blobs[i].id);
        if (e != NULL) {
            if (index_entry_pack(e) == PACK_PENDING)
                atomic_fetch_add(&ix->added, 1);
            e->pack_and_type = (e->pack_and_type & TYPE_BIT) | pack;
            e->offset = blobs[i].offset;
            e->length = blobs[i].length;
            e->raw_length = blobs[i].raw_length;
        }
        pthread_mutex_unlock(&s->mutex);
    }
}
