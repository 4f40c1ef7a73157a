"""Who gets a message, who may send as whom, and how a refusal is said (RFC 5321, RFC 6409; issue 5)."""
import json
import re
import time

import pytest

from harness.site import PASSWORD
from harness.wire import WireError, plain_token

DATA = b"From: alice@example.test\r\nSubject: %s\r\n\r\nbody\r\n.\r\n"


@pytest.fixture
def mx(site):
    with site.wire("smtp") as wire:
        wire.smtp("EHLO client.example", 250)
        yield wire


@pytest.fixture
def alice(site):
    """A submission session of alice's."""
    with site.wire("submissions") as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp("AUTH PLAIN " + plain_token("alice@example.test", PASSWORD), 235)
        yield wire


def transaction(wire, recipients, subject, sender="a@remote.example", want=250):
    wire.smtp(f"MAIL FROM:<{sender}>", 250)
    for recipient in recipients:
        wire.smtp(f"RCPT TO:{recipient if '<' in recipient else '<' + recipient + '>'}", 250)
    wire.smtp("DATA", 354)
    wire.send(DATA % subject.encode())
    return wire.expect(want)


def subjects(site, user):
    found = [re.search(rb"^Subject: (.*)\r$", m, re.M).group(1).decode() for m in site.mailbox(user)]
    site.empty(user)
    return found


def test_aliases_subaddresses_catch_all_and_postmaster(site, mx):
    site.posthouse("alias", "add", "team@example.test", "alice@example.test", "bob@example.test")
    site.posthouse("alias", "add", "postmaster@example.test", "carol@example.test")
    site.posthouse("domain", "add", "all.test")
    site.posthouse("alias", "add", "*@all.test", "carol@example.test")
    transaction(mx, ["team@example.test"], "team")
    transaction(mx, ["Alice+shop@EXAMPLE.test"], "sub")
    transaction(mx, ["anything.at-all@all.test"], "all")
    transaction(mx, ["<Postmaster>"], "pm")  # RFC 5321 §4.5.1: without a domain, in any case
    transaction(mx, ["POSTMASTER@example.test"], "pm2")
    assert subjects(site, "alice") == ["team", "sub"]
    assert subjects(site, "bob") == ["team"]
    assert subjects(site, "carol") == ["all", "pm", "pm2"]


def test_an_account_reached_twice_gets_one_copy(site, mx):
    site.posthouse("alias", "add", "twice@example.test", "alice@example.test", "bob@example.test")
    transaction(mx, ["alice@example.test", "twice@example.test", "alice+x@example.test"], "once")
    assert subjects(site, "alice") == ["once"]
    assert subjects(site, "bob") == ["once"]


def test_many_recipients(site, mx):
    names = [f"many{i:03}" for i in range(150)]  # RFC 5321 §4.5.3.1.8: at least 100
    site.add_users(names)
    transaction(mx, [f"{name}@example.test" for name in names], "many")
    for name in names:
        assert subjects(site, name) == ["many"], name


@pytest.mark.parametrize("recipient, code", [
    ("nobody@example.test", "550 5.1.1"),
    ("alicex@example.test", "550 5.1.1"),
    ("someone@remote.example", "550 5.7.1"),
    ("someone%remote.example@example.test", "550"),
    ("remote.example!someone@example.test", "550"),
    ("\"someone@remote.example\"@example.test", "550"),
    ("@example.test:someone@remote.example", "5"),
    ("@example.test,@remote.example:someone@remote.example", "5"),
    ("someone@remote.example@example.test", "501"),
    ("someone@[192.0.2.1]", "5"),
    ("", "5"),
])
def test_unknown_recipients_and_relaying_are_refused_at_rcpt(mx, recipient, code):
    mx.smtp("MAIL FROM:<a@remote.example>", 250)
    mx.smtp(f"RCPT TO:<{recipient}>", code)
    mx.smtp("DATA", "5")  # no valid recipient: RFC 5321 §3.3


@pytest.mark.parametrize("verb", ["EHLO client.example", "HELO client.example"])
def test_nothing_is_relayed_for_a_client_that_did_not_log_in(site, verb):
    for port in ("submission", "submissions"):
        with site.wire(port) as wire:
            if port == "submission":
                wire.smtp("EHLO x", 250)
                wire.smtp("STARTTLS", 220)
                wire.start_tls(site.ca.context(), "mail.example.test")
            wire.smtp(verb, 250)
            wire.smtp("MAIL FROM:<alice@example.test>", "530 5.7.0")  # RFC 6409 §4.3, RFC 4954 §6


def test_a_remote_recipient_is_taken_after_login(alice):
    alice.smtp("MAIL FROM:<alice@example.test>", 250)
    alice.smtp("RCPT TO:<someone@remote.example>", 250)
    alice.smtp("RCPT TO:<nobody@example.test>", "550 5.1.1")


@pytest.mark.parametrize("sender, code", [
    ("alice@example.test", "250"),
    ("ALICE@example.test", "250"),
    ("alice+tag@example.test", "250"),
    ("helpdesk@example.test", "250"),
    ("bob@example.test", "550 5.7.1"),
    ("bob+alice@example.test", "550 5.7.1"),
    ("alice@remote.example", "550 5.7.1"),
])
def test_a_user_sends_only_as_addresses_that_reach_that_user(site, alice, sender, code):
    """MAIL FROM (CVE-2024-7208, VU#244112: authenticated sender spoofing)."""
    site.posthouse("alias", "add", "helpdesk@example.test", "alice@example.test", want=None)
    alice.smtp(f"MAIL FROM:<{sender}>", code)


@pytest.mark.parametrize("header, code", [
    ("From: alice@example.test", "250"),
    ("From: \"bob@example.test\" <alice+x@example.test>", "250"),
    ("From: bob@example.test", "55"),
    ("From: Bob <bob@example.test>", "55"),
    ("From: alice@example.test, bob@example.test", "55"),
    ("From: alice@example.test\r\nFrom: bob@example.test", "55"),
    ("From: bob@example.test\r\nSender: alice@example.test", "55"),
    ("from : bob@example.test", "55"),
    ("From:\r\n bob@example.test", "55"),
])
def test_the_from_field_belongs_to_the_user_too(alice, header, code):
    alice.smtp("MAIL FROM:<alice@example.test>", 250)
    alice.smtp("RCPT TO:<alice@example.test>", 250)
    alice.smtp("DATA", 354)
    alice.send(f"{header}\r\nSubject: x\r\n\r\nbody\r\n.\r\n")
    alice.expect(code)


def test_submission_adds_date_and_message_id_once(site, alice):
    """RFC 6409 §8.2, §8.3; what is there is left alone."""
    site.empty("bob")
    transaction(alice, ["bob@example.test"], "added", sender="alice@example.test")
    alice.smtp("MAIL FROM:<alice@example.test>", 250)
    alice.smtp("RCPT TO:<bob@example.test>", 250)
    alice.smtp("DATA", 354)
    alice.send("From: alice@example.test\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <mine@x>\r\n\r\nx\r\n.\r\n")
    alice.expect(250)
    added, kept = site.mailbox("bob")
    site.empty("bob")
    for message in (added, kept):
        header = message.split(b"\r\n\r\n")[0]
        assert len(re.findall(rb"(?im)^date:", header)) == 1 and len(re.findall(rb"(?im)^message-id:", header)) == 1
    assert b"Message-ID: <mine@x>" in kept
    assert b"alice@example.test" not in re.search(rb"(?is)^received:.*?\r\n(?=\S)", added, re.M).group(0)


def test_trace_header(site, mx):
    """RFC 5321 §4.4; TLS said by "with" (RFC 3848); a null sender stands as <>."""
    site.empty("bob")
    mx.smtp("STARTTLS", 220)
    mx.start_tls(site.ca.context(), "mail.example.test")
    mx.smtp("EHLO the.client", 250)
    mx.smtp("MAIL FROM:<>", 250)
    mx.smtp("RCPT TO:<bob@example.test>", 250)
    mx.smtp("DATA", 354)
    mx.send(DATA % b"trace")
    mx.expect(250)
    (message,) = site.mailbox("bob")
    site.empty("bob")
    assert message.startswith(b"Return-Path: <>\r\nReceived: from the.client ")
    received = re.sub(rb"\r\n[ \t]+", b" ", message).split(b"\r\n")[1].decode()
    assert re.search(r"\[127\.0\.0\.1\].* by mail\.example\.test .*with ESMTPS.*; \w{3}, \d{1,2} \w{3} \d{4} ", received)


def test_over_quota_is_said_at_once(site, mx):
    """452 4.2.2: the owner may make room; 552 when the message alone is larger than the mailbox may ever be."""
    site.add_users(["small"], quota="100K")
    filler = b"x" * 76 + b"\r\n"
    mx.smtp("MAIL FROM:<a@remote.example> SIZE=300000", 250)
    assert re.match(r"(452 4\.2\.2|552 5\.2\.2)", mx.smtp("RCPT TO:<small@example.test>"))
    mx.smtp("RSET", 250)
    for wanted in (250, 452):
        mx.smtp("MAIL FROM:<a@remote.example>", 250)
        refused = mx.smtp("RCPT TO:<small@example.test>")
        if refused.startswith("250"):
            mx.smtp("DATA", 354)
            mx.send(b"Subject: x\r\n\r\n" + filler * 800 + b".\r\n")
            refused = mx.expect()
        assert refused.startswith("250" if wanted == 250 else "452 4.2.2"), refused
    assert len(site.mailbox("small")) == 1
    site.empty("small")  # room again, at once
    transaction(mx, ["small@example.test"], "fits again")
    assert subjects(site, "small") == ["fits again"]


def test_one_full_mailbox_does_not_stop_the_others(site, mx):
    """RFC 5321 §4.4: what some have taken is ours; test_queueing.py has what becomes of the rest."""
    site.empty("alice")
    site.add_users(["tight"], quota="20K")
    filler = b"x" * 76 + b"\r\n"
    mx.smtp("MAIL FROM:<a@remote.example>", 250)
    mx.smtp("RCPT TO:<alice@example.test>", 250)
    mx.smtp("RCPT TO:<tight@example.test>", 250)
    mx.smtp("DATA", 354)
    mx.send(b"From: a@remote.example\r\nSubject: partly\r\nMessage-ID: <partly@x>\r\n\r\n" + filler * 350 + b".\r\n")
    assert "queued as" in mx.expect(250)
    assert subjects(site, "alice") == ["partly"]
    assert subjects(site, "tight") == []


def test_a_message_sent_twice_on_purpose_arrives_twice(site, mx):
    site.empty("alice")
    transaction(mx, ["alice@example.test", "bob@example.test"], "same")
    transaction(mx, ["alice@example.test", "bob@example.test"], "same")
    assert subjects(site, "alice") == ["same", "same"]
    assert subjects(site, "bob") == ["same", "same"]


def test_a_mail_loop_is_cut(mx):
    """RFC 5321 §6.3."""
    mx.smtp("MAIL FROM:<a@remote.example>", 250)
    mx.smtp("RCPT TO:<bob@example.test>", 250)
    mx.smtp("DATA", 354)
    mx.send(b"Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000\r\n" * 120 + b"\r\nx\r\n.\r\n")
    mx.expect("554 5.4.6")


def test_the_admin_changes_users_while_all_runs(site, mx):
    site.add_user("dave")
    transaction(mx, ["dave@example.test"], "hello dave")
    assert subjects(site, "dave") == ["hello dave"]
    site.posthouse("user", "password", "dave@example.test", "--password-stdin", stdin="other\n")
    with pytest.raises(WireError):
        site.mailbox("dave")
    assert site.mailbox("dave", password="other") == []
    site.posthouse("user", "disable", "dave@example.test")
    time.sleep(0.3)
    with pytest.raises(WireError):
        site.mailbox("dave", password="other")
    transaction(mx, ["dave@example.test"], "kept")  # disabling stops logins, not mail (docs/decisions.md)
    site.posthouse("user", "enable", "dave@example.test")
    assert len(site.mailbox("dave", password="other")) == 1
    shown = json.loads(site.posthouse("user", "list", "--json"))
    assert "dave@example.test" in json.dumps(shown)
    site.posthouse("user", "remove", "dave@example.test")
    mx.smtp("MAIL FROM:<a@remote.example>", 250)
    mx.smtp("RCPT TO:<dave@example.test>", "550 5.1.1")


def test_ipv6(site):
    with site.wire("smtp", address="::1") as wire:
        wire.smtp("EHLO [IPv6:::1]", 250)
        transaction(wire, ["bob@example.test"], "six")
    (message,) = site.mailbox("bob")
    site.empty("bob")
    assert b"[IPv6:::1]" in message
