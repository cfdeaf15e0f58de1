#include "os/rate.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/interrupt.h"

enum { BURST_NS = 100000000, SLICE_MS = 50, STEP_MIN_BYTES = 4096 };

struct os_rate {
    uint64_t bytes_per_s;
    pthread_mutex_t lock;
    uint64_t due_ns; /* when everything taken so far is paid for */
};

struct os_rate *os_rate_new(uint64_t bytes_per_s)
{
    if (bytes_per_s == 0)
        return NULL;
    struct os_rate *r = mem_zalloc(sizeof *r);
    r->bytes_per_s = bytes_per_s;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void os_rate_free(struct os_rate *r)
{
    if (r == NULL)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* Books the bytes and returns when they are paid for. Time in which nothing was moved is worth a short burst at most.
 * */
static uint64_t book(struct os_rate *r, uint64_t bytes)
{
    uint64_t now = os_monotonic_ns();
    uint64_t cost = (uint64_t)((double)bytes * 1e9 / (double)r->bytes_per_s);
    pthread_mutex_lock(&r->lock);
    if (now > BURST_NS && r->due_ns < now - BURST_NS)
        r->due_ns = now - BURST_NS;
    r->due_ns += cost;
    uint64_t due = r->due_ns;
    pthread_mutex_unlock(&r->lock);
    return due;
}

void os_rate_take(struct os_rate *r, uint64_t bytes)
{
    if (r == NULL || bytes == 0)
        return;
    uint64_t due = book(r, bytes);
    for (uint64_t now = os_monotonic_ns(); now < due && !os_interrupted(); now = os_monotonic_ns()) {
        uint64_t ms = (due - now) / 1000000 + 1;
        os_sleep_ms(ms < SLICE_MS ? ms : SLICE_MS);
    }
}

uint64_t os_rate_step(const struct os_rate *r)
{
    if (r == NULL)
        return SIZE_MAX;
    uint64_t step = r->bytes_per_s / 10;
    return step > STEP_MIN_BYTES ? step : STEP_MIN_BYTES;
}
