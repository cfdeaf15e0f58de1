#include "source/postgres_target.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "source/virtual.h"

enum { TEXT_BYTES_MAX = 1 << 16 };

void pg_target_release(struct pg_target *t)
{
    char *texts[] = {t->container, t->hosts,    t->query, t->socket_dir, t->port,
                     t->user,      t->database, t->place, t->label};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    mem_wipe_string(t->password);
    *t = (struct pg_target){0};
}

static void replace(char **text, const char *by)
{
    char *copy = by != NULL ? mem_strdup(by) : NULL;
    if (*text != NULL)
        mem_wipe(*text, strlen(*text));
    free(*text);
    *text = copy;
}

/* --------------------------------------------------------------------------------------------------- percent signs */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when it is malformed. */
static char *percent_decode(const char *p, size_t len)
{
    char *out = mem_alloc(len + 1), *to = out;
    for (size_t i = 0; i < len; i++) {
        if (p[i] != '%') {
            *to++ = p[i];
            continue;
        }
        int high = i + 2 < len ? hex_digit(p[i + 1]) : -1, low = i + 2 < len ? hex_digit(p[i + 2]) : -1;
        if (high < 0 || low < 0 || (high | low) == 0) {
            free(out);
            return NULL;
        }
        *to++ = (char)(high << 4 | low);
        i += 2;
    }
    *to = '\0';
    return out;
}

static void percent_encode(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~", c) != NULL;
        if (plain)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* ------------------------------------------------------------------------------------------------------------ a URL */

static int bad_url(struct err *err, const char *what)
{
    return err_set(err, ERR_USAGE,
                   "the PostgreSQL URL %s: expected postgresql://[user[:password]@]host[:port][/database]", what);
}

static int take_decoded(char **to, const char *p, size_t len, struct err *err)
{
    char *text = percent_decode(p, len);
    if (text == NULL)
        return bad_url(err, "has a malformed percent sign");
    free(*to);
    *to = text;
    return 0;
}

/* "user:password@hosts" */
static int take_authority(struct pg_target *t, const char *p, size_t len, struct err *err)
{
    const char *at = memrchr(p, '@', len);
    if (at != NULL) {
        size_t user_len = (size_t)(at - p);
        const char *colon = memchr(p, ':', user_len);
        if (colon != NULL) {
            if (take_decoded(&t->password, colon + 1, (size_t)(at - colon - 1), err) != 0)
                return -1;
            user_len = (size_t)(colon - p);
        }
        if (user_len > 0 && take_decoded(&t->user, p, user_len, err) != 0)
            return -1;
        len -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    t->hosts = mem_strndup(p, len);
    return 0;
}

static bool key_is(const char *p, size_t len, const char *key)
{
    return strlen(key) == len && memcmp(p, key, len) == 0;
}

/* "key=value&…": what says user, password and database is taken, the rest is kept. */
static int take_query(struct pg_target *t, const char *p, struct err *err)
{
    struct buf rest;
    buf_init(&rest, TEXT_BYTES_MAX);
    int rc = 0;
    while (*p != '\0' && rc == 0) {
        size_t len = strcspn(p, "&"), key_len = strcspn(p, "=&");
        const char *value = p + key_len + 1;
        size_t value_len = key_len < len ? len - key_len - 1 : 0;
        if (key_is(p, key_len, "password"))
            rc = take_decoded(&t->password, value, value_len, err);
        else if (key_is(p, key_len, "user"))
            rc = take_decoded(&t->user, value, value_len, err);
        else if (key_is(p, key_len, "dbname"))
            rc = take_decoded(&t->database, value, value_len, err);
        else if (key_is(p, key_len, "sslpassword"))
            rc = bad_url(err, "must not hold 'sslpassword', which would show in the process list");
        else if (len > 0) {
            buf_append_byte(&rest, rest.len == 0 ? '?' : '&');
            buf_append(&rest, p, len);
        }
        p += len + (p[len] == '&');
    }
    t->query = mem_strdup(buf_cstr(&rest));
    buf_release(&rest);
    return rc;
}

static int take_url(struct pg_target *t, const char *url, struct err *err)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    const char *p = NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
            p = url + strlen(schemes[i]);
    if (p == NULL)
        return bad_url(err, "is none");
    if (strlen(p) > TEXT_BYTES_MAX / 8)
        return bad_url(err, "is too long");
    t->is_url = true;
    size_t len = strcspn(p, "/?");
    if (take_authority(t, p, len, err) != 0)
        return -1;
    p += len;
    if (*p == '/') {
        len = strcspn(++p, "?");
        if (len > 0 && take_decoded(&t->database, p, len, err) != 0)
            return -1;
        p += len;
    }
    return take_query(t, *p == '?' ? p + 1 : p, err);
}

/* --------------------------------------------------------------------------------------------------- all of it */

static int take_socket(struct pg_target *t, const char *socket, struct err *err)
{
    static const char name[] = ".s.PGSQL.";
    if (socket[0] != '/')
        return err_set(err, ERR_USAGE, "the socket '%s' of PostgreSQL must be an absolute path", socket);
    const char *last = strrchr(socket, '/') + 1;
    if (strncmp(last, name, sizeof name - 1) == 0) {
        t->port = mem_strdup(last + sizeof name - 1);
        t->socket_dir = mem_strndup(socket, last > socket + 1 ? (size_t)(last - socket - 1) : 1);
    } else {
        t->socket_dir = mem_strdup(socket);
    }
    return 0;
}

/* What the snapshot calls itself, and what messages call the server. */
static void name_it(struct pg_target *t)
{
    char *name;
    if (t->container != NULL) {
        name = virtual_name(t->container);
        t->label = mem_printf("the container '%s'", t->container);
    } else if (t->is_url) {
        size_t len = strlen(t->hosts);
        bool usual = len > 5 && strcmp(t->hosts + len - 5, ":5432") == 0 && strchr(t->hosts, ',') == NULL;
        char *host = mem_strndup(t->hosts, usual ? len - 5 : len);
        name = virtual_name(host[0] != '\0' ? host : "local");
        t->label = mem_printf("the server at '%s'", t->hosts[0] != '\0' ? t->hosts : "localhost");
        free(host);
    } else if (t->socket_dir != NULL) {
        char *path =
            mem_printf("%s%s%s", t->socket_dir + 1, t->port != NULL ? ":" : "", t->port != NULL ? t->port : "");
        name = virtual_name(path);
        t->label = mem_printf("the server at '%s'", t->socket_dir);
        free(path);
    } else {
        name = mem_strdup("local");
        t->label = mem_strdup("the local server");
    }
    char *database = t->database != NULL ? virtual_name(t->database) : NULL;
    t->place = mem_printf("/postgres/%s%s%s", name, database != NULL ? "/" : "", database != NULL ? database : "");
    free(database);
    free(name);
}

int pg_target_init(struct pg_target *out, const struct postgres_options *o, struct err *err)
{
    *out = (struct pg_target){0};
    if ((o->container != NULL) + (o->url != NULL) + (o->socket != NULL) > 1)
        return err_set(err, ERR_USAGE,
                       "a PostgreSQL server is given by a container, a URL or a socket, not by two of them");
    int rc = 0;
    if (o->container != NULL)
        out->container = mem_strdup(o->container);
    else if (o->url != NULL)
        rc = take_url(out, o->url, err);
    else if (o->socket != NULL)
        rc = take_socket(out, o->socket, err);
    if (rc != 0) {
        pg_target_release(out);
        return -1;
    }
    if (o->user != NULL)
        replace(&out->user, o->user);
    if (o->database != NULL)
        replace(&out->database, o->database);
    if (o->password != NULL)
        replace(&out->password, o->password);
    name_it(out);
    return 0;
}

/* "key='value' " */
static void add_pair(struct buf *out, const char *key, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(out, "%s%s='", out->len > 0 ? " " : "", key);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (unsigned char)*value);
    }
    buf_append_byte(out, '\'');
}

char *pg_target_connection(const struct pg_target *t, const char *database)
{
    struct buf out;
    buf_init(&out, TEXT_BYTES_MAX);
    if (t->is_url) {
        buf_append_str(&out, "postgresql://");
        if (t->user != NULL) {
            percent_encode(&out, t->user);
            buf_append_byte(&out, '@');
        }
        buf_printf(&out, "%s/", t->hosts);
        percent_encode(&out, database != NULL ? database : "");
        buf_append_str(&out, t->query);
    } else {
        add_pair(&out, "dbname", database);
        add_pair(&out, "user", t->user);
        add_pair(&out, "host", t->socket_dir);
        add_pair(&out, "port", t->port != NULL || t->socket_dir == NULL ? t->port : "5432");
    }
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}
