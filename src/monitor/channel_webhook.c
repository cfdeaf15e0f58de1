#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "monitor/message_text.h"

/* ntfy takes JSON at its root, with the topic in it: "https://ntfy.sh/mytopic" becomes both. */
static int split_topic(const char *url, char **root, char **topic, struct err *err)
{
    size_t end = strcspn(url, "?#");
    while (end > 0 && url[end - 1] == '/')
        end--;
    const char *scheme = strstr(url, "://"), *slash = memrchr(url, '/', end);
    if (scheme == NULL || slash == NULL || slash < scheme + 3)
        return err_set(err, ERR_USAGE, "the address has no topic (https://ntfy.sh/TOPIC)");
    *root = mem_printf("%.*s%s", (int)(slash + 1 - url), url, url + strcspn(url, "?#"));
    char *raw = mem_strndup(slash + 1, (size_t)(url + end - slash - 1));
    *topic = text_clean_line(raw);
    mem_wipe_string(raw);
    return 0;
}

static bool ends_in_message(const char *url)
{
    size_t end = strcspn(url, "?#");
    return end >= 8 && memcmp(url + end - 8, "/message", 8) == 0;
}

static int find_address(const struct delivery *d, char **url, char **topic, struct err *err)
{
    *topic = NULL;
    switch (d->channel->format) {
    case WEBHOOK_NTFY:
        return split_topic(d->url, url, topic, err);
    case WEBHOOK_GOTIFY:
        *url = channel_url(d->url, ends_in_message(d->url) ? "" : "/message", "");
        return 0;
    default:
        *url = mem_strdup(d->url);
        return 0;
    }
}

int channel_send_webhook(struct delivery *d, struct err *err)
{
    char *url = NULL, *topic = NULL, *header = NULL;
    if (d->url == NULL || find_address(d, &url, &topic, err) != 0) {
        d->answer->hopeless = true;
        return d->url == NULL ? err_set(err, ERR_USAGE, "it has no address") : -1;
    }
    if (d->token != NULL && d->token[strcspn(d->token, "\r\n")] == '\0')
        header = mem_printf(d->channel->format == WEBHOOK_GOTIFY ? "X-Gotify-Key: %s" : "Authorization: Bearer %s",
                            d->token);
    char *body = message_body(d->message, d->channel->format, topic);
    int rc = channel_post(d, url, body, header, err);
    mem_wipe_string(body); /* it may have the topic, which is all that protects it */
    mem_wipe_string(topic);
    mem_wipe_string(header);
    mem_wipe_string(url);
    return rc;
}
