#!/usr/bin/env python3
"""`clawback alerts`: what is open and what was, telling and silence, and a state database that comes to grief."""
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, main  # noqa: E402
from fake_services import Http, answer, closed_port  # noqa: E402
from plan_box import EVERY_2H, ROOM, Plan  # noqa: E402


def make(box, channels="", run=True):
    more = ROOM % "" + ("alerts:\n  channels:\n" + channels if channels else "")
    plan = Plan(box, EVERY_2H, more=more)
    if run:
        plan.run()
    return plan


def alerts(box, *args, **options):
    return box.run([clawback_binary(), "alerts"] + list(args), **options)


def health(box, plan, rc=(0, 1, 2)):
    return box.run([clawback_binary(), "health", "--quick", "-c", plan.file], rc=rc)


def state(box):
    found = [os.path.join(d, "state.sqlite") for d, _, files in os.walk(box.home) if "state.sqlite" in files]
    equal(len(found), 1, "state databases")
    return found[0]


def opened(box):
    done = alerts(box, "--json")
    listed = {(a["rule"], a["subject"]): a for a in done.json_lines("alert")}
    summary = done.summary()
    equal(summary["open"], len(listed), "how many are open")
    return listed


def lose_disk(box):
    os.rename(box.path("usb"), box.path("away"))


def find_disk(box):
    os.rename(box.path("away"), box.path("usb"))


# --- what is shown

def test_nothing_is_open_and_nothing_is_made(box):
    equal(alerts(box).out, "no alert is open\n", "what is said")
    equal(alerts(box, "--json").summary(), {"message_type": "summary", "open": 0, "worst": "fine"}, "the same for programs")
    equal(alerts(box, "history").out, "there was no alert yet\n", "the history")
    equal([f for _, _, files in os.walk(box.home) for f in files], [], "files that looking made")


def test_what_is_wrong_is_open_until_it_is_over(box):
    plan = make(box)
    lose_disk(box)
    health(box, plan, rc=2)
    text = alerts(box).out
    check(text.startswith("CRITICAL  destination 'usb' is not ready") and "type: clawback doctor" in text, "the text", text)
    found = opened(box)[("destination", "usb")]
    check(found["level"] == "critical" and found["command"] == "clawback doctor -c " + plan.file and found["since"] and found["told"], "it", found)
    find_disk(box)
    health(box, plan, rc=0)
    equal(alerts(box).out, "no alert is open\n", "what is said when it is over")
    history = alerts(box, "history", "--json").json_lines("alert_change")
    equal([(c["change"], c["rule"], c["level"], c["told"]) for c in history],
          [("closed", "destination", "critical", True), ("opened", "destination", "critical", True)], "the history")
    check("not ready" in history[0]["was"], "what it was", history[0])
    table = alerts(box, "history", "--last", "1").out
    check("closed" in table and "opened" not in table, "the newest change", table)


def test_a_failed_run_opens_one_at_its_end(box):
    plan = make(box)
    os.rename(plan.pass_file, box.path("away"))
    plan.run("config", rc=1)
    check(opened(box)[("run-failed", "config")]["level"] == "critical", "it is open without 'health'")
    os.rename(box.path("away"), plan.pass_file)
    plan.run("config")
    check(("run-failed", "config") not in opened(box), "it is over with the next run")


def test_growth_says_what_grew(box):
    plan = make(box, run=False)
    home = os.path.join(box.home, ".openclaw")
    box.write(os.path.join(home, "small"), os.urandom(300000))
    box.write(os.path.join(home, "logs", "agent.log"), os.urandom(200000))
    for _ in range(6):
        plan.run("config")
    box.write(os.path.join(home, "logs", "agent.log"), os.urandom(9000000))
    plan.run("config")
    grown = opened(box)[("growth", "config")]
    equal(grown["level"], "critical", "how bad it is")
    check("logs" in grown["details"] and grown["details"].startswith("+8.8 MB"), "what grew", grown)
    check(grown["command"].startswith("clawback runs --run "), "the command", grown)
    box.run(grown["command"].replace("clawback", clawback_binary(), 1).split())


# --- telling

def test_test_tells_each_answer(box):
    with Http() as good, Http(answer(500, "broken")) as bad:
        plan = make(box, "    good: {webhook: %s/a}\n    bad: {webhook: %s/b}\n    gone: {webhook: 'http://127.0.0.1:%d/c'}\n"
                    % (good.url, bad.url, closed_port()), run=False)
        done = alerts(box, "test", "-c", plan.file, rc=1)
        lines = done.out.splitlines()
        equal(len(lines), 3, "lines\n%s" % done)
        check(lines[0].startswith("good (webhook): taken: ") and lines[1].startswith("bad (webhook): FAILED: ") and "500" in lines[1]
              and lines[2].startswith("gone (webhook): FAILED: "), "the answers", done)
        equal(len(good.requests), 1, "messages sent")
        alerts(box, "test", "--channel", "good", "-c", plan.file)
        equal((len(good.requests), len(bad.requests)), (2, 1), "only that channel was asked")
        told = alerts(box, "test", "--json", "-c", plan.file, rc=1).json_lines("channel")
        equal([(t["name"], t["ok"]) for t in told], [("good", True), ("bad", False), ("gone", False)], "the same for programs")


def test_flush_sends_what_waits(box):
    with Http(answer(503)) as web:
        plan = make(box, "    hook: {webhook: %s}\n" % web.url)
        lose_disk(box)
        health(box, plan)
        waits = alerts(box, "flush", "--json", "-c", plan.file).summary()
        check(waits["sent"] == 0 and waits["waiting"] > 0, "it waits", waits)
        web.default = answer(200)
        before = len(web.requests)
        early = alerts(box, "flush", "--due", "--json", "-c", plan.file).summary()
        equal((early["sent"], len(web.requests)), (0, before), "what is tried before its time")
        done = alerts(box, "flush", "-c", plan.file)
        equal(done.out, "1 sent, 0 waiting, 0 given up\n", "what is said")
        equal(len(web.requests), before + 1, "messages")
        check(b"usb" in web.requests[-1].body, "what it says", web.requests[-1])


def test_an_alert_is_told_once_and_when_it_is_over(box):
    with Http() as web:
        plan = make(box, "    hook: {webhook: %s}\n" % web.url)
        lose_disk(box)
        for _ in range(3):
            health(box, plan)
        equal(len(web.requests), 1, "messages while it is open")
        find_disk(box)
        for _ in range(3):
            health(box, plan)
        equal(len(web.requests), 2, "messages when it is over")


def test_one_that_comes_and_goes_is_told_once(box):
    with Http() as web:
        plan = make(box, "    hook: {webhook: %s}\n" % web.url)
        for _ in range(3):
            lose_disk(box)
            health(box, plan)
            find_disk(box)
            health(box, plan)
        equal(len(web.requests), 2, "messages")
        equal([c["told"] for c in alerts(box, "history", "--json").json_lines("alert_change")], [False] * 4 + [True] * 2, "told")


def test_what_is_silenced_is_shown_and_not_told(box):
    with Http() as web:
        plan = make(box, "    hook: {webhook: %s}\n" % web.url)
        done = alerts(box, "silence", "destination", "usb", "--for", "2d")
        check("is not told until" in done.err, "what is said", done)
        lose_disk(box)
        health(box, plan)
        equal(len(web.requests), 0, "messages")
        check(opened(box)[("destination", "usb")]["silenced_until"], "it is shown", opened(box))
        text = alerts(box).out
        check("rule destination 'usb', since " in text and "\n  silenced until 20" in text, "what is shown", text)
        alerts(box, "silence", "destination", "--for", "1d")
        done = alerts(box, "silence", "destination", "usb", "--for", "0")
        check("all of 'destination' is silenced, too: 'clawback alerts silence destination --for 0' ends that" in done.err, "what is said", done)
        alerts(box, "silence", "destination", "--for", "0")
        check("silenced" not in alerts(box).out, "what is shown afterwards", alerts(box).out)
        alerts(box, "silence", "destination", "usb", "--for", "2d")
        alerts(box, "silence", "destination", "usb", "--for", "0")
        health(box, plan)
        equal(len(web.requests), 1, "messages when the silence is over")


# --- mistakes

def test_mistakes_are_named(box):
    plan = make(box, run=False)
    for args, words in [
        (["histroy"], "did you mean 'history'?"),
        (["list", "more"], "takes no arguments"),
        (["silence"], "needs the name of a rule"),
        (["silence", "growht", "--for", "1d"], "did you mean 'growth'?"),
        (["silence", "growth"], "--for 2d"),
        (["silence", "growth", "a", "b", "--for", "1d"], "at most"),
        (["--for", "1d"], "'alerts list' has no option --for"),
        (["history", "--channel", "x"], "'alerts history' has no option --channel"),
        (["test", "--timeout", "1m", "-c", plan.file], "'alerts test' has no option --timeout"),
        (["flush", "--last", "3", "-c", plan.file], "'alerts flush' has no option --last"),
        (["test", "-c", plan.file], "there are no channels"),
        (["test", "-c", "/nowhere.yaml"], "there is no plan"),
    ]:
        done = alerts(box, *args, rc=1)
        check(words in done.err and "\n" in done.err, "the mistake of %s" % args, done)
    plan = make(box, "    hook: {webhook: 'http://127.0.0.1:1'}\n", run=False)
    done = alerts(box, "test", "--channel", "hok", "-c", plan.file, rc=1)
    check("there are: hook" in done.err, "which there are", done)


# --- the state database

def test_a_damaged_database_is_made_again(box):
    plan = make(box)
    lose_disk(box)
    health(box, plan)
    path = state(box)
    size = os.path.getsize(path)
    random.seed(7)
    for damage in [b"", b"garbage" * 1000, bytes(size), random.randbytes(size), None]:
        os.unlink(path)
        if damage is not None:
            box.write(path, damage)
        check(("destination", "usb") in opened(box), "it is still known")
        with sqlite3.connect(path) as db:
            equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok", "the new one")
            check(db.execute("SELECT count(*) FROM runs").fetchone()[0] >= 1, "runs are there again")
        db.close()


def test_a_database_that_cannot_be_opened_stops_no_run(box):
    plan = make(box)
    path = state(box)
    os.unlink(path)
    box.mkdir(path + ".damaged", "full")
    os.mkdir(path)
    box.write(os.path.join(path, "something"), b"x")
    plan.run("config")
    equal(plan.last("config")["status"], "completed", "the run")
    done = alerts(box, rc=1)
    check("state.sqlite" in done.err, "what is wrong", done)


def test_killed_at_any_moment_nothing_is_lost(box):
    plan = make(box)
    random.seed(8)
    for i in range(12):
        (lose_disk if i % 2 == 0 else find_disk)(box)
        child = subprocess.Popen([clawback_binary(), "health", "--quick", "-c", plan.file], env=box.env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(random.random() * 0.3)
        child.send_signal(signal.SIGKILL)
        child.wait()
        alerts(box)
        alerts(box, "history")
        with sqlite3.connect(state(box)) as db:
            equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok", "the database")
        db.close()
    lose_disk(box)
    health(box, plan)
    check(("destination", "usb") in opened(box), "it is found after all")


if __name__ == "__main__":
    main()
