/*
 * The bodies that well-known services want. Sources: api.slack.com/messaging/webhooks and …/reference/surfaces/
 * formatting, discord.com/developers/docs/resources/webhook, docs.ntfy.sh/publish/#publish-as-json,
 * gotify.net/api-docs#/message/createMessage.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "monitor/message.h"

enum { SLACK_CHARS = 4000, DISCORD_CHARS = 2000, NTFY_BYTES = 4096, GOTIFY_BYTES = 32 << 10 };

static char *dump(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text != NULL ? text : mem_strdup("{}");
}

static char *replace(const char *text, const char *const pairs[][2])
{
    struct buf out;
    buf_init(&out, 8 * strlen(text) + 64);
    while (*text != '\0') {
        size_t i = 0;
        while (pairs[i][0] != NULL && strncmp(text, pairs[i][0], strlen(pairs[i][0])) != 0)
            i++;
        if (pairs[i][0] == NULL) {
            buf_append_byte(&out, (unsigned char)*text++);
        } else {
            buf_append_str(&out, pairs[i][1]);
            text += strlen(pairs[i][0]);
        }
    }
    char *replaced = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return replaced;
}

/* Only these three have a meaning of their own once markup is off. */
static char *slack(const struct message *m)
{
    static const char *const ESCAPES[][2] = {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {NULL, NULL}};
    char *text = message_chat_text(m, SLACK_CHARS), *escaped = replace(text, ESCAPES);
    json_t *o = json_pack("{s:s, s:b}", "text", escaped, "mrkdwn", 0);
    free(text);
    free(escaped);
    return dump(o);
}

/* In a block of code nothing is markup but its end, and nobody is called by name. */
static char *discord(const struct message *m)
{
    static const char *const ESCAPES[][2] = {{"```", "'''"}, {NULL, NULL}};
    char *text = message_chat_text(m, DISCORD_CHARS - 16), *escaped = replace(text, ESCAPES);
    char *content = mem_printf("```\n%s\n```", escaped);
    json_t *o = json_pack("{s:s, s:{s:[]}}", "content", content, "allowed_mentions", "parse");
    free(text);
    free(escaped);
    free(content);
    return dump(o);
}

/* Priorities: 1 to 5, 3 is the default. Tags that ntfy knows become pictures. */
static char *ntfy(const struct message *m, const char *topic)
{
    bool critical = m->level == ALERT_CRITICAL, warning = m->level == ALERT_WARNING;
    int priority = m->over || m->kind != MESSAGE_ALERTS ? 3 : critical ? 5 : warning ? 4 : 3;
    const char *tag = m->over ? "white_check_mark" : critical ? "rotating_light" : warning ? "warning" : "floppy_disk";
    char *text = message_clip_bytes(m->text, NTFY_BYTES);
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:[s]}", "topic", topic, "title", m->title, "message", text, "priority",
                          priority, "tags", tag);
    free(text);
    return dump(o);
}

/* Priorities: 0 to 10; above 7 the phone makes itself heard. */
static char *gotify(const struct message *m)
{
    int priority = m->over || m->kind != MESSAGE_ALERTS ? 3 : m->level == ALERT_CRITICAL ? 8 : 5;
    char *text = message_clip_bytes(m->text, GOTIFY_BYTES);
    json_t *o = json_pack("{s:s, s:s, s:i, s:{s:{s:s}}}", "title", m->title, "message", text, "priority", priority,
                          "extras", "client::display", "contentType", "text/plain");
    free(text);
    return dump(o);
}

char *message_body(const struct message *m, enum webhook_format format, const char *topic)
{
    switch (format) {
    case WEBHOOK_SLACK:
        return slack(m);
    case WEBHOOK_DISCORD:
        return discord(m);
    case WEBHOOK_NTFY:
        return ntfy(m, topic);
    case WEBHOOK_GOTIFY:
        return gotify(m);
    default:
        return mem_strdup(m->json != NULL ? m->json : "{}");
    }
}
