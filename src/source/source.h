/*
 * A source: what one snapshot is made of. It pushes a tree of entries into a sink (sink/sink.h says in what order) and
 * knows no repository. A source is pushed once; for another reading a new one is made.
 *
 * Files, git repositories, databases and commands implement it. `strict` tells the two kinds apart: of a tree of files
 * the rest is worth keeping when one cannot be read (exit status 3); a dump is whole or worthless, so that whatever it
 * reports as unreadable fails the backup and no snapshot is made.
 */
#pragma once
#include "base/strlist.h"
#include "sink/sink.h"

struct source;
struct source_ops {
    /* May be NULL. Begins what can be done ahead, while a repository is being opened (scanning directories). The
     * reporter is the one that push gets. */
    int (*start)(struct source *s, const struct sink_reporter *reporter, struct err *err);
    /* -1: the sink failed, the user interrupted, or nothing could be read. Contents that were handed to the sink may be
     * opened later, on other threads, until the sink is finished; they must all be released before `free`. */
    int (*push)(struct source *s, struct sink *sink, const struct sink_reporter *reporter, struct err *err);
    void (*free)(struct source *s);
};

/* Implementations embed it as their first member. */
struct source {
    const struct source_ops *ops;
    struct strlist paths; /* what the snapshot calls itself: absolute, clean, "/postgres/shop" for what is no file.
                             Released by source_free() */
    bool strict;
};

static inline int source_start(struct source *s, const struct sink_reporter *reporter, struct err *err)
{
    return s->ops->start != NULL ? s->ops->start(s, reporter, err) : 0;
}
static inline int source_push(struct source *s, struct sink *sink, const struct sink_reporter *reporter,
                              struct err *err)
{
    return s->ops->push(s, sink, reporter, err);
}
void source_free(struct source *s); /* NULL is nothing */
