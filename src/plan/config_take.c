/* One function for each kind of value; see config_reader.h for what each stores. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "plan/config_reader.h"
#include "plan/config_values.h"
#include "plan/schedule.h"
#include "plan/url_token.h"

static const char LETTERS_AND_DIGITS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

const char *config_text(struct config_reader *r, const struct yaml_node *n, const char *expected)
{
    if (n->kind == YAML_SCALAR && !yaml_is_null(n) && n->text[0] != '\0')
        return n->text;
    config_expected(r, n, expected);
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------- yes and no
 */

/* As YAML 1.1 has them, which people know. */
static bool parse_bool(const struct yaml_node *n, bool *out)
{
    static const char *const WORDS[][2] = {{"true", "false"}, {"yes", "no"}, {"on", "off"},
                                           {"True", "False"}, {"Yes", "No"}, {"On", "Off"},
                                           {"TRUE", "FALSE"}, {"YES", "NO"}, {"ON", "OFF"}};
    for (size_t i = 0; n->kind == YAML_SCALAR && n->plain && i < sizeof WORDS / sizeof *WORDS; i++)
        for (int no = 0; no < 2; no++)
            if (strcmp(n->text, WORDS[i][no]) == 0) {
                *out = no == 0;
                return true;
            }
    return false;
}

void config_take_bool(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    if (!parse_bool(n, to))
        config_expected(r, n, f->more != NULL ? f->more : "true or false");
}

void config_take_not(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    bool value = !*(bool *)to;
    config_take_bool(r, n, &value, f);
    *(bool *)to = !value;
}

/* ---------------------------------------------------------------------------------------------------------------- text
 */

void config_take_text(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)f;
    const char *text = config_text(r, n, "text");
    if (text != NULL)
        *(const char **)to = config_keep(r, text);
}

/* The text, or NULL with the mistake reported. Such a value ends up in a command line. */
static const char *word_of(struct config_reader *r, const struct yaml_node *n)
{
    const char *text = config_text(r, n, "a name");
    if (text == NULL || (text[0] != '-' && strpbrk(text, "\r\n") == NULL))
        return text;
    config_expected(r, n, "a name that does not begin with '-' and has one line");
    return NULL;
}

void config_take_word(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    (void)f;
    const char *text = word_of(r, n);
    if (text != NULL)
        *(const char **)to = config_keep(r, text);
}

void config_take_name(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    enum { NAME_MAX_BYTES = 100 };
    const char *text = config_text(r, n, "a name");
    (void)f;
    if (text == NULL)
        return;
    size_t len = strlen(text), first = strspn(text, LETTERS_AND_DIGITS), rest = first;
    while (text[rest] != '\0' && (strchr(LETTERS_AND_DIGITS, text[rest]) != NULL || strchr("._-", text[rest]) != NULL))
        rest++;
    if (first == 0 || rest != len || len > NAME_MAX_BYTES)
        config_expected(r, n, "a name of letters, digits, '.', '_' and '-' that begins with a letter or digit");
    else
        *(const char **)to = config_keep(r, text);
}

/* "a, b or c" */
static void list_choices(const char *const *names, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; names[i] != NULL && used < cap; i++) {
        const char *before = i == 0 ? "" : names[i + 1] != NULL ? ", " : " or ";
        used += (size_t)snprintf(out + used, cap - used, "%s%s", before, names[i]);
    }
}

void config_take_choice(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    const char *const *names = f->more;
    for (unsigned i = 0; names[i] != NULL; i++)
        if (n->kind == YAML_SCALAR && strcmp(n->text, names[i]) == 0) {
            *(unsigned *)to = i; /* what an enum is */
            return;
        }
    char expected[200];
    list_choices(names, expected, sizeof expected);
    config_expected(r, n, expected);
}

void config_take_list(struct config_reader *r, const struct yaml_node *n, struct strlist *to,
                      const struct config_field *f, config_take *take)
{
    bool is_list = n->kind == YAML_LIST;
    size_t count = is_list ? n->count : 1;
    if (yaml_is_null(n))
        return;
    config_list_room(r, to, count);
    for (size_t i = 0; i < count; i++) {
        size_t was = is_list ? config_trail_push_index(r, i) : r->trail.len;
        const char *text = NULL;
        take(r, is_list ? n->items[i] : n, &text, f);
        if (text != NULL)
            to->items[to->count++] = (char *)(uintptr_t)text; /* already the plan's */
        config_trail_pop(r, was);
    }
}

void config_take_texts(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    config_take_list(r, n, to, f, config_take_text);
}

void config_take_words(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    config_take_list(r, n, to, f, config_take_word);
}

/* --------------------------------------------------------------------------------------------------------------- paths
 */

void config_take_path(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a path that begins with / or ~/";
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    bool in_home = text[0] == '~' && (text[1] == '/' || text[1] == '\0');
    if (text[0] != '/' && !in_home) {
        config_expected(r, n, EXPECTED);
        return;
    }
    char *expanded = os_path_expand_home(text), *clean = expanded[0] == '/' ? os_path_absolute(expanded) : NULL;
    if (clean != NULL)
        *(const char **)to = config_keep(r, clean);
    else
        config_mistake(r, n, "the home directory ($HOME) is no absolute path");
    free(expanded);
    free(clean);
}

void config_take_paths(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    config_take_list(r, n, to, f, config_take_path);
}

/* ------------------------------------------------------------------------------------------------------------- numbers
 */

void config_take_number(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    unsigned most = *(const unsigned *)f->more;
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %u", most);
    const char *text = config_text(r, n, expected);
    if (text == NULL)
        return;
    size_t digits = strspn(text, "0123456789");
    unsigned long value = digits <= 9 ? strtoul(text, NULL, 10) : 0;
    if (text[digits] != '\0' || value < 1 || value > most)
        config_expected(r, n, expected);
    else
        *(unsigned *)to = (unsigned)value;
}

void config_take_duration(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a duration like 30s, 10m or 2h";
    (void)f;
    uint64_t ms;
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    if (duration_parse(text, &ms, NULL) < 0 || ms == 0)
        config_expected(r, n, EXPECTED);
    else
        *(uint64_t *)to = ms;
}

void config_take_size(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a size like 100MB or 2GiB";
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text != NULL && size_parse(text, to, NULL) < 0)
        config_expected(r, n, EXPECTED);
}

void config_take_rate(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "bytes a second like 20MB or 500KiB";
    char size[64];
    uint64_t rate = 0;
    (void)f;
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    size_t len = strlen(text);
    if (len > 2 && strcmp(text + len - 2, "/s") == 0)
        len -= 2;
    snprintf(size, sizeof size, "%.*s", (int)len, text);
    if (len >= sizeof size || size_parse(size, &rate, NULL) < 0 || rate == 0)
        config_expected(r, n, EXPECTED);
    else
        *(uint64_t *)to = rate;
}

/* ------------------------------------------------------------------------------------------------- commands, secrets
 */

void config_take_command(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char EXPECTED[] = "a command: [PROGRAM, ARGUMENT, …], or one line for the shell";
    struct strlist *command = to;
    (void)f;
    if (n->kind == YAML_LIST && n->count > 0) {
        config_list_room(r, command, n->count);
        for (size_t i = 0; i < n->count; i++) {
            const struct yaml_node *word = n->items[i];
            bool is_text = word->kind == YAML_SCALAR && !yaml_is_null(word);
            if (is_text && (i > 0 || word->text[0] != '\0')) /* an argument may be empty */
                config_list_add(r, command, word->text);
            else
                config_expected(r, word, i == 0 ? "the program's name" : "an argument (quote it: \"…\")");
        }
        return;
    }
    const char *text = config_text(r, n, EXPECTED);
    if (text == NULL)
        return;
    config_list_room(r, command, 3);
    config_list_add(r, command, "/bin/sh");
    config_list_add(r, command, "-c");
    config_list_add(r, command, text);
}

/* What stands for a variable or a credential may be the secret itself, by mistake: it is not shown. */
static void take_secret_name(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    bool is_variable = strcmp(f->key, "env") == 0;
    size_t len = n->kind == YAML_SCALAR ? strlen(n->text) : 0, good = 0;
    while (good < len && (strchr(LETTERS_AND_DIGITS, n->text[good]) != NULL || n->text[good] == '_' ||
                          (!is_variable && strchr(".-", n->text[good]) != NULL)))
        good++;
    if (len == 0 || good != len || n->text[0] == '.' || n->text[0] == '-' ||
        (is_variable && n->text[0] >= '0' && n->text[0] <= '9'))
        config_mistake(r, n, "expected the name of %s", is_variable ? "a variable" : "a systemd credential");
    else
        *(const char **)to = config_keep(r, n->text);
}

void config_take_secret(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    static const char WAYS[] = "{file: PATH}, {command: [PROGRAM, …]}, {env: NAME} or {credential: NAME}";
    static const struct config_field FIELDS[] = {
        {.key = "file", .take = config_take_path, .offset = offsetof(struct secret, name)},
        {.key = "command", .take = config_take_command, .offset = offsetof(struct secret, command)},
        {.key = "env", .take = take_secret_name, .offset = offsetof(struct secret, name)},
        {.key = "credential", .take = take_secret_name, .offset = offsetof(struct secret, name)},
        {.key = NULL},
    };
    static const enum secret_kind KINDS[] = {SECRET_FILE, SECRET_COMMAND, SECRET_ENV, SECRET_CREDENTIAL};
    struct secret *secret = to;
    (void)f;
    if (n->kind == YAML_SCALAR && !yaml_is_null(n)) {
        config_mistake(r, n, "found text, but secrets do not belong into this file; expected %s", WAYS);
        return;
    }
    if (n->kind != YAML_MAP || n->count != 1) {
        config_mistake(r, n, "expected one of %s", WAYS);
        return;
    }
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (strcmp(n->keys[0]->text, FIELDS[i].key) == 0) {
            secret->kind = KINDS[i];
            config_read_map(r, n, secret, FIELDS);
            return;
        }
    config_mistake(r, n->keys[0], "unknown key; expected one of %s", WAYS); /* it may be the secret: not shown */
}

/* The text of a URL that begins with one of these, or NULL with the mistake reported. It is not shown in messages: it
 * may have a password in it. */
static const char *url_of(struct config_reader *r, const struct yaml_node *n, const char *const *schemes)
{
    const char *text = n->kind == YAML_SCALAR ? n->text : "";
    for (size_t i = 0; schemes[i] != NULL; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(text, schemes[i], len) == 0 && text[len] != '\0' && strpbrk(text, " \t\r\n") == NULL)
            return text;
    }
    char list[100];
    list_choices(schemes, list, sizeof list);
    config_mistake(r, n, "expected a URL that begins with %s", list);
    return NULL;
}

void config_take_url(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    const char *text = url_of(r, n, f->more);
    if (text == NULL)
        return;
    *(const char **)to = config_keep(r, text);
    if (url_has_password(text) && !r->private_file)
        config_warn(r, n,
                    "there is a password in the URL, and others can read this file: give it as 'password', "
                    "or run chmod 600 on the file");
}

void config_take_address(struct config_reader *r, const struct yaml_node *n, void *to, const struct config_field *f)
{
    struct plan_address *address = to;
    *address = (struct plan_address){0}; /* without its default */
    if (n->kind == YAML_MAP) {
        config_take_secret(r, n, &address->secret, f);
        return;
    }
    const char *text = url_of(r, n, f->more);
    if (text == NULL)
        return;
    address->url = config_keep(r, text);
    if ((url_has_password(text) || url_has_token(text)) && !r->private_file)
        config_warn(r, n,
                    "what looks like a token is in the URL, and others can read this file: give it as {file: PATH}, "
                    "or run chmod 600 on the file");
}
