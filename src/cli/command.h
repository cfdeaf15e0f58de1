/*
 * Commands and their options as tables. Parsing, --help, the man page and the shell completions all come from them.
 *
 * One file per command (cmd_NAME.c) defines one `const struct command`; commands.c lists them. A command's options are
 * stored in a struct of its own, at the offsets its table names; the struct is zeroed first, lists and strings in it
 * are released by the framework.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"

enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_STRING,   /* const char *: borrowed from argv */
    OPTION_LIST,     /* struct strlist: may be given again and again */
    OPTION_NUMBER,   /* int64_t; min and max below */
    OPTION_BYTES,    /* uint64_t: "100", "64K", "10MiB", "2G" (powers of 1024); unit, min and max below */
    OPTION_DURATION, /* uint64_t milliseconds: "90s", "5m", "1h30m", "1d" */
    OPTION_COUNT,    /* int64_t: "N", or "all"/"unlimited" = -1 */
    OPTION_CHOICE,   /* int: index into choices */
    OPTION_OPTIONAL, /* const char *: --name or --name=VALUE; without a value it is "" */
    OPTION_REPEAT    /* int64_t: each time adds one; --name=N sets it */
};

/*
 * A row whose help is NULL is another name for the row before it (same kind and offset): it is shown together with that
 * one.
 */
struct option {
    const char *name; /* long name without dashes */
    char short_name;  /* 0: none */
    enum option_kind kind;
    size_t offset;
    const char *metavar;        /* "PATH"; NULL for flags */
    const char *help;           /* one line, lower case, no full stop */
    const char *group;          /* heading in --help; NULL: that of the row before, at first "Options" */
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
    int64_t min, max;           /* OPTION_NUMBER and OPTION_BYTES; both 0: any */
    size_t set_offset;          /* not 0: a bool at this offset becomes true when the option was given */
    uint64_t unit;              /* OPTION_BYTES: what a number without a suffix counts; 0: bytes */
};
#define OPTION_END \
    {              \
        0          \
    }

struct cli;

struct command_example {
    const char *line, *what;
};

struct command {
    const char *name;        /* "backup", "repair index" */
    const char *arguments;   /* "[PATH…]" */
    const char *summary;     /* one line, for the list of commands: a capital first, no full stop */
    const char *description; /* paragraphs, for --help and the man page, with an empty line between two; one whose lines
                              * start with blanks is kept as it is, the others are filled */
    const struct option *options;           /* ends with OPTION_END; NULL: none */
    size_t options_bytes;                   /* sizeof the options struct */
    const struct command_example *examples; /* ends with {NULL}; NULL: none */
    /* options: the filled struct; argv: the arguments that are no options. Returns the exit status. */
    int (*run)(struct cli *cli, void *options, int argc, char **argv);
    const char *group; /* heading in the list of commands: "Backing up", "Restoring", "Looking", "Tidying",
                          "Repository", "Help" */
};

extern const struct command *const COMMANDS[]; /* ends with NULL */
