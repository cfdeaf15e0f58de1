/* `clawback status` on one screen, and for programs. Pure: from what was
 * gathered into text. */
#pragma once
#include "base/buf.h"
#include "run/status.h"
#include <jansson.h>

enum { STATUS_VIEW_MAX_BYTES = 1 << 20 };

void status_view_text(const struct status *s, bool color, size_t width, struct buf *out);
json_t *status_view_json(const struct status *s);
