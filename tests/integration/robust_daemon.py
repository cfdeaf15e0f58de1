#!/usr/bin/env python3
# timeout: 1500
"""The daemon when everything goes wrong: killed at every system call and at random moments, on a disk that is full, and with more to do
than anybody asks of it. What is counted is what the jobs themselves saw: each due time was done exactly once, or is reported.

CLAWTEST_SOAK_S: how long the soak takes, instead of 20 seconds; with it all tests take their long form, in which each system call
and 40 random moments have their turn."""
import calendar
import collections
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import robust  # noqa: E402
from clawtest import check, clawback_binary, equal, main, needs_root, remove_tree, wait_until  # noqa: E402
from daemon_box import Daemon, command  # noqa: E402
from robust import in_parallel, sanitized  # noqa: E402

MIB = 1 << 20
LONG = "CLAWTEST_SOAK_S" in os.environ
WAITING = 4 * robust.WORKERS  # what is done at once that waits for due times most of the time


def effects(path):
    """Run IDs that jobs wrote, in order."""
    try:
        with open(path) as f:
            return f.read().split()
    except FileNotFoundError:
        return []


def effect(path):
    return "echo $CLAWBACK_RUN_ID >> '%s'" % path


def accounts_agree(daemon, job, seen, what):
    """The run log and what the job itself saw. Returns (starts, completed, failed)."""
    records = daemon.records(job)
    started = [r["runId"] for r in records if r["status"] == "started"]
    ended = [r for r in records if r["status"] in ("completed", "failed")]
    equal(len(set(started)), len(started), "%s: run IDs of job '%s'" % (what, job))
    equal(sorted(r["runId"] for r in ended), sorted(started), "%s: ends of the runs of job '%s'\n%s\n%s" %
          (what, job, records, daemon.said()[-2000:]))
    equal(len(set(seen)), len(seen), "%s: a run of job '%s' was carried out twice\n%s" % (what, job, seen))
    check(set(seen) <= set(started), "%s: job '%s' ran without a word in its log" % (what, job), seen, records)
    completed = [r["runId"] for r in ended if r["status"] == "completed"]
    check(set(completed) <= set(seen), "%s: a completed run of job '%s' was not carried out" % (what, job), seen, records)
    return len(started), len(completed), len(ended) - len(completed)


# ------------------------------------------------------------------------------------------------------ killed at every system call

def chain_jobs(daemon, name):
    due = time.time_ns() // 1000000 + (2500 if sanitized() else 700)
    daemon.write_jobs({
        "first": command(effect(daemon.box.path(name + "-first")), schedule={"kind": "at", "atMs": due}, onSuccess=["second"]),
        "second": command(effect(daemon.box.path(name + "-second")))})


def is_quiet(daemon, records=1):
    status = daemon.status()
    return not any(j["running"] for j in status["jobs"])


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def daemon_pid(daemon):
    """What was started is the program that watches it. 0: it did not get as far as to say."""
    try:
        with open(os.path.join(daemon.state, "daemon.lock")) as f:
            match = re.match(r"process (\d+) ", f.read())
    except FileNotFoundError:
        match = None
    return int(match.group(1)) if match else 0


def run_chain(daemon, before, name):
    """Until it is killed, or all is done."""
    chain_jobs(daemon, name)
    with open(daemon.stderr_path, "ab") as err:
        daemon.process = daemon.box.start(before + [clawback_binary(), "daemon", "--no-alerts"], env=daemon.env, stderr=err)
    end, pid, told = time.monotonic() + 90, 0, False
    while daemon.process.poll() is None and time.monotonic() < end:
        pid = pid or daemon_pid(daemon)
        if pid and not is_alive(pid):
            break
        if not told and pid and daemon.records("second", "completed"):
            os.kill(pid, signal.SIGTERM)
            told = True
        time.sleep(0.02)
    try:
        daemon.process.wait(2)
    except subprocess.TimeoutExpired:
        # The call was a job's, which now waits for an answer that does not come. Without the watcher it fails.
        daemon.process.kill()
        daemon.process.wait()


def test_killed_at_every_system_call(box):
    program = robust.fault_program()
    counting = Daemon(box, "count")
    run_chain(counting, [program, box.path("calls"), "none", "0"], "count")
    with open(box.path("calls")) as f:
        calls = f.read().splitlines()
    check(len(calls) > 40, "a daemon hardly changes files", calls)
    accounts_agree(counting, "first", effects(box.path("count-first")), "not killed")
    outcomes = collections.Counter()

    def one(n):
        name = "kill%d" % n
        daemon = Daemon(box, name)
        run_chain(daemon, [program, box.path(name + ".calls"), "kill", str(n)], name)
        what = "killed at call %d (%s)" % (n, calls[n - 1] if n <= len(calls) else "none")
        daemon.start("--no-alerts")
        wait_until(lambda: daemon.records("second", "completed") or daemon.records("second", "failed") or
                   daemon.records("first", "failed") or daemon.records("first", "skipped"), what + ": an end", 60)
        time.sleep(0.3)
        wait_until(lambda: is_quiet(daemon), what + ": quiet", 60)
        daemon.stop()
        first, second = effects(box.path(name + "-first")), effects(box.path(name + "-second"))
        starts, completed, failed = accounts_agree(daemon, "first", first, what)
        check(len(first) <= 1, "%s: done %d times" % (what, len(first)))
        equal(starts + len(daemon.records("first", "skipped")), 1, "%s: what became of the due time\n%s" %
              (what, daemon.records("first")))
        outcomes["completed" if completed else "failed" if failed else "skipped"] += 1
        starts, _, _ = accounts_agree(daemon, "second", second, what)
        equal(starts, 1 if completed else 0, "%s: runs of the follower\n%s\n%s" %
              (what, daemon.records("first"), daemon.records("second")))
        remove_tree(daemon.state)
    step = 9 if sanitized() else 1 if LONG else 3
    in_parallel(one, range(random.randint(1, step), len(calls) + 2, step), WAITING)
    check(outcomes["completed"] > sum(outcomes.values()) / 2, "most are done after all", outcomes)


# ------------------------------------------------------------------------------------------------------------ killed at any moment

GRID_MS = 1000


def grid_points(text, anchor):
    """Which points of the grid a line says were missed."""
    times = [calendar.timegm(time.strptime(t, "%Y-%m-%dT%H:%M:%SZ")) for t in re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)]
    first, last = (times[0], times[-1])
    return set(range(first - anchor // 1000, last - anchor // 1000 + 1))


def kill_at_random_moments(box, name, kills):
    chance = random.Random(name)
    daemon = Daemon(box, name)

    def place(job):
        return box.path("%s-%s" % (name, job))
    anchor = time.time_ns() // 10**9 * 1000  # whole seconds: run logs tell missed times by them
    jobs = {"job%d" % i: command(effect(place("job%d" % i)), schedule={"kind": "every", "everyMs": GRID_MS, "anchorMs": anchor})
            for i in range(4)}
    jobs["longer"] = command(effect(place("longer")) + "; sleep 0.7; " + effect(place("longer end")),
                             schedule={"kind": "every", "everyMs": GRID_MS, "anchorMs": anchor})
    jobs["bad"] = command(effect(place("bad")) + "; exit 1", schedule={"kind": "every", "everyMs": 3 * GRID_MS, "anchorMs": anchor},
                          retry={"times": 2, "afterMs": 1000})
    daemon.write_jobs(jobs)
    for i in range(kills):
        daemon.start("--no-alerts")
        if i % 2 == 0:
            time.sleep(chance.uniform(0, 1.6))
        else:  # around the moment in which everything happens
            now = time.time()
            time.sleep(max(0, int(now + 1.2) + chance.uniform(-0.005, 0.12) - now))
        daemon.kill()
        if i % 5 == 0:
            time.sleep(chance.uniform(0, 2.5))
    daemon.start("--no-alerts")
    time.sleep(3.5)
    daemon.stop()
    for job in list(jobs):
        starts, completed, failed = accounts_agree(daemon, job, effects(place(job)), "after %d kills" % kills)
        check(starts > kills / 4, "job '%s' hardly ran: %d times" % (job, starts))
        if job == "bad":
            continue
        records = daemon.records(job)
        missed = set()
        for r in records:
            if r["status"] == "skipped":
                missed |= grid_points(r["message"], anchor)
        at = [r["timestampMs"] for r in records if r["status"] == "started"]
        points = (at[-1] - anchor) // GRID_MS - (at[0] - anchor) // GRID_MS + 1
        told = [p for p in missed if (at[0] - anchor) // GRID_MS <= p <= (at[-1] - anchor) // GRID_MS]
        what = "job '%s': %d times were due, %d runs, %d reported as missed" % (job, points, starts, len(told))
        check(starts + len(told) >= points - 1, what, daemon.said()[-3000:])
        # One that was reported may be done after all, when the daemon is killed before it has saved that it is dealt with.
        check(starts + len(told) <= points + 2 + kills // 5, what, daemon.said()[-3000:])
        done = re.findall(r"job '%s' started, (?:due|made up for) (\S+)" % job, daemon.said())
        equal([d for d, n in collections.Counter(done).items() if n > 1], [], "times of job '%s' that were done twice" % job)


def test_killed_at_random_moments(box):
    daemons, kills = 3, 12 if sanitized() else 39 if LONG else 18
    in_parallel(lambda name: kill_at_random_moments(box, name, kills // daemons), ["d%d" % i for i in range(daemons)], daemons)


# --------------------------------------------------------------------------------------------------------------------- a full disk

def fill(disk):
    with open(os.path.join(disk, "filler"), "ab", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass


@needs_root
def test_a_full_disk(box):
    disk = box.mount_tmpfs("disk", "4m")
    daemon = Daemon(box)
    shutil.rmtree(daemon.state)
    daemon.state = os.path.join(disk, "state")
    daemon.jobs_path = os.path.join(daemon.state, "jobs.json")
    daemon.env["CLAWBACK_STATE_DIR"] = daemon.state
    os.mkdir(daemon.state)
    daemon.write_jobs({"job": command(effect(box.path("job")), every_ms=1000), "more": command(effect(box.path("more")), every_ms=1000)})
    daemon.start("--no-alerts")
    daemon.wait_records("job", 2)
    def stays_full():  # what replacing a file or our own spare space gives back is taken, too
        fill(disk)
        return "their lines are kept in memory" in daemon.said() and "some may run twice" in daemon.said()
    wait_until(stays_full, "the daemon to notice\n%s" % daemon.said()[-2000:], 90)
    count = len(effects(box.path("job")))
    wait_until(lambda: len(effects(box.path("job"))) >= count + 3, "runs on a full disk")
    check(daemon.status()["ok"], "requests on a full disk")
    with open(daemon.jobs_path) as f:
        check("\"more\"" in f.read(), "jobs.json is damaged")
    time.sleep(2)
    for trouble, over in (("kept in memory", "run logs can be written again"), ("some may run twice", "jobs is written again"),
                          ("state of jobs cannot be written", "the state of jobs in")):
        said = daemon.said()
        check(said.count(trouble) <= said.count(over) + 1, "'%s' is said %d times" % (trouble, said.count(trouble)), said)
    os.unlink(os.path.join(disk, "filler"))
    daemon.wait_said("run logs can be written again")
    daemon.wait_said("what is remembered of jobs is written again")
    daemon.wait_records("job", len(daemon.records("job", "completed")) + 2)
    wait_until(lambda: daemon.entry("job").get("state", {}).get("lastStatus") == "ok" and
               time.time() * 1000 - daemon.entry("job")["state"]["lastRunAtMs"] < 5000, "the state in jobs.json", 45)
    daemon.stop()
    for job in ("job", "more"):
        accounts_agree(daemon, job, effects(box.path(job)), "a full disk")
    # To start on a full disk.
    fill(disk)
    daemon.start("--no-alerts")
    count = len(effects(box.path("job")))
    wait_until(lambda: len(effects(box.path("job"))) >= count + 2, "runs after a start on a full disk")
    os.unlink(os.path.join(disk, "filler"))
    daemon.stop()
    for job in ("job", "more"):
        accounts_agree(daemon, job, effects(box.path(job)), "a full disk at the start")


# ------------------------------------------------------------------------------------------------------------------------- a soak

def memory_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def test_a_soak_of_short_jobs(box):
    seconds = int(os.environ.get("CLAWTEST_SOAK_S", "20"))
    count = 10 if sanitized() else 50
    daemon = Daemon(box)
    anchor = (time.time_ns() // 10**9 + 3) * 1000
    daemon.write_jobs({"job%d" % i: command("/bin/sh", "-c", effect(box.path("job%d" % i)),
                                            schedule={"kind": "every", "everyMs": 1000, "anchorMs": anchor + i * 1000 // count})
                       for i in range(count)})
    daemon.start("--no-alerts")
    time.sleep(max(10, seconds / 4))
    early = memory_kib(daemon.process.pid)
    most_fds = 0
    end = time.monotonic() + seconds - max(10, seconds / 4)
    while time.monotonic() < end:
        most_fds = max(most_fds, descriptors(daemon.process.pid))
        check(daemon.status()["ok"], "requests in between")
        time.sleep(0.5)
    late = memory_kib(daemon.process.pid)
    daemon.stop()
    check(sanitized() or late - early < 2048, "memory grew from %d to %d KiB" % (early, late))
    check(most_fds < 16 + 16 * 5 + 8, "%d descriptors" % most_fds)
    runs = lost = 0
    worst = 0
    for i in range(count):
        job = "job%d" % i
        starts = accounts_agree(daemon, job, effects(box.path(job)), "soak")[0]
        # What runs when the daemon is told to stop is stopped with it.
        equal([r for r in daemon.records(job, "failed") if not r.get("interrupted")], [], "failed runs of " + job)
        at = [r["timestampMs"] for r in daemon.records(job, "started")]
        late_by = [(ms - anchor - i * 1000 // count) % 1000 for ms in at]
        worst = max([worst] + late_by)
        gaps = (at[-1] - at[0] + 500) // 1000 + 1 - len(at)
        missed = daemon.records(job, "skipped")
        check(gaps <= 0 or missed, "job %s: %d times are neither done nor reported" % (job, gaps))
        runs += starts
        lost += gaps
    check(runs > count * (seconds - 8) * 0.9, "%d runs in %d s" % (runs, seconds))
    check(lost < runs * 0.02, "%d of %d times were missed" % (lost, runs))
    print("# %d runs, %d missed, the latest start %d ms late, %d KiB, %d descriptors at most" % (runs, lost, worst, late, most_fds))


if __name__ == "__main__":
    main()
