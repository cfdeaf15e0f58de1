#!/usr/bin/env python3
# sanitizers: no, it compares output with that of restic, from code that other scripts run with them
"""Scripts that read restic's JSON read ours: every field that the stock restic prints is there, and means the same."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
from clawtest import check, equal, main, needs, once  # noqa: E402
from interop import CLAWBACK, same_shape  # noqa: E402


@once
def scene(box):
    CLAWBACK.init(box)
    box.source = box.mkdir("source")
    box.write("source/file", b"x" * 3000)
    box.write("source/sub/empty", b"")
    os.symlink("file", box.path("source/link"))
    os.mkfifo(box.path("source/fifo"))
    box.first = CLAWBACK.backup(box, box.source, "--tag", "a")["snapshot_id"]
    box.write("source/more", b"y" * 5000)
    box.second = interop.RESTIC.backup(box, box.source, "--tag", "b")["snapshot_id"]
    return box


def both(box, *args):
    return [p.run(box, *args, repo=scene().repo) for p in interop.BOTH]


@needs("restic")
def test_backup_summary(box):
    found, expected = (r.summary() for r in both(box, "backup", "--json", "--force", scene().source))
    same_shape(found, expected, "summary")


@needs("restic")
def test_backup_of_each_file(box):
    source = box.mkdir("source")
    for name in ("same", "changed", "sub/same"):
        box.write("source/" + name, "x" * 100)
    repos = {p: p.init(box, repo=box.path("repo-%s" % p)) for p in interop.BOTH}
    for program, repo in repos.items():
        program.backup(box, source, repo=repo)
    box.write("source/changed", "y" * 200)
    box.write("source/added", "z" * 300)
    told = {}
    for program, repo in repos.items():
        lines = program.run(box, "backup", "--json", "-v", source, repo=repo).json_lines()
        items = [line for line in lines if line["message_type"] == "verbose_status"]
        told[program] = {(line["item"], line["action"], line["data_size"]) for line in items if line["item"].startswith(source + "/")}
        scans = [line for line in lines if line.get("action") == "scan_finished"]
        equal([(line["message_type"], line["total_files"], line["data_size"]) for line in scans], [("status", 4, 700)], "scans")
        same_shape(items[0], {"message_type": "", "action": "", "item": "", "duration": 0.5, "data_size": 1, "data_size_in_repo": 1,
                              "metadata_size": 1, "metadata_size_in_repo": 1, "total_files": 1}, "item of %s" % program)
    equal(told[CLAWBACK], told[interop.RESTIC], "what is said of each file")


@needs("restic")
def test_backup_status(box):
    lines = {}
    for program in interop.BOTH:
        repo = box.path("repo-%s" % program)
        program.init(box, repo=repo)
        box.write("big", os.urandom(40 << 20))
        limit = ["--limit-read", "30M"] if program is CLAWBACK else ["--limit-upload", "20000"]
        done = program.run(box, "backup", "--json", *limit, box.path("big"), repo=repo, env={"RESTIC_PROGRESS_FPS": "20"})
        lines[str(program)] = done.json_lines("status")
    check(lines["clawback"], "no status line")
    known = set().union(*(set(line) for line in lines["restic"]))
    for line in lines["clawback"]:
        extra = set(line) - known - {"message_type", "percent_done", "total_files", "files_done", "total_bytes",
                                     "bytes_done", "current_files", "seconds_elapsed", "seconds_remaining", "error_count"}
        equal(extra, set(), "fields that restic's status line never has")
        check(0 <= line["percent_done"] <= 1, "percent_done is out of bounds", line)


@needs("restic")
def test_snapshots(box):
    found, expected = (r.json() for r in both(box, "snapshots", "--json"))
    equal(len(found), len(expected), "number of snapshots")
    by_id = {s["id"]: s for s in found}
    for document in expected:
        same_shape(by_id[document["id"]], document, "snapshot")
        equal({k: by_id[document["id"]][k] for k in document}, document, "a snapshot")
    equal([s["id"] for s in found], [s["id"] for s in expected], "order of the snapshots")


@needs("restic")
def test_ls(box):
    for snapshot in (scene().first, scene().second):
        found, expected = (r.json_lines() for r in both(box, "ls", "--json", snapshot))
        equal(len(found), len(expected), "number of lines")
        for ours, theirs in zip(found, expected):
            same_shape(ours, theirs, theirs["struct_type"])
            equal({k: ours.get(k) for k in theirs}, theirs, "a line of ls")


@needs("restic")
def test_find(box):
    for pattern in (["file"], ["e*"], ["link", "fifo"]):
        found, expected = (r.json() for r in both(box, "find", "--json", *pattern))
        same_shape(found, expected, "find")

        def lines(document):
            return sorted((m["snapshot"], m["hits"], [(n["path"], n["permissions"], n["type"]) for n in m["matches"]])
                          for m in document)
        equal(lines(found), lines(expected), "matches of %s" % pattern)


@needs("restic")
def test_diff(box):
    found, expected = (r.json_lines() for r in both(box, "diff", "--json", scene().first, scene().second))
    for kind in ("change", "statistics"):
        ours = [line for line in found if line["message_type"] == kind]
        theirs = [line for line in expected if line["message_type"] == kind]
        check(ours and theirs, "no line '%s'" % kind)
        same_shape(ours[0], theirs[0], kind)


@needs("restic")
def test_stats(box):
    for mode in ("restore-size", "raw-data"):
        found, expected = (r.json() for r in both(box, "stats", "--json", "--mode", mode))
        same_shape(found, expected, "stats --mode %s" % mode, optional=("total_file_count",) if mode == "raw-data" else ())


@needs("restic")
def test_key_list(box):
    found, expected = (r.json() for r in both(box, "key", "list", "--json"))
    same_shape(found, expected, "key list")


@needs("restic")
def test_forget(box):
    for options in (["--keep-last", "1"], ["--keep-daily", "1", "--group-by", "tags"]):
        # restic puts the groups into any order.
        found, expected = (sorted(r.json(), key=lambda g: (g["host"], g["paths"] or [], g["tags"] or []))
                           for r in both(box, "forget", "--dry-run", "--json", *options))
        same_shape(found, expected, "forget", optional=("counters", "parent", "tags"))


@needs("restic")
def test_cat(box):
    for args in (["config"], ["snapshot", scene().first]):
        found, expected = (r.json() for r in both(box, "cat", *args))
        equal({k: found.get(k) for k in expected}, expected, "cat %s" % args[0])


@needs("restic")
def test_list(box):
    for kind in ("blobs", "packs", "index", "snapshots", "keys", "locks"):
        found, expected = (sorted(r.out.split()) for r in both(box, "list", kind, "--no-lock"))
        equal(found, expected, "list %s" % kind)


if __name__ == "__main__":
    main()
