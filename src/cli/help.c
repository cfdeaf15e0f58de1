#include "cli/help.h"

#include <string.h>
#include "cli/cli.h"
#include "cli/text.h"

enum { LABEL_COLUMNS_MAX = 30, COMMAND_COLUMNS = 20 };

const char HELP_SENTENCE[] =
    "clawback keeps encrypted, deduplicated backups of an AI agent's home, and of anything else on this machine, in a "
    "repository that the stock restic can read too.";

const struct command_example HELP_USUAL[] = {
    {"clawback backup", "back up the agent home found on this machine"},
    {"clawback snapshots", "list what there is"},
    {"clawback restore latest --target DIR", "get the newest one back, into DIR"},
    {NULL, NULL},
};

const struct help_fact HELP_ENVIRONMENT[] = {
    {"CLAWBACK_REPOSITORY", "where the repository is; else RESTIC_REPOSITORY"},
    {"CLAWBACK_REPOSITORY_FILE", "a file that says where it is; else RESTIC_REPOSITORY_FILE"},
    {"CLAWBACK_PASSPHRASE", "its passphrase; else RESTIC_PASSWORD"},
    {"CLAWBACK_PASSPHRASE_FILE", "a file that holds it; else RESTIC_PASSWORD_FILE"},
    {"CLAWBACK_PASSPHRASE_COMMAND", "a command that prints it; else RESTIC_PASSWORD_COMMAND"},
    {"CLAWBACK_CONFIG", "the plan, clawback.yaml"},
    {"CLAWBACK_STATE_DIR", "where run logs, alerts and jobs are kept"},
    {"CLAWBACK_LOG", "the log; 'none': no log"},
    {"CLAWBACK_LOG_LEVEL", "debug, info, warning or error: what is less is not logged (info)"},
    {"CLAWBACK_CACHE_DIR", "where caches are kept; else RESTIC_CACHE_DIR"},
    {"CLAWBACK_COMPRESSION", "as --compression; else RESTIC_COMPRESSION"},
    {"CLAWBACK_PACK_SIZE", "as --pack-size; else RESTIC_PACK_SIZE"},
    {"CLAWBACK_PROGRESS_FPS", "how often progress is shown, a second; else RESTIC_PROGRESS_FPS"},
    {"CREDENTIALS_DIRECTORY", "systemd's: the credential 'clawback-passphrase' is the passphrase"},
    {"XDG_DATA_HOME", "the default repository is clawback/repository in it (~/.local/share)"},
    {"XDG_CONFIG_HOME", "the default passphrase file is clawback/passphrase in it (~/.config)"},
    {"XDG_STATE_HOME", "run logs, alerts and jobs are in clawback in it (~/.local/state)"},
    {"XDG_CACHE_HOME", "caches are in clawback in it (~/.cache)"},
    {"NO_COLOR", "no colours when it is set"},
    {NULL, NULL},
};

const struct help_fact HELP_EXIT_STATUSES[] = {
    {"0", "done"},
    {"1", "failed, or the command line was wrong"},
    {"3", "done, but some source could not be read: a snapshot was made of the rest"},
    {"10", "there is no repository"},
    {"11", "the repository is locked"},
    {"12", "wrong passphrase"},
    {"130", "interrupted"},
    {NULL, NULL},
};

/* --- pieces --- */

static void pad(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_byte(out, ' ');
}

static void marked(const struct help_style *style, const char *text, struct buf *out)
{
    if (style->bold)
        buf_append_str(out, TEXT_BOLD);
    buf_append_str(out, text);
    if (style->bold)
        buf_append_str(out, TEXT_PLAIN);
}

static void heading(const struct help_style *style, const char *text, struct buf *out)
{
    buf_append_byte(out, '\n');
    marked(style, text, out);
    buf_append_byte(out, '\n');
}

/* "  label      text", the text filled into the columns from `at` on; a label that is too long has a line of its own.
 */
static void entry(const struct help_style *style, const char *label, const char *text, size_t at, struct buf *out)
{
    size_t columns = 2 + cli_text_columns(label);
    buf_append_str(out, "  ");
    buf_append_str(out, label);
    if (columns + 2 > at) {
        buf_append_byte(out, '\n');
        columns = 0;
    }
    pad(out, at - columns);
    text_fill(out, text, strlen(text), at, at, style->width);
    buf_append_byte(out, '\n');
}

/* Paragraphs apart by empty lines; one that starts with a blank stays as it is. */
static void paragraphs(const struct help_style *style, const char *text, struct buf *out)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        if (*text == ' ')
            buf_append(out, text, len);
        else
            text_fill(out, text, len, 0, 0, style->width);
        buf_append_byte(out, '\n');
        text += len;
        while (*text == '\n')
            text++;
        if (*text != '\0')
            buf_append_byte(out, '\n');
    }
}

/* --- options --- */

const char *help_metavar(const struct option *o)
{
    static const char *const DEFAULTS[] = {
        [OPTION_STRING] = "VALUE",   [OPTION_LIST] = "VALUE",        [OPTION_NUMBER] = "N",
        [OPTION_BYTES] = "SIZE",     [OPTION_COUNT] = "N",           [OPTION_CHOICE] = "WORD",
        [OPTION_OPTIONAL] = "VALUE", [OPTION_DURATION] = "DURATION", [OPTION_REPEAT] = NULL};
    if (o->kind == OPTION_FLAG || o->kind == OPTION_REPEAT)
        return NULL;
    return o->metavar != NULL ? o->metavar : DEFAULTS[o->kind];
}

const struct option *help_option_next(const struct option *o)
{
    do
        o++;
    while (o->name != NULL && o->help == NULL);
    return o;
}

void help_option_label(const struct option *o, struct buf *out)
{
    const struct option *end = help_option_next(o);
    const char *before = "";
    for (const struct option *row = o; row != end; row++)
        if (row->short_name != 0) {
            buf_printf(out, "%s-%c", before, row->short_name);
            before = ", ";
        }
    for (const struct option *row = o; row != end; row++) {
        buf_printf(out, "%s--%s", before, row->name);
        before = ", ";
    }
    const char *metavar = help_metavar(o);
    if (metavar != NULL)
        buf_printf(out, o->kind == OPTION_OPTIONAL ? "[=%s]" : " %s", metavar);
}

void help_option_text(const struct option *o, struct buf *out)
{
    buf_append_str(out, o->help);
    if (o->kind != OPTION_CHOICE)
        return;
    for (size_t i = 0; o->choices[i] != NULL; i++)
        buf_printf(out, "%s%s", i == 0 ? ": " : ", ", o->choices[i]);
}

static void option_label(const struct option *o, struct buf *label)
{
    buf_clear(label);
    if (o->short_name == 0)
        buf_append_str(label, "    ");
    help_option_label(o, label);
}

/* Where the help of these options starts. */
static size_t option_column(const struct option *table)
{
    struct buf label;
    buf_init(&label, HELP_MAX_BYTES);
    size_t at = 0;
    for (const struct option *o = table; o->name != NULL; o = help_option_next(o)) {
        option_label(o, &label);
        size_t columns = cli_text_columns(buf_cstr(&label));
        if (columns <= LABEL_COLUMNS_MAX && columns > at)
            at = columns;
    }
    buf_release(&label);
    return (at == 0 ? LABEL_COLUMNS_MAX : at) + 4;
}

static void options(const struct help_style *style, const struct option *table, struct buf *out)
{
    if (table == NULL || table->name == NULL)
        return;
    size_t at = option_column(table);
    const char *group = NULL;
    struct buf label, text;
    buf_init(&label, HELP_MAX_BYTES);
    buf_init(&text, HELP_MAX_BYTES);
    for (const struct option *o = table; o->name != NULL; o = help_option_next(o)) {
        const char *own = o->group != NULL ? o->group : group != NULL ? group : "Options";
        if (group == NULL || strcmp(own, group) != 0)
            heading(style, own, out);
        group = own;
        option_label(o, &label);
        buf_clear(&text);
        help_option_text(o, &text);
        entry(style, buf_cstr(&label), buf_cstr(&text), at, out);
    }
    buf_release(&label);
    buf_release(&text);
}

/* --- whole texts --- */

static void facts(const struct help_style *style, const char *title, const struct help_fact *table, size_t at,
                  struct buf *out)
{
    heading(style, title, out);
    for (; table->name != NULL; table++)
        entry(style, table->name, table->what, at, out);
}

static void examples(const struct help_style *style, const struct command_example *table, size_t at, struct buf *out)
{
    for (; table->line != NULL; table++)
        entry(style, table->line, table->what, at, out);
}

bool help_group_seen_before(const struct command *const *commands, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (commands[i] != NULL && commands[index] != NULL && strcmp(commands[i]->group, commands[index]->group) == 0)
            return true;
    return false;
}

static void command_list(const struct help_style *style, struct buf *out)
{
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        if (help_group_seen_before(COMMANDS, i))
            continue;
        heading(style, COMMANDS[i]->group, out);
        for (size_t k = i; COMMANDS[k] != NULL; k++)
            if (strcmp(COMMANDS[k]->group, COMMANDS[i]->group) == 0)
                entry(style, COMMANDS[k]->name, COMMANDS[k]->summary, COMMAND_COLUMNS, out);
    }
}

static void opening(const struct help_style *style, struct buf *out)
{
    text_fill(out, HELP_SENTENCE, strlen(HELP_SENTENCE), 0, 0, style->width);
    buf_append_str(out, "\n\n");
    marked(style, "Usage:", out);
    buf_append_str(out, " clawback [global options] COMMAND [options] [arguments]\n");
    heading(style, "Most used", out);
    examples(style, HELP_USUAL, 40, out);
}

void help_short(const struct help_style *style, struct buf *out)
{
    opening(style, out);
    entry(style, "clawback init --generate-passphrase", "make the repository, once", 40, out);
    buf_append_str(out, "\nAll commands: clawback --help. One of them: clawback COMMAND --help.\n");
}

void help_program(const struct help_style *style, struct buf *out)
{
    opening(style, out);
    command_list(style, out);
    options(style, CLI_GLOBAL_OPTIONS, out);
    facts(style, "Environment", HELP_ENVIRONMENT, 32, out);
    facts(style, "Exit status", HELP_EXIT_STATUSES, 8, out);
    heading(style, "More", out);
    entry(style, "clawback COMMAND --help", "what a command does, its options, examples", 32, out);
    entry(style, "man clawback", "all of it in one page", 32, out);
}

void help_command(const struct command *command, const struct help_style *style, struct buf *out)
{
    marked(style, "Usage:", out);
    bool has_options = command->options != NULL && command->options->name != NULL;
    buf_printf(out, " clawback %s%s%s%s\n\n", command->name, has_options ? " [options]" : "",
               *command->arguments != '\0' ? " " : "", command->arguments);
    buf_append_str(out, command->summary);
    buf_append_str(out, ".\n");
    if (command->description != NULL) {
        buf_append_byte(out, '\n');
        paragraphs(style, command->description, out);
    }
    options(style, command->options, out);
    if (command->examples != NULL) {
        heading(style, "Examples", out);
        for (const struct command_example *e = command->examples; e->line != NULL; e++) {
            buf_printf(out, "  %s\n      ", e->line);
            text_fill(out, e->what, strlen(e->what), 6, 6, style->width);
            buf_append_byte(out, '\n');
        }
    }
    static const char GLOBAL[] = "Global options (--repo, --password-file, --json, --quiet, …) and the environment: "
                                 "clawback --help";
    buf_append_byte(out, '\n');
    text_fill(out, GLOBAL, strlen(GLOBAL), 0, 0, style->width);
    buf_append_byte(out, '\n');
}

void help_family(const char *family, const struct help_style *style, struct buf *out)
{
    size_t len = strlen(family);
    marked(style, "Usage:", out);
    buf_printf(out, " clawback %s COMMAND [options] [arguments]\n", family);
    heading(style, "Commands", out);
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        if (strncmp(COMMANDS[i]->name, family, len) == 0 && COMMANDS[i]->name[len] == ' ')
            entry(style, COMMANDS[i]->name, COMMANDS[i]->summary, COMMAND_COLUMNS, out);
    buf_append_str(out, "\nOne of them: clawback ");
    buf_append_str(out, family);
    buf_append_str(out, " COMMAND --help\n");
}
