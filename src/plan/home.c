#include "plan/home.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "plan/home_config.h"

enum { PROFILE_MAX_CHARS = 64 };

/* Today's names first. "moldbot" is a misspelling that went out in a release. */
static const char *const NAMES[] = {"openclaw", "clawdbot", "moltbot", "moldbot"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What has been found so far. */
struct search {
    struct agent_home *home;
    char *user_home;        /* what "~" means to the agent: OPENCLAW_HOME, else the user's home directory */
    char *os_home;          /* the user's home directory */
    struct strlist configs; /* configuration files named by a variable */
};

/* ---- small questions about paths */

/* Takes the text over. */
static void add_note(struct search *s, char *note)
{
    if (!strlist_contains(&s->home->notes, note))
        strlist_add(&s->home->notes, note);
    free(note);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_there(const char *dir, const char *name)
{
    char *path = os_path_join(dir, name);
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The list's path that is the same file or directory, by whatever name. */
static bool has_same_file(const struct strlist *l, const char *path)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i], path) == 0 || is_same_file(l->items[i], path))
            return true;
    return false;
}

static bool is_below_a_root(const struct agent_home *h, const char *path)
{
    for (size_t i = 0; i < h->roots.count; i++)
        if (os_path_is_below(path, h->roots.items[i]))
            return true;
    return false;
}

static bool is_in_ssh(const char *path)
{
    static const char SSH[] = "/.ssh";
    for (const char *at = path; (at = strstr(at, SSH)) != NULL; at++)
        if (at[strlen(SSH)] == '/' || at[strlen(SSH)] == '\0')
            return true;
    return false;
}

/* The file of a configuration in a directory, by its newest name; NULL when there is none. The caller frees it. */
static char *config_in(const char *dir)
{
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        char *name = mem_printf("%s.json", NAMES[i]), *path = os_path_join(dir, name);
        free(name);
        if (access(path, F_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* ---- taking paths in */

/* Adds the path to what lies outside, unless it is covered. Symlinks in it are not followed. */
static void add_outside(struct search *s, const char *path)
{
    struct agent_home *h = s->home;
    if (strcmp(path, "/") == 0)
        add_note(s,
                 mem_printf("the whole file system is named as a workspace or agent directory; it is not backed up as "
                            "part of the agent's home"));
    else if (is_in_ssh(path))
        add_note(s, mem_printf("'%s' lies in .ssh, which is never backed up", path));
    else if (!is_below_a_root(h, path) && !strlist_contains(&h->outside, path))
        strlist_add(&h->outside, path);
}

/* A symlink that led to something: a restore needs it too. */
static void add_symlink(struct search *s, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode))
        return;
    char *slash = strrchr(path, '/');
    char *parent = slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
    char *real_parent = realpath(parent, NULL);
    if (real_parent != NULL) {
        char *link = os_path_join(real_parent, slash + 1);
        add_outside(s, link);
        free(link);
    }
    free(real_parent);
    free(parent);
}

/* False when it is no directory that can be one. */
static bool add_root(struct search *s, const char *path)
{
    char *real = realpath(path, NULL);
    bool found = real != NULL && is_directory(real) && strcmp(real, "/") != 0;
    if (found && !has_same_file(&s->home->roots, real))
        strlist_add(&s->home->roots, real);
    if (found)
        add_symlink(s, path);
    free(real);
    return found;
}

/* What a configuration names, and what a root has a symlink to. `list`: which it belongs to, or NULL. */
static void add_named(struct search *s, const char *kind, const char *path, struct strlist *list)
{
    char *real = realpath(path, NULL);
    if (real == NULL) {
        /* Below a root nothing is lost by its absence: the agent makes such directories when it first needs them. */
        bool missing = errno == ENOENT || errno == ENOTDIR;
        if (missing && !is_below_a_root(s->home, path))
            add_note(s, mem_printf("%s '%s' is not there", kind, path));
        else if (!missing)
            add_note(s, mem_printf("%s '%s' cannot be reached: %s", kind, path, strerror(errno)));
        return;
    }
    if (list != NULL && !strlist_contains(list, real))
        strlist_add(list, real);
    if (strcmp(real, s->os_home) == 0)
        add_note(s, mem_printf("%s '%s' is the whole home directory: all of it is backed up", kind, real));
    add_symlink(s, path);
    add_outside(s, real);
    free(real);
}

/* ---- where roots are */

/* The variable's value, resolved as the agent does it; NULL when it is not set. The caller frees it. */
static int variable_path(const struct search *s, const char *name, char **out, struct err *err)
{
    const char *value = getenv(name);
    *out = NULL;
    if (value == NULL || value[strspn(value, " \t\r\n")] == '\0')
        return 0;
    char *cwd = os_path_absolute(".");
    if (cwd == NULL)
        return err_errno(err, errno, "cannot find the working directory that '%s' counts from", name);
    *out = home_path_resolve(value, s->user_home, cwd);
    free(cwd);
    return 0;
}

static int add_state_dir(struct search *s, const char *variable, struct err *err)
{
    char *path;
    if (variable_path(s, variable, &path, err) < 0)
        return -1;
    if (path != NULL && !add_root(s, path))
        add_note(s, mem_printf("%s names '%s', which is no directory of an agent", variable, path));
    free(path);
    return 0;
}

/* Is there, beside a configuration file, what only a state directory has? Newer versions put it there. */
static bool looks_like_state(const char *dir)
{
    static const char *const MARKS[] = {"agents", "credentials", "cron", "devices", "identity", "state"};
    for (size_t i = 0; i < COUNT(MARKS); i++)
        if (is_there(dir, MARKS[i]))
            return true;
    return false;
}

static int add_config(struct search *s, const char *variable, struct err *err)
{
    char *path;
    if (variable_path(s, variable, &path, err) < 0)
        return -1;
    if (path != NULL && access(path, F_OK) != 0) {
        add_note(s, mem_printf("%s names '%s', where no file is", variable, path));
    } else if (path != NULL) {
        char *slash = strrchr(path, '/'), *dir = mem_strndup(path, (size_t)(slash - path));
        if (*dir != '\0' && looks_like_state(dir))
            add_root(s, dir);
        strlist_add(&s->configs, path);
        free(dir);
    }
    free(path);
    return 0;
}

static bool is_profile(const char *s)
{
    static const char CHARS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(s);
    return len > 0 && len <= PROFILE_MAX_CHARS && isalnum((unsigned char)s[0]) && strspn(s, CHARS) == len;
}

/* Is it ".NAME" or ".NAME-PROFILE"? */
static bool is_state_name(const char *file, const char *name)
{
    size_t len = strlen(name);
    if (file[0] != '.' || strncmp(file + 1, name, len) != 0)
        return false;
    const char *rest = file + 1 + len;
    return *rest == '\0' || (*rest == '-' && is_profile(rest + 1));
}

/* Those of the names in the directory that `wanted` says yes to, in byte order. */
static int list_names(const char *dir, bool (*wanted)(const char *name), struct strlist *out)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return -1;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (wanted(e->d_name))
            strlist_add(out, e->d_name);
    closedir(d);
    strlist_sort(out);
    return 0;
}

static bool is_hidden(const char *name)
{
    return name[0] == '.';
}

static void add_roots_in(struct search *s, const char *dir)
{
    struct strlist names = {0};
    if (list_names(dir, is_hidden, &names) < 0 && errno != ENOENT)
        add_note(s, mem_printf("cannot look for an agent's home in '%s': %s", dir, strerror(errno)));
    for (size_t n = 0; n < COUNT(NAMES); n++) {
        for (size_t i = 0; i < names.count; i++) {
            if (!is_state_name(names.items[i], NAMES[n]))
                continue;
            char *path = os_path_join(dir, names.items[i]);
            add_root(s, path);
            free(path);
        }
    }
    strlist_release(&names);
}

/* "default" is the one without a name. */
static void check_profile(struct search *s)
{
    const char *profile = getenv("OPENCLAW_PROFILE");
    if (profile == NULL || *profile == '\0' || strcasecmp(profile, "default") == 0)
        return;
    char *name = mem_printf(".openclaw-%s", profile);
    if (!is_profile(profile) || !is_there(s->user_home, name))
        add_note(s, mem_printf("OPENCLAW_PROFILE is '%s', but there is no '%s/%s'", profile, s->user_home, name));
    free(name);
}

static int find_roots(struct search *s, struct err *err)
{
    if (add_state_dir(s, "OPENCLAW_STATE_DIR", err) < 0 || add_state_dir(s, "CLAWDBOT_STATE_DIR", err) < 0 ||
        add_config(s, "OPENCLAW_CONFIG_PATH", err) < 0 || add_config(s, "CLAWDBOT_CONFIG_PATH", err) < 0)
        return -1;
    if (strcmp(s->user_home, s->os_home) != 0) {
        /* It stands for the user's home, but is easily taken for the state directory. */
        char *config = config_in(s->user_home);
        if (config != NULL)
            add_root(s, s->user_home);
        else if (!is_directory(s->user_home))
            add_note(s, mem_printf("OPENCLAW_HOME names '%s', where no directory is", s->user_home));
        free(config);
        add_roots_in(s, s->user_home);
    }
    check_profile(s);
    add_roots_in(s, s->os_home);
    return 0;
}

/* ---- what belongs to them */

static void add_config_contents(struct search *s, const char *path)
{
    struct home_config config = {0};
    home_config_read(path, s->user_home, &config, &s->home->notes);
    for (size_t i = 0; i < config.workspaces.count; i++)
        add_named(s, "workspace", config.workspaces.items[i], &s->home->workspaces);
    for (size_t i = 0; i < config.agent_dirs.count; i++)
        add_named(s, "agent directory", config.agent_dirs.items[i], &s->home->agent_dirs);
    for (size_t i = 0; i < config.includes.count; i++)
        if (access(config.includes.items[i], F_OK) == 0) /* else it has been noted */
            add_named(s, "included file", config.includes.items[i], NULL);
    for (size_t i = 0; i < config.unread.count; i++) {
        if (strlist_contains(&s->home->unread, config.unread.items[i]))
            continue;
        strlist_add(&s->home->unread, config.unread.items[i]);
        strlist_add(&s->home->unread_why, config.unread_why.items[i]);
    }
    home_config_release(&config);
}

static bool is_workspace(const char *name)
{
    return strncmp(name, "workspace", strlen("workspace")) == 0;
}

/* Parts of a state directory that people move to another disk, leaving a symlink. */
static bool is_movable(const char *name)
{
    static const char *const PARTS[] = {"agents", "credentials", "cron",   "devices", "identity", "media",
                                        "memory", "sessions",    "skills", "state",   "hooks"};
    for (size_t i = 0; i < COUNT(PARTS); i++)
        if (strcmp(name, PARTS[i]) == 0)
            return true;
    return is_workspace(name);
}

static void add_moved_parts(struct search *s, const char *root)
{
    struct strlist names = {0};
    list_names(root, is_movable, &names);
    for (size_t i = 0; i < names.count; i++) {
        char *path = os_path_join(root, names.items[i]);
        if (is_directory(path))
            add_named(s, names.items[i], path, is_workspace(names.items[i]) ? &s->home->workspaces : NULL);
        free(path);
    }
    strlist_release(&names);
}

static void add_root_contents(struct search *s, const char *root)
{
    char *config = config_in(root);
    if (config != NULL) {
        add_named(s, "configuration", config, NULL);
        add_config_contents(s, config);
    }
    free(config);
    add_moved_parts(s, root);
}

/* Before there was a state directory setting, the workspace had a name of its own beside it. */
static void add_old_workspace(struct search *s)
{
    char *state = os_path_join(s->user_home, ".clawdbot"), *workspace = os_path_join(s->user_home, "clawd");
    if (is_directory(state) && is_directory(workspace))
        add_named(s, "workspace", workspace, &s->home->workspaces);
    free(state);
    free(workspace);
}

static void find_contents(struct search *s)
{
    struct agent_home *h = s->home;
    for (size_t i = 0; i < s->configs.count; i++) {
        char *real = realpath(s->configs.items[i], NULL);
        if (real != NULL && h->roots.count == 0)
            strlist_add(&h->roots, real);
        free(real);
        add_named(s, "configuration", s->configs.items[i], NULL);
        add_config_contents(s, s->configs.items[i]);
    }
    for (size_t i = 0; i < h->roots.count; i++)
        add_root_contents(s, h->roots.items[i]);
}

static int search_begin(struct search *s, struct agent_home *out, struct err *err)
{
    *out = (struct agent_home){0};
    *s = (struct search){.home = out, .os_home = os_path_expand_home("~")};
    const char *given = getenv("OPENCLAW_HOME");
    s->user_home = mem_strdup(s->os_home);
    if (given == NULL || *given == '\0')
        return 0;
    char *home;
    int rc = variable_path(s, "OPENCLAW_HOME", &home, err);
    if (home != NULL) {
        free(s->user_home);
        s->user_home = home;
    }
    return rc;
}

static int search_end(struct search *s, int rc)
{
    if (rc != 0)
        agent_home_release(s->home);
    strlist_release(&s->configs);
    free(s->user_home);
    free(s->os_home);
    return rc;
}

int agent_home_find(struct agent_home *out, struct err *err)
{
    struct search s;
    int rc = search_begin(&s, out, err);
    if (rc == 0)
        rc = find_roots(&s, err);
    if (rc == 0) {
        find_contents(&s);
        add_old_workspace(&s);
    }
    return search_end(&s, rc);
}

int agent_home_at(const char *path, struct agent_home *out, struct err *err)
{
    struct search s;
    int rc = search_begin(&s, out, err);
    if (rc == 0) {
        add_root(&s, path);
        find_contents(&s);
    }
    return search_end(&s, rc);
}

bool agent_home_is(const char *path)
{
    char *config = config_in(path);
    free(config);
    return config != NULL;
}

void agent_home_release(struct agent_home *h)
{
    strlist_release(&h->roots);
    strlist_release(&h->outside);
    strlist_release(&h->workspaces);
    strlist_release(&h->agent_dirs);
    strlist_release(&h->notes);
    strlist_release(&h->unread);
    strlist_release(&h->unread_why);
}
