/* The records of a pax extended header: "LENGTH KEY=VALUE\n". */
#pragma once
#include "base/buf.h"
#include "repo/node.h"

enum { PAX_MAX_BYTES = 64 << 20 };

void pax_text(struct buf *pax, const char *key, const char *value);
void pax_number(struct buf *pax, const char *key, uint64_t value);
void pax_time(struct buf *pax, const char *key, const struct timespec *t);
/* Extended attributes; access lists as text, which is what tar programs understand. An attribute with '=' in its name
 * cannot be said and is left out. */
void pax_xattrs(struct buf *pax, const struct node *n);
