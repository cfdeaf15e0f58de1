/* Git repositories: are they sound, and are they where they are to be sent? */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "run/run_internal.h"
#include "source/git.h"

/* Small repositories are checked in every run. One that takes longer than this is checked by the source itself, which
 * verifies what it bundles, and by `doctor`. */
enum { FSCK_TIMEOUT_MS = 20 * 1000 };

void git_checks(struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count && !tier_interrupted(t); i++) {
        const struct tier_source *s = t->units[i].source;
        struct err err = {0};
        if (s->kind != TIER_GIT || s->repository == NULL || git_fsck(s->repository, FSCK_TIMEOUT_MS, &err) == 0 ||
            err.code != ERR_CORRUPT)
            continue;
        t->degraded = true;
        tier_warn(t, "%s", err.message);
    }
}

/* "3 refs: 1 updated, 2 up to date" */
static char *summary(const struct git_push_result *r)
{
    size_t by_state[4] = {0};
    struct buf text;
    buf_init(&text, 1024);
    for (size_t i = 0; i < r->count; i++)
        by_state[r->refs[i].state]++;
    for (size_t i = 0; i < 4; i++)
        if (by_state[i] > 0)
            buf_printf(&text, "%s%zu %s", text.len > 0 ? ", " : "", by_state[i],
                       git_push_state_name((enum git_push_state)i));
    char *out = mem_strdup(text.len > 0 ? buf_cstr(&text) : "nothing to push");
    buf_release(&text);
    return out;
}

/* What became of each ref, for the record; when there are too many, what is the matter and what has changed comes
 * first. */
static void note_refs(const struct git_push_result *r, struct strlist *out)
{
    static const enum git_push_state ORDER[] = {GIT_PUSH_REJECTED, GIT_PUSH_CREATED, GIT_PUSH_UPDATED,
                                                GIT_PUSH_UP_TO_DATE};
    for (size_t k = 0; k < sizeof ORDER / sizeof *ORDER; k++)
        for (size_t i = 0; i < r->count && out->count < RECORD_PUSH_REFS_MAX; i++) {
            const struct git_push_ref *ref = &r->refs[i];
            if (ref->state != ORDER[k])
                continue;
            char *text =
                mem_printf("%s %s%s%s%s", ref->name, git_push_state_name(ref->state), ref->why != NULL ? " (" : "",
                           ref->why != NULL ? ref->why : "", ref->why != NULL ? ")" : "");
            strlist_add(out, text);
            free(text);
        }
}

static void push(struct tier_run *t, struct unit *u, const char *remote, uint64_t timeout_ms)
{
    struct git_push_result result = {0};
    struct err err = {0};
    const struct git_push_options options = {
        .repository = u->source->repository, .remote = remote, .timeout_ms = timeout_ms};
    if (git_push(&options, &result, &err) == 0) {
        u->push = summary(&result);
    } else if (err.code == ERR_NOT_FOUND && tier_source_may_lack_remote(&t->sources, u->source)) {
        u->push = mem_printf("it has no remote '%s'", remote);
    } else if (err.code == ERR_INTERRUPTED) {
        t->err = err;
    } else {
        u->push = mem_strdup(err.message);
        u->push_failed = true;
        tier_warn(t, "push failed: %s", err.message);
    }
    note_refs(&result, &u->push_refs);
    git_push_result_release(&result);
}

void git_pushes(struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count && !tier_interrupted(t); i++) {
        uint64_t timeout_ms = 0;
        const char *remote = tier_source_remote(&t->sources, t->units[i].source, &timeout_ms);
        if (remote != NULL)
            push(t, &t->units[i], remote, timeout_ms);
    }
}
