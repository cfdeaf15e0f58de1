/* Starting what is due. The order of steps is what loop.h promises by. */
#include <stdlib.h>
#include <string.h>
#include "base/id.h"
#include "base/mem.h"
#include "crypto/cipher.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"

enum { MEMORY_AGAIN_MS = 5000 };

struct slot *loop_free_slot(struct loop *l)
{
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++)
        if (!l->slots[i].taken)
            return &l->slots[i];
    return NULL;
}

const struct slot *loop_slot_of(const struct loop *l, const char *id)
{
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++)
        if (l->slots[i].taken && strcmp(l->slots[i].job.id, id) == 0)
            return &l->slots[i];
    return NULL;
}

void loop_slot_release(struct loop *l, struct slot *s)
{
    job_run_free(s->run);
    job_release(&s->job);
    *s = (struct slot){0};
    l->running--;
}

/* --- memory --- */

void loop_save_memory(struct loop *l)
{
    struct err err = {0};
    uint64_t now = os_monotonic_ns();
    if (now < l->memory_again_ns)
        return;
    if (memory_save(l->memory, l->scheduler, &err) == 0) {
        l->memory_again_ns = 0;
        if (loop_said_well(&l->memory_said))
            loop_say(LOG_LEVEL_INFO, "what is remembered of jobs is written again");
        return;
    }
    char *text = mem_printf("%s; jobs go on, but should the daemon be killed now some may run twice", err.message);
    loop_say_trouble(&l->memory_said, LOG_LEVEL_ERROR, text);
    free(text);
    l->memory_again_ns = loop_in_ms(MEMORY_AGAIN_MS);
}

/* --- missed --- */

static void report_missed(struct loop *l, const struct scheduler_missed *m)
{
    char first[32], last[32];
    char *text = m->count == 1
                     ? mem_printf("missed the time %s: %s", loop_time_text(m->first_ms, first), m->why)
                     : mem_printf("missed %llu times from %s to %s: %s", (unsigned long long)m->count,
                                  loop_time_text(m->first_ms, first), loop_time_text(m->last_ms, last), m->why);
    struct record r = loop_record_new(RECORD_SKIPPED, m->id, NULL, loop_time().wall_ms);
    loop_say(LOG_LEVEL_WARNING, "job '%s' %s", m->id, text);
    r.message = text;
    loop_record(l, &r);
}

/* --- starting --- */

/* Shown to programs as CLAWBACK_RUN_ID, and in all records of the run. */
static void make_run_id(char out[LOOP_RUN_ID_BYTES])
{
    struct id id = {0};
    char hex[ID_HEX_BYTES];
    /* Without random numbers the time makes it unique enough. */
    if (crypto_random(id.bytes, (LOOP_RUN_ID_BYTES - 1) / 2, NULL) != 0) {
        uint64_t now = os_monotonic_ns();
        memcpy(id.bytes, &now, sizeof now);
    }
    memcpy(out, id_to_hex(&id, hex), LOOP_RUN_ID_BYTES - 1);
    out[LOOP_RUN_ID_BYTES - 1] = '\0';
}

static void take_start(struct loop *l, const struct scheduler_start *start)
{
    struct slot *s = loop_free_slot(l);
    *s = (struct slot){.taken = true,
                       .fresh = true,
                       .reason = start->reason,
                       .due_ms = start->due_ms,
                       .began_ms = loop_time().wall_ms,
                       .attempt = start->attempt,
                       .retry_after_ms = start->retry_after_ms};
    job_copy(&s->job, start->job);
    make_run_id(s->run_id);
    l->running++;
}

static char *describe(const struct slot *s)
{
    char when[32];
    switch (s->reason) {
    case RUN_DUE:
        break;
    case RUN_CAUGHT_UP:
        return mem_printf("made up for %s", loop_time_text(s->due_ms, when));
    case RUN_RETRY:
        return mem_printf("attempt %u", s->attempt);
    case RUN_CHAINED:
        return mem_strdup("follows another job");
    case RUN_ASKED:
        return mem_strdup("asked for");
    }
    return mem_printf("due %s", loop_time_text(s->due_ms, when));
}

static char **environment_of(const struct slot *s)
{
    size_t count = s->job.env.count;
    char **env = mem_array(NULL, count + 5, sizeof *env);
    for (size_t i = 0; i < count; i++)
        env[i] = mem_strdup(s->job.env.items[i]);
    env[count++] = mem_printf("CLAWBACK_RUN_ID=%s", s->run_id);
    env[count++] = mem_printf("CLAWBACK_JOB=%s", s->job.id);
    env[count++] = mem_printf("CLAWBACK_ATTEMPT=%u", s->attempt);
    env[count++] = mem_printf("CLAWBACK_RETRY_AFTER_MS=%lld", (long long)s->retry_after_ms);
    env[count] = NULL;
    return env;
}

static int prepare(struct loop *l, struct slot *s, struct err *err)
{
    char **argv = mem_array(NULL, s->job.argv.count + 1, sizeof *argv), **env = environment_of(s);
    if (s->job.argv.count > 0)
        memcpy(argv, s->job.argv.items, s->job.argv.count * sizeof *argv);
    argv[s->job.argv.count] = NULL;
    const struct job_run_options options = {.argv = argv,
                                            .environment = (const char *const *)env,
                                            .directory = s->job.directory,
                                            .input = s->job.input,
                                            .timeout_ms = s->job.timeout_ms,
                                            .grace_ms = l->options.grace_ms};
    int rc = job_run_prepare(&s->run, &options, err);
    for (char **e = env; *e != NULL; e++)
        free(*e);
    free(env);
    free(argv);
    return rc;
}

static void record_start(struct loop *l, const struct slot *s)
{
    char *how = describe(s);
    struct record r = loop_record_new(RECORD_STARTED, s->job.id, s->run_id, s->began_ms);
    r.pid = s->run != NULL ? job_run_pid(s->run) : 0;
    loop_record(l, &r);
    loop_say(LOG_LEVEL_INFO, "job '%s' started, %s", s->job.id, how);
    free(how);
}

static void start(struct loop *l, struct slot *s)
{
    struct err err = {0};
    s->fresh = false;
    if (s->job.argv.count > 0 && prepare(l, s, &err) != 0) {
        record_start(l, s);
        loop_run_failed(l, s, &err);
        return;
    }
    record_start(l, s);
    if (s->run != NULL)
        job_run_go(s->run);
    else
        loop_run_noted(l, s);
}

/* A follower of what has just been noted, or could not be started, is due at once: hence again and again. */
void loop_start_due(struct loop *l)
{
    struct scheduler_start due;
    struct scheduler_missed missed;
    bool any = true;
    for (unsigned round = 0; any && round < LOOP_JOBS_AT_ONCE; round++) {
        any = false;
        while (!l->stopping && l->running < LOOP_JOBS_AT_ONCE &&
               scheduler_next_start(l->scheduler, loop_time(), &due)) {
            take_start(l, &due);
            any = true;
        }
        while (scheduler_next_missed(l->scheduler, &missed))
            report_missed(l, &missed);
        loop_save_memory(l);
        for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++)
            if (l->slots[i].fresh)
                start(l, &l->slots[i]);
    }
    loop_save_memory(l);
}

void loop_pump_jobs(struct loop *l)
{
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++) {
        struct slot *s = &l->slots[i];
        if (s->run != NULL && job_run_pump(s->run))
            loop_run_ended(l, s);
    }
}
