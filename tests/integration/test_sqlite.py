#!/usr/bin/env python3
"""SQLite databases are captured while they are written: every snapshot holds one committed state, and the source is left alone."""
import os
import random
import sqlite3
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
from clawtest import check, equal, main, needs, repository_bytes  # noqa: E402
from interop import CLAWBACK, RESTIC, fresh_repository  # noqa: E402

PAGE = 4096


class Writer(threading.Thread):
    """Moves money between accounts: each transaction keeps the sum, and counts itself. Nothing but committed states has both
    right."""

    ACCOUNTS, SUM = 400, 400 * 1000

    def __init__(self, path, mode):
        super().__init__()
        self.path, self.mode, self.stopping, self.commits, self.error = path, mode, False, 0, None
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode=%s" % mode)
        db.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, note TEXT)")
        db.execute("CREATE TABLE log (n INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO account VALUES (?, 1000, ?)", [(i, "x" * 3000) for i in range(self.ACCOUNTS)])
        db.commit()
        db.close()

    def run(self):
        try:
            self.write()
        except Exception as e:
            self.error = e

    def write(self):
        draw = random.Random(3)
        db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA wal_autocheckpoint=50")
        while not self.stopping:
            db.execute("BEGIN IMMEDIATE")
            for _ in range(20):
                a, b = draw.sample(range(self.ACCOUNTS), 2)
                db.execute("UPDATE account SET amount = amount - 7, note = ? WHERE id = ?", (str(draw.random()) * 150, a))
                db.execute("UPDATE account SET amount = amount + 7 WHERE id = ?", (b,))
            db.execute("INSERT INTO log VALUES (?, ?)", (self.commits, "y" * 200))
            db.execute("COMMIT")
            self.commits += 1
            time.sleep(0.001)
        db.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.join()
        if self.error:
            raise self.error


def opened(box, content, name="copy.db"):
    path = box.path(name)
    with open(path, "wb") as f:
        f.write(content)
    return sqlite3.connect(path)


def holds_a_committed_state(box, content):
    """How many commits the copy has seen."""
    db = opened(box, content)
    try:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity_check")
        equal(db.execute("SELECT count(*), sum(amount) FROM account").fetchone(), (Writer.ACCOUNTS, Writer.SUM), "accounts, sum")
        count, top = db.execute("SELECT count(*), coalesce(max(n), -1) FROM log").fetchone()
        equal(count, top + 1, "entries of the log")
        return count
    finally:
        db.close()


def under_a_writer(box, mode):
    fresh_repository(box)
    path = os.path.join(box.mkdir("source"), "bank.db")
    writer = Writer(path, mode)
    seen = []
    with writer:
        for _ in range(8):
            committed = writer.commits
            before = set(os.listdir(box.path("source")))
            done = box.claw("backup", box.path("source"))
            check("warning" not in done.err, "a capture has something to complain about", done)
            after = set(os.listdir(box.path("source")))
            content = box.claw("dump", "latest", path).out_bytes
            count = holds_a_committed_state(box, content)
            check(count >= committed, "the capture is older than the backup: %d of %d commits" % (count, committed))
            seen.append(count)
            equal({n for n in after - before if not n.startswith("bank.db-")}, set(), "files that the backup left")
        check(writer.is_alive() and writer.error is None, "the writer was disturbed: %s" % writer.error)
        found = interop.nodes(box, "latest")
        equal([p for p in found if p.startswith(path + "-")], [], "journals in the snapshot")
    check(seen[-1] > seen[0], "the writer did nothing meanwhile: %s" % seen)
    box.claw("check", "--read-data")


def test_under_a_writer_with_a_wal(box):
    under_a_writer(box, "WAL")


def test_under_a_writer_with_a_rollback_journal(box):
    under_a_writer(box, "DELETE")


def test_data_that_is_only_in_the_wal(box):
    """As on a running gateway: the main file is one page, everything else is in the -wal."""
    fresh_repository(box)
    path = os.path.join(box.mkdir("source"), "state.sqlite")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute("CREATE TABLE t (x)")
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(1000)])
    watched = {n: os.stat(box.path("source", n)) for n in os.listdir(box.path("source"))}
    check(watched["state.sqlite-wal"].st_size > 10 * PAGE, "the data is not in the -wal")
    CLAWBACK.backup(box, box.path("source"))
    for name, st in watched.items():
        now = os.stat(box.path("source", name))
        if not name.endswith("-shm"):
            equal((now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino),
                  (st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino), "size, times and inode of %s" % name)
    equal(sorted(os.listdir(box.path("source"))), sorted(watched), "the directory's listing")
    copy = opened(box, box.claw("dump", "latest", path).out_bytes)
    equal(copy.execute("SELECT count(*), sum(x) FROM t").fetchone(), (1000, 499500), "what the copy holds")
    # New data comes into the -wal alone: the main file's size and times are what they were.
    db.execute("INSERT INTO t VALUES (123456)")
    CLAWBACK.backup(box, box.path("source"))
    copy2 = opened(box, box.claw("dump", "latest", path).out_bytes, "copy2.db")
    equal(copy2.execute("SELECT max(x) FROM t").fetchone(), (123456,), "what the second copy holds")
    db.close()
    copy.close()
    copy2.close()


def test_a_wal_that_nobody_has_open(box):
    """Left by a process that was killed; opening it for writing would recover it and change the source."""
    fresh_repository(box)
    path = os.path.join(box.mkdir("live"), "x.db")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    db.execute("INSERT INTO t VALUES (42)")
    box.run(["cp", "-a", box.path("live"), box.path("source")])
    db.close()
    os.unlink(box.path("source/x.db-shm"))
    before = {n: (s.st_size, s.st_mtime_ns, s.st_ctime_ns) for n, s in
              ((n, os.stat(box.path("source", n))) for n in os.listdir(box.path("source")))}
    CLAWBACK.backup(box, box.path("source"))
    after = {n: (s.st_size, s.st_mtime_ns, s.st_ctime_ns) for n, s in
             ((n, os.stat(box.path("source", n))) for n in os.listdir(box.path("source")))}
    equal(after, before, "the source directory")
    copy = opened(box, box.claw("dump", "latest", box.path("source/x.db")).out_bytes)
    equal(copy.execute("SELECT x FROM t").fetchall(), [(42,)], "what the copy holds")
    copy.close()


def test_a_database_that_is_damaged_is_stored_as_it_is_or_named(box):
    """Never in silence: what cannot be vouched for is either byte for byte what is there, or exit status 3 and a name."""
    fresh_repository(box)
    path = box.write("source/broken.db", b"SQLite format 3\0" + os.urandom(20000))
    box.write("source/short.db", b"SQLite format 3\0")
    done = box.claw("backup", box.path("source"), rc=(0, 3))
    for name in ("broken.db", "short.db"):
        named = name in done.err
        if done.rc == 0 or not named:
            with open(box.path("source", name), "rb") as f:
                equal(box.claw("dump", "latest", box.path("source", name)).out_bytes, f.read(), "content of " + name)
    check(done.rc == 0 or path in done.err or "short.db" in done.err, "exit status 3, and nothing is named", done)


def test_a_locked_database_is_an_error(box):
    """Somebody holds it exclusively and does not let go: named, exit status 3, and never a torn copy."""
    fresh_repository(box)
    path = os.path.join(box.mkdir("source"), "held.db")
    box.write("source/other", "x")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE t (x)")
    db.execute("PRAGMA cache_size=5")
    db.execute("BEGIN EXCLUSIVE")
    db.executemany("INSERT INTO t VALUES (?)", [("z" * 900,) for _ in range(2000)])  # spills into the file
    done = box.claw("backup", box.path("source"), rc=(0, 3), timeout=120)
    if done.rc == 3:
        check(path in done.err and "lock" in done.err, "it is not named", done)
        check(path not in interop.nodes(box, "latest"), "there is a copy")
    else:
        copy = opened(box, box.claw("dump", "latest", path).out_bytes)
        equal(copy.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity_check")
        equal(copy.execute("SELECT count(*) FROM t").fetchone(), (0,), "rows: nothing was committed")
        copy.close()
    db.execute("ROLLBACK")
    db.close()
    box.claw("backup", box.path("source"))
    check(path in interop.nodes(box, "latest"), "it is not there once it is free")


@needs("restic")
def test_one_changed_page_in_a_hundred_is_cheap(box):
    """64 MiB, of which 1 % of the pages change at random: at most a fifth of what the stock restic stores again."""
    path = os.path.join(box.mkdir("source"), "big.db")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size=%d" % PAGE)
    db.execute("CREATE TABLE page (id INTEGER PRIMARY KEY, data BLOB)")
    draw = random.Random(5)
    count = (64 << 20) // PAGE
    db.execute("BEGIN")
    db.executemany("INSERT INTO page VALUES (?, ?)", ((i, draw.randbytes(PAGE - 200)) for i in range(count)))
    db.execute("COMMIT")
    size = os.path.getsize(path)
    check(size > 60 << 20, "the database has only %d bytes" % size)
    stored = {}
    for program in interop.BOTH:
        program.init(box, repo=box.path(str(program)))
        program.backup(box, path, repo=box.path(str(program)))
        stored[str(program)] = repository_bytes(box.path(str(program)))
    db.execute("BEGIN")
    db.executemany("UPDATE page SET data = ? WHERE id = ?",
                   ((draw.randbytes(PAGE - 200), i) for i in draw.sample(range(count), count // 100)))
    db.execute("COMMIT")
    db.close()
    for program in (CLAWBACK, RESTIC):
        program.backup(box, path, repo=box.path(str(program)))
        stored[str(program)] = repository_bytes(box.path(str(program))) - stored[str(program)]
    check(stored["clawback"] * 5 <= stored["restic"], "the second backups stored %s" % stored)
    index = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(box.path("clawback/index")) for f in files)
    check(index * 200 <= size, "the index has %d bytes" % index)
    with open(path, "rb") as f:
        content = f.read()
    found = box.restic("dump", "latest", path, repo=box.path("clawback")).out_bytes
    check(found == content, "restic reads another content out of our cut")
    box.restic("check", "--read-data", repo=box.path("clawback"))


def test_a_restore_is_not_undone_by_what_the_old_database_left(box):
    """A -wal in the target belongs to the database that was there: SQLite would apply it to the restored one."""
    folder = box.mkdir("source")
    path, repo = os.path.join(folder, "a.db"), box.path("repo")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    db.executemany("INSERT INTO t VALUES (?)", ((i,) for i in range(1000)))
    CLAWBACK.init(box, repo=repo)
    CLAWBACK.backup(box, folder, repo=repo)
    db.executemany("INSERT INTO t VALUES (?)", ((i,) for i in range(5000)))
    crashed = {}  # as after a kill: the files as they are, with nobody who has them open
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as f:
            crashed[name] = f.read()
    db.close()
    for name, content in crashed.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(content)
    check("a.db-wal" in crashed, "there is no -wal to try this with")
    box.claw("restore", "latest", "--target", "/", repo=repo)
    equal(sorted(os.listdir(folder)), ["a.db"], "what is beside the database")
    db = sqlite3.connect(path)
    equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok", "integrity_check")
    equal(db.execute("SELECT count(*) FROM t").fetchone()[0], 1000, "rows")
    db.close()


if __name__ == "__main__":
    main()
