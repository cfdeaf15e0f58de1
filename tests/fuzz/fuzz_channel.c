/* What servers answer to messages: channels judge it and say so in one line, without the secrets in it. The input's
 * first two bytes choose the channel and the status; the linker gives us http_do(), see meson.build. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"
#include "os/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_http_do(const struct http_request *q, struct http_response *out, struct err *err);

#define TOKEN "123456:AAsecretSECRET"
static const char URL[] = "https://user:password@server/path-of-mine?key=hidden";
static struct {
    const uint8_t *data;
    size_t size, requests;
    long status;
} server;

int __wrap_http_do(const struct http_request *q, struct http_response *out, struct err *err)
{
    (void)err;
    if (strncmp(q->url, "https://", 8) != 0 || ++server.requests > 4)
        abort();
    *out = (struct http_response){.status = server.status};
    buf_init(&out->body, HTTP_BODY_MAX_BYTES);
    buf_append(&out->body, server.data, server.size);
    return 0;
}

static void expect_clean(const char *text)
{
    static const char *const SECRETS[] = {TOKEN, "user:password", "path-of-mine", "hidden"};
    for (size_t i = 0; i < sizeof SECRETS / sizeof *SECRETS; i++)
        if (strstr(text, SECRETS[i]) != NULL)
            abort();
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            abort();
}

static void send_it(unsigned char choice)
{
    static int (*const SENDERS[])(struct delivery *, struct err *) = {channel_send_telegram, channel_send_webhook,
                                                                      channel_send_ping, channel_send_openclaw};
    static const char TARGET[] = "-100/7";
    struct plan_channel channel = {.name = "c", .target = TARGET};
    struct channel_answer answer = {0};
    struct message message;
    struct err err = {0};
    channel.format = (enum webhook_format)(choice / 4 % 5);
    channel.style = (enum ping_style)(choice / 4 % 4);
    message_test(&message, "host", 1770184800000);
    struct delivery d = {.channel = &channel,
                         .message = &message,
                         .answer = &answer,
                         .url = mem_strdup(URL),
                         .token = mem_strdup(TOKEN),
                         .shown = "https://server/…",
                         .end_ns = os_monotonic_ns() + 1000000000};
    if (SENDERS[choice % 4](&d, &err) != 0)
        expect_clean(err.message);
    if (memchr(answer.text, '\0', sizeof answer.text) == NULL)
        abort();
    expect_clean(answer.text);
    free(d.url);
    free(d.token);
    message_release(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long STATUS[] = {200, 204, 302, 400, 401, 403, 404, 408, 409, 429, 500, 503};
    if (size < 2 || size > HTTP_BODY_MAX_BYTES)
        return 0;
    server.data = data + 2;
    server.size = size - 2;
    server.requests = 0;
    server.status = STATUS[data[1] % (sizeof STATUS / sizeof *STATUS)];
    send_it(data[0]);
    return 0;
}
