/* What the rules share. For rules*.c only. */
#pragma once
#include "monitor/rules.h"

/* One rule or a few each. */
void rules_outcomes(const struct facts *f, struct finding_list *out); /* run-failed, run-incomplete, push-failed */
void rules_times(const struct facts *f, struct finding_list *out);    /* late, never-ended, records-broken, slow */
void rules_sizes(const struct facts *f, struct finding_list *out);    /* growth, shrink */
void rules_storage(const struct facts *f, struct finding_list *out);  /* upload-failed, destination, space */
void rules_services(const struct facts *f, struct finding_list *out); /* dump-failed, scheduler, skew, proof */

/* Every destination that the tier's runs go to is not ready: that its runs fail, or do not come, is told there. */
bool rules_cut_off(const struct facts *f, const struct plan_tier *t);
/* Is the last run of the tier one that run-failed tells of? */
bool rules_tells_failure(const struct fact_tier *t, const struct record *last);

enum alert_level rules_open(const struct facts *f, const char *rule, const char *subject);
/* The command to type. */
void rules_command(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The run to look at: "clawback runs --run ID"; without an ID the tier's. */
void rules_command_run(struct finding *f, const struct plan_tier *t, const struct record *r);

/* The newest record that ended, and not by a person's interrupting it; NULL: none. */
const struct record *rules_last_end(const struct record_list *l);
/* Index of the newest that completed, with exit code 3 at worst; -1: none. */
long rules_last_completed(const struct record_list *l);
enum { USUAL_RUNS = 20, USUAL_MIN_RUNS = 5 };
typedef uint64_t rules_number(const struct record *r);
/* The last good runs before items[before], the newest first, at most USUAL_RUNS; where these are too few to tell what
 * is usual, also those with exit code 3 that read all of their sources. */
size_t rules_good_before(const struct record_list *l, size_t before, const struct record *out[USUAL_RUNS]);
/* Their median; false: too few. */
bool rules_median(const struct record *const *runs, size_t count, rules_number *number, uint64_t *out);

/* "3h 10m": minutes below two days, hours below a week, then days. */
const char *rules_duration(int64_t ms, char out[RULES_TEXT_BYTES]);
/* "3h 10m ago (2026-02-04 06:02)", "for 3h 10m (since 2026-02-04 06:02)" */
const char *rules_ago(int64_t ms, int64_t now_ms, char out[RULES_TEXT_BYTES]);
const char *rules_for(int64_t since_ms, int64_t now_ms, char out[RULES_TEXT_BYTES]);

/* What grew between two runs of a tier: lines, the largest growth first; NULL: nothing did. The caller frees it. */
char *growth_details(const struct record *before, const struct record *now);
/* The same of what shrank or is gone. */
char *shrink_details(const struct record *before, const struct record *now);
