"""Services of the tests' own that messages are sent to: HTTP servers (Telegram, webhooks, pings) in threads of the test, and a real
SMTP server (Debian's python3-aiosmtpd) as a process. All on loopback, on ports that the system chooses.

    with Http() as web:                        # answers 200 "OK" to everything
        web.answers = [answer(500), HANG]      # and these first, one each
        … web.url + "/hook" …
        web.requests[0].method, .path, .headers, .body, .json()

    with Smtp(box, tls="starttls", user="me", password="secret") as mail:
        … mail.url …
        mail.mails()[0]["data"]
"""
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

from clawtest import check, wait_until

HANG, GARBAGE, CLOSE = "hang", "garbage", "close"
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that Debian's packages belong to


def answer(status, body="", **headers):
    """headers: Retry_After=3 is "Retry-After: 3"."""
    body = json.dumps(body) if isinstance(body, (dict, list)) else body
    return status, {k.replace("_", "-"): str(v) for k, v in headers.items()}, body.encode()


def telegram_ok():
    return answer(200, {"ok": True, "result": {"message_id": 1}})


def telegram_wait(seconds):
    return answer(429, {"ok": False, "error_code": 429, "description": "Too Many Requests: retry after %d" % seconds,
                        "parameters": {"retry_after": seconds}})


def telegram_refusal(status, description):
    return answer(status, {"ok": False, "error_code": status, "description": description})


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body, self.at = method, path, headers, body, time.monotonic()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%s %s %r" % (self.method, self.path, self.body[:300])


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that goes away is what some tests are about


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service = self.server.service
        with service.lock:
            service.requests.append(Request(self.command, self.path, dict(self.headers), body))
            reply = service.answers.pop(0) if service.answers else service.default
        if reply == HANG:
            service.stopped.wait(60)
            self.close_connection = True
        elif reply == GARBAGE:
            self.wfile.write(b"\x00\xff\x16garbage, not HTTP at all\r\n\r\n" * 20)
            self.close_connection = True
        elif reply == CLOSE:
            self.close_connection = True
        else:
            self.reply(*reply)

    def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_PUT = do


class Http:
    """certificate: a Certificate; then it speaks TLS."""

    def __init__(self, default=None, certificate=None):
        self.default = default or answer(200, "OK")
        self.answers, self.requests = [], []
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.service = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            # The handshake must not keep the thread that accepts others.
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = "%s://127.0.0.1:%d" % ("https" if certificate else "http", self.server.server_address[1])
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def wait_for(self, count, seconds=20):
        wait_until(lambda: len(self.requests) >= count, "%d requests" % count, seconds)
        return self.requests

    def texts(self):
        """Telegram's: what was said."""
        return [r.json()["text"] for r in self.requests]


class Certificate:
    """A certificate authority of the test's own (.ca), and by it one for 127.0.0.1 and localhost (.chain, .key)."""

    def __init__(self, box, name="tls"):
        where = box.mkdir(name)
        self.ca, self.chain, self.key = [os.path.join(where, n) for n in ("ca.pem", "chain.pem", "key.pem")]
        ca_key, request = os.path.join(where, "ca.key"), os.path.join(where, "request.pem")
        extensions = box.write(os.path.join(where, "extensions"),
                               "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        box.run(["openssl", "req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", self.ca] + new_key)
        box.run(["openssl", "req", "-subj", "/CN=localhost", "-keyout", self.key, "-out", request] + new_key)
        box.run(["openssl", "x509", "-req", "-days", "2", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                 "-extfile", extensions, "-out", self.chain])


class Smtp:
    """tls: None, "starttls" (which it then insists on), "smtps". grey: so many recipients are told to come later first. refuse:
    recipients (parts of their address) that are refused for good."""

    def __init__(self, box, tls=None, certificate=None, user=None, password=None, grey=0, refuse=(), reject_data=False):
        self.file = box.path("mails-%d" % time.monotonic_ns())
        options = {"tls": tls, "chain": certificate and certificate.chain, "key": certificate and certificate.key, "user": user,
                   "password": password, "grey": grey, "refuse": list(refuse), "reject_data": reject_data, "file": self.file}
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "smtp_server.py")
        check(os.path.exists(SYSTEM_PYTHON), "there is no %s" % SYSTEM_PYTHON)
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen([SYSTEM_PYTHON, script, json.dumps(options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        line = self.process.stdout.readline().decode().strip()
        if not line.isdigit():
            self.process.kill()
            raise AssertionError("the SMTP server does not start: %s %s" % (line, self.process.communicate()[1].decode()))
        self.port = int(line)
        self.url = "%s://127.0.0.1:%d" % ("smtps" if tls == "smtps" else "smtp", self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()  # it ends then
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def events(self, kind=None):
        if not os.path.exists(self.file):
            return []
        with open(self.file) as f:
            lines = [json.loads(line) for line in f]
        return [e for e in lines if kind is None or e["event"] == kind]

    def mails(self):
        """What was taken: from, to, data (text), login, encrypted."""
        return self.events("mail")


def closed_port():
    """A port where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


if __name__ == "__main__":
    sys.exit("this is a library")
