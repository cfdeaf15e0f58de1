#include "source/postgres_server.h"

#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "base/mem.h"

enum {
    ASK_TIMEOUT_MS = 120000,
    ANSWER_BYTES_MAX = 64 << 20,
    SERVER_FIELDS = 8,
    DATABASE_FIELDS = 9,
};

static const char ASK_SERVER[] =
    "SELECT current_setting('server_version_num'), current_setting('server_version'), current_user, "
    "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), "
    "pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'), pg_catalog.pg_is_in_recovery(), "
    ":'HOST', :'PORT';\n"
    "SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding), "
    "d.datcollate, d.datctype, d.datallowconn, d.datistemplate, d.datconnlimit, "
    "CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END "
    "FROM pg_catalog.pg_database d ORDER BY d.datname;\n";

static const char ASK_EXTENSIONS[] = "SELECT extname || ' ' || extversion FROM pg_catalog.pg_extension ORDER BY 1;\n";

void pg_server_release(struct pg_server *s)
{
    for (size_t i = 0; i < s->database_count; i++) {
        struct pg_database *d = &s->databases[i];
        char *texts[] = {d->name, d->owner, d->encoding, d->collate, d->ctype};
        for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++)
            free(texts[j]);
        strlist_release(&d->extensions);
    }
    free(s->databases);
    free(s->version_text);
    free(s->user);
    *s = (struct pg_server){0};
}

int pg_ask(const struct pg_client *c, const char *database, const char *script, struct buf *out, struct err *err)
{
    struct strlist args = {0};
    pg_psql_arguments(&args);
    strlist_add(&args, "--field-separator-zero");
    strlist_add(&args, "--record-separator-zero");
    struct pg_tool_options options = {
        .name = "psql", .args = &args, .database = database, .as_utf8 = true, .timeout_ms = ASK_TIMEOUT_MS};
    int rc = pg_tool_run(c, &options, script, out, err);
    strlist_release(&args);
    return rc;
}

const char *pg_next_value(const struct buf *answer, size_t *at)
{
    const char *value = (const char *)answer->data + *at;
    const char *end = *at < answer->len ? memchr(value, '\0', answer->len - *at) : NULL;
    if (end == NULL)
        return NULL;
    *at += (size_t)(end - value) + 1;
    return value;
}

static bool is_true(const char *value)
{
    return strcmp(value, "t") == 0;
}

static const char *why_left_out(const char *allows, const char *is_template, const char *limit)
{
    if (strcmp(limit, "-2") == 0)
        return "it was being dropped when the server broke off: drop it";
    if (is_true(is_template))
        return "a template";
    return is_true(allows) ? NULL : "allows no connections";
}

static void add_database(struct pg_server *s, const char *const v[DATABASE_FIELDS])
{
    s->databases = mem_array(s->databases, s->database_count + 1, sizeof *s->databases);
    s->databases[s->database_count++] = (struct pg_database){.name = mem_strdup(v[0]),
                                                             .owner = mem_strdup(v[1]),
                                                             .encoding = mem_strdup(v[2]),
                                                             .collate = mem_strdup(v[3]),
                                                             .ctype = mem_strdup(v[4]),
                                                             .size_bytes = strtoull(v[8], NULL, 10),
                                                             .left_out = why_left_out(v[5], v[6], v[7])};
}

static int take_answer(struct pg_server *s, struct pg_client *c, const struct buf *answer, struct err *err)
{
    const char *v[DATABASE_FIELDS];
    size_t at = 0, count = 0;
    while (count < SERVER_FIELDS && (v[count] = pg_next_value(answer, &at)) != NULL)
        count++;
    if (count < SERVER_FIELDS || strtoul(v[0], NULL, 10) < 90000)
        return err_set(err, ERR_FAILED, "psql does not say what %s is", c->target.label);
    s->version = (unsigned)strtoul(v[0], NULL, 10);
    s->version_text = mem_strdup(v[1]);
    s->user = mem_strdup(v[2]);
    s->superuser = is_true(v[3]);
    s->sees_passwords = is_true(v[4]);
    s->in_recovery = is_true(v[5]);
    struct pg_target *t = &c->target;
    if (t->container == NULL && !t->is_url && t->socket_dir == NULL && v[6][0] != '\0') {
        t->socket_dir = mem_strdup(v[6]);
        t->port = mem_strdup(v[7]);
    }
    for (;;) {
        for (count = 0; count < DATABASE_FIELDS && (v[count] = pg_next_value(answer, &at)) != NULL; count++)
            ;
        if (count < DATABASE_FIELDS)
            return 0;
        add_database(s, v);
    }
}

/* A database to ask the server's own questions in: the one that is meant, else one that is nearly always there. */
static int ask_anywhere(const struct pg_client *c, struct buf *answer, struct err *err)
{
    if (c->target.database != NULL)
        return pg_ask(c, c->target.database, ASK_SERVER, answer, err);
    struct err reason = {0};
    if (pg_ask(c, "postgres", ASK_SERVER, answer, &reason) == 0)
        return 0;
    buf_clear(answer);
    if (reason.code == ERR_FAILED && pg_ask(c, "template1", ASK_SERVER, answer, NULL) == 0)
        return 0;
    if (err != NULL)
        *err = reason;
    return -1;
}

int pg_server_ask(struct pg_server *out, struct pg_client *c, struct err *err)
{
    *out = (struct pg_server){0};
    struct buf answer;
    buf_init(&answer, ANSWER_BYTES_MAX);
    int rc = ask_anywhere(c, &answer, err);
    if (rc != 0)
        err_wrap(err, "cannot ask %s", c->target.label);
    else
        rc = take_answer(out, c, &answer, err);
    buf_release(&answer);
    if (rc == 0)
        rc = pg_client_choose_tools(c, out->version, err);
    if (rc != 0)
        pg_server_release(out);
    return rc;
}

int pg_server_look_into(struct pg_database *d, const struct pg_client *c, struct err *err)
{
    struct buf answer;
    const char *value;
    size_t at = 0;
    buf_init(&answer, ANSWER_BYTES_MAX);
    int rc = pg_ask(c, d->name, ASK_EXTENSIONS, &answer, err);
    while (rc == 0 && (value = pg_next_value(&answer, &at)) != NULL)
        strlist_add(&d->extensions, value);
    buf_release(&answer);
    return rc == 0 ? 0 : err_wrap(err, "cannot enter the database '%s' of %s", d->name, c->target.label);
}

/* Names may hold bytes that are no UTF-8, in databases that have no encoding. */
static json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    char *plain = mem_strdup(text);
    for (char *p = plain; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    value = json_string(plain);
    free(plain);
    return value;
}

static json_t *describe_database(const struct pg_database *d)
{
    json_t *doc = json_object(), *extensions = json_object();
    for (size_t i = 0; i < d->extensions.count; i++) {
        const char *text = d->extensions.items[i], *space = strrchr(text, ' ');
        char *name = mem_strndup(text, (size_t)(space - text));
        json_object_set_new(extensions, name, json_text(space + 1));
        free(name);
    }
    json_object_set_new(doc, "name", json_text(d->name));
    json_object_set_new(doc, "owner", json_text(d->owner));
    json_object_set_new(doc, "encoding", json_text(d->encoding));
    json_object_set_new(doc, "collate", json_text(d->collate));
    json_object_set_new(doc, "ctype", json_text(d->ctype));
    json_object_set_new(doc, "size_bytes", json_integer((json_int_t)d->size_bytes));
    json_object_set_new(doc, "extensions", extensions);
    return doc;
}

void pg_server_describe(const struct pg_server *s, struct buf *out)
{
    json_t *doc = json_object(), *databases = json_array();
    json_object_set_new(doc, "version", json_text(s->version_text));
    json_object_set_new(doc, "version_number", json_integer(s->version));
    json_object_set_new(doc, "user", json_text(s->user));
    json_object_set_new(doc, "superuser", json_boolean(s->superuser));
    json_object_set_new(doc, "standby", json_boolean(s->in_recovery));
    for (size_t i = 0; i < s->database_count; i++)
        if (s->databases[i].left_out == NULL)
            json_array_append_new(databases, describe_database(&s->databases[i]));
    json_object_set_new(doc, "databases", databases);
    char *text = json_dumps(doc, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    buf_append_str(out, text != NULL ? text : "{}");
    buf_append_byte(out, '\n');
    free(text);
    json_decref(doc);
}
