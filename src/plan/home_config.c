#include "plan/home_config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "plan/json5.h"

enum { INCLUDE_COUNT_MAX = 500 };

/* One configuration with its includes. */
struct reading {
    const char *user_home;
    char *dir; /* of the topmost file */
    struct home_config *out;
    struct strlist *notes;
    struct strlist open; /* the files being read, from the topmost to this one */
    unsigned include_count;
};

/* ---- paths */

char *home_path_resolve(const char *text, const char *user_home, const char *base)
{
    static const char BLANKS[] = " \t\r\n\v\f";
    text += strspn(text, BLANKS);
    size_t len = strlen(text);
    while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL)
        len--;
    char *trimmed = mem_strndup(text, len), *full;
    if (trimmed[0] == '~' && (trimmed[1] == '/' || trimmed[1] == '\0'))
        full = mem_printf("%s/%s", user_home, trimmed + 1);
    else
        full = trimmed[0] == '/' ? mem_strdup(trimmed) : mem_printf("%s/%s", base, trimmed);
    char *clean = os_path_absolute(full);
    free(trimmed);
    free(full);
    return clean;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

/* Takes the text over. */
static void add_note(struct strlist *notes, char *note)
{
    if (!strlist_contains(notes, note))
        strlist_add(notes, note);
    free(note);
}

/* ---- one file */

static json_t *parse(const struct buf *text, struct err *err)
{
    struct buf json;
    buf_init(&json, 2 * (size_t)HOME_CONFIG_MAX_BYTES);
    json_t *doc = NULL;
    if (json5_to_json((const char *)text->data, text->len, &json, err) == 0) {
        json_error_t why;
        /* Integers as reals: larger ones than 64 bits must not spoil the rest, and no number is looked at here. */
        doc = json_loadb((const char *)json.data, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
                         &why);
        if (doc == NULL)
            err_set(err, ERR_CORRUPT, "line %d: not valid JSON5 or not UTF-8", why.line);
    }
    if (json.data != NULL)
        mem_wipe(json.data, json.len);
    buf_release(&json);
    return doc;
}

/* NULL when it could not be read or parsed, with a note. */
static json_t *load(const struct reading *r, const char *path)
{
    struct buf text;
    struct err err = {0};
    buf_init(&text, HOME_CONFIG_MAX_BYTES);
    json_t *doc = NULL;
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) /* reading a pipe would wait forever */
        err_set(&err, ERR_UNSUPPORTED, "it is no regular file");
    else if (os_read_file(path, &text, &err) == 0)
        doc = parse(&text, &err);
    if (text.data != NULL)
        mem_wipe(text.data, text.len); /* configurations hold keys and tokens */
    buf_release(&text);
    if (doc != NULL)
        return doc;
    char *note = mem_printf("cannot read configuration '%s' to see which workspaces it names: %s", path, err.message);
    if (access(path, R_OK) == 0 && !strlist_contains(&r->out->unread, path)) {
        strlist_add(&r->out->unread, path);
        strlist_add(&r->out->unread_why, note);
    }
    add_note(r->notes, note);
    return NULL;
}

/* ---- $include */

static json_t *resolve(struct reading *r, json_t *value, const char *file);

/* OpenClaw's rule: objects are merged, arrays put one behind the other, of anything else the later one counts. Takes
 * both references. */
static json_t *merge(json_t *under, json_t *over)
{
    const char *key;
    json_t *value, *result;
    if (json_is_array(under) && json_is_array(over)) {
        result = json_copy(under);
        json_array_extend(result, over);
    } else if (json_is_object(under) && json_is_object(over)) {
        result = json_copy(under);
        json_object_foreach(over, key, value)
        {
            json_t *old = json_object_get(result, key);
            json_object_set_new(result, key,
                                old != NULL ? merge(json_incref(old), json_incref(value)) : json_incref(value));
        }
    } else {
        result = json_incref(over);
    }
    json_decref(under);
    json_decref(over);
    return result;
}

/* A new reference, or NULL. */
static json_t *include_one(struct reading *r, const char *name, const char *file)
{
    char *dir = directory_of(file), *path = home_path_resolve(name, r->user_home, dir);
    free(dir);
    json_t *result = NULL;
    if (strlist_contains(&r->open, path)) {
        add_note(r->notes, mem_printf("configuration '%s' includes itself by way of '%s'", path, file));
    } else if (r->open.count > HOME_INCLUDE_NESTING_MAX) {
        add_note(r->notes, mem_printf("configuration '%s' is included too deeply, from '%s'", path, file));
    } else if (r->include_count++ == INCLUDE_COUNT_MAX) {
        add_note(r->notes, mem_printf("configuration '%s' includes too many files", r->open.items[0]));
    } else if (r->include_count <= INCLUDE_COUNT_MAX) {
        if (!strlist_contains(&r->out->includes, path))
            strlist_add(&r->out->includes, path);
        strlist_add(&r->open, path);
        json_t *doc = load(r, path);
        if (doc != NULL)
            result = resolve(r, doc, path);
        json_decref(doc);
        free(r->open.items[--r->open.count]);
    }
    free(path);
    return result;
}

/* What "$include" stands for, a string or an array of them: a new reference, or NULL. */
static json_t *include_all(struct reading *r, json_t *names, const char *file)
{
    json_t *result = NULL;
    if (json_is_string(names))
        return include_one(r, json_string_value(names), file);
    for (size_t i = 0; i < json_array_size(names); i++) {
        json_t *name = json_array_get(names, i);
        json_t *part = json_is_string(name) ? include_one(r, json_string_value(name), file) : NULL;
        if (part != NULL)
            result = result != NULL ? merge(result, part) : part;
    }
    return result;
}

static json_t *resolve_object(struct reading *r, json_t *object, const char *file)
{
    json_t *result = json_object(), *value;
    const char *key;
    json_object_foreach(object, key, value) if (strcmp(key, "$include") != 0)
        json_object_set_new(result, key, resolve(r, value, file));
    json_t *names = json_object_get(object, "$include");
    json_t *included = names != NULL ? include_all(r, names, file) : NULL;
    if (included == NULL)
        return result;
    if (json_object_size(result) > 0)
        return merge(included, result);
    json_decref(result);
    return included;
}

/* The value with every "$include" in it replaced: a new reference. */
static json_t *resolve(struct reading *r, json_t *value, const char *file)
{
    if (json_is_object(value))
        return resolve_object(r, value, file);
    if (!json_is_array(value))
        return json_incref(value);
    json_t *result = json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(result, resolve(r, json_array_get(value, i), file));
    return result;
}

/* ---- what it says */

/* "${NAME}" → the variable's value. NULL when it is not set here, or the text is malformed. */
static char *expand_variables(const char *text)
{
    struct buf out;
    buf_init(&out, 64 << 10);
    const char *start;
    while ((start = strstr(text, "${")) != NULL) {
        const char *end = strchr(start, '}');
        char *name = end != NULL ? mem_strndup(start + 2, (size_t)(end - start - 2)) : NULL;
        const char *value = name != NULL ? getenv(name) : NULL;
        free(name);
        if (value == NULL) {
            buf_release(&out);
            return NULL;
        }
        buf_append(&out, text, (size_t)(start - text));
        buf_append_str(&out, value);
        text = end + 1;
    }
    buf_append_str(&out, text);
    char *result = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return result;
}

static void add_path(const struct reading *r, struct strlist *list, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL || text[strspn(text, " \t\r\n")] == '\0')
        return;
    char *expanded = expand_variables(text);
    if (expanded == NULL) {
        add_note(r->notes, mem_printf("'%s' in '%s' names a variable that is not set here", text, r->open.items[0]));
        return;
    }
    char *path = home_path_resolve(expanded, r->user_home, r->dir);
    if (!strlist_contains(list, path))
        strlist_add(list, path);
    free(path);
    free(expanded);
}

static void add_agent(const struct reading *r, const json_t *agent)
{
    add_path(r, &r->out->workspaces, json_object_get(agent, "workspace"));
    add_path(r, &r->out->agent_dirs, json_object_get(agent, "agentDir"));
}

/* The agents in an array or in an object's members. */
static void add_agents(const struct reading *r, json_t *agents)
{
    const char *key;
    json_t *agent;
    for (size_t i = 0; i < json_array_size(agents); i++)
        add_agent(r, json_array_get(agents, i));
    json_object_foreach(agents, key, agent) add_agent(r, agent);
}

static void add_all(const struct reading *r, const json_t *doc)
{
    const json_t *agents = json_object_get(doc, "agents");
    add_agent(r, json_object_get(agents, "defaults"));
    add_agents(r, json_object_get(agents, "list"));
    add_agents(r, json_object_get(agents, "entries"));
    add_agent(r, json_object_get(doc, "agent"));
    add_agents(r, json_object_get(json_object_get(doc, "routing"), "agents"));
}

void home_config_read(const char *path, const char *user_home, struct home_config *out, struct strlist *notes)
{
    struct reading r = {.user_home = user_home, .dir = directory_of(path), .out = out, .notes = notes};
    strlist_add(&r.open, path);
    json_t *doc = load(&r, path);
    if (doc != NULL) {
        json_t *whole = resolve(&r, doc, path);
        add_all(&r, whole);
        json_decref(whole);
    }
    json_decref(doc);
    strlist_release(&r.open);
    free(r.dir);
}

void home_config_release(struct home_config *c)
{
    strlist_release(&c->workspaces);
    strlist_release(&c->agent_dirs);
    strlist_release(&c->includes);
    strlist_release(&c->unread);
    strlist_release(&c->unread_why);
}
