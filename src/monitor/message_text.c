#include "monitor/message_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

/* The length of the UTF-8 character at p (RFC 3629: no surrogates, nothing overlong), 0: none. */
static size_t character(const unsigned char *p)
{
    size_t len = *p < 0x80                 ? 1
                 : *p >= 0xc2 && *p < 0xe0 ? 2
                 : *p >= 0xe0 && *p < 0xf0 ? 3
                 : *p >= 0xf0 && *p < 0xf5 ? 4
                                           : 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] >= 0x90))
        return 0;
    return len;
}

static char *clean(const char *s, const char *kept_controls)
{
    if (s == NULL)
        return NULL;
    char *out = mem_alloc(strlen(s) + 1), *to = out;
    for (const unsigned char *p = (const unsigned char *)s; *p != '\0';) {
        size_t len = character(p);
        /* C1 controls are two bytes of UTF-8. */
        bool control =
            (*p < ' ' && strchr(kept_controls, *p) == NULL) || *p == 0x7f || (*p == 0xc2 && len == 2 && p[1] < 0xa0);
        if (len == 0 || control)
            *to++ = control ? ' ' : '?';
        else
            to = (char *)memcpy(to, p, len) + len;
        p += len == 0 ? 1 : len;
    }
    *to = '\0';
    return out;
}

char *text_clean(const char *s)
{
    return clean(s, "\n\t");
}

char *text_clean_line(const char *s)
{
    return clean(s, "");
}

static size_t fit(const char *s, size_t max, size_t (*cost)(size_t bytes))
{
    size_t at = 0, units = 0;
    while (s[at] != '\0') {
        size_t len = character((const unsigned char *)s + at);
        len = len > 0 ? len : 1;
        if (units + cost(len) > max)
            break;
        units += cost(len);
        at += len;
    }
    return at;
}

static size_t utf16_cost(size_t bytes)
{
    return bytes == 4 ? 2 : 1;
}

static size_t byte_cost(size_t bytes)
{
    return bytes;
}

size_t text_fit_utf16(const char *s, size_t max)
{
    return fit(s, max, utf16_cost);
}

size_t text_fit_bytes(const char *s, size_t max)
{
    return fit(s, max, byte_cost);
}

void text_time(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    localtime_r(&seconds, &tm);
    strftime(out, 32, "%Y-%m-%d %H:%M", &tm);
}

void text_time_utc(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void text_span(int64_t ms, char out[32])
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    int64_t s = ms > 0 ? ms / 1000 : 0;
    if (s < 2 * MINUTE)
        snprintf(out, 32, "%lld s", (long long)s);
    else if (s < 2 * HOUR)
        snprintf(out, 32, "%lld min", (long long)(s / MINUTE));
    else if (s < 2 * DAY)
        snprintf(out, 32, "%lld h", (long long)(s / HOUR));
    else
        snprintf(out, 32, "%lld days", (long long)(s / DAY));
}
