/* What may stand in clawback.yaml: the tables. docs/configuration.md says the same for people. */
#pragma once
#include "plan/config_reader.h"

/* Reads the document into r->plan, which is zeroed. What belongs together across keys: config_check.c. */
void config_schema_read(struct config_reader *r, const struct yaml_node *document);

/* config_schema_alerts.c: the parts about watching and telling. */
void config_alerts_defaults(struct plan *p); /* before the document is read */
config_take config_take_health;              /* struct plan_health */
config_take config_take_alerts;              /* struct plan_alerts */
config_take config_take_retry;               /* struct plan_retry */
