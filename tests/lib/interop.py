"""What the interop scripts share: repositories made by either program, and looking into them with the stock one."""
import json
import os

import oddtree
import treecmp
import weakkey
from clawtest import PASSPHRASE, check, clawback_binary, equal, once


class Program:
    """One of the two programs under the same names: init, backup, and whatever restic and clawback call alike."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name

    def run(self, box, *args, **options):
        return (box.restic if self.name == "restic" else box.claw)(*args, **options)

    def start(self, box, *args, repo=None, **options):
        program = ["restic", "-q"] if self.name == "restic" else [clawback_binary()]
        return box.start(program + ["-r", repo or box.repo] + list(args), **options)

    def init(self, box, repo=None, version=2):
        """A repository whose passphrase is quickly checked."""
        repo = repo or box.repo
        self.run(box, "init", "--repository-version", str(version), repo=repo)
        weakkey.make_cheap(repo, PASSPHRASE)
        return repo

    def backup(self, box, *args, rc=0, repo=None, **options):
        """The summary, "snapshot_id" in full."""
        done = self.run(box, "backup", "--json", *args, rc=rc, repo=repo, **options)
        summary = done.summary()
        summary["snapshot_id"] = full_id(box, summary["snapshot_id"], repo=repo)
        return summary


CLAWBACK, RESTIC = Program("clawback"), Program("restic")
BOTH = (CLAWBACK, RESTIC)


def full_id(box, prefix, repo=None):
    names = [n for n in os.listdir(os.path.join(repo or box.repo, "snapshots")) if n.startswith(prefix)]
    equal(len(names), 1, "number of snapshots that begin with %s" % prefix)
    return names[0]


def snapshot(box, snapshot_id, repo=None):
    """The snapshot's document, as the stock program reads it."""
    return box.restic("cat", "snapshot", snapshot_id, "--no-lock", repo=repo).json()


def tree_at(box, snapshot_id, path, repo=None):
    """The ID of the tree of that directory in the snapshot. What is above it may change while we look: others use /tmp too."""
    tree = snapshot(box, snapshot_id, repo=repo)["tree"]
    for name in os.fsdecode(path).strip("/").split("/"):
        nodes = box.restic("cat", "blob", tree, "--no-lock", repo=repo).json()["nodes"]
        tree = next(n["subtree"] for n in nodes if n["name"] == name)
    return tree


def blobs(box, repo=None):
    """{(type, ID)} of all blobs in the index, as the stock program reads it."""
    lines = box.restic("list", "blobs", "--no-lock", repo=repo).out.split("\n")
    return {tuple(line.split(" ")) for line in lines if line}


def of_kind(blob_set, kind):
    return {b for b in blob_set if b[0] == kind}


def checked(box, repo=None, read_data=True):
    """Both programs find nothing wrong."""
    more = ["--read-data"] if read_data else []
    box.restic("check", *more, repo=repo)
    box.claw("check", *more, repo=repo)


def restored(box, program, snapshot_id, source, target, repo=None, ignore=()):
    """The program restores the snapshot, and what it makes of `source` is what is there."""
    target = box.path(target)
    program.run(box, "restore", snapshot_id, "--target", target, repo=repo)
    found = treecmp.read_tree(target + source)
    return treecmp.differences(found, source, ignore=ignore, without=treecmp.is_socket)


def odd_source(box, **options):
    return oddtree.make(box.path("source"), **options)


def listing(source):
    """The paths below and including source, absolute, sockets left out: what a snapshot of it lists."""
    tree = treecmp.read_tree(source)
    return sorted(os.path.join(os.fsencode(source), p).rstrip(b"/") for p, e in tree.items() if e["type"] != "socket")


def parents(path):
    names = path.strip("/").split("/")
    return ["/" + "/".join(names[:i]) for i in range(1, len(names))]


def same_shape(ours, theirs, where, optional=()):
    """Every field that restic's document has is in ours, with a value of the same kind. A null says nothing about the kind."""
    if theirs is None:
        return
    if isinstance(theirs, dict):
        check(isinstance(ours, dict), "%s is no object: %r" % (where, ours))
        for name, value in theirs.items():
            if name in optional:
                continue
            check(name in ours, "%s has no '%s'" % (where, name), "ours:   %s" % json.dumps(ours)[:1500],
                  "restic: %s" % json.dumps(theirs)[:1500])
            same_shape(ours[name], value, "%s.%s" % (where, name), optional)
    elif isinstance(theirs, list):
        check(isinstance(ours, list), "%s is no list: %r" % (where, ours))
        if ours and theirs:
            same_shape(ours[0], theirs[0], where + "[0]", optional)
    else:
        number = (int, float)
        alike = type(ours) is type(theirs) or (isinstance(ours, number) and isinstance(theirs, number) and
                                               not isinstance(ours, bool) and not isinstance(theirs, bool))
        check(alike, "%s is %r, where restic has %r" % (where, ours, theirs))


@once
def _template(box):
    CLAWBACK.init(box)
    return box


def fresh_repository(box):
    """An empty repository of ours as the box's own, made once and then copied."""
    box.run(["cp", "-a", _template().repo, box.repo])
    return box.repo


def snapshot_names(box, repo=None):
    return sorted(os.listdir(os.path.join(repo or box.repo, "snapshots")))


def nodes(box, snapshot_id, repo=None):
    """{path: node} of all that is in the snapshot, as `ls --json` tells."""
    lines = box.claw("ls", "--json", snapshot_id, repo=repo).json_lines()
    return {line["path"]: line for line in lines if line.get("struct_type") == "node"}


def flip(path, position=None):
    """Turns one bit of the file over, in the middle unless told."""
    os.chmod(path, 0o600)
    with open(path, "r+b") as f:
        size = os.path.getsize(path)
        at = size // 2 if position is None else position % size
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))
