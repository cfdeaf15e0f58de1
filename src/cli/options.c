#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/nearest.h"
#include "plan/schedule.h"

enum { CANDIDATES_MAX = 256 };

/* --- values --- */

int option_parse_bytes(const char *text, uint64_t unit, uint64_t *out, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0)
        return err_set(err, ERR_USAGE, "'%s' is no size (like 500, 64K, 10M, 2G)", text);
    static const char SUFFIXES[] = "BKMGTP";
    uint64_t factor = unit == 0 ? 1 : unit;
    if (*end != '\0') {
        char upper = *end >= 'a' && *end <= 'z' ? (char)(*end - 'a' + 'A') : *end;
        const char *suffix = strchr(SUFFIXES, upper);
        if (suffix == NULL)
            return err_set(err, ERR_USAGE, "'%s' is no size (like 500, 64K, 10M, 2G)", text);
        factor = (uint64_t)1 << (10 * (suffix - SUFFIXES));
        end++;
        if (factor > 1 && (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0 || strcmp(end, "i") == 0))
            end += strlen(end);
    }
    if (*end != '\0')
        return err_set(err, ERR_USAGE, "'%s' is no size (like 500, 64K, 10M, 2G)", text);
    if (n > UINT64_MAX / factor)
        return err_set(err, ERR_USAGE, "'%s' is too large", text);
    *out = n * factor;
    return 0;
}

int option_parse_duration(const char *text, uint64_t *ms_out, struct err *err)
{
    if (strcmp(text, "0") == 0) {
        *ms_out = 0;
        return 0;
    }
    return duration_parse(text, ms_out, err);
}

static int parse_integer(const char *text, int64_t *out, struct err *err)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (*digits < '0' || *digits > '9' || *end != '\0')
        return err_set(err, ERR_USAGE, "'%s' is no whole number", text);
    if (errno != 0)
        return err_set(err, ERR_USAGE, "'%s' is out of range", text);
    *out = n;
    return 0;
}

static int store_number(const struct option *o, const char *value, int64_t *out, struct err *err)
{
    int64_t n;
    if (parse_integer(value, &n, err) < 0)
        return -1;
    bool limited = o->min != 0 || o->max != 0;
    if (limited && n < o->min)
        return err_set(err, ERR_USAGE, "%s is too small (at least %lld)", value, (long long)o->min);
    if (limited && n > o->max)
        return err_set(err, ERR_USAGE, "%s is too large (at most %lld)", value, (long long)o->max);
    *out = n;
    return 0;
}

static int store_bytes(const struct option *o, const char *value, uint64_t *out, struct err *err)
{
    uint64_t n;
    if (option_parse_bytes(value, o->unit, &n, err) < 0)
        return -1;
    bool limited = o->min != 0 || o->max != 0;
    uint64_t unit = o->unit == 0 ? 1 : o->unit;
    if (limited && (n < (uint64_t)o->min || n > (uint64_t)o->max))
        return err_set(err, ERR_USAGE, "%s is not between %llu and %llu%s", value, (unsigned long long)o->min / unit,
                       (unsigned long long)o->max / unit, unit == 1 << 20 ? " MiB" : "");
    *out = n;
    return 0;
}

static int store_count(const char *value, int64_t *out, struct err *err)
{
    if (strcmp(value, "all") == 0 || strcmp(value, "unlimited") == 0 || strcmp(value, "-1") == 0) {
        *out = -1;
        return 0;
    }
    int64_t n;
    if (parse_integer(value, &n, err) < 0 || n < 0 || n > INT32_MAX)
        return err_set(err, ERR_USAGE, "'%s' is neither a number nor 'all'", value);
    *out = n;
    return 0;
}

static int store_choice(const struct option *o, const char *value, int *out, struct err *err)
{
    for (int i = 0; o->choices[i] != NULL; i++)
        if (strcmp(o->choices[i], value) == 0) {
            *out = i;
            return 0;
        }
    char list[256] = "";
    size_t used = 0;
    for (int i = 0; o->choices[i] != NULL && used + strlen(o->choices[i]) + 3 < sizeof list; i++) {
        const char *piece[2] = {i == 0 ? "" : ", ", o->choices[i]};
        for (int k = 0; k < 2; k++) {
            memcpy(list + used, piece[k], strlen(piece[k]) + 1);
            used += strlen(piece[k]);
        }
    }
    return err_set(err, ERR_USAGE, "'%s' is none of %s", value, list);
}

static int store_flag(const char *value, bool *out, struct err *err)
{
    bool yes = strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "false") != 0)
        return err_set(err, ERR_USAGE, "it takes no value but 'true' or 'false', not '%s'", value);
    *out = yes;
    return 0;
}

static int store_by_kind(const struct option *o, const char *value, void *field, struct err *err)
{
    switch (o->kind) {
    case OPTION_FLAG:
        return store_flag(value, field, err);
    case OPTION_STRING:
    case OPTION_OPTIONAL:
        *(const char **)field = value;
        return 0;
    case OPTION_LIST:
        strlist_add(field, value);
        return 0;
    case OPTION_NUMBER:
    case OPTION_REPEAT:
        return store_number(o, value, field, err);
    case OPTION_BYTES:
        return store_bytes(o, value, field, err);
    case OPTION_DURATION:
        return option_parse_duration(value, field, err);
    case OPTION_COUNT:
        return store_count(value, field, err);
    case OPTION_CHOICE:
        return store_choice(o, value, field, err);
    }
    return err_set(err, ERR_FAILED, "an option of an unknown kind");
}

int option_store(const struct option *o, const char *value, void *base, const char *label, struct err *err)
{
    if (store_by_kind(o, value, (char *)base + o->offset, err) < 0)
        return err_wrap(err, "%s", label);
    if (o->set_offset != 0)
        *(bool *)((char *)base + o->set_offset) = true;
    return 0;
}

/* --- tables --- */

const struct option *option_find(const struct option *table, const char *name, size_t len)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct option *find_short(const struct option *table, char c)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++)
        if (o->short_name == c)
            return o;
    return NULL;
}

bool option_takes_value(const struct option *o)
{
    return o->kind != OPTION_FLAG && o->kind != OPTION_OPTIONAL && o->kind != OPTION_REPEAT;
}

/* --- the parser --- */

struct parser {
    int argc, next; /* argv[next] is what comes next */
    char **argv;
    const struct command *const *commands;
    const struct option *global_options;
    void *globals;
    struct parsed *out;
};

/* The table and the struct that an option belongs to: the command's own win. */
static const struct option *lookup(const struct parser *p, const char *name, size_t len, char short_name, void **base)
{
    const struct option *own = p->out->command != NULL ? p->out->command->options : NULL;
    const struct option *o = name != NULL ? option_find(own, name, len) : find_short(own, short_name);
    *base = p->out->options;
    if (o == NULL) {
        o = name != NULL ? option_find(p->global_options, name, len) : find_short(p->global_options, short_name);
        *base = p->globals;
    }
    return o;
}

/* The first command that has such an option, for a hint when it came before the command's name. */
static const struct command *owner_of(const struct parser *p, const char *name, size_t len)
{
    for (size_t i = 0; p->commands[i] != NULL; i++)
        if (option_find(p->commands[i]->options, name, len) != NULL)
            return p->commands[i];
    return NULL;
}

static const char *nearest_option(const struct parser *p, const char *name)
{
    const char *words[CANDIDATES_MAX + 1];
    size_t n = 0;
    const struct option *tables[2] = {p->out->command != NULL ? p->out->command->options : NULL, p->global_options};
    for (int t = 0; t < 2; t++)
        for (const struct option *o = tables[t]; o != NULL && o->name != NULL && n < CANDIDATES_MAX; o++)
            words[n++] = o->name;
    words[n] = NULL;
    return nearest_word(name, words);
}

static int unknown_long(const struct parser *p, const char *name, size_t len, struct err *err)
{
    char *word = mem_strndup(name, len);
    const struct command *command = p->out->command;
    const struct command *owner = command == NULL ? owner_of(p, name, len) : NULL;
    const char *near = nearest_option(p, word);
    if (owner != NULL)
        err_set(err, ERR_USAGE, "'--%s' is an option of '%s': it goes after the command's name", word, owner->name);
    else if (near != NULL)
        err_set(err, ERR_USAGE, "unknown option '--%s'; did you mean '--%s'?", word, near);
    else
        err_set(err, ERR_USAGE, "unknown option '--%s'; 'clawback %s%s--help' lists them", word,
                command != NULL ? command->name : "", command != NULL ? " " : "");
    free(word);
    return -1;
}

static int unknown_short(const struct parser *p, char c, struct err *err)
{
    const struct command *command = p->out->command;
    char shown[8] = {c};
    if ((unsigned char)c < ' ' || (unsigned char)c > '~')
        memcpy(shown, "?", 2);
    return err_set(err, ERR_USAGE, "unknown option '-%s'; 'clawback %s%s--help' lists them", shown,
                   command != NULL ? command->name : "", command != NULL ? " " : "");
}

/* Stores an option without a value: a flag, a repeat, an optional. */
static void store_bare(const struct option *o, void *base)
{
    void *field = (char *)base + o->offset;
    if (o->kind == OPTION_FLAG)
        *(bool *)field = true;
    else if (o->kind == OPTION_REPEAT)
        ++*(int64_t *)field;
    else
        *(const char **)field = "";
    if (o->set_offset != 0)
        *(bool *)((char *)base + o->set_offset) = true;
}

/* `value`: what was joined to it, or NULL; then the next argument serves where one is needed. */
static int take(struct parser *p, const struct option *o, void *base, const char *label, const char *value,
                struct err *err)
{
    if (value == NULL && !option_takes_value(o)) {
        store_bare(o, base);
        return 0;
    }
    if (value == NULL) {
        if (p->next >= p->argc)
            return err_set(err, ERR_USAGE, "%s needs a value%s%s", label, o->metavar != NULL ? ": " : "",
                           o->metavar != NULL ? o->metavar : "");
        value = p->argv[p->next++];
    }
    return option_store(o, value, base, label, err);
}

static int parse_long(struct parser *p, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    void *base;
    const struct option *o = lookup(p, text, len, 0, &base);
    if (o == NULL)
        return unknown_long(p, text, len, err);
    char label[80];
    snprintf(label, sizeof label, "option '--%s'", o->name);
    return take(p, o, base, label, equals != NULL ? equals + 1 : NULL, err);
}

static int parse_shorts(struct parser *p, const char *text, struct err *err)
{
    while (*text != '\0') {
        void *base;
        const struct option *o = lookup(p, NULL, 0, *text, &base);
        if (o == NULL)
            return unknown_short(p, *text, err);
        char label[80];
        snprintf(label, sizeof label, "option '-%c'", *text++);
        const char *value = NULL;
        if (*text == '=' || (*text != '\0' && option_takes_value(o))) {
            value = *text == '=' ? text + 1 : text;
            text = "";
        }
        if (take(p, o, base, label, value, err) < 0)
            return -1;
    }
    return 0;
}

static const struct command *find_command(const struct parser *p, const char *family, const char *word)
{
    for (size_t i = 0; p->commands[i] != NULL; i++) {
        const char *name = p->commands[i]->name;
        size_t skip = 0;
        if (family != NULL) {
            skip = strlen(family);
            if (strncmp(name, family, skip) != 0 || name[skip++] != ' ')
                continue;
        }
        if (strcmp(name + skip, word) == 0)
            return p->commands[i];
    }
    return NULL;
}

static const char *find_family(const struct parser *p, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; p->commands[i] != NULL; i++)
        if (strncmp(p->commands[i]->name, word, len) == 0 && p->commands[i]->name[len] == ' ')
            return word;
    return NULL;
}

static int unknown_command(const struct parser *p, const char *word, struct err *err)
{
    const char *words[CANDIDATES_MAX + 1];
    size_t n = 0;
    const char *family = p->out->family;
    for (size_t i = 0; p->commands[i] != NULL && n < CANDIDATES_MAX; i++)
        words[n++] = p->commands[i]->name;
    words[n] = NULL;
    char *full = family != NULL ? mem_printf("%s %s", family, word) : mem_strdup(word);
    const char *near = nearest_word(full, words);
    if (near != NULL)
        err_set(err, ERR_USAGE, "unknown command '%s'; did you mean '%s'?", full, near);
    else
        err_set(err, ERR_USAGE, "unknown command '%s'; 'clawback --help' lists them", full);
    free(full);
    return -1;
}

static int parse_word(struct parser *p, char *word, struct err *err)
{
    struct parsed *out = p->out;
    if (out->command != NULL) {
        out->argv[out->argc++] = word;
        return 0;
    }
    out->command = find_command(p, out->family, word);
    if (out->command != NULL) {
        out->family = NULL;
        out->options = mem_zalloc(out->command->options_bytes + 1);
        return 0;
    }
    if (out->family == NULL)
        out->family = find_family(p, word);
    else
        return unknown_command(p, word, err);
    return out->family != NULL ? 0 : unknown_command(p, word, err);
}

int options_parse(int argc, char **argv, const struct command *const *commands, const struct option *global_options,
                  void *globals, struct parsed *out, struct err *err)
{
    *out = (struct parsed){.argv = mem_zalloc(((size_t)argc + 1) * sizeof *argv)};
    struct parser p = {.argc = argc,
                       .next = 1,
                       .argv = argv,
                       .commands = commands,
                       .global_options = global_options,
                       .globals = globals,
                       .out = out};
    bool only_words = false;
    int rc = 0;
    while (rc == 0 && p.next < argc) {
        char *word = argv[p.next++];
        if (only_words || word[0] != '-' || word[1] == '\0')
            rc = parse_word(&p, word, err);
        else if (strcmp(word, "--") == 0)
            only_words = true;
        else if (word[1] == '-')
            rc = parse_long(&p, word + 2, err);
        else
            rc = parse_shorts(&p, word + 1, err);
    }
    return rc;
}

void parsed_release(struct parsed *p)
{
    if (p->command != NULL)
        for (const struct option *o = p->command->options; o != NULL && o->name != NULL; o++)
            if (o->kind == OPTION_LIST)
                strlist_release((struct strlist *)((char *)p->options + o->offset));
    free(p->options);
    free(p->argv);
    *p = (struct parsed){0};
}
