/*
 * Which directories of a snapshot are whole. A snapshot of /home/me holds / and /home too, but only as the way to its
 * path: that they hold nothing else there says nothing. Deleting what "the snapshot lacks" in those would empty a
 * machine.
 */
#pragma once
#include "base/strlist.h"
#include "repo/repo.h"

struct restore_cover {
    bool all;            /* everything is whole */
    struct strlist tops; /* paths, in terms of what is restored, that are whole with all that is below them */
};

/* subpath: see restore_options; then all is whole if it lies below one of the snapshot's paths. */
int restore_cover_init(struct restore_cover *c, struct repo *r, const struct snapshot *s, const char *subpath,
                       struct err *err);
void restore_cover_release(struct restore_cover *c);
bool restore_cover_has(const struct restore_cover *c, const char *path);
