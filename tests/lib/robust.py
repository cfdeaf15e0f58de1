"""What the tests of robustness share: scenes (a repository with a history), copies of them for one accident each, and what must hold
after every accident.

What must hold: every snapshot that was acknowledged before and that nobody asked to remove is there and restores to what was backed
up; so does every other snapshot that is there; and `check --read-data` finds nothing wrong.
"""
import concurrent.futures
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import tempfile

import clawtest
import treecmp
import weakkey
from clawtest import PASSPHRASE, Box, check, clawback_binary, equal, skip

KIB = 1 << 10
WORKERS = max(2, min(8, os.cpu_count() or 2))


def sanitized():
    with open(clawback_binary(), "rb") as f:
        return re.search(rb"__(asan|tsan)_init", f.read()) is not None


def use_memory():
    """Thousands of runs that wait for a disk each time would take an hour: the script's files lie in memory where there is room."""
    place = "/dev/shm"
    if os.access(place, os.W_OK) and os.path.ismount(place):
        st = os.statvfs(place)
        if st.f_bavail * st.f_frsize > 512 << 20:
            tempfile.tempdir = place


def in_parallel(function, items, workers=WORKERS):
    """All failures are collected; the first few are told. More workers than processors are for what mostly waits."""
    def one(item):
        try:
            function(item)
            return None
        except AssertionError as e:
            return "%s: %s" % (item, e)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        failures = [f for f in pool.map(one, items) if f is not None]
    if failures:
        raise AssertionError("%d failures, the first of them:\n%s" % (len(failures), "\n".join(failures[:4])))


def clone(source, target):
    """A copy. Files that are named by their contents are hard links: nobody changes them in place."""
    os.makedirs(target)
    for entry in os.scandir(source):
        path = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            clone(entry.path, path)
        elif len(entry.name) == 64:
            os.link(entry.path, path, follow_symlinks=False)
        else:
            shutil.copy2(entry.path, path)


def make_tree(root, seed, sizes, more=True):
    """Files of these sizes with random content in a few directories, and some other kinds of entries."""
    chance = random.Random(seed)
    for i, size in enumerate(sizes):
        directory = os.path.join(root, "dir%d" % (i % 3), "deep") if i % 4 == 3 else os.path.join(root, "dir%d" % (i % 3))
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "file%d" % i), "wb") as f:
            f.write(chance.randbytes(size))
    if more:
        os.makedirs(os.path.join(root, "empty"))
        os.symlink("../nowhere", os.path.join(root, "link"))
        os.link(os.path.join(root, "dir0", "file0"), os.path.join(root, "hard"))
        open(os.path.join(root, "nothing"), "wb").close()


class Scene:
    """A repository, the tree that is backed up into it, and what its snapshots must restore to."""

    def __init__(self, box):
        self.box = box
        self.repo = box.repo
        self.source = box.path("source")
        self.snapshots = {}  # {full ID: tree, as treecmp reads it}
        os.mkdir(self.source)
        box.claw("init")
        weakkey.make_cheap(self.repo, PASSPHRASE)
        box.env["CLAWBACK_CACHE_DIR"] = box.path("cache")
        os.mkdir(box.path("cache"))

    def backup(self, *args):
        done = self.box.claw("--pack-size", "4", "backup", "--json", self.source, *args)
        return self.saved(done)

    def saved(self, done):
        snapshot = done.summary()["snapshot_id"]
        self.snapshots[snapshot] = treecmp.read_tree(self.source)
        return snapshot

    def forget(self, snapshot):
        self.box.claw("forget", snapshot)
        del self.snapshots[snapshot]

    def seal(self):
        """What everybody's copies share must not change; nor does the source from here on."""
        self.print = clawtest.fingerprint(self.repo)
        self.current = treecmp.read_tree(self.source)

    def unchanged(self):
        equal(clawtest.fingerprint(self.repo), self.print, "the repository whose copies were worked on")


def history(box, new_sizes):
    """Two snapshots, and what two forgotten ones left: prune has packs to remove and packs to repack. Then the source changed: files
    of new_sizes are not backed up yet."""
    s = Scene(box)
    make_tree(s.source, 1, [30 * KIB, 9 * KIB, 700, 20, 12 * KIB, 5 * KIB, 3000, 40 * KIB])
    first = s.backup()
    for name in ("dir0/file0", "dir1/file1", "dir1/file4"):
        os.remove(os.path.join(s.source, name))
    make_tree(os.path.join(s.source, "more"), 2, [25 * KIB, 2 * KIB, 9 * KIB], more=False)
    second = s.backup()
    clawtest.remove_tree(os.path.join(s.source, "more", "dir0"))
    s.backup()
    make_tree(os.path.join(s.source, "last"), 3, [8 * KIB, 1 * KIB], more=False)
    s.backup()
    s.forget(first)
    s.forget(second)
    make_tree(os.path.join(s.source, "new"), 4, new_sizes, more=False)
    s.seal()
    return s


@clawtest.once
def usual_scene(box):
    """A history, and four files of which one is larger than most that is there."""
    return history(box, [70 * KIB, 300 * KIB, 20, 5 * KIB])


def started(box, case, *args, env=None, **options):
    """The command on the case's repository, running."""
    return box.start([clawback_binary(), "-r", case.repo] + list(args), env={**case.env, **(env or {})}, **options)


_numbers = itertools.count(1)


class Case:
    """A copy of a scene for one accident."""

    def __init__(self, scene, box):
        self.scene = scene
        self.dir = box.path("case%d" % next(_numbers))
        os.mkdir(self.dir)
        self.repo = os.path.join(self.dir, "repo")
        clone(scene.repo, self.repo)
        clone(scene.box.path("cache"), os.path.join(self.dir, "cache"))
        self.box = box
        self.env = {"CLAWBACK_CACHE_DIR": os.path.join(self.dir, "cache"), "HOME": self.dir, "TMPDIR": self.dir}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        clawtest.remove_tree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def claw(self, *args, env=None, before=(), **options):
        args = [a.replace("{target}", self.path("target")) for a in args]
        command = list(before) + [clawback_binary(), "-r", self.repo] + args
        return self.box.run(command, env={**self.env, **(env or {})}, **options)

    def present(self):
        return {s["id"]: s for s in self.claw("snapshots", "--json").json()}

    def restores(self, snapshot, expected):
        """expected: the tree; what is in it lies at the source's path below the target."""
        target = self.path("look")
        self.claw("restore", snapshot, "--target", target)
        found = treecmp.read_tree(target + self.scene.source)
        clawtest.remove_tree(target)
        clawtest.no_differences(treecmp.differences(found, expected), "snapshot %s" % snapshot[:8])

    def restored_by_resumption(self, snapshot, expected):
        self.claw("restore", snapshot, "--target", self.path("target"))
        found = treecmp.read_tree(self.path("target") + self.scene.source)
        clawtest.no_differences(treecmp.differences(found, expected), "restored again")

    def holds(self, removed=(), acknowledged=(), restores=True):
        """removed: IDs that may be gone. acknowledged: IDs that must be there on top of the scene's. restores: whether to try it."""
        self.claw("check", *(["--read-data"] if restores else []))
        there = self.present()
        for snapshot in list(self.scene.snapshots) + list(acknowledged):
            check(snapshot in there or snapshot in removed, "snapshot %s is lost" % snapshot[:8])
        if restores:
            for snapshot in there:
                self.restores(snapshot, self.scene.snapshots.get(snapshot, self.scene.current))

    def locks(self):
        return sorted(os.listdir(os.path.join(self.repo, "locks")))

    def leftovers(self):
        """Temporary files, by their paths in the repository."""
        return [os.path.relpath(f, self.repo) for f in clawtest.files_below(self.repo) if "tmp-" in os.path.basename(f)]


def saved_snapshots(result):
    """IDs that a backup acknowledged, with --json."""
    found = []
    for line in result.out.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if document.get("message_type") == "summary" and document.get("snapshot_id"):
            found.append(document["snapshot_id"])
    return found


def plain_failure(result):
    """The command failed as people should meet it: an exit status of ours, and one line that says what happened."""
    check(result.rc in (1, 3, 11), "exit status %d" % result.rc, result)
    errors = [line for line in result.err.splitlines() if line.startswith("error: ") or '"message_type":"exit_error"' in line]
    equal(len(errors), 1, "number of error lines\n%s\n" % result)


# ------------------------------------------------------------------------------------- faults of the store, see store/fault.h

KINDS = ("fail", "once", "tear", "no-space", "late")


def kinds(wanted=KINDS):
    """With sanitizers, where everything takes four times as long, those that lead along every way out of an error."""
    return tuple(k for k in wanted if k in ("once", "tear")) or wanted[:1] if sanitized() else wanted


def count_calls(case, args, rc=0):
    """How many calls of the store the command makes when all goes well."""
    counter = case.path("count")
    case.claw(*args, rc=rc, env={"CLAWBACK_TEST_FAULT_COUNT": counter})
    with open(counter) as f:
        return int(f.read())


# ---------------------------------------------------------------------------------------------------- faults of system calls

def fault_program():
    """The path of lib/syscall_fault.c, built once a script; skips the test where it cannot work."""
    if not _built:
        box = Box(clawtest._run.root, "syscall-fault")
        program = box.path("syscall_fault")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "syscall_fault.c")
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            skip("there is no C compiler")
        subprocess.run([compiler, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-o", program, source], check=True)
        tried = box.run([program, box.path("log"), "none", "0", "true"], rc=None)
        _built.append((program, tried))
    program, tried = _built[0]
    if tried.rc == 125:
        skip("system calls cannot be watched here: " + tried.err.strip())
    equal(tried.rc, 0, "trying syscall_fault\n%s" % tried)
    return program


_built = []


def system_calls(case, args):
    """The calls that change files, as [name, path…], of a run in which all goes well."""
    log = case.path("calls")
    case.claw(*args, before=[fault_program(), log, "none", "0"])
    with open(log) as f:
        return [line.split("\t") for line in f.read().splitlines()]


def with_system_fault(case, action, number, args, **options):
    """Result.rc is 137 for a command that was killed."""
    return case.claw(*args, before=[fault_program(), case.path("calls"), action, str(number)], rc=None, **options)


def last_call(case):
    with open(case.path("calls")) as f:
        calls = f.read().splitlines()
    return calls[-1] if calls else "none"

