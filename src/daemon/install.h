/*
 * Installing a schedule: telling OpenClaw, our own daemon, systemd or cron to start us, and taking that back. What is
 * to be started when comes from run/triggers.h; what was installed is remembered in schedule.json (run/installed.h),
 * so that removing removes exactly that. Installing twice changes only what differs. Prints nothing: each step is said
 * to `say` before it is taken, or instead of it (dry_run). One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "plan/plan.h"
#include "run/installed.h"
#include "run/openclaw_command.h"

enum install_word {
    INSTALL_STEP,    /* "write /etc/systemd/system/clawback.timer", "run systemctl daemon-reload" */
    INSTALL_SAME,    /* "/etc/… is as it should be" */
    INSTALL_NOTE,    /* worth knowing: "every 7h: cron looks every hour, clawback decides" */
    INSTALL_WARNING, /* something is missing: "nothing watches OpenClaw" */
    INSTALL_TEXT     /* what a file will hold; dry_run only */
};
typedef void install_say(void *ctx, enum install_word word, const char *text);

struct install {
    const struct plan *plan; /* NULL: for everything but install_put() */
    const char *state_dir;
    const char *program; /* ourselves, absolute */
    bool dry_run;
    install_say *say;
    void *ctx;
    size_t steps; /* how many were said, so far */
    /* filled by install_begin() */
    struct strlist environment;       /* NAME=VALUE: what of ours a scheduled run needs, too */
    const char *withheld;             /* the name of one that holds a password; NULL: none */
    struct openclaw_command openclaw; /* program NULL: none */
    struct installed installed;
};
/* Reads what is installed. */
int install_begin(struct install *in, struct err *err);
void install_end(struct install *in);

struct install_options {
    int via; /* enum schedule_via, or -1: the best that is there */
    bool disabled;
};
/* Installs; the second, independent watchdog too where the first is OpenClaw. *used: where it went. */
int install_put(struct install *in, const struct install_options *o, enum schedule_via *used, struct err *err);
/* via -1: all that is installed. ERR_NOT_FOUND: nothing is. The rest goes on when one fails. */
int install_remove(struct install *in, int via, struct err *err);
int install_enable(struct install *in, int via, bool on, struct err *err);
/* Starts a trigger (NULL: the first) through its scheduler. *here: nobody else can start it (cron), the caller runs
 * *argv_out itself. */
int install_run_now(struct install *in, const char *id, bool *here, const struct strlist **argv_out, struct err *err);

/* How it stands with what was installed. */
struct install_trigger_state {
    const struct installed_trigger *trigger; /* borrowed */
    bool there, enabled;
    int64_t last_ms, next_ms; /* 0: not known, or none */
    char *last_status;        /* "ok", "error"; NULL: not known */
};
struct install_state {
    const struct installed_item *item; /* borrowed from in->installed */
    bool alive;
    char *problem; /* why it is not; NULL */
    bool changed;  /* the plan's triggers are others by now */
    struct install_trigger_state *triggers;
    size_t trigger_count;
};
struct install_state_list {
    struct install_state *items;
    size_t count;
};
int install_status(struct install *in, int64_t now_ms, struct install_state_list *out, struct err *err);
void install_state_list_release(struct install_state_list *l);

/* ---- one kind of scheduler: install_openclaw.c, install_daemon.c, install_systemd.c, install_cron.c */

struct install_kind {
    enum schedule_via via;
    /* Can it start us here and now? *why_not: a literal. */
    bool (*ready)(struct install *in, const char **why_not);
    /* Makes it so that exactly item's triggers are there, and enabled as item says. `before`: what was there by our
     * memory (maybe nothing). Sets detail and refs. */
    int (*put)(struct install *in, const struct installed_item *before, struct installed_item *item, struct err *err);
    /* What is gone already is no error. */
    int (*remove)(struct install *in, struct installed_item *item, struct err *err);
    int (*enable)(struct install *in, struct installed_item *item, bool on, struct err *err);
    int (*run_now)(struct install *in, const struct installed_item *item, const struct installed_trigger *t,
                   struct err *err);
    /* Fills in alive, problem and, for each trigger, what it knows; they are prepared. */
    void (*look)(struct install *in, int64_t now_ms, struct install_state *state);
};
extern const struct install_kind INSTALL_OPENCLAW, INSTALL_DAEMON, INSTALL_SYSTEMD, INSTALL_CRON;

/* Has it command payloads, so that it can start us? Asks `openclaw cron add --help`, once. */
bool install_openclaw_runs_commands(struct install *in);

/* ---- install_owner.c */

/* ERR_EXISTS when this text, lines or a unit of ours, belongs to another state directory that remembers a schedule. */
int install_check_owner(const struct install *in, const char *where, const char *text, struct err *err);
/* The same of a unit, which may be missing. */
int install_check_unit_owner(const struct install *in, const char *path, struct err *err);

/* ---- install_steps.c: steps that are said first, and only said in a dry run */

void install_tell(struct install *in, enum install_word word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* changed: maybe NULL; set when the file was or would be written. Makes directories. */
int install_write_file(struct install *in, const char *path, const char *text, mode_t mode, bool *changed,
                       struct err *err);
/* removed: maybe NULL. */
int install_remove_file(struct install *in, const char *path, bool *removed, struct err *err);
/* The words as a shell would take them. The caller frees it. */
char *install_shell_text(const char *const *words, size_t count);
