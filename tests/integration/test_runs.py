#!/usr/bin/env python3
"""`clawback runs`: what became of the runs, from the logs alone."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, main, one_line, wait_until  # noqa: E402
from plan_box import Plan  # noqa: E402

DAY_MS = 86400000
BASE_MS = 1770184800000  # 2026-02-04T06:00:00Z


def logs(box):
    return box.mkdir("home", ".local", "state", "clawback", "runs")


def stamp(ms):
    return {"timestamp": "x", "timestampMs": ms}


def started(name, run, ms, pid=1, **more):
    return dict({"status": "started", "jobId": name, "runId": run, "pid": pid}, **stamp(ms), **more)


def ended(name, run, ms, status="completed", code=0, **more):
    return dict({"status": status, "jobId": name, "runId": run, "exitCode": code, "durationMs": 135000, "duration": "135s",
                 "backupSize": "850MB", "uploaded": True, "bytesProcessed": 850000000, "bytesAdded": 1200, "snapshots": [],
                 "sources": [], "destinations": []}, **stamp(ms), **more)


def append(box, log, *records):
    with open(os.path.join(logs(box), log + ".jsonl"), "a") as f:
        for record in records:
            f.write((record if isinstance(record, str) else json.dumps(record, separators=(",", ":"))) + "\n")


def runs(box, *args, **options):
    return box.run([clawback_binary(), "runs"] + list(args), **options)


def scene(box):
    append(box, "config", started("config", "aaaa000000000001", BASE_MS), ended("config", "aaaa000000000001", BASE_MS + 135000),
           started("config", "aaaa000000000002", BASE_MS + DAY_MS),
           ended("config", "aaaa000000000002", BASE_MS + DAY_MS + 135000, "failed", 1, error="disk full: 0.2GB free\nsay more",
                 retry="yes"))
    append(box, "git", started("git", "aaaa000000000001", BASE_MS + 200000),
           ended("git", "aaaa000000000001", BASE_MS + 400000, code=3, warnings=["/x: cannot be read"]))
    append(box, "backup", started("backup", "aaaa000000000001", BASE_MS - 1000, by="daemon"),
           ended("backup", "aaaa000000000001", BASE_MS + 500000, code=3, by="daemon", bytesProcessed=1700000000))
    # A tier's log and a job's may be one file.
    append(box, "config", started("config", "bbbb000000000001", BASE_MS + 5, by="daemon"),
           ended("config", "bbbb000000000001", BASE_MS + 600000, "skipped", by="daemon"))


def rows(result):
    return [line for line in result.out.splitlines() if line.startswith("20")]


def test_the_newest_come_first(box):
    scene(box)
    shown = runs(box)
    listed = rows(shown)
    equal(len(listed), 5, "rows")
    for row, words in zip(listed, [("config", "failed"), ("config (job)", "skipped"),
                                   ("backup (job)", "incomplete", "1.7 GB"), ("git", "incomplete"),
                                   ("config", "ok", "2m 15s", "850 MB")]):
        for word in words:
            check(word in row, "'%s' is not in '%s'" % (word, row))
    check(listed[-1].startswith("2026-02-04 06:00  aaaa0000  config"), "when it began, and its ID", listed[-1])
    for row, reason in ((listed[0], "disk full: 0.2GB free say more"), (listed[3], "/x: cannot be read")):
        check(row + "\n    " + reason + "\n" in shown.out, "what was the matter with '%s'" % row, shown)


def test_a_long_run_stands_where_it_began(box):
    append(box, "full", started("full", "a", BASE_MS), ended("full", "a", BASE_MS + 7200000, durationMs=7200000))
    append(box, "config", started("config", "b", BASE_MS + 3600000), ended("config", "b", BASE_MS + 3700000, durationMs=100000))
    append(box, "git", started("git", "c", BASE_MS + 7100000))
    equal([row.split()[3] for row in rows(runs(box))], ["git", "config", "full"], "the order")
    equal([json.loads(line)["jobId"] for line in runs(box, "--json", "--last", "2").out.splitlines()], ["git", "config"], "as JSON")


def test_by_name_by_time_by_outcome(box):
    scene(box)
    equal(len(rows(runs(box, "git"))), 1, "of git")
    equal(len(rows(runs(box, "git", "backup", "git"))), 2, "of both")
    equal(len(rows(runs(box, "--failed"))), 3, "failed or incomplete")
    equal(len(rows(runs(box, "--since", "2026-02-04 06:05"))), 4, "after a moment")
    equal(len(rows(runs(box, "--since", "2026-02-05"))), 1, "after a day")
    equal(len(rows(runs(box, "--since", "1h"))), 0, "in the last hour")
    equal(len(rows(runs(box, "--since", "2026-02-04T08:00:00+02:00", "--failed", "config"))), 1, "all at once")
    done = runs(box, "--last", "2")
    equal(len(rows(done)), 2, "the last two")
    check("the newest 2 of 5 runs" in done.out, "the footer", done)


def test_json_has_the_records_as_they_are(box):
    scene(box)
    append(box, "config", ended("config", "cccc000000000001", BASE_MS + 2 * DAY_MS, future={"a": [1]}))
    lines = [json.loads(line) for line in runs(box, "--json").out.splitlines()]
    equal(len(lines), 6, "records")
    equal(lines[0]["future"], {"a": [1]}, "a member that this program does not know")
    equal({line["message_type"] for line in lines}, {"run"}, "message types")
    equal([line.get("by") for line in lines], [None, None, "daemon", "daemon", None, None], "whose they are")


def test_one_run_with_everything(box):
    scene(box)
    append(box, "full", ended("full", "dddd000000000001", BASE_MS, code=3, warnings=["a warning"], snapshots=["4d5e6f70"],
                              sources=[{"name": "/home/x", "status": "completed", "bytes": 5, "files": 1234, "push": "3 updated"},
                                       {"name": "/redis/cache", "status": "skipped", "message": "not running"}],
                              destinations=[{"name": "usb", "status": "completed", "bytesAdded": 1024, "freeBytes": 2048,
                                             "totalBytes": 4096, "removed": 2, "verified": True},
                                            {"name": "nas", "status": "failed", "message": "not mounted"}]))
    text = runs(box, "--run", "dddd").out
    for word in ("run dddd000000000001", "full: incomplete", "2m 15s, exit status 3", "a warning", "4d5e6f70", "1,234",
                 "push: 3 updated", "not running", "usb", "1.0 kB", "2.0 kB", "yes", "not mounted"):
        check(word in text, "'%s' is not in the text" % word, text)
    text = runs(box, "--run", "aaaa000000000001").out
    order = [text.index(word) for word in ("config: ok", "git: incomplete", "backup (job): incomplete")]
    equal(order, sorted(order), "the order of the tiers and the job")
    equal(len(runs(box, "--json", "--run", "aaaa000000000001").out.splitlines()), 3, "records of the run")
    one_line(runs(box, "--run", "aaaa0000", rc=1), 1, "aaaa000000000001", "aaaa000000000002", "more digits")
    one_line(runs(box, "--run", "ffff", rc=1), 1, "no run log has a run 'ffff'")
    one_line(runs(box, "--run", "f", rc=1), 1, "too short")


def test_runs_that_did_not_end(box):
    append(box, "config", started("config", "a", BASE_MS), started("config", "b", BASE_MS + 1, pid=os.getpid()))
    append(box, "git", started("git", "c", BASE_MS, pid=2 ** 22 + 5))
    listed = rows(runs(box))
    equal(len(listed), 2, "one for each log")
    check("config" in listed[0] and "running" in listed[0], "this process lives", listed)
    check("git" in listed[1] and "did not end" in listed[1], "that one does not", listed)


def test_lines_that_are_no_records_and_hostile_text(box):
    scene(box)
    append(box, "git", '{"timestamp":"2026-02-04T10:00:00Z","status":"completed","jobId":"git"}', "\x00\xff junk",
           '{"status":7}', "", ended("git", "e", BASE_MS + DAY_MS, "failed", 1, error="\x1b[31mred\u202e\r\n\x07"))
    append(box, "git", '{"timestamp":"2026-02-04T11:00:00Z","sta')
    done = runs(box)
    equal(len(rows(done)), 7, "rows")
    check("\x1b" not in done.out and "\x07" not in done.out, "control characters", done)


def test_one_that_was_killed_has_the_time_it_began(box):
    append(box, "config", started("config", "a", BASE_MS),
           ended("config", "a", BASE_MS + DAY_MS, "failed", 1, error="never ended", interrupted=True, durationMs=0),
           started("config", "b", BASE_MS + DAY_MS + 1), ended("config", "b", BASE_MS + DAY_MS + 136000))
    append(box, "git", started("git", "c", BASE_MS + 5000), ended("git", "c", BASE_MS + 140000))
    listed = rows(runs(box))
    equal([row.split()[3] for row in listed], ["config", "git", "config"], "the order")
    check(listed[2].startswith("2026-02-04 06:00 ") and "interrupted" in listed[2], "when it began", listed)


def test_it_fits_the_terminal_and_a_pipe_gets_all(box):
    error = "long " * 100 + "end"
    append(box, "config", ended("config", "a" * 16, BASE_MS, "failed", 1, error=error))
    append(box, "clawback-run", ended("clawback-run", "b" * 16, BASE_MS, code=3, by="daemon", message="nothing"))
    append(box, "n" * 60, ended("n" * 60, "c" * 16, BASE_MS))
    for columns in (80, 100):
        narrow = runs(box, env={"COLUMNS": str(columns)})
        check(all(len(line) <= columns for line in narrow.out.splitlines()), "wider than %d columns" % columns, narrow)
        check(" ".join(narrow.out.split()).count("long") == 100 and "end\n" in narrow.out, "the reason", narrow)
        one = runs(box, "--run", "aaaa", env={"COLUMNS": str(columns)})
        check(all(len(line) <= columns for line in one.out.splitlines()[:6]), "one run, wider than %d columns" % columns, one)
    wide = runs(box).out
    check("    " + error + "\n" in wide and "n" * 60 in wide, "a file gets all of it", wide)
    check("1.2 kB" in wide, "what was added", wide)


def test_names_and_times_that_are_none(box):
    scene(box)
    one_line(runs(box, "nope", rc=1), 1, "'nope'")
    one_line(runs(box, "--since", "yesterday", rc=1), 1, "yesterday")
    one_line(runs(box, "--follow", "--run", "aaaa", rc=1), 1, "do not go together")
    equal(len(rows(box.run([clawback_binary(), "runs"], env={"CLAWBACK_STATE_DIR": box.path("empty")}))), 0, "nothing there")


def test_follow_sees_what_is_added_and_rotated(box):
    scene(box)
    out = open(box.path("followed"), "w+")
    child = box.start([clawback_binary(), "runs", "--follow", "--last", "1"], stdout=out)

    def shown():
        with open(box.path("followed")) as f:
            return f.read()
    wait_until(lambda: "disk full" in shown(), "what was there already")
    append(box, "config", started("config", "f1", BASE_MS + 2 * DAY_MS))
    wait_until(lambda: "config  started" in shown(), "a run that starts")
    append(box, "new", ended("new", "f2", BASE_MS + 2 * DAY_MS))
    wait_until(lambda: "new  ok in 2m 15s" in shown(), "a log that is new")
    # As record_append() rotates: the last lines into a new file, under the same name.
    path = os.path.join(logs(box), "config.jsonl")
    with open(path) as f:
        kept = f.readlines()[-3:]
    append(box, "config", ended("config", "f3", BASE_MS + 2 * DAY_MS + 1, "failed", 1, error="before the rotation"))
    with open(path) as f:
        kept = f.readlines()[-3:]
    with open(path + ".new", "w") as f:
        f.writelines(kept)
    os.rename(path + ".new", path)
    append(box, "config", ended("config", "f4", BASE_MS + 2 * DAY_MS + 2, "failed", 1, error="behind the rotation"))
    wait_until(lambda: "behind the rotation" in shown(), "a run after the rotation")
    for text in ("disk full", "before the rotation", "behind the rotation", "config  started"):
        equal(shown().count(text), 1, "how often '%s' was shown" % text)
    child.send_signal(signal.SIGINT)
    equal(child.wait(10), 130, "exit status")
    equal(child.stderr.read(), b"", "standard error")
    out.close()


def test_a_real_run_is_there(box):
    plan = Plan(box, "  config: {files: [%s], to: [usb], keep: {all: true}}" % box.path("home", ".openclaw"))
    plan.run("config", env={"CLAWBACK_RUN_ID": "0123456789abcdef"})
    listed = rows(runs(box))
    equal(len(listed), 1, "rows")
    check("config" in listed[0] and " ok " in listed[0], "the run", listed)
    record = json.loads(runs(box, "--json", "config").out)
    text = runs(box, "--run", record["runId"]).out
    for word in ("config: ok", "snapshots", record["snapshots"][0], "usb", "began", "ended"):
        check(word in text, "'%s' is not in the text" % word, text)


if __name__ == "__main__":
    main()
