#include "run/again.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "os/clock.h"
#include "run/retry.h"

/* Another run may hold the lock when its time has come; and so much earlier an attempt may come, by a clock that was
 * set. */
enum { GRACE_MS = 5 * 60 * 1000, EARLY_MS = 1000 };

static uint64_t number_of(const char *name, uint64_t most)
{
    const char *text = getenv(name);
    char *end;
    if (text == NULL || !isdigit((unsigned char)*text))
        return 0;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    return errno != 0 || *end != '\0' || n > most ? 0 : n;
}

struct again again_promised(void)
{
    struct again a = {.attempt = (unsigned)number_of("CLAWBACK_ATTEMPT", 1000000),
                      .after_ms = number_of("CLAWBACK_RETRY_AFTER_MS", RETRY_WAIT_MAX_MS)};
    a.attempt = a.attempt != 0 ? a.attempt : 1;
    return a;
}

int64_t again_at_ms(const struct record_list *records)
{
    const struct record *last = record_last_ended(records);
    bool failed = last != NULL && last->status == RECORD_FAILED && record_unended(records) == NULL;
    return failed ? last->retry_at_ms : 0;
}

bool again_needed(const struct record_list *records)
{
    return record_unended(records) != NULL || again_at_ms(records) != 0;
}

/* Has every attempt come that was promised since a run went well? */
static bool is_kept(const struct record_list *records)
{
    int64_t after_ms = INT64_MAX; /* when the run after the one that is looked at ended */
    for (size_t i = records->count; i-- > 0;) {
        const struct record *r = &records->items[i];
        if (r->status == RECORD_STARTED)
            continue;
        if (r->status != RECORD_FAILED)
            break;
        if (r->interrupted && r->retry_at_ms == 0 && r->exit_code == 130)
            continue; /* somebody's own */
        if (r->retry_at_ms == 0 || after_ms < r->retry_at_ms - EARLY_MS)
            return false;
        after_ms = os_time_ms(&r->time);
    }
    return true;
}

bool again_awaited(const struct record_list *records, bool running, int64_t now_ms)
{
    const struct record *last = record_last_ended(records);
    if (last == NULL || last->status != RECORD_FAILED || !last->retry || last->retry_at_ms == 0 || !is_kept(records))
        return false;
    if (record_unended(records) != NULL)
        return running;
    return now_ms >= os_time_ms(&last->time) && now_ms - last->retry_at_ms < GRACE_MS;
}
