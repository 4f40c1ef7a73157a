"""IMAP's rows of the threat table that are about reading and logging in: budgets, literals, slow and deaf clients, injection, bombs."""
import time
import zlib

import pytest

from harness.site import HOSTNAME, SANITIZED, Site, wait_for


@pytest.fixture(scope="module")
def site():
    with Site() as made:
        yield made


def imapd_pss(site):
    """KiB of all imapd processes."""
    return sum(kib for pid, kib in site.pss_kib().items() if site.processes()[pid] == "imapd")


def closes(wire, seconds=10):
    wire.timeout = seconds
    return wire.until_close()


# --- before login: 16 KiB a session, whatever it sends


FLOODS = {
    "one line": b"a LOGIN " + b"x" * 100_000,
    "a line without end": b"a" * 1_000_000,
    "literals": b"a LOGIN {2000+}\r\n" + (b"y" * 2000 + b" {2000+}\r\n") * 3,
    "parentheses": b"a ID " + b"(" * 1_000_000,
    "nothing": b"\r\n" * 500_000,
    "an exchange": b"a AUTHENTICATE PLAIN\r\n" + b"A" * 1_000_000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_before_login_costs_nothing(site, name):
    before = imapd_pss(site)
    wires = []
    try:
        for _ in range(20):
            wires.append(site.wire("imap"))
            wires[-1].send(FLOODS[name])
        time.sleep(0.3)
        if not SANITIZED:
            assert imapd_pss(site) - before < 20 * 16 + 2048
        with site.imap_wire("alice") as other:  # others notice nothing
            other.imap("NOOP")
    finally:
        for wire in wires:
            wire.close()


@pytest.mark.parametrize("size", ["4294967296", "18446744073709551616", "9" * 30])
def test_literals_are_refused_at_their_announcement(site, size):
    """No "+", no memory; the synchronizing kind leaves the session as it was."""
    with site.wire("imap") as wire:
        wire.send(f"a LOGIN alice {{{size}}}\r\n")
        assert wire.line().startswith((b"a NO [TOOBIG]", b"a BAD"))
        wire.imap("LOGIN alice@example.test secret")
        wire.send(f"b SELECT {{{size}}}\r\n")
        assert wire.line().startswith((b"b NO [TOOBIG]", b"b BAD"))
        wire.imap("NOOP")
        wire.send(f"c SELECT {{{size}+}}\r\n")
        assert closes(wire).startswith(b"* BYE [TOOBIG]")


def test_a_large_message_is_refused_at_its_announcement(site):
    with site.imap_wire("alice") as wire:
        wire.send(b"a APPEND INBOX {4294967296}\r\n")
        assert wire.line().startswith(b"a NO [TOOBIG]")
        wire.imap("NOOP")


# --- who does not read, who is slow


def test_a_client_that_does_not_read(site):
    """Answers are not queued without bound: the next commands are not even read."""
    before = imapd_pss(site)
    with site.imap_wire("alice") as wire:
        wire.sock.settimeout(1)
        sent = 0
        try:
            while sent < 64 * 1024 * 1024:
                wire.sock.sendall(b"a CAPABILITY\r\n" * 4096)
                sent += 14 * 4096
        except TimeoutError:
            pass
        assert sent < 64 * 1024 * 1024, "it was all read"
        if not SANITIZED:
            assert imapd_pss(site) - before < 4096
        with site.imap_wire("bob") as other:
            other.imap("NOOP")


def test_the_time_to_log_in_is_bounded():
    with Site(settings={"limits.login_timeout": "1s", "limits.tls_timeout": "1s"}) as site:
        begun = [b"", b"a", b"a LOGIN {3}\r\n", b"a AUTHENTICATE PLAIN\r\n", b"a NOOP\r\n"]
        wires = [site.wire("imap") for _ in begun]
        for wire, data in zip(wires, begun):
            wire.send(data)
        silent = site.wire("imaps", tls=False, greeting=False)
        for wire in wires:
            assert closes(wire).endswith(b"* BYE you took too long to log in\r\n")
        assert closes(silent) == b""


def test_a_slow_sender_does_not_hold_others_up(site):
    with site.imap_wire("alice") as slow, site.imap_wire("bob") as other:
        for octet in b"a NOOP":
            slow.send(bytes([octet]))
            other.imap("NOOP")
        slow.send(b"\r\n")
        assert slow.line() == b"a OK done"


# --- STARTTLS


@pytest.mark.parametrize("behind", [b"b NOOP\r\n", b"b LOGIN alice@example.test secret\r\n", b"\r\n", b"x" * 5000])
def test_nothing_in_clear_reaches_the_session_inside_tls(site, behind):
    """CVE-2011-0411, CVE-2021-33515: what came behind STARTTLS ends the connection."""
    with site.wire("imap") as wire:
        wire.send(b"a STARTTLS\r\n" + behind)
        assert closes(wire) in (b"", b"a OK begin TLS now\r\n")


def test_starttls_forgets_what_was_said(site):
    with site.wire("imap") as wire:
        wire.imap("STARTTLS")
        wire.start_tls(site.ca.context(), HOSTNAME)
        wire.imap("SELECT INBOX", want="BAD")
        wire.imap("LOGIN alice@example.test secret")


# --- COMPRESS


class Compressed:
    def __init__(self, site, user):
        self.wire = site.imap_wire(user)
        self.wire.imap("COMPRESS DEFLATE")
        self.packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.unpacker = zlib.decompressobj(-15)

    def send(self, data):
        self.wire.send(self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH))

    def read_until(self, end, seconds=60):
        text, deadline = b"", time.monotonic() + seconds
        self.wire.sock.settimeout(seconds)
        while end not in text:
            assert time.monotonic() < deadline
            data = self.wire.sock.recv(65536)
            assert data, text[-200:]
            text += self.unpacker.decompress(data)
        return text


@pytest.mark.parametrize("what", [b"a", b"(", b"a NOOP\r\n", b"\r\n", b"a {3+}\r\nxyz"])
def test_a_bomb_costs_memory_only_of_who_throws_it(site, what):
    before = imapd_pss(site)
    bomb = Compressed(site, "alice")
    data = what * (1_000_000 // len(what))
    for _ in range(20):
        bomb.wire.send(bomb.packer.compress(data))
    bomb.wire.send(bomb.packer.flush(zlib.Z_SYNC_FLUSH))
    with site.imap_wire("bob") as other:
        other.imap("NOOP")
    if not SANITIZED:
        assert imapd_pss(site) - before < 8192
    bomb.wire.close()


def test_compression_works_with_tls_and_long_answers(site):
    site.fresh_user("squeezed", "")
    site.send("x@remote.example", ["squeezed@example.test"], b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 20000)
    wire = site.imap_wire("squeezed", port="imaps")
    wire.imap("COMPRESS DEFLATE")
    session = Compressed.__new__(Compressed)
    session.wire, session.packer, session.unpacker = wire, zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)
    session.send(b"a SELECT INBOX\r\nb FETCH 1 BODY[TEXT]\r\n")
    text = session.read_until(b"\r\nb OK ")
    assert text.count(b"0123456789abcdef\r\n") == 20000
    session.send(b"c LOGOUT\r\n")
    session.read_until(b"\r\nc OK ")
    wire.close()


# --- logins


def test_three_wrong_logins_end_the_connection(site):
    with site.wire("imap") as wire:
        answers = [wire.imap(f"LOGIN {name}@example.test wrong", want="NO")[-1] for name in ("alice", "nobody", "alice")]
        assert len({answer.split(b" ", 1)[1] for answer in answers}) == 1  # nobody can tell which names there are
        assert closes(wire) == b"* BYE too many failed logins\r\n"


def test_ten_bad_commands_end_the_connection(site):
    with site.wire("imap") as wire:
        wire.send(b"x\r\n" * 50)
        lines = closes(wire).split(b"\r\n")
        assert lines[-2] == b"* BYE too many bad commands" and len(lines) == 12


def test_other_protocols_are_shown_the_door(site):
    for words in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"EHLO x\r\n", b"USER alice\r\n"):
        with site.wire("imap") as wire:
            wire.send(words)
            assert closes(wire) == b"* BYE this is an IMAP server\r\n"


def test_many_sessions_idle_cheaply(site):
    """200 in IDLE: at most 12 KiB each without TLS; measured with 5,000 in docs/benchmarks.md."""
    first = [site.imap_wire("alice") for _ in range(50)]  # what grows once has grown
    for wire in first:
        wire.imap("SELECT INBOX")
    before = imapd_pss(site)
    wires = [site.imap_wire("alice") for _ in range(200)]
    for wire in wires:
        wire.imap("SELECT INBOX")
        wire.send("i IDLE\r\n")
        assert wire.line().startswith(b"+ ")
    if not SANITIZED:
        wait_for(lambda: (imapd_pss(site) - before) / 200 <= 12, 10, lambda: f"{(imapd_pss(site) - before) / 200} KiB each")
    for wire in first + wires:
        wire.close()
