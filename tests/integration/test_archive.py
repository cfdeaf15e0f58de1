#!/usr/bin/env python3
"""Single-file archives, as a plan makes them: opened by gpg and tar alone, and everything that can go wrong meanwhile."""
import glob
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import oddtree  # noqa: E402
import treecmp  # noqa: E402
from clawtest import check, equal, files_below, fingerprint, main, needs, needs_root, no_differences, wait_until  # noqa: E402
from plan_box import PHRASE, Plan  # noqa: E402

MIB = 1 << 20
TAR = ["tar", "--extract", "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--acls", "--same-owner"]


def tier(files, archive="", to="[usb]"):
    return "  full:\n    files: [%s]\n    agent_excludes: false\n    format: archive\n    archive: {%s}\n    to: %s\n" % (
        files, archive, to)


def archives(directory):
    """Paths of all archives below, oldest first."""
    return sorted(p for p in glob.glob(os.path.join(directory, "archives", "*", "*.tar*"))
                  if not os.path.islink(p) and not p.endswith(".sha256"))


def leftovers(directory):
    return [p for p in files_below(directory) if os.path.basename(p).startswith(".clawback-")]


def decrypt(box, path, phrase=PHRASE, rc=0, **options):
    """What a stranger types, but for the passphrase; a home of its own, so that nothing is known but the file."""
    home = box.mkdir("stranger")
    os.chmod(home, 0o700)
    return box.run(["gpg", "--homedir", home, "--batch", "--no-autostart", "--pinentry-mode", "loopback", "--passphrase-fd",
                    "0", "--decrypt", path], rc=rc, input=phrase + "\n", **options)


def extract(box, path, name="out", options=("--gzip",), **others):
    plain = decrypt(box, path, **others).out_bytes
    out = box.mkdir(name)
    # Times before 1970 or in the future are restored, with a warning on standard error.
    box.run(TAR + list(options) + ["-C", out], input=plain)
    return out


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


# --- all is well

def test_an_odd_tree_comes_back_by_gpg_and_tar_alone(box):
    source = box.path("source")
    oddtree.make(source, 7, wild=True, big=True)
    plan = Plan(box, tier(source))
    plan.run("full", rc=(0, 3) if os.geteuid() != 0 else 0)
    found = archives(box.path("usb"))
    equal(len(found), 1, "number of archives")
    out = extract(box, found[0])
    no_differences(treecmp.differences(out + source, source, without=treecmp.is_socket), "the tree that tar restored")
    holes = os.stat(out + os.path.join(source, "sparse", "middle"))
    check(holes.st_blocks * 512 < holes.st_size / 2, "the holes were filled", holes)
    with open(os.path.join(out, ".clawback-manifest.json"), "rb") as f:
        manifest = json.load(f)
    equal(manifest["member_count"], len(manifest["members"]), "the manifest's count")
    member = [m for m in manifest["members"] if m.get("path") == os.path.join(source, "sizes", "text")[1:]]
    with open(os.path.join(source, "sizes", "text"), "rb") as f:
        equal(member[0]["sha256"], hashlib.sha256(f.read()).hexdigest(), "a file's SHA-256 in the manifest")


@needs("bsdtar")
def test_bsdtar_opens_it_too(box):
    source = box.mkdir("source")
    box.write("source/line\nbreak", "text")
    box.write("source/" + "n" * 200, noise(MIB))
    with open(box.path("source", "sparse"), "wb") as f:
        f.truncate(20 * MIB)
        f.seek(7 * MIB)
        f.write(b"in the middle")
    os.link(box.path("source", "sparse"), box.path("source", "zlink"))
    plan = Plan(box, tier(source))
    plan.run("full")
    out = box.mkdir("out")
    box.run(["bsdtar", "-xpzf", "-", "-C", out], input=decrypt(box, archives(box.path("usb"))[0]).out_bytes)
    no_differences(treecmp.differences(out + source, source), "the tree that bsdtar restored")


@needs("busybox")
def test_busybox_opens_it_too(box):
    source = box.mkdir("source")
    box.write("source/line\nbreak", "text")
    box.write("source/" + "n" * 200, noise(MIB))
    plan = Plan(box, tier(source))
    plan.run("full")
    out = box.mkdir("out")
    box.run(["busybox", "tar", "xzpf", "-", "-C", out], input=decrypt(box, archives(box.path("usb"))[0]).out_bytes)
    no_differences(treecmp.differences(out + source, source, ignore=("mtime",)), "the tree that busybox restored")


def test_zstd_to_two_places_from_one_reading(box):
    plan = Plan(box, tier("~/.openclaw", "compression: zstd", "[usb, second]"),
                {"usb": box.path("usb"), "second": box.path("second")})
    plan.run("full")
    one, two = archives(box.path("usb")), archives(box.path("second"))
    equal([len(one), len(two)], [1, 1], "number of archives")
    check(one[0].endswith(".tar.zst.gpg"), "its name", one)
    with open(one[0], "rb") as a, open(two[0], "rb") as b:
        check(a.read() == b.read(), "the archives differ")
    for path in one + two:
        where, name = os.path.split(path)
        box.run(["sha256sum", "--strict", "--check", name + ".sha256"], cwd=where)
        equal(os.readlink(os.path.join(where, "latest.tar.zst.gpg")), name, "where latest leads")
        equal(os.stat(path).st_mode & 0o777, 0o600, "mode of the archive")
        with open(path + ".sha256", encoding="utf-8") as f:
            check("openclaw" not in f.read(), "a name from inside is beside the archive")
    out = extract(box, os.path.join(os.path.dirname(one[0]), "latest.tar.zst.gpg"), options=("--zstd",))
    no_differences(treecmp.differences(out + plan.agent, plan.agent), "the tree that tar restored")


def test_a_second_one_in_the_hour_replaces_nothing(box):
    plan = Plan(box, tier("~/.openclaw"))
    plan.run("full")
    first = archives(box.path("usb"))
    before = open(first[0], "rb").read()
    plan.run("full")
    both = archives(box.path("usb"))
    equal(len(both), 2, "number of archives")
    check(first[0] in both and open(first[0], "rb").read() == before, "the first one was touched", both)


def test_the_passphrase_is_nowhere_to_be_seen(box):
    """Not in a process list, not in a file of gpg's, and no agent or keyring is left behind."""
    box.write("home/.openclaw/big", noise(30 * MIB))
    plan = Plan(box, tier("~/.openclaw"))
    seen, ended = [], threading.Event()

    def watch():
        while not ended.is_set():
            for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
                try:
                    with open(path, "rb") as f:
                        text = f.read()
                except OSError:
                    continue
                if PHRASE.encode() in text:
                    seen.append(text)
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = plan.run("full")
    finally:
        ended.set()
        watcher.join()
    equal(seen, [], "processes that show the passphrase")
    check(PHRASE not in done.out + done.err, "the passphrase was shown")
    check(not os.path.exists(box.path("home", ".gnupg")), "the owner's keyring was touched")
    equal([p for p in glob.glob(box.path("**", "clawback-gpg-*"), recursive=True)], [], "gpg's own homes that are left")
    agents = box.run(["pgrep", "-f", "gpg-agent.*" + box.dir], rc=(0, 1)).out.split()
    equal(agents, [], "agents that are left")


def test_another_passphrase_does_not_open_it(box):
    plan = Plan(box, tier("~/.openclaw"))
    plan.run("full")
    wrong = decrypt(box, archives(box.path("usb"))[0], phrase="another passphrase", rc=2)
    equal(wrong.out_bytes, b"", "what came out")


def test_to_a_public_key_this_host_cannot_read_it(box):
    owner, host = box.mkdir("owner"), box.mkdir("host")
    os.chmod(owner, 0o700)
    os.chmod(host, 0o700)

    def gpg(home, *args, **options):
        return box.run(["gpg", "--homedir", home, "--batch", "--quiet"] + list(args), **options)

    try:
        gpg(owner, "--passphrase", "", "--quick-generate-key", "owner@example.org", "future-default", "default", "never")
        public = gpg(owner, "--export", "owner@example.org").out_bytes
        plan = Plan(box, tier("~/.openclaw", "recipients: [owner@example.org]"))
        missing = plan.run("full", rc=1, env={"GNUPGHOME": host})
        check("owner@example.org" in missing.err + missing.out and "gpg --import" in missing.err + missing.out,
              "the message about the missing key", missing)
        equal(archives(box.path("usb")) + leftovers(box.path("usb")), [], "archives without a key")
        gpg(host, "--import", input=public)
        plan.run("full", env={"GNUPGHOME": host})
        path = archives(box.path("usb"))[0]
        gpg(host, "--decrypt", path, rc=2)
        out = box.mkdir("out")
        box.run(TAR + ["--gzip", "-C", out], input=gpg(owner, "--decrypt", path).out_bytes)
        no_differences(treecmp.differences(out + plan.agent, plan.agent), "the tree that tar restored")
    finally:
        for home in (owner, host):
            box.run(["gpgconf", "--homedir", home, "--kill", "all"], rc=None)


# --- what goes wrong

@needs_root
def test_a_disk_that_fills_up_in_the_middle_spares_the_other(box):
    small = box.mount_tmpfs("small", "40m")
    box.write("home/.openclaw/big", noise(16 * MIB))
    plan = Plan(box, tier("~/.openclaw", to="[small, usb]"),
                {"small": {"path": small, "reserve": "1MB", "limit_write": "4MB"}, "usb": box.path("usb")})
    child = plan.start("full")
    wait_until(lambda: any(os.path.getsize(p) > MIB for p in leftovers(small)), "the archive to grow")
    room = os.statvfs(small)
    box.write(os.path.join(small, "filler"), bytes((room.f_bavail - 1024) * room.f_frsize))
    out, err = child.communicate(timeout=120)
    check(child.returncode in (1, 3), "exit status %d" % child.returncode, out, err)
    check(b"small" in out + err, "which destination failed", out, err)
    equal([p for p in files_below(small) if ".tar" in p or ".clawback-" in p], [], "what is left on the full disk")
    restored = extract(box, archives(box.path("usb"))[0])
    no_differences(treecmp.differences(restored + plan.agent, plan.agent), "the tree that tar restored")


def find_gpg(child):
    """The gpg below a running clawback, once there is one that encrypts."""
    found = subprocess.run(["pgrep", "-P", str(child.pid), "-f", "gpg .*--symmetric"], stdout=subprocess.PIPE, check=False)
    return found.stdout.split()


def slow(box):
    """A destination so slow that there is time to do things to it."""
    return {"usb": {"path": box.path("usb"), "reserve": "1MB", "limit_write": "4MB"}}


def test_gpg_killed_in_the_middle(box):
    plan = Plan(box, tier("~/.openclaw"), slow(box))
    plan.run("full")
    older = archives(box.path("usb"))
    before = fingerprint(box.path("usb"))
    box.write("home/.openclaw/big", noise(24 * MIB))
    child = plan.start("full")
    wait_until(lambda: any(os.path.getsize(p) > MIB for p in leftovers(box.path("usb"))), "the archive to grow")
    for pid in wait_until(lambda: find_gpg(child), "gpg"):
        os.kill(int(pid), signal.SIGKILL)
    out, err = child.communicate(timeout=60)
    equal(child.returncode, 1, "exit status")
    check(b"gpg" in out + err and b"killed by signal 9" in out + err, "the message", out, err)
    equal(archives(box.path("usb")) + leftovers(box.path("usb")), older, "files that are left")
    equal(fingerprint(box.path("usb")), before, "the older archive, and what leads to it")
    equal(plan.records("full")[-1]["status"], "failed", "the record")
    extract(box, older[0])


def test_a_gpg_agent_that_is_gone_makes_no_difference(box):
    """Nothing is asked of it, with a passphrase or to a key: killed before and in the middle, the archive is whole."""
    keys = box.mkdir("keys")
    os.chmod(keys, 0o700)
    gpg = ["gpg", "--homedir", keys, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]

    def kill_agent():
        ask = ["gpg-connect-agent", "--homedir", keys, "GETINFO pid", "/bye"]
        pid = int(box.run(ask).out.split()[1])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists("/proc/%d" % pid) or "Z" in open("/proc/%d/stat" % pid).read().split()[2], "its end")
        check(os.path.exists(os.path.join(keys, "S.gpg-agent")), "its socket is gone, too")

    try:
        box.run(gpg + ["--quick-generate-key", "owner@example.org", "future-default", "default", "never"])
        box.write("home/.openclaw/big", noise(12 * MIB))
        plan = Plan(box, tier("~/.openclaw") + tier("~/.openclaw", "recipients: [owner@example.org]").replace("full:", "keys:"), slow(box))
        for name in ("full", "keys"):
            def mine():
                return [p for p in archives(box.path("usb")) if os.path.basename(p).startswith(name)]
            kill_agent()
            plan.run(name, env={"GNUPGHOME": keys})
            older = {p: open(p, "rb").read() for p in mine()}
            child = plan.start(name, env={"GNUPGHOME": keys})
            wait_until(lambda: any(os.path.getsize(p) > MIB for p in leftovers(box.path("usb"))), "the archive to grow")
            kill_agent()
            out, err = child.communicate(timeout=60)
            equal((child.returncode, len(mine())), (0, 2), "exit status and archives\n%s%s" % (out, err))
            for path, content in older.items():
                check(open(path, "rb").read() == content, "the older archive was touched")
            for path in mine():
                if name == "full":
                    decrypt(box, path)
                else:
                    box.run(gpg + ["--output", "/dev/null", "--decrypt", path])
    finally:
        box.run(["gpgconf", "--homedir", keys, "--kill", "all"], rc=None)


def test_killed_itself_the_next_run_cleans_up(box):
    box.write("home/.openclaw/big", noise(24 * MIB))
    plan = Plan(box, tier("~/.openclaw"), slow(box))
    child = plan.start("full")
    wait_until(lambda: any(os.path.getsize(p) > MIB for p in leftovers(box.path("usb"))), "the archive to grow")
    pids = find_gpg(child)
    child.kill()
    child.wait()
    equal(archives(box.path("usb")), [], "archives with a name")
    equal(len(leftovers(box.path("usb"))), 1, "what a killed run leaves")
    wait_until(lambda: not any(os.path.exists("/proc/%d" % int(p)) for p in pids), "gpg to end with it")
    os.unlink(box.path("home", ".openclaw", "big"))
    plan.run("full")
    equal(leftovers(box.path("usb")), [], "what the next run leaves")
    equal(len(archives(box.path("usb"))), 1, "number of archives")


def test_interrupted_it_leaves_nothing(box):
    box.write("home/.openclaw/big", noise(24 * MIB))
    plan = Plan(box, tier("~/.openclaw"), slow(box))
    child = plan.start("full")
    wait_until(lambda: any(os.path.getsize(p) > MIB for p in leftovers(box.path("usb"))), "the archive to grow")
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    equal(child.returncode, 130, "exit status")
    equal(archives(box.path("usb")) + leftovers(box.path("usb")), [], "files that are left")


def test_files_that_change_meanwhile(box):
    """One that shrinks under the reader is reported; the archive is whole, and all else in it."""
    big = box.write("home/.openclaw/big", noise(40 * MIB))
    box.write("home/.openclaw/z-after", "after it")
    plan = Plan(box, tier("~/.openclaw"), slow(box))
    child = plan.start("full")
    wait_until(lambda: any(os.path.getsize(p) > MIB for p in leftovers(box.path("usb"))), "the archive to grow")
    os.truncate(big, 35 * MIB)
    out, err = child.communicate(timeout=120)
    equal(child.returncode, 3, "exit status of\n%s%s" % (out.decode(), err.decode()))
    check(b"became shorter" in out + err, "the message", out, err)
    restored = extract(box, archives(box.path("usb"))[0])
    with open(restored + big, "rb") as f:
        content = f.read()
    equal(len(content), 40 * MIB, "length of the file in the archive")
    check(content[:34 * MIB] == noise(40 * MIB)[:34 * MIB] and content[35 * MIB:] == bytes(5 * MIB), "its content")
    with open(restored + box.path("home", ".openclaw", "z-after"), encoding="utf-8") as f:
        equal(f.read(), "after it", "what comes after it")


def test_without_gpg_it_says_so(box):
    tools = box.mkdir("tools")
    for name in ("sh", "ps"):
        os.symlink("/bin/" + name, os.path.join(tools, name))
    plan = Plan(box, tier("~/.openclaw"))
    done = plan.run("full", rc=1, env={"PATH": tools})
    check("gpg is not installed" in done.out + done.err, "the message", done)
    equal(archives(box.path("usb")) + leftovers(box.path("usb")), [], "files that are left")


if __name__ == "__main__":
    main()
