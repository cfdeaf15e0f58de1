/* What belongs together in a configuration across keys: one of two, what needs what, names that must exist. */
#pragma once
#include "plan/config_reader.h"

/* r->plan as config_schema_read() left it; reports what is wrong with it. The document is for the places: its
 * destinations and tiers are the plan's, in the same order. */
void config_check(struct config_reader *r, const struct yaml_node *document);
