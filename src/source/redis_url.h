/*
 * Where a Redis server is:
 *
 *     redis://[user[:password]@]host[:port][/db]      port 6379; an IPv6 address in brackets
 *     rediss://…[?cacert=FILE&cert=FILE&key=FILE&sni=NAME&insecure=true]      the same over TLS
 *     unix:///path/to/socket[?user=NAME]
 *
 * "redis://:password@host" is the password of the default user. Percent-encoding is undone. The database's number is
 * checked and has no effect: a dump holds all of them. Over TLS the server's certificate must be valid for the host (or
 * sni), by the system's authorities or those in cacert; `insecure=true` asks for none of that.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* Strings are NULL when not given. */
struct redis_url {
    char *host;   /* NULL: a socket */
    char *socket; /* its path */
    uint16_t port;
    char *user, *password;
    bool tls, tls_insecure;
    char *tls_ca_file, *tls_cert_file, *tls_key_file, *tls_name;
    char *display; /* for messages and names, without secrets: "127.0.0.1:6379", "[::1]:6379", "/run/redis.sock" */
};

/* ERR_USAGE with what is wrong where; the message never holds the URL's password. On failure *out is released. */
int redis_url_parse(const char *text, struct redis_url *out, struct err *err);
void redis_url_release(struct redis_url *u); /* wipes the password; a zeroed one is fine */
