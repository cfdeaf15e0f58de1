#!/usr/bin/env python3
"""Damage of every kind is found, what it touches is named exactly, and what can be mended is."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, files_below, fingerprint, main, needs, no_differences, once, repository_bytes  # noqa: E402
from interop import CLAWBACK, fresh_repository  # noqa: E402


@once
def scene(box):
    """Three snapshots; `early` is only in the first, `late` only in the last, each with packs of their own."""
    fresh_repository(box)
    draw = random.Random(2)
    box.source = box.mkdir("source")
    box.packs, box.ids = {}, []
    for i, name in enumerate(("early", "steady", "late")):
        before = set(files_below(os.path.join(box.repo, "data")))
        if name == "late":
            os.unlink(os.path.join(box.source, "early"))
        box.write("source/" + name, draw.randbytes(2 << 20))
        box.write("source/sub %d/small" % i, name)
        box.ids.append(CLAWBACK.backup(box, box.source)["snapshot_id"])
        new = set(files_below(os.path.join(box.repo, "data"))) - before
        box.packs[name] = os.path.relpath(max(new, key=os.path.getsize), box.repo)
        box.packs["trees of " + name] = os.path.relpath(min(new, key=os.path.getsize), box.repo)
    return box


def copy(box):
    box.run(["cp", "-a", scene().repo, box.repo])
    return scene()


def damages(result):
    """{(snapshot's first eight digits, path)} of `check --json`."""
    return {(line["snapshot"][:8], line["path"]) for line in result.json_lines("damage")}


def touched(s, *pairs):
    return {(s.ids[i][:8], os.path.join(s.source, name)) for i, name in pairs}


# --- check names what is touched ---

def test_a_flipped_bit_in_a_pack_of_data(box):
    s = copy(box)
    interop.flip(os.path.join(box.repo, s.packs["early"]))
    box.claw("check")  # names and sizes are right
    done = box.claw("check", "--read-data", "--json", rc=1)
    equal(damages(done), touched(s, (0, "early"), (1, "early")), "what is touched\n%s" % done)
    told = box.claw("check", "--read-data", rc=1)
    check(os.path.join(s.source, "early") in told.out and s.ids[0][:8] in told.out and s.ids[1][:8] in told.out and
          s.ids[2][:8] not in told.out, "what people are told", told)


def test_a_pack_that_is_gone(box):
    s = copy(box)
    os.unlink(os.path.join(box.repo, s.packs["steady"]))
    done = box.claw("check", "--json", rc=1)
    named = damages(done)
    check(touched(s, (1, "steady"), (2, "steady")) <= named, "what is touched", named)
    check(not touched(s, (0, "early"), (2, "late")) & named, "too much is touched", named)


def test_a_pack_that_was_cut_short(box):
    s = copy(box)
    path = os.path.join(box.repo, s.packs["late"])
    os.chmod(path, 0o600)
    os.truncate(path, os.path.getsize(path) - 1000)
    named = damages(box.claw("check", "--json", rc=1))
    # The header at its end is gone, the blobs are not: reading them tells.
    check(named <= touched(s, (2, "late"), (2, "sub 2/small")), "too much is touched", named)


def test_a_pack_of_trees_that_is_gone(box):
    s = copy(box)
    os.unlink(os.path.join(box.repo, s.packs["trees of early"]))
    done = box.claw("check", "--json", rc=1)
    check(any(snapshot == s.ids[0][:8] for snapshot, _ in damages(done)), "the first snapshot is not named", done)


def test_a_part_at_a_time_finds_it_too(box):
    s = copy(box)
    interop.flip(os.path.join(box.repo, s.packs["early"]))
    statuses = [box.claw("check", "--read-data-subset", "%d/4" % n, rc=(0, 1)).rc for n in range(1, 5)]
    equal(sorted(statuses), [0, 0, 0, 1], "exit statuses of the four parts")
    equal(box.claw("check", "--read-data-subset", "100%", rc=None).rc, 1, "exit status of all of it")


def test_rubbish_beside_the_files_does_no_harm(box):
    copy(box)
    for name in ("data/zz", "data/00/short", "index/README", "snapshots/.tmp-123", "data/00/" + "0" * 63 + "x"):
        box.write("repo/" + name, "rubbish")
    box.claw("check", "--read-data")
    box.claw("backup", scene().source)
    box.claw("prune")
    box.claw("check", "--read-data")


def test_a_pack_that_nobody_knows_is_no_error(box):
    s = copy(box)
    stray = "5" * 64
    box.run(["cp", os.path.join(box.repo, s.packs["late"]), box.path("stray")])
    with open(box.path("stray"), "rb") as f:
        box.write("repo/data/55/" + stray, f.read())
    done = box.claw("check", rc=0)
    check("in no index" in done.out, "it is not mentioned", done)
    box.claw("prune")
    check(not os.path.exists(box.path("repo/data/55", stray)), "prune left it there")
    box.claw("check", "--read-data")


# --- repairs ---

def test_a_deleted_index_is_made_anew(box):
    s = copy(box)
    for name in os.listdir(os.path.join(box.repo, "index")):
        os.unlink(os.path.join(box.repo, "index", name))
    box.claw("check", rc=1)
    box.claw("restore", "latest", "--target", box.path("out"), rc=1)
    before = fingerprint(box.repo)
    box.claw("repair", "index", "--dry-run")
    equal(fingerprint(box.repo), before, "the repository after a dry run")
    box.claw("repair", "index")
    box.claw("check", "--read-data")
    box.claw("restore", s.ids[2], "--target", box.path("out2"))
    no_differences(treecmp.differences(box.path("out2") + s.source, s.source), "the restored tree")


@needs("restic")
def test_restic_accepts_the_new_index(box):
    copy(box)
    for name in os.listdir(os.path.join(box.repo, "index")):
        os.unlink(os.path.join(box.repo, "index", name))
    box.claw("repair", "index")
    box.restic("check", "--read-data")


def test_snapshots_are_repaired_after_a_lost_pack(box):
    s = copy(box)
    os.unlink(os.path.join(box.repo, s.packs["early"]))
    box.claw("repair", "index")
    before = fingerprint(box.repo)
    said = box.claw("repair", "snapshots", "--dry-run")
    check(os.path.join(s.source, "early") in said.out, "the dry run does not name the file", said)
    equal(fingerprint(box.repo), before, "the repository after a dry run")
    done = box.claw("repair", "snapshots", "--forget")
    box.claw("check", "--read-data")
    documents = box.claw("snapshots", "--json").json()
    equal(len(documents), 3, "number of snapshots\n%s" % done)
    # The pack also held the small file beside it, which all three have.
    by_original = {d.get("original"): d["id"] for d in documents}
    equal(sorted(by_original), sorted(s.ids), "originals of the repaired ones")
    first, last = (interop.nodes(box, by_original[s.ids[i]]) for i in (0, 2))
    equal(first[os.path.join(s.source, "early")]["size"], 0, "size of what is left of a lost file")
    equal(last[os.path.join(s.source, "late")]["size"], 2 << 20, "size of a file that is whole")
    box.claw("restore", by_original[s.ids[2]], "--target", box.path("out"))
    lines = treecmp.differences(box.path("out") + s.source, s.source)
    equal({line.split(":")[0] for line in lines}, {"b'sub 0/small'"}, "what is not as it was")


@needs("restic")
def test_restic_accepts_repaired_snapshots(box):
    s = copy(box)
    os.unlink(os.path.join(box.repo, s.packs["early"]))
    box.claw("repair", "index")
    box.claw("repair", "snapshots", "--forget")
    box.restic("check", "--read-data")


def test_a_new_backup_heals_what_it_still_has(box):
    s = copy(box)
    os.unlink(os.path.join(box.repo, s.packs["late"]))
    box.claw("check", rc=1)
    box.claw("repair", "index")
    box.claw("check", rc=1)
    CLAWBACK.backup(box, s.source)
    box.claw("check", "--read-data")


def test_data_that_is_damaged_comes_back_once_it_has_left_the_index(box):
    s = copy(box)
    for name in ("steady", "trees of late"):
        interop.flip(os.path.join(box.repo, s.packs[name]))
    box.claw("repair", "index")
    CLAWBACK.backup(box, s.source, "--force")
    told = box.claw("check", "--read-data", rc=1)  # the index has it, so no backup stores it again
    check("repair index --read-data" in told.out, "the way out is not told", told)
    before = fingerprint(box.repo)
    box.claw("repair", "index", "--read-data", "--dry-run", rc=1)
    equal(fingerprint(box.repo), before, "the repository after a dry run")
    box.claw("repair", "index", "--read-data", rc=1)
    check(not touched(s, (0, "early"), (2, "late")) & damages(box.claw("check", "--json", rc=1)), "what was whole is touched")
    CLAWBACK.backup(box, s.source)
    box.claw("check")
    box.claw("prune")
    box.claw("check", "--read-data")
    for i in (1, 2):  # snapshots of before the damage, too
        name = os.path.join(s.source, "steady")
        check(box.claw("dump", s.ids[i], name).out_bytes == open(name, "rb").read(), "'steady' of snapshot %d" % i)


def test_prune_does_not_make_damage_worse(box):
    s = copy(box)
    interop.flip(os.path.join(box.repo, s.packs["steady"]))
    box.claw("forget", "--keep-last", "1")
    box.claw("prune", "--max-unused", "0", "--repack-small", rc=(0, 1))
    equal(box.claw("dump", s.ids[2], os.path.join(s.source, "sub 2/small")).out, "late", "a file that is whole")
    named = damages(box.claw("check", "--read-data", "--json", rc=1))
    equal(named, touched(s, (2, "steady")), "what is touched")


# --- prune ---

def grown(box):
    """Six snapshots of a file of which parts change, so that packs are used in part."""
    fresh_repository(box)
    draw = random.Random(4)
    source = box.mkdir("source")
    for i in range(6):
        for j in range(20):
            if i == 0 or j % 8 == i:
                box.write("source/%d" % j, draw.randbytes(200000))
        CLAWBACK.backup(box, source)
    return source


def test_prune_gives_the_space_back(box):
    source = grown(box)
    full = repository_bytes(box.repo)
    box.claw("forget", "--keep-last", "1")
    equal(repository_bytes(box.repo), full, "forget alone frees nothing")
    said = box.claw("prune", "--dry-run", "--json").summary()
    equal(repository_bytes(box.repo), full, "a dry run frees nothing")
    check(said["dry_run"], "it does not say that it is one", said)
    box.claw("prune", "--max-unused", "0")
    left = repository_bytes(box.repo)
    check(20 * 200000 <= left <= 20 * 200000 * 1.05, "%d bytes of %d are left" % (left, full))
    box.claw("check", "--read-data")
    box.claw("restore", "latest", "--target", box.path("out"))
    no_differences(treecmp.differences(box.path("out") + source, source), "the restored tree")
    done = box.claw("prune", "--max-unused", "0")
    equal(repository_bytes(box.repo), left, "bytes after another prune\n%s" % done)


def test_prune_keeps_what_it_may(box):
    grown(box)
    box.claw("forget", "--keep-last", "1")
    full = repository_bytes(box.repo)
    box.claw("prune", "--max-unused", "unlimited")
    some = repository_bytes(box.repo)
    check(some <= full, "it grew")
    box.claw("prune", "--max-repack-size", "0")
    box.claw("check", "--read-data")
    box.claw("prune", "--max-unused", "0")
    check(repository_bytes(box.repo) < some, "nothing came back")
    box.claw("check", "--read-data")


def test_prune_compresses_what_was_not(box):
    fresh_repository(box)
    box.write("source/text", b"the same line again and again\n" * 100000)
    box.claw("--compression", "off", "backup", box.path("source"))
    before = repository_bytes(box.repo)
    box.claw("prune", "--repack-uncompressed")
    check(repository_bytes(box.repo) * 5 < before, "%d bytes, %d before" % (repository_bytes(box.repo), before))
    box.claw("check", "--read-data")


def test_prune_joins_small_packs(box):
    fresh_repository(box)
    for i in range(8):
        box.write("source/%d" % i, os.urandom(1000))
        CLAWBACK.backup(box, box.path("source"))
    before = len(files_below(os.path.join(box.repo, "data")))
    box.claw("prune", "--repack-small")
    after = len(files_below(os.path.join(box.repo, "data")))
    check(after <= 4 < before, "%d packs of %d are left" % (after, before))
    box.claw("check", "--read-data")


def test_forget_and_prune_in_one(box):
    grown(box)
    full = repository_bytes(box.repo)
    box.claw("forget", "--keep-last", "2", "--prune", "--max-unused", "0", "--dry-run")
    equal((repository_bytes(box.repo), len(interop.snapshot_names(box))), (full, 6), "bytes and snapshots after a dry run")
    box.claw("forget", "--keep-last", "2", "--prune", "--max-unused", "0")
    equal(len(interop.snapshot_names(box)), 2, "snapshots")
    check(repository_bytes(box.repo) < full, "nothing came back")
    box.claw("check", "--read-data")


def test_prune_that_is_killed_loses_nothing(box):
    source = grown(box)
    box.claw("forget", "--keep-last", "2")
    ids = interop.snapshot_names(box)
    for delay in (0.02, 0.05, 0.08, 0.12, 0.2):
        child = box.start_claw("prune", "--max-unused", "0", "--repack-small")
        try:
            child.wait(delay)
        except Exception:
            child.kill()
            child.wait()
        box.claw("check", "--read-data")
    box.claw("prune", "--max-unused", "0")
    box.claw("check", "--read-data")
    equal(interop.snapshot_names(box), ids, "snapshots")
    box.claw("restore", "latest", "--target", box.path("out"))
    no_differences(treecmp.differences(box.path("out") + source, source), "the restored tree")


def test_a_backup_that_is_killed_loses_nothing(box):
    fresh_repository(box)
    box.write("source/first", os.urandom(100000))
    first = CLAWBACK.backup(box, box.path("source"))["snapshot_id"]
    for i in range(60):
        box.write("source/%d" % i, os.urandom(500000))
    for delay in (0.05, 0.15, 0.25, 0.4):
        child = box.start_claw("--limit-read", "40M", "backup", box.path("source"))
        try:
            child.wait(delay)
        except Exception:
            child.kill()
            child.wait()
        box.claw("check", "--read-data")
        check(first in interop.snapshot_names(box), "the first snapshot is gone")
    summary = CLAWBACK.backup(box, box.path("source"))
    box.claw("check", "--read-data")
    box.claw("restore", summary["snapshot_id"], "--target", box.path("out"))
    no_differences(treecmp.differences(box.path("out") + box.path("source"), box.path("source")), "the restored tree")


if __name__ == "__main__":
    main()
