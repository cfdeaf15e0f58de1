/* Between the files of health: what the facts point to, and the parts that gather them. */
#pragma once
#include <jansson.h>
#include "run/bounded.h"
#include "run/health.h"

struct facts_held {
    struct strlist trouble;      /* records that could not be read: complete messages */
    struct record_list *records; /* of each tier of the plan */
    bool *unread;                /* … that could not be read */
    size_t tier_count;
    struct fact_tier *tiers;
    struct destination_look *looks; /* of each destination */
    struct fact_destination *destinations;
    size_t destination_count;
    struct fact_list dumps, jobs, schedulers, skews; /* all strings their own */
};

/* Adds one; both texts are copied. */
void fact_list_add(struct fact_list *l, const char *subject, bool ok, const char *text);
void fact_list_release(struct fact_list *l);

/* health_checks.c: each looks at everything of its kind at once, in processes of their own; a thing that does not
 * answer within patience_ms is told as such. -1: ERR_INTERRUPTED. */
int health_look_destinations(const struct health_options *o, struct destination_look *looks, struct err *err);
int health_look_databases(const struct health_options *o, struct fact_list *out, struct err *err);
int health_look_schedulers(const struct health_options *o, int64_t now_ms, struct fact_list *out, struct err *err);

/* health_jobs.c: the jobs of jobs.json that are no runs of the plan, as their records have them; what is tried again,
 * or was stopped with the daemon, is not looked at. */
void health_look_jobs(const struct health_options *o, const struct facts_held *held, int64_t now_ms,
                      struct fact_list *out);
/* installed_check.c: a file of JSON5; NULL: there is none, or it is none. */
json_t *health_load_json5(const char *path);

/* health_clock.c: ours against the times of our own records, and against those that destinations write. */
void health_compare_clocks(const struct health_options *o, const struct facts_held *held, int64_t now_ms,
                           struct fact_list *out);

/* health_awake.c: when this machine woke from a sleep, into awake_since_ms; and a note about it into the database. */
int health_note_sleep(struct state *s, bool look_only, struct facts *f, struct err *err);
/* The pure part: from the last note (NULL: none) and how long it has slept since its start to when it was first seen
 * awake after the last sleep (0: it was not) and the next note. */
enum { HEALTH_NOTE_BYTES = 64 };
int64_t health_woke_ms(const char *note, int64_t slept_ms, int64_t now_ms, char out[HEALTH_NOTE_BYTES]);

/* health_commands.c: adds "-c FILE" to what is to be typed, where the plan is not at its usual place. */
void health_name_plan(const struct plan *p, struct finding_list *l);

/* health_looks.c: things that may hang, each in a process of its own. Zeroed but for fn and ctx. */
struct look {
    bounded_fn *fn;
    void *ctx;
    struct bounded *process;
    struct buf out;
    struct err why; /* code ERR_NONE: `out` is its answer */
};
/* All at once. -1: ERR_INTERRUPTED; each was waited for in any case. */
int looks_run(struct look *looks, size_t count, uint64_t timeout_ms, struct err *err);
void looks_release(struct look *looks, size_t count); /* and frees them */
uint64_t health_patience_ms(const struct health_options *o);

/* health_tell.c: what is critical, and why alerts cannot be kept, to each channel that wants to hear it, past the
 * outbox. Bounded by the patience; what cannot be sent has a line in the log. */
void health_tell_directly(const struct health_options *o, const struct finding_list *findings, int64_t now_ms);
