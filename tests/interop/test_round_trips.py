#!/usr/bin/env python3
"""A tree of everything odd, through repositories that the stock restic and we use in turns."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, main, needs, no_differences, once  # noqa: E402
from interop import CLAWBACK, RESTIC  # noqa: E402


class Scene:
    """A repository that one program made and backed a tree up into."""

    def __init__(self, box, program):
        self.box, self.repo = box, box.repo
        program.init(box)
        self.source = interop.odd_source(box)
        self.paths = interop.listing(self.source)
        self.summary = program.backup(box, self.source, "--tag", "first,odd", "--host", "crab")
        self.id = self.summary["snapshot_id"]


@once
def ours(box):
    return Scene(box, CLAWBACK)


@once
def theirs(box):
    return Scene(box, RESTIC)


def listed_paths(result):
    """What `ls --json` names, below the source: the lines after the snapshot's."""
    nodes = [line for line in result.json_lines() if line.get("struct_type") == "node"]
    return sorted(n["path"] for n in nodes)


def lists_all(scene, program, box):
    found = listed_paths(program.run(box, "ls", "--json", scene.id, repo=scene.repo))
    above = interop.parents(scene.source)
    # In JSON what is not UTF-8 becomes U+FFFD.
    expected = sorted([os.fsencode(p).decode("utf-8", "replace") for p in above] +
                      [p.decode("utf-8", "replace") for p in scene.paths])
    equal(len(found), len(expected), "number of entries that %s lists" % program)
    differing = [(f, e) for f, e in zip(sorted(found), expected) if f.count("\ufffd") == 0 and f != e]
    equal(differing[:3], [], "paths that %s lists" % program)


@needs("restic")
def test_restic_checks_our_repository(box):
    box.restic("check", "--read-data", repo=ours().repo)


@needs("restic")
def test_we_check_the_repository_of_restic(box):
    box.claw("check", "--read-data", repo=theirs().repo)


@needs("restic")
def test_restic_lists_all_of_our_snapshot(box):
    lists_all(ours(), RESTIC, box)


@needs("restic")
def test_we_list_all_of_a_snapshot_of_restic(box):
    lists_all(theirs(), CLAWBACK, box)


@needs("restic")
def test_both_print_the_same_list(box):
    for scene in (ours(), theirs()):
        found = box.claw("ls", scene.id, repo=scene.repo, env={"NO_COLOR": "1"}).out_bytes
        expected = box.restic("ls", scene.id, repo=scene.repo).out_bytes

        def paths(text):
            return sorted(line for line in text.split(b"\n") if line.startswith(b"/"))
        check(len(paths(expected)) > 500, "restic lists next to nothing")
        equal(len(paths(found)), len(paths(expected)), "number of lines")


@needs("restic")
def test_restic_restores_our_snapshot(box):
    scene = ours()
    no_differences(interop.restored(box, RESTIC, scene.id, scene.source, "out", repo=scene.repo), "restored by restic")


@needs("restic")
def test_we_restore_a_snapshot_of_restic(box):
    scene = theirs()
    no_differences(interop.restored(box, CLAWBACK, scene.id, scene.source, "out", repo=scene.repo), "restored by us")


def test_we_restore_our_snapshot(box):
    scene = ours()
    no_differences(interop.restored(box, CLAWBACK, scene.id, scene.source, "out", repo=scene.repo), "restored by us")


@needs("restic")
def test_both_make_the_same_trees(box):
    a, b = ours(), theirs()
    # In the same repository the same tree must come out; the two scenes have trees of their own (inodes are in there).
    for scene, program in ((a, RESTIC), (b, CLAWBACK)):
        repo = box.path("copy-%s" % program)
        box.run(["cp", "-a", scene.repo, repo])
        before = interop.blobs(box, repo=repo)
        tree = interop.tree_at(box, scene.id, scene.source, repo=repo)
        again = program.backup(box, scene.source, "--host", "crab", "--force", repo=repo)
        equal(interop.tree_at(box, again["snapshot_id"], scene.source, repo=repo), tree,
              "tree of %s, of all files read anew by %s" % (scene.source, program))
        fresh = interop.blobs(box, repo=repo) - before
        equal(interop.of_kind(fresh, "data"), set(), "data that %s stores once more" % program)
        # What is above the source knows when the directories of this run changed last.
        above = len(interop.parents(scene.source))
        check(len(fresh) < above, "%s stores %d trees once more" % (program, len(fresh)))
        interop.checked(box, repo=repo, read_data=False)


@needs("restic")
def test_each_takes_the_others_snapshot_for_a_parent(box):
    for scene, program in ((ours(), RESTIC), (theirs(), CLAWBACK)):
        repo = box.path("copy-%s" % program)
        box.run(["cp", "-a", scene.repo, repo])
        again = program.backup(box, scene.source, "--host", "crab", repo=repo)
        files = sum(1 for p in treecmp.read_tree(scene.source).values() if p["type"] == "file")
        equal((again["files_new"], again["files_changed"], again["files_unmodified"]), (0, 0, files),
              "files new, changed, unmodified by %s" % program)
        equal(again["data_blobs"], 0, "data blobs added by %s" % program)
        document = interop.snapshot(box, again["snapshot_id"], repo=repo)
        equal(document["parent"], scene.id, "parent of the snapshot by %s" % program)


@needs("restic")
def test_summaries_count_alike(box):
    repo = CLAWBACK.init(box)
    source = ours().source
    counts = {}
    for program in (CLAWBACK, RESTIC):
        summary = program.backup(box, source, "--force", "--host", str(program), repo=repo)
        counts[str(program)] = {k: summary[k] for k in ("files_new", "files_changed", "files_unmodified",
                                                        "total_files_processed", "total_bytes_processed")}
    equal(counts["clawback"], counts["restic"], "what the summaries count")


@needs("restic")
def test_both_dump_the_same_bytes(box):
    for scene in (ours(), theirs()):
        for name in ("sizes/random 20971520", "sparse/middle", "names/tab\there", "sizes/random 0"):
            path = os.path.join(scene.source, name)
            with open(path, "rb") as f:
                content = f.read()
            for program in interop.BOTH:
                found = program.run(box, "dump", scene.id, path, repo=scene.repo).out_bytes
                check(found == content, "%s dumps '%s' other than it is" % (program, name))


@needs("restic")
def test_both_find_the_same(box):
    for scene in (ours(), theirs()):
        for pattern in (["random *"], ["-i", "RANDOM 52*"], ["many 1?", "*level 59"], ["🦞"]):
            found = {}
            for program in interop.BOTH:
                matches = program.run(box, "find", "--json", *pattern, repo=scene.repo).json()
                found[str(program)] = sorted((m["snapshot"], n["path"], n["type"]) for m in matches for n in m["matches"])
            check(found["restic"], "restic finds nothing for %s" % pattern)
            equal(found["clawback"], found["restic"], "found for %s" % pattern)


@needs("restic")
def test_both_see_the_same_difference(box):
    CLAWBACK.init(box)
    source = box.mkdir("changing")
    for name in ("kept", "changed", "removed", "mode", "sub/inner", "sub/gone", "becomes a dir"):
        box.write("changing/" + name, name)
    first = CLAWBACK.backup(box, source)["snapshot_id"]
    box.write("changing/changed", "other")
    box.write("changing/added", "new")
    os.unlink(os.path.join(source, "removed"))
    os.unlink(os.path.join(source, "sub/gone"))
    os.unlink(os.path.join(source, "becomes a dir"))
    box.write("changing/becomes a dir/inside", "x")
    os.chmod(os.path.join(source, "mode"), 0o600)
    second = RESTIC.backup(box, source)["snapshot_id"]
    seen, totals = {}, {}
    for program in interop.BOTH:
        lines = program.run(box, "diff", "--json", "--metadata", first, second).json_lines()
        below = [(line["path"], line["modifier"]) for line in lines if line["message_type"] == "change"]
        seen[str(program)] = sorted(c for c in below if c[0].startswith(source + "/"))
        statistics = next(line for line in lines if line["message_type"] == "statistics")
        totals[str(program)] = {k: statistics[k] for k in ("changed_files", "added", "removed", "source_snapshot",
                                                           "target_snapshot")}
        for side in ("added", "removed"): # trees above the source are not the test's alone
            totals[str(program)][side] = {k: v for k, v in totals[str(program)][side].items() if k != "tree_blobs"}
    check(len(seen["restic"]) >= 7, "restic sees too little", seen["restic"])
    equal(seen["clawback"], seen["restic"], "changes")
    equal({k: v for k, v in totals["clawback"].items() if k.endswith("snapshot")},
          {k: v for k, v in totals["restic"].items() if k.endswith("snapshot")}, "snapshots compared")
    equal(totals["clawback"]["added"]["files"], totals["restic"]["added"]["files"], "files added")
    equal(totals["clawback"]["removed"]["files"], totals["restic"]["removed"]["files"], "files removed")
    equal(totals["clawback"]["added"]["data_blobs"], totals["restic"]["added"]["data_blobs"], "data blobs added")


@needs("restic")
def test_both_count_the_same_sizes(box):
    for scene in (ours(), theirs()):
        for mode in ("restore-size", "files-by-contents", "blobs-per-file", "raw-data"):
            numbers = {}
            for program in interop.BOTH:
                document = program.run(box, "stats", "--json", "--mode", mode, scene.id, repo=scene.repo).json()
                names = ["total_size"] + (["total_blob_count"] if mode == "raw-data" else ["total_file_count"])
                numbers[str(program)] = {n: document[n] for n in names}
            equal(numbers["clawback"], numbers["restic"], "stats --mode %s" % mode)


@needs("restic")
def test_restic_forgets_and_prunes_and_we_go_on(box):
    life_goes_on(box, CLAWBACK, RESTIC)


@needs("restic")
def test_we_forget_and_prune_and_restic_goes_on(box):
    life_goes_on(box, RESTIC, CLAWBACK)


def life_goes_on(box, keeper, cleaner):
    """One program backs up, the other one throws away, the first one goes on."""
    keeper.init(box)
    source = interop.odd_source(box, big=False)
    first = keeper.backup(box, source)["snapshot_id"]
    for i in range(4):
        with open(os.path.join(source, "sizes", "random 524288"), "r+b") as f:
            f.seek(1000 * i)
            f.write(os.urandom(1000))
        box.write(os.path.join(source, "fresh %d" % i), os.urandom(300000))
        if i < 3:
            os.unlink(os.path.join(source, "fresh %d" % i))
        keeper.backup(box, source)
    cleaner.run(box, "forget", "--keep-last", "2")
    equal(len(os.listdir(os.path.join(box.repo, "snapshots"))), 2, "snapshots left")
    check(first not in os.listdir(os.path.join(box.repo, "snapshots")), "the oldest is still there")
    cleaner.run(box, "prune", "--max-unused", "0")
    interop.checked(box)
    again = keeper.backup(box, source)
    equal((again["files_new"], again["files_changed"]), (0, 0), "files new and changed after the prune")
    no_differences(interop.restored(box, keeper, "latest", source, "out"), "restored by %s" % keeper)
    no_differences(interop.restored(box, cleaner, "latest", source, "out2"), "restored by %s" % cleaner)
    interop.checked(box)


@needs("restic")
def test_other_versions_and_compressions(box):
    source = box.mkdir("source")
    box.write("source/random", random.Random(1).randbytes(5 << 20))
    box.write("source/zeros", bytes(3 << 20))
    for i in range(50):
        box.write("source/sub/%d" % i, b"%d" % i * i)
    for maker in interop.BOTH:
        for version, level in ((1, None), (2, "off"), (2, "max")):
            repo = box.path("%s-%d-%s" % (maker, version, level))
            maker.init(box, repo=repo, version=version)
            other = RESTIC if maker is CLAWBACK else CLAWBACK
            options = ["--compression", level] if level else []
            first = maker.backup(box, source, "--host", "crab", *options, repo=repo)
            before = interop.blobs(box, repo=repo)
            second = other.backup(box, source, "--host", "crab", "--force", *options, repo=repo)
            what = "version %d, compression %s, made by %s" % (version, level, maker)
            equal(interop.of_kind(interop.blobs(box, repo=repo) - before, "data"), set(), "data stored twice, " + what)
            equal(interop.tree_at(box, second["snapshot_id"], source, repo=repo),
                  interop.tree_at(box, first["snapshot_id"], source, repo=repo), "tree, " + what)
            interop.checked(box, repo=repo)
            target = "out-%s-%d-%s" % (maker, version, level)
            no_differences(interop.restored(box, other, first["snapshot_id"], source, target, repo=repo),
                           "restored by %s, %s" % (other, what))


@needs("restic")
def test_same_trees_in_another_time_zone(box):
    CLAWBACK.init(box)
    source = interop.odd_source(box, big=False)
    for zone in ("America/St_Johns", "Europe/Berlin", "Asia/Kathmandu"):
        check(os.path.exists("/usr/share/zoneinfo/" + zone), "there is no time zone '%s' (package tzdata)" % zone)
        trees = [interop.tree_at(box, p.backup(box, source, "--force", env={"TZ": zone})["snapshot_id"], source)
                 for p in interop.BOTH]
        equal(trees[0], trees[1], "trees in %s" % zone)


@needs("restic")
def test_access_times_are_stored_alike(box):
    CLAWBACK.init(box)
    source = box.mkdir("source")
    os.utime(box.write("source/file", "x"), ns=(10**18, 2 * 10**18))
    trees = []
    for program in interop.BOTH:
        summary = program.backup(box, source, "--with-atime", "--force")
        nodes = box.restic("cat", "blob", interop.tree_at(box, summary["snapshot_id"], source), "--no-lock").json()["nodes"]
        trees.append(nodes[0]["atime"])
    equal(trees, ["2001-09-09T01:46:40Z"] * 2, "access times")


@needs("restic")
def test_several_targets_make_the_same_trees(box):
    CLAWBACK.init(box)
    for name in ("a/same", "b/same", "b/inner/deep", "c"):
        box.write("targets/%s/file" % name, name)
    targets = [box.path("targets", p) for p in ("a/same", "b/same", "b/inner/deep/file", "b/inner", "c/file", "c")]
    trees = [interop.tree_at(box, p.backup(box, "--force", *targets)["snapshot_id"], box.path("targets")) for p in interop.BOTH]
    equal(trees[0], trees[1], "trees")
    documents = box.restic("snapshots", "--json").json()
    equal(documents[0]["paths"], documents[1]["paths"], "paths in the snapshots")


if __name__ == "__main__":
    main()
