#!/usr/bin/env python3
# sanitizers: no, it compares matches with those of restic, which come from pure functions with unit tests
"""The same excludes leave out the same files as in the stock restic."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
from clawtest import check, equal, main, needs, once  # noqa: E402
from interop import CLAWBACK, RESTIC  # noqa: E402

FILES = ["a.o", "a.c", "B.O", "sub/a.o", "sub/keep.o", "sub/deep/er/a.o", "sub/deep/er/a.txt", "cache/CACHEDIR.TAG",
         "cache/data", "nocache/CACHEDIR.TAG", "nocache/data", "marked/.nobackup", "marked/data", "marked/sub/data",
         "headed/.skip", "headed/data", "unheaded/.skip", "unheaded/data", "node_modules/x/index.js",
         "sub/node_modules/y/index.js", "spaces in/name", "#hash", "star*name", "[bracket]", "$HOME/x", "Größe", "größe",
         "\\back", "foo/bar/baz", "foo/bar/other", "foo/x/baz", "foo/x/y/baz", "!bang", "bar", "empty dir/"]
CONTENT = {"cache/CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n# more", "headed/.skip": b"yes, do it"}


@once
def scene(box):
    CLAWBACK.init(box)
    for i, name in enumerate(FILES):
        if name.endswith("/"):
            box.mkdir("source", name)
        else:
            box.write("source/" + name, CONTENT.get(name, b"x" * (i * 700)))
    box.source = box.path("source")
    box.list = box.write("patterns", "# a comment\n\n*.o\n  foo/*/baz  \n!sub/keep.o\n$NOTSET/x\n$SKIP\n")
    box.cased = box.write("cased", "*.O\nGRÖSSE\n")
    return box


def cases(box):
    s = box.source
    return [
        ["--exclude", "*.o"],
        ["--exclude", "*.o", "--exclude", "!sub/keep.o"],
        ["--exclude", "!*.o"],
        ["--exclude", "sub"],
        ["--exclude", "sub/*", "--exclude", "!sub/deep"],
        ["--exclude", s + "/sub"],
        ["--exclude", "/sub"],
        ["--exclude", "foo/*/baz"],
        ["--exclude", "foo/**/baz"],
        ["--exclude", "**/baz"],
        ["--exclude", s + "/**/er"],
        ["--exclude", "node_modules/"],
        ["--exclude", "sub/node_modules/**"],
        ["--exclude", "[#]hash", "--exclude", "star\\*name", "--exclude", "\\[bracket]"],
        ["--exclude", "?.o", "--exclude", "[a-b]*r"],
        ["--exclude", "spaces in", "--exclude", "$HOME"],
        ["--iexclude", "*.O", "--iexclude", "GRÖßE"],
        ["--iexclude", "SUB/DEEP"],
        ["--exclude-file", box.list],
        ["--iexclude-file", box.cased],
        ["--exclude-caches"],
        ["--exclude-if-present", ".nobackup"],
        ["--exclude-if-present", ".skip:yes", "--exclude-if-present", ".nobackup"],
        ["--exclude-larger-than", "10K"],
        ["--exclude-larger-than", "0.1M"],
        ["--exclude", "*", "--exclude", "!sub"],
        ["--exclude", s],
    ]


def listed(box, snapshot_id):
    return [line["path"] for line in box.claw("--no-lock", "ls", "--json", snapshot_id, repo=scene().repo).json_lines()
            if line.get("struct_type") == "node"]


@needs("restic")
def test_the_same_is_left_out(box):
    s = scene()
    everything = None
    wrong = []
    for flags in [[]] + cases(s):
        ids = []
        for program in (CLAWBACK, RESTIC):
            done = program.run(box, "backup", "--json", "--force", *flags, s.source, repo=s.repo, rc=None,
                               env={"SKIP": "nocache"})
            if done.rc == 0:
                ids.append(interop.full_id(box, done.summary()["snapshot_id"], repo=s.repo))
            else:
                ids.append(done.err.strip())
        if any(len(i) != 64 for i in ids):
            if not all(len(i) != 64 for i in ids):
                wrong.append("%s: clawback: %s, restic: %s" % (flags, ids[0], ids[1]))
            continue
        found, expected = (listed(box, i) for i in ids)
        everything = everything or expected
        # '--exclude !*.o' alone, a size that nothing has: a case that leaves nothing out proves little, but may stand.
        if found != expected:
            wrong.append("%s: we have %s more, and %s less than restic" % (flags, sorted(set(found) - set(expected)),
                                                                         sorted(set(expected) - set(found))))
    equal(wrong, [], "excludes that differ")
    check(len(everything) > len(FILES), "the whole list is too short")


@needs("restic")
def test_the_snapshot_records_the_same_excludes(box):
    s = scene()
    flags = ["--exclude", "*.tmp", "--exclude", "/x/y", "--tag", "recorded"]
    documents = [interop.snapshot(box, p.backup(box, *flags, s.source, repo=s.repo)["snapshot_id"], repo=s.repo)
                 for p in (CLAWBACK, RESTIC)]
    equal(documents[0].get("excludes"), documents[1].get("excludes"), "excludes in the snapshot")
    equal(sorted(set(documents[1]) - set(documents[0])), [], "fields that restic's snapshot has and ours lacks")


@needs("restic")
def test_other_file_systems_are_left_out_alike(box):
    CLAWBACK.init(box)
    box.write("source/here", "x")
    mount = box.mount_tmpfs("source/mounted", "1m")
    box.write(mount + "/there", "x")
    for flags in ([], ["--one-file-system"]):
        lists = []
        for program in (CLAWBACK, RESTIC):
            summary = program.backup(box, "--force", *flags, box.path("source"))
            lists.append([line["path"] for line in box.claw("ls", "--json", summary["snapshot_id"]).json_lines()[1:]])
        equal(lists[0], lists[1], "entries with %s" % flags)
        equal(any(p.endswith("/there") for p in lists[0]), not flags, "the other file system's file is there")


@needs("restic")
def test_lists_of_files_mean_the_same(box):
    CLAWBACK.init(box)
    for name in ("one", "two", "dir/three", "dir/four", "odd [x]", "  blank ", "#no comment", "line\nbreak"):
        box.write("source/" + name, name)
    s = box.path("source")
    patterns = box.write("patterns", "# comment\n\n%s/o*e\n  %s/dir/t*  \n" % (s, s))
    verbatim = box.write("verbatim", "%s/odd [x]\n%s/#no comment\n%s/  blank \n\n" % (s, s, s))
    raw = box.write("raw", "%s/line\nbreak\0%s/dir\0" % (s, s))
    for flags in (["--files-from", patterns], ["--files-from-verbatim", verbatim], ["--files-from-raw", raw],
                  ["--files-from", patterns, "--files-from-raw", raw, s + "/two"]):
        trees = [interop.tree_at(box, p.backup(box, "--force", *flags)["snapshot_id"], s) for p in (CLAWBACK, RESTIC)]
        equal(trees[0], trees[1], "trees with %s" % flags)


if __name__ == "__main__":
    main()
