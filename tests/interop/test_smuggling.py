"""SMTP smuggling over the wire: only CR LF . CR LF ends a message, on every port, however the octets are cut.

smuggling.json: sequences of octets and whether they end DATA (CVE-2023-51764, -51765, -51766; VU#302671).
"""
import json
from pathlib import Path

import pytest

from harness.site import PASSWORD
from harness.wire import WireError, plain_token

CASES = json.loads((Path(__file__).resolve().parent / "smuggling.json").read_text())
SECOND = (b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
          b"From: alice@example.test\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n")


def in_data(site, port):
    wire = site.wire(port)
    wire.smtp("EHLO client.example", 250)
    if port == "submissions":
        wire.smtp("AUTH PLAIN " + plain_token("alice@example.test", PASSWORD), 235)
    wire.smtp("MAIL FROM:<alice@example.test>", 250)
    wire.smtp("RCPT TO:<bob@example.test>", 250)
    wire.smtp("DATA", 354)
    return wire


def replies(wire):
    found = []
    try:
        while True:
            found.append(wire.reply()[-1].decode())
    except WireError:
        return found


@pytest.mark.parametrize("port", ["smtp", "submissions"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["meaning"])
def test_only_one_sequence_ends_data(site, port, case):
    octets = bytes.fromhex(case["octets"])
    bare = any(octet in octets.replace(b"\r\n", b"") for octet in (b"\r", b"\n", b"\0"))
    with in_data(site, port) as wire:
        wire.send(b"From: alice@example.test\r\nSubject: first\r\n\r\ntext" + octets + SECOND + b"\r\n.\r\nQUIT\r\n")
        answers = replies(wire)
    arrived = site.mailbox("bob")
    site.empty("bob")
    if bare:
        assert answers == [a for a in answers if a.startswith("550 5.6.11")] and len(answers) == 1, answers
        assert arrived == []
    elif case["ends_data"]:
        assert len(arrived) == 2 and answers.count(answers[0]) and answers[0].startswith("250"), answers
    else:  # the octets are text; the whole rest up to the true end belongs to the one message
        assert len(arrived) == 1 and octets.replace(b"\r\n..", b"\r\n.")[:1] in arrived[0], answers
        assert b"RCPT TO:<bob@example.test>" in arrived[0]


@pytest.mark.parametrize("octets", [b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r\r\n", b"\r\n\0.\r\n"])
def test_cut_into_single_packets(site, octets):
    with in_data(site, "smtp") as wire:
        wire.send(b"Subject: first\r\n\r\ntext")
        wire.split = True
        try:
            wire.send(octets + b"MAIL FROM:<x@y.example>\r\n")
        except OSError:
            pass  # already closed
        answers = replies(wire)
    assert answers and all(a.startswith("550 5.6.11") for a in answers), answers
    assert site.mailbox("bob") == []
