#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "daemon/daemon.h"
#include "monitor/log.h"
#include "monitor/record.h"
#include "os/file.h"

struct daemon_command_options {
    const char *jobs, *config;
    uint64_t grace_ms;
    bool no_alerts;
};

enum { PATH_BYTES = 4096 };

static const struct option OPTIONS[] = {
    {.name = "jobs",
     .kind = OPTION_STRING,
     .offset = offsetof(struct daemon_command_options, jobs),
     .metavar = "FILE",
     .group = "What to do",
     .help = "the jobs (default: jobs.json in the state directory)"},
    {.name = "grace",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct daemon_command_options, grace_ms),
     .metavar = "DURATION",
     .help = "how long a job that is told to stop may take to do so (default: 20s)"},
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct daemon_command_options, config),
     .metavar = "FILE",
     .group = "Alerts",
     .help = "the plan whose channels are told of jobs that failed, and take alerts that wait (default: as for 'run')"},
    {.name = "no-alerts",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct daemon_command_options, no_alerts),
     .help = "leave them to others; also what a job that failed is to be told of"},
    OPTION_END,
};

/* This program, for `alerts flush`. NULL: it cannot be found, /proc is not there. */
static char *own_path(void)
{
    char path[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    return n > 0 && n < (ssize_t)sizeof path ? mem_strndup(path, (size_t)n) : NULL;
}

static int run_daemon(struct cli *cli, void *options, int argc, char **argv)
{
    const struct daemon_command_options *o = options;
    struct err err = {0};
    (void)argv;
    if (argc > 0) {
        err_set(&err, ERR_USAGE, "'daemon' takes no arguments");
        return cli_fail(cli, &err);
    }
    char *state_dir = record_state_dir(), *program = o->no_alerts ? NULL : own_path();
    char *config = o->config != NULL ? os_path_absolute(o->config) : NULL;
    const char *flush[] = {program, "alerts", "flush", "--due", config != NULL ? "-c" : NULL, config, NULL};
    log_open(state_dir, "daemon");
    /* Of what else may be wrong the hourly look has more time to find out. */
    const char *judge[] = {program, "health", "--quick", "--scheduled", "--quiet", config != NULL ? "-c" : NULL,
                           config,  NULL};
    const struct daemon_options daemon = {.state_dir = state_dir,
                                          .jobs_file = o->jobs,
                                          .flush_argv = program != NULL ? flush : NULL,
                                          .judge_argv = program != NULL ? judge : NULL,
                                          .grace_ms = o->grace_ms};
    int status = daemon_run(&daemon, &err) == 0 ? 0 : cli_fail(cli, &err);
    log_close();
    free(config);
    free(program);
    free(state_dir);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback daemon", "in a terminal, to see what it does; Ctrl-C ends it"},
    {"clawback schedule install --via daemon", "as a service that is always there"},
    {"kill -HUP PID", "jobs.json is read again; it also is when it changes"},
    {NULL, NULL},
};

const struct command cmd_daemon = {
    .name = "daemon",
    .arguments = "",
    .summary = "Run jobs in time: the scheduler, in the foreground",
    .description =
        "Runs the jobs of jobs.json in the state directory until it is told to stop. Each job is a program with a "
        "schedule: an interval, a time, or a cron expression. The file is read again whenever it changes; a broken "
        "entry "
        "is reported and left out, a broken file changes nothing.\n\n"
        "A due time is started once, or reported once as missed, whatever happens to the daemon; what was missed while "
        "it was away is made up for by one run. No job runs twice at the same time, and at most 16 jobs run at once. A "
        "job is stopped, with all it started, when its time is over. What became of each run is in runs/JOB.jsonl of "
        "the "
        "state directory ('clawback runs' shows it) and, in short, in the log.\n\n"
        "One daemon runs for each state directory; a second one ends with exit status 11. SIGTERM and SIGINT stop the "
        "running jobs and then the daemon, a second one kills them. SIGHUP makes it read jobs.json again. It tells "
        "systemd when it is ready and that it is alive (Type=notify, WatchdogSec).\n\n"
        "When a job has failed for good, 'clawback health --quick' is started, which tells of it. Alerts that could "
        "not "
        "be sent at once are sent as soon as that is possible.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct daemon_command_options),
    .examples = EXAMPLES,
    .group = "Backing up",
    .run = run_daemon,
};
