#!/usr/bin/env python3
"""`clawback doctor`: says what is wrong and what to do, changes nothing, and never hangs."""
import os
import shutil
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, fingerprint, main, needs_root  # noqa: E402

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "make-sample-home")
PLAN = """
home: ~/.openclaw
passphrase: {file: ~/passphrase}
destinations: {usb: {path: USB, reserve: 1MB%s}}
tiers:
  git: {every: 2h, git: [{path: ~/.openclaw/workspace, push: origin}], to: [usb], keep: {all: true}}
  config: {every: 2h, files: [~/.openclaw], to: [usb], keep: {within: 7d}}
  full: {cron: "0 0 * * 0", files: [~/.openclaw], format: archive, to: [usb], keep: {weekly: 4}}
%s
"""


def scene(box, mount="", more="", usb=None):
    home = os.path.join(box.home, ".openclaw")
    box.run([SAMPLE, home])
    box.run(["git", "init", "-q", "--bare", box.path("remote.git")])
    box.run(["git", "-C", os.path.join(home, "workspace"), "remote", "add", "origin", box.path("remote.git")])
    box.write(os.path.join(box.home, "passphrase"), "k7wq2mzr9xv4hnbt3jdp\n", 0o600)
    box.write("claw.yaml", (PLAN % (mount, more)).replace("USB", usb or box.mkdir("usb")))
    return home


def claw(box, *args, **options):
    return box.run([clawback_binary()] + list(args[:1]) + ["-c", box.path("claw.yaml")] + list(args[1:]), **options)


def lines_of(box, *args, rc=(0, 1, 3), **options):
    """{check: [(level, found)]} and the exit status."""
    done = claw(box, "doctor", "--json", *args, rc=rc, **options)
    found = {}
    for line in done.json_lines("check"):
        found.setdefault(line["check"], []).append((line["level"], line["found"]))
        check(line["level"] == "green" or line.get("advice"), "a complaint without advice", line)
    summary = done.summary()
    equal(done.rc, {"green": 0, "yellow": 3, "red": 1}[summary["level"]], "the exit status is that of the worst line")
    return found, done


def has(found, name, level, text):
    check(any(a == level and text in b for a, b in found[name]), "no %s line of '%s' with '%s'" % (level, name, text), found[name])


def none_red(found):
    red = [(name, text) for name, lines in found.items() for level, text in lines if level == "red"]
    equal(red, [], "red lines")


def test_a_machine_that_is_ready_before_and_after_its_first_run(box):
    scene(box)
    found, _ = lines_of(box)
    none_red(found)
    has(found, "repositories", "yellow", "no repository")
    has(found, "history", "yellow", "never run")
    has(found, "git", "green", "can be pushed")
    has(found, "gpg", "green", "without a terminal")
    has(found, "sensitive files", "green", "is encrypted")
    has(found, "passphrase", "green", "strong")
    claw(box, "run", "--all")
    found, _ = lines_of(box)
    none_red(found)
    has(found, "repositories", "green", "is complete: 2 snapshots")
    has(found, "repositories", "green", "archive")
    has(found, "history", "green", "tier 'config' was backed up")
    has(found, "history", "yellow", "no restore has been proven")
    expected = {"configuration", "home", "destinations", "repositories", "space", "git", "databases", "passphrase", "gpg",
                "sensitive files", "editor", "scheduler", "alerts", "history", "clock"}
    equal(expected - set(found) - {"configuration"}, set(), "checks that said nothing")


def test_text_says_what_to_do(box):
    scene(box)
    text = " ".join(claw(box, "doctor", rc=3).out.split())  # where a line breaks depends on how long the paths are
    for expected in ("green", "YELLOW", "->", "clawback run --all", "0 red", "has no mistakes"):
        check(expected in text, "'%s' is not in it" % expected, text)


def test_it_changes_nothing(box):
    scene(box)
    claw(box, "run", "--all")
    os.chmod(os.path.join(box.home, "passphrase"), 0o644)
    before = fingerprint(box.dir)
    lines_of(box)
    equal(fingerprint(box.dir), before, "everything")


def test_red_lines(box):
    home = scene(box, more="  db: {redis: [{url: 'redis://127.0.0.1:1'}], to: [usb]}")
    claw(box, "run", "git", "config")
    os.chmod(os.path.join(box.home, "passphrase"), 0o644)
    shutil.rmtree(os.path.join(home, "workspace/.git/objects"))
    index = os.path.join(box.path("usb"), "index")
    for name in os.listdir(index):
        os.chmod(os.path.join(index, name), 0o600)
        box.write(os.path.join(index, name), b"damaged")
    found, done = lines_of(box, rc=1)
    has(found, "passphrase", "red", "others may read")
    has(found, "databases", "red", "does not run")
    has(found, "repositories", "red", "damaged")
    check(any(level == "red" for level, _ in found["git"]), "the repository without objects", found["git"])
    equal(done.summary()["level"], "red", "the worst")


def test_a_mistake_in_the_configuration_is_the_only_line(box):
    box.write("claw.yaml", "destinations: 7\n")
    found, done = lines_of(box, rc=1)
    equal(list(found), ["configuration"], "the lines")
    done = box.run([clawback_binary(), "doctor"], rc=1)
    check("clawback setup" in done.out, "what to do without one", done)


@needs_root
def test_a_drive_that_is_not_mounted(box):
    drive = box.mount_tmpfs("drive", "64m")
    scene(box, mount=", require_mount: true", usb=drive)
    found, _ = lines_of(box)
    has(found, "destinations", "green", "there and writable")
    box.run(["umount", drive])
    box.mounts.remove(drive)
    found, _ = lines_of(box, rc=1)
    has(found, "destinations", "red", "nothing is mounted")


def test_a_remote_that_never_answers_does_not_hang_it(box):
    home = scene(box)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(5)
        box.run(["git", "-C", os.path.join(home, "workspace"), "remote", "set-url", "origin",
                 "git://127.0.0.1:%d/x" % deaf.getsockname()[1]])
        began = time.monotonic()
        found, _ = lines_of(box, timeout=60)
        check(time.monotonic() - began < 45, "it took %d s" % (time.monotonic() - began))
        check(any(level == "yellow" for level, _ in found["git"]), "the push was not complained of", found["git"])
        found, _ = lines_of(box, "--offline")
        check(not any("push" in text for _, text in found["git"]), "--offline asked a remote", found["git"])


def test_an_interruption_ends_it(box):
    home = scene(box)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(5)
        box.run(["git", "-C", os.path.join(home, "workspace"), "remote", "set-url", "origin",
                 "git://127.0.0.1:%d/x" % deaf.getsockname()[1]])
        child = box.start([clawback_binary(), "doctor", "-c", box.path("claw.yaml")])
        deaf.settimeout(30)
        deaf.accept()
        child.terminate()
        equal(child.wait(20), 130, "exit status")


if __name__ == "__main__":
    main()
