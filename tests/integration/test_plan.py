#!/usr/bin/env python3
"""`clawback plan`: the manifest says what a backup then does, and gives nothing away."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, fingerprint, main, one_line  # noqa: E402

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "make-sample-home")
PLAN = """
home: ~/.openclaw
passphrase: {file: ~/passphrase}
destinations:
  usb: {path: USB, reserve: 1MB}
  gone: {path: /nowhere/mounted, require_mount: true}
tiers:
  git:
    every: 2h
    git: [{path: ~/.openclaw/workspace}]
    to: [usb]
    keep: {all: true}
  config:
    every: 2h
    files: [~/.openclaw]
    exclude: ["*.log"]
    to: [usb, gone]
    keep: {within: 7d}
  databases:
    redis: [{url: "redis://127.0.0.1:1"}]
    when: running
    to: [usb]
  off: {files: [/etc/hostname], to: [usb], enabled: false}
  full:
    cron: "0 0 * * 0"
    files: [~/.openclaw]
    format: archive
    to: [usb]
    keep: {weekly: 4, monthly: 12}
"""


def scene(box):
    home = os.path.join(box.home, ".openclaw")
    box.run([SAMPLE, home])
    box.write(os.path.join(box.home, "passphrase"), "a passphrase of more than twenty characters\n", 0o600)
    box.write("claw.yaml", PLAN.replace("USB", box.path("usb")))
    return home


def plan(box, *args, **options):
    return box.run([clawback_binary(), "plan", "-c", box.path("claw.yaml")] + list(args), **options)


def tiers_of(result):
    return {line["tier"]: line for line in result.json_lines("tier")}


def test_it_counts_what_a_backup_takes(box):
    scene(box)
    config = tiers_of(plan(box, "--json"))["config"]
    done = box.run([clawback_binary(), "run", "config", "-c", box.path("claw.yaml"), "--json"], rc=(0, 1, 3))
    restic = ["restic", "-r", box.path("usb"), "--password-file", os.path.join(box.home, "passphrase")]
    listed = [json.loads(line) for line in box.run(restic + ["ls", "--json", "latest", "--tag", "tier=config"]).out.splitlines()]
    stored = {n["path"] for n in listed if n.get("type") == "file"}
    equal(config["files"], len(stored), "files in the manifest and in the snapshot\n%s" % done)
    equal(sum(p["files"] for p in config["paths"]), config["files"], "files of the paths")
    check(config["bytes"] > 100000, "bytes", config)


def test_secrets_do_not_count_where_the_archive_is_not_encrypted(box):
    scene(box)
    path = box.path("claw.yaml")
    with open(path) as f:
        text = f.read()
    open_one = "  open: {files: [~/.openclaw], format: archive, archive: {encrypt: false}, to: [usb]}\n" \
               "  db: {redis: [{url: 'redis://127.0.0.1:1', password: {file: ~/.openclaw/notes.md}}], when: running, to: [usb]}\n"
    plain = box.write(os.path.join(box.home, ".openclaw/notes.md"), "hardly to be guessed\n", 0o600)
    box.write("claw.yaml", text.replace("reserve:", "allow_unencrypted: true, reserve:", 1) + open_one)
    told = tiers_of(plan(box, "open", "--json"))["open"]
    check(told["secrets"] and not told["encrypted"], "no secrets", told)
    equal([s["what"] for s in told["secrets"] if s["path"] == plain], ["passphrase, password or token of the plan"], "the plan's own")
    shown = plan(box, "open").out
    check("left out, since the archive is not encrypted" in shown, "the text", shown)
    box.run([clawback_binary(), "run", "open", "-c", path])
    archive, = (os.path.join(folder, name) for folder, _, names in os.walk(box.path("usb", "archives")) for name in names
                if name.startswith("open_20") and name.endswith(".tar.gz"))
    listed = [line for line in box.run(["tar", "tzvf", archive]).out.splitlines() if line[0] in "-hl"]
    equal(told["files"], len(listed) - 1, "files in the manifest and, but for its own manifest, in the archive")


def test_a_repository_that_is_found_twice_is_listed_once(box):
    home = scene(box)
    inner = os.path.join(home, "workspace", "inner")
    box.run(["git", "init", "-q", inner])
    path = box.path("claw.yaml")
    with open(path) as f:
        text = f.read()
    box.write("claw.yaml", text.replace("{path: ~/.openclaw/workspace}", "{path: ~/.openclaw/workspace}, {path: %s, push: there}" % inner))
    items = tiers_of(plan(box, "git", "--json"))["git"]["sources"]
    equal(sorted(i["name"] for i in items), [os.path.join(home, "workspace"), inner], "repositories")
    check("there is no remote 'there'" in next(i["detail"] for i in items if i["name"] == inner), "its own entry counts", items)
    found = box.run([clawback_binary(), "doctor", "-c", path, "--json"], rc=(1, 3)).out
    equal(found.count("'%s' is healthy" % inner), 1, "lines of doctor")


def test_a_repository_that_was_only_found_need_not_have_the_remote(box):
    """As for a run: it is not pushed, and nothing is wrong."""
    home = scene(box)
    outer, inner = os.path.join(home, "workspace"), os.path.join(home, "workspace", "inner")
    box.run(["git", "init", "-q", inner])
    box.run(["git", "init", "-q", "--bare", box.path("remote.git")])
    box.run(["git", "-C", outer, "remote", "add", "there", box.path("remote.git")])
    path = box.path("claw.yaml")
    with open(path) as f:
        text = f.read()
    box.write("claw.yaml", text.replace("{path: ~/.openclaw/workspace}", "{path: ~/.openclaw/workspace, push: there}"))
    items = {i["name"]: i for i in tiers_of(plan(box, "git", "--json"))["git"]["sources"]}
    check(not items[inner]["problem"] and "not pushed, since it has no remote there" in items[inner]["detail"], "what plan says", items)
    check("pushed to there" in items[outer]["detail"], "the one that has it", items)
    found = box.run([clawback_binary(), "doctor", "-c", path, "--json"], rc=(1, 3)).json_lines("check")
    levels = [line["level"] for line in found if "has no remote" in line["found"]]
    equal(levels, ["green"], "what doctor says\n%s" % found)


def test_it_explains_what_is_left_out(box):
    home = scene(box)
    box.write(os.path.join(home, "workspace/node_modules/pkg/index.js"), b"x" * 12345)
    config = tiers_of(plan(box, "config", "--json"))["config"]
    rules = {e["rule"]: e for e in config["excludes"]}
    check(rules["node_modules"]["bytes"] >= 12345 and "package" in rules["node_modules"]["why"], "node_modules", rules)
    check(rules["*.log"]["files"] >= 1 and "exclude" in rules["*.log"]["why"], "*.log", rules)
    check(any(e["rule"].endswith("/.openclaw/cache") for e in config["excludes"]), "the cache", rules)
    sizes = [e["bytes"] for e in config["excludes"]]
    equal(sizes, sorted(sizes, reverse=True), "the largest come first")


def test_secrets_are_named_and_never_shown(box):
    home = scene(box)
    secret = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123"
    box.write(os.path.join(home, "workspace/notes.md"), "the key is %s\n" % secret)
    for args in (["--json"], ["--all"], []):
        done = plan(box, "config", *args)
        for text in (secret, "sample-gateway-token", "sk-sample-0000"):
            check(text not in done.out + done.err, "a secret was shown", done)
    found = {s["path"]: s["what"] for s in tiers_of(plan(box, "config", "--json"))["config"]["secrets"]}
    for name in (".env", "openclaw.json", "credentials/oauth.json", "identity/device.json", "workspace/notes.md",
                 "workspace/ai-erp/.env", "agents/main/agent/auth-profiles.json", "state/openclaw.sqlite"):
        check(os.path.join(home, name) in found, "%s is not among the secrets" % name, found)
    check(not any(name.endswith(".env.example") for name in found), "an example is no secret", found)


def test_where_it_would_go(box):
    scene(box)
    tiers = tiers_of(plan(box, "--json"))
    equal(sorted(tiers), ["config", "databases", "full", "git"], "the tiers; one is disabled")
    states = {d["name"]: d["state"] for d in tiers["config"]["destinations"]}
    equal(states, {"usb": "ready", "gone": "not mounted"}, "states of the destinations")
    check(tiers["config"]["destinations"][0]["free_bytes"] > 0 and "forecast" in tiers["config"]["destinations"][0], "space")
    equal((tiers["full"]["format"], tiers["full"]["encrypted"]), ("archive", True), "the archive")
    equal(tiers["git"]["sources"][0]["kind"], "git", "the repository")
    check(tiers["git"]["sources"][0]["bytes"] > 0, "its size", tiers["git"])
    redis = tiers["databases"]["sources"][0]
    check(redis["absent"] and "127.0.0.1:1" in redis["name"], "Redis does not run", redis)
    text = plan(box).out
    for expected in ("NOT READY: not mounted", "every 2h", "within 7d", "4 weekly, 12 monthly", "left out"):
        check(expected in text, "'%s' is not in the text" % expected, text)


def test_it_changes_nothing(box):
    home = scene(box)
    db = sqlite3.connect(os.path.join(home, "state/openclaw.sqlite"))
    db.execute("SELECT count(*) FROM cron_jobs").fetchall()
    before = fingerprint(box.home)
    plan(box)
    equal(fingerprint(box.home), before, "the home directory")
    check(not os.path.exists(box.path("usb")), "the destination was made")
    db.close()


def test_what_is_not_there_is_said(box):
    scene(box)
    box.write("claw.yaml", PLAN.replace("USB", box.path("usb")).replace("[~/.openclaw]\n    exclude", "[~/.openclaw, ~/gone]\n    exclude"))
    done = plan(box, "config")
    check("IS NOT THERE" in done.out, "the missing path", done)


def test_unknown_tiers_and_broken_plans_are_clear_lines(box):
    scene(box)
    one_line(plan(box, "nope", rc=1), 1, "no tier 'nope'", "config")
    box.write("claw.yaml", "tiers: 7\n")
    check(plan(box, rc=1).err.startswith(("error:", "warning:")), "no clear line")
    one_line(box.run([clawback_binary(), "plan"], rc=1), 1, "clawback setup")


if __name__ == "__main__":
    main()
