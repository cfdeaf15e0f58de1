/*
 * A connection to where a URL points: TCP, TLS over it, or a local socket; bounded in time. A link belongs to one
 * thread. While it waits it looks at os_interrupted().
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "source/redis_url.h"

struct redis_link;

/*
 * idle_ms: how long the other side may keep silent, or not take what we send; deadline_ns (os_monotonic_ns): for all of
 * it. The URL must outlive the link.
 * ERR_NOT_FOUND: nobody listens there (connection refused, no such socket). ERR_TIMEOUT, ERR_PERMISSION (the socket's),
 * ERR_FAILED: the name is unknown, or TLS did not come about (a certificate that is not trusted …).
 */
int redis_link_open(struct redis_link **out, const struct redis_url *url, uint64_t idle_ms, uint64_t deadline_ns,
                    struct err *err);
/* Some bytes, as soon as there are any: the count, 0 when the other side has closed, -1 (ERR_TIMEOUT, ERR_IO,
 * ERR_INTERRUPTED). cap is at least 1. */
int64_t redis_link_read(struct redis_link *l, void *p, size_t cap, struct err *err);
int redis_link_write(struct redis_link *l, const void *bytes, size_t len, struct err *err);
void redis_link_close(struct redis_link *l); /* NULL is nothing */
