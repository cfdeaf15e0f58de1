/*
 * The one live line on standard error, and the lock that keeps it apart from other output. For output.c and progress.c;
 * commands use cli.h.
 */
#pragma once
#include "cli/cli.h"

/* Replaces the live line by this text (already cut to the terminal). NULL or "" removes it. Any thread. */
void output_live_line(const char *text);
/* Around any other output: removes the live line and holds the lock. */
void output_begin(void);
void output_end(void);
