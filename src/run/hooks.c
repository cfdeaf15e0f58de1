#include "run/hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/process.h"

enum { TIMEOUT_DEFAULT_MS = 10 * 60 * 1000 };

static const char *const NAMES[] = {[HOOK_BEFORE] = "before", [HOOK_AFTER] = "after", [HOOK_FAILURE] = "failure"};

static const struct strlist *command_of(const struct plan_hooks *hooks, enum hook_kind kind)
{
    switch (kind) {
    case HOOK_BEFORE:
        return &hooks->before;
    case HOOK_AFTER:
        return &hooks->after;
    default:
        return &hooks->failure;
    }
}

static void set(struct strlist *env, const char *name, const char *value)
{
    char *text = mem_printf("%s=%s", name, value);
    strlist_add(env, text);
    free(text);
}

static void set_number(struct strlist *env, const char *name, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    set(env, name, text);
}

static void set_outcome(struct strlist *env, const struct record *r)
{
    char *snapshots = strlist_join(&r->snapshots, " ");
    set(env, "CLAWBACK_STATUS", record_status_name(r->status));
    if (r->error != NULL)
        set(env, "CLAWBACK_ERROR", r->error);
    set(env, "CLAWBACK_SNAPSHOTS", snapshots);
    set_number(env, "CLAWBACK_BYTES_PROCESSED", r->bytes_processed);
    set_number(env, "CLAWBACK_BYTES_ADDED", r->bytes_added);
    set_number(env, "CLAWBACK_EXIT_CODE", (uint64_t)r->exit_code);
    free(snapshots);
}

/* A list as an array that ends with NULL; borrows the strings. The caller frees it. */
static char **terminated(const struct strlist *list)
{
    char **array = mem_array(NULL, list->count + 1, sizeof *array);
    for (size_t i = 0; i < list->count; i++)
        array[i] = list->items[i];
    array[list->count] = NULL;
    return array;
}

int hook_run(const struct plan_hooks *hooks, enum hook_kind kind, const char *run_id, const char *tier,
             const struct record *record, struct err *err)
{
    const struct strlist *command = command_of(hooks, kind);
    if (command->count == 0)
        return 0;
    struct strlist env = {0};
    set(&env, "CLAWBACK_HOOK", NAMES[kind]);
    set(&env, "CLAWBACK_RUN_ID", run_id);
    if (tier != NULL)
        set(&env, "CLAWBACK_TIER", tier);
    if (record != NULL)
        set_outcome(&env, record);
    char **argv = terminated(command), **environment = terminated(&env);
    struct process_options options = {.argv = argv,
                                      .environment = (const char *const *)environment,
                                      .with_withheld = true,
                                      .timeout_ms = hooks->timeout_ms > 0 ? hooks->timeout_ms : TIMEOUT_DEFAULT_MS};
    int rc = process_run(&options, NULL, err);
    if (rc != 0)
        err_wrap(err, "hook '%s'%s%s", NAMES[kind], tier != NULL ? " of tier " : "", tier != NULL ? tier : "");
    free(argv);
    free(environment);
    strlist_release(&env);
    return rc;
}
