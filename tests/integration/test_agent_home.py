#!/usr/bin/env python3
"""`clawback backup` without a path finds the agent's home by itself, and leaves out what can be rebuilt."""
import os
import socket
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
from clawtest import check, equal, main, one_line  # noqa: E402
from interop import fresh_repository  # noqa: E402

KEPT = [".env", "openclaw.json", "secrets.json", "credentials/telegram.json", "identity/key", "workspace/MEMORY.md",
        "workspace/skills/a/SKILL.md", "agents/main/sessions/1.jsonl", "agents/main/agent/auth-profiles.json",
        "cron/jobs.json", "workspace/.git/config", "workspace/cache of ideas.md", "workspace/package-lock.json"]
LEFT_OUT = ["cache/x", "npm/y", "tmp/z", "workspace/node_modules/m/index.js", "workspace/__pycache__/a.pyc", "workspace/b.pyc",
            "workspace/.ssh/id_ed25519", "workspace/.cache/c", "workspace/.npm/d", "workspace/.vscode-server/e",
            "gateway.lock", "workspace/.note.md.swp", "extensions/e/node_modules/f.js"]


def make_home(box, where):
    for name in KEPT + LEFT_OUT:
        box.write(os.path.join(where, name), "content of " + name)
    box.write(os.path.join(where, "openclaw.json"), "{ // a comment\n  agents: { defaults: { workspace: '%s', }, },\n}\n"
              % os.path.join(where, "workspace"))
    os.makedirs(os.path.join(where, "state"))
    db = sqlite3.connect(os.path.join(where, "state/openclaw.sqlite"))
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE cron_jobs (store_key TEXT)")
    db.execute("INSERT INTO cron_jobs VALUES ('x')")
    db.commit()
    s = socket.socket(socket.AF_UNIX)
    s.bind(os.path.join(where, "s.sock")) if len(where) < 90 else None
    s.close()
    return db


def backed_up(box, **env):
    done = box.claw("backup", env=env)
    return done, interop.nodes(box, "latest")


def expect(found, where, *more):
    missing = [n for n in KEPT + ["state/openclaw.sqlite"] + list(more) if os.path.join(where, n) not in found]
    equal(missing, [], "what is missing")
    extra = [n for n in LEFT_OUT + ["state/openclaw.sqlite-wal", "state/openclaw.sqlite-shm", "s.sock"]
             if os.path.join(where, n) in found]
    equal(extra, [], "what should have been left out")


def test_the_default_home(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    db = make_home(box, where)
    done, found = backed_up(box)
    check(where in done.err + done.out, "it does not say what it backs up", done)
    expect(found, where)
    db.close()
    check(os.path.join(box.home, ".ssh") not in found, ".ssh is there")


def test_a_state_directory_from_the_environment(box):
    fresh_repository(box)
    where = box.path("elsewhere/state")
    make_home(box, where).close()
    _, found = backed_up(box, OPENCLAW_STATE_DIR=where)
    expect(found, where)


def test_profiles_and_older_names(box):
    for name, env in ((".openclaw-work", {"OPENCLAW_PROFILE": "work"}), (".clawdbot", {}), (".moltbot", {}),
                      (".clawdbot-x", {"CLAWDBOT_PROFILE": "x"})):
        home = box.mkdir("home of " + name)
        repo = box.path("repo of " + name)
        box.run(["cp", "-a", interop._template().repo, repo])
        make_home(box, os.path.join(home, name)).close()
        box.claw("backup", repo=repo, env=dict(env, HOME=home))
        expect(interop.nodes(box, "latest", repo=repo), os.path.join(home, name))


def test_a_workspace_outside_of_the_home(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    make_home(box, where).close()
    outside = box.path("my project")
    box.write(outside + "/notes.md", "x")
    box.write(outside + "/node_modules/y.js", "y")
    box.write(where + "/openclaw.json", "{agents: {defaults: {workspace: '%s'}, list: [{id: 'b', workspace: '%s'}]}}"
              % (outside, box.mkdir("second")))
    box.write("second/plan.md", "z")
    _, found = backed_up(box)
    check(outside + "/notes.md" in found and box.path("second/plan.md") in found, "a workspace is missing", sorted(found)[:40])
    check(outside + "/node_modules/y.js" not in found, "its node_modules are there")


def test_a_configuration_that_cannot_be_understood_is_no_success(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    make_home(box, where).close()
    box.write(where + "/openclaw.json", "{agents: {defaults: {workspace: '%s'}" % box.mkdir("second"))
    done = box.claw("backup", "--json", rc=3)
    errors = [line for line in done.err.splitlines() if "openclaw.json" in line]
    check(len(errors) == 1 and "which workspaces it names" in errors[0], "it is not named once", done)
    check("1 source could not be read" in done.err, "the last line", done)
    check(where + "/openclaw.json" in interop.nodes(box, "latest"), "the file itself is missing")


def test_old_snapshots_of_the_home_expire_when_a_workspace_has_come(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    make_home(box, where).close()
    box.claw("backup")
    workspace = box.mkdir("workspace")
    box.write(os.path.join(where, "openclaw.json"), "{agents: {defaults: {workspace: '%s'}}}" % workspace)
    box.claw("backup", "--tag", "mine")
    snapshots = box.claw("snapshots", "--json").json()
    equal(len({tuple(s["paths"]) for s in snapshots}), 2, "number of different sets of paths")
    equal([s["tags"] for s in snapshots], [["agent-home=" + where], ["mine", "agent-home=" + where]], "tags")
    equal(len(box.claw("snapshots", "--latest", "1", "--json").json()), 1, "newest of each group")
    box.claw("forget", "--keep-last", "1")
    equal([s["id"] for s in box.claw("snapshots", "--json").json()], [snapshots[1]["id"]], "what is kept")
    box.claw("backup", workspace)
    check("tags" not in box.claw("snapshots", "latest", "--json").json()[0], "a backup of a given path is tagged")


def test_no_home_is_one_clear_line(box):
    fresh_repository(box)
    one_line(box.claw("backup", rc=None), 1, "no agent home", "PATH")
    equal(interop.snapshot_names(box), [], "snapshots")


def test_without_excludes(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    make_home(box, where).close()
    box.claw("backup", "--no-agent-excludes")
    found = interop.nodes(box, "latest")
    equal([n for n in KEPT + LEFT_OUT if os.path.join(where, n) not in found], ["workspace/.ssh/id_ed25519"], "what is missing")
    one_line(box.claw("backup", "--no-agent-excludes", where, rc=None), 1, "--no-agent-excludes")


def test_excludes_of_ones_own_come_on_top(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    make_home(box, where).close()
    box.claw("backup", "--exclude", "MEMORY.md")
    found = interop.nodes(box, "latest")
    check(os.path.join(where, "workspace/MEMORY.md") not in found and os.path.join(where, "workspace") in found, "the exclude")
    check(os.path.join(where, "cache/x") not in found, "the agent's excludes are gone")


def test_the_home_comes_back(box):
    fresh_repository(box)
    where = os.path.join(box.home, ".openclaw")
    db = make_home(box, where)
    backed_up(box)
    box.claw("restore", "latest", "--target", box.path("out"))
    copy = sqlite3.connect(box.path("out") + where + "/state/openclaw.sqlite")
    equal(copy.execute("SELECT * FROM cron_jobs").fetchall(), [("x",)], "the database")
    copy.close()
    db.close()
    with open(box.path("out") + where + "/.env") as f:
        equal(f.read(), "content of .env", "the .env file")


if __name__ == "__main__":
    main()
