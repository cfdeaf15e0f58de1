#include "cli/screen.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "cli/cli.h"
#include "os/clock.h"
#include "os/interrupt.h"

enum { SLICE_MS = 200, DRAWN_MAX_BYTES = 4 << 20, ROWS_DEFAULT = 24 };

/* Alternate screen, no cursor, no wrapping; and back. */
static const char BEGIN[] = "\033[?1049h\033[?25l\033[?7l\033[2J", END[] = "\033[?7h\033[?25h\033[?1049l";

static void put(const char *text, size_t len)
{
    fwrite(text, 1, len, stdout);
    fflush(stdout);
}

void screen_begin(struct screen *s)
{
    *s = (struct screen){0};
    s->keys = tcgetattr(STDIN_FILENO, &s->saved) == 0;
    if (s->keys) {
        struct termios raw = s->saved;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* Ctrl-C stays a signal */
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    put(BEGIN, sizeof BEGIN - 1);
}

static size_t rows_of(struct screen *s)
{
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &s->size) != 0 || s->size.ws_row == 0)
        return ROWS_DEFAULT;
    return s->size.ws_row;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n')
        count++;
    return count;
}

void screen_draw(struct screen *s, const char *text)
{
    size_t rows = rows_of(s), lines = count_lines(text);
    size_t shown = lines <= rows ? lines : rows - 1;
    struct buf out;
    buf_init(&out, DRAWN_MAX_BYTES);
    buf_append_str(&out, "\033[H");
    for (size_t i = 0; i < shown; i++) {
        size_t len = strcspn(text, "\n");
        buf_append(&out, text, len);
        buf_append_str(&out, i + 1 < rows ? "\033[K\r\n" : "\033[K");
        text += len + (text[len] == '\n');
    }
    if (shown < lines)
        buf_printf(&out, "… %zu more lines\033[K", lines - shown);
    else if (shown < rows)
        buf_append_str(&out, "\033[J");
    put(buf_cstr(&out), out.len);
    buf_release(&out);
}

static bool size_changed(const struct screen *s)
{
    struct winsize now;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 &&
           (now.ws_row != s->size.ws_row || now.ws_col != s->size.ws_col);
}

/* One slice of waiting. false: q. At the end of the input there will be no more keys. */
static bool read_keys(struct screen *s, int ms)
{
    struct pollfd input = {.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN};
    char keys[64];
    if (poll(&input, 1, ms) <= 0)
        return true;
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0)
        s->keys = false;
    return n <= 0 || (memchr(keys, 'q', (size_t)n) == NULL && memchr(keys, 'Q', (size_t)n) == NULL);
}

bool screen_wait(struct screen *s, uint64_t ms)
{
    uint64_t end = os_monotonic_ns() + ms * 1000000, now;
    while (!os_interrupted() && (now = os_monotonic_ns()) < end) {
        uint64_t left_ms = (end - now) / 1000000 + 1;
        if (!read_keys(s, left_ms < SLICE_MS ? (int)left_ms : SLICE_MS))
            return false;
        if (size_changed(s))
            return !os_interrupted();
    }
    return !os_interrupted();
}

void screen_end(struct screen *s)
{
    put(END, sizeof END - 1);
    if (s->keys)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->saved);
    s->keys = false;
}

size_t screen_text_width(void)
{
    return isatty(STDOUT_FILENO) == 1 || getenv("COLUMNS") != NULL ? cli_columns(stdout) : SIZE_MAX;
}
