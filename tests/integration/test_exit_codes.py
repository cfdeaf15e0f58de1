#!/usr/bin/env python3
"""Bad input gets one clear line and the documented exit status, and changes nothing."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import weakkey  # noqa: E402
from clawtest import (PASSPHRASE, check, clawback_binary, equal, files_below, fingerprint, main, once, one_line,  # noqa: E402
                      wait_until)
from interop import CLAWBACK, fresh_repository  # noqa: E402

READERS = [["snapshots"], ["ls", "latest"], ["find", "x"], ["stats"], ["dump", "latest", "/x"], ["cat", "config"], ["list", "packs"],
           ["check"], ["key", "list"], ["diff", "latest", "latest"], ["restore", "latest", "--target", "out"]]
WRITERS = [["backup", "/etc/hostname"], ["forget", "--keep-last", "1"], ["prune"], ["tag", "--add", "x"], ["unlock"],
           ["repair", "index"], ["repair", "snapshots"], ["key", "add"]]


@once
def used(box):
    """A repository with two snapshots of a few files."""
    fresh_repository(box)
    box.source = box.mkdir("source")
    box.write("source/a", os.urandom(700000))
    box.write("source/b", b"bbb")
    CLAWBACK.backup(box, box.source)
    box.write("source/c", b"ccc")
    CLAWBACK.backup(box, box.source)
    return box


def copy(box):
    box.run(["cp", "-a", used().repo, box.repo])
    return used().source


def unchanged(box, before, what):
    equal(fingerprint(box.repo, without=()), before, "the repository after %s" % what)


# --- the command line ---

def test_mistyped_command_lines(box):
    copy(box)
    before = fingerprint(box.repo)
    source = used().source
    for args, word in ((["backup", "--no-such-option", source], "no-such-option"), (["backop"], "backop"),
                       (["backup", "--tag"], "tag"), (["forget", "--keep-last", "many"], "many"),
                       (["forget", "--keep-within", "3x"], "3x"), (["prune", "--max-unused", "101%"], "101%"),
                       (["check", "--read-data-subset", "6/5"], "6/5"), (["restore", "latest"], "target"),
                       (["restore", "--target", "out"], "snapshot"), (["--compression", "best", "backup", source], "best"),
                       (["backup", "--time", "yesterday", source], "yesterday"), (["key"], "key"),
                       (["snapshots", "--group-by", "size"], "size"), (["--pack-size", "1", "backup", source], "pack-size"),
                       (["tag", "latest"], "add"), (["backup", "--stdin", source], "stdin"), (["ls"], "snapshot"),
                       (["diff", "latest"], ""), (["stats", "--mode", "wild"], "wild"), (["ls", "no-hex!"], "no-hex!"),
                       (["ls", "0123456789abcdef"], "0123456789abcdef"), (["restore", "latest:/nothing", "-t", "out"], "/nothing"),
                       (["dump", "latest", "/nothing"], "/nothing"), (["cat", "blob", "00" * 32], "0000")):
        one_line(box.claw(*args, rc=None), 1, word)
    equal(fingerprint(box.repo), before, "the repository")
    check(not os.path.exists(box.path("out")), "a target was made")


def test_help_and_version_succeed(box):
    for args in (["--help"], ["help"], ["version"], ["backup", "--help"], ["repair", "--help"], ["help", "restore"]):
        done = box.claw(*args)
        check(done.out and not done.err, "nothing to read", done)
    done = box.run([clawback_binary()], rc=1)
    check("clawback" in done.out + done.err, "a bare call says nothing", done)


# --- repositories that are none ---

def test_no_repository(box):
    places = {"missing": box.path("missing"), "empty": box.mkdir("empty"), "other": box.mkdir("other"),
              "file": box.write("file", "x")}
    box.write("other/notes.txt", "hello")
    before = {name: fingerprint(path) for name, path in places.items()}
    for name, path in places.items():
        for args in READERS + WRITERS:
            done = box.claw(*args, repo=path, rc=None)
            one_line(done, 10, path)
        equal(fingerprint(path), before[name], "the place '%s'" % name)


def test_a_repository_is_not_made_twice(box):
    copy(box)
    before = fingerprint(box.repo, without=())
    one_line(box.claw("init", rc=None), 1, "already")
    unchanged(box, before, "init")


def test_wrong_passphrase(box):
    copy(box)
    before = fingerprint(box.repo, without=())
    for args in READERS + WRITERS:
        one_line(box.claw(*args, rc=None, env={"CLAWBACK_PASSPHRASE": "wrong"}), 12, "passphrase")
    unchanged(box, before, "wrong passphrases")
    check(not os.path.exists(box.path("out")), "a target was made")


def test_no_passphrase(box):
    copy(box)
    before = fingerprint(box.repo, without=())
    nothing = {"CLAWBACK_PASSPHRASE": None, "RESTIC_PASSWORD": None}
    one_line(box.claw("snapshots", rc=None, env=nothing), 1, "passphrase")
    empty = box.write("empty", "\n", mode=0o600)
    one_line(box.claw("-p", empty, "snapshots", rc=None, env=nothing), 1, empty)
    one_line(box.claw("-p", box.path("nowhere"), "snapshots", rc=None, env=nothing), 1, "nowhere")
    one_line(box.claw("--password-command", "false", "snapshots", rc=None, env=nothing), 1)
    unchanged(box, before, "missing passphrases")


def test_a_newer_version(box):
    copy(box)
    config = weakkey.read_config(box.repo, PASSPHRASE)
    config["version"] = 3
    weakkey.write_config(box.repo, PASSPHRASE, config)
    before = fingerprint(box.repo, without=())
    for args in READERS + WRITERS:
        if args[0] not in ("key", "unlock"):
            one_line(box.claw(*args, rc=None), 1, "version 3")
    unchanged(box, before, "looking at a newer version")


def test_another_chunker(box):
    """A reducible polynomial, as only a mistake or an attacker writes it."""
    copy(box)
    config = weakkey.read_config(box.repo, PASSPHRASE)
    config["chunker_polynomial"] = "20000000000000"
    weakkey.write_config(box.repo, PASSPHRASE, config)
    before = fingerprint(box.repo, without=())
    one_line(box.claw("backup", used().source, rc=None), 1, "polynomial")
    unchanged(box, before, "a backup with a bad polynomial")


# --- damage ---

def damaged(box, name, change, *words):
    repo = box.path(name)
    box.run(["cp", "-a", used().repo, repo])
    change(repo)
    before = fingerprint(repo, without=())
    for args in (["snapshots"], ["backup", used().source], ["ls", "latest"], ["prune"]):
        done = box.claw(*args, repo=repo, rc=None, env={"CLAWBACK_CACHE_DIR": box.path("no-cache-" + name)})
        one_line(done, 1, *words)
    equal(fingerprint(repo, without=()), before, "the repository with a damaged %s" % name)


def test_a_damaged_config(box):
    damaged(box, "config", lambda repo: interop.flip(os.path.join(repo, "config")), "config")


def test_a_truncated_config(box):
    def truncate(repo):
        os.chmod(os.path.join(repo, "config"), 0o600)
        os.truncate(os.path.join(repo, "config"), 20)
    damaged(box, "short", truncate, "config")


def only(repo, kind):
    return os.path.join(repo, kind, os.listdir(os.path.join(repo, kind))[0])


def test_a_damaged_key(box):
    copy(box)
    key = only(box.repo, "keys")
    os.chmod(key, 0o600)
    with open(key, "w") as f:
        f.write("{ not json")
    before = fingerprint(box.repo, without=())
    one_line(box.claw("snapshots", rc=None), 1, "key")
    unchanged(box, before, "a damaged key")


def test_a_damaged_index(box):
    source = copy(box)
    index = only(box.repo, "index")
    interop.flip(index)
    before = fingerprint(box.repo, without=())
    name = os.path.basename(index)[:8]
    for args in (["ls", "latest"], ["restore", "latest", "--target", "out"], ["backup", source], ["prune"]):
        one_line(box.claw("--no-cache", *args, rc=None), 1, "index", name)
    unchanged(box, before, "a damaged index")
    done = box.claw("check", rc=1)
    check(name in done.out + done.err and "repair index" in done.out + done.err, "check does not say what to do", done)
    box.claw("repair", "index")
    box.claw("check", "--read-data")
    box.claw("restore", "latest", "--target", "out")


def test_a_damaged_snapshot(box):
    copy(box)
    names = interop.snapshot_names(box)
    interop.flip(os.path.join(box.repo, "snapshots", names[0]))
    before = fingerprint(box.repo)
    done = box.claw("snapshots", rc=(0, 1))
    check(names[0][:8] in done.err and names[1][:8] in done.out, "the good one, and a word on the bad one", done)
    one_line(box.claw("ls", names[0], rc=None), 1, names[0][:8])
    box.claw("ls", names[1])
    # What a damaged snapshot needs is not known: nothing may be removed.
    refused = box.claw("prune", rc=1)
    check(names[0][:8] in refused.err, "prune does not name it", refused)
    equal(fingerprint(box.repo), before, "the repository")
    check(names[0][:8] in str(box.claw("check", rc=1)), "check does not name it")
    box.claw("forget", names[0])
    box.claw("prune")
    box.claw("check", "--read-data")


def test_a_damaged_pack(box):
    copy(box)
    big = max(files_below(os.path.join(box.repo, "data")), key=os.path.getsize)
    interop.flip(big, 300000)
    before = fingerprint(box.repo)
    source = used().source
    done = box.claw("dump", "latest", source + "/a", rc=1)
    check(os.path.basename(big)[:8] in done.err or source + "/a" in done.err, "dump does not say what is damaged", done)
    done = box.claw("restore", "latest", "--target", box.path("out"), rc=1)
    check(source + "/a" in done.err.replace(box.path("out"), ""), "restore does not name the file", done)
    with open(box.path("out") + source + "/c", "rb") as f:
        equal(f.read(), b"ccc", "another file")
    equal(fingerprint(box.repo), before, "the repository")


# --- sources and targets ---

def test_paths_that_are_not_there(box):
    copy(box)
    before = fingerprint(box.repo, without=())
    one_line(box.claw("backup", box.path("nowhere"), rc=None), 1, box.path("nowhere"))
    unchanged(box, before, "a backup of nothing")
    done = box.claw("backup", box.path("nowhere"), used().source, rc=3)
    check(box.path("nowhere") in done.err, "it is not named", done)
    equal(len(interop.snapshot_names(box)), 3, "number of snapshots")


def test_names_too_long(box):
    copy(box)
    long_name, long_path = "n" * 300, "/".join(["p" * 200] * 30)
    before = fingerprint(box.repo, without=())
    one_line(box.claw("backup", box.path(long_name), rc=None), 1, "too long")
    one_line(box.claw("backup", box.path(long_path), rc=None), 1)
    done = box.claw("-q", "restore", "latest", "--target", box.path(long_name), rc=None)
    one_line(done, 1, "too long")
    one_line(box.claw("snapshots", repo=box.path(long_name), rc=None), 1, "too long")
    one_line(box.claw("backup", "--stdin", "--stdin-filename", "n" * 300, rc=None, input=b"x"), 1, "too long")
    for name in ("..", "/", "x/.."):
        box.claw("backup", "--stdin", "--stdin-filename", name, rc=1, input=b"x")
    unchanged(box, before, "names too long")


def test_a_target_that_is_no_directory(box):
    copy(box)
    path = box.write("in the way", "precious")
    one_line(box.claw("-q", "restore", "latest", "--target", path, rc=None), 1, path)
    one_line(box.claw("-q", "restore", "latest", "--target", path + "/below", rc=None), 1, path)
    with open(path) as f:
        equal(f.read(), "precious", "the file in the way")


def test_output_that_cannot_be_written(box):
    copy(box)
    with open("/dev/full", "wb") as full:
        done = box.start_claw("dump", "latest", used().source + "/a", stdout=full)
        equal(done.wait(60), 1, "exit status of a dump to a full disk")
        err = done.stderr.read().decode()
        check("No space left" in err and len(err.splitlines()) <= 2, "the message", err)
        equal(box.start_claw("ls", "--json", "latest", stdout=full).wait(60), 1, "exit status of ls to a full disk")


# --- others at work, and being told to stop ---

def test_a_locked_repository(box):
    copy(box)
    child = box.start_claw("backup", "--stdin", stdin=-1)
    wait_until(lambda: os.listdir(os.path.join(box.repo, "locks")), "it takes a lock")
    for args in (["prune"], ["forget", "--keep-last", "1"], ["check"]):
        one_line(box.claw(*args, rc=None), 11, "lock", str(child.pid))
    child.communicate(b"x", timeout=60)
    equal(child.returncode, 0, "exit status of the holder")
    equal(len(interop.snapshot_names(box)), 3, "number of snapshots")


def test_interrupts(box):
    copy(box)
    box.write("big", os.urandom(24 << 20))
    before = interop.snapshot_names(box)
    for numbers in ((signal.SIGINT,), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)):  # twice: as timeout(1) does
        child = box.start_claw("--limit-read", "4M", "backup", box.path("big"))
        wait_until(lambda: os.listdir(os.path.join(box.repo, "locks")), "it takes a lock")
        time.sleep(0.7)
        for number in numbers:
            child.send_signal(number)
            time.sleep(0.001)  # else they may become one
        out, err = child.communicate(timeout=30)
        equal(child.returncode, 130, "exit status after signals %s\n%s" % (numbers, err.decode()))
        check("interrupted" in err.decode() and len(err.splitlines()) == 1, "the message", err.decode())
        equal(os.listdir(os.path.join(box.repo, "locks")), [], "locks left behind")
    equal(interop.snapshot_names(box), before, "snapshots")
    box.claw("check", "--read-data")


if __name__ == "__main__":
    main()
