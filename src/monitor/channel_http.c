#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "monitor/message_text.h"

enum { SAID_BYTES = 160, NOT_SHOWN_MAX_BYTES = 8 << 10 };

/* --- addresses --- */

char *channel_url(const char *url, const char *path, const char *query)
{
    size_t whole = strcspn(url, "#"), base = strcspn(url, "?#"), kept = base;
    while (kept > 0 && *path != '\0' && url[kept - 1] == '/')
        kept--;
    size_t old_query = base < whole ? whole - base - 1 : 0;
    return mem_printf("%.*s%s%s%.*s%s%s", (int)kept, url, path, old_query > 0 || *query != '\0' ? "?" : "",
                      (int)old_query, url + base + 1, old_query > 0 && *query != '\0' ? "&" : "", query);
}

/* --- what it said --- */

void channel_say(struct delivery *d, const char *text)
{
    char *line = text_clean_line(text);
    channel_redact(d, line);
    size_t fits = text_fit_bytes(line, sizeof d->answer->text - 1);
    snprintf(d->answer->text, sizeof d->answer->text, "%.*s", (int)fits, line);
    free(line);
}

/* --- asking --- */

int channel_http(struct delivery *d, const struct channel_request *q, struct http_response *r, struct err *err)
{
    char *type = q->type != NULL ? mem_printf("Content-Type: %s", q->type) : NULL;
    const char *headers[3] = {0};
    size_t n = 0;
    if (type != NULL)
        headers[n++] = type;
    if (q->authorization != NULL)
        headers[n++] = q->authorization;
    struct http_request request = {.method = q->method,
                                   .url = q->url,
                                   .shown = d->shown,
                                   .headers = headers,
                                   .body = q->body,
                                   .body_len = q->body != NULL ? strlen(q->body) : 0,
                                   .ca_file = d->channel->ca_file,
                                   .timeout_ms = channel_left_ms(d)};
    int rc = http_do(&request, r, err);
    free(type);
    if (rc == 0)
        d->answer->retry_after_ms = r->retry_after_ms;
    return rc;
}

/* The sentence in an answer: of a JSON object its description, else its first line, unless that is HTML. */
static char *words_of(const struct http_response *r)
{
    static const char *const KEYS[] = {"errorDescription", "description", "message", "msg", "error"};
    json_t *o = json_loadb((const char *)r->body.data, r->body.len, 0, NULL);
    const char *said = NULL;
    for (size_t i = 0; said == NULL && i < sizeof KEYS / sizeof *KEYS; i++)
        said = json_string_value(json_object_get(o, KEYS[i]));
    char *text = said != NULL ? mem_strdup(said) : NULL;
    json_decref(o);
    if (text == NULL && r->body.len > 0 && r->body.data[0] != '<' && r->body.data[0] != '{') {
        text = mem_strndup((const char *)r->body.data, r->body.len);
        text[strcspn(text, "\r\n")] = '\0';
    }
    return text;
}

int channel_refused(struct delivery *d, long status, const char *said, struct err *err)
{
    /* 408 and 425 are about this once, 429 and 5xx about now; 3xx may be a network that asks for a login first. */
    d->answer->hopeless = status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
    char *line = text_clean_line(said != NULL ? said : "");
    channel_redact(d, line);
    line[text_fit_bytes(line, SAID_BYTES)] = '\0';
    err_set(err, status == 401 || status == 403 ? ERR_PERMISSION : ERR_FAILED, "'%s' answered %ld%s%s", d->shown,
            status, *line != '\0' ? ": " : "", line);
    free(line);
    return -1;
}

int channel_judge(struct delivery *d, const struct http_response *r, struct err *err)
{
    char *said = words_of(r);
    int rc = 0;
    if (r->status >= 200 && r->status < 300) {
        char *text =
            mem_printf("%ld%s%.*s", r->status, said != NULL ? ": " : "", NOT_SHOWN_MAX_BYTES, said != NULL ? said : "");
        channel_say(d, text);
        free(text);
    } else {
        rc = channel_refused(d, r->status, said, err);
    }
    free(said);
    return rc;
}

int channel_post(struct delivery *d, const char *url, const char *json, const char *authorization, struct err *err)
{
    struct http_response response;
    const struct channel_request q = {
        .method = "POST", .url = url, .body = json, .type = "application/json", .authorization = authorization};
    int rc = channel_http(d, &q, &response, err);
    if (rc == 0)
        rc = channel_judge(d, &response, err);
    http_response_release(&response);
    return rc;
}
