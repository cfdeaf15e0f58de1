/* The page as text and as HTML. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "run/recovery_kit.h"

enum { TEXT_COLUMNS = 100, FIELD_COLUMN = 14 };

/* --- text --- */

/* Filled into lines; bytes count as columns, which only makes lines shorter than they might be. */
static void fill(struct buf *out, const char *text, size_t indent, size_t at)
{
    size_t column = at;
    bool first = true;
    for (const char *p = text; *p != '\0'; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (!first && column + 1 + len > TEXT_COLUMNS) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            buf_append_byte(out, ' ');
            column++;
        }
        buf_append(out, p, len);
        column += len;
        first = false;
        p += len;
    }
    buf_append_byte(out, '\n');
}

static void text_line(void *ctx, enum kit_line_kind kind, const char *key, const char *text)
{
    struct buf *out = ctx;
    switch (kind) {
    case KIT_TITLE:
        buf_printf(out, "%s\n", text);
        for (size_t i = 0; i < strlen(text); i++)
            buf_append_byte(out, '=');
        buf_append_str(out, "\n");
        break;
    case KIT_HEADING:
        buf_printf(out, "\n%s\n", text);
        break;
    case KIT_TEXT:
        buf_append_str(out, "  ");
        fill(out, text, 2, 2);
        break;
    case KIT_COMMAND_LINE:
        buf_printf(out, "    $ %s\n", text);
        break;
    case KIT_FIELD:
        buf_printf(out, "  %-*s", FIELD_COLUMN, key);
        fill(out, text, FIELD_COLUMN + 2, FIELD_COLUMN + 2);
        break;
    case KIT_WARNING:
        buf_append_str(out, "  !! ");
        fill(out, text, 5, 5);
        break;
    case KIT_BLANK_LINE:
        buf_append_str(out, "\n  ______________________________________________________________________\n\n");
        break;
    }
}

void recovery_kit_text(const struct kit *k, struct buf *out)
{
    recovery_kit_page(k, text_line, out);
}

/* --- HTML --- */

static void escape(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&':
            buf_append_str(out, "&amp;");
            break;
        case '<':
            buf_append_str(out, "&lt;");
            break;
        case '>':
            buf_append_str(out, "&gt;");
            break;
        case '"':
            buf_append_str(out, "&quot;");
            break;
        default:
            buf_append_byte(out, (unsigned char)*text < ' ' ? ' ' : (unsigned char)*text);
        }
}

struct html {
    struct buf *out;
    bool in_commands; /* a <pre> is open */
};

static void element(struct html *h, const char *tag, const char *class_name, const char *text)
{
    buf_printf(h->out, "<%s%s%s%s>", tag, class_name != NULL ? " class=\"" : "", class_name != NULL ? class_name : "",
               class_name != NULL ? "\"" : "");
    escape(h->out, text);
    buf_printf(h->out, "</%s>\n", tag);
}

/* Commands that follow one another share a block; each is a line that wraps with a hanging indent, between words and
 * never at a hyphen: what was typed from paper must be right. */
static void command(struct html *h, const char *text)
{
    if (!h->in_commands)
        buf_append_str(h->out, "<div class=\"commands\">\n");
    h->in_commands = true;
    buf_append_str(h->out, "<code>");
    for (const char *p = text; *p != '\0';) {
        size_t blanks = strspn(p, " "), len = strcspn(p + blanks, " ");
        char *word = mem_strndup(p + blanks, len);
        buf_append(h->out, p, blanks);
        buf_append_str(h->out, "<span>");
        escape(h->out, word);
        buf_append_str(h->out, "</span>");
        free(word);
        p += blanks + len;
    }
    buf_append_str(h->out, "</code>\n");
}

static void html_line(void *ctx, enum kit_line_kind kind, const char *key, const char *text)
{
    struct html *h = ctx;
    if (kind == KIT_COMMAND_LINE) {
        command(h, text);
        return;
    }
    if (h->in_commands)
        buf_append_str(h->out, "</div>\n");
    h->in_commands = false;
    switch (kind) {
    case KIT_TITLE:
        element(h, "h1", NULL, text);
        break;
    case KIT_HEADING:
        element(h, "h2", NULL, text);
        break;
    case KIT_FIELD:
        buf_append_str(h->out, "<p class=\"field\"><b>");
        escape(h->out, key);
        buf_append_str(h->out, "</b> <span>");
        escape(h->out, text);
        buf_append_str(h->out, "</span></p>\n");
        break;
    case KIT_WARNING:
        element(h, "p", "warning", text);
        break;
    case KIT_BLANK_LINE:
        buf_append_str(h->out, "<div class=\"line\"></div>\n");
        break;
    case KIT_TEXT:
    case KIT_COMMAND_LINE:
        element(h, "p", NULL, text);
        break;
    }
}

static const char STYLE[] =
    "@page { size: A4; margin: 9mm 11mm }\n"
    "* { box-sizing: border-box }\n"
    "body { font: 9.2pt/1.32 \"Helvetica Neue\", Arial, \"Liberation Sans\", sans-serif; color: #111; background: "
    "#fff;\n"
    "  max-width: 188mm; margin: 8mm auto }\n"
    "h1 { font-size: 16pt; margin: 0 0 1.5mm; border-bottom: 0.6mm solid #111; padding-bottom: 1mm }\n"
    "h2 { font-size: 10pt; margin: 2.6mm 0 0.6mm; break-after: avoid }\n"
    "p { margin: 0.5mm 0 }\n"
    ".field { padding-left: 25mm; text-indent: -25mm }\n"
    ".field b { display: inline-block; min-width: 24mm; text-indent: 0 }\n"
    ".field span { font-family: \"DejaVu Sans Mono\", \"Liberation Mono\", Menlo, monospace; font-size: 0.9em;\n"
    "  overflow-wrap: anywhere }\n"
    ".commands { margin: 0.8mm 0; padding: 0.8mm 2mm; border-left: 0.8mm solid #777; background: #f3f3f3;\n"
    "  break-inside: avoid }\n"
    "code { display: block; font: 0.86em/1.4 \"DejaVu Sans Mono\", \"Liberation Mono\", Menlo, monospace;\n"
    "  white-space: pre-wrap; padding-left: 4mm; text-indent: -4mm }\n"
    "code span { display: inline-block; max-width: 100%; overflow-wrap: anywhere; text-indent: 0 }\n"
    ".warning { font-weight: bold; border: 0.4mm solid #111; padding: 1mm 2mm }\n"
    ".line { height: 9mm; border-bottom: 0.3mm solid #111; margin-bottom: 2mm }\n"
    "@media print { body { margin: 0; max-width: none; font-size: 8.2pt; line-height: 1.24 }\n"
    "  h1 { font-size: 13pt } h2 { font-size: 9pt; margin: 1.8mm 0 0.3mm } code { line-height: 1.26 }\n"
    "  .commands { background: none; margin: 0.5mm 0; padding: 0.3mm 2mm } p { margin: 0.3mm 0 } }\n";

void recovery_kit_html(const struct kit *k, struct buf *out)
{
    struct html h = {.out = out};
    buf_append_str(out,
                   "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Recovery kit for ");
    escape(out, k->host);
    buf_printf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", STYLE);
    recovery_kit_page(k, html_line, &h);
    if (h.in_commands)
        buf_append_str(out, "</div>\n");
    buf_append_str(out, "</body>\n</html>\n");
}
