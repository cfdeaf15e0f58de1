/* Facts for tests of the rules: one tier with records, one destination, and what is asked of the findings. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "monitor/rules.h"

static const int64_t NOW_MS = 1770192000000, /* 2026-02-04T08:00:00Z */ MINUTE_MS = 60000, HOUR_MS = 3600000,
                     DAY_MS = 24 * 3600000LL;
static const uint64_t MB = 1000000;

static struct plan plan;
static struct plan_tier tiers[2];
static struct plan_destination destinations[1];
static struct record_list records[2];
static struct fact_tier fact_tiers[2];
static struct fact_destination fact_destinations[1];
static struct facts facts;
static struct finding_list found;
static const char *open_rule;
static enum alert_level open_level;

static inline enum alert_level is_open(void *ctx, const char *rule, const char *subject)
{
    assert_null(ctx);
    assert_non_null(subject);
    return open_rule != NULL && strcmp(rule, open_rule) == 0 ? open_level : ALERT_FINE;
}

static inline int facts_set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tiers[0] = (struct plan_tier){.name = "config"};
    tiers[1] = (struct plan_tier){.name = "git"};
    destinations[0] = (struct plan_destination){.name = "usb"};
    plan = (struct plan){.destinations = destinations, .destination_count = 1, .tiers = tiers, .tier_count = 2};
    plan.health = (struct plan_health){.late_percent = 25,
                                       .slow_ms = 10 * 60000,
                                       .slow_factor = 3,
                                       .growth_percent = 50,
                                       .growth_factor = 10,
                                       .shrink_percent = 50,
                                       .full_percent = 80,
                                       .critical_free_bytes = 100 * MB,
                                       .proof_max_age_ms = 35 * 24 * 3600000ULL,
                                       .skew_ms = 300000};
    for (int i = 0; i < 2; i++)
        fact_tiers[i] = (struct fact_tier){.tier = &tiers[i], .records = &records[i]};
    fact_destinations[0] = (struct fact_destination){.destination = &destinations[0], .ready = true};
    facts = (struct facts){.now_ms = NOW_MS,
                           .plan = &plan,
                           .state_dir = "/nowhere",
                           .tiers = fact_tiers,
                           .tier_count = 1,
                           .destinations = fact_destinations,
                           .destination_count = 1,
                           .is_open = is_open};
    open_rule = NULL;
    open_level = ALERT_WARNING;
    return 0;
}

static inline int facts_tear_down(void **state)
{
    (void)state;
    record_list_release(&records[0]);
    record_list_release(&records[1]);
    finding_list_release(&found);
    return 0;
}

static inline struct record *add_record_to(int tier, enum record_status status, const char *run_id, int64_t at_ms,
                                           int exit_code)
{
    struct record_list *l = &records[tier];
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    struct record *r = &l->items[l->count++];
    *r = (struct record){.status = status,
                         .time = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000},
                         .tier = mem_strdup(tiers[tier].name),
                         .run_id = run_id != NULL ? mem_strdup(run_id) : NULL,
                         .exit_code = exit_code};
    if (status == RECORD_FAILED)
        r->error = mem_strdup("the disk is gone");
    return r;
}

static inline struct record *add_record(enum record_status status, const char *run_id, int64_t at_ms, int exit_code)
{
    return add_record_to(0, status, run_id, at_ms, exit_code);
}

/* A whole run of the first tier that ends at that time. */
static inline struct record *add_run(int64_t at_ms, uint64_t bytes, uint64_t duration_ms)
{
    static int number;
    char id[20];
    snprintf(id, sizeof id, "%016x", ++number);
    add_record(RECORD_STARTED, id, at_ms - (int64_t)duration_ms, 0);
    struct record *r = add_record(RECORD_COMPLETED, id, at_ms, 0);
    r->bytes_processed = bytes;
    r->duration_ms = duration_ms;
    return r;
}

static inline void add_runs(int count, uint64_t bytes, uint64_t duration_ms)
{
    for (int i = 0; i < count; i++)
        add_run(NOW_MS - (60 - i) * HOUR_MS, bytes, duration_ms);
}

/* What the rules say; NULL: nothing. */
static inline const struct finding *say(const char *rule, const char *subject)
{
    const struct finding *out = NULL;
    finding_list_release(&found);
    rules_apply(&facts, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct finding *f = &found.items[i];
        assert_true(f->level == ALERT_FINE || f->command != NULL);
        for (size_t k = 0; k < i; k++)
            assert_false(strcmp(f->rule, found.items[k].rule) == 0 && strcmp(f->subject, found.items[k].subject) == 0);
        if (strcmp(f->rule, rule) == 0 && strcmp(f->subject, subject) == 0)
            out = f;
    }
    return out;
}

/* -1: nothing is said. */
static inline int level_of(const char *rule, const char *subject)
{
    const struct finding *f = say(rule, subject);
    return f != NULL ? (int)f->level : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, facts_set_up, facts_tear_down)
