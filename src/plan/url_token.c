#include "plan/url_token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "plan/config_values.h"

static const char PART_CHARS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

/* Long, and letters mixed with digits: words of people's have few of these. */
static bool looks_random(const char *part, size_t len)
{
    enum { RANDOM_CHARS = 16, RANDOM_DIGITS = 2 };
    size_t digits = 0, letters = 0;
    for (size_t i = 0; i < len; i++) {
        digits += part[i] >= '0' && part[i] <= '9';
        letters += (part[i] | 0x20) >= 'a' && (part[i] | 0x20) <= 'z';
    }
    return len >= RANDOM_CHARS && digits >= RANDOM_DIGITS && letters > 0;
}

/* Is the text before `value`, up to the '?' or '&', the name of a parameter that holds a secret? */
static bool is_secret_parameter(const char *url, const char *value)
{
    static const char *const NAMES[] = {"token", "key", "secret", "auth", "password"};
    if (value == url || value[-1] != '=')
        return false;
    const char *end = value - 1, *name = end;
    while (name > url && strchr("?&#/", name[-1]) == NULL)
        name--;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        size_t len = strlen(NAMES[i]);
        if ((size_t)(end - name) >= len && strncasecmp(end - len, NAMES[i], len) == 0)
            return true;
    }
    return false;
}

/* The first part from `at` on that is a token; its end in *end_out. NULL: none. */
static const char *find_token(const char *url, const char *at, const char **end_out)
{
    while (*at != '\0') {
        bool secret = is_secret_parameter(url, at);
        size_t len = secret ? strcspn(at, "&#") : strspn(at, PART_CHARS);
        if (len > 0 && (secret || looks_random(at, len))) {
            *end_out = at + len;
            return at;
        }
        at += len > 0 ? len : 1;
    }
    return NULL;
}

/* Behind the host, whose name may be long. */
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    return host + strcspn(host, "/?#");
}

bool url_has_token(const char *url)
{
    const char *end;
    return find_token(url, path_of(url), &end) != NULL;
}

char *url_without_tokens(const char *url)
{
    char *plain = url_without_password(url);
    const char *at = path_of(plain), *end = NULL, *from = plain;
    struct buf out;
    buf_init(&out, 2 * strlen(plain) + 4);
    for (const char *token; (token = find_token(plain, at, &end)) != NULL; from = at = end) {
        buf_append(&out, from, (size_t)(token - from));
        buf_append_str(&out, "***");
    }
    buf_append_str(&out, from);
    char *shown = mem_strdup(buf_cstr(&out));
    mem_wipe_string(plain);
    buf_release(&out);
    return shown;
}
