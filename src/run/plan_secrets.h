/*
 * The files that a plan's own secrets come from: passphrases, passwords of databases, tokens and addresses of alert
 * channels. Known by what they are, not by their names: another name of the same file is found, too.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "plan/plan.h"

/* What such a file is, for people. */
#define PLAN_SECRET_WHAT "passphrase, password or token of the plan"

struct plan_secret_file {
    dev_t dev;
    ino_t ino;
};

struct plan_secrets { /* a zeroed one is empty */
    struct plan_secret_file *items;
    size_t count;
};

/* Looks at the files now, and at nothing of theirs but where they lie; one that is not there is passed over.
 * plan_secrets_release(). */
void plan_secrets_find(struct plan_secrets *out, const struct plan *p);
bool plan_secrets_has(const struct plan_secrets *s, const char *path);
void plan_secrets_release(struct plan_secrets *s);
