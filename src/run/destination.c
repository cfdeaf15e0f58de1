/*
 * Looking at a destination. In this order, since each question makes sense only after the ones before it: does its file
 * system answer, is it mounted, is it the right drive, can it be written, is there room?
 */
#include "run/destination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "crypto/cipher.h"
#include "os/file.h"
#include "run/marker.h"
#include "run/mounts.h"
#include "source/virtual.h"

static const char *const PROBLEMS[] = {[DESTINATION_OK] = "ready",
                                       [DESTINATION_MISSING] = "missing",
                                       [DESTINATION_NOT_MOUNTED] = "not mounted",
                                       [DESTINATION_WRONG_DRIVE] = "the wrong drive",
                                       [DESTINATION_NOT_WRITABLE] = "not writable",
                                       [DESTINATION_NO_SPACE] = "full",
                                       [DESTINATION_UNUSABLE] = "unusable"};

const char *destination_problem_name(enum destination_problem p)
{
    return PROBLEMS[p];
}

const char *destination_path(const struct plan_destination *d)
{
    static const char SCHEME[] = "local:";
    if (strncmp(d->location, SCHEME, sizeof SCHEME - 1) == 0)
        return d->location + sizeof SCHEME - 1;
    return d->location[0] == '/' ? d->location : NULL;
}

char *destination_archive_dir(const struct plan *p, const struct plan_destination *d)
{
    const char *path = destination_path(d);
    if (path == NULL)
        return NULL;
    char *host = virtual_name(p->host), *dir = mem_printf("%s/archives/%s", path, host);
    free(host);
    return dir;
}

/* Returns false, so that steps read well. */
static bool problem(struct destination_check *c, enum destination_problem kind, enum err_code code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
static bool problem(struct destination_check *c, enum destination_problem kind, enum err_code code, const char *format,
                    ...)
{
    char text[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->problem = kind;
    err_set(&c->err, code, "destination '%s': %s", c->destination->name, text);
    return false;
}

/* The same from an error that a step came upon. */
static bool failed(struct destination_check *c, enum destination_problem kind, const struct err *why)
{
    return problem(c, kind, why->code != ERR_NONE ? why->code : ERR_FAILED, "%s", why->message);
}

/* --- does it answer, is it there? --- */

struct look {
    struct mount_space space;
    struct mounts mounts;
    const struct mount_point *mount; /* that it lies on; NULL: not known */
    char *existing;                  /* the deepest directory of its path that is there, symlinks resolved */
};

static bool look(struct destination_check *c, struct look *l)
{
    struct err err = {0};
    c->exists = mounts_space(c->path, &l->space, &err) == 0;
    if (!c->exists && err.code == ERR_TIMEOUT)
        return problem(c, DESTINATION_UNUSABLE, ERR_TIMEOUT, "'%s' does not answer; is the network drive reachable?",
                       c->path);
    if (!c->exists && err.code != ERR_NOT_FOUND)
        return failed(c, DESTINATION_UNUSABLE, &err);
    if (c->exists && !l->space.is_dir)
        return problem(c, DESTINATION_UNUSABLE, ERR_USAGE, "'%s' is no directory", c->path);
    char *existing = mounts_existing(c->path);
    if (!c->exists && mounts_space(existing, &l->space, &err) != 0) {
        free(existing);
        return failed(c, DESTINATION_UNUSABLE, &err);
    }
    l->existing = realpath(existing, NULL);
    free(existing);
    /* Read after the path was touched: that is what makes an automounter mount it. */
    if (l->existing != NULL && mounts_read(&l->mounts, NULL) == 0)
        l->mount = mounts_of(&l->mounts, l->existing);
    c->free_bytes = l->space.free_bytes;
    c->total_bytes = l->space.total_bytes;
    return true;
}

/* NULL: nothing that can be written to. What an automounter put there only means that it watches the place. */
static const struct mount_point *drive_of(const struct look *l, const struct mount_point *m)
{
    const struct mount_point *drive = m != NULL ? mounts_below_own(&l->mounts, m) : NULL;
    return drive != NULL && strcmp(drive->type, "autofs") != 0 ? drive : NULL;
}

/* Something that is mounted above it counts, but not what holds our state: where /home is a file system of its own, a
 * bare mount point below it lies on that one. */
static bool is_mounted(const struct look *l, const char *state_dir)
{
    char *existing = mounts_existing(state_dir != NULL ? state_dir : "/"), *real = realpath(existing, NULL);
    const struct mount_point *ours = real != NULL ? drive_of(l, mounts_of(&l->mounts, real)) : NULL;
    const struct mount_point *drive = drive_of(l, l->mount);
    bool mounted = drive != NULL && strcmp(drive->path, "/") != 0 && drive != ours;
    free(existing);
    free(real);
    return mounted;
}

static bool not_mounted(struct destination_check *c, const char *at)
{
    return problem(c, DESTINATION_NOT_MOUNTED, ERR_NOT_FOUND,
                   "nothing is mounted at '%s' (require_mount): plug the drive in and mount it", at);
}

/* The mount point that the plan names. */
static bool check_named_mount(struct destination_check *c, const struct look *l)
{
    const char *at = c->destination->mount_point;
    char *real = realpath(at, NULL);
    const struct mount_point *drive = real != NULL ? drive_of(l, mounts_of(&l->mounts, real)) : NULL;
    bool mounted = drive != NULL && strcmp(drive->path, real) == 0;
    bool on_it = mounted && l->existing != NULL && os_path_is_below(l->existing, real);
    free(real);
    if (!mounted)
        return not_mounted(c, at);
    return on_it ||
           problem(c, DESTINATION_NOT_MOUNTED, ERR_USAGE,
                   "'%s' does not lie on what is mounted at '%s' (require_mount): correct one of them", c->path, at);
}

static bool check_mounted(struct destination_check *c, const struct destination_options *o, const struct look *l)
{
    if (c->destination->mount_point != NULL)
        return check_named_mount(c, l);
    return !c->destination->require_mount || is_mounted(l, o->state_dir) || not_mounted(c, c->path);
}

/* Is it a directory that drives are mounted below, rather than a drive? */
static bool holds_mount_points(const char *path)
{
    static const char *const NAMES[] = {"/boot",      "/dev", "/dev/shm", "/home", "/media",     "/opt", "/run",
                                        "/run/media", "/srv", "/tmp",     "/usr",  "/usr/local", "/var"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (strcmp(path, NAMES[i]) == 0)
            return true;
    }
    return false;
}

/* As long as no marker tells: is what is mounted above it the drive, or does that hold the drive's bare mount point? */
static bool check_first_mount(struct destination_check *c, const struct destination_options *o, const struct look *l)
{
    const struct plan_destination *d = c->destination;
    const struct mount_point *drive = drive_of(l, l->mount);
    if (!d->require_mount || d->mount_point != NULL || !c->first_use || o->adopt || drive == NULL)
        return true;
    char *expected = mounts_expected(MOUNTS_FSTAB, c->exists ? l->existing : c->path);
    bool absent = expected != NULL && strlen(expected) > strlen(drive->path);
    if (absent)
        problem(c, DESTINATION_NOT_MOUNTED, ERR_NOT_FOUND,
                "nothing is mounted at '%s', which is in %s (require_mount): plug the drive in and mount it", expected,
                MOUNTS_FSTAB);
    free(expected);
    if (absent)
        return false;
    if ((c->exists && strcmp(drive->path, l->existing) == 0) || !holds_mount_points(drive->path))
        return true;
    return problem(
        c, DESTINATION_NOT_MOUNTED, ERR_NOT_FOUND,
        "nothing is mounted at '%s' itself (require_mount): plug the drive in and mount it; or, if it is what "
        "is mounted at '%s', say so: 'require_mount: %s'",
        c->path, drive->path, drive->path);
}

/* --- is it the right one? --- */

struct identity {
    char *marker_file, *state_file;
    struct marker here, remembered;
    bool has_here, has_remembered;
};

static void identity_release(struct identity *i)
{
    free(i->marker_file);
    free(i->state_file);
}

static bool read_marker(struct destination_check *c, const char *path, struct marker *out, bool *there)
{
    struct err err = {0};
    *there = marker_read(path, out, &err) == 0;
    return *there || err.code == ERR_NOT_FOUND || failed(c, DESTINATION_UNUSABLE, &err);
}

static bool read_identity(struct destination_check *c, const struct destination_options *o, struct identity *i)
{
    i->marker_file = marker_path(c->path);
    i->state_file = marker_state_path(o->state_dir, c->destination->name);
    struct err err = {0};
    i->has_remembered = marker_read(i->state_file, &i->remembered, &err) == 0;
    /* What we remember is a help; where it is damaged, the drive is believed. */
    if (!i->has_remembered && err.code == ERR_CORRUPT)
        strlist_add(&c->warnings, err.message);
    char *config = os_path_join(c->path, "config");
    c->has_repository = access(config, F_OK) == 0;
    free(config);
    bool fine = read_marker(c, i->marker_file, &i->here, &i->has_here);
    if (!fine && c->err.code == ERR_CORRUPT && o->adopt) {
        c->problem = DESTINATION_OK;
        err_clear(&c->err);
        fine = true;
    }
    c->first_use = !i->has_here && !i->has_remembered;
    return fine;
}

static bool check_identity(struct destination_check *c, const struct destination_options *o, const struct identity *i)
{
    static const char ADOPT[] = "if this is the place to use from now on: clawback run --adopt-destination";
    const char *name = c->destination->name;
    if (o->adopt || !i->has_remembered)
        return true;
    if (!c->exists)
        return problem(c, DESTINATION_MISSING, ERR_NOT_FOUND,
                       "'%s' is not there, and was before: is the drive plugged in and mounted? (%s %s)", c->path,
                       ADOPT, name);
    if (!i->has_here)
        return problem(
            c, DESTINATION_WRONG_DRIVE, ERR_NOT_FOUND,
            "what is at '%s' is not what was there before: its marker is missing; is the right drive mounted? "
            "(%s %s)",
            c->path, ADOPT, name);
    if (!id_equal(&i->here.id, &i->remembered.id))
        return problem(c, DESTINATION_WRONG_DRIVE, ERR_CHANGED,
                       "the wrong drive is at '%s': %.8s… was expected, %.8s… is there; mount the right one (%s %s)",
                       c->path, id_to_hex(&i->remembered.id, (char[ID_HEX_BYTES]){0}),
                       id_to_hex(&i->here.id, (char[ID_HEX_BYTES]){0}), ADOPT, name);
    if (!id_is_zero(&i->remembered.repository) && !c->has_repository)
        return problem(c, DESTINATION_WRONG_DRIVE, ERR_NO_REPOSITORY,
                       "the repository that was at '%s' is gone; restore it, or begin a new one there: clawback run "
                       "--adopt-destination %s",
                       c->path, name);
    return true;
}

/* --- can it be written, is there room? --- */

static bool make_directory(struct destination_check *c)
{
    struct err err = {0};
    if (c->exists)
        return true;
    if (os_make_dirs(c->path, 0700, &err) != 0)
        return failed(c, DESTINATION_MISSING, &err);
    c->exists = true;
    return true;
}

/* Asks by doing it: permissions, read-only file systems and quotas all have their say. */
static bool try_writing(struct destination_check *c)
{
    char *probe = mem_printf("%s/tmp-clawback-%ld", c->path, (long)getpid());
    int fd = open(probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct err err = {0};
    bool fine = fd >= 0 && os_write_full(fd, "clawback\n", 9) == 0;
    if (!fine)
        err_errno(&err, errno, "cannot write to '%s'", c->path);
    if (fd >= 0) {
        close(fd);
        unlink(probe);
    }
    free(probe);
    return fine || failed(c, err.code == ERR_NO_SPACE ? DESTINATION_NO_SPACE : DESTINATION_NOT_WRITABLE, &err);
}

static bool check_room(struct destination_check *c, const struct look *l)
{
    uint64_t reserve = c->destination->reserve_bytes;
    if (l->space.free_inodes == 0)
        return problem(c, DESTINATION_NO_SPACE, ERR_NO_SPACE, "'%s' has no room for another file (no inodes are free)",
                       c->path);
    if (c->free_bytes >= reserve && c->free_bytes > 0)
        return true;
    char left[BYTES_TEXT_BYTES], kept[BYTES_TEXT_BYTES];
    return problem(c, DESTINATION_NO_SPACE, ERR_NO_SPACE,
                   "'%s' is full: %s are free, and %s are to be left alone (reserve); remove something, or keep less",
                   c->path, bytes_text(c->free_bytes, left), bytes_text(reserve, kept));
}

/* What both know from now on. A repository that somebody else made there is taken over with its drive. */
static bool agree(struct destination_check *c, const struct destination_options *o, struct identity *i)
{
    struct err err = {0};
    struct marker m = i->here;
    if (!i->has_here && crypto_random(m.id.bytes, ID_BYTES, &err) != 0)
        return failed(c, DESTINATION_UNUSABLE, &err);
    if (!c->has_repository)
        m.repository = (struct id){0};
    bool write_here = !i->has_here || !id_equal(&m.repository, &i->here.repository);
    if (write_here && marker_write(i->marker_file, &m, c->destination->name, &err) != 0)
        return failed(c, DESTINATION_NOT_WRITABLE, &err);
    if (i->has_remembered && id_equal(&i->remembered.id, &m.id) && !o->adopt)
        return true;
    char *dir = os_path_join(o->state_dir, "destinations");
    bool fine = os_make_dirs(dir, 0700, &err) == 0 && marker_write(i->state_file, &m, c->destination->name, &err) == 0;
    free(dir);
    return fine || failed(c, DESTINATION_UNUSABLE, &err);
}

/* --- is it on the disk that it is to protect from? --- */

void destination_sources(const struct plan_tier *t, struct strlist *out)
{
    strlist_copy(out, &t->files);
    strlist_copy(out, &t->sqlite);
    for (size_t i = 0; i < t->git_count; i++)
        strlist_add(out, t->git[i].path);
}

static void warn_of_same_disk(struct destination_check *c, const struct look *l, const struct strlist *sources)
{
    for (size_t i = 0; sources != NULL && l->mount != NULL && i < sources->count && !c->same_disk; i++) {
        char *real = realpath(sources->items[i], NULL);
        const struct mount_point *m = real != NULL ? mounts_of(&l->mounts, real) : NULL;
        free(real);
        c->same_disk = m != NULL && mounts_same_disk(m, l->mount);
    }
    if (!c->same_disk)
        return;
    char *text = mem_printf("destination '%s' is on the same disk as what is backed up: when that disk fails, both are "
                            "lost",
                            c->destination->name);
    strlist_add(&c->warnings, text);
    free(text);
}

static void check_local(struct destination_check *c, const struct destination_options *o, struct look *l,
                        struct identity *i)
{
    if (!look(c, l) || !check_mounted(c, o, l))
        return;
    warn_of_same_disk(c, l, o->sources);
    if (!read_identity(c, o, i) || !check_first_mount(c, o, l) || !check_identity(c, o, i) || !check_room(c, l))
        return;
    if (l->mount != NULL && l->mount->read_only)
        problem(c, DESTINATION_NOT_WRITABLE, ERR_PERMISSION, "'%s' is %s", c->path,
                mounts_below_own(&l->mounts, l->mount) == l->mount
                    ? "mounted read-only"
                    : "read-only for this service: once the directory is there, 'clawback schedule install' allows it");
    else if (o->look_only && !l->space.writable)
        problem(c, DESTINATION_NOT_WRITABLE, ERR_PERMISSION, "'%s' cannot be written by this user", l->existing);
    else if (!o->look_only && make_directory(c) && try_writing(c))
        agree(c, o, i);
}

void destination_check(const struct plan_destination *d, const struct destination_options *options,
                       struct destination_check *out)
{
    const char *path = destination_path(d);
    *out = (struct destination_check){.destination = d, .local = path != NULL};
    if (path == NULL) {
        struct store *store;
        struct err err = {0};
        if (store_open(&store, d->location, &err) == 0)
            store_free(store);
        else
            failed(out, DESTINATION_UNUSABLE, &err);
        return;
    }
    struct look l = {0};
    struct identity i = {0};
    out->path = os_path_absolute(path);
    if (out->path != NULL)
        check_local(out, options, &l, &i);
    else
        problem(out, DESTINATION_UNUSABLE, ERR_IO, "cannot find the working directory");
    identity_release(&i);
    mounts_release(&l.mounts);
    free(l.existing);
}

void destination_check_release(struct destination_check *c)
{
    strlist_release(&c->warnings);
    free(c->path);
    *c = (struct destination_check){0};
}
