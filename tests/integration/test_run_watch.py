#!/usr/bin/env python3
"""What happens around `clawback run`: pings, alerts, messages, the log, trying again, and that none of it can hurt a backup."""
import http.server
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, equal, main, wait_until  # noqa: E402
from plan_box import PHRASE, Plan  # noqa: E402

RUN_ID = "0123456789abcdef"
TIERS = """
  config:
    every: 2h
    files: [~/.openclaw]
    to: [usb]
  extra:
    files: [~/.openclaw/workspace]
    to: [usb]
"""


class Server:
    """An HTTP server that remembers what it was asked: (path, query, body). `answer` may hang, or refuse."""

    def __init__(self, answer=None):
        self.requests, self.stopped = [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                path, _, query = self.path.partition("?")
                outer.requests.append((path, query, body))
                status = answer(outer) if answer is not None else 200
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"OK")
                except OSError:
                    pass

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def paths(self):
        return [r[0] for r in self.requests]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.http.shutdown()
        self.http.server_close()


def hang(server):
    server.stopped.wait(120)
    return 200


def nobody_listens():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    return "http://127.0.0.1:%d" % port


def with_channels(box, tiers, channels):
    return Plan(box, tiers, more="alerts: {channels: %s}" % json.dumps(channels))


def state_file(box, *names):
    return os.path.join(box.home, ".local", "state", "clawback", *names)


def log_of(box):
    with open(state_file(box, "clawback.log")) as f:
        return f.read()


def in_outbox(box):
    base = sqlite3.connect(state_file(box, "state.sqlite"))
    try:
        return base.execute("select count(*) from outbox").fetchone()[0]
    finally:
        base.close()


# --- pings

def test_a_run_pings_when_it_begins_and_when_it_ends(box):
    with Server() as server:
        plan = with_channels(box, TIERS, {"check": {"ping": server.url + "/hc"}})
        plan.run(env={"CLAWBACK_RUN_ID": RUN_ID})
        equal(server.paths(), ["/hc/start", "/hc"], "what was pinged")
        queries = [r[1] for r in server.requests]
        check(queries[0] == queries[1] and RUN_ID[:8] in queries[0], "the run's ID", queries)
        check("config: completed" in server.requests[1][2], "the log's tail", server.requests[1])
        check(PHRASE not in server.requests[1][2] + log_of(box), "the passphrase was told")
        equal(in_outbox(box), 0, "messages that wait")


def test_a_run_that_fails_pings_that(box):
    with Server() as server:
        plan = with_channels(box, "\n  config: {files: [/nowhere/at/all], to: usb, every: 2h}\n", {"check": {"ping": server.url}})
        plan.run(rc=1)
        equal(server.paths(), ["/start", "/fail"], "what was pinged")
        check("/nowhere/at/all" in server.requests[1][2], "the log's tail does not say why", server.requests[1])


def test_what_is_incomplete_is_no_success(box):
    with Server() as server:
        plan = with_channels(box, TIERS.replace("to: [usb]", "to: [usb, gone]"), {"check": {"ping": server.url}})
        plan.destinations["gone"] = {"path": box.write("a-file", "") + "/x"}
        plan.write(TIERS.replace("to: [usb]", "to: [usb, gone]"))
        plan.run("config", rc=3)
        equal(server.paths(), ["/start", "/fail"], "what was pinged")


def test_channels_for_single_tiers_hear_of_these_only(box):
    with Server() as server:
        plan = with_channels(box, TIERS, {"all": {"ping": server.url + "/all"},
                                          "one": {"ping": {"url": server.url + "/extra", "tiers": ["extra"]}}})
        plan.run()
        equal(sorted(server.paths()), ["/all", "/all/start"], "after a run of config")
        del server.requests[:]
        plan.run("config", "extra")
        equal(sorted(server.paths()), ["/all", "/all/start", "/extra", "/extra/start"], "after a run of both")


def test_a_dry_run_and_one_without_anything_due_tell_nobody(box):
    with Server() as server:
        plan = with_channels(box, TIERS, {"check": {"ping": server.url}})
        plan.run("--dry-run")
        check(not os.path.exists(state_file(box)), "a dry run left something behind")
        plan.run()
        del server.requests[:]
        log = log_of(box)
        plan.run()
        equal(server.requests, [], "pings of a run that had nothing to do")
        equal(log_of(box), log, "the log")


def test_tokens_in_the_environment_are_for_channels_only(box):
    with Server() as server:
        plan = with_channels(box, """
  config:
    every: 2h
    command: [{name: x, command: "env > %s; echo fine"}]
    to: [usb]
""" % box.path("seen"), {"check": {"ping": {"url": {"env": "PING_URL"}}},
                         "hook": {"webhook": {"url": server.url, "token": {"env": "HOOK_TOKEN"}}}})
        done = plan.run(env={"PING_URL": server.url + "/ping", "HOOK_TOKEN": "very-secret", "OTHER": "seen"})
        equal(server.paths(), ["/ping/start", "/ping"], "what was pinged")
        with open(box.path("seen")) as f:
            seen = f.read()
        check("OTHER=seen" in seen and "PING_URL" not in seen and "HOOK_TOKEN" not in seen, "what a source's command sees", seen)
        check("very-secret" not in done.out + done.err + log_of(box), "the token is shown")


# --- nobody answers

def test_a_server_that_hangs_does_not_hold_up_a_run_for_long(box):
    with Server(hang) as server:
        plan = with_channels(box, TIERS, {"check": {"ping": server.url}, "hook": {"webhook": server.url + "/hook", "level": "info"}})
        begun = time.monotonic()
        plan.run()
        took = time.monotonic() - begun
        check(took < 35, "the run took %.1f s" % took)
        equal([r["status"] for r in plan.records("config")], ["started", "completed"], "records")
        check(in_outbox(box) > 0, "the messages are lost")


def test_a_server_that_is_not_there_costs_nothing_and_is_told_later(box):
    plan = with_channels(box, TIERS, {"check": {"ping": nobody_listens()}})
    begun = time.monotonic()
    plan.run()
    check(time.monotonic() - begun < 15, "it took long")
    check(in_outbox(box) >= 1, "the messages are lost")
    check("could not be sent" in log_of(box), "the log does not say so", log_of(box))


def test_a_signal_ends_a_run_whose_server_hangs(box):
    with Server(hang) as server:
        plan = with_channels(box, """
  slow:
    every: 2h
    command: [{name: x, command: "sleep 600"}]
    to: [usb]
""", {"check": {"ping": server.url}})
        child = plan.start()
        wait_until(lambda: server.requests, "the first ping")
        time.sleep(0.5)
        begun = time.monotonic()
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
        check(time.monotonic() - begun < 20, "it took long to end")
        equal(child.returncode, 130, "exit status")


def test_a_state_database_that_cannot_be_used_fails_no_backup(box):
    plan = with_channels(box, TIERS, {"check": {"ping": nobody_listens()}})
    box.mkdir("home", ".local", "state", "clawback", "state.sqlite", "in the way")
    plan.run()
    equal(plan.last("config")["exitCode"], 0, "exit code of the record")


# --- alerts

def test_a_failure_opens_an_alert_and_success_closes_it(box):
    with Server() as server:
        plan = with_channels(box, "\n  config: {files: [/nowhere/at/all], to: usb, every: 2h}\n",
                             {"hook": {"webhook": server.url + "/hook"}})
        plan.run(rc=1)
        told = [json.loads(r[2]) for r in server.requests]
        check(told and "config" in json.dumps(told), "nobody was told", told)
        del server.requests[:]
        plan.write("\n  config: {files: [~/.openclaw], to: usb, every: 2h}\n")
        plan.run("config")
        check(server.requests, "nobody was told that it is over")


# --- the log

def test_the_log_has_a_line_for_each_event(box):
    plan = Plan(box, TIERS)
    plan.run("config", "extra", env={"CLAWBACK_RUN_ID": RUN_ID})
    lines = log_of(box).splitlines()
    for expected in ("config: begins (run %s)" % RUN_ID, "config: completed after ", "extra: completed after ",
                     "run %s ends with exit status 0: tiers: 2 completed" % RUN_ID):
        equal(len([line for line in lines if expected in line]), 1, "lines with '%s' in %s" % (expected, lines))
    plan.write("\n  config: {files: [/nowhere/at/all], to: usb}\n")
    plan.run("config", rc=1)
    check("error run[" in log_of(box) and "config: failed after " in log_of(box), "no line of the failure", log_of(box))


# --- the run's ID

def test_the_id_of_a_run_can_be_given(box):
    plan = Plan(box, TIERS)
    plan.run("config", env={"CLAWBACK_RUN_ID": RUN_ID})
    equal({r["runId"] for r in plan.records("config")}, {RUN_ID}, "the ID")
    equal(plan.snapshots("usb")[0]["tags"][1], "run=" + RUN_ID, "tag")
    for wrong in ("", "0123", RUN_ID + "0", "0123456789abcdeg", "0123456789ABCDEF", "../../etc/passwd"):
        plan.run("config", env={"CLAWBACK_RUN_ID": wrong})
        found = plan.last("config")["runId"]
        check(found != wrong and len(found) == 16, "'%s' became '%s'" % (wrong, found))


# --- where the bytes are

def test_a_record_says_where_the_bytes_are(box):
    plan = Plan(box, TIERS)
    box.write(os.path.join(plan.agent, "logs", "huge.log"), os.urandom(3 << 20))
    for i in range(50):
        box.write(os.path.join(plan.agent, "sessions", "%d.jsonl" % i), os.urandom(20000))
    plan.run("config")
    source = plan.last("config")["sources"][0]
    paths = {p["path"]: p["bytes"] for p in source["paths"]}
    equal(sum(paths.values()), source["bytes"], "the sum")
    equal(paths[plan.agent + "/logs/huge.log"], 3 << 20, "the log")
    equal(paths[plan.agent + "/sessions"], 1000000, "the sessions")
    plan.run("config")
    equal(plan.last("config")["sources"][0]["paths"], source["paths"], "the same again")


# --- trying again

def failing_until(box, times):
    """A command that fails so many times, and then does not."""
    box.write("count", "")
    return "echo x >> %s; test $(wc -l < %s) -gt %d && echo fine" % (box.path("count"), box.path("count"), times)


def retrying(box, times, settings, more=""):
    return Plan(box, """
  flaky:
    every: 2h
    command: [{name: x, command: %s}]
    to: [usb]
    retry: %s
  config:
    every: 2h
    files: [~/.openclaw]
    to: [usb]
    retry: 3
""" % (json.dumps(failing_until(box, times)), settings), more=more)


def test_a_tier_that_failed_is_tried_again(box):
    plan = retrying(box, 2, "{times: 3, after: 100ms}")
    done = plan.run()
    equal([(r["status"], r.get("retry")) for r in plan.records("flaky")],
          [("started", None), ("failed", "yes")] * 2 + [("started", None), ("completed", None)], "records")
    equal(len(plan.records("config")), 2, "records of the tier that went well")
    equal({r["runId"] for r in plan.records("flaky")}, {plan.last("config")["runId"]}, "run IDs")
    check("tried again in" in done.err, "nothing is said of it", done)
    check("tried again in" in log_of(box), "nothing of it in the log")


def test_it_ends_after_so_many_times(box):
    plan = retrying(box, 99, "{times: 2, after: 50ms}")
    plan.run(rc=1)
    equal([r["status"] for r in plan.records("flaky")], ["started", "failed"] * 3, "records")


def test_nothing_is_tried_again_without_retry_or_in_a_dry_run_or_where_it_is_hopeless(box):
    plan = retrying(box, 99, "off")
    plan.run(rc=1)
    equal(len(plan.records("flaky")), 2, "records")
    plan = retrying(box, 99, "{times: 2, after: 50ms}")
    plan.run("--dry-run", "flaky", rc=None)
    check(len(open(box.path("count")).read()) <= 2, "tried again in a dry run")
    plan.run("config", "--adopt-destination", "usb")
    box.write(plan.pass_file, "quite another passphrase, of 20 and more\n", 0o600)
    before = len(plan.records("config"))
    begun = time.monotonic()
    plan.run("config", rc=1)
    equal(len(plan.records("config")), before + 2, "records after a wrong passphrase")
    check(time.monotonic() - begun < 30, "it waited")


def test_others_can_run_while_one_waits(box):
    plan = retrying(box, 1, "{times: 1, after: 6s}")
    child = plan.start("flaky")
    wait_until(lambda: len(plan.records("flaky")) == 2, "the first attempt")
    time.sleep(0.3)
    plan.run("config")
    equal(len(plan.records("config")), 2, "records of the other run")
    check(child.poll() is None, "it did not wait")
    child.communicate(timeout=60)
    equal(child.returncode, 0, "exit status")
    equal(len(plan.records("flaky")), 4, "records")


def test_what_another_run_did_meanwhile_is_not_done_again(box):
    plan = retrying(box, 1, "{times: 1, after: 6s}")
    child = plan.start("flaky")
    wait_until(lambda: len(plan.records("flaky")) == 2, "the first attempt")
    time.sleep(0.3)
    plan.run("flaky")
    child.communicate(timeout=60)
    equal(child.returncode, 0, "exit status")
    equal([r["status"] for r in plan.records("flaky")], ["started", "failed", "started", "completed"], "records")


def test_a_signal_ends_the_wait(box):
    plan = retrying(box, 99, "{times: 1, after: 1h}")
    child = plan.start("flaky")
    wait_until(lambda: len(plan.records("flaky")) == 2, "the first attempt")
    time.sleep(0.5)
    begun = time.monotonic()
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=60)
    check(time.monotonic() - begun < 15, "it took long")
    equal(child.returncode, 130, "exit status")
    equal(len(plan.records("flaky")), 2, "records")


def test_hooks_belong_to_each_attempt(box):
    plan = retrying(box, 1, "{times: 1, after: 50ms}", "hooks: {before: \"echo before >> %s\", after: \"echo after >> %s\", "
                    "failure: \"echo failure >> %s\"}" % ((box.path("hooks"),) * 3))
    plan.run()
    equal(open(box.path("hooks")).read().split(), ["before", "failure", "before", "after"], "hooks")


def test_pings_come_once_for_all_attempts(box):
    with Server() as server:
        plan = retrying(box, 1, "{times: 1, after: 50ms}", "alerts: {channels: {check: {ping: \"%s\"}}}" % server.url)
        plan.run()
        equal(server.paths(), ["/start", "/"], "what was pinged")


if __name__ == "__main__":
    main()
