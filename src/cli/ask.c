#include "cli/ask.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "cli/output.h"
#include "os/interrupt.h"

enum { LINE_MAX_BYTES = 16 << 10, POLL_MS = 200 };

bool cli_can_ask(const struct cli *cli)
{
    return cli->terminal && isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

static int no_answer(struct err *err)
{
    return err_set(err, ERR_INTERRUPTED, "no answer: the input ended");
}

/* One line without its end. */
static int read_line(struct buf *line, struct err *err)
{
    for (;;) {
        struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
        int n = poll(&ready, 1, POLL_MS);
        if (os_check_interrupt(err) < 0)
            return -1;
        if (n <= 0)
            continue;
        char c;
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return line->len > 0 ? 0 : no_answer(err);
        if (c == '\n')
            return 0;
        buf_append_byte(line, (unsigned char)c);
    }
}

/* Without the blanks around it. */
static char *trimmed(const char *text)
{
    text += strspn(text, " \t\r");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        len--;
    return mem_strndup(text, len);
}

static int ask_line(const char *question, const char *hint, char **out, struct err *err)
{
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    output_begin();
    fprintf(stderr, "%s%s%s%s: ", question, hint != NULL ? " [" : "", hint != NULL ? hint : "",
            hint != NULL ? "]" : "");
    fflush(stderr);
    bool answered = read_line(&line, err) == 0;
    if (!answered)
        fputc('\n', stderr);
    output_end();
    if (answered)
        *out = trimmed(buf_cstr(&line));
    buf_release(&line);
    return answered ? 0 : -1;
}

int cli_ask(struct cli *cli, const char *question, const char *preset, char **out, struct err *err)
{
    (void)cli;
    if (ask_line(question, preset, out, err) < 0)
        return -1;
    if (**out == '\0' && preset != NULL) {
        free(*out);
        *out = mem_strdup(preset);
    }
    return 0;
}

int cli_ask_yes(struct cli *cli, const char *question, bool preset, bool *out, struct err *err)
{
    for (;;) {
        char *answer;
        if (ask_line(question, preset ? "Y/n" : "y/N", &answer, err) < 0)
            return -1;
        bool yes = strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
        bool no = strcasecmp(answer, "n") == 0 || strcasecmp(answer, "no") == 0, empty = *answer == '\0';
        free(answer);
        if (yes || no || empty) {
            *out = empty ? preset : yes;
            return 0;
        }
        cli_note(cli, "please answer yes or no");
    }
}
