/*
 * A run, from top to bottom; the function to read is run_plan(). What happens to a tier is tier_run.c's.
 */
#include "run/run.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/cipher.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "os/process.h"
#include "run/hooks.h"
#include "run/host_lock.h"
#include "run/run_internal.h"

/* The tiers to run, in the plan's order. */
struct selection {
    const struct plan_tier **tiers;
    size_t count;
};

/* --- which --- */

static int check_names(const struct plan *p, const struct strlist *names, struct err *err)
{
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        if (plan_tier_find(p, names->items[i]) != NULL)
            continue;
        struct strlist known = {0};
        for (size_t k = 0; k < p->tier_count; k++)
            strlist_add(&known, p->tiers[k].name);
        char *list = strlist_join(&known, ", ");
        err_set(err, ERR_USAGE, "there is no tier '%s' in '%s'; there are: %s", names->items[i],
                p->file != NULL ? p->file : "the plan", list);
        free(list);
        strlist_release(&known);
        return -1;
    }
    return 0;
}

static int check_adopted(const struct plan *p, const struct strlist *names, struct err *err)
{
    for (size_t i = 0; names != NULL && i < names->count; i++)
        if (plan_destination_find(p, names->items[i]) == NULL)
            return err_set(err, ERR_USAGE, "there is no destination '%s' in '%s'", names->items[i],
                           p->file != NULL ? p->file : "the plan");
    return 0;
}

static bool is_due(const struct run_options *o, const struct plan_tier *t)
{
    struct timespec now = os_now();
    struct record_list records;
    /* Records that cannot be read must not stop backups. */
    if (record_list_read(o->state_dir, t->name, RECORD_KEPT_LINES, &records, NULL) != 0)
        return true;
    bool due = run_tier_due(t, &records, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, NULL);
    record_list_release(&records);
    return due;
}

static void select_tiers(const struct run_options *o, struct selection *out)
{
    const struct plan *p = o->plan;
    bool named = o->tiers != NULL && o->tiers->count > 0;
    *out = (struct selection){.tiers = mem_zalloc((p->tier_count + 1) * sizeof(struct plan_tier *))};
    for (size_t i = 0; i < p->tier_count; i++) {
        const struct plan_tier *t = &p->tiers[i];
        bool wanted = named ? strlist_contains(o->tiers, t->name) : o->all ? !t->disabled : is_due(o, t);
        if (wanted)
            out->tiers[out->count++] = t;
    }
}

static char *selection_text(const struct selection *s)
{
    struct strlist names = {0};
    for (size_t i = 0; i < s->count; i++)
        strlist_add(&names, s->tiers[i]->name);
    char *list = strlist_join(&names, ", "), *text = mem_printf("run of %s", list);
    free(list);
    strlist_release(&names);
    return text;
}

/* --- what came of it --- */

static void count(struct run_result *out, enum record_status status, int exit_code)
{
    int worst = out->exit_code;
    if (status == RECORD_FAILED)
        out->failed++;
    else if (status == RECORD_SKIPPED)
        out->skipped++;
    else if (exit_code != 0)
        out->partial++;
    else
        out->completed++;
    /* An interrupt says the most, then failure, then partial. */
    if (exit_code == 130 || worst == 130)
        out->exit_code = 130;
    else if (exit_code == 1 || worst == 1)
        out->exit_code = 1;
    else
        out->exit_code = exit_code != 0 ? exit_code : worst;
}

static void run_warn(const struct run *run, const struct err *err)
{
    if (run->reporter->warning != NULL)
        run->reporter->warning(run->reporter->ctx, NULL, err->message);
}

/* The whole run as hooks see it. */
static void last_hook(struct run *run, struct run_result *out)
{
    struct err err = {0};
    struct record r = {.status = out->failed > 0 ? RECORD_FAILED : RECORD_COMPLETED, .exit_code = out->exit_code};
    if (out->failed > 0)
        r.error = mem_printf("%zu of %zu tiers failed", out->failed, out->due);
    enum hook_kind kind = out->failed > 0 ? HOOK_FAILURE : HOOK_AFTER;
    if (hook_run(&run->options->plan->hooks, kind, run->id, NULL, &r, &err) != 0) {
        run_warn(run, &err);
        if (out->exit_code == 0)
            out->exit_code = err_exit_status(ERR_PARTIAL);
    }
    record_release(&r);
}

/* Git runs what a repository's own hooks are, and an agent may write those: none of the programs that we start shall
 * find the passphrase in its environment. */
static void withhold_passphrases(const struct plan *p)
{
    if (p->passphrase.kind == SECRET_ENV)
        process_withhold(p->passphrase.name);
    for (size_t i = 0; i < p->destination_count; i++)
        if (p->destinations[i].passphrase.kind == SECRET_ENV)
            process_withhold(p->destinations[i].passphrase.name);
    process_withhold("CLAWBACK_PASSPHRASE");
    process_withhold("RESTIC_PASSWORD");
}

static struct repo_key *keys_new(const struct plan *p)
{
    return mem_zalloc((p->destination_count + 1) * sizeof(struct repo_key));
}

static void keys_free(struct repo_key *keys, size_t count)
{
    for (size_t i = 0; keys != NULL && i < count; i++)
        repo_key_wipe(&keys[i]);
    free(keys);
}

static void run_tiers(struct run *run, const struct selection *selected, struct run_result *out)
{
    struct err err = {0};
    bool dry_run = run->options->dry_run;
    bool ready = dry_run || hook_run(&run->options->plan->hooks, HOOK_BEFORE, run->id, NULL, NULL, &err) == 0;
    for (size_t i = 0; i < selected->count; i++) {
        int exit_code = 1;
        enum record_status status = RECORD_FAILED;
        if (ready)
            status = tier_run(run, selected->tiers[i], &exit_code);
        else
            tier_refuse(run, selected->tiers[i], &err);
        count(out, status, exit_code);
    }
    if (!dry_run && !os_interrupted())
        last_hook(run, out);
}

static int make_run_id(char out[RUN_ID_CHARS + 1], struct err *err)
{
    struct id id = {0};
    char hex[ID_HEX_BYTES];
    if (crypto_random(id.bytes, RUN_ID_CHARS / 2, err) != 0)
        return -1;
    memcpy(out, id_to_hex(&id, hex), RUN_ID_CHARS);
    out[RUN_ID_CHARS] = '\0';
    return 0;
}

/* Everybody sees what is under way. */
static void describe_run(struct host_lock *lock, const struct selection *s)
{
    char *what = selection_text(s);
    host_lock_describe(lock, what);
    free(what);
}

int run_plan(const struct run_options *options, const struct run_reporter *reporter, struct run_progress *progress,
             struct run_result *out, struct err *err)
{
    struct run run = {.options = options, .reporter = reporter, .progress = progress, .started = os_now()};
    struct selection selected = {0};
    struct host_lock *lock = NULL;
    *out = (struct run_result){0};
    withhold_passphrases(options->plan);
    if (check_names(options->plan, options->tiers, err) != 0 ||
        check_adopted(options->plan, options->adopt, err) != 0 || make_run_id(run.id, err) != 0)
        return -1;
    memcpy(out->run_id, run.id, sizeof run.id);
    if (!options->dry_run && host_lock_acquire(&lock, options->state_dir, options->wait, err) != 0) {
        out->busy = err->code == ERR_LOCKED;
        return -1;
    }
    /* Only now: whoever had the lock until a moment ago may have done it. */
    select_tiers(options, &selected);
    out->due = selected.count;
    if (selected.count > 0) {
        if (lock != NULL)
            describe_run(lock, &selected);
        pthread_mutex_init(&run.mutex, NULL);
        run.keys = keys_new(options->plan);
        run_tiers(&run, &selected, out);
        keys_free(run.keys, options->plan->destination_count);
        pthread_mutex_destroy(&run.mutex);
    }
    strlist_release(&run.said);
    host_lock_release(lock);
    free(selected.tiers);
    return 0;
}
