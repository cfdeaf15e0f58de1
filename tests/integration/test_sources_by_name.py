#!/usr/bin/env python3
"""SQLite databases by name, and what programs write, as tiers of a plan: from `clawback run` to what a restore gives."""
import os
import sqlite3
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
from clawtest import check, equal  # noqa: E402

PASSPHRASE = "correct horse battery staple"


def plan(box, sources):
    box.write("passphrase", PASSPHRASE + "\n", 0o600)
    box.mkdir("drive")
    box.write("clawback.yaml", """\
passphrase: {file: %s}
destinations:
  drive: {path: %s}
tiers:
  small:
%s
    to: [drive]
""" % (box.path("passphrase"), box.path("drive"), "\n".join("    " + line for line in sources)))


def run(box, rc=0):
    return box.run([clawtest.clawback_binary(), "run", "--config", box.path("clawback.yaml"), "small"], rc=rc)


def claw(box, *args, **options):
    return box.claw(*args, repo=box.path("drive"), env={"CLAWBACK_PASSPHRASE": PASSPHRASE}, **options)


def snapshots(box):
    if not os.path.exists(box.path("drive", "config")):
        return []
    return claw(box, "snapshots", "--json").json()


def assert_failed(box, *words):
    before = len(snapshots(box))
    result = run(box, rc=1)
    for word in words:
        check(word in result.out + result.err, "'%s' is not in what it says" % word, result)
    equal(len(snapshots(box)), before, "snapshots")


class Writer:
    """Moves amounts between two tables, in transactions, until stopped."""

    def __init__(self, path):
        self.path, self.stopped, self.count = path, False, 0
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self):
        db = sqlite3.connect(self.path, timeout=20)
        while not self.stopped:
            with db:
                db.execute("update a set x = x - 1")
                db.execute("insert into log values (zeroblob(500))")
                db.execute("update b set x = x + 1")
            self.count += 1
        db.close()

    def stop(self):
        self.stopped = True
        self.thread.join()


def database(path, mode="wal"):
    db = sqlite3.connect(path)
    db.executescript("pragma journal_mode=%s; create table a(x); create table b(x); create table log(x);"
                     "insert into a values (0); insert into b values (0)" % mode)
    db.close()
    return path


def test_databases_by_name_come_back_whole_while_they_are_written_to(box):
    paths = [database(box.path("first.db")), database(box.path("second.sqlite"), "delete")]
    writers = [Writer(path) for path in paths]
    try:
        plan(box, ["sqlite: [%s]" % ", ".join(paths)])
        run(box)
    finally:
        for writer in writers:
            writer.stop()
    newest, = snapshots(box)
    equal(sorted(newest["paths"]), sorted(paths), "paths")
    claw(box, "restore", newest["id"], "--target", box.path("back"))
    found = [os.path.relpath(p, box.path("back")) for p in clawtest.files_below(box.path("back"))]
    equal(sorted(found), sorted(p.lstrip("/") for p in paths), "files of the restore")
    for path in paths:
        db = sqlite3.connect(box.path("back", path.lstrip("/")))
        equal(db.execute("pragma integrity_check").fetchall(), [("ok",)], "integrity")
        (a,), (b,), (n,) = (db.execute(q).fetchone() for q in ("select x from a", "select x from b", "select count(*) from log"))
        equal((a + b, b), (0, n), "what belongs together")
        db.close()


def test_a_database_that_is_missing_or_none_fails_the_run(box):
    good = database(box.path("good.db"))
    plan(box, ["sqlite: [%s]" % good])
    run(box)
    plan(box, ["sqlite: [%s, %s]" % (good, box.path("gone.db"))])
    assert_failed(box, "gone.db", "does not exist")
    plan(box, ["sqlite: [%s, %s]" % (good, box.path("gone.db")), "when: running"])
    assert_failed(box, "gone.db", "does not exist")
    plan(box, ["sqlite: [%s]" % box.write("text.db", "no database " * 100)])
    assert_failed(box, "text.db", "no SQLite database")


def test_a_damaged_database_fails_the_run(box):
    path = database(box.path("good.db"), "delete")
    with open(path, "r+b") as f:
        f.truncate(os.path.getsize(path) - 5000)
    plan(box, ["sqlite: [%s]" % path])
    assert_failed(box, "good.db", "damaged")


def test_what_a_program_writes_comes_back(box):
    plan(box, ["command:", '  - {name: numbers, command: "seq 1 100000"}', "  - {name: words, command: [printf, a%sc, b]}"])
    run(box)
    taken = {s["paths"][0]: s["id"] for s in snapshots(box)}
    equal(claw(box, "dump", taken["/command/numbers"], "/command/numbers").out, "".join("%d\n" % i for i in range(1, 100001)),
          "the numbers")
    equal(claw(box, "dump", taken["/command/words"], "/command/words").out, "abc", "the words")


def test_a_program_that_fails_fails_the_run(box):
    for script, word in (("echo half of it; exit 7", "status 7"), ("true", "wrote nothing"), ("echo x; kill -9 $$", "signal 9"),
                         ("/nonexistent/program", "status 127")):
        plan(box, ["command: [{name: x, command: '%s'}]" % script])
        assert_failed(box, "x", word)
    plan(box, ["command: [{name: x, command: 'echo x; sleep 50'}]", "timeout: 1s"])
    assert_failed(box, "took too long")
    plan(box, ["command: [{name: x, command: [/nonexistent/program]}]"])
    assert_failed(box, "/nonexistent/program")


if __name__ == "__main__":
    clawtest.main()
