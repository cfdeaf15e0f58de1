#!/usr/bin/env python3
"""`clawback run`: a plan carried out, and everything that can go wrong on the way."""
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import treecmp  # noqa: E402
from clawtest import (check, clawback_binary, equal, files_below, fingerprint, main, needs, needs_root,  # noqa: E402
                      no_differences, skip, wait_until)
from fake_services import closed_port  # noqa: E402
from plan_box import EXAMPLE, PHRASE, Plan  # noqa: E402

MIB = 1 << 20
CONFIG = """
  config:
    every: 2h
    files: [~/.openclaw]
    exclude: ["*.log"]
    to: [usb]
    keep: {within: 7d}
"""


def two(box, first="usb", second="second"):
    return {first: box.path(first), second: box.path(second)}


def same_trees(found, expected, ignore=()):
    no_differences(treecmp.differences(treecmp.read_tree(found), treecmp.read_tree(expected), ignore), "restored home")


# --- all is well

def test_a_first_run_makes_everything_it_needs(box):
    plan = Plan(box, CONFIG)
    box.write(os.path.join(plan.agent, "x.log"), "noise")
    box.write(os.path.join(plan.agent, "cache", "x"), "noise")
    done = plan.run()
    snapshots = plan.snapshots("usb")
    equal(len(snapshots), 1, "number of snapshots")
    record = plan.last("config")
    equal(snapshots[0]["tags"], ["tier=config", "run=" + record["runId"], "source=files"], "tags")
    equal([record["status"], record["exitCode"], record["uploaded"]], ["completed", 0, True], "the record")
    equal(record["snapshots"], [snapshots[0]["id"]], "snapshots of the record")
    check(record["destinations"][0]["verified"], "it was not confirmed", record)
    started = plan.records("config")[0]
    equal([started["status"], started["jobId"], started["runId"]], ["started", "config", record["runId"]], "first record")
    for name in ("timestamp", "duration", "backupSize", "durationMs", "bytesProcessed", "bytesAdded"):
        check(name in record, "the record lacks '%s'" % name, record)
    check(PHRASE not in done.out + done.err + json.dumps(record), "the passphrase was shown")
    plan.claw("usb", "restore", "latest", "--target", box.path("out"))
    os.unlink(os.path.join(plan.agent, "x.log"))
    os.unlink(os.path.join(plan.agent, "cache", "x"))
    os.rmdir(os.path.join(plan.agent, "cache"))
    same_trees(box.path("out") + plan.agent, plan.agent, ("mtime",))
    plan.claw("usb", "check", "--read-data")


def test_only_what_is_due_runs(box):
    plan = Plan(box, CONFIG + """
  never:
    files: [~/.openclaw]
    to: [usb]
""")
    plan.run()
    equal(len(plan.records("config")), 2, "records of the tier that was due")
    equal(plan.records("never"), [], "records of a tier without a schedule")
    again = plan.run()
    check("nothing is due" in again.err, "the message", again)
    equal(len(plan.records("config")), 2, "records after a second run")
    plan.run("config", "never")
    equal([len(plan.records(t)) for t in ("config", "never")], [4, 2], "records after a run by name")
    plan.run("--all")
    equal([len(plan.records(t)) for t in ("config", "never")], [6, 4], "records after --all")
    wrong = plan.run("nosuch", rc=1)
    check("nosuch" in wrong.err and "config, never" in wrong.err, "the message", wrong)


def test_a_dry_run_changes_nothing(box):
    plan = Plan(box, CONFIG)
    plan.run("--dry-run")
    check(not os.path.exists(box.path("usb")), "the destination was made")
    done = plan.run("config", "--dry-run", "--json").json_lines("tier")
    check(done[0]["bytes_processed"] > 9000, "nothing was read before the first run", done)
    plan.run()
    before = fingerprint(box.path("usb")), fingerprint(box.path("home", ".local"))
    box.write(os.path.join(plan.agent, "new"), "new")
    done = plan.run("config", "--dry-run", "--json").json_lines("tier")
    check(done[0]["bytes_processed"] > 9000, "nothing was read", done)
    equal((fingerprint(box.path("usb")), fingerprint(box.path("home", ".local"))), before, "what is there")


def test_a_dry_run_finds_what_would_fail(box):
    """Before the first run, too, when there is no repository and no archive."""
    plan = Plan(box, """
  breaks: {command: {name: x, command: "echo begun; exit 7"}, to: usb}
  archive: {command: {name: y, command: "echo begun; exit 7"}, format: archive, to: usb}
  fine: {command: [{name: a, command: "echo 123456789"}, {name: b, command: "true && echo 123456789"}], to: usb}
  fine-archive: {command: {name: y, command: "echo 123456789"}, format: archive, to: usb}
  server: {redis: [{url: "redis://127.0.0.1:1"}], to: usb}
  resting: {redis: [{url: "redis://127.0.0.1:1"}], when: running, to: usb}
""")
    shown = plan.run("--dry-run", "breaks", rc=1).err
    check("error: breaks: " in shown and "exited with status 7" in shown, "what fails the tier is said to be an error", shown)
    for tier in ("breaks", "archive", "server"):
        said = plan.run("--dry-run", tier, "--json", rc=1).json_lines("tier")
        equal([t["status"] for t in said], ["failed"], "status of " + tier)
    for tier, read in (("fine", 20), ("fine-archive", 10), ("resting", 0)):
        said = plan.run("--dry-run", tier, "--json").json_lines("tier")
        equal(said[0]["bytes_processed"], read, "bytes read of " + tier)
    check(not os.path.exists(box.path("usb")), "the destination was made")
    equal([plan.records(t) for t in ("breaks", "fine")], [[], []], "records")


@needs("git")
def test_a_destination_on_the_disk_of_what_goes_there_is_warned_of(box):
    repository, database = box.path("repository"), box.path("one.sqlite")
    box.run(["git", "init", "-q", repository])
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE t (a)")
    plan = Plan(box, """
  git: {git: [%s], to: usb}
  sqlite: {sqlite: %s, to: usb}
  command: {command: {name: x, command: echo x}, to: usb}
""" % (repository, database))
    for tier, is_warned in (("git", True), ("sqlite", True), ("command", False)):
        done = plan.run(tier)
        equal("same disk" in done.err, is_warned, "a warning of tier " + tier)


def test_two_destinations_are_served_by_one_reading(box):
    box.write("count", "")
    plan = Plan(box, """
  dumps:
    every: 2h
    command: [{name: dump, command: "echo x >> %s; head -c 3000000 /dev/zero | tr '\\\\0' 'a'"}]
    files: [~/.openclaw]
    to: [usb, second]
""" % box.path("count"), two(box))
    plan.run()
    equal(open(box.path("count")).read(), "x\n", "how often the command ran")
    first, second = plan.snapshots("usb"), plan.snapshots("second")
    equal(sorted(s["tree"] for s in first), sorted(s["tree"] for s in second), "trees")
    equal(sorted(s["tags"] for s in first), sorted(s["tags"] for s in second), "tags")
    equal(len(first), 2, "number of snapshots")
    plan.claw("second", "check", "--read-data")


def test_a_command_and_a_database_file(box):
    import sqlite3
    base = sqlite3.connect(box.path("shop.db"))
    base.execute("create table t (n)")
    base.executemany("insert into t values (?)", [(i,) for i in range(1000)])
    base.commit()
    plan = Plan(box, """
  dumps:
    every: 2h
    command: [{name: hello, command: [echo, hello]}]
    sqlite: [%s]
    to: [usb]
""" % box.path("shop.db"))
    plan.run()
    equal(plan.claw("usb", "dump", "--path", "/command/hello", "latest", "/command/hello").out, "hello\n", "the output")
    plan.claw("usb", "restore", "latest", "--path", box.path("shop.db"), "--target", box.path("out"))
    copy = sqlite3.connect(box.path("out") + box.path("shop.db"))
    equal(copy.execute("select sum(n) from t").fetchone(), (499500,), "the sum")
    base.close()


def test_status_tells_how_things_stand(box):
    plan = Plan(box, CONFIG.replace("[usb]", "[usb, second]"), two(box))
    plan.run()
    told = box.run([clawback_binary(), "status", "-c", plan.file, "--json"]).json()
    tier = told["tiers"][0]
    equal([tier["name"], tier["outcome"], tier["due"], len(tier["sizes"])], ["config", "ok", False, 1], "the tier")
    check(tier["next_due"] > tier["last_run"], "the next run", tier)
    equal([d["name"] for d in told["destinations"]], ["usb", "second"], "destinations")
    equal(told["problems"], [], "problems")
    os.rename(box.path("second"), box.path("away"))
    told = box.run([clawback_binary(), "status", "-c", plan.file, "--json"]).json()
    equal([d["ready"] for d in told["destinations"]], [True, False], "which destinations are ready")
    check("second" in told["problems"][0], "problems", told)
    shown = box.run([clawback_binary(), "status", "-c", plan.file])
    check("config" in shown.out and "█" in shown.out and "in 1h" in shown.out, "the screen", shown)


# --- destinations that are not what they should be

@needs_root
def test_a_drive_that_is_not_mounted_is_not_written(box):
    mount = box.mount_tmpfs("drive", "64m")
    subprocess.run(["umount", mount], check=True)
    box.mounts.remove(mount)
    plan = Plan(box, CONFIG.replace("[usb]", "[usb, second]"),
                {"usb": {"path": os.path.join(mount, "backups"), "require_mount": True}, "second": box.path("second")})
    if any(line.split()[4] not in ("/",) and box.dir.startswith(line.split()[4])
           for line in open("/proc/self/mountinfo")):
        plan.destinations["usb"]["path"] = "/clawtest-not-mounted/backups"
        plan.write(CONFIG.replace("[usb]", "[usb, second]"))
    done = plan.run(rc=3)
    check("nothing is mounted" in done.err and "usb" in done.err, "the message", done)
    check("'usb' is on the same disk" not in done.err, "what is not there is on no disk", done)
    equal(os.listdir(mount), [], "what is on the bare mount point")
    check(not os.path.exists("/clawtest-not-mounted"), "a directory was made on /")
    equal(len(plan.snapshots("second")), 1, "snapshots of the other destination")
    record = plan.last("config")
    equal([(d["name"], d["status"]) for d in record["destinations"]], [("usb", "failed"), ("second", "completed")],
          "destinations of the record")
    # Alone it fails, before anything is read.
    plan.write(CONFIG)
    failed = plan.run("config", rc=1)
    check("nothing is mounted" in failed.err, "the message", failed)
    record = plan.last("config")
    equal([record["status"], record["retry"], record["sources"]], ["failed", "yes", []], "the record")


@needs_root
def test_a_mount_that_is_not_the_drives_is_not_written(box):
    """Where /home is a file system of its own, a bare mount point below it has something mounted above it."""
    disk = box.mount_tmpfs("disk", "64m")
    usb = {"path": os.path.join(disk, "media", "usb"), "require_mount": True, "reserve": "1MB"}
    plan = Plan(box, CONFIG, {"usb": usb})
    done = plan.run(rc=1, env={"CLAWBACK_STATE_DIR": os.path.join(disk, "home", "state")})
    check("nothing is mounted" in done.err, "the message", done)
    check(not os.path.exists(os.path.join(disk, "media")), "it was written")


@needs_root
def test_a_bare_mount_point_below_srv_is_not_written_on_first_use(box):
    """Where /srv is a file system of its own, something is mounted above an unplugged drive's place."""
    plan = Plan(box, CONFIG, {"usb": {"path": "/srv/usb", "require_mount": True, "reserve": "1MB"}})
    script = """
        mount -t tmpfs none /srv && mkdir /srv/usb || exit 99
        "$0" run -c "$1" && exit 98
        [ -z "$(ls -A /srv/usb)" ] || exit 97
        mount -t tmpfs none /srv/usb && exec "$0" run -c "$1" """
    done = box.run(["unshare", "--mount", "sh", "-c", script, clawback_binary(), plan.file])
    equal(done.rc, 0, "exit status\n%s\n" % done)
    check("nothing is mounted at '/srv/usb' itself" in done.err, "the message", done)
    check("say so: 'require_mount: /srv'" in done.err, "what to do", done)


@needs_root
def test_a_place_of_fstab_is_not_written_while_nothing_is_mounted_there(box):
    drive = box.mount_tmpfs("disk", "64m")
    place = box.mkdir(os.path.join("disk", "usb"))
    plan = Plan(box, CONFIG, {"usb": {"path": os.path.join(place, "backups"), "require_mount": True, "reserve": "1MB"}})
    fstab = box.write("fstab", "# drives\nLABEL=system / ext4 defaults 0 1\nLABEL=usb %s ext4 noauto 0 2\n" % place)
    script = """
        cp -a /etc/. "$2" && mount --bind "$2" /etc && cp "$3" /etc/fstab || exit 99
        "$0" run -c "$1" && exit 98
        [ -z "$(ls -A "$4")" ] || exit 97
        mount -t tmpfs none "$4" && exec "$0" run -c "$1" """
    done = box.run(["unshare", "--mount", "sh", "-c", script, clawback_binary(), plan.file, box.mkdir("etc"), fstab, place])
    equal(done.rc, 0, "exit status\n%s\n" % done)
    check("nothing is mounted at '%s', which is in /etc/fstab" % place in done.err, "the message", done)
    equal(os.listdir(drive), ["usb"], "what is on the disk")


@needs_root
def test_a_drive_that_the_plan_names_must_be_mounted_there(box):
    srv = box.mount_tmpfs("srv", "64m")
    bare = box.mkdir(os.path.join("srv", "usb"))
    usb = {"path": os.path.join(bare, "backups"), "require_mount": bare, "reserve": "1MB"}
    plan = Plan(box, CONFIG, {"usb": usb})
    done = plan.run("config", rc=1)
    check("nothing is mounted at '%s' (require_mount)" % bare in done.err, "the message where the drive is named", done)
    equal([os.listdir(bare), os.listdir(srv)], [[], ["usb"]], "what is on the bare mount point")
    drive = box.mount_tmpfs(os.path.join("srv", "usb"), "64m")
    plan.run("config")
    # What it may be once does not change when the plan says less: the marker tells.
    usb["require_mount"] = True
    plan.write(CONFIG)
    plan.run("config")
    equal(len(plan.snapshots("usb")), 2, "snapshots")
    subprocess.run(["umount", drive], check=True)
    box.mounts.remove(drive)
    done = plan.run("config", rc=1)
    check("was before" in done.err, "the message afterwards", done)
    equal(os.listdir(bare), [], "what is on the bare mount point")
    # The same drive as the destination itself: nothing needs to be said.
    usb["path"] = bare
    plan.write(CONFIG)
    drive = box.mount_tmpfs(os.path.join("srv", "usb"), "64m")
    plan.run("config", "--adopt-destination", "usb")
    subprocess.run(["umount", drive], check=True)
    box.mounts.remove(drive)


@needs("git")
@needs("gpg")
@needs_root
def test_a_drive_that_is_unplugged_before_an_archive_is_begun(box):
    drive = box.mount_tmpfs("drive", "64m")
    repository = box.mkdir("repository")
    box.run(["git", "init", "-q", repository])
    # What takes time between the look at the drive and the first byte is the check of the repositories.
    box.write(box.path("bin", "git"), "#!/bin/sh\ncase \"$*\" in *fsck*) umount -l %s;; esac\nexec %s \"$@\"\n"
              % (drive, shutil.which("git")), 0o755)
    plan = Plan(box, """
  full:
    git: [{path: %s}]
    files: [~/.openclaw]
    format: archive
    to: [usb]
""" % repository, {"usb": {"path": os.path.join(drive, "backups"), "require_mount": drive, "reserve": "1MB"}})
    done = plan.run("full", rc=1, env={"PATH": box.path("bin") + ":" + os.environ["PATH"]})
    box.mounts.remove(drive)
    check("nothing is mounted" in done.err, "the message", done)
    equal(os.listdir(drive), [], "what is on the bare mount point")


@needs_root
def test_the_wrong_drive_is_not_written(box):
    right = box.mount_tmpfs("drive", "64m")
    plan = Plan(box, CONFIG, {"usb": right})
    plan.run()
    other = box.mount_tmpfs("drive", "64m")  # over it
    for content in ({}, {"clawback-destination.json": '{"id": "%s"}' % ("ab" * 32)}):
        for name, text in content.items():
            box.write(os.path.join(other, name), text)
        before = fingerprint(other)
        done = plan.run("config", rc=1)
        check("--adopt-destination usb" in done.err and "drive" in done.err, "the message", done)
        equal(fingerprint(other), before, "what is on the wrong drive")
    plan.run("config", "--adopt-destination", "usb")
    equal(len(plan.snapshots("usb")), 1, "snapshots on the new drive")
    plan.run("config")
    subprocess.run(["umount", other], check=True)
    box.mounts.remove(other)
    back = plan.run("config", rc=1)
    check("wrong drive" in back.err, "the message", back)


def test_a_destination_that_was_emptied_is_not_begun_anew(box):
    plan = Plan(box, CONFIG)
    plan.run()
    box.run(["sh", "-c", "rm -rf usb/data usb/config usb/keys usb/index usb/snapshots usb/locks"])
    done = plan.run("config", rc=1)
    check("is gone" in done.err, "the message", done)
    plan.run("config", "--adopt-destination", "usb")
    equal(len(plan.snapshots("usb")), 1, "snapshots")


def test_lost_state_is_taken_from_the_drive(box):
    plan = Plan(box, CONFIG)
    plan.run()
    box.run(["rm", "-rf", box.path("home", ".local")])
    plan.run("config")
    equal(len(plan.snapshots("usb")), 2, "snapshots")


@needs_root
def test_a_full_disk_loses_nothing_that_is_there(box):
    drive = box.mount_tmpfs("drive", "24m")
    plan = Plan(box, CONFIG, {"usb": drive})
    plan.run()
    first = plan.snapshots("usb")
    box.write(os.path.join(plan.agent, "big"), os.urandom(40 * MIB))
    done = plan.run("config", rc=1)
    check("full" in done.err or "No space" in done.err, "the message", done)
    record = plan.last("config")
    equal([record["status"], record["retry"]], ["failed", "yes"], "the record")
    equal(plan.snapshots("usb"), first, "snapshots")
    st = os.statvfs(drive)
    check(st.f_bavail * st.f_frsize >= 900000, "the reserve was used", st)
    plan.claw("usb", "check", "--read-data")
    # Less than the reserve is free now: said before anything is read.
    with open(os.path.join(drive, "filler"), "wb") as f:
        f.write(bytes(max(0, st.f_bavail * st.f_frsize - 500000)))
    refused = plan.run("config", rc=1)
    check("reserve" in refused.err, "the message", refused)
    equal(plan.last("config")["sources"], [], "sources that were read")
    os.unlink(os.path.join(drive, "filler"))
    os.unlink(os.path.join(plan.agent, "big"))
    plan.run("config")
    equal(len(plan.snapshots("usb")), 2, "snapshots after there was room again")


@needs_root
def test_a_full_disk_does_not_take_the_other_destination_along(box):
    drive = box.mount_tmpfs("drive", "16m")
    plan = Plan(box, CONFIG.replace("[usb]", "[usb, second]"), {"usb": drive, "second": box.path("second")})
    box.write(os.path.join(plan.agent, "big"), os.urandom(30 * MIB))
    done = plan.run(rc=3)
    check("usb" in done.err, "the message", done)
    equal(len(plan.snapshots("second")), 1, "snapshots of the second")
    plan.claw("second", "check", "--read-data")
    record = plan.last("config")
    equal([record["status"], record["exitCode"]], ["completed", 3], "the record")
    plan.write(CONFIG.replace("[usb]", "[second, usb]"))
    done = plan.run("config", rc=3)
    equal(len(plan.snapshots("second")), 2, "snapshots of the second, first in line")


@needs_root
def test_a_drive_that_is_unplugged_in_the_middle(box):
    drive = box.mount_tmpfs("drive", "64m")
    slow = """
  dumps:
    every: 2h
    command: [{name: slow, command: "echo begun; touch %s; sleep 2; head -c 6000000 /dev/urandom"}]
    to: [usb, second]
""" % box.path("begun")
    plan = Plan(box, CONFIG + slow, {"usb": drive, "second": box.path("second")})
    plan.run("config")
    run = plan.start("dumps")
    wait_until(lambda: os.path.exists(box.path("begun")), "the dump to begin")
    subprocess.run(["umount", "-l", drive], check=True)
    box.mounts.remove(drive)
    out, err = run.communicate(timeout=60)
    equal(run.returncode, 3, "exit status\n%s\n" % err.decode())
    check(b"usb" in err, "the message", err)
    equal(len(plan.snapshots("second")), 1, "snapshots of the other destination")
    equal(os.listdir(drive), [], "what was left on the bare mount point")
    record = plan.last("dumps")
    equal([(d["name"], d["status"]) for d in record["destinations"]], [("usb", "failed"), ("second", "completed")],
          "destinations of the record")


@needs("strace")
def test_each_snapshot_is_read_once_a_run(box):
    tiers = CONFIG + """
  dumps:
    every: 2h
    command: [{name: a, command: "echo a"}, {name: b, command: "echo b"}]
    to: [usb, second]
    keep: {last: 100}
"""
    plan = Plan(box, tiers, {"usb": box.path("usb"), "second": box.path("second")})
    for _ in range(3):
        plan.run("config", "dumps")
    before = {s["id"] for s in plan.snapshots("usb")} | {s["id"] for s in plan.snapshots("second")}
    trace = box.path("trace")
    done = box.run(["strace", "-f", "-e", "trace=openat", "-o", trace, clawback_binary(), "run", "-c", plan.file, "config",
                    "dumps"], rc=None, env={"ASAN_OPTIONS": "detect_leaks=0"})  # which cannot be done under strace
    if "ptrace" in done.err:
        skip("programs cannot be traced here")
    equal(done.rc, 0, "exit status\n%s" % done)
    with open(trace) as f:
        read = [line.split('"')[1].rsplit("/", 1)[-1] for line in f if "/snapshots/" in line and "O_RDONLY" in line]
    # Confirming what is new reads a parent by itself, from the disk.
    parents = {s.get("parent") for s in plan.snapshots("usb") + plan.snapshots("second") if s["id"] not in before}
    often = {name: read.count(name) for name in before - parents if read.count(name) > 1}
    equal(often, {}, "how often snapshots were read")
    check(before & set(read), "nothing was traced", read)


def test_snapshots_that_others_remove_and_add_during_a_run_are_noticed(box):
    plan = Plan(box, CONFIG)
    for _ in range(2):
        plan.run("config")
    old, claw = plan.snapshots("usb")[0]["id"], "%s -r %s --password-file %s" % (
        clawback_binary(), box.path("usb"), plan.pass_file)
    hook = "set -e; %s forget %s; %s backup --tag by-hand %s" % (claw, old, claw, plan.agent)
    plan.write(CONFIG + """
  last:
    every: 2h
    files: [%s]
    to: [usb]
    keep: {last: 1}
    hooks: {before: %s}
""" % (plan.agent, json.dumps(hook)))
    plan.run("config", "last")
    found = plan.snapshots("usb")
    check(old not in [s["id"] for s in found], "what was removed came back", found)
    equal([len([s for s in found if tag in (s.get("tags") or [])]) for tag in ("by-hand", "tier=config", "tier=last")],
          [1, 2, 1], "snapshots by hand, and of the tiers")
    plan.claw("usb", "check")


def test_a_wrong_passphrase(box):
    plan = Plan(box, CONFIG)
    plan.run()
    first = plan.snapshots("usb")
    box.write("passphrase", "something else that is long enough\n", 0o600)
    done = plan.run("config", rc=1)
    check("passphrase" in done.err and "usb" in done.err, "the message", done)
    record = plan.last("config")
    equal([record["status"], record["retry"]], ["failed", "no"], "the record")
    os.unlink(box.path("passphrase"))
    done = plan.run("config", rc=1)
    check("cannot get the passphrase" in done.err, "the message", done)
    box.write("passphrase", PHRASE + "\n", 0o600)
    equal(plan.snapshots("usb"), first, "snapshots")


def test_damage_in_what_was_just_stored_is_found(box):
    # The first run's pack is damaged; the second run needs what is in it.
    plan = Plan(box, CONFIG.replace("within: 7d", "last: 1"))
    plan.run()
    pack = max(files_below(box.path("usb", "data")), key=os.path.getsize)
    os.chmod(pack, 0o600)
    with open(pack, "r+b") as f:
        f.seek(200)
        f.write(bytes(64))
    done = plan.run("config", rc=1)
    check("confirm" in done.err, "the message", done)
    equal(len(plan.snapshots("usb")), 2, "snapshots: nothing is removed after an unverified run")
    equal(plan.last("config")["destinations"][0]["verified"], False, "verified")


def test_what_could_not_be_confirmed_pushes_out_nothing_good(box):
    plan = Plan(box, CONFIG.replace("within: 7d", "last: 2"))
    plan.run()
    good, = plan.snapshots("usb")
    pack = max(files_below(box.path("usb", "data")), key=os.path.getsize)
    with open(pack, "rb") as f:
        content = f.read()
    os.chmod(pack, 0o600)
    with open(pack, "r+b") as f:
        f.seek(200)
        f.write(bytes(64))
    plan.run("config", rc=1)
    with open(pack, "wb") as f:
        f.write(content)
    plan.run("config")
    check(good in plan.snapshots("usb"), "a good one was removed for one that was not confirmed")
    equal(len(plan.snapshots("usb")), 3, "snapshots: two good ones, and that one")
    plan.run("config")
    equal(good in plan.snapshots("usb"), False, "the good one, when there are two newer ones")


# --- sources that fail

def test_a_failing_dump_fails_its_tier_and_the_rest_is_stored(box):
    plan = Plan(box, """
  dumps:
    every: 2h
    command: [{name: bad, command: "head -c 100000 /dev/urandom; echo broken >&2; exit 3"},
               {name: good, command: [echo, good]}]
    to: [usb]
    keep: {last: 1}
""")
    done = plan.run(rc=1)
    check("broken" in done.err and "bad" in done.err, "the message", done)
    equal([s["paths"] for s in plan.snapshots("usb")], [["/command/good"]], "snapshots")
    record = plan.last("dumps")
    equal({s["name"]: s["status"] for s in record["sources"]}, {"/command/bad": "failed", "/command/good": "completed"},
          "sources of the record")
    plan.run("dumps", rc=1)
    equal(len(plan.snapshots("usb")), 2, "snapshots: nothing is removed after a failed run")


def test_a_file_that_cannot_be_read_is_named(box):
    if os.geteuid() == 0:
        box.run(["chmod", "0711", box.dir])
    plan = Plan(box, CONFIG)
    missing = CONFIG.replace("[~/.openclaw]", "[~/.openclaw, %s]" % box.path("nosuch"))
    plan.write(missing)
    done = plan.run(rc=3)
    check("nosuch" in done.err, "the message", done)
    record = plan.last("config")
    equal([record["status"], record["exitCode"], record["sources"][0]["unreadable"]], ["completed", 3, 1], "the record")


def test_a_configuration_that_cannot_be_understood_is_no_success(box):
    plan = Plan(box, CONFIG)
    box.write(os.path.join(plan.agent, "openclaw.json"), "{agents: {defaults: {workspace: '/x'}")
    done = plan.run(rc=3)
    check("which workspaces it names" in done.err, "the message", done)
    record = plan.last("config")
    equal([record["status"], record["exitCode"], record["sources"][0]["unreadable"]], ["completed", 3, 1], "the record")


def shrinking(box, more=""):
    box.write("dump", os.urandom(400000))
    return Plan(box, """
  dumps:
    every: 2h
    command: [{name: dump, command: [cat, %s]}]
    to: [usb]
    keep: {last: 1}
%s
""" % (box.path("dump"), more))


def test_a_dump_that_shrank_pushes_out_nothing_good(box):
    plan = shrinking(box)
    plan.run()
    good = plan.snapshots("usb")
    for _ in range(3):
        box.write("dump", b"hardly anything")
        done = plan.run("dumps", rc=1)
        check("only 15 B" in done.err and "--accept-size" in done.err, "the message", done)
        check(good[0] in plan.snapshots("usb"), "the good one was removed")
    equal(len(plan.snapshots("usb", "suspect")), 3, "suspect snapshots")
    equal(plan.last("dumps")["sources"][0]["suspect"], True, "suspect in the record")
    # A good one again: the suspects are reduced by the policy for themselves, the good ones too.
    box.write("dump", os.urandom(400000))
    plan.run("dumps")
    equal([len(plan.snapshots("usb", "suspect")), len(plan.snapshots("usb"))], [1, 2], "suspects, and all")
    # And what is right is taken for good.
    box.write("dump", b"hardly anything")
    plan.run("dumps", "--accept-size")
    equal(plan.last("dumps")["exitCode"], 0, "exit code")
    plan.run("dumps")


def dumping(box, size):
    """A plan whose tier dumps the file "dumped", of so many bytes, and has done so once."""
    dumped = box.write("dumped", "x" * size)
    plan = Plan(box, """
  dumps:
    command: [{name: x, command: [cat, %s]}]
    to: [usb]
""" % dumped)
    plan.run("dumps")
    return plan


def test_a_dump_that_has_been_too_small_for_long_is_still_too_small(box):
    plan = dumping(box, 100000)
    box.write("dumped", "x" * 100)
    plan.run("dumps", rc=1)
    log = box.path("home", ".local", "state", "clawback", "runs", "dumps.jsonl")
    with open(log) as f:
        lines = f.read().splitlines()
    with open(log, "a") as f:
        f.write("\n".join(lines[-2:] * 300) + "\n")
    done = plan.run("dumps", rc=1)
    check("was 100 kB before" in done.err, "the message", done)


def fill_database(path, rows):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE IF NOT EXISTS t (text)")
    db.execute("DELETE FROM t")
    db.executemany("INSERT INTO t VALUES (?)", [("%08d" % n * 100,) for n in range(rows)])
    db.commit()
    db.execute("VACUUM")
    db.close()


def test_each_database_is_watched_by_itself(box):
    small, large = box.path("small.db"), box.path("zlarge.db")
    fill_database(small, 500)
    fill_database(large, 2000)
    plan = Plan(box, """
  dumps:
    every: 2h
    sqlite: [%s, %s]
    to: [usb]
    keep: {last: 1}
""" % (small, large))
    plan.run()
    equal([(d["path"], d["bytes"]) for d in plan.last("dumps")["sources"][0]["dumps"]],
          [(p, os.path.getsize(p)) for p in (small, large)], "dumps of the record")
    # The one that is emptied does not show in the sum, since the other grows.
    fill_database(small, 1)
    fill_database(large, 3000)
    for _ in range(2):
        done = plan.run("dumps", rc=1)
        check("small.db' is only" in done.err and "zlarge.db' is" not in done.err, "the message", done)
    source, = plan.last("dumps")["sources"]
    equal([source["suspect"], [d.get("suspect") for d in source["dumps"]]], [True, [True, None]], "the record")
    check("small.db" in plan.last("dumps")["error"], "the error", plan.last("dumps"))
    # What the other one has meanwhile is its measure: from there it is too small, from the beginning it would not be.
    fill_database(small, 500)
    fill_database(large, 3000 // 12)
    done = plan.run("dumps", rc=1)
    check("zlarge.db' is only" in done.err and "small.db' is" not in done.err, "the message", done)
    plan.run("dumps", "--accept-size")
    plan.run("dumps")


def test_records_of_older_programs_are_compared_as_a_whole(box):
    plan = dumping(box, 100000)
    log = box.path("home", ".local", "state", "clawback", "runs", "dumps.jsonl")
    records = plan.records("dumps")
    del records[-1]["sources"][0]["dumps"]
    box.write(log, "".join(json.dumps(r) + "\n" for r in records), 0o600)
    box.write("dumped", "x" * 100)
    done = plan.run("dumps", rc=1)
    check("it is only 100 B, and was 100 kB before" in done.err, "the message", done)
    done = plan.run("dumps", rc=1)
    check("only 100 B" in done.err, "the message, when the newest record lists a dump that was too small", done)


def test_a_shrunken_dump_in_an_archive_marks_it(box):
    plan = shrinking(box, "    format: archive")
    plan.run()
    good, = plan.last("dumps")["snapshots"]
    box.write("dump", b"hardly anything")
    done = plan.run("dumps", rc=1)
    check("in an archive that is marked as incomplete" in done.err, "the message", done)
    equal(plan.last("dumps")["incomplete"], True, "incomplete")
    where, = {os.path.dirname(f) for f in files_below(box.path("usb")) if f.endswith(good)}
    equal(os.readlink(os.path.join(box.path("usb"), where, "latest.tar.gz.gpg")), good, "latest")


def test_a_shrunken_dump_may_be_only_a_warning(box):
    plan = shrinking(box, "    on_shrink: warn")
    plan.run()
    box.write("dump", b"hardly anything")
    done = plan.run("dumps", rc=3)
    check("only 15 B" in done.err, "the message", done)
    equal(len(plan.snapshots("usb")), 2, "snapshots: nothing is removed after a shrunken run")
    plan.run("dumps")
    equal(len(plan.snapshots("usb")), 1, "snapshots after that")


def test_what_does_not_run_is_skipped(box):
    plan = Plan(box, """
  databases:
    every: 2h
    redis: [{url: "redis://127.0.0.1:1"}]
    when: running
    to: [usb]
""")
    plan.run()
    record = plan.last("databases")
    equal([record["status"], record["exitCode"], record["sources"][0]["status"]], ["skipped", 0, "skipped"], "the record")
    plan.write("""
  databases:
    every: 2h
    redis: [{url: "redis://127.0.0.1:1"}]
    to: [usb]
""")
    plan.run("databases", rc=1)
    equal(plan.last("databases")["status"], "failed", "status")


# --- git

def git(box, where, *args):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", "-c", "safe.directory=*"]
    return box.run(["git", "-C", where] + who + list(args)).out


def repository(box, where, remote=None):
    os.makedirs(where, exist_ok=True)
    git(box, where, "init", "-q")
    box.write(os.path.join(where, "code"), "int main;\n")
    git(box, where, "add", "code")
    git(box, where, "commit", "-qm", "first")
    if remote is not None:
        git(box, box.dir, "init", "-q", "--bare", remote)
        git(box, where, "remote", "add", "origin", remote)
    return where


GIT = """
  git:
    every: 2h
    git: [{path: ~/.openclaw/workspace, push: origin}]
    to: [usb]
    keep: {all: true}
"""


@needs("git")
def test_git_repositories_are_stored_and_pushed(box):
    plan = Plan(box, GIT)
    where = repository(box, os.path.join(plan.agent, "workspace"), box.path("remote.git"))
    inner = repository(box, os.path.join(where, "ai-erp"))
    plan.run()
    equal(sorted(s["paths"] for s in plan.snapshots("usb")), [["/git" + where], ["/git" + inner]], "snapshots")
    head = git(box, where, "rev-parse", "HEAD")
    equal(git(box, box.path("remote.git"), "rev-parse", "main"), head, "what the remote has")
    sources = {s["name"]: s for s in plan.last("git")["sources"]}
    check("created" in sources["/git" + where]["push"], "the push", sources)
    equal(sources["/git" + where]["pushRefs"], ["refs/heads/main created"], "what became of each ref")
    check("no remote" in sources["/git" + inner]["push"], "the push of one that was only found", sources)
    equal(plan.last("git")["exitCode"], 0, "exit code")
    plan.claw("usb", "restore", "latest", "--path", "/git" + where, "--target", box.path("out"))
    git(box, box.dir, "clone", "-q", box.path("out") + "/git" + where + "/repository.bundle", box.path("clone"))
    equal(git(box, box.path("clone"), "rev-parse", "HEAD"), head, "the head of a clone of the bundle")


@needs("git")
def test_a_push_that_is_refused_does_not_stop_the_backup(box):
    plan = Plan(box, GIT)
    where = repository(box, os.path.join(plan.agent, "workspace"), box.path("remote.git"))
    hook = box.write(box.path("remote.git", "hooks", "pre-receive"), "#!/bin/sh\necho not today >&2\nexit 1\n", 0o755)
    done = plan.run(rc=3)
    check("push failed" in done.err, "the message", done)
    equal(len(plan.snapshots("usb")), 1, "snapshots")
    record = plan.last("git")
    equal([record["status"], record["exitCode"], record["sources"][0]["pushFailed"]], ["completed", 3, True], "the record")
    equal(record["sources"][0]["pushRefs"], ["refs/heads/main rejected (pre-receive hook declined)"], "what became of each ref")
    told = box.run([clawback_binary(), "status", "-c", plan.file, "--json"]).json()
    check(any("pushing" in p and "failed" in p for p in told["problems"]), "problems", told)
    os.unlink(hook)
    plan.run("git")
    equal(git(box, box.path("remote.git"), "rev-parse", "main"), git(box, where, "rev-parse", "HEAD"), "what the remote has")


@needs("git")
def test_a_damaged_git_repository_is_reported(box):
    plan = Plan(box, GIT.replace(", push: origin", ""))
    where = repository(box, os.path.join(plan.agent, "workspace"))
    plan.run()
    victim = max((f for f in files_below(os.path.join(where, ".git", "objects"))), key=os.path.getsize)
    os.chmod(victim, 0o600)
    with open(victim, "r+b") as f:
        f.write(b"damage!!")
    done = plan.run("git", rc=(1, 3))
    check("git" in done.err and ("fsck" in done.err or "corrupt" in done.err or "damaged" in done.err), "the message", done)


# --- the example of the issue

@needs_root
@needs("git")
@needs("gpg")
def test_the_example_works_as_it_stands(box):
    drive = box.mount_tmpfs("drive", "300m")
    home = box.mkdir("home", ".openclaw")
    box.write(os.path.join(home, "openclaw.json"), "{}")
    where = repository(box, os.path.join(home, "workspace"), box.path("one.git"))
    repository(box, os.path.join(where, "ai-erp"), box.path("two.git"))
    box.write(box.path("home", ".config", "clawback", "passphrase"), PHRASE + "\n", 0o600)
    plan = EXAMPLE
    for there, here in (("/mnt/backups", os.path.join(drive, "backups")), ("/srv/nas/backups", box.path("nas", "backups")),
                        ("ai-erp-postgres", "clawtest-no-such-postgres"), ("ai-erp-redis", "clawtest-no-such-redis"),
                        ("127.0.0.1:6379", "127.0.0.1:1")):
        plan = plan.replace(there, here)
    box.write(box.path("home", ".config", "clawback", "clawback.yaml"), plan)
    done = box.run([clawback_binary(), "run", "--json"])
    tiers = {t["tier"]: t for t in done.json_lines("tier")}
    equal({name: (t["status"], t["exit_code"]) for name, t in tiers.items()},
          {"git": ("completed", 0), "config": ("completed", 0), "databases": ("skipped", 0), "full": ("completed", 0)},
          "what became of the tiers\n%s\n" % done)
    equal([s["status"] for s in tiers["databases"]["sources"]], ["skipped"] * 3, "databases")
    for repo in ("one.git", "two.git"):
        check(git(box, box.path(repo), "rev-parse", "main").strip(), "nothing was pushed to %s" % repo)
    check(any(f.endswith(".tar.gz.gpg") for f in files_below(drive)), "there is no archive")
    again = box.run([clawback_binary(), "run"])
    check("nothing is due" in again.err, "the second run", again)
    box.run([clawback_binary(), "status"])


# --- hooks

def test_hooks_hear_what_it_is_about(box):
    log = box.path("log")
    tell = 'echo "$CLAWBACK_HOOK $CLAWBACK_TIER $CLAWBACK_STATUS $CLAWBACK_ERROR" >> %s' % log
    hooks = "hooks: {before: '%s', after: '%s', failure: '%s'}" % (tell, tell, tell)
    plan = Plan(box, CONFIG + "    %s\n" % hooks, more=hooks)
    plan.run()
    equal(open(log).read().splitlines(),
          ["before   ", "before config  ", "after config completed ", "after  completed "], "what hooks heard")
    os.unlink(log)
    os.rename(box.path("passphrase"), box.path("away"))
    plan.run("config", rc=1)
    heard = open(log).read().splitlines()
    check(heard[2].startswith("failure config failed ") and "passphrase" in heard[2], "the failure hook", heard)
    check(heard[3].startswith("failure  failed 1 of 1 tiers"), "the run's failure hook", heard)


def test_the_runs_hook_hears_of_all_tiers_together(box):
    tell = 'echo "$CLAWBACK_BYTES_PROCESSED $CLAWBACK_BYTES_ADDED $CLAWBACK_SNAPSHOTS" >> %s' % box.path("log")
    hook = "hooks: {after: '%s'}" % tell
    box.write("other/file", "content\n" * 500)
    plan = Plan(box, CONFIG + "    %s\n" % hook + "  more: {files: [%s], to: [usb], %s}\n" % (box.path("other"), hook), more=hook)
    plan.run("config", "more")
    one, two, both = [line.split() for line in open(box.path("log")).read().splitlines()]
    check(int(one[0]) > 0 and int(two[1]) > 0, "nothing was read or added", one, two)
    equal([int(both[0]), int(both[1])], [int(one[0]) + int(two[0]), int(one[1]) + int(two[1])], "bytes")
    equal(sorted(both[2:]), sorted(one[2:] + two[2:]), "snapshots")


def test_what_we_start_does_not_hear_the_passphrase(box):
    plan = Plan(box, """
  dumps:
    command: [{name: x, command: "env > %s; echo x"}]
    to: [usb]
""" % box.path("heard"))
    with open(plan.file) as f:
        text = f.read().replace("{file: %s}" % plan.pass_file, "{env: BACKUP_PHRASE}")
    box.write(plan.file, text)
    plan.run("dumps", env={"BACKUP_PHRASE": PHRASE, "OTHER": "passed on"})
    heard = open(box.path("heard")).read()
    check(PHRASE not in heard and "OTHER=passed on" in heard, "its environment", heard)


def test_a_hook_that_fails_stops_its_tier_only(box):
    plan = Plan(box, CONFIG + "    hooks: {before: 'echo no disk today >&2; exit 7'}\n" + """
  other:
    every: 2h
    command: [{name: x, command: [echo, x]}]
    to: [usb]
    hooks: {after: 'exit 9'}
""")
    done = plan.run(rc=1)
    check("no disk today" in done.err and "hook 'before'" in done.err, "the message", done)
    equal([plan.last("config")["status"], plan.last("other")["status"]], ["failed", "completed"], "status")
    equal(plan.last("other")["exitCode"], 3, "exit code after a failed 'after'")
    equal([s["paths"] for s in plan.snapshots("usb")], [["/command/x"]], "snapshots")


def test_a_hook_that_hangs_is_ended(box):
    plan = Plan(box, CONFIG + "    hooks: {before: 'sleep 1000', timeout: 1s}\n")
    start = time.monotonic()
    done = plan.run(rc=1)
    check(time.monotonic() - start < 30, "it took too long")
    check("hook 'before'" in done.err, "the message", done)


# --- one at a time, kills

def test_two_triggers_never_overlap(box):
    plan = Plan(box, """
  slow:
    every: 2h
    command: [{name: slow, command: "touch %s; sleep 3; echo done"}]
    to: [usb]
""" % box.path("begun"))
    first = plan.start()
    wait_until(lambda: os.path.exists(box.path("begun")), "the first run to begin")
    second = plan.run(rc=0)
    check("another run is under way" in second.out and str(first.pid) in second.out, "the message", second)
    named = plan.run("slow", rc=11)
    check("another run is under way" in named.err, "the message", named)
    check("--wait" in named.err and "unlock" not in named.err, "what to do", named)
    told = box.run([clawback_binary(), "status", "-c", plan.file, "--json"]).json()
    equal([told["running"], told["tiers"][0]["outcome"]], [True, "running"], "status")
    waited = plan.run("--wait")
    equal(first.wait(timeout=30), 0, "exit status of the first")
    check("nothing is due" in waited.err, "the one that waited ran it again", waited)
    equal(len(plan.records("slow")), 2, "records")


def test_killed_at_any_moment(box):
    plan = Plan(box, CONFIG.replace("within: 7d", "last: 3"))
    plan.run()
    random.seed(7)
    killed = 0
    for i in range(12):
        box.write(os.path.join(plan.agent, "data %d" % i), os.urandom(2 * MIB))
        run = plan.start("config")
        time.sleep(random.uniform(0.02, 0.7))
        run.kill()
        run.communicate()
        killed += run.returncode == -signal.SIGKILL
    check(killed > 0, "no run was killed in time")
    records = plan.records("config")
    plan.run("config")
    plan.claw("usb", "check", "--read-data")
    after = plan.records("config")
    if records[-1]["status"] == "started":
        note = after[-3]
        equal([note["status"], note.get("interrupted"), note["runId"]], ["failed", True, records[-1]["runId"]],
              "the note of the run that never ended")
    equal(after[-1]["status"], "completed", "status")
    plan.claw("usb", "restore", "latest", "--target", box.path("out"))
    same_trees(box.path("out") + plan.agent, plan.agent)


def test_an_interrupt_is_recorded(box):
    plan = Plan(box, """
  slow:
    every: 2h
    command: [{name: slow, command: "touch %s; sleep 100"}]
    to: [usb]
""" % box.path("begun"))
    run = plan.start()
    wait_until(lambda: os.path.exists(box.path("begun")), "the run to begin")
    run.terminate()
    run.communicate(timeout=30)
    equal(run.returncode, 130, "exit status")
    record = plan.last("slow")
    equal([record["status"], record["exitCode"]], ["failed", 130], "the record")


def test_servers_that_do_not_run_have_the_names_that_they_have_when_they_run(box):
    ports = [closed_port(), closed_port()]
    urls = ["redis://someone:secret@127.0.0.1:%d" % port for port in ports]
    tier = "  databases: {redis: [{url: \"%s\"}, {url: \"%s\"}], when: running, to: usb}\n" % tuple(urls)
    plan = Plan(box, tier)
    done = plan.run("databases")
    names = ["/redis/127.0.0.1:%d" % port for port in ports]
    equal([(s["name"], s["status"]) for s in plan.last("databases")["sources"]], [(n, "skipped") for n in names], "sources")
    for port in ports:
        check("redis at 127.0.0.1:%d skipped" % port in done.err, "what is said", done)
    plan.write(tier.replace("when: running, ", ""))
    done = plan.run("databases", rc=1)
    equal([(s["name"], s["status"]) for s in plan.last("databases")["sources"]], [(n, "failed") for n in names], "sources that fail")
    check("secret" not in done.err, "the password", done)


def test_the_journal_gets_priorities(box):
    plan = Plan(box, CONFIG + """
  broken: {files: [~/.openclaw], to: usb, hooks: {before: 'false'}}
""", more="health: {full: off}\n")

    def lines(command, journal=True):
        with open(box.path("journal"), "w") as f:
            st = os.fstat(f.fileno())
            box.start([clawback_binary(), command, "-c", plan.file, *(["--all"] if command == "run" else [])], stdout=f, stderr=f,
                      env={"JOURNAL_STREAM": "%d:%d" % (st.st_dev, st.st_ino + (not journal))}).wait(60)
        with open(box.path("journal")) as f:
            return f.read().splitlines()
    said = lines("run")
    check(any(line.startswith("<4>warning: config:") for line in said), "the warning", said)
    check(any(line.startswith("<3>error: broken:") for line in said), "the error of a tier", said)
    check(any(line.startswith("<3>broken: failed") for line in said), "the tier that failed", said)
    check(any(line.startswith("config: ok") for line in said), "the tier that did not", said)
    check(any(line.startswith("<2>CRITICAL ") for line in lines("health")), "what health finds", said)
    check(not any(line.startswith("<") for line in lines("run", journal=False)), "priorities where no journal listens")
    os.unlink(plan.file)
    check(lines("run")[0].startswith("<3>error:"), "the error")


@needs_root
def test_a_record_is_written_on_a_full_disk(box):
    disk = box.mount_tmpfs("disk", "8m")
    plan = Plan(box, CONFIG, {"usb": os.path.join(disk, "usb")})
    box.env["XDG_STATE_HOME"] = os.path.join(disk, "state")
    plan.run()
    st = os.statvfs(disk)
    with open(os.path.join(disk, "filler"), "wb") as f:
        f.write(bytes(st.f_bavail * st.f_frsize))
    plan.run("config", rc=1)
    with open(os.path.join(disk, "state", "clawback", "runs", "config.jsonl")) as f:
        lines = [json.loads(line) for line in f]
    equal([line["status"] for line in lines], ["started", "completed", "started", "failed"], "records")


if __name__ == "__main__":
    main()
