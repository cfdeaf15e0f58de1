/* The pieces of config_view.c: for it and config_view_alerts.c. */
#pragma once
#include <jansson.h>
#include <stdint.h>
#include "plan/plan.h"

/* Takes the value over. NULL values are left out, and so are empty lists and objects. */
void view_put(json_t *object, const char *key, json_t *value);
/* NULL of NULL, and of 0. */
json_t *view_text(const char *s);
json_t *view_texts(const struct strlist *list);
json_t *view_duration(uint64_t ms);
json_t *view_size(uint64_t bytes);           /* in the largest unit that it is a whole number of */
json_t *view_secret(const struct secret *s); /* the way to it */

/* config_view_alerts.c */
json_t *view_health(const struct plan_health *h);
json_t *view_alerts(const struct plan_alerts *a);
