/*
 * The content of a file of the file system, as the sink pulls it: opened when asked for, read up to the size it had
 * when it was opened, and compared with what it is afterwards.
 *
 * What counts as consistent: nothing about the file changed; or it only grew (what was there when it was opened is
 * kept, with the times of then, so that the next run reads it again); or it lost a name only. Anything else is read
 * again, and in the end kept with a warning. A SQLite database is never kept unless source/sqlite.h vouches for it.
 *
 * Each content is used by one thread at a time; any number of contents at once.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "os/owner.h"
#include "os/rate.h"
#include "sink/sink.h"
#include "source/filter.h"

/* What all contents of a source share; outlives them. */
struct content_env {
    const struct sink_reporter *reporter;
    struct os_owners *owners;
    struct os_rate *rate; /* NULL: no limit */
    bool with_atime;
    bool ignore_sqlite;
    const struct filter *fine_cut; /* files that are cut finely; NULL: none */
};

enum { CONTENT_ATTEMPTS = 3 };

/* `st`: as the scan saw it (inode and ctime are looked at). `live`: a database whose newest data is in a file beside
 * it. The path is copied. */
struct sink_content content_new(const struct content_env *env, const char *path, size_t path_len, const struct stat *st,
                                bool live);
