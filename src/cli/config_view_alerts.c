/* `config show`: what the plan says about watching and telling. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_view_parts.h"
#include "plan/url_token.h"

static json_t *duration_or_off(uint64_t ms)
{
    return ms > 0 ? view_duration(ms) : view_text("off");
}

static json_t *percent(unsigned value)
{
    char out[16];
    snprintf(out, sizeof out, "%u%%", value);
    return view_text(value > 0 ? out : "off");
}

/* Thousandths are as fine as they are read. */
static json_t *factor(double value)
{
    unsigned long thousandths = (unsigned long)(value * 1000 + 0.5);
    char out[32];
    snprintf(out, sizeof out, "%lu.%03lu", thousandths / 1000, thousandths % 1000);
    size_t len = strlen(out);
    while (out[len - 1] == '0')
        len--;
    out[out[len - 1] == '.' ? len - 1 : len] = '\0';
    return view_text(thousandths > 0 ? out : "off");
}

json_t *view_health(const struct plan_health *h)
{
    json_t *o = json_object();
    view_put(o, "late", percent(h->late_percent));
    view_put(o, "slow", duration_or_off(h->slow_ms));
    view_put(o, "slow_factor", factor(h->slow_factor));
    view_put(o, "growth", percent(h->growth_percent));
    view_put(o, "growth_critical", factor(h->growth_factor));
    view_put(o, "shrink", percent(h->shrink_percent));
    view_put(o, "full", percent(h->full_percent));
    view_put(o, "critical_free", h->critical_free_bytes > 0 ? view_size(h->critical_free_bytes) : view_text("off"));
    view_put(o, "proof", duration_or_off(h->proof_max_age_ms));
    view_put(o, "skew", duration_or_off(h->skew_ms));
    view_put(o, "dumps", json_boolean(!h->no_dump_check));
    view_put(o, "prometheus", view_text(h->textfile));
    return o;
}

/* What looks like a token is not shown. */
static json_t *address(const struct plan_address *a)
{
    if (a->url == NULL)
        return view_secret(&a->secret);
    char *hidden = url_without_tokens(a->url);
    json_t *shown = view_text(hidden);
    free(hidden);
    return shown;
}

static void put_email(json_t *o, const struct plan_channel *c)
{
    static const char *const TLS[] = {
        [MAIL_TLS_REQUIRED] = "required", [MAIL_TLS_IF_OFFERED] = "if_offered", [MAIL_TLS_NONE] = "none"};
    view_put(o, "server", address(&c->address));
    view_put(o, "from", view_text(c->from));
    view_put(o, "to", view_texts(&c->to));
    view_put(o, "user", view_text(c->user));
    view_put(o, "password", view_secret(&c->token));
    view_put(o, "tls", view_text(TLS[c->tls]));
}

static void put_webhook(json_t *o, const struct plan_channel *c)
{
    static const char *const FORMATS[] = {[WEBHOOK_JSON] = "json",
                                          [WEBHOOK_SLACK] = "slack",
                                          [WEBHOOK_DISCORD] = "discord",
                                          [WEBHOOK_NTFY] = "ntfy",
                                          [WEBHOOK_GOTIFY] = "gotify"};
    view_put(o, "url", address(&c->address));
    view_put(o, "format", view_text(FORMATS[c->format]));
    view_put(o, "token", view_secret(&c->token));
}

/* What stands behind the kind's name. */
static json_t *channel_settings(const struct plan_channel *c)
{
    static const char *const STYLES[] = {
        [PING_AUTO] = "auto", [PING_HEALTHCHECKS] = "healthchecks", [PING_PLAIN] = "plain", [PING_KUMA] = "kuma"};
    if (c->kind == CHANNEL_COMMAND)
        return view_texts(&c->command);
    json_t *o = json_object();
    switch (c->kind) {
    case CHANNEL_TELEGRAM:
        view_put(o, "token", view_secret(&c->token));
        view_put(o, "chat", view_text(c->target));
        view_put(o, "api", address(&c->address));
        break;
    case CHANNEL_EMAIL:
        put_email(o, c);
        break;
    case CHANNEL_WEBHOOK:
        put_webhook(o, c);
        break;
    case CHANNEL_PING:
        view_put(o, "url", address(&c->address));
        view_put(o, "style", view_text(STYLES[c->style]));
        view_put(o, "tiers", view_texts(&c->tiers));
        break;
    case CHANNEL_OPENCLAW:
        view_put(o, "channel", view_text(c->via));
        view_put(o, "target", view_text(c->target));
        view_put(o, "gateway", address(&c->address));
        view_put(o, "token", view_secret(&c->token));
        break;
    case CHANNEL_SYSLOG:
        view_put(o, "facility", view_text(c->target));
        break;
    case CHANNEL_COMMAND:
        break;
    }
    view_put(o, "ca_file", view_text(c->ca_file));
    return o;
}

static json_t *digests(unsigned bits)
{
    if (bits == 0)
        return view_text("none");
    json_t *all = json_array();
    if (bits & DIGEST_DAILY)
        json_array_append_new(all, view_text("daily"));
    if (bits & DIGEST_WEEKLY)
        json_array_append_new(all, view_text("weekly"));
    return all;
}

static json_t *channel(const struct plan_channel *c)
{
    json_t *o = json_object();
    view_put(o, channel_kind_name(c->kind), channel_settings(c));
    if (c->kind != CHANNEL_PING) {
        view_put(o, "level", view_text(alert_level_name(c->at_least)));
        if (c->digests > 0 || c->kind == CHANNEL_EMAIL)
            view_put(o, "digest", digests(c->digests));
    }
    view_put(o, "timeout", view_duration(c->timeout_ms));
    return o;
}

json_t *view_alerts(const struct plan_alerts *a)
{
    static const char *const DAYS[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
    json_t *o = json_object(), *channels = json_object();
    char at[16];
    snprintf(at, sizeof at, "%02u:%02u", a->digest_minute / 60 % 24, a->digest_minute % 60);
    view_put(o, "repeat", duration_or_off(a->repeat_ms));
    view_put(o, "digest_at", view_text(at));
    view_put(o, "digest_day", view_text(DAYS[a->digest_weekday]));
    for (size_t i = 0; i < a->channel_count; i++)
        view_put(channels, a->channels[i].name, channel(&a->channels[i]));
    view_put(o, "channels", channels);
    return o;
}
