#!/usr/bin/env python3
"""`clawback recovery-kit`: what stands on the page is typed, letter by letter, where there is no clawback, and everything
comes back."""
import glob
import html
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import postgres_server  # noqa: E402
from clawtest import check, clawback_binary, equal, main, needs, one_line, wait_until  # noqa: E402
from postgres_server import PostgresServer  # noqa: E402

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "make-sample-home")
PHRASE = "k7wq2mzr9xv4hnbt3jdp"


def scene(box, tiers, host="old-host"):
    """A sample home backed up by these tiers, once."""
    box.agent = os.path.join(box.home, ".openclaw")
    box.run([SAMPLE, box.agent])
    box.write(os.path.join(box.home, "passphrase"), PHRASE + "\n", 0o600)
    box.write("claw.yaml", "host: %s\nhome: ~/.openclaw\npassphrase: {file: ~/passphrase}\n"
                           "destinations: {usb: {path: \"%s\", reserve: 1MB}}\ntiers:\n%s" % (host, box.path("the drive"), tiers))
    claw(box, "run", "--all")


def claw(box, command, *args, **options):
    return box.run([clawback_binary(), command, "-c", box.path("claw.yaml")] + list(args), **options)


def commands_of(text):
    return [line[6:] for line in text.splitlines() if line.startswith("    $ ")]


def carry_out(box, text, env=None):
    """Types the commands in an empty directory, as somebody else, in order; but for installing packages, which are there."""
    where = box.mkdir("stranger")
    box.write("stranger/passphrase.txt", PHRASE + "\n", 0o600)
    box.write("stranger/home/.gitconfig", "[safe]\n\tdirectory = *\n")
    commands = [c for c in commands_of(text) if not c.startswith("apt install")]
    check(len(commands) >= 3, "too few commands", text)
    check(not any("clawback" in c.replace("refs/clawback/", "") for c in commands), "it needs clawback", text)
    environment = {"HOME": box.path("stranger/home"), "CLAWBACK_PASSPHRASE": None, "RESTIC_PASSWORD": None, **(env or {})}
    box.run(["bash", "-e", "-o", "pipefail", "-c", "\n".join(commands)], cwd=where, env=environment)
    return where


def text_of(path):
    with open(path, errors="surrogateescape") as f:
        return f.read()


FILES = """
  git: {git: [{path: ~/.openclaw/workspace}], to: [usb]}
  config: {files: [~/.openclaw], exclude: ["*.log"], to: [usb]}
  one: {sqlite: [~/.openclaw/memory/main.sqlite], to: [usb]}
  listing: {command: [{name: listing, command: [ls, /]}], to: [usb]}
"""


@needs("restic")
@needs("git")
def test_files_repositories_and_databases_come_back(box):
    scene(box, FILES)
    box.write(os.path.join(box.agent, "workspace/not committed.md"), "draft\n")
    nested = os.path.join(box.agent, "workspace/nested")
    box.run(["git", "init", "-q", nested])
    box.run(["git", "-C", nested, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "within"])
    box.write(nested + "/more.md", "also a draft\n")
    claw(box, "run", "--all")
    where = carry_out(box, claw(box, "recovery-kit", "--output", "-").out)
    back = where + "/restored" + box.agent
    for name in (".env", "openclaw.json", "workspace/MEMORY.md", "workspace/not committed.md", "credentials/oauth.json"):
        equal(text_of(os.path.join(back, name)), text_of(os.path.join(box.agent, name)), name)
    db = sqlite3.connect(os.path.join(back, "state/openclaw.sqlite"))
    equal(db.execute("SELECT count(*) FROM task_runs").fetchone()[0], 2000, "rows that were in the -wal alone")
    db.close()
    repository = where + "/recovered" + box.agent + "/workspace"
    head = ["git", "-c", "safe.directory=*", "-C"]
    equal(box.run(head + [repository, "rev-parse", "HEAD"]).out,
          box.run(head + [os.path.join(box.agent, "workspace"), "rev-parse", "HEAD"]).out, "the commit")
    equal(text_of(os.path.join(repository, "not committed.md")), "draft\n", "what was not committed")
    equal(text_of(repository + "/nested/more.md"), "also a draft\n", "a repository within the repository")
    check("within" in box.run(head + [repository + "/nested", "log", "--oneline"]).out, "its commit")
    check(os.path.isdir(where + "/restored/command"), "the command's output")


def git(box, where, *args, **options):
    return box.run(["git", "-c", "safe.directory=*", "-c", "protocol.file.allow=always", "-c", "user.name=a", "-c", "user.email=a@b",
                    "-C", where] + list(args), **options)


def odd_repositories(box, top):
    """One of each kind, below `top`: their paths."""
    lib, work = box.mkdir("home", "lib"), box.mkdir("home", "git", "a work's tree")
    for where, commits in ((lib, 1), (work, 4)):
        git(box, where, "init", "-q", "-b", "main")
        for i in range(commits):
            box.write(os.path.join(where, "file.md"), "version %d\n" % i)
            git(box, where, "add", ".")
            git(box, where, "commit", "-qm", "commit %d" % i)
    box.run(["git", "clone", "-q", "--bare", work, top + "/bare.git"])
    box.run(["git", "clone", "-q", "--depth", "2", "file://" + work, top + "/shallow"])
    box.run(["git", "clone", "-q", work, top + "/merging"])
    for branch, text in (("other", "theirs\n"), ("main", "ours\n")):
        git(box, top + "/merging", "checkout", "-qB", branch, "origin/main")
        box.write(top + "/merging/file.md", text)
        git(box, top + "/merging", "commit", "-qam", text.strip())
    git(box, top + "/merging", "merge", "-q", "other", rc=1)
    git(box, top, "init", "-q", "unborn")
    box.write(top + "/unborn/new.md", "new\n")
    git(box, work, "submodule", "--quiet", "add", lib, "sub")
    git(box, work, "commit", "-qm", "submodule")
    box.write(work + "/file.md", "put aside\n")
    git(box, work, "stash", "-q")
    git(box, work, "branch", "feature")
    git(box, work, "config", "remote.origin.url", "https://example.org/x.git")
    box.write(work + "/.git/hooks/pre-commit", "#!/bin/sh\nexit 0\n", 0o755)
    box.write(work + "/staged.md", "staged\n")
    git(box, work, "add", "staged.md")
    os.remove(work + "/file.md")
    box.write(work + "/sub/draft.md", "draft\n")
    for where, main, branch in (("linked", work, "feature"), ("of a bare one", top + "/bare.git", "other")):
        git(box, main, "worktree", "add", "-q", "-B", branch, os.path.join(top, "trees", where))
        where = os.path.join(top, "trees", where)
        box.write(where + "/committed.md", "committed in a linked tree\n")
        git(box, where, "add", ".")
        git(box, where, "commit", "-qm", "in a linked tree")
        box.write(where + "/staged.md", "staged\n")
        git(box, where, "add", "staged.md")
        box.write(where + "/new.md", "new\n")
        box.write(where + "/committed.md", "changed\n")
        os.remove(where + "/file.md")
    return [work, work + "/sub", top + "/trees/linked", top + "/trees/of a bare one", top + "/bare.git", top + "/shallow", top + "/merging", top + "/unborn"]


def state_of(box, where):
    """All that the owner of a repository would miss."""
    ask = [("status", "--porcelain=v2", "--branch"), ("for-each-ref", "refs/heads", "refs/tags", "refs/stash"), ("stash", "list"),
           ("reflog", "show", "HEAD"), ("config", "--get-regexp", "^remote[.]"), ("rev-parse", "--is-bare-repository"),
           ("rev-parse", "--is-shallow-repository")]
    found = []
    for args in ask:
        done = subprocess.run(["git", "-c", "safe.directory=*", "-C", where] + list(args), capture_output=True, text=True, check=False)
        # A submodule is a repository of its own now: which of its files changed, its own state says.
        found.append([line for line in done.stdout.splitlines() if not line.startswith("1 .M S")])
    return found


@needs("restic")
@needs("git")
def test_repositories_of_every_kind_come_back_as_they_were(box):
    top = box.mkdir("home", "git")
    paths = odd_repositories(box, top)
    scene(box, "  git: {git: [~/git], to: [usb]}\n")
    where = carry_out(box, claw(box, "recovery-kit", "--output", "-").out)
    for path in paths:
        back = where + "/recovered" + path
        equal(state_of(box, back), state_of(box, path), path)
        box.run(["git", "-c", "safe.directory=*", "-C", back, "fsck", "--full"])
        for name in sorted(set(os.listdir(path)) - {".git"}) if not path.endswith("bare.git") else []:
            if os.path.isfile(os.path.join(path, name)) and name != ".git":
                equal(text_of(os.path.join(back, name)), text_of(os.path.join(path, name)), os.path.join(path, name))
    check(os.access(where + "/recovered" + paths[0] + "/.git/hooks/pre-commit", os.X_OK), "the hook")
    check(not os.path.exists(where + "/recovered" + paths[0] + "/file.md"), "what was removed is back")
    trees = [line for line in git(box, where + "/recovered" + paths[0], "worktree", "list").out.splitlines() if "[feature]" in line]
    check(len(trees) == 1 and where + "/recovered" + paths[2] in trees[0], "the linked tree is known elsewhere", trees)


@needs("restic")
@needs("gpg")
def test_repositories_in_an_archive_come_back(box):
    paths = odd_repositories(box, box.mkdir("home", "git"))
    scene(box, "  full: {git: [~/git], format: archive, to: [usb]}\n")
    where = carry_out(box, claw(box, "recovery-kit", "--output", "-").out)
    for path in paths:
        equal(state_of(box, where + "/recovered" + path), state_of(box, path), path)


@needs("restic")
@needs("gpg")
def test_archives_come_back(box):
    scene(box, "  full: {files: [~/.openclaw], format: archive, to: [usb]}\n"
               "  small: {files: [~/.openclaw/cron], format: archive, archive: {compression: zstd}, to: [usb]}\n",
          host="it's a host")
    where = carry_out(box, claw(box, "recovery-kit", "-o", "-").out)
    equal(text_of(where + "/restored" + box.agent + "/.env"), text_of(os.path.join(box.agent, ".env")), ".env")


def redis(box, port, directory):
    box.start(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "no"])
    ask = ["redis-cli", "-p", str(port)]
    wait_until(lambda: subprocess.run(ask + ["ping"], capture_output=True).stdout == b"PONG\n", "redis")
    return ask


@needs("redis-server")
@needs("restic")
def test_redis_comes_back(box):
    port = 22000 + os.getpid() % 8000
    ask = redis(box, port, box.mkdir("first"))
    for i in range(50):
        box.run(ask + ["set", "key%d" % i, "value %d" % i])
    scene(box, "  db: {redis: [{url: 'redis://127.0.0.1:%d'}], to: [usb]}\n" % port)
    where = carry_out(box, claw(box, "recovery-kit", "-o", "-").out)
    dump = glob.glob(where + "/recovered/redis/*/dump.rdb")
    equal(len(dump), 1, "number of dumps")
    second = redis(box, port + 1, os.path.dirname(dump[0]))
    equal(box.run(second + ["dbsize"]).out.strip(), "50", "keys in the second server")
    equal(box.run(second + ["get", "key7"]).out.strip(), "value 7", "a value")


@needs("restic")
def test_postgres_comes_back(box):
    first = PostgresServer(box, "first")
    try:
        first.psql("CREATE ROLE erp LOGIN; CREATE DATABASE shop OWNER erp")
        first.psql("CREATE TABLE invoice AS SELECT i AS id, 'row ' || i AS what FROM generate_series(1, 1000) i", "shop")
        box.write("pg-password", postgres_server.PASSWORD + "\n", 0o600)
        scene(box, "  db: {postgres: [{url: 'postgresql://%s@127.0.0.1:%d/', password: {file: '%s'}}], to: [usb]}\n"
              % (first.superuser, first.port, box.path("pg-password")))
        text = claw(box, "recovery-kit", "-o", "-").out
    finally:
        first.close()
    second = PostgresServer(box, "second")
    try:
        # The superuser is there already, which psql says and goes on.
        carry_out(box, text, env={"PGHOST": "127.0.0.1", "PGPORT": str(second.port), "PGUSER": second.superuser,
                                  "PGPASSWORD": postgres_server.PASSWORD})
        equal(second.query("SELECT count(*), sum(id) FROM invoice", "shop"), [["1000", "500500"]], "the rows")
        equal(second.query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'"), [["erp"]], "the owner")
    finally:
        second.close()


def test_the_passphrase_is_on_it_only_when_asked_for(box):
    scene(box, "  config: {files: [~/.openclaw], to: [usb]}\n")
    done = claw(box, "recovery-kit", "-o", box.path("kit"))
    equal(sorted(os.listdir(box.path("kit"))), ["recovery-kit-old-host.html", "recovery-kit-old-host.txt"], "the files")
    for name in os.listdir(box.path("kit")):
        path = box.path("kit", name)
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of " + name)
        check(PHRASE not in text_of(path), "the passphrase is on the page")
    check(PHRASE not in done.out + done.err, "the passphrase was printed")
    done = claw(box, "recovery-kit", "-o", box.path("kit"), "--with-passphrase", "--format", "html")
    page = text_of(box.path("kit/recovery-kit-old-host.html"))
    check(PHRASE in page and "like cash" in page and "passphrase" in done.err, "no passphrase, or no warning", done)
    check(PHRASE not in text_of(box.path("kit/recovery-kit-old-host.txt")), "the other form")


@needs("restic")
@needs("gpg")
def test_from_a_drive_with_a_passphrase_of_its_own(box):
    box.write(os.path.join(box.home, "own"), "another-one-of-twenty-letters\n", 0o600)
    box.agent = os.path.join(box.home, ".openclaw")
    box.run([SAMPLE, box.agent])
    box.write(os.path.join(box.home, "passphrase"), PHRASE + "\n", 0o600)
    box.write("claw.yaml", """host: old-host
passphrase: {file: ~/passphrase}
destinations: {nas: {path: "%s", passphrase: {file: ~/own}}, usb: {path: "%s"}}
tiers:
  config: {files: [~/.openclaw], to: [usb, nas]}
  git: {git: [{path: ~/.openclaw/workspace}], to: [usb]}
  full: {files: [~/.openclaw/cron], format: archive, to: [nas, usb]}
""" % (box.path("the nas"), box.path("the drive")))
    claw(box, "run", "--all")
    # The archives of both have the passphrase of the first, also when that one is away.
    os.rename(box.path("the nas"), box.path("away"))
    box.write("the nas", "in the way")
    shutil.rmtree(box.path("the drive/archives"))
    claw(box, "run", "full", rc=None)
    os.remove(box.path("the nas"))
    os.rename(box.path("away"), box.path("the nas"))
    text = claw(box, "recovery-kit", "-o", "-", "--with-passphrase").out
    check(PHRASE in text and "another-one-of-twenty-letters" in text, "a passphrase is missing", text)
    text = claw(box, "recovery-kit", "-o", "-").out
    check("another-one-of-twenty-letters" not in text and "home/own" in text, "what is said of the own one", text)
    box.write("stranger/passphrase-nas.txt", "another-one-of-twenty-letters\n", 0o600)
    # Whoever has the NAS alone leaves out what is said not to be there; and the archive that lies on the drive.
    only_nas = "\n".join(line for line in text.splitlines() if not line.endswith("# only at usb"))
    only_nas = only_nas[:only_nas.index("\nGit repositories")]
    where = carry_out(box, only_nas)
    equal(text_of(where + "/restored" + box.agent + "/.env"), text_of(os.path.join(box.agent, ".env")), ".env")
    shutil.rmtree(where + "/restored")
    on_drive = box.path("the drive/archives/old-host/full_latest.tar.gz.gpg")
    check("or '%s' (usb)" % on_drive in " ".join(text.split()), "where else it lies", text)
    command = [c for c in commands_of(text) if "gpg --batch" in c][0]
    box.run(["bash", "-e", "-o", "pipefail", "-c", re.sub("--decrypt '.*?'", "--decrypt '%s'" % on_drive, command)], cwd=where)
    check(os.path.isdir(where + "/restored" + box.agent + "/cron"), "the archive on the drive")


def test_both_forms_say_the_same(box):
    scene(box, FILES)
    text = claw(box, "recovery-kit", "-o", "-").out
    page = claw(box, "recovery-kit", "-o", "-", "--format", "html").out
    check("http" not in page and "<script" not in page, "it is not self-contained")
    typed = [html.unescape(re.sub("</?span>", "", c)) for c in re.findall(r"<code>(.*?)</code>", page)]
    equal(typed, commands_of(text), "the commands")


def test_before_the_first_backup_and_mistakes(box):
    scene(box, "  config: {files: [~/.openclaw], to: [usb]}\n")
    shutil.rmtree(box.path("the drive"))
    done = claw(box, "recovery-kit", "-o", "-")
    check("No backup was made yet" in done.out and "destination 'usb'" in done.err, "it does not say so", done)
    one_line(claw(box, "recovery-kit", "-o", "-", "--format", "both", rc=1), 1, "--format")
    one_line(claw(box, "recovery-kit", "nonsense", rc=1), 1, "nonsense")
    os.remove(os.path.join(box.home, "passphrase"))
    done = claw(box, "recovery-kit", "--with-passphrase", rc=1)
    check("passphrase" in done.err, "no clear line", done)


if __name__ == "__main__":
    main()
