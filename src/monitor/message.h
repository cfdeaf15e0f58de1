/*
 * Messages: what is told, in the forms that channels need. Pure. Whatever bytes come in, what goes out is UTF-8 without
 * control characters but line breaks.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "monitor/alerts.h"
#include "plan/alerts.h"

enum message_kind { MESSAGE_ALERTS, MESSAGE_DIGEST, MESSAGE_TEST, MESSAGE_PING };

/* All strings are its own, or NULL. */
struct message {
    enum message_kind kind;
    enum alert_level level; /* the worst in it */
    bool over;              /* all it tells is that something ended */
    int64_t time_ms;
    char *host;
    char *heading;        /* "clawback on HOST": above the text where there is no subject */
    char *title;          /* "clawback on HOST: CRITICAL: …", one line of at most 150 characters or so */
    char *text;           /* lines; PING: what is posted with it, may be NULL */
    char *json;           /* the same for programs: one object, see docs/alerts.md; PING: NULL */
    char *rule, *subject; /* ALERTS: of the first, the worst */
    int ping;             /* PING: enum ping_kind (monitor/outbox.h) */
    char *run_id;         /* PING; NULL: none */
};
void message_release(struct message *m);

/* Several alerts in one message: the open ones first, the worst of them first, then what is over. At least one. */
void message_of_alerts(struct message *out, const char *host, const struct alert *alerts, size_t count, int64_t now_ms);
/* what: "daily digest", "weekly digest". The level is that of the worst alert open. */
void message_of_digest(struct message *out, const char *host, const char *what, const char *text,
                       enum alert_level level, int64_t now_ms);
/* For `alerts test`. */
void message_test(struct message *out, const char *host, int64_t now_ms);
void message_of_ping(struct message *out, int ping, const char *run_id, const char *text, int64_t now_ms);

/* Heading and text in one, at most `max` UTF-16 units (as Telegram and Discord count); what is cut off is said. The
 * caller frees it. */
char *message_chat_text(const struct message *m, size_t max);
/* The text alone, at most max bytes, the same. */
char *message_clip_bytes(const char *text, size_t max);

/* The body of a webhook's request. topic: NTFY. JSON: message.json. The caller frees it. */
char *message_body(const struct message *m, enum webhook_format format, const char *topic);
