/* What `clawback health` says, in each of its forms. Pure: from a report into text. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "run/health.h"

/* A report may have no plan (facts.plan NULL): then there are findings alone. */

/* For people: the worst first, one line each with the command to type; then how many. verbose: the fine ones too. */
void health_view_text(const struct health_report *r, bool verbose, bool color, size_t width, struct buf *out);
/* The same for the journal: each line with its priority. */
void health_view_journal(const struct health_report *r, bool verbose, struct buf *out);
/* One document, message_type "health". */
json_t *health_view_json(const struct health_report *r);
/* A plugin's output: a line "LEVEL: text | performance data", then further lines. */
void health_view_nagios(const struct health_report *r, struct buf *out);
/* The text format that Prometheus' node_exporter collects from files. */
void health_view_prometheus(const struct health_report *r, struct buf *out);

/* 0 fine or info, 1 warning, 2 critical: the exit status, and the plugin's state. */
int health_view_status(enum alert_level worst);

enum { HEALTH_VIEW_MAX_BYTES = 4 << 20 };

/* For health_view*.c: the findings in order, the worst first and within a level as the rules have them; the caller
 * frees the array. */
const struct finding **health_view_order(const struct finding_list *l);
size_t health_view_count(const struct finding_list *l, enum alert_level level);
