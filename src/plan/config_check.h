/* What belongs together in a configuration across keys: one of two, what needs what, names that must exist. */
#pragma once
#include "plan/config_reader.h"

/* r->plan as config_schema_read() left it; reports what is wrong with it. The document is for the places: its
 * destinations and tiers are the plan's, in the same order. */
void config_check(struct config_reader *r, const struct yaml_node *document);

/* config_check_alerts.c: channels, and what each of them needs. */
void config_check_alerts(struct config_reader *r, const struct yaml_node *document);

/* --- for both files */

bool config_has(const struct yaml_node *map, const char *key);
/* The key's value as the place of a mistake, or where the map begins. */
const struct yaml_node *config_place(const struct yaml_node *map, const char *key);
/* The key itself, or where the map begins. */
const struct yaml_node *config_key_of(const struct yaml_node *map, const char *key);
/* At most one of these keys (NULL-terminated): the number of them. */
size_t config_check_one_of(struct config_reader *r, const struct yaml_node *map, const char *const *keys);
