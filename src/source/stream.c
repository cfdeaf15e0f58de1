#include "source/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "source/command.h"
#include "source/virtual.h"

enum { NAME_MAX_BYTES = 255, FILE_MODE = 0644, DIR_MODE = 0755 };

struct stream_source {
    struct source base;
    struct virtual_tree *tree;
};

static int stream_push(struct source *base, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    struct stream_source *s = (struct stream_source *)base;
    (void)reporter;
    return virtual_tree_push(s->tree, sink, err);
}

static void stream_free(struct source *base)
{
    struct stream_source *s = (struct stream_source *)base;
    virtual_tree_free(s->tree);
    free(s);
}

/* The stream's place in the snapshot: absolute and clean, of names that a file can have. The caller frees it. */
static char *stream_path(const char *name, struct err *err)
{
    char *rooted = os_path_join("/", name), *path = os_path_absolute(rooted);
    free(rooted);
    bool usable = path != NULL && path[1] != '\0';
    for (const char *p = path; usable && p != NULL; p = strchr(p, '/')) {
        p++;
        if (strcspn(p, "/") > NAME_MAX_BYTES) {
            err_set(err, ERR_USAGE, "the name '%.40s…' is too long for a file", p);
            free(path);
            return NULL;
        }
    }
    if (usable)
        return path;
    free(path);
    err_set(err, ERR_USAGE, "'%s' is no name for a file", name);
    return NULL;
}

int stream_source_new(struct source **out, const char *name, char *const *command, struct timespec time,
                      struct err *err)
{
    static const struct source_ops OPS = {.push = stream_push, .free = stream_free};
    char *path = stream_path(name, err);
    if (path == NULL)
        return -1;
    struct stream_source *s = mem_zalloc(sizeof *s);
    s->base.ops = &OPS;
    s->base.strict = true;
    strlist_add(&s->base.paths, path);
    s->tree = virtual_tree_new(time);
    virtual_tree_set_modes(s->tree, FILE_MODE, DIR_MODE);
    virtual_tree_add(s->tree, path + 1,
                     command != NULL ? command_content_new(command, 0) : command_content_stdin(STDIN_FILENO));
    free(path);
    *out = &s->base;
    return 0;
}
