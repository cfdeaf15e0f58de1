/* Is a repository whole, and how does it stand? */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "source/git.h"
#include "source/git_state.h"

enum { TEXT_MAX_BYTES = 1 << 30, FSCK_RUNS = 4 };

/* ---- fsck */

/* Old commits and trees that some program wrote in an odd form are "error in …" to git, but nothing is lost of them. */
static bool is_finding(const char *line, size_t len)
{
    static const char *const others[] = {
        "error in ", "warning in ", "notice: ", "hint: ", "warning: ", "dangling ", "Checking "};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(line, others[i], strlen(others[i])) == 0)
            return false;
    return len > 0;
}

/* The first line that tells of damage. The caller frees it; NULL: there is none. */
static char *first_finding(const char *text)
{
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
        if (is_finding(line, strcspn(line, "\n")))
            return git_words(line);
    return NULL;
}

static int judge(const struct git_place *place, struct process *p, const char *report, const struct err *how,
                 struct err *err)
{
    if (how->code != ERR_FAILED)
        return err_set(err, how->code, "cannot check the repository '%s': %s", place->path, how->message);
    char *found = first_finding(process_stderr(p));
    if (found == NULL)
        found = first_finding(report);
    if (found == NULL)
        return 0;
    err_set(err, ERR_CORRUPT,
            "the repository '%s' is damaged: %s; get what is missing from a remote ('git fetch') or from a backup, and "
            "see all with 'git -C %s fsck --full'",
            place->path, found, place->path);
    free(found);
    return -1;
}

static int run_fsck(const struct git_place *place, uint64_t timeout_ms, struct err *err)
{
    static const char *const args[] = {"fsck", "--full", "--no-dangling", "--no-progress", NULL};
    struct git_call call = {.place = place, .timeout_ms = timeout_ms};
    struct process *p;
    struct buf report;
    unsigned char room[4096];
    int64_t n;
    struct err how = {0};
    if (git_start(&p, &call, args, err) != 0)
        return -1;
    buf_init(&report, TEXT_MAX_BYTES);
    while ((n = git_read(p, args[0], room, sizeof room, &how)) > 0)
        buf_append(&report, room, (size_t)n);
    int rc = n < 0 ? -1 : git_wait(p, "fsck", &how);
    if (rc != 0)
        rc = judge(place, p, buf_cstr(&report), &how, err);
    process_free(p);
    buf_release(&report);
    return rc;
}

int git_fsck(const char *repository, uint64_t timeout_ms, struct err *err)
{
    struct git_place place;
    if (git_place_open(&place, repository, err) != 0)
        return -1;
    struct err found = {0}, before;
    int rc, runs = 0;
    do { /* what gc or a repack moves about meanwhile looks missing, but never the same twice */
        before = found;
        err_clear(&found);
        rc = run_fsck(&place, timeout_ms, &found);
    } while (rc != 0 && found.code == ERR_CORRUPT && strcmp(found.message, before.message) != 0 && ++runs < FSCK_RUNS);
    git_place_release(&place);
    if (rc != 0 && err != NULL)
        *err = found;
    return rc;
}

/* ---- health */

void git_health_release(struct git_health *h)
{
    free(h->branch);
    strlist_release(&h->remotes);
    *h = (struct git_health){0};
}

static bool has(const struct git_capture *c, const char *name)
{
    char *path = os_path_join(c->place.common_dir, name);
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

static const char *find_in_progress(const struct git_capture *c)
{
    static const char *const signs[][2] = {
        {"rebase-apply/applying", "am"}, {"rebase-merge", "rebase"},          {"rebase-apply", "rebase"},
        {"MERGE_HEAD", "merge"},         {"CHERRY_PICK_HEAD", "cherry-pick"}, {"REVERT_HEAD", "revert"},
        {"BISECT_LOG", "bisect"}};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (has(c, signs[i][0]))
            return signs[i][1];
    return NULL;
}

static char *line_of(const struct git_call *call, const char *const *args)
{
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    int rc = git_output(call, args, &b, NULL);
    const char *text = buf_cstr(&b);
    char *line = rc == 0 && *text != '\0' ? mem_strndup(text, strcspn(text, "\n")) : NULL;
    buf_release(&b);
    return line;
}

static int look_at_head(struct git_health *h, const struct git_call *call, struct err *err)
{
    static const char *const branch[] = {"symbolic-ref", "-q", "--short", "HEAD", NULL};
    static const char *const commit[] = {"rev-parse", "-q", "--verify", "HEAD^{commit}", NULL};
    static const char *const any[] = {"for-each-ref", "--count=1", "--format=%(refname)", NULL};
    static const char *const opens[] = {"rev-parse", "--git-dir", NULL};
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    int rc = git_output(call, opens, &b, err);
    buf_release(&b);
    if (rc != 0)
        return -1;
    h->branch = line_of(call, branch);
    h->detached = h->branch == NULL;
    char *at = line_of(call, commit), *ref = at == NULL ? line_of(call, any) : NULL;
    h->empty = at == NULL && ref == NULL;
    free(at);
    free(ref);
    return 0;
}

static void count_entry(struct git_health *h, const char *entry)
{
    if (entry[0] == '?') {
        h->untracked++;
    } else if (entry[0] == 'u') {
        h->conflicts++;
    } else if (entry[0] == '1' && strlen(entry) > 4) {
        h->staged += entry[2] != '.';
        h->modified += entry[3] != '.';
    }
}

static int count_files(struct git_health *h, const struct git_capture *c, const struct git_call *base, struct err *err)
{
    static const char *const args[] = {"status",       "--porcelain=v2",          "-z", "--untracked-files=all",
                                       "--no-renames", "--ignore-submodules=all", NULL};
    struct git_call call = *base;
    struct buf b;
    call.work_tree = c->trees[0].path;
    buf_init(&b, TEXT_MAX_BYTES);
    int rc = git_output(&call, args, &b, err);
    const char *text = buf_cstr(&b), *end = text + b.len;
    for (; rc == 0 && text < end; text += strlen(text) + 1)
        count_entry(h, text);
    buf_release(&b);
    return rc;
}

static int list_remotes(struct git_health *h, const struct git_call *call, struct err *err)
{
    static const char *const args[] = {"remote", NULL};
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    int rc = git_output(call, args, &b, err);
    for (const char *line = buf_cstr(&b); rc == 0 && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
        strlist_add_len(&h->remotes, line, strcspn(line, "\n"));
    buf_release(&b);
    return rc;
}

static int look(struct git_health *h, struct git_capture *c, struct err *err)
{
    struct git_call call = git_capture_call(c);
    h->bare = c->place.work_tree == NULL;
    h->shallow = has(c, "shallow");
    h->in_progress = find_in_progress(c);
    if (look_at_head(h, &call, err) != 0 || list_remotes(h, &call, err) != 0)
        return -1;
    return c->trees[0].path != NULL ? count_files(h, c, &call, err) : 0;
}

int git_health(const char *repository, uint64_t timeout_ms, struct git_health *out, struct err *err)
{
    struct git_place place;
    struct git_capture capture;
    struct err reason = {0};
    *out = (struct git_health){0};
    if (git_place_open(&place, repository, err) != 0 || git_capture_open(&capture, &place, timeout_ms, err) != 0)
        return -1;
    int rc = look(out, &capture, &reason);
    git_capture_release(&capture);
    if (rc == 0)
        return 0;
    git_health_release(out);
    return err_set(err, reason.code == ERR_FAILED ? ERR_CORRUPT : reason.code,
                   "git cannot work with the repository '%s': %s", repository, reason.message);
}
