/*
 * Invariants:
 * - `crc` is of all bytes fed so far that are known not to be the checksum;
 * - while the structure is not followed, the last RDB_TRAILER_BYTES (if there were as many) are in `gathered` and not
 * yet in `crc`, and `last` is the byte before them.
 */
#include "source/rdb.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "source/rdb_crc.h"
#include "source/rdb_scan.h"

enum {
    MAGIC_BYTES = 9,
    VERSION_KNOWN = 14,        /* of Redis: every type and opcode up to this one is in rdb_grammar.c */
    VERSION_KNOWN_VALKEY = 81, /* the same of Valkey */
    FIRST_WITH_CHECKSUM = 5,
};
_Static_assert((int)RDB_AUX_BYTES == (int)RDB_SCAN_KEPT_BYTES, "what is kept is copied as it is");

enum phase { PHASE_MAGIC, PHASE_CODE, PHASE_KEY, PHASE_RECORD, PHASE_TRAILER, PHASE_END, PHASE_BLIND };

struct rdb_check {
    struct rdb_facts facts;
    enum phase phase;
    struct rdb_scan scan;
    unsigned code; /* of the record */
    const char *pattern;
    bool expires; /* the key that comes next does */
    struct rdb_database *database;
    unsigned char gathered[MAGIC_BYTES]; /* magic; trailer */
    unsigned have;
    uint64_t crc;
    unsigned char last; /* the last byte that went into crc */
    bool followed;
    unsigned unknown_code;
};

struct rdb_check *rdb_check_new(void)
{
    struct rdb_check *c = mem_zalloc(sizeof *c);
    c->followed = true;
    return c;
}

struct rdb_check *rdb_check_copy(const struct rdb_check *c)
{
    struct rdb_check *copy = mem_copy(c, sizeof *c);
    if (c->database != NULL)
        copy->database = copy->facts.databases + (c->database - c->facts.databases);
    return copy;
}

void rdb_check_free(struct rdb_check *c)
{
    free(c);
}

bool rdb_check_at_end(const struct rdb_check *c)
{
    return c->phase == PHASE_END;
}

bool rdb_is_followed(const struct rdb_check *c)
{
    return c->followed;
}

unsigned rdb_unknown_code(const struct rdb_check *c)
{
    return c->unknown_code;
}

const struct rdb_facts *rdb_check_facts(const struct rdb_check *c)
{
    return &c->facts;
}

/* ---- facts */

static struct rdb_database *find_database(struct rdb_facts *f, uint64_t number)
{
    for (unsigned i = 0; i < f->database_count; i++)
        if (f->databases[i].number == number)
            return &f->databases[i];
    if (f->database_count == RDB_DATABASES_KEPT)
        return NULL;
    struct rdb_database *d = &f->databases[f->database_count++];
    *d = (struct rdb_database){.number = number};
    return d;
}

static void note_key(struct rdb_check *c)
{
    if (c->facts.keys == 0 && c->database == NULL)
        c->database = find_database(&c->facts, 0);
    c->facts.keys++;
    if (c->database != NULL) {
        c->database->keys++;
        c->database->expires += c->expires;
    }
    c->expires = false;
}

static void note_aux(struct rdb_check *c)
{
    const char *name = c->scan.kept[0], *value = c->scan.kept[1];
    if (strcmp(name, "redis-ver") == 0 || strcmp(name, "valkey-ver") == 0)
        memcpy(c->facts.server_version, value, RDB_AUX_BYTES);
    else if (strcmp(name, "ctime") == 0)
        c->facts.created_s = strtoull(value, NULL, 10);
}

static void note_record(struct rdb_check *c)
{
    switch (c->code) {
    case RDB_OP_AUX:
        note_aux(c);
        break;
    case RDB_OP_SELECT:
        c->database = find_database(&c->facts, c->scan.number);
        break;
    case RDB_OP_EXPIRES_MS:
    case RDB_OP_EXPIRES_S:
        c->expires = true;
        break;
    case RDB_OP_FUNCTION:
        c->facts.functions++;
        break;
    case RDB_OP_MODULE:
        c->facts.modules++;
        break;
    default:
        if (c->code < RDB_FIRST_OPCODE)
            note_key(c);
    }
}

/* ---- following */

static void go_blind(struct rdb_check *c)
{
    c->followed = false;
    c->unknown_code = c->code;
    c->phase = PHASE_BLIND;
    c->have = 0;
}

/* A format newer than those that are known may mean something else by what is impossible here. */
static int refuse(struct rdb_check *c, const char *what, struct err *err)
{
    if (c->facts.version > (unsigned)(c->facts.is_valkey ? VERSION_KNOWN_VALKEY : VERSION_KNOWN)) {
        go_blind(c);
        return 0;
    }
    return err_set(err, ERR_CORRUPT, "the dump is damaged: %s, near byte %llu", what,
                   (unsigned long long)c->facts.bytes);
}

static int take_magic(struct rdb_check *c, struct err *err)
{
    const unsigned char *p = c->gathered;
    c->facts.is_valkey = memcmp(p, "VALKEY", 6) == 0;
    if (!c->facts.is_valkey && memcmp(p, "REDIS", 5) != 0)
        return err_set(err, ERR_CORRUPT, "this is no Redis dump: it does not begin with REDIS or VALKEY");
    for (unsigned i = c->facts.is_valkey ? 6 : 5; i < MAGIC_BYTES; i++) {
        if (p[i] < '0' || p[i] > '9')
            return err_set(err, ERR_CORRUPT, "this is no Redis dump: it has no version");
        c->facts.version = c->facts.version * 10 + (p[i] - '0');
    }
    if (c->facts.version == 0)
        return err_set(err, ERR_CORRUPT, "this is no Redis dump: its version is 0");
    c->phase = PHASE_CODE;
    return 0;
}

static void take_code(struct rdb_check *c, unsigned char code)
{
    c->code = code;
    c->have = 0;
    if (code == RDB_OP_END) {
        c->phase = c->facts.version >= FIRST_WITH_CHECKSUM ? PHASE_TRAILER : PHASE_END;
        return;
    }
    c->pattern = rdb_pattern(code, c->facts.is_valkey);
    if (c->pattern == NULL) {
        go_blind(c);
        return;
    }
    bool has_key = code < RDB_FIRST_OPCODE;
    c->phase = has_key ? PHASE_KEY : PHASE_RECORD;
    rdb_scan_begin(&c->scan, has_key ? "s" : c->pattern, code == RDB_OP_AUX);
}

/* Bytes of a key, or of the rest of a record. */
static int64_t take_record(struct rdb_check *c, const unsigned char *p, size_t len, struct err *err)
{
    size_t n = rdb_scan_feed(&c->scan, p, len);
    if (c->scan.state == RDB_SCAN_BAD && refuse(c, c->scan.bad, err) != 0)
        return -1;
    if (c->scan.state != RDB_SCAN_DONE)
        return (int64_t)n;
    if (c->phase == PHASE_KEY) {
        c->phase = PHASE_RECORD;
        rdb_scan_begin(&c->scan, c->pattern, false);
    } else {
        note_record(c);
        c->phase = PHASE_CODE;
    }
    return (int64_t)n;
}

static size_t gather(struct rdb_check *c, unsigned want, const unsigned char *p, size_t len)
{
    size_t n = want - c->have < len ? want - c->have : len;
    memcpy(c->gathered + c->have, p, n);
    c->have += (unsigned)n;
    return n;
}

/* Takes some bytes: how many, or -1. */
static int64_t step(struct rdb_check *c, const unsigned char *p, size_t len, struct err *err)
{
    size_t n;
    switch (c->phase) {
    case PHASE_MAGIC:
        n = gather(c, MAGIC_BYTES, p, len);
        return c->have == MAGIC_BYTES && take_magic(c, err) != 0 ? -1 : (int64_t)n;
    case PHASE_TRAILER:
        n = gather(c, RDB_TRAILER_BYTES, p, len);
        if (c->have == RDB_TRAILER_BYTES)
            c->phase = PHASE_END;
        return (int64_t)n;
    case PHASE_CODE:
        take_code(c, *p);
        return 1;
    default:
        return take_record(c, p, len, err);
    }
}

/* Takes bytes while the structure is followed: how many, or -1. */
static int64_t follow(struct rdb_check *c, const unsigned char *p, size_t len, struct err *err)
{
    size_t done = 0, summed = 0;
    while (done < len && c->phase != PHASE_END && c->phase != PHASE_BLIND) {
        bool in_trailer = c->phase == PHASE_TRAILER;
        int64_t n = step(c, p + done, len - done, err);
        if (n < 0)
            return -1;
        done += (size_t)n;
        c->facts.bytes += (size_t)n;
        if (!in_trailer)
            summed = done;
    }
    c->crc = rdb_crc(c->crc, p, summed);
    return (int64_t)done;
}

/* A few more bytes than are held back: the oldest go into crc. */
static void feed_blind_few(struct rdb_check *c, const unsigned char *p, size_t len)
{
    unsigned char room[2 * RDB_TRAILER_BYTES];
    size_t all = c->have + len, out = all > RDB_TRAILER_BYTES ? all - RDB_TRAILER_BYTES : 0;
    memcpy(room, c->gathered, c->have);
    memcpy(room + c->have, p, len);
    c->crc = rdb_crc(c->crc, room, out);
    if (out > 0)
        c->last = room[out - 1];
    c->have = (unsigned)(all - out);
    memcpy(c->gathered, room + out, c->have);
}

/* Into crc, but for the last bytes, which may be the checksum. */
static void feed_blind(struct rdb_check *c, const unsigned char *p, size_t len)
{
    while (len > 0 && (c->have < RDB_TRAILER_BYTES || len <= RDB_TRAILER_BYTES)) {
        size_t n = len < RDB_TRAILER_BYTES ? len : RDB_TRAILER_BYTES;
        feed_blind_few(c, p, n);
        p += n;
        len -= n;
    }
    if (len == 0)
        return;
    size_t out = len - RDB_TRAILER_BYTES;
    c->crc = rdb_crc(c->crc, c->gathered, c->have);
    c->crc = rdb_crc(c->crc, p, out);
    c->last = p[out - 1];
    memcpy(c->gathered, p + out, RDB_TRAILER_BYTES);
}

int64_t rdb_check_feed(struct rdb_check *c, const void *bytes, size_t len, struct err *err)
{
    const unsigned char *p = bytes;
    int64_t done = follow(c, p, len, err);
    if (done < 0 || c->phase != PHASE_BLIND)
        return done;
    feed_blind(c, p + done, len - (size_t)done);
    c->facts.bytes += len - (size_t)done;
    return (int64_t)len;
}

/* ---- the end */

static int too_short(const struct rdb_check *c, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the dump ends too early, at byte %llu", (unsigned long long)c->facts.bytes);
}

/* Against what is in `gathered`. 0 also when there is no checksum. */
static int check_sum(struct rdb_check *c, struct err *err)
{
    uint64_t sum;
    memcpy(&sum, c->gathered, sizeof sum);
    sum = le64toh(sum);
    c->facts.has_checksum = sum != 0;
    if (sum == 0 || sum == c->crc)
        return 0;
    return err_set(err, ERR_CORRUPT, "the dump is damaged: its checksum is %016llx, not %016llx as it says",
                   (unsigned long long)c->crc, (unsigned long long)sum);
}

static int finish_blind(struct rdb_check *c, struct err *err)
{
    if (c->have < RDB_TRAILER_BYTES || c->last != RDB_OP_END)
        return too_short(c, err);
    if (check_sum(c, err) != 0)
        return -1;
    if (c->facts.has_checksum)
        return 0;
    return err_set(err, ERR_CORRUPT,
                   "the dump cannot be checked: it has values of an unknown kind (%u) and no checksum; set "
                   "'rdbchecksum yes' on the server",
                   c->unknown_code);
}

int rdb_check_finish(struct rdb_check *c, struct err *err)
{
    if (c->phase == PHASE_BLIND)
        return finish_blind(c, err);
    if (c->phase != PHASE_END)
        return too_short(c, err);
    return c->facts.version >= FIRST_WITH_CHECKSUM ? check_sum(c, err) : 0;
}
