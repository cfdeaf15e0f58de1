/*
 * What follows each type and opcode of a Redis dump, as a pattern of its parts:
 *
 *     s      a string: a length and that many bytes; a small integer; or a compressed one
 *     l      a length, or a number written as one
 *     a      a number as text, with its own length (scores of old sorted sets)
 *     1 4 8  that many bytes
 *     i      16 bytes (the ID of a stream's entry)
 *     m      a module's value: marked parts up to an end mark
 *     (…)    a length, and the pattern in it that many times
 *
 * Sources: rdb.h of Redis and of Valkey for the numbers, "RDB file format" (rdb.fnordig.de) and the fields as Redis'
 * own checker names them for the patterns.
 */
#pragma once
#include <stdbool.h>

/* Opcodes that mean something to the checker; the others are only stepped over. */
enum rdb_opcode {
    RDB_OP_FUNCTION = 245,
    RDB_OP_MODULE = 247,
    RDB_OP_AUX = 250,
    RDB_OP_EXPIRES_MS = 252,
    RDB_OP_EXPIRES_S = 253,
    RDB_OP_SELECT = 254,
    RDB_OP_END = 255,
};

enum { RDB_FIRST_OPCODE = 242, RDB_NESTING_MAX = 6 };

/* NULL: not known. For an opcode (from RDB_FIRST_OPCODE on) what follows it; for a type what follows it and the key. */
const char *rdb_pattern(unsigned code, bool is_valkey);
/* What a part of a module's value with this mark is; "" for the end mark, NULL for an unknown one. */
const char *rdb_module_part(unsigned long long mark);
