#include "source/postgres_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "os/process.h"
#include "source/postgres_words.h"

enum {
    VERSION_TIMEOUT_MS = 30000,
    SCRIPT_BYTES_MAX = 32 << 10, /* a pipe holds it, so that it can be written before somebody reads */
    ANSWER_BYTES_MAX = 4 << 20,
    ENVIRONMENT_MAX = 8,
};

#define CONNECT_SECONDS "20"

/* Takes the password of the image's own set-up, which never leaves the container; then becomes the program. */
static const char LEND[] =
    "command -v \"$1\" >/dev/null 2>&1 || { echo \"no such program: '$1'\" >&2; exit 127; }; "
    "if [ -z \"$PGPASSWORD\" ]; then f=${POSTGRES_PASSWORD_FILE:-$POSTGRESQL_PASSWORD_FILE}; "
    "PGPASSWORD=${POSTGRES_PASSWORD:-$POSTGRESQL_PASSWORD}; "
    "if [ -z \"$PGPASSWORD\" ] && [ -n \"$f\" ] && [ -r \"$f\" ]; then read -r PGPASSWORD <\"$f\"; fi; "
    "if [ -n \"$PGPASSWORD\" ]; then export PGPASSWORD; else unset PGPASSWORD; fi; fi; exec \"$@\"";

/* ------------------------------------------------------------------------------------------------------ the client */

void pg_client_release(struct pg_client *c)
{
    pg_target_release(&c->target);
    container_release(&c->container);
    free(c->bin_dir);
    os_user_release(&c->run_as);
    *c = (struct pg_client){0};
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a != NULL && a[0] != '\0' ? a : b != NULL && b[0] != '\0' ? b : c;
}

/* The image says who its user is; its password is only that user's. */
static void adopt_container_user(struct pg_client *c)
{
    const char *own = first_of(container_env(&c->container, "POSTGRES_USER"),
                               container_env(&c->container, "POSTGRESQL_USERNAME"), "postgres");
    if (c->target.user == NULL)
        c->target.user = mem_strdup(own);
    c->lend_password = c->target.password == NULL && strcmp(c->target.user, own) == 0;
}

/* A local server lets in, by its socket, the system's user of the same name. Root is none of its users. */
static void adopt_system_user(struct pg_client *c)
{
    const char *wanted = c->target.user != NULL ? c->target.user : "postgres";
    if (geteuid() != 0 || c->target.is_url || c->target.password != NULL)
        return;
    struct passwd entry, *found = NULL;
    char room[4096];
    if (getpwnam_r(wanted, &entry, room, sizeof room, &found) != 0 || found == NULL || found->pw_uid == 0)
        return;
    if (os_user_load(&c->run_as, found->pw_uid, NULL) == 0 && c->target.user == NULL)
        c->target.user = mem_strdup(wanted);
}

int pg_client_open(struct pg_client *out, const struct postgres_options *options, struct err *err)
{
    *out = (struct pg_client){0};
    if (pg_target_init(&out->target, options, err) != 0)
        return -1;
    if (out->target.container == NULL) {
        adopt_system_user(out);
        return 0;
    }
    if (container_find(&out->container, out->target.container, err) != 0 ||
        container_require_running(&out->container, err) != 0) {
        pg_client_release(out);
        return -1;
    }
    adopt_container_user(out);
    return 0;
}

/* ---------------------------------------------------------------------------------------------------- starting a tool
 */

struct pg_tool {
    const char *name; /* borrowed: a literal */
    struct process *process;
    struct container_process *in_container; /* one of both */
};

/* Strings that a tool is started with; they live until it runs. */
struct start {
    struct strlist args;
    struct strlist owned;
    const char *environment[ENVIRONMENT_MAX + 1];
    size_t count;
};

static void add_variable(struct start *s, const char *name, const char *value)
{
    assert(s->count < ENVIRONMENT_MAX);
    char *entry = mem_printf("%s=%s", name, value);
    strlist_add(&s->owned, entry);
    mem_wipe_string(entry);
    s->count++;
}

static void start_release(struct start *s)
{
    for (size_t i = 0; i < s->owned.count; i++)
        mem_wipe(s->owned.items[i], strlen(s->owned.items[i]));
    strlist_release(&s->owned);
    strlist_release(&s->args);
}

static void fill_environment(struct start *s, const struct pg_client *c, const struct pg_tool_options *o)
{
    add_variable(s, "LC_ALL", "C"); /* messages are read by pg_words_explain */
    add_variable(s, "PGAPPNAME", "clawback");
    add_variable(s, "PGCONNECT_TIMEOUT", CONNECT_SECONDS);
    if (c->target.password != NULL)
        add_variable(s, "PGPASSWORD", c->target.password);
    if (o->as_utf8) /* never pg_dump: it would convert what it dumps */
        add_variable(s, "PGCLIENTENCODING", "UTF8");
    if (c->run_as.home != NULL)
        add_variable(s, "HOME", c->run_as.home);
    for (size_t i = 0; i < s->count; i++)
        s->environment[i] = s->owned.items[i];
    s->environment[s->count] = NULL;
}

static void fill_arguments(struct start *s, const struct pg_client *c, const struct pg_tool_options *o)
{
    bool inside = c->target.container != NULL;
    if (inside && c->lend_password) {
        const char *const lend[] = {"sh", "-c", LEND, "sh"};
        for (size_t i = 0; i < sizeof lend / sizeof lend[0]; i++)
            strlist_add(&s->args, lend[i]);
    }
    char *path = !inside && c->bin_dir != NULL ? os_path_join(c->bin_dir, o->name) : mem_strdup(o->name);
    strlist_add(&s->args, path);
    free(path);
    if (!o->without_connection) {
        char *connection = pg_target_connection(&c->target, o->database);
        strlist_add(&s->args, "--no-password");
        strlist_add(&s->args, "--dbname");
        strlist_add(&s->args, connection);
        free(connection);
    }
    strlist_copy(&s->args, o->args);
}

static char **vector_of(const struct strlist *args)
{
    char **argv = mem_array(NULL, args->count + 1, sizeof *argv);
    memcpy(argv, args->items, args->count * sizeof *argv);
    argv[args->count] = NULL;
    return argv;
}

static int missing_tool(const struct pg_client *c, const char *name, struct err *err)
{
    if (c->target.container != NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "the container '%s' has no program '%s': give a URL, so that this machine's is used",
                       c->container.name, name);
    return err_set(err, ERR_UNSUPPORTED, "there is no program '%s': install postgresql-client", name);
}

int pg_tool_start(struct pg_tool **out, const struct pg_client *c, const struct pg_tool_options *options,
                  struct err *err)
{
    struct pg_tool *t = mem_zalloc(sizeof *t);
    struct start s = {0};
    struct err reason = {0};
    int rc;
    t->name = options->name;
    fill_arguments(&s, c, options);
    fill_environment(&s, c, options);
    char **argv = vector_of(&s.args);
    if (c->target.container != NULL) {
        struct container_exec exec = {.argv = argv,
                                      .environment = s.environment,
                                      .with_stdin = options->with_stdin,
                                      .stdin_fd = options->stdin_fd,
                                      .timeout_ms = options->timeout_ms};
        rc = container_start(&t->in_container, &c->container, &exec, &reason);
        if (rc != 0 && reason.code == ERR_UNSUPPORTED)
            missing_tool(c, options->name, &reason);
    } else {
        bool other = c->run_as.name != NULL; /* who may not enter the directory that we are in */
        struct process_options process = {.argv = argv,
                                          .environment = s.environment,
                                          .run_as = other ? &c->run_as : NULL,
                                          .directory = other ? "/" : NULL,
                                          .no_terminal = true,
                                          .with_stdin = options->with_stdin,
                                          .stdin_fd = options->stdin_fd,
                                          .timeout_ms = options->timeout_ms};
        rc = process_start(&t->process, &process, &reason);
        if (rc != 0 && reason.code == ERR_NOT_FOUND)
            missing_tool(c, options->name, &reason);
    }
    free(argv);
    start_release(&s);
    if (rc != 0) {
        if (err != NULL)
            *err = reason;
        free(t);
        t = NULL;
    }
    *out = t;
    return rc;
}

/* --------------------------------------------------------------------------------------------------- reading, waiting
 */

static void explain(struct pg_tool *t, struct err *reason, struct err *err)
{
    const char *words = t->process != NULL ? process_stderr(t->process) : container_stderr(t->in_container);
    pg_words_explain(words, reason);
    if (err != NULL)
        *err = *reason;
}

int64_t pg_tool_read(struct pg_tool *t, void *out, size_t cap, struct err *err)
{
    struct err reason = {0};
    int64_t n = t->process != NULL ? process_read(t->process, out, cap, &reason)
                                   : container_read(t->in_container, out, cap, &reason);
    if (n < 0)
        explain(t, &reason, err);
    return n;
}

int pg_tool_wait(struct pg_tool *t, struct err *err)
{
    struct err reason = {0};
    int rc = t->process != NULL ? process_wait(t->process, &reason) : container_wait(t->in_container, &reason);
    if (rc != 0)
        explain(t, &reason, err);
    return rc;
}

void pg_tool_free(struct pg_tool *t)
{
    if (t == NULL)
        return;
    process_free(t->process);
    container_process_free(t->in_container);
    free(t);
}

/* A pipe's end with the script in it. -1 with errno. */
static int script_pipe(const char *script)
{
    int ends[2];
    size_t len = strlen(script);
    assert(len <= SCRIPT_BYTES_MAX);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    if (os_write_full(ends[1], script, len) != 0) {
        int errnum = errno;
        close(ends[0]);
        ends[0] = -1;
        errno = errnum;
    }
    close(ends[1]);
    return ends[0];
}

static int collect(struct pg_tool *t, struct buf *out, struct err *err)
{
    unsigned char room[4096];
    int64_t n;
    while ((n = pg_tool_read(t, room, sizeof room, err)) > 0)
        if (out != NULL)
            buf_append(out, room, (size_t)n);
    if (n < 0 || pg_tool_wait(t, err) != 0)
        return -1;
    if (out != NULL && out->overflow)
        return err_set(err, ERR_FAILED, "the output of '%s' is larger than %zu bytes", t->name, out->max);
    return 0;
}

int pg_tool_run(const struct pg_client *c, const struct pg_tool_options *options, const char *script, struct buf *out,
                struct err *err)
{
    struct pg_tool_options o = *options;
    struct pg_tool *t;
    if (script != NULL) {
        o.with_stdin = true;
        o.stdin_fd = script_pipe(script);
        if (o.stdin_fd < 0)
            return err_errno(err, errno, "cannot start '%s'", o.name);
    }
    int rc = pg_tool_start(&t, c, &o, err);
    if (script != NULL)
        close(o.stdin_fd);
    if (rc != 0)
        return -1;
    rc = collect(t, out, err);
    pg_tool_free(t);
    return rc;
}

void pg_psql_arguments(struct strlist *args)
{
    static const char *const all[] = {"--no-psqlrc",   "--quiet", "--no-align",
                                      "--tuples-only", "--set",   "ON_ERROR_STOP=1"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        strlist_add(args, all[i]);
}

/* ------------------------------------------------------------------------------------------------- choosing the tools
 */

/* "pg_dump (PostgreSQL) 15.18 (Debian …)" → 15, "9.6.24" → 9 */
static unsigned parse_major(const char *text)
{
    const char *p = strstr(text, "(PostgreSQL) ");
    return p != NULL ? (unsigned)strtoul(p + strlen("(PostgreSQL) "), NULL, 10) : 0;
}

/* The major version of the pg_dump in this directory (NULL: PATH); 0 when there is none. */
static int ask_major(struct pg_client *c, const char *bin_dir, unsigned *major, struct err *err)
{
    struct strlist args = {0};
    struct buf text;
    struct err reason = {0};
    char *was = c->bin_dir, *dir = bin_dir != NULL ? mem_strdup(bin_dir) : NULL;
    strlist_add(&args, "--version");
    buf_init(&text, ANSWER_BYTES_MAX);
    c->bin_dir = dir;
    struct pg_tool_options options = {
        .name = "pg_dump", .args = &args, .without_connection = true, .timeout_ms = VERSION_TIMEOUT_MS};
    int rc = pg_tool_run(c, &options, NULL, &text, &reason);
    *major = rc == 0 ? parse_major(buf_cstr(&text)) : 0;
    c->bin_dir = was;
    free(dir);
    buf_release(&text);
    strlist_release(&args);
    if (rc == 0 || reason.code == ERR_UNSUPPORTED || reason.code == ERR_FAILED)
        return 0;
    if (err != NULL)
        *err = reason;
    return -1;
}

/* Where distributions keep the tools of each version: "/usr/lib/postgresql/15/bin". */
static void list_installations(struct strlist *dirs)
{
    static const char *const patterns[] = {"/usr/lib/postgresql/*/bin/pg_dump", "/usr/pgsql-*/bin/pg_dump",
                                           "/usr/local/pgsql*/bin/pg_dump"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        glob_t found = {0};
        if (glob(patterns[i], 0, NULL, &found) == 0)
            for (size_t j = 0; j < found.gl_pathc; j++)
                strlist_add_len(dirs, found.gl_pathv[j], strlen(found.gl_pathv[j]) - strlen("/pg_dump"));
        globfree(&found);
    }
}

static int too_old(const struct pg_client *c, unsigned major, unsigned server_major, struct err *err)
{
    if (major == 0)
        return missing_tool(c, "pg_dump", err);
    if (c->target.container != NULL)
        return err_set(
            err, ERR_UNSUPPORTED,
            "pg_dump in the container '%s' is of version %u, older than its server (%u): give a URL, so that "
            "this machine's is used",
            c->container.name, major, server_major);
    return err_set(err, ERR_UNSUPPORTED,
                   "pg_dump is of version %u, older than %s (%u): install postgresql-client-%u or newer", major,
                   c->target.label, server_major, server_major);
}

int pg_client_choose_tools(struct pg_client *c, unsigned server_version, struct err *err)
{
    unsigned server_major = server_version / 10000, best = 0, newest = 0, major;
    if (ask_major(c, NULL, &best, err) != 0)
        return -1;
    newest = best;
    if (c->target.container == NULL && best != server_major) {
        struct strlist dirs = {0};
        int rc = 0;
        list_installations(&dirs);
        for (size_t i = 0; i < dirs.count && rc == 0; i++) {
            rc = ask_major(c, dirs.items[i], &major, err);
            newest = major > newest ? major : newest;
            if (rc != 0 || major < server_major || (best >= server_major && best <= major))
                continue;
            best = major;
            free(c->bin_dir);
            c->bin_dir = mem_strdup(dirs.items[i]);
        }
        strlist_release(&dirs);
        if (rc != 0)
            return -1;
    }
    return best >= server_major && best != 0 ? 0 : too_old(c, newest, server_major, err);
}
