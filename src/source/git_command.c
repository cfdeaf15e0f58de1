#include "source/git_command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "source/git.h"

enum { ARGS_MAX = 64, SAID_MAX_BYTES = 300, TICK_MS = 200 };

/* ---- the environment */

/* Of GIT_… only these are the owner's lasting settings; the others belong to a git that called us, or lead git to other
 * places than we mean. */
static const char *const KEPT[] = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH",
                                   "GIT_TEMPLATE_DIR"};
/* For pushing also how to get there. */
static const char *const KEPT_FOR_PUSH[] = {"GIT_SSH",
                                            "GIT_SSH_COMMAND",
                                            "GIT_SSH_VARIANT",
                                            "GIT_SSL_CAINFO",
                                            "GIT_SSL_CAPATH",
                                            "GIT_SSL_CERT",
                                            "GIT_SSL_KEY",
                                            "GIT_PROXY_COMMAND",
                                            "GIT_HTTP_LOW_SPEED_LIMIT",
                                            "GIT_ALLOW_PROTOCOL",
                                            "GIT_HTTP_LOW_SPEED_TIME"};
/* What is ours and not the owner's, when we are root and git runs as he. */
static const char *const OURS[] = {"XDG_CONFIG_HOME",
                                   "XDG_CACHE_HOME",
                                   "XDG_DATA_HOME",
                                   "XDG_RUNTIME_DIR",
                                   "SSH_AUTH_SOCK",
                                   "SSH_AGENT_PID",
                                   "GNUPGHOME",
                                   "DBUS_SESSION_BUS_ADDRESS",
                                   "SUDO_USER",
                                   "SUDO_UID",
                                   "SUDO_GID",
                                   "TMPDIR",
                                   "MAIL",
                                   "GIT_CONFIG_GLOBAL"};

static bool is_named(const char *entry, const char *const *names, size_t count)
{
    size_t len = strcspn(entry, "=");
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == len && memcmp(names[i], entry, len) == 0)
            return true;
    return false;
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void drop_variables(const struct git_call *call, struct strlist *env)
{
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        bool ours = call->place->as_owner && is_named(*e, OURS, COUNT(OURS));
        bool kept = is_named(*e, KEPT, COUNT(KEPT)) ||
                    (call->for_push && !call->place->as_owner && is_named(*e, KEPT_FOR_PUSH, COUNT(KEPT_FOR_PUSH)));
        if (ours || (strncmp(*e, "GIT_", 4) == 0 && !kept))
            strlist_add_len(env, *e, strcspn(*e, "="));
    }
}

static void set_variable(struct strlist *env, const char *name, const char *value)
{
    char *entry = mem_printf("%s=%s", name, value);
    strlist_remove(env, name);
    strlist_add(env, entry);
    free(entry);
}

/* As git reads a list of directories: in quotes, so that a path may hold colons and line ends. */
static char *quote_path(const char *path)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_append_byte(&b, '"');
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '\n') {
            buf_append_str(&b, "\\n");
            continue;
        }
        if (*p == '"' || *p == '\\')
            buf_append_byte(&b, '\\');
        buf_append_byte(&b, (unsigned char)*p);
    }
    buf_append_byte(&b, '"');
    char *quoted = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    return quoted;
}

static void set_objects(const struct git_call *call, struct strlist *env)
{
    char *old = mem_printf("%s/objects", call->place->common_dir), *quoted = quote_path(old);
    set_variable(env, "GIT_OBJECT_DIRECTORY", call->object_dir);
    set_variable(env, "GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted);
    free(quoted);
    free(old);
}

static void set_capture_variables(const struct git_call *call, struct strlist *env)
{
    set_variable(env, "GIT_OPTIONAL_LOCKS", "0");
    set_variable(env, "GIT_NO_REPLACE_OBJECTS", "1"); /* replacements and what they replace are both stored */
    set_variable(env, "GIT_GRAFT_FILE", "/dev/null");
    set_variable(env, "GIT_NO_LAZY_FETCH", "1");
    set_variable(env, "GIT_AUTHOR_DATE", "@0 +0000"); /* objects we make depend on their content alone */
    set_variable(env, "GIT_COMMITTER_DATE", "@0 +0000");
    static const char *const who[] = {"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME",
                                      "GIT_COMMITTER_EMAIL"};
    for (size_t i = 0; i < COUNT(who); i++)
        set_variable(env, who[i], "clawback");
    if (call->index_file != NULL)
        set_variable(env, "GIT_INDEX_FILE", call->index_file);
    if (call->object_dir != NULL)
        set_objects(call, env);
}

static void set_push_variables(struct strlist *env)
{
    set_variable(env, "GIT_ASKPASS", "/bin/false");
    set_variable(env, "SSH_ASKPASS", "/bin/false");
    set_variable(env, "SSH_ASKPASS_REQUIRE", "never");
    set_variable(env, "GCM_INTERACTIVE", "never");
}

/* Configuration that goes above all files, by variables, since names may hold any byte. */
static void set_settings(const struct git_call *call, struct strlist *env)
{
    static const char *const always[] = {"safe.directory",   "*",     "gc.auto",        "0",
                                         "maintenance.auto", "false", "core.fsmonitor", "false"};
    static const char *const capture[] = {
        "core.hooksPath", "/dev/null", "core.commitGraph",           "false", "core.untrackedCache", "keep",
        "pack.threads",   "1",         "advice.graftFileDeprecated", "false"};
    struct strlist all = {0};
    for (size_t i = 0; i < COUNT(always); i++)
        strlist_add(&all, always[i]);
    for (size_t i = 0; i < COUNT(capture) && !call->for_push; i++)
        strlist_add(&all, capture[i]);
    if (call->settings != NULL)
        strlist_copy(&all, call->settings);
    for (size_t i = 0; i + 1 < all.count; i += 2) {
        char key[40], value[40];
        snprintf(key, sizeof key, "GIT_CONFIG_KEY_%zu", i / 2);
        snprintf(value, sizeof value, "GIT_CONFIG_VALUE_%zu", i / 2);
        set_variable(env, key, all.items[i]);
        set_variable(env, value, all.items[i + 1]);
    }
    char count[24];
    snprintf(count, sizeof count, "%zu", all.count / 2);
    set_variable(env, "GIT_CONFIG_COUNT", count);
    strlist_release(&all);
}

static void make_environment(const struct git_call *call, struct strlist *env)
{
    drop_variables(call, env);
    set_variable(env, "LC_ALL", "C"); /* messages we can read */
    set_variable(env, "GIT_TERMINAL_PROMPT", "0");
    set_variable(env, "GIT_PAGER", "cat");
    if (call->place->as_owner) {
        set_variable(env, "HOME", call->place->owner.home);
        set_variable(env, "USER", call->place->owner.name);
        set_variable(env, "LOGNAME", call->place->owner.name);
    }
    if (call->for_push)
        set_push_variables(env);
    else
        set_capture_variables(call, env);
    set_settings(call, env);
    if (call->environment != NULL)
        strlist_copy(env, call->environment);
    strlist_add(env, ""); /* room for the end of the array */
}

/* ---- running */

static size_t fill_argv(const struct git_call *call, const char *const *args, const char **argv, char *owned[2])
{
    size_t n = 0;
    argv[n++] = "git";
    owned[0] = mem_printf("--git-dir=%s", call->git_dir != NULL ? call->git_dir : call->place->common_dir);
    argv[n++] = owned[0];
    owned[1] = call->work_tree != NULL ? mem_printf("--work-tree=%s", call->work_tree) : NULL;
    if (owned[1] != NULL)
        argv[n++] = owned[1];
    for (; *args != NULL; args++) {
        assert(n < ARGS_MAX);
        argv[n++] = *args;
    }
    argv[n] = NULL;
    return n;
}

int git_start(struct process **out, const struct git_call *call, const char *const *args, struct err *err)
{
    const char *argv[ARGS_MAX + 1];
    char *owned[2];
    struct strlist env = {0};
    struct err reason = {0};
    fill_argv(call, args, argv, owned);
    make_environment(call, &env);
    free(env.items[env.count - 1]);
    env.items[env.count - 1] = NULL;
    struct process_options options = {
        .argv = (char *const *)(uintptr_t)argv, /* as exec has it: nobody writes to them */
        .environment = (const char *const *)env.items,
        .directory = call->directory != NULL ? call->directory : "/", /* ours may be closed to the owner */
        .run_as = call->place->as_owner ? &call->place->owner : NULL,
        .with_stdin = call->with_stdin,
        .stdin_fd = call->stdin_fd,
        .no_terminal = true,
        .timeout_ms = call->timeout_ms,
    };
    int rc = process_start(out, &options, &reason);
    env.count--;
    strlist_release(&env);
    free(owned[0]);
    free(owned[1]);
    if (rc == 0)
        return 0;
    if (reason.code == ERR_NOT_FOUND)
        return err_set(err, ERR_UNSUPPORTED, "cannot start 'git': it is not installed (install the package 'git')");
    if (err != NULL)
        *err = reason;
    return -1;
}

/* Takes the secret out of "scheme://user:secret@host", in place. */
static void hide_passwords(char *text)
{
    for (char *p = text; (p = strstr(p, "://")) != NULL;) {
        p += 3;
        char *end = p + strcspn(p, "/ '\""), *at = NULL;
        for (char *q = p; q < end; q++)
            if (*q == '@')
                at = q;
        if (at != NULL)
            memmove(p, at + 1, strlen(at + 1) + 1);
    }
}

/* How much a line of git's words tells: the cause first, then git's own conclusion, never its advice. */
static int weight(const char *line, size_t len)
{
    static const char *const prefixes[] = {
        "hint:", "To ", "warning:", "", "fatal: ", "error: ", "remote: fatal: ", "ERROR: ", "ssh: "};
    static const char *const general[] = {"fatal: Could not read from remote repository", "Please make sure",
                                          "and the repository exists", "error: failed to push some refs",
                                          "fatal: the remote end hung up unexpectedly"};
    int found = 0;
    for (int i = 0; i < (int)COUNT(prefixes); i++)
        if (strlen(prefixes[i]) <= len && strncmp(line, prefixes[i], strlen(prefixes[i])) == 0 &&
            (prefixes[i][0] != '\0' || found == 0))
            found = i + 1;
    for (size_t i = 0; i < COUNT(general); i++)
        if (strncmp(line, general[i], strlen(general[i])) == 0)
            found = 1;
    return len == 0 ? 0 : found;
}

char *git_words(const char *text)
{
    const char *best = text;
    size_t best_len = 0;
    int best_weight = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, "\r\n");
        int w = weight(text, len);
        if (w > best_weight) {
            best = text;
            best_len = len;
            best_weight = w;
        }
        text += len + (text[len] != '\0');
    }
    best_len = best_len < SAID_MAX_BYTES ? best_len : SAID_MAX_BYTES;
    while (best_len > 0 && best[best_len - 1] == ' ') /* git pads what the other side says */
        best_len--;
    char *words = mem_strndup(best, best_len);
    for (char *p = words; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    hide_passwords(words);
    return words;
}

static int say_timeout(const char *subcommand, struct err *err)
{
    return err_set(err, ERR_TIMEOUT, "'git %s' took too long and was stopped", subcommand);
}

int64_t git_read(struct process *p, const char *subcommand, void *out, size_t cap, struct err *err)
{
    struct err reason = {0};
    int64_t n = process_read(p, out, cap, &reason);
    if (n >= 0)
        return n;
    if (reason.code == ERR_TIMEOUT)
        return say_timeout(subcommand, err);
    if (err != NULL)
        *err = reason;
    return -1;
}

int git_wait(struct process *p, const char *subcommand, struct err *err)
{
    struct err reason = {0};
    if (process_wait(p, &reason) == 0)
        return 0;
    if (reason.code != ERR_FAILED) {
        if (err != NULL)
            *err = reason;
        return reason.code == ERR_TIMEOUT ? say_timeout(subcommand, err) : -1;
    }
    char *words = git_words(process_stderr(p));
    if (*words != '\0')
        err_set(err, ERR_FAILED, "git %s: %s", subcommand, words);
    else
        err_set(err, ERR_FAILED, "git %s: %s", subcommand, reason.message);
    free(words);
    return -1;
}

int git_output(const struct git_call *call, const char *const *args, struct buf *out, struct err *err)
{
    struct process *p;
    unsigned char room[16384];
    int64_t n;
    if (git_start(&p, call, args, err) != 0)
        return -1;
    while ((n = git_read(p, args[0], room, sizeof room, err)) > 0) {
        buf_append(out, room, (size_t)n);
        if (out->overflow) {
            n = err_set(err, ERR_FAILED, "git %s: more than %zu bytes of output", args[0], out->max);
            break;
        }
    }
    int rc = n < 0 ? -1 : git_wait(p, args[0], err);
    process_free(p);
    return rc;
}

/* ---- feeding */

int git_feed_pipe(int ends[2], struct err *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, errno, "cannot make a pipe");
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    return 0;
}

int git_feed(int fd, const void *p, size_t len, uint64_t deadline_ns, struct err *err)
{
    const char *from = p;
    while (len > 0) {
        ssize_t n = write(fd, from, len);
        if (n > 0) {
            from += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_errno(err, errno, "cannot write to git");
        if (os_check_interrupt(err) != 0)
            return -1;
        if (os_monotonic_ns() > deadline_ns)
            return err_set(err, ERR_TIMEOUT, "git took too long and was stopped");
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        (void)poll(&ready, 1, TICK_MS);
    }
    return 0;
}
