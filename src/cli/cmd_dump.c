/* Writing a file of a snapshot, or a directory as an archive, to standard output or a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "engine/dump.h"
#include "engine/walk.h"
#include "os/file.h"

static const char *const FORMATS[] = {"tar", "zip", NULL};
enum { BUFFER_BYTES = 256 << 10 };

struct dump_args {
    struct cli_snapshot_filter filter;
    int archive;
    const char *target;
};

static const struct option OPTIONS[] = {
    {.name = "archive",
     .short_name = 'a',
     .kind = OPTION_CHOICE,
     .offset = offsetof(struct dump_args, archive),
     .choices = FORMATS,
     .metavar = "FORMAT",
     .help = "how a directory is written (the default is tar)"},
    {.name = "target",
     .short_name = 't',
     .kind = OPTION_STRING,
     .offset = offsetof(struct dump_args, target),
     .metavar = "FILE",
     .help = "write into this file, which appears once it is complete (default: standard output)"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct dump_args, filter),
    OPTION_END,
};

/* Where it goes: small pieces are collected. */
struct output {
    int fd;
    const char *target; /* NULL: standard output */
    char *temporary;    /* renamed to the target at the end; NULL: written directly */
    unsigned char *buffer;
    size_t used;
};

/* A disk that is full here is not the repository's: nothing that is stored would make room. */
static int write_error(const struct output *o, struct err *err)
{
    if (o->target != NULL)
        err_errno(err, errno, "cannot write '%s'", o->target);
    else
        err_errno(err, errno, "cannot write the output");
    if (err->code == ERR_NO_SPACE)
        err_advise(err, "make room there, or write to another place");
    return -1;
}

static int flush_output(struct output *o, struct err *err)
{
    size_t len = o->used;
    o->used = 0;
    return os_write_full(o->fd, o->buffer, len) < 0 ? write_error(o, err) : 0;
}

static int write_output(void *ctx, const void *p, size_t len, struct err *err)
{
    struct output *o = ctx;
    if (o->used + len > BUFFER_BYTES && flush_output(o, err) < 0)
        return -1;
    if (len >= BUFFER_BYTES)
        return os_write_full(o->fd, p, len) < 0 ? write_error(o, err) : 0;
    memcpy(o->buffer + o->used, p, len);
    o->used += len;
    return 0;
}

/* A regular or new file is written beside its final name; anything else (a pipe, a device) as it is. */
static int open_target(struct output *o, struct err *err)
{
    struct stat st;
    const char *target = o->target;
    if (stat(target, &st) == 0 && !S_ISREG(st.st_mode)) {
        o->fd = open(target, O_WRONLY | O_CLOEXEC);
    } else {
        o->temporary = mem_printf("%s.XXXXXX", target);
        o->fd = mkostemp(o->temporary, O_CLOEXEC);
    }
    if (o->fd >= 0)
        return 0;
    free(o->temporary);
    o->temporary = NULL;
    return write_error(o, err);
}

static int close_target(struct output *o, int rc, struct err *err)
{
    if (o->fd != STDOUT_FILENO && close(o->fd) < 0 && rc == 0)
        rc = write_error(o, err);
    if (o->temporary == NULL)
        return rc;
    if (rc == 0 && rename(o->temporary, o->target) < 0)
        rc = write_error(o, err);
    if (rc < 0)
        unlink(o->temporary);
    free(o->temporary);
    return rc;
}

static void draw(void *ctx, char *out, size_t cap, unsigned columns)
{
    const struct dump_progress *p = ctx;
    char files[32], bytes[24];
    (void)columns;
    snprintf(out, cap, "dumping: %s files, %s", cli_count(atomic_load(&p->files), files),
             bytes_text(atomic_load(&p->bytes), bytes));
}

static int write_dump(struct cli *cli, struct repo *repo, const struct dump_args *args,
                      const struct dump_options *options, struct err *err)
{
    bool archive;
    if (dump_is_archive(repo, options->root, options->path, &archive, err) < 0)
        return -1;
    if (archive && args->target == NULL && isatty(STDOUT_FILENO) == 1)
        return err_set(err, ERR_USAGE, "an archive is not written to a terminal: redirect the output, or use --target");
    struct output o = {.fd = STDOUT_FILENO, .target = args->target, .buffer = mem_alloc(BUFFER_BYTES)};
    int rc = args->target != NULL ? open_target(&o, err) : 0;
    if (rc == 0) {
        struct dump_progress progress = {0};
        struct cli_progress *line = isatty(STDOUT_FILENO) == 1 ? NULL : cli_progress_start(cli, draw, &progress);
        rc = dump_run(repo, options, write_output, &o, &progress, err);
        if (rc == 0)
            rc = flush_output(&o, err);
        cli_progress_stop(line);
        rc = close_target(&o, rc, err);
        if (atomic_load(&progress.left_out) > 0)
            cli_warn(cli, "%llu sockets were left out: an archive cannot hold them",
                     (unsigned long long)atomic_load(&progress.left_out));
    }
    free(o.buffer);
    return rc;
}

static int dump(struct cli *cli, struct repo *repo, const struct dump_args *args, char **argv, struct err *err)
{
    struct snapshot s;
    const char *subpath;
    if (cli_find_snapshot(cli, repo, argv[0], &args->filter, &s, &subpath, err) < 0)
        return -1;
    struct id root = s.tree;
    int rc = subpath != NULL ? walk_find_dir(repo, &s.tree, subpath, &root, err) : 0;
    struct dump_options options = {.root = &root, .path = argv[1], .format = (enum dump_format)args->archive};
    if (rc == 0)
        rc = write_dump(cli, repo, args, &options, err);
    snapshot_release(&s);
    return rc;
}

static int run_dump(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (argc != 2) {
        err_set(&err, ERR_USAGE, "a snapshot and a path in it are needed");
        return cli_fail(cli, &err);
    }
    if (cli_open_locked(cli, CLI_LOCK_SHARED, true, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = dump(cli, repo, options, argv, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback dump latest /root/.openclaw/openclaw.json", "one file"},
    {"clawback dump latest /root/.openclaw | tar x -C /tmp", "a directory"},
    {"clawback dump -a zip -t home.zip latest /", "everything, for a machine without tar"},
    {NULL, NULL},
};

const struct command cmd_dump = {
    .name = "dump",
    .arguments = "SNAPSHOT[:PATH] PATH",
    .summary = "Write a file or a directory to standard output",
    .description =
        "A file is written as it is, a directory as an archive. Every byte is verified before it is written.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct dump_args),
    .examples = EXAMPLES,
    .group = "Restoring",
    .run = run_dump,
};
