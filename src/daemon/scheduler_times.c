/* The scheduler's arithmetic: pure functions. */
#include <string.h>

#include "daemon/scheduler_internal.h"

int64_t add_ms(int64_t a, int64_t b)
{
    int64_t sum;
    return !__builtin_add_overflow(a, b, &sum) ? sum : b > 0 ? INT64_MAX : INT64_MIN;
}

int64_t subtract_ms(int64_t a, int64_t b)
{
    int64_t difference;
    return !__builtin_sub_overflow(a, b, &difference) ? difference : b < 0 ? INT64_MAX : INT64_MIN;
}

bool clock_is_set(struct scheduler_time now)
{
    return now.wall_ms >= CLOCK_SET_MS;
}

bool is_floating(const struct entry *e)
{
    return e->job.schedule.kind == SCHEDULE_EVERY && e->job.schedule.anchor_ms == 0;
}

/* ------------------------------------------------------------------------------------------------------------- hashing
 */

static uint64_t mix(uint64_t hash, const void *p, size_t len)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return hash;
}

static uint64_t mix_u64(uint64_t hash, uint64_t v)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(v >> 8 * i);
    return mix(hash, bytes, sizeof bytes);
}

static const uint64_t HASH_START = UINT64_C(0xcbf29ce484222325);

static uint64_t mix_cron(uint64_t hash, const struct cron *c)
{
    hash = mix_u64(mix_u64(hash, c->minutes), c->hours);
    hash = mix_u64(mix_u64(mix_u64(hash, c->days_of_month), c->months), c->days_of_week);
    return mix_u64(hash, (uint64_t)c->any_day_of_month << 2 | (uint64_t)c->any_day_of_week << 1 | c->any_hour);
}

uint64_t schedule_fingerprint(const struct job *j)
{
    const struct schedule *s = &j->schedule;
    uint64_t hash = mix_u64(mix_u64(HASH_START, (uint64_t)s->kind), j->enabled);
    switch (s->kind) {
    case SCHEDULE_NONE:
        break;
    case SCHEDULE_EVERY:
        hash = mix_u64(mix_u64(hash, s->every_ms), (uint64_t)s->anchor_ms);
        break;
    case SCHEDULE_CRON:
        hash = mix_cron(hash, &s->cron);
        if (s->zone != NULL)
            hash = mix(hash, s->zone, strlen(s->zone));
        break;
    case SCHEDULE_AT:
        hash = mix_u64(hash, (uint64_t)s->at_ms);
        break;
    }
    return hash != 0 ? hash : 1;
}

/* Spreads what differs in few bits over all of them (the end of MurmurHash3). */
static uint64_t scatter(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

int64_t jitter_of(const struct entry *e, int64_t due_ms, int64_t next_ms)
{
    uint64_t most = e->job.jitter_ms;
    if (next_ms != NEVER && most > (uint64_t)next_ms - (uint64_t)due_ms - 1)
        most = (uint64_t)next_ms - (uint64_t)due_ms - 1;
    if (most == 0)
        return 0;
    uint64_t hash = scatter(mix_u64(mix(HASH_START, e->job.id, strlen(e->job.id)), (uint64_t)due_ms));
    return (int64_t)(most < INT64_MAX ? hash % (most + 1) : hash >> 1);
}

int64_t retry_wait_ms(const struct job *j, unsigned attempt)
{
    uint64_t wait = j->retry.after_ms, most = wait > RETRY_MAX_MS ? wait : RETRY_MAX_MS;
    for (unsigned i = 1; i < attempt && wait > 0 && wait < most; i++)
        wait *= 2;
    wait = wait < most ? wait : most;
    return wait < INT64_MAX ? (int64_t)wait : INT64_MAX;
}
