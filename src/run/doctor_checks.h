/* The checks themselves, for doctor.c and tests. Each writes its lines; none changes anything. */
#pragma once
#include <stdint.h>
#include "base/buf.h"
#include "run/doctor.h"

struct doctor {
    const struct doctor_options *options;
    const struct plan *plan; /* options->plan */
    struct buf *out;         /* lines: a byte for the level, then two strings, each with its NUL */
};

struct doctor_check {
    const char *name;
    void (*run)(struct doctor *d);
    unsigned timeout_s;
};
extern const struct doctor_check DOCTOR_CHECKS[]; /* ends with a NULL name */

/* Adds a line; found is printf's. advice may be NULL, and is ignored for green ones. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *advice, const char *found, ...)
    __attribute__((format(printf, 4, 5)));

/* doctor_storage.c */
void doctor_destinations(struct doctor *d);
void doctor_repositories(struct doctor *d);
void doctor_space(struct doctor *d);
/* doctor_sources.c */
void doctor_home(struct doctor *d);
void doctor_git(struct doctor *d);
void doctor_databases(struct doctor *d);
void doctor_editor(struct doctor *d);
/* doctor_secrets.c */
void doctor_passphrase(struct doctor *d);
void doctor_gpg(struct doctor *d);
void doctor_sensitive(struct doctor *d);
/* doctor_schedule.c */
void doctor_scheduler(struct doctor *d);
void doctor_alerts(struct doctor *d);
/* doctor_system.c */
void doctor_history(struct doctor *d);
void doctor_clock(struct doctor *d);
