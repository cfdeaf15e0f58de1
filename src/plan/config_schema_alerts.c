/* The tables of what the plan says about watching and telling: health:, alerts:, and retry: of a tier. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plan/config_schema.h"
#include "plan/config_values.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };
static const uint64_t DAY_MS = 24 * (uint64_t)HOUR_MS;

#define AT(type, member) .offset = offsetof(struct type, member)

/* ------------------------------------------------------------------------------------------------- what can be
 * switched off
 */

static bool is_off(const struct yaml_node *n)
{
    static const char *const WORDS[] = {"0", "off", "Off", "OFF", "no", "No", "NO", "false", "False", "FALSE", "never"};
    for (size_t i = 0; n->kind == YAML_SCALAR && i < sizeof WORDS / sizeof *WORDS; i++)
        if (strcmp(n->text, WORDS[i]) == 0)
            return true;
    return false;
}

static void take_duration_or_off(struct config_reader *r, const struct yaml_node *n, void *to,
                                 const struct config_field *f)
{
    static const char EXPECTED[] = "a duration like 30s, 10m or 2h, or off";
    (void)f;
    uint64_t ms = 0;
    if (is_off(n)) {
        *(uint64_t *)to = 0;
        return;
    }
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    if (duration_parse(text, &ms, NULL) < 0 || ms == 0)
        config_expected(r, n, EXPECTED);
    else
        *(uint64_t *)to = ms;
}

static void take_size_or_off(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    if (is_off(n))
        *(uint64_t *)to = 0;
    else
        config_take_size(r, n, to, f);
}

/* "50%" or 50. more: const unsigned *, the most. */
static void take_percent(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    enum { DIGITS_MAX = 6 };
    unsigned most = *(const unsigned *)f->more;
    char expected[64];
    snprintf(expected, sizeof expected, "a percentage from 1%% to %u%%, or off", most);
    if (is_off(n)) {
        *(unsigned *)to = 0;
        return;
    }
    const char *text = config_text(r, n, expected);
    if (text == NULL)
        return;
    size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;
    unsigned long value = digits > 0 && digits <= DIGITS_MAX ? strtoul(text, NULL, 10) : 0;
    if ((*rest != '\0' && strcmp(rest, "%") != 0) || value < 1 || value > most)
        config_expected(r, n, expected);
    else
        *(unsigned *)to = (unsigned)value;
}

/* "3" or "2.5": how many times as much. Read digit by digit, since strtod() follows the locale. */
static void take_factor(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a number above 1, like 3 or 2.5, or off", DIGITS[] = "0123456789";
    enum { WHOLE_MAX = 6, FRACTION_MAX = 3 };
    (void)f;
    if (is_off(n)) {
        *(double *)to = 0;
        return;
    }
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    size_t whole = strspn(text, DIGITS), fraction = text[whole] == '.' ? strspn(text + whole + 1, DIGITS) : 0;
    size_t used = whole + (fraction > 0 ? 1 + fraction : 0);
    double value = 0, unit = 1;
    for (size_t i = 0; i < whole && whole <= WHOLE_MAX; i++)
        value = value * 10 + (text[i] - '0');
    for (size_t i = 0; i < fraction && fraction <= FRACTION_MAX; i++) {
        unit /= 10;
        value += unit * (text[whole + 1 + i] - '0');
    }
    if (whole == 0 || whole > WHOLE_MAX || fraction > FRACTION_MAX || text[used] != '\0' || value <= 1)
        config_expected(r, n, EXPECTED);
    else
        *(double *)to = value;
}

/* -------------------------------------------------------------------------------------------------------------- health
 */

static const unsigned ANY_PERCENT = 100000, WHOLE_PERCENT = 100;

static const struct config_field HEALTH[] = {
    {"late", take_percent, AT(plan_health, late_percent), &ANY_PERCENT},
    {"slow", take_duration_or_off, AT(plan_health, slow_ms)},
    {"slow_factor", take_factor, AT(plan_health, slow_factor)},
    {"growth", take_percent, AT(plan_health, growth_percent), &ANY_PERCENT},
    {"growth_critical", take_factor, AT(plan_health, growth_factor)},
    {"shrink", take_percent, AT(plan_health, shrink_percent), &WHOLE_PERCENT},
    {"full", take_percent, AT(plan_health, full_percent), &WHOLE_PERCENT},
    {"critical_free", take_size_or_off, AT(plan_health, critical_free_bytes)},
    {"proof", take_duration_or_off, AT(plan_health, proof_max_age_ms)},
    {"skew", take_duration_or_off, AT(plan_health, skew_ms)},
    {"dumps", config_take_not, AT(plan_health, no_dump_check)},
    {"prometheus", config_take_path, AT(plan_health, textfile)},
    {.key = NULL},
};

void config_take_health(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)f;
    r->watching = true;
    config_read_map(r, n, to, HEALTH);
    r->watching = false;
}

/* ------------------------------------------------------------------------------------------------------- parts of
 * alerts
 */

static void take_level(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char *const LEVELS[] = {"info", "warning", "critical", NULL};
    const struct config_field choice = {.key = f->key, .more = LEVELS};
    unsigned level = *(enum alert_level *)to - ALERT_INFO;
    config_take_choice(r, n, &level, &choice);
    *(enum alert_level *)to = (enum alert_level)(ALERT_INFO + level);
}

static void take_one_digest(struct config_reader *r, const struct yaml_node *n, unsigned *digests)
{
    if (n->kind == YAML_SCALAR && strcmp(n->text, "daily") == 0)
        *digests |= DIGEST_DAILY;
    else if (n->kind == YAML_SCALAR && strcmp(n->text, "weekly") == 0)
        *digests |= DIGEST_WEEKLY;
    else
        config_expected(r, n, "daily, weekly, both of them, or none");
}

static void take_digest(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    unsigned *digests = to;
    (void)f;
    *digests = 0;
    if (is_off(n) || (n->kind == YAML_SCALAR && strcmp(n->text, "none") == 0))
        return;
    if (n->kind != YAML_LIST)
        take_one_digest(r, n, digests);
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++) {
        size_t was = config_trail_push_index(r, i);
        take_one_digest(r, n->items[i], digests);
        config_trail_pop(r, was);
    }
}

/* "08:00": the minute of the day. */
static void take_time_of_day(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a time of day like \"08:00\"", DIGITS[] = "0123456789";
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    size_t hours = strspn(text, DIGITS), minutes = text[hours] == ':' ? strspn(text + hours + 1, DIGITS) : 0;
    bool fits = hours >= 1 && hours <= 2 && minutes == 2 && text[hours + 3] == '\0';
    unsigned long hour = fits ? strtoul(text, NULL, 10) : 0, minute = fits ? strtoul(text + hours + 1, NULL, 10) : 0;
    if (!fits || hour > 23 || minute > 59)
        config_expected(r, n, EXPECTED);
    else
        *(unsigned *)to = (unsigned)(hour * 60 + minute);
}

static void take_weekday(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char *const DAYS[] = {"sunday",   "monday", "tuesday",  "wednesday",
                                       "thursday", "friday", "saturday", NULL};
    (void)f;
    for (unsigned i = 0; n->kind == YAML_SCALAR && DAYS[i] != NULL; i++)
        if (strcasecmp(n->text, DAYS[i]) == 0 || (strlen(n->text) == 3 && strncasecmp(n->text, DAYS[i], 3) == 0)) {
            *(unsigned *)to = i;
            return;
        }
    config_expected(r, n, "a day of the week, like monday");
}

/* One line, that may begin with '-', as the numbers of Telegram's groups do. */
static void take_line(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)f;
    const char *text = config_text(r, n, "the number or name of a chat");
    if (text == NULL)
        return;
    if (strpbrk(text, "\r\n\t ") != NULL)
        config_expected(r, n, "the number or name of a chat, without blanks");
    else
        *(const char **)to = config_keep(r, text);
}

static bool is_mail_address(const char *text, size_t len)
{
    const char *at = memrchr(text, '@', len);
    bool good = at != NULL && at != text && at + 1 != text + len && text[0] != '-';
    for (size_t i = 0; i < len; i++)
        good = good && (unsigned char)text[i] > ' ' && text[i] != 0x7f && strchr("<>,;\"\\()", text[i]) == NULL;
    return good;
}

/* "a@b", or "Name <a@b>". */
static void take_mail_address(struct config_reader *r, const struct yaml_node *n, void *to,
                              const struct config_field *f)
{
    static const char EXPECTED[] = "a mail address like owner@example.org";
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    size_t len = strlen(text), name = strcspn(text, "<");
    bool good;
    if (name < len)
        good = text[len - 1] == '>' && is_mail_address(text + name + 1, len - name - 2);
    else
        good = is_mail_address(text, len);
    for (const char *c = text; *c != '\0'; c++)
        good = good && (unsigned char)*c >= ' ' && *c != 0x7f;
    if (!good)
        config_expected(r, n, EXPECTED);
    else
        *(const char **)to = config_keep(r, text);
}

static void take_mail_addresses(struct config_reader *r, const struct yaml_node *n, void *to,
                                const struct config_field *f)
{
    config_take_list(r, n, to, f, take_mail_address);
}

static void take_facility(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char *const FACILITIES[] = {"daemon", "user",   "cron",   "local0", "local1", "local2",
                                             "local3", "local4", "local5", "local6", "local7", NULL};
    const struct config_field choice = {.key = f->key, .more = FACILITIES};
    unsigned which = 0;
    config_take_choice(r, n, &which, &choice);
    *(const char **)to = FACILITIES[which];
}

/* ------------------------------------------------------------------------------------------------------------ channels
 */

static const char *const WEB[] = {"https://", "http://", NULL};
static const char *const MAIL[] = {"smtps://", "smtp://", NULL};
static const char *const TLS[] = {
    [MAIL_TLS_REQUIRED] = "required", [MAIL_TLS_IF_OFFERED] = "if_offered", [MAIL_TLS_NONE] = "none", NULL};
static const char *const FORMATS[] = {
    [WEBHOOK_JSON] = "json", [WEBHOOK_SLACK] = "slack",   [WEBHOOK_DISCORD] = "discord",
    [WEBHOOK_NTFY] = "ntfy", [WEBHOOK_GOTIFY] = "gotify", NULL};

static const char *const STYLES[] = {
    [PING_AUTO] = "auto", [PING_HEALTHCHECKS] = "healthchecks", [PING_PLAIN] = "plain", [PING_KUMA] = "kuma", NULL};

#define CA_FILE                                                \
    {                                                          \
        "ca_file", config_take_path, AT(plan_channel, ca_file) \
    }

static const struct config_field TELEGRAM[] = {
    {"token", config_take_secret, AT(plan_channel, token)},
    {"chat", take_line, AT(plan_channel, target)},
    {"api", config_take_address, AT(plan_channel, address), WEB},
    CA_FILE,
    {.key = NULL},
};
static const struct config_field EMAIL[] = {
    {"server", config_take_address, AT(plan_channel, address), MAIL},
    {"from", take_mail_address, AT(plan_channel, from)},
    {"to", take_mail_addresses, AT(plan_channel, to)},
    {"user", config_take_text, AT(plan_channel, user)},
    {"password", config_take_secret, AT(plan_channel, token)},
    {"tls", config_take_choice, AT(plan_channel, tls), TLS},
    CA_FILE,
    {.key = NULL},
};
static const struct config_field WEBHOOK[] = {
    {"url", config_take_address, AT(plan_channel, address), WEB},
    {"format", config_take_choice, AT(plan_channel, format), FORMATS},
    {"token", config_take_secret, AT(plan_channel, token)},
    CA_FILE,
    {.key = NULL},
};
static const struct config_field PING[] = {
    {"url", config_take_address, AT(plan_channel, address), WEB},
    {"style", config_take_choice, AT(plan_channel, style), STYLES},
    {"tiers", config_take_words, AT(plan_channel, tiers)},
    CA_FILE,
    {.key = NULL},
};
static const struct config_field OPENCLAW[] = {
    {"channel", config_take_word, AT(plan_channel, via)},
    {"target", take_line, AT(plan_channel, target)},
    {"gateway", config_take_address, AT(plan_channel, address), WEB},
    {"token", config_take_secret, AT(plan_channel, token)},
    CA_FILE,
    {.key = NULL},
};
static const struct config_field SYSLOG[] = {
    {"facility", take_facility, AT(plan_channel, target)},
    {.key = NULL},
};

/* How each kind is written: as a map, or (short_form) as what one of its keys would hold. */
struct kind {
    enum channel_kind kind;
    const struct config_field *fields; /* NULL: no map */
    struct config_field short_form;    /* take NULL: none */
};

static const struct kind KINDS[] = {
    [CHANNEL_TELEGRAM] = {CHANNEL_TELEGRAM, TELEGRAM, {.key = NULL}},
    [CHANNEL_EMAIL] = {CHANNEL_EMAIL, EMAIL, {.key = NULL}},
    [CHANNEL_WEBHOOK] = {CHANNEL_WEBHOOK, WEBHOOK, {"url", config_take_address, AT(plan_channel, address), WEB}},
    [CHANNEL_PING] = {CHANNEL_PING, PING, {"url", config_take_address, AT(plan_channel, address), WEB}},
    [CHANNEL_OPENCLAW] = {CHANNEL_OPENCLAW, OPENCLAW, {.key = NULL}},
    [CHANNEL_COMMAND] = {CHANNEL_COMMAND, NULL, {"command", config_take_command, AT(plan_channel, command)}},
    [CHANNEL_SYSLOG] = {CHANNEL_SYSLOG, SYSLOG, {"facility", take_facility, AT(plan_channel, target)}},
};

static void take_kind(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    const struct kind *kind = f->more;
    const struct config_field *one = &kind->short_form;
    struct plan_channel *c = to;
    c->kind = kind->kind;
    if (c->kind == CHANNEL_TELEGRAM)
        c->address.url = config_keep(r, "https://api.telegram.org");
    if (c->kind == CHANNEL_SYSLOG)
        c->target = "daemon";
    bool nothing = yaml_is_null(n) && kind->fields != NULL;
    bool in_short = one->take != NULL && n->kind != YAML_MAP && !nothing;
    if (kind->fields != NULL && !in_short)
        config_read_map(r, n, to, kind->fields);
    else if (one->take != NULL)
        one->take(r, n, (char *)to + one->offset, one);
}

static const struct config_field CHANNEL[] = {
    {"telegram", take_kind, 0, &KINDS[CHANNEL_TELEGRAM]},
    {"email", take_kind, 0, &KINDS[CHANNEL_EMAIL]},
    {"webhook", take_kind, 0, &KINDS[CHANNEL_WEBHOOK]},
    {"ping", take_kind, 0, &KINDS[CHANNEL_PING]},
    {"openclaw", take_kind, 0, &KINDS[CHANNEL_OPENCLAW]},
    {"command", take_kind, 0, &KINDS[CHANNEL_COMMAND]},
    {"syslog", take_kind, 0, &KINDS[CHANNEL_SYSLOG]},
    {"level", take_level, AT(plan_channel, at_least)},
    {"digest", take_digest, AT(plan_channel, digests)},
    {"timeout", config_take_duration, AT(plan_channel, timeout_ms)},
    {.key = NULL},
};

static void take_channels(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct plan_alerts *a = to;
    a->channels = config_name_array(r, n, sizeof *a->channels, &a->channel_count);
    for (size_t i = 0; i < a->channel_count; i++) {
        struct plan_channel *c = &a->channels[i];
        size_t before = r->mistakes;
        *c = (struct plan_channel){
            .name = "", .at_least = ALERT_WARNING, .timeout_ms = 30 * SECOND_MS, .line = n->keys[i]->line};
        config_take_name(r, n->keys[i], &c->name, f);
        size_t was = config_trail_push(r, n->keys[i]->text);
        config_read_map(r, n->items[i], c, CHANNEL);
        if (c->kind == CHANNEL_EMAIL && n->items[i]->kind == YAML_MAP && yaml_get(n->items[i], "digest") == NULL)
            c->digests = DIGEST_DAILY | DIGEST_WEEKLY;
        c->broken = r->mistakes > before;
        config_trail_pop(r, was);
    }
}

static const struct config_field ALERTS[] = {
    {"repeat", take_duration_or_off, AT(plan_alerts, repeat_ms)},
    {"digest_at", take_time_of_day, AT(plan_alerts, digest_minute)},
    {"digest_day", take_weekday, AT(plan_alerts, digest_weekday)},
    {"channels", take_channels, 0},
    {.key = NULL},
};

void config_take_alerts(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)f;
    r->watching = true;
    config_read_map(r, n, to, ALERTS);
    r->watching = false;
}

/* --------------------------------------------------------------------------------------------------------------- retry
 */

static const unsigned TIMES_MAX = 20;
static const struct config_field RETRY[] = {
    {"times", config_take_number, AT(plan_retry, times), &TIMES_MAX},
    {"after", config_take_duration, AT(plan_retry, after_ms)},
    {.key = NULL},
};

/* A number alone is `times`. */
void config_take_retry(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct plan_retry *retry = to;
    (void)f;
    *retry = (struct plan_retry){.after_ms = 5 * MINUTE_MS};
    if (is_off(n) || yaml_is_null(n))
        return;
    retry->times = 3;
    if (n->kind == YAML_SCALAR)
        config_take_number(r, n, &retry->times, &RETRY[0]);
    else
        config_read_map(r, n, retry, RETRY);
}

/* --------------------------------------------------------------------------------------------------------------------
 */

void config_alerts_defaults(struct plan *p)
{
    p->health = (struct plan_health){
        .late_percent = 25,
        .slow_ms = 10 * MINUTE_MS,
        .slow_factor = 3,
        .growth_percent = 50,
        .growth_factor = 10,
        .shrink_percent = 50,
        .full_percent = 80,
        .critical_free_bytes = 100 * 1000 * 1000,
        .proof_max_age_ms = 35 * DAY_MS,
        .skew_ms = 5 * MINUTE_MS,
    };
    p->alerts = (struct plan_alerts){.repeat_ms = DAY_MS, .digest_minute = 8 * 60, .digest_weekday = 1};
}
