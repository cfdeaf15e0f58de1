#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/heartbeat.h"
#include "daemon/jobs_file.h"
#include "daemon/loop.h"
#include "monitor/log.h"
#include "os/file.h"

enum { DEFAULT_GRACE_MS = 20 * 1000 };

/* SIGHUP, even ignored by our parent's wish, must reach us when a process sends it: a signal that is ignored never
 * does. */
static int take_signals(bool *ignore_hangup, struct err *err)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    struct sigaction hangup;
    sigset_t set;
    *ignore_hangup = sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_errno(err, errno, "cannot block signals");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : err_errno(err, errno, "cannot receive signals");
}

static char *choose_jobs_file(const struct daemon_options *o)
{
    if (o->jobs_file == NULL)
        return jobs_file_default(o->state_dir);
    char *absolute = os_path_absolute(o->jobs_file);
    return absolute != NULL ? absolute : mem_strdup(o->jobs_file);
}

int daemon_run(const struct daemon_options *o, struct err *err)
{
    struct daemon_lock *lock = NULL;
    struct loop *loop = NULL;
    char *jobs_file = choose_jobs_file(o);
    struct loop_options options = {.state_dir = o->state_dir,
                                   .jobs_file = jobs_file,
                                   .flush_argv = o->flush_argv,
                                   .judge_argv = o->judge_argv,
                                   .grace_ms = o->grace_ms > 0 ? o->grace_ms : DEFAULT_GRACE_MS,
                                   .signal_fd = -1};
    int rc = daemon_lock_acquire(&lock, o->state_dir, err);
    if (rc == 0) {
        options.signal_fd = take_signals(&options.ignore_hangup, err);
        rc = options.signal_fd >= 0 ? 0 : -1;
    }
    options.lock = lock;
    if (rc == 0)
        rc = loop_new(&loop, &options, err);
    if (rc == 0)
        loop_run(loop);
    loop_free(loop);
    if (options.signal_fd >= 0)
        close(options.signal_fd);
    daemon_lock_release(lock);
    free(jobs_file);
    return rc;
}
