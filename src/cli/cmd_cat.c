/* Showing what is stored: one object, decrypted, as it is. */
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/snapshot_text.h"

enum { PACK_MAX_BYTES = 1 << 30, SMALL_FILE_MAX_BYTES = 16 << 20 };

struct cat_options {
    struct cli_snapshot_filter filter;
};

static const struct option OPTIONS[] = {CLI_SNAPSHOT_FILTER_OPTIONS(struct cat_options, filter), OPTION_END};

struct cat {
    struct cli *cli;
    struct repo *repo;
    struct codec *codec;
    const struct cat_options *options;
    struct buf out;
};

/* --- the kinds --- */

/* JSON made readable; what is no JSON stays as it is. */
static void indent_json(struct buf *text)
{
    json_t *document = json_loadb(buf_cstr(text), text->len, JSON_DECODE_ANY, NULL);
    if (document == NULL)
        return;
    char *pretty = json_dumps(document, JSON_INDENT(2) | JSON_ENCODE_ANY);
    json_decref(document);
    if (pretty == NULL)
        return;
    buf_clear(text);
    buf_append_str(text, pretty);
    buf_append_byte(text, '\n');
    free(pretty);
}

/* The configuration is encrypted, never compressed. */
static int cat_config(struct cat *c, const char *arg, struct err *err)
{
    (void)arg;
    struct buf sealed;
    buf_init(&sealed, SMALL_FILE_MAX_BYTES);
    struct cipher *cipher = cipher_new(&c->repo->key, err);
    int rc = cipher == NULL ? -1 : store_read_all(c->repo->store, STORE_CONFIG, "", &sealed, err);
    if (rc == 0) {
        unsigned char *plain = buf_reserve(&c->out, sealed.len);
        rc = cipher_open(cipher, sealed.data, sealed.len, plain, err);
        if (rc == 0)
            c->out.len += sealed.len - CIPHER_OVERHEAD_BYTES;
    }
    cipher_free(cipher);
    buf_release(&sealed);
    if (rc == 0)
        indent_json(&c->out);
    return rc;
}

static int cat_unpacked(struct cat *c, enum store_type type, const char *arg, struct err *err)
{
    struct id id;
    if (repo_find_id(c->repo, type, arg, &id, err) < 0 ||
        repo_load_unpacked(c->repo, c->codec, type, &id, &c->out, err) < 0)
        return -1;
    indent_json(&c->out);
    return 0;
}

static int cat_index(struct cat *c, const char *arg, struct err *err)
{
    return cat_unpacked(c, STORE_INDEX, arg, err);
}

static int cat_lock(struct cat *c, const char *arg, struct err *err)
{
    return cat_unpacked(c, STORE_LOCK, arg, err);
}

static int cat_snapshot(struct cat *c, const char *arg, struct err *err)
{
    struct snapshot s;
    if (cli_find_snapshot(c->cli, c->repo, arg, &c->options->filter, &s, NULL, err) < 0)
        return -1;
    int rc = repo_load_unpacked(c->repo, c->codec, STORE_SNAPSHOT, &s.id, &c->out, err);
    snapshot_release(&s);
    if (rc == 0)
        indent_json(&c->out);
    return rc;
}

/* A key file is plain JSON. */
static int cat_key(struct cat *c, const char *arg, struct err *err)
{
    struct id id;
    char hex[ID_HEX_BYTES];
    if (repo_find_id(c->repo, STORE_KEY, arg, &id, err) < 0 ||
        store_read_all(c->repo->store, STORE_KEY, id_to_hex(&id, hex), &c->out, err) < 0)
        return -1;
    indent_json(&c->out);
    return 0;
}

static int cat_masterkey(struct cat *c, const char *arg, struct err *err)
{
    (void)arg;
    (void)err;
    const struct cipher_key *key = &c->repo->key;
    buf_append_str(&c->out, "{\n  \"mac\": {\n    \"k\": \"");
    base64_encode(key->mac_k, sizeof key->mac_k, &c->out);
    buf_append_str(&c->out, "\",\n    \"r\": \"");
    base64_encode(key->mac_r, sizeof key->mac_r, &c->out);
    buf_append_str(&c->out, "\"\n  },\n  \"encrypt\": \"");
    base64_encode(key->encrypt, sizeof key->encrypt, &c->out);
    buf_append_str(&c->out, "\"\n}\n");
    return 0;
}

static int cat_pack(struct cat *c, const char *arg, struct err *err)
{
    struct id id;
    char hex[ID_HEX_BYTES];
    if (repo_find_id(c->repo, STORE_PACK, arg, &id, err) < 0)
        return -1;
    return store_read_all(c->repo->store, STORE_PACK, id_to_hex(&id, hex), &c->out, err);
}

static int cat_blob(struct cat *c, const char *arg, struct err *err)
{
    struct id id;
    if (id_from_hex(arg, strlen(arg), &id) < 0)
        return err_set(err, ERR_USAGE, "'%s' is no blob ID: it must be 64 digits of 0-9 and a-f", arg);
    for (int type = BLOB_DATA; type <= BLOB_TREE; type++)
        if (index_known(c->repo->index, (enum blob_type)type, &id))
            return repo_load_blob(c->repo, c->codec, (enum blob_type)type, &id, &c->out, err);
    return err_set(err, ERR_NOT_FOUND, "there is no blob '%s'", arg);
}

/* One step down: the subtree of the directory with that name. */
static int descend(struct cat *c, struct id *tree_id, const char *name, size_t len, struct err *err)
{
    struct buf json;
    struct tree tree;
    buf_init(&json, TREE_MAX_BYTES);
    int rc = repo_load_tree(c->repo, c->codec, tree_id, &json, &tree, err);
    if (rc == 0) {
        const struct node *node = tree_find(&tree, name, len);
        if (node == NULL)
            rc = err_set(err, ERR_NOT_FOUND, "there is no '%.*s' in it", (int)len, name);
        else if (!node->has_subtree)
            rc = err_set(err, ERR_USAGE, "'%.*s' is no directory", (int)len, name);
        else
            *tree_id = node->subtree;
        tree_release(&tree);
    }
    buf_release(&json);
    return rc;
}

static int cat_tree(struct cat *c, const char *arg, struct err *err)
{
    struct snapshot s;
    const char *path;
    if (cli_find_snapshot(c->cli, c->repo, arg, &c->options->filter, &s, &path, err) < 0)
        return -1;
    struct id id = s.tree;
    snapshot_release(&s);
    int rc = 0;
    while (rc == 0 && path != NULL && *path != '\0') {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len > 0)
            rc = descend(c, &id, path, len, err);
        path += len;
    }
    return rc < 0 ? -1 : repo_load_blob(c->repo, c->codec, BLOB_TREE, &id, &c->out, err);
}

/* --- the command --- */

static const struct kind {
    const char *name;
    bool needs_argument, needs_index;
    int (*cat)(struct cat *c, const char *arg, struct err *err);
} KINDS[] = {
    {"config", false, false, cat_config},
    {"snapshot", true, false, cat_snapshot},
    {"tree", true, true, cat_tree},
    {"blob", true, true, cat_blob},
    {"pack", true, false, cat_pack},
    {"index", true, false, cat_index},
    {"key", true, false, cat_key},
    {"lock", true, false, cat_lock},
    {"masterkey", false, false, cat_masterkey},
};

static const struct kind *find_kind(int argc, char **argv, struct err *err)
{
    const struct kind *kind = NULL;
    for (size_t i = 0; argc > 0 && i < sizeof KINDS / sizeof *KINDS; i++)
        if (strcmp(KINDS[i].name, argv[0]) == 0)
            kind = &KINDS[i];
    if (kind == NULL)
        err_set(err, ERR_USAGE, "'cat' needs one of config, snapshot, tree, blob, pack, index, key, lock, masterkey");
    else if (argc != (kind->needs_argument ? 2 : 1)) {
        err_set(err, ERR_USAGE, kind->needs_argument ? "'cat %s' needs one ID" : "'cat %s' takes no ID", kind->name);
        kind = NULL;
    }
    return kind;
}

static int cat(struct cat *c, const struct kind *kind, const char *arg, struct err *err)
{
    c->codec = codec_new(c->repo, err);
    if (c->codec == NULL)
        return -1;
    buf_init(&c->out, PACK_MAX_BYTES);
    int rc = kind->cat(c, arg, err);
    if (rc == 0 &&
        fwrite(c->out.len > 0 ? c->out.data : (const unsigned char *)"", 1, c->out.len, stdout) != c->out.len)
        rc = err_set(err, ERR_IO, "cannot write the output");
    if (c->out.data != NULL)
        mem_wipe(c->out.data, c->out.len); /* it may have been a key */
    buf_release(&c->out);
    codec_free(c->codec);
    return rc;
}

static int run_cat(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct lock *lock;
    struct cat c = {.cli = cli, .options = options};
    const struct kind *kind = find_kind(argc, argv, &err);
    if (kind == NULL || cli_open_locked(cli, CLI_LOCK_SHARED, kind->needs_index, &c.repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = cat(&c, kind, kind->needs_argument ? argv[1] : NULL, &err);
    lock_release(lock);
    repo_free(c.repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback cat snapshot latest", "the newest snapshot's document"},
    {"clawback cat tree latest:/home", "one of its directories"},
    {NULL, NULL},
};

const struct command cmd_cat = {
    .name = "cat",
    .arguments = "KIND [ID]",
    .summary = "Print one stored object, decrypted",
    .description =
        "KIND is config, masterkey, snapshot, tree, blob, pack, index, key or lock. A snapshot may be 'latest'; a tree "
        "is "
        "named by its snapshot and a path: ID:/path. 'cat masterkey' prints the key that opens everything: keep it to "
        "yourself.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct cat_options),
    .examples = EXAMPLES,
    .group = "Repository",
    .run = run_cat,
};
