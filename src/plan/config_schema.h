/* What may stand in clawback.yaml: the tables. docs/configuration.md says the same for people. */
#pragma once
#include "plan/config_reader.h"

/* Reads the document into r->plan, which is zeroed. What belongs together across keys: config_check.c. */
void config_schema_read(struct config_reader *r, const struct yaml_node *document);
