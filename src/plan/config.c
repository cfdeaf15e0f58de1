#include "plan/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "plan/config_check.h"
#include "plan/config_leave_out.h"
#include "plan/config_reader.h"
#include "plan/config_schema.h"
#include "plan/yaml.h"

enum { TRAIL_MAX_BYTES = 4096, HOST_MAX_BYTES = 256 };
static char EMPTY[] = "the file is empty, expected destinations and tiers";

static struct plan *new_plan(const char *path)
{
    struct plan *p = mem_zalloc(sizeof *p);
    struct arena *arena = mem_alloc(sizeof *arena);
    arena_init(arena);
    p->owned = arena;
    p->file = arena_strndup(arena, path, strlen(path));
    return p;
}

static void set_host(struct plan *p)
{
    char name[HOST_MAX_BYTES];
    if (p->host != NULL)
        return;
    if (gethostname(name, sizeof name) != 0)
        memcpy(name, "localhost", sizeof "localhost");
    name[sizeof name - 1] = '\0';
    p->host = arena_strndup(p->owned, name, strlen(name));
}

static bool is_watching(const char *key)
{
    return strcmp(key, "alerts") == 0 || strcmp(key, "health") == 0;
}

/* True: there are some. watching: it is in `alerts:` or `health:`; top: it is the whole document. */
static bool report_keys_that_are_there_twice(const struct yaml_node *n, bool top, bool watching,
                                             struct config_report *report)
{
    bool any = false;
    for (size_t i = 0; i < n->count; i++) {
        const struct yaml_node *key = n->kind == YAML_MAP ? n->keys[i] : NULL;
        bool inside = watching || (top && key != NULL && is_watching(key->text));
        if (key != NULL && key->first_line > 0) {
            char *message = mem_printf("key '%.60s' is there twice, first in line %u", key->text, key->first_line);
            config_report_add(report, &(struct config_mistake){key->line, key->column, message, false, inside});
            free(message);
            any = true;
        }
        any = report_keys_that_are_there_twice(n->items[i], false, inside, report) || any;
    }
    return any;
}

static void drop_second_keys(struct yaml_node *n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++) {
        drop_second_keys(n->items[i]);
        if (n->kind == YAML_MAP && n->keys[i]->first_line > 0) {
            yaml_node_free(n->keys[i]);
            yaml_node_free(n->items[i]);
            continue;
        }
        if (n->kind == YAML_MAP)
            n->keys[kept] = n->keys[i];
        n->items[kept++] = n->items[i];
    }
    n->count = kept;
}

/* The plan as the document without second keys has it: what is checked across keys must be of one and the same. Their
 * mistakes are in the report already. */
static void read_first_keys(struct config_reader *r, struct yaml_node *document)
{
    struct config_report known = {0}, *report = r->report;
    *r->plan = (struct plan){.file = r->plan->file, .owned = r->plan->owned};
    r->report = &known;
    drop_second_keys(document);
    config_schema_read(r, document);
    r->report = report;
    config_report_release(&known);
}

/* The document into the plan; mistakes into the report. */
static void read_document(struct plan *p, struct yaml_node *document, bool private_file, struct config_report *report)
{
    struct config_reader r = {.plan = p, .arena = p->owned, .report = report, .private_file = private_file};
    buf_init(&r.trail, TRAIL_MAX_BYTES);
    bool twice = report_keys_that_are_there_twice(document, true, false, report);
    if (document->kind == YAML_MAP) {
        config_schema_read(&r, document);
        if (twice)
            read_first_keys(&r, document);
        config_check(&r, document);
        set_host(p);
    } else {
        config_expected(&r, document, "keys with values: destinations, tiers …");
    }
    buf_release(&r.trail);
}

/* The first error, and how many more there are. */
static int fail(const char *path, const struct config_report *report, struct err *err)
{
    const struct config_mistake *first = report->items;
    while (first->warning)
        first++;
    size_t more = report->errors - 1;
    char rest[96] = "";
    if (more > 0)
        snprintf(rest, sizeof rest, " (and %zu more mistake%s: run 'clawback config check')", more,
                 more == 1 ? "" : "s");
    return err_set(err, ERR_USAGE, "%s:%u: %s%s", path, first->line, first->message, rest);
}

enum strictness { EVERY_MISTAKE, GRAVE_MISTAKES };

struct origin {
    const char *path;
    bool private_file;
    enum strictness strictness; /* what makes it no plan */
};

static int parse(const char *text, size_t len, const struct origin *o, struct plan **out, struct config_report *report,
                 struct err *err)
{
    struct yaml_node *document;
    struct yaml_position where;
    struct err why = {0};
    *report = (struct config_report){0};
    *out = NULL;
    if (len > CONFIG_MAX_BYTES)
        return err_set(err, ERR_USAGE, "configuration '%s' is larger than %d bytes", o->path, CONFIG_MAX_BYTES);
    if (yaml_parse_document(text, len, &document, &where, &why) < 0) {
        config_report_add(report, &(struct config_mistake){where.line, where.column, why.message, false, false});
        return fail(o->path, report, err);
    }
    struct plan *p = new_plan(o->path);
    if (document != NULL)
        read_document(p, document, o->private_file, report);
    else
        config_report_add(report, &(struct config_mistake){1, 1, EMPTY, false, false});
    if (report->errors > 0 && report->grave == 0 && o->strictness == GRAVE_MISTAKES)
        config_leave_out(p, document, report);
    else if (report->errors > 0)
        plan_free(p);
    yaml_node_free(document);
    if (report->errors > 0 && (report->grave > 0 || o->strictness == EVERY_MISTAKE))
        return fail(o->path, report, err);
    *out = p;
    return 0;
}

int config_parse(const char *text, size_t len, const char *path, struct plan **out, struct config_report *report,
                 struct err *err)
{
    return parse(text, len, &(struct origin){.path = path}, out, report, err);
}

static int load(const char *path, enum strictness strictness, struct plan **out, struct config_report *report,
                struct err *err)
{
    struct buf text;
    struct stat st;
    struct origin o = {.path = path, .strictness = strictness};
    *report = (struct config_report){0};
    *out = NULL;
    buf_init(&text, CONFIG_MAX_BYTES);
    buf_reserve(&text, CONFIG_MAX_BYTES); /* once, so that no copy of a password in it is left behind by growing */
    o.private_file = stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
    int rc = os_read_file(path, &text, err);
    if (rc < 0)
        err_wrap(err, "cannot read the configuration");
    else
        rc = parse(buf_cstr(&text), text.len, &o, out, report, err);
    mem_wipe(text.data, text.cap);
    buf_release(&text);
    return rc;
}

int config_load(const char *path, struct plan **out, struct config_report *report, struct err *err)
{
    return load(path, EVERY_MISTAKE, out, report, err);
}

int config_load_to_run(const char *path, struct plan **out, struct config_report *report, struct err *err)
{
    return load(path, GRAVE_MISTAKES, out, report, err);
}

void config_report_release(struct config_report *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->items[i].message);
    free(r->items);
    *r = (struct config_report){0};
}

char *config_default_path(void)
{
    static const char SYSTEM_WIDE[] = "/etc/clawback/clawback.yaml";
    const char *named = getenv("CLAWBACK_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME");
    if (named != NULL && named[0] != '\0')
        return os_path_expand_home(named);
    /* The XDG specification: a relative path is to be ignored. */
    char *dir = xdg != NULL && xdg[0] == '/' ? mem_strdup(xdg) : os_path_expand_home("~/.config");
    char *path = os_path_join(dir, "clawback/clawback.yaml");
    free(dir);
    if (access(path, F_OK) == 0 || access(SYSTEM_WIDE, F_OK) != 0)
        return path;
    free(path);
    return mem_strdup(SYSTEM_WIDE);
}
