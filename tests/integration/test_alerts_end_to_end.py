#!/usr/bin/env python3
"""From a run to the owner: each kind of channel at once, what a message says and that its command works when it is pasted; secrets,
whatever servers make of them; runs that are not over yet; a state that cannot be written; and how long a run waits for all that."""
import base64
import email
import email.policy
import json
import os
import signal
import socket
import sqlite3
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import clawtest
from clawtest import check, clawback_binary, equal, needs_root, wait_until
from daemon_box import Daemon, command
from fake_services import HANG, Http, Smtp, answer, closed_port, telegram_ok
from plan_box import Plan

TOKEN = "123456:sEcReT-AbCdEf_0987654321"
PASSWORD = "sEcReT pa55/word"
BROKEN = "  broken: {every: 2h, files: [~/.openclaw], to: usb, hooks: {before: 'false'}}"
MENDED = "  broken: {every: 2h, files: [~/.openclaw], to: usb}"
# tests run with it too full and with nothing to start runs
QUIET = "health: {full: off}\n"


def state(box, *names):
    return os.path.join(box.home, ".local", "state", "clawback", *names)


def plan_with(box, tiers, *channels, alerts="", env=None):
    """channels: lines of YAML."""
    box.env.update({"TG_TOKEN": TOKEN})
    box.write("password", PASSWORD + "\n", 0o600)
    lines = ["alerts:"] + ([alerts] if alerts else []) + ["  channels:"] + ["    " + c for c in channels]
    return Plan(box, tiers, more=QUIET + "\n".join(lines))


def command_channel(box, name="own", more=""):
    """Writes each message, and what it sees of its surroundings."""
    program = box.write(name + ".sh", """#!/bin/sh
cat >> %s; echo ==== >> %s
env >> %s
for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p >> %s 2>/dev/null; echo >> %s; done
""" % (box.path(name + ".txt"), box.path(name + ".txt"), box.path(name + ".env"), box.path(name + ".ps"), box.path(name + ".ps")), 0o755)
    return "%s: {command: [%s]%s}" % (name, program, more)


def plan_line(plan, word):
    with open(plan.file) as f:
        return next(i for i, line in enumerate(f, 1) if line.strip().startswith(word))


def text_of(path):
    if not os.path.exists(path):
        return ""
    with open(path, "rb") as f:
        return f.read().decode("utf-8", "replace")


def rows(box, statement):
    connection = sqlite3.connect(state(box, "state.sqlite"), timeout=10)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def hours_later(box, hours):
    connection = sqlite3.connect(state(box, "state.sqlite"), timeout=10)
    with connection:
        connection.execute("UPDATE outbox SET due_ms = due_ms - ?1, created_ms = created_ms - ?1", (hours * 3600 * 1000,))
    connection.close()


def pasted(box, text):
    """What stands behind the first "type:", given to a shell with our program in its path."""
    where = box.mkdir("bin")
    program = os.path.join(where, "clawback")
    if not os.path.exists(program):
        os.symlink(os.path.abspath(clawback_binary()), program)
    command = next(line for line in text.splitlines() if line.strip().startswith("type: ")).strip()[len("type: "):]
    return box.run(["/bin/sh", "-c", command], rc=None, cwd="/", env={"PATH": where + ":" + box.env.get("PATH", os.environ["PATH"])})


# --- all of them at once ---

def test_a_failure_reaches_every_channel_and_so_does_its_end(box):
    with Http(telegram_ok()) as telegram, Http() as web, Http() as monitor, Smtp(box) as mail:
        box.write(os.path.join(box.mkdir("tools"), "openclaw"), "#!/bin/sh\nprintf '%%s\\n' \"$@\" >> %s\n" % box.path("openclaw.txt"), 0o755)
        box.env["PATH"] = box.path("tools") + ":" + os.environ["PATH"]
        plan = plan_with(
            box, BROKEN,
            "tg: {telegram: {token: {env: TG_TOKEN}, chat: \"42\", api: \"%s\"}}" % telegram.url,
            "mail: {email: {server: \"%s\", tls: none, from: \"a@example.org\", to: [b@example.org]}}" % mail.url,
            "hook: {webhook: \"%s/in\"}" % web.url, "alive: {ping: \"%s/p\"}" % monitor.url,
            "agent: {openclaw: {channel: telegram, target: \"7\"}}", command_channel(box), "log: {syslog: user}")
        began = time.monotonic()
        plan.run("broken", rc=1)
        check(time.monotonic() - began < 20, "it took %.1f s" % (time.monotonic() - began))
        mails = [email.message_from_string(m["data"], policy=email.policy.default) for m in mail.mails()]
        texts = {"telegram": telegram.texts()[0], "mail": mails[0].get_content(), "hook": web.requests[0].json()["text"],
                 "openclaw": text_of(box.path("openclaw.txt")), "command": text_of(box.path("own.txt"))}
        for name, text in texts.items():
            for word in ("CRITICAL", "broken failed", "since 20", "type: clawback "):
                check(word in text, "%s does not say '%s'" % (name, word), text)
        equal([r.path.split("?")[0] for r in monitor.requests], ["/p/start", "/p/fail"], "pings")
        alert = web.requests[0].json()["alerts"][0]
        equal((alert["rule"], alert["subject"], alert["level"], alert["change"]), ("run-failed", "broken", "critical", "opened"), "the alert")
        plan.write(MENDED)
        done = pasted(box, texts["hook"])  # from another directory, without anything of ours in the environment but HOME
        check("-c " + plan.file in " ".join(done.args), "the plan is not named", done.args)
        check("no plan" not in done.err and "usage" not in done.err.lower() and done.rc in (0, 1), "the command", done)
        plan.run("broken")
        for name, text in {"telegram": telegram.texts()[-1], "hook": web.requests[-1].json()["text"], "command": text_of(box.path("own.txt")),
                           "openclaw": text_of(box.path("openclaw.txt"))}.items():
            check("over" in text.lower() and "broken" in text, "%s is not told that it is over" % name, text)
        check(web.requests[-1].json()["over"], "it is not over", web.requests[-1].json())
        equal(monitor.requests[-1].path.split("?")[0], "/p", "the last ping")


def test_the_command_of_a_late_tier_ends_it(box):
    with Http() as web:
        plan = plan_with(box, MENDED, "hook: {webhook: \"%s/in\"}" % web.url)
        plan.run("broken")
        path = state(box, "runs", "broken.jsonl")
        long_ago = {"timestamp": "2026-02-04T06:00:00Z", "timestampMs": 1770184800000}
        box.write(path, "".join(json.dumps({**json.loads(line), **long_ago}) + "\n" for line in text_of(path).splitlines()), 0o600)
        box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=2)
        alert = next(a for a in web.requests[-1].json()["alerts"] if a["rule"] == "late")
        equal(alert["command"], "clawback run -c %s broken" % plan.file, "what to type")
        done = pasted(box, "type: " + alert["command"])
        equal(done.rc, 0, "its exit status")
        check(any(a["rule"] == "late" and a["change"] == "closed" for a in web.requests[-1].json()["alerts"]), "it is not over",
              web.requests[-1].json())


# --- secrets ---

class RudeMailServer:
    """Quotes every login that it refuses, as it came and decoded."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(8)
        self.url = "smtp://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.heard = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as f:
                def say(text):
                    f.write(text.encode("utf-8", "replace") + b"\r\n")
                    f.flush()
                try:
                    say("220 rude")
                    for line in f:
                        word = line.decode().strip()
                        if word.upper().startswith("EHLO"):
                            say("250-rude\r\n250 AUTH PLAIN")
                        elif word.upper() == "AUTH PLAIN":
                            say("334 ")
                        elif word.upper().startswith("AUTH PLAIN ") or len(word) > 20:
                            self.heard.append(word)
                            plain = base64.b64decode(word.split()[-1]).decode().replace("\0", " ")
                            say("535 5.7.8 no: '%s', that is '%s'" % (word, plain))
                        elif word.upper().startswith("QUIT"):
                            say("221 bye")
                            break
                        else:
                            say("500 what?")
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def no_secret(box, *results):
    for result in results:
        for text in (result.out, result.err):
            check("sEcReT" not in text and "pa55" not in text and "c0VjUmVU" not in text, "a secret shows", result)
    for path in clawtest.files_below(state(box)):
        text = text_of(path)
        for word in ("sEcReT", "pa55", base64.b64encode(PASSWORD.encode()).decode()[:12]):
            check(word not in text, "'%s' has a secret in it" % path, text[max(0, text.find(word) - 200):][:400])
        mode = os.stat(path).st_mode
        check(stat.S_IMODE(mode) & 0o077 == 0, "'%s' has mode %o" % (path, stat.S_IMODE(mode)))
    for folder, _, _ in os.walk(state(box)):
        check(os.stat(folder).st_mode & 0o077 == 0, "'%s' is open to others" % folder)


def test_servers_that_quote_secrets_make_none_of_them_show(box):
    bot = answer(404, {"ok": False, "error_code": 404, "description": "no such thing: /bot%s/sendMessage, /bot%s/sendMessage"
                       % (TOKEN, TOKEN.replace(":", "%3A"))})
    with Http(bot) as telegram, Http(answer(403, "bad token sEcReT-hook-token!\nmore")) as web, \
            Http(answer(400, {"message": "what is /hook/sEcReT-part?key=sEcReT-key"})) as monitor, RudeMailServer() as mail:
        box.write("hook-token", "sEcReT-hook-token\n", 0o600)
        box.write("hook-url", "%s/hook/sEcReT-part?key=sEcReT-key" % monitor.url, 0o600)
        plan = plan_with(
            box, BROKEN,
            "tg: {telegram: {token: {env: TG_TOKEN}, chat: \"42\", api: \"%s\"}}" % telegram.url,
            "hook: {webhook: {url: \"%s/in\", token: {command: [cat, \"%s\"]}}}" % (web.url, box.path("hook-token")),
            "slack: {webhook: {url: {file: \"%s\"}, format: slack}}" % box.path("hook-url"),
            "alive: {ping: {url: {file: \"%s\"}}}" % box.path("hook-url"),
            "mail: {email: {server: \"%s\", tls: none, user: me, from: \"a@example.org\", to: [b@example.org], password: {file: \"%s\"}}}"
            % (mail.url, box.path("password")),
            command_channel(box))
        results = [plan.run("-vv", "broken", rc=1), plan.run("--json", "-v", "broken", rc=1)]
        wait_until(lambda: mail.heard, "a login")
        for command in (["alerts", "test", "--json"], ["alerts", "test", "-vv"], ["alerts", "--json"], ["alerts", "history", "--json"],
                        ["health", "-v"], ["health", "--json", "--no-alerts"], ["health", "--nagios", "--no-alerts"],
                        ["health", "--prometheus", "-", "--no-alerts"], ["status", "--json"], ["status"], ["doctor"]):
            more = ["-c", plan.file] if command[:2] != ["alerts", "history"] else []
            results.append(box.run([clawback_binary()] + command + more, rc=None))
        results.append(box.run([clawback_binary(), "config", "show", plan.file], rc=None))
        results.append(box.run([clawback_binary(), "runs", "--json"], rc=None))
        no_secret(box, *results)
        check(len(rows(box, "SELECT * FROM outbox")) > 0, "nothing waits, so nothing was tested")
        check("***" in text_of(state(box, "clawback.log")), "nothing was quoted, so nothing was tested", text_of(state(box, "clawback.log")))
        check("CLAWBACK_ALERT_RULE=run-failed" in text_of(box.path("own.env")), "the command's environment")
        for name in ("own.env", "own.txt"):
            check("sEcReT" not in text_of(box.path(name)), "a command sees a secret", name)
        ours = [line for line in text_of(box.path("own.ps")).splitlines() if "clawback" in line]
        check(ours and not any("sEcReT" in line for line in ours), "an argument list has a secret", ours)


def test_a_secret_in_the_plan_itself_is_refused_or_not_shown(box):
    plan = plan_with(box, MENDED, "hook: {webhook: \"https://hooks.example.org/services/T0123456789/sEcReTAbCd0123456789\"}")
    done = box.run([clawback_binary(), "config", "check", plan.file], rc=None)
    shown = box.run([clawback_binary(), "config", "show", plan.file], rc=None)
    for result in (done, shown):
        check("sEcReTAbCd" not in result.out + result.err, "a token shows", result)


# --- runs that are not over ---

def failing_once(box):
    """Fails the first time."""
    return "test -e %s && echo fine; touch %s; test -e %s.told" % (box.path("once"), box.path("once"), box.path("once"))


def found(box, plan):
    done = box.run([clawback_binary(), "health", "--json", "-c", plan.file], rc=None)
    return {(f["rule"], f["subject"]): f["level"] for f in done.json()["findings"]}


def test_a_failure_is_told_when_all_attempts_have_failed(box):
    with Http() as web:
        tiers = "  flaky: {every: 2h, command: [{name: x, command: \"false\"}], to: usb, retry: {times: 1, after: 8s}}"
        plan = plan_with(box, tiers, "hook: {webhook: \"%s/in\"}" % web.url)
        child = plan.start("flaky")
        wait_until(lambda: any(r["status"] == "failed" for r in plan.records("flaky")), "the first attempt's end", 30)
        check(("run-failed", "flaky") not in found(box, plan), "it is told while another attempt is to come", found(box, plan))
        check(("upload-failed", "usb") not in found(box, plan) or found(box, plan)[("upload-failed", "usb")] == "fine", "uploads", found(box, plan))
        child.communicate(timeout=90)
        equal([r["status"] for r in plan.records("flaky")], ["started", "failed"] * 2, "attempts")
        told = [a for r in web.requests for a in r.json()["alerts"] if a["rule"] == "run-failed"]
        equal([a["change"] for a in told], ["opened"], "what was told")
        equal(found(box, plan)[("run-failed", "flaky")], "critical", "what health finds afterwards")


def test_a_failure_is_told_when_nobody_waits_any_more(box):
    tiers = "  flaky: {every: 2h, command: [{name: x, command: \"false\"}], to: usb, retry: {times: 3, after: 10m}}"
    plan = plan_with(box, tiers, command_channel(box))
    child = plan.start("flaky")
    wait_until(lambda: any(r["status"] == "failed" for r in plan.records("flaky")), "the first attempt's end", 30)
    check(("run-failed", "flaky") not in found(box, plan), "it is told while another attempt is to come")
    child.send_signal(signal.SIGKILL)
    child.wait()
    equal(found(box, plan)[("run-failed", "flaky")], "critical", "what health finds when it was killed")


def daemon_with(box, plan, **entry):
    """A daemon in the plan's own state directory whose job takes what is due, as the one that `schedule install` makes."""
    daemon = Daemon(box, os.path.relpath(state(box), box.path()))
    daemon.write_jobs({"backup": command(clawback_binary(), "run", "--wait", "-c", plan.file, **entry)})
    return daemon.start("-c", plan.file)


def told_of(web, rule):
    return [a["change"] for r in web.requests if r.path == "/in" for a in r.json()["alerts"] if a["rule"] == rule]


def pings(web):
    return [r.path.split("?")[0] for r in web.requests if r.path.startswith("/ping")]


FLAKY = "  flaky: {every: 2h, command: [{name: x, command: \"cat %s\"}], to: usb}\n" \
        "  good: {every: 2h, files: [~/.openclaw], to: usb}"


def test_a_failure_is_told_when_the_daemon_has_used_up_its_attempts(box):
    with Http() as web:
        plan = plan_with(box, FLAKY % box.path("gift"), "hook: {webhook: \"%s/in\"}" % web.url, "alive: {ping: {url: \"%s/ping\"}}" % web.url)
        daemon = daemon_with(box, plan, retry={"times": 2, "afterMs": 4000})
        daemon.run_now("backup")
        daemon.wait_records("backup", status="failed")
        check(("run-failed", "flaky") not in found(box, plan), "it is told while another attempt is to come", found(box, plan))
        equal([r["retry"] for r in daemon.wait_records("backup", 3, "failed")], ["yes", "yes", "no"], "attempts")
        equal([r["status"] for r in plan.records("flaky")], ["started", "failed"] * 3, "the tier's attempts")
        equal(["retryAtMs" in r for r in plan.records("flaky")][1::2], [True, True, False], "what the records announce")
        equal([r["status"] for r in plan.records("good")], ["started", "completed"], "what went well is not done again")
        wait_until(lambda: pings(web).count("/ping/fail") == 1, "the ping")
        equal(told_of(web, "run-failed"), ["opened"], "what was told")
        equal(pings(web), ["/ping/start"] * 3 + ["/ping/fail"], "pings")
        equal(found(box, plan)[("run-failed", "flaky")], "critical", "what health finds afterwards")
        daemon.stop()


def test_nobody_hears_of_a_failure_that_the_daemons_next_attempt_mends(box):
    with Http() as web:
        plan = plan_with(box, FLAKY % box.path("gift"), "hook: {webhook: \"%s/in\"}" % web.url, "alive: {ping: {url: \"%s/ping\"}}" % web.url)
        daemon = daemon_with(box, plan, retry={"times": 2, "afterMs": 2000})
        daemon.run_now("backup")
        daemon.wait_records("backup", status="failed")
        box.write("gift", "here it is")
        daemon.wait_records("backup")
        wait_until(lambda: "/ping" in pings(web), "the ping of success")
        equal([r["status"] for r in plan.records("flaky")], ["started", "failed", "started", "completed"], "the tier's attempts")
        equal(told_of(web, "run-failed") + told_of(web, "upload-failed"), [], "what was told")
        equal(pings(web), ["/ping/start"] * 2 + ["/ping"], "pings")
        daemon.stop()


def test_a_hopeless_failure_is_told_at_once_and_is_never_a_success(box):
    with Http() as web:
        plan = plan_with(box, "  config: {every: 2h, files: [~/.openclaw], to: usb}", "hook: {webhook: \"%s/in\"}" % web.url)
        plan.run()
        os.unlink(state(box, "runs", "config.jsonl"))  # so that it is due
        box.write("passphrase", "another one of more than twenty characters\n", 0o600)
        daemon = daemon_with(box, plan, retry={"times": 1, "afterMs": 3000})
        daemon.run_now("backup")
        daemon.wait_records("backup", status="failed")
        wait_until(lambda: told_of(web, "run-failed") == ["opened"], "the alert")
        equal(len(plan.records("config")), 2, "lines until then")
        equal([r["retry"] for r in daemon.wait_records("backup", 2, "failed")], ["yes", "no"], "attempts")
        equal(daemon.records("backup", "completed"), [], "successes")
        equal(told_of(web, "run-failed"), ["opened"], "what was told")
        daemon.stop()


def test_a_run_that_was_killed_is_made_by_the_daemons_next_attempt(box):
    tiers = "  slow: {every: 2h, command: [{name: x, command: \"cat %s || kill -9 $CLAWBACK_PID\"}], to: usb}" % box.path("gift")
    plan = plan_with(box, tiers, command_channel(box))
    script = box.write("run.sh", "#!/bin/sh\nexport CLAWBACK_PID=$$\nexec %s run --wait -c %s\n" % (clawback_binary(), plan.file), 0o755)
    daemon = Daemon(box, os.path.relpath(state(box), box.path()))
    daemon.write_jobs({"backup": command(script, "x", retry={"times": 2, "afterMs": 2000})})
    daemon.start("-c", plan.file)
    daemon.run_now("backup")
    daemon.wait_records("backup", status="failed")
    box.write("gift", "here it is")
    daemon.wait_records("backup")
    equal([r["status"] for r in plan.records("slow")], ["started", "failed", "started", "completed"], "the tier's attempts")
    daemon.stop()


def test_a_job_that_fails_without_a_run_of_the_plan_is_told(box):
    plan = plan_with(box, "  good: {every: 2h, files: [~/.openclaw], to: usb}\n"
                          "  slow: {every: 2h, command: [{name: x, command: \"sleep 60\"}], to: usb}", command_channel(box))
    daemon = Daemon(box, os.path.relpath(state(box), box.path()))
    daemon.write_jobs({"mine": command("echo it broke >&2; exit $(cat %s || echo 7)" % box.path("gift"), retry={"times": 1, "afterMs": 3000}),
                       "slow": command(clawback_binary(), "run", "slow", "-c", plan.file, timeoutMs=3000)})
    daemon.start("-c", plan.file)
    daemon.run_now("mine")
    daemon.wait_records("mine", status="failed")
    check(("job-failed", "mine") not in found(box, plan), "it is told while another attempt is to come", found(box, plan))
    daemon.wait_records("mine", 2, "failed")
    wait_until(lambda: "CRITICAL: job 'mine' failed at 20" in text_of(box.path("own.txt")), "the daemon to have it told")
    equal(found(box, plan)[("job-failed", "mine")], "critical", "what health finds")
    daemon.run_now("slow")
    check("took longer than 3s" in daemon.wait_records("slow", status="failed")[0]["error"], "why it failed")
    equal(found(box, plan)[("job-failed", "slow")], "critical", "a run that its daemon stopped")
    box.write("gift", "0")
    daemon.run_now("mine")
    daemon.wait_records("mine")
    equal(found(box, plan)[("job-failed", "mine")], "fine", "what health finds afterwards")
    daemon.stop()


def test_a_job_that_asks_for_the_health_is_no_failure_of_its_own(box):
    plan = plan_with(box, BROKEN, command_channel(box))
    plan.run("broken", rc=1)
    ask = [clawback_binary(), "health", "-q", "-c", plan.file]
    daemon = Daemon(box, os.path.relpath(state(box), box.path()))
    daemon.write_jobs({"list": command(*ask), "line": command(" ".join(ask)), "lost": command("exec false health"),
                       "planless": command(clawback_binary(), "health", "-q", "--scheduled", "-c", box.path("none.yaml"))})
    daemon.start("-c", plan.file)
    jobs = ("list", "line", "lost", "planless")
    for job in jobs:
        daemon.run_now(job)
        daemon.wait_records(job, status="failed")
    daemon.stop()
    now = found(box, plan)
    equal([now.get(("job-failed", job)) for job in jobs], ["fine", "fine", "critical", "critical"], "what health finds")
    plan.write(MENDED)
    plan.run("broken")
    daemon.start("-c", plan.file)
    daemon.run_now("list")
    daemon.stop()
    check(("job-failed", "list") not in {k for k, v in found(box, plan).items() if v != "fine"}, "it goes on for ever", found(box, plan))


# --- what else comes and goes ---

def test_a_drive_that_is_unplugged_is_one_alert(box):
    with Http() as web:
        tiers = "  config: {every: 2h, files: [~/.openclaw], to: usb}\n  second: {every: 2h, files: [~/.openclaw], to: usb}"
        plan = plan_with(box, tiers, "hook: {webhook: \"%s/in\"}" % web.url)
        plan.run()

        def told():
            all_of_them = [(a["rule"], a["subject"], a["change"]) for r in web.requests for a in r.json()["alerts"]]
            details = [a["details"] for r in web.requests for a in r.json()["alerts"]]
            del web.requests[:]
            return sorted(all_of_them), details
        where = plan.destinations["usb"]
        os.rename(where, where + ".away")
        for attempt in range(2):
            plan.run("config", "second", rc=1)
            changes, details = told()
            equal(changes, [("destination", "usb", "opened")] if attempt == 0 else [], "what an unplugged drive is told as")
            if attempt == 0:
                check("config and second have not been stored there since 20" in details[0], "who goes without", details)
        shown = box.run([clawback_binary(), "alerts"], env={"COLUMNS": "80"})
        equal(shown.out.count("CRITICAL"), 1, "open alerts")
        check(all(len(line) <= 80 or "type: " in line for line in shown.out.splitlines()), "wider than 80 columns", shown)
        os.rename(where + ".away", where)
        os.rename(plan.pass_file, plan.pass_file + ".away")  # it is back, and they still fail
        plan.run("config", "second", rc=1)
        equal(told()[0], [("destination", "usb", "closed"), ("run-failed", "config", "opened"), ("run-failed", "second", "opened")],
              "with the drive back")
        os.rename(plan.pass_file + ".away", plan.pass_file)
        plan.run("config")
        equal(told()[0], [("run-failed", "config", "closed")], "after one of them")
        plan.run("second")
        equal(told()[0], [("run-failed", "second", "closed")], "after the other")
        history = box.run([clawback_binary(), "alerts", "history"], env={"COLUMNS": "80"})
        check(all(len(line) <= 80 for line in history.out.splitlines()), "wider than 80 columns", history)


def test_a_wrong_passphrase_is_one_alert_for_each_run(box):
    plan = plan_with(box, MENDED)
    plan.run("broken")
    box.write(plan.pass_file, "another one\n", 0o600)
    plan.run("broken", rc=1)
    levels = found(box, plan)
    equal(levels[("run-failed", "broken")], "critical", "the run")
    check(("upload-failed", "usb") not in levels, "the same is told of the destination", levels)


def test_a_tier_that_is_disabled_takes_its_alerts_with_it(box):
    with Http() as web:
        plan = plan_with(box, BROKEN, "hook: {webhook: \"%s/in\"}" % web.url)
        plan.run("broken", rc=1)
        plan.write(BROKEN.replace("every: 2h", "every: 2h, enabled: false"))
        box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=None)
        told = {a["rule"]: a for a in web.requests[-1].json()["alerts"]}
        equal(told["run-failed"]["change"], "closed", "what became of it")
        check("disabled" in told["run-failed"]["text"], "what is said", told)


@needs_root
def test_a_disk_that_fills_is_told_in_time(box):
    with Http() as web:
        where = box.mount_tmpfs("drive", "40m")
        plan = Plan(box, MENDED, destinations={"usb": {"path": os.path.join(where, "backups"), "reserve": "1MB"}},
                    more="health: {critical_free: 4MB}\nalerts:\n  channels:\n    hook: {webhook: \"%s/in\"}" % web.url)
        plan.run("broken")
        levels = []
        for size in (34, 37.5, 37.5, 1):
            box.write(os.path.join(where, "filler"), b"x" * int(size * (1 << 20)))
            box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=None)
            levels += [(a["change"], a["now"]) for r in web.requests for a in r.json()["alerts"] if a["rule"] == "space"]
            del web.requests[:]
        equal(levels, [("opened", "warning"), ("worse", "critical"), ("closed", "fine")], "what was told of the space")


# --- a plan with mistakes ---

def test_a_channel_with_a_mistake_keeps_no_run_from_backing_up(box):
    wrong = "mail: {email: {server: \"smtp://127.0.0.1:1\", to: b@example.org}}"
    plan = plan_with(box, MENDED, command_channel(box), wrong)
    line = plan_line(plan, "mail:")
    done = plan.run("broken")
    check("%s:%d: alerts.channels.mail.email: expected 'from'" % (plan.file, line) in done.err, "what run says", done)
    equal([r["status"] for r in plan.records("broken")], ["started", "completed"], "the run")
    told = text_of(box.path("own.txt"))
    check("WARNING" in told and "there is a mistake at %s:%d: alerts.channels.mail" % (plan.file, line) in told, "what is told", told)
    check("type: clawback config check -c " + plan.file in told, "what to type", told)
    equal(found(box, plan)[("plan", "alerts")], "warning", "what health finds")
    check("alerts.channels.mail.email" in text_of(state(box, "clawback.log")), "the log")
    for command, rc in ((["config", "check"], 1), (["doctor", "--offline"], 1), (["alerts", "test"], 1)):
        refused = box.run([clawback_binary()] + command + ["-c", plan.file], rc=rc)
        check(":%d:" % line in refused.out + refused.err, "%s does not name the line" % command, refused)
    plan.more = plan.more.replace("to: b@example.org", "from: a@example.org, to: b@example.org")
    plan.write(MENDED)
    equal(found(box, plan)[("plan", "alerts")], "fine", "what health finds afterwards")
    plan.write(MENDED.replace("files", "fils"))
    plan.run("broken", rc=1)
    equal(len(plan.records("broken")), 2, "lines of a run whose sources are not understood")


def test_what_waits_for_a_channel_survives_a_mistake_in_it(box):
    port = closed_port()
    plan = plan_with(box, BROKEN, "hook: {webhook: \"http://127.0.0.1:%d/in\"}" % port)
    plan.run("broken", rc=1)
    equal(len(rows(box, "SELECT * FROM outbox")), 1, "what waits")
    plan.more = plan.more.replace("webhook", "webhok")
    plan.write(BROKEN)
    box.run([clawback_binary(), "alerts", "flush", "-c", plan.file])
    box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=2)
    equal(len(rows(box, "SELECT * FROM outbox")), 1, "what still waits")
    now_ms = int(time.time() * 1000)
    check(rows(box, "SELECT min(due_ms) FROM outbox")[0][0] > now_ms + 300000, "nobody can send it, but it is due", rows(box, "SELECT * FROM outbox"))


def test_what_nobody_was_told_is_told_when_the_mistake_is_mended(box):
    plan = plan_with(box, BROKEN, command_channel(box).replace("own: {", "own: {lvel: warning, "))
    plan.run("broken", rc=1)
    check(not os.path.exists(box.path("own.txt")), "a channel with a mistake was told", plan.more)
    equal(found(box, plan)[("run-failed", "broken")], "critical", "what health finds")
    plan.more = plan.more.replace("lvel: warning, ", "")
    plan.write(BROKEN)
    box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=2)
    told = text_of(box.path("own.txt"))
    equal(told.count("CRITICAL: broken failed"), 1, "how often the failure was told: " + told)
    box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=2)
    equal(text_of(box.path("own.txt")), told, "what was told the second time")


# --- when nothing can be kept ---

@needs_root
def test_a_failure_is_told_at_the_runs_end_when_nothing_can_be_written(box):
    full = box.mount_tmpfs("full", "1m")
    plan = plan_with(box, MENDED, command_channel(box), command_channel(box, "worst", ", level: critical"))
    env = {"CLAWBACK_STATE_DIR": os.path.join(full, "state")}
    plan.run("broken", env=env)
    try:
        with open(os.path.join(full, "filler"), "wb") as f:
            for size in (1 << 16, 512, 1):
                while True:
                    f.write(b"x" * size)
                    f.flush()
    except OSError:
        pass
    plan.write(BROKEN)
    plan.run("broken", rc=1, env=env)
    for name in ("own", "worst"):
        text = text_of(box.path(name + ".txt"))
        check("CRITICAL" in text and "broken" in text and "alerts cannot be kept" in text, "what '%s' was told" % name, text)


# --- bounds ---

def test_commands_that_hang_over_a_secret_hold_up_no_run(box):
    with Http(HANG) as stuck:
        plan = plan_with(box, BROKEN, "a: {webhook: {url: {command: [sleep, \"600\"]}}}",
                         "b: {webhook: {url: {command: [sh, -c, \"sleep 8; echo %s/x\"]}, token: {command: [sh, -c, \"sleep 8; echo t\"]}}}" % stuck.url,
                         "c: {command: [sleep, \"600\"]}")
        began = time.monotonic()
        plan.run("broken", rc=1)
        took = time.monotonic() - began
        check(took < 28, "the run took %.1f s" % took)


def test_messages_come_once_and_in_order_after_days_without_a_network(box):
    port = closed_port()
    plan = plan_with(box, BROKEN, "hook: {webhook: \"http://127.0.0.1:%d/in\"}" % port)
    plan.run("broken", rc=1)
    os.rename(plan.destinations["usb"], plan.destinations["usb"] + ".away") if os.path.exists(plan.destinations["usb"]) else None
    for _ in range(4):  # attempts, each by another process
        hours_later(box, 1)
        box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=2)
    with Http() as web:
        plan.more = plan.more.replace("http://127.0.0.1:%d" % port, web.url)
        plan.write(BROKEN)
        hours_later(box, 1)
        for _ in range(2):
            box.run([clawback_binary(), "health", "-q", "-c", plan.file], rc=2)
        told = [a for r in web.requests for a in r.json()["alerts"]]
        equal([a["rule"] for a in told].count("run-failed"), 1, "how often the failure is told")
        times = [a["changed"] for r in web.requests for a in [min(r.json()["alerts"], key=lambda a: a["changed"])]]
        equal(times, sorted(times), "the order")
        equal(rows(box, "SELECT * FROM outbox"), [], "what waits")


if __name__ == "__main__":
    clawtest.main()
