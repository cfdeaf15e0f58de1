/*
 * Sending: each channel has at most one message on its way, in a thread of the pool, so that one that hangs keeps only
 * itself. The threads touch no database: what came of a message is written by the thread that called outbox_flush().
 *
 * Invariants: a line is LINE_SENDING from pool_submit() until its result was taken; only then does another thread touch
 * its batch. Whatever is sent was put off on disk before.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/channel.h"
#include "monitor/log.h"
#include "monitor/message_text.h"
#include "monitor/outbox.h"
#include "monitor/outbox_rows.h"
#include "monitor/state_tables.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "os/pool.h"

enum {
    THREADS_MAX = 8,
    LAST_MS = 500, /* before the deadline nothing is begun any more */
    WAIT_MS = 50,  /* between two looks at the lock */
    MINUTE_MS = 60000,
    LONGEST_MS = 58 * MINUTE_MS,
    MISTAKE_PAUSE_MS = 10 * MINUTE_MS,
    ATTEMPTS_MAX = 150 /* where the clock cannot tell that days have passed */
};
static const int64_t KEPT_MS = 3 * INT64_C(86400000), HOPELESS_KEPT_MS = INT64_C(86400000);

enum line_state { LINE_READY, LINE_SENDING, LINE_SENT, LINE_STOPPED };

struct flush;
/* A channel, and its message on the way. */
struct line {
    struct flush *flush;
    struct plan_channel channel; /* a copy with the time that it may take now */
    enum line_state state;
    struct outbox_rows rows;
    struct outbox_batch batch;
    /* the result, once SENT */
    int rc;
    struct channel_answer answer;
    struct err err;
};

struct flush {
    const struct plan *plan;
    struct state *state;
    uint64_t deadline_ns;
    struct outbox_result *result;
    struct line *lines;
    size_t count;
    struct pool *pool;
    bool interrupted;      /* the process was when we began: then it wants this to be sent all the same */
    pthread_mutex_t mutex; /* guards lines[].state */
    pthread_cond_t sent;
};

static uint64_t left_ms(const struct flush *f)
{
    uint64_t now = os_monotonic_ns();
    return now < f->deadline_ns ? (f->deadline_ns - now) / 1000000 : 0;
}

static bool shall_stop(const struct flush *f)
{
    return os_interrupted() && !f->interrupted;
}

/* --- one sender at a time --- */

/* The lock's descriptor; -1: somebody else sends until the deadline, or there is no lock to be had. */
static int take_lock(const struct flush *f, struct err *err)
{
    char *path = os_path_join(state_dir_of(f->state), "outbox.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = -1;
    if (fd < 0)
        err_errno(err, errno, "cannot open '%s'", path);
    while (fd >= 0 && (rc = flock(fd, LOCK_EX | LOCK_NB)) != 0 && (errno == EWOULDBLOCK || errno == EINTR) &&
           left_ms(f) > WAIT_MS && !shall_stop(f))
        os_sleep_ms(WAIT_MS);
    if (fd >= 0 && rc != 0)
        close(fd);
    free(path);
    return rc == 0 ? fd : -1;
}

/* --- rows --- */

static int write_rows(struct state *s, const struct outbox_batch *b, const char *sql, int64_t a, const char *text,
                      struct err *err)
{
    int rc = state_begin(s, err);
    for (size_t i = 0; i < b->count && rc == 0; i++)
        rc = text != NULL ? state_run(s, err, sql, "iti", a, text, b->ids[i])
                          : state_run(s, err, sql, "ii", a, b->ids[i]);
    if (rc == 0)
        rc = state_commit(s, err);
    if (rc != 0)
        state_rollback(s);
    return rc;
}

static int delete_rows(struct state *s, const struct outbox_batch *b, int64_t not_after_ms, struct err *err)
{
    return write_rows(s, b, "DELETE FROM outbox WHERE created_ms <= ? AND id = ?", not_after_ms, NULL, err);
}

/* 1, 2, 4 … minutes after the attempt of that number, from 1. */
static int64_t pause_ms(int attempts)
{
    int64_t ms = attempts < 1 ? MINUTE_MS : attempts > 6 ? LONGEST_MS : (int64_t)MINUTE_MS << (attempts - 1);
    return ms < LONGEST_MS ? ms : LONGEST_MS;
}

/* Before it is sent: a process that dies over it does not send it again and again. */
static int put_off(struct flush *f, struct line *l, struct err *err)
{
    return write_rows(f->state, &l->batch, "UPDATE outbox SET attempts = attempts + 1, due_ms = ? WHERE id = ?",
                      os_now_ms() + pause_ms(l->rows.items[0].attempts + 1), NULL, err);
}

/* --- sending --- */

static void send_one(void *arg, unsigned worker)
{
    struct line *l = arg;
    (void)worker;
    l->rc = channel_send(&l->channel, &l->batch.message, &l->answer, &l->err);
    pthread_mutex_lock(&l->flush->mutex);
    l->state = LINE_SENT;
    pthread_cond_signal(&l->flush->sent);
    pthread_mutex_unlock(&l->flush->mutex);
}

static void forget(struct line *l)
{
    outbox_rows_release(&l->rows);
    outbox_batch_release(&l->batch);
}

static bool is_due(const struct outbox_rows *rows, int64_t now_ms)
{
    return rows->count > 0 && (rows->items[0].due_ms <= now_ms || rows->items[0].due_ms > now_ms + OUTBOX_FAR_MS);
}

/* The channel's next message, on its way. Rows that need not be sent just go. -1: the database has a problem. */
static int start_next(struct flush *f, struct line *l, const struct plan_channel *c, struct err *err)
{
    for (;;) {
        int64_t now_ms = os_now_ms();
        uint64_t left = left_ms(f), wanted = c->timeout_ms > 0 ? c->timeout_ms : 30000;
        l->state = LINE_STOPPED;
        forget(l);
        if (left < LAST_MS || shall_stop(f))
            return 0;
        if (outbox_rows_read(f->state, c->name, &l->rows, err) != 0)
            return -1;
        if (!is_due(&l->rows, now_ms))
            return 0;
        outbox_batch_make(&l->rows, f->plan->host, now_ms, &l->batch);
        if (l->batch.empty) {
            if (delete_rows(f->state, &l->batch, INT64_MAX, err) != 0)
                return -1;
            continue;
        }
        if (put_off(f, l, err) != 0)
            return -1;
        l->channel = *c;
        l->channel.timeout_ms = wanted < left ? wanted : left;
        l->state = LINE_SENDING;
        pool_submit(f->pool, send_one, l);
        return 0;
    }
}

/* --- what came of it --- */

static const char *described(const struct line *l)
{
    static const char *const PINGS[] = {
        [PING_START] = "ping: start", [PING_SUCCESS] = "ping: success", [PING_FAIL] = "ping: fail"};
    const struct message *m = &l->batch.message;
    return m->kind == MESSAGE_PING ? PINGS[m->ping] : m->title;
}

static int note_success(struct flush *f, struct line *l, struct err *err)
{
    log_line(LOG_LEVEL_INFO, "told '%s' (%s): %s", l->channel.name, l->answer.text, described(l));
    f->result->sent++;
    return delete_rows(f->state, &l->batch, INT64_MAX, err);
}

/* Those that have waited too long go, the others wait longer. */
static int note_failure(struct flush *f, struct line *l, struct err *err)
{
    char when[32];
    int attempts = l->rows.items[0].attempts + 1;
    int64_t now_ms = os_now_ms(), kept_ms = l->answer.hopeless ? HOPELESS_KEPT_MS : KEPT_MS;
    int64_t pause = l->answer.hopeless ? LONGEST_MS : pause_ms(attempts), asked = (int64_t)l->answer.retry_after_ms;
    pause = asked > pause ? asked : pause;
    int64_t gone_ms = attempts >= ATTEMPTS_MAX ? INT64_MAX : now_ms - kept_ms;
    size_t gone = 0;
    for (size_t i = 0; i < l->batch.count; i++)
        gone += l->rows.items[i].created_ms <= gone_ms;
    text_span(pause, when);
    if (gone > 0)
        log_line(LOG_LEVEL_ERROR,
                 "given up telling '%s' %zu of %zu things, which it should have heard days ago: %s: %s",
                 l->channel.name, gone, l->batch.count, described(l), l->err.message);
    if (gone < l->batch.count)
        log_line(LOG_LEVEL_WARNING, "%s: tried again in %s: %s", l->err.message, when, described(l));
    f->result->given_up += gone;
    if (gone > 0 && delete_rows(f->state, &l->batch, gone_ms, err) != 0)
        return -1;
    return write_rows(f->state, &l->batch, "UPDATE outbox SET due_ms = ?, last_error = ? WHERE id = ?", now_ms + pause,
                      l->err.message, err);
}

/* Somebody asked the program to stop: that is no failure of the channel's. */
static int note_interruption(struct flush *f, struct line *l, struct err *err)
{
    return write_rows(f->state, &l->batch, "UPDATE outbox SET attempts = attempts - 1, due_ms = ? WHERE id = ?",
                      os_now_ms(), NULL, err);
}

/* Waits until one was sent; NULL: none is on its way. */
static struct line *wait_for_one(struct flush *f)
{
    struct line *found = NULL;
    pthread_mutex_lock(&f->mutex);
    for (;;) {
        size_t sending = 0;
        for (size_t i = 0; i < f->count && found == NULL; i++) {
            found = f->lines[i].state == LINE_SENT ? &f->lines[i] : NULL;
            sending += f->lines[i].state == LINE_SENDING;
        }
        if (found != NULL || sending == 0)
            break;
        pthread_cond_wait(&f->sent, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
    return found;
}

static int take_result(struct flush *f, struct line *l, struct err *err)
{
    bool ok = l->rc == 0;
    int rc = ok                               ? note_success(f, l, err)
             : l->err.code == ERR_INTERRUPTED ? note_interruption(f, l, err)
                                              : note_failure(f, l, err);
    forget(l);
    l->state = LINE_STOPPED;
    l->answer = (struct channel_answer){0};
    err_clear(&l->err);
    return rc != 0 ? -1 : ok;
}

/* A channel that took one gets its next; after a failure it has to wait. */
static int send_all(struct flush *f, struct err *err)
{
    const struct plan_channel *channels = f->plan->alerts.channels;
    int rc = 0;
    for (size_t i = 0; i < f->count && rc == 0; i++)
        rc = start_next(f, &f->lines[i], &channels[i], err);
    for (struct line *l; (l = wait_for_one(f)) != NULL;) {
        struct err later = {0};
        int took = take_result(f, l, rc == 0 ? err : &later);
        rc = took < 0 ? -1 : rc;
        if (took == 1 && rc == 0)
            rc = start_next(f, l, &channels[l - f->lines], err);
    }
    return rc;
}

static int with_pool(struct flush *f, struct err *err)
{
    unsigned threads = f->count < THREADS_MAX ? (unsigned)f->count : THREADS_MAX;
    f->lines = mem_array(NULL, f->count, sizeof *f->lines);
    for (size_t i = 0; i < f->count; i++)
        f->lines[i] = (struct line){.flush = f, .state = LINE_STOPPED};
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->sent, NULL);
    f->pool = pool_new(threads, f->count);
    int rc = send_all(f, err);
    pool_free(f->pool);
    for (size_t i = 0; i < f->count; i++)
        forget(&f->lines[i]);
    pthread_cond_destroy(&f->sent);
    pthread_mutex_destroy(&f->mutex);
    free(f->lines);
    return rc;
}

/* --- channels that are gone --- */

/* A channel that has a mistake is not gone: what waits for it waits until that is mended. */
static bool is_known(const struct plan *p, const char *name, const char *kind)
{
    if (p->alerts.mistakes.count > 0)
        return true;
    for (size_t i = 0; i < p->alerts.channel_count; i++)
        if (strcmp(p->alerts.channels[i].name, name) == 0)
            return (p->alerts.channels[i].kind == CHANNEL_PING) == (strcmp(kind, "ping") == 0);
    return false;
}

/* What waits for a channel with a mistake is no reason to start somebody who sends twice a minute. */
static int put_off_mistaken(const struct plan *p, struct state *s, const char *channel, int64_t now_ms, struct err *err)
{
    for (size_t i = 0; i < p->alerts.channel_count; i++)
        if (strcmp(p->alerts.channels[i].name, channel) == 0)
            return 0;
    int rc = state_begin(s, err);
    if (rc == 0)
        rc = state_run(s, err, "UPDATE outbox SET due_ms = ?1 WHERE channel = ?2 AND due_ms <= ?3", "iti",
                       now_ms + MISTAKE_PAUSE_MS, channel, now_ms);
    if (rc == 0)
        return state_commit(s, err);
    state_rollback(s);
    return rc;
}

/* What nobody can be told any more: the plan has no such channel, or now it is one of another kind. */
static int drop_orphans(const struct plan *p, struct state *s, struct err *err)
{
    struct orphan {
        char *channel, *kind;
        int64_t count;
    } *orphans = NULL;
    size_t n = 0;
    sqlite3_stmt *q = state_query(s, err, "SELECT channel, kind, count(*) FROM outbox GROUP BY channel, kind", "");
    int rc = q != NULL ? 1 : -1;
    while (rc > 0 && (rc = state_step(s, q, err)) > 0) {
        struct orphan o = {state_column_text(q, 0), state_column_text(q, 1), sqlite3_column_int64(q, 2)};
        orphans = mem_array(orphans, n + 1, sizeof *orphans);
        orphans[n++] = o;
    }
    sqlite3_finalize(q);
    for (size_t i = 0; i < n; i++) {
        const struct orphan *o = &orphans[i];
        if (rc == 0 && !is_known(p, o->channel, o->kind)) {
            log_line(LOG_LEVEL_WARNING, "the plan has no channel '%s' any more for %lld messages that waited: dropped",
                     o->channel, (long long)o->count);
            rc = state_begin(s, err);
            if (rc == 0)
                rc = state_run(s, err, "DELETE FROM outbox WHERE channel = ? AND kind = ?", "tt", o->channel, o->kind);
            if (rc == 0)
                rc = state_commit(s, err);
            if (rc != 0)
                state_rollback(s);
        } else if (rc == 0 && p->alerts.mistakes.count > 0) {
            rc = put_off_mistaken(p, s, o->channel, os_now_ms(), err);
        }
        free(o->channel);
        free(o->kind);
    }
    free(orphans);
    return rc;
}

static size_t count_waiting(struct state *s)
{
    sqlite3_stmt *q = state_query(s, NULL, "SELECT count(*) FROM outbox", "");
    int64_t n = q != NULL && state_step(s, q, NULL) == 1 ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return (size_t)n;
}

int outbox_flush(const struct plan *p, struct state *s, uint64_t deadline_ns, struct outbox_result *out,
                 struct err *err)
{
    struct err trouble = {0};
    struct flush f = {.plan = p,
                      .state = s,
                      .deadline_ns = deadline_ns,
                      .result = out,
                      .count = p->alerts.channel_count,
                      .interrupted = os_interrupted()};
    *out = (struct outbox_result){0};
    int rc = drop_orphans(p, s, &trouble), lock = -1;
    if (rc == 0 && outbox_has_work(s, os_now_ms())) {
        lock = take_lock(&f, &trouble);
        rc = lock >= 0 ? with_pool(&f, &trouble) : trouble.code != ERR_NONE ? -1 : 0;
    }
    if (lock >= 0)
        close(lock);
    out->waiting = count_waiting(s);
    if (rc != 0) {
        err_wrap(&trouble, "cannot send what waits in the outbox");
        if (err != NULL)
            *err = trouble;
    }
    return rc;
}
