/* The child's side of a job's process: from fork() to exec, for job_run.c. */
#pragma once
#include <sys/types.h>
#include "base/err.h"
#include "daemon/job_run.h"

/* Our ends of its pipes. One byte into gate_fd lets it go; when that is closed without one it ends. */
struct job_child {
    pid_t pid;
    int gate_fd, out_fd, err_fd;
    int report_fd; /* at its end without a word: the program runs; else a report. Blocking, but for as long only as it
                    * takes to exec */
};
int job_child_fork(struct job_child *out, const struct job_run_options *o, struct err *err);

struct job_child_report {
    int step, errnum;
};
/* What the report means: "cannot start 'x': No such file or directory". */
void job_child_explain(const struct job_child_report *report, const char *name, struct err *err);
