/* Archives in pg_dump's custom format, written by the book (see source/postgres_archive.h), of any version. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/buf.h"

static inline void image_int(struct buf *b, int32_t v)
{
    uint32_t u = v < 0 ? (uint32_t)-v : (uint32_t)v;
    buf_append_byte(b, v < 0);
    for (int i = 0; i < 4; i++)
        buf_append_byte(b, (unsigned char)(u >> (8 * i)));
}

static inline void image_text(struct buf *b, const char *text)
{
    image_int(b, text != NULL ? (int32_t)strlen(text) : -1);
    if (text != NULL)
        buf_append_str(b, text);
}

/* minor: 12 to 16. compression: the level, or from 15 on the algorithm. */
static inline void image_head(struct buf *b, unsigned minor, int compression, int entries)
{
    buf_append_str(b, "PGDMP");
    const unsigned char fixed[] = {1, (unsigned char)minor, 0, 4, 8, 1};
    buf_append(b, fixed, sizeof fixed);
    if (minor >= 15)
        buf_append_byte(b, (unsigned char)compression);
    else
        image_int(b, compression);
    for (int i = 0; i < 7; i++)
        image_int(b, i + 1);
    image_text(b, "shop");
    image_text(b, "15.1");
    image_text(b, "15.2");
    image_int(b, entries);
}

struct image_entry {
    int32_t id;
    bool has_data;
    const char *tag, *kind, *copy, *schema;
    int dependencies;
};

static inline void image_entry(struct buf *b, unsigned minor, const struct image_entry *e)
{
    image_int(b, e->id);
    image_int(b, e->has_data);
    image_text(b, "1259");
    image_text(b, "16384");
    image_text(b, e->tag);
    image_text(b, e->kind);
    image_int(b, 3);
    image_text(b, "");
    image_text(b, NULL);
    image_text(b, e->copy);
    image_text(b, e->schema);
    image_text(b, NULL);
    if (minor >= 14)
        image_text(b, "heap");
    if (minor >= 16)
        image_int(b, 'r');
    image_text(b, "owner");
    image_text(b, "false");
    for (int i = 0; i < e->dependencies; i++)
        image_text(b, "214");
    image_text(b, NULL);
    buf_append_byte(b, e->has_data ? 1 : 3);
    buf_append(b, "\0\0\0\0\0\0\0\0", 8);
}

/* A table's block: each text is a piece. Ends with a NULL. */
static inline void image_block(struct buf *b, int32_t id, const char *const *pieces)
{
    buf_append_byte(b, 1);
    image_int(b, id);
    for (; *pieces != NULL; pieces++)
        image_text(b, *pieces);
    image_int(b, 0);
}

/* Large objects, each of one piece. */
static inline void image_objects(struct buf *b, int32_t id, const int32_t *oids, size_t count)
{
    buf_append_byte(b, 3);
    image_int(b, id);
    for (size_t i = 0; i < count; i++) {
        image_int(b, oids[i]);
        image_text(b, "a\nb\\.\n\n\n");
        image_int(b, 0);
    }
    image_int(b, 0);
}

#define IMAGE_COPY_END "\\.\n\n\n"

/* Two tables (3 rows and none), a view and two large objects. */
static inline void image_whole(struct buf *b, unsigned minor)
{
    static const struct image_entry entries[] = {
        {.id = 7, .tag = "ENCODING", .kind = "ENCODING"},
        {.id = 30, .has_data = true, .tag = "a table", .kind = "TABLE DATA", .copy = "COPY", .schema = "public"},
        {.id = 9, .tag = "a view", .kind = "VIEW", .schema = "public", .dependencies = 3},
        {.id = 20, .has_data = true, .tag = "empty", .kind = "TABLE DATA", .copy = "COPY", .schema = "other"},
        {.id = 40, .has_data = true, .tag = "BLOBS", .kind = "BLOBS"},
    };
    image_head(b, minor, 0, 5);
    for (size_t i = 0; i < 5; i++)
        image_entry(b, minor, &entries[i]);
    image_block(b, 30, (const char *const[]){"1\tx\n", "2\t", "y\n3\tz", "\n", "\\", ".\n\n\n", NULL});
    image_block(b, 20, (const char *const[]){IMAGE_COPY_END, NULL});
    image_objects(b, 40, (const int32_t[]){16400, 16401}, 2);
}
