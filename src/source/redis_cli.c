#include "source/redis_cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { ARGUMENTS_MAX = 24 };

/* The command line in the container, and what goes with it. */
struct call {
    const char *argv[ARGUMENTS_MAX];
    const char *environment[2];
    char *variable;
};

/* ---- calling */

/* The variable of the container's own environment that holds its password; NULL: none. */
static const char *own_password(const struct redis_cli *c)
{
    static const char *const names[] = {"REDISCLI_AUTH", "REDIS_PASSWORD", "VALKEY_PASSWORD", "KEYDB_PASSWORD"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (container_env(&c->container, names[i]) != NULL)
            return names[i];
    return NULL;
}

/* A shell line that hands the container's own password over to the program, as a literal; NULL: needs none. */
static const char *handing_over(const struct redis_cli *c)
{
    const char *name = c->password == NULL ? own_password(c) : NULL;
    if (name == NULL || strcmp(name, "REDISCLI_AUTH") == 0)
        return NULL;
    if (strcmp(name, "REDIS_PASSWORD") == 0)
        return "REDISCLI_AUTH=\"$REDIS_PASSWORD\" exec \"$0\" \"$@\"";
    if (strcmp(name, "VALKEY_PASSWORD") == 0)
        return "REDISCLI_AUTH=\"$VALKEY_PASSWORD\" exec \"$0\" \"$@\"";
    return "REDISCLI_AUTH=\"$KEYDB_PASSWORD\" exec \"$0\" \"$@\"";
}

/* The port that the container's environment sets; NULL: none. (Kubernetes sets such variables to something else.) */
static const char *own_port(const struct redis_cli *c)
{
    static const char *const names[] = {"REDIS_PORT_NUMBER", "REDIS_PORT"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *port = container_env(&c->container, names[i]);
        if (port != NULL && *port != '\0' && port[strspn(port, "0123456789")] == '\0')
            return port;
    }
    return NULL;
}

static void call_init(struct call *k, const struct redis_cli *c, const char *const *arguments)
{
    size_t n = 0;
    const char *shell = handing_over(c), *port = own_port(c);
    *k = (struct call){0};
    if (shell != NULL) {
        k->argv[n++] = "sh";
        k->argv[n++] = "-c";
        k->argv[n++] = shell;
    }
    k->argv[n++] = c->program;
    if (port != NULL) {
        k->argv[n++] = "-p";
        k->argv[n++] = port;
    }
    if (c->user != NULL) {
        k->argv[n++] = "--user";
        k->argv[n++] = c->user;
    }
    for (size_t i = 0; arguments[i] != NULL && n + 1 < ARGUMENTS_MAX; i++)
        k->argv[n++] = arguments[i];
    if (c->password != NULL) {
        k->variable = mem_printf("REDISCLI_AUTH=%s", c->password);
        k->environment[0] = k->variable;
    }
}

static void call_release(struct call *k)
{
    mem_wipe_string(k->variable);
}

static struct container_exec call_options(const struct call *k, uint64_t timeout_ms)
{
    return (struct container_exec){.argv = (char *const *)(uintptr_t)k->argv, /* nobody writes to them */
                                   .environment = k->environment,
                                   .timeout_ms = timeout_ms};
}

/* ---- what it says on standard error */

static bool is_complaint_word(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isupper((unsigned char)p[i]))
            return false;
    return len >= 3;
}

/* Where the server's own complaint ("NOAUTH Authentication required.") begins in a line; NULL: nowhere. */
static const char *find_complaint(const char *line)
{
    for (const char *p = line; *p != '\0';) {
        p += strspn(p, " -:");
        size_t len = strcspn(p, " \n");
        if (is_complaint_word(p, len) && p[len] == ' ' && strncmp(p, "SYNC", len) != 0 &&
            strncmp(p, "AUTH", len) != 0 && strncmp(p, "REPLCONF", len) != 0)
            return p;
        p += len;
        if (*p == '\n')
            p++;
    }
    return NULL;
}

/* Turns the failure of the program into what it says about the server, if it does. */
static int explain(const struct redis_cli *c, const char *what, const char *words, struct err *err)
{
    const char *complaint = find_complaint(words);
    if (err->code == ERR_TIMEOUT || err->code == ERR_INTERRUPTED || err->code == ERR_NOT_FOUND)
        return -1;
    if (complaint != NULL) {
        char *line = mem_strndup(complaint, strcspn(complaint, "\n"));
        redis_complain(&c->asker, what, line, err);
        free(line);
    } else if (strstr(words, "Could not connect") != NULL) {
        err_set(err, ERR_NOT_FOUND, "no Redis server listens in container '%s'", c->name);
    }
    return -1;
}

/* ---- asking */

/* What it prints, as a reply: each line an item. A complaint of the server's is printed like any answer. */
static void take_output(const char *text, struct redis_reply *out)
{
    redis_reply_release(out);
    size_t word = strcspn(text, " \n");
    out->kind = is_complaint_word(text, word) && text[word] == ' ' ? REDIS_ERROR : REDIS_ARRAY;
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        strlist_add_len(&out->items, line, len);
        line += len + (line[len] == '\n');
    }
}

static int ask_cli(void *ctx, const char *const *argv, struct redis_reply *out, struct err *err)
{
    const struct redis_cli *c = ctx;
    struct call k;
    struct err local = {0};
    struct buf text;
    call_init(&k, c, argv);
    buf_init(&text, REDIS_REPLY_BYTES_MAX);
    struct container_exec options = call_options(&k, c->timeout_ms);
    struct container_process *p;
    int rc = container_start(&p, &c->container, &options, &local);
    if (rc == 0) {
        unsigned char room[4096];
        int64_t n;
        while ((n = container_read(p, room, sizeof room, &local)) > 0)
            buf_append(&text, room, (size_t)n);
        rc = n == 0 ? container_wait(p, &local) : -1;
        const char *words = container_stderr(p);
        if (rc != 0)
            explain(c, argv[0], words, &local);
        else if (strstr(words, "AUTH failed") != NULL && find_complaint(words) != NULL)
            rc = explain(c, "the login", words, &local);
        container_process_free(p);
    }
    if (rc == 0)
        take_output(buf_cstr(&text), out);
    else if (err != NULL)
        *err = local;
    buf_release(&text);
    call_release(&k);
    return rc;
}

/* ---- opening */

/* Which of the programs the container has. */
static int find_program(struct redis_cli *c, struct err *err)
{
    static const char *const programs[] = {"redis-cli", "valkey-cli", "keydb-cli"};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        struct err why = {0};
        struct call k = {.argv = {programs[i], "--version"}};
        struct container_exec options = call_options(&k, c->timeout_ms);
        c->program = programs[i];
        if (container_run(&c->container, &options, NULL, &why) == 0)
            return 0;
        if (why.code == ERR_UNSUPPORTED)
            continue;
        if (err != NULL)
            *err = why;
        return -1;
    }
    return err_set(err, ERR_UNSUPPORTED,
                   "there is no redis-cli in container '%s': publish its port and give a 'url' instead", c->name);
}

int redis_cli_open(struct redis_cli **out, const char *container, const char *user, const char *password,
                   uint64_t timeout_ms, struct err *err)
{
    struct redis_cli *c = mem_zalloc(sizeof *c);
    c->name = mem_strdup(container);
    c->where = mem_printf("container %s", container); /* messages put it into quotes */
    c->user = user != NULL ? mem_strdup(user) : NULL;
    c->password = password != NULL ? mem_strdup(password) : NULL;
    c->timeout_ms = timeout_ms;
    c->asker = (struct redis_asker){.ask = ask_cli, .ctx = c, .where = c->where, .user = c->user};
    if (container_find(&c->container, container, err) != 0 || container_require_running(&c->container, err) != 0 ||
        find_program(c, err) != 0) {
        redis_cli_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void redis_cli_close(struct redis_cli *c)
{
    if (c == NULL)
        return;
    container_release(&c->container);
    mem_wipe_string(c->password);
    free(c->user);
    free(c->name);
    free(c->where);
    free(c);
}

/* ---- a dump */

struct export
{
    struct redis_payload payload;
    const struct redis_cli *cli;
    struct container_process *process;
};

static int64_t export_read(struct redis_payload *p, void *out, size_t cap, struct err *err)
{
    struct export *e = (struct export *)p;
    struct err local = {0};
    int64_t n = container_read(e->process, out, cap, &local);
    if (n == 0 && container_wait(e->process, &local) != 0)
        n = -1;
    if (n >= 0)
        return n;
    explain(e->cli, "SYNC", container_stderr(e->process), &local);
    if (err != NULL)
        *err = local;
    return -1;
}

static void export_close(struct redis_payload *p)
{
    struct export *e = (struct export *)p;
    container_process_free(e->process);
    free(e);
}

int redis_cli_dump(struct redis_payload **out, const struct redis_cli *c, uint64_t timeout_ms, struct err *err)
{
    static const struct redis_payload_ops ops = {export_read, export_close};
    static const char *const arguments[] = {"--rdb", "-", NULL};
    struct export *e = mem_zalloc(sizeof *e);
    struct call k;
    call_init(&k, c, arguments);
    struct container_exec options = call_options(&k, timeout_ms);
    /* When the server sends from memory, redis-cli writes the end mark, too. */
    e->payload = (struct redis_payload){.ops = &ops, .may_have_mark = true};
    e->cli = c;
    int rc = container_start(&e->process, &c->container, &options, err);
    call_release(&k);
    if (rc != 0) {
        free(e);
        return -1;
    }
    *out = &e->payload;
    return 0;
}
