#include "plan/config_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "os/file.h"
#include "plan/config_values.h"
#include "source/redis_url.h"

bool config_has(const struct yaml_node *map, const char *key)
{
    return yaml_get(map, key) != NULL;
}

const struct yaml_node *config_place(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *n = yaml_get(map, key);
    return n != NULL ? n : map;
}

const struct yaml_node *config_key_of(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; map->kind == YAML_MAP && i < map->count; i++)
        if (strcmp(map->keys[i]->text, key) == 0)
            return map->keys[i];
    return map;
}

size_t config_check_one_of(struct config_reader *r, const struct yaml_node *map, const char *const *keys)
{
    const char *first = NULL;
    size_t count = 0;
    for (size_t i = 0; keys[i] != NULL; i++) {
        if (!config_has(map, keys[i]))
            continue;
        if (first != NULL)
            config_mistake(r, config_key_of(map, keys[i]), "found '%s' beside '%s', expected one of both", keys[i],
                           first);
        else
            first = keys[i];
        count++;
    }
    return count;
}

/* -------------------------------------------------------------------------------------------------------- destinations
 */

static void check_destination(struct config_reader *r, const struct yaml_node *key, const struct yaml_node *n,
                              const struct plan_destination *d, size_t index)
{
    static const char *const PLACES[] = {"path", "repository", NULL};
    if (n->kind != YAML_MAP && !yaml_is_null(n))
        return; /* it was said what it is instead */
    if (config_check_one_of(r, n, PLACES) == 0)
        config_mistake(r, key, "it says nowhere where it is, expected 'path' (or 'repository')");
    bool remote = d->location != NULL && d->location[0] != '/';
    if (remote && d->require_mount)
        config_mistake(r, config_place(n, "require_mount"),
                       "nothing is mounted at '%s', expected a destination with 'path'", d->location);
    for (size_t i = 0; i < index; i++) {
        const struct plan_destination *other = &r->plan->destinations[i];
        if (d->location != NULL && other->location != NULL && strcmp(d->location, other->location) == 0)
            config_mistake(r, config_place(n, config_has(n, "path") ? "path" : "repository"),
                           "destination '%s' is in the same place", other->name);
    }
}

static void check_destinations(struct config_reader *r, const struct yaml_node *document)
{
    const struct plan *p = r->plan;
    const struct yaml_node *all = yaml_get(document, "destinations");
    if (p->destination_count == 0 && all != NULL && all->kind != YAML_MAP && !yaml_is_null(all))
        return; /* it was said what it is instead */
    if (p->destination_count == 0) {
        config_mistake(r, config_place(document, "destinations"),
                       "no destination is named, expected at least one, like {usb: {path: /mnt/backups}}");
        return;
    }
    size_t was = config_trail_push(r, "destinations");
    for (size_t i = 0; i < p->destination_count; i++) {
        size_t here = config_trail_push(r, all->keys[i]->text);
        check_destination(r, all->keys[i], all->items[i], &p->destinations[i], i);
        config_trail_pop(r, here);
    }
    config_trail_pop(r, was);
}

/* ------------------------------------------------------------------------------------------------------------- sources
 */

static void check_items(struct config_reader *r, const struct yaml_node *tier, const char *key,
                        void (*check)(struct config_reader *r, const struct yaml_node *n))
{
    const struct yaml_node *n = yaml_get(tier, key);
    if (n == NULL || yaml_is_null(n))
        return;
    size_t was = config_trail_push(r, key);
    for (size_t i = 0; n->kind == YAML_LIST && i < n->count; i++) {
        size_t here = config_trail_push_index(r, i);
        if (n->items[i]->kind == YAML_MAP)
            check(r, n->items[i]);
        config_trail_pop(r, here);
    }
    if (n->kind == YAML_MAP)
        check(r, n);
    config_trail_pop(r, was);
}

static void check_git(struct config_reader *r, const struct yaml_node *n)
{
    if (!config_has(n, "path"))
        config_mistake(r, n, "expected 'path': a repository, or a directory with some below it");
}

static void check_password(struct config_reader *r, const struct yaml_node *n)
{
    const struct yaml_node *url = yaml_get(n, "url");
    if (config_has(n, "password") && url != NULL && url->kind == YAML_SCALAR && url_has_password(url->text))
        config_mistake(r, config_key_of(n, "password"), "there is a password in the URL as well, expected one of both");
}

static void check_postgres(struct config_reader *r, const struct yaml_node *n)
{
    static const char *const PLACES[] = {"container", "url", "socket", NULL};
    config_check_one_of(r, n, PLACES);
    check_password(r, n);
}

/* Beyond its scheme, which was looked at. */
static void check_redis_url(struct config_reader *r, const struct yaml_node *n)
{
    struct redis_url parsed;
    struct err err = {0};
    const struct yaml_node *url = yaml_get(n, "url");
    if (url == NULL || url->kind != YAML_SCALAR || (strncmp(url->text, "redis", 5) != 0 && url->text[0] != 'u'))
        return;
    size_t was = config_trail_push(r, "url");
    if (redis_url_parse(url->text, &parsed, &err) == 0)
        redis_url_release(&parsed);
    else if (url_has_password(url->text)) /* half of it may look like something else, and would be shown */
        config_mistake(r, url,
                       "the URL cannot be understood; characters like / ? # @ in a password are written as %%2F "
                       "%%3F %%23 %%40");
    else
        config_mistake(r, url, "%s", err.message);
    config_trail_pop(r, was);
}

static void check_redis(struct config_reader *r, const struct yaml_node *n)
{
    static const char *const PLACES[] = {"container", "url", NULL};
    if (config_check_one_of(r, n, PLACES) == 0)
        config_mistake(r, n, "it says nowhere where the server is, expected 'container' or 'url'");
    check_password(r, n);
    check_redis_url(r, n);
}

static void check_command(struct config_reader *r, const struct yaml_node *n)
{
    static const char *const NEEDED[] = {"name", "command"};
    for (size_t i = 0; i < 2; i++)
        if (!config_has(n, NEEDED[i]))
            config_mistake(r, n, "expected '%s'", NEEDED[i]);
}

static void check_command_names(struct config_reader *r, const struct yaml_node *tier, const struct plan_tier *t)
{
    for (size_t i = 0; i < t->command_count; i++)
        for (size_t j = 0; j < i; j++) {
            const char *name = t->commands[i].name;
            if (name != NULL && t->commands[j].name != NULL && strcmp(name, t->commands[j].name) == 0)
                config_mistake(r, config_place(tier, "command"), "two commands have the name '%s'", name);
        }
}

static void check_sources(struct config_reader *r, const struct yaml_node *key, const struct yaml_node *n,
                          const struct plan_tier *t)
{
    static const char *const OF_FILES[] = {
        "exclude", "exclude_if_present", "exclude_caches", "exclude_larger_than", "one_file_system", "agent_excludes"};
    check_items(r, n, "git", check_git);
    check_items(r, n, "postgres", check_postgres);
    check_items(r, n, "redis", check_redis);
    check_items(r, n, "command", check_command);
    check_command_names(r, n, t);
    static const char *const SOURCES[] = {"files", "git", "postgres", "redis", "sqlite", "command"};
    bool any = false;
    for (size_t i = 0; i < sizeof SOURCES / sizeof *SOURCES; i++) {
        const struct yaml_node *source = yaml_get(n, SOURCES[i]);
        any |= source != NULL && !yaml_is_null(source) && (source->kind != YAML_LIST || source->count > 0);
    }
    if (!any)
        config_mistake(r, key,
                       "it backs nothing up, expected at least one of files, git, postgres, redis, sqlite, "
                       "command");
    for (size_t i = 0; i < sizeof OF_FILES / sizeof *OF_FILES; i++)
        if (!config_has(n, "files") && config_has(n, OF_FILES[i]))
            config_warn(r, config_key_of(n, OF_FILES[i]), "'%s' has nothing to do: the tier has no 'files'",
                        OF_FILES[i]);
}

/* ------------------------------------------------------------------------------------------------- where a tier goes
 */

/* Does this tier need the passphrase there? */
static bool needs_passphrase(const struct plan_tier *t)
{
    return t->format == PLAN_REPOSITORY || (!t->archive.unencrypted && t->archive.recipients.count == 0);
}

/* The destination's own map in the document. */
static const struct yaml_node *map_of(const struct config_reader *r, const struct yaml_node *document,
                                      const struct plan_destination *d)
{
    return yaml_get(document, "destinations")->items[d - r->plan->destinations];
}

static void check_inside(struct config_reader *r, const struct yaml_node *at, const struct plan_tier *t,
                         const struct plan_destination *d)
{
    for (size_t i = 0; i < t->files.count && d->location[0] == '/'; i++)
        if (os_path_is_below(d->location, t->files.items[i]))
            config_warn(r, at,
                        "destination '%s' lies inside of '%s', which goes there: it would hold itself; exclude "
                        "'%s'",
                        d->name, t->files.items[i], d->location);
}

static void check_archive_there(struct config_reader *r, const struct yaml_node *at, const struct plan_tier *t,
                                const struct plan_destination *d)
{
    if (d->location[0] != '/')
        config_mistake(r, at, "an archive is a file, and destination '%s' is no directory; expected one with 'path'",
                       d->name);
    if (t->archive.unencrypted && !d->allow_unencrypted)
        config_mistake(r, at, "unencrypted archives to destination '%s', which does not have 'allow_unencrypted: true'",
                       d->name);
    for (const struct plan_tier *other = r->plan->tiers; other < t; other++)
        if (other->format == PLAN_ARCHIVE && strlist_contains(&other->to, d->name) &&
            strcmp(other->archive.prefix, t->archive.prefix) == 0)
            config_mistake(r, at, "archives of tier '%s' have the same names there, expected another 'archive.prefix'",
                           other->name);
}

static void unknown_destination(struct config_reader *r, const struct yaml_node *at, const char *name)
{
    const struct plan *p = r->plan;
    if (p->destination_count == 0)
        return; /* that was said */
    const char **names = mem_array(NULL, p->destination_count + 1, sizeof *names);
    for (size_t i = 0; i < p->destination_count; i++)
        names[i] = p->destinations[i].name;
    names[p->destination_count] = NULL;
    char shown[SHOWN_BYTES];
    const char *near = nearest_word(name, names);
    text_shown(name, shown);
    if (near != NULL)
        config_mistake(r, at, "there is no destination '%s'; did you mean '%s'?", shown, near);
    else
        config_mistake(r, at, "there is no destination '%s', expected a name from 'destinations'", shown);
    free(names);
}

static void check_goal(struct config_reader *r, const struct yaml_node *document, const struct yaml_node *at,
                       const struct plan_tier *t, const char *name)
{
    const struct plan_destination *d = plan_destination_find(r->plan, name);
    if (d == NULL) {
        unknown_destination(r, at, name);
        return;
    }
    /* Kinds, not passphrases: what is wrong with one that is there was said. */
    if (needs_passphrase(t) && !config_has(document, "passphrase") && !config_has(map_of(r, document, d), "passphrase"))
        config_mistake(r, at,
                       "destination '%s' needs a passphrase, and nothing says where it is; expected "
                       "'passphrase: {file: PATH}' at the top of the file",
                       d->name);
    if (d->location == NULL)
        return;
    check_inside(r, at, t, d);
    if (t->format == PLAN_ARCHIVE)
        check_archive_there(r, at, t, d);
}

static void check_goals(struct config_reader *r, const struct yaml_node *document, const struct yaml_node *key,
                        const struct yaml_node *n, const struct plan_tier *t)
{
    const struct yaml_node *to = yaml_get(n, "to");
    if (to == NULL || yaml_is_null(to) || (to->kind == YAML_LIST && to->count == 0)) {
        config_mistake(r, to != NULL ? to : key, "it goes nowhere, expected 'to' with the name of a destination");
        return;
    }
    size_t was = config_trail_push(r, "to");
    for (size_t i = 0; i < (to->kind == YAML_LIST ? to->count : 1); i++) {
        const struct yaml_node *at = to->kind == YAML_LIST ? to->items[i] : to;
        if (at->kind != YAML_SCALAR || yaml_is_null(at) || at->text[0] == '\0')
            continue;
        check_goal(r, document, at, t, at->text);
        for (size_t j = 0; to->kind == YAML_LIST && j < i; j++)
            if (to->items[j]->kind == YAML_SCALAR && strcmp(to->items[j]->text, at->text) == 0)
                config_mistake(r, at, "destination '%.60s' is named twice", at->text);
    }
    config_trail_pop(r, was);
}

/* --------------------------------------------------------------------------------------------------- the rest of a
 * tier
 */

static void check_schedule(struct config_reader *r, const struct yaml_node *n)
{
    static const char *const KINDS[] = {"every", "cron", "at", NULL};
    config_check_one_of(r, n, KINDS);
    if (config_has(n, "timezone") && !config_has(n, "cron") && !config_has(n, "at"))
        config_mistake(r, config_key_of(n, "timezone"), "'timezone' says nothing without 'cron' or 'at'");
}

static void check_archive(struct config_reader *r, const struct yaml_node *n, const struct plan_tier *t)
{
    /* Of a format that is none, that was said; it may have been meant to be this one. */
    const struct yaml_node *format = yaml_get(n, "format");
    bool other = format == NULL || yaml_is_null(format) ||
                 (format->kind == YAML_SCALAR && strcmp(format->text, "repository") == 0);
    if (config_has(n, "archive") && t->format != PLAN_ARCHIVE && other)
        config_mistake(r, config_key_of(n, "archive"), "'archive' says nothing without 'format: archive'");
    if (t->archive.unencrypted && t->archive.recipients.count > 0)
        config_mistake(r, config_place(n, "archive"),
                       "found 'recipients' beside 'encrypt: false', expected one of both");
}

static void check_keep(struct config_reader *r, const struct yaml_node *n, const struct plan_tier *t)
{
    const struct yaml_node *keep = yaml_get(n, "keep");
    if (keep == NULL || keep->kind != YAML_MAP)
        return;
    size_t was = config_trail_push(r, "keep");
    if (t->keep.all && keep->count > 1)
        config_mistake(r, keep, "found 'all' beside other rules, expected either 'all: true' or rules");
    else if (keep->count == 0 || (!t->keep.all && keep->count == 1 && config_has(keep, "all")))
        config_mistake(r, keep, "it keeps nothing, expected rules like {daily: 7, weekly: 4}, or {all: true}");
    config_trail_pop(r, was);
}

static void check_tier(struct config_reader *r, const struct yaml_node *document, const struct yaml_node *key,
                       const struct yaml_node *n, const struct plan_tier *t)
{
    check_schedule(r, n);
    check_sources(r, key, n, t);
    check_archive(r, n, t);
    check_goals(r, document, key, n, t);
    check_keep(r, n, t);
}

static bool is_used(const struct plan *p, const char *destination)
{
    for (size_t i = 0; i < p->tier_count; i++)
        if (strlist_contains(&p->tiers[i].to, destination))
            return true;
    return false;
}

static void warn_of_unused(struct config_reader *r, const struct yaml_node *document)
{
    const struct plan *p = r->plan;
    size_t was = config_trail_push(r, "destinations");
    for (size_t i = 0; i < p->destination_count; i++) {
        const struct yaml_node *key = yaml_get(document, "destinations")->keys[i];
        size_t here = config_trail_push(r, key->text);
        if (!is_used(p, p->destinations[i].name))
            config_warn(r, key, "nothing goes there: no tier names it in 'to'");
        config_trail_pop(r, here);
    }
    config_trail_pop(r, was);
}

void config_check(struct config_reader *r, const struct yaml_node *document)
{
    const struct plan *p = r->plan;
    check_destinations(r, document);
    config_check_alerts(r, document);
    const struct yaml_node *tiers = yaml_get(document, "tiers");
    if (p->tier_count == 0 && (tiers == NULL || tiers->kind == YAML_MAP || yaml_is_null(tiers)))
        config_mistake(r, config_place(document, "tiers"), "no tier is named: nothing would be backed up");
    if (p->tier_count == 0)
        return;
    size_t was = config_trail_push(r, "tiers");
    for (size_t i = 0; i < p->tier_count; i++) {
        size_t here = config_trail_push(r, tiers->keys[i]->text);
        if (tiers->items[i]->kind == YAML_MAP || yaml_is_null(tiers->items[i]))
            check_tier(r, document, tiers->keys[i], tiers->items[i], &p->tiers[i]);
        config_trail_pop(r, here);
    }
    config_trail_pop(r, was);
    if (r->report->errors == 0) /* else it may be due to a mistake */
        warn_of_unused(r, document);
}
