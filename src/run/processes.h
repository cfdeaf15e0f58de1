/*
 * The processes of this machine, as far as /proc shows them. Reads only; nothing is ever sent to a process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_seen {
    pid_t pid;
    const char *name;    /* as the kernel calls it, at most 15 bytes */
    const char *command; /* its arguments, NUL between two, command_len bytes; a NUL follows */
    size_t command_len;
    int64_t started; /* Unix time in seconds; 0: not known */
};

/* All of them but this process, in no particular order. A return of false ends it. Arguments may hold secrets of other
 * programs: they are for comparing, not for showing. */
typedef bool processes_fn(void *ctx, const struct process_seen *p);
void processes_each(processes_fn *fn, void *ctx);
/* Does one of its arguments contain the text? */
bool process_mentions(const struct process_seen *p, const char *text);

/* Is somebody listening for TCP on that port of a loopback or of every address? From the text of /proc/net/tcp or tcp6:
 * appends the ports to `ports` (room for max), each once; returns how many there are now. */
size_t processes_ports_parse(const char *text, size_t len, uint16_t *ports, size_t count, size_t max);
/* The same of this machine, both families. */
size_t processes_ports(uint16_t *ports, size_t max);
