/* What the files of the state database share. For state*.c only. */
#pragma once
#include "monitor/state_tables.h"
#include "os/clock.h"

struct state {
    sqlite3 *db;
    char *dir, *path;
    bool damaged; /* SQLite said so, or a table of ours was not there */
    bool fresh;   /* its tables were made by this handle, and the logs not yet followed */
};

/* Opens the file and makes it what it must be; repairs it when it is not. */
int state_prepare_file(struct state *s, struct err *err);
int state_repair(struct state *s, struct err *err);
int state_connect(struct state *s, struct err *err);
void state_disconnect(struct state *s);

/* err from what SQLite answered; notices damage. -1 always. */
int state_fail(struct state *s, int rc, struct err *err);

/* Thins what is old, once a day. */
int state_tidy(struct state *s, int64_t now_ms, struct err *err);
/* Begins a transaction unless there is one. *began_out: it is the caller's to end. */
int state_join(struct state *s, bool *began_out, struct err *err);
int state_leave(struct state *s, bool began, int rc, struct err *err);
