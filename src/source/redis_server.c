#include "source/redis_server.h"

#include <stdlib.h>
#include <string.h>

enum { FIELD_MAX_BYTES = 4096 };

/* The settings worth knowing when a server is set up anew. None of them is a secret; nothing else is kept. */
static const char *const SETTINGS[] = {
    "activedefrag",
    "aof-use-rdb-preamble",
    "appendfilename",
    "appendfsync",
    "appendonly",
    "auto-aof-rewrite-min-size",
    "auto-aof-rewrite-percentage",
    "cluster-enabled",
    "databases",
    "dbfilename",
    "dir",
    "hash-max-listpack-entries",
    "hash-max-listpack-value",
    "hz",
    "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "maxmemory-samples",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "notify-keyspace-events",
    "port",
    "proto-max-bulk-len",
    "rdbchecksum",
    "rdbcompression",
    "repl-diskless-sync",
    "save",
    "stop-writes-on-bgsave-error",
    "timeout",
    "tls-port",
    "unixsocket",
};

/* ---- INFO */

static void keep(char *to, size_t cap, const char *value)
{
    size_t len = strnlen(value, cap - 1);
    memcpy(to, value, len);
    to[len] = '\0';
}

/* "keys=3,expires=1,avg_ttl=0": the number after the name. */
static uint64_t counted(const char *value, const char *name)
{
    const char *found = strstr(value, name);
    return found != NULL ? strtoull(found + strlen(name), NULL, 10) : 0;
}

static void take_database(struct redis_server *s, const char *number, const char *value)
{
    uint64_t keys = counted(value, "keys="), expires = counted(value, "expires=");
    json_object_set_new(json_object_get(s->document, "databases"), number,
                        json_pack("{s:I, s:I}", "keys", (json_int_t)keys, "expires", (json_int_t)expires));
    s->keys += keys;
}

/* "name=ReJSON,ver=20609,api=1,…" */
static void take_module(struct redis_server *s, const char *value)
{
    char name[REDIS_WORD_BYTES] = "", version[REDIS_WORD_BYTES] = "";
    const char *name_at = strstr(value, "name="), *version_at = strstr(value, "ver=");
    if (name_at != NULL)
        keep(name, sizeof name, name_at + 5);
    if (version_at != NULL)
        keep(version, sizeof version, version_at + 4);
    name[strcspn(name, ",")] = version[strcspn(version, ",")] = '\0';
    json_array_append_new(json_object_get(s->document, "modules"),
                          json_pack("{s:s%, s:s%}", "name", name, strlen(name), "version", version, strlen(version)));
}

static void take_field(struct redis_server *s, const char *name, const char *value)
{
    const struct {
        const char *name;
        char *to;
        size_t cap;
    } words[] = {
        {"redis_mode", s->mode, sizeof s->mode},
        {"server_mode", s->mode, sizeof s->mode},
        {"role", s->role, sizeof s->role},
        {"master_host", s->master_host, sizeof s->master_host},
        {"master_port", s->master_port, sizeof s->master_port},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(name, words[i].name) == 0)
            keep(words[i].to, words[i].cap, value);
    if (strcmp(name, "master_link_status") == 0)
        s->master_link_up = strcmp(value, "up") == 0;
    else if (strcmp(name, "cluster_enabled") == 0)
        s->is_cluster = strcmp(value, "1") == 0;
    else if (strcmp(name, "loading") == 0)
        s->is_loading = strcmp(value, "1") == 0;
    else if (strcmp(name, "used_memory") == 0)
        s->used_memory_bytes = strtoull(value, NULL, 10);
    else if (strcmp(name, "module") == 0)
        take_module(s, value);
    else if (strncmp(name, "db", 2) == 0 && name[2] >= '0' && name[2] <= '9')
        take_database(s, name + 2, value);
}

/* Which product it is, whatever Redis version it says to be compatible with. */
static void take_product(struct redis_server *s, const char *name, const char *value)
{
    static const char *const others[] = {"valkey", "dragonfly", "keydb"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        size_t len = strlen(others[i]);
        if (strncmp(name, others[i], len) == 0 && strcmp(name + len, "_version") == 0) {
            keep(s->product, sizeof s->product, others[i]);
            keep(s->version, sizeof s->version, value);
        }
    }
    if (strcmp(name, "mvcc_depth") == 0)
        keep(s->product, sizeof s->product, "keydb");
    if (strcmp(name, "redis_version") != 0)
        return;
    if (s->product[0] == '\0')
        keep(s->product, sizeof s->product, "redis");
    if (s->version[0] == '\0')
        keep(s->version, sizeof s->version, value);
}

/* One line "name:value". */
static void take_line(struct redis_server *s, const char *line, size_t len)
{
    char room[FIELD_MAX_BYTES];
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (len == 0 || len >= sizeof room || line[0] == '#')
        return;
    memcpy(room, line, len);
    room[len] = '\0';
    char *colon = strchr(room, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    take_product(s, room, colon + 1);
    take_field(s, room, colon + 1);
}

static void take_info(struct redis_server *s, const struct redis_reply *reply)
{
    for (size_t i = 0; i < reply->items.count; i++)
        for (const char *line = reply->items.items[i]; *line != '\0';) {
            size_t len = strcspn(line, "\n");
            take_line(s, line, len);
            line += len + (line[len] == '\n');
        }
}

int redis_server_glance(struct redis_server *out, const struct redis_asker *a, struct err *err)
{
    static const char *const info[] = {"INFO", NULL};
    struct redis_reply reply = {0};
    *out = (struct redis_server){0};
    if (redis_ask(a, "INFO", info, &reply, err) != 0)
        return -1;
    out->document = json_object();
    json_object_set_new(out->document, "databases", json_object());
    json_object_set_new(out->document, "modules", json_array());
    take_info(out, &reply);
    redis_reply_release(&reply);
    if (out->version[0] == '\0') {
        redis_server_release(out);
        return err_set(err, ERR_FAILED, "what answers at '%s' is no Redis server", a->where);
    }
    out->is_replica = strcmp(out->role, "slave") == 0 || strcmp(out->role, "replica") == 0;
    json_object_set_new(out->document, "product", json_string(out->product));
    json_object_set_new(out->document, "version", json_string(out->version));
    json_object_set_new(out->document, "mode", json_string(out->mode));
    json_object_set_new(out->document, "role", json_string(out->role));
    return 0;
}

/* ---- the rest */

static bool is_kept(const char *name)
{
    for (size_t i = 0; i < sizeof SETTINGS / sizeof SETTINGS[0]; i++)
        if (strcmp(name, SETTINGS[i]) == 0)
            return true;
    return false;
}

/* JSON takes UTF-8 alone; other bytes (in the patterns of an ACL) are written as the server's own \xHH. */
static json_t *text_of(const char *line, size_t len)
{
    json_t *text = json_stringn(line, len);
    if (text != NULL)
        return text;
    struct buf escaped;
    buf_init(&escaped, 4 * len + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c >= 0x80)
            buf_printf(&escaped, "\\x%02x", c);
        else
            buf_append_byte(&escaped, c);
    }
    text = json_string(buf_cstr(&escaped));
    buf_release(&escaped);
    return text;
}

static json_t *settings(const struct strlist *names_and_values)
{
    json_t *o = json_object();
    for (size_t i = 0; i + 1 < names_and_values->count; i += 2)
        if (is_kept(names_and_values->items[i]))
            json_object_set_new(o, names_and_values->items[i],
                                text_of(names_and_values->items[i + 1], strlen(names_and_values->items[i + 1])));
    return o;
}

static json_t *lines(const struct strlist *items)
{
    json_t *a = json_array();
    for (size_t i = 0; i < items->count; i++)
        for (const char *line = items->items[i]; *line != '\0';) {
            size_t len = strcspn(line, "\n");
            if (len > 0)
                json_array_append_new(a, text_of(line, len));
            line += len + (line[len] == '\n');
        }
    return a;
}

/* What may be forbidden, or not exist in an old server, is null then. */
static int add(struct redis_server *s, const struct redis_asker *a, const char *member, const char *const *argv,
               json_t *(*make)(const struct strlist *items), struct err *err)
{
    struct redis_reply reply = {0};
    if (a->ask(a->ctx, argv, &reply, err) != 0)
        return -1;
    json_object_set_new(s->document, member, reply.kind == REDIS_ERROR ? json_null() : make(&reply.items));
    redis_reply_release(&reply);
    return 0;
}

int redis_server_look(struct redis_server *out, const struct redis_asker *a, struct err *err)
{
    static const char *const acl[] = {"ACL", "LIST", NULL}, *const config[] = {"CONFIG", "GET", "*", NULL},
                             *const nodes[] = {"CLUSTER", "NODES", NULL};
    if (redis_server_glance(out, a, err) != 0)
        return -1;
    int rc = 0;
    if (!out->is_loading) { /* then it answers nothing else */
        rc = add(out, a, "acl", acl, lines, err);
        if (rc == 0)
            rc = add(out, a, "config", config, settings, err);
        if (rc == 0 && out->is_cluster)
            rc = add(out, a, "cluster", nodes, lines, err);
    }
    if (rc != 0)
        redis_server_release(out);
    return rc;
}

void redis_server_write(const struct redis_server *s, struct buf *out)
{
    char *text = json_dumps(s->document, JSON_INDENT(2) | JSON_SORT_KEYS);
    buf_append_str(out, text != NULL ? text : "{}");
    buf_append_byte(out, '\n');
    free(text);
}

void redis_server_release(struct redis_server *s)
{
    json_decref(s->document);
    *s = (struct redis_server){0};
}
