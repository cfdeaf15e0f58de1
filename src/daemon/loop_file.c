/*
 * jobs.json as it changes. The directory is watched, since the file is replaced whole by whoever is careful; what
 * inotify does not tell (network file systems, a link that leads elsewhere) a look every 30 seconds finds.
 *
 * A file that is broken, or gone, changes nothing: the last good set of jobs goes on.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"
#include "os/file.h"

enum {
    SETTLE_MS = 100, /* between a change and reading: others may follow at once */
    DOUBT_MS = 1000, /* a file that is broken just after a change may only be half written: look again before crying */
    LOOK_MS = 30 * 1000,
    BLIND_LOOK_MS = 5 * 1000, /* while the directory cannot be watched */
};
enum {
    EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
             IN_MOVE_SELF | IN_ONLYDIR
};

/* --- watching --- */

static void watch_directory(struct jobs_watch *f)
{
    if (f->inotify_fd >= 0 && f->watch < 0)
        f->watch = inotify_add_watch(f->inotify_fd, f->dir, EVENTS);
}

static void unwatch(struct jobs_watch *f)
{
    if (f->watch >= 0)
        (void)inotify_rm_watch(f->inotify_fd, f->watch);
    f->watch = -1;
}

void loop_file_open(struct loop *l)
{
    struct jobs_watch *f = &l->file;
    const char *path = l->options.jobs_file, *slash = strrchr(path, '/');
    f->dir = slash == NULL   ? mem_strdup(".")
             : slash == path ? mem_strdup("/")
                             : mem_strndup(path, (size_t)(slash - path));
    f->name = mem_strdup(slash == NULL ? path : slash + 1);
    f->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    f->watch = -1;
    f->reread_ns = UINT64_MAX;
    f->look_ns = 0;
    watch_directory(f);
}

void loop_file_close(struct loop *l)
{
    struct jobs_watch *f = &l->file;
    if (f->inotify_fd >= 0)
        close(f->inotify_fd);
    job_list_release(&f->jobs);
    jobs_report_release(&f->report);
    loop_said_well(&f->file_said);
    free(f->mistakes_said);
    free(f->dir);
    free(f->name);
}

static void reread_soon(struct jobs_watch *f, uint64_t ms)
{
    uint64_t then = loop_in_ms(ms);
    if (then < f->reread_ns)
        f->reread_ns = then;
}

static void one_event(struct jobs_watch *f, const struct inotify_event *e)
{
    if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
        if (e->wd != f->watch)
            return;
        if (e->mask & IN_IGNORED)
            f->watch = -1;
        else
            unwatch(f);
        f->look_ns = loop_in_ms(DOUBT_MS);
        reread_soon(f, SETTLE_MS);
    } else if ((e->mask & IN_Q_OVERFLOW) || (e->len > 0 && strcmp(e->name, f->name) == 0)) {
        reread_soon(f, SETTLE_MS);
    }
}

void loop_file_event(struct loop *l)
{
    char events[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)] __attribute__((aligned(8)));
    ssize_t n;
    while ((n = read(l->file.inotify_fd, events, sizeof events)) > 0) {
        for (const char *p = events; p < events + n;) {
            const struct inotify_event *e = (const void *)p;
            one_event(&l->file, e);
            p += sizeof *e + e->len;
        }
    }
}

uint64_t loop_file_wake_ns(const struct loop *l)
{
    const struct jobs_watch *f = &l->file;
    return f->reread_ns < f->look_ns ? f->reread_ns : f->look_ns;
}

void loop_file_tick(struct loop *l)
{
    struct jobs_watch *f = &l->file;
    uint64_t now = os_monotonic_ns();
    bool changed = now >= f->reread_ns;
    if (!changed && now < f->look_ns)
        return;
    if (now >= f->look_ns) {
        watch_directory(f);
        f->look_ns = loop_in_ms(f->watch >= 0 ? LOOK_MS : BLIND_LOOK_MS);
    }
    loop_file_read(l, changed, NULL);
}

/* --- reading --- */

/* "line 7: what is wrong" without the line: a change further up is no new mistake. */
static const char *without_line(const char *message)
{
    const char *p = message;
    if (strncmp(p, "line ", 5) != 0)
        return message;
    p += 5;
    p += strspn(p, "0123456789");
    return strncmp(p, ": ", 2) == 0 ? p + 2 : message;
}

static char *mistakes_text(const struct jobs_report *report)
{
    struct strlist all = {0};
    for (size_t i = 0; i < report->count; i++) {
        char *one = mem_printf("%s: %s", report->items[i].id, without_line(report->items[i].message));
        strlist_add(&all, one);
        free(one);
    }
    char *text = strlist_join(&all, "\n");
    strlist_release(&all);
    return text;
}

static void say_mistakes(struct jobs_watch *f, const char *path)
{
    char *text = mistakes_text(&f->report);
    bool same = f->mistakes_said != NULL && strcmp(f->mistakes_said, text) == 0;
    if (!same && f->report.count == 0 && f->mistakes_said != NULL && *f->mistakes_said != '\0')
        loop_say(LOG_LEVEL_INFO, "'%s': all entries are good now", path);
    for (size_t i = 0; !same && i < f->report.count; i++)
        loop_say(LOG_LEVEL_WARNING, "'%s': job '%s': %s%s", path, f->report.items[i].id, f->report.items[i].message,
                 f->report.items[i].left_out ? "; this job is left out" : "");
    free(f->mistakes_said);
    f->mistakes_said = text;
}

static bool same_jobs(const struct job_list *a, const struct job_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = job_equal(&a->items[i], &b->items[i]);
    return same;
}

static size_t count_enabled(const struct job_list *jobs)
{
    size_t n = 0;
    for (size_t i = 0; i < jobs->count; i++)
        n += jobs->items[i].enabled;
    return n;
}

static void take(struct loop *l, struct job_list *jobs, struct jobs_report *report)
{
    struct jobs_watch *f = &l->file;
    bool first = l->scheduler == NULL || !f->there, changed = !same_jobs(&f->jobs, jobs);
    f->there = true;
    job_list_release(&f->jobs);
    jobs_report_release(&f->report);
    f->jobs = *jobs;
    f->report = *report;
    loop_state_apply(l);
    say_mistakes(f, l->options.jobs_file);
    if (!changed && !first)
        return;
    loop_say(LOG_LEVEL_INFO, "'%s': %zu jobs, %zu of them enabled", l->options.jobs_file, f->jobs.count,
             count_enabled(&f->jobs));
    l->beat_now = true;
    if (l->scheduler != NULL && changed)
        scheduler_set_jobs(l->scheduler, &f->jobs, NULL, 0, loop_time());
}

static void complain(struct loop *l, const struct err *err)
{
    struct jobs_watch *f = &l->file;
    char *text;
    if (err->code == ERR_NOT_FOUND && f->jobs.count == 0)
        text = mem_printf("'%s' is not there; it is read as soon as it is", l->options.jobs_file);
    else if (err->code == ERR_NOT_FOUND)
        text = mem_printf("'%s' is gone; the %zu jobs that were in it go on", l->options.jobs_file, f->jobs.count);
    else
        text = mem_printf("%s; the %zu jobs that were known go on", err->message, f->jobs.count);
    loop_say_once(&f->file_said, LOG_LEVEL_WARNING, text);
    free(text);
    l->beat_now = l->beat_now || err->code == ERR_NOT_FOUND; /* has more gone than this file? */
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int loop_file_read(struct loop *l, bool in_any_case, struct err *err)
{
    struct jobs_watch *f = &l->file;
    struct stat st = {0};
    struct job_list jobs = {0};
    struct jobs_report report = {0};
    struct err this = {0};
    bool doubted = f->doubted;
    (void)!stat(l->options.jobs_file, &st);
    if (!in_any_case && is_same_file(&st, &f->seen))
        return 0;
    f->seen = st;
    f->reread_ns = UINT64_MAX;
    f->doubted = false;
    if (jobs_file_load(l->options.jobs_file, &jobs, &report, &this) == 0) {
        if (loop_said_well(&f->file_said))
            loop_say(LOG_LEVEL_INFO, "'%s' can be read again", l->options.jobs_file);
        take(l, &jobs, &report);
        return 0;
    }
    jobs_report_release(&report);
    if (this.code == ERR_CORRUPT && !doubted && l->scheduler != NULL && f->file_said.text == NULL) {
        f->doubted = true;
        reread_soon(f, DOUBT_MS);
    } else {
        complain(l, &this);
    }
    f->there = f->there && this.code != ERR_NOT_FOUND;
    if (err != NULL)
        *err = this;
    return -1;
}
