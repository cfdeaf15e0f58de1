/*
 * A plan shown: as one JSON document with the configuration's own keys, and as YAML text made of that, which is a valid
 * configuration again. Passwords in URLs are hidden. Prints nothing.
 */
#pragma once
#include <stdint.h>
#include <jansson.h>
#include "base/buf.h"
#include "plan/plan.h"

/* Everything, defaults too. Each tier that a clock starts has its next times from `now_ms` on in "next". */
json_t *config_view_json(const struct plan *p, int64_t now_ms);
/* The same as YAML; the times become comments. */
void config_view_text(const json_t *view, struct buf *out);
