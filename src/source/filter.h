/*
 * Exclude and include patterns, with restic's meaning: shell globs (*, ?, [a-z], **) matched against the path's
 * components; a pattern with a leading '/' is anchored at the root, any other matches at any depth; a match of a
 * directory matches everything below it; a leading '!' takes an earlier match back; '$VAR' expansion is the caller's.
 * Patterns that ignore case are a list of their own: a '!' among them takes back only matches of that list.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"

struct filter;

struct filter *filter_new(void);
void filter_free(struct filter *f);
/* ERR_USAGE for a malformed pattern (it is named). ignore_case: --iexclude. An empty pattern is none. */
int filter_add(struct filter *f, const char *pattern, bool ignore_case, struct err *err);
/* Appends the path to a pattern's text, its characters taken literally. */
void filter_escape(const char *path, struct buf *out);
/* Excludes this very path and what is below it. */
int filter_add_path(struct filter *f, const char *path, struct err *err);
/* One pattern a line; empty lines and lines starting with '#' are skipped, surrounding blanks trimmed, $VARIABLES
 * expanded. "-" is standard input. */
int filter_add_file(struct filter *f, const char *path, bool ignore_case, struct err *err);
bool filter_is_empty(const struct filter *f);
/* path: absolute, '/' separated. Reading only: any number of threads. */
bool filter_match(const struct filter *f, const char *path);
/*
 * The same answers for many names of one directory: what concerns the directory alone is worked out once. Reading the
 * filter only; each thread has its own. A zeroed one is empty; entering again reuses its memory.
 */
struct filter_dir {
    const struct filter *filter;
    struct filter_dir_list *lists; /* one for each case rule */
};
void filter_dir_enter(struct filter_dir *d, const struct filter *f, const char *dir_path);
/* filter_match of dir_path/name. */
bool filter_dir_match(struct filter_dir *d, const char *name, size_t name_len);
void filter_dir_release(struct filter_dir *d);
/* Could something below this directory match? (For includes: whether to descend.) */
bool filter_may_match_below(const struct filter *f, const char *dir_path);
