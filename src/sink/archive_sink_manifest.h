/*
 * The manifest: the archive's last member, a JSON document that lists all others, one a line.
 *
 *     {"format": "clawback-archive 1", "host": …, "time": …, "clawback": …, "tags": […], "members": [
 *     {"path": "etc/hosts", "type": "file", "mode": "0644", "mtime": "…Z", "size": 12, "sha256": "…"},
 *     …
 *     ], "member_count": 2, "complete": false, "missing": [
 *     {"source": "/postgres/local", "status": "failed", "message": "…"}
 *     ]}
 *
 * "missing" only where something is: what the plan names and is not in the archive, or not as it should be; "failed",
 * or "skipped" since it was not running. It says so at the end, since it is not known before.
 *
 * A path that is not UTF-8 is "path_base64" instead. Directories: no size. Symlinks: "target" (or "target_base64").
 * Hard links: type "link", target: the member that has the content. "incomplete": true: reading broke off, what is
 * missing is zeros; "changed": true: it changed while it was read.
 */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/id.h"
#include "repo/node.h"
#include "sink/archive_sink.h"

extern const char ARCHIVE_MANIFEST_NAME[]; /* ".clawback-manifest.json" */

struct archive_member {
    const struct node *node;
    const char *path;
    const char *link_to;     /* NULL: none */
    const struct id *sha256; /* of a file's content; NULL: no file */
    bool incomplete, changed;
};

struct archive_missing {
    enum archive_lack lack; /* ABSENT or FAILED */
    char *source, *message; /* message NULL: nothing to say */
};

/* Each appends to `out`. */
void archive_manifest_begin(struct buf *out, const struct archive_sink_options *options);
void archive_manifest_member(struct buf *out, const struct archive_member *m, bool first);
void archive_manifest_end(struct buf *out, uint64_t member_count, const struct archive_missing *missing, size_t count);
