#include "run/reading_sink.h"

#include <stdlib.h>
#include "base/mem.h"
#include "os/interrupt.h"
#include "repo/node.h"

enum { READ_BYTES = 1 << 20 };

static int dir_begin(struct sink *sink, const struct node *dir, struct err *err)
{
    (void)sink, (void)dir;
    return os_check_interrupt(err);
}

static int dir_end(struct sink *sink, struct err *err)
{
    (void)sink, (void)err;
    return 0;
}

/* To its end; *bytes_out: so many. */
static int read_stream(struct reading_sink *s, const struct sink_stream *stream, uint64_t *bytes_out, struct err *err)
{
    int64_t n = 1;
    *bytes_out = 0;
    while (n > 0) {
        if (os_check_interrupt(err) != 0)
            return -1;
        uint64_t hole = stream->hole != NULL ? stream->hole(stream->state) : 0;
        if (hole > 0 && stream->skip(stream->state, hole, err) != 0)
            return -1;
        n = stream->read(stream->state, s->buffer, READ_BYTES, err);
        *bytes_out += hole + (n > 0 ? (uint64_t)n : 0);
        if (n > 0)
            atomic_fetch_add(&s->progress->bytes_read, (uint64_t)n);
    }
    return n == 0 ? 0 : -1;
}

static enum sink_finish try_content(struct reading_sink *s, const struct sink_content *content, unsigned attempt,
                                    struct node *node, struct err *err)
{
    struct sink_stream stream = {0};
    uint64_t bytes;
    if (content->open(content->ctx, attempt, node, &stream, err) != 0)
        return SINK_FINISH_ERROR;
    enum sink_finish finish = SINK_FINISH_ERROR;
    if (read_stream(s, &stream, &bytes, err) == 0) {
        node->size = bytes;
        finish = stream.finish(stream.state, node, err);
    }
    stream.close(stream.state);
    if (finish == SINK_FINISH_OK) {
        s->bytes += bytes;
        atomic_fetch_add(&s->progress->bytes_done, bytes);
    }
    return finish;
}

static int entry(struct sink *sink, const struct node *node, const char *path, struct sink_content *content,
                 struct err *err)
{
    struct reading_sink *s = (struct reading_sink *)sink;
    if (content == NULL)
        return os_check_interrupt(err);
    struct err why = {0};
    struct node copy = *node;
    enum sink_finish finish = SINK_FINISH_AGAIN;
    backup_progress_set_current(s->progress, path);
    for (unsigned attempt = 1; finish == SINK_FINISH_AGAIN; attempt++)
        finish = try_content(s, content, attempt, &copy, &why);
    content->release(content->ctx);
    if (finish == SINK_FINISH_OK) {
        s->files++;
        atomic_fetch_add(&s->progress->files_done, 1);
        return 0;
    }
    if (why.code == ERR_INTERRUPTED) {
        *err = why;
        return -1;
    }
    if (why.code != ERR_NOT_FOUND) { /* it vanished: nothing is missing */
        atomic_fetch_add(&s->progress->errors, 1);
        s->reporter->unreadable(s->reporter->ctx, path, &why);
    }
    return 0;
}

static const struct sink_ops OPS = {.dir_begin = dir_begin, .entry = entry, .dir_end = dir_end};

void reading_sink_init(struct reading_sink *s, const struct sink_reporter *reporter, struct backup_progress *progress)
{
    *s = (struct reading_sink){
        .sink = {.ops = &OPS}, .reporter = reporter, .progress = progress, .buffer = mem_alloc(READ_BYTES)};
}

void reading_sink_release(struct reading_sink *s)
{
    free(s->buffer);
    s->buffer = NULL;
}
