#include "source/rdb_grammar.h"

#include <stddef.h>

/*
 * A stream: its nodes; how many entries and the last ID; from version 2 on the first ID, the largest deleted one and a
 * counter. Then the groups: name, last ID, (2:) entries read; what is pending: ID, time, count; consumers: name, seen,
 * (3:) active, IDs pending; (5:) IDs given back. From version 4 on what is known of producers, for idempotence.
 */
static const char *const TYPES[] = {
    [0] = "s",                                /* string */
    [1] = "(s)",                              /* list */
    [2] = "(s)",                              /* set */
    [3] = "(sa)",                             /* sorted set, scores as text */
    [4] = "(ss)",                             /* hash */
    [5] = "(s8)",                             /* sorted set, binary scores */
    [7] = "lm",                               /* module */
    [9] = "s",                                /* hash: zipmap */
    [10] = "s",                               /* list: ziplist */
    [11] = "s",                               /* set: intset */
    [12] = "s",                               /* sorted set: ziplist */
    [13] = "s",                               /* hash: ziplist */
    [14] = "(s)",                             /* list: quicklist of ziplists */
    [15] = "(ss)lll(sll(i8l)(s8(i)))",        /* stream */
    [16] = "s",                               /* hash: listpack */
    [17] = "s",                               /* sorted set: listpack */
    [18] = "(ls)",                            /* list: quicklist, each node's kind and bytes */
    [19] = "(ss)llllllll(slll(i8l)(s8(i)))",  /* stream, version 2 */
    [20] = "s",                               /* set: listpack */
    [21] = "(ss)llllllll(slll(i8l)(s88(i)))", /* stream, version 3 */
    [22] = "(lss)",                           /* hash with times to live, 7.4's release candidates */
    [23] = "s",                               /* the same as a listpack */
    [24] = "8(lss)",                          /* hash with times to live: the smallest; each, field, value */
    [25] = "8s",                              /* the same as a listpack */
    [26] = "(ss)llllllll(slll(i8l)(s88(i)))ll(s(sll))ll",    /* stream, version 4 */
    [27] = "(ss)llllllll(slll(i8l)(s88(i))(i))ll(s(sll))ll", /* stream, version 5 */
};

/* Where Valkey, from its version 9 on, gave other meanings to numbers that Redis uses too. */
static const char *const VALKEY_TYPES[] = {
    [22] = "(ss8)",   /* hash with times to live: field, value, time */
    [23] = "(s(ss))", /* path hash: path, fields with values */
    [24] = NULL,      [25] = NULL, [26] = NULL, [27] = NULL,
};

static const char *const OPCODES[] = {
    [243 - RDB_FIRST_OPCODE] = "(4m)", /* metadata that modules keep with the key that follows */
    [244 - RDB_FIRST_OPCODE] = "lll",  /* a slot of a cluster: number, keys, expiring keys */
    [RDB_OP_FUNCTION - RDB_FIRST_OPCODE] = "s",
    [RDB_OP_MODULE - RDB_FIRST_OPCODE] = "lm",
    [248 - RDB_FIRST_OPCODE] = "l", /* how long the key that follows was idle */
    [249 - RDB_FIRST_OPCODE] = "1", /* how often it is used */
    [RDB_OP_AUX - RDB_FIRST_OPCODE] = "ss",
    [251 - RDB_FIRST_OPCODE] = "ll", /* a database's size, as a hint */
    [RDB_OP_EXPIRES_MS - RDB_FIRST_OPCODE] = "8",
    [RDB_OP_EXPIRES_S - RDB_FIRST_OPCODE] = "4",
    [RDB_OP_SELECT - RDB_FIRST_OPCODE] = "l",
    [RDB_OP_END - RDB_FIRST_OPCODE] = "",
};

#define VALKEY_SLOT_IMPORT 243 /* a migration under way: its name, ranges of slots */

#define COUNT(array) (sizeof(array) / sizeof *(array))

const char *rdb_pattern(unsigned code, bool is_valkey)
{
    if (is_valkey && code == VALKEY_SLOT_IMPORT)
        return "s(ll)";
    if (code >= RDB_FIRST_OPCODE)
        return code - RDB_FIRST_OPCODE < COUNT(OPCODES) ? OPCODES[code - RDB_FIRST_OPCODE] : NULL;
    if (is_valkey && code >= 22)
        return code < COUNT(VALKEY_TYPES) ? VALKEY_TYPES[code] : NULL;
    return code < COUNT(TYPES) ? TYPES[code] : NULL;
}

const char *rdb_module_part(unsigned long long mark)
{
    static const char *const PARTS[] = {"", "l", "l", "4", "8", "s"}; /* end, signed, unsigned, float, double, string */
    return mark < COUNT(PARTS) ? PARTS[mark] : NULL;
}
