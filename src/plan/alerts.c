#include "plan/alerts.h"

const char *alert_level_name(enum alert_level level)
{
    static const char *const NAMES[] = {
        [ALERT_FINE] = "fine", [ALERT_INFO] = "info", [ALERT_WARNING] = "warning", [ALERT_CRITICAL] = "critical"};
    return NAMES[level];
}

const char *channel_kind_name(enum channel_kind kind)
{
    static const char *const NAMES[] = {
        [CHANNEL_TELEGRAM] = "telegram", [CHANNEL_EMAIL] = "email",       [CHANNEL_WEBHOOK] = "webhook",
        [CHANNEL_PING] = "ping",         [CHANNEL_OPENCLAW] = "openclaw", [CHANNEL_COMMAND] = "command",
        [CHANNEL_SYSLOG] = "syslog"};
    return NAMES[kind];
}
