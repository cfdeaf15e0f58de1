#include "source/redis_client.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { COMMAND_MAX_BYTES = 1 << 20, COMPLAINT_SHOWN = 300 };

/* ---- complaints */

static bool begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

/* As the server said it, without control characters and cut. */
static void quote_complaint(const char *complaint, char out[COMPLAINT_SHOWN])
{
    size_t len = strnlen(complaint, COMPLAINT_SHOWN - 1);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(iscntrl((unsigned char)complaint[i]) ? ' ' : complaint[i]);
    out[len] = '\0';
}

static int complain_of_login(const struct redis_asker *a, const char *complaint, struct err *err)
{
    if (begins(complaint, "NOAUTH"))
        return err_set(err, ERR_PERMISSION, "Redis at '%s' wants a password: give one with 'password'", a->where);
    if (begins(complaint, "WRONGPASS") || begins(complaint, "ERR invalid password"))
        return err_set(err, ERR_PERMISSION, "Redis at '%s' refuses the password of user '%s', or the user is disabled",
                       a->where, a->user != NULL ? a->user : "default");
    if (begins(complaint, "DENIED"))
        return err_set(err, ERR_PERMISSION,
                       "Redis at '%s' is in protected mode and takes no connection from here: give it a password "
                       "('requirepass'), or connect over its loopback address",
                       a->where);
    return 1;
}

int redis_complain(const struct redis_asker *a, const char *what, const char *complaint, struct err *err)
{
    int rc = complain_of_login(a, complaint, err);
    char shown[COMPLAINT_SHOWN];
    if (rc < 0)
        return -1;
    quote_complaint(complaint, shown);
    if (begins(complaint, "NOPERM"))
        return err_set(err, ERR_PERMISSION,
                       "Redis at '%s' does not allow user '%s' %s (%s): allow it with ACL SETUSER %s +info +replconf "
                       "+psync +sync",
                       a->where, a->user != NULL ? a->user : "default", what, shown,
                       a->user != NULL ? a->user : "default");
    if (begins(complaint, "LOADING"))
        return err_set(err, ERR_FAILED, "Redis at '%s' is still loading its data from disk: try again later", a->where);
    if (begins(complaint, "NOMASTERLINK") || begins(complaint, "MASTERDOWN"))
        return err_set(err, ERR_FAILED,
                       "Redis at '%s' is a replica that has lost its master, so that its data may be old: back up the "
                       "master, or mend the link",
                       a->where);
    if (begins(complaint, "ERR unknown command"))
        return err_set(err, ERR_FAILED,
                       "Redis at '%s' has no command %s: it was renamed or switched off ('rename-command'), or the "
                       "service does not offer it",
                       a->where, what);
    return err_set(err, ERR_FAILED, "Redis at '%s' refused %s: %s", a->where, what, shown);
}

/* ---- asking */

static int64_t read_link(void *ctx, void *p, size_t cap, struct err *err)
{
    return redis_link_read(ctx, p, cap, err);
}

static int ask_client(void *ctx, const char *const *argv, struct redis_reply *out, struct err *err)
{
    struct redis_client *c = ctx;
    struct buf text;
    buf_init(&text, COMMAND_MAX_BYTES);
    redis_command_encode(argv, &text);
    int rc = text.overflow ? err_set(err, ERR_USAGE, "a command for Redis is too long")
                           : redis_link_write(c->link, text.data, text.len, err);
    if (text.data != NULL)
        mem_wipe(text.data, text.len); /* it may be a password */
    buf_release(&text);
    if (rc == 0)
        rc = redis_reply_read(&c->reader, out, err);
    return rc;
}

int redis_ask(const struct redis_asker *a, const char *what, const char *const *argv, struct redis_reply *out,
              struct err *err)
{
    struct redis_reply own = {0}, *reply = out != NULL ? out : &own;
    int rc = a->ask(a->ctx, argv, reply, err);
    if (rc == 0 && reply->kind == REDIS_ERROR) {
        rc = redis_complain(a, what, redis_reply_text(reply), err);
        redis_reply_release(reply);
    }
    redis_reply_release(&own);
    return rc;
}

/* A server without a password refuses to be given one: that is fine, it lets us in anyway. */
static bool wants_no_password(const struct redis_reply *r)
{
    const char *text = redis_reply_text(r);
    return strstr(text, "no password is set") != NULL || strstr(text, "without any password configured") != NULL;
}

static int log_in(struct redis_client *c, const struct redis_login *login, struct err *err)
{
    struct redis_reply reply = {0};
    const char *const named[] = {"AUTH", login->user, login->password, NULL};
    const char *const unnamed[] = {"AUTH", login->password, NULL};
    int rc = ask_client(c, login->user != NULL ? named : unnamed, &reply, err);
    if (rc == 0 && reply.kind == REDIS_ERROR && !wants_no_password(&reply))
        rc = redis_complain(&c->asker, "the login", redis_reply_text(&reply), err);
    redis_reply_release(&reply);
    return rc;
}

int redis_client_open(struct redis_client **out, const struct redis_login *login, struct err *err)
{
    struct redis_client *c = mem_zalloc(sizeof *c);
    c->reader.read = read_link;
    c->asker = (struct redis_asker){.ask = ask_client, .ctx = c, .where = login->url->display, .user = login->user};
    int rc = redis_link_open(&c->link, login->url, login->idle_ms, login->deadline_ns, err);
    c->reader.ctx = c->link;
    if (rc == 0 && login->password != NULL)
        rc = log_in(c, login, err);
    if (rc != 0) {
        redis_client_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void redis_client_close(struct redis_client *c)
{
    if (c == NULL)
        return;
    redis_link_close(c->link);
    free(c);
}
