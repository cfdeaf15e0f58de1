/*
 * Taking values out of a YAML document by tables: a row names a key, where its value goes, and the function that takes
 * it. Every function here that meets a mistake reports it and goes on, so that all mistakes are found at once.
 *
 * Knows kinds of values, not what keys there are (config_schema.c).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/mem.h"
#include "plan/config.h"
#include "plan/yaml.h"

enum { CONFIG_MISTAKES_MAX = 100 };

struct config_reader {
    struct plan *plan;
    struct arena *arena; /* the plan's */
    struct config_report *report;
    struct buf trail;  /* "tiers.config.every": where we are, for messages */
    bool private_file; /* nobody else can read the file */
    bool watching;     /* mistakes are in `alerts:` or `health:` */
    size_t mistakes;   /* that were met until now */
};

struct config_field;
/* Takes the value n into `to`, which is the row's offset in the struct. */
typedef void config_take(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f);

struct config_field {
    const char *key; /* NULL ends the table */
    config_take *take;
    size_t offset;
    const void *more; /* what `take` wants besides */
};

/* --- mistakes */

/* "TRAIL: text", at the node. */
void config_mistake(struct config_reader *r, const struct yaml_node *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void config_warn(struct config_reader *r, const struct yaml_node *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "TRAIL: found 'x', expected …" */
void config_expected(struct config_reader *r, const struct yaml_node *at, const char *what);
/* At any place, the trail left out. The message is copied. */
void config_report_add(struct config_report *report, const struct config_mistake *m);

/* Adds ".key", or "[3]"; gives back the length to go back to. */
size_t config_trail_push(struct config_reader *r, const char *key);
size_t config_trail_push_index(struct config_reader *r, size_t index);
void config_trail_pop(struct config_reader *r, size_t len);

/* --- tables */

/* The keys of a map into the struct at `to`. Nothing (null) is an empty map. */
void config_read_map(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *fields);

/* For a map whose keys are names: a zeroed array as long as the map, so that its items and ours have the same numbers.
 * NULL: it is none, which was reported; *count stays. */
void *config_name_array(struct config_reader *r, const struct yaml_node *n, size_t item_bytes, size_t *count);

config_take config_take_map;    /* more: a table */
config_take config_take_items;  /* more: struct config_items */
config_take config_take_bool;   /* bool; more: what is expected, where it is not only true or false */
config_take config_take_not;    /* bool, turned round */
config_take config_take_text;   /* const char *, not empty */
config_take config_take_word;   /* the same; cannot be mistaken for an option of a program */
config_take config_take_name;   /* the same; letters, digits, '.', '_', '-' */
config_take config_take_choice; /* an enum; more: its names in order, NULL-terminated */
config_take config_take_path;   /* const char *, absolute */
config_take config_take_texts;  /* struct strlist; a single text is a list of one */
config_take config_take_words, config_take_paths;
config_take config_take_number;   /* unsigned, from 1 on; more: const unsigned *, the most */
config_take config_take_duration; /* uint64_t ms, more than 0 */
config_take config_take_size;     /* uint64_t bytes */
config_take config_take_rate;     /* uint64_t bytes a second, more than 0 */
config_take config_take_command;  /* struct strlist */
config_take config_take_secret;   /* struct secret */
config_take config_take_url;      /* const char *; more: its schemes, NULL-terminated */
config_take config_take_address;  /* struct plan_address; more: the same */

/* A list of maps, into an array at `to` and its count. One map stands for a list of one. */
struct config_items {
    const struct config_field *fields;
    size_t item_bytes;
    size_t count_offset;      /* from the array's own pointer on, in the same struct */
    const char *scalar_key;   /* an item that is text is the value of this key; NULL: it is a mistake */
    void (*init)(void *item); /* defaults, in zeroed memory; NULL: none */
};

/* --- for the schema's own kinds */

/* The text of a scalar, or NULL with the mistake reported. */
const char *config_text(struct config_reader *r, const struct yaml_node *n, const char *expected);
char *config_keep(struct config_reader *r, const char *text); /* a copy in the plan */
/* A list of texts, or one that stands for a list of one; `take` stores a const char * of the plan, or leaves it. */
void config_take_list(struct config_reader *r, const struct yaml_node *n, struct strlist *to,
                      const struct config_field *f, config_take *take);
/* Appends to a list in the plan, which has room for as many as config_list_room() said. */
void config_list_room(struct config_reader *r, struct strlist *list, size_t count);
void config_list_add(struct config_reader *r, struct strlist *list, const char *text);
