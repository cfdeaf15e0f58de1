/*
 * Schedules that somebody made by hand: a crontab line, a systemd timer, a service, an OpenClaw job that runs
 * `clawback run` or our daemon. For where `clawback schedule install` was not used. Reads only; takes seconds at most.
 */
#pragma once
#include "base/strlist.h"

/* Adds where they are, for people: "this user's crontab", "/etc/cron.d/backup". */
void handmade_schedules(struct strlist *out);
