/* The man page, clawback(1), rendered from the tables as roff. */
#pragma once
#include "base/buf.h"
void manual_render(struct buf *out);
