/*
 * A source around another one that tells whose fault a failure was: the source's, or that of where it was pushed to. It
 * passes everything through.
 */
#pragma once
#include "source/source.h"

/* Takes `inner` over. */
struct source *watched_source_new(struct source *inner);
/* Did the inner source fail by itself (it could not be read), the sink having taken all it was given? */
bool watched_source_failed(const struct source *s);
