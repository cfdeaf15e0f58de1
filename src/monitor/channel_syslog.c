#include <pthread.h>
#include <string.h>
#include <syslog.h>

#include "monitor/channel_kinds.h"

enum { LINES_MAX = 50, LINE_MAX_BYTES = 900 /* RFC 3164: 1024 with what comes before */ };

static int facility_of(const char *name)
{
    static const struct {
        const char *name;
        int facility;
    } FACILITIES[] = {{"daemon", LOG_DAEMON}, {"user", LOG_USER},     {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
                      {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},
                      {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7}, {"cron", LOG_CRON},     {"mail", LOG_MAIL},
                      {"auth", LOG_AUTH}};
    for (size_t i = 0; i < sizeof FACILITIES / sizeof *FACILITIES; i++)
        if (strcmp(FACILITIES[i].name, name) == 0)
            return FACILITIES[i].facility;
    return -1;
}

static int priority_of(const struct message *m)
{
    if (m->over || m->kind != MESSAGE_ALERTS)
        return LOG_NOTICE;
    return m->level == ALERT_CRITICAL ? LOG_CRIT : m->level == ALERT_WARNING ? LOG_WARNING : LOG_NOTICE;
}

/* A line of the text is one of the log's. syslog() does not tell whether anybody listens. */
int channel_send_syslog(struct delivery *d, struct err *err)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* the name and the facility are the process's */
    const struct message *m = d->message;
    int facility = facility_of(d->channel->target != NULL ? d->channel->target : "daemon");
    if (facility < 0) {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "syslog has no facility '%s'", d->channel->target);
    }
    pthread_mutex_lock(&mutex);
    openlog("clawback", LOG_PID, facility);
    const char *p = m->text;
    for (int lines = 0; *p != '\0' && lines < LINES_MAX; lines++) {
        size_t len = strcspn(p, "\n");
        if (len > 0)
            syslog(priority_of(m), "%.*s", (int)(len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES), p);
        p += len + (p[len] == '\n');
    }
    closelog();
    pthread_mutex_unlock(&mutex);
    channel_say(d, "handed to syslog");
    return 0;
}
