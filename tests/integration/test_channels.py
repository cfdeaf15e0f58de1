#!/usr/bin/env python3
"""How alerts reach people: every kind of channel against a real peer or one of our own, from the plan to what arrives. TLS, logins,
servers that refuse, hang or talk nonsense; the outbox over restarts; and that no token ever shows."""
import email
import email.policy
import json
import os
import re
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import clawtest
from clawtest import check, clawback_binary, equal
from fake_services import (CLOSE, GARBAGE, HANG, Certificate, Http, Smtp, answer, closed_port, telegram_ok, telegram_refusal,
                           telegram_wait)
from plan_box import Plan

TOKEN = "123456:sEcReT-AbCdEf_0987654321"
PASSWORD = "sEcReT-pa55word"
FAILING = "  broken: {every: 2h, files: [~/.openclaw], to: usb, hooks: {before: 'false'}}"


class Channels(Plan):
    """A plan with these channels (each a line of YAML), and with a tier that fails."""

    def __init__(self, box, *channels, tiers=FAILING, alerts=""):
        box.env["TG_TOKEN"] = TOKEN
        self.lines = ["alerts:"] + ([alerts] if alerts else []) + ["  channels:"] + ["    " + c for c in channels]
        super().__init__(box, tiers, more="\n".join(self.lines))
        box.write("password", PASSWORD + "\n", 0o600)

    def alerts(self, *args, rc=0, **options):
        return self.quiet(self.box.run([clawback_binary(), "alerts"] + list(args) + ["-c", self.file], rc=rc, **options))

    def test(self, *args, **options):
        return self.alerts("test", *args, **options)

    def flush(self, *args, **options):
        """As the daemon does, which leaves what failed until its time has come."""
        return self.alerts("flush", "--due", *args, **options)

    def fail(self, **options):
        """A run that fails, and of which everybody is to hear."""
        return self.quiet(self.run("broken", rc=1, **options))

    def quiet(self, result):
        """No token is in what is printed, nor in anything of ours that stays."""
        for text in (result.out, result.err, self.state_text()):
            check("sEcReT" not in text, "a secret shows", result)
        return result

    def state(self, name):
        return os.path.join(self.box.home, ".local", "state", "clawback", name)

    def state_text(self):
        text = ""
        for path in clawtest.files_below(self.state("")) if os.path.isdir(self.state("")) else []:
            with open(path, "rb") as f:
                text += f.read().decode("utf-8", "replace")
        return text

    def log(self):
        with open(self.state("clawback.log")) as f:
            return f.read()

    def sql(self, statement, *values):
        connection = sqlite3.connect(self.state("state.sqlite"), timeout=10)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def hours_later(self, hours):
        """As if so much time had passed for what waits."""
        self.sql("UPDATE outbox SET due_ms = due_ms - ?1, created_ms = created_ms - ?1", hours * 3600 * 1000)


def telegram(web, more=""):
    return "tg: {telegram: {token: {env: TG_TOKEN}, chat: \"-100123\", api: \"%s\"%s}}" % (web.url, more)


def mail(server, more, name="mail"):
    return "%s: {email: {server: \"%s\", from: \"clawback@example.org\", to: [owner@example.org]%s}}" % (name, server.url, more)


def login(box):
    return ", user: me, password: {file: \"%s\"}" % box.path("password")


# --- Telegram ---

def test_telegram_is_told_of_a_failure_and_of_its_end(box):
    with Http(telegram_ok()) as web:
        plan = Channels(box, telegram(web))
        plan.fail()
        equal(len(web.requests), 1, "messages")
        request = web.requests[0]
        equal(request.path, "/bot%s/sendMessage" % TOKEN, "path")
        equal(request.json()["chat_id"], "-100123", "chat")
        text = request.json()["text"]
        check("CRITICAL" in text and "broken" in text and "type: clawback" in text, "the text lacks something", text)
        plan.write("  broken: {every: 2h, files: [~/.openclaw], to: usb}")
        plan.quiet(plan.run("broken"))
        check("over: " in web.texts()[-1], "it is not told as over", web.texts())
        check("alert opened" in plan.log() and "alert closed" in plan.log(), "the log lacks it", plan.log())


def test_telegram_refusals_are_said_without_the_token(box):
    with Http(telegram_ok()) as web:
        plan = Channels(box, telegram(web))
        web.answers = [telegram_refusal(401, "Unauthorized"), telegram_refusal(400, "Bad Request: chat not found"),
                       answer(404, "no such method: /bot%s/sendMessage" % TOKEN), GARBAGE, CLOSE, answer(500, "<html>")]
        for word in ("Unauthorized", "chat not found", "no such method: /bot***", "no proper answer", "cannot reach", "500"):
            result = plan.test(rc=1)
            check(word in result.out + result.err, "'%s' is not said" % word, result)
        check("sent" in plan.test().out, "the answer is not shown")


def test_telegram_may_say_when_to_come_again(box):
    with Http(telegram_ok()) as web:
        web.answers = [telegram_wait(7200)]
        plan = Channels(box, telegram(web))
        plan.fail()
        waits = plan.sql("SELECT due_ms - created_ms, attempts FROM outbox")
        equal(len(waits), 1, "rows that wait")
        check(7190000 < waits[0][0] < 7300000 and waits[0][1] == 1, "it does not wait as it was told to", waits)
        plan.flush()
        equal(len(web.requests), 1, "it came before its time")
        plan.hours_later(3)
        plan.flush()
        equal(len(web.requests), 2, "messages")
        equal(plan.sql("SELECT * FROM outbox"), [], "what waits")


# --- mail ---

def parsed(text):
    return email.message_from_string(text.replace("\r\n", "\n"), policy=email.policy.default)


def test_mail_with_starttls_and_a_login(box):
    certificate = Certificate(box)
    with Smtp(box, tls="starttls", certificate=certificate, user="me", password=PASSWORD) as server:
        plan = Channels(box, mail(server, login(box) + ", ca_file: \"%s\"" % certificate.ca))
        plan.fail()
        (sent,) = server.mails()
        check(sent["encrypted"] and sent["login"], "it was not safe", sent)
        equal((sent["from"], sent["to"]), ("clawback@example.org", ["owner@example.org"]), "envelope")
        m = parsed(sent["data"])
        check(m["Subject"].startswith("clawback on ") and "CRITICAL" in m["Subject"], "subject", m["Subject"])
        equal(m["Auto-Submitted"], "auto-generated", "Auto-Submitted")
        equal(m.get_content_type(), "text/plain", "type")
        check(re.match(r"<[0-9]+\.[0-9a-f]{16}@example\.org>$", m["Message-ID"]), "Message-ID", m["Message-ID"])
        check(abs(m["Date"].datetime.timestamp() - time.time()) < 300, "Date", m["Date"])
        check("type: clawback" in m.get_content(), "body", m.get_content())
        check(all(len(line) <= 78 for line in sent["data"].splitlines()), "lines are too long", sent["data"])


def test_mail_over_smtps(box):
    certificate = Certificate(box)
    with Smtp(box, tls="smtps", certificate=certificate, user="me", password=PASSWORD) as server:
        plan = Channels(box, mail(server, login(box) + ", ca_file: \"%s\"" % certificate.ca))
        plan.test()
        (sent,) = server.mails()
        check(sent["encrypted"] and sent["login"], "it was not safe", sent)


def test_mail_servers_that_nobody_vouches_for_get_nothing(box):
    certificate = Certificate(box)
    for tls in ("starttls", "smtps"):
        with Smtp(box, tls=tls, certificate=certificate, user="me", password=PASSWORD) as server:
            plan = Channels(box, mail(server, login(box)))
            result = plan.test(rc=1)
            check("certificate" in result.out + result.err, "the reason is not said", result)
            equal(server.events("login") + server.mails(), [], "what it got")


def test_mail_is_not_sent_in_the_clear(box):
    with Smtp(box, user="me", password=PASSWORD) as server:
        plan = Channels(box, mail(server, login(box)))
        result = plan.test(rc=1)
        check("no encryption" in result.out + result.err and "tls: none" in result.out + result.err, "the reason is not said", result)
        equal(server.events("login") + server.mails(), [], "what it got")
        plan = Channels(box, mail(server, login(box) + ", tls: none"))
        plan.test()
        equal(len(server.mails()), 1, "mails")


def test_mail_with_a_wrong_password(box):
    certificate = Certificate(box)
    with Smtp(box, tls="starttls", certificate=certificate, user="me", password="another") as server:
        plan = Channels(box, mail(server, login(box) + ", ca_file: \"%s\"" % certificate.ca))
        result = plan.test(rc=1)
        check("login" in result.out + result.err and "535" in result.out + result.err, "the reason is not said", result)
        equal(server.mails(), [], "mails")


def test_mail_that_is_greylisted_comes_later(box):
    with Smtp(box, grey=1) as server:
        plan = Channels(box, mail(server, ", tls: none"))
        plan.fail()
        equal(server.mails(), [], "mails")
        equal([r[0] for r in plan.sql("SELECT attempts FROM outbox")], [1], "attempts")
        check("451 4.7.1 greylisted" in plan.log(), "the log does not say why", plan.log())
        plan.hours_later(1)
        plan.flush()
        equal(len(server.mails()), 1, "mails")


def test_mail_that_is_refused(box):
    with Smtp(box, refuse=["owner"]) as server:
        result = Channels(box, mail(server, ", tls: none")).test(rc=1)
        check("550 5.1.1 no such mailbox" in result.out + result.err, "the reason is not said", result)
    with Smtp(box, reject_data=True) as server:
        result = Channels(box, mail(server, ", tls: none")).test(rc=1)
        check("554 5.7.1" in result.out + result.err, "the reason is not said", result)
    with Smtp(box, refuse=["gone"]) as server:
        line = mail(server, ", tls: none").replace("[owner@example.org]", "[gone@example.org, \"The Owner <owner@example.org>\"]")
        result = Channels(box, line).test()
        check("not to 1 of 2" in result.out, "that one was refused is not said", result)
        equal(server.mails()[0]["to"], ["owner@example.org"], "who got it")


def test_digests_go_by_mail_once(box):
    with Smtp(box) as server:
        plan = Channels(box, mail(server, ", tls: none"), tiers="  config: {every: 2h, files: [~/.openclaw], to: usb}",
                        alerts="  digest_at: \"00:00\"")
        plan.quiet(plan.run())
        notes = dict(plan.sql("SELECT key, value FROM notes WHERE key LIKE 'digest.%'"))
        equal(sorted(notes), ["digest.daily", "digest.weekly"], "what is noted")
        before = len(server.mails())
        plan.sql("UPDATE notes SET value = '2026-01-01' WHERE key LIKE 'digest.%'")
        for _ in range(2):
            plan.quiet(box.run([clawback_binary(), "health", "-c", plan.file], rc=None))
        digests = [parsed(m["data"]) for m in server.mails()[before:]]
        subjects = sorted(d["Subject"].split(": ")[1] for d in digests if "digest" in d["Subject"])
        equal(subjects, ["daily digest", "weekly digest"], "digests")


# --- webhooks, pings, OpenClaw, commands ---

def test_webhooks_over_tls_of_ones_own(box):
    certificate = Certificate(box)
    with Http(certificate=certificate) as web:
        result = Channels(box, "hook: {webhook: \"%s/in\"}" % web.url).test(rc=1)
        check("certificate" in result.out + result.err, "the reason is not said", result)
        equal(web.requests, [], "what it got")
        line = "hook: {webhook: {url: \"%s/in\", ca_file: \"%s\"}}" % (web.url, certificate.ca)
        Channels(box, line).fail()
        body = web.requests[0].json()
        equal((body["source"], body["kind"], body["level"], body["over"]), ("clawback", "alerts", "critical", False), "the object")
        equal(body["alerts"][0]["rule"], "run-failed", "rule")
        equal(body["alerts"][0]["subject"], "broken", "subject")


def test_webhooks_of_well_known_services(box):
    with Http() as web:
        url = {"env": "HOOK_URL"}
        box.env["HOOK_URL"] = web.url + "/services/sEcReT/sEcReT-2"
        Channels(box, "s: {webhook: {url: %s, format: slack}}" % json.dumps(url)).test()
        Channels(box, "d: {webhook: {url: %s, format: discord}}" % json.dumps(url)).test()
        Channels(box, "n: {webhook: {url: \"%s/alerts\", format: ntfy, token: {env: TG_TOKEN}}}" % web.url).test()
        Channels(box, "g: {webhook: {url: \"%s\", format: gotify, token: {env: TG_TOKEN}}}" % web.url).test()
        slack, discord, ntfy, gotify = web.requests
        equal((slack.path, discord.path, ntfy.path, gotify.path), ("/services/sEcReT/sEcReT-2",) * 2 + ("/", "/message"), "paths")
        check("This is a test" in slack.json()["text"] and "This is a test" in discord.json()["content"], "texts")
        equal(ntfy.json()["topic"], "alerts", "topic")
        equal(ntfy.headers["Authorization"], "Bearer " + TOKEN, "ntfy's token")
        equal(gotify.headers["X-Gotify-Key"], TOKEN, "Gotify's token")
        web.answers = [answer(403, "no access to /services/sEcReT/sEcReT-2")]
        Channels(box, "s: {webhook: {url: %s, format: slack}}" % json.dumps(url)).test(rc=1)


def test_a_redirect_does_not_swallow_an_alert(box):
    with Http() as web:
        web.answers = [answer(301, "", Location="/elsewhere")]
        result = Channels(box, "hook: {webhook: \"%s/in\"}" % web.url).test(rc=1)
        check("301" in result.out + result.err, "the reason is not said", result)
        web.answers = [answer(308, "", Location="/elsewhere")]
        Channels(box, "hook: {webhook: \"%s/in\"}" % web.url).test()
        equal((web.requests[-1].method, web.requests[-1].path), ("POST", "/elsewhere"), "the request that came")


def test_pings_tell_of_start_success_and_failure(box):
    with Http() as web:
        plan = Channels(box, "hc: {ping: \"%s/ping/abc\"}" % web.url)
        plan.fail()
        start, end = web.requests
        rid = re.fullmatch(r"/ping/abc/start\?rid=([0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12})", start.path)
        check(rid, "the start has no run ID", start)
        equal(end.path, "/ping/abc/fail?rid=" + rid.group(1), "the end")
        equal(end.method, "POST", "the end's method")
        plan.write("  broken: {every: 2h, files: [~/.openclaw], to: usb}")
        plan.quiet(plan.run("broken"))
        check(web.requests[-1].path.startswith("/ping/abc?rid="), "success", web.requests)
        plan.test()
        check(web.requests[-1].path.startswith("/ping/abc/log"), "a test", web.requests)


def test_pings_of_a_plain_heartbeat(box):
    with Http() as web:
        plan = Channels(box, "kuma: {ping: \"%s/api/push/abc?status=up&msg=OK&ping=\"}" % web.url,
                        "beat: {ping: {url: \"%s/beat\", style: plain}}" % web.url)
        plan.fail()
        equal([r.path for r in web.requests], ["/api/push/abc?status=down&msg=the%20backup%20failed"], "after a failure")
        plan.write("  broken: {every: 2h, files: [~/.openclaw], to: usb}")
        plan.quiet(plan.run("broken"))
        equal(sorted(r.path for r in web.requests[1:]), ["/api/push/abc?status=up&msg=OK", "/beat"], "after a success")


def test_openclaw_by_its_command_and_by_its_hook(box):
    where = box.mkdir("bin")
    box.write(os.path.join(where, "openclaw"), "#!/bin/sh\nprintf '%%s\\n' \"$@\" >'%s'\n" % box.path("args"), 0o755)
    box.env["PATH"] = where + ":" + box.env["PATH"]
    Channels(box, "oc: {openclaw: {channel: telegram, target: \"42\"}}").test()
    with open(box.path("args")) as f:
        equal(f.read().split("\n")[:7], ["message", "send", "--channel", "telegram", "--target", "42", "--message"], "arguments")
    with Http(answer(200, {"ok": True})) as web:
        Channels(box, "oc: {openclaw: {gateway: \"%s\", token: {env: TG_TOKEN}}}" % web.url).test()
        request = web.requests[0]
        equal((request.path, request.headers["Authorization"]), ("/hooks/wake", "Bearer " + TOKEN), "the hook")
        equal(request.json()["mode"], "now", "mode")


def test_a_command_gets_the_alert(box):
    script = box.write("notify", "#!/bin/sh\ncat >'%s'\nenv >'%s'\n" % (box.path("text"), box.path("facts")), 0o755)
    Channels(box, "own: {command: [\"%s\"]}" % script).fail()
    with open(box.path("text")) as f:
        text = f.read()
    check(text.startswith("clawback on ") and "type: clawback" in text, "the text", text)
    with open(box.path("facts")) as f:
        facts = f.read()
    for line in ("CLAWBACK_ALERT_LEVEL=critical", "CLAWBACK_ALERT_RULE=run-failed", "CLAWBACK_ALERT_SUBJECT=broken"):
        check(line + "\n" in facts, "%s is missing" % line, facts)
    check("CLAWBACK_PASSPHRASE" not in facts, "it got the passphrase", facts)


# --- the outbox ---

def test_alerts_survive_no_network(box):
    port = closed_port()
    plan = Channels(box, "hook: {webhook: \"http://127.0.0.1:%d/in\"}" % port)
    plan.fail()
    plan.write("  broken: {every: 2h, files: [~/.openclaw], to: usb}")
    plan.quiet(plan.run("broken"))  # it is well again, and nobody has heard of anything
    equal(len(plan.sql("SELECT * FROM outbox")), 2, "what waits")
    with Http() as web:
        plan.more = plan.more.replace("http://127.0.0.1:%d" % port, web.url)
        plan.write("  broken: {every: 2h, files: [~/.openclaw], to: usb}")
        plan.hours_later(2)
        plan.flush()
        equal(len(web.requests), 1, "messages")
        check(web.requests[0].json()["over"], "it is not told as over", web.requests[0].json())
        equal(plan.sql("SELECT * FROM outbox"), [], "what waits")


def test_a_channel_that_hangs_keeps_neither_the_others_nor_the_run(box):
    with Http(HANG) as stuck, Http() as web:
        plan = Channels(box, "a: {webhook: \"%s/\"}" % stuck.url, "b: {webhook: \"%s/\"}" % web.url)
        plan.fail(timeout=90)
        equal(len(web.requests), 1, "what the other got")
        equal(len(stuck.requests), 1, "what the stuck one got")
        equal([r[0] for r in plan.sql("SELECT channel FROM outbox")], ["a"], "what waits")
        plan.hours_later(1)
        began = time.monotonic()
        plan.flush("--timeout", "2s", rc=(0, 1))
        check(time.monotonic() - began < 15, "flush does not keep its time: %.1f s" % (time.monotonic() - began))


def test_a_sender_that_is_killed_loses_nothing(box):
    with Http(HANG) as web:
        plan = Channels(box, "hook: {webhook: \"%s/\"}" % web.url)
        child = plan.start("broken")
        web.wait_for(1, 60)
        child.kill()
        child.wait()
    with Http() as web:
        plan.more = re.sub(r"http://127\.0\.0\.1:\d+", web.url, plan.more)
        plan.write(FAILING)
        plan.hours_later(1)
        plan.flush()
        equal(len(web.requests), 1, "messages")


def test_messages_for_channels_that_are_gone_are_dropped(box):
    port = closed_port()
    plan = Channels(box, "old: {webhook: \"http://127.0.0.1:%d/in\"}" % port)
    plan.fail()
    with Http() as web:
        plan.more = plan.more.replace("old:", "new:").replace("http://127.0.0.1:%d" % port, web.url)
        plan.write(FAILING)
        plan.flush()
        equal(web.requests, [], "what the new one got")
        equal(plan.sql("SELECT * FROM outbox"), [], "what waits")
        check("'old'" in plan.log(), "the log does not say so", plan.log())


if __name__ == "__main__":
    clawtest.main()
