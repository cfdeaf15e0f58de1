#include "plan/config_schema.h"

#include <stdlib.h>
#include <string.h>

#include "source/filter.h"
#include "store/store.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, RESERVE_BYTES = 100 * 1000 * 1000, CPUS_MAX = 1024 };

/* ---------------------------------------------------------------------------------------------------- destinations
 */

/* "auto" is what NULL stands for. */
static void take_compression(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char *const LEVELS[] = {"auto", "off", "fastest", "better", "max", NULL};
    const struct config_field choice = {.key = f->key, .more = LEVELS};
    unsigned level = 0;
    config_take_choice(r, n, &level, &choice);
    *(const char **)to = level == 0 ? NULL : LEVELS[level];
}

/* What store_open() takes. A directory on this machine by any of its spellings becomes its path. */
static void take_repository(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char LOCAL[] = "local:";
    const char *text = config_text(r, n, "a repository's location");
    if (text == NULL)
        return;
    struct yaml_node path = *n;
    if (strncmp(text, LOCAL, sizeof LOCAL - 1) == 0)
        path.text += sizeof LOCAL - 1;
    struct store *store = NULL;
    struct err err = {0};
    if (text[0] == '/' || text[0] == '~' || path.text != n->text) {
        config_take_path(r, &path, to, f);
    } else if (strchr(text, ':') == NULL) {
        config_expected(r, n, "a path that begins with / or ~/, or a location like local:/srv/backups");
    } else if (store_open(&store, text, &err) < 0) {
        config_mistake(r, n, "%s", err.message);
    } else {
        store_free(store);
        *(const char **)to = config_keep(r, text);
    }
}

/* Whether a drive must be mounted, or at which directory. */
static void take_mount(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct plan_destination *d = to;
    if (n->kind != YAML_SCALAR || (n->text[0] != '/' && strncmp(n->text, "~/", 2) != 0)) {
        config_take_bool(r, n, &d->require_mount, f);
        return;
    }
    config_take_path(r, n, &d->mount_point, f);
    d->require_mount = true;
    if (d->mount_point != NULL && strcmp(d->mount_point, "/") == 0)
        config_expected(r, n, f->more);
}

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct config_field DESTINATION[] = {
    {"path", config_take_path, AT(plan_destination, location)},
    {"repository", take_repository, AT(plan_destination, location)},
    {"require_mount", take_mount, .more = "true, false, or the directory below / that the drive is mounted at"},
    {"reserve", config_take_size, AT(plan_destination, reserve_bytes)},
    {"allow_unencrypted", config_take_bool, AT(plan_destination, allow_unencrypted)},
    {"limit_write", config_take_rate, AT(plan_destination, limit_write_bytes_per_s)},
    {"compression", take_compression, AT(plan_destination, compression)},
    {"passphrase", config_take_secret, AT(plan_destination, passphrase)},
    {.key = NULL},
};

/* ------------------------------------------------------------------------------------------------------- schedules
 */

static void take_every(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct schedule *s = to;
    config_take_duration(r, n, &s->every_ms, f);
    if (s->every_ms > 0 && s->every_ms < MINUTE_MS)
        config_expected(r, n, "a minute or more");
    s->kind = SCHEDULE_EVERY;
}

static void take_cron(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct schedule *s = to;
    struct err err = {0};
    (void)f;
    const char *text = config_text(r, n, "a cron expression like \"0 2 * * *\"");
    s->kind = SCHEDULE_CRON;
    if (text == NULL)
        return;
    s->cron_text = config_keep(r, text);
    if (cron_parse(text, &s->cron, &err) < 0)
        config_mistake(r, n, "%s", err.message);
}

static void take_timezone(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct schedule *s = to;
    struct err err = {0};
    (void)f;
    const char *text = config_text(r, n, "a time zone like Europe/Berlin");
    if (text == NULL)
        return;
    struct schedule zone = {.zone = config_keep(r, text)};
    if (schedule_check(&zone, &err) < 0)
        config_mistake(r, n, "%s", err.message);
    else
        s->zone = zone.zone;
}

/* The time itself is read by take_tier(), once the zone is known. */
static void take_at(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct schedule *s = to;
    (void)f;
    if (config_text(r, n, "a time like 2026-12-24 18:00") != NULL)
        s->kind = SCHEDULE_AT;
}

static void finish_at(struct config_reader *r, const struct yaml_node *tier, struct schedule *s)
{
    struct err err = {0};
    const struct yaml_node *at = yaml_get(tier, "at");
    if (at == NULL || at->kind != YAML_SCALAR || yaml_is_null(at) || at->text[0] == '\0')
        return;
    size_t was = config_trail_push(r, "at");
    if (schedule_parse_time(at->text, s->zone, &s->at_ms, &err) < 0)
        config_mistake(r, at, "%s", err.message);
    config_trail_pop(r, was);
}

/* ----------------------------------------------------------------------------------------------------------- sources
 */

/* "~/x" is the home directory's here too. */
static void take_pattern(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct err err = {0};
    const char *text = config_text(r, n, "a pattern like *.log"), *home = NULL;
    if (text == NULL)
        return;
    struct filter *filter = filter_new();
    if (filter_add(filter, text, false, &err) < 0)
        config_mistake(r, n, "%s", err.message);
    filter_free(filter);
    if (text[0] != '~' || text[1] != '/') {
        *(const char **)to = config_keep(r, text);
        return;
    }
    struct yaml_node tilde = {.line = n->line, .column = n->column, .text = (char[]){"~/"}};
    config_take_path(r, &tilde, &home, f);
    if (home == NULL)
        return;
    struct buf whole;
    buf_init(&whole, CONFIG_MAX_BYTES);
    filter_escape(home, &whole);
    buf_append_str(&whole, text + 1);
    *(const char **)to = config_keep(r, buf_cstr(&whole));
    buf_release(&whole);
}

static void take_patterns(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    config_take_list(r, n, to, f, take_pattern);
}

static void init_git(void *item)
{
    ((struct plan_git *)item)->timeout_ms = 5 * MINUTE_MS;
}

static const struct config_field GIT[] = {
    {"path", config_take_path, AT(plan_git, path)},
    {"push", config_take_word, AT(plan_git, push)},
    {"timeout", config_take_duration, AT(plan_git, timeout_ms)},
    {.key = NULL},
};
static const struct config_items GIT_ITEMS = {
    .fields = GIT,
    .item_bytes = sizeof(struct plan_git),
    .count_offset = offsetof(struct plan_tier, git_count) - offsetof(struct plan_tier, git),
    .scalar_key = "path",
    .init = init_git,
};

static const char *const POSTGRES_SCHEMES[] = {"postgres://", "postgresql://", NULL};
static const struct config_field POSTGRES[] = {
    {"container", config_take_name, AT(plan_postgres, container)},
    {"url", config_take_url, AT(plan_postgres, url), POSTGRES_SCHEMES},
    {"socket", config_take_path, AT(plan_postgres, socket)},
    {"user", config_take_word, AT(plan_postgres, user)},
    {"database", config_take_word, AT(plan_postgres, database)},
    {"password", config_take_secret, AT(plan_postgres, password)},
    {.key = NULL},
};
static const struct config_items POSTGRES_ITEMS = {
    .fields = POSTGRES,
    .item_bytes = sizeof(struct plan_postgres),
    .count_offset = offsetof(struct plan_tier, postgres_count) - offsetof(struct plan_tier, postgres),
};

static const char *const REDIS_SCHEMES[] = {"redis://", "rediss://", "unix://", NULL};
static const struct config_field REDIS[] = {
    {"container", config_take_name, AT(plan_redis, container)},
    {"url", config_take_url, AT(plan_redis, url), REDIS_SCHEMES},
    {"user", config_take_word, AT(plan_redis, user)},
    {"password", config_take_secret, AT(plan_redis, password)},
    {.key = NULL},
};
static const struct config_items REDIS_ITEMS = {
    .fields = REDIS,
    .item_bytes = sizeof(struct plan_redis),
    .count_offset = offsetof(struct plan_tier, redis_count) - offsetof(struct plan_tier, redis),
};

static const struct config_field COMMAND[] = {
    {"name", config_take_name, AT(plan_command, name)},
    {"command", config_take_command, AT(plan_command, command)},
    {.key = NULL},
};
static const struct config_items COMMAND_ITEMS = {
    .fields = COMMAND,
    .item_bytes = sizeof(struct plan_command),
    .count_offset = offsetof(struct plan_tier, command_count) - offsetof(struct plan_tier, commands),
};

/* ------------------------------------------------------------------------------------- what becomes of it, and for how
 * long
 */

static const struct config_field HOOKS[] = {
    {"before", config_take_command, AT(plan_hooks, before)},
    {"after", config_take_command, AT(plan_hooks, after)},
    {"failure", config_take_command, AT(plan_hooks, failure)},
    {"timeout", config_take_duration, AT(plan_hooks, timeout_ms)},
    {.key = NULL},
};

static const char *const CODECS[] = {[PLAN_GZIP] = "gzip", [PLAN_ZSTD] = "zstd", [PLAN_UNCOMPRESSED] = "none", NULL};
static const struct config_field ARCHIVE[] = {
    {"prefix", config_take_name, AT(plan_archive, prefix)},
    {"compression", config_take_choice, AT(plan_archive, codec), CODECS},
    {"recipients", config_take_words, AT(plan_archive, recipients)},
    {"encrypt", config_take_not, AT(plan_archive, unencrypted)},
    {.key = NULL},
};

static void take_keep_count(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "how many: 1 or more, or all";
    enum { COUNT_MAX_DIGITS = 6 };
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    size_t digits = strspn(text, "0123456789");
    int count = digits > 0 && digits <= COUNT_MAX_DIGITS && text[digits] == '\0' ? (int)strtol(text, NULL, 10) : 0;
    if (strcmp(text, "all") == 0)
        count = -1;
    if (count == 0)
        config_expected(r, n, EXPECTED);
    *(int *)to = count;
}

static void take_within(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a time like 7d, 36h, 6m (months) or 1y6m";
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text != NULL && retention_parse_duration(text, to, NULL) < 0)
        config_expected(r, n, EXPECTED);
}

static const struct config_field KEEP[] = {
    {"all", config_take_bool, AT(plan_keep, all)},
    {"last", take_keep_count, AT(plan_keep, policy.last)},
    {"hourly", take_keep_count, AT(plan_keep, policy.hourly)},
    {"daily", take_keep_count, AT(plan_keep, policy.daily)},
    {"weekly", take_keep_count, AT(plan_keep, policy.weekly)},
    {"monthly", take_keep_count, AT(plan_keep, policy.monthly)},
    {"yearly", take_keep_count, AT(plan_keep, policy.yearly)},
    {"within", take_within, AT(plan_keep, policy.within)},
    {"within_hourly", take_within, AT(plan_keep, policy.within_hourly)},
    {"within_daily", take_within, AT(plan_keep, policy.within_daily)},
    {"within_weekly", take_within, AT(plan_keep, policy.within_weekly)},
    {"within_monthly", take_within, AT(plan_keep, policy.within_monthly)},
    {"within_yearly", take_within, AT(plan_keep, policy.within_yearly)},
    {.key = NULL},
};

/* ------------------------------------------------------------------------------------------------------------- tiers
 */

static const char *const FORMATS[] = {[PLAN_REPOSITORY] = "repository", [PLAN_ARCHIVE] = "archive", NULL};
static const char *const WHENS[] = {[PLAN_ALWAYS] = "always", [PLAN_RUNNING] = "running", NULL};
static const char *const SHRINKS[] = {[PLAN_SHRINK_FAIL] = "fail", [PLAN_SHRINK_WARN] = "warn", NULL};

static const struct config_field TIER[] = {
    {"every", take_every, AT(plan_tier, schedule)},
    {"cron", take_cron, AT(plan_tier, schedule)},
    {"at", take_at, AT(plan_tier, schedule)},
    {"timezone", take_timezone, AT(plan_tier, schedule)},
    {"enabled", config_take_not, AT(plan_tier, disabled)},
    {"files", config_take_paths, AT(plan_tier, files)},
    {"exclude", take_patterns, AT(plan_tier, exclude)},
    {"exclude_if_present", config_take_texts, AT(plan_tier, exclude_if_present)},
    {"exclude_caches", config_take_bool, AT(plan_tier, exclude_caches)},
    {"exclude_larger_than", config_take_size, AT(plan_tier, exclude_larger_than)},
    {"one_file_system", config_take_bool, AT(plan_tier, one_file_system)},
    {"agent_excludes", config_take_not, AT(plan_tier, no_agent_excludes)},
    {"git", config_take_items, AT(plan_tier, git), &GIT_ITEMS},
    {"postgres", config_take_items, AT(plan_tier, postgres), &POSTGRES_ITEMS},
    {"redis", config_take_items, AT(plan_tier, redis), &REDIS_ITEMS},
    {"sqlite", config_take_paths, AT(plan_tier, sqlite)},
    {"command", config_take_items, AT(plan_tier, commands), &COMMAND_ITEMS},
    {"when", config_take_choice, AT(plan_tier, when), WHENS},
    {"on_shrink", config_take_choice, AT(plan_tier, on_shrink), SHRINKS},
    {"format", config_take_choice, AT(plan_tier, format), FORMATS},
    {"archive", config_take_map, AT(plan_tier, archive), ARCHIVE},
    {"to", config_take_words, AT(plan_tier, to)},
    {"keep", config_take_map, AT(plan_tier, keep), KEEP},
    {"hooks", config_take_map, AT(plan_tier, hooks), HOOKS},
    {"retry", config_take_retry, AT(plan_tier, retry)},
    {"timeout", config_take_duration, AT(plan_tier, timeout_ms)},
    {.key = NULL},
};

static void take_destinations(struct config_reader *r, const struct yaml_node *n, void *to,
                              const struct config_field *f)
{
    struct plan *p = to;
    p->destinations = config_name_array(r, n, sizeof *p->destinations, &p->destination_count);
    for (size_t i = 0; i < p->destination_count; i++) {
        struct plan_destination *d = &p->destinations[i];
        *d = (struct plan_destination){.name = "", .reserve_bytes = RESERVE_BYTES, .line = n->keys[i]->line};
        config_take_name(r, n->keys[i], &d->name, f);
        size_t was = config_trail_push(r, n->keys[i]->text);
        config_read_map(r, n->items[i], d, DESTINATION);
        config_trail_pop(r, was);
    }
}

static void take_tiers(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct plan *p = to;
    p->tiers = config_name_array(r, n, sizeof *p->tiers, &p->tier_count);
    for (size_t i = 0; i < p->tier_count; i++) {
        struct plan_tier *t = &p->tiers[i];
        *t = (struct plan_tier){
            .name = "", .hooks = {.timeout_ms = 10 * MINUTE_MS}, .timeout_ms = HOUR_MS, .line = n->keys[i]->line};
        config_take_name(r, n->keys[i], &t->name, f);
        size_t was = config_trail_push(r, n->keys[i]->text);
        config_read_map(r, n->items[i], t, TIER);
        finish_at(r, n->items[i], &t->schedule);
        config_trail_pop(r, was);
        if (t->archive.prefix == NULL)
            t->archive.prefix = t->name;
    }
}

/* ---------------------------------------------------------------------------------------------------------------- all
 */

static void take_version(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)to;
    (void)f;
    if (n->kind != YAML_SCALAR || strcmp(n->text, "1") != 0)
        config_expected(r, n, "1, the only version there is");
}

static const unsigned CPUS_LIMIT = CPUS_MAX;
static const struct config_field LIMITS[] = {
    {"cpus", config_take_number, AT(plan, cpus), &CPUS_LIMIT},
    {"read", config_take_rate, AT(plan, limit_read_bytes_per_s)},
    {.key = NULL},
};

static void take_limits(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)f;
    config_read_map(r, n, to, LIMITS);
}

static const struct config_field PLAN[] = {
    {"version", take_version, 0},
    {"home", config_take_path, AT(plan, home)},
    {"host", config_take_word, AT(plan, host)},
    {"passphrase", config_take_secret, AT(plan, passphrase)},
    {"destinations", take_destinations, 0},
    {"tiers", take_tiers, 0},
    {"hooks", config_take_map, AT(plan, hooks), HOOKS},
    {"health", config_take_health, AT(plan, health)},
    {"alerts", config_take_alerts, AT(plan, alerts)},
    {"limits", take_limits, 0},
    {.key = NULL},
};

void config_schema_read(struct config_reader *r, const struct yaml_node *document)
{
    r->plan->hooks.timeout_ms = 10 * MINUTE_MS;
    config_alerts_defaults(r->plan);
    config_read_map(r, document, r->plan, PLAN);
}
