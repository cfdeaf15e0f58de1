#include "engine/problems.h"

#include <stdarg.h>
#include <stdio.h>

const char *check_kind_name(enum check_kind kind)
{
    static const char *const NAMES[] = {
        [CHECK_INDEX_FILE] = "index file",
        [CHECK_SNAPSHOT] = "snapshot",
        [CHECK_PACK_MISSING] = "pack missing",
        [CHECK_PACK_SIZE] = "pack size",
        [CHECK_PACK] = "pack",
        [CHECK_PACK_INDEX] = "pack differs from index",
        [CHECK_BLOB] = "blob",
        [CHECK_BLOB_MISSING] = "blob missing",
        [CHECK_TREE] = "tree",
        [CHECK_UNUSED_BLOB] = "unused blob",
        [CHECK_UNUSED_PACK] = "unused pack",
        [CHECK_DUPLICATE] = "duplicate blobs",
    };
    return NAMES[kind];
}

void problems_init(struct problems *p, struct repo *r, const struct check_reporter *reporter)
{
    *p = (struct problems){.repo = r, .reporter = reporter};
}

void problems_index_loaded(struct problems *p)
{
    bits_init(&p->bad, index_loaded_count(p->repo->index));
}

void problems_release(struct problems *p)
{
    bits_release(&p->bad);
    id_map_release(&p->missing);
}

static void note_what_helps(struct problems *p, enum check_kind kind)
{
    switch (kind) {
    case CHECK_INDEX_FILE:
    case CHECK_PACK_MISSING:
    case CHECK_PACK_SIZE:
    case CHECK_PACK_INDEX:
    case CHECK_BLOB_MISSING:
        p->repair_index = true;
        break;
    case CHECK_UNUSED_BLOB:
    case CHECK_UNUSED_PACK:
    case CHECK_DUPLICATE:
        p->prune = true;
        break;
    default:
        break;
    }
}

void problem_add(struct problems *p, enum check_kind kind, const struct id *id, const char *format, ...)
{
    char message[ERR_MESSAGE_BYTES + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    note_what_helps(p, kind);
    if (check_kind_is_error(kind) && p->errors++ == 0)
        snprintf(p->first, sizeof p->first, "%.*s", (int)sizeof p->first - 1, message);
    struct check_problem problem = {.kind = kind, .id = id, .message = message};
    if (p->reporter != NULL && p->reporter->problem != NULL)
        p->reporter->problem(p->reporter->ctx, &problem);
}

void problem_pack_missing(struct problems *p, const struct pack_blobs *blobs, uint32_t pack)
{
    const struct id *id = index_pack_id(p->repo->index, pack);
    char hex[ID_HEX_BYTES];
    for (uint32_t i = blobs->begin[pack]; i < blobs->begin[pack + 1]; i++)
        bits_set(&p->bad, blobs->positions[i]);
    problem_add(p, CHECK_PACK_MISSING, id, "pack %s, which the index names, is not there", id_to_hex(id, hex));
}

void problem_pack_size(struct problems *p, uint32_t pack, uint64_t bytes, uint64_t expected)
{
    const struct id *id = index_pack_id(p->repo->index, pack);
    char hex[ID_HEX_BYTES];
    problem_add(p, CHECK_PACK_SIZE, id, "pack %s has %llu bytes; by the index it must have %llu", id_to_hex(id, hex),
                (unsigned long long)bytes, (unsigned long long)expected);
}

/*
 * From walks.
 */

static void bad_tree(void *ctx, const struct id *tree, const struct err *why)
{
    struct problems *p = ctx;
    char hex[ID_HEX_BYTES];
    /* With its pack reported as missing there is nothing to add. */
    if (!damage_blob_lost(p->repo->index, &p->bad, BLOB_TREE, tree))
        problem_add(p, CHECK_TREE, tree, "tree %s: %s", id_to_hex(tree, hex), why->message);
}

static void missing_blob(void *ctx, enum blob_type type, const struct id *blob, const struct id *tree)
{
    struct problems *p = ctx;
    char hex[ID_HEX_BYTES], tree_hex[ID_HEX_BYTES];
    if (!id_map_put(&p->missing, blob, 0))
        return;
    if (tree == NULL)
        problem_add(p, CHECK_BLOB_MISSING, blob, "the tree of a snapshot, %s, is in no index", id_to_hex(blob, hex));
    else
        problem_add(p, CHECK_BLOB_MISSING, blob, "%s blob %s, which tree %.8s needs, is in no index",
                    blob_type_name(type), id_to_hex(blob, hex), id_to_hex(tree, tree_hex));
}

struct usage_reporter problems_usage_reporter(struct problems *p)
{
    return (struct usage_reporter){.ctx = p, .bad_tree = bad_tree, .missing = missing_blob};
}

/*
 * From reading.
 */

static void bad_pack(void *ctx, uint32_t pack, bool index_differs, const char *what)
{
    struct problems *p = ctx;
    const struct id *id = index_pack_id(p->repo->index, pack);
    char hex[ID_HEX_BYTES];
    problem_add(p, index_differs ? CHECK_PACK_INDEX : CHECK_PACK, id, "pack %s: %s", id_to_hex(id, hex), what);
}

static void bad_blob(void *ctx, size_t position, const struct err *why)
{
    struct problems *p = ctx;
    const struct index_entry *e = index_loaded(p->repo->index, position);
    char hex[ID_HEX_BYTES];
    problem_add(p, CHECK_BLOB, &e->id, "pack %s: %s",
                id_to_hex(index_pack_id(p->repo->index, index_entry_pack(e)), hex), why->message);
}

struct verify_reporter problems_verify_reporter(struct problems *p)
{
    return (struct verify_reporter){.ctx = p, .pack = bad_pack, .blob = bad_blob};
}

/*
 * What it means for the snapshots.
 */

static void damaged_path(void *ctx, const struct damage *d)
{
    struct problems *p = ctx;
    p->damaged_paths++;
    p->repair_snapshots = true;
    if (p->reporter != NULL && p->reporter->damage != NULL)
        p->reporter->damage(p->reporter->ctx, d);
}

int problems_find_damage(struct problems *p, struct lock *lock, const struct snapshot_list *snapshots, struct err *err)
{
    return p->errors == 0 ? 0 : damage_find(p->repo, lock, snapshots, &p->bad, damaged_path, p, err);
}
