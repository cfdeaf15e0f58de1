#include "source/command.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/interrupt.h"
#include "os/process.h"

enum { TICK_MS = 200 }; /* how often a silent input is left to look at os_interrupted() */

/* ------------------------------------------------------------------------------------------------- a command's output
 */

struct command {
    struct sink_content content;
    char **argv;
    uint64_t timeout_ms;
    bool refuse_empty;
};

struct command_stream {
    const struct command *command;
    struct process *process;
    uint64_t bytes;
    bool ended; /* its output is at its end, and it exited with 0 */
};

static int64_t command_read(void *state, void *p, size_t cap, struct err *err)
{
    struct command_stream *s = state;
    if (s->ended)
        return 0;
    int64_t n = process_read(s->process, p, cap, err);
    if (n < 0)
        return -1;
    s->bytes += (uint64_t)n;
    if ((size_t)n == cap)
        return n;
    /* The end of the output: only now it is known whether it was all. */
    if (process_wait(s->process, err) != 0)
        return -1;
    if (s->bytes == 0 && s->command->refuse_empty)
        return err_set(err, ERR_FAILED, "command '%s' wrote nothing", s->command->argv[0]);
    s->ended = true;
    return n;
}

static enum sink_finish command_finish(void *state, struct node *node, struct err *err)
{
    const struct command_stream *s = state;
    if (!s->ended) {
        err_set(err, ERR_FAILED, "the command's output was not read to its end");
        return SINK_FINISH_ERROR;
    }
    node->size = s->bytes;
    return SINK_FINISH_OK;
}

static void command_close(void *state)
{
    struct command_stream *s = state;
    process_free(s->process);
    free(s);
}

static int command_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    (void)attempt;
    (void)node;
    const struct command *c = ctx;
    struct process_options options = {.argv = c->argv, .timeout_ms = c->timeout_ms};
    struct err reason = {0};
    struct process *process;
    if (process_start(&process, &options, &reason) != 0) {
        /* To a sink ERR_NOT_FOUND means that the file vanished, which is no error. A missing program is one. */
        if (reason.code == ERR_NOT_FOUND)
            reason.code = ERR_FAILED;
        if (err != NULL)
            *err = reason;
        return -1;
    }
    struct command_stream *s = mem_zalloc(sizeof *s);
    s->command = c;
    s->process = process;
    *out = (struct sink_stream){
        .state = s, .cut = SINK_CUT_SCATTERED, .read = command_read, .finish = command_finish, .close = command_close};
    return 0;
}

static void command_release(void *ctx)
{
    struct command *c = ctx;
    for (char **a = c->argv; *a != NULL; a++)
        free(*a);
    free(c->argv);
    free(c);
}

struct sink_content *command_content_new(char *const *argv, uint64_t timeout_ms)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    struct command *c = mem_zalloc(sizeof *c);
    c->argv = mem_array(NULL, count + 1, sizeof *c->argv);
    for (size_t i = 0; i < count; i++)
        c->argv[i] = mem_strdup(argv[i]);
    c->argv[count] = NULL;
    c->timeout_ms = timeout_ms;
    c->content = (struct sink_content){.ctx = c, .always = true, .open = command_open, .release = command_release};
    return &c->content;
}

struct sink_content *command_output_new(char *const *argv, uint64_t timeout_ms)
{
    struct sink_content *content = command_content_new(argv, timeout_ms);
    ((struct command *)content->ctx)->refuse_empty = true;
    content->is_dump = true;
    return content;
}

/* ------------------------------------------------------------------------------------------------------ standard input
 */

/* The content and its stream in one, since it is opened once. */
struct input {
    struct sink_content content;
    int fd;
    uint64_t bytes;
    bool opened, ended;
};

/* What is there, once something is: the count, 0 at the end, -1. */
static ssize_t read_some(const struct input *in, void *p, size_t cap, struct err *err)
{
    for (;;) {
        if (os_check_interrupt(err) != 0)
            return -1;
        struct pollfd ready = {.fd = in->fd, .events = POLLIN};
        if (poll(&ready, 1, TICK_MS) <= 0)
            continue;
        ssize_t n = read(in->fd, p, cap);
        if (n >= 0)
            return n;
        if (errno != EINTR && errno != EAGAIN)
            return err_errno(err, errno, "cannot read standard input");
    }
}

static int64_t input_read(void *state, void *p, size_t cap, struct err *err)
{
    struct input *in = state;
    size_t done = 0;
    while (done < cap && !in->ended) {
        ssize_t n = read_some(in, (char *)p + done, cap - done, err);
        if (n < 0)
            return -1;
        in->ended = n == 0;
        done += (size_t)n;
    }
    in->bytes += done;
    return (int64_t)done;
}

static enum sink_finish input_finish(void *state, struct node *node, struct err *err)
{
    const struct input *in = state;
    if (!in->ended) {
        err_set(err, ERR_FAILED, "standard input was not read to its end");
        return SINK_FINISH_ERROR;
    }
    node->size = in->bytes;
    return SINK_FINISH_OK;
}

static void input_close(void *state)
{
    (void)state; /* goes with its content */
}

static int input_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    (void)attempt;
    (void)node;
    struct input *in = ctx;
    if (in->opened)
        return err_set(err, ERR_FAILED, "standard input can be read only once");
    in->opened = true;
    *out = (struct sink_stream){
        .state = in, .cut = SINK_CUT_FORMAT, .read = input_read, .finish = input_finish, .close = input_close};
    return 0;
}

struct sink_content *command_content_stdin(int fd)
{
    struct input *in = mem_zalloc(sizeof *in);
    in->fd = fd;
    in->content = (struct sink_content){.ctx = in, .always = true, .open = input_open, .release = free};
    return &in->content;
}
