/* What a rule found: of one subject, at one moment. Fine ones too, since only they close an alert. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "plan/alerts.h"

struct finding {
    const char *rule; /* a literal: "run-failed"; monitor/rules.h lists them */
    char *subject;    /* a tier, a destination, …; "" where there is but one */
    enum alert_level level;
    char *text;       /* one sentence for people, without a full stop: what is so, with its numbers */
    char *details;    /* further lines (what grew, the forecast); NULL: none */
    char *command;    /* the one command to type; NULL for fine ones */
    int64_t since_ms; /* Unix time since when it is so; 0: not known */
};

struct finding_list {
    struct finding *items;
    size_t count;
};
/* Another one, zeroed but for these. Borrowed until the next. text: printf style. */
struct finding *finding_add(struct finding_list *l, const char *rule, const char *subject, enum alert_level level,
                            const char *text, ...) __attribute__((format(printf, 5, 6)));
void finding_release(struct finding *f); /* what it holds, not itself */
void finding_list_release(struct finding_list *l);
enum alert_level finding_list_worst(const struct finding_list *l);
