/*
 * Archives as files in a directory: what they are called, which there are, removing them.
 *
 *     PREFIX_2026-02-04_02.tar.gz.gpg           the archive, named by the hour (UTC) in which its run began
 *     PREFIX_2026-02-04_02-30.tar.gz.gpg        a second one in that hour; then _02-30-15, _02-30-15-2 …
 *     PREFIX_2026-02-04_02.tar.gz.gpg.sha256    for `sha256sum -c`, with a summary in comments
 *     latest.tar.gz.gpg                         a symlink to the newest of the directory that lacks nothing
 *     PREFIX_latest.tar.gz.gpg                  the same of its prefix
 *     latest.txt, PREFIX_latest.txt             instead, with the name in it, where there are no symlinks
 *
 * Where every archive lacks something, "latest" leads to the newest of those that lack least.
 *
 * .clawback-… are temporary: an archive that is being written, a link that is being replaced.
 *
 * UTC, since local time has two hours of the same name each autumn, and since hosts in several zones may share a drive.
 * Names and nothing else give the times.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "sink/compress.h"

/* What an archive lacks of what its plan names; what is better comes first. */
enum archive_lack {
    ARCHIVE_LACKS_NOTHING,
    ARCHIVE_LACKS_UNKNOWN, /* the checksum file does not say: it is gone, or older than this */
    ARCHIVE_LACKS_ABSENT,  /* servers that did not run, as the plan allows, and nothing else */
    ARCHIVE_LACKS_FAILED,  /* what could not be read or dumped */
};

struct archive_kind {
    enum compress_codec codec;
    bool encrypted;
};

struct archive_file {
    char *name; /* in its directory */
    char *prefix;
    struct timespec time; /* UTC, what the name says: the hour, minute or second */
    unsigned number;      /* 1; 2 … for a further one of the same second */
    struct archive_kind kind;
    uint64_t bytes;
    struct timespec modified; /* when it was finished */
    enum archive_lack lacks;  /* as its checksum file says */
};

struct archive_list {
    struct archive_file *items; /* oldest first; by prefix where times are equal */
    size_t count;
    uint64_t total_bytes; /* with what lies beside them */
};

/* ERR_USAGE with what is wrong: empty, '/', a control character, a leading '.' or '-', longer than 100 bytes, "latest"
 * (or ending in "_latest"). */
int archive_prefix_check(const char *prefix, struct err *err);

/* Candidates for a name, attempt 0, 1, 2 …: by hour, minute, second, then numbered. The caller frees it. */
char *archive_file_name(const char *prefix, const struct timespec *time, const struct archive_kind *kind,
                        unsigned attempt);
/* False when it is no archive's name. Fills all but bytes, modified and lacks; the caller releases it. */
bool archive_file_parse(const char *name, struct archive_file *out);
void archive_file_release(struct archive_file *f);

/* All complete archives in the directory; with a prefix (not NULL) those of that prefix. Other files are passed over.
 */
int archive_list_load(struct archive_list *out, const char *dir, const char *prefix, struct err *err);
void archive_list_release(struct archive_list *l);

/* Removes an archive and what lies beside it, and makes all "latest" right. ERR_NOT_FOUND. */
int archive_file_remove(const char *dir, const char *name, struct err *err);

/* Makes all "latest" of the directory right: after an archive was added or removed by hand. */
int archive_latest_update(const char *dir, struct err *err);

/* Writes NAME.sha256. `summary`: lines, each without a '#' and with its line break; may be "". */
int archive_checksum_write(const char *dir, const char *name, const struct id *sha256, const char *summary, mode_t mode,
                           struct err *err);
/* What NAME.sha256 says. ERR_NOT_FOUND, ERR_CORRUPT. */
int archive_checksum_read(const char *dir, const char *name, struct id *out, struct err *err);

/* Appends a line to a checksum file's summary: how much of it failed, and how many servers did not run. */
void archive_lack_write(struct buf *summary, size_t failed, size_t absent);
/* What that line says, of an archive in an open directory. */
enum archive_lack archive_lack_read(int dir_fd, const char *name);

/* Temporary files: the name for one of this host (the caller frees it), and removing those that were left behind by
 * writers that are gone: of this host at once (one that is being written is locked), of others after a day. Returns
 * how many were removed, or -1. */
char *archive_temporary_name(const char *host, struct err *err);
int archive_clean(const char *dir, const char *host, uint64_t *freed_bytes_out, struct err *err);
