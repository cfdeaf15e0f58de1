#include "sink/tar_pax.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void pax_record(struct buf *pax, const char *key, const void *value, size_t len)
{
    size_t rest = strlen(key) + len + 3; /* blank, '=', newline */
    size_t digits = 1;
    for (size_t total = rest + digits, limit = 10; total >= limit; total = rest + digits, limit *= 10)
        digits++;
    buf_printf(pax, "%zu %s=", rest + digits, key);
    buf_append(pax, value, len);
    buf_append_byte(pax, '\n');
}

void pax_text(struct buf *pax, const char *key, const char *value)
{
    pax_record(pax, key, value, strlen(value));
}

void pax_time(struct buf *pax, const char *key, const struct timespec *t)
{
    /* -1.25 is two seconds before the epoch and 750,000,000 ns. */
    bool negative = t->tv_sec < 0;
    long long seconds = negative ? -((long long)t->tv_sec + (t->tv_nsec > 0)) : (long long)t->tv_sec;
    long fraction = negative && t->tv_nsec > 0 ? 1000000000 - t->tv_nsec : t->tv_nsec;
    char text[48];
    snprintf(text, sizeof text, "%s%lld.%09ld", negative ? "-" : "", seconds, fraction);
    pax_text(pax, key, text);
}

void pax_number(struct buf *pax, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    pax_text(pax, key, text);
}

/* An access list as the kernel keeps it (u32 version 2, then u16 tag, u16 permissions, u32 ID each, little-endian) in
 * the text form that tar programs expect: "user::rw-,user:1000:r--,…". False when it is none. */
static bool acl_text(const struct node_xattr *x, struct buf *out)
{
    static const struct {
        unsigned tag;
        const char *word;
        bool has_id;
    } TAGS[] = {{1, "user", false}, {2, "user", true},   {4, "group", false},
                {8, "group", true}, {16, "mask", false}, {32, "other", false}};
    const unsigned char *p = x->value;
    if (x->size < 4 || (x->size - 4) % 8 != 0 || memcmp(p, "\2\0\0", 4) != 0)
        return false;
    for (size_t at = 4; at < x->size; at += 8) {
        unsigned tag = p[at] | (unsigned)p[at + 1] << 8, bits = p[at + 2];
        unsigned id = p[at + 4] | (unsigned)p[at + 5] << 8 | (unsigned)p[at + 6] << 16 | (unsigned)p[at + 7] << 24;
        size_t i = 0;
        while (i < sizeof TAGS / sizeof *TAGS && TAGS[i].tag != tag)
            i++;
        if (i == sizeof TAGS / sizeof *TAGS)
            return false;
        buf_printf(out, "%s%s:", at > 4 ? "," : "", TAGS[i].word);
        if (TAGS[i].has_id)
            buf_printf(out, "%u", id);
        buf_printf(out, ":%c%c%c", bits & 4 ? 'r' : '-', bits & 2 ? 'w' : '-', bits & 1 ? 'x' : '-');
    }
    return true;
}

static bool pax_acl(struct buf *pax, const struct node_xattr *x)
{
    const char *key = NULL;
    if (strcmp(x->name, "system.posix_acl_access") == 0)
        key = "SCHILY.acl.access";
    else if (strcmp(x->name, "system.posix_acl_default") == 0)
        key = "SCHILY.acl.default";
    if (key == NULL)
        return false;
    struct buf text;
    buf_init(&text, PAX_MAX_BYTES);
    bool known = acl_text(x, &text);
    if (known)
        pax_record(pax, key, text.data, text.len);
    buf_release(&text);
    return known;
}

void pax_xattrs(struct buf *pax, const struct node *n)
{
    for (size_t i = 0; i < n->xattr_count; i++) {
        const struct node_xattr *x = &n->xattrs[i];
        if (strchr(x->name, '=') != NULL || pax_acl(pax, x)) /* the first cannot be said */
            continue;
        char *key = mem_printf("SCHILY.xattr.%s", x->name);
        pax_record(pax, key, x->value != NULL ? x->value : "", x->size);
        free(key);
    }
}
