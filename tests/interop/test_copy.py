#!/usr/bin/env python3
"""Snapshots copied by either program between repositories that either program made, of both versions."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import interop  # noqa: E402
from clawtest import PASSPHRASE, check, equal, files_below, main, needs, no_differences, once, one_line  # noqa: E402
from interop import CLAWBACK, RESTIC  # noqa: E402

OTHER_PASSPHRASE = "battery staple"


class Scene:
    """A repository with two snapshots of an odd tree."""

    def __init__(self, box, program, version):
        self.box, self.repo, self.version = box, program.init(box, version=version), version
        self.source = interop.odd_source(box)
        self.ids = [program.backup(box, self.source, "--tag", "first,odd", "--host", "crab", "--exclude", "nothing")["snapshot_id"]]
        box.write(os.path.join(self.source, "new"), os.urandom(300000))
        self.ids.append(program.backup(box, self.source, "--tag", "second", "--host", "crab")["snapshot_id"])
        self.blobs = interop.blobs(box)


@once
def ours(box):
    return Scene(box, CLAWBACK, 2)


@once
def theirs(box):
    return Scene(box, RESTIC, 2)


@once
def ours_of_version_1(box):
    return Scene(box, CLAWBACK, 1)


def copy(program, box, scene, to, *args, **options):
    if program is RESTIC:
        env = {"RESTIC_FROM_PASSWORD": PASSPHRASE, "RESTIC_FROM_REPOSITORY": scene.repo}
        return box.restic("copy", *args, repo=to, env=env, **options)
    return box.claw("copy", "--from-repo", scene.repo, *args, repo=to, **options)


def documents(box, repo):
    """{original: document} of the snapshots there, as they are stored."""
    found = {}
    for name in interop.snapshot_names(box, repo):
        document = interop.snapshot(box, name, repo=repo)
        found[document["original"]] = dict(document, id=name)
    return found


def arrived(box, scene, to):
    """Everything of the scene is at `to`, and neither program finds fault with it."""
    interop.checked(box, to)
    there = documents(box, to)
    equal(sorted(there), sorted(scene.ids), "originals of the copies")
    for source in scene.ids:
        before, after = interop.snapshot(box, source, repo=scene.repo), there[source]
        for key in ("time", "tree", "paths", "hostname", "username", "uid", "gid", "excludes", "tags"):
            equal(after.get(key), before.get(key), "%s of the copy" % key)
        check("parent" not in after, "the copy has a parent", json.dumps(after))
    equal(interop.blobs(box, to), scene.blobs, "blobs")
    newest = there[scene.ids[-1]]["id"]
    no_differences(interop.restored(box, CLAWBACK, newest, scene.source, "restored", repo=to), "restored from the copy")


def into(box, name, program, version):
    return program.init(box, repo=box.path(name), version=version)


@needs("restic")
def test_we_copy_from_and_into_repositories_of_either_program_and_version(box):
    for i, scene in enumerate((ours(), theirs(), ours_of_version_1())):
        for j, (program, version) in enumerate(((CLAWBACK, 2), (RESTIC, 2), (RESTIC, 1))):
            to = into(box, "to-%d-%d" % (i, j), program, version)
            copy(CLAWBACK, box, scene, to)
            arrived(box, scene, to)
            box.run(["rm", "-rf", box.path("restored")])


@needs("restic")
def test_restic_copies_out_of_our_repository(box):
    to = into(box, "to", CLAWBACK, 2)
    copy(RESTIC, box, ours(), to)
    arrived(box, ours(), to)


@needs("restic")
def test_neither_copies_what_the_other_has_copied(box):
    for first, second in ((CLAWBACK, RESTIC), (RESTIC, CLAWBACK)):
        to = into(box, "to-" + first.name, first, 2)
        copy(first, box, ours(), to)
        before = interop.snapshot_names(box, to)
        copy(second, box, ours(), to)
        equal(interop.snapshot_names(box, to), before, "snapshots after the second copy")


@needs("restic")
def test_a_copy_of_a_copy_is_known_where_it_came_from(box):
    to = into(box, "to", CLAWBACK, 2)
    copy(CLAWBACK, box, ours(), to)
    box.claw("copy", "--from-repo", to, "--dry-run", repo=ours().repo)
    summary = box.claw("copy", "--from-repo", to, "--json", repo=ours().repo).summary()
    equal((summary["copied"], summary["skipped"]), (0, 2), "copied and skipped")


def test_only_what_was_asked_for_is_copied(box):
    scene = ours()
    to = into(box, "to", CLAWBACK, 2)
    copy(CLAWBACK, box, scene, to, "--tag", "second", "--dry-run")
    equal(interop.snapshot_names(box, to), [], "snapshots after a dry run")
    lines = copy(CLAWBACK, box, scene, to, "--tag", "second", "--json").json_lines()
    copied = [line for line in lines if line["message_type"] == "snapshot"]
    equal([(line["action"], line["source_snapshot_id"]) for line in copied], [("copied", scene.ids[1])], "copied")
    equal([copied[0]["snapshot_id"]], interop.snapshot_names(box, to), "its new name")
    copy(CLAWBACK, box, scene, to, "latest", "--tag", "odd")
    equal(len(interop.snapshot_names(box, to)), 2, "number of snapshots")
    one_line(copy(CLAWBACK, box, scene, to, "0000", rc=None), 1, "0000")


def test_both_repositories_have_passphrases_of_their_own(box):
    scene = ours()
    to = box.path("to")
    other = box.write("other", OTHER_PASSPHRASE + "\n", 0o600)
    box.claw("init", "-p", other, repo=to)
    box.claw("copy", "-p", other, "--from-repo", scene.repo, "--from-password-command", "printf '%s'" % PASSPHRASE, repo=to)
    box.claw("forget", *interop.snapshot_names(box, to), repo=to, env={"CLAWBACK_PASSPHRASE": OTHER_PASSPHRASE})
    first = box.write("first", PASSPHRASE, 0o600)
    for more in ({"CLAWBACK_FROM_PASSPHRASE": PASSPHRASE}, {"RESTIC_FROM_PASSWORD": PASSPHRASE},
                 {"CLAWBACK_FROM_PASSPHRASE_FILE": first}, {"RESTIC_FROM_PASSWORD_FILE": first},
                 {"RESTIC_FROM_PASSWORD_COMMAND": "cat " + first}):
        env = dict({"CLAWBACK_PASSPHRASE": OTHER_PASSPHRASE, "RESTIC_FROM_REPOSITORY": scene.repo}, **more)
        box.claw("copy", repo=to, env=env)
    equal(len(interop.snapshot_names(box, to)), 2, "number of snapshots")
    one_line(box.claw("copy", "--from-repo", scene.repo, repo=to, env={"CLAWBACK_PASSPHRASE": OTHER_PASSPHRASE}, rc=None), 12,
             "copy from")


def test_without_a_repository_to_copy_from_it_says_so(box):
    to = into(box, "to", CLAWBACK, 2)
    one_line(box.claw("copy", rc=None, repo=to), 1, "--from-repo")
    one_line(box.claw("copy", "--from-repo", box.path("nothing"), rc=None, repo=to), 10, "no repository")
    one_line(copy(CLAWBACK, box, ours(), box.path("nothing"), rc=None), 10, "no repository")


@needs("restic")
def test_copied_chunker_parameters_make_backups_share_data_with_copies(box):
    scene = theirs()
    to = box.path("to")
    box.claw("init", "--from-repo", scene.repo, "--copy-chunker-params", repo=to)
    copy(CLAWBACK, box, scene, to)
    before = interop.of_kind(interop.blobs(box, to), "data")
    box.claw("backup", scene.source, repo=to)
    equal(interop.of_kind(interop.blobs(box, to), "data"), before, "data blobs")
    one_line(box.claw("init", "--from-repo", scene.repo, repo=box.path("not"), rc=None), 1, "--copy-chunker-params")


def test_a_damaged_snapshot_is_named_and_the_others_are_copied(box):
    scene = ours()
    from_repo = box.path("from")
    box.run(["cp", "-a", scene.repo, from_repo])
    packs = sorted(files_below(os.path.join(from_repo, "data")), key=os.path.getmtime)
    new = interop.nodes(box, scene.ids[1], repo=from_repo)[os.path.join(scene.source, "new")]
    check(new["size"] == 300000, "the new file")
    os.remove(packs[-2])  # the second backup's packs: data, then trees
    to = into(box, "to", CLAWBACK, 2)
    result = box.claw("copy", "--from-repo", from_repo, repo=to, rc=1)
    check("damaged and was not copied" in result.err, "the damaged snapshot is not named", result)
    equal([d for d in documents(box, to)], [scene.ids[0]], "what was copied")
    box.claw("check", "--read-data", repo=to)


if __name__ == "__main__":
    main()
