/*
 * Redirects are ours, not libcurl's: it would take custom headers (a token in X-Gotify-Key) to another host, too.
 */
#include "net/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "net/curl.h"
#include "os/clock.h"

enum { RETRY_AFTER_MAX_S = 24 * 60 * 60 };

/* --- URLs --- */

/* The scheme's length with "://", 0: neither http nor https. */
static size_t scheme_len(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
}

/* HOST[:PORT] of a URL, without a name and password before it. */
static const char *host_of(const char *url, size_t scheme, size_t *len_out)
{
    const char *start = url + scheme;
    size_t len = strcspn(start, "/?#\\");
    const char *at = memrchr(start, '@', len);
    if (at != NULL) {
        len -= (size_t)(at + 1 - start);
        start = at + 1;
    }
    *len_out = len;
    return start;
}

void http_show_url(const char *url, char *out, size_t cap)
{
    const char *colon = strstr(url, "://"), *host = "";
    size_t scheme = colon != NULL ? (size_t)(colon + 3 - url) : 0, len = 0;
    if (scheme > 0 && scheme <= 10 && strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == scheme - 3)
        host = host_of(url, scheme, &len);
    if (len == 0)
        snprintf(out, cap, "an address that is no URL");
    else
        snprintf(out, cap, "%.*s%.*s/…", (int)scheme, url, (int)len, host);
}

static bool same_host(const char *a, const char *b)
{
    size_t len_a, len_b;
    const char *host_a = host_of(a, scheme_len(a), &len_a), *host_b = host_of(b, scheme_len(b), &len_b);
    return scheme_len(a) == scheme_len(b) && len_a == len_b && strncasecmp(host_a, host_b, len_a) == 0;
}

/* --- the response --- */

struct taking {
    const struct curl_api *api;
    struct http_response *response;
};

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_response *r = ((struct taking *)ctx)->response;
    size_t len = size * count, room = r->body.max - r->body.len;
    buf_append(&r->body, data, len < room ? len : room);
    return len;
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static uint64_t retry_after_ms(const struct curl_api *api, const char *value)
{
    char *end;
    double seconds = strtod(value, &end);
    if (end == value) {
        time_t when = api->getdate(value, NULL);
        seconds = when > 0 ? (double)(when - os_now().tv_sec) : 0;
    }
    if (!(seconds > 0))
        return 0;
    return (uint64_t)((seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000);
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    const struct taking *taking = ctx;
    struct http_response *r = taking->response;
    size_t len = size * count;
    char line[512];
    snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : sizeof line - 1), data);
    if (strncasecmp(line, "HTTP/", 5) == 0) { /* a proxy's answer may have come before */
        r->retry_after_ms = 0;
        r->date_ms = 0;
    } else if (strncasecmp(line, "Retry-After:", 12) == 0) {
        r->retry_after_ms = retry_after_ms(taking->api, line + 12 + strspn(line + 12, " \t"));
    } else if (strncasecmp(line, "Date:", 5) == 0) {
        time_t when = taking->api->getdate(line + 5, NULL);
        r->date_ms = when > 0 ? (int64_t)when * 1000 : 0;
    }
    return len;
}

void http_response_release(struct http_response *r)
{
    buf_release(&r->body);
}

/* --- the request --- */

static struct curl_slist *header_list(const struct curl_api *api, const struct http_request *q, bool with_ours)
{
    /* Without "Expect:" libcurl would ask first whether a body is welcome, and wait for an answer. */
    struct curl_slist *list = api->slist_append(NULL, "Expect:");
    for (const char *const *h = q->headers; with_ours && h != NULL && *h != NULL; h++) {
        struct curl_slist *longer = api->slist_append(list, *h);
        list = longer != NULL ? longer : list;
    }
    return list;
}

static void set_request(struct curl_transfer *t, const struct http_request *q, const char *url,
                        struct curl_slist *headers, struct taking *taking)
{
    curl_set(t, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_set(t, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_set(t, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_set(t, CURLOPT_HTTPHEADER, headers);
    curl_set(t, CURLOPT_USERAGENT, "clawback/" CLAWBACK_VERSION);
    curl_set(t, CURLOPT_WRITEFUNCTION, take_body);
    curl_set(t, CURLOPT_WRITEDATA, taking);
    curl_set(t, CURLOPT_HEADERFUNCTION, take_header);
    curl_set(t, CURLOPT_HEADERDATA, taking);
    if (q->body != NULL) {
        curl_set(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
        curl_set(t, CURLOPT_POSTFIELDS, q->body);
    } else if (strcmp(q->method, "HEAD") == 0) {
        curl_set(t, CURLOPT_NOBODY, 1L);
    } else {
        curl_set(t, CURLOPT_HTTPGET, 1L);
    }
    curl_set(t, CURLOPT_CUSTOMREQUEST, q->method);
}

/* One request and its answer. *redirect_out: where the server wants us to go, or NULL; the caller wipes it. */
static int once(const struct http_request *q, const char *url, bool with_headers, uint64_t timeout_ms,
                struct http_response *out, char **redirect_out, struct err *err)
{
    struct curl_transfer t;
    char *redirect = NULL;
    *redirect_out = NULL;
    if (curl_begin(&t, q->ca_file, timeout_ms, err) != 0)
        return -1;
    struct taking taking = {.api = t.api, .response = out};
    struct curl_slist *headers = header_list(t.api, q, with_headers);
    set_request(&t, q, url, headers, &taking);
    CURLcode code = curl_perform(&t);
    int rc = code == CURLE_OK ? 0 : curl_failure(&t, code, q->shown, q->timeout_ms, err);
    if (rc == 0)
        t.api->easy_getinfo(t.handle, CURLINFO_RESPONSE_CODE, &out->status);
    if (rc == 0 && t.api->easy_getinfo(t.handle, CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect != NULL)
        *redirect_out = mem_strdup(redirect);
    curl_end(&t);
    curl_wipe_list(t.api, headers);
    return rc;
}

static bool may_follow(const struct http_request *q, const char *from, const char *to, long status)
{
    bool same_again = status == 307 || status == 308 || strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    return same_again && (scheme_len(to) == 8 || (scheme_len(to) == 7 && same_host(from, to)));
}

int http_do(const struct http_request *q, struct http_response *out, struct err *err)
{
    *out = (struct http_response){0};
    buf_init(&out->body, HTTP_BODY_MAX_BYTES);
    if (scheme_len(q->url) == 0)
        return err_set(err, ERR_USAGE, "cannot reach '%s': its address does not begin with https:// or http://",
                       q->shown);
    uint64_t end_ns = os_monotonic_ns() + q->timeout_ms * 1000000;
    char *url = mem_strdup(q->url), *next = NULL;
    bool with_headers = true;
    int rc = 0;
    for (unsigned redirects = 0;; redirects++) {
        uint64_t now_ns = os_monotonic_ns(), left_ms = now_ns < end_ns ? (end_ns - now_ns) / 1000000 : 0;
        buf_clear(&out->body);
        rc = once(q, url, with_headers, left_ms > 0 ? left_ms : 1, out, &next, err);
        if (rc != 0 || next == NULL || redirects == HTTP_REDIRECTS_MAX || !may_follow(q, url, next, out->status))
            break;
        with_headers = with_headers && same_host(url, next);
        mem_wipe_string(url);
        url = next;
    }
    mem_wipe_string(url);
    mem_wipe_string(next);
    return rc;
}
