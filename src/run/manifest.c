/*
 * Threads: the sink is called by the one thread that walks; the reporter by the scanner's threads too, hence the mutex
 * around what is left out.
 */
#include "run/manifest.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "os/open.h"
#include "plan/home.h"
#include "run/plan_secrets.h"
#include "run/sensitive.h"
#include "run/tier_files.h"
#include "source/files.h"

/* What the source says of the files that SQLite keeps beside a database. */
static const char BESIDE_DATABASE[] = "part of the SQLite database beside it";

struct left_out {
    char *path;
    const char *why; /* a literal of the source's */
};

struct counter { /* the sink */
    struct sink sink;
    struct manifest *m;
    const struct manifest_options *options;
    struct manifest_progress *progress;
    struct buf dir; /* the path of the directory that is open */
    size_t sniffed;
    struct plan_secrets plans;  /* the plan's own, which a run keeps out of open archives, whatever they are called */
    struct manifest_path *last; /* that the entry before belonged to */
    pthread_mutex_t mutex;
    struct left_out *left;
    size_t left_count;
};

/* --- what is taken --- */

static struct manifest_path *path_of(struct counter *c, const char *path)
{
    if (c->last != NULL && os_path_is_below(path, c->last->path))
        return c->last;
    for (size_t i = 0; i < c->m->path_count; i++)
        if (os_path_is_below(path, c->m->paths[i].path))
            return c->last = &c->m->paths[i];
    return NULL; /* a directory on the way to one */
}

static int dir_begin(struct sink *s, const struct node *dir, struct err *err)
{
    struct counter *c = (struct counter *)(void *)s;
    (void)err;
    buf_append_byte(&c->dir, '/');
    buf_append(&c->dir, dir->name, dir->name_len);
    struct manifest_path *p = path_of(c, buf_cstr(&c->dir));
    if (p != NULL) {
        p->dirs++;
        c->m->dirs++;
    }
    return 0;
}

static int dir_end(struct sink *s, struct err *err)
{
    struct counter *c = (struct counter *)(void *)s;
    (void)err;
    while (c->dir.len > 0 && c->dir.data[--c->dir.len] != '/')
        ;
    return 0;
}

/* Every directory above it lets others through? */
static bool others_reach(const char *path)
{
    char *dir = mem_strdup(path), *slash;
    struct stat st;
    bool open = true;
    while (open && (slash = strrchr(dir, '/')) != NULL && slash != dir) {
        *slash = '\0';
        open = stat(dir, &st) == 0 && (st.st_mode & S_IXOTH) != 0;
    }
    free(dir);
    return open;
}

static bool look_for_secret(struct counter *c, const struct node *node, const char *path)
{
    const char *what = plan_secrets_has(&c->plans, path) ? PLAN_SECRET_WHAT : sensitive_by_name(path);
    if (what == NULL && c->options->look_into && c->sniffed < MANIFEST_SNIFFED_MAX &&
        node->size <= SENSITIVE_FILE_MAX_BYTES) {
        c->sniffed++;
        what = sensitive_file(path);
    }
    if (what == NULL)
        return false;
    struct manifest *m = c->m;
    m->secrets = mem_array(m->secrets, m->secret_count + 1, sizeof *m->secrets);
    m->secrets[m->secret_count++] = (struct manifest_secret){
        .path = mem_strdup(path), .what = what, .exposed = (node->mode & S_IROTH) != 0 && others_reach(path)};
    return true;
}

static int entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                 struct err *err)
{
    struct counter *c = (struct counter *)(void *)s;
    if (content != NULL)
        content->release(content->ctx);
    bool is_secret = node->type == NODE_FILE && look_for_secret(c, node, path);
    if (is_secret && manifest_leaves_secrets_out(c->m)) {
        c->m->excluded_files++;
        c->m->excluded_bytes += node->size;
        return os_check_interrupt(err);
    }
    struct manifest_path *p = path_of(c, path);
    if (p != NULL) {
        p->files++;
        p->bytes += node->size;
    }
    c->m->files++;
    c->m->bytes += node->size;
    if (c->progress != NULL) {
        atomic_fetch_add(&c->progress->files, 1);
        atomic_fetch_add(&c->progress->bytes, node->size);
    }
    return os_check_interrupt(err);
}

static const struct sink_ops COUNTER_OPS = {.dir_begin = dir_begin, .entry = entry, .dir_end = dir_end};

/* --- what is not --- */

static void report_unreadable(void *ctx, const char *path, const struct err *why)
{
    struct counter *c = ctx;
    (void)path;
    pthread_mutex_lock(&c->mutex);
    if (c->m->unreadable_count++ < MANIFEST_MESSAGES_MAX)
        strlist_add(&c->m->unreadable, why->message);
    pthread_mutex_unlock(&c->mutex);
}

static void report_warning(void *ctx, const char *path, const char *what)
{
    (void)ctx, (void)path, (void)what; /* they concern reading, and nothing is read here */
}

static void report_excluded(void *ctx, const char *path, const char *why)
{
    struct counter *c = ctx;
    pthread_mutex_lock(&c->mutex);
    c->left = mem_array(c->left, c->left_count + 1, sizeof *c->left);
    c->left[c->left_count++] = (struct left_out){mem_strdup(path), why};
    pthread_mutex_unlock(&c->mutex);
}

static void measure_at(int fd, dev_t device, uint64_t *files, uint64_t *bytes);

static void measure_entry(int dir, const char *name, dev_t device, uint64_t *files, uint64_t *bytes)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (device != 0 && st.st_dev != device))
        return;
    if (!S_ISDIR(st.st_mode)) {
        (*files)++;
        *bytes += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        return;
    }
    int fd = os_openat_noatime(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0)
        measure_at(fd, st.st_dev, files, bytes);
}

/* Takes fd over. */
static void measure_at(int fd, dev_t device, uint64_t *files, uint64_t *bytes)
{
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *e; !os_interrupted() && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            measure_entry(dirfd(d), e->d_name, device, files, bytes);
    closedir(d);
}

void manifest_measure(const char *path, uint64_t *files, uint64_t *bytes)
{
    *files = *bytes = 0;
    measure_entry(AT_FDCWD, path, 0, files, bytes);
}

/* Each pattern by itself, to tell which one it was. */
struct rules {
    const struct tier_files *files;
    struct filter **filters; /* as many as files->excludes; NULL: one that takes back */
};

static void rules_make(struct rules *r, const struct tier_files *files)
{
    *r = (struct rules){.files = files, .filters = mem_zalloc((files->excludes.count + 1) * sizeof(struct filter *))};
    for (size_t i = 0; i < files->excludes.count; i++) {
        if (files->excludes.items[i][0] == '!')
            continue;
        r->filters[i] = filter_new();
        filter_add(r->filters[i], files->excludes.items[i], false, NULL); /* gather has found it well formed */
    }
}

static void rules_release(struct rules *r)
{
    for (size_t i = 0; i < r->files->excludes.count; i++)
        filter_free(r->filters[i]);
    free(r->filters);
}

/* The last one that matches decided. NULL: none of them. */
static const char *rule_of(const struct rules *r, const char *path)
{
    for (size_t i = r->files->excludes.count; i-- > 0;)
        if (r->filters[i] != NULL && filter_match(r->filters[i], path))
            return r->files->excludes.items[i];
    return NULL;
}

static const char *why_of(const struct plan_tier *t, const char *pattern)
{
    if (strlist_contains(&t->exclude, pattern))
        return "the tier's own exclude";
    const char *why = agent_exclude_why(pattern);
    return why != NULL ? why : "the agent makes or fetches it again";
}

/* The rule and the reason for one path. */
static void explain(const struct manifest *m, const struct rules *r, const struct left_out *l, const char **rule,
                    const char **why)
{
    for (size_t i = 0; i < r->files->own.count; i++)
        if (os_path_is_below(l->path, r->files->own.items[i])) {
            *rule = r->files->own.items[i];
            *why = "clawback's own: repository, archives or cache";
            return;
        }
    if (strcmp(l->why, BESIDE_DATABASE) == 0) {
        *rule = "-wal, -shm, -journal";
        *why = "belong to a SQLite database, which is taken with what is in them";
        return;
    }
    if (strcmp(l->why, "pattern") != 0) {
        *rule = *why = l->why;
        return;
    }
    *rule = rule_of(r, l->path);
    *why = *rule != NULL ? why_of(m->tier, *rule) : "excluded";
    if (*rule == NULL)
        *rule = l->path;
}

static struct manifest_exclude *exclude_of(struct manifest *m, const char *rule, const char *why)
{
    for (size_t i = 0; i < m->exclude_count; i++)
        if (strcmp(m->excludes[i].rule, rule) == 0)
            return &m->excludes[i];
    m->excludes = mem_array(m->excludes, m->exclude_count + 1, sizeof *m->excludes);
    m->excludes[m->exclude_count] = (struct manifest_exclude){.rule = mem_strdup(rule), .why = mem_strdup(why)};
    return &m->excludes[m->exclude_count++];
}

static int by_bytes(const void *a, const void *b)
{
    const struct manifest_exclude *x = a, *y = b;
    return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : strcmp(x->rule, y->rule);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct left_out *)a)->path, ((const struct left_out *)b)->path);
}

static void tell_left_out(struct counter *c, const struct tier_files *files)
{
    struct rules rules;
    rules_make(&rules, files);
    if (c->left_count > 0)
        qsort(c->left, c->left_count, sizeof *c->left, by_path);
    for (size_t i = 0; i < c->left_count; i++) {
        const char *rule, *why;
        uint64_t count, bytes;
        explain(c->m, &rules, &c->left[i], &rule, &why);
        struct manifest_exclude *e = exclude_of(c->m, rule, why);
        manifest_measure(c->left[i].path, &count, &bytes);
        e->files += count;
        e->bytes += bytes;
        if (strcmp(c->left[i].why, BESIDE_DATABASE) != 0) {
            c->m->excluded_files += count;
            c->m->excluded_bytes += bytes;
        }
        if (e->example == NULL)
            e->example = mem_strdup(c->left[i].path);
    }
    if (c->m->exclude_count > 0)
        qsort(c->m->excludes, c->m->exclude_count, sizeof *c->m->excludes, by_bytes);
    rules_release(&rules);
}

/* --- all of it --- */

static void add_paths(struct manifest *m, const struct strlist *paths)
{
    struct stat st;
    for (size_t i = 0; i < paths->count; i++) {
        bool covered = false;
        for (size_t k = 0; k < paths->count; k++)
            covered = covered || (k != i && os_path_is_below(paths->items[i], paths->items[k]) &&
                                  (strcmp(paths->items[i], paths->items[k]) != 0 || k < i));
        if (covered)
            continue; /* it lies in another one, and is taken once */
        m->paths = mem_array(m->paths, m->path_count + 1, sizeof *m->paths);
        m->paths[m->path_count++] =
            (struct manifest_path){.path = mem_strdup(paths->items[i]), .missing = lstat(paths->items[i], &st) < 0};
    }
}

static int walk(struct counter *c, const struct tier_files *files, struct err *err)
{
    const struct plan_tier *t = c->m->tier;
    const struct sink_reporter reporter = {
        .ctx = c, .unreadable = report_unreadable, .warning = report_warning, .excluded = report_excluded};
    const struct files_options options = {.paths = &files->paths,
                                          .exclude = files->filter,
                                          .unread = &files->unread,
                                          .unread_why = &files->unread_why,
                                          .exclude_if_present = &t->exclude_if_present,
                                          .exclude_caches = t->exclude_caches,
                                          .exclude_larger_than = t->exclude_larger_than,
                                          .one_file_system = t->one_file_system};
    struct files *source;
    if (files_new(&source, &options, &reporter, err) < 0)
        return -1;
    int rc = files_run(source, &c->sink, err);
    files_free(source);
    if (rc < 0 && err->code == ERR_NOT_FOUND) {
        err_clear(err); /* none of the paths exists: each is marked as missing */
        rc = 0;
    }
    return rc;
}

static int take_files(const struct plan *p, const struct manifest_options *options, struct manifest_progress *progress,
                      struct manifest *out, struct err *err)
{
    struct tier_files files = {0};
    struct counter c = {.sink = {&COUNTER_OPS}, .m = out, .options = options, .progress = progress};
    pthread_mutex_init(&c.mutex, NULL);
    buf_init(&c.dir, SIZE_MAX / 2);
    plan_secrets_find(&c.plans, p);
    int rc = tier_files_gather(p, out->tier, options->cache_dir, &files, err);
    if (rc == 0) {
        add_paths(out, &files.paths);
        rc = walk(&c, &files, err);
    }
    if (rc == 0)
        tell_left_out(&c, &files);
    for (size_t i = 0; i < c.left_count; i++)
        free(c.left[i].path);
    free(c.left);
    buf_release(&c.dir);
    plan_secrets_release(&c.plans);
    pthread_mutex_destroy(&c.mutex);
    tier_files_release(&files);
    return rc == 0 ? os_check_interrupt(err) : rc;
}

int manifest_make(const struct plan *p, const struct plan_tier *t, const struct manifest_options *options,
                  struct manifest_progress *progress, struct manifest *out, struct err *err)
{
    *out = (struct manifest){.tier = t};
    if (t->files.count > 0 && take_files(p, options, progress, out, err) < 0)
        return err_wrap(err, "tier '%s'", t->name);
    manifest_add_items(t, options, out);
    return os_check_interrupt(err);
}

bool manifest_leaves_secrets_out(const struct manifest *m)
{
    return m->tier->format == PLAN_ARCHIVE && m->tier->archive.unencrypted;
}

void manifest_release(struct manifest *m)
{
    for (size_t i = 0; i < m->path_count; i++)
        free(m->paths[i].path);
    for (size_t i = 0; i < m->exclude_count; i++) {
        free(m->excludes[i].rule);
        free(m->excludes[i].why);
        free(m->excludes[i].example);
    }
    for (size_t i = 0; i < m->secret_count; i++)
        free(m->secrets[i].path);
    for (size_t i = 0; i < m->item_count; i++) {
        free(m->items[i].name);
        free(m->items[i].detail);
    }
    free(m->paths);
    free(m->excludes);
    free(m->secrets);
    free(m->items);
    strlist_release(&m->unreadable);
    *m = (struct manifest){0};
}
