#!/usr/bin/env python3
"""What goes into a snapshot, whatever the source looks like and does meanwhile; and that the source is left as it was."""
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import oddtree  # noqa: E402
import treecmp  # noqa: E402
from clawtest import (check, clawback_binary, equal, fingerprint, main, needs, needs_root, no_differences,  # noqa: E402
                      once, wait_until)
from interop import CLAWBACK, fresh_repository  # noqa: E402


@once
def wild(box):
    fresh_repository(box)
    box.source = oddtree.make(box.path("source"), wild=True)
    paths = every_path(box.source)
    provoke(paths)
    box.before = watched(paths)
    box.summary = CLAWBACK.backup(box, box.source)
    box.after = watched(paths)
    box.paths = every_path(box.source)
    equal(sorted(box.paths), sorted(paths), "entries")
    return box


def every_path(root):
    root = os.fsencode(root)
    return [root] + [os.path.join(d, n) for d, dirs, files in os.walk(root) for n in dirs + files]


def provoke(paths):
    """Access times older than the modification: the next reader changes them, unless it takes care."""
    for path in paths:
        st = os.lstat(path)
        os.utime(path, ns=(st.st_mtime_ns - 10**9, st.st_mtime_ns), follow_symlinks=False)


def watched(paths):
    """What a reader could change by accident. Nothing spares a symlink's access time."""
    seen = {}
    for path in paths:
        st = os.lstat(path)
        atime = None if stat.S_ISLNK(st.st_mode) else st.st_atime_ns
        seen[path] = (st.st_mode, st.st_ino, st.st_nlink, st.st_size, atime, st.st_mtime_ns, st.st_ctime_ns)
    return seen


def restore(box, snapshot="latest", *args, repo=None):
    box.claw("restore", snapshot, "--target", box.path("out"), *args, repo=repo)
    return box.path("out")


def contents(path):
    with open(path, "rb") as f:
        return f.read()


# --- everything odd ---

def test_an_odd_tree_comes_back_as_it_was(box):
    w = wild()
    out = restore(box, repo=w.repo)
    no_differences(treecmp.differences(out + w.source, w.source, without=treecmp.is_socket), "the restored tree")
    box.claw("check", "--read-data", repo=w.repo)


def test_the_source_is_left_as_it_was(box):
    changed = [(p, wild().before[p], wild().after[p]) for p in wild().before if wild().after[p] != wild().before[p]]
    equal(changed[:5], [], "entries that changed, access times included")


def test_an_unchanged_tree_is_not_read_again(box):
    w = wild()
    summary = CLAWBACK.backup(box, w.source, repo=w.repo)
    equal((summary["files_new"], summary["files_changed"], summary["dirs_new"], summary["data_blobs"]), (0, 0, 0, 0),
          "what is new")
    equal(summary["total_files_processed"], w.summary["total_files_processed"], "files")


def test_what_changed_is_stored_and_only_that(box):
    fresh_repository(box)
    source = box.mkdir("source")
    for i in range(50):
        box.write("source/%d" % i, os.urandom(1000))
    first = CLAWBACK.backup(box, source)
    equal((first["files_new"], first["data_blobs"]), (50, 50), "files and blobs of the first")
    # Size and modification time as before: the change time alone gives it away.
    st = os.stat(box.path("source/7"))
    with open(box.path("source/7"), "r+b") as f:
        f.write(b"!")
    os.utime(box.path("source/7"), ns=(st.st_atime_ns, st.st_mtime_ns))
    box.write("source/new", b"x")
    os.rename(box.path("source/8"), box.path("source/moved"))
    second = CLAWBACK.backup(box, source)
    equal((second["files_new"], second["files_changed"], second["files_unmodified"], second["data_blobs"]), (2, 1, 48, 2),
          "files new, changed, unmodified; blobs of the second")
    out = restore(box)
    no_differences(treecmp.differences(out + source, source), "the restored tree")


# --- what cannot be read ---

@needs("setpriv")
@needs_root
def test_unreadable_files_are_named(box):
    fresh_repository(box)
    source = box.mkdir("source")
    box.write("source/fine", "fine")
    box.write("source/closed", "closed", mode=0)
    os.chmod(box.path("source/closed"), 0)
    os.chmod(os.path.dirname(box.write("source/closed dir/inside", "x")), 0)
    # Root, but bound by permissions as everybody is.
    powerless = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search"]
    done = box.run(powerless + [clawback_binary(), "-r", box.repo, "backup", source], rc=3)
    for name in ("closed", "closed dir"):
        check(os.path.join(source, name) in done.err, "'%s' is not named" % name, done)
    check("ermission denied" in done.err, "the reason is not given", done)
    check("saved" in done.out, "no snapshot is reported", done)
    done = box.run(powerless + [clawback_binary(), "-r", box.repo, "backup", "--json", source], rc=3)
    lines = [line for line in done.err.split("\n") if line.startswith("{")]
    check(any('"error"' in line and "closed" in line for line in lines), "no error line in JSON", done)
    equal(done.summary()["error_count"], 2, "error_count")
    found = interop.nodes(box, "latest")
    check(source + "/fine" in found and source + "/closed" not in found, "what is in the snapshot", sorted(found))


def test_files_that_vanish_meanwhile(box):
    fresh_repository(box)
    source = box.mkdir("source")
    for i in range(400):
        box.write("source/%03d/file" % i, os.urandom(20000))
    child = box.start_claw("--limit-read", "4M", "backup", source)
    time.sleep(0.4)
    for i in range(200, 400):
        shutil.rmtree(box.path("source/%03d" % i))
    out, err = child.communicate(timeout=120)
    check(child.returncode in (0, 3), "exit status %d" % child.returncode, out.decode(), err.decode())
    box.claw("check", "--read-data")
    found = interop.nodes(box, "latest")
    check(source + "/100/file" in found, "what stayed is not in the snapshot")


def test_a_file_that_keeps_changing_is_stored_and_named(box):
    fresh_repository(box)
    path = box.write("source/log", os.urandom(2 << 20))
    box.write("source/other", b"quiet")
    stop = threading.Event()

    def scribble():
        with open(path, "r+b") as f:
            while not stop.is_set():
                f.seek(0)
                f.write(os.urandom(100))
                f.flush()
                time.sleep(0.002)
    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        done = box.claw("--limit-read", "4M", "backup", box.path("source"))
    finally:
        stop.set()
        writer.join()
    check(path in done.err and "chang" in done.err, "the file is not named", done)
    node = interop.nodes(box, "latest")[path]
    out = restore(box)
    equal(os.path.getsize(out + path), node["size"], "size of the restored file")
    check(node["size"] >= 2 << 20, "too little of it was stored")


def test_a_file_that_grows_slowly_is_taken_whole(box):
    """Changed once while it is read: read again, and then it is right, without a word."""
    fresh_repository(box)
    path = box.write("source/file", os.urandom(3 << 20))
    child = box.start_claw("--limit-read", "3M", "backup", box.path("source"))
    time.sleep(0.5)
    box.write(path, os.urandom(1 << 20))
    out, err = child.communicate(timeout=120)
    equal(child.returncode, 0, "exit status\n%s" % err.decode())
    equal(contents(restore(box) + path), contents(path), "the file")


# --- streams ---

def test_standard_input(box):
    fresh_repository(box)
    data = os.urandom(3 << 20)
    box.claw("backup", "--stdin", "--stdin-filename", "dumps/all.sql", input=data)
    equal(box.claw("dump", "latest", "/dumps/all.sql").out_bytes, data, "content")
    box.claw("backup", "--stdin", input=b"")
    equal(box.claw("dump", "latest", "/stdin").out_bytes, b"", "content")


def test_output_of_a_command(box):
    fresh_repository(box)
    box.claw("backup", "--stdin-from-command", "--stdin-filename", "out.txt", "--", "sh", "-c", "seq 1 200000; echo ü")
    expected = "".join("%d\n" % i for i in range(1, 200001)) + "ü\n"
    equal(box.claw("dump", "latest", "/out.txt").out, expected, "content")


def test_a_failing_command_is_never_a_snapshot(box):
    fresh_repository(box)
    for command, word in ((["sh", "-c", "seq 1 100000; exit 7"], "7"), (["sh", "-c", "echo half; kill -9 $$"], "9"),
                          (["false"], "false"), ([box.path("no such program")], "no such program"),
                          (["sh", "-c", "echo something is wrong >&2; exit 1"], "something is wrong")):
        done = box.claw("backup", "--stdin-from-command", "--", *command, rc=1)
        check(word in done.err, "the message does not say '%s'" % word, done)
        equal(interop.snapshot_names(box), [], "snapshots after %s" % command)
    box.claw("check", "--read-data")


def test_a_directory_of_very_many_files(box):
    """Its tree is encoded while it is walked: with and without a parent snapshot it must be the same."""
    fresh_repository(box)
    for i in range(13000):
        box.write("many/f%05d" % i, "" if i % 3 else "content %d" % (i % 600))
    os.mkdir(box.path("many/f05000.d"))
    box.write("many/f05000.d/inside", "x")

    def trees():
        found = []
        for options in ((), (), ("--force",)):
            done = box.claw("backup", box.path("many"), "--json", *options)
            found.append(interop.tree_at(box, done.summary()["snapshot_id"], box.path("many")))
        return found
    first = trees()
    equal(len(set(first)), 1, "the trees of the first backups")
    os.unlink(box.path("many/f00007"))
    box.write("many/f04096", "other")
    os.utime(box.path("many/f08000"))
    box.write("many/f05000.d/more", "y")
    box.write("many/f09999.new", "z")
    second = trees()
    equal(len(set(second)), 1, "the trees of the second backups")
    os.utime(box.path("many/f12999"))
    third = trees()
    equal((len(set(third)), len({first[0], second[0], third[0]})), (1, 3), "the trees of the third backups")
    box.claw("check", "--read-data")
    box.claw("restore", "latest", "--target", box.path("out"))
    no_differences(treecmp.differences(treecmp.read_tree(box.path("out") + box.path("many")),
                                       treecmp.read_tree(box.path("many"))), "restored")


def test_what_is_missing_is_no_path_of_the_snapshot(box):
    """Restic leaves it out, too: the next backup, with it or without, must find its parent and its group."""
    fresh_repository(box)
    box.write("there/x", "x")
    box.claw("backup", box.path("there"))
    partly = box.claw("backup", box.path("there"), box.path("missing"), rc=3)
    check(partly.err.count("missing'") == 1, "it is not named once", partly)
    alone = box.claw("backup", box.path("missing"), rc=1)
    check(len(alone.err.splitlines()) == 1 and "missing'" in alone.err, "not one line", alone)
    snapshots = box.claw("snapshots", "--json").json()
    equal([s["paths"] for s in snapshots], [[box.path("there")]] * 2, "paths")
    equal(snapshots[1]["parent"], snapshots[0]["id"], "parent")


def test_elsewhere_than_on_a_terminal_there_are_lines_now_and_then(box):
    fresh_repository(box)
    fps = {"CLAWBACK_PROGRESS_FPS": "10"}
    done = box.claw("backup", "--stdin-from-command", "--", "sh", "-c", "sleep 1.5", env=fps)
    lines = [line for line in done.err.splitlines() if line.startswith("[0:0")]
    check(len(lines) > 3 and "\r" not in done.err, "lines", done)
    quiet = box.claw("--quiet", "backup", "--stdin-from-command", "--", "sh", "-c", "sleep 1", env=fps)
    equal(quiet.err, "", "with --quiet")


def test_there_is_no_snapshot_without_the_lock_that_kept_its_data(box):
    fresh_repository(box)
    child = box.start_claw("backup", "--stdin", stdin=subprocess.PIPE)
    locks = os.path.join(box.repo, "locks")
    wait_until(lambda: os.listdir(locks), "it takes a lock")
    box.claw("unlock", "--remove-all")
    _, err = child.communicate(b"too late", timeout=30)
    equal(child.returncode, 11, "exit status\n%s" % err.decode())
    check(b"removed the lock" in err, "the message", err.decode())
    equal((os.listdir(locks), interop.snapshot_names(box)), ([], []), "locks and snapshots")
    box.claw("check", "--read-data")


def test_no_index_names_packs_that_went_with_the_lock(box):
    """Else the next backup would take for stored what a prune removed meanwhile."""
    fresh_repository(box)
    content = os.urandom(10 << 20)
    child = box.start_claw("backup", "--stdin", "--pack-size", "4", stdin=subprocess.PIPE)
    child.stdin.write(content)
    child.stdin.flush()
    data = os.path.join(box.repo, "data")
    wait_until(lambda: any(len(name) == 64 for _, _, files in os.walk(data) for name in files), "it stores a pack")
    box.claw("unlock", "--remove-all")
    box.claw("prune")
    _, err = child.communicate(timeout=60)
    # The prune may have taken a pack that was being written, too: that is noticed first then.
    check(child.returncode in (1, 11), "exit status %d" % child.returncode, err.decode())
    equal(os.listdir(os.path.join(box.repo, "index")), [], "index files")
    box.claw("backup", "--stdin", input=content)
    box.claw("check", "--read-data")


def test_an_interrupted_command_is_never_a_snapshot(box):
    fresh_repository(box)
    child = box.start_claw("backup", "--stdin-from-command", "--", "sh", "-c", "echo begun; sleep 60")
    time.sleep(0.8)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    equal((child.returncode, interop.snapshot_names(box)), (130, []), "exit status and snapshots\n%s" % err.decode())


# --- options ---

def test_a_dry_run_changes_nothing_and_tells_the_truth(box):
    fresh_repository(box)
    source = box.mkdir("source")
    for i in range(30):
        box.write("source/%d" % i, os.urandom(50000))
    before = fingerprint(box.repo, without=())
    said = box.claw("backup", "--dry-run", "--json", source).summary()
    equal(fingerprint(box.repo, without=()), before, "the repository after a dry run")
    check("snapshot_id" not in said and said["dry_run"], "it speaks of a snapshot", said)
    done = box.claw("backup", "--json", source).summary()
    for name in ("files_new", "dirs_new", "data_blobs", "data_added", "total_bytes_processed"):
        if name != "data_added":
            equal(said[name], done[name], name)
    check(abs(said["data_added"] - done["data_added"]) < 2000, "data_added differs", said, done)


def test_no_snapshot_when_nothing_changed(box):
    fresh_repository(box)
    # Above the box others change directories; a source given by a mount or / would not matter. Here we look at data alone.
    path = box.write("source/file", "x")
    CLAWBACK.backup(box, path)
    done = box.claw("backup", "--json", "--skip-if-unchanged", path).summary()
    changed_above = done["dirs_changed"] > 0
    equal("snapshot_id" in done, changed_above, "is there a new snapshot?")
    box.write("source/file", "y")
    check("snapshot_id" in box.claw("backup", "--json", "--skip-if-unchanged", path).summary(), "a change makes no snapshot")


def test_paths_are_what_they_mean(box):
    fresh_repository(box)
    source = box.mkdir("source")
    box.write("source/a/file", "x")
    os.symlink("a", box.path("source/link"))
    for args, names in ((["source/a"], [source + "/a"]), (["./source//a/../a/"], [source + "/a"]),
                        ([source, source + "/a", source + "/"], [source, source + "/a"]),
                        ([source + "/link"], [source + "/link"])):
        box.claw("backup", *args)
        snapshot = box.claw("snapshots", "--json", "--latest", "1").json()
        newest = max(snapshot, key=lambda s: s["time"])
        equal(newest["paths"], sorted(names), "paths of %s" % args)
    found = interop.nodes(box, "latest")
    equal(found[source + "/link"]["type"], "symlink", "a symlink that is given")


def test_tags_host_and_time(box):
    fresh_repository(box)
    path = box.write("file", "x")
    box.claw("backup", "--tag", "a,b", "--tag", "c", "--host", "crab", "--time", "2001-02-03 04:05:06", path,
             env={"TZ": "America/St_Johns"})
    snapshot = box.claw("snapshots", "--json").json()[0]
    equal((snapshot["tags"], snapshot["hostname"], snapshot["time"], snapshot["paths"]),
          (["a", "b", "c"], "crab", "2001-02-03T04:05:06-03:30", [path]), "the snapshot")


def test_nothing_is_written_outside_of_the_repository_and_the_cache(box):
    fresh_repository(box)
    source = box.mkdir("source")
    box.write("source/file", "x")
    before = set(os.listdir(box.dir))
    CLAWBACK.backup(box, source)
    box.claw("--no-cache", "backup", source)
    left = {os.path.join(d, f) for d, _, files in os.walk(box.home) for f in files}
    equal([f for f in left if not f.startswith(box.path("home/.cache/clawback"))], [], "files in the home directory")
    equal(set(os.listdir(box.dir)), before, "entries beside it")


def test_verbose_twice_names_each_file_and_what_became_of_it(box):
    fresh_repository(box)
    source = box.mkdir("source")
    for name in ("same", "changed", "sub/same"):
        box.write("source/" + name, "x" * 100)
    CLAWBACK.backup(box, source)
    box.write("source/changed", "y" * 200)
    box.write("source/added\n", "z" * 300)

    def named(*options):
        lines = box.claw("backup", *options, source).out.splitlines()
        first_words = ("new ", "modified ", "unchanged ")
        found = {}
        for line in lines:
            if line.startswith(first_words) and source + "/" in line:
                action, rest = line.split(None, 1)
                found[rest.split(", saved in")[0][len(source):]] = action
        return found, lines
    found, lines = named("-vv")
    equal(found, {"/same": "unchanged", "/changed": "modified", "/added\\n": "new", "/sub/same": "unchanged", "/sub/": "unchanged",
                  "/": "modified"}, "what is said")
    check(any(line.startswith("scan finished in") and "4 files" in line for line in lines), "the scan is not mentioned", lines)
    found, lines = named("-v")
    equal(found, {}, "files that -v names")
    check(any(line.startswith("scan finished in") for line in lines), "the scan is not mentioned", lines)
    equal(named()[0], {}, "files that are named without being asked for")


def test_the_repository_is_for_its_owner_alone(box):
    fresh_repository(box)
    CLAWBACK.backup(box, box.write("source/file", os.urandom(10000)))
    for directory, dirs, files in os.walk(box.repo):
        for name in dirs + files:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            equal(mode & 0o077, 0, "permissions of others on %s" % name)
        odd_names = [f for f in files if f not in ("config", "reserve") and len(f) != 64]
        equal(odd_names, [], "files with odd names in %s" % directory)


if __name__ == "__main__":
    main()
