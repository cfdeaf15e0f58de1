#!/usr/bin/env python3
"""What `clawback run` removes, and above all what it does not."""
import datetime
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, equal, files_below, main, needs, needs_root  # noqa: E402
from plan_box import PHRASE, Plan  # noqa: E402

CONFIG = """
  config:
    every: 2h
    files: [~/.openclaw]
    to: [usb]
    keep: %s
"""
DAY = datetime.timedelta(days=1)


def host():
    return os.uname().nodename


def add_old(plan, days, tags="tier=config,run=old,source=files", hostname=None):
    """A snapshot of the past, as an earlier run would have left it; its ID."""
    when = (datetime.datetime.now() - days * DAY).strftime("%Y-%m-%d %H:%M:%S")
    done = plan.claw("usb", "backup", plan.agent, "--tag", tags, "--time", when, "--host", hostname or host(), "--json")
    return done.summary()["snapshot_id"]


def ids(plan):
    return {s["id"] for s in plan.snapshots("usb")}


def test_a_window_of_days(box):
    plan = Plan(box, CONFIG % "{within: 7d}")
    plan.run()
    old = [add_old(plan, d) for d in (30, 8)]
    kept = [add_old(plan, 6), add_old(plan, 30, "tier=other"), add_old(plan, 30, "hand"), add_old(plan, 30, hostname="elsewhere")]
    plan.run("config")
    there = ids(plan)
    equal([i in there for i in old], [False, False], "old ones of the tier")
    equal([i in there for i in kept], [True] * 4, "young ones, and those of others")
    equal(plan.last("config")["destinations"][0]["removed"], 2, "removed, in the record")
    plan.claw("usb", "check", "--read-data")


def test_a_clock_that_leapt_removes_nothing(box):
    """A gap of a year: the machine was off, or its clock is wrong now. Only runs that go on show which."""
    plan = Plan(box, CONFIG % "{within: 7d}")
    plan.run()
    old = [add_old(plan, 400 - d) for d in range(5)]
    said = plan.run("config")
    check("the clock may have leapt" in said.out + said.err, "nothing was said", said)
    equal([i in ids(plan) for i in old], [True] * 5, "old ones")
    equal(plan.last("config")["destinations"][0].get("removed", 0), 0, "removed, in the record")
    for d in (4, 3, 2, 1):  # with these it was four days ago
        add_old(plan, d)
    plan.run("config")
    equal([i in ids(plan) for i in old], [False] * 5, "old ones, when runs had gone on")


def test_all_are_kept_when_nothing_is_said(box):
    for keep in ("{all: true}", None):
        plan = Plan(box, CONFIG % keep if keep else (CONFIG % "x").replace("    keep: x\n", ""))
        plan.run("config")
        old = add_old(plan, 1000)
        plan.run("config")
        check(old in ids(plan), "it was removed with keep %s" % keep)


def test_space_comes_back_once_a_day(box):
    plan = Plan(box, CONFIG % "{last: 1}")
    pruned, sizes = [], []
    for i in range(4):
        box.write(os.path.join(plan.agent, "big"), os.urandom(3 << 20))
        plan.run("config")
        record = plan.last("config")
        pruned.append(bool(record["destinations"][0].get("pruned")))
        sizes.append(sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(box.path("usb", "data"))
                         for f in files) >> 20)
    equal(pruned, [False, True, False, False], "which runs pruned")
    check(sizes[1] < 5 and sizes[3] > 8, "sizes", sizes)
    # A day later by its own account.
    state = box.path("home", ".local", "state", "clawback", "destinations", "usb.json.tidy")
    with open(state) as f:
        told = json.load(f)
    equal(told["removed"], 2, "what is left to be tidied up")
    told["lastPruneMs"] -= 25 * 3600 * 1000
    with open(state, "w") as f:
        json.dump(told, f)
    plan.run("config")
    equal(plan.last("config")["destinations"][0]["pruned"], True, "pruned a day later")
    plan.claw("usb", "check", "--read-data")


def test_an_incomplete_run_pushes_out_no_complete_one(box):
    plan = Plan(box, CONFIG % "{last: 1}")
    plan.run()
    good = ids(plan)
    plan.write((CONFIG % "{last: 1}").replace("[~/.openclaw]", "[~/.openclaw, %s]" % box.path("nosuch")))
    for _ in range(3):
        plan.run("config", rc=3)
    check(good <= ids(plan), "the last complete one was removed", good, ids(plan))


def test_a_run_in_which_a_dump_failed_is_no_good_one(box):
    tier = CONFIG % "{last: 1}"
    tier = tier.replace("    files:", "    command: [{name: dump, command: [%s]}]\n    files:")
    plan = Plan(box, tier % "date")
    plan.run()
    good = ids(plan)
    equal(len(good), 2, "snapshots: the files, the dump")
    plan.write(tier % "\"false\"")
    plan.run("config", rc=1)
    equal(good <= ids(plan), True, "the good ones, after a dump failed")
    # What is not wholly fine either protects the last run that was: not the one in between, whose files were.
    plan.write((tier % "date").replace("[~/.openclaw]", "[~/.openclaw, %s]" % box.path("nosuch")))
    plan.run("config", rc=3)
    equal(good <= ids(plan), True, "the good ones, after a path was gone")


def future_beside(box, keep, expected):
    plan = Plan(box, CONFIG % keep)
    plan.run()
    future = add_old(plan, -400, "tier=config,run=old,source=files")
    for _ in range(2):
        plan.run("config")
        there = ids(plan)
        check(set(plan.last("config")["snapshots"]) <= there, "what a run has just stored was removed")
        check(future in there, "the one from the future was removed")
    equal(len(there), expected, "snapshots")


def test_what_is_from_the_future_does_not_move_the_window(box):
    future_beside(box, "{within: 7d}", 4)


def test_what_is_from_the_future_does_not_count(box):
    future_beside(box, "{last: 1}", 2)


def test_the_files_of_a_tier_are_one_group_though_their_paths_change(box):
    plan = Plan(box, CONFIG % "{last: 2}")
    plan.run()
    plan.run("config")
    workspace = box.mkdir("workspace")
    box.write(os.path.join(workspace, "plan.md"), "new\n")
    plan.write((CONFIG % "{last: 2}").replace("[~/.openclaw]", "[~/.openclaw, %s]" % workspace))
    for expected in ([1, 2], [2, 2], [2, 2]):
        plan.run("config")
        equal(sorted(len(s["paths"]) for s in plan.snapshots("usb")), expected, "paths of what is kept")
    plan.claw("usb", "check")


def test_dumps_of_a_tier_are_groups_of_their_own(box):
    tier = """
  dumps:
    every: 2h
    files: [~/.openclaw]
    command: [{name: one, command: [date, +%%N]}%s]
    to: [usb]
    keep: {last: 1}
"""
    plan = Plan(box, tier % ", {name: two, command: [echo, two]}")
    plan.run()
    plan.run("dumps")
    paths = lambda: sorted(s["paths"][0] for s in plan.snapshots("usb"))
    both = sorted([plan.agent, "/command/one", "/command/two"])
    equal(paths(), both, "the last of each")
    two = [s["id"] for s in plan.snapshots("usb") if s["paths"] == ["/command/two"]]
    plan.write(tier % "")
    plan.run("dumps")
    plan.run("dumps")
    equal(paths(), both, "the last of each, also of one that is gone")
    check(set(two) <= ids(plan), "the last dump of what is gone was removed")
    equal(sorted(s["tags"][2] for s in plan.snapshots("usb")), ["source=command", "source=command", "source=files"], "kinds")


def test_a_destination_that_was_away_keeps_what_it_has(box):
    plan = Plan(box, CONFIG.replace("[usb]", "[usb, second]") % "{last: 2}", {"usb": box.path("usb"), "second": box.path("second")})
    plan.run()
    plan.run("config")
    os.rename(box.path("second"), box.path("away"))
    for _ in range(3):
        plan.run("config", rc=3)
    os.rename(box.path("away"), box.path("second"))
    equal(len(plan.snapshots("second")), 2, "snapshots of the one that was away")
    plan.run("config")
    equal([len(plan.snapshots(d)) for d in ("usb", "second")], [2, 2], "snapshots")
    newest = [max(plan.snapshots(d), key=lambda s: s["time"])["tree"] for d in ("usb", "second")]
    equal(newest[0], newest[1], "trees of the newest")


# --- archives

FULL = """
  full:
    cron: "0 0 * * 0"
    files: [~/.openclaw]
    format: archive
    to: [usb]
    keep: {weekly: 4, monthly: 12}
"""


def archives(box):
    return sorted(n for n in os.listdir(box.path("usb", "archives", host())) if n.endswith(".tar.gz.gpg") and "latest" not in n)


def decrypt(box, path):
    gpg = box.mkdir("gpg")
    os.chmod(gpg, 0o700)
    return subprocess.run(["gpg", "--homedir", gpg, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase-fd", "0",
                           "--decrypt", path], input=PHRASE.encode() + b"\n", stdout=subprocess.PIPE, check=True).stdout


@needs("gpg")
def test_an_archive_opens_with_gpg_and_tar_alone(box):
    plan = Plan(box, FULL)
    plan.run()
    name, = archives(box)
    equal(plan.last("full")["snapshots"], [name], "the record")
    path = box.path("usb", "archives", host(), name)
    box.mkdir("out")
    subprocess.run(["tar", "xz", "-C", box.path("out")], input=decrypt(box, path), check=True)
    equal(open(box.path("out") + plan.agent + "/workspace/notes.md").read(), "remember\n" * 1000, "a file from the archive")
    box.run(["sha256sum", "-c", name + ".sha256"], cwd=os.path.dirname(path))
    equal(os.path.realpath(os.path.join(os.path.dirname(path), "latest.tar.gz.gpg")), os.path.realpath(path), "latest")
    subprocess.run(["gpgconf", "--homedir", box.path("gpg"), "--kill", "all"], check=False)


@needs("gpg")
def test_archives_of_four_weeks_and_of_each_months_first_sunday(box):
    plan = Plan(box, FULL)
    plan.run("full")
    real, = archives(box)
    where = box.path("usb", "archives", host())
    today = datetime.date.today()
    sunday = today - datetime.timedelta(days=(today.weekday() + 1) % 7)
    sundays = [sunday - 7 * i * DAY for i in range(1, 80)]
    for day in sundays:
        for prefix in ("full", "mine"):
            shutil.copy(os.path.join(where, real), os.path.join(where, "%s_%s_00.tar.gz.gpg" % (prefix, day)))
    plan.run("full")
    left = [n[len("full_"):len("full_2026-01-01")] for n in archives(box) if n.startswith("full_")]
    left = sorted({datetime.date.fromisoformat(n) for n in left})
    equal(len([n for n in archives(box) if n.startswith("mine_")]), len(sundays), "archives that are not ours")
    months = sorted({(d.year, d.month) for d in sundays + [today]})[-12:]
    expected = {today}
    for day in sorted(sundays + [today]):
        first_sunday = day in sundays and day.day <= 7
        month = (day.year, day.month)
        if month in months and (first_sunday or (month == (today.year, today.month) and day == today and
                                                 not any((d.year, d.month) == month for d in sundays))):
            expected.add(day)
    weeks = []
    for day in sorted(sundays + [today], reverse=True):
        if day.isocalendar()[:2] not in [w.isocalendar()[:2] for w in weeks]:
            weeks.append(day)
    expected |= set(weeks[:4])
    equal(left, sorted(expected), "days of the archives that are left")


@needs("gpg")
def test_no_archive_goes_when_the_new_one_failed(box):
    plan = Plan(box, FULL.replace("{weekly: 4, monthly: 12}", "{last: 1}"))
    plan.run("full")
    first = archives(box)
    plan.write(FULL.replace("{weekly: 4, monthly: 12}", "{last: 1}").replace(
        "    format", "    command: [{name: bad, command: 'exit 3'}]\n    format"))
    plan.run("full", rc=1)
    check(set(first) <= set(archives(box)), "an older archive was removed")
    equal(plan.last("full")["status"], "failed", "status")


@needs_root
@needs("gpg")
def test_no_complete_archive_goes_for_an_incomplete_one(box):
    tier = FULL.replace("{weekly: 4, monthly: 12}", "{last: 1}")
    plan = Plan(box, tier)
    plan.run()
    good, = archives(box)
    plan.write(tier.replace("[~/.openclaw]", "[~/.openclaw, %s]" % box.path("nosuch")))
    for _ in range(2):
        plan.run("full", rc=3)
        check(good in archives(box), "the last complete archive was removed", archives(box))
    incomplete = plan.last("full")["snapshots"]
    plan.write(tier)
    plan.run("full")
    equal(archives(box), sorted(incomplete + plan.last("full")["snapshots"]), "archives after a complete run")


@needs("gpg")
def test_archives_of_failed_runs_push_out_no_complete_one(box):
    tier = FULL.replace("{weekly: 4, monthly: 12}", "{last: 2}")
    failing = tier.replace("    files:", "    command: [{name: dump, command: [\"false\"]}]\n    files:")
    plan = Plan(box, tier)
    plan.run()
    good, = archives(box)
    plan.write(failing)
    for _ in range(3):
        plan.run("full", rc=1)
    plan.write(tier)
    plan.run("full")
    check(good in archives(box), "a complete archive was removed for one that is not", archives(box))
    equal(len(archives(box)), 4, "archives: two complete ones, two others")


def latest(box):
    where = box.path("usb", "archives", host())
    named = {os.readlink(os.path.join(where, n)) for n in ("latest.tar.gz.gpg", "full_latest.tar.gz.gpg")}
    equal(len(named), 1, "what both links lead to")
    return named.pop()


def manifest(box, name):
    tar = decrypt(box, box.path("usb", "archives", host(), name))
    done = subprocess.run(["tar", "xzO", ".clawback-manifest.json"], input=tar, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def summary(box, name):
    with open(box.path("usb", "archives", host(), name + ".sha256")) as f:
        return f.read()


@needs("gpg")
def test_latest_stays_with_the_archive_that_has_the_dump(box):
    tier = FULL.replace("{weekly: 4, monthly: 12}", "{last: 1}")
    failing = tier.replace("    files:", "    command: [{name: dump, command: [\"false\"]}]\n    files:")
    plan = Plan(box, failing)
    plan.run("full", rc=1)
    first, = archives(box)
    equal(latest(box), first, "latest, while no archive has all")
    plan.write(failing.replace("false", "pwd"))
    plan.run("full")
    good, = plan.last("full")["snapshots"]
    equal([latest(box), plan.last("full").get("incomplete")], [good, None], "latest, and the record")
    check(manifest(box, good)["complete"] is True and "# complete: yes" in summary(box, good), "the good one's manifest")
    plan.write(failing)
    plan.run("full", rc=1)
    bad, = plan.last("full")["snapshots"]
    equal([latest(box), plan.last("full")["incomplete"]], [good, True], "latest after a dump failed, and the record")
    told = manifest(box, bad)
    equal([told["complete"], [(m["source"], m["status"]) for m in told["missing"]]], [False, [("/command/dump", "failed")]],
          "the bad one's manifest")
    check("# complete: no: 1 failed" in summary(box, bad), "the bad one's checksum file", summary(box, bad))
    # The records are gone with the old machine: what lies on the drive still knows.
    shutil.rmtree(box.path("home", ".local"))
    plan.run("full", rc=1)
    equal(latest(box), good, "latest, without records")
    plan.write(failing.replace("false", "pwd"))
    plan.run("full")
    equal(latest(box), plan.last("full")["snapshots"][0], "latest after all went well")
    equal(good in archives(box), False, "the good one, when there is a newer one: the policy takes it")


@needs("gpg")
def test_latest_is_the_newest_when_a_name_of_its_hour_is_free_again(box):
    plan = Plan(box, FULL.replace("{weekly: 4, monthly: 12}", "{last: 2}"))
    for i in range(4):
        plan.run("full")
        equal(latest(box), plan.last("full")["snapshots"][0], "latest after run %d" % (i + 1))


@needs("gpg")
def test_a_server_that_is_skipped_displaces_no_archive_that_has_it(box):
    tier = FULL.replace("{weekly: 4, monthly: 12}", "{last: 1}").replace(
        "    files:", "    redis: [{url: \"redis://127.0.0.1:1\"}]\n    when: running\n    files:")
    plan = Plan(box, FULL.replace("{weekly: 4, monthly: 12}", "{last: 1}"))
    plan.run("full")
    good, = archives(box)
    plan.write(tier)
    for _ in range(2):
        plan.run("full")
        record = plan.last("full")
        equal([record["status"], record["exitCode"], record["incomplete"]], ["completed", 0, True], "the record")
        equal(latest(box), good, "latest")
        equal(archives(box), sorted([good] + record["snapshots"]), "archives: the one that has all, and the newest")
    check("# complete: no: 1 not running" in summary(box, record["snapshots"][0]), "the checksum file")
    equal([m["status"] for m in manifest(box, record["snapshots"][0])["missing"]], ["skipped"], "what is missing")


@needs("gpg")
def test_a_path_of_the_plan_that_is_gone_is_missing_and_a_file_is_a_warning(box):
    plan = Plan(box, FULL)
    plan.run("full")
    good, = archives(box)
    plan.write(FULL.replace("[~/.openclaw]", "[~/.openclaw, %s]" % box.path("nosuch")))
    plan.run("full", rc=3)
    equal([latest(box), plan.last("full")["incomplete"]], [good, True], "latest, and the record")
    equal([m["source"] for m in manifest(box, plan.last("full")["snapshots"][0])["missing"]], [box.path("nosuch")],
          "what is missing")


@needs("gpg")
def test_an_archive_from_the_future_pushes_out_nothing(box):
    plan = Plan(box, FULL.replace("{weekly: 4, monthly: 12}", "{within: 7d}"))
    plan.run()
    name, = archives(box)
    where = box.path("usb", "archives", host())
    shutil.copy(os.path.join(where, name), os.path.join(where, "full_2199-01-01_00.tar.gz.gpg"))
    plan.run("full")
    plan.run("full")
    equal(len(archives(box)), 4, "archives")


@needs("gpg")
def test_an_archive_that_does_not_fit_leaves_nothing_behind(box):
    drive = box.mount_tmpfs("drive", "8m")
    plan = Plan(box, FULL.replace("[usb]", "[usb, second]"), {"usb": drive, "second": box.path("second")})
    box.write(os.path.join(plan.agent, "big"), os.urandom(20 << 20))
    done = plan.run("full", rc=3)
    check("usb" in done.err, "the message", done)
    equal([f for f in files_below(drive) if "archives" in f], [], "files on the drive that is full")
    equal(len([f for f in files_below(box.path("second")) if f.endswith("00.tar.gz.gpg") or "full_2" in f]), 2,
          "the archive and its checksum in the other one")
    record = plan.last("full")
    equal([(d["name"], d["status"]) for d in record["destinations"]], [("usb", "failed"), ("second", "completed")],
          "destinations of the record")
    plan.write(FULL)
    plan.run("full", rc=1)
    equal([f for f in files_below(drive) if "archives" in f], [], "files on the drive that is full")


@needs("gpg")
def test_an_unencrypted_archive_has_no_secrets_and_goes_only_where_it_may(box):
    tier = FULL.replace("format: archive", "format: archive\n    archive: {encrypt: false}")
    plan = Plan(box, tier, {"usb": {"path": box.path("usb"), "allow_unencrypted": True}})
    box.write(os.path.join(plan.agent, ".env"), "API_KEY=sk-123\n")
    plan.pass_file = box.write(os.path.join(plan.agent, "remember.txt"), PHRASE + "\n", 0o600)
    os.link(plan.pass_file, os.path.join(plan.agent, "other.txt"))
    # What they are is not to be seen from names or contents.
    for name in ("one.txt", "two.txt", "three.txt"):
        box.write(os.path.join(plan.agent, name), "http://127.0.0.1:1/%s\n" % name, 0o600)
    one, two, three = (os.path.join(plan.agent, name) for name in ("one.txt", "two.txt", "three.txt"))
    plan.more = """
alerts:
  channels:
    bot: {telegram: {token: {file: %s}, chat: 1, api: "http://127.0.0.1:1"}}
    mail: {email: {server: "smtp://127.0.0.1:1", user: a@example.org, password: {file: %s}, to: b@example.org}}
    ping: {ping: {url: {file: %s}}}
""" % (one, two, three)
    plan.write(tier)
    done = plan.run("full", rc=(0, 3))
    check("secrets were left out" in done.err, "the message", done)
    where = box.path("usb", "archives", host())
    name, = [n for n in os.listdir(where) if n.endswith(".tar.gz") and "latest" not in n]
    listed = box.run(["tar", "tzf", os.path.join(where, name)]).out
    check("notes.md" in listed and ".env" not in listed and "openclaw.json" not in listed, "members", listed)
    plan.more = plan.more.replace("token:", "tokn:").replace("to: b@", "too: b@")
    plan.write(tier)
    done = plan.run("full", rc=(0, 3))
    check("tokn" in done.err, "the mistakes are not named", done)
    listed += box.run(["tar", "tzf", sorted(os.path.join(where, n) for n in os.listdir(where) if n.endswith(".tar.gz") and "latest" not in n)[-1]]).out
    check("remember.txt" not in listed and "other.txt" not in listed, "the passphrase is in it", listed)
    check(not any(n in listed for n in ("one.txt", "two.txt", "three.txt")), "what channels log in with is in it", listed)


if __name__ == "__main__":
    main()
