/*
 * Single-file archives as a sink: one tar (POSIX pax), compressed, encrypted by GnuPG, that gpg and tar alone open:
 *
 *     gpg --decrypt PREFIX_2026-02-04_02.tar.gz.gpg | tar xz
 *
 * The sources are read once; the finished stream goes to several directories ("targets") at the same time. A target
 * that fails (full, unplugged) is dropped with its error, the others go on. Several sources may be pushed one after
 * another into the same archive; their trees are put side by side.
 *
 * In each target: a temporary file, synced, read back and compared (and, see `verify`, decrypted), renamed when it is
 * whole; beside it NAME.sha256 for `sha256sum -c`; then "latest" (sink/archive_file.h says what files are called). An
 * archive that has its name is whole; nothing is ever replaced. The last member of the tar is a manifest of all others.
 *
 * What the content is decides how it is read: what fits in ARCHIVE_MEMORY_BYTES is read first and stored once it is
 * known to be consistent; a larger plain file is streamed, and reported when it changed meanwhile; anything else larger
 * (dumps, databases) is first kept in a nameless file in a target, compressed and encrypted with a key that exists in
 * memory only. So a dump that fails leaves no trace in the archive: it is reported as unreadable.
 *
 * One thread pushes; two more compress and write. Memory does not grow with the data, but by the names of files with
 * several links.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"
#include "base/id.h"
#include "base/strlist.h"
#include "sink/archive_file.h"
#include "sink/openpgp.h"
#include "sink/compress.h"
#include "sink/progress.h"
#include "sink/sink.h"

enum { ARCHIVE_MEMORY_BYTES = 8 << 20 };

struct archive_target {
    const char *dir;                  /* exists, is writable */
    uint64_t reserve_bytes;           /* free space that is left alone: less than that is ERR_NO_SPACE */
    uint64_t limit_write_bytes_per_s; /* 0: no limit. The slowest target sets the pace of all */
};

enum archive_verify {
    ARCHIVE_VERIFY_READ,    /* each target's file is read back from the disk and its SHA-256 compared */
    ARCHIVE_VERIFY_DECRYPT, /* and the first target's is decrypted and decompressed besides, and the tar's SHA-256
                               compared. With recipients this host cannot: then it is as VERIFY_READ */
    ARCHIVE_VERIFY_NONE
};

/* Copied, but for the strings and lists, which must live as long as the sink. */
struct archive_sink_options {
    const struct archive_target *targets;
    size_t target_count;  /* at least 1 */
    const char *prefix;   /* no '/', not starting with '.', not empty; see archive_prefix_check() */
    struct timespec time; /* when the run began: names the archive, in UTC */
    enum compress_codec codec;
    int level;                         /* 0: the codec's usual one */
    struct openpgp_options encryption; /* kind OPENPGP_NONE: the archive is readable by anybody */
    enum archive_verify verify;
    const char *host, *version; /* for the manifest; version: clawback's */
    const struct strlist *tags; /* for the manifest ("tier=full", "run=…"); NULL: none */
    const char *state_dir;      /* private, on a local disk: where gpg's empty home is made; NULL: $TMPDIR or /tmp */
};

enum archive_proof { ARCHIVE_UNPROVEN, ARCHIVE_READ_BACK, ARCHIVE_DECRYPTED };

/* What became of one target. */
struct archive_result {
    const char *path; /* of the archive; NULL when it failed. The sink's */
    uint64_t bytes;
    struct id sha256; /* of the file */
    enum archive_proof proof;
    struct err error; /* ERR_NONE: it is there */
};

struct archive_summary {
    uint64_t files, dirs, others; /* members: regular files and hard links; directories; the rest */
    uint64_t content_bytes;       /* of files, as they will be restored */
    uint64_t tar_bytes;           /* before compression */
    uint64_t left_out;            /* files that vanished or could not be read, sockets */
    uint64_t incomplete;          /* files that are in the archive although reading them broke off (reported) */
};

struct archive_sink;

/* Checks the options, tries the encryption (a missing key or an unusable gpg is said here, before anything is read),
 * creates the temporary files. Targets that fail are noted; NULL when none is left, with the first one's error, or
 * ERR_USAGE, or openpgp_check()'s. reporter and progress (may be NULL) must outlive the sink. */
struct archive_sink *archive_sink_new(const struct archive_sink_options *options, const struct sink_reporter *reporter,
                                      struct backup_progress *progress, struct err *err);

/* Where a source pushes, beginning at the root: ask anew for each source, whatever became of the one before. A push
 * fails with the error of the first target when none is left, or when compressing or encrypting fails: then nothing
 * more can be pushed. Every content is read and released within `entry`; members of a source that failed stay in. */
struct sink *archive_sink_base(struct archive_sink *s);

/* Before the end: something that the plan names is not in the archive, or not as it should be. lack: ABSENT (a server
 * that was not running) or FAILED. It is named in the manifest, counted in the checksum file, and keeps "latest" with
 * the archive that has all. `message` may be NULL. */
void archive_sink_lacks(struct archive_sink *s, enum archive_lack lack, const char *source, const char *message);

/* Call when all sources are pushed (and none failed): adds the manifest, ends the stream, verifies, renames. 0 when at
 * least one target has the archive; else -1 with the first failure, and no file is left. */
int archive_sink_finish(struct archive_sink *s, struct err *err);

/* Instead, when a source failed: stops everything, leaves no file. */
void archive_sink_abandon(struct archive_sink *s);

/* By the index of the target in the options; after finish or abandon. Targets that had not failed by themselves when
 * the archive was abandoned have ERR_FAILED, or the reason that ended all. */
const struct archive_result *archive_sink_result(const struct archive_sink *s, size_t target);
void archive_sink_summary(const struct archive_sink *s, struct archive_summary *out);

/* Without a successful finish everything begun is removed. NULL is nothing. */
void archive_sink_free(struct archive_sink *s);
