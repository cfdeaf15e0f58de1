/* Changing one member of a node's stored JSON and nothing else: members that we do not know survive. */
#pragma once
#include <stddef.h>
#include "base/buf.h"

/* Appends `raw` (a JSON object) to out with the value of `key` replaced by `value` (JSON text); a key that is not there
 * is added at the end. 0, or -1 when raw is no object. */
int node_patch(const char *raw, size_t len, const char *key, const char *value, struct buf *out);
