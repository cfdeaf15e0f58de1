#include "engine/restore_cover.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/walk.h"
#include "os/file.h"

static int exists(struct repo *r, const struct id *root, const char *path, bool *out, struct err *err)
{
    struct walk_tree *tree;
    const struct node *node;
    struct err why = {0};
    *out = walk_find(r, root, path, &tree, &node, &why) == 0;
    if (*out)
        walk_tree_unref(tree);
    else if (why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s", why.message);
    return 0;
}

/* Where the snapshot keeps one of its paths: normally at the path itself; paths that were given relative to some
 * directory lie at the longest ending of the path that exists. NULL when it is nowhere. */
static int place_in_tree(struct repo *r, const struct id *root, const char *path, const char **out, struct err *err)
{
    *out = NULL;
    for (const char *p = path; p != NULL && *p == '/'; p = strchr(p + 1, '/')) {
        bool found;
        if (exists(r, root, p, &found, err) < 0)
            return -1;
        if (found) {
            *out = p;
            return 0;
        }
    }
    return 0;
}

/* The top in terms of what is restored: the part after the subpath. */
static void add_top(struct restore_cover *c, const char *top, const char *subpath)
{
    if (os_path_is_below(subpath, top)) {
        c->all = true;
        return;
    }
    if (!os_path_is_below(top, subpath))
        return;
    size_t len = strlen(subpath);
    while (len > 0 && subpath[len - 1] == '/')
        len--;
    strlist_add(&c->tops, top + len);
}

/* "a//b/" → "/a/b", so that prefixes can be compared. */
static char *clean(const char *path)
{
    char *out = mem_alloc(strlen(path) + 2), *to = out;
    const char *p = path;
    while (*(p += strspn(p, "/")) != '\0') {
        size_t len = strcspn(p, "/");
        *to++ = '/';
        memcpy(to, p, len);
        to += len;
        p += len;
    }
    *to = '\0';
    return out;
}

int restore_cover_init(struct restore_cover *c, struct repo *r, const struct snapshot *s, const char *subpath,
                       struct err *err)
{
    *c = (struct restore_cover){0};
    char *below = clean(subpath != NULL ? subpath : "");
    int result = 0;
    for (size_t i = 0; i < s->paths.count && result == 0; i++) {
        char *path = clean(s->paths.items[i]);
        const char *top = NULL;
        if (*path == '\0')
            c->all = true; /* the whole machine */
        else
            result = place_in_tree(r, &s->tree, path, &top, err);
        if (top != NULL)
            add_top(c, top, below);
        free(path);
    }
    free(below);
    if (result < 0)
        restore_cover_release(c);
    return result;
}

void restore_cover_release(struct restore_cover *c)
{
    strlist_release(&c->tops);
}

bool restore_cover_has(const struct restore_cover *c, const char *path)
{
    if (c->all)
        return true;
    for (size_t i = 0; i < c->tops.count; i++)
        if (os_path_is_below(path, c->tops.items[i]))
            return true;
    return false;
}
