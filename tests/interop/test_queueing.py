"""What of a message goes into mailboxes and what into the queue, and what stands in queue.db then (RFC 5321, RFC 4865, SRS; promises.md).

The resolver that is set does not answer, so nothing for elsewhere leaves the queue.
"""
import contextlib
import os
import re
import signal
import socket
import sqlite3

import pytest

from harness.site import PASSWORD, wait_for
from harness.wire import plain_token

TRUSTED = "127.0.0.5"
SITE = {"settings": {"smtp.relay_networks": f"{TRUSTED}/32", "dns.forward": "127.0.0.1@9"}}
KINDS = ("remote", "local", "sent")


@contextlib.contextmanager
def database(site, name):
    with contextlib.closing(sqlite3.connect(f"file:{site.data / name}?mode=ro", uri=True, timeout=30)) as db:
        db.row_factory = sqlite3.Row
        yield db


def queued(site, trace):
    """The entries of a transaction (its own, and those of aliases): {trace: (message row, [recipient rows])}."""
    with database(site, "queue.db") as db:
        rows = db.execute("SELECT * FROM message JOIN body USING (message_id) WHERE trace LIKE ? || '%'", (trace,)).fetchall()
        return {
            row["trace"]: (
                row,
                db.execute(
                    "SELECT recipient.*, lane.domain FROM recipient JOIN lane USING (lane_id) WHERE recipient_id >> 14 = ? "
                    "ORDER BY recipient_id", (row["message_id"],),
                ).fetchall(),
            )
            for row in rows
        }


def remotes(recipients):
    return [(r["address"], r["domain"]) for r in recipients if KINDS[r["kind"]] == "remote"]


def options(site, user, **values):
    """Options of an account, as the command line sets them."""
    with contextlib.closing(sqlite3.connect(site.data / "directory.db", timeout=30)) as db, db:
        for name, value in values.items():
            db.execute(
                f"UPDATE account SET {name} = ? WHERE account_id = (SELECT account_id FROM address WHERE local = ? AND login)",
                (value, user),
            )


def session(site, user=None, source=None):
    wire = site.wire("submissions") if user else site.wire("smtp", source=(source, 0) if source else None)
    wire.smtp("EHLO client.example", 250)
    if user:
        wire.smtp("AUTH PLAIN " + plain_token(f"{user}@example.test", PASSWORD), 235)
    return wire


def send(site, recipients, sender=None, user=None, source=None, header="", body="hello\r\n", want=250):
    """The reply's text, and the trace that it names (or None)."""
    sender = f"{user}@example.test" if sender is None else sender
    with session(site, user, source) as wire:
        wire.smtp(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            wire.smtp(f"RCPT TO:<{recipient}>", 250)
        wire.smtp("DATA", 354)
        wire.send(f"{header}From: {sender or 'a@b.example'}\r\nSubject: x\r\n\r\n{body}.\r\n")
        reply = wire.expect(want)
    found = re.search(r"(?:queued as|delivered, id) (\S+)", reply)
    return reply, found and found.group(1)


@pytest.fixture
def user(site, request):
    name = "q" + str(abs(hash(request.node.name)) % 10**9)
    site.add_users([f"{name}@example.test"])
    return name


def test_mail_for_another_server_is_in_the_queue(site):
    reply, trace = send(site, ["x@Foreign.example"], user="alice")
    assert f"250 2.0.0 queued as {trace}" in reply
    (message, recipients), = queued(site, trace).values()
    assert message["sender"] == "alice@example.test"
    assert remotes(recipients) == [("x@Foreign.example", "foreign.example")]
    prefix = message["prefix"].decode()
    assert prefix.startswith("Received: from submission\r\n\tby mail.example.test with ESMTPSA")
    assert "127.0.0.1" not in prefix and "client.example" not in prefix  # where our users are is nobody's business
    assert f"\tid {trace}\r\n" in prefix and "\r\nMessage-ID: <" in prefix
    assert message["bytes"].endswith(b"\r\n\r\nhello\r\n")
    assert message["expires"] - message["created"] == 5 * 86400 * 1000


def test_a_large_one_is_a_file(site):
    _, trace = send(site, ["x@foreign.example"], user="alice", body="a line that is long enough\r\n" * 8000)
    (message, _), = queued(site, trace).values()
    assert message["bytes"] is None and message["length"] > 200000
    assert [p for p in (site.data / "queue").rglob("*") if p.is_file() and p.stat().st_size == message["length"]]


def test_here_and_there_is_one_entry(site, user):
    _, trace = send(site, [f"{user}@example.test", "x@foreign.example", "y@foreign.example"], user="alice")
    (message, recipients), = queued(site, trace).values()
    assert remotes(recipients) == [("x@foreign.example", "foreign.example"), ("y@foreign.example", "foreign.example")]
    # Whoever is here has it already where a relay is running, and once.
    here = [r["address"] for r in recipients if KINDS[r["kind"]] == "local"]
    assert here == [f"{user}@example.test"] or wait_for(lambda: len(site.mailbox(user)) == 1, 30, "delivered by the relay")


def test_who_may_relay(site):
    with session(site) as wire:
        wire.smtp("MAIL FROM:<a@remote.example>", 250)
        assert "550 5.7.1" in wire.smtp("RCPT TO:<x@foreign.example>", 550)
    _, trace = send(site, ["x@foreign.example"], sender="printer@office.example", source=TRUSTED)
    (message, recipients), = queued(site, trace).values()
    assert (message["sender"], message["account_id"]) == ("printer@office.example", 0)
    assert "[127.0.0.5]" in message["prefix"].decode()  # nobody has logged in: it says where it comes from


def test_a_program_of_this_machine(site):
    """By the sendmail command's socket; what such mail lacks is added, as to a submission."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock, sock.makefile("rwb", buffering=0) as stream:
        sock.settimeout(60)
        sock.connect(str(site.data / "run" / "sendmail"))

        def say(line, want):
            stream.write(line)
            while (reply := stream.readline())[3:4] == b"-":
                assert b"STARTTLS" not in reply and b"AUTH" not in reply
            assert reply.startswith(want), reply
            return reply

        assert stream.readline().startswith(b"220 ")
        say(b"EHLO localhost\r\n", b"250 ")
        say(b"MAIL FROM:<root@mail.example.test>\r\n", b"250 ")
        say(b"RCPT TO:<x@foreign.example>\r\n", b"250 ")
        say(b"DATA\r\n", b"354 ")
        trace = say(b"Subject: cron\r\n\r\nx\r\n.\r\n", b"250 2.0.0 queued as ").split()[-1].decode()
    (message, recipients), = queued(site, trace).values()
    assert remotes(recipients) == [("x@foreign.example", "foreign.example")]
    prefix = message["prefix"].decode()
    assert prefix.startswith(f"Received: from localhost (uid {os.geteuid()})\r\n")
    assert "\r\nDate: " in prefix and "\r\nMessage-ID: <" in prefix


def test_an_alias_that_leads_away_and_the_way_back(site):
    site.posthouse("alias", "add", "fwd@example.test", "away@elsewhere.example")
    reply, trace = send(site, ["fwd@example.test"], sender="a.person@sender.example")
    (message, recipients), = queued(site, trace).values()
    assert re.fullmatch(r"SRS0=[^=]{4,}=[^=]+=sender\.example=a\.person@example\.test", message["sender"])
    assert remotes(recipients) == [("away@elsewhere.example", "elsewhere.example")]
    assert message["prefix"].startswith(b"Delivered-To: fwd@example.test\r\nReceived: from client.example")
    assert message["bytes"].startswith(b"From: a.person@sender.example\r\n")  # as it came: signatures stay whole

    _, back = send(site, [message["sender"]], sender="")  # a bounce
    (message, recipients), = queued(site, back).values()
    assert (message["sender"], remotes(recipients)) == ("", [("a.person@sender.example", "sender.example")])
    with session(site) as wire:
        wire.smtp("MAIL FROM:<spam@remote.example>", 250)
        wire.smtp(f"RCPT TO:<{queued(site, trace)[trace][0]['sender']}>", 550)  # not a relay for everybody
        wire.smtp("RSET", 250)
        wire.smtp("MAIL FROM:<>", 250)
        wire.smtp("RCPT TO:<SRS0=AAAA=BB=sender.example=a@example.test>", 550)

    reply, _ = send(site, ["fwd@example.test"], sender="a@sender.example", header="Delivered-To: fwd@example.test\r\n", want=554)
    assert "554 5.4.6" in reply


def test_a_sender_of_ours_is_not_rewritten(site, user):
    site.posthouse("alias", "add", "both@example.test", f"{user}@example.test", "away@elsewhere.example")
    _, trace = send(site, ["both@example.test", "x@foreign.example"], user="alice")
    entries = queued(site, trace)
    assert sorted(entries) == [trace, f"{trace}-1"]
    assert remotes(entries[trace][1]) == [("x@foreign.example", "foreign.example")]
    assert remotes(entries[f"{trace}-1"][1]) == [("away@elsewhere.example", "elsewhere.example")]
    assert entries[f"{trace}-1"][0]["sender"] == "alice@example.test"


def test_undo_time_holds_all_of_it(site, user):
    options(site, user, undo_seconds=3000)
    _, trace = send(site, ["bob@example.test", "x@foreign.example"], user=user)
    (message, recipients), = queued(site, trace).values()
    assert [KINDS[r["kind"]] for r in recipients] == ["local", "remote"]
    assert all(r["next_attempt"] == message["created"] + 3000 * 1000 for r in recipients)
    assert message["expires"] == message["created"] + (3000 + 5 * 86400) * 1000


def test_a_mailbox_that_is_full_keeps_the_others_waiting_for_nothing(site, user):
    site.fresh_user("full", quota="100K")
    _, trace = send(site, [f"{user}@example.test", "full@example.test"], sender="a@remote.example")
    assert queued(site, trace) == {}  # both had room
    reply, trace = send(
        site, [f"{user}@example.test", "full@example.test"], sender="a@remote.example", body=("x" * 70 + "\r\n") * 3000
    )
    assert f"queued as {trace}" in reply
    (message, recipients), = queued(site, trace).values()
    assert [(KINDS[r["kind"]], r["address"]) for r in recipients] == [("local", "full@example.test")]
    assert len(site.mailbox(user)) == 2


def test_a_subaddress_finds_its_folder(site, user):
    options(site, user, detail_folders=1)
    with site.imap_wire(user) as wire:
        wire.imap("CREATE lists")
        send(site, [f"{user}+lists@example.test"], sender="a@remote.example")
        send(site, [f"{user}+nosuch@example.test"], sender="a@remote.example")
        send(site, [f"{user}@example.test"], sender="a@remote.example")
        assert b"MESSAGES 1" in b"".join(wire.imap("STATUS lists (MESSAGES)"))
        assert b"MESSAGES 2" in b"".join(wire.imap("STATUS INBOX (MESSAGES)"))


def test_the_limits_of_a_day(site, user):
    options(site, user, recipients_a_day=3)
    send(site, ["a@foreign.example", "b@foreign.example"], user=user)
    with session(site, user) as wire:
        wire.smtp(f"MAIL FROM:<{user}@example.test>", 250)
        wire.smtp("RCPT TO:<c@foreign.example>", 250)
        assert "451 4.7.1" in wire.smtp("RCPT TO:<d@foreign.example>", 451)
        wire.smtp("RCPT TO:<bob@example.test>", 250)  # those here do not count
    assert f"login={user}@example.test" in next(l for l in site.log_text().splitlines() if "smtp.limit" in l)


def test_a_user_who_is_removed_leaves_nothing_of_whom_they_wrote_to(site, user):
    def known():
        with database(site, "queue.db") as db:
            return tuple(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("known_recipient", "sending"))

    before = known()
    send(site, ["a@foreign.example", "b@foreign.example"], user=user)
    assert known()[0] == before[0] + 2 and known()[1] > before[1]
    site.posthouse("user", "remove", f"{user}@example.test")
    assert known() == before


@pytest.mark.parametrize("recipient", ["bob@example.test", "x@foreign.example"])
def test_the_copy_for_sent_is_there_once(site, user, recipient):
    """Filed before the 250, so a client that appends its own right away is told where it is."""
    options(site, user, file_sent=1)
    text = f"From: {user}@example.test\r\nMessage-ID: <once@client.example>\r\nSubject: x\r\n\r\nhello\r\n".encode()
    with session(site, user) as smtp, site.imap_wire(user) as imap:
        smtp.smtp(f"MAIL FROM:<{user}@example.test>", 250)
        smtp.smtp(f"RCPT TO:<{recipient}>", 250)
        smtp.smtp("DATA", 354)
        smtp.send(text + b".\r\n")
        smtp.expect(250)
        imap.imap("SELECT Sent")
        assert b"FLAGS (\\Seen)" in b"".join(imap.imap("FETCH 1 (FLAGS)"))
        told = imap.imap(b"APPEND Sent (\\Seen) {%d+}\r\n%s" % (len(text), text))[-1]
        uid = re.search(rb"\(UID (\d+)\)", b"".join(imap.imap("FETCH 1 (UID)"))).group(1)
        assert re.search(rb"OK \[APPENDUID \d+ %s\]" % uid, told), told
        other = text.replace(b"once@", b"other@")
        imap.imap(b"APPEND Sent {%d+}\r\n%s" % (len(other), other))
        # What a client writes anew, as without its attachments, before it deletes the first, is no copy; one with another header is.
        lighter = text.replace(b"hello", b"hi")
        told = imap.imap(b"APPEND Sent {%d+}\r\n%s" % (len(lighter), lighter))[-1]
        assert not re.search(rb"APPENDUID \d+ %s\]" % uid, told), told
        marked = b"X-Client: yes\r\n" + text[:-2]
        told = imap.imap(b"APPEND Sent {%d+}\r\n%s" % (len(marked), marked))[-1]
        assert re.search(rb"APPENDUID \d+ %s\]" % uid, told), told
        imap.imap(b"APPEND INBOX {%d+}\r\n%s" % (len(text), text))
        imap.imap("NOOP")
        assert b"MESSAGES 3" in b"".join(imap.imap("STATUS Sent (MESSAGES)"))
        assert b"MESSAGES 1" in b"".join(imap.imap("STATUS INBOX (MESSAGES)"))
    # The relay has the same copy to file, under the same operation id: it finds it done.
    wait_for(lambda: not sent_is_waiting(site) or not site.pids("relayd"), 30, "the relay has seen to it")
    with site.imap_wire(user) as imap:
        assert b"MESSAGES 3" in b"".join(imap.imap("STATUS Sent (MESSAGES)"))


def sent_is_waiting(site):
    with database(site, "queue.db") as db:
        return db.execute("SELECT 1 FROM recipient WHERE kind = 2").fetchone() is not None


def test_without_the_option_every_append_counts(site, user):
    text = f"From: {user}@example.test\r\nMessage-ID: <twice@client.example>\r\n\r\nhello\r\n".encode()
    with site.imap_wire(user) as imap:
        for _ in range(2):
            imap.imap(b"APPEND Sent {%d+}\r\n%s" % (len(text), text))
        assert b"MESSAGES 2" in b"".join(imap.imap("STATUS Sent (MESSAGES)"))


def test_the_story_is_told(site):
    _, trace = send(site, ["bob@example.test"], sender="a@remote.example")
    _, away = send(site, ["x@foreign.example"], user="alice")

    def kinds(of):
        with database(site, "events.db") as db:
            return [row["kind"] for row in db.execute("SELECT kind FROM event WHERE trace = ? ORDER BY at, event_id", (of,))]

    wait_for(lambda: kinds(trace) == [1, 4], 30, lambda: f"received, delivered: {kinds(trace)}")
    wait_for(lambda: {1, 3, 5} <= set(kinds(away)), 30, lambda: f"received, recipient, queued: {kinds(away)}")


def test_what_was_answered_is_there_after_kill_9(site):
    """Last in this module: every daemon that took mail dies."""
    _, trace = send(site, ["x@foreign.example"], user="alice")
    for pid in site.pids("smtpd"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    (_, recipients), = queued(site, trace).values()
    assert remotes(recipients) == [("x@foreign.example", "foreign.example")]
    site.wait_ready()
    _, trace = send(site, ["x@foreign.example"], user="alice")
    assert trace in queued(site, trace)


def test_a_domain_is_ours_or_elsewhere_from_the_moment_that_the_admin_says_so(site):
    """What smtpd has looked up a moment ago is not believed any longer (inbound/recipient_cache.h)."""
    with session(site, source=TRUSTED) as wire:
        def rcpt(want, address="x@moves.test"):
            for _ in range(3):  # the first is looked up, the others may be remembered
                wire.smtp(f"RCPT TO:<{address}>", want)

        wire.smtp("MAIL FROM:<a@remote.example>", 250)
        rcpt(250)
        site.posthouse("domain", "add", "moves.test")
        rcpt("550 5.1.1")
        site.posthouse("alias", "add", "*@moves.test", "alice@example.test")
        rcpt(250)
        site.posthouse("alias", "remove", "*@moves.test")
        rcpt("550 5.1.1", "y@moves.test")
        rcpt("550 5.1.1")
        site.posthouse("domain", "remove", "moves.test")
        rcpt(250)
