/*
 * Telling systemd how we are: sd_notify(3)'s protocol, datagrams to the socket that $NOTIFY_SOCKET names (a path, or
 * "@NAME" in the abstract namespace). Without the variable all of it is nothing; a message that cannot be sent is lost.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct notifier;
/* From $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. Never NULL. */
struct notifier *notify_open(void);
void notify_close(struct notifier *n); /* NULL is nothing */

void notify_ready(struct notifier *n);
/* RELOADING=1 with MONOTONIC_USEC; notify_ready() ends it. */
void notify_reloading(struct notifier *n);
void notify_stopping(struct notifier *n);
/* One line for `systemctl status`; the same as last time is not sent again. */
void notify_status(struct notifier *n, const char *text);
/* The loop is alive. */
void notify_alive(struct notifier *n);
/* How often notify_alive() is wanted: half of what the service manager waits for; 0: not at all. */
uint64_t notify_alive_every_ms(const struct notifier *n);
