#include "sink/archive_sink_output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/mem.h"
#include "crypto/sha256.h"
#include "os/file.h"
#include "os/rate.h"
#include "sink/archive_file.h"
#include "sink/archive_sink_verify.h"

enum {
    /* Written data is sent to the disk in such steps and dropped from the page cache: a large archive should neither
     * push out what others use there nor pile up for one long sync. The free space is looked at as often. */
    STEP_BYTES = 8 << 20,
    NAME_ATTEMPTS = 1000,
    OPEN_ATTEMPTS = 10,
};

struct target {
    struct archive_target options;
    char *dir, *temporary; /* temporary: full path; NULL: there is none (any more) */
    int fd;
    struct os_rate *rate;
    char *path;
    struct archive_result result;
};

struct archive_output {
    const struct archive_sink_options *options;
    const struct sink_reporter *reporter;
    struct target *targets;
    size_t count;
    pthread_mutex_t mutex; /* guards the targets' errors */
    struct sha256 *sha;
    struct id sha256;
    uint64_t bytes;
};

/* ---- which targets live */

static bool lives(const struct target *t)
{
    return t->result.error.code == ERR_NONE;
}

static void drop(struct archive_output *o, struct target *t, const struct err *why)
{
    pthread_mutex_lock(&o->mutex);
    t->result.error = *why;
    pthread_mutex_unlock(&o->mutex);
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    if (t->temporary != NULL)
        (void)unlink(t->temporary);
    free(t->temporary);
    t->temporary = NULL;
}

/* -1 with the first target's error when none lives. */
static int any_left(const struct archive_output *o, struct err *err)
{
    for (size_t i = 0; i < o->count; i++)
        if (lives(&o->targets[i]))
            return 0;
    if (err != NULL)
        *err = o->targets[0].result.error;
    return -1;
}

/* ---- beginning */

static uint64_t free_bytes(const char *dir)
{
    struct statvfs fs;
    return statvfs(dir, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

static int check_reserve(const struct target *t, struct err *err)
{
    if (t->options.reserve_bytes == 0 || free_bytes(t->dir) >= t->options.reserve_bytes)
        return 0;
    return err_set(err, ERR_NO_SPACE, "'%s' has less than its reserve of %llu bytes free", t->dir,
                   (unsigned long long)t->options.reserve_bytes);
}

/* Locked while it is written, so that no cleaner takes it for an abandoned one. */
static int open_temporary(struct target *t, const char *host, struct err *err)
{
    for (int i = 0; i < OPEN_ATTEMPTS; i++) {
        struct stat st;
        char *name = archive_temporary_name(host, err);
        if (name == NULL)
            return -1;
        free(t->temporary);
        t->temporary = os_path_join(t->dir, name);
        free(name);
        t->fd = open(t->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (t->fd < 0)
            break;
        (void)flock(t->fd, LOCK_EX | LOCK_NB);
        if (fstat(t->fd, &st) == 0 && st.st_nlink > 0)
            return 0;
        close(t->fd); /* a cleaner was faster than the lock */
        t->fd = -1;
        errno = EAGAIN;
    }
    err_errno(err, errno, "cannot create an archive in '%s'", t->dir);
    free(t->temporary);
    t->temporary = NULL;
    return -1;
}

static void open_target(struct archive_output *o, struct target *t, const struct archive_target *options)
{
    struct err why = {.code = ERR_NONE};
    t->options = *options;
    t->dir = os_path_absolute(options->dir);
    if (t->dir == NULL)
        t->dir = mem_strdup(options->dir);
    t->fd = -1;
    t->rate = os_rate_new(options->limit_write_bytes_per_s);
    (void)archive_clean(t->dir, o->options->host, NULL, NULL);
    if (check_reserve(t, &why) != 0 || open_temporary(t, o->options->host, &why) != 0)
        drop(o, t, &why);
}

struct archive_output *archive_output_new(const struct archive_sink_options *options,
                                          const struct sink_reporter *reporter, struct err *err)
{
    struct archive_output *o = mem_zalloc(sizeof *o);
    o->options = options;
    o->reporter = reporter;
    pthread_mutex_init(&o->mutex, NULL);
    o->sha = sha256_new();
    sha256_begin(o->sha);
    o->targets = mem_zalloc(options->target_count * sizeof *o->targets);
    for (size_t i = 0; i < options->target_count; i++, o->count++)
        open_target(o, &o->targets[i], &options->targets[i]);
    if (any_left(o, err) == 0)
        return o;
    archive_output_free(o);
    return NULL;
}

void archive_output_abandon(struct archive_output *o, const struct err *why)
{
    struct err ended = {.code = ERR_NONE};
    err_set(&ended, ERR_FAILED, "the archive was not completed");
    if (why != NULL && why->code != ERR_NONE)
        ended = *why;
    for (size_t i = 0; i < o->count; i++)
        if (lives(&o->targets[i]) && o->targets[i].path == NULL)
            drop(o, &o->targets[i], &ended);
}

void archive_output_free(struct archive_output *o)
{
    if (o == NULL)
        return;
    archive_output_abandon(o, NULL);
    for (size_t i = 0; i < o->count; i++) {
        struct target *t = &o->targets[i];
        os_rate_free(t->rate);
        free(t->dir);
        free(t->path);
    }
    free(o->targets);
    sha256_free(o->sha);
    pthread_mutex_destroy(&o->mutex);
    free(o);
}

/* ---- writing */

/* Starts writing out what has come since the last step, and drops the step before it from the cache. A failure shows up
 * at the sync. */
static void write_out_step(int fd, uint64_t end)
{
    off_t now = (off_t)end - STEP_BYTES, before = now - STEP_BYTES;
    (void)sync_file_range(fd, now, STEP_BYTES, SYNC_FILE_RANGE_WRITE);
    if (before < 0)
        return;
    (void)sync_file_range(fd, before, STEP_BYTES,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    (void)posix_fadvise(fd, before, STEP_BYTES, POSIX_FADV_DONTNEED);
}

static int write_target(struct target *t, const unsigned char *p, size_t len, struct err *err)
{
    for (size_t done = 0; done < len;) {
        uint64_t step = os_rate_step(t->rate);
        size_t n = len - done < step ? len - done : (size_t)step;
        if (os_write_full(t->fd, p + done, n) != 0)
            return err_errno(err, errno, "cannot write an archive to '%s'", t->dir);
        os_rate_take(t->rate, n);
        done += n;
    }
    return 0;
}

int archive_output_write(struct archive_output *o, const void *p, size_t len, struct err *err)
{
    const unsigned char *from = p;
    while (len > 0) {
        uint64_t to_step = STEP_BYTES - o->bytes % STEP_BYTES;
        size_t n = len < to_step ? len : (size_t)to_step;
        bool step = n == to_step;
        o->bytes += n;
        for (size_t i = 0; i < o->count; i++) {
            struct target *t = &o->targets[i];
            struct err why = {.code = ERR_NONE};
            if (!lives(t))
                continue;
            if (write_target(t, from, n, &why) != 0 || (step && check_reserve(t, &why) != 0))
                drop(o, t, &why);
            else if (step)
                write_out_step(t->fd, o->bytes);
        }
        sha256_add(o->sha, from, n);
        if (any_left(o, err) != 0)
            return -1;
        from += n;
        len -= n;
    }
    return 0;
}

const char *archive_output_roomiest(struct archive_output *o)
{
    const struct target *best = NULL;
    uint64_t best_bytes = 0;
    pthread_mutex_lock(&o->mutex);
    for (size_t i = 0; i < o->count; i++) {
        const struct target *t = &o->targets[i];
        uint64_t bytes = lives(t) ? free_bytes(t->dir) : 0;
        bytes -= bytes < t->options.reserve_bytes ? bytes : t->options.reserve_bytes;
        if (bytes > best_bytes) {
            best_bytes = bytes;
            best = t;
        }
    }
    pthread_mutex_unlock(&o->mutex);
    return best != NULL ? best->dir : NULL;
}

/* ---- finishing */

static int prove(struct archive_output *o, struct target *t, bool decrypt, const struct archive_stream_facts *facts,
                 struct err *err)
{
    const struct archive_sink_options *options = o->options;
    struct archive_verification v = {
        .fd = t->fd,
        .dir = t->dir,
        .bytes = o->bytes,
        .sha256 = o->sha256,
        .tar_sha256 = facts->tar_sha256,
        .codec = options->codec,
        .encryption = &options->encryption,
        .state_dir = options->state_dir,
    };
    if (options->verify == ARCHIVE_VERIFY_NONE)
        return 0;
    decrypt = decrypt && options->verify == ARCHIVE_VERIFY_DECRYPT && options->encryption.kind != OPENPGP_RECIPIENTS;
    if ((decrypt ? archive_verify_content(&v, err) : archive_verify_bytes(&v, err)) != 0)
        return err_wrap(err, "the archive in '%s' was not written right", t->dir);
    t->result.proof = decrypt ? ARCHIVE_DECRYPTED : ARCHIVE_READ_BACK;
    return 0;
}

static bool exists(const char *dir, const char *name)
{
    struct stat st;
    char *path = os_path_join(dir, name);
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}

static bool is_taken(const struct archive_output *o, const char *name)
{
    for (size_t i = 0; i < o->count; i++)
        if (lives(&o->targets[i]) && exists(o->targets[i].dir, name))
            return true;
    return false;
}

/* rename(2) that replaces nothing; by a link where the file system cannot say so. Last, without that guarantee, where
 * there are no links either, such as on FAT. */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (link(from, to) == 0)
        return unlink(from);
    if (errno == EEXIST)
        return -1;
    struct stat st;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/* Gives the file the first name that is free from that attempt on. */
static int take_name(struct archive_output *o, struct target *t, unsigned attempt, struct err *err)
{
    const struct archive_sink_options *options = o->options;
    struct archive_kind kind = {options->codec, options->encryption.kind != OPENPGP_NONE};
    for (; attempt < NAME_ATTEMPTS; attempt++) {
        char *name = archive_file_name(options->prefix, &options->time, &kind, attempt);
        char *path = os_path_join(t->dir, name);
        free(name);
        if (rename_new(t->temporary, path) == 0) {
            free(t->temporary);
            t->temporary = NULL;
            t->path = path;
            return 0;
        }
        int errnum = errno;
        free(path);
        if (errnum != EEXIST)
            return err_errno(err, errnum, "cannot rename the archive in '%s'", t->dir);
    }
    return err_set(err, ERR_EXISTS, "'%s' has too many archives of this second", t->dir);
}

/* The archive is there and whole; what does not succeed from here on is worth a word only. */
static void add_company(struct archive_output *o, struct target *t, const struct archive_stream_facts *facts)
{
    struct err why;
    const char *name = strrchr(t->path, '/') + 1;
    if (archive_checksum_write(t->dir, name, &o->sha256, facts->summary, 0600, &why) != 0 ||
        archive_latest_update(t->dir, &why) != 0)
        o->reporter->warning(o->reporter->ctx, t->path, why.message);
}

static int finish_target(struct archive_output *o, struct target *t, bool decrypt, unsigned attempt,
                         const struct archive_stream_facts *facts, struct err *err)
{
    if (fsync(t->fd) != 0)
        return err_errno(err, errno, "cannot write an archive to '%s'", t->dir);
    if (check_reserve(t, err) != 0 || prove(o, t, decrypt, facts, err) != 0 || take_name(o, t, attempt, err) != 0)
        return -1;
    t->result.path = t->path;
    t->result.bytes = o->bytes;
    t->result.sha256 = o->sha256;
    int fd = t->fd;
    t->fd = -1;
    int failed = close(fd) != 0 ? err_errno(err, errno, "cannot write an archive to '%s'", t->dir) : 0;
    if (failed != 0 || os_fsync_dir(t->dir, err) != 0) {
        (void)unlink(t->path); /* whether it would be there after a crash is not known */
        t->result.path = NULL;
        return -1;
    }
    add_company(o, t, facts);
    return 0;
}

/* The last of its prefix, on any target, that was begun before; its strings are not kept. */
static struct archive_file last_before(const struct archive_output *o)
{
    struct archive_file last = {0};
    for (size_t i = 0; i < o->count; i++) {
        struct archive_list l = {0};
        if (!lives(&o->targets[i]) || archive_list_load(&l, o->targets[i].dir, o->options->prefix, NULL) != 0)
            continue;
        for (size_t k = 0; k < l.count; k++) {
            const struct archive_file *f = &l.items[k];
            bool later =
                f->time.tv_sec > last.time.tv_sec || (f->time.tv_sec == last.time.tv_sec && f->number > last.number);
            if (later && f->time.tv_sec <= o->options->time.tv_sec)
                last = (struct archive_file){.time = f->time, .number = f->number};
        }
        archive_list_release(&l);
    }
    return last;
}

/* A name is free again when its archive was removed within its hour; but what is newer must not sort before. */
static bool is_before(const char *name, const struct archive_file *last)
{
    struct archive_file f;
    if (!archive_file_parse(name, &f))
        return false;
    bool before = f.time.tv_sec < last->time.tv_sec || (f.time.tv_sec == last->time.tv_sec && f.number < last->number);
    archive_file_release(&f);
    return before;
}

int archive_output_finish(struct archive_output *o, const struct archive_stream_facts *facts, struct err *err)
{
    const struct archive_sink_options *options = o->options;
    struct archive_kind kind = {options->codec, options->encryption.kind != OPENPGP_NONE};
    const struct archive_file last = last_before(o);
    unsigned attempt = 0;
    sha256_end(o->sha, &o->sha256);
    /* The same name everywhere, where that can be. */
    for (bool taken = true; taken && attempt < NAME_ATTEMPTS;) {
        char *name = archive_file_name(options->prefix, &options->time, &kind, attempt);
        taken = is_taken(o, name) || is_before(name, &last);
        attempt += taken;
        free(name);
    }
    bool decrypt = true; /* the first one that lives; the others have the same bytes */
    for (size_t i = 0; i < o->count; i++) {
        struct err why = {.code = ERR_NONE};
        struct target *t = &o->targets[i];
        if (!lives(t))
            continue;
        if (finish_target(o, t, decrypt, attempt, facts, &why) != 0)
            drop(o, t, &why);
        else
            decrypt = false;
    }
    return any_left(o, err);
}

const struct archive_result *archive_output_result(const struct archive_output *o, size_t target)
{
    return &o->targets[target].result;
}
