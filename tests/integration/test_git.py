#!/usr/bin/env python3
"""Git repositories in a plan: stored by `clawback run`, and put back from the snapshot with the stock git alone."""
import glob
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, equal, main, needs  # noqa: E402
from plan_box import Plan  # noqa: E402

TIER = """
  git:
    every: 2h
    git: [{path: %s%s}]
    to: [usb]
    keep: {all: true}
"""


def git(box, where, *args, **options):
    settings = ["user.name=a", "user.email=a@example.org", "init.defaultBranch=main", "protocol.file.allow=always",
                "advice.detachedHead=false"]
    return box.run(["git", "-C", where] + [a for s in settings for a in ("-c", s)] + list(args), **options).out


def commit(box, where, name, content):
    box.write(os.path.join(where, name), content)
    git(box, where, "add", "-A")
    git(box, where, "commit", "-qm", "change " + name)


def repository(box, name):
    where = box.mkdir(name)
    git(box, where, "init", "-q")
    for i in range(5):
        commit(box, where, "notes.md", "".join("line %d of %d\n" % (k, i) for k in range(200)))
    return where


def plan_for(box, where, more=""):
    return Plan(box, TIER % (where, more))


def restored(box, plan, where, name):
    """The newest snapshot of the repository, as a directory; and a bare clone of its bundle."""
    plan.claw("usb", "restore", "latest", "--path", "/git" + where, "--target", box.path(name))
    found = box.path(name) + "/git" + where
    clone = box.path(name + ".git")
    git(box, box.dir, "clone", "-q", "--mirror", os.path.join(found, "repository.bundle"), clone)
    git(box, clone, "fsck", "--full", "--strict")
    return found, clone


def refs(box, where, *more):
    return [line for line in git(box, where, "for-each-ref", *more).split("\n") if "refs/clawback/" not in line]


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


@needs("git")
def test_everything_comes_back_with_git_alone(box):
    where = repository(box, "repo")
    git(box, where, "tag", "-a", "v1", "-m", "one", "HEAD~2")
    git(box, where, "branch", "weird/ünï")
    commit(box, where, "lost.md", "lost")
    lost = git(box, where, "rev-parse", "HEAD").strip()
    git(box, where, "reset", "-q", "--hard", "HEAD~1")
    box.write(os.path.join(where, "notes.md"), "stashed")
    git(box, where, "stash", "-q")
    git(box, where, "worktree", "add", "-q", box.path("second"))
    box.write(os.path.join(where, "staged.md"), "staged")
    git(box, where, "add", "staged.md")
    odd = os.path.join(os.fsencode(where), b"odd\nname \xff")
    with open(odd, "wb") as f:
        f.write(b"untracked")
    box.write(box.path("second", "notes.md"), "modified in the second")
    box.write(os.path.join(where, ".git", "hooks", "pre-commit"), "#!/bin/sh\nexit 0\n", 0o755)
    plan = plan_for(box, where)
    plan.run()
    found, clone = restored(box, plan, where, "out")
    equal(refs(box, clone), refs(box, where), "refs")
    git(box, clone, "cat-file", "-e", lost)
    equal(git(box, clone, "show", "refs/clawback/index:staged.md"), "staged", "what was staged")
    equal(read(found, "worktree", "files", "staged.md"), b"staged", "the staged file")
    equal(read(os.fsencode(found), b"worktree/files", b"odd\nname \xff"), b"untracked", "the file with an odd name")
    equal(read(found, "worktrees", "second", "files", "notes.md"), b"modified in the second", "the second working tree")
    equal(read(found, "git-dir", "config"), read(where, ".git", "config"), "the configuration")
    check(os.access(os.path.join(found, "git-dir", "hooks", "pre-commit"), os.X_OK), "the hook cannot be executed")
    # As docs/git.md says.
    back = box.path("back")
    git(box, box.dir, "clone", "-q", "--no-checkout", os.path.join(found, "repository.bundle"), back)
    git(box, back, "fetch", "-q", "--update-head-ok", os.path.join(found, "repository.bundle"), "+refs/*:refs/*")
    box.run(["cp", "-a", os.path.join(found, "git-dir") + "/.", os.path.join(back, ".git")])
    git(box, back, "checkout", "-q", "HEAD", "--", ".")
    git(box, back, "read-tree", "refs/clawback/index")
    box.run(["cp", "-a", os.path.join(found, "worktree", "files") + "/.", back])
    for what in (["status", "--porcelain", "-z"], ["stash", "list"], ["reflog"], ["log", "--oneline", "main"]):
        equal(git(box, back, *what), git(box, where, *what), " ".join(what))


@needs("git")
def test_an_unchanged_repository_costs_nothing_and_a_commit_little(box):
    where = repository(box, "repo")
    for i in range(60):
        box.write(os.path.join(where, "data%d" % i), os.urandom(20000))
    git(box, where, "add", "-A")
    git(box, where, "commit", "-qm", "data")
    plan = plan_for(box, where)
    plan.run()
    first = plan.last("git")["bytesAdded"]
    check(first > 1000000, "the first run stored %d bytes" % first)
    plan.run("git")
    again = plan.last("git")["bytesAdded"]
    check(again < 5000, "a second run without any change stored %d bytes" % again)
    commit(box, where, "notes.md", "another line\n" * 200)
    plan.run("git")
    more = plan.last("git")["bytesAdded"]
    check(more * 8 < first, "a commit stored %d bytes of %d" % (more, first))
    _, clone = restored(box, plan, where, "out")
    equal(refs(box, clone), refs(box, where), "refs")


@needs("git")
def test_submodules_and_nested_repositories_are_their_own(box):
    lib = repository(box, "lib")
    where = repository(box, "top/repo")
    git(box, where, "submodule", "--quiet", "add", lib, "sub")
    git(box, where, "commit", "-qm", "submodule")
    commit(box, os.path.join(where, "sub"), "only-here.md", "not pushed anywhere")
    nested = repository(box, "top/repo/nested")
    plan = plan_for(box, box.path("top"))
    plan.run()
    equal(sorted(s["paths"][0] for s in plan.snapshots("usb")),
          sorted("/git" + p for p in (where, nested, os.path.join(where, "sub"))), "snapshots")
    _, clone = restored(box, plan, os.path.join(where, "sub"), "out")
    equal(git(box, clone, "show", "HEAD:only-here.md"), "not pushed anywhere", "a commit of the submodule")


@needs("git")
def test_a_repository_under_work_is_stored_whole(box):
    where = repository(box, "repo")
    busy = """
cd "$1"; i=0
while [ ! -e "$2" ]; do
    i=$((i + 1)); echo $i >> work.md; git add -A; git commit -qm $i
    case $((i % 5)) in
    0) git gc -q --prune=now ;;
    1) git commit -q --amend -m amended ;;
    2) git reset -q --hard HEAD~1 ;;
    3) git repack -adq ;;
    4) git branch "b$i" ;;
    esac
done
"""
    for name, value in (("user.name", "a"), ("user.email", "a@example.org"), ("gc.auto", "0")):
        git(box, where, "config", name, value)
    child = box.start(["bash", "-c", busy, "busy", where, box.path("stop")], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
    plan = plan_for(box, where)
    for i in range(4):
        before = git(box, where, "rev-parse", "HEAD").strip()
        plan.run("git")
        _, clone = restored(box, plan, where, "out%d" % i)
        git(box, clone, "cat-file", "-e", before)
    box.write("stop")
    equal(child.wait(60), 0, "exit status of the one at work")


@needs("git")
def test_damage_is_an_error_and_older_backups_stay(box):
    where = repository(box, "repo")
    plan = plan_for(box, where)
    plan.run()
    commit(box, where, "notes.md", "new\n")
    blob = git(box, where, "rev-parse", "HEAD:notes.md").strip()
    victim = os.path.join(where, ".git", "objects", blob[:2], blob[2:])
    os.chmod(victim, 0o600)
    with open(victim, "wb"):
        pass
    done = plan.run("git", rc=1)
    check("fsck" in done.err and where in done.err, "the message", done)
    equal(plan.last("git")["status"], "failed", "status")
    equal(len(plan.snapshots("usb")), 1, "snapshots")
    restored(box, plan, where, "out")


@needs("git")
def test_a_hanging_push_is_ended_and_recorded(box):
    where = repository(box, "repo")
    hang = box.write("hang", "#!/bin/sh\nexec sleep 300\n", 0o755)
    git(box, where, "remote", "add", "origin", "ssh://host.invalid/x.git")
    git(box, where, "config", "core.sshCommand", hang)
    plan = plan_for(box, where, ", push: origin, timeout: 2s")
    start = time.monotonic()
    done = plan.run(rc=3)
    check(time.monotonic() - start < 60, "it took too long", done)
    check("took longer than 2 s" in done.err, "the message", done)
    record = plan.last("git")
    equal([record["status"], record["sources"][0]["pushFailed"]], ["completed", True], "the record")
    restored(box, plan, where, "out")


@needs("git")
def test_a_rejected_push_names_the_branch_and_the_reason(box):
    where = repository(box, "repo")
    remote = box.mkdir("remote.git")
    git(box, remote, "init", "-q", "--bare")
    git(box, where, "remote", "add", "origin", "../remote.git")
    plan = plan_for(box, where, ", push: origin")
    plan.run()
    equal(refs(box, remote, "refs/heads"), refs(box, where, "refs/heads"), "branches of the remote")
    git(box, where, "commit", "-q", "--amend", "-m", "other")
    git(box, where, "branch", "new")
    done = plan.run("git", rc=3)
    check("'main' (non-fast-forward" in done.err, "the message", done)
    equal(git(box, remote, "rev-parse", "new"), git(box, where, "rev-parse", "new"), "the other branch")


@needs("git")
@needs("gpg")
def test_a_repository_in_an_archive(box):
    where = repository(box, "repo")
    plan = Plan(box, """
  git:
    git: [{path: %s}]
    format: archive
    to: [usb]
""" % where)
    plan.run("git")
    archives = [p for p in glob.glob(box.path("usb", "**", "*.tar.gz.gpg"), recursive=True) if not os.path.islink(p)]
    equal(len(archives), 1, "archives")
    home = box.mkdir("gnupg")
    os.chmod(home, 0o700)
    box.run(["sh", "-ec", 'gpg -q --batch --pinentry-mode loopback --passphrase-file "$1" -d "$2" | tar xz', "open",
             plan.pass_file, archives[0]], cwd=box.mkdir("opened"), env={"GNUPGHOME": home})
    found = box.run(["find", box.path("opened"), "-name", "repository.bundle"]).out.split()
    equal(len(found), 1, "bundles")
    git(box, box.dir, "clone", "-q", "--mirror", found[0], box.path("clone"))
    equal(refs(box, box.path("clone")), refs(box, where), "refs")


if __name__ == "__main__":
    main()
