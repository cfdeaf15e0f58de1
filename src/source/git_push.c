/* Pushing: the owner's own git, with no way to ask anybody anything, and what it says of each ref. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "source/git.h"
#include "source/git_command.h"

enum { TEXT_MAX_BYTES = 64 << 20, NAMED_MAX = 3 };

const char *git_push_state_name(enum git_push_state state)
{
    static const char *const names[] = {"up to date", "updated", "created", "rejected"};
    return names[state];
}

void git_push_result_release(struct git_push_result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->refs[i].name);
        free(r->refs[i].why);
    }
    free(r->refs);
    *r = (struct git_push_result){0};
}

/* ---- what git says of each ref */

/* "[remote rejected] (pre-receive hook declined)" → what is in parentheses. */
static char *reason_of(const char *summary)
{
    const char *open = strchr(summary, '('), *close = strrchr(summary, ')');
    if (open == NULL || close == NULL || close < open)
        return mem_strdup(summary);
    char *why = mem_strndup(open + 1, (size_t)(close - open - 1));
    if (strcmp(why, "fetch first") != 0)
        return why;
    free(why);
    return mem_strdup("non-fast-forward: the remote has commits that are not here");
}

/* "FLAG<tab>FROM:TO<tab>SUMMARY"; the line is taken apart. */
static void take_line(struct git_push_result *r, char *line)
{
    char *names = line[0] != '\0' && line[1] == '\t' ? line + 2 : NULL, *summary, *to;
    if (names == NULL || (summary = strchr(names, '\t')) == NULL)
        return;
    *summary++ = '\0';
    to = strrchr(names, ':');
    struct git_push_ref ref = {.name = mem_strdup(to != NULL ? to + 1 : names)};
    ref.state = line[0] == '=' ? GIT_PUSH_UP_TO_DATE : line[0] == '*' ? GIT_PUSH_CREATED : GIT_PUSH_UPDATED;
    if (line[0] == '!') {
        ref.state = GIT_PUSH_REJECTED;
        ref.why = reason_of(summary);
        r->rejected++;
    }
    r->refs = mem_array(r->refs, r->count + 1, sizeof *r->refs);
    r->refs[r->count++] = ref;
}

static void take_report(struct git_push_result *r, const char *text)
{
    char *copy = mem_strdup(text), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        take_line(r, line);
    free(copy);
}

static const char *short_name(const char *ref)
{
    return strncmp(ref, "refs/heads/", 11) == 0 ? ref + 11 : strncmp(ref, "refs/", 5) == 0 ? ref + 5 : ref;
}

/* What a hook on the other side had to say: the first line of it. */
static char *remote_words(const char *text)
{
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, "remote: ", 8) != 0)
            continue;
        const char *words = line + 8;
        words += strspn(words, " \t");
        if (strcspn(words, "\r\n") > 0)
            return git_words(words);
    }
    return mem_strdup("");
}

static int say_rejected(const struct git_push_options *o, const struct git_push_result *r, const char *words,
                        struct err *err)
{
    struct buf list;
    char *said = remote_words(words);
    size_t named = 0;
    buf_init(&list, 4096);
    for (size_t i = 0; i < r->count && named < NAMED_MAX; i++)
        if (r->refs[i].state == GIT_PUSH_REJECTED)
            buf_printf(&list, "%s'%s' (%s)", named++ > 0 ? ", " : "", short_name(r->refs[i].name), r->refs[i].why);
    if (r->rejected > named)
        buf_printf(&list, " and %zu more", r->rejected - named);
    if (*said != '\0')
        buf_printf(&list, "; the remote says: %s", said);
    err_set(err, ERR_FAILED, "'%s' rejected %zu of %zu refs of '%s': %s", o->remote, r->rejected, r->count,
            o->repository, buf_cstr(&list));
    buf_release(&list);
    free(said);
    return -1;
}

/* ---- how to get there */

/* One value of the configuration; "" when there is none. The caller frees it. */
static char *get_setting(const struct git_call *base, const char *name)
{
    const char *const args[] = {"config", "--get", name, NULL};
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    (void)git_output(base, args, &b, NULL);
    const char *text = buf_cstr(&b);
    char *value = mem_strndup(text, strcspn(text, "\n"));
    buf_release(&b);
    return value;
}

static bool is_openssh(const char *command)
{
    size_t len = strcspn(command, " \t");
    const char *slash = memrchr(command, '/', len);
    const char *name = slash != NULL ? slash + 1 : command;
    return (size_t)(command + len - name) == 3 && strncmp(name, "ssh", 3) == 0;
}

/* The owner's SSH command, told not to ask. Another program than OpenSSH may not know the option: it finds no terminal,
 * nothing on its standard input, and its time is bounded. */
static void forbid_ssh_prompts(const struct git_call *base, struct strlist *environment)
{
    const char *own = base->place->as_owner ? NULL : getenv("GIT_SSH_COMMAND");
    char *command = own != NULL ? mem_strdup(own) : get_setting(base, "core.sshCommand");
    bool other = *command == '\0' && !base->place->as_owner && getenv("GIT_SSH") != NULL;
    if (*command == '\0') {
        free(command);
        command = mem_strdup("ssh");
    }
    if (!other && is_openssh(command)) {
        char *entry = mem_printf("GIT_SSH_COMMAND=%s -o BatchMode=yes -o ConnectTimeout=30", command);
        strlist_add(environment, entry);
        free(entry);
    }
    free(command);
}

static int check_remote(const struct git_call *base, const struct git_push_options *o, struct err *err)
{
    static const char *const list[] = {"remote", NULL};
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    int rc = git_output(base, list, &b, err);
    struct strlist names = {0};
    for (const char *line = buf_cstr(&b); rc == 0 && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
        strlist_add_len(&names, line, strcspn(line, "\n"));
    if (rc == 0 && !strlist_contains(&names, o->remote)) {
        char *all = strlist_join(&names, ", ");
        rc = err_set(err, ERR_NOT_FOUND, "repository '%s' has no remote '%s' (it has: %s)", o->repository, o->remote,
                     *all != '\0' ? all : "none");
        free(all);
    }
    strlist_release(&names);
    buf_release(&b);
    return rc;
}

/* Programs that a repository's configuration and hooks name run when it is pushed: never as root for somebody else. */
static int check_owner(const struct git_place *place, struct err *err)
{
    struct stat st;
    if (geteuid() != 0 || place->as_owner || stat(place->common_dir, &st) != 0 || st.st_uid == 0)
        return 0;
    return err_set(err, ERR_PERMISSION, "cannot push '%s': it belongs to user %u, whom this system does not know",
                   place->path, (unsigned)st.st_uid);
}

/* ---- pushing */

static int run_push(const struct git_call *call, const struct git_push_options *o, struct git_push_result *out,
                    struct err *err)
{
    const char *const args[] = {"push",
                                "--porcelain",
                                "--no-signed",
                                "--recurse-submodules=no",
                                o->dry_run ? "--dry-run" : "--no-atomic",
                                "--",
                                o->remote,
                                "refs/heads/*:refs/heads/*",
                                "refs/tags/*:refs/tags/*",
                                NULL};
    struct process *p;
    struct buf report;
    unsigned char room[4096];
    int64_t n;
    struct err reason = {0};
    if (git_start(&p, call, args, err) != 0)
        return -1;
    buf_init(&report, TEXT_MAX_BYTES);
    while ((n = process_read(p, room, sizeof room, &reason)) > 0)
        buf_append(&report, room, (size_t)n);
    int rc = git_wait(p, "push", n < 0 ? NULL : &reason);
    take_report(out, buf_cstr(&report));
    buf_release(&report);
    if (rc == 0 && n == 0 && out->rejected == 0) {
        process_free(p);
        return 0;
    }
    if (reason.code == ERR_TIMEOUT)
        err_set(err, ERR_TIMEOUT, "pushing '%s' to '%s' took longer than %llu s and was stopped", o->repository,
                o->remote, (unsigned long long)(o->timeout_ms / 1000));
    else if (out->rejected > 0 && reason.code != ERR_INTERRUPTED)
        say_rejected(o, out, process_stderr(p), err);
    else
        err_set(err, reason.code, "cannot push '%s' to '%s': %s", o->repository, o->remote, reason.message);
    process_free(p);
    return -1;
}

/* Without any git would call it an error. */
static bool has_refs(const struct git_call *base)
{
    static const char *const args[] = {"for-each-ref", "--count=1", "refs/heads", "refs/tags", NULL};
    struct buf b;
    buf_init(&b, TEXT_MAX_BYTES);
    bool any = git_output(base, args, &b, NULL) != 0 || b.len > 0;
    buf_release(&b);
    return any;
}

static int push_place(const struct git_place *place, const struct git_push_options *o, struct git_push_result *out,
                      struct err *err)
{
    struct strlist settings = {0}, environment = {0};
    struct git_call call = {.place = place, .for_push = true, .timeout_ms = o->timeout_ms};
    call.directory = place->work_tree != NULL ? place->work_tree : place->common_dir;
    if (check_owner(place, err) != 0 || check_remote(&call, o, err) != 0)
        return -1;
    char *mirror = mem_printf("remote.%s.mirror", o->remote); /* which would push, and delete, everything */
    strlist_add(&settings, mirror);
    strlist_add(&settings, "false");
    strlist_add(&settings, "credential.interactive");
    strlist_add(&settings, "false");
    forbid_ssh_prompts(&call, &environment);
    call.settings = &settings;
    call.environment = &environment;
    int rc = has_refs(&call) ? run_push(&call, o, out, err) : 0;
    free(mirror);
    strlist_release(&settings);
    strlist_release(&environment);
    return rc;
}

int git_push(const struct git_push_options *options, struct git_push_result *out, struct err *err)
{
    struct git_place place;
    *out = (struct git_push_result){0};
    if (git_place_open(&place, options->repository, err) != 0)
        return -1;
    int rc = push_place(&place, options, out, err);
    git_place_release(&place);
    return rc;
}
