"""A daemon in a box: its state directory and jobs file, a service manager that hears it, and a look at what it leaves."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import clawtest
from clawtest import check, clawback_binary, equal, wait_until


class Manager:
    """What systemd is for the daemon: a socket that its messages come to."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setblocking(False)
        self.name = name
        self.messages = []

    def heard(self):
        while True:
            try:
                self.messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.messages

    def wait_for(self, text, count=1, seconds=20):
        wait_until(lambda: sum(text in m for m in self.heard()) >= count, "'%s' from the daemon, %d times" % (text, count), seconds)


def command(*argv, every_ms=None, **more):
    """An entry's payload and schedule: argv, or one command string."""
    entry = {"payload": {"kind": "command", "argv": list(argv)} if len(argv) > 1 else
             {"kind": "systemEvent", "command": argv[0]}}
    if every_ms is not None:
        entry["schedule"] = {"kind": "every", "everyMs": every_ms}
    entry.update(more)
    return entry


FAR = {"kind": "every", "everyMs": 3600000}


class Daemon:
    def __init__(self, box, name="state", **env):
        self.box = box
        self.state = box.path(name)
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        self.jobs_path = os.path.join(self.state, "jobs.json")
        self.env = {"CLAWBACK_STATE_DIR": self.state, **env}
        self.process = None
        self.stderr_path = box.path(name + ".stderr")

    # --- its jobs

    def write_jobs(self, jobs):
        """{id: entry}, or text. Replaced whole, as careful programs do it."""
        text = jobs if isinstance(jobs, str) else json.dumps(
            {"version": 1, "jobs": [{"id": i, "schedule": FAR, **entry} for i, entry in jobs.items()]}, indent=1)
        with open(self.jobs_path + ".new", "w") as f:
            f.write(text)
        os.rename(self.jobs_path + ".new", self.jobs_path)

    def entry(self, job):
        with open(self.jobs_path) as f:
            return next(e for e in json.load(f)["jobs"] if e["id"] == job)

    def entry_text(self, member):
        """The first value of this member in jobs.json, which may have comments; None: there is none."""
        with open(self.jobs_path) as f:
            match = re.search(r'"%s": "([^"]*)"' % member, f.read())
        return match.group(1) if match else None

    # --- its life

    def start(self, *args, ready=True, env=None):
        manager = None
        environment = {**self.env, **(env or {})}
        if ready and "NOTIFY_SOCKET" not in environment:
            manager = Manager("@clawtest-%d-%d" % (os.getpid(), time.monotonic_ns()))
            environment["NOTIFY_SOCKET"] = manager.name
        with open(self.stderr_path, "ab") as err:
            self.process = self.box.start([clawback_binary(), "daemon"] + list(args), env=environment, stdout=subprocess.DEVNULL,
                                          stderr=err)
        if manager is not None:
            try:
                manager.wait_for("READY=1", seconds=60)
            except AssertionError:
                raise AssertionError("the daemon is not ready\n%s" % self.said())
            manager.socket.close()
        return self

    def stop(self, rc=0, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.ended(rc, seconds)

    def ended(self, rc=0, seconds=60):
        found = self.process.wait(seconds)
        said = self.said()
        check(not clawtest.sanitizer_report(said), "a sanitizer has a complaint", said)
        equal(found, rc, "exit status of the daemon\n%s\n" % said[-3000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def said(self):
        with open(self.stderr_path, errors="surrogateescape") as f:
            return f.read()

    # --- its traces

    def records(self, job, status=None):
        path = os.path.join(self.state, "runs", job + ".jsonl")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            lines = [json.loads(line) for line in f.read().splitlines()]
        return [r for r in lines if r.get("by") == "daemon" and status in (None, r["status"])]

    def wait_records(self, job, count=1, status="completed", seconds=30):
        try:
            wait_until(lambda: len(self.records(job, status)) >= count, "%d records '%s' of job '%s'" % (count, status, job), seconds)
        except AssertionError as e:
            raise AssertionError("%s\n%s\n%s" % (e, self.records(job), self.said()[-3000:]))
        return self.records(job, status)

    def wait_said(self, text, count=1, seconds=30):
        try:
            wait_until(lambda: self.said().count(text) >= count, "the daemon to say '%s'" % text, seconds)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, self.said()[-3000:]))

    def heartbeat(self):
        with open(os.path.join(self.state, "daemon.json")) as f:
            return json.load(f)

    # --- talking to it

    def ask(self, line):
        """A request, as an object or as bytes; the answer, None: it hung up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(30)
            directory = os.open(self.state, os.O_RDONLY)  # addresses are short, paths need not be
            try:
                s.connect("/proc/self/fd/%d/daemon.sock" % directory)
            finally:
                os.close(directory)
            s.sendall(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
            answer = b""
            while True:
                try:
                    part = s.recv(65536)
                except ConnectionResetError:
                    part = b""
                if not part:
                    return json.loads(answer) if answer else None
                answer += part

    def run_now(self, job):
        return self.ask({"ask": "run-now", "job": job})

    def status(self, job=None):
        answer = self.ask({"ask": "status"})
        return answer if job is None else next(j for j in answer["jobs"] if j["id"] == job)

    def reload(self):
        return self.ask({"ask": "reload"})

