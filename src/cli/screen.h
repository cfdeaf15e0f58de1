/* The whole terminal, drawn over again and again: for commands that watch. Standard output must be a terminal. And how
 * wide it is, for those that do not. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>
#include <sys/ioctl.h>

struct screen {
    struct termios saved;
    bool keys; /* standard input is a terminal, too: keys are read, and `saved` has how it was */
    struct winsize size;
};

/* Takes the alternate screen: what was there before comes back with screen_end(). */
void screen_begin(struct screen *s);
/* Lines with line breaks; those that do not fit are counted in the last one. Too long ones are cut by the terminal. */
void screen_draw(struct screen *s, const char *text);
/* Until the time is over or the terminal has another size. false: a q was typed, or a signal came. */
bool screen_wait(struct screen *s, uint64_t ms);
void screen_end(struct screen *s);

/* How wide a line of text may be that standard output gets: the terminal's width or what COLUMNS says; where there is
 * neither (a pipe, a file) SIZE_MAX, so that nothing is cut or broken for whoever reads it. */
size_t screen_text_width(void);
