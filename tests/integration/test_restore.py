#!/usr/bin/env python3
"""Restoring: what is there already, what is in the way, what was planted there, and being stopped in the middle."""
import io
import os
import random
import shutil
import signal
import sys
import tarfile
import time
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import oddtree  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, fingerprint, main, needs_root, no_differences, once, wait_until  # noqa: E402
from interop import CLAWBACK, fresh_repository  # noqa: E402


@once
def odd(box):
    fresh_repository(box)
    box.source = oddtree.make(box.path("source"), wild=True, big=False)
    CLAWBACK.backup(box, box.source)
    box.tree = treecmp.read_tree(box.source)
    return box


def differences(path, expected, new=True):
    """A target that was there before is the caller's own directory: its metadata is not the snapshot's."""
    lines = treecmp.differences(path, expected, without=treecmp.is_socket)
    return [line for line in lines if new or not line.startswith("b'':")]


def same_as_odd(path, new=True):
    no_differences(differences(path, odd().tree, new), "the restored tree")


@once
def plain(box):
    """A small tree of plain files; every file holds its own name."""
    fresh_repository(box)
    box.source = box.mkdir("source")
    for name in ("a", "b", "sub/c", "sub/deep/d", "sub/deep/e.txt", "other/f.txt", "other/G.TXT"):
        path = box.write("source/" + name, name)
        os.utime(path, ns=(10**18, 10**18))
    CLAWBACK.backup(box, box.source)
    return box


def restore(box, scene, *args, target="out", below=True, rc=0):
    """Restores the source directory's content (or with below=False everything from / on) into the target."""
    spec = "latest:" + scene.source if below else "latest"
    return box.claw("restore", spec, "--target", box.path(target), *args, repo=scene.repo, rc=rc)


def content(path):
    with open(path) as f:
        return f.read()


def all_files(path):
    return sorted(os.path.relpath(os.path.join(d, f), path) for d, _, files in os.walk(path) for f in files)


# --- whole trees ---

def test_a_tree_into_a_new_directory(box):
    restore(box, odd(), "--verify")
    same_as_odd(box.path("out"))


def test_a_new_target_becomes_the_directory_and_one_that_was_there_stays_what_it_is(box):
    fresh_repository(box)
    source = box.mkdir("source")
    box.write("source/file", "content")
    os.chmod(source, 0o2751)
    os.utime(source, ns=(10**18, 10**18))
    CLAWBACK.backup(box, source)
    spec = "latest:" + source
    box.claw("restore", spec, "--target", box.path("new/one"))
    no_differences(treecmp.differences(box.path("new/one"), source), "a new target")
    equal(os.listxattr(box.path("new/one")), [], "attributes of a new target")
    equal(os.stat(box.path("new")).st_mode & 0o7777, 0o700, "mode of what is above it")
    mine = box.mkdir("mine")
    os.chmod(mine, 0o1777)
    box.claw("restore", spec, "--target", mine)
    equal(os.stat(mine).st_mode & 0o7777, 0o1777, "mode of a directory that was there")
    os.chmod(source, 0o700)
    box.claw("restore", spec, "--target", source)
    equal(os.stat(source).st_mode & 0o7777, 0o2751, "mode of the directory itself, restored in place")
    check(os.stat(source).st_mtime_ns == 10**18, "its time is not what it was")


def test_over_itself_nothing_is_written(box):
    restore(box, odd())
    before = {p: (os.lstat(p).st_ino, os.lstat(p).st_ctime_ns)
              for p in (os.path.join(d, f) for d, _, files in os.walk(box.path("out")) for f in files)}
    time.sleep(0.05)
    restore(box, odd())
    after = {p: (os.lstat(p).st_ino, os.lstat(p).st_ctime_ns) for p in before}
    equal([p for p in before if before[p] != after[p]][:5], [], "files that were touched though they were right")
    same_as_odd(box.path("out"))


def test_in_place_after_every_kind_of_harm(box):
    out = box.path("out")
    restore(box, odd())
    draw = random.Random(11)
    victims = sorted(os.path.join(d, n) for d, dirs, files in os.walk(os.fsencode(out)) for n in files + dirs)
    for path in draw.sample(victims, 150):
        if not os.path.lexists(path):
            continue
        kind = draw.randrange(7)
        if kind == 0:
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        elif os.path.islink(path):
            os.unlink(path)
            os.symlink("elsewhere", path)
        elif kind == 1:
            os.utime(path, ns=(5, 5))
        elif kind == 2:
            os.chmod(path, 0o711)
        elif kind == 3 and os.geteuid() == 0:
            os.chown(path, 77, 78)
        elif kind == 4 and os.path.isfile(path):
            os.truncate(path, os.path.getsize(path) // 2)
        elif kind == 5 and os.path.isfile(path):
            with open(path, "ab") as f:
                f.write(b"appended")
        elif os.path.isdir(path):
            shutil.rmtree(path)
            with open(path, "w") as f:
                f.write("a file where a directory was")
        else:
            os.unlink(path)
            os.makedirs(os.path.join(path, b"a directory", b"where a file was"))
    with open(os.path.join(out, "too much"), "w") as f:
        f.write("x")
    restore(box, odd(), "--delete")
    same_as_odd(out, new=False)


def test_into_the_root_of_a_snapshot(box):
    restore(box, odd(), below=False)
    no_differences(treecmp.differences(box.path("out") + odd().source, odd().tree, without=treecmp.is_socket), "the tree")


def test_a_restore_that_was_killed_goes_on(box):
    fresh_repository(box)
    source = box.mkdir("source")
    for i in range(300):
        box.write("source/%d/file" % i, os.urandom(100000))
    os.link(box.path("source/1/file"), box.path("source/299/link"))
    CLAWBACK.backup(box, source)
    out = box.path("out")
    for wanted in (30, 120, 200):
        child = box.start_claw("restore", "latest:" + source, "--target", out)
        wait_until(lambda: child.poll() is not None or len(all_files(out)) >= wanted, "files are restored")
        child.send_signal(signal.SIGKILL)
        child.wait()
    box.claw("unlock")
    box.claw("restore", "latest:" + source, "--target", out)
    no_differences(differences(out, source), "the tree after four restores")


def test_an_interrupted_restore_says_so(box):
    fresh_repository(box)
    box.write("source/big", os.urandom(60 << 20))
    CLAWBACK.backup(box, box.path("source"))
    child = box.start_claw("--cpus", "1", "restore", "latest", "--target", box.path("out"))
    wait_until(lambda: child.poll() is not None or os.path.exists(box.path("out")), "it begins")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    check(child.returncode in (0, 130), "exit status %d" % child.returncode, err.decode())
    if child.returncode == 130:
        check("interrupted" in err.decode(), "the message", err.decode())
    equal(os.listdir(os.path.join(box.repo, "locks")), [], "locks left behind")
    box.claw("restore", "latest", "--target", box.path("out"))
    no_differences(treecmp.differences(box.path("out") + box.path("source"), box.path("source")), "the tree")


# --- options ---

def test_delete_removes_what_the_snapshot_lacks(box):
    restore(box, plain())
    box.write("out/extra", "x")
    box.write("out/sub/extra dir/x", "x")
    restore(box, plain())
    check(os.path.exists(box.path("out/extra")), "it was deleted though nobody asked")
    said = restore(box, plain(), "--delete", "--dry-run")
    check(os.path.exists(box.path("out/extra")) and "extra" in said.out, "the dry run", said)
    restore(box, plain(), "--delete")
    no_differences(differences(box.path("out"), plain().source, new=False), "the tree")


def test_delete_leaves_alone_what_is_not_covered(box):
    """From / on: a snapshot of one directory says nothing about what lies beside it."""
    out = box.path("out")
    beside = box.write("out/precious", "x")
    parent = box.write(out + os.path.dirname(plain().source) + "/precious too", "x")
    inside = box.write(out + plain().source + "/extra", "x")
    restore(box, plain(), "--delete", below=False)
    equal([os.path.exists(p) for p in (beside, parent, inside)], [True, True, False], "what is left")


def test_delete_with_includes_touches_only_those(box):
    restore(box, plain())
    box.write("out/extra.txt", "x")
    box.write("out/extra", "x")
    restore(box, plain(), "--delete", "--include", "*.txt")
    equal((os.path.exists(box.path("out/extra.txt")), os.path.exists(box.path("out/extra"))), (False, True), "what is left")


def test_when_to_overwrite(box):
    cases = {"always": "source", "if-changed": "source", "if-newer": None, "never": "mine"}
    for when, expected in cases.items():
        target = "out " + when
        for name, ns in (("older", 10**18 - 10**12), ("newer", 10**18 + 10**12)):
            for path, value in (("a", "mine-%s" % name),):
                full = box.write("%s/%s/%s" % (target, name, path), value)
                os.utime(full, ns=(ns, ns))
            restore(box, plain(), "--overwrite", when, target=target + "/" + name)
            found = content(box.path(target, name, "a"))
            if when == "if-newer":
                equal(found, "a" if name == "older" else "mine-newer", "a file that is %s, %s" % (name, when))
            else:
                equal(found, "a" if expected == "source" else "mine-%s" % name, "a file that is %s, %s" % (name, when))
            equal(content(box.path(target, name, "b")), "b", "a file that was not there")


def test_if_changed_believes_size_and_time(box):
    restore(box, plain())
    for name in ("a", "b"):
        path = box.write("out/" + name, "X")
        os.utime(path, ns=(10**18, 10**18))
    restore(box, plain(), "--overwrite", "if-changed")
    equal(content(box.path("out/a")), "X", "a file of the same size and time")
    restore(box, plain())
    equal(content(box.path("out/a")), "a", "the same file, always")


def test_includes_and_excludes(box):
    cases = [(["--include", "*.txt"], ["other/f.txt", "sub/deep/e.txt"]),
             (["--iinclude", "*.txt"], ["other/G.TXT", "other/f.txt", "sub/deep/e.txt"]),
             (["--include", "/sub/deep"], ["sub/deep/d", "sub/deep/e.txt"]),
             (["--include", "deep", "--include", "/a"], ["a", "sub/deep/d", "sub/deep/e.txt"]),
             (["--exclude", "sub"], ["a", "b", "other/G.TXT", "other/f.txt"]),
             (["--exclude", "*.txt", "--exclude", "/b"], ["a", "other/G.TXT", "sub/c", "sub/deep/d"]),
             (["--iexclude", "*.TXT"], ["a", "b", "sub/c", "sub/deep/d"]),
             (["--include-file", box.write("list", "# comment\n*.txt\n\n/a\n")], ["a", "other/f.txt", "sub/deep/e.txt"])]
    for i, (flags, expected) in enumerate(cases):
        restore(box, plain(), *flags, target="out%d" % i)
        equal(all_files(box.path("out%d" % i)), expected, "files with %s" % flags)


def test_the_totals_of_a_part(box):
    args = ("restore", "latest", "--target", box.path("out"), "--json", "--include", "sub")
    summary = box.claw(*args, repo=plain().repo).summary()
    equal(summary["total_bytes"], len("sub/c" + "sub/deep/d" + "sub/deep/e.txt"), "total_bytes")
    equal(summary["total_files"], summary["files_restored"], "total_files")
    again = box.claw(*args, repo=plain().repo).summary()
    equal((again["total_files"], again["total_bytes"]), (summary["total_files"], summary["total_bytes"]), "totals the second time")
    dry = box.claw(*args, "--dry-run", repo=plain().repo).summary()
    equal(dry["total_bytes"], summary["total_bytes"], "totals of a dry run")


def test_the_totals_of_everything(box):
    fresh_repository(box)
    box.write("source/file", "file")
    for name in ("link", "other link"):
        os.symlink("file", box.path("source", name))
    CLAWBACK.backup(box, box.path("source"))
    args = ("restore", "latest", "--target", box.path("out"), "--json")
    for done in "files_restored", "files_skipped":
        summary = box.claw(*args).summary()
        equal((summary["total_files"], summary["total_bytes"]), (summary[done], 4), "totals")


def test_a_dry_run_changes_nothing(box):
    said = restore(box, plain(), "--dry-run")
    check(not os.path.exists(box.path("out")), "the target was made", said)
    check("deep/d" in said.out, "it does not say what it would do", said)
    restore(box, plain())
    box.write("out/a", "mine")
    before = fingerprint(box.path("out"))
    said = restore(box, plain(), "--dry-run")
    equal(fingerprint(box.path("out")), before, "the target after a dry run")


def test_json_lines(box):
    done = restore(box, plain(), "--json")
    summary = done.summary()
    check(summary["files_restored"] >= 7, "too few files", done)
    equal(summary["bytes_restored"], sum(len(f) for f in all_files(plain().source)), "bytes in the summary")
    equal(restore(box, plain(), "--json").summary()["bytes_skipped"], summary["bytes_restored"], "bytes skipped the second time")


def test_a_part_that_is_a_file(box):
    done = box.claw("restore", "latest", "--include", plain().source + "/sub/c", "--target", box.path("out"), repo=plain().repo)
    equal(all_files(box.path("out")), [plain().source[1:] + "/sub/c"], "files\n%s" % done)


# --- hostile surroundings ---

def test_planted_symlinks_are_not_followed(box):
    victim = box.mkdir("victim")
    box.write("victim/c", "precious")
    box.write("victim/deep/d", "precious")
    before = fingerprint(victim)
    for way in ("dir", "file", "dangling", "parent"):
        out = box.mkdir("out " + way)
        if way == "dir":
            os.symlink(victim, out + "/sub")
        elif way == "file":
            os.makedirs(out + "/sub/deep")
            os.symlink(victim + "/c", out + "/sub/c")
            os.symlink(victim + "/deep/d", out + "/sub/deep/d")
        elif way == "dangling":
            os.symlink(victim + "/made by restore", out + "/a")
        else:
            os.makedirs(out + "/sub")
            os.symlink(victim + "/deep", out + "/sub/deep")
        for flags in (["--dry-run"], [], ["--delete"]):
            restore(box, plain(), *flags, target="out " + way)
            equal(fingerprint(victim), before, "the other directory, %s %s" % (way, flags))
        no_differences(differences(out, plain().source, new=False), "the tree, %s" % way)


def test_symlinks_swapped_in_meanwhile_are_not_followed(box):
    fresh_repository(box)
    source = box.mkdir("source")
    for i in range(200):
        box.write("source/d%03d/file" % i, os.urandom(20000))
    CLAWBACK.backup(box, source)
    victim = box.mkdir("victim")
    out = box.mkdir("out")
    child = box.start_claw("restore", "latest:" + source, "--target", out)
    draw = random.Random(1)
    while child.poll() is None:
        path = os.path.join(out, "d%03d" % draw.randrange(200))
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rename(path, path + ".away%d" % draw.randrange(10**9))
            os.symlink(victim, path)
        except OSError:
            pass
    child.communicate()
    equal(all_files(victim), [], "files that were written through a symlink")


def test_a_target_that_is_itself_a_symlink_is_meant(box):
    os.symlink(box.mkdir("real"), box.path("out"))
    restore(box, plain())
    no_differences(differences(box.path("real"), plain().source, new=False), "the tree")


@needs_root
def test_a_read_only_target_is_an_error(box):
    mount = box.mount_tmpfs("out", "4m")
    box.run(["mount", "-o", "remount,ro", mount])
    done = restore(box, plain(), rc=1)
    check("ead-only" in done.err, "the message does not say why", done)


# --- dump ---

def test_a_directory_as_tar(box):
    found = tarfile.open(fileobj=io.BytesIO(box.claw("dump", "latest", odd().source, repo=odd().repo).out_bytes))
    found.extraction_filter = tarfile.fully_trusted_filter if hasattr(tarfile, "fully_trusted_filter") else None
    names = {os.fsencode(m.name).strip(b"/"): m for m in found.getmembers()}
    below = os.fsencode(odd().source).strip(b"/")
    missing = [p for p, e in odd().tree.items() if p and e["type"] != "socket" and os.path.join(below, p) not in names and
               p not in names]
    equal(missing[:5], [], "entries that are not in the archive (of %d)" % len(names))
    for path, entry in odd().tree.items():
        member = names.get(os.path.join(below, path)) or names.get(path)
        if member is None or not path:
            continue
        equal(oct(member.mode), entry["mode"], "mode of %r" % path)
        equal((member.uid, member.gid), (entry["uid"], entry["gid"]), "owner of %r" % path)
        if entry["type"] == "file" and not member.islnk():
            equal(member.size, entry["size"], "size of %r" % path)
        if entry["type"] == "symlink" and not member.islnk():
            equal(os.fsencode(member.linkname), entry["target"], "target of %r" % path)


@needs_root
def test_a_tar_file_brings_the_tree_back(box):
    if shutil.which("tar") is None:
        return
    box.claw("dump", "--target", box.path("x.tar"), "latest", odd().source, repo=odd().repo)
    out = box.mkdir("out")
    box.run(["tar", "-x", "-p", "-f", box.path("x.tar"), "--acls", "--xattrs", "--xattrs-include=*", "-C", out])
    where = out + odd().source if os.path.exists(out + odd().source) else out
    no_differences(differences(where, odd().tree), "what tar makes of it")


def test_a_directory_as_zip(box):
    data = box.claw("dump", "--archive", "zip", "latest", plain().source, repo=plain().repo).out_bytes
    archive = zipfile.ZipFile(io.BytesIO(data))
    equal(archive.testzip(), None, "damaged members")
    equal(sorted(os.path.basename(n) for n in archive.namelist() if not n.endswith("/")),
          sorted(os.path.basename(f) for f in all_files(plain().source)), "files")


def test_special_files_cannot_be_dumped(box):
    done = box.claw("dump", "latest", odd().source + "/special/fifo", repo=odd().repo, rc=1)
    equal(done.out, "", "output\n%s" % done)


if __name__ == "__main__":
    main()
