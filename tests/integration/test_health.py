#!/usr/bin/env python3
"""`clawback health`: finds what is wrong, in every form, tells it once, and works when nothing else does."""
import json
import os
import re
import signal
import sqlite3
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, main, needs_root  # noqa: E402
from plan_box import EVERY_2H, ROOM, Plan  # noqa: E402
from redisbox import Server  # noqa: E402


def health(box, plan, *args, **options):
    return box.run([clawback_binary(), "health", "-c", plan.file] + list(args), **options)


def findings(done, level=None):
    """{(rule, subject): finding} of health --json."""
    doc = done.json()
    equal(doc["message_type"], "health", "the kind of document")
    equal(done.rc, {"fine": 0, "info": 0, "warning": 1, "critical": 2}[doc["level"]], "the exit status is that of the worst")
    order = ["critical", "warning", "info", "fine"]
    levels = [order.index(f["level"]) for f in doc["findings"]]
    equal(levels, sorted(levels), "order of the findings")
    for f in doc["findings"]:
        check(f["level"] in ("fine", "info") or f["command"], "a complaint without a command", f)
    return {(f["rule"], f["subject"]): f for f in doc["findings"] if level in (None, f["level"])}


# --- what is found

def test_all_is_well(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    plan.run()
    done = health(box, plan, "--quick")
    check(done.out.startswith("all is well: ") and done.err == "", "the text", done)
    equal(health(box, plan, "--quick", "-q").out, "", "what a quiet one says")
    shown = health(box, plan, "--quick", "-v").out
    check("fine      " in shown and "config" in shown, "what a verbose one says", shown)
    equal(list(findings(health(box, plan, "--quick", "--json"), "warning")), [], "warnings")
    # All of it, on a machine where nothing was installed that would start the next run.
    done = health(box, plan, rc=1)
    check("-> clawback schedule" in " ".join(done.out.split()), "the scheduler", done)


def test_a_failed_run_is_critical_until_one_succeeds(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    os.rename(plan.pass_file, box.path("away"))
    plan.run(rc=1)
    done = health(box, plan, "--quick", rc=2)
    check(done.out.startswith("CRITICAL  config failed") and " -> clawback " in done.out.replace("\n", " "), "the text", done)
    found = findings(health(box, plan, "--quick", "--json", rc=2), "critical")
    check(("run-failed", "config") in found, "what is critical", found)
    check(found[("run-failed", "config")]["since"], "since when", found)
    os.rename(box.path("away"), plan.pass_file)
    plan.run("config")
    health(box, plan, "--quick")


def test_a_destination_that_is_gone(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    plan.run()
    os.rename(box.path("usb"), box.path("away"))
    found = findings(health(box, plan, "--quick", "--json", rc=2), "critical")
    check("not there" in found[("destination", "usb")]["text"], "what is critical", found)


def test_a_tier_that_nobody_runs_is_late(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    plan.run()
    path = os.path.join(box.home, ".local", "state", "clawback", "runs", "config.jsonl")
    long_ago = {"timestamp": "2026-02-04T06:00:00Z", "timestampMs": 1770184800000}
    box.write(path, "".join(json.dumps({**json.loads(line), **long_ago}) + "\n" for line in open(path)))
    found = findings(health(box, plan, "--quick", "--json", rc=2), "critical")
    check(("late", "config") in found, "what is critical", found)


def test_databases_that_cannot_be_dumped(box):
    server = Server(box, "redis")
    plan = Plan(box, """
  databases:
    every: 2h
    redis: [{url: "%s"}]
    to: [usb]
""" % server.url, more=ROOM % "")
    fine = findings(health(box, plan, "--json", rc=(0, 1)), "fine")
    equal([s for rule, s in fine if rule == "dump-failed"], ["redis at " + server.socket], "databases that are well")
    server.stop()
    bad = findings(health(box, plan, "--json", rc=(1, 2)), "warning")
    name = ("dump-failed", "redis at " + server.socket)
    check(name in bad and "cannot be dumped" in bad[name]["text"], "what is wrong", bad)
    equal([r for r, _ in findings(health(box, plan, "--json", "--quick", rc=(0, 1))) if r == "dump-failed"], [],
          "what a quick one asks")
    with open(plan.file) as f:
        text = f.read()
    box.write(plan.file, text.replace("health: {", "health: {dumps: false, "))
    equal([r for r, _ in findings(health(box, plan, "--json", rc=(0, 1))) if r == "dump-failed"], [], "what `dumps: false` asks")


# --- who is told

def told(box, plan, more="", tiers=EVERY_2H):
    """A plan whose alerts a command writes down; and a function that tells what it wrote."""
    log = box.path("told")
    script = box.write("tell", '#!/bin/sh\necho "$CLAWBACK_ALERT_LEVEL $CLAWBACK_ALERT_OVER $CLAWBACK_ALERT_RULE" >> %s\n' % log, 0o755)
    plan.more = ROOM % more + "alerts: {channels: {tell: {command: [%s]}}}\n" % script
    plan.write(tiers)
    return lambda: open(log).read().split("\n")[:-1] if os.path.exists(log) else []


def test_the_owner_is_told_once_and_when_it_is_over(box):
    plan = Plan(box, EVERY_2H)
    heard = told(box, plan)
    plan.run()
    equal(heard(), [], "what was told when all was well")
    os.rename(box.path("usb"), box.path("away"))
    health(box, plan, "--quick", "--no-alerts", rc=2)
    equal(heard(), [], "what was told though only a look was asked for")
    health(box, plan, "--quick", rc=2)
    health(box, plan, "--quick", rc=2)
    equal(heard(), ["critical 0 destination"], "what was told")
    os.rename(box.path("away"), box.path("usb"))
    health(box, plan, "--quick")
    equal(heard()[1:], ["critical 1 destination"], "what was told when it was over")


def test_what_could_not_be_sent_is_sent_by_the_next(box):
    plan = Plan(box, EVERY_2H)
    heard = told(box, plan)
    plan.run()
    os.rename(box.path("usb"), box.path("away"))
    script = box.path("tell")
    good = open(script).read()
    box.write(script, "#!/bin/sh\nexit 1\n", 0o755)
    health(box, plan, "--quick", rc=2)
    status = box.run([clawback_binary(), "status", "-c", plan.file, "--json"]).json()
    check(status["next_message"], "status does not tell of the message that waits", status)
    box.write(script, good, 0o755)
    equal(heard(), [], "what a command that fails was told")
    state = sqlite3.connect(os.path.join(box.home, ".local", "state", "clawback", "state.sqlite"))
    state.execute("update outbox set due_ms = 1")  # as if the minute were over
    state.commit()
    state.close()
    health(box, plan, "--quick", rc=2)
    equal(heard(), ["critical 0 destination"], "what was told at last")
    equal(box.run([clawback_binary(), "status", "-c", plan.file, "--json"]).json()["next_message"], None, "what waits")


# --- when nothing else works

def test_no_plan(box):
    done = box.run([clawback_binary(), "health"], rc=2)
    check("CRITICAL" in done.out and "-> clawback setup" in " ".join(done.out.split()), "the text", done)
    doc = box.run([clawback_binary(), "health", "--json"], rc=2).json()
    equal([f["rule"] for f in doc["findings"]], ["plan"], "findings")
    done = box.run([clawback_binary(), "health", "--nagios"], rc=3)
    check(done.out.startswith("UNKNOWN: "), "the plugin's line", done)
    box.write("claw.yaml", "tiers: 7\n")
    done = box.run([clawback_binary(), "health", "-c", box.path("claw.yaml"), "--prometheus", "-"], rc=2)
    equal(samples(done.out)["clawback_health_level"], {(): 2.0}, "the level")
    done = box.run([clawback_binary(), "health", "-c", box.path("claw.yaml")], rc=2)
    check("-> clawback config check -c " + box.path("claw.yaml") in " ".join(done.out.split()), "what to type", done)
    done = box.run([clawback_binary(), "health", "nonsense"], rc=1)
    check("takes no arguments" in done.err, "the message", done)


@needs_root
def test_a_full_disk(box):
    full = box.mount_tmpfs("full", "1m")
    plan = Plan(box, EVERY_2H)
    heard = told(box, plan)
    env = {"CLAWBACK_STATE_DIR": os.path.join(full, "state")}
    os.rename(plan.pass_file, box.path("away"))
    plan.run(rc=1, env=env)
    try:
        with open(os.path.join(full, "filler"), "wb") as f:
            for size in (1 << 16, 512, 1):
                while True:
                    f.write(b"x" * size)
                    f.flush()
    except OSError:
        pass
    found = findings(health(box, plan, "--quick", "--json", rc=2, env=env))
    equal(found[("run-failed", "config")]["level"], "critical", "the run that failed")
    equal(found[("state", "alerts")]["level"], "warning", "what is said of the alerts")
    before = heard()
    health(box, plan, rc=2, env=env)
    equal(heard()[len(before):], ["critical 0 run-failed"], "what was told past the outbox")


def test_a_state_directory_that_is_none(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    box.write("file", "")
    found = findings(health(box, plan, "--quick", "--json", rc=(1, 2), env={"CLAWBACK_STATE_DIR": box.path("file")}))
    equal(found[("state", "alerts")]["level"], "warning", "what is said of the alerts")


def test_a_destination_that_hangs(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    os.makedirs(box.path("usb"))
    os.mkfifo(box.path("usb", "clawback-destination.json"))  # whoever reads it waits for a writer
    start = time.monotonic()
    done = health(box, plan, "--quick", "--nagios", rc=2)
    check(time.monotonic() - start < 25, "it took %d s" % (time.monotonic() - start))
    check("CRITICAL: destination 'usb' is not ready: no answer" in done.out and "no answer within 6 seconds" in done.out, "the line", done)


def test_interrupted(box):
    """It ends soon, and what was not looked at opens no alert."""
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    os.makedirs(box.path("usb"))
    os.mkfifo(box.path("usb", "clawback-destination.json"))
    child = box.start([clawback_binary(), "health", "-c", plan.file])
    time.sleep(1)
    start = time.monotonic()
    child.send_signal(signal.SIGINT)
    equal(child.wait(20), 130, "exit status")
    check(time.monotonic() - start < 10, "it took too long to end")
    equal(child.stdout.read(), b"", "what it found")
    check(not os.path.exists(os.path.join(box.home, ".local", "state", "clawback", "state.sqlite")), "there are alerts")


# --- for programs

def test_nagios(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    plan.run()
    done = health(box, plan, "--quick", "--nagios")
    first = done.out.split("\n")[0]
    match = re.fullmatch(r"OK: [^|]+ \|((?: '[^'=]+'=[^ ]+)+)", first)
    check(match, "the line", first)
    data = {}
    for label, value in re.findall(r" '([^'=]+)'=([^ ]+)", match.group(1)):
        check(re.fullmatch(r"[0-9.]+(s|B)(;[0-9.]*){0,4}", value), "a value", value)
        data[label] = value
    equal(sorted(data), ["age config", "duration config", "size config", "used usb"], "labels")
    check(data["age config"].split(";")[2] == "9000", "from when on its age is critical", data)
    os.rename(plan.pass_file, box.path("away"))
    plan.run("config", rc=1)
    done = health(box, plan, "--quick", "--nagios", rc=2)
    check(done.out.startswith("CRITICAL: config failed"), "the line", done)


# A strict reader of the text format: https://prometheus.io/docs/instrumenting/exposition_formats/
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)\})? (-?[0-9]+(?:\.[0-9]+)?)" % (NAME, LABEL, LABEL))


def samples(text):
    """{name: {labels: value}}; families in one piece, HELP and TYPE before the samples."""
    check(text.endswith("\n"), "the last line has no end", text[-100:])
    found, types, current = {}, {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            check(re.fullmatch(NAME, current) and current not in types, "a family comes twice, or is no name", line)
            check(len(line.split(" ", 3)[3]) > 10, "no help", line)
            continue
        if line.startswith("# TYPE "):
            equal(line.split(" ")[2:], [current, "gauge"], "the type follows its help")
            types[current] = "gauge"
            found[current] = {}
            continue
        match = SAMPLE.fullmatch(line)
        check(match, "no sample", line)
        equal(match.group(1), current, "the family of a sample")
        labels = tuple((k, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), v))
                       for k, v in re.findall(LABEL, match.group(2) or ""))
        equal(len(set(k for k, _ in labels)), len(labels), "labels, each once")
        check(labels not in found[current], "a sample comes twice", line)
        found[current][labels] = float(match.group(match.lastindex))
        check(current.endswith(("_seconds", "_bytes")) or found[current][labels] < 200, "a unit", line)
    return found


def test_prometheus(box):
    plan = Plan(box, EVERY_2H + """
  never:
    files: [~/.openclaw]
    to: [usb]
""", more=ROOM % (", prometheus: %s" % box.path("out", "plan.prom")))
    plan.run()
    os.makedirs(box.path("out"))
    before = time.time()
    health(box, plan, "--quick", "--prometheus", box.path("out", "claw.prom"))
    equal(os.listdir(box.path("out")), ["claw.prom"], "what is in the directory")
    equal(stat.S_IMODE(os.stat(box.path("out", "claw.prom")).st_mode), 0o644, "its mode")
    found = samples(open(box.path("out", "claw.prom")).read())
    equal(found["clawback_health_level"], {(): 0.0}, "the level")
    success = found["clawback_tier_last_success_timestamp_seconds"]
    equal(list(success), [(("tier", "config"),)], "tiers that succeeded")
    check(before - 120 < success[(("tier", "config"),)] < before + 5, "when", success)
    equal(found["clawback_tier_last_run_exit_code"], {(("tier", "config"),): 0.0}, "exit codes")
    equal(found["clawback_destination_ready"], {(("destination", "usb"),): 1.0}, "destinations")
    equal(found["clawback_tier_running"], {(("tier", "config"),): 0.0, (("tier", "never"),): 0.0}, "running")
    check(found["clawback_destination_free_bytes"][(("destination", "usb"),)] > 1e6, "free space", found)
    # Without a file named, where the plan says; the words come all the same.
    done = health(box, plan, rc=(0, 1))
    check("fine" in done.out or "all is well" in done.out, "the text", done)
    found = samples(open(box.path("out", "plan.prom")).read())
    check("clawback_scheduler_alive" in found and "clawback_clock_sane" in found, "what only a whole look finds", found)
    equal(samples(health(box, plan, "--quick", "--prometheus", "-").out).keys() - found.keys(), set(), "families")
    done = health(box, plan, "--quick", "--prometheus", box.path("none", "x"), rc=1)
    check("cannot create" in done.err, "the message", done)


if __name__ == "__main__":
    main()
