/*
 * zip, written as a stream: contents are stored as they are, their checksum and size follow them in a data descriptor,
 * and the directory comes at the end. Whatever may not fit 32 bits is written in the zip64 way.
 *
 * Source: PKWARE APPNOTE 6.3.9, sections 4.3 to 4.5; Info-ZIP's extra fields "UT" (times) and "ux" (owner).
 */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "engine/archive.h"
#include "repo/quote.h"

enum {
    SIGNATURE_LOCAL = 0x04034b50,
    SIGNATURE_DESCRIPTOR = 0x08074b50,
    SIGNATURE_DIRECTORY = 0x02014b50,
    SIGNATURE_END64 = 0x06064b50,
    SIGNATURE_LOCATOR64 = 0x07064b50,
    SIGNATURE_END = 0x06054b50,
    FLAG_DESCRIPTOR = 1 << 3,
    FLAG_UTF8 = 1 << 11,
    VERSION_ZIP64 = 45,
    VERSION_MADE_BY = 3 << 8 | VERSION_ZIP64, /* 3: Unix */
};
static const uint64_t DIRECTORY_MAX_BYTES = UINT64_C(1) << 33;
static const uint32_t LIMIT32 = 0xffffffff;

struct zip {
    struct archive base;
    struct buf directory, record; /* record: the local header being made */
    uint64_t count;
    /* the entry that is open */
    struct buf name, extra;
    uint64_t header_offset, expected, size;
    uint32_t crc, external, dos_time;
    uint16_t flags;
    bool has_descriptor;
};

static uint32_t crc_table[8][256];

static void make_crc_table(void)
{
    if (crc_table[0][1] != 0)
        return;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xedb88320U : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc_table[k][i] = crc_table[k - 1][i] >> 8 ^ crc_table[0][crc_table[k - 1][i] & 255];
}

/* CRC-32 (ISO-HDLC), eight bytes a step. */
static uint32_t crc_add(uint32_t crc, const unsigned char *p, size_t len)
{
    crc = ~crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = crc_table[7][low & 255] ^ crc_table[6][low >> 8 & 255] ^ crc_table[5][low >> 16 & 255] ^
              crc_table[4][low >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^
              crc_table[0][p[7]];
    }
    for (; len > 0; p++, len--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 255];
    return ~crc;
}

static void put16(struct buf *b, uint32_t v)
{
    buf_append(b, (unsigned char[]){(unsigned char)v, (unsigned char)(v >> 8)}, 2);
}

static void put32(struct buf *b, uint32_t v)
{
    put16(b, v & 0xffff);
    put16(b, v >> 16);
}

static void put64(struct buf *b, uint64_t v)
{
    put32(b, (uint32_t)v);
    put32(b, (uint32_t)(v >> 32));
}

/* MS-DOS time: date in the upper half, two-second steps, 1980 … 2107, in local time. */
static uint32_t dos_time(const struct timespec *t)
{
    struct tm tm;
    if (localtime_r(&t->tv_sec, &tm) == NULL || tm.tm_year < 80)
        return 1U << 21 | 1U << 16;
    uint32_t year = tm.tm_year > 207 ? 127 : (uint32_t)tm.tm_year - 80;
    return year << 25 | (uint32_t)(tm.tm_mon + 1) << 21 | (uint32_t)tm.tm_mday << 16 | (uint32_t)tm.tm_hour << 11 |
           (uint32_t)tm.tm_min << 5 | (uint32_t)tm.tm_sec / 2;
}

static uint32_t unix_mode(const struct node *n)
{
    static const uint32_t TYPES[NODE_TYPE_COUNT] = {
        [NODE_FILE] = S_IFREG, [NODE_DIR] = S_IFDIR,     [NODE_SYMLINK] = S_IFLNK,
        [NODE_DEV] = S_IFBLK,  [NODE_CHARDEV] = S_IFCHR, [NODE_FIFO] = S_IFIFO};
    return TYPES[n->type] | (uint32_t)node_mode_to_permissions(n->mode);
}

static void make_extra(struct zip *z, const struct node *n)
{
    buf_clear(&z->extra);
    if (n->mtime.tv_sec >= INT32_MIN && n->mtime.tv_sec <= INT32_MAX) {
        put16(&z->extra, 0x5455);
        put16(&z->extra, 5);
        buf_append_byte(&z->extra, 1); /* only the modification time */
        put32(&z->extra, (uint32_t)n->mtime.tv_sec);
    }
    put16(&z->extra, 0x7875);
    put16(&z->extra, 11);
    buf_append_byte(&z->extra, 1);
    buf_append_byte(&z->extra, 4);
    put32(&z->extra, n->uid);
    buf_append_byte(&z->extra, 4);
    put32(&z->extra, n->gid);
}

/* The part that local headers and the directory share, from "flags" to "uncompressed size". */
static void put_common(const struct zip *z, struct buf *to, uint32_t crc, uint64_t size)
{
    put16(to, z->flags);
    put16(to, 0); /* stored */
    put32(to, z->dos_time);
    put32(to, crc);
    put32(to, size > LIMIT32 ? LIMIT32 : (uint32_t)size);
    put32(to, size > LIMIT32 ? LIMIT32 : (uint32_t)size);
}

static int write_local_header(struct zip *z, struct err *err)
{
    bool large = z->expected >= LIMIT32;
    buf_clear(&z->record);
    put32(&z->record, SIGNATURE_LOCAL);
    put16(&z->record, large ? VERSION_ZIP64 : 20);
    /* With a descriptor the sizes here are 0; the zip64 field only announces 64-bit sizes in it. */
    put_common(z, &z->record, 0, large ? UINT64_MAX : 0);
    put16(&z->record, (uint32_t)z->name.len);
    put16(&z->record, (uint32_t)z->extra.len + (large ? 20 : 0));
    buf_append(&z->record, z->name.data, z->name.len);
    if (large) {
        put16(&z->record, 1);
        put16(&z->record, 16);
        put64(&z->record, 0);
        put64(&z->record, 0);
    }
    buf_append(&z->record, z->extra.data, z->extra.len);
    return archive_put(&z->base, z->record.data, z->record.len, err);
}

static int zip_data(struct archive *a, const void *p, size_t len, struct err *err)
{
    struct zip *z = (struct zip *)a;
    if (len > z->expected - z->size)
        return err_set(err, ERR_CORRUPT, "its content is longer than the snapshot says");
    z->size += len;
    z->crc = crc_add(z->crc, p, len);
    return archive_put(a, p, len, err);
}

static int zip_begin(struct archive *a, const struct node *n, const char *path, const char *link_to, struct err *err)
{
    struct zip *z = (struct zip *)a;
    (void)link_to;
    if (n->type == NODE_SOCKET || n->type == NODE_IRREGULAR)
        return err_set(err, ERR_UNSUPPORTED, "a %s cannot be put into an archive", node_type_name(n->type));
    buf_clear(&z->name);
    buf_append_str(&z->name, path);
    if (n->type == NODE_DIR)
        buf_append_byte(&z->name, '/');
    if (z->name.len > 0xffff)
        return err_set(err, ERR_UNSUPPORTED, "its path is too long for a zip archive");
    make_extra(z, n);
    z->header_offset = a->offset;
    z->expected = n->type == NODE_FILE ? n->size : n->type == NODE_SYMLINK ? n->link_target_len : 0;
    z->size = 0;
    z->crc = 0;
    z->external = unix_mode(n) << 16 | (n->type == NODE_DIR ? 0x10 : 0);
    z->dos_time = dos_time(&n->mtime);
    z->has_descriptor = z->expected > 0;
    z->flags = z->has_descriptor ? FLAG_DESCRIPTOR : 0;
    if (quote_is_utf8((const char *)z->name.data, z->name.len))
        z->flags |= FLAG_UTF8;
    if (write_local_header(z, err) < 0)
        return -1;
    return n->type == NODE_SYMLINK ? zip_data(a, n->link_target, n->link_target_len, err) : 0;
}

static void put_directory_entry(struct zip *z)
{
    struct buf *d = &z->directory;
    bool large_size = z->size >= LIMIT32, large_offset = z->header_offset >= LIMIT32;
    uint32_t extra64 = (large_size ? 16 : 0) + (large_offset ? 8 : 0);
    put32(d, SIGNATURE_DIRECTORY);
    put16(d, VERSION_MADE_BY);
    put16(d, extra64 > 0 ? VERSION_ZIP64 : 20);
    put_common(z, d, z->crc, large_size ? UINT64_MAX : z->size);
    put16(d, (uint32_t)z->name.len);
    put16(d, (uint32_t)z->extra.len + (extra64 > 0 ? extra64 + 4 : 0));
    put16(d, 0); /* comment */
    put16(d, 0); /* disk */
    put16(d, 0); /* internal attributes */
    put32(d, z->external);
    put32(d, large_offset ? LIMIT32 : (uint32_t)z->header_offset);
    buf_append(d, z->name.data, z->name.len);
    if (extra64 > 0) {
        put16(d, 1);
        put16(d, extra64);
        for (int i = 0; i < 2 && large_size; i++)
            put64(d, z->size);
        if (large_offset)
            put64(d, z->header_offset);
    }
    buf_append(d, z->extra.data, z->extra.len);
}

static int zip_end(struct archive *a, struct err *err)
{
    struct zip *z = (struct zip *)a;
    if (z->size < z->expected)
        return err_set(err, ERR_CORRUPT, "its content is shorter than the snapshot says");
    put_directory_entry(z);
    z->count++;
    if (z->directory.overflow)
        return err_set(err, ERR_UNSUPPORTED, "too many entries for a zip archive");
    if (!z->has_descriptor)
        return 0;
    buf_clear(&z->record);
    put32(&z->record, SIGNATURE_DESCRIPTOR);
    put32(&z->record, z->crc);
    for (int i = 0; i < 2; i++) {
        if (z->expected >= LIMIT32)
            put64(&z->record, z->size);
        else
            put32(&z->record, (uint32_t)z->size);
    }
    return archive_put(a, z->record.data, z->record.len, err);
}

static int zip_finish(struct archive *a, struct err *err)
{
    struct zip *z = (struct zip *)a;
    uint64_t start = a->offset, len = z->directory.len;
    if (archive_put(a, z->directory.data, z->directory.len, err) < 0)
        return -1;
    uint64_t end64 = a->offset;
    bool large = start >= LIMIT32 || len >= LIMIT32 || z->count >= 0xffff;
    struct buf *b = &z->record;
    buf_clear(b);
    if (large) {
        put32(b, SIGNATURE_END64);
        put64(b, 44); /* length of what follows */
        put16(b, VERSION_MADE_BY);
        put16(b, VERSION_ZIP64);
        put64(b, 0); /* this disk, and the one where the directory starts */
        put64(b, z->count);
        put64(b, z->count);
        put64(b, len);
        put64(b, start);
        put32(b, SIGNATURE_LOCATOR64);
        put32(b, 0);
        put64(b, end64);
        put32(b, 1);
    }
    put32(b, SIGNATURE_END);
    put32(b, 0);
    put16(b, z->count >= 0xffff ? 0xffff : (uint32_t)z->count);
    put16(b, z->count >= 0xffff ? 0xffff : (uint32_t)z->count);
    put32(b, len >= LIMIT32 ? LIMIT32 : (uint32_t)len);
    put32(b, start >= LIMIT32 ? LIMIT32 : (uint32_t)start);
    put16(b, 0);
    return archive_put(a, b->data, b->len, err);
}

static void zip_free(struct archive *a)
{
    struct zip *z = (struct zip *)a;
    buf_release(&z->directory);
    buf_release(&z->record);
    buf_release(&z->name);
    buf_release(&z->extra);
    free(z);
}

static const struct archive_format ZIP = {
    .begin = zip_begin, .data = zip_data, .end = zip_end, .finish = zip_finish, .free = zip_free};

struct archive *archive_zip_new(archive_write_fn *write, void *ctx)
{
    make_crc_table();
    struct zip *z = mem_zalloc(sizeof *z);
    z->base = (struct archive){.format = &ZIP, .write = write, .write_ctx = ctx};
    buf_init(&z->directory, DIRECTORY_MAX_BYTES);
    buf_init(&z->record, 1 << 20);
    buf_init(&z->name, 1 << 20);
    buf_init(&z->extra, 1 << 10);
    return &z->base;
}
