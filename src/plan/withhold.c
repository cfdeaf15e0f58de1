#include "plan/withhold.h"

#include "os/process.h"

static void withhold(const struct secret *s)
{
    if (s->kind == SECRET_ENV)
        process_withhold(s->name);
}

void plan_withhold_secrets(const struct plan *p)
{
    withhold(&p->passphrase);
    for (size_t i = 0; i < p->destination_count; i++)
        withhold(&p->destinations[i].passphrase);
    for (size_t i = 0; i < p->alerts.channel_count; i++) {
        withhold(&p->alerts.channels[i].token);
        withhold(&p->alerts.channels[i].address.secret);
    }
    for (size_t i = 0; i < p->alerts.unread_count; i++)
        withhold(&p->alerts.unread[i]);
    process_withhold("CLAWBACK_PASSPHRASE");
    process_withhold("RESTIC_PASSWORD");
}
