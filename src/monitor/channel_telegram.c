/* Telegram's bot API, sendMessage. Source: core.telegram.org/bots/api. Text without markup: nothing in it can be
 * mistaken for some. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"

/* "CHAT" or "CHAT/TOPIC". */
static char *body(const struct delivery *d, const char *chat)
{
    char *text = message_chat_text(d->message, CHANNEL_CHAT_CHARS);
    const char *slash = strchr(chat, '/');
    json_t *o = json_pack("{s:o, s:s, s:{s:b}}", "chat_id",
                          json_stringn(chat, slash != NULL ? (size_t)(slash - chat) : strlen(chat)), "text", text,
                          "link_preview_options", "is_disabled", 1);
    if (slash != NULL)
        json_object_set_new(o, "message_thread_id", json_integer(strtoll(slash + 1, NULL, 10)));
    char *dumped = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    free(text);
    return dumped != NULL ? dumped : mem_strdup("{}");
}

/* *moved_to: the group has another number now (then that is to be tried); the caller frees it. */
static int judge(struct delivery *d, const struct http_response *r, char **moved_to, struct err *err)
{
    json_t *o = json_loadb((const char *)r->body.data, r->body.len, 0, NULL);
    const json_t *parameters = json_object_get(o, "parameters"), *wait = json_object_get(parameters, "retry_after"),
                 *moved = json_object_get(parameters, "migrate_to_chat_id");
    int rc = 0;
    if (json_is_true(json_object_get(o, "ok")) && r->status == 200) {
        channel_say(d, "sent");
    } else {
        /* A proxy or a captive portal may say 200, too; only "ok" is. */
        rc = r->status == 200 ? channel_refused(d, 200, "what came is no answer of Telegram's", err)
                              : channel_judge(d, r, err);
        if (json_is_integer(wait) && json_integer_value(wait) > 0 && json_integer_value(wait) <= 86400)
            d->answer->retry_after_ms = (uint64_t)json_integer_value(wait) * 1000;
        if (json_is_integer(moved))
            *moved_to = mem_printf("%lld", (long long)json_integer_value(moved));
    }
    json_decref(o);
    return rc;
}

static int send_to(struct delivery *d, const char *url, const char *chat, char **moved_to, struct err *err)
{
    struct http_response response;
    char *json = body(d, chat);
    struct channel_request q = {.method = "POST", .url = url, .body = json, .type = "application/json"};
    int rc = channel_http(d, &q, &response, err);
    if (rc == 0)
        rc = judge(d, &response, moved_to, err);
    http_response_release(&response);
    free(json);
    return rc;
}

int channel_send_telegram(struct delivery *d, struct err *err)
{
    const char *chat = d->channel->target;
    if (d->token == NULL ||
        d->token[strspn(d->token, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_-")] != '\0' ||
        chat == NULL) {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "the token is not one of a Telegram bot (123456:ABC…), or there is no chat");
    }
    char *path = mem_printf("/bot%s/sendMessage", d->token), *url = channel_url(d->url, path, ""), *moved_to = NULL;
    int rc = send_to(d, url, chat, &moved_to, err);
    if (rc != 0 && moved_to != NULL) {
        char *none = NULL, *advice = mem_printf("sent; but the group has moved: its chat is %s now", moved_to);
        d->answer->hopeless = false;
        rc = send_to(d, url, moved_to, &none, err);
        if (rc == 0)
            channel_say(d, advice);
        free(none);
        free(advice);
    }
    free(moved_to);
    mem_wipe_string(path);
    mem_wipe_string(url);
    return rc;
}
