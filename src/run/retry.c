#include "run/retry.h"

#include "os/clock.h"
#include "os/interrupt.h"

enum { LOOK_EVERY_MS = 200 };

uint64_t retry_delay_ms(const struct plan_retry *settings, unsigned tries)
{
    uint64_t ms = settings->after_ms;
    for (unsigned i = 1; i < tries && ms < RETRY_WAIT_MAX_MS; i++)
        ms *= 2;
    return ms < RETRY_WAIT_MAX_MS ? ms : RETRY_WAIT_MAX_MS;
}

void retry_note(struct retry *r, bool worth, uint64_t now_ns)
{
    r->tries++;
    r->waiting = worth && r->tries <= r->settings->times;
    if (r->waiting)
        r->due_ns = now_ns + retry_delay_ms(r->settings, r->tries) * 1000000;
}

bool retry_next(const struct retry *all, size_t count, uint64_t *due_ns_out)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        if (all[i].waiting && (!any || all[i].due_ns < *due_ns_out)) {
            *due_ns_out = all[i].due_ns;
            any = true;
        }
    return any;
}

bool retry_sleep_until(uint64_t due_ns)
{
    while (!os_interrupted()) {
        uint64_t now_ns = os_monotonic_ns();
        if (now_ns >= due_ns)
            return true;
        uint64_t left_ms = (due_ns - now_ns + 999999) / 1000000;
        os_sleep_ms(left_ms < LOOK_EVERY_MS ? left_ms : LOOK_EVERY_MS);
    }
    return false;
}
