/*
 * PostgreSQL and Redis in containers, running or not, as the engine's own program describes them. Of a container's
 * environment only POSTGRES_USER and POSTGRES_DB are looked at; the text is wiped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "base/mem.h"
#include "os/process.h"
#include "run/discover.h"

enum { ENGINE_TIMEOUT_MS = 8000, INSPECT_MAX_BYTES = 16 << 20 };

static const char *text_at(const json_t *doc, const char *a, const char *b)
{
    const json_t *v = json_object_get(doc, a);
    return json_string_value(b != NULL ? json_object_get(v, b) : v);
}

/* "docker.io/library/postgres:15-alpine" is of `word` when the last part of its name begins or ends with it. */
static bool image_is(const char *image, const char *word)
{
    if (image == NULL)
        return false;
    const char *slash = strrchr(image, '/'), *name = slash != NULL ? slash + 1 : image;
    size_t len = strcspn(name, ":@"), word_len = strlen(word);
    return len >= word_len &&
           (strncmp(name, word, word_len) == 0 || strncmp(name + len - word_len, word, word_len) == 0);
}

static const char *environment_value(const json_t *container, const char *name)
{
    size_t i, len = strlen(name);
    const json_t *item;
    json_array_foreach(json_object_get(json_object_get(container, "Config"), "Env"), i, item)
    {
        const char *text = json_string_value(item);
        if (text != NULL && strncmp(text, name, len) == 0 && text[len] == '=')
            return text + len + 1;
    }
    return NULL;
}

static bool is_postgres(const json_t *c)
{
    static const char *const IMAGES[] = {"postgres", "postgis", "timescaledb", "pgvector", NULL};
    const char *image = text_at(c, "Config", "Image");
    for (const char *const *word = IMAGES; *word != NULL; word++)
        if (image_is(image, *word))
            return true;
    return environment_value(c, "PGDATA") != NULL;
}

static bool is_redis(const json_t *c)
{
    static const char *const IMAGES[] = {"redis", "valkey", "keydb", NULL};
    const char *image = text_at(c, "Config", "Image");
    for (const char *const *word = IMAGES; *word != NULL; word++)
        if (image_is(image, *word))
            return true;
    return environment_value(c, "REDIS_VERSION") != NULL;
}

static void add_ports(const json_t *c, uint16_t *ports, size_t *count, size_t max)
{
    const char *key;
    const json_t *bindings, *binding;
    size_t i;
    json_object_foreach(json_object_get(json_object_get(c, "NetworkSettings"), "Ports"), key, bindings)
    {
        json_array_foreach(bindings, i, binding)
        {
            const char *port = json_string_value(json_object_get(binding, "HostPort"));
            if (port != NULL && *count < max)
                ports[(*count)++] = (uint16_t)strtoul(port, NULL, 10);
        }
    }
}

static void add_container(struct discovered_servers *list, const json_t *c, bool postgres)
{
    const char *name = text_at(c, "Name", NULL);
    if (name == NULL || *name == '\0')
        return;
    name += *name == '/';
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].container != NULL && strcmp(list->items[i].container, name) == 0)
            return; /* docker that is podman in truth lists it twice */
    struct discovered_server *s = discovered_server_add(list);
    s->container = mem_strdup(name);
    s->access =
        json_is_true(json_object_get(json_object_get(c, "State"), "Running")) ? DISCOVERED_READY : DISCOVERED_STOPPED;
    if (s->access == DISCOVERED_STOPPED)
        s->why = mem_strdup("does not run now");
    const char *user = postgres ? environment_value(c, "POSTGRES_USER") : NULL;
    const char *database = postgres ? environment_value(c, "POSTGRES_DB") : NULL;
    s->user = user != NULL && *user != '\0' ? mem_strdup(user) : NULL;
    s->database = database != NULL && *database != '\0' ? mem_strdup(database) : NULL;
}

void discover_containers_parse(struct discovery *d, const char *json, size_t len, uint16_t *ports, size_t *port_count,
                               size_t max)
{
    json_t *document = json_loadb(json, len, 0, NULL);
    size_t i;
    const json_t *c;
    json_array_foreach(document, i, c)
    {
        bool postgres = is_postgres(c);
        if (!postgres && !is_redis(c))
            continue;
        add_container(postgres ? &d->postgres : &d->redis, c, postgres);
        add_ports(c, ports, port_count, max);
    }
    json_decref(document);
}

/* Runs "ENGINE verb arguments" into out. */
static int ask_engine(const char *engine, const struct strlist *arguments, struct buf *out, struct err *err)
{
    char **argv = mem_zalloc((arguments->count + 2) * sizeof *argv);
    argv[0] = mem_strdup(engine);
    for (size_t i = 0; i < arguments->count; i++)
        argv[i + 1] = arguments->items[i];
    struct process_options options = {.argv = argv, .stdin_fd = -1, .timeout_ms = ENGINE_TIMEOUT_MS};
    int rc = process_run(&options, out, err);
    free(argv[0]);
    free(argv);
    return rc;
}

/* The IDs of all containers as further arguments of "inspect". */
static int list_containers(const char *engine, struct strlist *inspect, struct err *err)
{
    struct strlist list = {0};
    struct buf out;
    buf_init(&out, INSPECT_MAX_BYTES);
    strlist_add(&list, "ps");
    strlist_add(&list, "-aq");
    int rc = ask_engine(engine, &list, &out, err);
    strlist_add(inspect, "inspect");
    for (const char *p = buf_cstr(&out); rc == 0 && *p != '\0'; p += strspn(p, " \r\n")) {
        size_t len = strcspn(p, " \r\n");
        strlist_add_len(inspect, p, len);
        p += len;
    }
    strlist_release(&list);
    buf_release(&out);
    return rc;
}

static void ask_one(struct discovery *d, const char *engine, uint16_t *ports, size_t *port_count, size_t max)
{
    struct strlist inspect = {0};
    struct err err = {0};
    struct buf out;
    buf_init(&out, INSPECT_MAX_BYTES);
    buf_reserve(&out, INSPECT_MAX_BYTES / 16); /* so that growing leaves few copies behind */
    int rc = list_containers(engine, &inspect, &err);
    if (rc == 0 && inspect.count > 1)
        rc = ask_engine(engine, &inspect, &out, &err);
    if (rc == 0)
        discover_containers_parse(d, buf_cstr(&out), out.len, ports, port_count, max);
    else if (err.code != ERR_NOT_FOUND) { /* not found: there is no such engine here */
        char *note = mem_printf("containers of %s could not be looked at: %s", engine, err.message);
        strlist_add(&d->notes, note);
        free(note);
    }
    if (out.data != NULL)
        mem_wipe(out.data, out.cap);
    buf_release(&out);
    strlist_release(&inspect);
}

void discover_containers(struct discovery *d, uint16_t *ports, size_t *port_count, size_t max)
{
    ask_one(d, "docker", ports, port_count, max);
    ask_one(d, "podman", ports, port_count, max);
}
