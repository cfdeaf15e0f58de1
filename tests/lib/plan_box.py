"""A plan in a box, for tests of commands that work by one."""
import json
import os

from clawtest import check, clawback_binary

# A tier for tests that want any, and thresholds for machines that may be short of room.
EVERY_2H = """
  config:
    every: 2h
    files: [~/.openclaw]
    to: [usb]
"""
ROOM = "health: {full: off, critical_free: 1MB%s}\n"

PHRASE = "a passphrase of more than twenty characters"

# The whole of a plan, as the first thing that people read.
EXAMPLE = """\
home: ~/.openclaw
passphrase: {file: ~/.config/clawback/passphrase}     # or {command: [pass, show, clawback]} or {env: NAME}

destinations:
  usb:
    path: /mnt/backups
    require_mount: true          # never fill / because the drive is unplugged
    reserve: 100MB
  second:
    path: /srv/nas/backups

tiers:
  git:
    every: 2h
    git:
      - {path: ~/.openclaw/workspace, push: origin}
      - {path: ~/.openclaw/workspace/ai-erp, push: origin}
    to: [usb]
    keep: {all: true}
  config:
    every: 2h
    files: [~/.openclaw]
    exclude: ["*.log"]
    to: [usb, second]
    keep: {within: 7d}
  databases:
    every: 2h
    postgres: [{container: ai-erp-postgres, user: erp_user, database: ai_erp}]
    redis: [{container: ai-erp-redis}, {url: "redis://127.0.0.1:6379"}]
    when: running                # what is not running is skipped and recorded, not failed
    to: [usb]
    keep: {within: 3d}
  full:
    cron: "0 0 * * 0"
    files: [~/.openclaw]
    format: archive              # one .tar.gz.gpg that gpg and tar alone can open
    to: [usb]
    keep: {weekly: 4, monthly: 12}
"""


class Plan:
    """A plan in a box: an agent's home, destinations, tiers; and what its runs leave."""

    def __init__(self, box, tiers, destinations=None, more=""):
        self.box = box
        self.pass_file = box.write("passphrase", PHRASE + "\n", 0o600)
        self.agent = box.mkdir("home", ".openclaw")
        box.write(os.path.join(self.agent, "openclaw.json"), "{}")
        box.write(os.path.join(self.agent, "workspace", "notes.md"), "remember\n" * 1000)
        self.file = box.path("claw.yaml")
        self.destinations = destinations or {"usb": box.path("usb")}
        self.more = more
        self.write(tiers)

    def write(self, tiers):
        lines = ["home: %s" % self.agent, "passphrase: {file: %s}" % self.pass_file, "destinations:"]
        for name, where in self.destinations.items():
            where = {"path": where, "reserve": "1MB"} if isinstance(where, str) else where
            lines.append("  %s: %s" % (name, json.dumps(where)))
        lines += ["tiers:", tiers.rstrip(), self.more]
        self.box.write(self.file, "\n".join(lines) + "\n")

    def run(self, *args, **options):
        return self.box.run([clawback_binary(), "run", "-c", self.file] + list(args), **options)

    def start(self, *args, **options):
        return self.box.start([clawback_binary(), "run", "-c", self.file] + list(args), **options)

    def claw(self, destination, *args, **options):
        where = self.destinations[destination]
        where = where if isinstance(where, str) else where["path"]
        return self.box.run([clawback_binary(), "-r", where, "--password-file", self.pass_file] + list(args), **options)

    def snapshots(self, destination, tag=None):
        found = self.claw(destination, "snapshots", "--json").json()
        return [s for s in found if tag is None or tag in s["tags"]]

    def records(self, tier):
        path = os.path.join(self.box.home, ".local", "state", "clawback", "runs", tier + ".jsonl")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return [json.loads(line) for line in f]

    def last(self, tier):
        records = self.records(tier)
        check(len(records) >= 2, "there are no two records of tier %s" % tier, records)
        return records[-1]
