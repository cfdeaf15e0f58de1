/*
 * TLS over a descriptor that does not block: each function does what it can and says what to wait for. For redis_link.c
 * alone. The server's certificate is verified, its name too, unless the URL says `insecure=true`.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "source/redis_url.h"

struct redis_tls;

/* What the descriptor must be ready for before it is tried again; or that it is done, or failed (err says how). */
enum redis_tls_want { REDIS_TLS_DONE, REDIS_TLS_READ, REDIS_TLS_WRITE, REDIS_TLS_FAILED };

/* ERR_FAILED: a file of certificates or keys cannot be used. fd stays the caller's. */
int redis_tls_new(struct redis_tls **out, const struct redis_url *url, int fd, struct err *err);
enum redis_tls_want redis_tls_handshake(struct redis_tls *t, struct err *err);
/* The count (0: the other side has closed), or -1 with *want READ, WRITE or FAILED. */
int64_t redis_tls_read(struct redis_tls *t, void *p, size_t cap, enum redis_tls_want *want, struct err *err);
int64_t redis_tls_write(struct redis_tls *t, const void *p, size_t len, enum redis_tls_want *want, struct err *err);
void redis_tls_free(struct redis_tls *t); /* NULL is nothing */
