/*
 * Talking to the daemon: daemon.sock in the state directory, mode 0600, only for processes of the same user and root.
 * One JSON object in one line each way, then the daemon hangs up:
 *
 *     {"ask":"run-now","job":ID}   the job is started at once, or when fewer than 16 run; enabled or not
 *     {"ask":"status"}             what runs, what comes next
 *     {"ask":"reload"}             jobs.json is read again before the answer
 *
 *     {"ok":true, …}   {"ok":false,"code":"not-found"|"busy"|"corrupt"|"usage"|"failed","error":"for people"}
 *
 * run-now: {"ok":true,"job"}. reload: {"ok":true,"jobs":N,"mistakes":[{"job","message"}]}; "corrupt": the file is none,
 * the jobs that were known go on. status: {"ok":true,"pid","version","startedMs","nowMs","jobsFile","fileProblem"
 * (text, absent when there is none),"mistakes":[…],"stopping":bool,"jobs":[{"id","name","enabled","nextMs" (0: none),
 * "running":bool,"runId","startedMs","lastRunMs","lastStatus":"never"|"ok"|"error"|"skipped","lastDurationMs"}]}; times
 * are Unix milliseconds.
 */
#pragma once
#include <jansson.h>
#include "base/err.h"

enum { CONTROL_LINE_MAX_BYTES = 8 << 20 };

/* state_dir/daemon.sock. The caller frees it. */
char *control_path(const char *state_dir);
/* Sends the request and waits for the answer, 10 s at most. *reply is the caller's, set only on success.
 * ERR_NOT_FOUND: no daemon is there (neither, when one ended without a word). A reply with "ok":false is an error with
 * its text; "not-found": ERR_USAGE, "busy": ERR_LOCKED, "corrupt": ERR_CORRUPT. reply may be NULL. */
int control_ask(const char *state_dir, json_t *request, json_t **reply, struct err *err);
/* The same by name; job: NULL but for "run-now". */
int control_ask_for(const char *state_dir, const char *ask, const char *job, json_t **reply, struct err *err);
