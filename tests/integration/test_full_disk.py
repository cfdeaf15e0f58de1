#!/usr/bin/env python3
"""A disk that is full in the middle of everything: a clear error, nothing lost, and a way out."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, files_below, main, needs_root, no_differences, one_line  # noqa: E402
from interop import CLAWBACK, fresh_repository  # noqa: E402

MIB = 1 << 20


def small_disk(box, size):
    """A repository on a small disk, with a cache elsewhere."""
    fresh_repository(box)
    disk = box.mount_tmpfs("disk", size)
    repo = os.path.join(disk, "repo")
    box.run(["cp", "-a", box.repo, repo])
    box.repo = repo
    return disk


def fill(disk, leave):
    """Takes all of the disk but `leave` bytes; the file that does, which grows."""
    path = os.path.join(disk, "filler")
    st = os.statvfs(disk)
    with open(path, "ab") as f:
        f.write(bytes(max(0, st.f_bavail * st.f_frsize - leave)))
    return path


@needs_root
def test_a_backup_that_does_not_fit(box):
    small_disk(box, "24m")
    box.write("source/first", os.urandom(4 * MIB))
    first = CLAWBACK.backup(box, box.path("source"))["snapshot_id"]
    for i in range(12):
        box.write("source/big %d" % i, os.urandom(3 * MIB))
    done = box.claw("backup", box.path("source"), rc=1)
    check("o space left" in done.err and len(done.err.strip().splitlines()) <= 2, "the message", done)
    equal(interop.snapshot_names(box), [first], "snapshots")
    equal([f for f in files_below(box.repo) if len(os.path.basename(f)) != 64 and os.path.basename(f) not in
           ("config", "reserve")], [], "half-written files")
    box.claw("check", "--read-data")
    box.claw("restore", first, "--target", box.path("out"))
    equal(os.path.getsize(box.path("out") + box.path("source/first")), 4 * MIB, "size of the restored file")
    # The way out: prune removes what the failed backup left, and a smaller one fits.
    box.claw("prune")
    for i in range(3, 12):
        os.unlink(box.path("source/big %d" % i))
    CLAWBACK.backup(box, box.path("source"))
    box.claw("check", "--read-data")


@needs_root
def test_forget_and_prune_on_a_full_disk(box):
    disk = small_disk(box, "32m")
    source = box.mkdir("source")
    for i in range(5):
        for j in range(4):
            if i == 0 or j == i % 4:
                box.write("source/%d" % j, os.urandom(MIB))
        CLAWBACK.backup(box, source)
    for leave in (0, 20000):
        filler = fill(disk, leave)
        used = sum(map(os.path.getsize, files_below(box.repo)))
        names = interop.snapshot_names(box)
        documents = sorted(box.claw("snapshots", "--json", "--no-lock").json(), key=lambda d: d["time"])
        equal(len(names), len(documents), "snapshots")
        done = box.claw("forget", documents[0]["id"], rc=(0, 1))
        if leave == 0 and done.rc == 1:
            check("o space" in done.err, "the message", done)
        done = box.claw("prune", "--max-unused", "0", rc=(0, 1))
        check(done.rc == 0 or "o space" in done.err, "the message", done)
        os.unlink(filler)
        box.claw("check", "--read-data")
        check(sum(map(os.path.getsize, files_below(box.repo))) <= used + 20000, "the repository grew")
    box.claw("prune", "--max-unused", "0")
    box.claw("check", "--read-data")
    box.claw("restore", "latest", "--target", box.path("out"))
    no_differences(treecmp.differences(box.path("out") + source, source), "the restored tree")


@needs_root
def test_forget_and_prune_need_no_free_space(box):
    """Not a byte is left: still snapshots can be forgotten and their data removed."""
    disk = small_disk(box, "24m")
    for i in range(3):
        box.write("source/file", os.urandom(4 * MIB))
        CLAWBACK.backup(box, box.path("source"))
    oldest = min(box.claw("snapshots", "--json").json(), key=lambda d: d["time"])["id"]
    filler = fill(disk, 0)
    before = sum(map(os.path.getsize, files_below(os.path.join(box.repo, "data"))))
    box.claw("forget", oldest)
    box.claw("prune")
    after = sum(map(os.path.getsize, files_below(os.path.join(box.repo, "data"))))
    check(after < before - 3 * MIB, "%d bytes before, %d now" % (before, after))
    os.unlink(filler)
    box.claw("check", "--read-data")


@needs_root
def test_who_takes_the_reserve_for_its_lock_puts_it_back(box):
    disk = small_disk(box, "16m")
    box.write("source/file", os.urandom(MIB))
    CLAWBACK.backup(box, box.path("source"))
    reserve = os.path.join(box.repo, "reserve")
    equal(os.path.getsize(reserve), MIB, "size of the reserve")
    for command in (("check",), ("restore", "latest", "--target", box.path("out")), ("snapshots",)):
        filler = fill(disk, 0)
        box.claw(*command)
        check(os.path.exists(reserve) and os.stat(reserve).st_blocks * 512 >= MIB, "after '%s' the reserve is gone" % command[0])
        os.unlink(filler)


def hint(done):
    lines = [line for line in done.err.splitlines() if line.startswith("hint: ")]
    equal(len(lines), 1, "number of hints\n%s\n" % done)
    return lines[0]


@needs_root
def test_the_advice_fits_whose_disk_is_full(box):
    disk = small_disk(box, "16m")
    for i in range(2):
        box.write("source/file", os.urandom(3 * MIB))
        CLAWBACK.backup(box, box.path("source"))
    target = box.mount_tmpfs("target", "1m")
    done = box.claw("restore", "latest", "--target", os.path.join(target, "out"), rc=1)
    check("prune" not in hint(done) and "--include" in hint(done), "the advice for a full target", done)
    dumped = os.path.join(target, "dumped")
    done = box.claw("dump", "latest", box.path("source/file"), "--target", dumped, rc=1)
    check("prune" not in hint(done) and dumped in done.err, "the advice for a dump that does not fit", done)
    equal(os.listdir(target), [], "what the dump leaves behind")
    fill(disk, 0)
    box.write("source/file", os.urandom(MIB))
    done = box.claw("backup", box.path("source"), rc=1)
    check("'clawback forget' and 'clawback prune'" in hint(done), "the advice for a full repository", done)
    os.unlink(os.path.join(box.repo, "reserve"))
    fill(disk, 0)
    for command in ("forget", "latest"), ("prune",):
        done = box.claw(*command, rc=1)
        check("prune'" not in hint(done), "the advice where not even that works", done)
    box.repo = os.path.join(target, "new")
    fill(target, 0)
    done = box.claw("init", rc=1)
    check("prune" not in hint(done) and "--repo" in hint(done), "the advice for a new repository", done)


@needs_root
def test_a_restore_that_does_not_fit(box):
    fresh_repository(box)
    for i in range(10):
        box.write("source/%d" % i, os.urandom(2 * MIB))
    CLAWBACK.backup(box, box.path("source"))
    disk = box.mount_tmpfs("disk", "8m")
    precious = box.write(os.path.join(disk, "precious"), "x" * 1000)
    done = box.claw("-q", "restore", "latest", "--target", os.path.join(disk, "out"), rc=None)
    one_line(done, 1, "free", "nothing was changed")
    equal(os.listdir(disk), ["precious"], "what is on the disk")
    with open(precious) as f:
        equal(f.read(), "x" * 1000, "another file")
    box.claw("restore", "latest", "--target", os.path.join(disk, "out"), "--include", "3")
    equal(os.path.getsize(os.path.join(disk, "out") + box.path("source/3")), 2 * MIB, "what fits is restored")


@needs_root
def test_a_cache_that_is_full_is_no_error(box):
    fresh_repository(box)
    disk = box.mount_tmpfs("disk", "1m")
    fill(disk, 0)
    for i in range(2):
        box.write("source/%d" % i, os.urandom(300000))
        box.claw("--cache-dir", os.path.join(disk, "cache"), "backup", box.path("source"))
    box.claw("check", "--read-data")


@needs_root
def test_init_on_a_full_disk(box):
    disk = box.mount_tmpfs("disk", "1m")
    filler = fill(disk, 0)
    box.repo = os.path.join(disk, "repo")
    one_line(box.claw("init", rc=None), 1, "space")
    check(not os.path.exists(os.path.join(box.repo, "config")), "it looks like a repository")
    os.unlink(filler)
    box.claw("init")
    box.claw("snapshots")


if __name__ == "__main__":
    main()
