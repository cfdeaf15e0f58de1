#!/usr/bin/env python3
"""`clawback setup`: what it finds becomes a configuration that works at once."""
import json
import os
import re
import shutil
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import check, clawback_binary, equal, fingerprint, main, needs, needs_root, one_line, skip, wait_until  # noqa: E402
from test_terminal import on_a_terminal  # noqa: E402

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "make-sample-home")
CLEAN = {"CLAWBACK_PASSPHRASE": None, "RESTIC_PASSWORD": None}


def sample_home(box):
    home = os.path.join(box.home, ".openclaw")
    box.run([SAMPLE, home])
    return home


def claw(box, *args, **options):
    env = dict(CLEAN, **(options.pop("env", None) or {}))
    return box.run([clawback_binary()] + list(args), env=env, **options)


def config_of(box):
    return os.path.join(box.home, ".config", "clawback", "clawback.yaml")


def text_of(path):
    with open(path) as f:
        return f.read()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def stand_in(box, name, script):
    """A program of that name in front of all others."""
    box.write("bin/" + name, "#!/bin/sh\n" + script, 0o755)
    return {"PATH": box.path("bin") + ":" + box.env["PATH"]}


def test_a_sample_home_becomes_a_plan_that_runs(box):
    home = sample_home(box)
    remote = box.path("remote.git")
    box.run(["git", "init", "-q", "--bare", remote])
    box.run(["git", "-C", os.path.join(home, "workspace"), "remote", "add", "origin", remote])
    done = claw(box, "setup", "--yes", "--destination", box.path("usb"))
    for expected in ("clawback doctor", "clawback run", "clawback schedule install", "clawback recovery-kit", "off this machine"):
        check(expected in done.out, "it does not say '%s'" % expected, done)
    check("the disk that the originals are on" in done.err, "no warning about the one disk", done)
    equal(mode_of(config_of(box)), 0o600, "mode of the configuration")
    passphrase = os.path.join(box.home, ".config", "clawback", "passphrase")
    equal(mode_of(passphrase), 0o600, "mode of the passphrase file")
    check(len(text_of(passphrase).strip()) >= 20, "a short passphrase")
    check(text_of(passphrase).strip() not in done.out + done.err, "the passphrase was printed", done)
    text = text_of(config_of(box))
    for expected in ("push: origin", "files: [~/.openclaw]", "format: archive", "every: 2h", "keep: {within: 7d}"):
        check(expected in text, "'%s' is not in the configuration" % expected, text)
    check("no mistakes" in claw(box, "config", "check").out, "config check")
    claw(box, "run", "--all")
    env = {"RESTIC_PASSWORD_FILE": passphrase, "RESTIC_PASSWORD": None}
    tags = {t for s in box.run(["restic", "-r", box.path("usb"), "snapshots", "--json"], env=env).json() for t in s["tags"]}
    check({"tier=git", "tier=config"} <= tags, "tiers are missing in the repository", tags)
    check(any(n.endswith(".tar.gz.gpg") for _, _, files in os.walk(box.path("usb/archives")) for n in files), "no archive")
    check(box.run(["git", "-C", remote, "branch"]).out.strip() != "", "nothing was pushed")


def test_it_never_overwrites(box):
    sample_home(box)
    claw(box, "setup", "--yes", "--destination", box.path("usb"))
    before = fingerprint(os.path.join(box.home, ".config"))
    one_line(claw(box, "setup", "--yes", "--destination", box.path("other"), rc=1), 1, "already", "--force")
    equal(fingerprint(os.path.join(box.home, ".config")), before, "what is there")
    claw(box, "setup", "--yes", "--force", "--destination", box.path("other"))
    check(box.path("other") in text_of(config_of(box)), "--force did not replace it")


def test_dry_run_prints_and_writes_nothing(box):
    sample_home(box)
    before = fingerprint(box.home)
    done = claw(box, "setup", "--dry-run", "--no-archive", "--destination", box.path("usb"))
    equal(fingerprint(box.home), before, "the home directory")
    check(not os.path.exists(box.path("usb")), "the destination was made")
    check("\n  full:" not in done.out and "config:" in done.out, "the wrong tiers", done)
    box.write("made.yaml", done.out)
    check("no mistakes" in claw(box, "config", "check", box.path("made.yaml")).out, "config check")


def uncommented(text):
    """With what is only there to be switched on: lines with a '#' before a key."""
    return re.sub(r"(?m)^#(?=[a-z]|  )", "", text)


def test_what_is_commented_out_works_when_it_is_switched_on(box):
    sample_home(box)
    text = claw(box, "setup", "--dry-run", "--destination", box.path("usb")).out
    for number, made in enumerate((text, uncommented(text))):
        path = box.write("%d.yaml" % number, made, 0o600)
        check("no mistakes" in claw(box, "config", "check", path).out, "config check", made)
    shown = claw(box, "config", "show", box.path("1.yaml"), "--json").json()
    equal(sorted(shown["alerts"]["channels"]), ["agent", "mail", "monitor", "phone"], "channels")
    equal(shown["health"], claw(box, "config", "show", box.path("0.yaml"), "--json").json()["health"], "the defaults")


def test_a_bot_that_is_there_is_named_and_its_token_is_not(box):
    home, token = sample_home(box), "123456789:AAE-secret_secret_secret_secret_abc"
    for config, expected in (
            ({"channels": {"telegram": {"botToken": token, "allowFrom": ["tg:4711", "*"]}}},
             ["channels.telegram.botToken in " + os.path.join(home, "openclaw.json"), "copy its token", "chat: 4711}"]),
            ({"telegram": {"botToken": token}}, ["telegram.botToken in", "chat: 123456789}"]),
            ({"channels": {"telegram": {"accounts": {"work": {"tokenFile": box.home + "/bot token", "allowFrom": [5]}}}}},
             ["channels.telegram.accounts.work.tokenFile", '{file: "~/bot token"}', "target: 5}"])):
        box.write(os.path.join(home, "openclaw.json"), "// JSON5\n" + json.dumps(config))
        done = claw(box, "setup", "--dry-run", "--destination", box.path("usb"))
        check(token not in done.out + done.err and "secret_secret" not in done.out + done.err, "the token is shown", done)
        for words in expected:
            check(words in done.out, "it does not say '%s'" % words, done)
        path = box.write("made.yaml", uncommented(done.out), 0o600)
        shown = claw(box, "config", "show", path, "--json").json()["alerts"]["channels"]
        equal(shown["agent"]["openclaw"]["channel"], "telegram", "the agent's own way")


def test_places_are_options(box):
    home = os.path.join(box.home, ".openclaw")
    elsewhere = box.path("state of the agent")
    box.run([SAMPLE, elsewhere])
    box.write("notes/a.md", "x")
    done = claw(box, "setup", "--yes", "--home", elsewhere, "--path", "notes", "--output", box.path("sub/my.yaml"),
                "--passphrase-file", box.path("keys/phrase"), "--destination", box.path("one"), "--destination",
                box.path("two"), "--json").json()
    equal((done["message_type"], done["written"], done["passphrase_made"]), ("setup", True, True), "the answer")
    equal([d["path"] for d in done["destinations"]], [box.path("one"), box.path("two")], "destinations")
    text = text_of(box.path("sub/my.yaml"))
    check(elsewhere in text and box.path("keys/phrase") in text, "not in the configuration", text)
    check("~/../" not in text and not os.path.exists(home), "something odd", text)
    claw(box, "run", "--all", "-c", box.path("sub/my.yaml"))
    check(os.path.exists(box.path("one/config")) and os.path.exists(box.path("two/config")), "a repository is missing")


def test_your_own_passphrase_is_judged(box):
    sample_home(box)
    box.write("weak", "hunter2\n", 0o644)
    done = claw(box, "setup", "--yes", "--destination", box.path("usb"), "--passphrase-file", box.path("weak"))
    check("7 characters" in done.err and "chmod 600" in done.err, "no warning", done)
    equal(text_of(box.path("weak")), "hunter2\n", "the file")
    done = claw(box, "setup", "--yes", "--force", "-q", "--destination", box.path("usb"), "--passphrase-file",
                box.path("usb/key"), rc=1)
    check("must not find the key" in done.err and not os.path.exists(box.path("usb/key")), "no clear line", done)


def test_nothing_found_is_one_clear_line(box):
    env = stand_in(box, "docker", "exit 1")
    done = claw(box, "setup", "--yes", "-q", "--destination", box.path("usb"), rc=None, env=env)
    if done.rc == 0:  # a database of somebody else's runs on this machine
        check("databases:" in text_of(config_of(box)), "a plan of nothing", done)
        return
    check("--home DIR or --path PATH" in done.err and not os.path.exists(config_of(box)), "no clear line", done)


def test_without_a_terminal_a_destination_must_be_named(box):
    sample_home(box)
    done = claw(box, "setup", rc=None)
    if "drive" in done.err and done.rc == 0:
        skip("this machine has an external drive")
    check(done.rc == 1 and "--destination PATH" in done.err, "no clear line", done)
    check(not os.path.exists(os.path.join(box.home, ".config")), "something was written")


def test_a_destination_within_the_source_is_refused(box):
    home = sample_home(box)
    done = claw(box, "setup", "--yes", "-q", "--destination", os.path.join(home, "backups"), rc=1)
    check("lies in what is backed up" in done.err, "no clear line", done)


@needs_root
def test_a_drive_is_found_and_must_be_mounted(box):
    sample_home(box)
    image, drive = box.path("image"), box.mkdir("drive")
    with open(image, "wb") as f:
        f.truncate(256 << 20)
    script = "PATH=$PATH:/sbin:/usr/sbin; mkfs.ext4 -q -F %s && mount -o loop %s %s" % (image, image, drive)
    if subprocess.run(["sh", "-c", script], stderr=subprocess.DEVNULL).returncode != 0:
        skip("no file system in a file can be mounted here")
    box.mounts.append(drive)
    done = claw(box, "setup", "--yes")
    check(drive in done.err, "the drive was not found", done)
    text = text_of(config_of(box))
    # Other drives of this machine may have more room.
    if drive in text:
        check("require_mount: %s " % drive in text, "its mount point is not named", text)
        itself = claw(box, "setup", "--yes", "--force", "--dry-run", "-d", drive)
        check("require_mount: true" in itself.out, "the drive itself need not be mounted", itself)
        check("the disk that the originals are on" not in done.err, "a warning about the one disk", done)
        claw(box, "run", "config")
        box.run(["umount", drive])
        box.mounts.remove(drive)
        failed = claw(box, "run", "config", rc=1)
        check("mount" in failed.err + failed.out, "no clear message", failed)
        equal(os.listdir(drive), [], "what was written below the mount point")


INSPECT = [{"Name": "/ai-erp-postgres", "Config": {"Image": "postgres:15", "Env": ["POSTGRES_USER=erp_user", "POSTGRES_DB=ai_erp",
                                                                                 "POSTGRES_PASSWORD=very-secret"]},
            "State": {"Running": False}},
           {"Name": "/ai-erp-redis", "Config": {"Image": "redis:7-alpine"}, "State": {"Running": False}}]


def test_containers_even_when_they_do_not_run(box):
    sample_home(box)
    env = stand_in(box, "docker", "case $1 in ps) echo a; echo b;; inspect) cat <<'END'\n%s\nEND\n;; esac\n" % json.dumps(INSPECT))
    done = claw(box, "setup", "--yes", "--destination", box.path("usb"), env=env)
    text = text_of(config_of(box))
    check("- {container: ai-erp-postgres, user: erp_user, database: ai_erp}" in text, "PostgreSQL is missing", text)
    check("- {container: ai-erp-redis}" in text and "when: running" in text, "Redis is missing", text)
    check("very-secret" not in text + done.out + done.err, "a password was taken along", text)


def test_a_container_that_does_not_let_us_in_is_commented_out(box):
    sample_home(box)
    found = json.dumps([dict(INSPECT[0], Id="a", State={"Running": True})])
    stand_in(box, "psql", """case "$*" in
*--version*) echo "psql (PostgreSQL) 15.4";;
*) echo 'psql: error: FATAL:  password authentication failed for user "erp_user"' >&2; exit 2;; esac
""")
    # What is to be done in the container is done here.
    env = stand_in(box, "docker", """case "$1" in
ps) echo a;;
exec) shift; while :; do case "$1" in -e) case "$2" in *=*) export "$2";; esac; shift 2;; -u) shift 2;; -*) shift;; *) break;; esac; done; shift; exec setsid --wait "$@";;
*) cat <<'END'
%s
END
;; esac
""" % found)
    done = claw(box, "setup", "--yes", "--destination", box.path("usb"), env=env)
    lines = text_of(config_of(box)).splitlines()
    at = [i for i, line in enumerate(lines) if "{container: ai-erp-postgres" in line]
    check(len(at) == 1 and lines[at[0]].startswith("  #") and "password: {file: " in lines[at[0]], "it is not commented out", lines, done)
    check("password authentication failed" in lines[at[0] - 1], "it does not say why", lines)


@needs("redis-server")
def test_servers_of_this_machine(box):
    sample_home(box)
    ports = {}
    for name, more in (("open", []), ("locked", ["--requirepass", "a-password"])):
        directory, port = box.mkdir("redis-" + name), 21000 + os.getpid() % 9000 + len(ports)
        ports[name] = port
        box.start(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""] + more)
        wait_until(lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).stdout, "redis")
    done = claw(box, "setup", "--yes", "--destination", box.path("usb"))
    text = text_of(config_of(box))
    check('- {url: "redis://127.0.0.1:%d"}' % ports["open"] in text, "the open one is missing", text)
    locked = [line for line in text.splitlines() if str(ports["locked"]) in line]
    check(len(locked) == 1 and locked[0].strip().startswith("#"), "the locked one is not commented out", text)
    check("it wants a password" in text and "it wants a password" in done.err, "it does not say why", text)
    check("no mistakes" in claw(box, "config", "check").out, "config check")


def test_questions_on_a_terminal(box):
    sample_home(box)
    unset = ("CLAWBACK_PASSPHRASE", "RESTIC_PASSWORD", "CLAWBACK_REPOSITORY")
    answers = [(b"Where shall backups be kept", b"%s/.openclaw/in\n" % box.home.encode()),
               (b"Where shall backups be kept", box.path("usb").encode() + b", " + box.path("second").encode() + b"\n"),
               (b"full archive file each week", b"what\n"), (b"full archive file each week", b"n\n"),
               (b"Make a strong passphrase", b"\n"), (b"Write ", b"y\n")]
    status, text = on_a_terminal(box, "setup", answers=answers, unset=unset)
    equal(status, 0, "exit status\n%s" % text)
    check("lies in what is backed up" in text and "please answer yes or no" in text, "wrong answers are not told", text)
    written = text_of(config_of(box))
    check(box.path("usb") in written and box.path("second") in written and "\n  full:" not in written, "the answers", written)
    check(os.path.exists(os.path.join(box.home, ".config/clawback/passphrase")), "no passphrase was made")


def test_a_typed_passphrase_and_a_last_no(box):
    sample_home(box)
    unset = ("CLAWBACK_PASSPHRASE", "RESTIC_PASSWORD", "CLAWBACK_REPOSITORY")
    answers = [(b"full archive file each week", b"\n"), (b"Make a strong passphrase", b"n\n"),
               (b"new passphrase:", b"correct horse battery staple\n"), (b"once more:", b"correct horse battery staple\n"),
               (b"Write ", b"n\n")]
    status, text = on_a_terminal(box, "setup", "--destination", box.path("usb"), answers=answers, unset=unset)
    equal(status, 130, "exit status\n%s" % text)
    check("nothing was written" in text, "it does not say so", text)
    check(not os.path.exists(config_of(box)), "the configuration was written")
    path = os.path.join(box.home, ".config/clawback/passphrase")
    equal((text_of(path).strip(), mode_of(path)), ("correct horse battery staple", 0o600), "the passphrase")


if __name__ == "__main__":
    if shutil.which("git") is None:
        sys.exit("git is not installed")
    main()
