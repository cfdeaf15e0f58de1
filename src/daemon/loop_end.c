/* What became of a run: the last line in its log, what the scheduler is told, the job's state. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"
#include "os/file.h"
#include "plan/schedule.h"

enum { WORDS_MAX_BYTES = 400, EXIT_PARTIAL = 3, CLOCK_GRAIN_MS = 2000 };

/* --- did it run clawback? --- */

static bool is_clawback(const struct job *j)
{
    const char *program = j->argv.count > 0 ? j->argv.items[0] : "", *slash = strrchr(program, '/');
    return strcmp(slash != NULL ? slash + 1 : program, "clawback") == 0;
}

/* The log of a job that we know of, and therefore most likely no tier's. */
static bool is_job_log(const struct loop *l, const char *name)
{
    size_t len = strlen(name), suffix = sizeof ".jsonl" - 1;
    for (size_t i = 0; len > suffix && i < l->file.jobs.count; i++) {
        const char *id = l->file.jobs.items[i].id;
        if (strncmp(id, name, len - suffix) == 0 && id[len - suffix] == '\0')
            return true;
    }
    return false;
}

/* Has a tier's log been written to since then? Only then is it worth reading them all. */
static bool tier_logs_changed(const struct loop *l, int64_t since_ms)
{
    char *dir = os_path_join(l->options.state_dir, "runs");
    DIR *d = opendir(dir);
    struct dirent *e;
    bool changed = false;
    while (d != NULL && !changed && (e = readdir(d)) != NULL) {
        struct stat st;
        if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
            (int64_t)st.st_mtim.tv_sec * 1000 + CLOCK_GRAIN_MS >= since_ms)
            changed = !is_job_log(l, e->d_name);
    }
    if (d != NULL)
        closedir(d);
    free(dir);
    return changed;
}

/* Adds up what the tiers of the run have to say. True: it was a run of clawback's. */
static bool sum_up(const struct loop *l, const struct slot *s, struct record *r)
{
    bool ours = is_clawback(&s->job);
    if (!ours && !s->left_over && !tier_logs_changed(l, s->began_ms))
        return false;
    return record_sum_run(l->options.state_dir, s->run_id, r) > 0 || ours;
}

/* --- what to say --- */

/* The last line of what it said, errors first; NULL: nothing. */
static char *last_words(const struct job_run *run)
{
    char *words = job_words_last(job_run_stderr(run), WORDS_MAX_BYTES);
    return words != NULL ? words : job_words_last(job_run_stdout(run), WORDS_MAX_BYTES);
}

/* NULL: it went well, as far as its end tells. */
static char *what_went_wrong(const struct slot *s, const struct job_end *end, bool ours)
{
    char limit[32];
    if (end->not_started)
        return mem_strdup(end->start_error.message);
    duration_format(s->job.timeout_ms, limit);
    if (end->timed_out)
        return mem_printf("took longer than %s and was stopped", limit);
    if (end->exit_code == 0 || (end->exit_code == EXIT_PARTIAL && ours))
        return NULL;
    if (end->stopped)
        return mem_strdup("was stopped together with the daemon");
    if (end->lost)
        return mem_strdup("the daemon was restarted meanwhile, nobody knows how it ended");
    if (end->signal != 0)
        return mem_printf("was killed by signal %d (%s)", end->signal, strsignal(end->signal));
    return mem_printf("exited with status %d", end->exit_code);
}

/* A run whose exit status is lost is as good as its tiers' records. */
static char *what_tiers_say(const struct record *r, size_t tiers)
{
    if (tiers == 0)
        return mem_strdup("the daemon was killed meanwhile, nobody knows how it ended");
    return r->uploaded ? NULL : mem_strdup(r->warnings.count > 0 ? r->warnings.items[0] : "nothing was stored");
}

static void add_words(struct record *r, const struct slot *s)
{
    char *words = last_words(s->run);
    if (words == NULL || r->error == NULL) {
        r->message = words;
        return;
    }
    char *all = mem_printf("%s: %s", r->error, words);
    free(r->error);
    r->error = all;
    free(words);
}

/* --- telling --- */

static void say_end(const struct slot *s, const struct record *r, int64_t retry_ms)
{
    char took[32], when[32];
    duration_format(r->duration_ms >= 1000 ? r->duration_ms / 1000 * 1000 : r->duration_ms, took);
    if (r->status == RECORD_COMPLETED && r->exit_code == 0)
        loop_say(LOG_LEVEL_INFO, "job '%s' completed in %s", s->job.id, took);
    else if (r->status == RECORD_COMPLETED)
        loop_say(LOG_LEVEL_WARNING, "job '%s' completed in %s, but something is missing: %s", s->job.id, took,
                 r->warnings.count > 0 ? r->warnings.items[0]
                 : r->message != NULL  ? r->message
                                       : "its own log says what");
    else if (retry_ms > 0)
        loop_say(LOG_LEVEL_ERROR, "job '%s' failed after %s: %s; it is tried again at %s", s->job.id, took, r->error,
                 loop_time_text(retry_ms, when));
    else
        loop_say(LOG_LEVEL_ERROR, "job '%s' failed after %s: %s", s->job.id, took, r->error);
}

/* The scheduler first, since it knows whether another attempt follows; the memory is saved after the line is written.
 */
static void close_run(struct loop *l, struct slot *s, struct record *r)
{
    enum job_status status = r->status == RECORD_COMPLETED ? JOB_OK : JOB_ERROR;
    int64_t retry_ms = scheduler_ended(l->scheduler, s->job.id, status, true, loop_time());
    r->retry = retry_ms > 0;
    say_end(s, r, retry_ms);
    loop_state_set(l, &s->job, s->began_ms, status, r->duration_ms);
    loop_record(l, r);
    if (status == JOB_ERROR)
        loop_outbox_failed(l, retry_ms);
    loop_slot_release(l, s);
}

void loop_run_ended(struct loop *l, struct slot *s)
{
    const struct job_end *end = job_run_end(s->run);
    struct record r = loop_record_new(RECORD_COMPLETED, s->job.id, s->run_id, loop_time().wall_ms);
    size_t tiers = 0;
    bool ours = false;
    if (end->lost)
        tiers = record_sum_run(l->options.state_dir, s->run_id, &r);
    else
        ours = sum_up(l, s, &r);
    r.duration_ms = s->left_over ? loop_since_ms(s->began_ms) : end->duration_ms;
    r.exit_code = end->lost ? (r.warnings.count > 0 ? EXIT_PARTIAL : 0) : end->exit_code;
    r.error = end->lost && !end->timed_out && !end->stopped ? what_tiers_say(&r, tiers) : what_went_wrong(s, end, ours);
    if (r.error != NULL) {
        r.status = RECORD_FAILED;
        r.interrupted = end->stopped || (end->lost && tiers == 0);
        r.exit_code = end->lost ? 1 : end->exit_code;
    }
    add_words(&r, s);
    close_run(l, s, &r);
}

void loop_run_failed(struct loop *l, struct slot *s, const struct err *err)
{
    struct record r = loop_record_new(RECORD_FAILED, s->job.id, s->run_id, loop_time().wall_ms);
    r.error = mem_strdup(err->message);
    r.exit_code = 1;
    close_run(l, s, &r);
}

void loop_run_noted(struct loop *l, struct slot *s)
{
    struct record r = loop_record_new(RECORD_COMPLETED, s->job.id, s->run_id, loop_time().wall_ms);
    if (s->job.text != NULL)
        r.message = mem_strdup(s->job.text);
    close_run(l, s, &r);
}
