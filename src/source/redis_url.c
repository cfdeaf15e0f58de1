#include "source/redis_url.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { DEFAULT_PORT = 6379, PORT_MAX = 65535 };

/* A part of the text. */
struct slice {
    const char *p;
    size_t len;
};

void redis_url_release(struct redis_url *u)
{
    char *const plain[] = {u->host,          u->socket,       u->user,     u->tls_ca_file,
                           u->tls_cert_file, u->tls_key_file, u->tls_name, u->display};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        free(plain[i]);
    mem_wipe_string(u->password);
    *u = (struct redis_url){0};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The text with %XX undone; NULL when that is malformed or gives a NUL. Replaces what *to was. */
static int decode(struct slice s, const char *what, char **to, struct err *err)
{
    char *out = mem_alloc(s.len + 1), *end = out;
    mem_wipe_string(*to);
    *to = out;
    for (size_t i = 0; i < s.len; i++, end++) {
        *end = s.p[i];
        if (s.p[i] != '%')
            continue;
        int high = i + 2 < s.len ? hex_digit(s.p[i + 1]) : -1, low = i + 2 < s.len ? hex_digit(s.p[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            *end = '\0';
            return err_set(err, ERR_USAGE, "a '%%' in the %s of the Redis URL is not followed by two hex digits", what);
        }
        *end = (char)(high * 16 + low);
        i += 2;
    }
    *end = '\0';
    return 0;
}

/* What is before the first `c` in *rest, which is moved behind it; all of it when there is none. */
static struct slice cut(struct slice *rest, char c)
{
    const char *found = memchr(rest->p, c, rest->len);
    struct slice before = *rest;
    if (found == NULL) {
        *rest = (struct slice){rest->p + rest->len, 0};
        return before;
    }
    before.len = (size_t)(found - rest->p);
    *rest = (struct slice){found + 1, rest->len - before.len - 1};
    return before;
}

static bool slice_is(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static int parse_number(struct slice s, unsigned max, const char *what, unsigned *out, struct err *err)
{
    unsigned v = 0;
    bool good = s.len > 0 && s.len <= 9;
    for (size_t i = 0; good && i < s.len; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '9';
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    /* What stands there is not shown: it can be a password that lacks its '@'. */
    if (!good || v > max)
        return err_set(err, ERR_USAGE, "the %s in the Redis URL is no number from 0 to %u", what, max);
    *out = v;
    return 0;
}

static int parse_flag(struct slice value, bool *out, struct err *err)
{
    *out = slice_is(value, "true") || slice_is(value, "1") || slice_is(value, "yes");
    if (*out || slice_is(value, "false") || slice_is(value, "0") || slice_is(value, "no"))
        return 0;
    return err_set(err, ERR_USAGE, "'insecure' in the Redis URL must be true or false");
}

static int parse_option(struct redis_url *u, struct slice name, struct slice value, struct err *err)
{
    const struct {
        const char *name;
        char **to;
    } texts[] = {
        {"cacert", &u->tls_ca_file}, {"cert", &u->tls_cert_file}, {"key", &u->tls_key_file}, {"sni", &u->tls_name}};
    if (u->socket != NULL && slice_is(name, "user"))
        return decode(value, "user", &u->user, err);
    for (size_t i = 0; u->tls && i < sizeof texts / sizeof texts[0]; i++)
        if (slice_is(name, texts[i].name))
            return decode(value, texts[i].name, texts[i].to, err);
    if (u->tls && slice_is(name, "insecure"))
        return parse_flag(value, &u->tls_insecure, err);
    return err_set(err, ERR_USAGE, "the Redis URL has an unknown option '%.*s'; %s", (int)name.len, name.p,
                   u->tls              ? "there are cacert, cert, key, sni and insecure"
                   : u->socket != NULL ? "for a socket there is only user"
                                       : "options are only for rediss:// and unix://");
}

static int parse_options(struct redis_url *u, struct slice text, struct err *err)
{
    while (text.len > 0) {
        struct slice value = cut(&text, '&'), name = cut(&value, '=');
        if (parse_option(u, name, value, err) != 0)
            return -1;
    }
    if ((u->tls_cert_file == NULL) != (u->tls_key_file == NULL))
        return err_set(err, ERR_USAGE, "the Redis URL has one of cert and key: give both or none");
    return 0;
}

/* "user:password", ":password", "user". */
static int parse_login(struct redis_url *u, struct slice text, struct err *err)
{
    bool has_password = memchr(text.p, ':', text.len) != NULL;
    struct slice user = cut(&text, ':');
    if (user.len > 0 && decode(user, "user", &u->user, err) != 0)
        return -1;
    return has_password ? decode(text, "password", &u->password, err) : 0;
}

static int parse_address(struct redis_url *u, struct slice text, struct err *err)
{
    struct slice host, port;
    bool bracketed = text.len > 0 && text.p[0] == '[', has_port;
    if (bracketed) {
        port = (struct slice){text.p + 1, text.len - 1};
        if (memchr(port.p, ']', port.len) == NULL)
            return err_set(err, ERR_USAGE, "the address in the Redis URL has a '[' without a ']'");
        host = cut(&port, ']');
        has_port = port.len > 0;
        if (has_port && port.p[0] != ':')
            return err_set(err, ERR_USAGE, "in the Redis URL only a port may follow the ']'");
        port = has_port ? (struct slice){port.p + 1, port.len - 1} : port;
    } else {
        port = text;
        has_port = memchr(text.p, ':', text.len) != NULL;
        host = cut(&port, ':');
    }
    if (host.len == 0)
        return err_set(err, ERR_USAGE, "the Redis URL has no host");
    unsigned number = DEFAULT_PORT;
    if (has_port && parse_number(port, PORT_MAX, "port", &number, err) != 0)
        return -1;
    if (decode(host, "host", &u->host, err) != 0)
        return -1;
    u->port = (uint16_t)number;
    u->display =
        strchr(u->host, ':') != NULL ? mem_printf("[%s]:%u", u->host, number) : mem_printf("%s:%u", u->host, number);
    return 0;
}

/* What follows "redis://" or "rediss://". */
static int parse_server(struct redis_url *u, struct slice text, struct err *err)
{
    struct slice options = text, before = cut(&options, '?');
    if (memchr(options.p, '@', options.len) != NULL)
        return err_set(err, ERR_USAGE,
                       "write a '?' in the Redis URL's password as %%3F, and a '@' in its options as %%40");
    /* A '/' in a password that is not percent-encoded is forgiven: what counts is the last '@'. */
    const char *at = memrchr(before.p, '@', before.len);
    if (at != NULL) {
        struct slice login = {before.p, (size_t)(at - before.p)};
        before = (struct slice){at + 1, before.len - login.len - 1};
        if (parse_login(u, login, err) != 0)
            return -1;
    }
    struct slice address = cut(&before, '/');
    unsigned database;
    if (parse_address(u, address, err) != 0 ||
        (before.len > 0 && parse_number(before, 1000000, "database", &database, err) != 0))
        return -1;
    return parse_options(u, options, err);
}

static int parse_socket(struct redis_url *u, struct slice text, struct err *err)
{
    struct slice options = text, path = cut(&options, '?');
    if (path.len < 2 || path.p[0] != '/')
        return err_set(err, ERR_USAGE, "the path in the Redis URL must be absolute: unix:///path/to/socket");
    if (decode(path, "path", &u->socket, err) != 0)
        return -1;
    u->display = mem_strdup(u->socket);
    return parse_options(u, options, err);
}

int redis_url_parse(const char *text, struct redis_url *out, struct err *err)
{
    static const struct {
        const char *scheme;
        int (*parse)(struct redis_url *u, struct slice text, struct err *err);
        bool tls;
    } schemes[] = {{"redis://", parse_server, false},
                   {"rediss://", parse_server, true},
                   {"unix://", parse_socket, false},
                   {"redis+unix://", parse_socket, false}};
    *out = (struct redis_url){0};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i].scheme);
        if (strncmp(text, schemes[i].scheme, len) != 0)
            continue;
        out->tls = schemes[i].tls;
        int rc = schemes[i].parse(out, (struct slice){text + len, strlen(text + len)}, err);
        if (rc != 0)
            redis_url_release(out);
        return rc;
    }
    return err_set(err, ERR_USAGE, "a Redis URL begins with redis://, rediss:// or unix://");
}
