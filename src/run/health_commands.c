/* What is to be typed works only where the plan is found: one that lies at another place has to be named. */
#include "run/health_facts.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/shell.h"
#include "plan/config.h"

/* The plan, as a word; NULL: it is where everybody finds it. What our environment names need not be what that of who
 * reads this does. The caller frees it. */
static char *word_of_plan(const struct plan *p)
{
    const char *named = getenv("CLAWBACK_CONFIG");
    char *usual = config_default_path(), *path = p->file != NULL ? realpath(p->file, NULL) : NULL, *word = NULL;
    bool is_usual = p->file == NULL || ((named == NULL || *named == '\0') && strcmp(p->file, usual) == 0);
    if (!is_usual)
        word = shell_word(path != NULL ? path : p->file);
    free(path);
    free(usual);
    return word;
}

/* The length of the command that goes by the plan, "clawback run"; 0: it is none. */
static size_t takes_plan(const char *command)
{
    static const char *const WITH_PLAN[] = {"clawback run", "clawback doctor", "clawback status",
                                            "clawback config check"};
    for (size_t i = 0; command != NULL && i < sizeof WITH_PLAN / sizeof *WITH_PLAN; i++) {
        size_t len = strlen(WITH_PLAN[i]);
        if (strncmp(command, WITH_PLAN[i], len) == 0 && (command[len] == '\0' || command[len] == ' '))
            return len;
    }
    return 0;
}

void health_name_plan(const struct plan *p, struct finding_list *l)
{
    char *word = word_of_plan(p);
    for (size_t i = 0; word != NULL && i < l->count; i++) {
        char *command = l->items[i].command;
        size_t len = takes_plan(command);
        if (len == 0)
            continue;
        l->items[i].command = mem_printf("%.*s -c %s%s", (int)len, command, word, command + len);
        free(command);
    }
    free(word);
}
