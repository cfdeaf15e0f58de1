#!/usr/bin/env python3
"""clawback config: what it says about a configuration, and that saying it changes nothing."""
import datetime
import os
import sys
import zoneinfo

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, equal, fingerprint, main, one_line  # noqa: E402
from plan_box import EXAMPLE  # noqa: E402

WRONG = """\
passphrase: {file: /p}
destinations:
  usb: {path: mnt/backups}
tiers:
  config:
    every: 2 hours
    files: /x
    tu: [usb]
"""

EVERYTHING = """\
version: 1
host: box
passphrase: {command: [pass, show, clawback]}
limits: {cpus: 2, read: 20MB/s}
hooks: {before: [/bin/a, "x y"], failure: "echo fail", timeout: 5m}
health: {late: 50%, slow: 1h, slow_factor: 2.5, growth: off, growth_critical: 1.125, shrink: 10, full: 95%, critical_free: 1GB,
         proof: 60d, skew: off, dumps: no, prometheus: /var/lib/x.prom}
alerts:
  repeat: never
  digest_at: 7:05
  digest_day: sun
  channels:
    phone: {telegram: {token: {file: /t}, chat: -100123, api: {env: A}, ca_file: /ca}, level: critical, digest: daily, timeout: 5s}
    mail: {email: {server: "smtp://m:25", from: "Me <a@b.c>", to: [x@y.z, o@y.z], user: u, password: {credential: c}, tls: none},
           digest: none}
    plain-mail: {email: {server: "smtps://m", from: a@b.c, to: x@y.z}, level: info}
    hook: {webhook: "https://example.org/x"}
    gotify: {webhook: {url: "https://g.example.org", format: gotify, token: {command: [pass, gotify]}}}
    check: {ping: {url: {file: /u}, tiers: [all, once], style: plain}}
    claw: {openclaw: {channel: telegram, target: "-5"}}
    gateway: {openclaw: {gateway: "http://127.0.0.1:18789", token: {file: /h}}}
    say: {command: [/bin/say, ""]}
    sh: {command: "a | b"}
    log: {syslog: , level: info}
destinations:
  usb: {path: /mnt/backups, require_mount: yes, reserve: 1.5GiB, limit_write: 5MB, compression: max}
  plain: {repository: "local:/srv/plain", require_mount: /srv, allow_unencrypted: true, reserve: 0, passphrase: {credential: x}}
tiers:
  all:
    cron: "30 2 * * *"
    timezone: Europe/Berlin
    files: [~/a, "/b/c d/", "/null"]
    exclude: ["~/x/*.log", "!y", "*.tmp", "null", "# no comment"]
    exclude_if_present: [.nobackup]
    exclude_caches: true
    exclude_larger_than: 1GB
    one_file_system: true
    agent_excludes: false
    git: [~/g, {path: /g2, push: origin, timeout: 1m}]
    postgres: [{}, {socket: /run/pg, user: u, database: d, password: {env: PGP}}]
    redis: {url: "unix:///run/redis.sock", user: x}
    sqlite: /s.db
    command: [{name: crontab, command: [crontab, -l]}, {name: y, command: "a | b"}]
    when: running
    on_shrink: warn
    to: [usb, plain]
    keep: {within: 1y2m3d4h, last: 3, daily: all, within_daily: 2m}
    hooks: {after: x}
    timeout: 90m
    retry: {times: 2, after: 1m}
  once:
    at: 2090-01-01 12:00
    timezone: America/New_York
    files: /x
    enabled: false
    format: archive
    archive: {prefix: foo, compression: zstd, recipients: [a@b.c]}
    to: plain
"""


def test_the_example_works_as_it_stands(box):
    path = box.write("clawback.yaml", EXAMPLE, 0o600)
    before = fingerprint(box.dir)
    equal(box.claw("config", "check", "-c", path).out, box.claw("config", "check", path).out, "-c FILE")
    equal(box.claw("config", "show", "--config", path).out, box.claw("config", "show", path).out, "--config FILE")
    result = box.claw("config", "check", path)
    equal(result.out, "%s: no mistakes; 4 tiers to 2 destinations\n" % path, "what it says")
    equal(result.err, "", "standard error")
    shown = box.claw("config", "show", path).out
    check("path: /mnt/backups" in shown and box.home + "/.openclaw" in shown, "not the plan", shown)
    equal(fingerprint(box.dir), before, "the box, home included")


def test_mistakes_are_shown_as_compilers_do(box):
    path = box.write("wrong.yaml", WRONG)
    result = box.claw("config", "check", path, rc=1)
    lines = result.out.splitlines()
    equal(lines[0], path + ":3:15: error: destinations.usb.path: found 'mnt/backups', expected a path that begins with / or ~/",
          "the first")
    equal(lines[1], path + ":5:3: error: tiers.config: it goes nowhere, expected 'to' with the name of a destination", "the second")
    equal(lines[2], path + ":6:12: error: tiers.config.every: found '2 hours', expected a duration like 30s, 10m or 2h", "the third")
    check(any("unknown key 'tu'; did you mean 'to'?" in line for line in lines), "no suggestion", result)
    check(lines[-1].startswith(path + ": ") and lines[-1].endswith(" mistakes"), "no sum", result)
    one_line(box.claw("config", "show", path, rc=None), 1, "wrong.yaml:3:", "more mistakes")


def test_mistakes_as_json(box):
    path = box.write("wrong.yaml", WRONG)
    result = box.claw("config", "check", path, "--json", rc=1)
    mistakes = result.json_lines("mistake")
    equal([(m["line"], m["column"], m["level"]) for m in mistakes[:3]],
          [(3, 15, "error"), (5, 3, "error"), (6, 12, "error")], "places")
    equal(mistakes[0]["file"], path, "file")
    equal(result.summary()["errors"], len([m for m in mistakes if m["level"] == "error"]), "their number")
    good = box.claw("config", "check", box.write("good.yaml", EXAMPLE), "--json")
    equal(good.summary()["errors"], 0, "mistakes in the example")


def test_files_that_are_no_configuration(box):
    one_line(box.claw("config", "check", "nowhere.yaml", rc=None), 1, "nowhere.yaml")
    one_line(box.claw("config", "check", "a", "b", rc=None), 1, "one file")
    one_line(box.claw("config", "check", "a", "-c", "b", rc=None), 1, "one file")
    one_line(box.claw("config", "check", box.dir, rc=None), 1, "directory")
    for name, content in {"empty": "", "nul": b"home: /x\0y\n", "latin1": b"home: /\xe4\n", "list": "- a\n", "torn": "tiers: {a: [",
                          "two": "a: 1\n---\nb: 2\n", "tab": "tiers:\n\tx: 1\n", "deep": "[" * 5000, "bomb": bomb()}.items():
        result = box.claw("config", "check", box.write(name, content), rc=1)
        check(": error: " in result.out and result.err == "", "not a clear mistake", result)
    one_line(box.claw("config", "check", box.write("huge", "# " + "x" * (1 << 20)), rc=None), 1, "larger than")


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append("a%d: &a%d [%s]" % (i, i, ", ".join(["*a%d" % (i - 1)] * 8)))
    return "\n".join(lines) + "\n"


def test_what_is_shown_is_a_configuration_that_shows_the_same(box):
    path = box.write("all.yaml", EVERYTHING)
    first = box.claw("config", "show", path).out
    again = box.write("again.yaml", first)
    box.claw("config", "check", again)
    equal(box.claw("config", "show", again).out.splitlines()[1:], first.splitlines()[1:], "the second showing")
    plans = [box.claw("config", "show", p, "--json").json() for p in (path, again)]
    for plan in plans:
        del plan["file"]
    equal(plans[1], plans[0], "as JSON")


def test_passwords_are_not_shown(box):
    text = EXAMPLE.replace("redis://127.0.0.1:6379", "redis://me:s3cr3t@127.0.0.1:6379")
    path = box.write("clawback.yaml", text, 0o644)
    for args in (["config", "check", path], ["config", "show", path], ["config", "show", path, "--json"]):
        result = box.claw(*args)
        check("s3cr3t" not in result.out + result.err, "the password is shown", result)
        check("others can read this file" in result.out + result.err, "no warning", result)
    os.chmod(path, 0o600)
    result = box.claw("config", "show", path)
    check("redis://me:***@" in result.out and result.err == "", "not hidden, or warned", result)
    wrong = box.write("wrong.yaml", text.replace("passphrase: {file: ~/.config/clawback/passphrase}", "passphrase: hunter2"))
    result = box.claw("config", "check", wrong, rc=1)
    check("hunter2" not in result.out + result.err and "s3cr3t" not in result.out + result.err, "a secret is shown", result)


def test_tokens_in_addresses_are_not_shown(box):
    tokens = ["123456:AAE0dEf_9876543210zyxwvutsrqponm", "aB3dE5gHiJ7kLmN0pQ2rS", "0f3b1c2d-1111-4222-8333-444455556666", "k7"]
    path = box.write("clawback.yaml", EXAMPLE + """
alerts:
  channels:
    a: {telegram: {token: {file: /t}, chat: 1, api: "https://example.org/bot%s"}}
    b: {webhook: "https://discord.com/api/webhooks/1234/%s"}
    c: {ping: "https://hc-ping.com/%s"}
    d: {webhook: {url: "https://g.example.org/message?token=%s", format: gotify}}
""" % tuple(tokens), 0o644)
    for args in (["config", "check", path], ["config", "show", path], ["config", "show", path, "--json"]):
        result = box.claw(*args)
        for token in tokens:
            check(token not in result.out + result.err, "a token is shown", result)
        equal((result.out + result.err).count("what looks like a token is in the URL"), 4, "warnings")
    os.chmod(path, 0o600)
    shown = box.claw("config", "show", path)
    check("https://hc-ping.com/***" in shown.out and shown.err == "", "not hidden, or warned", shown)


def test_what_is_watched_is_shown_with_its_defaults(box):
    shown = box.claw("config", "show", box.write("c.yaml", EXAMPLE)).out
    for line in ("  late: 25%", "  slow: 10m", "  growth_critical: 10", "  critical_free: 100MB", "  proof: 35d", "  dumps: true",
                 '  digest_at: "08:00"', "  digest_day: monday", "  repeat: 1d"):
        check(line + "\n" in shown, "no line '%s'" % line, shown)


def next_at_half_past_two(zone, now):
    """The next three times that clocks there show 02:30, or begin to show a later time than that."""
    zone = zoneinfo.ZoneInfo(zone)
    day, found = now.astimezone(zone).date(), []
    while len(found) < 3:
        wanted = datetime.datetime(day.year, day.month, day.day, 2, 30, tzinfo=zone)
        instant = wanted.astimezone(datetime.timezone.utc)
        if instant.astimezone(zone).replace(tzinfo=None) == wanted.replace(tzinfo=None) and instant > now:
            found.append(instant)
        day += datetime.timedelta(days=1)
    return found


def test_next_times_are_those_of_the_zone(box):
    for zone in ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Chatham"):
        text = EXAMPLE.replace('cron: "0 0 * * 0"', 'cron: "30 2 * * *"\n    timezone: ' + zone)
        path = box.write("clawback.yaml", text)
        for _ in range(2):  # once more, should the minute be just that one
            now = datetime.datetime.now(datetime.timezone.utc)
            shown = box.claw("config", "show", path, "--json").json()["tiers"]["full"]["next"]
            found = [datetime.datetime.fromisoformat(t.replace("Z", "+00:00")) for t in shown]
            if found == next_at_half_past_two(zone, now):
                break
        else:
            skipped = any((a - b) != datetime.timedelta(days=-1) for a, b in zip(found, found[1:]))
            check(skipped, "not the next times in %s" % zone, found, now)  # a change of clocks lies between


def test_the_default_place_is_found(box):
    one_line(box.claw("config", "check", rc=None), 1, ".config/clawback/clawback.yaml")
    box.write("home/.config/clawback/clawback.yaml", EXAMPLE)
    check("4 tiers" in box.claw("config", "check").out, "not found below ~/.config")
    box.write("xdg/clawback/clawback.yaml", "- no\n")
    box.claw("config", "check", rc=1, env={"XDG_CONFIG_HOME": box.path("xdg")})
    box.claw("config", "check", env={"XDG_CONFIG_HOME": box.path("xdg"), "CLAWBACK_CONFIG": "~/.config/clawback/clawback.yaml"})


def reference():
    docs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "configuration.md")
    with open(docs, encoding="utf-8") as f:
        return f.read()


def test_the_examples_of_the_reference_have_no_mistakes(box):
    blocks = reference().split("```yaml\n")[1:]
    check(len(blocks) >= 2, "there are no examples")
    for i, block in enumerate(blocks):
        result = box.claw("config", "check", "--json", box.write("%d.yaml" % i, block.split("```")[0], 0o600))
        equal(result.json_lines("mistake"), [], "mistakes in example %d" % (i + 1))


def test_the_reference_names_every_key(box):
    """A key that is like no other makes the program list those that it knows there."""
    odd = "qqqqqqqqqqqq: 1"
    places = ["%s", "destinations: {d: {%s}}", "tiers: {t: {%s}}", "tiers: {t: {git: [{%s}]}}", "tiers: {t: {postgres: [{%s}]}}",
              "tiers: {t: {redis: [{%s}]}}", "tiers: {t: {command: [{%s}]}}", "tiers: {t: {archive: {%s}}}",
              "tiers: {t: {keep: {%s}}}", "tiers: {t: {hooks: {%s}}}", "tiers: {t: {retry: {%s}}}", "limits: {%s}",
              "health: {%s}", "alerts: {%s}", "alerts: {channels: {c: {%s}}}"]
    places += ["alerts: {channels: {c: {" + kind + ": {%s}}}}"
               for kind in ("telegram", "email", "webhook", "ping", "openclaw", "syslog")]
    text, known = reference(), 0
    for place in places:
        result = box.claw("config", "check", "--json", box.write("odd.yaml", place % odd), rc=1)
        lists = [m["message"].split("expected one of ")[1] for m in result.json_lines("mistake") if "qqqq" in m["message"]]
        equal(len(lists), 1, "lists of keys in %s" % place)
        for key in lists[0].split(", "):
            known += 1
            check("`%s`" % key in text or "`%s`" % key in text.replace("{", "`").replace("}", "`").replace(", ", "`, `")
                  .replace(" \\| ", "` `"), "docs/configuration.md does not describe '%s'" % key)
    check(known > 110, "only %d keys" % known)


if __name__ == "__main__":
    main()
