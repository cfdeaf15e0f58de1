#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/backup_args.h"
#include "os/file.h"
#include "plan/home.h"

enum { LIST_MAX_BYTES = 256 << 20, PATH_SHOWN_BYTES = 4096 };

/* --- paths --- */

static int add_path(struct strlist *paths, const char *path, struct err *err)
{
    if (*path == '\0')
        return err_set(err, ERR_USAGE, "an empty path was given");
    char *absolute = os_path_absolute(path);
    if (absolute == NULL)
        return err_errno(err, errno, "cannot find the working directory");
    if (!strlist_contains(paths, absolute))
        strlist_add(paths, absolute);
    free(absolute);
    return 0;
}

/* What a pattern of --files-from stands for; a name without wildcards is itself, there or not. */
static int add_pattern(struct cli *cli, struct strlist *paths, const char *pattern, struct err *err)
{
    glob_t found;
    int rc = 0, n = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (n == GLOB_NOMATCH && strpbrk(pattern, "*?[") != NULL) {
        char shown[PATH_SHOWN_BYTES];
        cli_warn(cli, "pattern '%s' matches nothing", cli_printable(pattern, shown, sizeof shown));
        return 0;
    }
    if (n != 0)
        return add_path(paths, pattern, err);
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++)
        rc = add_path(paths, found.gl_pathv[i], err);
    globfree(&found);
    return rc;
}

enum list_kind { LIST_PATTERNS, LIST_VERBATIM, LIST_RAW };

static char *trimmed(const char *line, size_t len)
{
    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
        len--;
    size_t skip = 0;
    while (skip < len && strchr(" \t", line[skip]) != NULL)
        skip++;
    return mem_strndup(line + skip, len - skip);
}

static int add_line(struct cli *cli, enum list_kind kind, struct strlist *paths, const char *line, size_t len,
                    struct err *err)
{
    if (len == 0)
        return kind == LIST_RAW ? err_set(err, ERR_USAGE, "an empty path is in it") : 0;
    if (memchr(line, '\0', len) != NULL)
        return err_set(err, ERR_USAGE, "a NUL byte is in it; is it for --files-from-raw?");
    char *text = kind == LIST_PATTERNS ? trimmed(line, len) : mem_strndup(line, len);
    int rc = 0;
    if (kind != LIST_PATTERNS)
        rc = add_path(paths, text, err);
    else if (*text != '\0' && *text != '#')
        rc = add_pattern(cli, paths, text, err);
    free(text);
    return rc;
}

/* A file of paths: lines, or strings that each end with a NUL. "-" is standard input. */
static int add_list(struct cli *cli, enum list_kind kind, const char *file, struct strlist *paths, struct err *err)
{
    struct buf text;
    buf_init(&text, LIST_MAX_BYTES);
    int rc = os_read_file(strcmp(file, "-") == 0 ? "/dev/stdin" : file, &text, err);
    const char *p = buf_cstr(&text), *end = p + text.len;
    char separator = kind == LIST_RAW ? '\0' : '\n';
    while (rc == 0 && p < end) {
        const char *stop = memchr(p, separator, (size_t)(end - p));
        if (stop == NULL && kind == LIST_RAW)
            rc = err_set(err, ERR_USAGE, "it does not end with a NUL byte");
        else
            rc = add_line(cli, kind, paths, p, stop != NULL ? (size_t)(stop - p) : (size_t)(end - p), err);
        p = stop != NULL ? stop + 1 : end;
    }
    buf_release(&text);
    return rc < 0 ? err_wrap(err, "list of files '%s'", file) : 0;
}

static int add_lists(struct cli *cli, const struct backup_args *args, struct strlist *paths, struct err *err)
{
    const struct strlist *lists[] = {&args->files_from, &args->files_from_verbatim, &args->files_from_raw};
    for (int kind = LIST_PATTERNS; kind <= LIST_RAW; kind++)
        for (size_t i = 0; i < lists[kind]->count; i++)
            if (add_list(cli, (enum list_kind)kind, lists[kind]->items[i], paths, err) < 0)
                return -1;
    return 0;
}

/* --- the agent's home --- */

static void note_paths(struct cli *cli, const char *what, const struct strlist *paths)
{
    char shown[PATH_SHOWN_BYTES];
    for (size_t i = 0; i < paths->count; i++)
        cli_note(cli, "%s %s", what, cli_printable(paths->items[i], shown, sizeof shown));
}

static int add_agent_home(struct cli *cli, const struct backup_args *args, struct backup_sources *out, struct err *err)
{
    struct agent_home home = {0};
    if (agent_home_find(&home, err) < 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; i < home.notes.count; i++)
        if (home.roots.count == 0 || !strlist_contains(&home.unread_why, home.notes.items[i]))
            cli_warn(cli, "%s", home.notes.items[i]); /* the others the source names */
    if (home.roots.count == 0)
        rc = err_set(
            err, ERR_NOT_FOUND,
            "no agent home was found (OPENCLAW_STATE_DIR, ~/.openclaw and its older names); name what to back up: "
            "clawback backup PATH…");
    else {
        note_paths(cli, "backing up the agent home", &home.roots);
        note_paths(cli, "and, outside of it,", &home.outside);
        strlist_copy(&out->paths, &home.roots);
        strlist_copy(&out->paths, &home.outside);
        strlist_copy(&out->unread, &home.unread);
        strlist_copy(&out->unread_why, &home.unread_why);
        out->fine_cut = filter_new();
        agent_home_growing(&home, out->fine_cut);
        if (args->no_agent_excludes)
            agent_home_secrets(&home, &out->excludes);
        else
            agent_home_excludes(&home, &out->excludes);
    }
    agent_home_release(&home);
    return rc;
}

/* --- excludes --- */

static int add_patterns(struct filter *filter, const struct strlist *patterns, bool ignore_case, struct err *err)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (filter_add(filter, patterns->items[i], ignore_case, err) < 0)
            return -1;
    return 0;
}

static int add_files(struct filter *filter, const struct strlist *files, bool ignore_case, struct err *err)
{
    for (size_t i = 0; i < files->count; i++)
        if (filter_add_file(filter, files->items[i], ignore_case, err) < 0)
            return -1;
    return 0;
}

/* out->excludes are there already: the agent's. What the user gives comes after them, so that '!pattern' can take one
 * back. */
static int build_filter(const struct backup_args *args, const struct strlist *own, struct backup_sources *out,
                        struct err *err)
{
    strlist_copy(&out->excludes, &args->exclude);
    struct filter *filter = filter_new();
    int rc = 0;
    if (add_patterns(filter, &out->excludes, false, err) < 0 ||
        add_files(filter, &args->exclude_file, false, err) < 0 ||
        add_patterns(filter, &args->iexclude, true, err) < 0 || add_files(filter, &args->iexclude_file, true, err) < 0)
        rc = -1;
    for (size_t i = 0; rc == 0 && i < own->count; i++)
        rc = filter_add_path(filter, own->items[i], err);
    if (rc != 0) {
        filter_free(filter);
        return -1;
    }
    if (filter_is_empty(filter)) {
        filter_free(filter);
        filter = NULL;
    }
    out->filter = filter;
    return 0;
}

/* Arguments that are all relative and below the working directory make a snapshot that begins there, as restic's do. */
static char *base_of(const struct strlist *paths, int argc, char **argv)
{
    char *cwd = os_path_absolute(".");
    size_t len = cwd != NULL ? strlen(cwd) : 0;
    bool below = cwd != NULL && argc > 0;
    for (int i = 0; below && i < argc; i++)
        below = argv[i][0] != '/';
    for (size_t i = 0; below && i < paths->count; i++)
        below =
            strncmp(paths->items[i], cwd, len) == 0 && (paths->items[i][len] == '/' || paths->items[i][len] == '\0');
    if (below)
        return cwd;
    free(cwd);
    return NULL;
}

int backup_sources_gather(struct cli *cli, const struct backup_args *args, const struct strlist *own, int argc,
                          char **argv, struct backup_sources *out, struct err *err)
{
    *out = (struct backup_sources){0};
    size_t list_count = args->files_from.count + args->files_from_verbatim.count + args->files_from_raw.count;
    int rc = 0;
    for (int i = 0; rc == 0 && i < argc; i++)
        rc = add_path(&out->paths, argv[i], err);
    if (rc == 0 && list_count == 0)
        out->base = base_of(&out->paths, argc, argv);
    if (rc == 0)
        rc = add_lists(cli, args, &out->paths, err);
    if (rc == 0 && args->no_agent_excludes && (argc > 0 || list_count > 0))
        rc = err_set(err, ERR_USAGE, "--no-agent-excludes is for the agent home, which is backed up without paths");
    if (rc == 0 && argc == 0 && list_count == 0)
        rc = add_agent_home(cli, args, out, err);
    if (rc == 0 && out->paths.count == 0)
        rc = err_set(err, ERR_USAGE, "nothing to back up: the lists of files name nothing");
    return rc == 0 ? build_filter(args, own, out, err) : -1;
}

void backup_sources_release(struct backup_sources *s)
{
    strlist_release(&s->paths);
    strlist_release(&s->excludes);
    strlist_release(&s->unread);
    strlist_release(&s->unread_why);
    filter_free(s->filter);
    filter_free(s->fine_cut);
    free(s->base);
    *s = (struct backup_sources){0};
}
