/*
 * Directories are left in the order in which they end: when one is left, the nodes of its subdirectories already name
 * their new trees. A changed node is its old JSON with one or two members replaced (engine/node_patch.h).
 */
#include "engine/salvage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/cipher.h"
#include "crypto/sha256.h"
#include "engine/damage.h"
#include "engine/id_map.h"
#include "engine/node_patch.h"
#include "engine/parallel.h"
#include "engine/tree_stack.h"

struct salvage {
    struct repo *repo;
    struct lock *lock;
    const struct bits *bad;
    struct writer *writer;
    bool dry_run;
    const struct repair_snapshots_reporter *reporter;
    struct codec *codec;
    struct sha256 *hash;
    struct bits intact;     /* trees (by position in the index) below which nothing is lost */
    struct id_map restored; /* lost trees that were stored once more */
    struct tree_stack stack;
    struct buf text, patch;
    struct repaired_snapshot *snapshot;
    struct id root;
};

struct salvage *salvage_new(struct repo *r, struct lock *lock, const struct bits *bad, struct writer *w, bool dry_run,
                            const struct repair_snapshots_reporter *reporter, struct err *err)
{
    struct salvage *s = mem_zalloc(sizeof *s);
    *s = (struct salvage){.repo = r,
                          .lock = lock,
                          .bad = bad,
                          .writer = w,
                          .dry_run = dry_run,
                          .reporter = reporter,
                          .hash = sha256_new()};
    bits_init(&s->intact, index_loaded_count(r->index));
    tree_stack_init(&s->stack);
    buf_init(&s->text, TREE_MAX_BYTES);
    buf_init(&s->patch, TREE_MAX_BYTES);
    s->codec = codec_new(r, err);
    if (s->codec == NULL) {
        salvage_free(s);
        return NULL;
    }
    return s;
}

void salvage_free(struct salvage *s)
{
    if (s == NULL)
        return;
    tree_stack_release(&s->stack);
    bits_release(&s->intact);
    id_map_release(&s->restored);
    buf_release(&s->text);
    buf_release(&s->patch);
    sha256_free(s->hash);
    codec_free(s->codec);
    free(s);
}

static bool is_lost(const struct salvage *s, enum blob_type type, const struct id *id)
{
    return damage_blob_lost(s->repo->index, s->bad, type, id);
}

static void report_path(struct salvage *s, const char *path, bool is_dir, size_t lost, size_t parts)
{
    *(is_dir ? &s->snapshot->dirs : &s->snapshot->files) += 1;
    if (s->reporter != NULL && s->reporter->path != NULL)
        s->reporter->path(s->reporter->ctx, s->snapshot->snapshot, path, is_dir, lost, parts);
}

/*
 * Storing trees.
 */

/* The writer takes what the index knows for stored. A tree that is known and lost (the empty one is a likely case) is
 * stored past it. */
static int store_lost_tree(struct salvage *s, const struct id *id, struct err *err)
{
    struct pack_blob blob = {.id = *id, .type = BLOB_TREE};
    const unsigned char *sealed;
    if (s->dry_run || !id_map_put(&s->restored, id, 0))
        return 0;
    if (repo_seal_blob(s->codec, s->text.data, s->text.len, false, &blob, &sealed, err) != 0)
        return -1;
    return writer_sealed(s->writer, &blob, sealed, err);
}

/* Stores the tree in s->text. */
static int store_tree(struct salvage *s, struct id *id_out, struct err *err)
{
    if (s->text.overflow)
        return err_set(err, ERR_UNSUPPORTED, "a tree is too large");
    sha256_once(s->hash, s->text.data, s->text.len, id_out);
    if (index_position(s->repo->index, BLOB_TREE, id_out) != SIZE_MAX && is_lost(s, BLOB_TREE, id_out))
        return store_lost_tree(s, id_out, err);
    return writer_blob(s->writer, s->codec, BLOB_TREE, s->text.data, s->text.len, id_out, NULL, err);
}

static int store_empty_tree(struct salvage *s, struct id *id_out, struct err *err)
{
    buf_clear(&s->text);
    tree_encode_begin(&s->text);
    tree_encode_end(&s->text);
    return store_tree(s, id_out, err);
}

static int store_frame(struct salvage *s, const struct tree_frame *f, struct id *id_out, struct err *err)
{
    buf_clear(&s->text);
    tree_encode_begin(&s->text);
    for (size_t i = 0; i < f->tree.count; i++)
        tree_encode_node(&s->text, &f->tree.nodes[i], i == 0);
    tree_encode_end(&s->text);
    return store_tree(s, id_out, err);
}

/*
 * Changing nodes.
 */

/* Replaces one member of a node's JSON; the new text lives as long as the tree. */
static int replace(struct salvage *s, struct tree_frame *f, struct node *node, const char *key, const char *value,
                   struct err *err)
{
    buf_clear(&s->patch);
    if (node_patch(node->raw, node->raw_len, key, value, &s->patch) != 0 || s->patch.overflow)
        return err_set(err, ERR_CORRUPT, "cannot change the node of '%s'", node->name);
    node->raw = arena_copy(&f->tree.arena, s->patch.data, s->patch.len);
    node->raw_len = s->patch.len;
    f->touched = true;
    return 0;
}

static int set_subtree(struct salvage *s, struct tree_frame *f, struct node *node, const struct id *tree,
                       struct err *err)
{
    char value[ID_HEX_BYTES + 2], hex[ID_HEX_BYTES];
    snprintf(value, sizeof value, "\"%s\"", id_to_hex(tree, hex));
    return replace(s, f, node, "subtree", value, err);
}

/* A directory whose tree is lost becomes an empty one. */
static int empty_dir(struct salvage *s, struct node *node, struct err *err)
{
    struct id empty;
    report_path(s, tree_stack_path(&s->stack, node->name, node->name_len), true, 1, 1);
    if (store_empty_tree(s, &empty, err) != 0)
        return -1;
    return set_subtree(s, tree_stack_top(&s->stack), node, &empty, err);
}

static uint64_t blob_bytes(const struct salvage *s, const struct id *id)
{
    const struct index_entry *e = index_loaded(s->repo->index, index_position(s->repo->index, BLOB_DATA, id));
    return e->raw_length > 0 ? e->raw_length : e->length - CIPHER_OVERHEAD_BYTES;
}

/* Keeps the blobs that are there; the size becomes theirs. */
static int mend_file(struct salvage *s, struct node *node, struct err *err)
{
    uint64_t bytes = 0;
    size_t kept = 0;
    char hex[ID_HEX_BYTES], size[24];
    buf_clear(&s->text);
    buf_append_byte(&s->text, '[');
    for (size_t i = 0; i < node->content_count; i++) {
        const struct id *id = &node->content[i];
        if (is_lost(s, BLOB_DATA, id))
            continue;
        buf_printf(&s->text, "%s\"%s\"", kept++ > 0 ? "," : "", id_to_hex(id, hex));
        bytes += blob_bytes(s, id);
    }
    buf_append_byte(&s->text, ']');
    if (kept == node->content_count)
        return 0;
    report_path(s, tree_stack_path(&s->stack, node->name, node->name_len), false, node->content_count - kept,
                node->content_count);
    snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
    struct tree_frame *f = tree_stack_top(&s->stack);
    return replace(s, f, node, "content", buf_cstr(&s->text), err) != 0 ? -1 : replace(s, f, node, "size", size, err);
}

/*
 * The walk.
 */

static bool is_intact(const struct salvage *s, const struct id *tree)
{
    size_t position = index_position(s->repo->index, BLOB_TREE, tree);
    return position != SIZE_MAX && bits_get(&s->intact, position);
}

static int visit_node(struct salvage *s, struct node *node, struct err *err)
{
    if (node->content_count > 0)
        return mend_file(s, node, err);
    if (node->type != NODE_DIR || (node->has_subtree && is_intact(s, &node->subtree)))
        return 0;
    if (!node->has_subtree || is_lost(s, BLOB_TREE, &node->subtree) ||
        tree_stack_push(&s->stack, s->repo, s->codec, &node->subtree, node->name, node->name_len, NULL) != 0)
        return empty_dir(s, node, err);
    return 0;
}

/* The open directory is done: its new tree, if it has one, goes into its parent's node, which is the one before `next`.
 */
static int leave(struct salvage *s, struct err *err)
{
    struct tree_frame *f = tree_stack_top(&s->stack);
    bool touched = f->touched;
    struct id tree = f->id;
    if (touched && store_frame(s, f, &tree, err) != 0)
        return -1;
    if (!touched)
        bits_set(&s->intact, index_position(s->repo->index, BLOB_TREE, &f->id));
    tree_stack_pop(&s->stack);
    if (s->stack.depth == 0) {
        s->root = tree;
        s->snapshot->changed = touched;
        return 0;
    }
    struct tree_frame *parent = tree_stack_top(&s->stack);
    return touched ? set_subtree(s, parent, &parent->tree.nodes[parent->next - 1], &tree, err) : 0;
}

int salvage_snapshot(struct salvage *s, struct repaired_snapshot *out, struct id *root_out, struct err *err)
{
    const struct id *root = &out->snapshot->tree;
    s->snapshot = out;
    if (is_intact(s, root))
        return 0;
    if (is_lost(s, BLOB_TREE, root) || tree_stack_push(&s->stack, s->repo, s->codec, root, "", 0, NULL) != 0) {
        out->changed = out->lost = true;
        report_path(s, "/", true, 1, 1);
        return 0;
    }
    while (s->stack.depth > 0) {
        struct tree_frame *f = tree_stack_top(&s->stack);
        if (engine_check_stop(s->lock, err) != 0)
            return -1;
        int rc = f->next < f->tree.count ? visit_node(s, &f->tree.nodes[f->next++], err) : leave(s, err);
        if (rc != 0)
            return -1;
    }
    *root_out = s->root;
    return 0;
}
