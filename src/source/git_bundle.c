/* The bundle as a sink reads it. Objects can vanish while it is made (gc, a reset): then it is made anew, from the
 * state of then. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "source/git_collect.h"
#include "source/git_pack.h"

enum { ATTEMPTS = 3 };

struct bundle {
    struct git_capture *capture;
    struct git_state state;
    bool stale; /* a new state is to be taken */
};

struct stream {
    struct bundle *bundle;
    struct git_pack *pack;
    unsigned attempt;
    uint64_t bytes;
    struct err failure; /* why it has to be made anew */
};

static bool may_pass(const struct err *err)
{
    return err->code != ERR_TIMEOUT && err->code != ERR_INTERRUPTED;
}

static int64_t bundle_read(void *state, void *p, size_t cap, struct err *err)
{
    struct stream *s = state;
    if (s->failure.code != ERR_NONE)
        return 0;
    int64_t n = git_pack_read(s->pack, p, cap, &s->failure);
    if (n >= 0) {
        s->bytes += (uint64_t)n;
        return n;
    }
    /* An end that finish() takes back lets the sink ask again. */
    return s->attempt < ATTEMPTS && may_pass(&s->failure) ? 0 : git_explain(s->bundle->capture, &s->failure, err);
}

static enum sink_finish bundle_finish(void *state, struct node *node, struct err *err)
{
    struct stream *s = state;
    if (s->failure.code == ERR_NONE) {
        node->size = s->bytes;
        return SINK_FINISH_OK;
    }
    s->bundle->stale = true;
    if (s->attempt < ATTEMPTS && may_pass(&s->failure))
        return SINK_FINISH_AGAIN;
    git_explain(s->bundle->capture, &s->failure, err);
    return SINK_FINISH_ERROR;
}

static void bundle_close(void *state)
{
    struct stream *s = state;
    git_pack_free(s->pack);
    free(s);
}

static int begin(struct bundle *b, struct node *node, struct git_pack **out, struct err *err)
{
    if (b->stale) {
        struct git_state now;
        if (git_state_take(&now, b->capture, err) != 0)
            return -1;
        git_state_release(&b->state);
        b->state = now;
        b->stale = false;
        memcpy(&node->inode, &now.fingerprint, sizeof node->inode); /* it is of this state now */
    }
    int rc = git_pack_open(out, b->capture, &b->state, err);
    b->stale = rc != 0;
    return rc;
}

static int bundle_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    struct bundle *b = ctx;
    struct git_pack *pack = NULL;
    struct err reason = {0};
    int rc = begin(b, node, &pack, &reason);
    for (int i = 1; rc != 0 && i < ATTEMPTS && may_pass(&reason); i++)
        rc = begin(b, node, &pack, &reason);
    if (rc != 0)
        return git_explain(b->capture, &reason, err);
    struct stream *s = mem_zalloc(sizeof *s);
    s->bundle = b;
    s->pack = pack;
    s->attempt = attempt;
    *out = (struct sink_stream){
        .state = s, .cut = SINK_CUT_FEW, .read = bundle_read, .finish = bundle_finish, .close = bundle_close};
    return 0;
}

static void bundle_release(void *ctx)
{
    struct bundle *b = ctx;
    git_state_release(&b->state);
    free(b);
}

struct sink_content git_bundle_content(struct git_capture *c, struct git_state *s)
{
    struct bundle *b = mem_zalloc(sizeof *b);
    b->capture = c;
    b->state = *s;
    *s = (struct git_state){0};
    return (struct sink_content){.ctx = b, .open = bundle_open, .release = bundle_release};
}
