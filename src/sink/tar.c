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
#include "sink/tar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "base/buf.h"
#include "base/mem.h"
#include "sink/tar_pax.h"

enum { RECORD_BYTES = 10240, MAP_MAX_BYTES = 64 << 20 };

struct tar {
    tar_write_fn *write;
    void *ctx;
    uint64_t bytes; /* written */
    struct buf pax;
    uint64_t left;    /* of the entry's content */
    unsigned padding; /* after it */
};

static const char ZEROS[RECORD_BYTES];

static int put(struct tar *t, const void *p, size_t len, struct err *err)
{
    t->bytes += len;
    return len > 0 ? t->write(t->ctx, p, len, err) : 0;
}

static unsigned padding_of(uint64_t bytes)
{
    return (unsigned)((TAR_BLOCK_BYTES - bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES);
}

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

static void put_checksum(unsigned char header[TAR_BLOCK_BYTES])
{
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += header[i];
    put_octal(header + 148, 7, sum);
}

/* The fields that both headers of an entry have. */
static void begin_header(unsigned char header[TAR_BLOCK_BYTES], const char *name, char type)
{
    memset(header, 0, TAR_BLOCK_BYTES);
    put_text(header, 100, name);
    header[156] = (unsigned char)type;
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t at = 100; at < 148; at += at < 124 ? 8 : 12)
        put_octal(header + at, at < 124 ? 8 : 12, 0);
}

static int write_pax(struct tar *t, struct err *err)
{
    unsigned char header[TAR_BLOCK_BYTES];
    if (t->pax.overflow) {
        buf_shrink(&t->pax, 0);
        return err_set(err, ERR_UNSUPPORTED, "its extended attributes are too large for an archive");
    }
    if (t->pax.len == 0)
        return 0;
    begin_header(header, "././@PaxHeader", 'x');
    put_octal(header + 100, 8, 0644);
    put_octal(header + 124, 12, t->pax.len);
    put_checksum(header);
    if (put(t, header, sizeof header, err) < 0 || put(t, t->pax.data, t->pax.len, err) < 0 ||
        put(t, ZEROS, padding_of(t->pax.len), err) < 0)
        return -1;
    buf_shrink(&t->pax, 64 << 10);
    buf_clear(&t->pax);
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
        pax_time(pax, "mtime", t);
}

/* All of a header but the name and the checksum. bytes: of what follows the header. */
static void fill_header(struct tar *t, unsigned char *header, const struct node *n, uint64_t bytes)
{
    put_octal(header + 100, 8, node_mode_to_permissions(n->mode));
    put_owner(header, &t->pax, n);
    put_time(header, &t->pax, &n->mtime);
    if (!put_octal(header + 124, 12, bytes))
        pax_number(&t->pax, "size", bytes);
    t->left = bytes;
    t->padding = padding_of(bytes);
    if (n->type == NODE_DEV || n->type == NODE_CHARDEV) {
        put_octal(header + 329, 8, major(n->device));
        put_octal(header + 337, 8, minor(n->device));
    }
    pax_xattrs(&t->pax, n);
    put_checksum(header);
}

int tar_begin(struct tar *t, const struct node *n, const char *path, const char *link_to, struct err *err)
{
    unsigned char header[TAR_BLOCK_BYTES];
    char type = type_flag(n, link_to != NULL);
    if (type == '\0')
        return err_set(err, ERR_UNSUPPORTED, "a %s cannot be put into an archive", node_type_name(n->type));
    buf_clear(&t->pax);
    char *name = mem_printf(n->type == NODE_DIR ? "%s/" : "%s", path);
    begin_header(header, "", type);
    if (!put_text(header, 100, name))
        pax_text(&t->pax, "path", name);
    free(name);
    const char *target = link_to != NULL ? link_to : n->type == NODE_SYMLINK ? n->link_target : "";
    if (!put_text(header + 157, 100, target))
        pax_text(&t->pax, "linkpath", target);
    fill_header(t, header, n, type == '0' ? n->size : 0);
    return write_pax(t, err) < 0 ? -1 : put(t, header, sizeof header, err);
}

/* "COUNT\n", then "OFFSET\n" and "SIZE\n" of each, padded to whole blocks. The last one says where the file ends. */
static void make_map(struct buf *map, const struct tar_segment *segments, size_t count, uint64_t size)
{
    bool ends_in_hole = count == 0 || segments[count - 1].offset + segments[count - 1].bytes < size;
    buf_printf(map, "%zu\n", count + ends_in_hole);
    for (size_t i = 0; i < count; i++)
        buf_printf(map, "%llu\n%llu\n", (unsigned long long)segments[i].offset, (unsigned long long)segments[i].bytes);
    if (ends_in_hole)
        buf_printf(map, "%llu\n0\n", (unsigned long long)size);
    buf_append(map, ZEROS, padding_of(map->len));
}

/* What a program that knows nothing of sparse files would call it: GNU's way, but for the number of a process. */
static char *sparse_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    int dir_len = slash != NULL ? (int)(slash + 1 - path) : 0;
    return mem_printf("%.*sGNUSparseFile.0/%s", dir_len, path, path + dir_len);
}

int tar_begin_sparse(struct tar *t, const struct node *n, const char *path, const struct tar_segment *segments,
                     size_t count, struct err *err)
{
    unsigned char header[TAR_BLOCK_BYTES];
    struct buf map;
    uint64_t content = 0;
    for (size_t i = 0; i < count; i++)
        content += segments[i].bytes;
    buf_clear(&t->pax);
    pax_number(&t->pax, "GNU.sparse.major", 1);
    pax_number(&t->pax, "GNU.sparse.minor", 0);
    pax_text(&t->pax, "GNU.sparse.name", path);
    pax_number(&t->pax, "GNU.sparse.realsize", n->size);
    buf_init(&map, MAP_MAX_BYTES);
    make_map(&map, segments, count, n->size);
    char *name = sparse_name(path);
    begin_header(header, "", '0');
    if (!put_text(header, 100, name))
        pax_text(&t->pax, "path", name);
    free(name);
    fill_header(t, header, n, map.len + content);
    int rc = map.overflow ? err_set(err, ERR_UNSUPPORTED, "it has too many holes for an archive") : 0;
    if (rc == 0 && (write_pax(t, err) < 0 || put(t, header, sizeof header, err) < 0))
        rc = -1;
    if (rc == 0)
        rc = tar_data(t, map.data, map.len, err);
    buf_release(&map);
    return rc;
}

int tar_data(struct tar *t, const void *p, size_t len, struct err *err)
{
    if (len > t->left)
        return err_set(err, ERR_CORRUPT, "its content is longer than announced");
    t->left -= len;
    return put(t, p, len, err);
}

int tar_end(struct tar *t, struct err *err)
{
    if (t->left > 0)
        return err_set(err, ERR_CORRUPT, "its content is shorter than announced");
    return put(t, ZEROS, t->padding, err);
}

/* Two empty blocks, then up to a full record, as tape drives and their programs wanted it. */
int tar_finish(struct tar *t, struct err *err)
{
    if (put(t, ZEROS, (size_t)2 * TAR_BLOCK_BYTES, err) < 0)
        return -1;
    return put(t, ZEROS, (size_t)((RECORD_BYTES - t->bytes % RECORD_BYTES) % RECORD_BYTES), err);
}

uint64_t tar_bytes(const struct tar *t)
{
    return t->bytes;
}

uint64_t tar_data_left(const struct tar *t)
{
    return t->left;
}

bool tar_can_hold(enum node_type type)
{
    return type != NODE_SOCKET && type != NODE_IRREGULAR && type < NODE_TYPE_COUNT;
}

struct tar *tar_new(tar_write_fn *write, void *ctx)
{
    struct tar *t = mem_zalloc(sizeof *t);
    t->write = write;
    t->ctx = ctx;
    buf_init(&t->pax, PAX_MAX_BYTES);
    return t;
}

void tar_free(struct tar *t)
{
    if (t == NULL)
        return;
    buf_release(&t->pax);
    free(t);
}
