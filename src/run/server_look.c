#include "run/server_look.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "source/postgres.h"
#include "source/redis.h"
#include "source/redis_url.h"

/* "postgresql://user:secret@host/db" without what stands between ':' and '@'. */
static char *url_without_password(const char *url)
{
    const char *start = strstr(url, "://");
    const char *at = start != NULL ? strchr(start + 3, '@') : NULL;
    const char *colon = at != NULL ? memchr(start + 3, ':', (size_t)(at - start - 3)) : NULL;
    char *out = colon != NULL ? mem_printf("%.*s%s", (int)(colon - url), url, at) : mem_strdup(url);
    char *query = strchr(out, '?'); /* a password may stand there, too */
    if (query != NULL)
        *query = '\0';
    return out;
}

char *server_name_postgres(const struct plan_postgres *p)
{
    if (p->container != NULL)
        return mem_printf("container '%s'", p->container);
    if (p->url != NULL)
        return url_without_password(p->url);
    return mem_printf("the local server%s%s", p->socket != NULL ? " at " : "", p->socket != NULL ? p->socket : "");
}

char *server_name_redis(const struct plan_redis *r)
{
    if (r->container != NULL)
        return mem_printf("container '%s'", r->container);
    struct redis_url url = {0};
    char *name = r->url != NULL && redis_url_parse(r->url, &url, NULL) == 0 ? mem_printf("redis at %s", url.display)
                                                                            : mem_strdup("redis");
    redis_url_release(&url);
    return name;
}

static int password_of(const struct secret *s, char **out, struct err *err)
{
    *out = NULL;
    return s->kind == SECRET_NONE ? 0 : secret_fetch(s, out, err);
}

static enum server_state state_of(enum err_code code)
{
    return code == ERR_NOT_FOUND ? SERVER_DOWN : code == ERR_PERMISSION ? SERVER_DENIED : SERVER_FAILED;
}

static void tell_databases(const struct postgres_databases *d, struct server_look *out)
{
    struct strlist names = {0};
    out->bytes_known = true;
    for (size_t i = 0; i < d->count; i++)
        if (!d->items[i].skipped) {
            strlist_add(&names, d->items[i].name);
            out->bytes += d->items[i].size_bytes;
            out->bytes_known = out->bytes_known && d->items[i].size_bytes > 0;
        }
    char *list = strlist_join(&names, ", ");
    out->what = mem_printf("database%s %s", names.count == 1 ? "" : "s", names.count > 0 ? list : "none");
    if (d->server_version != NULL)
        out->version = mem_printf("PostgreSQL %s", d->server_version);
    free(list);
    strlist_release(&names);
}

void server_look_postgres(const struct plan_postgres *p, uint64_t timeout_ms, struct server_look *out)
{
    *out = (struct server_look){.name = server_name_postgres(p)};
    struct postgres_databases databases = {0};
    char *password;
    if (password_of(&p->password, &password, &out->why) < 0) {
        out->state = SERVER_FAILED;
        return;
    }
    struct postgres_options options = {.container = p->container,
                                       .url = p->url,
                                       .socket = p->socket,
                                       .user = p->user,
                                       .database = p->database,
                                       .password = password,
                                       .timeout_ms = timeout_ms,
                                       .check_rights = true};
    if (postgres_list_databases(&databases, &options, &out->why) != 0) {
        out->state = state_of(out->why.code);
    } else {
        tell_databases(&databases, out);
        out->why = databases.denied;
        if (out->why.code != ERR_NONE)
            out->state = out->why.code == ERR_PERMISSION ? SERVER_UNREADABLE : SERVER_FAILED;
    }
    postgres_databases_release(&databases);
    mem_wipe_string(password);
}

void server_look_redis(const struct plan_redis *r, uint64_t timeout_ms, struct server_look *out)
{
    static const enum server_state STATES[] = {[REDIS_DOWN] = SERVER_DOWN,
                                               [REDIS_FAILED] = SERVER_FAILED,
                                               [REDIS_DENIED] = SERVER_DENIED,
                                               [REDIS_LOADING] = SERVER_FAILED,
                                               [REDIS_UP] = SERVER_UP};
    *out = (struct server_look){.name = server_name_redis(r)};
    struct redis_probe probe;
    char *password;
    if (password_of(&r->password, &password, &out->why) < 0) {
        out->state = SERVER_FAILED;
        return;
    }
    struct redis_options options = {
        .container = r->container, .url = r->url, .user = r->user, .password = password, .timeout_ms = timeout_ms};
    redis_probe(&options, &probe);
    mem_wipe_string(password);
    out->state = STATES[probe.state];
    out->why = probe.why;
    if (probe.version[0] != '\0')
        out->version = mem_printf("%s %s", probe.product[0] != '\0' ? probe.product : "redis", probe.version);
    if (probe.state != REDIS_UP)
        return;
    out->what = mem_printf("%llu key%s", (unsigned long long)probe.keys, probe.keys == 1 ? "" : "s");
    out->bytes = probe.used_memory_bytes;
    out->bytes_known = true;
    if (!probe.may_replicate) {
        out->state = SERVER_UNREADABLE;
        err_set(&out->why, ERR_PERMISSION,
                "this user may not replicate, which a dump needs: ACL SETUSER … +psync +sync +replconf; or the command "
                "was renamed");
    }
}

void server_look_release(struct server_look *l)
{
    free(l->name);
    free(l->version);
    free(l->what);
    *l = (struct server_look){0};
}
