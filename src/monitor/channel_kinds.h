/* What the kinds of channels have in common. For channel*.c only. */
#pragma once
#include "monitor/channel.h"
#include "net/http.h"

enum { CHANNEL_TIMEOUT_MS = 30000, CHANNEL_CHAT_CHARS = 4096 };

/* A message on its way, with the secrets that it needs. */
struct delivery {
    const struct plan_channel *channel;
    const struct message *message;
    struct channel_answer *answer;
    char *url, *token; /* NULL: there is none */
    char shown[256];   /* the address, as it may be shown */
    uint64_t end_ns;   /* os_monotonic_ns(): until then, the fetching of secrets included */
};

/* One a kind. Errors need not name the channel. */
int channel_send_telegram(struct delivery *d, struct err *err);
int channel_send_email(struct delivery *d, struct err *err);
int channel_send_webhook(struct delivery *d, struct err *err);
int channel_send_ping(struct delivery *d, struct err *err);
int channel_send_openclaw(struct delivery *d, struct err *err);
int channel_send_command(struct delivery *d, struct err *err);
int channel_send_syslog(struct delivery *d, struct err *err);

/* At least 1. */
uint64_t channel_left_ms(const struct delivery *d);

/* --- channel_http.c --- */

struct channel_request {
    const char *method, *url;
    const char *body, *type;   /* body NULL: none; type: its Content-Type */
    const char *authorization; /* a header line with the token; NULL: none */
};
/* Any answer: 0. The response is to be released in any case. */
int channel_http(struct delivery *d, const struct channel_request *q, struct http_response *r, struct err *err);
/* Judges the answer by its status: 2xx: 0; else -1 with what it said; sets retry_after_ms and hopeless. */
int channel_judge(struct delivery *d, const struct http_response *r, struct err *err);
/* Both: JSON is posted, and the status says all. authorization: a header, or NULL. */
int channel_post(struct delivery *d, const char *url, const char *json, const char *authorization, struct err *err);
/* The same with words that were found in the answer. */
int channel_refused(struct delivery *d, long status, const char *said, struct err *err);
/* answer.text, on one line and without secrets. */
void channel_say(struct delivery *d, const char *text);

/* URL of an address with `path` appended to its path, and `query` to its query (either may be ""). The caller wipes
 * it. */
char *channel_url(const char *url, const char *path, const char *query);
/* channel_redact.c: overwrites what is secret of the address and the token in text with '*'. */
void channel_redact(const struct delivery *d, char *text);
