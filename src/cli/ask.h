/* Questions on the terminal, with their defaults in brackets. */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "cli/cli.h"

/* Is there somebody to ask? Standard input and error are terminals, and neither --quiet nor --json was given. */
bool cli_can_ask(const struct cli *cli);
/* "question [default]: "; an empty answer is the default. The caller frees *out. ERR_INTERRUPTED: a signal, or the end
 * of input. */
int cli_ask(struct cli *cli, const char *question, const char *preset, char **out, struct err *err);
/* "question [Y/n]: ", asked until the answer is one. */
int cli_ask_yes(struct cli *cli, const char *question, bool preset, bool *out, struct err *err);
