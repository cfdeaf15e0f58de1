/*
 * The progress thread. Invariant: `stopping` and the condition are used under `mutex` only; draw and status are called
 * without it, from this thread only, so that they may take their time.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/output.h"
#include "os/clock.h"

enum {
    REDRAW_MS = 100,
    STATUS_MS = 1000,
    LOG_FIRST_MS = 10000, /* what is over sooner needs no line before its summary */
    LOG_MS = 60000,
    LOG_COLUMNS = 160,
    LINE_MAX_BYTES = 1024
};

struct cli_progress {
    struct cli *cli;
    cli_progress_draw *draw;
    json_t *(*status)(void *ctx);
    void *ctx;
    uint64_t interval_ms;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping;
};

static void tick(struct cli_progress *p)
{
    if (p->cli->json) {
        json_t *status = p->status(p->ctx);
        if (status != NULL) {
            cli_json(p->cli, status);
            fflush(stdout); /* somebody is watching */
        }
        return;
    }
    char line[LINE_MAX_BYTES] = "";
    if (!p->cli->terminal) {
        p->draw(p->ctx, line, sizeof line, LOG_COLUMNS);
        if (line[0] != '\0')
            cli_note(p->cli, "%s", line);
        if (p->interval_ms == LOG_FIRST_MS)
            p->interval_ms = LOG_MS;
        return;
    }
    unsigned columns = cli_columns(stderr);
    p->draw(p->ctx, line, sizeof line, columns);
    /* A line that fills the last column would wrap on some terminals. */
    cli_text_cut(line, columns > 1 ? columns - 1 : 1, false);
    output_live_line(line);
}

/* Waits one interval, or less when it is time to stop. */
static bool wait_for_tick(struct cli_progress *p)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + p->interval_ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&p->mutex);
    int rc = 0;
    while (!p->stopping && rc == 0)
        rc = pthread_cond_timedwait(&p->wake, &p->mutex, &until);
    bool go_on = !p->stopping;
    pthread_mutex_unlock(&p->mutex);
    return go_on;
}

static void *progress_main(void *arg)
{
    struct cli_progress *p = arg;
    while (wait_for_tick(p))
        tick(p);
    return NULL;
}

/* Frames a second, as restic's users set it; 0: unset or nonsense. */
static double frames_per_second(void)
{
    const char *fps = getenv("CLAWBACK_PROGRESS_FPS");
    if (fps == NULL || *fps == '\0')
        fps = getenv("RESTIC_PROGRESS_FPS");
    double n = fps != NULL ? strtod(fps, NULL) : 0;
    return n > 0.001 && n <= 60 ? n : 0;
}

struct cli_progress *cli_progress_start_json(struct cli *cli, cli_progress_draw *draw, json_t *(*status)(void *ctx),
                                             void *ctx)
{
    bool wanted = !cli->quiet && (cli->json ? status != NULL : draw != NULL);
    if (!wanted)
        return NULL;
    struct cli_progress *p = mem_zalloc(sizeof *p);
    *p = (struct cli_progress){.cli = cli, .draw = draw, .status = status, .ctx = ctx};
    double fps = frames_per_second();
    p->interval_ms = fps > 0         ? (uint64_t)(1000 / fps)
                     : cli->json     ? STATUS_MS
                     : cli->terminal ? REDRAW_MS
                                     : LOG_FIRST_MS;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    /* Signals belong to the main thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->thread, NULL, progress_main, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        /* Work matters more than its display. */
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->mutex);
        free(p);
        return NULL;
    }
    return p;
}

struct cli_progress *cli_progress_start(struct cli *cli, cli_progress_draw *draw, void *ctx)
{
    return cli_progress_start_json(cli, draw, NULL, ctx);
}

void cli_progress_stop(struct cli_progress *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    pthread_join(p->thread, NULL);
    output_live_line(NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

void cli_rate_sample(struct cli_rate *r, uint64_t now_ns, uint64_t value)
{
    static const uint64_t interval_ns = 1000000000;
    uint64_t ns = now_ns - r->sampled_ns;
    if (ns < interval_ns || value < r->sampled)
        return;
    double now = (double)(value - r->sampled) * 1e9 / (double)ns;
    r->per_second = r->per_second > 0 ? r->per_second * 0.6 + now * 0.4 : now;
    r->sampled_ns = now_ns;
    r->sampled = value;
}
