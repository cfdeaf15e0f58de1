/*
 * A tier as one archive: all sources one after another into one file, which goes to all destinations at the same time.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "run/archive_policy.h"
#include "run/open_sink.h"
#include "run/run_internal.h"
#include "run/watched_source.h"
#include "sink/archive_file.h"

/* What making an archive needs for as long as it is made. */
struct making {
    struct archive_target *targets; /* those that are usable … */
    struct target **of;             /* … and whose they are */
    size_t count;
    char *passphrase;
    struct archive_sink *sink;
    struct open_sink *open; /* in front of it, where anybody can read the archive; else NULL */
};

/* --- before --- */

static int make_dir(struct tier_run *t, struct target *target, char **out, struct err *err)
{
    const struct plan *p = t->run->options->plan;
    uint64_t freed;
    if (t->tier->archive.unencrypted && !target->destination->allow_unencrypted)
        return err_set(err, ERR_USAGE, "unencrypted archives may not go there; 'allow_unencrypted: true' says so");
    char *dir = destination_archive_dir(p, target->destination);
    if (dir == NULL)
        return err_set(err, ERR_USAGE, "archives need a destination that is a path");
    if (target_check_again(t, target, err) != 0 || os_make_dirs(dir, 0700, err) != 0) {
        free(dir);
        return -1;
    }
    archive_clean(dir, p->host, &freed, NULL); /* what killed runs left behind; if it cannot be, it stays */
    *out = dir;
    return 0;
}

static void choose_targets(struct tier_run *t, struct making *m)
{
    m->targets = mem_zalloc((t->target_count + 1) * sizeof *m->targets);
    m->of = mem_zalloc((t->target_count + 1) * sizeof(struct target *));
    for (size_t i = 0; i < t->target_count; i++) {
        struct target *target = &t->targets[i];
        struct err err = {0};
        char *dir = NULL;
        if (!target->usable)
            continue;
        if (make_dir(t, target, &dir, &err) != 0) {
            target_failed(t, target, &err);
            continue;
        }
        m->targets[m->count] = (struct archive_target){
            .dir = dir,
            .reserve_bytes = target->destination->reserve_bytes,
            .limit_write_bytes_per_s = target->destination->limit_write_bytes_per_s,
        };
        m->of[m->count++] = target;
    }
}

static int choose_encryption(struct tier_run *t, struct making *m, struct openpgp_options *out, struct err *err)
{
    const struct plan_archive *a = &t->tier->archive;
    *out = (struct openpgp_options){.kind = OPENPGP_NONE};
    if (a->unencrypted)
        return 0;
    if (a->recipients.count > 0) {
        *out = (struct openpgp_options){.kind = OPENPGP_RECIPIENTS, .recipients = &a->recipients};
        return 0;
    }
    const struct plan *p = t->run->options->plan;
    if (destination_passphrase(p, destination_of_archive_key(p, t->tier), &m->passphrase, err) != 0)
        return -1;
    *out = (struct openpgp_options){.kind = OPENPGP_SYMMETRIC, .passphrase = m->passphrase};
    return 0;
}

static enum compress_codec codec_of(enum plan_codec codec)
{
    return codec == PLAN_ZSTD ? COMPRESS_ZSTD : codec == PLAN_UNCOMPRESSED ? COMPRESS_NONE : COMPRESS_GZIP;
}

static int open_sink(struct tier_run *t, struct making *m, const struct sink_reporter *reporter, struct err *err)
{
    const struct run_options *o = t->run->options;
    struct archive_sink_options options = {
        .targets = m->targets,
        .target_count = m->count,
        .prefix = t->tier->archive.prefix != NULL ? t->tier->archive.prefix : t->tier->name,
        .time = t->run->started,
        .codec = codec_of(t->tier->archive.codec),
        .verify = ARCHIVE_VERIFY_DECRYPT,
        .host = o->plan->host,
        .version = o->program_version,
        .tags = &t->tags,
        .state_dir = o->state_dir,
    };
    if (choose_encryption(t, m, &options.encryption, err) != 0)
        return -1;
    m->sink = archive_sink_new(&options, reporter, t->run->progress->reading, err);
    if (m->sink == NULL)
        return -1;
    if (t->tier->archive.unencrypted)
        m->open = open_sink_new(archive_sink_base(m->sink), o->plan, reporter);
    return 0;
}

/* For the next source. The archive's own is asked in either case: that brings it back to the root from wherever a
 * source that broke off has left it. */
static struct sink *sink_of(const struct making *m)
{
    struct sink *base = archive_sink_base(m->sink);
    return m->open != NULL ? open_sink_base(m->open) : base;
}

/* --- the sources --- */

/* -1: the archive cannot be completed. A source that fails is left out, and the archive made without it. */
static int push_unit(struct tier_run *t, struct unit *u, struct unit_report *report, const struct making *m,
                     struct err *err)
{
    struct source *source = NULL;
    struct err why = {0};
    struct archive_summary before, after;
    if (tier_source_open(&t->sources, u->source, &source, &why) != 0) {
        unit_missing(t, u, &why);
        return 0;
    }
    unit_opened(u, source);
    source = watched_source_new(source);
    report->unit = u;
    err_clear(&report->first);
    archive_sink_summary(m->sink, &before);
    int rc = source_start(source, &report->reporter, &why);
    if (rc == 0)
        rc = source_push(source, sink_of(m), &report->reporter, &why);
    archive_sink_summary(m->sink, &after);
    u->bytes = after.content_bytes - before.content_bytes;
    u->files = after.files - before.files;
    bool sources_fault = watched_source_failed(source), strict = source->strict;
    unit_take_sizes(u, source);
    source_free(source);
    bool unread = rc == 0 && strict && u->unreadable > 0;
    if (unread) {
        why = report->first;
        rc = -1;
    }
    if (rc == 0) {
        u->done = true;
        unit_check_size(t, u);
        return 0;
    }
    if (why.code != ERR_INTERRUPTED && (sources_fault || unread)) {
        unread ? unit_failed(t, u, &why) : unit_missing(t, u, &why);
        return 0;
    }
    *err = why;
    return -1;
}

static int push_all(struct tier_run *t, struct unit_report *report, const struct making *m, struct err *err)
{
    size_t pushed = 0;
    for (size_t i = 0; i < t->unit_count; i++) {
        if (os_check_interrupt(err) != 0 || push_unit(t, &t->units[i], report, m, err) != 0)
            return -1;
        pushed += t->units[i].done;
    }
    uint64_t left_out = m->open != NULL ? open_sink_left_out(m->open) : 0;
    if (left_out > 0)
        tier_warn(t, "%llu file%s with secrets %s left out, since the archive is not encrypted",
                  (unsigned long long)left_out, left_out == 1 ? "" : "s", left_out == 1 ? "was" : "were");
    if (pushed > 0)
        return 0;
    return err_set(err, ERR_NOT_FOUND, "there is nothing to put into an archive");
}

/* --- after --- */

/* What is not in it. A file that could not be read is a warning, and nothing that the plan names; a path of the plan
 * that is gone is. */
static size_t note_missing(struct archive_sink *sink, const struct unit *u)
{
    if (u->err.code != ERR_NONE) {
        archive_sink_lacks(sink, u->absent ? ARCHIVE_LACKS_ABSENT : ARCHIVE_LACKS_FAILED, u->name, u->err.message);
        return 1;
    }
    for (size_t i = 0; i < u->lost.count; i++)
        archive_sink_lacks(sink, ARCHIVE_LACKS_FAILED, u->lost.items[i], NULL);
    return u->lost.count;
}

/* Does it lack anything? */
static bool note_all_missing(struct tier_run *t, const struct making *m)
{
    size_t missing = 0;
    for (size_t i = 0; i < t->unit_count; i++)
        missing += note_missing(m->sink, &t->units[i]);
    if (missing > 0)
        tier_note(t, "the archive is marked as incomplete: 'latest' leads to one that has all, where there is one");
    return missing > 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void take_results(struct making *m, struct tier_run *t, bool finished)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct archive_result *r = archive_sink_result(m->sink, i);
        if (r->error.code != ERR_NONE) {
            target_failed(t, m->of[i], &r->error);
        } else if (finished && r->path != NULL) {
            m->of[i]->archive = mem_strdup(base_name(r->path));
            m->of[i]->bytes_added = r->bytes;
            m->of[i]->verified = r->proof != ARCHIVE_UNPROVEN;
        }
    }
}

static void release(struct making *m)
{
    open_sink_free(m->open);
    archive_sink_free(m->sink);
    for (size_t i = 0; i < m->count; i++)
        free((char *)(uintptr_t)m->targets[i].dir);
    free(m->targets);
    free(m->of);
    mem_wipe_string(m->passphrase);
}

static bool nothing_runs(const struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (!t->units[i].absent)
            return false;
    return t->unit_count > 0;
}

void archive_run(struct tier_run *t)
{
    struct making m = {0};
    struct err err = {0};
    struct unit_report report;
    if (t->run->options->dry_run) {
        tier_note(t, "an archive would be made of %zu source%s", t->unit_count, t->unit_count == 1 ? "" : "s");
        for (size_t i = 0; i < t->unit_count && !tier_interrupted(t); i++)
            unit_only_read(t, &t->units[i]);
        return;
    }
    unit_report_init(&report, t, NULL);
    choose_targets(t, &m);
    int rc = m.count > 0 ? open_sink(t, &m, &report.reporter, &err) : 0;
    if (rc == 0 && m.count > 0) {
        rc = push_all(t, &report, &m, &err);
        bool incomplete = rc == 0 && note_all_missing(t, &m);
        if (rc == 0)
            rc = archive_sink_finish(m.sink, &err);
        t->record.incomplete = rc == 0 && incomplete;
        take_results(&m, t, rc == 0);
    }
    if (rc != 0 && !nothing_runs(t) && t->err.code == ERR_NONE)
        t->err = err;
    release(&m);
}

/* --- retention --- */

/* When it was made, in the local time of the machine: names have the hour only, in UTC, so that a run at midnight in a
 * zone of half hours would seem to be the day before's. The file's own time tells, where it is believable. */
static struct retention_item item_of(const struct archive_file *f)
{
    struct retention_item item = {.time = f->time};
    struct tm tm;
    if (f->modified.tv_sec >= f->time.tv_sec && f->modified.tv_sec - f->time.tv_sec < 12 * 3600)
        item.time = f->modified;
    if (localtime_r(&item.time.tv_sec, &tm) != NULL)
        item.utc_offset_s = (int32_t)tm.tm_gmtoff;
    return item;
}

/* What is needed for removing archives of one destination. */
struct removal {
    struct target *target;
    const char *dir;
    struct archive_list list;
    size_t count; /* of the list: those that are not from the future, when the clock was wrong. These do not count */
    struct strlist stays; /* names */
    struct record_list runs;
    struct retention_policy policy;
};

static enum archive_lack lack_of_run(const struct record *r)
{
    if (r->status == RECORD_FAILED || r->incomplete)
        return ARCHIVE_LACKS_FAILED;
    for (size_t i = 0; i < r->source_count; i++)
        if (r->sources[i].status == RECORD_SKIPPED)
            return ARCHIVE_LACKS_ABSENT;
    return ARCHIVE_LACKS_NOTHING;
}

/* Where its checksum file does not say, the last run that tells of the name may: one that failed may have made it
 * without a dump that should be in it. */
static enum archive_lack lack_of(const struct record_list *runs, const struct archive_file *f)
{
    if (f->lacks != ARCHIVE_LACKS_UNKNOWN)
        return f->lacks;
    for (size_t i = runs->count; i-- > 0;)
        if (strlist_contains(&runs->items[i].snapshots, f->name))
            return lack_of_run(&runs->items[i]);
    return ARCHIVE_LACKS_NOTHING;
}

/* What stays by its name, whatever the policy says. */
static void find_protected(const struct tier_run *t, struct removal *r)
{
    struct record_list all;
    const struct record *good = retain_protected(t, r->target, &all);
    if (good != NULL)
        strlist_copy(&r->stays, &good->snapshots);
    if (r->target->archive != NULL)
        strlist_add(&r->stays, r->target->archive);
    record_list_release(&all);
}

/* Those that lack nothing, or so much: each kind counts among itself only, so that none pushes out a better one. */
static int remove_some(struct removal *r, enum archive_lack lack, struct err *err)
{
    const char **names = mem_zalloc((r->count + 1) * sizeof(char *));
    struct retention_item *items = mem_zalloc((r->count + 1) * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        if (lack_of(&r->runs, &r->list.items[i]) == lack) {
            names[count] = r->list.items[i].name;
            items[count++] = item_of(&r->list.items[i]);
        }
    archive_policy_apply(&r->policy, items, count);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (items[i].keep || strlist_contains(&r->stays, names[i]))
            continue;
        rc = archive_file_remove(r->dir, names[i], err);
        r->target->removed += rc == 0;
    }
    free(items);
    free(names);
    return rc;
}

static bool waits_for_clock(struct tier_run *t, const struct removal *r)
{
    int64_t *times_s = mem_array(NULL, r->count + 1, sizeof *times_s);
    for (size_t i = 0; i < r->count; i++)
        times_s[i] = r->list.items[i].time.tv_sec;
    bool waits = retain_waits_for_clock(t, r->target, times_s, r->count);
    free(times_s);
    return waits;
}

static int remove_old(struct tier_run *t, struct target *target, const char *dir, struct err *err)
{
    struct removal r = {.target = target, .dir = dir, .policy = t->tier->keep.policy};
    const char *prefix = t->tier->archive.prefix != NULL ? t->tier->archive.prefix : t->tier->name;
    if (archive_list_load(&r.list, dir, prefix, err) != 0)
        return -1;
    r.policy.now = os_now();
    r.count = r.list.count;
    while (r.count > 0 && r.list.items[r.count - 1].time.tv_sec > r.policy.now.tv_sec) /* in order of time */
        r.count--;
    int rc = record_list_read(t->run->options->state_dir, t->tier->name, RECORD_KEPT_LINES, &r.runs, err);
    if (rc == 0 && !waits_for_clock(t, &r)) {
        find_protected(t, &r);
        for (enum archive_lack lack = ARCHIVE_LACKS_NOTHING; rc == 0 && lack <= ARCHIVE_LACKS_FAILED; lack++)
            rc = remove_some(&r, lack, err);
    }
    record_list_release(&r.runs);
    strlist_release(&r.stays);
    archive_list_release(&r.list);
    return rc;
}

void archive_retain(struct tier_run *t, struct target *target)
{
    struct err err = {0};
    char *dir = destination_archive_dir(t->run->options->plan, target->destination);
    if (dir != NULL && remove_old(t, target, dir, &err) != 0) {
        t->degraded = true;
        tier_warn(t, "destination '%s': old archives cannot be removed: %s", target->destination->name, err.message);
    }
    free(dir);
}
