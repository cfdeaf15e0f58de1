/*
 * What the outbox keeps: rows of the state's table outbox, one for each thing to tell and channel; and what becomes of
 * those that wait together. For outbox*.c and digest.c only.
 *
 *     kind      body_json
 *     alert     a change of an alert: {"rule","subject","change","level","now","text","was","details","command",
 *               "sinceMs","openedMs","changedMs"}
 *     ping      {"ping":0,"tier","runId","text"}
 *     digest    {"what":"daily digest","text","level"}
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "monitor/alerts.h"
#include "monitor/message.h"
#include "monitor/state.h"

enum {
    OUTBOX_MERGED_MAX = 200,             /* rows that are looked at together */
    OUTBOX_FAR_MS = 2 * 24 * 3600 * 1000 /* nothing is put off so long: the clock was wrong */
};

struct outbox_row {
    int64_t id, created_ms, due_ms;
    int attempts;
    char *kind, *body;
};
struct outbox_rows {
    struct outbox_row *items;
    size_t count;
};
void outbox_rows_release(struct outbox_rows *r);
/* The first OUTBOX_MERGED_MAX of a channel, in order. */
int outbox_rows_read(struct state *s, const char *channel, struct outbox_rows *out, struct err *err);
/* Within a transaction. */
int outbox_row_add(struct state *s, const char *channel, const char *kind, const char *body_json, struct err *err);

/* Bodies. The caller frees them. */
char *outbox_alert_body(const struct alert *a);
char *outbox_ping_body(int ping, const char *tier, const char *run_id, const char *text);
char *outbox_digest_body(const char *what, const char *text, enum alert_level level);

/* The next message of a channel: of the rows it stands for, and of others that it makes superfluous. */
struct outbox_batch {
    int64_t *ids; /* of all of these rows, in order */
    size_t count;
    struct message message;
    bool empty; /* nothing is to be sent: the rows only go */
};
/* At least one row. A body that nobody can read is passed over. */
void outbox_batch_make(const struct outbox_rows *rows, const char *host, int64_t now_ms, struct outbox_batch *out);
void outbox_batch_release(struct outbox_batch *b);
