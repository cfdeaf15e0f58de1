/* Looking at what may hang: each thing in a process of its own, all at once, each given up after a while. */
#include "run/health_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "run/installed.h"
#include "run/server_look.h"

enum { SERVER_SHARE = 2 };

static char *why_not(const struct look *l, uint64_t timeout_ms)
{
    if (l->why.code == ERR_TIMEOUT)
        return mem_printf("no answer within %.3g seconds", (double)timeout_ms / 1000);
    return mem_printf("could not be checked: %s", l->why.message);
}

/* --- destinations --- */

struct destination_ask {
    const struct health_options *options;
    const struct plan_destination *destination;
};

/* What the child answers; the message follows. Both are this very program: the bytes need no format. */
struct destination_answer {
    enum destination_problem problem;
    bool local;
    uint64_t free_bytes, total_bytes;
    int64_t newest_ms;
};

/* When anything of ours was last changed there, by the clock of whoever keeps those files. */
static int64_t newest_change_ms(const struct plan *p, const struct destination_check *c)
{
    static const char *const NAMES[] = {"clawback-destination.json", "snapshots", "index", "locks"};
    int64_t newest = 0;
    for (size_t i = 0; i <= sizeof NAMES / sizeof *NAMES; i++) {
        char *path = i < sizeof NAMES / sizeof *NAMES ? os_path_join(c->path, NAMES[i])
                                                      : destination_archive_dir(p, c->destination);
        struct stat st;
        if (stat(path, &st) == 0 && (int64_t)st.st_mtim.tv_sec * 1000 > newest)
            newest = (int64_t)st.st_mtim.tv_sec * 1000;
        free(path);
    }
    return newest;
}

static void look_at_destination(void *ctx, struct buf *out)
{
    const struct destination_ask *ask = ctx;
    const struct destination_options options = {.state_dir = ask->options->state_dir, .look_only = true};
    struct destination_check c;
    destination_check(ask->destination, &options, &c);
    struct destination_answer answer = {
        .problem = c.problem, .local = c.local, .free_bytes = c.free_bytes, .total_bytes = c.total_bytes};
    if (c.exists && !ask->options->quick)
        answer.newest_ms = newest_change_ms(ask->options->plan, &c);
    buf_append(out, &answer, sizeof answer);
    buf_append(out, c.err.message, strlen(c.err.message) + 1);
    destination_check_release(&c);
}

static void take_destination(const struct look *l, const struct plan_destination *d, uint64_t timeout_ms,
                             struct destination_look *out)
{
    struct destination_answer answer;
    if (l->why.code != ERR_NONE || l->out.len <= sizeof answer) {
        char *why = why_not(l, timeout_ms);
        out->problem = DESTINATION_UNUSABLE;
        out->silent = l->why.code == ERR_TIMEOUT;
        out->message = mem_printf("destination '%s': %s; is the drive or the network reachable?", d->name, why);
        free(why);
        return;
    }
    memcpy(&answer, l->out.data, sizeof answer);
    out->problem = answer.problem;
    out->local = answer.local;
    out->free_bytes = answer.free_bytes;
    out->total_bytes = answer.total_bytes;
    out->newest_ms = answer.newest_ms;
    if (answer.problem != DESTINATION_OK)
        out->message = mem_strdup((const char *)l->out.data + sizeof answer);
}

int health_look_destinations(const struct health_options *o, struct destination_look *looks, struct err *err)
{
    size_t count = o->plan->destination_count;
    struct destination_ask *asks = mem_zalloc((count + 1) * sizeof *asks);
    struct look *all = mem_zalloc((count + 1) * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        asks[i] = (struct destination_ask){.options = o, .destination = &o->plan->destinations[i]};
        all[i] = (struct look){.fn = look_at_destination, .ctx = &asks[i]};
    }
    int rc = looks_run(all, count, health_patience_ms(o), err);
    for (size_t i = 0; i < count; i++)
        take_destination(&all[i], &o->plan->destinations[i], health_patience_ms(o), &looks[i]);
    looks_release(all, count);
    free(asks);
    return rc;
}

/* --- databases --- */

struct database_ask {
    const struct plan_tier *tier;
    const struct plan_postgres *postgres; /* one of these three */
    const struct plan_redis *redis;
    const char *sqlite;
    char *name;
    uint64_t timeout_ms;
};

struct database_asks {
    struct database_ask *items;
    size_t count;
};

/* One that several tiers dump is asked once. Takes the name. */
static void add_ask(struct database_asks *a, const struct database_ask *ask)
{
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].name, ask->name) == 0) {
            free(ask->name);
            return;
        }
    a->items = mem_array(a->items, a->count + 1, sizeof *a->items);
    a->items[a->count++] = *ask;
}

static void gather_asks(const struct plan *p, uint64_t timeout_ms, struct database_asks *out)
{
    for (size_t i = 0; i < p->tier_count; i++) {
        const struct plan_tier *t = &p->tiers[i];
        for (size_t k = 0; !t->disabled && k < t->postgres_count; k++) {
            char *server = server_name_postgres(&t->postgres[k]);
            const char *database = t->postgres[k].database;
            char *name = database != NULL ? mem_printf("%s, database %s", server, database) : mem_strdup(server);
            add_ask(out, &(struct database_ask){
                             .tier = t, .postgres = &t->postgres[k], .name = name, .timeout_ms = timeout_ms});
            free(server);
        }
        for (size_t k = 0; !t->disabled && k < t->redis_count; k++)
            add_ask(out, &(struct database_ask){.tier = t,
                                                .redis = &t->redis[k],
                                                .name = server_name_redis(&t->redis[k]),
                                                .timeout_ms = timeout_ms});
        for (size_t k = 0; !t->disabled && k < t->sqlite.count; k++)
            add_ask(out, &(struct database_ask){
                             .tier = t, .sqlite = t->sqlite.items[k], .name = mem_strdup(t->sqlite.items[k])});
    }
}

static void answer(struct buf *out, bool ok, const char *text)
{
    buf_append_byte(out, ok);
    buf_append(out, text, strlen(text) + 1);
}

static void ask_file(const struct database_ask *ask, struct buf *out)
{
    bool there = access(ask->sqlite, F_OK) == 0;
    if (access(ask->sqlite, R_OK) == 0)
        answer(out, true, "can be read");
    else if (!there && ask->tier->when == PLAN_RUNNING)
        answer(out, true, "is not there now and will be skipped (when: running)");
    else
        answer(out, false, there ? "cannot be read" : "is not there");
}

static void ask_database(void *ctx, struct buf *out)
{
    const struct database_ask *ask = ctx;
    struct server_look l;
    if (ask->sqlite != NULL) {
        ask_file(ask, out);
        return;
    }
    if (ask->postgres != NULL)
        server_look_postgres(ask->postgres, ask->timeout_ms, &l);
    else
        server_look_redis(ask->redis, ask->timeout_ms, &l);
    if (l.state == SERVER_UP) {
        char *text = mem_printf("answers: %s%s%s", l.version != NULL ? l.version : "", l.what != NULL ? ", " : "",
                                l.what != NULL ? l.what : "");
        answer(out, true, text);
        free(text);
    } else if (l.state == SERVER_DOWN && ask->tier->when == PLAN_RUNNING) {
        answer(out, true, "does not run now and will be skipped (when: running)");
    } else {
        answer(out, false, l.why.message);
    }
    server_look_release(&l);
}

/* An answer is a byte that says whether all is well, and a text. */
static void take_check(const struct look *l, const char *subject, uint64_t timeout_ms, struct fact_list *out)
{
    if (l->why.code == ERR_NONE && l->out.len >= 2) {
        fact_list_add(out, subject, l->out.data[0] != 0, (const char *)l->out.data + 1);
        return;
    }
    char *why = why_not(l, timeout_ms);
    fact_list_add(out, subject, false, why);
    free(why);
}

int health_look_databases(const struct health_options *o, struct fact_list *out, struct err *err)
{
    struct database_asks asks = {0};
    gather_asks(o->plan, health_patience_ms(o) / SERVER_SHARE, &asks);
    struct look *all = mem_zalloc((asks.count + 1) * sizeof *all);
    for (size_t i = 0; i < asks.count; i++)
        all[i] = (struct look){.fn = ask_database, .ctx = &asks.items[i]};
    int rc = looks_run(all, asks.count, health_patience_ms(o), err);
    out->looked = rc == 0;
    for (size_t i = 0; i < asks.count; i++) {
        take_check(&all[i], asks.items[i].name, health_patience_ms(o), out);
        free(asks.items[i].name);
    }
    looks_release(all, asks.count);
    free(asks.items);
    return rc;
}

/* --- schedulers --- */

struct scheduler_ask {
    const char *state_dir;
    int64_t now_ms;
};

static void ask_schedulers(void *ctx, struct buf *out)
{
    const struct scheduler_ask *ask = ctx;
    struct fact_list found = {0};
    installed_check(ask->state_dir, ask->now_ms, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct fact_check *c = &found.items[i];
        buf_append_byte(out, c->ok);
        buf_append(out, c->subject, strlen(c->subject) + 1);
        buf_append(out, c->text, strlen(c->text) + 1);
    }
    installed_checks_release(&found);
}

static bool any_installed(const char *state_dir)
{
    struct installed installed = {0};
    /* One that cannot be read was written once. */
    bool any = installed_read(state_dir, &installed, NULL) != 0 || installed.count > 0;
    installed_release(&installed);
    return any;
}

static bool any_lives(const struct fact_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].ok)
            return true;
    return false;
}

int health_look_schedulers(const struct health_options *o, int64_t now_ms, struct fact_list *out, struct err *err)
{
    struct scheduler_ask ask = {.state_dir = o->state_dir, .now_ms = now_ms};
    bool installed = !o->quick || any_installed(o->state_dir);
    if (!installed && !o->handmade)
        return 0;
    struct look *l = mem_zalloc(sizeof *l);
    *l = (struct look){.fn = ask_schedulers, .ctx = &ask};
    int rc = looks_run(l, 1, health_patience_ms(o), err);
    out->looked = rc == 0;
    if (l->why.code != ERR_NONE)
        take_check(l, "schedulers", health_patience_ms(o), out);
    else
        for (const char *p = (const char *)l->out.data, *end = p + l->out.len; p < end;) {
            const char *subject = p + 1, *text = subject + strlen(subject) + 1;
            fact_list_add(out, subject, *p != 0, text);
            p = text + strlen(text) + 1;
        }
    looks_release(l, 1);
    if (!installed && !any_lives(out)) {
        fact_list_release(out);
        *out = (struct fact_list){0};
    }
    return rc;
}
