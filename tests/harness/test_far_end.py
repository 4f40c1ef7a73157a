"""The far end against a client that is known: it says what it was told to say, and counts what it took, no more."""
import smtplib
import socket

import pytest

from harness.far_end import DIE, DROP, OFFERS, FarEnd, Slow, Then
from harness.site import free_port
from harness.wire import Wire

TEXT = b"X-Mark: m1\r\nSubject: x\r\n\r\n.dot\r\nbody\r\n"


@pytest.fixture(scope="module")
def far():
    with FarEnd(free_port()) as made:
        yield made


def client(far, server):
    return smtplib.SMTP(server.address, far.port, timeout=60)


def test_what_it_takes_is_what_was_sent(far):
    server = far.server()
    with client(far, server) as smtp:
        smtp.sendmail("a@b.example", ["x@far.example", "y@far.example"], TEXT, mail_options=["BODY=8BITMIME"])
    (taken,) = server.taken
    assert taken.data == TEXT and taken.mark == "m1" and taken.addresses == ["x@far.example", "y@far.example"]
    assert taken.sender == "a@b.example" and "BODY=8BITMIME" in taken.parameters and taken.answered
    assert far.counts()["m1", "x@far.example"] == 1


def test_answers_one_after_the_other_and_by_recipient(far):
    server = far.server(rcpt={"no@far.example": "550 no", "later@far.example": ["450 later", None]}, end=["451 later", None])
    for wanted in (["later@far.example", "no@far.example"], ["no@far.example"]):
        with client(far, server) as smtp:
            smtp.ehlo()
            smtp.mail("a@b.example")
            refused = [r for r in ("yes@far.example", "later@far.example", "no@far.example") if smtp.rcpt(r)[0] != 250]
            assert refused == wanted
            assert smtp.data(TEXT)[0] == (451 if len(wanted) == 2 else 250)
    assert [t.addresses for t in server.taken] == [["yes@far.example", "later@far.example"]]


@pytest.mark.parametrize("answer, taken", [(DROP, 0), (DIE, 1), (Then("421 bye", DROP), 0), ("554 no", 0), (Slow("250 ok"), 1), (None, 1)])
def test_the_end_of_data(far, answer, taken):
    server = far.server(end=answer)
    good = answer is None or isinstance(answer, Slow)
    with client(far, server) as smtp:
        try:
            smtp.sendmail("a@b.example", ["x@far.example"], TEXT)
            assert good
        except (smtplib.SMTPException, OSError):
            assert not good
    assert [t.answered for t in server.taken] == [answer is not DIE] * taken


def test_lmtp_answers_each(far):
    server = far.server(lmtp=True, offers=OFFERS, end={"no@far.example": "550 no"})
    with Wire((server.address, far.port)) as lmtp:  # smtplib's LMTP reads one answer
        lmtp.expect(220)
        for command in ("LHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<yes@far.example>", "RCPT TO:<no@far.example>"):
            lmtp.smtp(command, 250)
        lmtp.smtp("DATA", 354)
        lmtp.send(TEXT + b".\r\n")
        lmtp.expect(250)
        lmtp.expect(550)
    assert [t.addresses for t in server.taken] == [["yes@far.example"]]


def test_garbage_is_sent_as_it_is(far):
    server = far.server(banner=Then(b"\x00\xff\r\n", DROP))
    with socket.create_connection((server.address, far.port), timeout=60) as sock:
        assert sock.recv(100) == b"\x00\xff\r\n" and sock.recv(100) == b""
