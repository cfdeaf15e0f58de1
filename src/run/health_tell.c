/*
 * When the state cannot be written (a full disk is the likeliest thing to go wrong), there is no outbox either. Then
 * the worst is told right away, and, since nobody can remember that it was, each time.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/alerts.h"
#include "monitor/channel.h"
#include "monitor/log.h"
#include "monitor/message.h"
#include "run/health_facts.h"

struct telling {
    struct plan_channel channel;
    const struct message *message;
};

static bool is_urgent(const struct finding *f)
{
    return f->level == ALERT_CRITICAL ||
           (f->level == ALERT_WARNING && strcmp(f->rule, "state") == 0 && strcmp(f->subject, "alerts") == 0);
}

/* As alerts that were opened just now; their texts are the findings'. The caller frees the array. */
static struct alert *urgent_alerts(const struct finding_list *l, int64_t now_ms, size_t *count_out)
{
    struct alert *alerts = mem_zalloc((l->count + 1) * sizeof *alerts);
    *count_out = 0;
    for (int level = ALERT_CRITICAL; level >= ALERT_WARNING; level--)
        for (size_t i = 0; i < l->count; i++) {
            const struct finding *f = &l->items[i];
            if ((int)f->level != level || !is_urgent(f))
                continue;
            alerts[(*count_out)++] = (struct alert){.rule = (char *)(uintptr_t)f->rule,
                                                    .subject = f->subject,
                                                    .text = f->text,
                                                    .details = f->details,
                                                    .command = f->command,
                                                    .level = f->level,
                                                    .now = f->level,
                                                    .since_ms = f->since_ms != 0 ? f->since_ms : now_ms,
                                                    .opened_ms = now_ms,
                                                    .changed_ms = now_ms,
                                                    .change = ALERT_OPENED};
        }
    return alerts;
}

static void tell(void *ctx, struct buf *out)
{
    const struct telling *t = ctx;
    struct channel_answer answer;
    struct err err = {0};
    bool told = channel_send(&t->channel, t->message, &answer, &err) == 0;
    buf_append_byte(out, told);
    buf_append(out, err.message, strlen(err.message) + 1);
}

static void log_answer(const struct look *l, const struct telling *t)
{
    bool answered = l->why.code == ERR_NONE && l->out.len >= 2;
    if (answered && l->out.data[0] != 0)
        log_line(LOG_LEVEL_INFO, "told '%s' without the outbox: %s", t->channel.name, t->message->title);
    else
        log_line(LOG_LEVEL_ERROR, "cannot tell '%s': %s", t->channel.name,
                 answered ? (const char *)l->out.data + 1 : l->why.message);
}

void health_tell_directly(const struct health_options *o, const struct finding_list *findings, int64_t now_ms)
{
    const struct plan_alerts *a = &o->plan->alerts;
    struct telling *tellings = mem_zalloc((a->channel_count + 1) * sizeof *tellings);
    struct look *looks = mem_zalloc((a->channel_count + 1) * sizeof *looks);
    struct message message = {0};
    size_t urgent_count, count = 0;
    struct alert *urgent = urgent_alerts(findings, now_ms, &urgent_count);
    if (urgent_count > 0)
        message_of_alerts(&message, o->plan->host, urgent, urgent_count, now_ms);
    for (size_t i = 0; urgent_count > 0 && i < a->channel_count; i++) {
        const struct plan_channel *c = &a->channels[i];
        if (c->kind == CHANNEL_PING || c->at_least > message.level)
            continue;
        tellings[count] = (struct telling){.channel = *c, .message = &message};
        looks[count] = (struct look){.fn = tell, .ctx = &tellings[count]};
        count++;
    }
    looks_run(looks, count, health_patience_ms(o), NULL);
    for (size_t i = 0; i < count; i++)
        log_answer(&looks[i], &tellings[i]);
    message_release(&message);
    looks_release(looks, count);
    free(tellings);
    free(urgent);
}
