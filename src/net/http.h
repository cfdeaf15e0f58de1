/*
 * HTTP through libcurl, which is loaded when it is first needed (it costs 10 ms of start-up otherwise): ERR_UNSUPPORTED
 * tells which package is missing. TLS 1.2 or later, certificates checked, proxies from the environment (http_proxy,
 * https_proxy, no_proxy). Any thread; each keeps its connections for the next request.
 *
 * Redirects are followed five times, to https only (or within one host), never with our headers to another host; a POST
 * only where the server asks for the same again (307, 308), since the others would turn it into a GET that says
 * nothing. Else the redirect is the response.
 *
 * A signal (os/interrupt.h) ends a request that is under way. A process that was interrupted before may still make
 * some: it has its reasons, and a time limit.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum { HTTP_BODY_MAX_BYTES = 64 << 10, HTTP_REDIRECTS_MAX = 5 };

struct http_request {
    const char *method; /* "GET", "POST" … */
    const char *url;
    const char *shown;          /* how messages call it: URLs may hold tokens */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
    const void *body;           /* NULL: none */
    size_t body_len;
    const char *ca_file; /* NULL: the system's */
    uint64_t timeout_ms; /* for all of it */
};

struct http_response {
    long status;
    uint64_t retry_after_ms; /* 0: not said; at most a day */
    int64_t date_ms;         /* the server's clock, from its Date header; 0: not said */
    struct buf body;         /* at most HTTP_BODY_MAX_BYTES; the rest is thrown away */
};

/* 0: there is a response, whatever its status. -1: ERR_TIMEOUT, ERR_INTERRUPTED, ERR_USAGE (no URL of http or https),
 * ERR_IO …, "cannot reach 'shown': …". Release in any case. */
int http_do(const struct http_request *q, struct http_response *out, struct err *err);
void http_response_release(struct http_response *r);

/* "https://host:8080/…": what of a URL (of any scheme) may be shown. Names and passwords, path and query are left out;
 * what is no URL becomes "an address that is no URL". */
void http_show_url(const char *url, char *out, size_t cap);
