/*
 * A sink that reads whatever it is given to its end and keeps nothing: for a dry run where there is nothing yet to
 * compare with. What a source only notices while it is read, such as a dump that breaks off, is noticed all the same.
 * One thread pushes into it; every content is read and released within `entry`.
 */
#pragma once
#include <stdint.h>
#include "sink/progress.h"
#include "sink/sink.h"

struct reading_sink {
    struct sink sink;
    const struct sink_reporter *reporter; /* hears what cannot be read */
    struct backup_progress *progress;
    unsigned char *buffer;
    uint64_t files, bytes;
};

/* Both outlive it. reading_sink_release(). */
void reading_sink_init(struct reading_sink *s, const struct sink_reporter *reporter, struct backup_progress *progress);
void reading_sink_release(struct reading_sink *s);
