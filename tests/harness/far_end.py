"""Other servers, as bad as a test wants them: SMTP and LMTP on loopback addresses, one listener each, all on one port.

    with FarEnd(port) as far:
        server = far.server("127.0.1.1", rcpt={"nobody@a.example": "550 5.1.1 no such user"})
        ...
        server.wait(1)                        # messages taken
        assert server.taken[0].data == b"..."

What a server answers is said per step: banner, ehlo, helo, starttls, auth, mail, rcpt, data, end (of data), quit, rset. An answer is a text (a reply;
LF between its lines), octets (sent as they are), DROP, HANG (says nothing until the test ends or server.release()), Slow(text) (octet by octet),
ENDLESS (a reply without end), Then(text, DROP), a list of answers for one use after the other (the last repeats), a function of
(session, argument), or None: what a good server says. `rcpt` and, with LMTP, `end` may also be a dict by address (lower case).
DIE as the answer to `end`: the message is taken and the connection dies before the 250.

server.taken: every message whose end of data got a 2yz (or DIE), in order. far.counts(): copies of each (mark, recipient), all servers together;
a mark is the value of the header field X-Mark. Thread-safe.
"""
import base64
import collections
import contextlib
import re
import selectors
import socket
import ssl
import threading
import time

from harness.site import HANG_SECONDS, wait_for

OFFERS = ("PIPELINING", "SIZE 100000000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
GOOD = {
    "banner": "220 far.example ESMTP", "helo": "250 far.example", "starttls": "220 2.0.0 go ahead", "auth": "235 2.7.0 welcome", "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok", "data": "354 go on", "end": "250 2.0.0 taken", "quit": "221 2.0.0 bye", "rset": "250 2.0.0 ok", "noop": "250 2.0.0 ok",
}
LINE_MAX = 1 << 20
MARK = re.compile(rb"(?im)^X-Mark: (\S+)\r?$")


class _Word:
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


DROP, HANG, ENDLESS, DIE = map(_Word, ("DROP", "HANG", "ENDLESS", "DIE"))
Slow = collections.namedtuple("Slow", "text")
Then = collections.namedtuple("Then", "text action")


class Gone(Exception):
    """The session is over."""


class Taken:
    """One message that a server took: for `recipients` (address, parameters), in the session `session`."""

    def __init__(self, session, sender, recipients, data, answered):
        self.session, self.server, self.answered = session, session.server, answered
        self.at, (self.sender, self.parameters) = time.monotonic(), sender
        self.recipients, self.data = recipients, data
        self.tls, self.user, self.body = session.tls, session.user, data.partition(b"\r\n\r\n")[2]
        found = MARK.search(data.partition(b"\r\n\r\n")[0] + b"\r\n")
        self.mark = found.group(1).decode() if found else None

    @property
    def addresses(self):
        return [address for address, _ in self.recipients]


class Server:
    def __init__(self, far, address, offers, tls, users, lmtp, implicit_tls, answers):
        self.far, self.address, self.offers, self.tls_context = far, address, offers, tls
        self.users, self.lmtp, self.implicit_tls, self.answers = users or {}, lmtp, implicit_tls, answers
        self.taken, self.sessions, self.commands, self.uses = [], [], [], collections.Counter()
        self.early = 0  # commands that came before the one in front of them was answered (RFC 2920)
        self.lock, self.gate = threading.Lock(), threading.Event()

    def wait(self, count=1):
        """Until so many messages were taken; they."""
        wait_for(lambda: len(self.taken) >= count, HANG_SECONDS, lambda: f"{count} messages at {self.address}: {self.commands[-30:]}")
        return self.taken

    def wait_command(self, pattern):
        """Until a command like this came."""
        wait_for(lambda: any(re.match(pattern, c) for c in list(self.commands)), HANG_SECONDS, lambda: f"{pattern}: {self.commands[-30:]}")

    def release(self):
        """Those that hang go on: their connection ends."""
        self.gate.set()

    def answer(self, step, session, argument, key=None):
        """What the test has said for this step, with lists and functions worked out."""
        value = self.answers.get(step)
        if isinstance(value, dict):
            value = value.get((key or "").lower())
            step = (step, key)
        if callable(value):
            value = value(session, argument)
        if isinstance(value, list):
            with self.lock:
                value = value[min(self.uses[step], len(value) - 1)]
                self.uses[step] += 1
        return value


class Session:
    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.buffer, self.tls, self.user, self.helo = b"", None, None, None
        self.started, self.messages = time.monotonic(), 0
        self.clear()

    def clear(self):
        self.sender, self.recipients = None, []

    # --- octets

    def run(self):
        try:
            if self.server.implicit_tls:
                self.handshake()
            self.say("banner")
            while True:
                self.command(self.line())
        except (Gone, OSError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError):
                self.sock.close()

    def receive(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise Gone
        self.buffer += data

    def line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > LINE_MAX:
                raise Gone
            self.receive()
        line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
        return line

    def handshake(self):
        self.sock = self.server.tls_context.wrap_socket(self.sock, server_side=True)
        self.tls = self.sock.version()

    def reply(self, text):
        lines = text.split("\n")
        code = lines[0][:3]
        out = [line if i == 0 else f"{code} {line}" for i, line in enumerate(lines)]
        out = [line[:3] + "-" + line[4:] for line in out[:-1]] + out[-1:]
        self.sock.sendall("".join(line + "\r\n" for line in out).encode())

    def say(self, step, argument="", key=None, good=None):
        """Answers; the code of what was said (0: octets of another kind)."""
        return self.do(self.server.answer(step, self, argument, key), good or GOOD.get(step, "250 ok"))

    def do(self, what, good):
        if what is None:
            what = good
        if isinstance(what, Then):
            self.do(what.text, good)
            return self.do(what.action, good)
        if isinstance(what, str):
            self.reply(what)
            return int(what[:3])
        if isinstance(what, bytes):
            self.sock.sendall(what)
            return int(what[:3]) if what[:3].isdigit() else 0
        if isinstance(what, Slow):
            for octet in what.text.encode() + b"\r\n":
                self.sock.sendall(bytes([octet]))
                self.server.gate.wait(0.005)
            return int(what.text[:3])
        if what is HANG:
            self.server.gate.wait()
        while what is ENDLESS:
            self.sock.sendall(b"250-and so on\r\n" * 1000)
        raise Gone

    # --- commands

    def command(self, line):
        text = line.decode("utf-8", "backslashreplace")
        with self.server.lock:
            self.server.commands.append(text)
            self.server.early += bool(self.buffer)
        verb, _, argument = text.partition(" ")
        action = getattr(self, "do_" + verb.lower(), None)
        if action is None:
            self.say("unknown", text, good="500 5.5.1 what?")
        else:
            action(argument)

    def do_ehlo(self, argument):
        self.helo = argument
        self.clear()
        offers = list(self.server.offers)
        if self.server.tls_context is not None and self.tls is None:
            offers.append("STARTTLS")
        if self.server.users:
            offers.append("AUTH PLAIN LOGIN")
        self.say("ehlo", argument, good="\n".join(["250 far.example", *offers]))

    do_lhlo = do_ehlo

    def do_helo(self, argument):
        self.helo = argument
        self.say("helo", argument)

    def do_starttls(self, argument):
        if self.say("starttls", argument) == 220:
            if self.buffer:  # RFC 3207 §4.2: nothing may come before the handshake
                raise Gone
            self.handshake()

    def do_auth(self, argument):
        kind, _, token = argument.partition(" ")
        if kind.upper() == "PLAIN":
            if not token:
                self.reply("334 ")
                token = self.line().decode()
            _, user, password = base64.b64decode(token).decode().split("\0")
        else:
            words = []
            for question in (b"Username:", b"Password:"):
                self.reply("334 " + base64.b64encode(question).decode())
                words.append(base64.b64decode(self.line()).decode())
            user, password = words
        if self.server.users.get(user) != password:
            self.reply("535 5.7.8 no")
        elif self.say("auth", argument) == 235:
            self.user = user

    def address(self, argument):
        found = re.match(r"(?i)(?:FROM|TO):<([^>]*)>(.*)", argument)
        if not found:
            return "", []
        return found.group(1), found.group(2).split()

    def do_mail(self, argument):
        if self.say("mail", argument) == 250:
            self.sender, self.recipients = self.address(argument), []

    def do_rcpt(self, argument):
        if self.sender is None:
            self.reply("503 5.5.1 no sender")
            return
        address, parameters = self.address(argument)
        if self.say("rcpt", argument, key=address) in (250, 251):
            self.recipients.append((address, parameters))

    def do_data(self, argument):
        if not self.recipients:
            self.reply("503 5.5.1 no recipients")
            return
        if self.say("data", argument) == 354:
            while not self.buffer.startswith(b".\r\n") and b"\r\n.\r\n" not in self.buffer:
                self.receive()
            data, _, self.buffer = (b"\r\n" + self.buffer).partition(b"\r\n.\r\n")
            self.end(data[2:].replace(b"\r\n..", b"\r\n.").removeprefix(b".") + b"\r\n" if data else b"")

    def do_bdat(self, argument):
        size, _, last = argument.partition(" ")
        while len(self.buffer) < int(size):
            self.receive()
        self.chunks = getattr(self, "chunks", b"") + self.buffer[: int(size)]
        self.buffer = self.buffer[int(size) :]
        if not last:
            self.reply("250 2.0.0 more")
            return
        data, self.chunks = self.chunks, b""
        self.end(data)

    def end(self, data):
        if self.server.lmtp:  # RFC 2033 §4.2: one answer for each recipient
            for recipient in self.recipients:
                what = self.server.answer("end", self, "", recipient[0])
                good = what is None or (isinstance(what, str) and what[0] == "2")
                if good:
                    self.keep([recipient], data, True)
                self.do(what, GOOD["end"])
        else:
            what = self.server.answer("end", self, data)
            text = what.text if isinstance(what, (Slow, Then)) else what
            if what is None or what is DIE or (isinstance(text, (str, bytes)) and text[:1] in ("2", b"2")):
                self.keep(self.recipients, data, what is not DIE)
            self.do(what, GOOD["end"])
        self.clear()

    def keep(self, recipients, data, answered):
        taken = Taken(self, self.sender, list(recipients), data, answered)
        self.messages += 1
        with self.server.lock:
            self.server.taken.append(taken)

    def do_rset(self, argument):
        self.clear()
        self.say("rset", argument)

    def do_noop(self, argument):
        self.say("noop", argument)

    def do_quit(self, argument):
        self.say("quit", argument)
        raise Gone


class FarEnd:
    """All servers of a test. Addresses: 127.0.x.y as given, or the next free one of 127.0.1.1 and following."""

    def __init__(self, port):
        self.port, self.servers, self.next = port, [], 0
        self.selector, self.stopping = selectors.DefaultSelector(), threading.Event()
        self.wake, self.waker = socket.socketpair()
        self.selector.register(self.wake, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def server(self, address=None, offers=OFFERS, tls=None, users=None, lmtp=False, implicit_tls=False, port=None, **answers):
        """tls: an ssl.SSLContext, then STARTTLS is offered. users: {name: password} for AUTH."""
        if address is None:
            self.next += 1
            address = f"127.0.{1 + self.next // 250}.{1 + self.next % 250}"
        server = Server(self, address, offers, tls, users, lmtp, implicit_tls, answers)
        listener = socket.create_server((address, port or self.port), backlog=512, family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setblocking(False)
        self.servers.append(server)
        self.selector.register(listener, selectors.EVENT_READ, server)
        self.waker.send(b"x")
        return server

    def run(self):
        while not self.stopping.is_set():
            for key, _ in self.selector.select():
                if key.data is None:
                    self.wake.recv(100)
                    continue
                with contextlib.suppress(OSError):
                    self.accept(key.fileobj, key.data)

    def accept(self, listener, server):
        sock, _ = listener.accept()
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(server, sock, len(server.sessions))
        server.sessions.append(session)
        threading.Thread(target=session.run, daemon=True).start()

    def counts(self):
        """Copies of (mark, recipient) at all servers."""
        return collections.Counter((taken.mark, address) for server in self.servers for taken in list(server.taken) for address in taken.addresses)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.waker.send(b"x")
        self.thread.join(HANG_SECONDS)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        for server in self.servers:
            server.release()
            for session in server.sessions:
                with contextlib.suppress(OSError):
                    session.sock.shutdown(socket.SHUT_RDWR)


def server_context(certificate, key, minimum=None):
    """For server(tls=...)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if minimum is not None:
        context.minimum_version = minimum
    return context
