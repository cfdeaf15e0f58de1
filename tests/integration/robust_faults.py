#!/usr/bin/env python3
# timeout: 1200
"""The store fails, tears a write, fills up or loses an answer at call N, for every N of every command that works on a repository."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import robust  # noqa: E402
from clawtest import check, equal, main, once, remove_tree  # noqa: E402
from robust import KIB, KINDS, Case, count_calls, in_parallel, plain_failure  # noqa: E402

BACKUP = ("--pack-size", "4", "backup", "--json")


@once
def scene(box):
    return robust.history(box, [1 * KIB] * 3)


@once
def scene_with_much_to_back_up(box):
    """More than one pack of data."""
    return robust.history(box, [860 * KIB] * 5 + [300] * 8)


def faults(box, s, args, after, rc=0, prepare=None, kinds=KINDS, one_line=True):
    """Runs the command once for every call and kind; `after` gets the case and the command's result."""
    with Case(s, box) as case:
        if prepare:
            prepare(case)
        count = count_calls(case, args, rc)
    check(count > 3, "the command hardly touches its store: %d calls" % count)

    def one(fault):
        with Case(s, box) as case:
            if prepare:
                prepare(case)
            result = case.claw(*args, rc=None, env={"CLAWBACK_TEST_FAULT": fault})
            try:
                if result.rc != 0 and one_line:
                    plain_failure(result)
                after(case, result)
            except AssertionError as e:
                raise AssertionError("%s\nafter\n%s" % (e, result))
    in_parallel(one, ["%s:%d" % (kind, n) for kind in robust.kinds(kinds) for n in range(1, count + 1)])
    s.unchanged()


def test_backup(box):
    s = scene_with_much_to_back_up()

    def after(case, result):
        acknowledged = robust.saved_snapshots(result)
        check(result.rc != 0 or len(acknowledged) == 1, "success without a snapshot", result)
        check(result.rc == 0 or not acknowledged, "failure with a snapshot", result)
        case.holds(acknowledged=acknowledged)
        case.claw("backup", s.source)
        case.claw("prune", "--max-unused", "0")
        case.holds(acknowledged=acknowledged, restores=False)
        equal(case.leftovers(), [], "temporary files after prune")
    faults(box, s, BACKUP + (s.source,), after)


@once
def scene_to_copy_from(box):
    return robust.history(box, [])


def test_copy(box):
    s, other = scene(), scene_to_copy_from()
    command = ("copy", "--json", "--from-repo", other.repo)

    def after(case, result):
        check(result.rc != 0 or result.summary()["copied"] == len(other.snapshots), "success without the snapshots", result)
        case.claw("check", "--read-data")
        check(set(s.snapshots) <= set(case.present()), "a snapshot is lost")
        case.claw(*command)
        copies = {d["original"]: snapshot for snapshot, d in case.present().items() if "original" in d}
        equal(sorted(copies), sorted(other.snapshots), "originals of the copies")
        for original, snapshot in copies.items():
            target = case.path("look")
            case.claw("restore", snapshot, "--target", target)
            found = robust.treecmp.read_tree(target + other.source)
            robust.clawtest.no_differences(robust.treecmp.differences(found, other.snapshots[original]), "the copy")
            remove_tree(target)
    # What cannot be read of the source is named, each in a line. The fault comes at the same call of either repository.
    faults(box, s, command, after, one_line=False)
    other.unchanged()


def test_restore(box):
    s = scene()
    snapshot = list(s.snapshots)[-1]

    def after(case, result):
        if result.rc == 0:
            found = robust.treecmp.read_tree(case.path("target") + s.source)
            robust.clawtest.no_differences(robust.treecmp.differences(found, s.snapshots[snapshot]), "restored")
        case.restored_by_resumption(snapshot, s.snapshots[snapshot])
        case.claw("check")
    faults(box, s, ("restore", snapshot, "--target", "{target}"), after, one_line=False)


def test_forget(box):
    s = scene()
    snapshots = list(s.snapshots)

    def after(case, result):
        case.holds(removed=snapshots[:-1])
        case.claw("forget", "--keep-last", "1", "--group-by", "")
        equal(list(case.present()), snapshots[-1:], "what is left")
    faults(box, s, ("forget", "--keep-last", "1", "--group-by", ""), after)


def test_prune(box):
    s = scene()

    def after(case, result):
        case.holds()
        case.claw("prune", "--max-unused", "0")
        case.holds()
        equal(case.leftovers(), [], "temporary files after prune")
    faults(box, s, ("prune", "--max-unused", "0"), after)


def test_forget_with_prune(box):
    s = scene()
    snapshots = list(s.snapshots)
    command = ("forget", "--keep-last", "1", "--group-by", "", "--prune", "--max-unused", "0")

    def after(case, result):
        case.holds(removed=snapshots[:-1])
    faults(box, s, command, after, kinds=("fail", "late"))


def drop_an_index(case):
    """One index file is gone, another is damaged."""
    directory = os.path.join(case.repo, "index")
    names = sorted(os.listdir(directory))
    os.remove(os.path.join(directory, names[0]))
    damaged = os.path.join(directory, names[-1])
    with open(damaged, "rb") as f:
        content = f.read()
    os.remove(damaged)
    with open(damaged, "wb") as f:
        f.write(content[:-1] + bytes([content[-1] ^ 1]))


def test_repair_index(box):
    s = scene()

    def after(case, result):
        if result.rc == 0:
            case.holds()
        case.claw("repair", "index")
        case.holds()
    # What it cannot read it names, each in a line.
    faults(box, s, ("repair", "index"), after, prepare=drop_an_index, one_line=False)


def test_repair_index_from_all_packs(box):
    s = scene()

    def after(case, result):
        case.holds()
        case.claw("repair", "index")
        case.holds(restores=False)
    faults(box, s, ("repair", "index", "--read-all-packs"), after, kinds=("fail", "once", "late"), one_line=False)


def test_tag(box):
    s = scene()

    def after(case, result):
        case.claw("check")
        there = case.present()
        trees = {d["tree"] for d in there.values()}
        equal(len(trees), len(s.snapshots), "number of different snapshots\n%s\n" % result)
        for snapshot, document in there.items():
            case.restores(snapshot, s.snapshots[document.get("original", snapshot)])
    faults(box, s, ("tag", "--set", "other"), after)


def test_changing_the_passphrase(box):
    s = scene()

    def prepare(case):
        with open(case.path("new"), "w") as f:
            f.write("battery staple\n")
        case.env["NEW"] = case.path("new")

    def after(case, result):
        new = case.claw("check", rc=None, env={"CLAWBACK_PASSPHRASE": "battery staple"})
        old = case.claw("check", rc=None)
        check(new.rc in (0, 12) and old.rc in (0, 12), "the repository does not open properly", new, old)
        check(new.rc == 0 or (old.rc == 0 and result.rc != 0), "the repository opens no more", new, old)

    with Case(s, box) as case:
        prepare(case)
        count = count_calls(case, ("key", "passwd", "--new-password-file", case.path("new")))

    def one(fault):
        with Case(s, box) as case:
            prepare(case)
            result = case.claw("key", "passwd", "--new-password-file", case.path("new"), rc=None,
                               env={"CLAWBACK_TEST_FAULT": fault})
            if result.rc != 0:
                plain_failure(result)
            after(case, result)
    in_parallel(one, ["%s:%d" % (kind, n) for kind in robust.kinds() for n in range(1, count + 1)])


def test_init(box):
    s = scene()

    def prepare(case):
        remove_tree(case.repo)

    def after(case, result):
        # Either it is there and usable, or it can be made.
        again = case.claw("init", rc=None)
        check(again.rc == 0 or "already" in again.err, "cannot be made again", again)
        case.claw("backup", os.path.join(s.source, "more"))
        case.claw("check", "--read-data")
    faults(box, s, ("init",), after, prepare=prepare, kinds=("fail", "tear", "late"))


def test_check_reports_what_it_cannot_read(box):
    s = scene()

    def after(case, result):
        check(result.rc != 0, "all is fine, though a call failed", result)
    faults(box, s, ("check", "--read-data", "--no-lock"), after, kinds=("fail",), one_line=False)


if __name__ == "__main__":
    robust.use_memory()
    main()
