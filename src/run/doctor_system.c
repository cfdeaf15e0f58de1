/* The machine around us: schedulers, the clock, and what the records say. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/record.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"
#include "plan/home.h"
#include "plan/schedule.h"
#include "run/doctor_checks.h"
#include "run/health_late.h"
#include "run/processes.h"

enum {
    UNIT_MAX_BYTES = 1 << 20,
    JOBS_MAX_BYTES = 64 << 20,
    CRONTAB_TIMEOUT_MS = 5000,
    RECORDS_READ = 500,
    FUTURE_SLACK_S = 120
};
/* No release is older: 2026-01-01. */
static const time_t FIRST_RELEASE = 1767225600;

/* --- the scheduler --- */

static bool file_mentions_us(const char *path)
{
    struct buf text;
    buf_init(&text, UNIT_MAX_BYTES);
    bool found = os_read_file(path, &text, NULL) == 0 && strstr(buf_cstr(&text), "clawback") != NULL;
    buf_release(&text);
    return found;
}

/* A file in the directory with this ending ("": any) that mentions clawback; the caller frees it. NULL: none. */
static char *mention_in(const char *dir_path, const char *ending)
{
    DIR *dir = opendir(dir_path);
    char *found = NULL;
    for (struct dirent *e; dir != NULL && found == NULL && (e = readdir(dir)) != NULL;) {
        size_t len = strlen(e->d_name), end_len = strlen(ending);
        if (e->d_name[0] == '.' || len < end_len || strcmp(e->d_name + len - end_len, ending) != 0)
            continue;
        char *path = os_path_join(dir_path, e->d_name);
        if (strstr(e->d_name, "clawback") != NULL || file_mentions_us(path))
            found = path;
        else
            free(path);
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

static char *find_unit(const char *ending)
{
    static const char *const DIRS[] = {"~/.config/systemd/user", "/etc/systemd/system", "/etc/systemd/user",
                                       "/usr/lib/systemd/system", "/lib/systemd/system"};
    char *found = NULL;
    for (size_t i = 0; found == NULL && i < sizeof DIRS / sizeof *DIRS; i++) {
        char *dir = os_path_expand_home(DIRS[i]);
        found = mention_in(dir, ending);
        free(dir);
    }
    return found;
}

static bool in_own_crontab(void)
{
    char crontab[] = "crontab", list[] = "-l", *argv[] = {crontab, list, NULL};
    struct process_options options = {.argv = argv, .stdin_fd = -1, .timeout_ms = CRONTAB_TIMEOUT_MS};
    struct buf out;
    buf_init(&out, UNIT_MAX_BYTES);
    bool found = false;
    if (process_run(&options, &out, NULL) == 0)
        for (const char *line = buf_cstr(&out); *line != '\0';) {
            size_t len = strcspn(line, "\n");
            found = found || (*line != '#' && memmem(line, len, "clawback", 8) != NULL);
            line += len + (line[len] == '\n');
        }
    buf_release(&out);
    return found;
}

/* A job's name, its declaration key or the last part of its program's path. */
static bool names_us(const struct buf *text)
{
    static const char *const FORMS[] = {"\"clawback\"", "/clawback\"", "\"clawback "};
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++)
        if (text->len > 0 && memmem(text->data, text->len, FORMS[i], strlen(FORMS[i])) != NULL)
            return true;
    return false;
}

/* The jobs of an OpenClaw of the older kind, or the database of a newer one, whose pages hold them as JSON too. It is
 * not opened as a database: that could leave files beside it. */
static char *find_openclaw_job(const struct plan *p)
{
    static const char *const PLACES[] = {"cron/jobs.json", "state/openclaw.sqlite-wal", "state/openclaw.sqlite"};
    struct agent_home home = {0};
    char *found = NULL;
    agent_home_find(&home, NULL);
    if (p->home != NULL && !strlist_contains(&home.roots, p->home))
        strlist_add(&home.roots, p->home);
    for (size_t i = 0; found == NULL && i < home.roots.count; i++)
        for (size_t k = 0; found == NULL && k < sizeof PLACES / sizeof *PLACES; k++) {
            char *path = os_path_join(home.roots.items[i], PLACES[k]);
            struct buf text;
            buf_init(&text, JOBS_MAX_BYTES);
            if (os_read_file(path, &text, NULL) == 0 && names_us(&text))
                found = mem_printf("a job in %s", path);
            buf_release(&text);
            free(path);
        }
    agent_home_release(&home);
    return found;
}

static bool is_daemon(void *ctx, const struct process_seen *p)
{
    if (strcmp(p->name, "clawback") == 0 && process_mentions(p, "daemon"))
        *(pid_t *)ctx = p->pid;
    return *(pid_t *)ctx == 0;
}

void doctor_scheduler(struct doctor *d)
{
    pid_t pid = 0;
    bool any = false;
    processes_each(is_daemon, &pid);
    if (pid != 0) {
        doctor_say(d, DOCTOR_GREEN, NULL, "the clawback daemon runs (process %d)", (int)pid);
        any = true;
    }
    char *places[] = {find_unit(".timer"), find_unit("clawback.service"), mention_in("/etc/cron.d", ""),
                      in_own_crontab() ? mem_strdup("this user's crontab") : NULL, find_openclaw_job(d->plan)};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i] != NULL)
            doctor_say(d, DOCTOR_GREEN, NULL, "scheduled by %s", places[i]);
        any = any || places[i] != NULL;
        free(places[i]);
    }
    if (!any)
        doctor_say(d, DOCTOR_YELLOW,
                   "once a run by hand went well, let it run by itself, for example with a crontab line: "
                   "0 * * * * clawback run",
                   "nothing runs the backups by itself: no systemd timer, crontab or OpenClaw job mentions clawback");
}

/* --- what the records say --- */

static void age_text(double seconds, char out[32])
{
    duration_format(seconds > 0 ? (uint64_t)(seconds / 60) * 60000 : 0, out);
    if (seconds < 60)
        snprintf(out, 32, "a moment");
}

static double seconds_since(const struct timespec *t)
{
    struct timespec now = os_now();
    return difftime(now.tv_sec, t->tv_sec);
}

static void tell_last(struct doctor *d, const struct plan_tier *t, const struct record_list *l)
{
    const struct record *ended = record_last_ended(l), *good = record_last_good(l, 3);
    char age[32];
    if (ended == NULL) {
        doctor_say(d, DOCTOR_YELLOW, "make the first backup: clawback run --all", "tier '%s' has never run", t->name);
        return;
    }
    if (ended->status == RECORD_FAILED) {
        doctor_say(d, DOCTOR_RED, "put it right, then: clawback run", "the last run of tier '%s' failed: %s", t->name,
                   ended->error != NULL ? ended->error : "for a reason it did not tell");
        return;
    }
    if (good == NULL)
        good = ended;
    double since = seconds_since(&good->time);
    age_text(since, age);
    int64_t late_ms = health_late_ms(t, d->plan->health.late_percent, l, 0);
    if (late_ms != 0 && (int64_t)os_now().tv_sec * 1000 > late_ms)
        doctor_say(d, DOCTOR_YELLOW, "see why the scheduler does not run it; by hand: clawback run",
                   "tier '%s' was last backed up %s ago, and is overdue", t->name, age);
    else if (good->exit_code != 0)
        doctor_say(d, DOCTOR_YELLOW, "see the warnings of the last run",
                   "tier '%s' ran %s ago, but something is missing", t->name, age);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "tier '%s' was %s %s ago", t->name,
                   good->status == RECORD_SKIPPED ? "skipped (nothing of it was running)" : "backed up", age);
}

/* Proofs are recorded like the runs of a tier, under this name. */
static void tell_proof(struct doctor *d)
{
    struct record_list l = {0};
    record_list_read(d->options->state_dir, "drill", RECORDS_READ, &l, NULL);
    const struct record *good = record_last_good(&l, 0);
    double days = good != NULL ? seconds_since(&good->time) / 86400 : 0;
    double max_days = (double)d->plan->health.proof_max_age_ms / 1000 / 86400;
    if (good == NULL)
        doctor_say(d, DOCTOR_YELLOW, "restore something and compare it: clawback restore latest --target DIR --verify",
                   "no restore has been proven yet: a backup counts once something came back from it");
    else if (max_days > 0 && days > max_days)
        doctor_say(d, DOCTOR_YELLOW, "prove it again: clawback restore latest --target DIR --verify",
                   "the last proven restore was %.0f days ago", days);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "a restore was proven %.0f days ago", days);
    record_list_release(&l);
}

void doctor_history(struct doctor *d)
{
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        const struct plan_tier *t = &d->plan->tiers[i];
        struct record_list l = {0};
        struct err err = {0};
        if (t->disabled)
            continue;
        if (record_list_read(d->options->state_dir, t->name, RECORDS_READ, &l, &err) < 0)
            doctor_say(d, DOCTOR_YELLOW, "see who may read clawback's state directory", "%s", err.message);
        else
            tell_last(d, t, &l);
        if (l.damaged > 0)
            doctor_say(d, DOCTOR_YELLOW, "harmless; they are passed over",
                       "%zu lines in the records of tier '%s' are damaged", l.damaged, t->name);
        record_list_release(&l);
    }
    tell_proof(d);
}

/* --- the clock --- */

/* The newest time that anything of ours was written: the clock cannot be before it. */
static time_t newest_trace(const struct doctor *d)
{
    struct stat st;
    time_t newest = FIRST_RELEASE;
    if (stat("/proc/self/exe", &st) == 0 && st.st_mtime > newest)
        newest = st.st_mtime;
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        char *path = record_path(d->options->state_dir, d->plan->tiers[i].name);
        if (stat(path, &st) == 0 && st.st_mtime > newest)
            newest = st.st_mtime;
        free(path);
    }
    return newest;
}

void doctor_clock(struct doctor *d)
{
    struct timespec now = os_now();
    char text[OS_TIME_BYTES];
    struct timex state = {0};
    int status = adjtimex(&state);
    os_time_format_human(&now, text);
    if (now.tv_sec + FUTURE_SLACK_S < newest_trace(d)) {
        doctor_say(d, DOCTOR_RED, "set it (timedatectl set-ntp true): retention and schedules go by it",
                   "the clock says %s, which is before things that were written already", text);
        return;
    }
    if (status < 0)
        doctor_say(d, DOCTOR_YELLOW, "see that it is right", "the clock says %s; the system does not tell more", text);
    else if (status == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
        doctor_say(d, DOCTOR_YELLOW, "keep it in step by itself: timedatectl set-ntp true",
                   "the clock says %s, and nothing keeps it in step", text);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "the clock says %s and is kept in step", text);
}
