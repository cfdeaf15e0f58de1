/*
 * Pings: a monitor elsewhere notices when they stop. Sources: healthchecks.io/docs/http_api (start, success, fail, log,
 * rid), Uptime Kuma's push monitors.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "monitor/outbox.h"

static enum ping_style style_of(const struct delivery *d)
{
    if (d->channel->style != PING_AUTO)
        return d->channel->style;
    return strstr(d->url, "/api/push/") != NULL ? PING_KUMA
           : strchr(d->url, '?') != NULL        ? PING_PLAIN
                                                : PING_HEALTHCHECKS;
}

/* Healthchecks wants a UUID that start and end have in common. The run's 16 digits make one of version 8 (RFC 9562:
 * contents of one's own). "": there is none. */
static void run_uuid(const char *run_id, char out[64])
{
    out[0] = '\0';
    if (run_id == NULL || strlen(run_id) != 16 || run_id[strspn(run_id, "0123456789abcdef")] != '\0')
        return;
    snprintf(out, 64, "rid=%.8s-%.4s-8%.3s-8%.1s00-000000000000", run_id, run_id + 8, run_id + 12, run_id + 15);
}

static char *healthchecks_url(const struct delivery *d)
{
    const struct message *m = d->message;
    char rid[64];
    run_uuid(m->run_id, rid);
    /* A test is written down there, and changes nothing. */
    const char *path = m->kind == MESSAGE_TEST ? "/log"
                       : m->ping == PING_START ? "/start"
                       : m->ping == PING_FAIL  ? "/fail"
                                               : "";
    return channel_url(d->url, path, rid);
}

/* The address that Kuma shows for copying has a query already, which would say that all is well. */
static char *kuma_url(const struct delivery *d)
{
    bool up = d->message->ping == PING_SUCCESS;
    char *bare = mem_strndup(d->url, strcspn(d->url, "?#"));
    char *url = channel_url(bare, "", up ? "status=up&msg=OK" : "status=down&msg=the%20backup%20failed");
    mem_wipe_string(bare);
    return url;
}

/* NULL: nothing is to be sent. */
static char *ping_url(const struct delivery *d, enum ping_style style)
{
    const struct message *m = d->message;
    if (style == PING_HEALTHCHECKS)
        return healthchecks_url(d);
    if (m->kind == MESSAGE_TEST || m->ping == PING_START || (style == PING_PLAIN && m->ping == PING_FAIL))
        return NULL;
    return style == PING_KUMA ? kuma_url(d) : mem_strdup(d->url);
}

/* It says 200 "OK (not found)" to a check that is not there. */
static bool was_ignored(const struct http_response *r)
{
    return r->status == 200 && r->body.len >= 4 && memcmp(r->body.data, "OK (", 4) == 0;
}

static int send_ping(struct delivery *d, const char *url, bool with_text, struct err *err)
{
    const char *text = with_text ? d->message->text : NULL;
    struct http_response response;
    struct channel_request q = {.method = text != NULL ? "POST" : "GET",
                                .url = url,
                                .body = text,
                                .type = text != NULL ? "text/plain; charset=utf-8" : NULL};
    int rc = channel_http(d, &q, &response, err);
    if (rc == 0 && was_ignored(&response))
        rc = channel_refused(d, memmem(response.body.data, response.body.len, "limit", 5) != NULL ? 429 : 404,
                             buf_cstr(&response.body), err);
    else if (rc == 0)
        rc = channel_judge(d, &response, err);
    http_response_release(&response);
    return rc;
}

int channel_send_ping(struct delivery *d, struct err *err)
{
    if (d->url == NULL) {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "it has no address");
    }
    enum ping_style style = style_of(d);
    char *url = ping_url(d, style);
    if (url == NULL) {
        channel_say(d, d->message->kind == MESSAGE_TEST ? "nothing was sent: it would count as a backup"
                                                        : "nothing is sent for this");
        return 0;
    }
    int rc = send_ping(d, url, style == PING_HEALTHCHECKS, err);
    mem_wipe_string(url);
    return rc;
}
