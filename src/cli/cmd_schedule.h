/* What the commands of `clawback schedule` share. */
#pragma once
#include "cli/cli.h"
#include "daemon/install.h"

struct schedule_options {
    const char *config;
    int via;
    bool via_given, disabled, dry_run;
};

/* Prepares `in`: where we are, what is installed, and the plan (in->plan), which schedule_close() frees. need_plan: it
 * must be there; else what it says is left out where it is not. */
int schedule_open(struct cli *cli, const struct schedule_options *o, bool need_plan, struct install *in,
                  struct err *err);
void schedule_close(struct install *in);
int schedule_via_of(const struct schedule_options *o); /* -1: not given */
extern const char *const SCHEDULE_VIAS[];

#define SCHEDULE_CONFIG_OPTION                                                                                    \
    {                                                                                                             \
        .name = "config", .short_name = 'c', .kind = OPTION_STRING,                                               \
        .offset = offsetof(struct schedule_options, config), .metavar = "FILE",                                   \
        .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)" \
    }
#define SCHEDULE_VIA_OPTION(text)                                                                          \
    {                                                                                                      \
        .name = "via", .kind = OPTION_CHOICE, .offset = offsetof(struct schedule_options, via),            \
        .set_offset = offsetof(struct schedule_options, via_given), .choices = SCHEDULE_VIAS, .help = text \
    }
#define SCHEDULE_DRY_RUN_OPTION                                                                        \
    {                                                                                                  \
        .name = "dry-run", .short_name = 'n', .kind = OPTION_FLAG,                                     \
        .offset = offsetof(struct schedule_options, dry_run), .help = "show every step, and take none" \
    }
