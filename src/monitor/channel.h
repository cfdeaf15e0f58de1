/*
 * Channels: one message to one place. channel_*.c have one kind each; what they send is made by monitor/message.c.
 *
 * Secrets (tokens, passwords, addresses that hold some) are fetched for each message and wiped after it. No error and
 * no answer shows one: addresses are shown as "https://host/…" or, where the plan has them from a secret, as the
 * channel's name, and what a server says is searched for them before it is shown.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "monitor/message.h"
#include "plan/plan.h"

struct channel_answer {
    uint64_t retry_after_ms; /* the server wants us to wait; 0: it did not say */
    bool hopeless;           /* trying again soon will not help (wrong token, no such chat) */
    char text[256];          /* what it said, for `alerts test` */
};

/* Sends it now, within the channel's timeout, commands that fetch its secrets included. Any thread.
 * 0: it was taken; answer.text says how. -1: "channel 'ops': …"; answer is filled in, too. A ping channel takes
 * messages of kind PING and TEST only, others only those that are no PING: ERR_USAGE. A TEST never makes a monitor
 * believe that a backup succeeded. */
int channel_send(const struct plan_channel *c, const struct message *m, struct channel_answer *answer, struct err *err);
