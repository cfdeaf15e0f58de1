/* Environment variables and XDG directories. */
#pragma once
#include "base/err.h"
#include "cli/cli.h"

/* The variable's value, or NULL when it is unset or empty. */
const char *environment_get(const char *name);
/* $variable/below where that is an absolute path, else fallback/below ("~/…" expanded). The caller frees it. */
char *environment_xdg(const char *variable, const char *fallback, const char *below);
/* Fills global options that were not given from their variables, by the options' own rules. */
int environment_apply(struct cli *cli, struct err *err);
