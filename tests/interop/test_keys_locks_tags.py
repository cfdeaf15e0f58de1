#!/usr/bin/env python3
"""Keys, locks and the snapshots' own data, handed from the stock restic to us and back."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import weakkey  # noqa: E402
from clawtest import PASSPHRASE, check, clawback_binary, equal, main, needs, once, wait_until  # noqa: E402
from interop import CLAWBACK, RESTIC  # noqa: E402


@once
def template(box):
    """A repository with one small snapshot; tests copy it."""
    CLAWBACK.init(box)
    source = box.mkdir("source")
    box.write("source/file", b"content" * 1000)
    CLAWBACK.backup(box, source, "--tag", "one,two", "--host", "crab")
    box.source = source
    return box


def copy(box):
    box.run(["cp", "-a", template().repo, box.repo])
    return template().source


def locks(box):
    return [n for n in os.listdir(os.path.join(box.repo, "locks")) if len(n) == 64]


def only_snapshot(box):
    names = os.listdir(os.path.join(box.repo, "snapshots"))
    equal(len(names), 1, "number of snapshots")
    return names[0]


# --- keys ---

@needs("restic")
def test_new_repositories_open_in_the_other_program(box):
    for maker, other in ((CLAWBACK, RESTIC), (RESTIC, CLAWBACK)):
        repo = box.path("by-%s" % maker)
        maker.run(box, "init", repo=repo)
        other.run(box, "snapshots", repo=repo)
        config = weakkey.read_config(repo, PASSPHRASE)
        equal((config["version"], len(config["id"])), (2, 64), "config")


@needs("restic")
def test_keys_that_one_adds_open_in_the_other(box):
    copy(box)
    second = box.write("second", "second passphrase\n", mode=0o600)
    third = box.write("third", "third passphrase\n", mode=0o600)
    box.claw("key", "add", "--new-password-file", second)
    box.restic("snapshots", "-p", second, env={"RESTIC_PASSWORD": None})
    box.restic("key", "add", "--new-password-file", third)
    box.claw("snapshots", "-p", third, env={"CLAWBACK_PASSPHRASE": None, "RESTIC_PASSWORD": None})
    keys = {}
    for program in interop.BOTH:
        found = program.run(box, "key", "list", "--json", "-p", third).json()
        keys[str(program)] = sorted((k["id"][:8], k["userName"], k["hostName"], k["current"]) for k in found)
    equal(len(keys["restic"]), 3, "number of keys")
    equal([k[0] for k in keys["clawback"]], [k[0] for k in keys["restic"]], "key IDs")
    equal([k[1:] for k in keys["clawback"]], [k[1:] for k in keys["restic"]], "whose keys, and which is in use")


@needs("restic")
def test_keys_that_one_removes_are_gone_for_the_other(box):
    copy(box)
    opens = {}
    for name in ("second", "third"):
        path = box.write(name, name + "\n", mode=0o600)
        box.claw("key", "add", "--new-password-file", path)
        keys = box.claw("key", "list", "--json", "-p", path, env={"CLAWBACK_PASSPHRASE": None}).json()
        opens[name] = next(k["id"] for k in keys if k["current"])
    box.restic("key", "remove", opens["second"])
    equal(box.claw("snapshots", "-p", box.path("second"), env={"CLAWBACK_PASSPHRASE": None}, rc=None).rc, 12, "exit status")
    box.claw("key", "remove", opens["third"])
    box.restic("snapshots", "-p", box.path("third"), env={"RESTIC_PASSWORD": None}, rc=1)
    in_use = box.claw("key", "list", "--json").json()[0]["id"]
    refused = box.claw("key", "remove", in_use, rc=1)
    equal(len(os.listdir(os.path.join(box.repo, "keys"))), 1, "number of keys\n%s\n" % refused)


@needs("restic")
def test_a_changed_passphrase_replaces_the_old_one(box):
    copy(box)
    new = box.write("new", "quite new\n", mode=0o600)
    box.claw("key", "passwd", "--new-password-file", new)
    box.restic("snapshots", rc=1)
    box.restic("snapshots", "-p", new, env={"RESTIC_PASSWORD": None})
    equal(len(os.listdir(os.path.join(box.repo, "keys"))), 1, "number of keys")


# --- locks ---

class Holder:
    """A backup of standard input that waits for it, holding its lock."""

    def __init__(self, box, program):
        before = len(locks(box))
        self.box = box
        self.child = program.start(box, "backup", "--stdin", "--stdin-filename", "slow", stdin=-1)
        self.child.stdin.write(b"begun")
        self.child.stdin.flush()
        wait_until(lambda: len(locks(box)) > before or self.child.poll() is not None, "%s takes a lock" % program)
        check(self.child.poll() is None, "%s ended early" % program)
        time.sleep(0.3)  # until it has looked for other locks a second time

    def finish(self):
        out, err = self.child.communicate(timeout=60)
        equal(self.child.returncode, 0, "exit status of the backup\n%s" % err.decode())

    def kill(self):
        self.child.kill()
        self.child.wait()


@needs("restic")
def test_restic_sees_our_lock(box):
    copy(box)
    holder = Holder(box, CLAWBACK)
    refused = box.restic("prune", rc=1)
    check("locked" in refused.err, "restic does not speak of a lock", refused)
    check(" by root" in refused.err or "PID %d" % holder.child.pid in refused.err, "it does not say whose it is", refused)
    box.restic("backup", "--host", "other", template().source)  # shared locks get along
    box.restic("unlock")
    equal(len(locks(box)), 1, "locks after restic removed stale ones")
    holder.finish()
    equal(locks(box), [], "locks at the end")
    box.restic("prune")


@needs("restic")
def test_we_see_the_lock_of_restic(box):
    copy(box)
    holder = Holder(box, RESTIC)
    for command in (["prune"], ["forget", "--keep-last", "1"], ["check"], ["tag", "--add", "x"], ["repair", "index"]):
        refused = box.claw(*command, rc=11)
        check("locked" in refused.err and str(holder.child.pid) in refused.err, "it does not say by whom", refused)
    box.claw("backup", "--host", "other", template().source)
    box.claw("snapshots")
    box.claw("unlock")
    equal(len(locks(box)), 1, "locks after we removed stale ones")
    waiting = CLAWBACK.start(box, "prune", "--retry-lock", "60s")
    time.sleep(0.5)
    check(waiting.poll() is None, "prune did not wait for the lock")
    holder.finish()
    out, err = waiting.communicate(timeout=90)
    equal(waiting.returncode, 0, "exit status of the prune that waited\n%s" % err.decode())
    equal(locks(box), [], "locks at the end")


@needs("restic")
def test_we_clear_away_what_a_killed_restic_left(box):
    copy(box)
    Holder(box, RESTIC).kill()
    equal(len(locks(box)), 1, "locks left behind")
    box.restic("prune", rc=1)
    box.claw("unlock")
    equal(locks(box), [], "locks at the end")
    box.restic("prune")
    Holder(box, RESTIC).kill()
    box.claw("prune")  # a process of this host that is gone holds nothing
    interop.checked(box)


@needs("restic")
def test_restic_clears_away_what_we_left_when_killed(box):
    copy(box)
    Holder(box, CLAWBACK).kill()
    equal(len(locks(box)), 1, "locks left behind")
    box.restic("unlock")
    equal(locks(box), [], "locks at the end")
    box.restic("prune")
    interop.checked(box)


@needs("restic")
def test_locks_of_living_strangers_stay(box):
    """A lock of another host counts until it is 30 minutes old, whatever process has its number here."""
    copy(box)
    master = weakkey.master_key(box.repo, PASSPHRASE)[0]
    for minutes, status, left in ((10, 11, 1), (45, 0, 0)):  # what one may do after an unlock
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60 * minutes))
        lock = {"time": moment, "exclusive": True, "hostname": "elsewhere", "username": "somebody", "pid": 999999}
        name = weakkey.write_file(box.repo, "locks", weakkey.encrypt(master, json.dumps(lock).encode()))
        refused = box.claw("backup", template().source, rc=11)
        check("elsewhere" in refused.err, "it does not say where", refused)
        box.claw("unlock")
        box.claw("backup", template().source, rc=status)
        equal(len(locks(box)), left, "locks left, one of them %d minutes old" % minutes)
        box.claw("unlock", "--remove-all")
        equal(locks(box), [], "locks after removing all")
        check(name not in locks(box), "the lock is there")


def test_an_interrupted_backup_leaves_no_lock(box):
    copy(box)
    holder = Holder(box, CLAWBACK)
    holder.child.terminate()
    holder.child.wait(timeout=30)
    equal((holder.child.returncode, locks(box)), (130, []), "exit status and locks")
    only_snapshot(box)


# --- snapshots' own data ---

@needs("restic")
def test_tags_set_by_one_are_read_by_the_other(box):
    copy(box)
    first = only_snapshot(box)
    seen = []
    for program, other, change in ((CLAWBACK, RESTIC, ["--add", "ours"]), (RESTIC, CLAWBACK, ["--add", "theirs"]),
                                   (CLAWBACK, RESTIC, ["--remove", "one"]), (RESTIC, CLAWBACK, ["--set", "only,these"])):
        program.run(box, "tag", *change, "latest" if program is RESTIC else only_snapshot(box)[:8])
        documents = [p.run(box, "snapshots", "--json").json() for p in (program, other)]
        equal([len(d) for d in documents], [1, 1], "number of snapshots")
        equal(documents[0][0]["tags"], documents[1][0]["tags"], "tags as both read them")
        equal(documents[1][0]["original"], first, "original, after a tag by %s" % program)
        seen.append(documents[1][0]["tags"])
    equal(seen, [["one", "two", "ours"], ["one", "two", "ours", "theirs"], ["two", "ours", "theirs"], ["only", "these"]], "tags")
    interop.checked(box)


@needs("restic")
def test_both_read_the_same_snapshot_documents(box):
    source = copy(box)
    RESTIC.backup(box, source, "--tag", "restic", "--exclude", "*.o")
    CLAWBACK.backup(box, source, "--tag", "clawback", "--exclude", "*.o", "--time", "2020-02-29 12:30:45")
    found, expected = (p.run(box, "snapshots", "--json").json() for p in interop.BOTH)
    equal(len(expected), 3, "number of snapshots")
    for a, b in zip(sorted(found, key=lambda s: s["id"]), sorted(expected, key=lambda s: s["id"])):
        equal({k: a.get(k) for k in b}, b, "a snapshot")
        raw = box.claw("cat", "snapshot", a["id"]).json()
        theirs = box.restic("cat", "snapshot", a["id"]).json()
        equal({k: raw.get(k) for k in theirs}, theirs, "the document of a snapshot")


@needs("restic")
def test_unknown_fields_survive_a_tag(box):
    """What a newer program wrote into a snapshot is still there after we changed its tags."""
    copy(box)
    RESTIC.init(box, repo=box.path("v1"), version=1)
    summary = CLAWBACK.backup(box, template().source, repo=box.path("v1"))
    path = box.path("v1", "snapshots", summary["snapshot_id"])
    master = weakkey.master_key(box.path("v1"), PASSPHRASE)[0]
    with open(path, "rb") as f:
        document = json.loads(weakkey.decrypt(master, f.read()))
    document["from_the_future"] = {"a": [1, 2.5, None], "b": "\u00fc"}
    os.unlink(path)
    forged = weakkey.write_file(box.path("v1"), "snapshots", weakkey.encrypt(master, json.dumps(document).encode()))
    box.claw("tag", "--add", "x", forged[:10], repo=box.path("v1"))
    name = os.listdir(box.path("v1", "snapshots"))[0]
    with open(box.path("v1", "snapshots", name), "rb") as f:
        changed = json.loads(weakkey.decrypt(master, f.read()))
    equal((changed["from_the_future"], changed["tags"], changed["original"]), (document["from_the_future"], ["x"], forged),
          "the changed snapshot")


@needs("restic")
def test_latest_is_the_same_for_both(box):
    source = copy(box)
    for host, tag in (("a", "x"), ("b", "x"), ("a", "y")):
        CLAWBACK.backup(box, source, "--host", host, "--tag", tag)
    for flags in ([], ["--host", "b"], ["--tag", "x"], ["--host", "a", "--tag", "x"], ["--path", source]):
        found = [p.run(box, "ls", "--json", *flags, "latest").json_lines()[0]["id"] for p in interop.BOTH]
        equal(found[0], found[1], "latest with %s" % flags)
    newest = [sorted(s["id"] for s in p.run(box, "snapshots", "--json", "--latest", "1").json()) for p in interop.BOTH]
    equal(newest[0], newest[1], "snapshots --latest 1")
    groups = [p.run(box, "snapshots", "--json", "--group-by", "host,tags").json() for p in interop.BOTH]

    def keyed(document):
        return sorted((json.dumps(g["group_key"], sort_keys=True), sorted(s["id"] for s in g["snapshots"])) for g in document)
    equal(keyed(groups[0]), keyed(groups[1]), "snapshots --group-by host,tags")


if __name__ == "__main__":
    main()
