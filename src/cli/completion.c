#include "cli/completion.h"

#include <assert.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/options.h"

/* What a shell can complete: told by the metavariable, which every table names in the same few words. */
enum value_kind { VALUE_NONE, VALUE_OTHER, VALUE_CHOICE, VALUE_FILE, VALUE_DIR };

static enum value_kind value_kind(const struct option *o)
{
    const char *metavar = help_metavar(o);
    if (metavar == NULL || o->kind == OPTION_OPTIONAL)
        return VALUE_NONE;
    if (o->kind == OPTION_CHOICE)
        return VALUE_CHOICE;
    if (strstr(metavar, "DIR") != NULL)
        return VALUE_DIR;
    bool file = strstr(metavar, "FILE") != NULL || strstr(metavar, "PATH") != NULL || strstr(metavar, "REPO") != NULL;
    return file ? VALUE_FILE : VALUE_OTHER;
}

static bool takes_paths(const struct command *c)
{
    return strstr(c->arguments, "PATH") != NULL || strstr(c->arguments, "FILE") != NULL ||
           strstr(c->arguments, "DIR") != NULL;
}

/* The first word of a name, and the rest ("" when it has one word only). */
static size_t first_word(const struct command *c, const char **rest)
{
    const char *blank = strchr(c->name, ' ');
    *rest = blank != NULL ? blank + 1 : "";
    return blank != NULL ? (size_t)(blank - c->name) : strlen(c->name);
}

/* Several commands may share their first word: is this the first of them? */
static bool is_first_of_family(size_t index)
{
    const char *rest;
    size_t len = first_word(COMMANDS[index], &rest);
    for (size_t i = 0; i < index; i++)
        if (first_word(COMMANDS[i], &rest) == len && memcmp(COMMANDS[i]->name, COMMANDS[index]->name, len) == 0)
            return false;
    return true;
}

static bool in_family(const struct command *c, const char *name, size_t len)
{
    return strncmp(c->name, name, len) == 0 && c->name[len] == ' ';
}

/* The words that may follow the first one: of a family its commands, of "help" every command. */
static void second_words(const char *name, size_t len, const char *separator, struct buf *out)
{
    const char *before = "";
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        if (in_family(COMMANDS[i], name, len)) {
            buf_printf(out, "%s%s", before, COMMANDS[i]->name + len + 1);
            before = separator;
        }
}

static void first_words(const char *separator, struct buf *out)
{
    const char *before = "", *rest;
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        if (is_first_of_family(i)) {
            buf_printf(out, "%s%.*s", before, (int)first_word(COMMANDS[i], &rest), COMMANDS[i]->name);
            before = separator;
        }
}

/* --- bash --- */

static void bash_option_words(const struct option *table, struct buf *out)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        if (o->short_name != 0)
            buf_printf(out, " -%c", o->short_name);
        buf_printf(out, " --%s", o->name);
    }
}

static void bash_choices(const struct option *o, struct buf *out)
{
    for (size_t i = 0; o->choices[i] != NULL; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : " ", o->choices[i]);
}

/* One case branch for each option with a value: command:option) how to complete it. */
static void bash_values(const char *command, const struct option *table, struct buf *out)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        if (!option_takes_value(o))
            continue;
        buf_printf(out, "    %s:--%s", command, o->name);
        if (o->short_name != 0)
            buf_printf(out, " | %s:-%c", command, o->short_name);
        buf_append_str(out, ") ");
        switch (value_kind(o)) {
        case VALUE_CHOICE:
            buf_append_str(out, "words='");
            bash_choices(o, out);
            buf_append_str(out, "' ;;\n");
            break;
        case VALUE_FILE:
            buf_append_str(out, "files=-f ;;\n");
            break;
        case VALUE_DIR:
            buf_append_str(out, "files=-d ;;\n");
            break;
        case VALUE_NONE:
        case VALUE_OTHER:
            buf_append_str(out, "words=' ' ;;\n");
            break;
        }
    }
}

static const char BASH_HEAD[] =
    "# bash completion for clawback, written by `clawback completion bash`\n"
    "_clawback()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev= command= word option= options= words= files= i\n"
    "    COMPREPLY=()\n"
    "    # What is the command, and does the word before want a value? bash cuts --name=VALUE in three.\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word == = ]]; then\n"
    "            prev=$option\n"
    "        elif [[ -n $prev ]]; then\n"
    "            prev=\n"
    "        elif [[ $word == -* ]]; then\n"
    "            option=$word\n"
    "            _clawback_value \"$command\" \"$word\" && prev=$word\n"
    "        elif [[ -z $command ]]; then\n"
    "            command=$word\n"
    "        else\n"
    "            case \"$command $word\" in\n";

static const char BASH_TAIL[] = "    words= files=\n"
                                "    if [[ $cur == = ]]; then\n"
                                "        cur= prev=$option\n"
                                "    fi\n"
                                "    if [[ -n $prev ]]; then\n"
                                "        _clawback_value \"$command\" \"$prev\"\n"
                                "    else\n"
                                "        _clawback_words \"$command\"\n"
                                "        [[ $cur == -* ]] && words=$options files=\n"
                                "    fi\n"
                                "    [[ -n $words ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                                "    if [[ -n $files ]]; then\n"
                                "        local IFS=$'\\n'\n"
                                "        COMPREPLY+=($(compgen $files -- \"$cur\"))\n"
                                "        compopt -o filenames 2>/dev/null\n"
                                "    fi\n"
                                "    return 0\n"
                                "}\n"
                                "complete -F _clawback clawback\n";

/* Options and words for each command. */
static void bash_words(struct buf *out)
{
    buf_append_str(out, "\n_clawback_words()\n{\n    local globals='");
    bash_option_words(CLI_GLOBAL_OPTIONS, out);
    buf_append_str(out, "'\n    options=$globals\n    case $1 in\n    '') words='");
    first_words(" ", out);
    buf_append_str(out, "' ;;\n    help) words='");
    first_words(" ", out);
    buf_append_str(out, "' ;;\n    completion) words='bash zsh fish' ;;\n");
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        const char *rest;
        size_t len = first_word(COMMANDS[i], &rest);
        if (*rest != '\0' && is_first_of_family(i)) {
            buf_printf(out, "    %.*s) words='", (int)len, COMMANDS[i]->name);
            second_words(COMMANDS[i]->name, len, " ", out);
            buf_append_str(out, "' ;;\n");
        }
        if (strcmp(COMMANDS[i]->name, "help") == 0 || strcmp(COMMANDS[i]->name, "completion") == 0)
            continue;
        buf_printf(out, "    '%s') options+='", COMMANDS[i]->name);
        bash_option_words(COMMANDS[i]->options, out);
        buf_append_str(out, takes_paths(COMMANDS[i]) ? "' files=-f ;;\n" : "' ;;\n");
    }
    buf_append_str(out, "    esac\n}\n\n");
}

void completion_bash(struct buf *out)
{
    buf_append_str(out, BASH_HEAD);
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        if (strchr(COMMANDS[i]->name, ' ') != NULL)
            buf_printf(out, "            '%s') command='%s' ;;\n", COMMANDS[i]->name, COMMANDS[i]->name);
    buf_append_str(out, "            esac\n        fi\n    done\n");
    buf_append_str(out, BASH_TAIL);
    bash_words(out);
    buf_append_str(out, "# Sets words or files for an option's value; false when it takes none.\n"
                        "_clawback_value()\n{\n    case $1:$2 in\n");
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "'%s'", COMMANDS[i]->name);
        bash_values(quoted, COMMANDS[i]->options, out);
    }
    bash_values("*", CLI_GLOBAL_OPTIONS, out);
    buf_append_str(out, "    *) return 1 ;;\n    esac\n}\n");
}

/* --- zsh --- */

/* Text inside single quotes and the brackets of an _arguments specification. */
static void zsh_text(const char *text, struct buf *out)
{
    assert(text != NULL);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_append_str(out, "'\\''");
        else if (strchr("[]:\\", *text) != NULL)
            buf_printf(out, "\\%c", *text);
        else
            buf_append_byte(out, (unsigned char)*text);
    }
}

static void zsh_value(const struct option *o, struct buf *out)
{
    enum value_kind kind = value_kind(o);
    if (kind == VALUE_NONE)
        return;
    buf_append_byte(out, ':');
    zsh_text(help_metavar(o), out);
    buf_append_byte(out, ':');
    if (kind == VALUE_FILE)
        buf_append_str(out, "_files");
    else if (kind == VALUE_DIR)
        buf_append_str(out, "_files -/");
    else if (kind == VALUE_CHOICE) {
        buf_append_byte(out, '(');
        bash_choices(o, out);
        buf_append_byte(out, ')');
    }
}

static void zsh_spec(const struct option *named, const struct option *row, bool is_short, struct buf *out)
{
    buf_append_str(out, " \\\n            '");
    if (row->kind == OPTION_LIST || row->kind == OPTION_REPEAT)
        buf_append_byte(out, '*');
    if (is_short)
        buf_printf(out, "-%c%s", row->short_name, option_takes_value(row) ? "+" : "");
    else
        buf_printf(out, "--%s%s", row->name, option_takes_value(row) ? "=" : "");
    buf_append_byte(out, '[');
    zsh_text(named->help, out);
    buf_append_byte(out, ']');
    zsh_value(row, out);
    buf_append_byte(out, '\'');
}

static void zsh_options(const struct option *table, struct buf *out)
{
    const struct option *named = table;
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        if (o->help != NULL)
            named = o;
        if (o->short_name != 0)
            zsh_spec(named, o, true, out);
        zsh_spec(named, o, false, out);
    }
}

static void zsh_described(const char *word, const char *what, struct buf *out)
{
    buf_append_str(out, "        '");
    zsh_text(word, out);
    buf_append_byte(out, ':');
    zsh_text(what, out);
    buf_append_str(out, "'\n");
}

static void zsh_command_arguments(const struct command *c, struct buf *out)
{
    buf_append_str(out, "        _arguments -S $globals");
    zsh_options(c->options, out);
    if (strcmp(c->name, "help") == 0)
        buf_append_str(out, " \\\n            '*:command:_clawback_commands'");
    else if (strcmp(c->name, "completion") == 0)
        buf_append_str(out, " \\\n            '1:shell:(bash zsh fish)'");
    else if (takes_paths(c))
        buf_append_str(out, " \\\n            '*:path:_files'");
    buf_append_str(out, " ;;\n");
}

static void zsh_commands(struct buf *out)
{
    buf_append_str(out, "_clawback_commands()\n{\n    local -a commands=(\n");
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        char word[64];
        const char *rest;
        snprintf(word, sizeof word, "%.*s", (int)first_word(COMMANDS[i], &rest), COMMANDS[i]->name);
        if (*rest == '\0')
            zsh_described(word, COMMANDS[i]->summary, out);
        else if (is_first_of_family(i)) {
            struct buf list;
            buf_init(&list, HELP_MAX_BYTES);
            second_words(COMMANDS[i]->name, strlen(word), ", ", &list);
            zsh_described(word, buf_cstr(&list), out);
            buf_release(&list);
        }
    }
    buf_append_str(out, "    )\n    _describe -t commands 'clawback command' commands\n}\n\n");
}

void completion_zsh(struct buf *out)
{
    buf_append_str(out, "#compdef clawback\n# zsh completion for clawback, written by `clawback completion zsh`\n\n");
    zsh_commands(out);
    buf_append_str(out, "_clawback()\n{\n    local curcontext=$curcontext state line command\n    typeset -A opt_args\n"
                        "    local -a globals=(");
    zsh_options(CLI_GLOBAL_OPTIONS, out);
    buf_append_str(out,
                   ")\n    _arguments -C -S $globals '1:command:_clawback_commands' '*::argument:->rest' && return\n"
                   "    [[ $state == rest ]] || return\n    command=$line[1]\n    case $command in\n");
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        const char *rest;
        size_t len = first_word(COMMANDS[i], &rest);
        if (*rest == '\0' || !is_first_of_family(i))
            continue;
        buf_printf(out, "    %.*s)\n        if ((CURRENT == 2)); then\n            compadd -- ", (int)len,
                   COMMANDS[i]->name);
        second_words(COMMANDS[i]->name, len, " ", out);
        buf_append_str(out,
                       "\n            return\n        fi\n        command=\"$command $words[2]\"\n        shift words\n"
                       "        ((CURRENT--))\n        ;;\n");
    }
    buf_append_str(out, "    esac\n    case $command in\n");
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        buf_printf(out, "    '%s')\n", COMMANDS[i]->name);
        zsh_command_arguments(COMMANDS[i], out);
    }
    buf_append_str(out, "    esac\n}\n\n_clawback \"$@\"\n");
}

/* --- fish --- */

/* Text inside single quotes. */
static void fish_text(const char *text, struct buf *out)
{
    assert(text != NULL);
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (unsigned char)*text);
    }
}

static void fish_options(const char *condition, const struct option *table, struct buf *out)
{
    const struct option *named = table;
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        if (o->help != NULL)
            named = o;
        buf_append_str(out, "complete -c clawback");
        if (condition != NULL)
            buf_printf(out, " -n '%s'", condition);
        buf_printf(out, " -l %s", o->name);
        if (o->short_name != 0)
            buf_printf(out, " -s %c", o->short_name);
        enum value_kind kind = value_kind(o);
        if (kind == VALUE_FILE)
            buf_append_str(out, " -r -F");
        else if (kind == VALUE_DIR)
            buf_append_str(out, " -x -a '(__fish_complete_directories)'");
        else if (kind == VALUE_OTHER)
            buf_append_str(out, " -x");
        else if (kind == VALUE_CHOICE) {
            buf_append_str(out, " -x -a '");
            bash_choices(o, out);
            buf_append_byte(out, '\'');
        }
        buf_append_str(out, " -d '");
        fish_text(named->help, out);
        buf_append_str(out, "'\n");
    }
}

/* The commands themselves: first words, and the second words of families. */
static void fish_command(size_t index, struct buf *out)
{
    const struct command *c = COMMANDS[index];
    const char *rest;
    int len = (int)first_word(c, &rest);
    if (*rest == '\0' || is_first_of_family(index)) {
        buf_printf(out, "complete -c clawback -n __fish_use_subcommand -a %.*s -d '", len, c->name);
        if (*rest == '\0')
            fish_text(c->summary, out);
        else
            second_words(c->name, (size_t)len, ", ", out);
        buf_append_str(out, "'\n");
    }
    if (*rest == '\0')
        return;
    buf_printf(out, "complete -c clawback -n '__fish_seen_subcommand_from %.*s; and not __fish_seen_subcommand_from ",
               len, c->name);
    second_words(c->name, (size_t)len, " ", out);
    buf_printf(out, "' -a %s -d '", rest);
    fish_text(c->summary, out);
    buf_append_str(out, "'\n");
}

void completion_fish(struct buf *out)
{
    buf_append_str(out,
                   "# fish completion for clawback, written by `clawback completion fish`\ncomplete -c clawback -f\n");
    fish_options(NULL, CLI_GLOBAL_OPTIONS, out);
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        fish_command(i, out);
    buf_append_str(out, "complete -c clawback -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n"
                        "complete -c clawback -n '__fish_seen_subcommand_from help' -a '");
    first_words(" ", out);
    buf_append_str(out, "'\n");
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        const char *rest;
        int len = (int)first_word(COMMANDS[i], &rest);
        char condition[160];
        snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %.*s%s%s", len, COMMANDS[i]->name,
                 *rest != '\0' ? "; and __fish_seen_subcommand_from " : "", rest);
        if (takes_paths(COMMANDS[i]))
            buf_printf(out, "complete -c clawback -n '%s' -F\n", condition);
        fish_options(condition, COMMANDS[i]->options, out);
    }
}
