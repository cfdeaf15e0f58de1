#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "net/mail.h"
#include "net/smtp.h"

enum { MAIL_MAX_BYTES = 512 << 10 };

static char *sender(const struct delivery *d)
{
    const struct plan_channel *c = d->channel;
    if (c->from != NULL)
        return mem_strdup(c->from);
    if (c->user != NULL && strchr(c->user, '@') != NULL)
        return mem_strdup(c->user);
    return mem_printf("clawback@%s",
                      d->message->host != NULL && d->message->host[0] != '\0' ? d->message->host : "localhost");
}

static void compose(const struct delivery *d, const char *from, struct buf *out)
{
    const struct message *m = d->message;
    struct mail mail = {.from = from,
                        .to = &d->channel->to,
                        .subject = m->title,
                        .body = m->text,
                        .time_ms = m->time_ms,
                        .urgent = m->kind == MESSAGE_ALERTS && m->level == ALERT_CRITICAL && !m->over};
    mail_compose(&mail, out);
}

static int send_mail(struct delivery *d, const char *from, const char *text, struct err *err)
{
    static const enum smtp_tls TLS[] = {[MAIL_TLS_REQUIRED] = SMTP_TLS_REQUIRED,
                                        [MAIL_TLS_IF_OFFERED] = SMTP_TLS_IF_OFFERED,
                                        [MAIL_TLS_NONE] = SMTP_TLS_NONE};
    const struct plan_channel *c = d->channel;
    struct strlist to = {0};
    struct smtp_answer said;
    char *address = mail_address(from);
    for (size_t i = 0; i < c->to.count; i++) {
        char *one = mail_address(c->to.items[i]);
        strlist_add(&to, one);
        free(one);
    }
    struct smtp_mail mail = {.server = d->url,
                             .shown = d->shown,
                             .tls = TLS[c->tls],
                             .user = c->user,
                             .password = d->token,
                             .from = address,
                             .to = &to,
                             .text = text,
                             .ca_file = c->ca_file,
                             .timeout_ms = channel_left_ms(d)};
    int rc = smtp_send(&mail, &said, err);
    d->answer->hopeless = said.hopeless;
    if (rc == 0 && said.missed > 0) {
        char *missed = mem_printf("sent; but not to %u of %zu: %s", said.missed, to.count, said.said);
        channel_say(d, missed);
        free(missed);
    } else if (rc == 0) {
        channel_say(d, "the mail server has taken it");
    }
    strlist_release(&to);
    free(address);
    return rc;
}

int channel_send_email(struct delivery *d, struct err *err)
{
    if (d->url == NULL) {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "it has no mail server");
    }
    struct buf text;
    buf_init(&text, MAIL_MAX_BYTES);
    char *from = sender(d);
    compose(d, from, &text);
    int rc = send_mail(d, from, buf_cstr(&text), err);
    free(from);
    buf_release(&text);
    return rc;
}
