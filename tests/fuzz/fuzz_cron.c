/* Text of schedules: what is taken must have a next time, which matches and is the same when asked again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "plan/cron.h"
#include "plan/schedule.h"
#include "plan/schedule_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cron(const char *text)
{
    static const int64_t FROM[] = {0, 951782400, 1700000000, 4107542399, 253402300799};
    struct cron c;
    if (cron_parse(text, &c, NULL) < 0)
        return;
    for (size_t i = 0; i < sizeof FROM / sizeof *FROM; i++) {
        int64_t found, again;
        if (!cron_next(&c, FROM[i], &found) || found < FROM[i] || !cron_next(&c, found, &again) || again != found)
            abort();
    }
}

static void check_duration(const char *text)
{
    uint64_t ms, again;
    char shown[32];
    if (duration_parse(text, &ms, NULL) < 0)
        return;
    duration_format(ms, shown);
    if (duration_parse(shown, &again, NULL) < 0 || again > ms)
        abort();
}

static void check_rule(const char *text)
{
    static const int64_t AT[] = {-99999999999, 0, 1700000000, 1711846800, 99999999999};
    struct zone_rule rule;
    if (!zone_rule_parse(text, &rule))
        return;
    for (size_t i = 0; i < sizeof AT / sizeof *AT; i++) {
        struct zone_span span;
        zone_rule_find(&rule, AT[i], &span);
        if (span.start_s > AT[i] || span.end_s <= AT[i])
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size);
    int64_t ms;
    check_cron(text);
    check_duration(text);
    check_rule(text);
    schedule_parse_time(text, "UTC", &ms, NULL);
    free(text);
    return 0;
}
