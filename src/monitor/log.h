/*
 * The log: clawback.log, one line an event, for whoever wants to know later what went on:
 *
 *     2026-02-04T06:02:15Z warning run[4711]: config: 3 entries of '/home/me/.openclaw' could not be read
 *
 * It lies in /var/log for root, else in the state directory; root with a state directory at an unusual place (another
 * HOME, CLAWBACK_STATE_DIR) has it there, too. $CLAWBACK_LOG names another file, or none at all ("none");
 * $CLAWBACK_LOG_LEVEL another level than "info". Above 5 MB it is renamed to clawback.log.1, up to .3. Mode 0600.
 *
 * Secrets never come here: whoever writes a line writes what a message to people would say. Any thread, any number of
 * processes. Nothing fails: what cannot be written is not written.
 */
#pragma once
#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum { LOG_FILE_MAX_BYTES = 5 << 20, LOG_FILES_KEPT = 3 };

/* Before the first line and before threads; what was open is closed. part: "run", "daemon", "health". Makes no file
 * yet. */
void log_open(const char *state_dir, const char *part);
/* Without log_open() before it: nothing. Line breaks and control characters become blanks, the line is cut at 4 KiB. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_close(void);
/* Where it is; NULL: nowhere. Good until log_close(). */
const char *log_path(void);
/* Its last whole lines, at most so many bytes; the caller frees it. NULL: there are none. */
char *log_tail(size_t max_bytes);
