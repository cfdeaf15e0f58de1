/*
 * Replacing a file that others edit too: read, make the new text, put it in place at once, and begin again when
 * somebody else was faster. Programs of ours wait for each other (flock); what others do is seen by comparing the file
 * once more just before, and after the exchange of the two (renameat2), which then is undone.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* Makes `out` (empty) from what the file has now; NULL: there is no file. An `out` that is equal to it is not written.
 * May be called several times. */
typedef int jobs_make_text(void *ctx, const struct buf *now, struct buf *out, struct err *err);
/* Owner, group and permissions stay; a new file gets 0600; a symbolic link is followed. ERR_CHANGED after several
 * attempts; ERR_NOT_FOUND when there is no file and `create` is not set; and what `make` returns. */
int jobs_replace(const char *path, bool create, jobs_make_text *make, void *ctx, struct err *err);

/* Test hook: called between reading and replacing, before and after the last comparison. NULL: nothing. */
enum jobs_replace_moment { JOBS_BEFORE_COMPARING, JOBS_BEFORE_REPLACING };
typedef void jobs_replace_hook(const char *path, enum jobs_replace_moment moment);
void jobs_replace_set_hook(jobs_replace_hook *hook);
