/*
 * Is what was dumped as large as it should be? Each database by itself: one that was emptied does not show in the sum
 * of a server whose others grow.
 */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "run/run_internal.h"
#include "run/size_rule.h"

/* So much that a message has room for what to do. */
enum { NAMED_MAX = 3, NAMED_BYTES = 640, GONE_NAMED_MAX = 20 };

/* --- what is remembered --- */

/* The recent past is at hand. What has failed all through it is looked for in all of the log, read when it is asked
 * for: a size must not be taken for right only because it has been wrong for long. */
struct memory {
    const struct tier_run *run;
    struct record_list all;
    bool has_all;
};

static const struct record_list *all_records(struct memory *m)
{
    const struct tier_run *t = m->run;
    if (!m->has_all &&
        record_list_read(t->run->options->state_dir, t->tier->name, RECORD_KEPT_LINES, &m->all, NULL) != 0)
        m->all = (struct record_list){0};
    m->has_all = true;
    return &m->all;
}

static const struct record_source *last_list(struct memory *m, const char *source)
{
    const struct record_source *s = size_rule_last_list(&m->run->history, source);
    return s != NULL ? s : size_rule_last_list(all_records(m), source);
}

static uint64_t last_dump(struct memory *m, const char *source, const char *path)
{
    uint64_t bytes = size_rule_last_dump(&m->run->history, source, path);
    return bytes > 0 ? bytes : size_rule_last_dump(all_records(m), source, path);
}

static uint64_t last_source(struct memory *m, const char *source)
{
    uint64_t bytes = size_rule_last_source(&m->run->history, source);
    return bytes > 0 ? bytes : size_rule_last_source(all_records(m), source);
}

/* --- what is too small --- */

/* As the source's own directory has it: "shop.dump"; NULL: it is all of the source. */
static const char *short_name(const struct unit *u, const char *path)
{
    size_t len = strlen(u->name);
    if (u->dump_count == 1 && strcmp(path, u->name) == 0)
        return NULL;
    return os_path_is_below(path, u->name) && path[len] == '/' ? path + len + 1 : path;
}

static void add_small(struct buf *text, size_t count, const char *name, const char *why)
{
    if (count > NAMED_MAX)
        return;
    buf_append_str(text, count > 1 ? "; " : "");
    if (name != NULL)
        buf_printf(text, "'%s' is %s", name, why);
    else
        buf_printf(text, "it is %s", why);
}

/* Names those that are too small, and marks them. *known_out: of how many it is known what they had. */
static size_t find_small(struct memory *m, const struct unit *u, size_t *known_out, struct buf *text)
{
    char why[SIZE_RULE_MESSAGE_BYTES];
    size_t count = 0;
    *known_out = 0;
    for (size_t i = 0; i < u->dump_count; i++) {
        struct record_dump *d = &u->dumps[i];
        uint64_t last_bytes = last_dump(m, u->name, d->path);
        *known_out += last_bytes > 0;
        d->suspect = size_rule_check(d->bytes, last_bytes, why) != SIZE_FINE;
        if (d->suspect)
            add_small(text, ++count, short_name(u, d->path), why);
    }
    if (count > NAMED_MAX)
        buf_printf(text, "; and %zu more", count - NAMED_MAX);
    return count;
}

/* Where nothing is known of any of its dumps (older programs wrote the records): all together. */
static size_t check_whole(struct memory *m, const struct unit *u, struct buf *text)
{
    char why[SIZE_RULE_MESSAGE_BYTES];
    if (size_rule_check(u->bytes, last_source(m, u->name), why) == SIZE_FINE)
        return 0;
    add_small(text, 1, NULL, why);
    for (size_t i = 0; i < u->dump_count; i++)
        u->dumps[i].suspect = true;
    return 1;
}

static void say_small(struct tier_run *t, struct unit *u, const char *what)
{
    u->suspect = true;
    u->suspect_ok = t->tier->on_shrink == PLAN_SHRINK_WARN;
    if (u->suspect_ok) {
        t->degraded = true;
        tier_warn(t, "%s: %s", u->source->label, what);
        return;
    }
    struct err err = {0};
    err_set(&err, ERR_FAILED,
            "%s; it is %s, and nothing older is removed; if that is right: clawback run %s --accept-size", what,
            t->tier->format == PLAN_ARCHIVE ? "in an archive that is marked as incomplete"
                                            : "stored as '" RUN_SUSPECT_TAG "'",
            t->tier->name);
    unit_failed(t, u, &err);
}

/* --- what is gone --- */

static bool has_dump(const struct unit *u, const char *path)
{
    for (size_t i = 0; i < u->dump_count; i++)
        if (strcmp(u->dumps[i].path, path) == 0)
            return true;
    return false;
}

/* Databases that are named one by one fail when they are gone. Of a server whose databases all are dumped one may be
 * dropped; that should be seen. */
static void find_gone(struct tier_run *t, struct unit *u, const struct record_source *before)
{
    for (size_t i = 0; u->source->kind == TIER_POSTGRES && i < before->dump_count; i++) {
        const char *path = before->dumps[i].path;
        if (has_dump(u, path))
            continue;
        if (++u->gone <= GONE_NAMED_MAX)
            tier_warn(t, "%s: '%s' was dumped the last time and is there no more; older backups have it",
                      u->source->label, short_name(u, path));
    }
    if (u->gone > GONE_NAMED_MAX)
        tier_warn(t, "%s: and so are %zu others", u->source->label, u->gone - GONE_NAMED_MAX);
}

void unit_check_size(struct tier_run *t, struct unit *u)
{
    if (!tier_source_is_dump(u->source))
        return;
    struct memory m = {.run = t};
    struct buf text;
    buf_init(&text, NAMED_BYTES);
    const struct record_source *before = last_list(&m, u->name);
    if (before != NULL)
        find_gone(t, u, before);
    if (!t->run->options->accept_size) {
        size_t known, count = find_small(&m, u, &known, &text);
        if (count == 0 && known == 0)
            count = check_whole(&m, u, &text);
        if (count > 0)
            say_small(t, u, buf_cstr(&text));
    }
    buf_release(&text);
    record_list_release(&m.all);
}

bool tier_has_suspects(const struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (t->units[i].suspect || t->units[i].gone > 0)
            return true;
    return false;
}
