#!/usr/bin/env python3
# timeout: 2400
"""Against a real OpenClaw, fetched from the npm registry: `./run-tests --with-openclaw`.

The newest version runs our backups by itself; 2026.2.2, which cannot, gets to see them."""
import atexit
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import gateway  # noqa: E402
from clawtest import check, clawback_binary, equal, main, once, wait_until  # noqa: E402
from schedulers import Machine  # noqa: E402

NEWEST, OLD = os.environ.get("OPENCLAW_VERSION") or "latest", "2026.2.2"
PHRASE = "a passphrase of more than twenty characters"


class Host:
    """A home with a live OpenClaw, a plan for it, and our program beside it."""

    def __init__(self, box, version):
        self.box, self.gateway = box, gateway.Gateway(version, box.home)
        atexit.register(self.gateway.stop)
        self.gateway.onboard()
        self.gateway.start()
        print("# %s, on port %d" % (self.gateway.version(), self.gateway.port), flush=True)
        self.machine = Machine(box, openclaw="real")
        box.env["CLAWBACK_OPENCLAW"] = self.gateway.wrapper(box.path("machine/bin/openclaw"))
        self.phrase = box.write("passphrase", PHRASE + "\n", 0o600)
        self.repo = box.path("usb")
        self.plan("2h")

    def plan(self, every):
        self.box.write("plan.yaml", "home: %s\npassphrase: {file: %s}\ndestinations: {usb: {path: %s, reserve: 1MB}}\n"
                       "tiers:\n  config: {every: %s, files: [~/.openclaw], to: [usb]}\n"
                       % (self.gateway.state, self.phrase, self.repo, every))

    def schedule(self, verb, *args, **options):
        with_plan = ["-c", self.box.path("plan.yaml")] if verb in ("install", "status") else []
        return self.box.run([clawback_binary(), "schedule", verb] + with_plan + list(args), **options)

    def status(self, via):
        found = self.schedule("status", "--json", rc=(0, 1)).json()["installed"]
        return next(i for i in found if i["via"] == via)

    def ours(self):
        return [j for j in self.gateway.jobs() if (j.get("declarationKey") or j["name"]).startswith("clawback")]

    def claw(self, *args):
        return self.box.run([clawback_binary(), "-r", self.repo, "--password-file", self.phrase] + list(args))

    def records(self):
        path = os.path.join(self.box.home, ".local/state/clawback/runs/config.jsonl")
        return [json.loads(line) for line in open(path)] if os.path.exists(path) else []


@once
def newest(box):
    return Host(box, NEWEST)


@once
def old(box):
    return Host(box, OLD)


def finished(host, count):
    """The runs of our job that OpenClaw knows, once there are so many."""
    job, = host.ours()

    def look():
        entries = [e for e in host.gateway.runs(job["id"]) if e.get("action") == "finished"]
        return entries if len(entries) >= count else None
    return wait_until(look, "%d finished runs" % count, 150)


# The tests build on each other, in this order: what one installs the next one changes.

def test_01_a_job_is_installed_disabled_as_a_first_run_wants_it(box):
    host = newest()
    host.schedule("install", "--disabled")
    job, = host.ours()
    equal((job["declarationKey"], job["enabled"], job["schedule"]["everyMs"]), ("clawback", False, 7200000), "job")
    equal(job["payload"]["argv"][1:], ["run", "--wait", "-c", host.box.path("plan.yaml")], "command")
    check("disabled" in host.status("openclaw")["problem"], "status")


def test_02_enabled_and_fired_it_backs_up_the_live_home(box):
    host = newest()
    host.schedule("enable")
    item = host.status("openclaw")
    check(item["alive"] and item["triggers"][0]["next"], "status", item)
    host.schedule("run-now")
    run, = finished(host, 1)
    equal(run["status"], "ok", "run in OpenClaw's history: %s" % run)
    check("config: ok" in run["summary"], "summary", run["summary"])
    equal([r["status"] for r in host.records()], ["started", "completed"], "records")
    equal(host.status("openclaw")["triggers"][0]["last_status"], "ok", "status")


def test_03_that_backup_is_whole_and_can_be_restored(box):
    host = newest()
    host.claw("check", "--read-data")
    host.claw("restore", "latest", "--target", box.path("back"))
    state = box.path("back") + host.gateway.state
    for name in ("openclaw.json", "state/openclaw.sqlite"):
        check(os.path.getsize(os.path.join(state, name)) > 0, "%s is empty" % name)
    done = box.run(["sqlite3", os.path.join(state, "state/openclaw.sqlite"),
                    "pragma integrity_check; select declaration_key from cron_jobs where declaration_key = 'clawback'"])
    equal(done.out.split(), ["ok", "clawback"], "the database in the backup")


def test_04_installed_again_nothing_changes(box):
    host = newest()
    before = host.ours()
    host.schedule("install")
    equal([j["updatedAtMs"] for j in host.ours()], [j["updatedAtMs"] for j in before], "times of change")


def test_05_with_another_interval_the_same_job_changes_in_place_and_fires_by_itself(box):
    host = newest()
    before, = host.ours()
    host.plan("1m")
    check(host.status("openclaw")["changed"], "the change of the plan is noticed")
    host.schedule("install")
    after, = host.ours()
    equal((after["id"], after["schedule"]["everyMs"], after["enabled"]), (before["id"], 60000, True), "job")
    check(not host.status("openclaw")["changed"], "settled")
    runs = finished(host, 2)
    equal({r["status"] for r in runs}, {"ok"}, "runs")
    check(len([r for r in host.records() if r["status"] == "completed"]) >= 2, "records", host.records())


def test_06_disabled_it_rests(box):
    host = newest()
    host.schedule("disable")
    job, = host.ours()
    check(not job["enabled"], "job", job)
    time.sleep(2)
    count = len(host.gateway.runs(job["id"]))
    time.sleep(65)
    equal(len(host.gateway.runs(job["id"])), count, "runs while disabled")


def test_07_a_job_that_was_removed_by_hand_is_missed_and_made_anew(box):
    host = newest()
    job, = host.ours()
    host.gateway.call("cron", "rm", job["id"])
    check("no job" in host.status("openclaw")["problem"], "status")
    host.schedule("install")
    equal(len(host.ours()), 1, "jobs")


def test_08_removed_nothing_of_us_is_left(box):
    host = newest()
    others = [j["id"] for j in host.gateway.jobs() if j not in host.ours()]
    host.schedule("remove")
    equal(host.ours(), [], "jobs")
    equal([j["id"] for j in host.gateway.jobs()], others, "jobs of others")


def test_09_without_its_gateway_nothing_is_installed_and_that_is_said(box):
    host = newest()
    host.gateway.stop()
    done = host.schedule("install", "--via", "openclaw", rc=1)
    check("gateway does not answer" in done.err, "said", done)


def test_10_an_old_version_gets_a_disabled_placeholder(box):
    host = old()
    said = host.schedule("install", "--via", "openclaw")
    check("cannot run programs" in said.out, "said", said)
    job, = host.ours()
    equal((job["enabled"], job["payload"]["kind"]), (False, "systemEvent"), "placeholder")
    host.schedule("install", "--via", "openclaw")
    equal(len(host.ours()), 1, "jobs after a second installation")


def test_11_an_old_version_shows_our_runs(box):
    host = old()
    host.box.run([clawback_binary(), "run", "-c", host.box.path("plan.yaml")])
    job, = host.ours()
    run, = host.gateway.runs(job["id"])
    equal((run["status"], run["action"]), ("ok", "finished"), "run")
    equal((job["state"]["lastStatus"], job["state"]["lastRunAtMs"]), ("ok", run["runAtMs"]), "state")
    host.claw("check", "--read-data")


def test_12_an_old_version_takes_another_interval_in_place_and_forgets_us(box):
    host = old()
    before, = host.ours()
    host.plan("3h")
    host.schedule("install", "--via", "openclaw")
    after, = host.ours()
    equal((after["id"], after["schedule"]["everyMs"], after["enabled"]), (before["id"], 10800000, False), "job")
    host.schedule("remove")
    equal(host.ours(), [], "jobs")
    host.gateway.stop()


if __name__ == "__main__":
    main()
