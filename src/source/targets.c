#include "source/targets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/open.h"

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c != 0 ? c : (a_len > b_len) - (a_len < b_len);
}

/* Where the name is among the children, or where it would have to be put. */
static size_t position(const struct target *t, const char *name, size_t len, bool *found)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = compare(t->children[middle].name, t->children[middle].name_len, name, len);
        if (c == 0) {
            *found = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

const struct target *target_child(const struct target *t, const char *name, size_t name_len)
{
    if (t == NULL)
        return NULL;
    bool found;
    size_t at = position(t, name, name_len, &found);
    return found ? &t->children[at] : NULL;
}

static struct target *child_for(struct target *t, const char *name, size_t len)
{
    bool found;
    size_t at = position(t, name, len, &found);
    if (!found) {
        t->children = mem_array(t->children, t->count + 1, sizeof *t->children);
        memmove(&t->children[at + 1], &t->children[at], (t->count - at) * sizeof *t->children);
        t->count++;
        t->children[at] = (struct target){.name = mem_strndup(name, len), .name_len = len};
    }
    return &t->children[at];
}

static void insert(struct target *t, const char *path)
{
    for (const char *s = path; *s != '\0';) {
        size_t len = strcspn(s, "/");
        if (len > 0 && !(len == 1 && s[0] == '.'))
            t = child_for(t, s, len);
        s += len;
        s += *s == '/';
    }
    t->given = true;
}

bool targets_is_missing(const char *path)
{
    int fd = os_open(path, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
    close(fd);
    return false;
}

int targets_make(struct targets *t, const struct strlist *paths, struct err *err)
{
    *t = (struct targets){.root.name = mem_strdup("")};
    for (size_t i = 0; i < paths->count; i++) {
        const char *path = paths->items[i];
        if (path[0] != '/') {
            targets_release(t);
            return err_set(err, ERR_USAGE, "path '%s' is not absolute", path);
        }
        if (targets_is_missing(path)) {
            strlist_add(&t->missing, path);
        } else {
            insert(&t->root, path);
            t->found++;
        }
    }
    return 0;
}

/* As deep as the longest path given on the command line. */
static void release(struct target *t)
{
    for (size_t i = 0; i < t->count; i++)
        release(&t->children[i]);
    free(t->children);
    free(t->name);
}

void targets_release(struct targets *t)
{
    release(&t->root);
    strlist_release(&t->missing);
    *t = (struct targets){0};
}
