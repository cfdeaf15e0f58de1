#!/usr/bin/env python3
"""`clawback status`: one screen, once or watched."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, fingerprint, main  # noqa: E402
from plan_box import EVERY_2H, ROOM, Plan  # noqa: E402
from redisbox import Server  # noqa: E402


def status(box, plan, *args, **options):
    return box.run([clawback_binary(), "status", "-c", plan.file] + list(args), **options)


def test_one_screen(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    first = status(box, plan).out
    check("never ran" in first and "due" in first, "before the first run", first)
    for i in range(3):
        box.write(os.path.join(plan.agent, "data %d" % i), os.urandom(200000))
        plan.run("config")
    shown = status(box, plan).out
    check(re.search("[▁▂▃▄▅▆▇]+█", shown), "the history", shown)
    check(re.search(r"usb  [█░]{20}  [0-9]+ % used, [0-9.]+ [kMGTP]B of [0-9.]+ [kMGTP]B free; ", shown), "the destination", shown)
    check("scheduler: none installed" in shown and "clawback schedule install" in shown, "the scheduler", shown)
    check("last restore proof: none yet" in shown, "the proof", shown)
    check("problem" not in shown, "problems where there are none", shown)
    told = status(box, plan, "--json").json()
    equal([told["problems"], told["alerts"], told["schedulers"], told["last_proof"], told["next_message"], told["runner"]],
          [[], [], [], None, None, None], "members")
    tier = told["tiers"][0]
    equal([tier["outcome"], len(tier["sizes"]), tier["exit_code"]], ["ok", 3, 0], "the tier")
    check(tier["sizes"] == sorted(tier["sizes"]) and tier["late_at"] > tier["next_due"] > tier["last_run"], "the tier", tier)


def test_a_run_that_was_killed(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    path = os.path.join(box.mkdir("home", ".local", "state", "clawback", "runs"), "config.jsonl")
    box.write(path, json.dumps({"timestamp": "x", "timestampMs": int(time.time() * 1000) - 3600000, "status": "started",
                                "jobId": "config", "runId": "a" * 16, "pid": 1}) + "\n", 0o600)
    shown = status(box, plan).out
    check(re.search("config +interrupted +1h ago", shown) and "never ran" not in shown, "the tier", shown)
    equal(status(box, plan, "--json").json()["tiers"][0]["outcome"], "interrupted", "for programs")


def test_a_schedule_that_was_made_by_hand(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    tools = box.mkdir("tools")
    box.write(os.path.join(tools, "crontab"), "#!/bin/sh\necho '5 * * * * /usr/bin/clawback run'\n", 0o755)
    env = {"PATH": tools + ":" + os.environ["PATH"]}
    shown = status(box, plan, env=env).out
    check("scheduler: this user's crontab, set up by hand" in shown, "status", shown)
    told = box.run([clawback_binary(), "schedule", "status", "-c", plan.file], env=env)
    check("this user's crontab: set up by hand" in told.out and "nothing starts" not in told.out, "schedule status", told)
    told = box.run([clawback_binary(), "schedule", "status", "--json", "-c", plan.file], env=env).json()
    check(told["well"] and "this user's crontab" in told["handmade"], "for programs", told)


def test_it_writes_nothing(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    status(box, plan)
    check(not os.path.exists(os.path.join(box.home, ".local")), "a state directory was made")
    plan.run()
    before = fingerprint(os.path.join(box.home, ".local", "state", "clawback", "runs")), fingerprint(box.path("usb"))
    status(box, plan)
    after = fingerprint(os.path.join(box.home, ".local", "state", "clawback", "runs")), fingerprint(box.path("usb"))
    equal(after, before, "what is there")


def test_alerts_of_what_only_health_asks(box):
    server = Server(box, "redis")
    plan = Plan(box, """
  databases:
    every: 2h
    redis: [{url: "%s"}]
    to: [usb]
""" % server.url, more=ROOM % "")
    plan.run()
    server.stop()
    equal(status(box, plan, "--json").json()["problems"], [], "problems before health looked")
    box.run([clawback_binary(), "health", "-c", plan.file], rc=(1, 2))
    told = status(box, plan, "--json").json()
    alerts = {a["rule"]: a for a in told["alerts"]}
    check(alerts["dump-failed"]["open"] and alerts["dump-failed"]["command"], "the alert", told)
    check(any("cannot be dumped" in p for p in told["problems"]), "problems", told)
    shown = status(box, plan).out
    check("problems:" in shown and "warning: " in shown and "    -> clawback " in shown, "the screen", shown)


def test_worst_first(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    plan.run()
    path = os.path.join(box.home, ".local", "state", "clawback", "runs", "config.jsonl")
    # One that never ended, and a destination that is gone: a warning and something critical.
    begun = {**json.loads(open(path).readline()), "runId": "00112233445566aa", "pid": 0x3fffffff}
    with open(path, "a") as f:
        f.write(json.dumps(begun) + "\n")
    os.rename(box.path("usb"), box.path("away"))
    levels = [a["level"] for a in status(box, plan, "--json").json()["alerts"]]
    check("critical" in levels and "warning" in levels, "levels", levels)
    equal(levels, sorted(levels), "order")  # critical comes before warning by the alphabet, too


def test_a_destination_that_hangs(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    os.makedirs(box.path("usb"))
    os.mkfifo(box.path("usb", "clawback-destination.json"))
    start = time.monotonic()
    told = status(box, plan, "--json").json()
    check(time.monotonic() - start < 25, "it took %d s" % (time.monotonic() - start))
    check("no answer within 8 seconds" in told["destinations"][0]["message"], "the destination", told)


# --- watching

class Watched:
    """`status --watch` on a terminal of its own."""

    def __init__(self, box, plan, *args, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.resize(rows, columns)
        self.child = box.start([clawback_binary(), "status", "-c", plan.file, *args], env={"TERM": "xterm"}, stdin=slave,
                               stdout=slave, stderr=slave, start_new_session=True)
        self.slave, self.seen = slave, ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, until, seconds=30):
        """What is shown until the text comes."""
        end, piece = time.monotonic() + seconds, ""
        while until not in piece and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                piece += os.read(self.master, 65536).decode("utf-8", "replace")
        self.seen += piece
        check(until in piece, "'%r' does not come" % until, piece)
        return piece

    def type(self, text):
        os.write(self.master, text)

    def end(self, rc):
        self.read("\x1b[?1049l")
        equal(self.child.wait(20), rc, "exit status")
        equal(termios.tcgetattr(self.slave), self.before, "the terminal's settings")
        check("\x1b[?25h" in self.seen and "\x1b[?7h" in self.seen, "the cursor", self.seen[-200:])
        os.close(self.slave)
        os.close(self.master)


def test_watching_on_a_terminal(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    w = Watched(box, plan, "--watch=1")
    begin = w.read("restore proof")
    check("\x1b[?1049h" in begin and "\x1b[?25l" in begin and "never ran" in begin, "the beginning", begin)
    check("\n" in begin and not re.search("[^\r]\n", begin), "lines without a return", begin)
    plan.run()
    again = w.read("\x1b[J")
    again += w.read("\x1b[J")
    check("\x1b[H" in again and " ok " in again, "what changed", again)
    w.type(b"xq")
    w.end(0)


def test_watching_follows_the_terminals_size(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    w = Watched(box, plan, "--watch=60")
    w.read("\x1b[J")
    w.resize(5, 60)
    small = w.read("more lines")  # long before a minute is over
    check(small.count("\r\n") == 4, "rows", small)
    w.type(b"q")
    w.end(0)


def test_watching_ends_with_a_signal(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    for how in (lambda w: w.child.send_signal(signal.SIGINT), lambda w: w.child.terminate()):
        w = Watched(box, plan, "--watch=60")
        w.read("\x1b[J")
        how(w)
        w.end(0)
        check("error" not in w.seen, "a complaint", w.seen[-300:])


def test_watching_ends_while_something_hangs(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    os.makedirs(box.path("usb"))
    os.mkfifo(box.path("usb", "clawback-destination.json"))
    w = Watched(box, plan, "--watch")
    w.read("\x1b[2J")
    time.sleep(1)
    start = time.monotonic()
    w.child.send_signal(signal.SIGINT)
    w.end(0)
    check(time.monotonic() - start < 7, "it took too long to end")


def test_watching_without_a_terminal(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    for args, mark in (([], b"Tier"), (["--json"], b'"message_type"')):
        child = box.start([clawback_binary(), "status", "-c", plan.file, "--watch=1", *args])
        text, end = b"", time.monotonic() + 60
        while text.count(mark) < 2 and time.monotonic() < end:
            if select.select([child.stdout], [], [], 1)[0]:
                text += os.read(child.stdout.fileno(), 65536)
        check(text.count(mark) >= 2 and b"\x1b" not in text, "what it printed", text)
        child.terminate()
        equal(child.wait(20), 0, "exit status")
        equal(child.stderr.read() if child.stderr else b"", b"", "what it says")


def test_watching_ends_when_nobody_reads_it(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    child = box.start([clawback_binary(), "status", "-c", plan.file, "--watch=1"])
    child.stdout.close()
    equal(child.wait(30), 1, "exit status")


def test_numbers_that_are_none(box):
    plan = Plan(box, EVERY_2H, more=ROOM % "")
    for value in ("x", "0", "-1", "1.5", "99999999999999999999"):
        done = status(box, plan, "--watch=" + value, rc=1)
        check("--watch" in done.err, "the message", done)
    check("--watch=SECONDS" in status(box, plan, "--watch", "5", rc=1).err, "how it is written")


if __name__ == "__main__":
    main()
