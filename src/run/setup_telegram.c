/*
 * Has the agent a Telegram bot? Source: OpenClaw's configuration reference, channels.telegram (botToken, tokenFile,
 * allowFrom, accounts); before channels there was telegram alone.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "os/file.h"
#include "plan/home_config.h"
#include "plan/json5.h"
#include "run/setup.h"

/* The file as JSON, or NULL. */
static json_t *load(const char *path)
{
    struct buf text, plain;
    json_t *document = NULL;
    buf_init(&text, HOME_CONFIG_MAX_BYTES);
    buf_init(&plain, 2 * HOME_CONFIG_MAX_BYTES);
    if (os_read_file(path, &text, NULL) == 0 && json5_to_json(buf_cstr(&text), text.len, &plain, NULL) == 0)
        document = json_loadb((const char *)plain.data, plain.len, 0, NULL);
    if (text.data != NULL)
        mem_wipe(text.data, text.cap);
    if (plain.data != NULL)
        mem_wipe(plain.data, plain.cap);
    buf_release(&text);
    buf_release(&plain);
    return document;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && *text != '\0' ? text : NULL;
}

/* "tg:123", "telegram:123", "123" or 123: the number. NULL: none of these. */
static char *number_of(const json_t *who)
{
    if (json_is_integer(who))
        return mem_printf("%lld", (long long)json_integer_value(who));
    const char *text = json_string_value(who);
    const char *colon = text != NULL ? strrchr(text, ':') : NULL;
    if (colon != NULL)
        text = colon + 1;
    return text != NULL && *text != '\0' && text[strspn(text, "0123456789")] == '\0' ? mem_strdup(text) : NULL;
}

/* Settings of one bot. */
static bool take_bot(const json_t *bot, const char *where, const char *config, struct setup_telegram *out)
{
    const char *file = text_of(bot, "tokenFile");
    if (file == NULL && text_of(bot, "botToken") == NULL)
        return false;
    out->config = mem_strdup(config);
    out->key = mem_printf("%s.%s", where, file != NULL ? "tokenFile" : "botToken");
    out->token_file = file != NULL && file[0] == '/' ? mem_strdup(file) : NULL;
    size_t i;
    json_t *who;
    json_array_foreach(json_object_get(bot, "allowFrom"), i, who) if (out->chat == NULL) out->chat = number_of(who);
    return true;
}

static bool take_section(const json_t *telegram, const char *where, const char *config, struct setup_telegram *out)
{
    if (take_bot(telegram, where, config, out))
        return true;
    const char *name;
    json_t *account;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(telegram, "accounts"), name, account)
    {
        char *there = mem_printf("%s.accounts.%s", where, name);
        bool found = take_bot(account, there, config, out);
        free(there);
        if (found)
            return true;
    }
    return false;
}

static bool look_into(const char *config, struct setup_telegram *out)
{
    json_t *document = load(config);
    bool found = take_section(json_object_get(json_object_get(document, "channels"), "telegram"), "channels.telegram",
                              config, out) ||
                 take_section(json_object_get(document, "telegram"), "telegram", config, out);
    json_decref(document);
    return found;
}

/* A root is a state directory, or, where there is nothing else, the configuration itself. */
void setup_telegram_find(const struct strlist *roots, struct setup_telegram *out)
{
    static const char *const NAMES[] = {"openclaw.json", "clawdbot.json", "moltbot.json"};
    *out = (struct setup_telegram){0};
    for (size_t i = 0; i < roots->count; i++) {
        struct stat st;
        if (stat(roots->items[i], &st) != 0)
            continue;
        if (!S_ISDIR(st.st_mode) && look_into(roots->items[i], out))
            return;
        for (size_t k = 0; S_ISDIR(st.st_mode) && k < sizeof NAMES / sizeof *NAMES; k++) {
            char *path = os_path_join(roots->items[i], NAMES[k]);
            bool found = look_into(path, out);
            free(path);
            if (found)
                return;
        }
    }
}

void setup_telegram_release(struct setup_telegram *t)
{
    free(t->config);
    free(t->key);
    free(t->token_file);
    free(t->chat);
    *t = (struct setup_telegram){0};
}
