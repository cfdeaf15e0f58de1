#include "plan/config_values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* The factor of a suffix; 0: there is no such. */
static uint64_t factor_of(const char *suffix)
{
    static const char PREFIXES[] = "KMGTP";
    if (suffix[0] == '\0' || strcasecmp(suffix, "B") == 0)
        return 1;
    const char *prefix = strchr(PREFIXES, toupper((unsigned char)suffix[0]));
    if (prefix == NULL)
        return 0;
    bool decimal = strcasecmp(suffix + 1, "B") == 0;
    if (!decimal && suffix[1] != '\0' && strcasecmp(suffix + 1, "i") != 0 && strcasecmp(suffix + 1, "iB") != 0)
        return 0;
    uint64_t factor = 1;
    for (ptrdiff_t i = 0; i <= prefix - PREFIXES; i++)
        factor *= decimal ? 1000 : 1024;
    return factor;
}

/* "12" or "1.5": how many times the factor. Whole numbers are exact. */
static bool multiply(const char *digits, size_t whole, size_t fraction, uint64_t factor, uint64_t *out)
{
    uint64_t n = 0, part = 0, weight = 1;
    for (size_t i = 0; i < whole; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    for (size_t i = 0; i < fraction && i < 3; i++) { /* finer than a thousandth says nothing */
        part = part * 10 + (uint64_t)(digits[whole + 1 + i] - '0');
        weight *= 10;
    }
    if (n > UINT64_MAX / factor)
        return false;
    uint64_t rest = factor / weight * part + factor % weight * part / weight;
    *out = n * factor + rest;
    return *out >= rest;
}

int size_parse(const char *text, uint64_t *out, struct err *err)
{
    static const char DIGITS[] = "0123456789";
    size_t whole = strspn(text, DIGITS), used = whole, fraction = 0;
    if (text[whole] == '.') {
        fraction = strspn(text + whole + 1, DIGITS);
        used += 1 + fraction;
    }
    const char *suffix = text + used;
    suffix += *suffix == ' ' && suffix[1] != '\0';
    uint64_t factor = factor_of(suffix);
    if (whole == 0 || (used > whole && fraction == 0) || factor == 0 || (factor == 1 && fraction > 0))
        return err_set(err, ERR_USAGE, "'%.40s' is no size like 100MB or 2GiB", text);
    if (!multiply(text, whole, fraction, factor, out))
        return err_set(err, ERR_USAGE, "'%.40s' is too large a size", text);
    return 0;
}

/* The password before the '@'. It may hold anything but what has to be escaped in URLs, which people forget to do: so
 * the last '@' before the parameters counts, and one behind a '?' where no path stands before that. */
static bool find_password(const char *host, const char **start, size_t *len)
{
    size_t before_query = strcspn(host, "?");
    const char *at = memrchr(host, '@', before_query);
    if (at == NULL && memchr(host, '/', before_query) == NULL)
        at = strrchr(host, '@');
    const char *colon = at != NULL ? memchr(host, ':', (size_t)(at - host)) : NULL;
    if (colon == NULL || colon + 1 == at)
        return false;
    *start = colon + 1;
    *len = (size_t)(at - colon - 1);
    return true;
}

/* The value of a parameter that is one. */
static bool find_parameter(const char *text, const char **start, size_t *len)
{
    static const char *const NAMES[] = {"?password=", "&password="};
    for (size_t i = 0; i < 2; i++) {
        const char *found = strstr(text, NAMES[i]);
        if (found == NULL)
            continue;
        *start = found + strlen(NAMES[i]);
        *len = strcspn(*start, "&#");
        return true;
    }
    return false;
}

static const char *after_scheme(const char *url)
{
    const char *end = strstr(url, "://");
    return end != NULL ? end + 3 : url;
}

bool url_has_password(const char *url)
{
    const char *start;
    size_t len;
    return find_password(after_scheme(url), &start, &len) || find_parameter(url, &start, &len);
}

/* Takes the text over. */
static char *hide(char *text, const char *start, size_t len)
{
    char *hidden = mem_printf("%.*s***%s", (int)(start - text), text, start + len);
    mem_wipe_string(text);
    return hidden;
}

char *url_without_password(const char *url)
{
    const char *start;
    size_t len;
    char *text = mem_strdup(url);
    if (find_password(after_scheme(text), &start, &len))
        text = hide(text, start, len);
    if (find_parameter(text, &start, &len))
        text = hide(text, start, len);
    return text;
}

const char *text_shown(const char *text, char out[SHOWN_BYTES])
{
    enum { MOST = SHOWN_BYTES - sizeof "…" };
    size_t used = 0;
    for (; text[used] != '\0' && used < MOST; used++)
        out[used] = (unsigned char)text[used] < ' ' || text[used] == 0x7f ? '?' : text[used];
    if (text[used] == '\0') {
        out[used] = '\0';
        return out;
    }
    while (used > 0 && ((unsigned char)text[used] & 0xC0) == 0x80) /* not in the middle of a character */
        used--;
    memcpy(out + used, "…", sizeof "…");
    return out;
}
