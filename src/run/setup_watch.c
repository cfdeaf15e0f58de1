/* The end of a first clawback.yaml: who is told when something goes wrong. All of it is commented out, since it needs
 * what only the owner has. A '#' before a key is to be taken away; before a blank it begins a comment. */
#include "run/setup_parts.h"

/* The agent's own bot, and the agent itself. */
static void telegram_of_agent(const struct setup_telegram *t, const char *user_home, struct buf *out)
{
    buf_append_str(out, "# The agent has a Telegram bot: ");
    setup_comment_text(out, t->key);
    buf_append_str(out, " in ");
    setup_comment_text(out, t->config);
    if (t->token_file == NULL)
        buf_append_str(out, ".\n# To use it, copy its token into a file of its own that only you can read (chmod 600), "
                            "which is named here");
    buf_append_str(out, ".\n#    phone:\n#      telegram: {token: {file: ");
    if (t->token_file != NULL)
        setup_path(t->token_file, user_home, out);
    else
        buf_append_str(out, "~/.config/clawback/telegram-token");
    buf_append_str(out, "}, chat: ");
    buf_append_str(out, t->chat != NULL ? t->chat : "123456789");
    buf_append_str(out, "}\n# Or the agent passes the message on, as long as it lives:\n#    agent:\n"
                        "#      openclaw: {channel: telegram, target: ");
    buf_append_str(out, t->chat != NULL ? t->chat : "123456789");
    buf_append_str(out, "}\n");
}

void setup_render_watch(const struct setup_telegram *t, const char *user_home, struct buf *out)
{
    buf_append_str(out, "\n# From when on something is worth an alert. These are the defaults.\n"
                        "#health: {late: 25%, slow: 10m, growth: 50%, shrink: 50%, full: 80%, proof: 35d}\n"
                        "\n# Who is told when a backup fails or is late, when a disk fills up, and when it is over. "
                        "Without one, `clawback\n# alerts` lists what there is. Take the # away from what you have, "
                        "then try it: clawback alerts test\n#alerts:\n#  channels:\n");
    if (t->config != NULL)
        telegram_of_agent(t, user_home, out);
    else
        buf_append_str(out, "#    phone:\n"
                            "#      telegram: {token: {file: ~/.config/clawback/telegram-token}, chat: 123456789}\n");
    buf_append_str(out, "#    mail:\n#      email: {server: \"smtps://mail.example.org\", user: me@example.org,\n"
                        "#              password: {file: ~/.config/clawback/mail-password}, to: me@example.org}\n"
                        "# Notices when nothing happens at all, since it is elsewhere: healthchecks.io, Uptime Kuma …\n"
                        "#    monitor:\n#      ping: {url: {file: ~/.config/clawback/ping-url}}\n");
}
