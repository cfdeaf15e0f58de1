/* OpenClaw: its command line sends a message to the owner's own channel, or its gateway is woken by a hook. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "os/process.h"

/* The text is in the argument list, which everybody on the machine can read: alerts have no secrets in them. */
static int by_command(struct delivery *d, struct err *err)
{
    const struct plan_channel *c = d->channel;
    if (c->via == NULL || c->target == NULL) {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "it has no channel and target, and no gateway");
    }
    char *text = message_chat_text(d->message, CHANNEL_CHAT_CHARS);
    char *channel = mem_strdup(c->via), *target = mem_strdup(c->target);
    char name[] = "openclaw", message[] = "message", send[] = "send", o_channel[] = "--channel",
         o_target[] = "--target", o_message[] = "--message";
    char *argv[] = {name, message, send, o_channel, channel, o_target, target, o_message, text, NULL};
    struct process_options options = {.argv = argv, .no_terminal = true, .timeout_ms = channel_left_ms(d)};
    int rc = process_run(&options, NULL, err);
    if (rc == 0)
        channel_say(d, "openclaw has sent it");
    free(channel);
    free(target);
    free(text);
    return rc;
}

static int by_hook(struct delivery *d, struct err *err)
{
    if (d->token == NULL || d->token[strcspn(d->token, "\r\n")] != '\0') {
        d->answer->hopeless = true;
        return err_set(err, ERR_USAGE, "the gateway's hooks need a token (hooks.token in openclaw.json)");
    }
    char *text = message_chat_text(d->message, CHANNEL_CHAT_CHARS), *url = channel_url(d->url, "/hooks/wake", "");
    char *header = mem_printf("Authorization: Bearer %s", d->token);
    json_t *o = json_pack("{s:s, s:s}", "text", text, "mode", "now");
    char *body = json_dumps(o, JSON_COMPACT);
    int rc = channel_post(d, url, body, header, err);
    json_decref(o);
    free(body);
    free(text);
    mem_wipe_string(url);
    mem_wipe_string(header);
    return rc;
}

int channel_send_openclaw(struct delivery *d, struct err *err)
{
    return d->url != NULL ? by_hook(d, err) : by_command(d, err);
}
