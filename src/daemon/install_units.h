/*
 * The text of systemd units: a service and a timer for each trigger, and the service of the daemon. Every line of
 * hardening stands below its reason, in the unit itself. Pure functions. systemd.service(5), systemd.exec(5),
 * systemd.timer(5).
 */
#pragma once
#include "base/buf.h"
#include "base/strlist.h"
#include "plan/plan.h"
#include "run/installed.h"

struct unit_options {
    bool user;                         /* for a user's own manager */
    const char *home;                  /* the system's services have no HOME otherwise; NULL: not set */
    const struct strlist *environment; /* NAME=VALUE */
    const struct plan *plan;           /* destinations, hooks; NULL: none */
};
/* Is it hardened? A user's is not, and no one whose plan has hooks. */
bool unit_is_hardened(const struct unit_options *o);
/* What a hardened unit may write of what is read-only to it otherwise: appends absolute paths, each once. */
void unit_writable_paths(const struct unit_options *o, struct strlist *out);
void unit_service(const struct unit_options *o, const struct installed_trigger *t, struct buf *out);
void unit_timer(const struct installed_trigger *t, struct buf *out);
void unit_daemon(const struct unit_options *o, const char *program, struct buf *out);
/* Appends one word for ExecStart= or Environment=: quoted, with '%' (and for commands '$') doubled. */
void unit_word(struct buf *out, const char *word, bool command);
