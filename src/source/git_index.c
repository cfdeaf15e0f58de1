/* What is staged. A copy of the index is read, since git takes a lock on the original even to read a tree from it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "os/file.h"
#include "source/git_state.h"

enum { INDEX_MAX_BYTES = 1 << 30, TEXT_MAX_BYTES = 1 << 30 };

static void trim(struct buf *b)
{
    (void)buf_cstr(b);
    while (b->len > 0 && b->data[b->len - 1] == '\n')
        b->data[--b->len] = '\0';
}

/* Does the index end with the checksum of what is before? git itself does not look, and takes a damaged one for what it
 * happens to say. All zeros: the owner has told git to write none. */
static bool is_sound(const struct buf *b)
{
    static const unsigned char none[20];
    unsigned char hash[EVP_MAX_MD_SIZE];
    if (b->len < sizeof none || memcmp(b->data + b->len - sizeof none, none, sizeof none) == 0)
        return b->len >= sizeof none;
    for (size_t bytes = 20; bytes <= 32 && bytes < b->len; bytes += 12) {
        size_t len = b->len - bytes;
        if (EVP_Digest(b->data, len, hash, NULL, bytes == 20 ? EVP_sha1() : EVP_sha256(), NULL) == 1 &&
            memcmp(hash, b->data + len, bytes) == 0)
            return true;
    }
    return false;
}

/* 1: copied; 0: there is none. */
static int copy_index(const struct git_capture *c, const struct git_tree *tree, const char *to, struct err *err)
{
    struct buf b;
    struct err reason = {0};
    char *from = os_path_join(tree->git_dir, "index");
    buf_init(&b, INDEX_MAX_BYTES);
    int rc = os_read_file(from, &b, &reason);
    free(from);
    if (rc == 0 && !is_sound(&b))
        rc = err_set(&reason, ERR_CORRUPT,
                     "it is damaged (wrong checksum); remove it and let 'git reset' write a new one");
    if (rc == 0)
        rc = os_write_file_atomic(to, b.data, b.len, 0600, &reason);
    if (rc == 0)
        rc = git_capture_hand_over(c, to, &reason);
    buf_release(&b);
    if (rc == 0)
        return 1;
    if (reason.code == ERR_NOT_FOUND)
        return 0;
    if (err != NULL)
        *err = reason;
    return -1;
}

/* Unmerged entries make no tree. A flat one that has all the contents, under their own names, keeps them; what is
 * where stays in the index, which is stored as a file then. */
static int flat_tree(struct git_capture *c, const struct git_call *call, struct buf *tree, struct err *err)
{
    static const char *const list[] = {"ls-files", "-s", NULL}, *const make[] = {"mktree", NULL};
    struct buf listing, entries;
    struct strlist names = {0};
    buf_init(&listing, TEXT_MAX_BYTES);
    buf_init(&entries, TEXT_MAX_BYTES);
    int rc = git_output(call, list, &listing, err), fd = -1;
    for (const char *line = buf_cstr(&listing); rc == 0 && *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *oid = strchr(line, ' ');
        if (oid == NULL || strncmp(line, "160000", 6) == 0) /* a submodule has no content here */
            continue;
        strlist_add_len(&names, oid + 1, strcspn(oid + 1, " "));
    }
    strlist_sort(&names);
    for (size_t i = 0; i < names.count; i++)
        if (i == 0 || strcmp(names.items[i], names.items[i - 1]) != 0)
            buf_printf(&entries, "100644 blob %s\t%s\n", names.items[i], names.items[i]);
    if (rc == 0)
        rc = fd = git_capture_input(c, entries.data, entries.len, err);
    if (fd >= 0) {
        struct git_call with_input = *call;
        with_input.with_stdin = true;
        with_input.stdin_fd = fd;
        rc = git_output(&with_input, make, tree, err);
        close(fd);
    }
    strlist_release(&names);
    buf_release(&listing);
    buf_release(&entries);
    return rc;
}

static int write_tree(struct git_capture *c, struct git_tree *tree, const char *index, struct buf *out, struct err *err)
{
    static const char *const unmerged[] = {"ls-files", "-u", NULL}, *const write[] = {"write-tree", NULL};
    struct git_call call = git_capture_call(c);
    struct buf listing;
    call.git_dir = tree->git_dir;
    call.index_file = index;
    buf_init(&listing, TEXT_MAX_BYTES);
    int rc = git_output(&call, unmerged, &listing, err);
    tree->conflicts = listing.len > 0;
    buf_release(&listing);
    if (rc == 0)
        rc = tree->conflicts ? flat_tree(c, &call, out, err) : git_output(&call, write, out, err);
    trim(out);
    return rc;
}

/* The commit and tree that HEAD is at; empty on a branch without commits. */
static int resolve_head(const struct git_capture *c, const struct git_tree *tree, struct buf *out)
{
    static const char *const args[] = {"rev-parse", "-q", "--verify", "HEAD^{tree}", NULL};
    struct git_call call = git_capture_call(c);
    call.git_dir = tree->git_dir;
    int rc = git_output(&call, args, out, NULL);
    trim(out);
    return rc;
}

static int commit_tree(struct git_capture *c, const struct git_tree *tree, const char *tree_id, bool on_head,
                       struct buf *out, struct err *err)
{
    const char *message = tree->conflicts ? "contents in the index (unmerged)" : "index";
    const char *const args[] = {"-c",    "i18n.commitEncoding=utf-8", "commit-tree", tree_id, "-m",
                                message, on_head ? "-p" : NULL,       "HEAD",        NULL};
    struct git_call call = git_capture_call(c);
    call.git_dir = tree->git_dir;
    int rc = git_output(&call, args, out, err);
    trim(out);
    return rc;
}

static bool is_empty_tree(const char *id)
{
    return strcmp(id, "4b825dc642cb6eb9a060e54bf8d69288fbee4904") == 0 ||
           strcmp(id, "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321") == 0;
}

static int tip_of_copy(struct git_capture *c, struct git_tree *tree, const char *index, struct git_tips *tips,
                       struct err *err)
{
    struct buf id, head, commit;
    buf_init(&id, 4096);
    buf_init(&head, 4096);
    buf_init(&commit, 4096);
    int rc = write_tree(c, tree, index, &id, err);
    bool has_head = rc == 0 && resolve_head(c, tree, &head) == 0;
    if (rc == 0 && (has_head ? strcmp(buf_cstr(&head), buf_cstr(&id)) != 0 : !is_empty_tree(buf_cstr(&id)))) {
        rc = commit_tree(c, tree, buf_cstr(&id), has_head, &commit, err);
        if (rc == 0) {
            char *name = tree->name == NULL ? mem_strdup("refs/clawback/index")
                                            : mem_printf("refs/clawback/worktrees/%s/index", tree->name);
            git_tips_add(tips, buf_cstr(&commit), commit.len, name);
            free(name);
        }
    }
    buf_release(&id);
    buf_release(&head);
    buf_release(&commit);
    return rc;
}

int git_index_tip(struct git_capture *c, struct git_tree *tree, struct git_tips *tips, struct err *err)
{
    char *index = os_path_join(c->temp, "index");
    tree->conflicts = false;
    int rc = copy_index(c, tree, index, err);
    if (rc > 0)
        rc = tip_of_copy(c, tree, index, tips, err);
    if (rc != 0)
        err_wrap(err, "cannot read the index of '%s'", tree->path != NULL ? tree->path : tree->git_dir);
    (void)unlink(index);
    free(index);
    return rc;
}
