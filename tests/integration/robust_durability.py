#!/usr/bin/env python3
"""What would be on the disk after a power cut: the order of writing, syncing, renaming and removing, seen from the system calls.

A file that was not synced may come back empty, and a rename or removal whose directory was not synced may not have happened. So
nothing may depend on what is not synced yet: no snapshot on packs and index files, no removal on what replaces the removed.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import robust  # noqa: E402
from clawtest import check, main, once  # noqa: E402
from robust import KIB, Case  # noqa: E402


@once
def scene(box):
    return robust.history(box, [900 * KIB] * 6 + [300, 20])


class PowerCut:
    """Follows the calls and complains."""

    def __init__(self, repo):
        self.repo = repo
        self.unsynced = set()   # files with writes that may be lost
        self.named = {}         # directory: names given in it that may be lost
        self.removed = {}       # directory: removals in it that may be undone
        self.problems, self.seen = [], set()

    def kind(self, path):
        return os.path.relpath(path, self.repo).split("/")[0]

    def pending(self, state, *kinds):
        return [name for names in state.values() for name in names if self.kind(name) in kinds]

    def demand(self, nothing_of, what):
        for name in nothing_of:
            self.problems.append("%s, while '%s' may still be lost" % (what, os.path.relpath(name, self.repo)))

    def write(self, path):
        self.unsynced.add(path)

    def sync(self, path):
        self.unsynced.discard(path)
        self.named.pop(path, None)
        self.removed.pop(path, None)

    def rename(self, source, target):
        kind = self.kind(target)
        if kind in ("data", "index") and "new snapshots" in self.seen:
            self.problems.append("'%s' comes only after the snapshot" % os.path.relpath(target, self.repo))
        self.seen.add("new " + kind)
        if kind == "locks":
            self.unsynced.discard(source)
            return
        if source in self.unsynced:
            self.problems.append("'%s' gets its name without having been synced" % os.path.relpath(target, self.repo))
        if kind == "index":
            self.demand(self.pending(self.named, "data"), "an index file is there")
        if kind == "snapshots":
            self.demand(self.pending(self.named, "data", "index"), "a snapshot is there")
        self.named.setdefault(os.path.dirname(target), set()).add(target)

    def remove(self, path):
        kind = self.kind(path)
        if kind == "locks" or len(os.path.basename(path)) != 64:
            return
        self.seen.add("removed " + kind)
        if kind in ("index", "data"):
            self.demand(self.pending(self.named, "data", "index", "snapshots"), "a file in %s is removed" % kind)
        if kind == "data":
            self.demand(self.pending(self.removed, "index"), "a pack is removed, its place in the index")
        if kind == "snapshots":
            self.demand(self.pending(self.named, "snapshots"), "a snapshot is removed")
        if kind == "keys":
            self.demand(self.pending(self.named, "keys"), "a key is removed")
        if kind != "data":  # a pack that is back is in no index and harms nobody
            self.removed.setdefault(os.path.dirname(path), set()).add(path)

    def follow(self, calls):
        for name, *paths in calls:
            paths = [p for p in paths if (p + "/").startswith(self.repo + "/")]
            if not paths:
                continue
            if name in ("write", "pwrite64", "ftruncate"):
                self.write(paths[0])
            elif name in ("fsync", "fdatasync"):
                self.sync(paths[0])
            elif name in ("rename", "renameat2"):
                self.rename(*paths)
            elif name in ("unlink", "unlinkat"):
                self.remove(paths[0])

    def end(self):
        """The command reports success: what it did must stay done."""
        self.demand(self.pending(self.named, "data", "index", "snapshots", "keys", "config"), "success is reported")
        self.demand(self.pending(self.removed, "snapshots", "keys"), "success is reported")


def judge(box, command, *expected, prepare=None):
    with Case(scene(), box) as case:
        if prepare:
            prepare(case)
        cut = PowerCut(case.repo)
        calls = robust.system_calls(case, command)
        cut.follow(calls)
        cut.end()
        shown = "\n".join(" ".join(c).replace(case.repo + "/", "") for c in calls)
        for what in expected:
            check(what in cut.seen, "the command did not do what is to be watched: %s" % what, shown)
        check(not cut.problems, "\n".join(cut.problems), shown)


def test_backup(box):
    judge(box, ("--pack-size", "4", "backup", scene().source), "new data", "new index", "new snapshots")


def test_prune(box):
    judge(box, ("prune", "--max-unused", "0"), "new data", "new index", "removed index", "removed data")


def test_forget(box):
    judge(box, ("forget", "--keep-last", "1", "--group-by", ""), "removed snapshots")


def test_tag(box):
    judge(box, ("tag", "--set", "x"), "new snapshots", "removed snapshots")


def test_repair_index(box):
    judge(box, ("repair", "index", "--read-all-packs"), "new index", "removed index", prepare=drop_an_index)


def drop_an_index(case):
    directory = os.path.join(case.repo, "index")
    names = sorted(os.listdir(directory))
    with open(os.path.join(directory, names[0]), "rb") as f:
        content = f.read()
    os.remove(os.path.join(directory, names[0]))
    with open(os.path.join(directory, names[0]), "wb") as f:
        f.write(content[:-1])


def test_changing_the_passphrase(box):
    new = box.write("new", "battery staple\n")
    judge(box, ("key", "passwd", "--new-password-file", new), "new keys", "removed keys")


def test_init(box):
    def prepare(case):
        robust.clawtest.remove_tree(case.repo)
    judge(box, ("init",), "new keys", "new config", prepare=prepare)


if __name__ == "__main__":
    robust.use_memory()
    main()
