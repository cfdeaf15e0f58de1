/* clawback.yaml: a plan or mistakes, and what is made of a plan for people must not break either. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plan/config.h"
#include "plan/url_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every channel is complete; what is shown of its address has no token left. */
static void check_channels(const struct plan *plan)
{
    for (size_t i = 0; i < plan->alerts.channel_count; i++) {
        const struct plan_channel *c = &plan->alerts.channels[i];
        if (c->name[0] == '\0' || channel_kind_name(c->kind) == NULL || c->timeout_ms == 0)
            abort();
        if (c->kind == CHANNEL_EMAIL && (c->to.count == 0 || (c->address.url == NULL) == (c->address.secret.kind == 0)))
            abort();
        char *shown = c->address.url != NULL ? url_without_tokens(c->address.url) : NULL;
        if (shown != NULL && strchr(shown, '*') == NULL && url_has_token(shown))
            abort();
        free(shown);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    int rc = config_parse((const char *)data, size, "clawback.yaml", &plan, &report, &err);
    if ((rc == 0) != (report.errors == 0) || (rc == 0) != (plan != NULL) || (rc != 0) != (err.code != ERR_NONE))
        abort();
    for (size_t i = 0; i < report.count; i++)
        if (report.items[i].message[0] == '\0' || (i > 0 && report.items[i].line < report.items[i - 1].line))
            abort();
    for (size_t i = 0; plan != NULL && i < plan->tier_count; i++) {
        const struct plan_tier *t = &plan->tiers[i];
        int64_t next;
        if (t->to.count == 0 || plan_destination_find(plan, t->to.items[0]) == NULL)
            abort();
        if (schedule_next(&t->schedule, INT64_C(1700000000000), 0, &next) && next <= INT64_C(1700000000000))
            abort();
    }
    if (plan != NULL)
        check_channels(plan);
    config_report_release(&report);
    plan_free(plan);
    return 0;
}
