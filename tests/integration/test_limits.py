#!/usr/bin/env python3
# sanitizers: no, they make the program several times larger, slower and hungrier
"""What the program promises to cost: its size, its start, its memory."""
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, main, needs  # noqa: E402
from interop import fresh_repository  # noqa: E402

MIB = 1 << 20
BINARY_MAX_BYTES = 2000000
MEMORY_MAX_BYTES = 64 * MIB
BYTES_A_FILE = 60
BYTES_A_FILE_OF_ONE_DIRECTORY = 300
# What the system and the moment add: how many buffers are in use at once is by chance.
CHANCE_BYTES = 5 * MIB
# Below 5 ms where nothing else runs; CPU time hardly grows with what else does, but caches are shared.
START_MAX_S = 0.010


def cost(box, *args):
    """Runs the program; gives its peak memory in bytes and its CPU seconds."""
    with tempfile.TemporaryFile(dir=box.dir) as err:
        child = subprocess.Popen([clawback_binary(), "-r", box.repo] + list(args), env=box.env, cwd=box.dir,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        check(child.returncode == 0, "it failed", args, err.read().decode())
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def memory(box, *args):
    return cost(box, *args)[0]


def fill(box, where, directories, files, size):
    for d in range(directories):
        folder = box.mkdir(where, "d%05d" % d)
        for i in range(files):
            with open(os.path.join(folder, "file-%06d.txt" % i), "wb") as f:
                if size > 0:
                    f.write((b"%d of %d, " % (i, d)) * (size // 16))
    return box.path(where)


@needs("strip")
def test_the_size_of_the_program(box):
    stripped = box.path("stripped")
    subprocess.run(["strip", "-o", stripped, clawback_binary()], check=True)
    check(os.path.getsize(stripped) < BINARY_MAX_BYTES, "it has %d bytes" % os.path.getsize(stripped))


def test_its_start(box):
    least = min(cost(box, "version")[1] for _ in range(40))
    check(least < START_MAX_S, "'version' took %.1f ms of CPU time" % (least * 1000))


def test_memory(box):
    fresh_repository(box)
    files = fill(box, "files", 40, 500, 2000)
    with open(box.path("files", "large"), "wb") as f:
        for _ in range(200):
            f.write(os.urandom(MIB))
    database = sqlite3.connect(box.path("files", "data.db"))
    database.execute("create table t (x)")
    database.executemany("insert into t values (?)", ((os.urandom(1000),) for _ in range(30000)))
    database.commit()
    peaks = {"first backup": memory(box, "backup", files), "second": memory(box, "backup", files)}
    database.execute("update t set x = 'changed' where rowid % 50 = 0")
    database.commit()
    database.close()
    peaks["third"] = memory(box, "backup", files)
    peaks["restore"] = memory(box, "restore", "latest", "--target", box.path("out"))
    shutil.rmtree(box.path("out"))
    peaks["check"] = memory(box, "check", "--read-data")
    peaks["forget"] = memory(box, "forget", "--keep-last", "1", "--prune")
    peaks["ls"] = memory(box, "ls", "latest")
    check(max(peaks.values()) <= MEMORY_MAX_BYTES, "peak memory", {k: "%.1f MiB" % (v / MIB) for k, v in peaks.items()})


def growth(box, small, large, bytes_a_file, more_files):
    """Memory for the second source must be that for the first, and so much a file."""
    commands = {"backup": lambda source: memory(box, "backup", source),
                "backup again": lambda source: memory(box, "backup", source),
                "ls": lambda source: memory(box, "ls", "latest", source)}
    before = {name: run(small) for name, run in commands.items()}
    after = {name: run(large) for name, run in commands.items()}
    allowed = bytes_a_file * more_files + CHANCE_BYTES
    for name in commands:
        check(after[name] - before[name] <= allowed, "%s: %.1f MiB for few files, %.1f for %d more (%d bytes for each are allowed)"
              % (name, before[name] / MIB, after[name] / MIB, more_files, bytes_a_file))


def test_bytes_a_file(box):
    fresh_repository(box)
    growth(box, fill(box, "few", 10, 500, 100), fill(box, "many", 130, 500, 100), BYTES_A_FILE, 60000)


def test_bytes_a_file_of_one_directory(box):
    fresh_repository(box)
    growth(box, fill(box, "few", 1, 5000, 0), fill(box, "many", 1, 165000, 0), BYTES_A_FILE_OF_ONE_DIRECTORY, 160000)


main()
