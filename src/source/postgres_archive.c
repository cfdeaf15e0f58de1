/*
 * A machine that is fed bytes in any portions. At any time it either collects a few bytes of a known number (`need`)
 * into `small`, or passes over a run of bytes (`run`), keeping a name or counting lines in it; `at` says what for.
 *
 * Invariants:
 * - entries are in the order of the stream until the table of contents is complete, then sorted by id;
 * - `open` is the entry whose block is being read, NULL between blocks; the stream may end only then.
 */
#include "source/postgres_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
    INT_BYTES = 4,
    FORMAT_CUSTOM = 1,
    BLOCK_DATA = 1,
    BLOCK_OBJECTS = 3,
    NAME_BYTES_MAX = 4096, /* longer ones are cut: no name of PostgreSQL's is that long */
    ENTRIES_MAX = PG_TABLES_MAX,
    VERSION_MIN = 12,
    VERSION_MAX = 16,
    TAIL_BYTES = 5,
};

/* How a table's data ends. */
static const char COPY_END[TAIL_BYTES] = {'\\', '.', '\n', '\n', '\n'};
enum { COPY_END_LINES = 3 };

/* What comes next. FIELD: a letter of a program, see below. */
enum place { AT_HEAD, AT_FIELD, AT_TEXT, AT_BLOCK, AT_BLOCK_ID, AT_OBJECT, AT_PIECE, AT_BYTES, AT_UNKNOWN };

/* One letter a field: i INT, b byte, s STR, d the entry's id, h whether it has data, t tag, k kind, c copy statement,
 * n schema, p what it depends on, o state and offset, e the number of entries. */
static const char HEAD_OLD[] = "iiiiiiiissse", HEAD[] = "biiiiiiissse";
static const char ENTRY_12[] = "dhsstkisscnssspo", ENTRY_14[] = "dhsstkisscnsssspo", ENTRY_16[] = "dhsstkisscnssisspo";

struct entry {
    uint64_t rows;
    const char *schema, *name; /* of a table with COPY data, else NULL */
    int32_t id;
    bool seen;
    bool counted; /* rows holds them */
};

struct pg_archive {
    enum place at;
    unsigned char small[16];
    size_t have, need;
    uint64_t run; /* bytes that are passed over */
    unsigned version, offset_bytes;
    bool known, compressed, whole_head;

    const char *program, *field;
    uint32_t entries_left;
    /* of the entry that is being read */
    int32_t id;
    bool has_data, has_copy, is_table, text_is_null;
    struct buf text, tag, schema;

    struct entry *entries, *open;
    size_t count, cap;
    struct arena names;

    bool in_objects; /* the open block holds large objects */
    uint64_t lines;  /* in the open block's data */
    unsigned char tail[TAIL_BYTES];
    uint64_t fed;
    struct pg_rows rows;
};

struct pg_archive *pg_archive_new(void)
{
    struct pg_archive *a = mem_zalloc(sizeof *a);
    a->at = AT_HEAD;
    a->need = PG_ARCHIVE_HEAD_BYTES;
    a->known = true;
    buf_init(&a->text, NAME_BYTES_MAX);
    buf_init(&a->tag, NAME_BYTES_MAX);
    buf_init(&a->schema, NAME_BYTES_MAX);
    arena_init(&a->names);
    return a;
}

void pg_archive_free(struct pg_archive *a)
{
    if (a == NULL)
        return;
    buf_release(&a->text);
    buf_release(&a->tag);
    buf_release(&a->schema);
    arena_release(&a->names);
    pg_rows_release(&a->rows);
    free(a->entries);
    free(a);
}

bool pg_archive_is_known(const struct pg_archive *a)
{
    return a->known;
}

const unsigned char *pg_archive_head(const struct pg_archive *a)
{
    return a->small; /* nothing is collected behind it in an archive that is not known */
}

void pg_archive_version(const struct pg_archive *a, char *out, size_t cap)
{
    snprintf(out, cap, "%u.%u", a->version >> 8, a->version & 0xff);
}

void pg_archive_take_rows(struct pg_archive *a, struct pg_rows *out)
{
    *out = a->rows;
    a->rows = (struct pg_rows){0};
}

static int damaged(const struct pg_archive *a, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the dump is damaged at byte %" PRIu64 ": %s", a->fed, what);
}

/* A number of the archive's: sign, then the lowest byte first. */
static int32_t number(const unsigned char *p)
{
    uint32_t v = (uint32_t)p[1] | (uint32_t)p[2] << 8 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 24;
    v &= INT32_MAX; /* no number of an archive's is larger */
    return p[0] != 0 ? -(int32_t)v : (int32_t)v;
}

static void collect(struct pg_archive *a, enum place at, size_t need)
{
    a->at = at;
    a->have = 0;
    a->need = need;
}

static void next_block(struct pg_archive *a)
{
    a->open = NULL;
    collect(a, AT_BLOCK, 1);
}

/* ---------------------------------------------------------------------------------------------- head and entries */

static void next_field(struct pg_archive *a)
{
    char kind = *a->field;
    collect(a, AT_FIELD, kind == 'b' ? 1 : kind == 'o' ? 1 + (size_t)a->offset_bytes : 1 + INT_BYTES);
}

static void begin_entry(struct pg_archive *a)
{
    unsigned minor = a->version & 0xff;
    a->program = a->field = minor >= 16 ? ENTRY_16 : minor >= 14 ? ENTRY_14 : ENTRY_12;
    a->id = 0;
    a->has_data = a->has_copy = a->is_table = false;
    buf_clear(&a->tag);
    buf_clear(&a->schema);
    next_field(a);
}

static int compare_ids(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    return (a->id > b->id) - (a->id < b->id);
}

static int end_contents(struct pg_archive *a, struct err *err)
{
    if (a->count > 1)
        qsort(a->entries, a->count, sizeof *a->entries, compare_ids);
    for (size_t i = 1; i < a->count; i++)
        if (a->entries[i].id == a->entries[i - 1].id)
            return damaged(a, err, "two entries have the same number");
    a->whole_head = true;
    next_block(a);
    return 0;
}

static int keep_entry(struct pg_archive *a, struct err *err)
{
    if (a->count >= ENTRIES_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the dump has more than %d entries with data", ENTRIES_MAX);
    if (a->count == a->cap) {
        a->cap = a->cap == 0 ? 64 : a->cap * 2;
        a->entries = mem_array(a->entries, a->cap, sizeof *a->entries);
    }
    struct entry *e = &a->entries[a->count++];
    *e = (struct entry){.id = a->id};
    if (a->is_table && a->has_copy && !a->compressed) {
        e->schema = arena_strndup(&a->names, buf_cstr(&a->schema), a->schema.len);
        e->name = arena_strndup(&a->names, buf_cstr(&a->tag), a->tag.len);
    }
    return 0;
}

static int end_entry(struct pg_archive *a, struct err *err)
{
    if (a->has_data && keep_entry(a, err) != 0)
        return -1;
    if (--a->entries_left > 0) {
        begin_entry(a);
        return 0;
    }
    return end_contents(a, err);
}

static int after_field(struct pg_archive *a, struct err *err)
{
    if (*++a->field == '\0')
        return end_entry(a, err);
    next_field(a);
    return 0;
}

static int end_head(struct pg_archive *a, int32_t entries, struct err *err)
{
    if (entries <= 0)
        return damaged(a, err, "it has no table of contents");
    a->entries_left = (uint32_t)entries;
    begin_entry(a);
    return 0;
}

/* A text was passed over; what was asked for is in a->text. */
static int take_text(struct pg_archive *a, struct err *err)
{
    static const char table[] = "TABLE DATA";
    switch (*a->field) {
    case 't':
        buf_append(&a->tag, a->text.data, a->text.len);
        break;
    case 'n':
        buf_append(&a->schema, a->text.data, a->text.len);
        break;
    case 'k':
        a->is_table = a->text.len == sizeof table - 1 && memcmp(a->text.data, table, sizeof table - 1) == 0;
        break;
    case 'c':
        a->has_copy = !a->text_is_null;
        break;
    case 'p': /* one of several, until a null */
        if (!a->text_is_null) {
            next_field(a);
            return 0;
        }
        break;
    default:
        break;
    }
    return after_field(a, err);
}

static int take_field(struct pg_archive *a, struct err *err)
{
    if (strchr("bo", *a->field) != NULL) {
        if (*a->field == 'b')
            a->compressed = a->small[0] != 0;
        return after_field(a, err);
    }
    int32_t v = number(a->small);
    switch (*a->field) {
    case 'e':
        return end_head(a, v, err);
    case 'i':
        if (a->program == HEAD_OLD && a->field == a->program)
            a->compressed = v != 0;
        return after_field(a, err);
    case 'd':
        if (v <= 0)
            return damaged(a, err, "an entry has no number");
        a->id = v;
        return after_field(a, err);
    case 'h':
        a->has_data = v != 0;
        return after_field(a, err);
    default: /* texts */
        if (v < -1)
            return damaged(a, err, "a text of a negative length");
        a->text_is_null = v < 0;
        buf_clear(&a->text);
        a->run = v > 0 ? (uint32_t)v : 0;
        a->at = AT_TEXT;
        return a->run == 0 ? take_text(a, err) : 0;
    }
}

static int take_head(struct pg_archive *a, struct err *err)
{
    const unsigned char *p = a->small;
    if (memcmp(p, "PGDMP", 5) != 0)
        return damaged(a, err, "it does not begin as one of pg_dump's");
    a->version = (unsigned)p[5] << 8 | p[6];
    if (a->version < (1 << 8 | VERSION_MIN))
        return err_set(err, ERR_UNSUPPORTED, "the dump is of version %u.%u, which is too old", p[5], p[6]);
    a->known = a->version <= (1 << 8 | VERSION_MAX);
    if (!a->known) {
        a->at = AT_UNKNOWN;
        return 0;
    }
    if (p[8] != INT_BYTES || p[9] < 1 || p[9] > 8 || p[10] != FORMAT_CUSTOM)
        return damaged(a, err, "its header makes no sense");
    a->offset_bytes = p[9];
    a->program = a->field = p[6] >= 15 ? HEAD : HEAD_OLD;
    next_field(a);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ blocks
 */

static int open_block(struct pg_archive *a, struct err *err)
{
    struct entry key = {.id = number(a->small)};
    struct entry *e = a->count > 0 ? bsearch(&key, a->entries, a->count, sizeof key, compare_ids) : NULL;
    if (e == NULL)
        return damaged(a, err, "a block of data that the table of contents does not name");
    if (e->seen)
        return damaged(a, err, "the same block of data twice");
    e->seen = true;
    a->open = e;
    a->lines = 0;
    memset(a->tail, 0, sizeof a->tail);
    collect(a, a->in_objects ? AT_OBJECT : AT_PIECE, 1 + INT_BYTES);
    return 0;
}

static int end_pieces(struct pg_archive *a, struct err *err)
{
    struct entry *e = a->open;
    if (a->in_objects) {
        collect(a, AT_OBJECT, 1 + INT_BYTES);
        return 0;
    }
    if (e->name != NULL) {
        if (memcmp(a->tail, COPY_END, TAIL_BYTES) != 0 || a->lines < COPY_END_LINES)
            return damaged(a, err, "a table's data stops short");
        e->rows = a->lines - COPY_END_LINES;
        e->counted = true;
    }
    next_block(a);
    return 0;
}

static int take_piece(struct pg_archive *a, struct err *err)
{
    int32_t len = number(a->small);
    if (len < 0)
        return damaged(a, err, "a piece of data of a negative length");
    if (len == 0)
        return end_pieces(a, err);
    a->run = (uint32_t)len;
    a->at = AT_BYTES;
    return 0;
}

static void keep_tail(struct pg_archive *a, const unsigned char *p, size_t len)
{
    if (len >= TAIL_BYTES) {
        memcpy(a->tail, p + len - TAIL_BYTES, TAIL_BYTES);
        return;
    }
    memmove(a->tail, a->tail + len, TAIL_BYTES - len);
    memcpy(a->tail + TAIL_BYTES - len, p, len);
}

static void count_lines(struct pg_archive *a, const unsigned char *p, size_t len)
{
    keep_tail(a, p, len);
    for (const unsigned char *end = p + len; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        a->lines++;
}

/* ----------------------------------------------------------------------------------------------------- the machine */

/* What was collected is complete. */
static int take_small(struct pg_archive *a, struct err *err)
{
    switch (a->at) {
    case AT_HEAD:
        return take_head(a, err);
    case AT_FIELD:
        return take_field(a, err);
    case AT_BLOCK:
        if (a->small[0] != BLOCK_DATA && a->small[0] != BLOCK_OBJECTS)
            return damaged(a, err, "a block of no known kind");
        a->in_objects = a->small[0] == BLOCK_OBJECTS;
        collect(a, AT_BLOCK_ID, 1 + INT_BYTES);
        return 0;
    case AT_BLOCK_ID:
        return open_block(a, err);
    case AT_OBJECT: {
        bool end = a->small[1] == 0 && a->small[2] == 0 && a->small[3] == 0 && a->small[4] == 0;
        if (end)
            next_block(a);
        else
            collect(a, AT_PIECE, 1 + INT_BYTES);
        return 0;
    }
    default:
        return take_piece(a, err);
    }
}

/* A portion of a run. */
static int take_run(struct pg_archive *a, const unsigned char *p, size_t len, struct err *err)
{
    a->run -= len;
    if (a->at == AT_BYTES) {
        if (a->open->name != NULL)
            count_lines(a, p, len);
        if (a->run == 0)
            collect(a, AT_PIECE, 1 + INT_BYTES);
        return 0;
    }
    if (strchr("tkn", *a->field) != NULL) {
        size_t room = NAME_BYTES_MAX - a->text.len;
        buf_append(&a->text, p, len < room ? len : room);
    }
    return a->run == 0 ? take_text(a, err) : 0;
}

int pg_archive_feed(struct pg_archive *a, const void *bytes, size_t len, struct err *err)
{
    const unsigned char *p = bytes;
    while (len > 0 && a->at != AT_UNKNOWN) {
        bool running = a->at == AT_TEXT || a->at == AT_BYTES;
        uint64_t wanted = running ? a->run : a->need - a->have;
        size_t n = wanted < len ? (size_t)wanted : len;
        a->fed += n;
        if (running) {
            if (take_run(a, p, n, err) != 0)
                return -1;
        } else {
            memcpy(a->small + a->have, p, n);
            a->have += n;
            if (a->have == a->need && take_small(a, err) != 0)
                return -1;
        }
        p += n;
        len -= n;
    }
    a->fed += len;
    return 0;
}

int pg_archive_end(struct pg_archive *a, struct err *err)
{
    if (a->fed == 0)
        return err_set(err, ERR_CORRUPT, "the dump is empty");
    if (a->at == AT_UNKNOWN)
        return 0;
    if (!a->whole_head || a->at != AT_BLOCK)
        return damaged(a, err, "it stops in the middle");
    for (size_t i = 0; i < a->count; i++) {
        const struct entry *e = &a->entries[i];
        if (!e->seen)
            return err_set(err, ERR_CORRUPT,
                           "the dump has no data for the entry %" PRId32 " (%s) of its table of contents", e->id,
                           e->name != NULL ? e->name : "large objects");
        if (e->counted && pg_rows_add(&a->rows, e->schema, e->name, e->rows, err) != 0)
            return -1;
    }
    pg_rows_sort(&a->rows);
    return 0;
}
