#include "run/systemctl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/process.h"

enum { TIMEOUT_MS = 20 * 1000, OUTPUT_MAX_BYTES = 1 << 20, ARGS_MAX = 20 };

bool systemctl_is_user(void)
{
    return geteuid() != 0;
}

int systemctl_run(const char *const *args, struct buf *out, struct err *err)
{
    char program[] = "systemctl", user[] = "--user", *argv[ARGS_MAX + 3] = {program};
    size_t n = 1;
    if (systemctl_is_user())
        argv[n++] = user;
    for (size_t i = 0; args[i] != NULL && i < ARGS_MAX; i++)
        argv[n++] = (char *)(uintptr_t)args[i];
    /* What a login would have set: under cron and in OpenClaw it is missing, and the manager is not found. */
    char *runtime = mem_printf("XDG_RUNTIME_DIR=/run/user/%u", (unsigned)geteuid());
    const char *const environment[] = {"LC_ALL=C", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0",
                                       getenv("XDG_RUNTIME_DIR") == NULL && systemctl_is_user() ? runtime : NULL, NULL};
    const struct process_options options = {.argv = argv, .environment = environment, .timeout_ms = TIMEOUT_MS};
    int rc = process_run(&options, out, err);
    free(runtime);
    return rc;
}

bool systemctl_lives(void)
{
    static const char *const ARGS[] = {"is-system-running", NULL};
    struct buf out;
    buf_init(&out, OUTPUT_MAX_BYTES);
    /* Its exit status is 1 for "degraded" and "starting", too. */
    int rc = systemctl_run(ARGS, &out, NULL);
    const char *word = buf_cstr(&out);
    bool lives = rc == 0 || strncmp(word, "degraded", 8) == 0 || strncmp(word, "starting", 8) == 0 ||
                 strncmp(word, "initializing", 12) == 0 || strncmp(word, "maintenance", 11) == 0;
    buf_release(&out);
    return lives;
}

static bool says(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at += len)
        if ((at == text || at[-1] == '\n') && (at[len] == '\n' || at[len] == '\0'))
            return true;
    return false;
}

int systemctl_look(const char *unit, struct unit_seen *out, struct err *err)
{
    const char *const args[] = {"show", "--property=LoadState,ActiveState,UnitFileState", unit, NULL};
    struct buf text;
    buf_init(&text, OUTPUT_MAX_BYTES);
    int rc = systemctl_run(args, &text, err);
    const char *said = buf_cstr(&text);
    *out = (struct unit_seen){.loaded = says(said, "LoadState=loaded"),
                              .active = says(said, "ActiveState=active") || says(said, "ActiveState=activating") ||
                                        says(said, "ActiveState=reloading"),
                              .enabled = says(said, "UnitFileState=enabled")};
    buf_release(&text);
    return rc;
}
