/*
 * tar: for each entry, a pax header with what the old header cannot say, then the old header:
 *
 *     OFFSET  SIZE  FIELD                OFFSET  SIZE  FIELD
 *     0       100   name                 257     8     "ustar\0" "00"
 *     100     8     mode                 265     32    user name
 *     108     8     uid                  297     32    group name
 *     116     8     gid                  329     8     device major
 *     124     12    size                 337     8     device minor
 *     136     12    mtime                345     155   prefix of name
 *     148     8     checksum
 *     156     1     type
 *     157     100   link name
 *
 * Numbers are octal text. Source: POSIX.1-2017, pax, "pax Interchange Format".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "base/buf.h"
#include "base/mem.h"
#include "engine/archive.h"

enum { BLOCK_BYTES = 512, RECORD_BYTES = 10240, PAX_MAX_BYTES = 64 << 20 };

struct tar {
    struct archive base;
    struct buf pax;
    uint64_t left; /* of the entry's content */
    uint64_t size;
};

static const char ZEROS[RECORD_BYTES];

/* Octal, zero-padded, NUL-terminated. False when it does not fit. */
static bool put_octal(unsigned char *field, size_t width, uint64_t value)
{
    field[width - 1] = '\0';
    for (size_t i = width - 1; i-- > 0; value >>= 3)
        field[i] = (unsigned char)('0' + (value & 7));
    return value == 0;
}

static bool put_text(unsigned char *field, size_t width, const char *text)
{
    size_t len = strlen(text);
    memcpy(field, text, len < width ? len : width);
    return len <= width;
}

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

static void pax_text(struct buf *pax, const char *key, const char *value)
{
    pax_record(pax, key, value, strlen(value));
}

static void pax_time(struct buf *pax, const struct timespec *t)
{
    /* -1.25 is two seconds before the epoch and 750,000,000 ns. */
    bool negative = t->tv_sec < 0;
    long long seconds = negative ? -((long long)t->tv_sec + (t->tv_nsec > 0)) : (long long)t->tv_sec;
    long fraction = negative && t->tv_nsec > 0 ? 1000000000 - t->tv_nsec : t->tv_nsec;
    char text[48];
    snprintf(text, sizeof text, "%s%lld.%09ld", negative ? "-" : "", seconds, fraction);
    pax_text(pax, "mtime", text);
}

static void pax_number(struct buf *pax, const char *key, uint64_t value)
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

static void pax_xattrs(struct buf *pax, const struct node *n)
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

static char type_flag(const struct node *n, bool is_link)
{
    if (is_link)
        return '1';
    switch (n->type) {
    case NODE_FILE:
        return '0';
    case NODE_SYMLINK:
        return '2';
    case NODE_CHARDEV:
        return '3';
    case NODE_DEV:
        return '4';
    case NODE_DIR:
        return '5';
    case NODE_FIFO:
        return '6';
    default:
        return '\0';
    }
}

static void put_checksum(unsigned char header[BLOCK_BYTES])
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        sum += header[i];
    put_octal(header + 148, 7, sum);
}

/* The fields that both headers of an entry have. */
static void begin_header(unsigned char header[BLOCK_BYTES], const char *name, char type)
{
    memset(header, 0, BLOCK_BYTES);
    put_text(header, 100, name);
    header[156] = (unsigned char)type;
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t at = 100; at < 148; at += at < 124 ? 8 : 12)
        put_octal(header + at, at < 124 ? 8 : 12, 0);
}

static int write_pax(struct tar *t, struct err *err)
{
    unsigned char header[BLOCK_BYTES];
    if (t->pax.len == 0)
        return 0;
    if (t->pax.overflow)
        return err_set(err, ERR_UNSUPPORTED, "its extended attributes are too large for an archive");
    begin_header(header, "././@PaxHeader", 'x');
    put_octal(header + 100, 8, 0644);
    put_octal(header + 124, 12, t->pax.len);
    put_checksum(header);
    size_t padding = (BLOCK_BYTES - t->pax.len % BLOCK_BYTES) % BLOCK_BYTES;
    if (archive_put(&t->base, header, sizeof header, err) < 0 ||
        archive_put(&t->base, t->pax.data, t->pax.len, err) < 0 || archive_put(&t->base, ZEROS, padding, err) < 0)
        return -1;
    buf_shrink(&t->pax, 64 << 10);
    return 0;
}

static void put_owner(unsigned char *header, struct buf *pax, const struct node *n)
{
    if (!put_octal(header + 108, 8, n->uid))
        pax_number(pax, "uid", n->uid);
    if (!put_octal(header + 116, 8, n->gid))
        pax_number(pax, "gid", n->gid);
    if (n->user != NULL && !put_text(header + 265, 31, n->user))
        pax_text(pax, "uname", n->user);
    if (n->group != NULL && !put_text(header + 297, 31, n->group))
        pax_text(pax, "gname", n->group);
}

static void put_time(unsigned char *header, struct buf *pax, const struct timespec *t)
{
    bool fits = t->tv_sec >= 0 && put_octal(header + 136, 12, (uint64_t)t->tv_sec);
    if (!fits)
        put_octal(header + 136, 12, 0);
    if (!fits || t->tv_nsec != 0)
        pax_time(pax, t);
}

static int tar_begin(struct archive *a, const struct node *n, const char *path, const char *link_to, struct err *err)
{
    struct tar *t = (struct tar *)a;
    char type = type_flag(n, link_to != NULL);
    if (type == '\0')
        return err_set(err, ERR_UNSUPPORTED, "a %s cannot be put into an archive", node_type_name(n->type));
    unsigned char header[BLOCK_BYTES];
    char *name = mem_printf(n->type == NODE_DIR ? "%s/" : "%s", path);
    begin_header(header, "", type);
    if (!put_text(header, 100, name))
        pax_text(&t->pax, "path", name);
    free(name);
    const char *target = link_to != NULL ? link_to : n->type == NODE_SYMLINK ? n->link_target : "";
    if (!put_text(header + 157, 100, target))
        pax_text(&t->pax, "linkpath", target);
    put_octal(header + 100, 8, node_mode_to_permissions(n->mode));
    put_owner(header, &t->pax, n);
    put_time(header, &t->pax, &n->mtime);
    t->size = t->left = type == '0' ? n->size : 0;
    if (!put_octal(header + 124, 12, t->size))
        pax_number(&t->pax, "size", t->size);
    if (type == '3' || type == '4') {
        put_octal(header + 329, 8, major(n->device));
        put_octal(header + 337, 8, minor(n->device));
    }
    pax_xattrs(&t->pax, n);
    put_checksum(header);
    if (write_pax(t, err) < 0)
        return -1;
    return archive_put(a, header, sizeof header, err);
}

static int tar_data(struct archive *a, const void *p, size_t len, struct err *err)
{
    struct tar *t = (struct tar *)a;
    if (len > t->left)
        return err_set(err, ERR_CORRUPT, "its content is longer than the snapshot says");
    t->left -= len;
    return archive_put(a, p, len, err);
}

static int tar_end(struct archive *a, struct err *err)
{
    struct tar *t = (struct tar *)a;
    if (t->left > 0)
        return err_set(err, ERR_CORRUPT, "its content is shorter than the snapshot says");
    return archive_put(a, ZEROS, (size_t)((BLOCK_BYTES - t->size % BLOCK_BYTES) % BLOCK_BYTES), err);
}

/* Two empty blocks, then up to a full record, as tape drives and their programs wanted it. */
static int tar_finish(struct archive *a, struct err *err)
{
    if (archive_put(a, ZEROS, (size_t)2 * BLOCK_BYTES, err) < 0)
        return -1;
    return archive_put(a, ZEROS, (size_t)((RECORD_BYTES - a->offset % RECORD_BYTES) % RECORD_BYTES), err);
}

static void tar_free(struct archive *a)
{
    struct tar *t = (struct tar *)a;
    buf_release(&t->pax);
    free(t);
}

static const struct archive_format TAR = {
    .hard_links = true, .begin = tar_begin, .data = tar_data, .end = tar_end, .finish = tar_finish, .free = tar_free};

struct archive *archive_tar_new(archive_write_fn *write, void *ctx)
{
    struct tar *t = mem_zalloc(sizeof *t);
    t->base = (struct archive){.format = &TAR, .write = write, .write_ctx = ctx};
    buf_init(&t->pax, PAX_MAX_BYTES);
    return &t->base;
}
