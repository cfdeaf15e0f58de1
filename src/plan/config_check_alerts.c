/* Channels: what each kind of them needs, and what says nothing there. */
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "plan/config_check.h"
#include "plan/config_values.h"

/* A key that a channel of this kind cannot do without. */
static void need(struct config_reader *r, const struct yaml_node *n, const char *key, const char *what)
{
    if (!config_has(n, key))
        config_mistake(r, n, "expected '%s': %s", key, what);
}

static void check_telegram(struct config_reader *r, const struct yaml_node *n)
{
    need(r, n, "token", "where the bot's token is, like {file: PATH}");
    need(r, n, "chat", "the number of the chat, or @NAME of a channel");
}

/* smtp://HOST[:PORT], and nothing more. */
static bool is_server(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t len = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":/?#@");
    if (host[0] == '[' && host[len++] == '\0') /* no end to the address */
        return false;
    const char *rest = host + len;
    if (rest[0] == ':')
        rest += 1 + strspn(rest + 1, "0123456789");
    return len > 0 && (rest[0] == '\0' || strcmp(rest, "/") == 0) && rest[-1] != ':';
}

static void check_email(struct config_reader *r, const struct yaml_node *n, const struct plan_channel *c)
{
    need(r, n, "server", "the mail server, like smtps://mail.example.org");
    if (c->user == NULL || strchr(c->user, '@') == NULL) /* else that is the sender */
        need(r, n, "from", "the sender's address");
    if (c->to.count == 0 && (!config_has(n, "to") || yaml_is_null(yaml_get(n, "to")) ||
                             (yaml_get(n, "to")->kind == YAML_LIST && yaml_get(n, "to")->count == 0)))
        config_mistake(r, config_place(n, "to"), "expected 'to': whom to write to");
    if (c->address.url != NULL && !is_server(c->address.url)) {
        size_t was = config_trail_push(r, "server");
        config_mistake(r, config_place(n, "server"), "expected smtps://HOST or smtp://HOST, with a :PORT or without");
        config_trail_pop(r, was);
    }
    if (config_has(n, "password") != config_has(n, "user"))
        config_mistake(r, config_key_of(n, config_has(n, "user") ? "user" : "password"),
                       "found '%s' without '%s': a login needs both", config_has(n, "user") ? "user" : "password",
                       config_has(n, "user") ? "password" : "user");
}

static void check_webhook(struct config_reader *r, const struct yaml_node *n, const struct plan_channel *c)
{
    need(r, n, "url", "where to send to");
    if (c->format == WEBHOOK_GOTIFY && !config_has(n, "token") &&
        (c->address.url == NULL || strstr(c->address.url, "token=") == NULL) && c->address.secret.kind == SECRET_NONE &&
        config_has(n, "url"))
        config_mistake(r, n, "expected 'token': where the Gotify application's token is, like {file: PATH}");
}

static void check_openclaw(struct config_reader *r, const struct yaml_node *n)
{
    static const char *const WAYS[] = {"target", "gateway", NULL};
    if (config_check_one_of(r, n, WAYS) == 0)
        config_mistake(r, n,
                       "expected 'target' (and 'channel'): whom OpenClaw shall write to; or 'gateway' and 'token': its "
                       "wake hook");
    if (config_has(n, "gateway"))
        need(r, n, "token", "where the gateway's hooks.token is, like {file: PATH}");
    else if (config_has(n, "token"))
        config_mistake(r, config_key_of(n, "token"), "'token' says nothing without 'gateway'");
    if (config_has(n, "gateway") && config_has(n, "channel"))
        config_mistake(r, config_key_of(n, "channel"), "'channel' says nothing beside 'gateway'");
}

/* --- pings */

static void unknown_tier(struct config_reader *r, const struct yaml_node *at)
{
    const struct plan *p = r->plan;
    if (p->tier_count == 0)
        return; /* that was said */
    const char **names = mem_array(NULL, p->tier_count + 1, sizeof *names);
    for (size_t i = 0; i < p->tier_count; i++)
        names[i] = p->tiers[i].name;
    names[p->tier_count] = NULL;
    char shown[SHOWN_BYTES];
    const char *near = nearest_word(at->text, names);
    text_shown(at->text, shown);
    if (near != NULL)
        config_mistake(r, at, "there is no tier '%s'; did you mean '%s'?", shown, near);
    else
        config_mistake(r, at, "there is no tier '%s', expected a name from 'tiers'", shown);
    free(names);
}

static void check_ping(struct config_reader *r, const struct yaml_node *n)
{
    need(r, n, "url", "where to ping");
    const struct yaml_node *tiers = yaml_get(n, "tiers");
    if (tiers == NULL || yaml_is_null(tiers))
        return;
    size_t was = config_trail_push(r, "tiers");
    for (size_t i = 0; i < (tiers->kind == YAML_LIST ? tiers->count : 1); i++) {
        const struct yaml_node *at = tiers->kind == YAML_LIST ? tiers->items[i] : tiers;
        if (at->kind == YAML_SCALAR && !yaml_is_null(at) && at->text[0] != '\0' &&
            plan_tier_find(r->plan, at->text) == NULL)
            unknown_tier(r, at);
    }
    config_trail_pop(r, was);
}

/* Pings say that a run went well or not; there is nothing else that they could tell. */
static void check_ping_alone(struct config_reader *r, const struct yaml_node *channel)
{
    static const char *const NOT_THERE[] = {"level", "digest"};
    for (size_t i = 0; i < sizeof NOT_THERE / sizeof *NOT_THERE; i++)
        if (config_has(channel, NOT_THERE[i]))
            config_mistake(r, config_key_of(channel, NOT_THERE[i]), "'%s' says nothing beside 'ping'", NOT_THERE[i]);
}

/* --- all of them */

static const char *const KINDS[] = {"telegram", "email", "webhook", "ping", "openclaw", "command", "syslog", NULL};

static void check_kind(struct config_reader *r, const struct yaml_node *n, const struct plan_channel *c)
{
    switch (c->kind) {
    case CHANNEL_TELEGRAM:
        check_telegram(r, n);
        break;
    case CHANNEL_EMAIL:
        check_email(r, n, c);
        break;
    case CHANNEL_WEBHOOK:
        check_webhook(r, n, c);
        break;
    case CHANNEL_PING:
        check_ping(r, n);
        break;
    case CHANNEL_OPENCLAW:
        check_openclaw(r, n);
        break;
    case CHANNEL_COMMAND:
    case CHANNEL_SYSLOG:
        break;
    }
}

static void check_channel(struct config_reader *r, const struct yaml_node *key, const struct yaml_node *n,
                          const struct plan_channel *c)
{
    if (n->kind != YAML_MAP && !yaml_is_null(n))
        return; /* it was said what it is instead */
    size_t kinds = config_check_one_of(r, n, KINDS);
    if (kinds == 0)
        config_mistake(r, key,
                       "it does not say what it is, expected one of telegram, email, webhook, ping, openclaw, command, "
                       "syslog");
    if (kinds != 1)
        return;
    if (c->kind == CHANNEL_PING)
        check_ping_alone(r, n);
    const char *name = channel_kind_name(c->kind);
    const struct yaml_node *settings = yaml_get(n, name);
    size_t was = config_trail_push(r, name);
    if (settings->kind == YAML_MAP)
        check_kind(r, settings, c);
    else if (yaml_is_null(settings) && c->kind != CHANNEL_COMMAND && c->kind != CHANNEL_SYSLOG)
        config_mistake(r, config_key_of(n, name), "found nothing, expected its settings");
    config_trail_pop(r, was);
}

void config_check_alerts(struct config_reader *r, const struct yaml_node *document)
{
    struct plan_alerts *a = &r->plan->alerts;
    const struct yaml_node *alerts = yaml_get(document, "alerts");
    if (a->channel_count == 0)
        return;
    const struct yaml_node *channels = yaml_get(alerts, "channels");
    size_t was = config_trail_push(r, "alerts.channels");
    r->watching = true;
    for (size_t i = 0; i < a->channel_count; i++) {
        size_t here = config_trail_push(r, channels->keys[i]->text), before = r->mistakes;
        check_channel(r, channels->keys[i], channels->items[i], &a->channels[i]);
        a->channels[i].broken = a->channels[i].broken || r->mistakes > before;
        config_trail_pop(r, here);
    }
    r->watching = false;
    config_trail_pop(r, was);
}
