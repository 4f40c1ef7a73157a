"""APPEND on the wire (RFC 9051 section 6.3.12, RFC 3502): what a transcript cannot show. Sizes, order, memory, what is left behind by who goes away."""
import os
import random
import threading
import time
from pathlib import Path

import pytest

from harness.imap import Imap
from harness.site import DOMAIN, PASSWORD, SANITIZED

MIB = 1024 * 1024


def message(number, size=5000):
    head = f"From: a{number}@example.test\r\nSubject: number {number}\r\nMessage-ID: <{number}@example.test>\r\n\r\n".encode()
    line = b"The quick brown fox jumps over the lazy dog, again and again.\r\n"
    return head + line * ((size - len(head)) // len(line) + 1)


def literal(body, plus=True, prefix=b""):
    return prefix + b"{%d%s}\r\n" % (len(body), b"+" if plus else b"") + body


@pytest.fixture
def user(site, request):
    name = "append" + str(abs(hash(request.node.name)) % 10**9)
    site.add_users([f"{name}@example.test"])
    return name


def connect(site, user):
    wire = site.wire("imaps")
    wire.imap(f"LOGIN {user}@example.test {PASSWORD}")
    return wire


@pytest.fixture
def wire(site, user):
    with connect(site, user) as made:
        yield made


def status(wire, mailbox="INBOX", items="MESSAGES UIDNEXT"):
    line = next(line for line in wire.imap(f"STATUS {mailbox} ({items})") if line.startswith(b"* STATUS"))
    words = line[line.index(b"(") + 1 : -1].split()
    return {words[i].decode(): int(words[i + 1]) for i in range(0, len(words), 2)}


def stored(site, user):
    """What POP3 hands out of the INBOX."""
    return site.mailbox(user)


def tagged(wire, count):
    """The next `count` tagged lines, in the order they came."""
    lines = []
    while len(lines) < count:
        line = wire.line()
        if not line.startswith((b"* ", b"+ ")):
            lines.append(line)
    return lines


@pytest.mark.parametrize("size", [100, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 200_000])
def test_split_anywhere(site, user, wire, size):
    """The announcement, the octets and the end, cut at random places: what is stored is what was sent."""
    body = message(size, size)
    data = b"a APPEND INBOX (\\Seen) " + literal(body) + b"\r\nb APPEND INBOX " + literal(body[::-1].replace(b"\n\r", b"\r\n")) + b"\r\n"
    rng = random.Random(size)
    at = 0
    while at < len(data):
        step = rng.choice([1, 2, 3, 1000, 16 * 1024, 64 * 1024])
        wire.send(data[at : at + step])
        at += step
        if rng.random() < 0.2:
            time.sleep(0.001)
    first, second = tagged(wire, 2)
    assert first.startswith(b"a OK [APPENDUID ") and second.startswith(b"b OK [APPENDUID ")
    assert stored(site, user)[0] == body


def test_pipelined_appends_are_answered_in_order(site, user, wire):
    """32 in flight, among them some that fail for this and that: each has its own fate, answers keep the order, the rest waits."""
    data, want = b"", []
    for n in range(32):
        tag = b"p%d" % n
        if n % 8 == 3:
            data += tag + b" APPEND missing " + literal(message(n)) + b"\r\n"
            want.append(tag + b" NO [TRYCREATE]")
        elif n % 8 == 5:
            data += tag + b" APPEND INBOX {0+}\r\n\r\n"
            want.append(tag + b" NO [CLIENTBUG]")
        elif n % 8 == 7:
            data += tag + b" APPEND INBOX " + literal(b"a\0b") + b"\r\n"
            want.append(tag + b" NO [CANNOT]")
        else:
            data += tag + b" APPEND INBOX " + literal(message(n)) + b"\r\n"
            want.append(tag + b" OK [APPENDUID ")
    wire.send(data + b"end STATUS INBOX (MESSAGES)\r\n")
    got = tagged(wire, 32)
    for wanted, line in zip(want, got):
        assert line.startswith(wanted), got
    uids = [int(line.split()[4].rstrip(b"]")) for line in got if b" OK " in line]
    assert uids == list(range(1, 21))
    assert wire.line() == b"* STATUS INBOX (MESSAGES 20)"
    assert [m.split(b"\r\n")[1] for m in stored(site, user)] == [b"Subject: number %d" % n for n in range(32) if n % 8 not in (3, 5, 7)]


def test_far_more_than_may_be_on_the_way(site, user):
    """24 MiB of messages sent without waiting: the session is not read while it has too much, and loses nothing. Without TLS: a connection
    of OpenSSL's is not for two threads at once."""
    count = 400
    wire = site.wire("imap", timeout=120)
    wire.imap(f"LOGIN {user}@example.test {PASSWORD}")
    bodies = [message(n, 60_000) for n in range(20)]
    data = b"".join(b"m%d APPEND INBOX " % n + literal(bodies[n % 20]) + b"\r\n" for n in range(count))
    sender = threading.Thread(target=wire.sock.sendall, args=(data,))
    sender.start()
    got = tagged(wire, count)
    sender.join()
    assert all(line.startswith(b"m%d OK [APPENDUID " % n) for n, line in enumerate(got))
    assert status(wire)["MESSAGES"] == count
    wire.close()


def test_multiappend_is_one(site, user, wire):
    """500 in one command; then one that fails at its last message, by each of the ways, and leaves nothing (RFC 3502)."""
    wire.send(b"a APPEND INBOX" + b"".join(b" (\\Seen) " + literal(message(n)) for n in range(500)) + b"\r\n")
    [line] = tagged(wire, 1)
    assert line.startswith(b"a OK [APPENDUID ") and b" 1:500]" in line
    for last in [literal(b"a\0b"), b"{0+}\r\n", literal(b"x") + b" junk", b"(\\Bad) " + literal(b"x"), literal(b"x") + b" \"no date\" {1+}\r\nx"]:
        wire.send(b"b APPEND INBOX" + b"".join(b" " + literal(message(n)) for n in range(20)) + b" " + last + b"\r\n")
        [line] = tagged(wire, 1)
        assert line.startswith((b"b NO ", b"b BAD ")), (last, line)
    assert status(wire) == {"MESSAGES": 500, "UIDNEXT": 501}


def test_multiappend_has_a_limit(site, user, wire):
    """Beyond what a command may keep in memory it is refused, all of it; the session goes on."""
    body = message(1, 60_000)
    wire.timeout = 60
    wire.send(b"a APPEND INBOX" + (b" " + literal(body)) * 450 + b"\r\n")
    [line] = tagged(wire, 1)
    assert line.startswith(b"a NO [LIMIT] "), line
    assert status(wire) == {"MESSAGES": 0, "UIDNEXT": 1}


def memory(site):
    """PSS of all imapd workers, KiB."""
    total = 0
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and b"imapd" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                if str(site.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    total += int(rollup.split("Pss:")[1].split()[0])
        except OSError:
            pass
    return total


def test_a_large_message_costs_no_memory(site, user, wire):
    """49 MiB: stored octet by octet, while memory stays flat."""
    body = message(1, 49 * MIB)
    wire.timeout = 120
    before = memory(site)
    wire.send(b"a APPEND INBOX {%d}\r\n" % len(body))
    assert wire.line().startswith(b"+ ")
    wire.send(body[: 40 * MIB])
    during = memory(site)
    wire.send(body[40 * MIB :] + b"\r\n")
    [line] = tagged(wire, 1)
    assert line.startswith(b"a OK [APPENDUID ")
    assert stored(site, user) == [body]
    if not SANITIZED:
        assert before > 0 and during - before < 8 * 1024, (before, during)


@pytest.mark.parametrize("sent", [0, 1, 3000, 5000, 100_000])
def test_gone_in_the_middle(site, user, sent):
    """Who goes away before the end of the command has appended nothing, and nothing is left of it."""
    body = message(1, 150_000)
    with connect(site, user) as wire:
        wire.send(b"a APPEND INBOX {%d+}\r\n" % len(body) + body[:sent])
        if sent == 5000:
            time.sleep(0.1)
    with connect(site, user) as wire:
        wire.send(b"a APPEND INBOX " + literal(message(2)) + b" {%d+}\r\n" % len(body) + body)  # no CRLF behind it
        time.sleep(0.1)
    with connect(site, user) as wire:
        assert status(wire) == {"MESSAGES": 0, "UIDNEXT": 1}
        wire.imap(b"APPEND INBOX " + literal(message(3)))
        assert status(wire) == {"MESSAGES": 1, "UIDNEXT": 2}


def test_over_quota(site, wire):
    """Refused before the message where its size says so, else at the commit; never a part of a MULTIAPPEND (RFC 9208)."""
    site.add_users(["small@example.test"], "50K")
    with connect(site, "small") as wire:
        wire.imap(b"APPEND INBOX " + literal(message(1, 20_000)))
        wire.send(b"a APPEND INBOX {40000}\r\n")
        assert wire.line().startswith(b"a NO [OVERQUOTA] ")
        lines = wire.imap(b"APPEND INBOX " + literal(message(2, 40_000)), want="NO [OVERQUOTA]")
        assert len(lines) == 1
        wire.imap(b"APPEND INBOX " + b" ".join(literal(message(n, 10_000)) for n in range(4)), want="NO [OVERQUOTA]")
        assert status(wire)["MESSAGES"] == 1
        wire.imap(b"APPEND INBOX " + literal(message(3, 10_000)))
        assert any(b"STORAGE 3" in line for line in wire.imap("GETQUOTAROOT INBOX"))


def test_the_rest_waits_for_appends(site, user, wire):
    """A command behind APPENDs sees what they did (RFC 9051 section 5.5), however it is sent."""
    for n in range(20):
        wire.send(b"a APPEND INBOX " + literal(message(n)) + b"\r\nb STATUS INBOX (MESSAGES)\r\nc APPEND Sent " + literal(message(n)) + b"\r\n")
        assert wire.line().startswith(b"a OK ")
        assert wire.line() == b"* STATUS INBOX (MESSAGES %d)" % (n + 1)
        assert wire.line().startswith(b"b OK ")
        assert wire.line().startswith(b"c OK ")


def test_several_sessions_of_one_account(site, user):
    """Eight clients at once, each pipelining: every UID is given once, nothing is lost."""
    wires = [connect(site, user) for _ in range(8)]
    for w in wires:
        w.send(b"".join(b"t%d APPEND INBOX " % n + literal(message(n)) + b"\r\n" for n in range(40)))
    uids = []
    for w in wires:
        for n, line in enumerate(tagged(w, 40)):
            assert line.startswith(b"t%d OK [APPENDUID " % n), line
            uids.append(int(line.split()[4].rstrip(b"]")))
    assert sorted(uids) == list(range(1, 321))
    assert status(wires[0]) == {"MESSAGES": 320, "UIDNEXT": 321}
    for w in wires:
        w.close()


def test_a_refused_message_is_swallowed(site, user, wire):
    """LITERAL+ of a message that cannot be: its octets are no commands (RFC 7888 section 4)."""
    evil = b"x LOGOUT\r\n" * 3000
    wire.send(b"a APPEND missing " + literal(evil) + b"\r\nb APPEND INBOX (\\Bad) " + literal(evil) + b"\r\nc NOOP\r\n")
    got = tagged(wire, 3)
    assert [line.split(b" ")[:2] for line in got] == [[b"a", b"NO"], [b"b", b"BAD"], [b"c", b"OK"]]


def test_a_message_of_another_world(site, user, wire):
    """2^63 and above, and what would fill the disk without a '+': refused at the announcement; with one the session ends."""
    for size in ("9223372036854775807", "9223372036854775808", "99999999999999999999999999"):
        assert wire.imap(f"APPEND INBOX {{{size}}}", want=None)[-1].split()[1] in (b"NO", b"BAD")
    wire.send(b"a APPEND INBOX {99999999999+}\r\n")
    assert b"BYE" in wire.until_close()


def test_a_large_message_behind_a_small_one_in_one_go(site):
    """The large one waits for a look at the quota in the midst of what was sent: the rest is read afterwards."""
    client = Imap(("127.0.0.1", site.ports["imap"])).login(f"alice@{DOMAIN}", PASSWORD)
    small = b"Subject: small\r\n\r\nx\r\n"
    large = b"Subject: large\r\n\r\n" + (b"y" * 70 + b"\r\n") * 2000
    client.command('CREATE "behind"').ok()
    answer = client.command('APPEND "behind" () ', small, " () ", large, " () ", small, " () ", large).ok()
    assert answer.code[0] == "APPENDUID" and answer.code[2] == "1:4"
    client.close()
