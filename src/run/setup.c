#include "run/setup.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "os/file.h"

/* --- destinations --- */

bool setup_usable_server(const struct discovered_server *s)
{
    return s->access == DISCOVERED_READY || s->access == DISCOVERED_STOPPED;
}

size_t setup_usable_servers(const struct discovered_servers *l)
{
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++)
        count += setup_usable_server(&l->items[i]);
    return count;
}

bool setup_has_sources(const struct discovery *d)
{
    return d->home.roots.count > 0 || d->extra.count > 0 || setup_usable_servers(&d->postgres) > 0 ||
           setup_usable_servers(&d->redis) > 0;
}

static bool is_source(const struct discovery *d, const char *path)
{
    const struct strlist *lists[] = {&d->home.roots, &d->home.outside, &d->extra};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (os_path_is_below(path, lists[l]->items[i]))
                return true;
    return false;
}

static bool name_taken(const struct setup_choice *c, const char *name)
{
    for (size_t i = 0; i < c->destination_count; i++)
        if (strcmp(c->destinations[i].name, name) == 0)
            return true;
    return false;
}

/* What people would call it: "usb" for a drive, "nas" for a network drive, "local" for this disk; a number behind it
 * when that is taken. */
static char *make_name(const struct setup_choice *c, const struct mount_point *m, bool same_disk)
{
    const char *base = same_disk || m == NULL ? "local" : m->network ? "nas" : "drive";
    char *name = mem_strdup(base);
    for (unsigned n = 2; name_taken(c, name); n++) {
        free(name);
        name = mem_printf("%s%u", base, n);
    }
    return name;
}

static int check_destination(const struct setup_choice *c, const struct discovery *d, const char *path,
                             const char *real, struct err *err)
{
    struct stat st;
    for (size_t i = 0; i < c->destination_count; i++)
        if (strcmp(c->destinations[i].path, path) == 0)
            return err_set(err, ERR_USAGE, "destination '%s' was given twice", path);
    if (is_source(d, path) || is_source(d, real))
        return err_set(err, ERR_USAGE,
                       "destination '%s' lies in what is backed up to it; choose a place outside, best on another disk",
                       path);
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE, "destination '%s' is no directory", path);
    return 0;
}

/* The path as the kernel sees it: its part that is there without symlinks. */
static char *real_of(const char *path)
{
    char *there = mounts_existing(path), *real = realpath(there, NULL);
    const char *rest = path + strlen(there);
    char *out = real == NULL             ? mem_strdup(path)
                : *rest == '\0'          ? mem_strdup(real)
                : strcmp(real, "/") == 0 ? mem_strdup(path)
                                         : mem_printf("%s%s%s", real, *rest == '/' ? "" : "/", rest);
    free(there);
    free(real);
    return out;
}

int setup_add_destination(struct setup_choice *c, const struct discovery *d, const char *path, struct err *err)
{
    char *expanded = os_path_expand_home(path), *absolute = os_path_absolute(expanded);
    free(expanded);
    if (absolute == NULL)
        return err_errno(err, errno, "cannot find the working directory");
    char *real = real_of(absolute);
    int rc = check_destination(c, d, absolute, real, err);
    if (rc == 0) {
        const struct mount_point *m = mounts_of(&d->mounts, real), *root = mounts_of(&d->mounts, "/");
        const struct mount_point *source = mounts_of(&d->mounts, d->source_path);
        bool same_disk = m != NULL && source != NULL && mounts_same_disk(m, source);
        struct setup_destination new = {.path = absolute,
                                        .same_disk = same_disk,
                                        .name = make_name(c, m, same_disk),
                                        .require_mount = m != NULL && m != root && m != source && !same_disk};
        if (new.require_mount && strcmp(m->path, real) != 0)
            new.mount_point = mem_strdup(m->path);
        c->destinations = mem_array(c->destinations, c->destination_count + 1, sizeof *c->destinations);
        c->destinations[c->destination_count++] = new;
        absolute = NULL;
    }
    free(absolute);
    free(real);
    return rc;
}

void setup_choice_release(struct setup_choice *c)
{
    for (size_t i = 0; i < c->destination_count; i++) {
        free(c->destinations[i].name);
        free(c->destinations[i].path);
        free(c->destinations[i].mount_point);
    }
    setup_telegram_release(&c->telegram);
    free(c->destinations);
    *c = (struct setup_choice){0};
}

/* --- passphrases --- */

const char *setup_passphrase_weakness(const char *passphrase)
{
    static _Thread_local char text[96];
    size_t len = strlen(passphrase), repeated = 0, steps = 0, distinct = 0;
    bool seen[256] = {0};
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)passphrase[i];
        distinct += !seen[c];
        seen[c] = true;
        if (i == 0)
            continue;
        int step = c - (unsigned char)passphrase[i - 1];
        repeated += step == 0;
        steps += step == 1 || step == -1;
    }
    if (len < 20) {
        snprintf(text, sizeof text, "it has %zu character%s; 20 or more are safe", len, len == 1 ? "" : "s");
        return text;
    }
    if (distinct < 8)
        return "it is made of a few characters again and again";
    if (repeated + steps > len / 2)
        return "it is mostly a row of characters in order";
    return NULL;
}
