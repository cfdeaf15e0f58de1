#!/usr/bin/env python3
# timeout: 900
# sanitizers: no, valgrind cannot run a program that has one
"""One round of everything under valgrind: no use of memory that is not ours or holds nothing, and none that is lost."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import clawtest  # noqa: E402
import robust  # noqa: E402
import treecmp  # noqa: E402
from clawtest import main, needs, no_differences  # noqa: E402
from robust import KIB  # noqa: E402

FOUND = 99  # an exit status that no command has


@needs("valgrind")
@needs("sqlite3")
def test_a_round_of_all_commands(box):
    s = robust.Scene(box)
    robust.make_tree(s.source, 5, [30 * KIB, 700 * KIB, 20, 5 * KIB])
    box.run(["sqlite3", os.path.join(s.source, "db"), "create table t(x); insert into t values(randomblob(9000));"])
    first = s.backup()
    os.unlink(os.path.join(s.source, "dir1", "file1"))

    def watched(*args, rc=0):
        return box.run(["valgrind", "-q", "--error-exitcode=%d" % FOUND, "--leak-check=full",
                        "--errors-for-leak-kinds=definite", clawtest.clawback_binary(), "-r", box.repo] + list(args), rc=rc)
    second = s.saved(watched("backup", "--json", s.source))
    watched("restore", first, "--target", box.path("out"), "--verify")
    no_differences(treecmp.differences(box.path("out") + s.source, s.snapshots[first]), "restored")
    watched("check", "--read-data")
    watched("snapshots")
    watched("ls", "-l", second)
    watched("find", "file*")
    watched("diff", first, second)
    watched("stats")
    watched("dump", second, s.source, "--target", box.path("tar"))
    watched("tag", "--add", "seen", first)
    watched("forget", "--keep-last", "1")
    watched("prune", "--max-unused", "0")
    watched("repair", "index", "--read-all-packs")
    watched("repair", "snapshots", "--dry-run")
    watched("key", "list")
    watched("restore", "nothing", "--target", box.path("none"), rc=1)
    watched("check", "--read-data")


if __name__ == "__main__":
    robust.use_memory()
    main()
