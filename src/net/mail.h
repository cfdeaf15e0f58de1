/*
 * A mail as text: RFC 5322 headers, subject and names in other alphabets by RFC 2047, a UTF-8 body as quoted-printable
 * (RFC 2045). Pure, but for the Message-ID's random part. Whatever control characters are in what it is given, no
 * header gets more lines than it has.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"

struct mail {
    const char *from;         /* "a@b" or "Name <a@b>" */
    const struct strlist *to; /* the same */
    const char *subject;      /* UTF-8 */
    const char *body;         /* UTF-8, lines ending in "\n" */
    int64_t time_ms;
    bool urgent; /* Importance: high */
};

/* Appends headers and body, lines ending in "\n". */
void mail_compose(const struct mail *m, struct buf *out);
/* "a@b" of "a@b" or "Name <a@b>". The caller frees it. */
char *mail_address(const char *mailbox);
