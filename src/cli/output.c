#include "cli/output.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "base/mem.h"
#include "cli/text.h"
#include "os/clock.h"
#include "os/journal.h"

static pthread_mutex_t output_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool live_line_shown; /* under output_mutex */

static void remove_live_line(void)
{
    if (live_line_shown)
        fputs("\r\033[K", stderr);
    live_line_shown = false;
}

void output_begin(void)
{
    pthread_mutex_lock(&output_mutex);
    remove_live_line();
}

/* For lines on standard error: what was printed before shall come before them, where both go to one file. */
static void begin_stderr(void)
{
    output_begin();
    fflush(stdout);
}

void output_end(void)
{
    fflush(stderr);
    pthread_mutex_unlock(&output_mutex);
}

/* Overwritten rather than removed and written again, so that it does not flicker. */
void output_live_line(const char *text)
{
    pthread_mutex_lock(&output_mutex);
    if (text == NULL || *text == '\0') {
        remove_live_line();
    } else {
        fprintf(stderr, "\r%s\033[K", text);
        live_line_shown = true;
    }
    output_end();
}

/* --- lines --- */

/* One JSON document on one line. Standard output is not flushed: there may be a million of them. */
static void dump_line(json_t *document, FILE *to)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    if (to == stderr)
        begin_stderr();
    else
        output_begin();
    if (text != NULL)
        fprintf(to, "%s\n", text);
    output_end();
    free(text);
    json_decref(document);
}

void cli_json(struct cli *cli, json_t *document)
{
    (void)cli;
    dump_line(document, stdout);
}

void cli_json_error(struct cli *cli, json_t *document)
{
    (void)cli;
    dump_line(document, stderr);
}

int cli_fail(struct cli *cli, const struct err *err)
{
    int status = err_exit_status(err->code);
    const char *hint = err_hint(err);
    if (cli->json) {
        json_t *line = json_pack("{s:s, s:i, s:o}", "message_type", "exit_error", "code", status, "message",
                                 cli_json_string(err->message, strlen(err->message)));
        if (hint != NULL)
            json_object_set_new(line, "hint", json_string(hint));
        dump_line(line, stderr);
        return status;
    }
    char shown[ERR_MESSAGE_BYTES * 2];
    cli_printable(err->message, shown, sizeof shown);
    begin_stderr();
    const char *priority = cli->journal_err ? OS_JOURNAL_ERROR : "";
    const char *plain = cli->color_err ? TEXT_PLAIN : "";
    fprintf(stderr, "%s%serror:%s %s\n", priority, cli->color_err ? TEXT_RED : "", plain, shown);
    if (hint != NULL)
        fprintf(stderr, "%s%shint:%s %s\n", priority, cli->color_err ? TEXT_BOLD : "", plain, hint);
    output_end();
    return status;
}

void cli_note(struct cli *cli, const char *format, ...)
{
    if (cli->quiet || cli->json)
        return;
    va_list args;
    va_start(args, format);
    begin_stderr();
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    output_end();
    va_end(args);
}

__attribute__((format(printf, 5, 0))) static void complain(struct cli *cli, const char *label, const char *color,
                                                           const char *priority, const char *format, va_list args)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, args);
    if (cli->json) {
        dump_line(json_pack("{s:s, s:{s:o}}", "message_type", "error", "error", "message",
                            cli_json_string(text, strlen(text))),
                  stderr);
        return;
    }
    char shown[2 * sizeof text];
    cli_printable(text, shown, sizeof shown);
    begin_stderr();
    fprintf(stderr, "%s%s%s:%s %s\n", cli->journal_err ? priority : "", cli->color_err ? color : "", label,
            cli->color_err ? TEXT_PLAIN : "", shown);
    output_end();
}

void cli_warn(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(cli, "warning", TEXT_YELLOW, OS_JOURNAL_WARNING, format, args);
    va_end(args);
}

void cli_error(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(cli, "error", TEXT_RED, OS_JOURNAL_ERROR, format, args);
    va_end(args);
}

void cli_print(struct cli *cli, const char *format, ...)
{
    if (cli->json)
        return;
    va_list args;
    va_start(args, format);
    output_begin();
    vprintf(format, args);
    putchar('\n');
    if (cli->terminal)
        fflush(stdout);
    output_end();
    va_end(args);
}

/* --- JSON values --- */

json_t *cli_json_string(const char *s, size_t len)
{
    json_t *value = json_stringn(s, len);
    if (value != NULL)
        return value;
    struct buf clean;
    buf_init(&clean, len * 3 + 1);
    const char *end = s + len;
    while (s < end) {
        uint32_t rune;
        size_t n = text_decode(s, (size_t)(end - s), &rune);
        if (n == 0)
            buf_append_str(&clean, "\xef\xbf\xbd");
        else
            buf_append(&clean, s, n);
        s += n == 0 ? 1 : n;
    }
    value = json_stringn(buf_cstr(&clean), clean.len);
    buf_release(&clean);
    return value;
}

json_t *cli_json_time(const struct timespec *t)
{
    char text[OS_TIME_BYTES];
    os_time_format(t, text);
    return json_string(text);
}

json_t *cli_json_id(const struct id *id)
{
    char hex[ID_HEX_BYTES];
    return json_string(id_to_hex(id, hex));
}

/* --- the terminal --- */

unsigned cli_columns(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    long n = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return n >= 20 && n <= 1000 ? (unsigned)n : 80;
}
