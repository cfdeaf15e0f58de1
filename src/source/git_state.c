#include "source/git_state.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "crypto/sha256.h"
#include "os/file.h"

/*
 * The order in which things are looked at matters, since others work meanwhile: what is staged, then refs, then
 * ORIG_HEAD and its like, then reflogs, which name all that the refs of before do not lead to. What a commit, a reset
 * or a branch's deletion moves from one to the next is found in the later one.
 */

enum { TEXT_MAX_BYTES = 1 << 30, SMALL_MAX_BYTES = 1 << 20, HEX_SHA1 = 40, HEX_SHA256 = 64 };

/* ---- tips */

void git_tips_add(struct git_tips *t, const char *oid, size_t oid_len, const char *name)
{
    if (t->count == t->cap) {
        t->cap = t->cap > 0 ? 2 * t->cap : 32;
        t->items = mem_array(t->items, t->cap, sizeof *t->items);
    }
    struct git_tip *tip = &t->items[t->count++];
    size_t len = oid_len < GIT_HEX_BYTES - 1 ? oid_len : GIT_HEX_BYTES - 1;
    memcpy(tip->oid, oid, len);
    tip->oid[len] = '\0';
    tip->name = mem_strdup(name);
}

void git_tips_release(struct git_tips *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->items[i].name);
    free(t->items);
    *t = (struct git_tips){0};
}

static int compare_tips(const void *a, const void *b)
{
    const struct git_tip *x = a, *y = b;
    bool x_head = strcmp(x->name, "HEAD") == 0, y_head = strcmp(y->name, "HEAD") == 0;
    if (x_head != y_head)
        return x_head ? -1 : 1;
    int c = strcmp(x->name, y->name);
    return c != 0 ? c : strcmp(x->oid, y->oid);
}

/* In order, no name twice: the same object once, another one under a name of its own. */
static void settle(struct git_tips *t)
{
    bool again = t->count > 0;
    while (again) {
        again = false;
        qsort(t->items, t->count, sizeof *t->items, compare_tips);
        size_t kept = 1;
        for (size_t i = 1; i < t->count; i++) {
            struct git_tip *last = &t->items[kept - 1], *tip = &t->items[i];
            if (strcmp(last->name, tip->name) == 0 && strcmp(last->oid, tip->oid) == 0) {
                free(tip->name);
                continue;
            }
            if (strcmp(last->name, tip->name) == 0) {
                char *other = mem_printf("%s-%.12s", tip->name, tip->oid);
                free(tip->name);
                tip->name = other;
                again = true;
            }
            t->items[kept++] = *tip;
        }
        t->count = kept;
    }
}

/* How many hex digits the text starts with, when it is an object's name; else 0. */
static size_t oid_length(const char *text)
{
    size_t len = strspn(text, "0123456789abcdef");
    return len == HEX_SHA1 || len == HEX_SHA256 ? len : 0;
}

static bool is_null_oid(const char *oid)
{
    return strspn(oid, "0") >= HEX_SHA1;
}

/* ---- refs */

static int take_format(struct git_state *s, const struct git_capture *c, struct err *err)
{
    static const char *const args[] = {"rev-parse", "--show-object-format", NULL};
    struct git_call call = git_capture_call(c);
    struct buf b;
    buf_init(&b, SMALL_MAX_BYTES);
    int rc = git_output(&call, args, &b, err);
    s->hex_chars = strncmp(buf_cstr(&b), "sha256", 6) == 0 ? HEX_SHA256 : HEX_SHA1;
    buf_release(&b);
    return rc;
}

/* "OID REF SYMREF" of every ref that this git directory sees. What git has to say against one is an error: the commits
 * below a broken ref would be missing. */
static int list_refs(const struct git_capture *c, const struct git_tree *tree, struct buf *out, struct err *err)
{
    static const char *const args[] = {"for-each-ref", "--format=%(objectname) %(refname) %(symref)", NULL};
    struct git_call call = git_capture_call(c);
    struct process *p;
    unsigned char room[16384];
    int64_t n;
    call.git_dir = tree->git_dir;
    if (git_start(&p, &call, args, err) != 0)
        return -1;
    while ((n = git_read(p, args[0], room, sizeof room, err)) > 0)
        buf_append(out, room, (size_t)n);
    int rc = n < 0 ? -1 : git_wait(p, args[0], err);
    const char *broken = rc == 0 ? strstr(process_stderr(p), "ignoring broken ref") : NULL;
    if (broken != NULL)
        rc = err_set(err, ERR_CORRUPT, "broken ref %.*s", (int)strcspn(broken + 20, "\n"), broken + 20);
    process_free(p);
    return rc;
}

static void add_ref(struct git_state *s, const struct git_tree *tree, char *line)
{
    char *name = strchr(line, ' '), *target = name != NULL ? strchr(name + 1, ' ') : NULL;
    if (target == NULL)
        return;
    *name++ = '\0';
    *target++ = '\0';
    bool own = strncmp(name, "refs/bisect/", 12) == 0 || strncmp(name, "refs/worktree/", 14) == 0 ||
               strncmp(name, "refs/rewritten/", 15) == 0;
    if (tree->name == NULL) {
        git_tips_add(&s->tips, line, strlen(line), name);
        if (*target != '\0') {
            char *both = mem_printf("%s %s", name, target);
            strlist_add(&s->symrefs, both);
            free(both);
        }
    } else if (own) { /* each working tree has its own of these */
        char *full = mem_printf("refs/clawback/worktrees/%s/%s", tree->name, name + strlen("refs/"));
        git_tips_add(&s->tips, line, strlen(line), full);
        free(full);
    }
}

static int take_refs(struct git_state *s, const struct git_capture *c, const struct git_tree *tree, struct err *err)
{
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    int rc = list_refs(c, tree, &b, err);
    char *line = mem_strdup(buf_cstr(&b)), *next;
    for (char *at = line; rc == 0 && *at != '\0'; at = next) {
        size_t len = strcspn(at, "\n");
        next = at + len + (at[len] != '\0');
        at[len] = '\0';
        add_ref(s, tree, at);
    }
    free(line);
    buf_release(&b);
    return rc;
}

static int take_head(struct git_state *s, const struct git_capture *c)
{
    static const char *const args[] = {"rev-parse", "-q", "--verify", "HEAD", NULL};
    struct git_call call = git_capture_call(c);
    struct buf b;
    buf_init(&b, SMALL_MAX_BYTES);
    if (git_output(&call, args, &b, NULL) == 0) { /* else a branch without commits */
        size_t len = oid_length(buf_cstr(&b));
        if (len > 0)
            git_tips_add(&s->tips, buf_cstr(&b), len, "HEAD");
    }
    buf_release(&b);
    return 0;
}

/* ---- ORIG_HEAD and its like */

/* Objects that lines of a small file begin with. */
static void collect_from_file(const char *dir, const char *name, struct strlist *found)
{
    struct stat st;
    char *path = os_path_join(dir, name);
    struct buf b;
    buf_init(&b, SMALL_MAX_BYTES);
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && os_read_file(path, &b, NULL) == 0) {
        for (const char *line = buf_cstr(&b); *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
            size_t len = oid_length(line);
            if (len > 0 && !is_null_oid(line)) {
                char *entry = mem_printf("%.*s %s", (int)len, line, name);
                strlist_add(found, entry);
                free(entry);
            }
        }
    }
    buf_release(&b);
    free(path);
}

static bool is_pseudo_ref(const char *name)
{
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(name);
}

static void collect_from_dir(const char *git_dir, const char *sub, struct strlist *found)
{
    char *dir = sub == NULL ? mem_strdup(git_dir) : os_path_join(git_dir, sub);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (sub != NULL ? e->d_name[0] != '.' && strchr(e->d_name, ' ') == NULL : is_pseudo_ref(e->d_name))
            collect_from_file(dir, e->d_name, found);
    if (d != NULL)
        closedir(d);
    free(dir);
}

/* Such a file may name what was pruned long ago: only what is still there is taken. */
static int add_existing(struct git_state *s, const struct git_capture *c, const char *prefix,
                        const struct strlist *found, struct err *err)
{
    static const char *const args[] = {"cat-file", "--batch-check=%(objectname) %(rest)", NULL};
    struct git_call call = git_capture_call(c);
    struct buf out;
    char *input = strlist_join(found, "\n");
    int fd = git_capture_input(c, input, strlen(input), err), rc = fd < 0 ? -1 : 0;
    buf_init(&out, TEXT_MAX_BYTES);
    call.with_stdin = true;
    call.stdin_fd = fd;
    if (rc == 0)
        rc = git_output(&call, args, &out, err);
    for (const char *line = buf_cstr(&out); rc == 0 && *line != '\0';) {
        size_t len = strcspn(line, "\n"), oid = oid_length(line);
        if (oid > 0 && line[oid] == ' ' && (len < 8 || memcmp(line + len - 8, " missing", 8) != 0)) {
            char *name = mem_printf("%s/%.*s", prefix, (int)(len - oid - 1), line + oid + 1);
            git_tips_add(&s->tips, line, oid, name);
            free(name);
        }
        line += len + (line[len] != '\0');
    }
    if (fd >= 0)
        close(fd);
    free(input);
    buf_release(&out);
    return rc;
}

static int take_pseudo_refs(struct git_state *s, const struct git_capture *c, const struct git_tree *tree,
                            struct err *err)
{
    struct strlist found = {0};
    collect_from_dir(tree->git_dir, NULL, &found);
    collect_from_dir(tree->git_dir, "rebase-merge", &found);
    collect_from_dir(tree->git_dir, "rebase-apply", &found);
    char *prefix = tree->name == NULL ? mem_strdup("refs/clawback/git-dir")
                                      : mem_printf("refs/clawback/worktrees/%s/git-dir", tree->name);
    int rc = found.count == 0 ? 0 : add_existing(s, c, prefix, &found, err);
    free(prefix);
    strlist_release(&found);
    return rc;
}

/* ---- reflogs */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* `walked`: "COMMIT PARENT…" of commits that reflogs alone lead to. Those that are no other's parent lead to all. */
static void add_reflog_tips(struct git_state *s, const char *walked)
{
    struct strlist commits = {0}, parents = {0};
    for (const char *p = walked; *p != '\0';) {
        bool first = p == walked || p[-1] == '\n';
        size_t len = strcspn(p, " \n");
        strlist_add_len(first ? &commits : &parents, p, len);
        p += len + (p[len] != '\0');
    }
    strlist_sort(&parents);
    for (size_t i = 0; i < commits.count; i++) {
        if (parents.count > 0 &&
            bsearch(&commits.items[i], parents.items, parents.count, sizeof *parents.items, compare_strings) != NULL)
            continue;
        char *name = mem_printf("refs/clawback/reflog/%s", commits.items[i]);
        git_tips_add(&s->tips, commits.items[i], strlen(commits.items[i]), name);
        free(name);
    }
    strlist_release(&commits);
    strlist_release(&parents);
}

static int take_reflogs(struct git_state *s, const struct git_capture *c, struct err *err)
{
    static const char *const args[] = {"rev-list", "--ignore-missing", "--parents", "--reflog", "--stdin", NULL};
    struct git_call call = git_capture_call(c);
    struct buf known, walked;
    buf_init(&known, TEXT_MAX_BYTES);
    buf_init(&walked, TEXT_MAX_BYTES);
    for (size_t i = 0; i < s->tips.count; i++)
        buf_printf(&known, "^%s\n", s->tips.items[i].oid);
    int fd = git_capture_input(c, known.data, known.len, err), rc = fd < 0 ? -1 : 0;
    call.with_stdin = true;
    call.stdin_fd = fd;
    if (rc == 0)
        rc = git_output(&call, args, &walked, err);
    if (rc == 0)
        add_reflog_tips(s, buf_cstr(&walked));
    if (fd >= 0)
        close(fd);
    buf_release(&known);
    buf_release(&walked);
    return rc;
}

/* ---- all of it */

static void take_fingerprint(struct git_state *s, const struct git_capture *c)
{
    static const char format[] = "bundle 1";
    char *shallow = os_path_join(c->place.common_dir, "shallow");
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    (void)os_read_file(shallow, &b, NULL); /* where it ends can move without any ref */
    free(shallow);
    struct sha256 *h = sha256_new();
    sha256_begin(h);
    sha256_add(h, format, sizeof format);
    for (size_t i = 0; i < s->tips.count; i++) {
        sha256_add(h, s->tips.items[i].oid, strlen(s->tips.items[i].oid) + 1);
        sha256_add(h, s->tips.items[i].name, strlen(s->tips.items[i].name) + 1);
    }
    sha256_add(h, b.data, b.len);
    sha256_end(h, &s->fingerprint);
    sha256_free(h);
    buf_release(&b);
}

int git_state_take(struct git_state *out, struct git_capture *c, struct err *err)
{
    *out = (struct git_state){0};
    int rc = take_format(out, c, err);
    for (size_t i = 0; rc == 0 && i < c->tree_count; i++)
        rc = git_index_tip(c, &c->trees[i], &out->tips, err);
    for (size_t i = 0; rc == 0 && i < c->tree_count; i++)
        rc = take_refs(out, c, &c->trees[i], err);
    if (rc == 0)
        rc = take_head(out, c);
    for (size_t i = 0; rc == 0 && i < c->tree_count; i++)
        rc = take_pseudo_refs(out, c, &c->trees[i], err);
    if (rc == 0)
        rc = take_reflogs(out, c, err);
    if (rc != 0) {
        git_state_release(out);
        return -1;
    }
    settle(&out->tips);
    strlist_sort(&out->symrefs);
    take_fingerprint(out, c);
    return 0;
}

void git_state_release(struct git_state *s)
{
    git_tips_release(&s->tips);
    strlist_release(&s->symrefs);
    *s = (struct git_state){0};
}
