/*
 * What a program writes to its standard output, as a source: one file, "/command/NAME". The program's failure (any exit
 * status but 0), its time running out and empty output are errors: then there is no snapshot (`strict`).
 */
#pragma once
#include <stdint.h>
#include "base/strlist.h"
#include "source/source.h"

/* name: any text; as a file's name by virtual_name(). argv: at least one; argv[0] is looked up in PATH; copied.
 * timeout_ms: for all of it; 0: none. ERR_USAGE: no name, or no command. The program starts when the sink opens the
 * file, with standard input from /dev/null. */
int command_source_new(struct source **out, const char *name, const struct strlist *argv, uint64_t timeout_ms,
                       struct err *err);
