#!/usr/bin/env python3
"""`clawback schedule`: telling OpenClaw, systemd, cron or the daemon to start us, against stand-ins of them."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import (NOBODY, check, clawback_binary, equal, fingerprint, main, needs, needs_root, one_line,  # noqa: E402
                      skip, wait_until)
from plan_box import Plan  # noqa: E402
from schedulers import Machine  # noqa: E402

TIERS = """
  config: {every: %s, files: [~/.openclaw], to: [usb]}
  full: {cron: "0 3 * * sun", files: [~/.openclaw], to: [usb]}
"""
BEGIN = "# clawback: begin (written by 'clawback schedule install')\n"
END = "# clawback: end\n"


def make(box, every="2h", **machine):
    m = Machine(box, **machine)
    return m, Plan(box, TIERS % every)


def schedule(plan, verb, *args, **options):
    with_plan = ["-c", plan.file] if verb in ("install", "status") else []
    return plan.box.run([clawback_binary(), "schedule", verb] + with_plan + list(args), **options)


def status(plan):
    return schedule(plan, "status", "--json", rc=(0, 1)).json()


def remembered(box):
    with open(os.path.join(box.home, ".local/state/clawback/schedule.json")) as f:
        return json.load(f)["installed"]


def with_gateway(function):
    """A test with an OpenClaw whose gateway answers."""
    def test(box):
        kind = next((k for k in ("commands", "unkeyed") if k in function.__name__), "old")
        # Whether a cron daemon runs is up to the machine; without a crontab command it makes no difference.
        m, plan = make(box, openclaw=kind, systemd="with_systemd" in function.__name__, crontab=False)
        m.start_gateway(plan.agent)
        try:
            function(box, m, plan)
        finally:
            m.stop_gateway()
    test.__name__ = function.__name__
    return test


def for_nobody(box):
    """Gives the box to nobody; a function that runs `clawback schedule` as that user."""
    binary = shutil.copy(clawback_binary(), box.path("clawback-under-test"))
    for directory, _, files in os.walk(box.dir):
        for name in [directory] + [os.path.join(directory, f) for f in files]:
            os.chown(name, NOBODY, NOBODY, follow_symlinks=False)
    os.chmod(os.path.dirname(box.dir), 0o711)
    drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return lambda *args, **options: box.run(drop + [binary, "schedule"] + list(args), **options)


# --- systemd

def test_systemd_gets_a_timer_and_a_service_for_each_schedule(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd")
    equal(m.units(), ["clawback-health.service", "clawback-health.timer", "clawback-run-full.service",
                      "clawback-run-full.timer", "clawback.service", "clawback.timer"], "units")
    check("OnUnitActiveSec=7200\n" in m.unit("clawback.timer"), "interval", m.unit("clawback.timer"))
    check("OnCalendar=Sun *-*-* 03:00:00\n" in m.unit("clawback-run-full.timer"), "calendar")
    check("Persistent=true" in m.unit("clawback-run-full.timer"), "catching up")
    check("ExecStart=%s run --wait -c %s\n" % (os.path.realpath(clawback_binary()), plan.file) in m.unit("clawback.service"),
          "command", m.unit("clawback.service"))
    equal(sorted(os.listdir(box.path("machine/active"))),
          ["clawback-health.timer", "clawback-run-full.timer", "clawback.timer"], "active timers")


def test_systemd_is_left_alone_by_a_second_installation(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd")
    before = fingerprint(box.path("machine/units"))
    m.forget_calls()
    schedule(plan, "install", "--via", "systemd")
    equal(m.changes(), [], "calls")
    equal(fingerprint(box.path("machine/units")), before, "units")


def test_systemd_is_told_of_what_differs_and_of_nothing_else(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd")
    m.forget_calls()
    plan.write("  config: {every: 3h, files: [~/.openclaw], to: [usb]}")
    equal([i["changed"] for i in status(plan)["installed"]], [True], "noticed")
    schedule(plan, "install", "--via", "systemd")
    check("OnUnitActiveSec=10800\n" in m.unit("clawback.timer"), "interval")
    equal(m.units(), ["clawback-health.service", "clawback-health.timer", "clawback.service", "clawback.timer"], "units")
    changes = "\n".join(m.changes())
    check("restart clawback.timer" in changes and "disable --now clawback-run-full.timer" in changes, "calls", changes)
    check("health" not in changes, "the one that is the same", changes)
    equal([i["changed"] for i in status(plan)["installed"]], [False], "settled")


def test_systemd_shows_everything_in_a_dry_run_and_does_nothing(box):
    m, plan = make(box, systemd=True)
    before = fingerprint(box.dir, without=("calls",))
    shown = schedule(plan, "install", "--via", "systemd", "--dry-run").out
    for part in ("write %s/clawback.timer" % box.path("machine/units"), "OnUnitActiveSec=7200", "ExecStart=",
                 "systemctl", "daemon-reload", "enable --now clawback.timer", "nothing was done"):
        check(part in shown, "'%s' is not shown" % part, shown)
    os.unlink(box.path("machine/calls"))
    equal(fingerprint(box.dir), before, "everything")


def test_systemd_gets_back_all_that_was_installed_and_only_that(box):
    m, plan = make(box, systemd=True)
    box.write("machine/units/clawback-mine.timer", "[Timer]\nOnCalendar=daily\n")
    schedule(plan, "install", "--via", "systemd")
    schedule(plan, "remove")
    equal(m.units(), ["clawback-mine.timer"], "units")
    equal(os.listdir(box.path("machine/active")), [], "active")
    equal(remembered(box), [], "remembered")
    one_line(schedule(plan, "remove", rc=None), 1, "no schedule is installed")


def test_systemd_is_switched_off_and_on(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd", "--disabled")
    equal(os.listdir(box.path("machine/active")), [], "active")
    check("disabled" in status(plan)["installed"][0]["problem"], "said")
    schedule(plan, "enable")
    equal(len(os.listdir(box.path("machine/active"))), 3, "active")
    equal(status(plan)["well"], True, "well")
    schedule(plan, "disable")
    equal(os.listdir(box.path("machine/active")), [], "active")
    equal(status(plan)["well"], False, "well")


def test_systemd_starts_a_trigger_on_demand(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd")
    schedule(plan, "run-now")
    schedule(plan, "run-now", "clawback-health")
    starts = [c for c in m.calls("systemctl") if " start " in c]
    check(starts[0].endswith("start --no-block clawback.service"), "first", starts)
    check(starts[1].endswith("start --no-block clawback-health.service"), "second", starts)
    one_line(schedule(plan, "run-now", "nonsense", rc=None), 1, "no trigger 'nonsense'")


def test_systemd_times_and_lost_timers_are_shown(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd")
    box.write("machine/timers", json.dumps([{"unit": "clawback.timer", "next": 1795420800000000, "last": 1795413600000000}]))
    trigger = status(plan)["installed"][0]["triggers"][0]
    equal((trigger["last"], trigger["next"]), ("2026-11-23T06:00:00Z", "2026-11-23T08:00:00Z"), "times")
    os.unlink(box.path("machine/units/clawback.timer"))
    found = status(plan)
    equal((found["well"], found["installed"][0]["problem"]), (False, "clawback.timer is gone"), "status")


@needs_root
@needs("setpriv")
def test_systemd_of_a_user_gets_units_of_the_users_own(box):
    m, plan = make(box, systemd=True)
    config = box.path("home/.config/systemd")
    os.makedirs(config)
    os.symlink(box.path("machine/units"), os.path.join(config, "user"))
    said = for_nobody(box)("install", "--via", "systemd", "-c", plan.file, env={"SYSTEMD_UNIT_PATH": None})
    check(all(" --user " in call for call in m.calls("systemctl")), "the user's manager", m.calls())
    check("loginctl enable-linger nobody" in said.err, "lingering", said)
    service = m.unit("clawback.service")
    check("Nice=10" in service and "ProtectSystem" not in service and "Environment=\"HOME=" not in service, "unit", service)


@needs("systemd-analyze")
def test_systemd_itself_finds_no_fault_with_the_units(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "systemd")
    schedule(plan, "install", "--via", "daemon")
    units = [box.path("machine/units", name) for name in m.units()]
    equal(len(units), 7, "units")
    done = box.run(["systemd-analyze", "verify", "--man=no"] + units, env={"SYSTEMD_UNIT_PATH": None})
    check("clawback" not in done.err, "complaints", done)


def test_systemd_that_does_not_run_is_refused(box):
    _, plan = make(box, systemd=False)
    one_line(schedule(plan, "install", "--via", "systemd", rc=None), 1, "systemd", "does not run")


# --- cron

FOREIGN = "MAILTO=me\n# a comment\n5 4 * * * echo 100\\% | tee /tmp/x\n\n@daily   thing\t\n"


def test_cron_gets_our_lines_and_keeps_all_others(box):
    m, plan = make(box)
    m.crontab(FOREIGN)
    schedule(plan, "install", "--via", "cron")
    text = m.crontab()
    check(text.startswith(FOREIGN + BEGIN) and text.endswith(END), "the whole of it", text)
    ours = text[len(FOREIGN + BEGIN):-len(END)].splitlines()
    equal([line.split()[:5] for line in ours], [["0", "*/2", "*", "*", "*"], ["0", "3", "*", "*", "sun"],
                                                ["14", "*", "*", "*", "*"]], "times")
    schedule(plan, "disable")
    check(all(line.startswith("#off ") for line in m.crontab()[len(FOREIGN + BEGIN):-len(END)].splitlines()), "disabled",
          m.crontab())
    schedule(plan, "enable")
    equal(m.crontab(), text, "enabled again")
    m.crontab(text + "# behind\n")
    m.forget_calls()
    schedule(plan, "install", "--via", "cron")
    equal((m.crontab(), m.changes()), (text + "# behind\n", []), "installed again")
    schedule(plan, "remove")
    equal(m.crontab(), FOREIGN + "# behind\n", "removed")


def test_cron_starts_a_backup_that_can_be_restored(box):
    """The line, given to the shell as cron would, in cron's poor environment."""
    m, plan = make(box)
    plan.pass_file = box.write("phrases/100% secret", "a passphrase of more than twenty characters\n", 0o600)
    plan.write(TIERS % "2h")
    box.env["CLAWBACK_CACHE_DIR"] = box.mkdir("a cache, 50% full")
    schedule(plan, "install", "--via", "cron")
    line = m.crontab().splitlines()[1]
    check("50\\% full" in line, "escaped", line)
    command = re.sub(r"^(\S+ +){5}", "", line).replace("\\%", "%")
    poor = {"HOME": box.home, "SHELL": "/bin/sh", "LOGNAME": "somebody", "PATH": "/usr/bin:/bin"}
    poor.update({k: v for k, v in box.env.items() if k.endswith("SAN_OPTIONS")})
    done = subprocess.run(["/bin/sh", "-c", command], env=poor, cwd=box.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal((done.returncode, done.stdout, done.stderr), (0, b"", b""), "run by cron")
    equal(plan.last("config")["status"], "completed", "record")
    plan.claw("usb", "check")
    check(os.listdir(box.path("a cache, 50% full")), "the cache is another one")


def test_cron_gets_lines_that_it_can_take_however_long_the_path_is(box):
    m, plan = make(box)
    box.env["PATH"] += "".join(":%s" % box.path("a directory with a long name %d" % i) for i in range(30))
    schedule(plan, "install", "--via", "cron")
    check(max(len(line) for line in m.crontab().splitlines()) < 1000, "long lines", m.crontab())
    command = re.sub(r"^(\S+ +){5}", "", m.crontab().splitlines()[1])
    poor = {"HOME": box.home, "PATH": "/usr/bin:/bin"}
    poor.update({k: v for k, v in box.env.items() if k.endswith("SAN_OPTIONS")})
    equal(subprocess.run(["/bin/sh", "-c", command], env=poor).returncode, 0, "run by cron")
    equal(plan.last("config")["status"], "completed", "record")
    file = os.path.join(box.home, ".local/state/clawback/schedule-cron.sh")
    equal(os.stat(file).st_mode & 0o777, 0o600, "mode of the file with the variables")
    schedule(plan, "remove")
    check(not os.path.exists(file) and m.crontab() == "", "something is left")


def test_cron_says_where_it_looks_more_often_than_the_plan(box):
    m, plan = make(box, every="7h")
    said = schedule(plan, "install", "--via", "cron")
    check("'0 * * * *'" in said.out and "decides what is due" in said.out, "said", said)
    check("\n0 * * * * " in m.crontab(), "hourly", m.crontab())


def test_cron_of_another_zone_is_asked_for_or_met_halfway(box):
    m, plan = make(box)
    plan.write('  full: {cron: "20 3 * * 0", timezone: America/New_York, files: [~/.openclaw], to: [usb]}')
    schedule(plan, "install", "--via", "cron")
    check("\n20 * * * * " in m.crontab(), "every hour, where the zone cannot be said", m.crontab())
    box.write("machine/cronie", "")
    schedule(plan, "install", "--via", "cron")
    check("\nCRON_TZ=America/New_York\n20 3 * * 0 " in m.crontab(), "by its zone", m.crontab())
    check(m.crontab().index("CRON_TZ=:/etc/localtime") > m.crontab().index("20 3 * * 0"), "and back", m.crontab())


def test_cron_whose_markers_were_torn_is_left_alone(box):
    m, plan = make(box)
    m.crontab("x\n" + BEGIN + "y\n")
    one_line(schedule(plan, "install", "--via", "cron", rc=None), 1, "no pair", "crontab -e")
    equal(m.crontab(), "x\n" + BEGIN + "y\n", "crontab")


def test_cron_lines_that_an_editor_damaged_are_noticed_and_mended(box):
    m, plan = make(box)
    schedule(plan, "install", "--via", "cron")
    text = m.crontab()
    lines = text.splitlines(True)
    for damaged in (text.replace("\n", "\r\n"), "".join(lines[:1] + ["# " + lines[1]] + lines[2:]), "".join(lines[:2] + lines[3:])):
        m.crontab(damaged)
        check("gone or was changed" in status(plan)["installed"][0]["problem"], "status", status(plan))
        schedule(plan, "install", "--via", "cron")
        equal(m.crontab(), text, "mended")
    m.crontab("1 2 * * * mine, without an end")
    schedule(plan, "install", "--via", "cron")
    equal(m.crontab(), "1 2 * * * mine, without an end\n" + text, "behind a line that had no end")


def test_another_plan_and_another_state_directory_are_not_replaced_in_silence(box):
    m, plan = make(box, systemd=True)
    other = box.write("other.yaml", open(plan.file).read())
    for via in ("cron", "systemd", "daemon"):
        box.env.pop("CLAWBACK_STATE_DIR", None)
        schedule(plan, "install", "--via", via)
        said = box.run([clawback_binary(), "schedule", "install", "-c", other, "--via", via])
        check("this replaces the schedule of '%s'" % plan.file in said.err, "said", said)
        before = (m.crontab(), [m.unit(u) for u in m.units()])
        box.env["CLAWBACK_STATE_DIR"] = box.path("elsewhere")
        refused = schedule(plan, "install", "--via", via, rc=1)
        check("another state directory" in refused.err and "clawback schedule remove" in refused.err, "refused", refused)
        equal((m.crontab(), [m.unit(u) for u in m.units()]), before, "what is there")
        equal(status(plan)["installed"], [], "remembered elsewhere")
        # One that remembers nothing has no say.
        os.unlink(os.path.join(box.home, ".local/state/clawback/schedule.json"))
        schedule(plan, "install", "--via", via)
        schedule(plan, "remove")


def test_a_program_that_was_moved_is_noticed(box):
    m, plan = make(box)
    old, new = box.path("it's old $x"), box.path("new")
    shutil.copy(clawback_binary(), old)
    box.run([old, "schedule", "install", "-c", plan.file, "--via", "cron"])
    os.rename(old, new)
    done = box.run([new, "schedule", "status", "-c", plan.file], rc=1)
    check("%s', which it starts, is gone" % old in done.out, "status", done)
    box.run([new, "schedule", "install", "-c", plan.file, "--via", "cron"])
    check("old" not in m.crontab(), "crontab", m.crontab())


def test_cron_lines_that_vanished_are_missed(box):
    m, plan = make(box)
    schedule(plan, "install", "--via", "cron")
    m.crontab("")
    check("gone from the crontab" in status(plan)["installed"][0]["problem"], "status", status(plan))
    schedule(plan, "remove")
    equal(m.crontab(), "", "crontab")


def test_cron_that_is_not_there_is_not_remembered(box):
    m, plan = make(box, crontab=False)
    check("cannot read the crontab" in schedule(plan, "install", "--via", "cron", rc=1).err, "said")
    equal(status(plan)["installed"], [], "remembered")
    schedule(plan, "install", "--via", "daemon")
    schedule(plan, "install", "--via", "cron", rc=1)
    equal([i["via"] for i in status(plan)["installed"]], ["daemon"], "remembered")


def test_cron_runs_a_trigger_here_when_asked(box):
    _, plan = make(box)
    schedule(plan, "install", "--via", "cron")
    done = schedule(plan, "run-now")
    check("running it here" in done.err, "said", done)
    equal(plan.last("config")["status"], "completed", "record")


@needs_root
@needs("crontab")
@needs("setpriv")
def test_a_real_crontab_takes_our_lines(box):
    real = shutil.which("crontab")
    if subprocess.run([real, "-u", "nobody", "-l"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        skip("nobody has a crontab here")
    m, plan = make(box)
    os.unlink(box.path("machine/bin/crontab"))
    done = subprocess.run([real, "-u", "nobody", "-"], input=FOREIGN.encode(), stderr=subprocess.PIPE)
    equal(done.returncode, 0, "a crontab for nobody: %s" % done.stderr)
    as_nobody = for_nobody(box)

    def crontab():
        return subprocess.run([real, "-u", "nobody", "-l"], stdout=subprocess.PIPE).stdout.decode()
    try:
        as_nobody("install", "--via", "cron", "-c", plan.file)
        check(crontab().startswith(FOREIGN + BEGIN) and "0 */2 * * * PATH=" in crontab(), "installed", crontab())
        as_nobody("disable")
        check("#off 0 */2" in crontab(), "disabled", crontab())
        as_nobody("remove")
        equal(crontab(), FOREIGN, "removed")
    finally:
        subprocess.run([real, "-u", "nobody", "-r"])


# --- the daemon

def jobs(box):
    with open(os.path.join(box.home, ".local/state/clawback/jobs.json")) as f:
        return {job["id"]: job for job in json.load(f)["jobs"]}


def test_the_daemon_gets_jobs_and_a_service(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "daemon")
    equal(sorted(jobs(box)), ["clawback", "clawback-health", "clawback-run-full"], "jobs")
    job = jobs(box)["clawback"]
    equal((job["enabled"], job["schedule"]), (True, {"kind": "every", "everyMs": 7200000}), "job")
    equal(job["payload"]["argv"][1:], ["run", "--wait", "-c", plan.file], "command")
    equal(m.units(), ["clawbackd.service"], "units")
    check("Type=notify" in m.unit("clawbackd.service"), "unit")
    equal(os.listdir(box.path("machine/active")), ["clawbackd.service"], "active")
    m.forget_calls()
    before = fingerprint(os.path.join(box.home, ".local/state"), without=("schedule.json",))
    schedule(plan, "install", "--via", "daemon")
    equal(m.changes(), [], "calls of a second installation")
    equal(fingerprint(os.path.join(box.home, ".local/state"), without=("schedule.json",)), before, "state")
    schedule(plan, "disable")
    equal({j["enabled"] for j in jobs(box).values()}, {False}, "disabled")
    schedule(plan, "remove")
    equal((jobs(box), m.units()), ({}, []), "removed")


def test_the_daemon_stays_for_jobs_of_others(box):
    m, plan = make(box, systemd=True)
    mine = {"id": "mine", "enabled": True, "schedule": {"kind": "interval", "intervalMs": 60000},
            "payload": {"kind": "systemEvent", "command": "true"}}
    box.write(os.path.join(box.home, ".local/state/clawback/jobs.json"), json.dumps({"version": 1, "jobs": [mine]}))
    schedule(plan, "install", "--via", "daemon")
    said = schedule(plan, "remove")
    check("other jobs" in said.out, "said", said)
    equal((jobs(box), m.units()), ({"mine": mine}, ["clawbackd.service"]), "left")


def test_the_daemon_without_systemd_is_to_be_started_by_hand(box):
    _, plan = make(box)
    said = schedule(plan, "install", "--via", "daemon")
    check("nohup %s daemon" % os.path.realpath(clawback_binary()) in said.err, "how", said)
    check("does not run" in status(plan)["installed"][0]["problem"], "status")
    shown = schedule(plan, "status", rc=1).out
    check("to start it, type: nohup %s daemon >/dev/null 2>&1 &\n" % os.path.realpath(clawback_binary()) in shown, "how", shown)
    check("no daemon is running" in schedule(plan, "run-now", rc=1).err, "nobody to ask")


def test_a_daemon_with_a_unit_is_started_by_systemd(box):
    _, plan = make(box, systemd=True)
    schedule(plan, "install", "--via", "daemon")
    shown = schedule(plan, "status", rc=1).out
    how = "systemctl %sstart clawbackd.service\n" % ("" if os.geteuid() == 0 else "--user ")
    check("to start it, type: " + how in shown and "nohup" not in shown, "how", shown)
    schedule(plan, "disable")
    check("to start it" not in schedule(plan, "status", rc=1).out, "one that is not to run")


def test_the_daemon_that_runs_is_alive_and_starts_what_it_is_asked(box):
    _, plan = make(box)
    schedule(plan, "install", "--via", "daemon", "--disabled")
    daemon = box.start([clawback_binary(), "daemon"])
    wait_until(lambda: "does not run" not in (status(plan)["installed"][0]["problem"] or ""), "the daemon lives")
    schedule(plan, "run-now")
    wait_until(lambda: [r for r in plan.records("config") if r["status"] == "completed"], "a backup")
    schedule(plan, "enable")
    wait_until(lambda: status(plan)["well"], "well")
    wait_until(lambda: status(plan)["installed"][0]["triggers"][0]["next"], "a next time")
    wait_until(lambda: status(plan)["installed"][0]["triggers"][0]["last_status"] == "ok", "how it ended")
    daemon.terminate()
    equal(daemon.wait(30), 0, "end of the daemon")


# --- OpenClaw

@with_gateway
def test_openclaw_with_commands_runs_us_and_is_watched(box, m, plan):
    said = schedule(plan, "install")
    found = {j["declarationKey"]: j for j in m.jobs()}
    equal(sorted(found), ["clawback", "clawback-run-full"], "jobs")
    equal(found["clawback"]["schedule"], {"kind": "every", "everyMs": 7200000}, "schedule")
    equal(found["clawback"]["payload"]["argv"], [os.path.realpath(clawback_binary()), "run", "--wait", "-c", plan.file], "argv")
    check(found["clawback"]["enabled"], "enabled")
    items = {i["via"]: i for i in status(plan)["installed"]}
    equal([t["id"] for t in items["daemon"]["triggers"]], ["clawback-health"], "the watchdog's trigger")
    check(items["daemon"]["watchdog"], "watchdog")
    check("nothing independent watches OpenClaw" in said.err, "that it has to be started is said", said)


@with_gateway
def test_openclaw_with_commands_is_changed_in_place_and_only_where_it_differs(box, m, plan):
    schedule(plan, "install")
    ids = [j["id"] for j in m.jobs()]
    m.forget_calls()
    schedule(plan, "install")
    equal(m.changes(), [], "calls of a second installation")
    plan.write("  config: {every: 3h, files: [~/.openclaw], to: [usb]}\n  other: {every: 3h, files: [~/.openclaw], to: [usb]}")
    schedule(plan, "install")
    found = m.jobs()
    equal([j["id"] for j in found], ids[:1], "the same job, and no other")
    equal((found[0]["name"], found[0]["schedule"]["everyMs"]), ("clawback: config, other", 10800000), "job")


@with_gateway
def test_openclaw_with_commands_and_more_jobs_than_it_lists_at_once_is_asked_for_ours(box, m, plan):
    schedule(plan, "install")
    box.write("machine/page", "1")
    m.forget_calls()
    schedule(plan, "install")
    equal([c for c in m.changes() if '"cron", "get"' not in c], [], "calls that change anything")
    schedule(plan, "remove")
    equal(m.jobs(), [], "jobs")


@with_gateway
def test_openclaw_with_commands_is_switched_started_and_left(box, m, plan):
    schedule(plan, "install", "--disabled")
    equal({j["enabled"] for j in m.jobs()}, {False}, "disabled")
    schedule(plan, "install")
    equal({j["enabled"] for j in m.jobs()}, {True}, "enabled by another installation")
    schedule(plan, "disable")
    equal({j["enabled"] for j in m.jobs()}, {False}, "disabled")
    schedule(plan, "enable")
    equal({j["enabled"] for j in m.jobs()}, {True}, "enabled")
    schedule(plan, "run-now")
    check('openclaw ["cron", "run", "job-1"]' in m.calls(), "started", m.calls())
    schedule(plan, "remove", "--via", "openclaw")
    equal(m.jobs(), [], "jobs")
    equal([i["via"] for i in status(plan)["installed"]], ["daemon"], "left")


@with_gateway
def test_openclaw_with_commands_and_with_systemd_is_watched_by_a_timer(box, m, plan):
    schedule(plan, "install")
    equal(m.units(), ["clawback-health.service", "clawback-health.timer"], "units")
    equal(status(plan)["well"], True, "well")


@with_gateway
def test_openclaw_with_commands_whose_job_vanished_is_noticed(box, m, plan):
    schedule(plan, "install")
    os.unlink(box.path("machine/openclaw-jobs.json"))
    check("no job 'clawback: config'" in status(plan)["installed"][0]["problem"], "job", status(plan))
    m.stop_gateway()
    check("does not answer" in status(plan)["installed"][0]["problem"], "gateway", status(plan))


@with_gateway
def test_openclaw_with_commands_of_another_state_directory_is_left_alone(box, m, plan):
    schedule(plan, "install", "--via", "openclaw")
    before = m.jobs()
    box.env["CLAWBACK_STATE_DIR"] = box.path("elsewhere")
    refused = schedule(plan, "install", "--via", "openclaw", rc=1)
    check("OpenClaw has the schedule of another state directory" in refused.err, "refused", refused)
    equal((m.jobs(), status(plan)["installed"]), (before, []), "what is there")


@with_gateway
def test_openclaw_with_commands_that_was_uninstalled_is_forgotten(box, m, plan):
    schedule(plan, "install", "--via", "openclaw")
    os.unlink(os.path.join(m.dir, "bin/openclaw"))
    done = schedule(plan, "remove")
    check("is forgotten" in done.err and "openclaw cron rm" in done.err, "said", done)
    equal((status(plan)["installed"], m.crontab()), ([], ""), "what is left")


@with_gateway
def test_openclaw_with_commands_is_not_left_unwatched_in_silence(box, m, plan):
    schedule(plan, "install")
    check("nothing watches OpenClaw" in schedule(plan, "remove", "--via", "daemon").err, "said")
    shutil.rmtree(plan.agent)
    check("is gone" in schedule(plan, "remove").out, "a home that is no more is no obstacle")
    equal(status(plan)["installed"], [], "remembered")


@with_gateway
def test_openclaw_unkeyed_has_its_job_edited(box, m, plan):
    """Between the version that runs commands and the one that changes them in place."""
    schedule(plan, "install")
    argv = m.jobs()[0]["payload"]["argv"]
    check(argv[0] == "/usr/bin/env" and argv[1].startswith("PATH=/") and argv[-4:] == ["run", "--wait", "-c", plan.file],
          "variables in front of the command", argv)
    m.forget_calls()
    schedule(plan, "install")
    equal(m.changes(), [], "calls of a second installation")
    ids = [j["id"] for j in m.jobs()]
    plan.write("  other: {every: 3h, files: [~/.openclaw], to: [usb]}")
    schedule(plan, "install")
    job, = m.jobs()
    equal((job["id"], job["name"], job["schedule"]["everyMs"]), (ids[0], "clawback: other", 10800000), "job")
    schedule(plan, "remove")
    equal(m.jobs(), [], "jobs")


@with_gateway
def test_openclaw_of_old_gets_a_placeholder_and_sees_our_runs(box, m, plan):
    said = schedule(plan, "install", "--via", "openclaw")
    check("cannot run programs" in said.out, "said", said)
    job, = m.jobs()
    equal((job["enabled"], job["payload"]), (False, {"kind": "systemEvent", "text": "clawback"}), "placeholder")
    equal(sorted(jobs(box)), ["clawback", "clawback-health", "clawback-run-full"], "jobs of the daemon")
    m.forget_calls()
    schedule(plan, "install", "--via", "openclaw")
    equal(m.changes(), [], "calls of a second installation")
    plan.run()
    with open(os.path.join(plan.agent, "cron", "runs", job["id"] + ".jsonl")) as f:
        line, = [json.loads(text) for text in f]
    equal((line["jobId"], line["action"], line["status"]), (job["id"], "finished", "ok"), "line of the run log")
    check(line["ts"] == line["runAtMs"] + line["durationMs"], "times", line)
    equal((m.jobs()[0]["state"]["lastStatus"], m.jobs()[0]["state"]["lastRunAtMs"]), ("ok", line["runAtMs"]), "state")
    schedule(plan, "enable")
    check(not m.jobs()[0]["enabled"], "a placeholder is never enabled")
    schedule(plan, "remove")
    equal((m.jobs(), jobs(box)), ([], {}), "removed")


@with_gateway
def test_openclaw_of_old_is_not_chosen_by_itself(box, m, plan):
    schedule(plan, "install")
    equal([i["via"] for i in status(plan)["installed"]], ["daemon"], "chosen")
    equal(m.jobs(), [], "jobs")


def test_openclaw_that_is_not_there_is_refused(box):
    _, plan = make(box)
    one_line(schedule(plan, "install", "--via", "openclaw", rc=None), 1, "no openclaw command")
    check(not os.path.exists(os.path.join(box.home, ".local/state/clawback/schedule.json")), "nothing is remembered")


# --- all

def test_the_best_scheduler_that_is_there_is_chosen(box):
    m, plan = make(box, systemd=True)
    schedule(plan, "install")
    equal([i["via"] for i in status(plan)["installed"]], ["systemd"], "chosen")
    said = schedule(plan, "install", "--via", "daemon")
    check("systemd has a schedule, too" in said.out, "the other one is mentioned", said)


def test_nothing_installed_is_said(box):
    _, plan = make(box)
    found = schedule(plan, "status", rc=1)
    check("nothing starts backups" in found.out, "said", found)
    equal(status(plan), {"message_type": "schedule", "well": False, "installed": [], "handmade": []}, "for programs")
    for verb in ("remove", "enable", "disable", "run-now"):
        one_line(schedule(plan, verb, rc=None), 1, "no schedule is installed")


def test_a_plan_without_schedules_cannot_be_installed(box):
    _, plan = make(box)
    plan.write("  config: {files: [~/.openclaw], to: [usb]}")
    one_line(schedule(plan, "install", rc=None), 1, "no tier of the plan has a schedule")


def test_a_passphrase_that_a_scheduled_run_will_lack_is_warned_of(box):
    m, plan = make(box, systemd=True)
    text = open(plan.file).read().replace("{file: %s}" % plan.pass_file, "{env: MY_PHRASE}")
    box.write(plan.file, text)
    said = schedule(plan, "install", env={"MY_PHRASE": "correct horse battery staple"})
    check("environment variable" in said.err, "said", said)
    check("correct horse" not in "".join(m.unit(u) for u in m.units()), "no secret in a unit")


def test_scheduled_runs_get_what_they_need_of_the_environment_and_no_password(box):
    m, plan = make(box, systemd=True)
    said = schedule(plan, "install", env={"https_proxy": "http://me:hunter2@proxy:3128", "all_proxy": "http://proxy:3128",
                                          "DOCKER_HOST": "ssh://me@machine", "SECRET_OF_MINE": "x", "GNUPGHOME": "a\nb"})
    service = m.unit("clawback.service")
    for part in ("all_proxy=http://proxy:3128", "DOCKER_HOST=ssh://me@machine", "CLAWBACK_STATE_DIR=", "PATH=/"):
        check('Environment="%s' % part in service, part, service)
    check("hunter2" not in service and "SECRET" not in service and "GNUPGHOME" not in service, "left out", service)
    check("https_proxy holds a password" in said.err, "said", said)


def test_damaged_memory_is_refused_with_a_way_out(box):
    _, plan = make(box)
    for text in ("{", "[]", '{"version":1,"installed":[{"via":"moon"}]}',
                 '{"version":1,"installed":[{"via":"cron","triggers":[{"id":"x","schedule":{"kind":"every","everyMs":-1}}]}]}'):
        box.write(os.path.join(box.home, ".local/state/clawback/schedule.json"), text)
        one_line(schedule(plan, "remove", rc=None), 1, "schedule.json", "schedule install")


def test_what_is_wrong_on_the_command_line_is_said(box):
    _, plan = make(box)
    one_line(schedule(plan, "install", "--via", "moon", rc=None), 1, "moon")
    one_line(schedule(plan, "remove", "extra", rc=None), 1, "extra")
    one_line(schedule(plan, "run-now", "a", "b", rc=None), 1, "b")


if __name__ == "__main__":
    main()
