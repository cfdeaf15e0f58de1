#include "engine/prune_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/prune_copies.h"
#include "engine/size_text.h"

int prune_limit_parse(const char *text, struct prune_limit *out, struct err *err)
{
    char *end;
    *out = (struct prune_limit){.kind = PRUNE_LIMIT_NONE};
    if (strcmp(text, "unlimited") == 0)
        return 0;
    if (*text >= '0' && *text <= '9' && strchr(text, '%') != NULL) {
        out->kind = PRUNE_LIMIT_PERCENT;
        out->percent = strtod(text, &end);
        if (strcmp(end, "%") == 0 && out->percent >= 0 && out->percent <= 100)
            return 0;
    }
    out->kind = PRUNE_LIMIT_BYTES;
    if (size_text_parse(text, &out->bytes) == 0)
        return 0;
    return err_set(err, ERR_USAGE, "'%s' is no limit: give a share like 5%%, a size like 200M, or 'unlimited'", text);
}

/*
 * Taking stock.
 */

static void stock_packs(struct prune_plan *plan, const struct stored_files *files, struct bits *named)
{
    const struct index *ix = plan->repo->index;
    for (uint32_t p = 0; p < plan->pack_count; p++) {
        struct plan_pack *pack = &plan->packs[p];
        pack->id = *index_pack_id(ix, p);
        const struct stored_file *file = stored_files_find(files, &pack->id);
        if (file == NULL)
            continue;
        bits_set(named, (size_t)(file - files->items));
        pack->bytes = file->bytes;
        pack->sound = file->bytes == pack_blobs_expected_bytes(&plan->blobs, ix, p);
    }
}

static void stock_unreferenced(struct prune_plan *plan, const struct stored_files *files, const struct bits *named,
                               struct prune_result *result)
{
    plan->unreferenced = mem_array(NULL, files->count + 1, sizeof *plan->unreferenced);
    for (size_t i = 0; i < files->count; i++) {
        if (bits_get(named, i))
            continue;
        plan->unreferenced[plan->unreferenced_count++] = files->items[i];
        result->unreferenced_bytes += files->items[i].bytes;
    }
    result->unreferenced_packs = plan->unreferenced_count;
}

/* Whether any copy of the blob at this position is needed, that is, whether this one is superfluous and not unused. */
static bool needed_elsewhere(const struct prune_plan *plan, size_t position)
{
    const struct index *ix = plan->repo->index;
    const struct index_entry *e = index_loaded(ix, position);
    for (size_t i = index_position(ix, index_entry_type(e), &e->id); i < index_loaded_count(ix); i++) {
        const struct index_entry *other = index_loaded(ix, i);
        if (index_entry_type(other) != index_entry_type(e) || !id_equal(&other->id, &e->id))
            break;
        if (bits_get(plan->used, i))
            return true;
    }
    return false;
}

static void stock_blobs(struct prune_plan *plan, struct prune_result *r)
{
    const struct index *ix = plan->repo->index;
    for (size_t i = 0; i < index_loaded_count(ix); i++) {
        const struct index_entry *e = index_loaded(ix, i);
        struct plan_pack *pack = &plan->packs[index_entry_pack(e)];
        uint64_t bytes = (uint64_t)e->length + (e->raw_length > 0 ? PACK_ENTRY_COMPRESSED_BYTES : PACK_ENTRY_BYTES);
        *(index_entry_type(e) == BLOB_TREE ? &pack->has_tree : &pack->has_data) = true;
        pack->has_plain |= e->raw_length == 0;
        if (bits_get(plan->used, i)) {
            pack->used++;
            pack->used_bytes += bytes;
            r->used_blobs++;
            r->used_bytes += bytes;
            continue;
        }
        pack->unused++;
        pack->unused_bytes += bytes;
        bool duplicate = needed_elsewhere(plan, i);
        *(duplicate ? &r->duplicate_blobs : &r->unused_blobs) += 1;
        *(duplicate ? &r->duplicate_bytes : &r->unused_bytes) += bytes;
    }
}

/*
 * Deciding.
 */

struct decision {
    struct prune_plan *plan;
    struct prune_result *result;
    uint64_t unused_left, repack_bytes;
    size_t small[2]; /* packs of data, of trees that would be repacked only for being small */
};

static bool is_small(const struct prune_plan *plan, const struct plan_pack *pack)
{
    uint32_t target = plan->repo->options.pack_target_bytes;
    if (target == 0)
        target = REPO_PACK_TARGET_BYTES;
    return pack->bytes < (uint64_t)target / 5 * 4;
}

/* Whether it must be repacked however little that saves: mixed packs and trees (readers want those dense), and what was
 * asked for. */
static bool is_urgent(const struct decision *d, const struct plan_pack *pack)
{
    const struct prune_options *o = d->plan->options;
    if (pack->has_tree && (pack->has_data || pack->unused > 0))
        return true;
    if (o->repack_uncompressed && pack->has_plain && d->plan->repo->config.version >= 2)
        return true;
    return o->repack_small && is_small(d->plan, pack) && d->small[pack->has_tree] > 1;
}

static bool may_repack(const struct decision *d, const struct plan_pack *pack)
{
    if (pack->fate != PRUNE_KEEP || (d->plan->options->repack_cacheable_only && pack->has_data))
        return false;
    return pack->unused > 0 || is_urgent(d, pack);
}

static void mark_dead(struct decision *d)
{
    for (size_t p = 0; p < d->plan->pack_count; p++) {
        struct plan_pack *pack = &d->plan->packs[p];
        if (pack->used > 0) {
            d->small[pack->has_tree] += is_small(d->plan, pack);
            d->unused_left += pack->unused_bytes;
            continue;
        }
        pack->fate = PRUNE_DELETE;
        d->result->delete_packs++;
        d->result->delete_blobs += pack->unused;
        d->result->delete_bytes += pack->bytes;
        d->result->missing_packs += pack->bytes == 0;
    }
}

struct candidate {
    uint32_t pack;
    bool urgent;
    double waste;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->urgent != y->urgent)
        return x->urgent ? -1 : 1;
    if (x->waste > y->waste || x->waste < y->waste)
        return x->waste > y->waste ? -1 : 1;
    return x->pack < y->pack ? -1 : x->pack > y->pack;
}

static size_t find_candidates(const struct decision *d, struct candidate **out)
{
    size_t count = 0;
    *out = mem_array(NULL, d->plan->pack_count + 1, sizeof **out);
    for (uint32_t p = 0; p < d->plan->pack_count; p++) {
        const struct plan_pack *pack = &d->plan->packs[p];
        if (may_repack(d, pack))
            (*out)[count++] = (struct candidate){.pack = p,
                                                 .urgent = is_urgent(d, pack),
                                                 .waste = (double)pack->unused_bytes / (double)pack->used_bytes};
    }
    if (count > 0)
        qsort(*out, count, sizeof **out, compare_candidates);
    return count;
}

static uint64_t allowed_unused(const struct prune_limit *limit, uint64_t used_bytes)
{
    if (limit->kind == PRUNE_LIMIT_NONE || (limit->kind == PRUNE_LIMIT_PERCENT && limit->percent >= 100))
        return UINT64_MAX;
    if (limit->kind == PRUNE_LIMIT_BYTES)
        return limit->bytes;
    return (uint64_t)((double)used_bytes * limit->percent / (100 - limit->percent));
}

static void mark_repack(struct decision *d, struct plan_pack *pack)
{
    pack->fate = PRUNE_REPACK;
    d->plan->repack[d->plan->repack_count++] = (uint32_t)(pack - d->plan->packs);
    d->repack_bytes += pack->used_bytes + pack->unused_bytes;
    d->unused_left -= pack->unused_bytes;
    d->result->repack_packs++;
    d->result->repack_blobs += pack->used;
    d->result->repack_bytes += pack->used_bytes;
    d->result->repack_drop_blobs += pack->unused;
    d->result->repack_drop_bytes += pack->unused_bytes;
}

static void decide(struct prune_plan *plan, struct prune_result *result)
{
    struct decision d = {.plan = plan, .result = result};
    struct candidate *candidates;
    mark_dead(&d);
    size_t count = find_candidates(&d, &candidates);
    uint64_t allowed = allowed_unused(&plan->options->max_unused, result->used_bytes);
    plan->repack = mem_array(NULL, count + 1, sizeof *plan->repack);
    for (size_t i = 0; i < count; i++) {
        struct plan_pack *pack = &plan->packs[candidates[i].pack];
        uint64_t bytes = pack->used_bytes + pack->unused_bytes;
        if (bytes > plan->options->max_repack_bytes || d.repack_bytes > plan->options->max_repack_bytes - bytes)
            continue;
        if (candidates[i].urgent || d.unused_left > allowed)
            mark_repack(&d, pack);
    }
    free(candidates);
    result->keep_packs = plan->pack_count - result->delete_packs - result->repack_packs;
    result->remaining_unused_bytes = d.unused_left;
}

int prune_plan_make(struct prune_plan *plan, struct repo *r, struct lock *lock, const struct prune_options *options,
                    const struct stored_files *files, struct bits *used, const struct prune_reporter *reporter,
                    struct prune_result *result, struct err *err)
{
    struct bits named;
    *plan = (struct prune_plan){.repo = r, .options = options, .used = used, .pack_count = index_pack_count(r->index)};
    if (pack_blobs_build(&plan->blobs, r->index, err) != 0)
        return -1;
    plan->packs = mem_zalloc((plan->pack_count + 1) * sizeof *plan->packs);
    bits_init(&named, files->count);
    stock_packs(plan, files, &named);
    stock_unreferenced(plan, files, &named, result);
    bits_release(&named);
    result->packs_before = files->count;
    result->bytes_before = files->bytes;
    if (prune_choose_copies(plan, lock, reporter, result, err) != 0)
        return -1;
    stock_blobs(plan, result);
    decide(plan, result);
    return 0;
}

void prune_plan_release(struct prune_plan *plan)
{
    pack_blobs_release(&plan->blobs);
    free(plan->packs);
    free(plan->repack);
    free(plan->unreferenced);
    *plan = (struct prune_plan){0};
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

size_t prune_plan_files(const struct prune_plan *plan, enum prune_fate fate, struct stored_file **out)
{
    size_t count = 0;
    *out = mem_array(NULL, plan->pack_count + 1, sizeof **out);
    for (size_t p = 0; p < plan->pack_count; p++)
        if (plan->packs[p].fate == fate)
            (*out)[count++] = (struct stored_file){.id = plan->packs[p].id, .bytes = plan->packs[p].bytes};
    if (count > 0)
        qsort(*out, count, sizeof **out, compare_ids);
    return count;
}
