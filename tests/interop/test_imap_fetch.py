"""FETCH of large messages and of many: pieces are what the whole is, memory stays flat, and nothing is produced for who does not read."""
import base64
import os

import pytest

from harness.site import SANITIZED, memory
from imap_peer import Imap

MIB = 1024 * 1024
OCTETS = os.urandom(6 * MIB)
ENCODED = base64.encodebytes(OCTETS).replace(b"\n", b"\r\n")
LARGE = (b"Subject: large\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n--A\r\n\r\ntext\r\n--A\r\nContent-Type: application/x\r\n"
         b"Content-Transfer-Encoding: base64\r\n\r\n" + ENCODED + b"\r\n--A--\r\n")
SMALL = b"Subject: small\r\n\r\n" + b"a line of text\r\n" * 300


@pytest.fixture
def session(site):
    site.fresh_user("fetcher")
    with site.wire("imap") as wire:
        stream = wire.sock.makefile("rwb", buffering=1 << 16)

        def write(octets):
            stream.write(octets)
            stream.flush()

        imap = Imap(stream.read, stream.readline, write)
        imap.command("LOGIN fetcher@example.test secret")
        imap.wire = wire
        yield imap


def test_pieces_make_the_whole(session):
    session.append("INBOX", LARGE)
    session.command("EXAMINE INBOX")
    whole = session.command("FETCH 1 (BODY[] BODY[2] BINARY[2] BINARY.SIZE[2])")[1]
    assert whole["BODY[]"] == LARGE and whole["BODY[2]"] == ENCODED and whole["BINARY.SIZE[2]"] == str(len(OCTETS))
    assert whole["BINARY[2]"] == OCTETS
    for item, all_of_it in (("BODY[2]", ENCODED), ("BINARY[2]", OCTETS)):
        for at in [*range(0, len(all_of_it), 65536), len(all_of_it) - 1, len(all_of_it), len(all_of_it) + 5]:
            (piece,) = session.command(f"FETCH 1 {item}<{at}.65536>")[1].values()
            assert piece == all_of_it[at : at + 65536], f"{item} at {at}"


@pytest.mark.skipif(SANITIZED, reason="memory is not judged in sanitizer builds")
def test_a_client_that_does_not_read_stops_its_producer(site, session):
    for _ in range(4):
        session.append("INBOX", LARGE)
    session.command("EXAMINE INBOX")
    session.command("FETCH 1 (BODY[1] BODYSTRUCTURE)")
    pids = site.pids("imapd")
    before = sum(memory(pid, "Pss") for pid in pids)
    session.write(b"slow FETCH 1:4 (BODY.PEEK[] BINARY.PEEK[2])\r\n")
    with site.wire("imap") as other:  # others are served meanwhile
        other.send(b"a LOGIN fetcher@example.test secret\r\nb EXAMINE INBOX\r\nc UID FETCH 1:* (RFC822.SIZE)\r\nd LOGOUT\r\n")
        assert b"c OK" in other.until_close()
    growth = sum(memory(pid, "Pss") for pid in pids) - before
    assert growth <= 4 * 1024, f"{growth} KiB"
    answer = session.readline()
    assert answer.startswith(b"* 1 FETCH (BODY[] {%d}" % len(LARGE))
    assert session.read(len(LARGE)) == LARGE


def test_a_client_that_goes_away_in_a_literal_hurts_nobody(site, session):
    session.append("INBOX", LARGE)
    for _ in range(5):
        with site.wire("imap") as other:
            other.send(b"a LOGIN fetcher@example.test secret\r\nb SELECT INBOX\r\nc FETCH 1 (BODY[] BINARY[2])\r\n")
            while not other.line().startswith(b"* 1 FETCH"):
                pass
    session.command("EXAMINE INBOX")
    assert session.command("FETCH 1 BODY[]")[1]["BODY[]"] == LARGE


def test_many_messages_in_one_commit_of_seen(session):
    for _ in range(600):
        session.append("INBOX", SMALL)
    session.command("SELECT INBOX")
    fetched = session.command("FETCH 1:* (UID BODY[])")
    assert len(fetched) == 600
    assert all(items["BODY[]"] == SMALL and items["FLAGS"] == ["\\Seen"] for items in fetched.values())
    flags = session.command("FETCH 1:* FLAGS")
    assert all(items["FLAGS"] == ["\\Seen"] for items in flags.values())
