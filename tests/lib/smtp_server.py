#!/usr/bin/python3
"""An SMTP server for tests, by Debian's aiosmtpd; see fake_services.Smtp, which starts it with the system's own Python. Prints its
port, writes what happens as lines of JSON, ends when its standard input does."""
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

options = json.loads(sys.argv[1])
grey_left = options["grey"]


def note(event, **facts):
    with open(options["file"], "a") as f:
        f.write(json.dumps(dict(facts, event=event)) + "\n")


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        note("ehlo", encrypted=session.ssl is not None or options["tls"] == "smtps")
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        global grey_left
        if any(part in address for part in options["refuse"]):
            return "550 5.1.1 no such mailbox"
        if grey_left > 0:
            grey_left -= 1
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if options["reject_data"]:
            return "554 5.7.1 looks like spam"
        note("mail", **{"from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode("utf-8"),
                        "login": session.authenticated, "encrypted": session.ssl is not None or options["tls"] == "smtps"})
        return "250 taken"


def authenticate(server, session, envelope, mechanism, login):
    good = login.login == options["user"].encode() and login.password == options["password"].encode()
    note("login", user=login.login.decode(), good=good)
    return AuthResult(success=good, handled=good)  # not handled: the server says 535 itself


def context():
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(options["chain"], options["key"])
    return made


def make():
    more = {}
    if options["tls"] == "starttls":
        more.update(tls_context=context(), require_starttls=True)
    if options["user"]:
        more.update(authenticator=authenticate, auth_required=True, auth_require_tls=options["tls"] == "starttls")
    return SMTP(Handler(), hostname="test.example", **more)


async def main():
    loop = asyncio.get_running_loop()
    tls = context() if options["tls"] == "smtps" else None
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
