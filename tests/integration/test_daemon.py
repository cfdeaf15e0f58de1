#!/usr/bin/env python3
"""The daemon as it is used: jobs in time, edits under its hands, restarts, requests, signals."""
import json
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import NOBODY, check, clawback_binary, equal, main, needs_root, once, one_line, wait_until  # noqa: E402
from daemon_box import FAR, Daemon, Manager, command  # noqa: E402
from plan_box import Plan  # noqa: E402

SLACK_MS = 1000


def now_ms():
    return time.time_ns() // 1000000


def starts(daemon, job):
    return [r["timestampMs"] for r in daemon.records(job, "started")]


def ends_pair_up(records):
    """Each start has one end, in turn: never two of a job at once, and none lost."""
    running = None
    for r in records:
        if r["status"] == "started":
            check(running is None, "two at once", records)
            running = r["runId"]
        elif r["status"] in ("completed", "failed"):
            equal(r["runId"], running, "the end of a run")
            running = None
    return running is None


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@once
def minute_daemon(box):
    """Runs by the minute; started early, looked at when the minute is over."""
    daemon = Daemon(box)
    daemon.write_jobs({"minute": command("true", schedule={"kind": "cron", "cron": "* * * * *"}),
                       "zone": command("true", schedule={"kind": "cron", "expr": "* * * * *", "tz": "Asia/Kathmandu"}),
                       "not now": command("true", schedule={"kind": "cron", "expr": "0 0 29 2 *"})})
    daemon.began_ms = now_ms()
    return daemon.start()


def test_intervals_are_kept(box):
    minute_daemon()
    daemon = Daemon(box)
    daemon.write_jobs({"tick": command("true", every_ms=1000), "slow": command("true", every_ms=2500)})
    daemon.start()
    daemon.wait_records("tick", 6)
    daemon.stop()
    at = starts(daemon, "tick")
    for i, ms in enumerate(at):
        late = ms - at[0] - 1000 * i
        check(-50 <= late <= SLACK_MS, "start %d was %d ms late" % (i, late), at)
    check(ends_pair_up(daemon.records("tick")), "a run has no end")
    check(len(starts(daemon, "slow")) >= 2, "the slower one", starts(daemon, "slow"))
    state = daemon.entry("tick")["state"]
    equal((state["lastStatus"], state["lastRunAtMs"]), ("ok", at[-1]), "the state in jobs.json")


def test_a_time_comes_once(box):
    daemon = Daemon(box)
    due = now_ms() + 1500
    daemon.write_jobs({"once": command("true", schedule={"kind": "at", "atMs": due}),
                       "gone": command("true", schedule={"kind": "at", "atMs": due}, deleteAfterRun=True)})
    daemon.start()
    daemon.wait_records("once")
    daemon.wait_records("gone")
    check(0 <= starts(daemon, "once")[0] - due <= SLACK_MS, "started %d ms late" % (starts(daemon, "once")[0] - due))
    daemon.stop()
    equal(daemon.entry("gone")["enabled"], False, "a job that is to be deleted after its run is disabled")
    daemon.start()
    time.sleep(1)
    daemon.stop()
    equal(len(starts(daemon, "once")), 1, "runs of a time that has come")


def test_jobs_json_is_read_again(box):
    daemon = Daemon(box)
    jobs = {"first": command("true", every_ms=1000)}
    daemon.write_jobs(jobs)
    daemon.start()
    # Replaced whole.
    daemon.write_jobs({**jobs, "second": command("true", every_ms=1000)})
    daemon.wait_records("second")
    # Written in place, by an editor that takes its time: half of it is no document.
    with open(daemon.jobs_path) as f:
        good = f.read()
    with open(daemon.jobs_path, "w") as f:
        f.write(good[:len(good) // 2])
        f.flush()
        os.fsync(f.fileno())
        time.sleep(0.5)
        f.write(good[len(good) // 2:])
    count = len(daemon.records("second", "completed"))
    daemon.wait_records("second", count + 2)
    # Torn, and it stays so: said once, the last good set goes on.
    with open(daemon.jobs_path, "w") as f:
        f.write(good[:len(good) // 2])
    daemon.wait_said("jobs that were known go on")
    count = len(daemon.records("second", "completed"))
    daemon.wait_records("second", count + 2)
    equal(daemon.said().count("jobs that were known go on"), 1, "how often a broken file is mentioned\n%s" % daemon.said())
    check(daemon.status()["fileProblem"], "the status does not tell of the broken file")
    with open(daemon.jobs_path) as f:
        equal(f.read(), good[:len(good) // 2], "what we do to a broken file")
    # An entry that is broken is left out.
    daemon.write_jobs({"first": command("true", every_ms=-5), "second": command("true", every_ms=1000)})
    daemon.wait_said("job 'first'")
    daemon.wait_said("can be read again")
    count = len(daemon.records("first", "completed"))
    daemon.wait_records("second", len(daemon.records("second", "completed")) + 2)
    check(len(daemon.records("first", "completed")) <= count + 1, "a broken entry goes on")
    equal(daemon.said().count("everyMs"), 1, "how often a broken entry is mentioned\n%s" % daemon.said())
    equal([m["job"] for m in daemon.status()["mistakes"]], ["first"], "mistakes by the status")
    equal(daemon.heartbeat()["mistakes"], 1, "mistakes by the heartbeat")
    # Gone, and back.
    os.unlink(daemon.jobs_path)
    daemon.wait_said("is gone")
    daemon.wait_records("second", len(daemon.records("second", "completed")) + 2)
    daemon.write_jobs({"third": command("true", every_ms=1000)})
    daemon.wait_records("third")
    time.sleep(0.5)
    count = len(starts(daemon, "second"))
    daemon.wait_records("third", 3)
    equal(len(starts(daemon, "second")), count, "runs of a job that is not there any more")
    daemon.stop()
    for job in ("first", "second", "third"):
        check(ends_pair_up(daemon.records(job)), "a run has no end")


def test_what_was_missed_is_made_up_for_once(box):
    daemon = Daemon(box)
    anchor = now_ms() - 500
    daemon.write_jobs({"kept": command("true", schedule={"kind": "every", "everyMs": 1000, "anchorMs": anchor}),
                       "let go": command("true", catchUp=False, schedule={"kind": "every", "everyMs": 1000, "anchorMs": anchor})})
    daemon.start()
    daemon.wait_records("kept", 2)
    daemon.stop()
    before = starts(daemon, "kept")[-1]
    time.sleep(3.2)
    daemon.start()
    restarted = now_ms()
    daemon.wait_records("kept", len(starts(daemon, "kept")) + 2)
    daemon.stop()
    after = [ms for ms in starts(daemon, "kept") if ms > before]
    check(after[0] - restarted < SLACK_MS, "made up for after %d ms" % (after[0] - restarted))
    skipped = daemon.records("kept", "skipped")
    equal(len(skipped), 1, "lines of missed times\n%s" % skipped)
    check("missed" in skipped[0]["message"], "why it was missed", skipped)
    # Each point of the grid from the first start to the last: done, made up for, or reported.
    missed = sum(int(r["message"].split("missed ")[1].split(" ")[0].replace("the", "1")) for r in skipped)
    points = round((after[-1] - starts(daemon, "kept")[0]) / 1000) + 1
    check(abs(len(starts(daemon, "kept")) + missed - points) <= 1, "%d times, %d runs, %d missed" %
          (points, len(starts(daemon, "kept")), missed), daemon.records("kept"))
    check(daemon.records("let go", "skipped"), "missed times of a job that does not catch up are reported")


def test_a_job_runs_never_twice_at_once(box):
    daemon = Daemon(box)
    daemon.write_jobs({"long": command("sleep 1.6", schedule={"kind": "every", "everyMs": 1000, "anchorMs": now_ms() - 500})})
    daemon.start()
    daemon.wait_records("long", 3)
    equal(daemon.run_now("long")["code"] if daemon.status("long")["running"] else "busy", "busy", "asking for a job that runs")
    daemon.stop()
    check(ends_pair_up(daemon.records("long")), "a run has no end", daemon.records("long"))
    check(any("still ran" in r["message"] for r in daemon.records("long", "skipped")), "what came meanwhile is reported",
          daemon.records("long"))


def test_no_more_than_sixteen_at_once(box):
    daemon = Daemon(box)
    daemon.write_jobs({"job%d" % i: command("sleep 1") for i in range(20)})
    daemon.start()
    for i in range(20):
        equal(daemon.run_now("job%d" % i)["ok"], True, "asking for job%d" % i)
    running = sum(j["running"] for j in daemon.status()["jobs"])
    check(10 <= running <= 16, "%d run at once" % running)
    for i in range(20):
        daemon.wait_records("job%d" % i)
    daemon.stop()
    events = sorted((r["timestampMs"], r["status"] == "started") for i in range(20) for r in daemon.records("job%d" % i))
    most = now = 0
    for _, started in events:
        now += 1 if started else -1
        most = max(most, now)
    check(10 <= most <= 16, "%d ran at once" % most)


def test_what_a_job_is_given(box):
    daemon = Daemon(box, NOTIFY_SOCKET="/nowhere", SECRET_OF_OURS="handed on")
    look = "import os,sys; print(sys.argv[1:], os.environ['CLAWBACK_JOB'], os.environ['CLAWBACK_RUN_ID'], os.getcwd(), " \
           "sys.stdin.read(), os.environ.get('NOTIFY_SOCKET'), os.environ['SECRET_OF_OURS'], os.nice(0), os.getpgid(0) == os.getpid(), " \
           "file=open(os.environ['OUT'], 'w'))"
    out = box.path("seen")
    daemon.write_jobs({
        "argv": {**command(sys.executable, "-c", look, "$HOME; `true`"), "payload": {
            "kind": "command", "argv": [sys.executable, "-c", look, "$HOME; `true`"], "cwd": box.dir, "env": {"OUT": out}}},
        "string": command("test -z \"$OUT\" && cd / && exit 7")})
    daemon.start(ready=False)
    wait_until(lambda: os.path.exists(os.path.join(daemon.state, "daemon.sock")), "the socket")
    daemon.run_now("argv")
    run = daemon.wait_records("argv")[0]
    with open(out) as f:
        seen = f.read().strip()
    equal(seen, "['$HOME; `true`'] argv %s %s  None handed on 10 True" % (run["runId"], box.dir), "what it sees")
    daemon.run_now("string")
    failed = daemon.wait_records("string", status="failed")[0]
    equal((failed["exitCode"], failed["error"], failed["retry"]), (7, "exited with status 7", "no"), "its record")
    daemon.stop()


def test_time_is_bounded_for_all_of_a_group(box):
    daemon = Daemon(box)
    script = box.write("stubborn", "#!/bin/sh\ntrap '' TERM\nsh -c \"trap '' TERM; echo \\$\\$ > %s; sleep 60\" &\n"
                       "echo $$ > %s\necho \"working \033[31mhard\" >&2\nwait\n" % (box.path("child"), box.path("parent")), 0o755)
    daemon.write_jobs({"stubborn": {**command(script, "x"), "timeoutMs": 1000}})
    daemon.start("--grace", "1s")
    daemon.run_now("stubborn")
    failed = daemon.wait_records("stubborn", status="failed")[0]
    check("took longer than 1s" in failed["error"] and failed["error"].endswith("working hard"), "the message", failed)
    check(2000 <= failed["durationMs"] < 30000, "it took %d ms" % failed["durationMs"])
    for name in ("child", "parent"):
        with open(box.path(name)) as f:
            pid = int(f.read())
        wait_until(lambda pid=pid: not alive(pid), "the end of the %s" % name)
    daemon.stop()


def test_jobs_follow_others(box):
    daemon = Daemon(box)
    daemon.write_jobs({"good": command("true", onSuccess=["after good"], onFailure=["after bad"]),
                       "bad": command("exit 2", onSuccess=["after good"], onFailure=["after bad"]),
                       "after good": command("true", onSuccess=["last"]), "after bad": command("true"),
                       "last": command("true"), "off": command("true", enabled=False)})
    daemon.start()
    daemon.run_now("good")
    daemon.wait_records("last")
    equal([len(starts(daemon, j)) for j in ("after good", "after bad")], [1, 0], "followers of a good run")
    daemon.run_now("bad")
    daemon.wait_records("after bad")
    equal(len(starts(daemon, "after good")), 1, "followers on success after a failure")
    equal(daemon.run_now("off")["ok"], True, "asking for a disabled job")
    daemon.wait_records("off")
    daemon.stop()


def test_a_failed_run_is_tried_again(box):
    daemon = Daemon(box)
    daemon.write_jobs({"third time": command("echo x >> %s; test $(wc -l < %s) -ge 3" % (box.path("count"), box.path("count")),
                                             retry={"times": 3, "afterMs": 1000}),
                       "never": command("exit 1", retry={"times": 1, "afterMs": 1000}),
                       "missing": command("/nowhere/at/all", "x")})
    daemon.start()
    for job in ("third time", "never", "missing"):
        equal(daemon.run_now(job)["ok"], True, job)
    daemon.wait_records("third time")
    daemon.wait_records("never", 2, "failed")
    equal([r["retry"] for r in daemon.records("third time", "failed")], ["yes", "yes"], "what failed runs say of another one")
    equal([r["retry"] for r in daemon.records("never", "failed")], ["yes", "no"], "what failed runs say of another one")
    missing = daemon.wait_records("missing", status="failed")[0]
    equal(missing["error"], "cannot start '/nowhere/at/all': No such file or directory", "a program that is not there")
    at = starts(daemon, "third time")
    check(900 <= at[1] - at[0] <= 1900 + SLACK_MS and 1900 <= at[2] - at[1] <= 2900 + SLACK_MS, "how long it waits", at)
    daemon.stop()


def test_a_text_is_noted(box):
    daemon = Daemon(box)
    daemon.write_jobs({"note": {"payload": {"kind": "systemEvent", "text": "Ask Glenn"}, "schedule": FAR}})
    daemon.start()
    daemon.run_now("note")
    note = daemon.wait_records("note")[0]
    check("Ask Glenn" in json.dumps(note), "the text is in the record", note)
    daemon.stop()


def test_requests(box):
    daemon = Daemon(box, name="a state directory whose path is longer than an address of a socket may be " + "x" * 60)
    daemon.write_jobs({"job": command("sleep 1", name="A job"), "off": command("true", enabled=False)})
    daemon.start()
    status = daemon.status()
    equal((status["ok"], status["pid"], status["jobsFile"], status["stopping"], status["mistakes"]),
          (True, daemon.process.pid, daemon.jobs_path, False, []), "the status")
    job = daemon.status("job")
    check(job["enabled"] and not job["running"] and job["lastStatus"] == "never" and job["name"] == "A job", "the job's status", job)
    check(3500000 < job["nextMs"] - now_ms() <= 3600000, "when it runs next", job)
    equal(daemon.status("off")["nextMs"], 0, "when a disabled job runs next")
    daemon.run_now("job")
    job = wait_until(lambda: (lambda j: j if j["running"] else None)(daemon.status("job")), "a running job")
    equal(job["runId"], daemon.records("job", "started")[0]["runId"], "the run's ID")
    equal(daemon.run_now("job")["code"], "busy", "asking for a job that runs")
    equal(daemon.run_now("no such")["code"], "not-found", "asking for a job that is not there")
    equal(daemon.reload(), {"ok": True, "jobs": 2, "mistakes": []}, "reading again")
    with open(daemon.jobs_path, "w") as f:
        f.write("{\"jobs\": [")
    equal(daemon.reload()["code"], "corrupt", "reading a broken file again")
    for line in (b"\n", b"{}\n", b"[1]\n", b"nonsense\n", b"\xff\xfe\n", b"{\"ask\":\"dance\"}\n", b"{\"ask\":7}\n",
                 b"{\"ask\":\"run-now\"}\n", b"{\"ask\":\"run-now\",\"job\":7}\n", b"[" * 50000 + b"\n", b"x" * 100000):
        equal(daemon.ask(line)["code"], "usage", "the answer to %r" % line[:30])
    equal(os.stat(os.path.join(daemon.state, "daemon.sock")).st_mode & 0o777, 0o600, "mode of the socket")
    # Those who say nothing cost nobody anything for long.
    mute = [socket.socket(socket.AF_UNIX) for _ in range(12)]
    directory = os.open(daemon.state, os.O_RDONLY)
    for s in mute:
        s.connect("/proc/self/fd/%d/daemon.sock" % directory)
    check(daemon.status()["ok"], "the status among the mute")
    for s in mute:
        s.close()
    os.close(directory)
    daemon.wait_records("job")
    daemon.stop()
    check(not os.path.exists(os.path.join(daemon.state, "daemon.sock")), "the socket is there after the end")


@needs_root
def test_strangers_are_not_heard(box):
    daemon = Daemon(box)
    daemon.write_jobs({"job": command("true")})
    daemon.start()
    for path in (box.dir, daemon.state):
        os.chmod(path, 0o755)
    os.chmod(os.path.join(daemon.state, "daemon.sock"), 0o666)
    answer_read, answer = os.pipe()
    pid = os.fork()
    if pid == 0:  # not by exec: nobody may not be able to get at Python
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.chdir(daemon.state)
            s = socket.socket(socket.AF_UNIX)
            s.connect("daemon.sock")
            os.write(answer, b"connected ")
            s.sendall(b'{"ask":"run-now","job":"job"}\n')
            os.write(answer, s.recv(100))
        finally:
            os._exit(0)
    os.close(answer)
    os.waitpid(pid, 0)
    with os.fdopen(answer_read, "rb") as f:
        equal(f.read(), b"connected ", "what a stranger is told")
    equal(starts(daemon, "job"), [], "runs for a stranger")
    daemon.stop()


def test_the_service_manager_hears_of_it(box):
    manager = Manager(box.path("manager"))
    daemon = Daemon(box, NOTIFY_SOCKET=manager.name, WATCHDOG_USEC="1000000")
    daemon.write_jobs({"job": command("true")})
    daemon.start()
    manager.wait_for("READY=1")
    manager.wait_for("STATUS=1 jobs, 0 running, next at 2")
    manager.wait_for("WATCHDOG=1", 4)
    daemon.write_jobs({"job": command("true"), "more": command("true")})
    os.kill(daemon.process.pid, signal.SIGHUP)
    manager.wait_for("RELOADING=1\nMONOTONIC_USEC=")
    manager.wait_for("READY=1", 2)
    wait_until(lambda: len(daemon.status()["jobs"]) == 2, "the new job")
    os.kill(daemon.process.pid, signal.SIGUSR1)
    daemon.stop()
    equal(manager.heard()[-1], "STOPPING=1", "the last word")
    heartbeat = daemon.heartbeat()
    equal((heartbeat["pid"], heartbeat["jobs"]), (daemon.process.pid, 2), "the heartbeat")
    check(heartbeat["startedMs"] <= heartbeat["tickMs"] <= heartbeat["stoppedMs"] <= now_ms(), "its times", heartbeat)


def test_the_journal_gets_priorities(box):
    daemon = Daemon(box)
    st = os.stat(box.write("state.stderr"))
    daemon.write_jobs({"job": command("exit 1"), "broken": {}})
    daemon.start(env={"JOURNAL_STREAM": "%d:%d" % (st.st_dev, st.st_ino)})
    daemon.run_now("job")
    daemon.wait_records("job", status="failed")
    daemon.stop()
    lines = daemon.said().splitlines()
    check(any(line.startswith("<6>") and "'job' started" in line for line in lines), "an event", daemon.said())
    check(any(line.startswith("<4>") and "'broken'" in line for line in lines), "a warning", daemon.said())
    check(any(line.startswith("<3>") and "failed" in line for line in lines), "an error", daemon.said())
    with open(os.path.join(daemon.state, "clawback.log")) as f:
        log = f.read()
    check("job 'job' failed" in log and "error daemon[" in log and "<3>" not in log, "the log", log)
    # Standard error was led elsewhere.
    daemon.start(env={"JOURNAL_STREAM": "%d:%d" % (st.st_dev, st.st_ino + 1)})
    daemon.stop()
    check(not daemon.said().splitlines()[-1].startswith("<"), "a priority where no journal listens", daemon.said())


def test_running_jobs_end_with_the_daemon(box):
    daemon = Daemon(box)
    polite = "trap 'sleep 0.3; echo bye > %s; exit 130' TERM; echo $$ > %s; while :; do sleep 0.05; done"
    deaf = "trap '' TERM; echo $$ > %s; while :; do sleep 0.05; done" % box.path("deaf")
    daemon.write_jobs({"polite": command(polite % (box.path("bye"), box.path("polite")), retry={"times": 1, "afterMs": 1000}),
                       "deaf": command(deaf)})
    daemon.start("--grace", "1500ms")
    for job in ("polite", "deaf"):
        daemon.run_now(job)
        wait_until(lambda job=job: os.path.exists(box.path(job)) and os.path.getsize(box.path(job)) > 0, "the start of " + job)
    daemon.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    equal(daemon.run_now("polite")["code"], "busy", "a request while it stops")
    daemon.ended()
    check(os.path.exists(box.path("bye")), "the job had no time to clean up")
    for job in ("polite", "deaf"):
        failed = daemon.records(job, "failed")
        check(len(failed) == 1 and failed[0]["interrupted"] and "daemon" in failed[0]["error"], "its record", failed)
        with open(box.path(job)) as f:
            pid = int(f.read())
        check(not alive(pid), "%s still runs" % job)
    equal(daemon.records("polite", "failed")[0]["retry"], "yes", "another attempt after the restart")
    # Which comes.
    os.unlink(box.path("polite"))
    daemon.start()
    daemon.wait_records("polite", 2, "started")
    wait_until(lambda: os.path.exists(box.path("polite")), "the second attempt")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.ended()


def test_one_daemon_a_state_directory(box):
    daemon = Daemon(box)
    daemon.write_jobs({})
    daemon.start()
    done = box.run([clawback_binary(), "daemon"], rc=None, env=daemon.env, timeout=30)
    one_line(done, 11, "another daemon is running: process %d since 2" % daemon.process.pid)
    daemon.stop()
    daemon.start()
    daemon.kill()
    daemon.start()
    daemon.stop()
    done = box.run([clawback_binary(), "daemon", "x"], rc=None, env=daemon.env, timeout=30)
    one_line(done, 1, "takes no arguments")


def test_hostile_job_files(box):
    daemon = Daemon(box)
    good = {"job": command("true", every_ms=1000)}
    daemon.write_jobs(good)
    daemon.start()
    daemon.wait_records("job")
    hostile = {
        "a long one": b"[" + b"{\"id\":\"x\"}," * 600000 + b"]", "a deep one": b"[" * 100000, "zeros": b"\0" * 10000,
        "nothing": b"", "no UTF-8": b"{\"jobs\":[{\"id\":\"\xff\xff\"", "another document": b"[1, 2, \"three\", null]",
        "numbers": b"{\"jobs\":[{\"id\":\"n\",\"schedule\":{\"kind\":\"every\",\"everyMs\":1e308}},"
                   b"{\"id\":\"m\",\"schedule\":{\"kind\":\"at\",\"atMs\":-9223372036854775809}}]}",
        "names": json.dumps({"jobs": [{"id": i, "payload": {"kind": "command", "argv": ["touch", box.path("touched")]},
                                       "schedule": {"kind": "every", "everyMs": 1000}}
                                      for i in ("../../escape", "a\0b", "\033[2J", "x" * 10000, "", ".", "..")]}).encode(),
    }
    for name, content in hostile.items():
        box.write(daemon.jobs_path + ".new", content)
        os.rename(daemon.jobs_path + ".new", daemon.jobs_path)
        check(daemon.status()["ok"], "it does not answer after '%s'" % name)
        daemon.reload()
        with open(daemon.jobs_path, "rb") as f:
            equal(f.read() == content, True, "'%s' is as it was" % name)
    for make in (os.mkdir, os.mkfifo, lambda p: os.symlink("/dev/zero", p), lambda p: os.symlink(p, p)):
        try:
            os.unlink(daemon.jobs_path)
        except IsADirectoryError:
            os.rmdir(daemon.jobs_path)
        make(daemon.jobs_path)
        equal(daemon.reload()["ok"], False, "reading what is no file")
    os.unlink(daemon.jobs_path)
    daemon.write_jobs(good)
    equal(daemon.reload()["ok"], True, "a good one again")
    daemon.wait_records("job", len(daemon.records("job", "completed")) + 2)
    daemon.stop()
    check("\033" not in daemon.said() and "\0" not in daemon.said(), "control characters get into the log")
    runs = os.path.join(daemon.state, "runs")
    for name in os.listdir(runs):
        check(os.path.isfile(os.path.join(runs, name)) and name.endswith(".jsonl"), "what is in runs/", os.listdir(runs))
    check(not os.path.exists(box.path("escape.jsonl")) and not os.path.exists(os.path.join(daemon.state, "escape.jsonl")),
          "a name led out of the directory")


def test_a_state_directory_that_is_removed_is_taken_again(box):
    daemon = Daemon(box)
    jobs = {"job": command("true", every_ms=1000)}
    daemon.write_jobs(jobs)
    daemon.start()
    daemon.wait_records("job")
    os.rename(daemon.state, daemon.state + ".gone")
    daemon.wait_said("it is made again")
    daemon.write_jobs(jobs)
    daemon.wait_said("can be read again")
    daemon.wait_records("job")
    check(daemon.status("job")["nextMs"], "the status afterwards")
    one_line(box.run([clawback_binary(), "daemon"], rc=None, env=daemon.env, timeout=30), 11, "another daemon is running")
    # Another one was quicker.
    os.unlink(os.path.join(daemon.state, "daemon.lock"))
    first = daemon.process
    daemon.start()
    daemon.process, second = first, daemon.process
    os.unlink(daemon.jobs_path)
    daemon.ended()
    check("another daemon has this state directory" in daemon.said(), "why it ends", daemon.said())
    daemon.process = second
    daemon.stop()


def test_what_a_killed_daemon_left_running(box):
    daemon = Daemon(box)
    daemon.write_jobs({"long": command("echo $$ >> %s; sleep 4" % box.path("long"), every_ms=1000),
                       "dies": command("echo $$ >> %s; sleep 60" % box.path("dies"), retry={"times": 1, "afterMs": 1000})})
    daemon.start()
    daemon.wait_records("long", status="started")
    daemon.run_now("dies")
    wait_until(lambda: os.path.exists(box.path("dies")) and os.path.getsize(box.path("dies")) > 0, "the start")
    wait_until(lambda: os.path.exists(box.path("long")) and os.path.getsize(box.path("long")) > 0, "the start")
    daemon.kill()
    with open(box.path("dies")) as f:
        os.killpg(int(f.read()), signal.SIGKILL)
    daemon.start()
    daemon.wait_said("still runs, since before")
    check(daemon.status("long")["running"], "the status of what was left over")
    equal(daemon.run_now("long")["code"], "busy", "asking for what was left over")
    failed = daemon.wait_records("dies", status="failed")[0]
    check(failed["interrupted"] and "killed" in failed["error"] and failed["retry"] == "yes", "the end that was missing", failed)
    daemon.wait_records("dies", 2, "started")
    daemon.wait_records("long", 2, "started")
    records = daemon.records("long")
    equal([r["status"] for r in records if r["status"] != "skipped"][:3], ["started", "failed", "started"], "the run that was left over")
    check(daemon.records("long", "failed")[0]["durationMs"] >= 3500, "how long it took", records)
    check(any("still ran" in r["message"] for r in daemon.records("long", "skipped")), "what came meanwhile is reported", records)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.ended()
    check(ends_pair_up(daemon.records("long")), "runs of one job overlap", daemon.records("long"))


def test_a_run_that_is_left_over_is_found_behind_all_that_came_since(box):
    daemon = Daemon(box)
    daemon.write_jobs({"long": command("echo $$ >> %s; exec sleep 60" % box.path("long"))})
    daemon.start()
    daemon.run_now("long")
    wait_until(lambda: os.path.exists(box.path("long")) and os.path.getsize(box.path("long")) > 0, "the start")
    daemon.kill()
    now = int(time.time() * 1000)
    with open(os.path.join(daemon.state, "runs", "long.jsonl"), "a") as f:
        for i in range(25000):  # more than is kept, and larger than a log may become
            f.write('{"timestampMs":%d,"status":"skipped","jobId":"long","by":"daemon","message":"missed"}\n' % (now + i))
    daemon.start()
    daemon.wait_said("still runs, since before")
    equal(daemon.run_now("long")["code"], "busy", "asking for what was left over")
    with open(box.path("long")) as f:
        pids = f.read().split()
    equal(len(pids), 1, "starts")
    os.kill(int(pids[0]), signal.SIGKILL)
    failed = daemon.wait_records("long", status="failed")[0]
    equal(failed["runId"], daemon.records("long", "started")[-1]["runId"], "the start, in a log that was cut meanwhile")
    equal(daemon.records("long")[0]["status"], "started", "the log's first line")
    daemon.stop()


# Part 6, step 2, but for the script's place; and the entry of part 4, with the comma that it lacks.
DOCUMENT = """[{
  "id": "backup-every-2-hours",
  "agentId": "main",
  "name": "Automated Full System Backup (Every 2 Hours)",
  "enabled": false,  // START AS FALSE until tested
  "createdAtMs": 1738580000000,
  "updatedAtMs": 1738580000000,
  "schedule": {
    "kind": "interval",
    "intervalMs": 7200000  // 2 hours = 2 * 60 * 60 * 1000
  },
  "sessionTarget": "system",  // Run as system event, not in main session
  "wakeMode": "immediate",     // Don't wait for heartbeat, run immediately
  "payload": {
    "kind": "systemEvent",
    "command": "%s"
  },
  "state": {
    "lastRunAtMs": null,
    "lastStatus": "pending",
    "lastDurationMs": 0
  }
},
{
  "id": "unique-job-id",
  "agentId": "main",
  "name": "Descriptive job name",
  "enabled": true,
  "schedule": {
    "kind": "interval",        // or "at" for one-time
    "intervalMs": 7200000      // 2 hours in milliseconds
  },
  "sessionTarget": "main",
  "wakeMode": "next-heartbeat", // or "immediate"
  "payload": {
    "kind": "systemEvent",
    "text": "Command or action to run"
  }
}]
"""


def test_the_jobs_of_the_planning_document_run(box):
    plan = Plan(box, "  all: {every: 2h, files: [~/.openclaw], to: [usb], keep: {within: 7d}}")
    daemon = Daemon(box)
    plan.box.env["CLAWBACK_STATE_DIR"] = daemon.state
    script = box.write("backup-all.sh", "#!/bin/bash\nset -e\n%s run -c %s\n" % (clawback_binary(), plan.file), 0o755)
    text = DOCUMENT % script
    daemon.write_jobs(text)
    daemon.start()
    equal([(j["id"], j["enabled"], j["nextMs"] > now_ms()) for j in daemon.status()["jobs"]],
          [("backup-every-2-hours", False, False), ("unique-job-id", True, True)], "the jobs")
    equal(daemon.status()["mistakes"], [], "mistakes")
    # Tested by hand, then enabled.
    daemon.run_now("backup-every-2-hours")
    done = daemon.wait_records("backup-every-2-hours", seconds=120)[0]
    started = daemon.records("backup-every-2-hours", "started")[0]
    equal([started[k] for k in ("status", "jobId")], ["started", "backup-every-2-hours"], "the first line")
    for key, kind in (("timestamp", str), ("duration", str), ("backupSize", str), ("uploaded", bool), ("durationMs", int),
                      ("bytesProcessed", int), ("bytesAdded", int), ("snapshots", list), ("destinations", list), ("exitCode", int)):
        check(isinstance(done[key], kind), "the member '%s'" % key, done)
    check(done["uploaded"] and done["duration"].endswith("s") and done["backupSize"].endswith("KB"), "its form", done)
    equal((started["timestamp"][10], started["timestamp"][-1], len(started["timestamp"])), ("T", "Z", 20), "the time's form")
    text = text.replace('"enabled": false', '"enabled": true')
    wait_until(lambda: daemon.entry_text("lastStatus") == "ok", "the state in jobs.json")
    with open(daemon.jobs_path) as f:
        now = f.read()
    equal([line for line in now.splitlines() if '"last' not in line],
          [line for line in text.replace('"enabled": true,  //', '"enabled": false,  //').splitlines() if '"last' not in line],
          "all but the state, comments and all")
    daemon.write_jobs(now.replace('"enabled": false', '"enabled": true'))
    wait_until(lambda: daemon.status("backup-every-2-hours")["nextMs"] > now_ms(), "its next time, once it is enabled")
    check(daemon.status("backup-every-2-hours")["nextMs"] <= now_ms() + 7200000, "which is within two hours", daemon.status())
    daemon.run_now("unique-job-id")
    equal(daemon.wait_records("unique-job-id")[0]["message"], "Command or action to run", "what is noted")
    # It fails: the document's members of that, too.
    box.write("backup-all.sh", "#!/bin/bash\necho no space >&2\nexit 1\n", 0o755)
    daemon.run_now("backup-every-2-hours")
    failed = daemon.wait_records("backup-every-2-hours", status="failed")[0]
    equal((failed["error"], failed["retry"]), ("exited with status 1: no space", "no"), "the failure")
    daemon.stop()


def test_backups_as_jobs(box):
    plan = Plan(box, "  all: {every: 2h, files: [~/.openclaw], to: [usb], keep: {within: 7d}}")
    daemon = Daemon(box)
    plan.box.env["CLAWBACK_STATE_DIR"] = daemon.state
    more = box.write("more.sh", "#!/bin/sh\nexec %s run all -c %s\n" % (clawback_binary(), plan.file), 0o755)
    daemon.write_jobs({"backup": command(clawback_binary(), "run", "--wait", "-c", plan.file),
                       "script": command(more, "x"), "named": command(clawback_binary(), "run", "nothing", "-c", plan.file)})
    daemon.start()
    daemon.run_now("backup")
    done = daemon.wait_records("backup", seconds=120)[0]
    tier = plan_records(daemon, "all")[-1]
    equal(tier["runId"], done["runId"], "the run's ID in the tier's record")
    for key in ("bytesProcessed", "bytesAdded", "snapshots", "uploaded"):
        equal(done[key], tier[key], key)
    check(done["bytesProcessed"] > 9000 and done["exitCode"] == 0 and done["snapshots"], "the sums", done)
    equal([(d["name"], d["status"]) for d in done["destinations"]], [("usb", "completed")], "the destinations")
    # By way of a script.
    daemon.run_now("script")
    done = daemon.wait_records("script", seconds=120)[0]
    equal(done["snapshots"], plan_records(daemon, "all")[-1]["snapshots"], "snapshots by way of a script")
    daemon.run_now("named")
    failed = daemon.wait_records("named", status="failed", seconds=120)[0]
    check("there is no tier 'nothing'" in failed["error"] and failed["exitCode"] == 1, "a run that is refused", failed)
    daemon.stop()


def plan_records(daemon, tier):
    with open(os.path.join(daemon.state, "runs", tier + ".jsonl")) as f:
        lines = [json.loads(line) for line in f]
    return [r for r in lines if "by" not in r and r["status"] != "started"]


def test_cron_expressions_come_by_the_minute(box):
    daemon = minute_daemon()
    for job in ("minute", "zone"):
        daemon.wait_records(job, seconds=90)
        first = starts(daemon, job)[0]
        due = (daemon.began_ms // 60000 + 1) * 60000
        late = first - due
        check(0 <= late <= SLACK_MS or 0 <= late - 60000 <= SLACK_MS and due - daemon.began_ms < 2000, "started %d ms late" % late)
    equal(starts(daemon, "not now"), [], "runs on another day")
    daemon.stop()


if __name__ == "__main__":
    main()
