#include "source/command_source.h"

#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"
#include "source/command.h"
#include "source/virtual.h"

struct command_source {
    struct source base;
    struct virtual_tree *tree;
};

static int command_push(struct source *base, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    struct command_source *s = (struct command_source *)base;
    (void)reporter;
    return virtual_tree_push(s->tree, sink, err);
}

static void command_free(struct source *base)
{
    struct command_source *s = (struct command_source *)base;
    virtual_tree_free(s->tree);
    free(s);
}

/* With the NULL at its end that a list lacks. The caller frees the array. */
static char **make_argv(const struct strlist *list)
{
    char **argv = mem_array(NULL, list->count + 1, sizeof *argv);
    for (size_t i = 0; i < list->count; i++)
        argv[i] = list->items[i];
    argv[list->count] = NULL;
    return argv;
}

int command_source_new(struct source **out, const char *name, const struct strlist *argv, uint64_t timeout_ms,
                       struct err *err)
{
    static const struct source_ops OPS = {.push = command_push, .free = command_free};
    if (name == NULL || *name == '\0')
        return err_set(err, ERR_USAGE, "a command needs a name for what it writes");
    if (argv->count == 0 || argv->items[0][0] == '\0')
        return err_set(err, ERR_USAGE, "no command is given for '%s'", name);
    struct command_source *s = mem_zalloc(sizeof *s);
    char *file = virtual_name(name), *path = mem_printf("/command/%s", file), **arguments = make_argv(argv);
    s->base.ops = &OPS;
    s->base.strict = true;
    strlist_add(&s->base.paths, path);
    s->tree = virtual_tree_new(os_now());
    virtual_tree_add(s->tree, path + 1, command_output_new(arguments, timeout_ms));
    free(arguments);
    free(path);
    free(file);
    *out = &s->base;
    return 0;
}
