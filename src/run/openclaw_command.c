#include "run/openclaw_command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/process.h"
#include "plan/home.h"

enum { TIMEOUT_MS = 60 * 1000, OUTPUT_MAX_BYTES = 16 << 20, ARGS_MAX = 40 };

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* An absolute path, so that it is found again where PATH is a shorter one. */
static char *find_program(void)
{
    const char *named = getenv("CLAWBACK_OPENCLAW"), *path = getenv("PATH");
    if (named != NULL && *named != '\0')
        return is_program(named) ? os_path_absolute(named) : NULL;
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        char *dir = mem_strndup(path, len), *file = os_path_join(dir, "openclaw");
        bool found = *dir == '/' && is_program(file);
        free(dir);
        if (found)
            return file;
        free(file);
        path += len + (path[len] == ':');
    }
    return NULL;
}

bool openclaw_command_find(struct openclaw_command *out, const char *home)
{
    struct agent_home found = {0};
    *out = (struct openclaw_command){.program = find_program()};
    if (home == NULL && agent_home_find(&found, NULL) == 0 && found.roots.count > 0)
        home = found.roots.items[0];
    out->home = home == NULL ? NULL : mem_strdup(home);
    agent_home_release(&found);
    return out->program != NULL;
}

void openclaw_command_release(struct openclaw_command *c)
{
    free(c->program);
    free(c->home);
    *c = (struct openclaw_command){0};
}

/* What it takes by itself needs no variable, which would only hide what the person has set. */
static bool is_default_home(const char *home)
{
    char *usual = os_path_expand_home("~/.openclaw"), *real = realpath(usual, NULL);
    bool yes = strcmp(home, usual) == 0 || (real != NULL && strcmp(home, real) == 0);
    free(real);
    free(usual);
    return yes;
}

int openclaw_command_run(const struct openclaw_command *c, const char *const *args, struct buf *out, struct err *err)
{
    char *argv[ARGS_MAX + 2] = {c->program};
    for (size_t i = 0; args[i] != NULL && i < ARGS_MAX; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    /* It is a script for node, which usually lies beside it (nvm, npm's prefix). */
    const char *slash = strrchr(c->program, '/'), *usual = getenv("PATH");
    char *path = mem_printf("PATH=%.*s:%s", (int)(slash - c->program), c->program,
                            usual != NULL ? usual : "/usr/local/bin:/usr/bin:/bin");
    char *home = c->home != NULL && !is_default_home(c->home) ? mem_printf("OPENCLAW_STATE_DIR=%s", c->home) : NULL;
    const char *const environment[] = {path, "NO_COLOR=1", home, NULL};
    const struct process_options options = {
        .argv = argv, .environment = environment, .timeout_ms = TIMEOUT_MS, .no_terminal = true};
    int rc = process_run(&options, out, err);
    free(home);
    free(path);
    return rc;
}

/* Warnings may come before it, on lines of their own. */
static json_t *find_document(const struct buf *text)
{
    const char *at = (const char *)text->data, *end = at + text->len;
    while (at != NULL && at < end) {
        if (*at == '{' || *at == '[') {
            json_t *doc = json_loadb(at, (size_t)(end - at), JSON_DISABLE_EOF_CHECK, NULL);
            if (doc != NULL)
                return doc;
        }
        at = memchr(at, '\n', (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    return NULL;
}

int openclaw_command_json(const struct openclaw_command *c, const char *const *args, json_t **out, struct err *err)
{
    struct buf text;
    buf_init(&text, OUTPUT_MAX_BYTES);
    *out = NULL;
    int rc = openclaw_command_run(c, args, &text, err);
    if (rc == 0 && (*out = find_document(&text)) == NULL)
        rc = err_set(err, ERR_CORRUPT, "'openclaw %s %s' answered without the JSON document that was expected", args[0],
                     args[1] != NULL ? args[1] : "");
    buf_release(&text);
    return rc;
}
