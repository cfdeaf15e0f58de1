#include "source/postgres.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "os/clock.h"
#include "source/postgres_client.h"
#include "source/postgres_dump.h"
#include "source/postgres_rights.h"
#include "source/postgres_server.h"
#include "source/virtual.h"

enum { GLOBALS_BYTES_MAX = 256 << 20, SERVER_BYTES_MAX = 64 << 20, GLOBALS_TIMEOUT_MS = 300000 };

/* What pg_dumpall writes last. */
static const char GLOBALS_END[] = "PostgreSQL database cluster dump complete";

struct pg_source {
    struct source source;
    char *container, *url, *socket, *user, *database, *password;
    uint64_t timeout_ms;
    char *place; /* "postgres/NAME" */
    /* Contents use it until they are released, which is after push. */
    struct pg_client client;
    struct pg_server server;
    bool ready; /* the server was asked */
};

/* ------------------------------------------------------------------------------------------------- listing databases
 */

void postgres_databases_release(struct postgres_databases *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->items[i].name);
    free(d->items);
    free(d->server_version);
    *d = (struct postgres_databases){0};
}

static void check_rights(struct postgres_databases *d, const struct pg_server *server, const struct pg_client *client)
{
    for (size_t i = 0; i < d->count && d->denied.code == ERR_NONE; i++)
        if (!d->items[i].skipped)
            pg_rights_check(server, client, d->items[i].name, &d->denied);
}

int postgres_list_databases(struct postgres_databases *out, const struct postgres_options *options, struct err *err)
{
    *out = (struct postgres_databases){0};
    struct pg_client client;
    struct pg_server server;
    if (pg_client_open(&client, options, err) != 0)
        return -1;
    int rc = pg_server_ask(&server, &client, err);
    if (rc == 0) {
        out->server_version = mem_strdup(server.version_text);
        out->items = mem_array(NULL, server.database_count + 1, sizeof *out->items);
        for (size_t i = 0; i < server.database_count; i++) {
            const struct pg_database *d = &server.databases[i];
            if (client.target.database != NULL && strcmp(client.target.database, d->name) != 0)
                continue;
            out->items[out->count++] = (struct postgres_database){
                .name = mem_strdup(d->name),
                .size_bytes = d->size_bytes,
                .skipped = d->left_out != NULL && client.target.database == NULL,
            };
        }
        if (options->check_rights)
            check_rights(out, &server, &client);
        pg_server_release(&server);
    }
    pg_client_release(&client);
    return rc;
}

/* ------------------------------------------------------------------------------------------------ what to dump */

/* Leaves those that are not meant out, and enters each of the others once: what cannot be entered is found out before
 * anything is stored. */
static int choose_databases(struct pg_source *s, const struct sink_reporter *reporter, struct err *err)
{
    struct pg_server *server = &s->server;
    const char *only = s->client.target.database;
    size_t count = 0;
    for (size_t i = 0; i < server->database_count; i++) {
        struct pg_database *d = &server->databases[i];
        if (only != NULL) {
            d->left_out = strcmp(d->name, only) == 0 ? NULL : "not asked for";
        } else if (d->left_out != NULL && reporter->excluded != NULL) {
            char *path = mem_printf("/%s/%s", s->place, d->name);
            reporter->excluded(reporter->ctx, path, d->left_out);
            free(path);
        }
        if (d->left_out != NULL)
            continue;
        count++;
        if (pg_server_look_into(d, &s->client, err) != 0)
            return -1;
    }
    if (count == 0)
        return err_set(err, ERR_FAILED, "%s has no database that could be dumped", s->client.target.label);
    return 0;
}

/* ---------------------------------------------------------------------------------------------- roles, tablespaces */

static void warn(const struct pg_source *s, const char *name, const struct sink_reporter *reporter, const char *text)
{
    char *path = mem_printf("/%s/%s", s->place, name);
    reporter->warning(reporter->ctx, path, text);
    free(path);
}

static int dump_globals(const struct pg_source *s, const char *database, struct buf *out, struct err *err)
{
    struct strlist args = {0};
    strlist_add(&args, "--globals-only");
    strlist_add(&args, "--database");
    strlist_add(&args, database);
    if (!s->server.sees_passwords)
        strlist_add(&args, "--no-role-passwords");
    struct pg_tool_options options = {
        .name = "pg_dumpall", .args = &args, .database = database, .timeout_ms = GLOBALS_TIMEOUT_MS};
    int rc = pg_tool_run(&s->client, &options, NULL, out, err);
    strlist_release(&args);
    if (rc == 0 && memmem(out->data, out->len, GLOBALS_END, sizeof GLOBALS_END - 1) == NULL)
        rc = err_set(err, ERR_CORRUPT, "what pg_dumpall wrote stops short");
    return rc == 0 ? 0 : err_wrap(err, "cannot dump roles and tablespaces of %s", s->client.target.label);
}

static int add_globals(struct pg_source *s, const char *database, struct virtual_tree *tree,
                       const struct sink_reporter *reporter, struct err *err)
{
    struct buf text;
    buf_init(&text, GLOBALS_BYTES_MAX);
    int rc = dump_globals(s, database, &text, err);
    if (rc == 0) {
        char *path = mem_printf("%s/globals.sql", s->place);
        virtual_tree_add(tree, path, bytes_content_new(text.data, text.len));
        free(path);
        if (!s->server.sees_passwords)
            warn(s, "globals.sql", reporter,
                 "roles are stored without their passwords, which only a superuser may read: set them anew after a "
                 "restore, or give a superuser in the configuration");
    }
    if (text.data != NULL)
        mem_wipe(text.data, text.cap);
    buf_release(&text);
    return rc;
}

/* ------------------------------------------------------------------------------------------------------------- pushing
 */

/* The database's name as one that no other file of the directory has. */
static char *file_stem(const char *database, struct strlist *taken)
{
    char *plain = virtual_name(database), *stem = mem_strdup(plain);
    for (unsigned n = 2; strlist_contains(taken, stem); n++) {
        free(stem);
        stem = mem_printf("%s-%u", plain, n);
    }
    strlist_add(taken, stem);
    free(plain);
    return stem;
}

static void add_dump(struct pg_source *s, const struct pg_database *d, const char *stem, struct virtual_tree *tree,
                     const struct sink_reporter *reporter)
{
    struct sink_content *dump, *counts;
    char *dump_path = mem_printf("%s/%s.dump", s->place, stem);
    char *counts_path = mem_printf("%s/%s.counts.json", s->place, stem);
    char *shown = mem_printf("/%s", dump_path);
    pg_dump_contents_new(&s->client, d->name, shown, s->timeout_ms, reporter, &dump, &counts);
    virtual_tree_add(tree, dump_path, dump);
    virtual_tree_add(tree, counts_path, counts);
    free(dump_path);
    free(counts_path);
    free(shown);
}

static void add_server(struct pg_source *s, struct virtual_tree *tree)
{
    struct buf text;
    char *path = mem_printf("%s/server.json", s->place);
    buf_init(&text, SERVER_BYTES_MAX);
    pg_server_describe(&s->server, &text);
    virtual_tree_add(tree, path, bytes_content_new(text.data, text.len));
    buf_release(&text);
    free(path);
}

static int fill_tree(struct pg_source *s, struct virtual_tree *tree, const struct sink_reporter *reporter,
                     struct err *err)
{
    if (choose_databases(s, reporter, err) != 0)
        return -1;
    struct strlist taken = {0};
    const char *any = NULL;
    for (size_t i = 0; i < s->server.database_count; i++) {
        const struct pg_database *d = &s->server.databases[i];
        if (d->left_out != NULL)
            continue;
        char *stem = file_stem(d->name, &taken);
        add_dump(s, d, stem, tree, reporter);
        free(stem);
        any = any == NULL || strcmp(d->name, "postgres") == 0 ? d->name : any;
    }
    strlist_release(&taken);
    add_server(s, tree);
    return add_globals(s, any, tree, reporter, err);
}

static int start(struct source *source, const struct sink_reporter *reporter, struct err *err)
{
    struct pg_source *s = (struct pg_source *)(void *)source;
    struct postgres_options options = {.container = s->container,
                                       .url = s->url,
                                       .socket = s->socket,
                                       .user = s->user,
                                       .database = s->database,
                                       .password = s->password};
    (void)reporter;
    if (s->ready)
        return 0;
    if (pg_client_open(&s->client, &options, err) != 0)
        return -1;
    if (pg_server_ask(&s->server, &s->client, err) != 0) {
        pg_client_release(&s->client);
        return -1;
    }
    s->ready = true;
    return 0;
}

static int push(struct source *source, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    struct pg_source *s = (struct pg_source *)(void *)source;
    if (start(source, reporter, err) != 0)
        return -1;
    struct virtual_tree *tree = virtual_tree_new(os_now());
    int rc = fill_tree(s, tree, reporter, err);
    if (rc == 0)
        rc = virtual_tree_push(tree, sink, err);
    virtual_tree_free(tree);
    return rc;
}

static void free_source(struct source *source)
{
    struct pg_source *s = (struct pg_source *)(void *)source;
    char *texts[] = {s->container, s->socket, s->user, s->database, s->place};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    mem_wipe_string(s->url);
    mem_wipe_string(s->password);
    pg_server_release(&s->server);
    pg_client_release(&s->client);
    free(s);
}

static const struct source_ops OPS = {start, push, free_source};

static char *copy_of(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

int postgres_source_new(struct source **out, const struct postgres_options *options, struct err *err)
{
    struct pg_target target;
    *out = NULL;
    if (pg_target_init(&target, options, err) != 0)
        return -1;
    struct pg_source *s = mem_zalloc(sizeof *s);
    s->source = (struct source){.ops = &OPS, .strict = true};
    strlist_add(&s->source.paths, target.place);
    s->place = mem_strdup(target.place + 1);
    s->container = copy_of(options->container);
    s->url = copy_of(options->url);
    s->socket = copy_of(options->socket);
    s->user = copy_of(options->user);
    s->database = copy_of(options->database);
    s->password = copy_of(options->password);
    s->timeout_ms = options->timeout_ms;
    pg_target_release(&target);
    *out = &s->source;
    return 0;
}
