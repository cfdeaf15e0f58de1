#!/usr/bin/env python3
"""What people see on a terminal, and what programs see without one."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from clawtest import PASSPHRASE, check, clawback_binary, equal, main, once  # noqa: E402
from interop import CLAWBACK, fresh_repository, snapshot_names  # noqa: E402

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@once
def scene(box):
    fresh_repository(box)
    for i in range(8):
        box.write("source/file %d" % i, os.urandom(1 << 20))
    box.source = box.path("source")
    CLAWBACK.backup(box, box.source)
    return box


def on_a_terminal(box, *args, columns=80, answers=(), env=None, unset=()):
    """Runs it with a terminal of its own; (exit status, all that it wrote)."""
    environment = {**box.env, "TERM": "xterm", "CLAWBACK_REPOSITORY": box.repo, **(env or {})}
    for name in unset:
        environment.pop(name, None)
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(box.dir)
            os.execvpe(clawback_binary(), [clawback_binary()] + list(args), environment)
        finally:
            os._exit(127)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written, answers, end = b"", list(answers), time.monotonic() + 120
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        written += piece
        while answers and answers[0][0] in written:
            question, answer = answers.pop(0)
            written = written.replace(question, b"<asked>", 1)
            time.sleep(0.05)
            os.write(terminal, answer)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode("utf-8", "replace")


def live_lines(text):
    """What was drawn over again: pieces between carriage returns that are no line ends."""
    return [p for p in re.split(r"\r(?!\n)", text) if p.strip()]


def copy(box):
    box.run(["cp", "-a", scene().repo, box.repo])


def test_a_live_line_on_a_terminal(box):
    copy(box)
    for columns in (80, 40):
        status, text = on_a_terminal(box, "--limit-read", "8M", "backup", "--force", scene().source, columns=columns)
        equal(status, 0, "exit status\n%s" % text)
        lines = [COLOUR.sub("", p) for p in live_lines(text) if "files" in p and "[0:0" in p]
        check(len(lines) >= 3, "the line did not move: %r" % text)
        check(any("MB" in p for p in lines), "no bytes in the line: %r" % lines)
        check(any("/s" in p for p in lines) or columns < 80, "no rate in the line: %r" % lines)
        for p in lines:
            shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", p.split("\n")[0])
            check(len(shown.rstrip()) < columns, "wider than the terminal: %r" % shown)
        check("snapshot" in text and "saved" in text, "no summary: %r" % text)
    check(any("source/file" in p or "…" in p for p in lines) or columns == 40, "it does not say what is being read")


def test_no_live_line_without_one(box):
    copy(box)
    done = box.claw("--limit-read", "16M", "backup", "--force", scene().source)
    check("\r" not in done.out + done.err and "\x1b" not in done.out + done.err, "there are control characters", done)
    check(len(done.out.splitlines()) < 12 and done.err == "", "it is not sober", done)


def test_quiet_says_nothing(box):
    copy(box)
    done = box.claw("-q", "backup", scene().source)
    equal(done.out + done.err, "", "output of a quiet backup")
    status, text = on_a_terminal(box, "-q", "--limit-read", "8M", "backup", "--force", scene().source)
    equal((status, text), (0, ""), "exit status and output of a quiet backup on a terminal")


def test_colours_only_where_they_are_wanted(box):
    copy(box)
    for command in (["snapshots"], ["--help"]):
        status, text = on_a_terminal(box, *command)
        check(status == 0 and (command == ["snapshots"] or COLOUR.search(text)), "no colour on a terminal: %r" % text)
        for env, args in (({"NO_COLOR": "1"}, []), ({"TERM": "dumb"}, []), ({}, ["--no-color"])):
            status, text = on_a_terminal(box, *args, *command, env=env)
            check(status == 0 and not COLOUR.search(text), "colour, though %s %s: %r" % (env, args, text))
        check("\x1b" not in str(box.claw(*command)), "colour without a terminal")


def test_a_passphrase_is_asked_for_and_not_shown(box):
    copy(box)
    status, text = on_a_terminal(box, "snapshots", unset=("CLAWBACK_PASSPHRASE", "RESTIC_PASSWORD"),
                                 answers=[(b"passphrase of the repository: ", PASSPHRASE.encode() + b"\n")])
    equal(status, 0, "exit status\n%s" % text)
    check(PASSPHRASE not in text and "<asked>" in text and scene().source in text, "what the terminal shows: %r" % text)
    status, text = on_a_terminal(box, "snapshots", unset=("CLAWBACK_PASSPHRASE", "RESTIC_PASSWORD"),
                                 answers=[(b"passphrase of the repository: ", b"wrong\n")])
    equal(status, 12, "exit status after a wrong one\n%s" % text)


def test_a_new_passphrase_is_asked_for_twice(box):
    unset = ("CLAWBACK_PASSPHRASE", "RESTIC_PASSWORD")
    status, text = on_a_terminal(box, "init", unset=unset, answers=[(b"new passphrase: ", b"one\n"), (b"once more: ", b"two\n")])
    check(status == 1 and "differ" in text, "two that differ: %d %r" % (status, text))
    check(not os.path.exists(os.path.join(box.repo, "config")), "a repository was made")
    status, text = on_a_terminal(box, "init", unset=unset, answers=[(b"new passphrase: ", b"one\n"), (b"once more: ", b"one\n")])
    equal(status, 0, "exit status\n%s" % text)
    box.claw("snapshots", env={"CLAWBACK_PASSPHRASE": "one"})


def test_ctrl_c_at_the_prompt(box):
    copy(box)
    status, text = on_a_terminal(box, "snapshots", unset=("CLAWBACK_PASSPHRASE", "RESTIC_PASSWORD"),
                                 answers=[(b"passphrase of the repository: ", b"\x03")])
    equal(status, 130, "exit status\n%s" % text)


def test_a_terminal_that_goes_away_stops_it(box):
    copy(box)
    environment = dict(box.env, TERM="xterm")
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execve(clawback_binary(), [clawback_binary(), "-r", box.repo, "--limit-read", "1M", "backup", "--force",
                                          scene().source], environment)
        finally:
            os._exit(127)
    time.sleep(0.7)
    os.close(terminal)
    equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 130, "exit status")
    equal((os.listdir(os.path.join(box.repo, "locks")), len(snapshot_names(box))), ([], 1), "locks and snapshots")


def test_json_lines_are_documents(box):
    copy(box)
    for args in (["backup", "--force", scene().source], ["snapshots"], ["ls", "latest"], ["find", "file*"], ["stats"], ["check"],
                 ["forget", "--keep-last", "1", "--dry-run"], ["prune", "--dry-run"], ["key", "list"],
                 ["tag", "--add", "x"], ["unlock"], ["restore", "latest", "--target", "out"], ["version"],
                 ["repair", "index"], ["repair", "snapshots"], ["diff", "latest", "latest"]):
        done = box.claw("--json", *args, env={"CLAWBACK_PROGRESS_FPS": "50"})
        check(done.json_lines() is not None and done.out.endswith("\n"), "no JSON", done)
        equal(done.err, "", "standard error of %s" % args[0])
    for args, status in ((["ls", "ffff"], 1), (["nonsense"], 1), (["backup", box.path("nowhere")], 1)):
        done = box.claw("--json", *args, rc=status)
        lines = [line for line in done.err.split("\n") if line]
        check(lines and all(line.startswith("{") for line in lines), "an error that is no JSON", done)


def test_odd_names_do_no_harm_to_a_terminal(box):
    fresh_repository(box)
    box.write(os.path.join(box.dir, "source", "clear \x1b[2J screen\r\nnew"), "x")
    box.claw("backup", box.path("source"))
    # As restic does: a list for programs has names as they are; people's terminals are spared.
    status, text = on_a_terminal(box, "ls", "latest")
    check(status == 0 and "\x1b[2J" not in text, "a name reached the terminal: %r" % text)


if __name__ == "__main__":
    main()
