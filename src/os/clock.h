/*
 * Clocks, and times as the repository format writes them. The clock can be replaced in tests.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct timespec os_now(void); /* wall clock */
int64_t os_now_ms(void);      /* the same as Unix milliseconds */
/* A moment as Unix milliseconds. */
int64_t os_time_ms(const struct timespec *t);
uint64_t os_monotonic_ns(void);
/* The same, and goes on while the machine sleeps: for what others see passing meanwhile. */
uint64_t os_elapsed_ns(void);
/* When this machine was started, Unix milliseconds by the clock as it goes now; 0: not known. Test hook: "" in the
 * environment variable CLAWBACK_TEST_STARTED stands for not known. */
int64_t os_started_ms(void);
void os_sleep_ms(uint64_t ms);
/* Test hook: makes os_now() return this and not move. NULL: the real clock again. */
void os_clock_set(const struct timespec *fixed);
/* Test hook: what a sleep of the machine does to os_elapsed_ns(). */
void os_clock_sleep(uint64_t ns);

enum { OS_TIME_BYTES = 40 };
/* RFC 3339 with nanoseconds, trailing zeros trimmed, in the local zone's offset at that instant, "Z" for UTC; the year
 * is clamped to 0..9999 (Go's time.Time JSON form). Thread-safe and fast for times that lie near each other. Returns
 * the length without the NUL. */
size_t os_time_format(const struct timespec *t, char out[OS_TIME_BYTES]);
/* The reverse, any offset. 0, or -1 when it is no such time. */
int os_time_parse(const char *s, size_t len, struct timespec *out);
/* "2006-01-02 15:04:05" local, for people. */
char *os_time_format_human(const struct timespec *t, char out[OS_TIME_BYTES]);
