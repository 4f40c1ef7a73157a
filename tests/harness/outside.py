"""The world outside of a site under test: its DNS, its mail servers, its policy server; and the site itself.

    with Outside() as world:
        far = world.domain("good.example")                                # a server, an MX record
        world.send("x@good.example")                                      # by submission as alice; its mark
        far.wait(1)
"""
import base64
import contextlib
import email
import email.policy
import hashlib
import http.server
import json
import os
import re
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

from harness.far_end import FarEnd, server_context
from harness.site import CA, DOMAIN, HANG_SECONDS, PASSWORD, Site, claim_port, give, wait_for
from harness.wire import plain_token
from harness.zone import Zone

KINDS = ("remote", "local", "sent")


class PolicyServer:
    """MTA-STS policies over HTTPS (RFC 8461 §3.3) on 127.0.0.1 and the port given. policies: {domain: (status, content type, text)}."""

    def __init__(self, port, ca):
        self.policies, self.asked, self.ca, self.contexts = {}, [], ca, {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                domain = (self.headers.get("Host") or "").split(":")[0].removeprefix("mta-sts.")
                outer.asked.append(domain)
                status, kind, text = outer.policies.get(domain, (404, "text/plain", "nothing here"))
                if self.path != "/.well-known/mta-sts.txt":
                    status = 404
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that does not like our certificate is what some tests want

        self.server = Listener(("127.0.0.1", port), Handler)
        context = server_context(*ca.issue("policy", ["policy.example"], addresses=False))
        context.sni_callback = lambda sock, name, _: setattr(sock, "context", self.contexts.get(name, context))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def put(self, domain, mode, mx, max_age=86400, status=200, kind="text/plain", right_name=True):
        lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx), f"max_age: {max_age}"]
        self.policies[domain] = (status, kind, "".join(line + "\r\n" for line in lines))
        if right_name:
            name = f"mta-sts.{domain}"
            self.contexts[name] = server_context(*self.ca.issue(name, [name], addresses=False))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def tlsa(certificate):
    """The fields of a TLSA record "3 1 1" for this certificate (RFC 7671 §5.1)."""
    pem = subprocess.run(["openssl", "x509", "-in", str(certificate), "-noout", "-pubkey"], check=True, capture_output=True, text=True).stdout
    der = base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-")))
    return "3 1 1 " + hashlib.sha256(der).hexdigest()


class Report:
    """A delivery status notification as Python's email sees it (RFC 6522, RFC 3464). per: the fields of each recipient."""

    def __init__(self, octets):
        self.octets = octets
        self.message = email.message_from_bytes(octets, policy=email.policy.default)
        assert self.message.get_content_type() == "multipart/report", octets
        self.parts = list(self.message.iter_parts())
        assert len(self.parts) == 3 and self.message.get_param("report-type") in ("delivery-status", "global-delivery-status"), octets
        assert self.message["Return-Path"] == "<>" and self.message["Auto-Submitted"], octets
        self.human = self.parts[0].get_content()
        groups = self.parts[1].get_payload() if self.parts[1].is_multipart() else [email.message_from_string(t) for t in
                                                                                 self.parts[1].get_content().decode().split("\r\n\r\n") if t]
        self.fields, self.per = groups[0], {address_of(g["Final-Recipient"]): g for g in groups[1:]}
        self.original = self.parts[2]


def address_of(field):
    return str(field).partition(";")[2].strip()


class Outside:
    """settings, users: of the site. Everything that is made with it is there until the block ends."""

    def __init__(self, settings=None, users=("alice", "bob", "carol"), site=True, **site_options):
        self.folder = Path(tempfile.mkdtemp(prefix="pho-", dir="/tmp"))
        os.chmod(self.folder, 0o755)
        self.stack, self.want_site = contextlib.ExitStack(), site
        self.port, claim = claim_port()
        self.sts_port, sts_claim = claim_port()
        self.stack.callback(claim.close)
        self.stack.callback(sts_claim.close)
        self.stack.callback(shutil.rmtree, self.folder, True)
        self.ca = CA(self.folder / "outside-ca")
        self.other_ca = CA(self.folder / "other-ca")  # that nobody trusts
        give(self.ca.cert)
        self.zone = Zone(self.folder / "dns")
        self.far = FarEnd(self.port)
        self.settings = {
            "relay.port": self.port, "relay.sts_port": self.sts_port, "relay.ca_file": self.ca.cert, **self.zone.settings(),
            "submission.recipients_a_day": 0, "submission.new_recipients_a_day": 0, **(settings or {}),
        }
        self.users, self.site_options, self.site = users, site_options, None

    def __enter__(self):
        try:
            self.stack.enter_context(self.zone)
            self.stack.enter_context(self.far)
            self.policies = PolicyServer(self.sts_port, self.ca)
            self.stack.callback(self.policies.close)
            if self.want_site:
                self.site = self.stack.enter_context(Site(settings=self.settings, users=(), **self.site_options))
                self.site.add_users(self.users)
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *problem):
        return self.stack.__exit__(*problem)

    # --- servers

    def certificate(self, *names, ca=None):
        return (ca or self.ca).issue(names[0], list(names), addresses=False)

    def domain(self, name, secure=True, records=(), certificate=None, kind=None, forge=None, **server):
        """A domain with one server, mx.NAME. certificate: (file, key): it offers STARTTLS with it. secure=False: a zone without DNSSEC;
        kind, forge: of Zone.child(). records: more, with names relative to the domain."""
        if certificate is not None:
            server["tls"] = server_context(*certificate)
        far = self.far.server(**server)
        lines = ["@ MX 10 mx", f"mx {'AAAA' if ':' in far.address else 'A'} {far.address}", *records]
        if kind is not None or not secure:
            options = {} if forge is None else {"forge": forge}
            self.zone.child(name, lines, kind=kind or "plain", **options)
        else:
            self.zone.add(*(absolute(line, name) for line in lines))
        self.zone.publish()
        return far

    def sts(self, name, mode, mx=None, txt="v=STSv1; id=1;", **options):
        """Records of a policy of the domain, which is put on the policy server; for domain(records=...)."""
        self.policies.put(name, mode, mx or [f"mx.{name}"], **options)
        return [f'_mta-sts TXT "{txt}"', "mta-sts A 127.0.0.1"]

    # --- mail

    def send(self, *recipients, user="alice", sender=None, mail="", rcpt="", header="", body="hello\r\n", mark=None, whole=None, want=250):
        """A message by submission; its mark (and self.trace: the queue's name for it)."""
        mark = mark or "m" + uuid.uuid4().hex[:12]
        sender = f"{user}@{DOMAIN}" if sender is None else sender
        with contextlib.closing(self.site.wire("submissions")) as wire:
            wire.smtp("EHLO client.example", 250)
            wire.smtp("AUTH PLAIN " + plain_token(f"{user}@{DOMAIN}", PASSWORD), 235)
            self.hand_in(wire, sender, recipients, mail, rcpt, mark, header, body, whole, want)
        return mark

    def receive(self, *recipients, sender="stranger@far.example", mail="", rcpt="", header="", body="hello\r\n", mark=None, want=250):
        """The same from outside, without a login, on port 25."""
        mark = mark or "m" + uuid.uuid4().hex[:12]
        with contextlib.closing(self.site.wire("smtp")) as wire:
            wire.smtp("EHLO far.example", 250)
            self.hand_in(wire, sender, recipients, mail, rcpt, mark, header, body, None, want)
        return mark

    def hand_in(self, wire, sender, recipients, mail, rcpt, mark, header, body, whole, want):
        wire.smtp(f"MAIL FROM:<{sender}>{mail}", 250)
        for recipient in recipients:
            wire.smtp(f"RCPT TO:<{recipient}>{rcpt}", 250)
        wire.smtp("DATA", 354)
        if whole is None:
            whole = f"From: {sender or 'x@far.example'}\r\nTo: {recipients[0]}\r\nX-Mark: {mark}\r\nSubject: {mark}\r\n{header}\r\n{body}"
        text = whole if isinstance(whole, bytes) else whole.encode()
        wire.send(re.sub(rb"(?m)^\.", b"..", text) + b".\r\n")
        self.reply = wire.expect(want)
        found = re.search(r"(?:queued as|delivered, id) (\S+)", self.reply)
        self.trace = found and found.group(1)

    # --- the queue

    def queue(self):
        """Recipients that wait, as `posthouse queue list --json` tells them."""
        return json.loads(self.site.posthouse("queue", "list", "--limit", "1000", "--json"))["recipients"]

    def waiting(self, address):
        return [row for row in self.queue() if row["recipient"] == address]

    def gone(self, *addresses):
        """Until nobody of these waits any more."""
        wait_for(lambda: not [r for r in self.queue() if r["recipient"] in addresses], HANG_SECONDS, lambda: f"gone: {addresses}\n{self.story()}")

    def deferred(self, address, attempts=1):
        """Until the only recipient with this address has been tried so often; its row."""
        def look():
            rows = self.waiting(address)
            return rows and rows[0]["attempts"] >= attempts and rows[0]

        return wait_for(look, HANG_SECONDS, lambda: f"{address} tried {attempts} times: {self.waiting(address)}\n{self.story()}")

    def retry(self, *what):
        self.site.posthouse("queue", "retry", *what)

    def age(self, address, created_ms=0, expires_ms=0):
        """The clock, by hand: what waits for this address is so much older, and so much nearer to its end."""
        with contextlib.closing(sqlite3.connect(self.site.data / "queue.db", timeout=30)) as db, db:
            db.execute(
                "UPDATE message SET created = created - ?, expires = expires - ? WHERE message_id IN "
                "(SELECT recipient_id >> 14 FROM recipient WHERE address = ?)", (created_ms, expires_ms, address))

    def inbox(self, user, count=1):
        """Until there are so many messages in the INBOX; they."""
        return wait_for(lambda: len(found := self.site.mailbox(user)) >= count and found, HANG_SECONDS,
                        lambda: f"{count} messages for {user}\n{self.story()}")

    def report(self, address, user="alice", action="failed"):
        """Until `user` has been told once that this became of the recipient; the report."""
        def look():
            reports = [Report(m) for m in self.site.mailbox(user) if b"report-type=" in m and address.encode() in m]
            return [r for r in reports if address in r.per and r.per[address]["Action"] == action]

        found = wait_for(look, HANG_SECONDS, lambda: f"{user} is told: {action} {address}\n{self.story()}")
        assert len(found) == 1, found
        return found[0]

    def story(self):
        return "\n".join(line for line in self.site.log_text().splitlines() if "relay" in line)[-4000:] + "\n" + self.site.log_tail(10)


def absolute(line, name):
    """A record with a relative name (and a relative host of an MX) with absolute ones."""
    owner, _, rest = line.partition(" ")
    rest = re.sub(r"^(MX \d+|CNAME|NS) ([^.\s]+)$", rf"\1 \2.{name}.", rest)
    return f"{name}. {rest}" if owner == "@" else f"{owner}.{name}. {rest}"
