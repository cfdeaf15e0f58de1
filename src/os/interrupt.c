#include "os/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include "os/clock.h"

/* timeout(1) sends its signal to the process and then to its group, so that it comes twice although it is meant once.
 */
static const uint64_t TOGETHER_NS = 250000000;

static volatile sig_atomic_t interrupted;
static _Atomic uint64_t first_ns; /* when the first signal came; 0: none did */

static void on_signal(int number)
{
    uint64_t now = os_monotonic_ns(), first = 0;
    interrupted = 1;
    if (!atomic_compare_exchange_strong(&first_ns, &first, now) && now > first + TOGETHER_NS)
        _exit(128 + number);
}

/* Programs that share a repository with us, restic among them, probe whether the holder of a lock is alive by sending
 * it SIGHUP. Only the one that comes from the system, because the terminal is gone, asks us to stop. */
static void on_hangup(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code > 0)
        on_signal(number);
}

void os_interrupt_install(void)
{
    /* SA_RESTART: only loops that look at the flag stop; a system call in the middle of something is not torn. */
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&act.sa_mask);
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old;
        if (numbers[i] == SIGHUP) {
            act.sa_sigaction = on_hangup;
            act.sa_flags |= SA_SIGINFO;
        }
        /* What our parent told us to ignore (nohup) stays ignored. */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

bool os_interrupted(void)
{
    return interrupted != 0;
}

int os_check_interrupt(struct err *err)
{
    return interrupted ? err_set(err, ERR_INTERRUPTED, "interrupted") : 0;
}
