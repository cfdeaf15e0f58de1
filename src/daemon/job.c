#include "daemon/job.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "repo/quote.h"

const char *job_status_name(enum job_status s)
{
    static const char *const NAMES[] = {
        [JOB_NEVER] = "pending", [JOB_OK] = "ok", [JOB_ERROR] = "error", [JOB_SKIPPED] = "skipped"};
    return NAMES[s];
}

static char *copy_text(const char *s)
{
    return s != NULL ? mem_strdup(s) : NULL;
}

void job_release(struct job *j)
{
    char *texts[] = {j->id,        j->agent_id, j->name,      j->session_target, j->wake_mode,
                     j->cron_text, j->text,     j->directory, j->input,          j->schedule.zone};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    strlist_release(&j->argv);
    strlist_release(&j->env);
    strlist_release(&j->on_success);
    strlist_release(&j->on_failure);
    *j = (struct job){0};
}

void job_list_release(struct job_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        job_release(&l->items[i]);
    free(l->items);
    *l = (struct job_list){0};
}

static struct strlist copy_list(const struct strlist *from)
{
    struct strlist to = {0};
    strlist_copy(&to, from);
    return to;
}

void job_copy(struct job *to, const struct job *from)
{
    struct job j = *from;
    char **texts[] = {&j.id,        &j.agent_id, &j.name,      &j.session_target, &j.wake_mode,
                      &j.cron_text, &j.text,     &j.directory, &j.input,          &j.schedule.zone};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = copy_text(*texts[i]);
    j.schedule.cron_text = j.cron_text;
    j.argv = copy_list(&from->argv);
    j.env = copy_list(&from->env);
    j.on_success = copy_list(&from->on_success);
    j.on_failure = copy_list(&from->on_failure);
    *to = j;
}

const struct job *job_find(const struct job_list *l, const char *id)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].id, id) == 0)
            return &l->items[i];
    return NULL;
}

static bool same_cron(const struct cron *a, const struct cron *b)
{
    return a->minutes == b->minutes && a->hours == b->hours && a->days_of_month == b->days_of_month &&
           a->months == b->months && a->days_of_week == b->days_of_week && a->any_day_of_month == b->any_day_of_month &&
           a->any_day_of_week == b->any_day_of_week && a->any_hour == b->any_hour;
}

bool job_schedule_equal(const struct schedule *a, const struct schedule *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case SCHEDULE_NONE:
        return true;
    case SCHEDULE_EVERY:
        return a->every_ms == b->every_ms && a->anchor_ms == b->anchor_ms;
    case SCHEDULE_CRON:
        return same_cron(&a->cron, &b->cron) && mem_same_string(a->zone, b->zone);
    case SCHEDULE_AT:
        return a->at_ms == b->at_ms;
    }
    return false;
}

static bool same_command(const struct job *a, const struct job *b)
{
    return strlist_equal(&a->argv, &b->argv) && a->agent_turn == b->agent_turn && mem_same_string(a->text, b->text) &&
           mem_same_string(a->directory, b->directory) && strlist_equal(&a->env, &b->env) &&
           mem_same_string(a->input, b->input) && a->timeout_ms == b->timeout_ms;
}

static bool same_rules(const struct job *a, const struct job *b)
{
    return a->enabled == b->enabled && a->jitter_ms == b->jitter_ms && a->catch_up == b->catch_up &&
           a->delete_after_run == b->delete_after_run && a->retry.times == b->retry.times &&
           a->retry.after_ms == b->retry.after_ms && strlist_equal(&a->on_success, &b->on_success) &&
           strlist_equal(&a->on_failure, &b->on_failure);
}

bool job_equal(const struct job *a, const struct job *b)
{
    return mem_same_string(a->id, b->id) && mem_same_string(a->agent_id, b->agent_id) &&
           mem_same_string(a->name, b->name) && mem_same_string(a->session_target, b->session_target) &&
           mem_same_string(a->wake_mode, b->wake_mode) && a->created_ms == b->created_ms &&
           job_schedule_equal(&a->schedule, &b->schedule) && same_command(a, b) && same_rules(a, b);
}

bool job_id_valid(const char *id)
{
    size_t len = strlen(id);
    if (len == 0 || len > JOB_ID_MAX_BYTES || *id == '.' || !quote_is_utf8(id, len))
        return false;
    for (const char *p = id; *p != '\0'; p++)
        if (*p == '/' || (unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}
