#include "run/triggers.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "plan/config.h"

enum { HEALTH_EVERY_MS = 60 * 60 * 1000, RUN_TIMEOUT_MS = 6 * 60 * 60 * 1000, HEALTH_TIMEOUT_MS = 10 * 60 * 1000 };

static bool is_scheduled(const struct plan_tier *t)
{
    return !t->disabled && t->schedule.kind != SCHEDULE_NONE;
}

/* Does whatever starts `often` start `s` in time, too? A tier of 4 hours is due with every other start of one of 2. */
static bool covers(const struct schedule *often, const struct schedule *s)
{
    if (often->kind != s->kind)
        return false;
    switch (s->kind) {
    case SCHEDULE_EVERY:
        return often->every_ms > 0 && s->every_ms % often->every_ms == 0 && often->anchor_ms == s->anchor_ms;
    case SCHEDULE_CRON:
        return mem_same_string(often->cron_text, s->cron_text) && mem_same_string(often->zone, s->zone);
    case SCHEDULE_AT:
        return often->at_ms == s->at_ms;
    default:
        return false;
    }
}

/* The first tier of the plan whose schedule no other one covers stands for all that it covers. Of two that cover each
 * other, that is the first. */
static bool stands_for_itself(const struct plan *p, size_t i)
{
    for (size_t k = 0; k < p->tier_count; k++) {
        if (k == i || !is_scheduled(&p->tiers[k]) || !covers(&p->tiers[k].schedule, &p->tiers[i].schedule))
            continue;
        if (k < i || !covers(&p->tiers[i].schedule, &p->tiers[k].schedule))
            return false;
    }
    return true;
}

static struct trigger *add(struct trigger_list *l, const char *program, const char *command)
{
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    struct trigger *t = &l->items[l->count++];
    *t = (struct trigger){0};
    strlist_add(&t->argv, program);
    strlist_add(&t->argv, command);
    return t;
}

/* A scheduler's environment is not ours: what we found our plan by need not be in it. */
static void add_plan(struct trigger *t, const struct plan *p)
{
    char *usual = config_default_path();
    if (p->file != NULL && (getenv("CLAWBACK_CONFIG") != NULL || !mem_same_string(p->file, usual))) {
        strlist_add(&t->argv, "-c");
        strlist_add(&t->argv, p->file);
    }
    free(usual);
}

static char *tiers_text(const struct plan *p, const struct schedule *s)
{
    struct strlist names = {0};
    for (size_t i = 0; i < p->tier_count; i++)
        if (is_scheduled(&p->tiers[i]) && covers(s, &p->tiers[i].schedule))
            strlist_add(&names, p->tiers[i].name);
    char *list = strlist_join(&names, ", "), *text = mem_printf("clawback: %s", list);
    free(list);
    strlist_release(&names);
    return text;
}

static void add_run(const struct plan *p, const struct plan_tier *tier, const char *program, struct trigger_list *out)
{
    bool first = out->count == 0;
    struct trigger *t = add(out, program, "run");
    /* Whoever comes while another run is under way takes what that one left. */
    strlist_add(&t->argv, "--wait");
    add_plan(t, p);
    t->id = first ? mem_strdup("clawback") : mem_printf("clawback-run-%s", tier->name);
    t->name = tiers_text(p, &tier->schedule);
    t->schedule = tier->schedule;
    t->timeout_ms = RUN_TIMEOUT_MS;
}

void triggers_make(const struct plan *p, const char *program, bool with_health, struct trigger_list *out)
{
    *out = (struct trigger_list){0};
    for (size_t i = 0; i < p->tier_count; i++)
        if (is_scheduled(&p->tiers[i]) && stands_for_itself(p, i))
            add_run(p, &p->tiers[i], program, out);
    if (!with_health)
        return;
    struct trigger *t = add(out, program, "health");
    strlist_add(&t->argv, "--scheduled");
    add_plan(t, p);
    t->id = mem_strdup("clawback-health");
    t->name = mem_strdup("clawback: health");
    t->schedule = (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = HEALTH_EVERY_MS};
    t->timeout_ms = HEALTH_TIMEOUT_MS;
}

void triggers_release(struct trigger_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].id);
        free(l->items[i].name);
        strlist_release(&l->items[i].argv);
    }
    free(l->items);
    *l = (struct trigger_list){0};
}
