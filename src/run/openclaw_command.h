/*
 * OpenClaw's own command line, the only way in which we change anything of OpenClaw's. Each call starts node, which
 * takes 1 to 5 seconds; none takes longer than a minute.
 */
#pragma once
#include <stdbool.h>
#include <jansson.h>
#include "base/buf.h"
#include "base/err.h"

struct openclaw_command {
    char *program; /* absolute; NULL: there is none */
    char *home;    /* the state directory it is to work on; NULL: its own default */
};
/* $CLAWBACK_OPENCLAW, else `openclaw` in PATH; home: the state directory that the plan names, or NULL: that of
 * plan/home.h. False when there is no such program; where there is no home, that is NULL. Release in any case. */
bool openclaw_command_find(struct openclaw_command *out, const char *home);
void openclaw_command_release(struct openclaw_command *c);

/* args: NULL-terminated, at most 40. What it says is appended to out (NULL: thrown away). */
int openclaw_command_run(const struct openclaw_command *c, const char *const *args, struct buf *out, struct err *err);
/* The same; *out is the JSON document in its output, whatever it prints before it. ERR_CORRUPT when there is none. */
int openclaw_command_json(const struct openclaw_command *c, const char *const *args, json_t **out, struct err *err);
