/* alerts.jsonl: every change of an alert, one line each. For alerts*.c only. */
#pragma once
#include "monitor/alerts.h"

/* told_level: what people believe it to be after this change; told: they were told so just now. */
int alerts_log_append(const char *state_dir, const struct alert *a, enum alert_level told_level, bool told,
                      int64_t now_ms, struct err *err);

struct alert_line {
    struct alert alert;
    enum alert_level told_level;
};
struct alert_lines {
    struct alert_line *items; /* the oldest first */
    size_t count;
};
/* The last `max` lines; those that are torn are passed over. */
int alerts_log_read(const char *state_dir, size_t max, struct alert_lines *out, struct err *err);
void alerts_log_release(struct alert_lines *l);
