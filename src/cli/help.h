/*
 * What --help says, and the words that the man page shares with it. Everything is rendered from the tables into a
 * buffer; nothing is printed here.
 */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "cli/command.h"

enum { HELP_MAX_BYTES = 1 << 20, HELP_COLUMNS_MAX = 100 };

struct help_style {
    size_t width; /* columns */
    bool bold;    /* with terminal sequences */
};

/* `clawback --help`: everything at a glance. */
void help_program(const struct help_style *style, struct buf *out);
/* `clawback` alone: what it is and how to go on. */
void help_short(const struct help_style *style, struct buf *out);
void help_command(const struct command *command, const struct help_style *style, struct buf *out);
/* `clawback key --help`: the commands of a family ("key"). */
void help_family(const char *family, const struct help_style *style, struct buf *out);

/* "-e, --exclude PATTERN": an option and the rows that are other names of it. Without any markup. */
void help_option_label(const struct option *o, struct buf *out);
/* The first row after o that is not another name of it. */
const struct option *help_option_next(const struct option *o);
/* Its one line of help, with the choices there are. */
void help_option_text(const struct option *o, struct buf *out);
/* "PATTERN", "N", …; NULL for options without a value. */
const char *help_metavar(const struct option *o);
/* The command's group was already met in an earlier row of COMMANDS? (Then its heading is not written again.) */
bool help_group_seen_before(const struct command *const *commands, size_t index);

struct help_fact {
    const char *name, *what;
};
extern const char HELP_SENTENCE[];                  /* what clawback is */
extern const struct command_example HELP_USUAL[];   /* the most usual commands; ends with {NULL} */
extern const struct help_fact HELP_ENVIRONMENT[];   /* ends with {NULL} */
extern const struct help_fact HELP_EXIT_STATUSES[]; /* ends with {NULL} */
