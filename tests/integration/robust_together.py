#!/usr/bin/env python3
# timeout: 900
"""Several programs at work on one repository at the same time: what may go together does, what may not is refused with status 11 or
waits, and a holder of a lock that died is in nobody's way.
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
import robust  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, main, wait_until  # noqa: E402
from robust import KIB, Case, started, usual_scene as scene  # noqa: E402

LOCKED = 11
STORM_S = 8


def locked(case, count=1):
    return wait_until(lambda: len([n for n in case.locks() if len(n) == 64]) >= count, "%d locks" % count)


class Backup:
    """A backup of a standard input that says nothing: it holds its shared lock until end() or kill()."""

    def __init__(self, box, case):
        before = len(case.locks())
        self.child = started(box, case, "backup", "--json", "--stdin", stdin=subprocess.PIPE)
        locked(case, before + 1)

    def end(self):
        out, err = self.child.communicate(b"the end")
        equal(self.child.returncode, 0, "exit status of the backup that was held up\n%s" % err.decode())
        return out

    def kill(self):
        self.child.kill()
        self.child.wait()


class Prune:
    """A prune that was stopped with its exclusive lock in its hands."""

    def __init__(self, box, case):
        self.case, self.fault = case, 0
        before = len(case.locks())
        for _ in range(50):
            # A call that takes longer gives the time to stop it in: the lock is there from the tenth on, of 25.
            self.child = started(box, case, "prune", "--dry-run", env={"CLAWBACK_TEST_FAULT": "delay:14"})
            wait_until(lambda: len([n for n in case.locks() if len(n) == 64]) > before or self.child.poll() is not None,
                       "a lock")
            self.child.send_signal(signal.SIGSTOP)
            if self.child.poll() is None and len(case.locks()) > before:
                return
            self.child.communicate()
        raise AssertionError("prune was always too quick")

    def goes_on(self):
        self.child.send_signal(signal.SIGCONT)
        _, err = self.child.communicate()
        equal(self.child.returncode, 0, "exit status of the prune that was held up\n%s" % err.decode())

    def kill(self):
        self.child.kill()
        self.child.wait()


def refused(case, holder, *args):
    done = case.claw(*args, rc=LOCKED)
    lines = done.err.strip().splitlines()
    check(lines[0].startswith("error: ") and "locked" in lines[0] and "by process %d " % holder.child.pid in lines[0],
          "the message", done)


def test_what_may_go_together(box):
    s = scene()
    with Case(s, box) as case:
        holder = Backup(box, case)
        case.claw("backup", s.source)
        case.claw("snapshots")
        case.claw("ls", "latest")
        case.claw("restore", "latest", "--target", case.path("out"))
        holder.end()
        case.holds(restores=False)


def test_what_may_not_during_a_backup(box):
    s = scene()
    with Case(s, box) as case:
        holder = Backup(box, case)
        for command in (("prune",), ("forget", "--keep-last", "1"), ("repair", "index"), ("tag", "--add", "x")):
            before = clawtest.fingerprint(case.repo)
            done = case.claw(*command, rc=(0, LOCKED))
            if command[0] in ("prune", "repair"):
                refused(case, holder, *command)
            if done.rc == LOCKED:
                equal(clawtest.fingerprint(case.repo), before, "the repository after '%s' was refused" % " ".join(command))
        holder.end()
        case.claw("prune")
        case.claw("check", "--read-data")


def test_nothing_goes_together_with_a_prune(box):
    s = scene()
    with Case(s, box) as case:
        holder = Prune(box, case)
        for command in (("prune",), ("backup", s.source), ("forget", "--keep-last", "1"), ("check",),
                        ("restore", "latest", "--target", case.path("out")), ("tag", "--add", "x")):
            refused(case, holder, *command)
        check(not os.path.exists(case.path("out")), "a refused restore made its target")
        case.claw("snapshots", "--no-lock")
        case.claw("restore", "latest", "--target", case.path("out"), "--no-lock")
        holder.goes_on()
        case.holds()


def waits_until(box, case, command, release):
    child = started(box, case, *command, "--retry-lock", "1m")
    time.sleep(1)
    check(child.poll() is None, "it does not wait")
    release()
    out, err = child.communicate(timeout=60)
    equal(child.returncode, 0, "exit status of '%s' after waiting\n%s" % (" ".join(command), err.decode()))


def test_retry_lock_waits_for_its_turn(box):
    s = scene()
    with Case(s, box) as case:
        waits_until(box, case, ("backup", s.source), Prune(box, case).goes_on)
        waits_until(box, case, ("prune",), Backup(box, case).end)
        case.holds(restores=False)


def test_retry_lock_gives_up_in_time(box):
    s = scene()
    with Case(s, box) as case:
        holder = Backup(box, case)
        began = time.monotonic()
        done = case.claw("prune", "--retry-lock", "2s", rc=LOCKED)
        took = time.monotonic() - began
        check(2 <= took < 6, "it waited for %.1f s, not for 2" % took, done)
        holder.end()


def test_a_killed_holder_is_in_nobodys_way(box):
    s = scene()
    for holder_of in (Backup, Prune):
        for command in (("backup", s.source), ("prune",), ("forget", "--keep-last", "1"), ("check",)):
            with Case(s, box) as case:
                holder_of(box, case).kill()
                equal(len(case.locks()), 1, "locks of the killed")
                case.claw(*command)
                equal(case.locks(), [], "locks after '%s'" % " ".join(command))
                case.claw("check", "--read-data")


def test_unlock_leaves_a_living_holder_alone(box):
    s = scene()
    with Case(s, box) as case:
        dead, living = Backup(box, case), Backup(box, case)
        dead.kill()
        done = case.claw("unlock")
        equal(len(case.locks()), 1, "locks")
        text = done.out + done.err
        check("--remove-all" in text and "process %d of " % living.child.pid in text, "it does not say whose lock stays", done)
        refused(case, living, "prune")
        living.end()


def test_backups_at_once(box):
    """The same new files, and some of their own, by six at a time."""
    s = scene()
    with Case(s, box) as case:
        own, expected = [], []
        for i in range(6):
            own.append(box.path("own%d" % i))
            robust.make_tree(own[i], 50 + i, [90 * KIB, 500, 3000])
            expected.append(treecmp.read_tree(own[i]))
        children = [started(box, case, "backup", "--json", s.source, own[i]) for i in range(6)]
        outputs = [child.communicate() for child in children]
        for child, (_, err) in zip(children, outputs):
            equal(child.returncode, 0, "exit status\n%s" % err.decode())
        saved = [json.loads(line)["snapshot_id"] for out, _ in outputs for line in out.splitlines()
                 if b'"summary"' in line]
        equal(len(set(saved)), 6, "number of snapshots")

        def all_is_there():
            case.claw("check", "--read-data")
            for i, snapshot in enumerate(saved):
                target = case.path("look")
                case.claw("restore", snapshot, "--target", target)
                clawtest.no_differences(treecmp.differences(target + own[i], expected[i]), "own files")
                clawtest.no_differences(treecmp.differences(target + s.source, s.current), "common files")
                clawtest.remove_tree(target)
        all_is_there()
        case.claw("prune", "--max-unused", "0")
        all_is_there()


def test_a_race_for_the_lock(box):
    """Backup and prune started at the same moment: each is done or refused, and what is done is right."""
    s = scene()
    for round_number in range(25):
        with Case(s, box) as case:
            commands = [("backup", "--json", s.source), ("prune", "--max-unused", "0"), ("backup", "--json", s.source)]
            children = [started(box, case, *c) for c in commands]
            outputs = [child.communicate() for child in children]
            statuses = tuple(child.returncode for child in children)
            check(set(statuses) <= {0, LOCKED}, "exit statuses %s" % (statuses,), *[e.decode() for _, e in outputs])
            saved = [json.loads(line)["snapshot_id"] for out, _ in outputs for line in out.splitlines()
                     if b'"snapshot_id"' in line]
            equal(len(saved), statuses[0::2].count(0), "number of acknowledged snapshots")
            case.holds(acknowledged=saved, restores=round_number < 5)
            equal(case.locks(), [], "locks")


class Storm:
    """Four users who do what comes to their mind, and keep a record of what was acknowledged."""

    def __init__(self, case, source):
        self.case, self.source, self.end = case, source, time.monotonic() + STORM_S
        self.mutex = threading.Lock()
        self.saved, self.problems, self.done = {}, [], {}

    def backup(self, user, turn, chance):
        own = self.case.path("user%d" % user)
        robust.make_tree(os.path.join(own, "turn%d" % turn), 1000 * user + turn, [chance.randrange(60000) for _ in range(3)],
                         more=False)
        tree = treecmp.read_tree(own)
        done = self.case.claw("backup", "--json", own, "--retry-lock", "2m")
        with self.mutex:
            self.saved[done.summary()["snapshot_id"]] = (own, tree)

    def forget(self, _user, _turn, chance):
        with self.mutex:
            if len(self.saved) < 4:
                return
            snapshot = chance.choice(sorted(self.saved))
            del self.saved[snapshot]
        self.case.claw("forget", snapshot, "--retry-lock", "2m")

    def prune(self, *_):
        self.case.claw("prune", "--max-unused", "0", "--retry-lock", "2m")

    def check(self, *_):
        self.case.claw("check", "--retry-lock", "2m")

    def restore(self, user, turn, chance):
        # Of the scene's own: those nobody forgets.
        snapshot = chance.choice(sorted(self.case.scene.snapshots))
        target = self.case.path("out%d-%d" % (user, turn))
        self.case.claw("restore", snapshot, "--target", target, "--retry-lock", "2m")
        clawtest.no_differences(treecmp.differences(target + self.source, self.case.scene.snapshots[snapshot]), snapshot)
        clawtest.remove_tree(target)

    def user(self, number):
        chance, turn = random.Random(number), 0
        try:
            while time.monotonic() < self.end and not self.problems:
                turn += 1
                verb = chance.choices((self.backup, self.forget, self.prune, self.check, self.restore), (8, 3, 3, 2, 3))[0]
                verb(number, turn, chance)
                with self.mutex:
                    self.done[verb.__name__] = self.done.get(verb.__name__, 0) + 1
        except AssertionError as e:
            self.problems.append(str(e))


def test_a_storm_of_everything(box):
    s = scene()
    with Case(s, box) as case:
        storm = Storm(case, s.source)
        users = [threading.Thread(target=storm.user, args=(n,)) for n in range(4)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        check(not storm.problems, "\n".join(storm.problems))
        print("# %s" % storm.done)
        check(len(storm.done) == 5, "not everything was tried: %s" % storm.done)
        case.claw("check", "--read-data")
        there = case.present()
        equal(sorted(there), sorted(list(storm.saved) + list(s.snapshots)), "snapshots")
        for snapshot, (own, tree) in storm.saved.items():
            case.claw("restore", snapshot, "--target", case.path("look"))
            clawtest.no_differences(treecmp.differences(case.path("look") + own, tree), snapshot)
            clawtest.remove_tree(case.path("look"))


if __name__ == "__main__":
    robust.use_memory()
    main()
