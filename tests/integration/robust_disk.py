#!/usr/bin/env python3
# timeout: 900
"""A disk that has less and less space left, down to not a single byte, under a repository."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
import robust  # noqa: E402
import weakkey  # noqa: E402
from clawtest import PASSPHRASE, check, equal, main, needs, needs_root  # noqa: E402
from robust import KIB, Case, plain_failure  # noqa: E402

MIB = 1 << 20


class Disk:
    """A small disk with a repository of three snapshots: of the first two nothing is needed by the third."""

    def __init__(self, box, size="32m", files=3):
        self.box = box
        self.mount = box.mount_tmpfs("disk", size)
        self.repo = box.repo = os.path.join(self.mount, "repo")
        self.env = {"CLAWBACK_CACHE_DIR": box.mkdir("cache")}
        self.source = box.mkdir("source")
        box.claw("init")
        weakkey.make_cheap(self.repo, PASSPHRASE)
        self.snapshots = []
        for _ in range(files):
            self.change(700 * KIB)
            self.snapshots.append(self.saved(self.claw("backup", "--json", self.source)))

    def claw(self, *args, **options):
        return self.box.claw(*args, env=self.env, **options)

    def change(self, size):
        self.content = os.urandom(size)
        self.box.write("source/file", self.content)

    def saved(self, done):
        return done.summary()["snapshot_id"]

    def fill(self, leave=0):
        """Takes all but `leave` bytes."""
        self.empty()
        with open(os.path.join(self.mount, "filler"), "wb", buffering=0) as f:
            piece = bytes(MIB)
            try:
                while piece:
                    if f.write(piece) < len(piece):
                        piece = piece[:len(piece) // 2]
            except OSError:
                pass
            if leave:
                f.truncate(f.tell() - leave)

    def empty(self):
        try:
            os.unlink(os.path.join(self.mount, "filler"))
        except FileNotFoundError:
            pass

    def free(self):
        st = os.statvfs(self.mount)
        return st.f_bavail * st.f_frsize

    def half_written(self):
        return [f for f in clawtest.files_below(self.repo) if "tmp-" in os.path.basename(f)]

    def restores(self, snapshot, content):
        self.claw("restore", snapshot, "--target", self.box.path("out"))
        with open(self.box.path("out") + os.path.join(self.source, "file"), "rb") as f:
            check(f.read() == content, "snapshot %s restores to something else" % snapshot[:8])
        clawtest.remove_tree(self.box.path("out"))


def works_again(disk):
    disk.change(300 * KIB)
    snapshot = disk.saved(disk.claw("backup", "--json", disk.source))
    disk.restores(snapshot, disk.content)
    disk.claw("check", "--read-data")


@needs_root
def test_not_a_byte_left_and_still_a_way_out(box):
    disk = Disk(box)
    disk.fill()
    equal(disk.free(), 0, "free bytes")
    disk.change(2 * MIB)
    plain_failure(disk.claw("backup", disk.source, rc=1))
    disk.fill()
    done = disk.claw("forget", "--keep-last", "1")
    check(disk.snapshots[-1] in os.listdir(os.path.join(disk.repo, "snapshots")), "the last snapshot is gone", done)
    disk.claw("prune")
    check(disk.free() > 1200 * KIB, "only %d bytes are free after prune" % disk.free())
    works_again(disk)


@needs_root
def test_restore_and_check_from_a_full_disk(box):
    disk = Disk(box)
    disk.fill()
    disk.claw("check", "--read-data", "--no-lock")
    disk.restores(disk.snapshots[-1], disk.content)
    disk.claw("check", "--read-data")
    disk.claw("snapshots")


@needs_root
def test_backups_leave_forget_its_way_out(box):
    """Small ones that still fit, until nothing does any more."""
    disk = Disk(box)
    disk.fill(leave=250 * KIB)
    for _ in range(60):
        disk.change(20 * KIB)
        done = disk.claw("backup", disk.source, rc=(0, 1))
        if done.rc != 0:
            plain_failure(done)
            break
    check(done.rc != 0, "backups go on for ever")
    for _ in range(3):  # it runs every two hours
        plain_failure(disk.claw("backup", disk.source, rc=1))
        disk.fill()
    disk.claw("forget", "--keep-last", "1")
    disk.claw("prune")
    works_again(disk)


@needs_root
def test_a_backup_with_any_space_left(box):
    disk = Disk(box)
    last = disk.content
    disk.change(1500 * KIB)
    statuses = set()
    for leave in range(0, 1900 * KIB, 60 * KIB):
        disk.fill(leave)
        done = disk.claw("backup", "--json", disk.source, rc=None)
        statuses.add(done.rc)
        if done.rc != 0:
            plain_failure(done)
            check("No space left" in done.err or "full" in done.err, "the message", done)
            equal(disk.half_written(), [], "half-written files")
        for snapshot in robust.saved_snapshots(done):
            disk.restores(snapshot, disk.content)
            disk.claw("forget", snapshot)
        disk.restores(disk.snapshots[-1], last)
        disk.empty()
        disk.claw("check", "--read-data")
        disk.claw("prune", "--max-unused", "0")
    equal(statuses, {0, 1}, "exit statuses")


@needs_root
def test_a_prune_that_repacks_with_any_space_left(box):
    disk = Disk(box, files=1)
    for i in range(6):
        box.write("source/part%d" % i, os.urandom(150 * KIB))
    disk.snapshots.append(disk.saved(disk.claw("backup", "--json", disk.source)))
    for i in range(0, 6, 2):
        os.unlink(box.path("source", "part%d" % i))
    keep = disk.saved(disk.claw("backup", "--json", disk.source))
    for snapshot in disk.snapshots:
        disk.claw("forget", snapshot)
    box.run(["cp", "-a", disk.repo, box.path("template")])
    for leave in list(range(0, 64 * KIB, 8 * KIB)) + list(range(64 * KIB, 2 * MIB, 200 * KIB)):
        disk.empty()
        clawtest.remove_tree(disk.repo)
        box.run(["cp", "-a", box.path("template"), disk.repo])
        disk.fill(leave)
        done = disk.claw("prune", "--max-unused", "0", rc=None)
        if done.rc != 0:
            plain_failure(done)
        equal(disk.half_written(), [], "half-written files with %d bytes free" % leave)
        disk.empty()
        disk.claw("check", "--read-data")
        disk.restores(keep, disk.content)


@needs_root
def test_no_more_files_may_be_made(box):
    """There are bytes, but no inodes."""
    disk = Disk(box, size="32m,nr_inodes=400")
    disk.change(2 * MIB)
    made = 0
    try:
        while True:
            open(os.path.join(disk.mount, "inode%d" % made), "wb").close()
            made += 1
    except OSError:
        pass
    plain_failure(disk.claw("backup", disk.source, rc=1))
    disk.claw("forget", "--keep-last", "1")
    disk.claw("prune")
    for i in range(made):
        os.unlink(os.path.join(disk.mount, "inode%d" % i))
    works_again(disk)


@needs_root
@needs("sqlite3")
def test_nowhere_else_a_byte_left(box):
    """The home with its cache, the directory for temporary files, and the working directory are on a full disk."""
    full = box.mount_tmpfs("full", "1m")
    with open(os.path.join(full, "filler"), "wb", buffering=0) as f:
        try:
            while f.write(bytes(KIB)):
                pass
        except OSError:
            pass
    s = robust.Scene(box)
    box.env.update(HOME=full, TMPDIR=full, CLAWBACK_CACHE_DIR=os.path.join(full, "cache"))
    robust.make_tree(s.source, 9, [400 * KIB, 30, 5000])
    box.run(["sqlite3", os.path.join(s.source, "db"), "pragma journal_mode=wal; create table t(x); "
             "insert into t select randomblob(1000) from generate_series(1, 500);"], env={"TMPDIR": box.dir})
    snapshot = s.backup()
    s.seal()
    with Case(s, box) as case:
        case.env.update(HOME=full, TMPDIR=full, CLAWBACK_CACHE_DIR=os.path.join(full, "cache"))
        case.claw("backup", s.source, cwd=full)
        case.claw("prune", "--max-unused", "0", cwd=full)
        case.restores(snapshot, s.snapshots[snapshot])
        case.claw("check", "--read-data", cwd=full)


if __name__ == "__main__":
    robust.use_memory()
    main()
