/* alerts.jsonl: every change of an alert and every silence, one line each. For alerts*.c only. */
#pragma once
#include "monitor/alerts.h"

/* told_level: what people believe it to be after this change; told: they were told so just now. */
int alerts_log_append(const char *state_dir, const struct alert *a, enum alert_level told_level, bool told,
                      int64_t now_ms, struct err *err);

/* subject NULL: every one of the rule; until_ms 0: it ends. */
int alerts_log_append_silence(const char *state_dir, const char *rule, const char *subject, int64_t until_ms,
                              int64_t now_ms, struct err *err);

struct alert_line {
    struct alert alert;
    enum alert_level told_level;
};
struct silence_line {
    char *rule, *subject; /* as above */
    int64_t until_ms;
};
struct alert_lines {
    struct alert_line *items; /* the oldest first */
    size_t count;
    struct silence_line *silences; /* alike */
    size_t silence_count;
};
/* The last `max` changes, and all silences; lines that are torn are passed over. */
int alerts_log_read(const char *state_dir, size_t max, struct alert_lines *out, struct err *err);
void alerts_log_release(struct alert_lines *l);
