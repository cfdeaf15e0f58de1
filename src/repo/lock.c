#include "repo/lock.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/interrupt.h"

/* The format's times. */
static const uint64_t SETTLE_MS = 200;
static const uint64_t REFRESH_MS = 5 * 60 * 1000;
/* The clock of waiting stands still while the machine sleeps: how long after it a refresh is late at most. */
static const uint64_t LOOK_MS = 20 * 1000;
static const uint64_t LOST_MS = 22 * 60 * 1000 + 30 * 1000;
static const time_t STALE_S = 30 * 60;
enum { RETRY_MS_MIN = 200, RETRY_MS_MAX = 5000, LOCK_MAX_BYTES = 64 << 10 };

/*
 * Invariant: `id` names the newest lock file that we know to be written; the refresher writes its successor before it
 * removes it.
 */
struct lock {
    struct repo *repo;
    struct codec *codec; /* the refresher's, once it runs */
    bool exclusive, confirmed;
    bool took_reserve; /* for the lock's file: to be retaken when that goes */
    uint64_t begun_ns;
    struct id id;
    _Atomic uint64_t refreshed_ns; /* os_elapsed_ns() */
    _Atomic bool gone;             /* its file is, and not by us */
    pthread_mutex_t turn;          /* one refresh at a time; taken before `mutex` */
    pthread_t refresher;
    bool refreshing;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool closing;
};

static void own_hostname(char *out, size_t cap)
{
    out[0] = '\0';
    if (gethostname(out, cap - 1) != 0)
        out[0] = '\0';
    out[cap - 1] = '\0';
}

/* Writes a lock file with the time of now. */
static int write_lock(struct lock *l, struct id *id_out, struct err *err)
{
    char host[256], time_text[OS_TIME_BYTES];
    struct timespec now = os_now();
    const struct passwd *pw = getpwuid(getuid());
    own_hostname(host, sizeof host);
    os_time_format(&now, time_text);
    json_t *doc = json_object();
    json_object_set_new(doc, "time", json_string(time_text));
    json_object_set_new(doc, "exclusive", json_boolean(l->exclusive));
    json_object_set_new(doc, "hostname", json_string(host));
    json_object_set_new(doc, "username", json_string(pw != NULL ? pw->pw_name : ""));
    json_object_set_new(doc, "pid", json_integer(getpid()));
    if (getuid() != 0)
        json_object_set_new(doc, "uid", json_integer(getuid()));
    if (getgid() != 0)
        json_object_set_new(doc, "gid", json_integer(getgid()));
    char *json = json_dumps(doc, JSON_COMPACT);
    int rc = repo_save_unpacked(l->repo, l->codec, STORE_LOCK, json, strlen(json), id_out, err);
    free(json);
    json_decref(doc);
    return rc;
}

static void remove_lock(struct repo *r, const struct id *id)
{
    char hex[ID_HEX_BYTES];
    store_remove(r->store, STORE_LOCK, id_to_hex(id, hex), NULL);
}

int lock_read(struct repo *r, struct codec *c, const struct id *id, struct lock_info *out, struct err *err)
{
    struct buf json;
    buf_init(&json, LOCK_MAX_BYTES);
    *out = (struct lock_info){.id = *id};
    int rc = repo_load_unpacked(r, c, STORE_LOCK, id, &json, err);
    json_t *doc = rc == 0 ? json_loadb((const char *)json.data, json.len, 0, NULL) : NULL;
    const char *when = json_string_value(json_object_get(doc, "time"));
    if (rc == 0 && (when == NULL || os_time_parse(when, strlen(when), &out->time) != 0))
        rc = err_set(err, ERR_CORRUPT, "the lock is malformed");
    if (rc == 0) {
        const char *host = json_string_value(json_object_get(doc, "hostname"));
        const char *user = json_string_value(json_object_get(doc, "username"));
        out->exclusive = json_is_true(json_object_get(doc, "exclusive"));
        out->pid = (pid_t)json_integer_value(json_object_get(doc, "pid"));
        snprintf(out->hostname, sizeof out->hostname, "%s", host != NULL ? host : "");
        snprintf(out->username, sizeof out->username, "%s", user != NULL ? user : "");
    }
    json_decref(doc);
    buf_release(&json);
    return rc;
}

/* Its process was on this host and is gone. */
static bool is_dead(const struct lock_info *info)
{
    char host[256];
    own_hostname(host, sizeof host);
    return host[0] != '\0' && strcmp(host, info->hostname) == 0 && info->pid > 0 && info->pid != getpid() &&
           kill(info->pid, 0) != 0 && errno == ESRCH;
}

bool lock_is_stale(const struct lock_info *info)
{
    struct timespec now = os_now();
    return is_dead(info) || now.tv_sec - info->time.tv_sec > STALE_S;
}

static int conflict(const struct lock *l, const struct lock_info *info, struct err *err)
{
    char when[OS_TIME_BYTES], hex[ID_HEX_BYTES];
    os_time_format_human(&info->time, when);
    return err_set(err, ERR_LOCKED,
                   "the repository at '%s' is locked%s by process %ld of %s on %s since %s (lock %.8s)",
                   l->repo->store->location, info->exclusive ? " exclusively" : "", (long)info->pid,
                   info->username[0] != '\0' ? info->username : "an unknown user",
                   info->hostname[0] != '\0' ? info->hostname : "an unknown host", when, id_to_hex(&info->id, hex));
}

/* Looks at every other lock. A lock that cannot be read although it is there is taken for a conflict when we want the
 * repository for ourselves, and reported in either case: it may be of a newer kind. */
static int check_others(struct lock *l, const struct id *own, struct err *err)
{
    struct id *ids;
    size_t count;
    int rc = 0;
    struct lock_info info;
    if (repo_list_ids(l->repo, STORE_LOCK, &ids, &count, err) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct err this;
        if (own != NULL && id_equal(&ids[i], own))
            continue;
        if (lock_read(l->repo, l->codec, &ids[i], &info, &this) != 0) {
            if (this.code == ERR_NOT_FOUND)
                continue; /* released meanwhile */
            char hex[ID_HEX_BYTES];
            rc = err_set(err, ERR_LOCKED, "cannot read lock %.8s: %s", id_to_hex(&ids[i], hex), this.message);
        } else if (is_dead(&info)) {
            remove_lock(l->repo, &ids[i]);
        } else if (l->exclusive || info.exclusive) {
            rc = conflict(l, &info, err);
        }
    }
    free(ids);
    return rc;
}

/* One attempt: look, write. */
static int try_begin(struct lock *l, struct err *err)
{
    struct err this;
    if (check_others(l, NULL, err) != 0)
        return -1;
    int rc = write_lock(l, &l->id, &this);
    /* On a full disk forget and prune need a lock before they can make room, and restore needs one too. */
    if (rc != 0 && this.code == ERR_NO_SPACE && store_reserve_give_up(l->repo->store)) {
        l->took_reserve = true;
        rc = write_lock(l, &l->id, &this);
    }
    if (rc != 0) {
        if (this.code == ERR_NO_SPACE)
            err_advise(&this,
                       "remove something else from the repository's disk: not even a lock of 200 bytes fits there");
        if (err != NULL)
            *err = this;
        return -1;
    }
    l->begun_ns = os_monotonic_ns();
    atomic_store(&l->refreshed_ns, os_elapsed_ns());
    return 0;
}

/* The second look, after the time that a slow store may need to show our lock and others'. A store that shows every
 * file at once needs none: of two who write their locks and then look, the later one sees both. */
static int try_confirm(struct lock *l, struct err *err)
{
    uint64_t passed_ms = (os_monotonic_ns() - l->begun_ns) / 1000000;
    if (passed_ms < SETTLE_MS && !(l->repo->store->features & STORE_CONSISTENT))
        os_sleep_ms(SETTLE_MS - passed_ms);
    if (check_others(l, &l->id, err) == 0)
        return 0;
    remove_lock(l->repo, &l->id);
    return -1;
}

/* A store that does not answer says nothing about it. */
static bool is_gone(const struct lock *l)
{
    char hex[ID_HEX_BYTES];
    uint64_t bytes;
    struct err why = {0};
    return store_size(l->repo->store, STORE_LOCK, id_to_hex(&l->id, hex), &bytes, &why) != 0 &&
           why.code == ERR_NOT_FOUND;
}

static bool is_older(const struct lock *l, uint64_t ms)
{
    return os_elapsed_ns() - atomic_load(&l->refreshed_ns) >= ms * 1000000;
}

static void refresh(struct lock *l)
{
    struct id next, old = l->id;
    uint64_t now = os_elapsed_ns();
    if (is_gone(l)) { /* a new one would hide it */
        atomic_store(&l->gone, true);
        return;
    }
    /* A failure is no drama until it lasts: lock_check() tells those who hold the lock. */
    if (write_lock(l, &next, NULL) != 0)
        return;
    if (is_gone(l)) { /* since then: the machine slept, or the write waited for the store */
        atomic_store(&l->gone, true);
        remove_lock(l->repo, &next);
        return;
    }
    pthread_mutex_lock(&l->mutex);
    l->id = next;
    pthread_mutex_unlock(&l->mutex);
    atomic_store(&l->refreshed_ns, now);
    remove_lock(l->repo, &old);
}

/* Unless another thread has just done so. */
static void refresh_if_older(struct lock *l, uint64_t ms)
{
    pthread_mutex_lock(&l->turn);
    if (is_older(l, ms) && !atomic_load(&l->gone))
        refresh(l);
    pthread_mutex_unlock(&l->turn);
}

static void *refresher_main(void *arg)
{
    struct lock *l = arg;
    pthread_mutex_lock(&l->mutex);
    while (!l->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)(LOOK_MS / 1000);
        int rc = 0;
        while (!l->closing && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&l->wake, &l->mutex, &until);
        if (l->closing)
            break;
        pthread_mutex_unlock(&l->mutex);
        refresh_if_older(l, REFRESH_MS);
        pthread_mutex_lock(&l->mutex);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static void start_refresher(struct lock *l)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    l->refreshing = pthread_create(&l->refresher, NULL, refresher_main, l) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static struct lock *lock_new(struct repo *r, bool exclusive, struct err *err)
{
    struct codec *codec = codec_new(r, err);
    if (codec == NULL)
        return NULL;
    struct lock *l = mem_zalloc(sizeof *l);
    l->repo = r;
    l->codec = codec;
    l->exclusive = exclusive;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->turn, NULL);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    return l;
}

/* Its file is gone, if there was one. */
static void lock_free(struct lock *l)
{
    if (l->took_reserve)
        store_reserve_retake(l->repo->store);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->mutex);
    pthread_mutex_destroy(&l->turn);
    codec_free(l->codec);
    free(l);
}

/* Half of it to all of it, by chance: those who wait for the same lock, or took each other's for a conflict, must not
 * meet again and again. */
static uint64_t jittered(uint64_t pause_ms)
{
    uint64_t random = 0;
    if (pause_ms < 2 || crypto_random(&random, sizeof random, NULL) != 0)
        return pause_ms;
    return pause_ms - random % (pause_ms / 2);
}

/* Repeats `attempt` while somebody else holds the repository and time is left. */
static int retry(struct lock *l, int (*attempt)(struct lock *, struct err *), uint64_t retry_ms, struct err *err)
{
    struct err this;
    uint64_t start = os_monotonic_ns(), pause = RETRY_MS_MIN;
    while (attempt(l, &this) != 0) {
        uint64_t passed = (os_monotonic_ns() - start) / 1000000;
        if (this.code == ERR_LOCKED && os_interrupted())
            return os_check_interrupt(err);
        if (this.code != ERR_LOCKED || passed >= retry_ms) {
            if (err != NULL)
                *err = this;
            return -1;
        }
        os_sleep_ms(jittered(pause < retry_ms - passed ? pause : retry_ms - passed));
        pause = pause * 2 < RETRY_MS_MAX ? pause * 2 : RETRY_MS_MAX;
    }
    return 0;
}

static int begin_and_confirm(struct lock *l, struct err *err)
{
    return try_begin(l, err) == 0 && try_confirm(l, err) == 0 ? 0 : -1;
}

static int acquire(struct lock **out, struct repo *r, bool exclusive, uint64_t retry_ms, bool confirm, struct err *err)
{
    struct lock *l = lock_new(r, exclusive, err);
    if (l == NULL)
        return -1;
    if (retry(l, confirm ? begin_and_confirm : try_begin, retry_ms, err) != 0) {
        lock_free(l);
        return -1;
    }
    l->confirmed = confirm;
    if (confirm)
        start_refresher(l);
    *out = l;
    return 0;
}

int lock_acquire(struct lock **out, struct repo *r, bool exclusive, uint64_t retry_ms, struct err *err)
{
    return acquire(out, r, exclusive, retry_ms, true, err);
}

int lock_begin(struct lock **out, struct repo *r, bool exclusive, uint64_t retry_ms, struct err *err)
{
    /* Where the second look costs nothing it is taken at once; and where waiting for others is allowed it must be,
     * since what is loaded between begin and confirm would be out of date after waiting. */
    bool confirm = retry_ms > 0 || (r->store->features & STORE_CONSISTENT) != 0;
    return acquire(out, r, exclusive, retry_ms, confirm, err);
}

int lock_confirm(struct lock *l, struct err *err)
{
    if (l->confirmed)
        return 0;
    if (try_confirm(l, err) != 0) {
        l->begun_ns = 0; /* nothing left to release */
        return -1;
    }
    l->confirmed = true;
    start_refresher(l);
    return 0;
}

int lock_check(struct lock *l, struct err *err)
{
    if (l == NULL)
        return 0;
    /* After a sleep the refresher may not have had its turn: what counts is whether the file is still there. */
    if (is_older(l, LOST_MS))
        refresh_if_older(l, LOST_MS);
    if (atomic_load(&l->gone))
        return err_set(err, ERR_LOCKED,
                       "somebody removed the lock on '%s' meanwhile, and perhaps data with it; run this again",
                       l->repo->store->location);
    if (!is_older(l, LOST_MS))
        return 0;
    return err_set(err, ERR_LOCKED,
                   "the lock on '%s' could not be refreshed for more than 22 minutes and counts as lost",
                   l->repo->store->location);
}

int lock_prove(struct lock *l, struct err *err)
{
    if (l != NULL) {
        pthread_mutex_lock(&l->mutex); /* the refresher removes no file before it has noted the next */
        if (is_gone(l))
            atomic_store(&l->gone, true);
        pthread_mutex_unlock(&l->mutex);
    }
    return lock_check(l, err);
}

void lock_release(struct lock *l)
{
    if (l == NULL)
        return;
    if (l->refreshing) {
        pthread_mutex_lock(&l->mutex);
        l->closing = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->refresher, NULL);
    }
    if (l->begun_ns != 0)
        remove_lock(l->repo, &l->id);
    lock_free(l);
}

int lock_remove_stale(struct repo *r, bool all, struct err *err)
{
    struct id *ids = NULL;
    size_t count = 0;
    int removed = 0;
    struct lock_info info;
    struct codec *c = codec_new(r, err);
    if (c == NULL)
        return -1;
    if (repo_list_ids(r, STORE_LOCK, &ids, &count, err) != 0)
        removed = -1;
    for (size_t i = 0; removed >= 0 && i < count; i++) {
        char hex[ID_HEX_BYTES];
        struct err this;
        if (!all && (lock_read(r, c, &ids[i], &info, NULL) != 0 || !lock_is_stale(&info)))
            continue;
        if (store_remove(r->store, STORE_LOCK, id_to_hex(&ids[i], hex), &this) == 0) {
            removed++;
        } else if (this.code != ERR_NOT_FOUND) {
            if (err != NULL)
                *err = this;
            removed = -1;
        }
    }
    free(ids);
    codec_free(c);
    return removed;
}
