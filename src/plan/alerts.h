/* What the plan says of watching and telling: the keys `health:` and `alerts:`. Values that were not given have their
 * defaults here already. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/strlist.h"
#include "plan/secret.h"

enum alert_level { ALERT_FINE, ALERT_INFO, ALERT_WARNING, ALERT_CRITICAL };
const char *alert_level_name(enum alert_level level); /* "fine", "info", "warning", "critical" */

/* Thresholds. Where a rule can be switched off, 0 does. */
struct plan_health {
    unsigned late_percent;        /* `late: 25%`: a tier's last success may be older than its interval by so much */
    uint64_t slow_ms;             /* `slow: 10m`: a run that takes longer is a warning */
    double slow_factor;           /* `slow_factor: 3`: and one that takes so many times its usual (median) time */
    unsigned growth_percent;      /* `growth: 50%`: larger than usual by so much: warning */
    double growth_factor;         /* `growth_critical: 10`: so many times the usual size: critical */
    unsigned shrink_percent;      /* `shrink: 50%`: smaller by so much: warning */
    unsigned full_percent;        /* `full: 80%`: a destination that is fuller: warning */
    uint64_t critical_free_bytes; /* `critical_free: 100MB`: less free: critical */
    uint64_t proof_max_age_ms;    /* `proof: 35d`: the last restore proof may be so old: warning */
    uint64_t skew_ms;             /* `skew: 5m`: the clock may be off from others' by so much */
    bool no_dump_check;           /* `dumps: false`: health does not ask databases whether they could be dumped */
    const char *textfile;         /* `prometheus: FILE`: health writes its numbers there; NULL: nowhere */
};

enum channel_kind {
    CHANNEL_TELEGRAM,
    CHANNEL_EMAIL,
    CHANNEL_WEBHOOK,
    CHANNEL_PING,
    CHANNEL_OPENCLAW,
    CHANNEL_COMMAND,
    CHANNEL_SYSLOG,
};
const char *channel_kind_name(enum channel_kind kind); /* "telegram": its key in the plan */

enum webhook_format { WEBHOOK_JSON, WEBHOOK_SLACK, WEBHOOK_DISCORD, WEBHOOK_NTFY, WEBHOOK_GOTIFY };
/* HEALTHCHECKS: URL/start, URL, URL/fail, with the run's ID and the log's tail. PLAIN: the URL itself after a success,
 * and nothing else (a heartbeat whose absence is the alarm). KUMA: Uptime Kuma's push URL, with status=up or down.
 * AUTO: KUMA where the path has /api/push/, PLAIN where the URL has a query, else HEALTHCHECKS. */
enum ping_style { PING_AUTO, PING_HEALTHCHECKS, PING_PLAIN, PING_KUMA };
enum mail_tls { MAIL_TLS_REQUIRED, MAIL_TLS_IF_OFFERED, MAIL_TLS_NONE }; /* smtps:// is always encrypted */
enum digest_kind { DIGEST_DAILY = 1, DIGEST_WEEKLY = 2 };                /* bits */

/* URLs may hold tokens, so each is a secret: {file: …}, {env: …}, …, or, where nothing in it is secret, the text
 * itself, which is then kept as `url` beside a secret of kind SECRET_NONE. */
struct plan_address {
    const char *url; /* NULL: it comes from the secret */
    struct secret secret;
};

struct plan_channel {
    const char *name;
    enum channel_kind kind;
    enum alert_level at_least;   /* `level: warning` (default), info, critical. PING: not used */
    unsigned digests;            /* `digest: [daily, weekly]`: these too; EMAIL default: both; others none */
    struct plan_address address; /* TELEGRAM: the API's base, default https://api.telegram.org; EMAIL:
                                  * smtp[s]://HOST[:PORT]; WEBHOOK, PING: the URL; OPENCLAW: the gateway for the wake
                                  * hook, NULL URL and no secret: the `openclaw` command is run instead */
    struct secret
        token; /* TELEGRAM: bot token; EMAIL: password; WEBHOOK: bearer token, or Gotify's; OPENCLAW: hooks.token */
    const char *target; /* TELEGRAM: chat; OPENCLAW command: --target; SYSLOG: facility, NULL: "daemon" */
    const char *via;    /* OPENCLAW command: --channel */
    const char *user;   /* EMAIL: login; NULL: none. A token belongs to it */
    const char *from;   /* EMAIL: "a@b" or "Name <a@b>"; NULL: the user, if it is an address, else clawback@HOST */
    struct strlist to;  /* EMAIL: as `from`, at least one */
    enum mail_tls tls;  /* EMAIL */
    enum webhook_format
        format; /* WEBHOOK; NTFY: the URL has the topic; GOTIFY: the server's URL, with or without /message */
    enum ping_style style;  /* PING: `style: healthchecks`, `plain`, `kuma`; not given: AUTO */
    const char *ca_file;    /* a private certificate authority, PEM; NULL: the system's */
    struct strlist command; /* COMMAND: argv */
    struct strlist tiers;   /* PING: only of runs of these; empty: all */
    uint64_t timeout_ms;    /* `timeout: 30s`: for one message; 0 counts as 30 s */
    unsigned line;
    bool broken; /* it has a mistake: no plan that is given out has such a channel */
};

struct plan_alerts {
    uint64_t repeat_ms;      /* `repeat: 24h`: an open alert is told again after so long; 0: never */
    unsigned digest_minute;  /* `digest_at: "08:00"`: minute of the local day */
    unsigned digest_weekday; /* `digest_day: monday`: 0 Sunday */
    struct plan_channel *channels;
    size_t channel_count;
    /* Of a plan that is worked by in spite of mistakes in `alerts:` and `health:` (config_load_to_run()): */
    struct strlist mistakes; /* where each is: "FILE:LINE: alerts.channels.mail"; channels with one are left out */
    struct secret *unread;   /* FILE and ENV: what else may be secret, somewhere in an `alerts:` that has mistakes */
    size_t unread_count;
};

/* `retry: {times: 3, after: 5m}` of a tier: a run that failed, where trying again may help, is repeated so often, after
 * `after`, then twice that, … (at most an hour). times 0: never. */
struct plan_retry {
    unsigned times;
    uint64_t after_ms;
};
