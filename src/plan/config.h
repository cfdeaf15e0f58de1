/*
 * Reading clawback.yaml into a struct plan. The document is checked against a schema before anything is done with it,
 * and every mistake is reported, each with file, line, what was found and what was expected; docs/configuration.md
 * describes the schema. Parsed by libyaml. Touches nothing but the file.
 */
#pragma once
#include <stddef.h>
#include "base/err.h"
#include "plan/plan.h"

struct config_mistake {
    unsigned line, column; /* from 1 */
    char *message;         /* "tiers.config.every: found '2 hours', expected a duration like 2h or 30m" */
    bool warning;          /* worth a word, but it works */
    bool watching;         /* in `alerts:` or `health:`: what is backed up does not depend on it */
};

struct config_report {
    struct config_mistake *items;
    size_t count, errors; /* errors: of them that are no warnings */
    size_t grave;         /* … and not of watching and telling alone */
};

enum { CONFIG_MAX_BYTES = 1 << 20 };

/* 0: *out is a plan (the report may hold warnings). -1: ERR_NOT_FOUND, ERR_IO …; or ERR_USAGE when there are mistakes,
 * which the report then holds, in order of line; err's message is "FILE:LINE: …" of the first and how many more there
 * are. The report is always to be released. */
int config_load(const char *path, struct plan **out, struct config_report *report, struct err *err);
int config_parse(const char *text, size_t len, const char *path, struct plan **out, struct config_report *report,
                 struct err *err);
/* For whoever backs up, or tells of it: as config_load(), but mistakes in `alerts:` and `health:` alone do not keep it
 * from that. *out then is a plan without the channels that have one, with the defaults of what is not understood, and
 * says where they are (struct plan_alerts). */
int config_load_to_run(const char *path, struct plan **out, struct config_report *report, struct err *err);
void config_report_release(struct config_report *r);

/* $CLAWBACK_CONFIG, else $XDG_CONFIG_HOME/clawback/clawback.yaml, else ~/.config/clawback/clawback.yaml, else
 * /etc/clawback/clawback.yaml where only that exists. The caller frees it. */
char *config_default_path(void);
