"""What comes out is what went in, octet by octet, behind our trace header (design 2.7), whatever the message is made of."""
import hashlib
import os
import random
from pathlib import Path

import pytest

from harness.site import SANITIZED, memory, reset_peak, wait_for
from harness.wire import Wire

BOB = "bob@example.test"
HEAD = b"From: a@remote.example\r\nSubject: x\r\n\r\n"
MIB = 1024 * 1024

MESSAGES = {
    "plain": HEAD + b"hello\r\n",
    "dots": HEAD + b".\r\n..\r\n...\r\n.x\r\n..x\r\n .\r\nx.\r\n.\r\n",
    "only a dot": b".\r\n",
    "empty body": HEAD,
    "empty": b"",
    "no header": b"\r\nbody only\r\n",
    "no blank line": b"Subject: x\r\n",
    "not a header": b"this is no header\r\n\r\nbody\r\n",
    "blank lines at the end": HEAD + b"x\r\n\r\n\r\n\r\n",
    "line of 998": HEAD + b"x" * 998 + b"\r\n",
    "line of 100,000": HEAD + b"y" * 100000 + b"\r\nend\r\n",
    "eight bit": HEAD + bytes(range(0x80, 0x100)) + b"\r\n" + "Gr\u00fc\u00dfe \u4f60\u597d \U0001f4ee\r\n".encode(),
    "controls": HEAD + bytes(c for c in range(1, 32) if c not in (10, 13)) + b"\x7f\r\n",
    "trailing blanks": b"Subject: x  \r\n \t \r\n\r\nbody \t \r\n",
    "folded": b"Subject: a\r\n b\r\n\tc\r\nX-Long: " + b"y" * 900 + b"\r\n\r\nbody\r\n",
    "from line": b"From nobody Mon Jan 1\r\nSubject: x\r\n\r\nFrom here\r\n>From there\r\n",
    "its own trace": b"Return-Path: <evil@remote.example>\r\nReceived: from x by y; now\r\n" + HEAD + b"x\r\n",
    "at the row limit": HEAD + b"0123456789abcdef0123456789abcd\r\n" * 2048,
    "over the row limit": HEAD + b"0123456789abcdef0123456789abcd\r\n" * 2049,
    "a megabyte": HEAD + b"".join(b"%06d " % i + b"z" * 60 + b"\r\n" for i in range(15000)),
}


@pytest.fixture(autouse=True)
def empty_mailboxes(site):
    yield
    site.empty("bob")
    site.empty("carol")


@pytest.mark.parametrize("name", MESSAGES)
def test_comes_out_as_it_went_in(site, name):
    sent = MESSAGES[name]
    with site.wire("smtp") as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp("MAIL FROM:<a@remote.example> BODY=8BITMIME", 250)
        wire.smtp(f"RCPT TO:<{BOB}>", 250)
        wire.smtp("DATA", 354)
        stuffed = (b"\r\n" + sent).replace(b"\r\n.", b"\r\n..")[2:]
        wire.send(stuffed + b".\r\n")
        wire.expect(250)
        wire.smtp("QUIT", 221)
    got = site.mailbox("bob")[-1]
    site.empty("bob")
    assert got.startswith(b"Return-Path: <a@remote.example>\r\nReceived: ")
    assert got.endswith(sent)
    head = got[: len(got) - len(sent)]
    assert all(line.startswith((b"Return-Path:", b"Received:", b"\t", b" ")) for line in head.split(b"\r\n")[:-1]), head


@pytest.mark.parametrize("cut", ["bytes", "random"])
def test_however_the_packets_are_cut(site, cut):
    """The end of data is found wherever the network cuts the octets; the same for commands."""
    sent = MESSAGES["dots"]
    stuffed = (b"\r\n" + sent).replace(b"\r\n.", b"\r\n..")[2:]
    dialog = b"EHLO c.example\r\n", b"MAIL FROM:<a@remote.example>\r\n", f"RCPT TO:<{BOB}>\r\n".encode(), b"DATA\r\n"
    chance = random.Random(7)
    with site.wire("smtp") as wire:
        for octets, want in zip((*dialog, stuffed + b".\r\n"), (250, 250, 250, 354, 250)):
            while octets:
                size = 1 if cut == "bytes" else chance.randrange(1, 7)
                wire.send(octets[:size])
                octets = octets[size:]
            wire.expect(want)
    assert site.mailbox("bob")[-1].endswith(sent)
    site.empty("bob")


def test_a_message_of_the_largest_size_adds_little_memory(site):
    """50 MB in by SMTP and out by POP3: no process grows by more than 4 MiB (the issue's figure)."""
    line = bytes(range(0x20, 0x7f))[:74] + b"\r\n"
    count = 49 * MIB // len(line)
    sent_hash = hashlib.sha256()
    # the first, small one opens files and fills caches that any message needs
    for user in ("bob", "carol"):  # logging in once, too: the password hash takes 64 MiB of authd's and is then remembered
        site.send("a@remote.example", [f"{user}@example.test"], HEAD + b"warm up\r\n" + (b"x" * 76 + b"\r\n") * 2000)
        site.mailbox(user)
    before = {pid: memory(pid, "VmRSS") for pid in site.processes()}
    for pid in before:
        reset_peak(pid)
    with site.wire("smtp", timeout=120) as wire:
        wire.smtp("EHLO c.example", 250)
        wire.smtp("MAIL FROM:<a@remote.example>", 250)
        wire.smtp(f"RCPT TO:<{BOB}>", 250)
        wire.smtp("RCPT TO:<carol@example.test>", 250)
        wire.smtp("DATA", 354)
        wire.send(HEAD)
        sent_hash.update(HEAD)
        block = line * 1000
        for _ in range(count // 1000):
            wire.send(block)
            sent_hash.update(block)
        wire.send(b".\r\n")
        wire.expect(250)
    for user in ("bob", "carol"):
        with site.pop3_wire(user, timeout=120) as wire:
            assert wire.pop3("STAT").split()[1] == "2"
            wire.pop3("RETR 2")
            got_hash, in_trace, octets = hashlib.sha256(), True, 0
            while (got := wire.line()) != b".":
                in_trace = in_trace and got.startswith((b"Return-Path:", b"Received:", b"\t", b" "))
                if not in_trace:
                    got_hash.update(got + b"\r\n")
                    octets += len(got) + 2
            wire.pop3("DELE 1")
            wire.pop3("DELE 2")
            wire.pop3("QUIT")
        assert got_hash.digest() == sent_hash.digest(), octets
    grown = {f"{name} {pid}": memory(pid, "VmHWM") - before[pid]
             for pid, name in site.processes().items() if pid in before}
    assert set(before) <= set(site.processes()), "a process was replaced meanwhile"
    assert SANITIZED or max(grown.values()) <= 4096, f"KiB: {grown}"


def test_a_message_over_the_limit_is_refused(site):
    """At its announcement (RFC 1870 §6.1); unannounced, after its data, and the session goes on."""
    with site.wire("smtp", timeout=120) as wire:
        size = int([line for line in wire.smtp("EHLO c.example", 250).split("\n") if "SIZE" in line][0].split()[1])
        wire.smtp(f"MAIL FROM:<a@remote.example> SIZE={size + 1}", "552")
        wire.smtp(f"MAIL FROM:<a@remote.example> SIZE={2**64}", "5")
        wire.smtp("MAIL FROM:<a@remote.example> SIZE=1000", 250)
        wire.smtp(f"RCPT TO:<{BOB}>", 250)
        wire.smtp("DATA", 354)
        block = (b"x" * 76 + b"\r\n") * 1000
        for _ in range(size // len(block) + 2):
            wire.send(block)
        wire.send(b".\r\n")
        wire.expect("552")
        wire.smtp("NOOP", 250)
    assert site.mailbox("bob") == []


def test_space_of_a_refused_or_broken_message_comes_back(site):
    """A large message that never became one leaves no octet on the disk."""
    def used():
        return sum(path.stat().st_blocks * 512 for path in site.data.rglob("*") if path.is_file()) // MIB

    before = used()
    wire = site.wire("smtp", timeout=60)
    wire.smtp("EHLO c.example", 250)
    wire.smtp("MAIL FROM:<a@remote.example>", 250)
    wire.smtp(f"RCPT TO:<{BOB}>", 250)
    wire.smtp("DATA", 354)
    for _ in range(20):
        wire.send(HEAD + (b"x" * 76 + b"\r\n") * 13000)
    wire.close()
    wait_for(lambda: used() <= before + 1 and not held_deleted(site), 10, lambda: f"{before} MiB before, {used()} now")
    assert site.mailbox("bob") == []


def held_deleted(site):
    """Unnamed files over 64 KiB that some process of the suite still holds open."""
    found = []
    for pid in site.processes():
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(fd)
                if str(site.data) in target and target.endswith("(deleted)") and os.stat(fd).st_size > 65536:
                    found.append(target)
            except OSError:
                pass
    return found


UTF8 = "j\u00fcrgen@example.test"


def test_utf8_addresses(site):
    """RFC 6531: a UTF-8 mailbox as recipient and as login; without SMTPUTF8 it is refused (§3.4)."""
    site.add_user(UTF8)
    with site.wire("smtp") as wire:
        assert "SMTPUTF8" in wire.smtp("EHLO c.example", 250)
        wire.smtp("MAIL FROM:<a@remote.example>", 250)
        wire.smtp(f"RCPT TO:<{UTF8}>", "5")
        wire.smtp("RSET", 250)
        wire.smtp("MAIL FROM:<ren\u00e9@remote.example> SMTPUTF8", 250)
        wire.smtp(f"RCPT TO:<{UTF8}>", 250)
        wire.smtp("DATA", 354)
        wire.send(f"From: ren\u00e9@remote.example\r\nSubject: Gr\u00fc\u00dfe\r\n\r\nx\r\n.\r\n")
        wire.expect(250)
    with Wire(("127.0.0.1", site.ports["pop3"])) as wire:
        wire.line()
        wire.pop3("UTF8")
        wire.pop3(f"USER {UTF8}")
        wire.pop3("PASS secret")
        wire.pop3("RETR 1")
        text = b"\r\n".join(wire.pop3_list()).decode()
        assert "Return-Path: <ren\u00e9@remote.example>" in text and "UTF8SMTP" in text  # RFC 6531 §4.3
        wire.pop3("QUIT")
