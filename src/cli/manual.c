#include "cli/manual.h"

#include <string.h>
#include "cli/cli.h"
#include "cli/help.h"

/* Text as roff: backslashes and dashes escaped, and no line that could be taken for a request. */
static void roff_text(const char *text, size_t len, struct buf *out)
{
    bool at_start = out->len == 0 || out->data[out->len - 1] == '\n';
    for (size_t i = 0; i < len; i++) {
        if (at_start && (text[i] == '.' || text[i] == '\''))
            buf_append_str(out, "\\&");
        if (text[i] == '\\')
            buf_append_str(out, "\\e");
        else if (text[i] == '-')
            buf_append_str(out, "\\-");
        else
            buf_append_byte(out, (unsigned char)text[i]);
        at_start = text[i] == '\n';
    }
}

static void roff(const char *text, struct buf *out)
{
    roff_text(text, strlen(text), out);
}

static void line(const char *text, struct buf *out)
{
    roff(text, out);
    buf_append_byte(out, '\n');
}

static void section(const char *macro, const char *title, struct buf *out)
{
    buf_printf(out, ".%s \"", macro);
    roff(title, out);
    buf_append_str(out, "\"\n");
}

/* A tagged paragraph: a bold tag, then what it is. */
static void tagged(const char *tag, const char *what, struct buf *out)
{
    buf_append_str(out, ".TP\n\\fB");
    roff(tag, out);
    buf_append_str(out, "\\fR\n");
    line(what, out);
}

static void paragraphs(const char *text, struct buf *out)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        bool as_it_is = *text == ' ';
        buf_append_str(out, as_it_is ? ".PP\n.nf\n" : ".PP\n");
        roff_text(text, len, out);
        buf_append_str(out, as_it_is ? "\n.fi\n" : "\n");
        text += len;
        while (*text == '\n')
            text++;
    }
}

static void options(const struct option *table, const char *first_group, struct buf *out)
{
    if (table == NULL)
        return;
    const char *group = first_group;
    struct buf label, text;
    buf_init(&label, HELP_MAX_BYTES);
    buf_init(&text, HELP_MAX_BYTES);
    for (const struct option *o = table; o->name != NULL; o = help_option_next(o)) {
        if (o->group != NULL && (group == NULL || strcmp(o->group, group) != 0)) {
            group = o->group;
            buf_append_str(out, ".PP\n\\fI");
            roff(group, out);
            buf_append_str(out, "\\fR\n");
        }
        buf_clear(&label);
        buf_clear(&text);
        help_option_label(o, &label);
        help_option_text(o, &text);
        tagged(buf_cstr(&label), buf_cstr(&text), out);
    }
    buf_release(&label);
    buf_release(&text);
}

static void examples(const struct command_example *table, struct buf *out)
{
    for (; table != NULL && table->line != NULL; table++)
        tagged(table->line, table->what, out);
}

static void facts(const char *title, const struct help_fact *table, struct buf *out)
{
    section("SH", title, out);
    for (; table->name != NULL; table++)
        tagged(table->name, table->what, out);
}

static void command(const struct command *c, struct buf *out)
{
    bool has_options = c->options != NULL && c->options->name != NULL;
    buf_append_str(out, ".SS \"");
    roff(c->name, out);
    buf_append_str(out, has_options ? " [options] " : " ");
    roff(c->arguments, out);
    buf_append_str(out, "\"\n");
    roff(c->summary, out);
    buf_append_str(out, ".\n");
    if (c->description != NULL)
        paragraphs(c->description, out);
    options(c->options, NULL, out);
    if (c->examples != NULL) {
        buf_append_str(out, ".PP\n\\fIExamples\\fR\n");
        examples(c->examples, out);
    }
}

void manual_render(struct buf *out)
{
    buf_append_str(out, ".TH CLAWBACK 1 \"\" \"clawback " CLAWBACK_VERSION "\" \"User Commands\"\n.nh\n.ad l\n");
    section("SH", "NAME", out);
    line("clawback - encrypted, deduplicated backups of an agent's home and of anything else", out);
    section("SH", "SYNOPSIS", out);
    buf_append_str(out, "\\fBclawback\\fR [global options] \\fICOMMAND\\fR [options] [arguments]\n");
    section("SH", "DESCRIPTION", out);
    line(HELP_SENTENCE, out);
    buf_append_str(out, ".PP\nThe most usual commands:\n");
    examples(HELP_USUAL, out);
    section("SH", "GLOBAL OPTIONS", out);
    options(CLI_GLOBAL_OPTIONS, NULL, out);
    section("SH", "COMMANDS", out);
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        command(COMMANDS[i], out);
    facts("ENVIRONMENT", HELP_ENVIRONMENT, out);
    facts("EXIT STATUS", HELP_EXIT_STATUSES, out);
    section("SH", "SEE ALSO", out);
    line("restic(1), whose repository format this is", out);
}
