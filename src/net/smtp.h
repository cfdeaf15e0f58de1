/* One mail through libcurl (see net/http.h). What is in it: net/mail.h. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"

enum smtp_tls { SMTP_TLS_REQUIRED, SMTP_TLS_IF_OFFERED, SMTP_TLS_NONE };

struct smtp_mail {
    const char *server;          /* smtp://HOST[:PORT] or smtps://… */
    const char *shown;           /* how messages call it */
    enum smtp_tls tls;           /* smtp:// only; smtps:// is always encrypted */
    const char *user, *password; /* NULL: no login */
    const char *from;            /* the address alone: "a@b" */
    const struct strlist *to;    /* addresses alone */
    const char *text;            /* headers and body, lines ending in "\n" */
    const char *ca_file;
    uint64_t timeout_ms;
};

struct smtp_answer {
    bool hopeless;   /* the server refused for good (5xx, wrong login) */
    unsigned missed; /* sent, but it refused so many of the recipients */
    char said[200];  /* its last refusal: "535 5.7.8 Authentication credentials invalid"; else "" */
};

/* 0: the server took it for at least one recipient. -1: ERR_TIMEOUT, ERR_INTERRUPTED, ERR_USAGE (no such address, or
 * one with line breaks), ERR_PERMISSION (login refused), ERR_IO …. Where TLS is required and not to be had nothing is
 * sent, neither login nor mail. */
int smtp_send(const struct smtp_mail *m, struct smtp_answer *answer, struct err *err);
