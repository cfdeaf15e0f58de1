#include "monitor/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "os/process.h"
#include "plan/secret.h"

static const char TELEGRAM_API[] = "https://api.telegram.org";

/* secret_fetch() gives a command a minute, and the terminal to ask on; nobody sits there when alerts are sent, and
 * the run that waits for it shall end. */
static int fetch_by_command(const struct strlist *command, uint64_t timeout_ms, char **out, struct err *err)
{
    static const char BLANKS[] = " \t\r\n\v\f";
    struct buf text;
    char **argv = mem_array(NULL, command->count + 1, sizeof *argv);
    memcpy(argv, command->items, command->count * sizeof *argv);
    argv[command->count] = NULL;
    buf_init(&text, SECRET_MAX_BYTES);
    buf_reserve(&text, SECRET_MAX_BYTES); /* once, so that no copy is left behind by growing */
    struct process_options options = {.argv = argv, .no_terminal = true, .timeout_ms = timeout_ms};
    int rc = process_run(&options, &text, err);
    const char *start = buf_cstr(&text) + strspn(buf_cstr(&text), BLANKS);
    size_t len = strlen(start);
    while (len > 0 && strchr(BLANKS, start[len - 1]) != NULL)
        len--;
    if (rc == 0 && len == 0)
        rc = err_set(err, ERR_USAGE, "the secret from command '%s' is empty", argv[0]);
    if (rc == 0)
        *out = mem_strndup(start, len);
    mem_wipe(text.data, text.cap);
    buf_release(&text);
    free(argv);
    return rc;
}

static int fetch(const struct delivery *d, const struct secret *s, char **out, struct err *err)
{
    *out = NULL;
    if (s->kind == SECRET_COMMAND && s->command.count > 0)
        return fetch_by_command(&s->command, d->timeout_ms, out, err);
    return s->kind == SECRET_NONE ? 0 : secret_fetch(s, out, err);
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
                         .timeout_ms = c->timeout_ms > 0 ? c->timeout_ms : CHANNEL_TIMEOUT_MS};
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
