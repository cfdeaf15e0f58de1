"""A plan in a box, for tests of commands that work by one."""
import json
import os

from clawtest import check, clawback_binary

PHRASE = "a passphrase of more than twenty characters"


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
