#include "source/container.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>

#include "base/mem.h"

enum {
    ENGINE_TIMEOUT_MS = 30000, /* for one question */
    ANSWER_BYTES_MAX = 64 << 20,
};

/* One engine to ask. `host` is set where it must be told whom to ask. */
struct engine {
    const char *program;
    char *host;
};

/* How an engine answered. */
enum answer {
    ANSWER_OK,
    ANSWER_ABSENT,  /* it does not know the container */
    ANSWER_MISSING, /* it is not installed */
    ANSWER_SILENT,  /* it does not run */
    ANSWER_ERROR,
};

void container_release(struct container *c)
{
    char *texts[] = {c->name, c->id, c->image, c->status, c->program, c->host};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    strlist_release(&c->ports);
    strlist_release(&c->env);
    *c = (struct container){0};
}

/* ---------------------------------------------------------------------------------------------- asking an engine */

/* Docker without root listens at the user's own socket, which its program finds only when a variable or a context says
 * so: under cron neither may be there. */
static char *rootless_docker_host(void)
{
    if (getenv("DOCKER_HOST") != NULL || getenv("DOCKER_CONTEXT") != NULL)
        return NULL;
    const char *dir = getenv("XDG_RUNTIME_DIR");
    char *path = dir != NULL && dir[0] == '/' ? mem_printf("%s/docker.sock", dir)
                                              : mem_printf("/run/user/%lu/docker.sock", (unsigned long)geteuid());
    char *host = access(path, R_OK | W_OK) == 0 ? mem_printf("unix://%s", path) : NULL;
    free(path);
    return host;
}

enum { ENGINE_COUNT = 3 };
static void engines_init(struct engine engines[ENGINE_COUNT])
{
    engines[0] = (struct engine){.program = "docker"};
    engines[1] = (struct engine){.program = "docker", .host = rootless_docker_host()};
    engines[2] = (struct engine){.program = "podman"};
}

static void engines_release(struct engine engines[ENGINE_COUNT])
{
    for (size_t i = 0; i < ENGINE_COUNT; i++)
        free(engines[i].host);
}

/* The second docker is another one only where it has a socket of its own. */
static bool is_worth_asking(const struct engine *engines, size_t i)
{
    return i != 1 || engines[1].host != NULL;
}

static bool has_any(const char *text, const char *const *parts)
{
    for (; *parts != NULL; parts++)
        if (strcasestr(text, *parts) != NULL)
            return true;
    return false;
}

/* What an engine's complaint means. Their programs have no exit statuses for it. */
static enum answer judge(const char *words, const struct engine *e, struct err *err)
{
    static const char *const absent[] = {"no such container", "no container with name or id", NULL};
    static const char *const denied[] = {"permission denied", NULL};
    static const char *const silent[] = {"cannot connect to the docker daemon",
                                         "is the docker daemon running",
                                         "failed to connect to the docker api",
                                         "cannot connect to podman",
                                         "unable to connect to podman",
                                         "connection refused",
                                         NULL};
    if (has_any(words, absent))
        return ANSWER_ABSENT;
    if (has_any(words, denied)) {
        err_set(err, ERR_PERMISSION,
                "%s does not let this user in: run as root, or add the user to the group that its socket belongs to",
                e->program);
        return ANSWER_ERROR;
    }
    return has_any(words, silent) ? ANSWER_SILENT : ANSWER_ERROR;
}

/* `out` gets its standard output, whatever the answer. */
static enum answer ask(const struct engine *e, char *const *argv, struct buf *out, struct err *err)
{
    char *host = e->host != NULL ? mem_printf("DOCKER_HOST=%s", e->host) : NULL;
    const char *environment[] = {"LC_ALL=C", host, NULL};
    struct process_options options = {.argv = argv, .environment = environment, .timeout_ms = ENGINE_TIMEOUT_MS};
    struct process *process = NULL;
    enum answer answer = ANSWER_ERROR;
    struct err reason = {0};
    unsigned char room[4096];
    int64_t n = -1;
    if (process_start(&process, &options, &reason) != 0) {
        answer = reason.code == ERR_NOT_FOUND ? ANSWER_MISSING : ANSWER_ERROR;
        goto out;
    }
    while ((n = process_read(process, room, sizeof room, &reason)) > 0)
        buf_append(out, room, (size_t)n);
    if (n == 0 && process_wait(process, &reason) == 0)
        answer = ANSWER_OK;
    else if (reason.code == ERR_FAILED)
        answer = judge(process_stderr(process), e, &reason);
    if (out->overflow) {
        err_set(&reason, ERR_FAILED, "what '%s' says about its containers is too much", e->program);
        answer = ANSWER_ERROR;
    }
out:
    if (answer == ANSWER_ERROR && err != NULL)
        *err = reason;
    process_free(process);
    free(host);
    return answer;
}

/* -------------------------------------------------------------------------------------------- reading its answer */

static const char *text_at(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void take_ports(struct container *c, json_t *ports)
{
    const char *port;
    json_t *bindings, *binding;
    size_t i;
    json_object_foreach(ports, port, bindings)
    {
        if (json_array_size(bindings) == 0 && !strlist_contains(&c->ports, port))
            strlist_add(&c->ports, port);
        json_array_foreach(bindings, i, binding)
        {
            const char *ip = text_at(binding, "HostIp");
            char *text = mem_printf(strchr(ip, ':') != NULL ? "[%s]:%s->%s" : "%s:%s->%s",
                                    ip[0] != '\0' ? ip : "0.0.0.0", text_at(binding, "HostPort"), port);
            strlist_add(&c->ports, text);
            free(text);
        }
    }
}

/* Names whose values say where and as whom to connect, and nothing secret. */
static bool is_harmless(const char *entry, size_t name_len)
{
    static const char *const names[] = {
        "POSTGRES_USER",
        "POSTGRES_DB",
        "POSTGRESQL_USERNAME",
        "POSTGRESQL_DATABASE",
        "POSTGRESQL_PORT_NUMBER",
        "PGUSER",
        "PGDATABASE",
        "PGPORT",
        "PGHOST",
        "REDIS_PORT",
        "REDIS_PORT_NUMBER",
        "ALLOW_EMPTY_PASSWORD",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == name_len && memcmp(entry, names[i], name_len) == 0)
            return true;
    return false;
}

static void take_env(struct container *c, json_t *env)
{
    json_t *item;
    size_t i;
    json_array_foreach(env, i, item)
    {
        const char *entry = json_string_value(item);
        if (entry == NULL)
            continue;
        size_t name_len = strcspn(entry, "=");
        strlist_add_len(&c->env, entry, is_harmless(entry, name_len) ? strlen(entry) : name_len);
    }
}

static void take_container(struct container *c, json_t *doc, const struct engine *e)
{
    json_t *state = json_object_get(doc, "State"), *config = json_object_get(doc, "Config");
    const char *name = text_at(doc, "Name");
    bool runs = json_is_true(json_object_get(state, "Running")) && !json_is_true(json_object_get(state, "Paused"));
    c->state = runs ? CONTAINER_RUNNING : CONTAINER_STOPPED;
    c->name = mem_strdup(name[0] == '/' ? name + 1 : name);
    c->id = mem_strdup(text_at(doc, "Id"));
    c->image = mem_strdup(text_at(config, "Image"));
    c->status = mem_strdup(text_at(state, "Status"));
    c->program = mem_strdup(e->program);
    c->host = e->host != NULL ? mem_strdup(e->host) : NULL;
    take_ports(c, json_object_get(json_object_get(doc, "NetworkSettings"), "Ports"));
    take_ports(c, json_object_get(config, "ExposedPorts"));
    take_env(c, json_object_get(config, "Env"));
}

/* The answer to `container inspect`, an array. NULL when it is none. */
static json_t *parse_answer(const struct buf *answer)
{
    json_t *doc = json_loadb((const char *)answer->data, answer->len, JSON_ALLOW_NUL, NULL);
    if (json_is_array(doc))
        return doc;
    json_decref(doc);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------ the verbs */

static enum answer inspect(struct container *out, const struct engine *e, const char *name, struct err *err)
{
    char *program = mem_strdup(e->program), *copy = mem_strdup(name);
    char *argv[] = {program, (char[]){"container"}, (char[]){"inspect"}, copy, NULL};
    struct buf text;
    buf_init(&text, ANSWER_BYTES_MAX);
    enum answer answer = ask(e, argv, &text, err);
    if (answer == ANSWER_OK) {
        json_t *doc = parse_answer(&text);
        json_t *first = json_array_get(doc, 0);
        if (json_is_object(first) && text_at(first, "Id")[0] != '\0') {
            take_container(out, first, e);
        } else {
            err_set(err, ERR_FAILED, "'%s container inspect' says nothing that makes sense", e->program);
            answer = ANSWER_ERROR;
        }
        json_decref(doc);
    }
    buf_release(&text);
    free(program);
    free(copy);
    return answer;
}

static bool is_name(const char *name)
{
    if (name[0] == '\0' || name[0] == '-')
        return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == '\0';
}

int container_find(struct container *out, const char *name, struct err *err)
{
    *out = (struct container){.state = CONTAINER_NO_ENGINE};
    if (!is_name(name))
        return err_set(err, ERR_USAGE, "'%s' is no name of a container", name);
    struct engine engines[ENGINE_COUNT];
    engines_init(engines);
    struct err trouble = {0}; /* the first */
    for (size_t i = 0; i < ENGINE_COUNT && out->state != CONTAINER_RUNNING; i++) {
        struct container found = {0};
        struct err reason = {0};
        enum answer answer = is_worth_asking(engines, i) ? inspect(&found, &engines[i], name, &reason) : ANSWER_MISSING;
        if (answer == ANSWER_OK && (out->id == NULL || found.state == CONTAINER_RUNNING)) {
            container_release(out);
            *out = found;
        } else {
            container_release(&found);
        }
        if (answer == ANSWER_ERROR && trouble.code == ERR_NONE)
            trouble = reason;
        if (answer == ANSWER_ABSENT && out->id == NULL)
            out->state = CONTAINER_ABSENT;
        if (answer == ANSWER_SILENT && out->status == NULL)
            out->status = mem_printf("%s is installed, but does not run", engines[i].program);
    }
    engines_release(engines);
    if (out->id != NULL)
        return 0;
    if (trouble.code != ERR_NONE) {
        if (err != NULL)
            *err = trouble;
        return err_wrap(err, "cannot look for the container '%s'", name);
    }
    out->name = mem_strdup(name);
    return 0;
}

int container_require_running(const struct container *c, struct err *err)
{
    switch (c->state) {
    case CONTAINER_RUNNING:
        return 0;
    case CONTAINER_STOPPED:
        return err_set(err, ERR_NOT_FOUND, "the container '%s' is not running (%s): start it with '%s %s %s'", c->name,
                       c->status, c->program, strcmp(c->status, "paused") == 0 ? "unpause" : "start", c->name);
    case CONTAINER_ABSENT:
        return err_set(err, ERR_NOT_FOUND, "there is no container '%s'%s%s", c->name, c->status != NULL ? ": " : "",
                       c->status != NULL ? c->status : "");
    case CONTAINER_NO_ENGINE:
        break;
    }
    return err_set(err, ERR_NOT_FOUND, "the container '%s' cannot be looked for: %s", c->name,
                   c->status != NULL ? c->status : "neither Docker nor Podman is installed");
}

const char *container_env(const struct container *c, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < c->env.count; i++) {
        const char *entry = c->env.items[i];
        if (strncmp(entry, name, len) != 0)
            continue;
        if (entry[len] == '=')
            return entry + len + 1;
        if (entry[len] == '\0')
            return "";
    }
    return NULL;
}
