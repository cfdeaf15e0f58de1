/* Alerts as the database keeps them. For alerts*.c only. */
#pragma once
#include "monitor/alerts.h"

/* What people believe (told_level) and what is so (level) are two things: an alert that was silenced, or held back
 * since it comes and goes, is open and nobody knows. */
struct alert_row {
    char *rule, *subject, *text, *details, *command;
    enum alert_level level;
    int64_t since_ms, opened_ms, changed_ms;
    int64_t closed_ms; /* 0: open */
    int64_t told_ms;   /* the last time that it was told as open */
    enum alert_level told_level;
    int64_t over_ms; /* the last time that it was told as over, and what it was until then */
    enum alert_level over_level;
    int64_t seen_ms; /* the last time that a rule looked at it, and how many updates ago */
    int64_t unseen;
};
struct alert_rows {
    struct alert_row *items;
    size_t count;
};
int alert_rows_load(struct state *s, bool open_only, struct alert_rows *out, struct err *err);
int alert_row_save(struct state *s, const struct alert_row *r, struct err *err);
struct alert_row *alert_rows_find(const struct alert_rows *l, const char *rule, const char *subject);
/* Another one, closed since ever. Borrowed until the next. */
struct alert_row *alert_rows_add(struct alert_rows *l, const char *rule, const char *subject);
void alert_rows_release(struct alert_rows *l);
bool alert_silenced(struct state *s, const char *rule, const char *subject, int64_t now_ms);
