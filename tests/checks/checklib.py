"""What the checks share: the project's files, C text without comments and strings, and TAP."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(tops, endings):
    """Paths from the project's root on, sorted."""
    found = []
    for top in tops:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = [f for f in folders if not f.startswith((".", "build", "__pycache__"))]
            found += [os.path.relpath(os.path.join(folder, n), ROOT) for n in names if n.endswith(endings)]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        return f.read()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_of(text):
    """C text with comments and the contents of strings taken out, lines kept."""
    def blank(match):
        token = match.group(0)
        if token[0] == "/":
            return " " + "\n" * token.count("\n")
        return token[0] * 2
    return TOKEN.sub(blank, text)


class Tap:
    """One test a check; what was found goes before its line."""

    def __init__(self):
        self.count = self.failed = 0

    def check(self, title, findings):
        self.count += 1
        self.failed += bool(findings)
        for finding in findings:
            print("# " + finding.replace("\n", "\n# "))
        print(f"{'not ok' if findings else 'ok'} {self.count} - {title}", flush=True)

    def skip(self, title, reason):
        self.count += 1
        print(f"ok {self.count} - {title} # SKIP {reason}", flush=True)

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)
