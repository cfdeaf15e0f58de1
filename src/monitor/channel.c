#include "monitor/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "os/clock.h"
#include "plan/secret.h"

static const char TELEGRAM_API[] = "https://api.telegram.org";

/* All of it together has the channel's time: the run that waits for it shall end. */
uint64_t channel_left_ms(const struct delivery *d)
{
    uint64_t now_ns = os_monotonic_ns(), ms = now_ns < d->end_ns ? (d->end_ns - now_ns) / 1000000 : 0;
    return ms > 0 ? ms : 1;
}

static int fetch(const struct delivery *d, const struct secret *s, char **out, struct err *err)
{
    *out = NULL;
    return s->kind == SECRET_NONE ? 0 : secret_fetch_within(s, channel_left_ms(d), out, err);
}

static int fetch_secrets(struct delivery *d, struct err *err)
{
    const struct plan_channel *c = d->channel;
    if (fetch(d, &c->address.secret, &d->url, err) != 0 || fetch(d, &c->token, &d->token, err) != 0)
        return -1;
    if (d->url == NULL && c->address.url != NULL)
        d->url = mem_strdup(c->address.url);
    if (d->url == NULL && c->kind == CHANNEL_TELEGRAM)
        d->url = mem_strdup(TELEGRAM_API);
    if (c->address.secret.kind != SECRET_NONE || d->url == NULL)
        snprintf(d->shown, sizeof d->shown, "%s '%s'", channel_kind_name(c->kind), c->name);
    else
        http_show_url(d->url, d->shown, sizeof d->shown);
    return 0;
}

static int deliver(struct delivery *d, struct err *err)
{
    switch (d->channel->kind) {
    case CHANNEL_TELEGRAM:
        return channel_send_telegram(d, err);
    case CHANNEL_EMAIL:
        return channel_send_email(d, err);
    case CHANNEL_WEBHOOK:
        return channel_send_webhook(d, err);
    case CHANNEL_PING:
        return channel_send_ping(d, err);
    case CHANNEL_OPENCLAW:
        return channel_send_openclaw(d, err);
    case CHANNEL_COMMAND:
        return channel_send_command(d, err);
    default:
        return channel_send_syslog(d, err);
    }
}

int channel_send(const struct plan_channel *c, const struct message *m, struct channel_answer *answer, struct err *err)
{
    struct err local = {0};
    struct delivery d = {.channel = c,
                         .message = m,
                         .answer = answer,
                         .end_ns = os_monotonic_ns() +
                                   (c->timeout_ms > 0 ? c->timeout_ms : CHANNEL_TIMEOUT_MS) * UINT64_C(1000000)};
    *answer = (struct channel_answer){0};
    bool ping = m->kind == MESSAGE_PING || m->kind == MESSAGE_TEST;
    int rc = -1;
    if (c->kind == CHANNEL_PING ? !ping : m->kind == MESSAGE_PING)
        err_set(&local, ERR_USAGE, "it is not for messages of this kind");
    else
        rc = fetch_secrets(&d, &local);
    if (rc == 0)
        rc = deliver(&d, &local);
    if (rc != 0) {
        channel_redact(&d, local.message);
        if (answer->text[0] == '\0')
            channel_say(&d, local.message);
        err_wrap(&local, "channel '%s'", c->name);
        if (err != NULL)
            *err = local;
    }
    mem_wipe_string(d.url);
    mem_wipe_string(d.token);
    return rc;
}
