/* What an entry runs, as the planning document writes it and as OpenClaw does. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_reader.h"

enum { TIMEOUT_MAX_S = 30 * 86400 };

/* A string is the shell's, a list is argv. */
static int read_command(const struct jobs_part *p, const char *key, struct job *j)
{
    const struct jobs_node *n = jobs_get(p, key);
    struct strlist words = {0};
    int rc = n == NULL ? 0 : jobs_get_list(p, key, n->kind == JOBS_STRING, &words);
    if (rc > 0 && (words.count == 0 || *words.items[0] == '\0'))
        rc = jobs_mistake(p, n, true, "%s%s is empty: nothing to run", p->prefix, key);
    if (rc > 0 && n->kind == JOBS_STRING) {
        strlist_add(&j->argv, "/bin/sh");
        strlist_add(&j->argv, "-c");
    }
    if (rc > 0)
        strlist_copy(&j->argv, &words);
    strlist_release(&words);
    return rc;
}

/* The value may be a secret: no message shows it. */
static int read_variable(const struct jobs_part *p, const struct jobs_node *n, struct job *j)
{
    char *name = jobs_text_key(p->r->t, n), *value = NULL;
    int rc = 0;
    if (*name == '\0' || strchr(name, '=') != NULL)
        rc = jobs_mistake(p, n, true, "%senv: '%.40s' cannot be a variable's name", p->prefix, name);
    else if (!jobs_text_string(p->r->t, n, &value))
        rc = jobs_mistake(p, n, true, "%senv: the value of '%.40s' is no proper string", p->prefix, name);
    if (rc == 0) {
        char *both = mem_printf("%s=%s", name, value);
        strlist_add(&j->env, both);
        mem_wipe_string(both);
    }
    mem_wipe_string(value);
    free(name);
    return rc;
}

static int read_environment(const struct jobs_part *p, struct job *j)
{
    const struct jobs_node *env = jobs_get(p, "env");
    if (env == NULL)
        return 0;
    if (env->kind != JOBS_OBJECT)
        return jobs_mistake(p, env, true, "%senv: expected an object of strings", p->prefix);
    for (const struct jobs_node *n = jobs_text_first(p->r->t, env); n != NULL; n = jobs_text_next(p->r->t, n))
        if (read_variable(p, n, j) < 0)
            return -1;
    return 0;
}

static int read_surroundings(const struct jobs_part *p, struct job *j)
{
    int64_t seconds = 0;
    int rc = jobs_get_text(p, "cwd", &j->directory);
    if (rc > 0 && *j->directory != '/')
        rc = jobs_unexpected(p, jobs_get(p, "cwd"), "cwd", "an absolute path");
    if (rc < 0 || read_environment(p, j) < 0 || jobs_get_text(p, "input", &j->input) < 0)
        return -1;
    rc = jobs_get_integer(p, "timeoutSeconds", 1, TIMEOUT_MAX_S, "seconds, from 1 to 30 days", &seconds);
    if (rc > 0)
        j->timeout_ms = (uint64_t)seconds * 1000;
    return rc < 0 ? -1 : 0;
}

/* A command is run. Without one, a text is for an agent, which we are not: it is noted. */
static int read_event(const struct jobs_part *p, struct job *j)
{
    int command = read_command(p, "command", j), text = jobs_get_text(p, "text", &j->text);
    if (command < 0 || text < 0)
        return -1;
    if (command == 0 && text == 0)
        return jobs_mistake(p, NULL, true, "payload has neither a command nor a text");
    return read_surroundings(p, j);
}

static int read_argv(const struct jobs_part *p, struct job *j)
{
    const char *key = jobs_get(p, "argv") != NULL ? "argv" : "command";
    const struct jobs_node *n = jobs_get(p, key);
    if (n == NULL)
        return jobs_mistake(p, NULL, true, "payload.argv is missing: a list of strings");
    if (strcmp(key, "argv") == 0 && n->kind != JOBS_ARRAY)
        return jobs_unexpected(p, n, key, "a list of strings (a single one for the shell is 'command')");
    return read_command(p, key, j) < 0 ? -1 : read_surroundings(p, j);
}

static int read_kind(const struct jobs_part *p, const char *kind, struct job *j)
{
    if (strcmp(kind, "systemEvent") == 0)
        return read_event(p, j);
    if (strcmp(kind, "command") == 0)
        return read_argv(p, j);
    if (strcmp(kind, "agentTurn") != 0)
        return jobs_unexpected(p, jobs_get(p, "kind"), "kind", "\"systemEvent\", \"command\" or \"agentTurn\"");
    j->agent_turn = true;
    return jobs_get_text(p, "message", &j->text) < 0 ? -1 : 0;
}

int jobs_read_payload(const struct jobs_part *entry, struct job *j)
{
    const struct jobs_node *n = jobs_get(entry, "payload");
    char *kind = NULL;
    if (n == NULL)
        return jobs_mistake(entry, NULL, true, "payload is missing");
    if (n->kind != JOBS_OBJECT)
        return jobs_unexpected(entry, n, "payload", "an object");
    struct jobs_part p = {.r = entry->r, .object = n, .prefix = "payload."};
    int rc = jobs_get_text(&p, "kind", &kind);
    if (rc == 0)
        rc = jobs_mistake(&p, NULL, true, "payload.kind is missing: \"systemEvent\" or \"command\"");
    if (rc > 0)
        rc = read_kind(&p, kind, j);
    free(kind);
    return rc;
}
