/*
 * The command line's grammar: GNU style, from option tables.
 *
 *     --name=VALUE  --name VALUE  -x VALUE  -xVALUE  -x=VALUE  -vn (flags bundled)  --  (only arguments after it)
 *
 * Global options may stand anywhere, a command's own ones after its name, in between arguments as well. "-" alone is an
 * argument. Knows nothing of what options mean.
 */
#pragma once
#include "base/err.h"
#include "cli/command.h"

struct parsed {
    const struct command *command; /* NULL: none was named */
    const char *family;            /* "key" when only the first word of several commands was named, else NULL */
    void *options;                 /* of the command, options_bytes long; NULL without a command */
    char **argv;                   /* arguments that are no options; borrowed strings, NULL-terminated */
    int argc;
};

/* Parses argv[1 … argc). Global options are stored into `globals`, by their table. On ERR_USAGE (unknown command or
 * option, a value that is missing or wrong) the message is one complete line, with the nearest right spelling where one
 * is near. parsed_release() must be called either way. */
int options_parse(int argc, char **argv, const struct command *const *commands, const struct option *global_options,
                  void *globals, struct parsed *out, struct err *err);
/* Frees the command's options (lists in them too). The globals' lists, if there are any, are the caller's. */
void parsed_release(struct parsed *p);

/* One value by its option's kind and limits into base + offset: for environment variables, which follow the same rules.
 * `label` names it in messages: "option '--cpus'". */
int option_store(const struct option *o, const char *value, void *base, const char *label, struct err *err);

/* "100", "64K", "10MiB", "2G" (powers of 1024). A bare number counts `unit`s. ERR_USAGE. */
int option_parse_bytes(const char *text, uint64_t unit, uint64_t *out, struct err *err);
/* "0", or as duration_parse(). ERR_USAGE. */
int option_parse_duration(const char *text, uint64_t *ms_out, struct err *err);

/* The row of that long name (len bytes), or NULL. */
const struct option *option_find(const struct option *table, const char *name, size_t len);
/* Does the option take a value as the next argument? */
bool option_takes_value(const struct option *o);
