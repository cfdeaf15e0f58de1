/*
 * What must not be shown. Servers quote what they were asked, as it came or in another form: so the token is looked for
 * as it is, in base64 (a login by SMTP), and with every character escaped that a URL may not have.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/mem.h"
#include "monitor/channel_kinds.h"

enum {
    PART_MIN_BYTES = 6,  /* of an address: shorter parts are words */
    TOKEN_MIN_BYTES = 3, /* blotting out single letters would show where they stand */
};

static void blot(char *text, const char *secret, size_t len, size_t least)
{
    if (len < least)
        return;
    for (char *at = text; (at = memmem(at, strlen(at), secret, len)) != NULL; at += len)
        memset(at, '*', len);
    /* A text that was cut may end within it. */
    size_t text_len = strlen(text);
    for (size_t part = len - 1 < text_len ? len - 1 : text_len; part >= PART_MIN_BYTES; part--)
        if (memcmp(text + text_len - part, secret, part) == 0) {
            memset(text + text_len - part, '*', part);
            return;
        }
}

/* As logins by SMTP send it: alone (LOGIN), or behind the user's name (PLAIN, RFC 4616). user NULL: alone. */
static void blot_base64(char *text, const char *user, const char *secret)
{
    struct buf plain, coded;
    size_t len = strlen(secret) + (user != NULL ? strlen(user) + 2 : 0);
    buf_init(&plain, len);
    buf_reserve(&plain, len);
    buf_init(&coded, len * 2 + 8);
    buf_reserve(&coded, len * 2 + 8);
    if (user != NULL) {
        buf_append_byte(&plain, '\0');
        buf_append_str(&plain, user);
        buf_append_byte(&plain, '\0');
    }
    buf_append_str(&plain, secret);
    base64_encode(plain.data, plain.len, &coded);
    size_t end = coded.len;
    while (end > 0 && coded.data[end - 1] == '=')
        end--;
    blot(text, (const char *)coded.data, end, PART_MIN_BYTES);
    mem_wipe(plain.data, plain.cap);
    mem_wipe(coded.data, coded.cap);
    buf_release(&plain);
    buf_release(&coded);
}

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~", c) != NULL;
}

/* Both spellings of the hexadecimal digits. */
static void blot_escaped(char *text, const char *secret, const char *digits)
{
    char *escaped = mem_array(NULL, strlen(secret) * 3 + 1, 1), *to = escaped;
    for (const char *p = secret; *p != '\0'; p++) {
        if (is_plain(*p)) {
            *to++ = *p;
            continue;
        }
        *to++ = '%';
        *to++ = digits[(unsigned char)*p >> 4];
        *to++ = digits[(unsigned char)*p & 15];
    }
    *to = '\0';
    blot(text, escaped, (size_t)(to - escaped), TOKEN_MIN_BYTES);
    mem_wipe_string(escaped);
}

static void blot_token(char *text, const char *user, const char *token)
{
    blot(text, token, strlen(token), TOKEN_MIN_BYTES);
    blot_escaped(text, token, "0123456789ABCDEF");
    blot_escaped(text, token, "0123456789abcdef");
    blot_base64(text, NULL, token);
    if (user != NULL)
        blot_base64(text, user, token);
    /* A bot's number is known to everybody who talks to it; what comes behind it is the secret. */
    const char *colon = strchr(token, ':');
    if (colon != NULL)
        blot(text, colon + 1, strlen(colon + 1), PART_MIN_BYTES);
}

/* Every part of the path and the query, and what stands before the host, may be a token. */
static void blot_url(char *text, const char *url)
{
    const char *scheme = strstr(url, "://"), *rest = scheme != NULL ? scheme + 3 : url;
    size_t authority = strcspn(rest, "/?#");
    const char *at = memrchr(rest, '@', authority);
    if (at != NULL) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));
        blot(text, rest, (size_t)(at - rest), PART_MIN_BYTES);
        if (colon != NULL)
            blot(text, colon + 1, (size_t)(at - colon - 1), TOKEN_MIN_BYTES);
    }
    for (const char *p = rest + authority; *p != '\0';) {
        p += strspn(p, "/?#&=");
        size_t len = strcspn(p, "/?#&=");
        blot(text, p, len, PART_MIN_BYTES);
        p += len;
    }
}

void channel_redact(const struct delivery *d, char *text)
{
    if (d->token != NULL && *d->token != '\0')
        blot_token(text, d->channel->user, d->token);
    if (d->url != NULL)
        blot_url(text, d->url);
}
