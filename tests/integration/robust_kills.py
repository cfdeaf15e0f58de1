#!/usr/bin/env python3
# timeout: 1500
"""The process is killed at, or gets an error from, every system call that changes files: for every such call of a backup, restore,
forget and prune. What is checked is what users have afterwards: all snapshots, a repository without a fault, the next command working.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
import robust  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, main  # noqa: E402
from robust import Case, in_parallel, plain_failure, with_system_fault, usual_scene as scene  # noqa: E402

KILLED = 128 + 9
RESTIC_EVERY = 6  # the stock program, which is slow to start, looks at every so manieth


def accidents(box, s, actions, args, after, restic=False):
    """Runs the command once for every action and call; `after` gets the case, the command's result and what happened to it."""
    with Case(s, box) as case:
        calls = robust.system_calls(case, args)
    check(len(calls) > 5, "the command hardly changes files: %s" % calls)

    def one(accident):
        action, n = accident
        with Case(s, box) as case:
            result = with_system_fault(case, action, n, args)
            what = "%s at call %d, %s" % (action, n, robust.last_call(case))
            try:
                after(case, result, what)
                if restic and n % RESTIC_EVERY == 0:
                    # Locks that a killed process left are only stale, for others, after half an hour.
                    box.restic("check", "--read-data", "--no-lock", repo=case.repo, env=case.env)
            except AssertionError as e:
                raise AssertionError("%s: %s\nafter\n%s" % (what, e, result))
    if robust.sanitized():  # they have nothing to say about who is killed
        actions = [a for a in actions if a != "kill"]
    in_parallel(one, [(action, n) for action in actions for n in range(1, len(calls) + 1)])
    s.unchanged()


def died(result, what):
    """Killed; a run that made a call less than when they were counted came to its end."""
    check(result.rc in (0, KILLED), "exit status %d, not killed" % result.rc)


def failed_or_did_without(result, what):
    if result.rc != 0:
        plain_failure(result)


KILLS, ERRORS = ("kill", "tear"), ("error-EIO", "error-ENOSPC", "error-EMFILE", "lasting-ENOSPC", "lasting-EROFS")


def backup_cases(box, actions, ended):
    s = scene()

    def after(case, result, what):
        ended(result, what)
        acknowledged = robust.saved_snapshots(result)
        check(result.rc != 0 or len(acknowledged) == 1, "success without a snapshot")
        case.holds(acknowledged=acknowledged)
        case.claw("backup", s.source)
        case.claw("prune", "--max-unused", "0")
        case.holds(acknowledged=acknowledged, restores=False)
        equal([f for f in case.leftovers() if not f.startswith("locks/")], [], "temporary files after prune")
    accidents(box, s, actions, ("backup", "--json", s.source), after, restic=True)


def test_backup_killed(box):
    backup_cases(box, KILLS, died)


def test_backup_with_system_errors(box):
    backup_cases(box, ERRORS, failed_or_did_without)


def prune_cases(box, actions, ended):
    s = scene()

    def after(case, result, what):
        ended(result, what)
        case.holds()
        case.claw("prune", "--max-unused", "0")
        case.holds(restores=False)
        equal([f for f in case.leftovers() if not f.startswith("locks/")], [], "temporary files after prune")
    accidents(box, s, actions, ("prune", "--max-unused", "0"), after, restic=True)


def test_prune_killed(box):
    prune_cases(box, KILLS, died)


def test_prune_with_system_errors(box):
    prune_cases(box, ERRORS, failed_or_did_without)


def forget_cases(box, actions, ended):
    s = scene()
    snapshots = list(s.snapshots)
    command = ("forget", "--keep-last", "1", "--group-by", "")

    def after(case, result, what):
        ended(result, what)
        case.holds(removed=snapshots[:-1])
        case.claw(*command)
        equal(list(case.present()), snapshots[-1:], "what is left")
    accidents(box, s, actions, command, after)


def test_forget_killed(box):
    forget_cases(box, KILLS, died)


def test_forget_with_system_errors(box):
    forget_cases(box, ERRORS, failed_or_did_without)


def restore_cases(box, actions, ended):
    s = scene()
    snapshot = list(s.snapshots)[-1]

    def after(case, result, what):
        ended(result, what)
        if result.rc == 0:
            found = treecmp.read_tree(case.path("target") + s.source)
            clawtest.no_differences(treecmp.differences(found, s.snapshots[snapshot]), "restored")
        case.restored_by_resumption(snapshot, s.snapshots[snapshot])
        case.holds(restores=False)
    accidents(box, s, actions, ("restore", snapshot, "--target", "{target}"), after)


def test_restore_killed(box):
    restore_cases(box, KILLS, died)


def named_or_did_without(result, what):
    """A restore names each thing that it could not do, and goes on."""
    check(result.rc == 0 or "error: " in result.err, "no error is told")
    check(result.rc in (0, 1), "exit status %d" % result.rc)


def test_restore_with_system_errors(box):
    restore_cases(box, ("error-EIO", "error-ENOSPC", "error-EACCES", "lasting-ENOSPC"), named_or_did_without)


def test_tag_killed(box):
    s = scene()

    def after(case, result, what):
        died(result, what)
        case.claw("check")
        there = case.present()
        originals = {document.get("original", snapshot) for snapshot, document in there.items()}
        equal(originals, set(s.snapshots), "snapshots that are there, tagged or not")
        for snapshot, document in there.items():
            case.restores(snapshot, s.snapshots[document.get("original", snapshot)])
    accidents(box, s, KILLS, ("tag", "--set", "other"), after)


def test_passphrase_change_killed(box):
    s = scene()
    new = box.write("new", "battery staple\n")

    def after(case, result, what):
        died(result, what)
        by_new = case.claw("check", rc=None, env={"CLAWBACK_PASSPHRASE": "battery staple"})
        by_old = case.claw("check", rc=None)
        check(0 in (by_new.rc, by_old.rc), "the repository opens no more", by_new, by_old)
        check(result.rc != 0 or by_new.rc == 0, "the new passphrase does not open it", by_new)
    accidents(box, s, KILLS, ("key", "passwd", "--new-password-file", new), after)


if __name__ == "__main__":
    robust.use_memory()
    main()
