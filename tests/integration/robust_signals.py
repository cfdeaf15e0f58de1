#!/usr/bin/env python3
# timeout: 900
"""SIGINT at every system call that changes files, and while a command waits: it ends soon, with status 130, without a lock left
behind, and the repository is as good as before.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
import robust  # noqa: E402
from clawtest import check, equal, main, wait_until  # noqa: E402
from robust import Case, in_parallel, started, with_system_fault, usual_scene as scene  # noqa: E402

INTERRUPTED = 130
SOON_S = 5


def interrupts(box, s, args, after, spared=0):
    """spared: how many of the last calls it may have come too late for."""
    with Case(s, box) as case:
        calls = robust.system_calls(case, args)

    def one(n):
        with Case(s, box) as case:
            result = with_system_fault(case, "interrupt", n, args)
            what = "SIGINT at call %d of %d, %s" % (n, len(calls), " ".join(calls[n - 1]))
            try:
                check(result.rc in (0, INTERRUPTED), "exit status %d" % result.rc)
                check(result.rc == INTERRUPTED or n > len(calls) - spared, "it went on to its end")
                if result.rc == INTERRUPTED:
                    said = [line for line in result.err.splitlines() if line.startswith("error: ") or "exit_error" in line]
                    check(len(said) == 1 and "interrupted" in said[0], "what it says")
                equal(case.locks(), [], "locks")
                equal(case.leftovers(), [], "temporary files")
                after(case, result)
            except AssertionError as e:
                raise AssertionError("%s: %s\nafter\n%s" % (what, e, result))
    in_parallel(one, range(1, len(calls) + 1))
    s.unchanged()


def test_backup(box):
    s = scene()

    def after(case, result):
        saved = robust.saved_snapshots(result)
        check(bool(saved) == (result.rc == 0), "the exit status and the summary do not agree")
        case.holds(acknowledged=saved)
    # From the moment when the snapshot is being written it is better to say that it is there.
    interrupts(box, s, ("backup", "--json", s.source), after, spared=12)


def test_prune(box):
    s = scene()

    def after(case, _):
        case.holds()
        case.claw("prune", "--max-unused", "0")
        case.holds(restores=False)
    interrupts(box, s, ("prune", "--max-unused", "0"), after, spared=12)


def test_restore(box):
    s = scene()
    snapshot = list(s.snapshots)[-1]

    def after(case, _):
        case.restored_by_resumption(snapshot, s.snapshots[snapshot])
    interrupts(box, s, ("restore", snapshot, "--target", "{target}"), after, spared=20)


def test_forget(box):
    s = scene()
    snapshots = list(s.snapshots)

    def after(case, _):
        case.holds(removed=snapshots[:-1])
    interrupts(box, s, ("forget", "--keep-last", "1", "--group-by", ""), after, spared=12)


def ends_soon(child, number, status, what):
    began = time.monotonic()
    child.send_signal(number)
    try:
        out, err = child.communicate(timeout=SOON_S)
    except clawtest.subprocess.TimeoutExpired:
        raise AssertionError("%s goes on %d s after the signal" % (what, SOON_S))
    check(child.returncode == status, "%s: exit status %d, not %d" % (what, child.returncode, status), err.decode())
    check(time.monotonic() - began < SOON_S, "%s took too long to end" % what)
    return out, err.decode()


def holds_a_lock(case):
    return wait_until(lambda: [n for n in case.locks() if not n.startswith("tmp-")], "a lock")


def while_reading(box, *args):
    s = scene()
    for number in (signal.SIGINT, signal.SIGTERM):
        with Case(s, box) as case:
            child = started(box, case, *args, stdin=clawtest.subprocess.PIPE)
            holds_a_lock(case)
            time.sleep(0.2)  # until it waits for more
            _, err = ends_soon(child, number, INTERRUPTED, " ".join(args))
            check("interrupted" in err, "what it says", err)
            equal(case.locks(), [], "locks")
            case.holds(restores=False)
            equal(sorted(case.present()), sorted(s.snapshots), "snapshots")


def test_backup_of_a_standard_input_that_says_nothing(box):
    while_reading(box, "backup", "--stdin")


def test_backup_of_a_command_that_says_nothing(box):
    while_reading(box, "backup", "--stdin-from-command", "--", "sleep", "60")


def test_waiting_for_a_lock(box):
    s = scene()
    with Case(s, box) as case:
        holder = started(box, case, "backup", "--stdin", stdin=clawtest.subprocess.PIPE)
        held = holds_a_lock(case)
        child = started(box, case, "prune", "--retry-lock", "5m")
        time.sleep(0.5)
        check(child.poll() is None, "it does not wait")
        ends_soon(child, signal.SIGINT, INTERRUPTED, "prune --retry-lock")
        equal(case.locks(), held, "locks")
        holder.communicate(b"at last")
        equal(holder.returncode, 0, "exit status of the other")
        case.claw("prune")


def test_reading_a_slow_source(box):
    """The rate limit is no reason to be late."""
    s = scene()
    with Case(s, box) as case:
        child = started(box, case, "--limit-read", "20k", "backup", s.source)
        holds_a_lock(case)
        ends_soon(child, signal.SIGINT, INTERRUPTED, "backup --limit-read")
        equal(case.locks(), [], "locks")
        case.holds(restores=False)


if __name__ == "__main__":
    robust.use_memory()
    main()
