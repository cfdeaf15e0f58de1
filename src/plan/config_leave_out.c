/*
 * What is told of a mistake is where it is, and not what was found there: it may be somebody's token, and goes to
 * channels. What is secret by the plan must stay so in spite of a mistake around it: kept out of unencrypted archives
 * (a file), and from the programs that a run starts (a variable). So all of `alerts:` that looks like one counts as
 * one.
 */
#include "plan/config_leave_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"

static char *keep_text(struct plan *p, const char *text)
{
    return arena_strndup(p->owned, text, strlen(text));
}

static void write_down(struct plan *p, const struct config_report *report)
{
    struct strlist *list = &p->alerts.mistakes;
    list->items = arena_alloc(p->owned, report->errors * sizeof *list->items);
    for (size_t i = 0; i < report->count; i++) {
        const struct config_mistake *m = &report->items[i];
        const char *colon = strstr(m->message, ": ");
        if (m->warning)
            continue;
        char *where = mem_printf("%s:%u%s%.*s", p->file, m->line, colon != NULL ? ": " : "",
                                 colon != NULL ? (int)(colon - m->message) : 0, m->message);
        list->items[list->count++] = keep_text(p, where);
        free(where);
    }
}

static size_t count_nodes(const struct yaml_node *n)
{
    size_t count = 1;
    for (size_t i = 0; i < n->count; i++)
        count += count_nodes(n->items[i]);
    return count;
}

static void collect_secrets(struct plan *p, const char *key, const struct yaml_node *n)
{
    if (n->kind == YAML_SCALAR && n->text[0] != '\0') {
        bool is_known = strcmp(key, "command") == 0 || strcmp(key, "ca_file") == 0; /* for no secret */
        bool is_path = !is_known && (n->text[0] == '/' || strncmp(n->text, "~/", 2) == 0);
        bool is_variable = strcmp(key, "env") == 0;
        if (!is_path && !is_variable)
            return;
        char *name = is_path ? os_path_expand_home(n->text) : NULL;
        p->alerts.unread[p->alerts.unread_count++] =
            (struct secret){.kind = is_path ? SECRET_FILE : SECRET_ENV, .name = keep_text(p, is_path ? name : n->text)};
        free(name);
    }
    for (size_t i = 0; i < n->count; i++)
        collect_secrets(p, n->kind == YAML_MAP ? n->keys[i]->text : key, n->items[i]);
}

static void take_out_channels(struct plan_alerts *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->channel_count; i++)
        if (!a->channels[i].broken)
            a->channels[kept++] = a->channels[i];
    a->channel_count = kept;
}

void config_leave_out(struct plan *p, const struct yaml_node *document, const struct config_report *report)
{
    const struct yaml_node *alerts = yaml_get(document, "alerts");
    take_out_channels(&p->alerts);
    write_down(p, report);
    if (alerts == NULL)
        return;
    p->alerts.unread = arena_alloc(p->owned, count_nodes(alerts) * sizeof *p->alerts.unread);
    collect_secrets(p, "", alerts);
}
