#include "sink/archive_sink.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "sink/archive_file.h"
#include "sink/archive_sink_file.h"
#include "sink/archive_sink_manifest.h"
#include "sink/archive_sink_output.h"
#include "sink/archive_sink_pipe.h"
#include "sink/inode_paths.h"

enum {
    PATH_MAX_BYTES = 64 << 20,
    LINE_MAX_BYTES = 512 << 20,
    MANIFEST_MEMORY_BYTES = 8 << 20,
    SUMMARY_MAX_BYTES = 8 << 10
};

struct archive_sink {
    struct sink base;
    struct archive_sink_options options;
    struct archive_target *targets;
    const struct sink_reporter *reporter;
    struct backup_progress *progress;
    struct archive_output *output;
    struct archive_pipe *pipe;
    struct tar *tar;
    struct inode_paths inodes;
    struct archive_hold *hold, *manifest;
    struct buf path;  /* of the open directory, with a slash at its end; empty for the root */
    struct buf lines; /* of the manifest, on their way */
    struct sha256 *sha;
    unsigned char *buffer;
    uint64_t members;
    struct archive_missing *missing;
    size_t missing_count;
    struct archive_summary summary;
    struct err failed; /* what ended it */
};

static const struct sink_ops OPS;

/* ---- beginning and ending */

static int write_tar(void *ctx, const void *p, size_t len, struct err *err)
{
    return archive_pipe_write(((struct archive_sink *)ctx)->pipe, p, len, err);
}

static const char *spool_dir(void *ctx)
{
    return archive_output_roomiest(((struct archive_sink *)ctx)->output);
}

static int check_options(const struct archive_sink_options *o, struct err *err)
{
    if (o->target_count == 0)
        return err_set(err, ERR_USAGE, "an archive needs a place to be written to");
    if (archive_prefix_check(o->prefix, err) != 0)
        return -1;
    return openpgp_check(&o->encryption, o->state_dir, err);
}

static void copy_options(struct archive_sink *s, const struct archive_sink_options *o)
{
    s->options = *o;
    s->targets = mem_copy(o->targets, o->target_count * sizeof *o->targets);
    s->options.targets = s->targets;
    s->options.host = o->host != NULL ? o->host : "";
    s->options.version = o->version != NULL ? o->version : "";
}

static int flush_lines(struct archive_sink *s, struct err *err)
{
    int rc = s->lines.overflow ? err_set(err, ERR_UNSUPPORTED, "a name is too long for the archive's manifest")
                               : archive_hold_add(s->manifest, s->lines.data, s->lines.len, err);
    buf_clear(&s->lines);
    return rc;
}

struct archive_sink *archive_sink_new(const struct archive_sink_options *options, const struct sink_reporter *reporter,
                                      struct backup_progress *progress, struct err *err)
{
    if (check_options(options, err) != 0)
        return NULL;
    struct archive_sink *s = mem_zalloc(sizeof *s);
    s->base.ops = &OPS;
    copy_options(s, options);
    s->reporter = reporter;
    s->progress = progress;
    buf_init(&s->path, PATH_MAX_BYTES);
    buf_init(&s->lines, LINE_MAX_BYTES);
    s->sha = sha256_new();
    s->buffer = mem_alloc(ARCHIVE_BUFFER_BYTES);
    s->tar = tar_new(write_tar, s);
    s->hold = archive_hold_new(ARCHIVE_MEMORY_BYTES, spool_dir, s);
    s->manifest = archive_hold_new(MANIFEST_MEMORY_BYTES, spool_dir, s);
    s->output = archive_output_new(&s->options, reporter, err);
    if (s->output != NULL)
        s->pipe = archive_pipe_new(&s->options, s->output, err);
    archive_manifest_begin(&s->lines, &s->options);
    if (s->pipe != NULL && flush_lines(s, err) == 0)
        return s;
    archive_sink_free(s);
    return NULL;
}

struct sink *archive_sink_base(struct archive_sink *s)
{
    buf_clear(&s->path);
    return &s->base;
}

void archive_sink_abandon(struct archive_sink *s)
{
    archive_pipe_free(s->pipe);
    s->pipe = NULL;
    if (s->output != NULL)
        archive_output_abandon(s->output, &s->failed);
}

void archive_sink_free(struct archive_sink *s)
{
    if (s == NULL)
        return;
    archive_pipe_free(s->pipe);
    archive_output_free(s->output);
    archive_hold_free(s->hold);
    archive_hold_free(s->manifest);
    tar_free(s->tar);
    inode_paths_release(&s->inodes);
    buf_release(&s->path);
    buf_release(&s->lines);
    sha256_free(s->sha);
    for (size_t i = 0; i < s->missing_count; i++) {
        free(s->missing[i].source);
        free(s->missing[i].message);
    }
    free(s->missing);
    free(s->buffer);
    free(s->targets);
    free(s);
}

const struct archive_result *archive_sink_result(const struct archive_sink *s, size_t target)
{
    return archive_output_result(s->output, target);
}

void archive_sink_summary(const struct archive_sink *s, struct archive_summary *out)
{
    *out = s->summary;
    out->tar_bytes = tar_bytes(s->tar);
}

/* ---- pushing */

/* Remembers what ended it. */
static int fail(struct archive_sink *s, const struct err *why, struct err *err)
{
    if (s->failed.code == ERR_NONE)
        s->failed = *why;
    if (err != NULL)
        *err = *why;
    return -1;
}

static char *member_path(const struct archive_sink *s, const struct node *n)
{
    return mem_printf("%.*s%.*s", (int)s->path.len, s->path.len > 0 ? (const char *)s->path.data : "", (int)n->name_len,
                      n->name);
}

static int note_member(struct archive_sink *s, const struct archive_member *m, struct err *err)
{
    if (m->node->type == NODE_DIR)
        s->summary.dirs++;
    else if (m->node->type == NODE_FILE)
        s->summary.files++;
    else
        s->summary.others++;
    if (m->sha256 != NULL)
        s->summary.content_bytes += m->node->size;
    s->summary.incomplete += m->incomplete;
    archive_manifest_member(&s->lines, m, s->members++ == 0);
    return flush_lines(s, err);
}

/* A member without content. What cannot be put into an archive is reported and left out. */
static int put_bare(struct archive_sink *s, const struct node *n, const char *member, const char *path,
                    const char *link_to, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    if (tar_begin(s->tar, n, member, link_to, &why) == 0 && tar_end(s->tar, &why) == 0) {
        struct archive_member m = {.node = n, .path = member, .link_to = link_to};
        return note_member(s, &m, err);
    }
    if (why.code != ERR_UNSUPPORTED)
        return fail(s, &why, err);
    s->summary.left_out++;
    s->reporter->unreadable(s->reporter->ctx, path, &why);
    return 0;
}

static int push_dir_begin(struct sink *base, const struct node *dir, struct err *err)
{
    struct archive_sink *s = (struct archive_sink *)base;
    char *member = member_path(s, dir);
    int rc = put_bare(s, dir, member, member, NULL, err);
    free(member);
    buf_append(&s->path, dir->name, dir->name_len);
    buf_append_byte(&s->path, '/');
    return rc;
}

static int push_dir_end(struct sink *base, struct err *err)
{
    struct archive_sink *s = (struct archive_sink *)base;
    (void)err;
    if (s->path.len > 0)
        s->path.len--;
    while (s->path.len > 0 && s->path.data[s->path.len - 1] != '/')
        s->path.len--;
    if (s->progress != NULL)
        atomic_fetch_add_explicit(&s->progress->dirs_done, 1, memory_order_relaxed);
    return 0;
}

static int put_file(struct archive_sink *s, const struct node *n, const char *member, const char *path,
                    struct sink_content *content, bool *stored_out, struct err *err)
{
    struct node node = *n;
    struct err why = {.code = ERR_NONE};
    struct archive_filing f = {.tar = s->tar,
                               .hold = s->hold,
                               .reporter = s->reporter,
                               .progress = s->progress,
                               .sha = s->sha,
                               .buffer = s->buffer,
                               .path = path,
                               .member = member,
                               .node = &node,
                               .content = content};
    if (s->progress != NULL)
        backup_progress_set_current(s->progress, path);
    if (archive_store_file(&f, &why) != 0)
        return fail(s, &why, err);
    *stored_out = f.stored;
    if (!f.stored) {
        s->summary.left_out++;
        return 0;
    }
    if (s->progress != NULL) {
        atomic_fetch_add_explicit(&s->progress->files_done, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->progress->bytes_done, node.size, memory_order_relaxed);
    }
    struct archive_member m = {
        .node = &node, .path = member, .sha256 = &f.sha256, .incomplete = f.incomplete, .changed = f.changed};
    return note_member(s, &m, err);
}

/* A name of something that has several: the first one has the content, the others refer to it. */
static int put_entry(struct archive_sink *s, const struct node *n, const char *path, struct sink_content *content,
                     struct err *err)
{
    char *member = member_path(s, n), *first = inode_paths_see(&s->inodes, n, member);
    bool stored = true;
    int rc = first != NULL || content == NULL ? put_bare(s, n, member, path, first, err)
                                              : put_file(s, n, member, path, content, &stored, err);
    if (!stored)
        inode_paths_forget(&s->inodes, n);
    free(first);
    free(member);
    return rc;
}

static int push_entry(struct sink *base, const struct node *n, const char *path, struct sink_content *content,
                      struct err *err)
{
    struct archive_sink *s = (struct archive_sink *)base;
    int rc = 0;
    if (tar_can_hold(n->type))
        rc = put_entry(s, n, path, content, err);
    else
        s->summary.left_out++;
    if (content != NULL && content->release != NULL)
        content->release(content->ctx);
    return rc;
}

static const struct sink_ops OPS = {.dir_begin = push_dir_begin, .entry = push_entry, .dir_end = push_dir_end};

/* ---- finishing */

void archive_sink_lacks(struct archive_sink *s, enum archive_lack lack, const char *source, const char *message)
{
    s->missing = mem_array(s->missing, s->missing_count + 1, sizeof *s->missing);
    s->missing[s->missing_count++] = (struct archive_missing){
        .lack = lack, .source = mem_strdup(source), .message = message != NULL ? mem_strdup(message) : NULL};
}

static int put_manifest(struct archive_sink *s, struct err *err)
{
    struct node node = {.name = ARCHIVE_MANIFEST_NAME,
                        .name_len = strlen(ARCHIVE_MANIFEST_NAME),
                        .type = NODE_FILE,
                        .mode = node_mode_from_stat(S_IFREG | 0600),
                        .mtime = s->options.time,
                        .uid = getuid(),
                        .gid = getgid()};
    struct archive_filing f = {.tar = s->tar,
                               .hold = s->manifest,
                               .reporter = s->reporter,
                               .sha = s->sha,
                               .buffer = s->buffer,
                               .path = ARCHIVE_MANIFEST_NAME,
                               .member = ARCHIVE_MANIFEST_NAME,
                               .node = &node};
    archive_manifest_end(&s->lines, s->members, s->missing, s->missing_count);
    return flush_lines(s, err) != 0 ? -1 : archive_store_hold(&f, err);
}

/* For the checksum file, which anybody may read: numbers, no names of what is inside. */
static void describe(const struct archive_sink *s, struct buf *out)
{
    static const char *const HOW[] = {[OPENPGP_SYMMETRIC] = "OpenPGP, with a passphrase",
                                      [OPENPGP_RECIPIENTS] = "OpenPGP, to public keys",
                                      [OPENPGP_NONE] = "none"};
    struct tm tm;
    char time[32] = "";
    size_t absent = 0;
    if (gmtime_r(&s->options.time.tv_sec, &tm) != NULL)
        (void)strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
    for (size_t i = 0; i < s->missing_count; i++)
        absent += s->missing[i].lack == ARCHIVE_LACKS_ABSENT;
    buf_printf(out,
               "%s, host %s, begun %s\n"
               "files %llu, directories %llu, others %llu, bytes of files %llu, bytes of tar %llu\n"
               "encryption: %s\n",
               s->options.version, s->options.host, time, (unsigned long long)s->summary.files,
               (unsigned long long)s->summary.dirs, (unsigned long long)s->summary.others,
               (unsigned long long)s->summary.content_bytes, (unsigned long long)tar_bytes(s->tar),
               HOW[s->options.encryption.kind]);
    archive_lack_write(out, s->missing_count - absent, absent);
}

static int finish(struct archive_sink *s, struct err *err)
{
    struct archive_stream_facts facts = {0};
    if (s->failed.code != ERR_NONE) {
        *err = s->failed;
        return -1;
    }
    if (s->progress != NULL)
        atomic_store(&s->progress->stage, "finishing");
    if (put_manifest(s, err) != 0 || tar_finish(s->tar, err) != 0 ||
        archive_pipe_end(s->pipe, &facts.tar_sha256, err) != 0)
        return -1;
    struct buf summary;
    buf_init(&summary, SUMMARY_MAX_BYTES);
    describe(s, &summary);
    facts.summary = buf_cstr(&summary);
    int rc = archive_output_finish(s->output, &facts, err);
    buf_release(&summary);
    return rc;
}

int archive_sink_finish(struct archive_sink *s, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    if (finish(s, &why) == 0)
        return 0;
    fail(s, &why, err);
    archive_sink_abandon(s);
    return -1;
}
