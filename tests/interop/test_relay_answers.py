"""What the other server says at each step, and what becomes of the message then (RFC 5321 §4.2, RFC 3463; promises.md, hostile far ends).

The schedule is moved by `posthouse queue retry` and by making entries older (world.age), never by waiting.
"""
import pytest

from harness.far_end import DIE, DROP, ENDLESS, HANG, OFFERS, Slow, Then
from harness.outside import Outside
from harness.site import HANG_SECONDS, wait_for

HOUR = 3600 * 1000


@pytest.fixture(scope="module")
def world():
    with Outside() as made:
        yield made


def drop(world, address):
    world.site.posthouse("queue", "drop", "--recipient", address)


@pytest.mark.parametrize("step, answer", [
    ("banner", Then("421 4.3.2 come later", DROP)), ("mail", "451 4.3.0 come later"), ("rcpt", "450 4.2.1 come later"), ("data", "451 4.3.0 come later"),
    ("end", "452 4.3.1 come later"), ("end", Then("421 4.3.2 come later", DROP)),
])
def test_come_later(world, step, answer):
    """4yz: it stays, with the other server's words, and goes at the next try."""
    name = f"later-{step}-{'421' if isinstance(answer, Then) else '4'}.example"
    far = world.domain(name, **{step: [answer, None]})
    mark = world.send(f"x@{name}")
    row = world.deferred(f"x@{name}")
    assert "come later" in row["last_reply"] and row["attempts"] == 1 and not far.taken
    assert 50_000 <= row["next_attempt_ms"] - row["created_ms"] <= 120_000  # [queue] retry begins with 1m
    world.retry("--recipient", f"x@{name}")
    assert far.wait()[0].mark == mark
    world.gone(f"x@{name}")


@pytest.mark.parametrize("step, status", [("mail", "5.7.1"), ("rcpt", "5.1.1"), ("data", "5.6.0"), ("end", "5.7.9")])
def test_no_for_good(world, step, status):
    """5yz: the sender is told, in words and for programs, with what the other server said."""
    name = f"never-{step}.example"
    world.domain(name, **{step: f"55{'0' if step != 'end' else '4'} {status} never\nreally not"})
    world.send(f"x@{name}", header="Message-ID: <m@client.example>\r\n")
    report = world.report(f"x@{name}")
    fields = report.per[f"x@{name}"]
    assert fields["Status"] == status and fields["Action"] == "failed"
    assert fields["Remote-MTA"].replace(" ", "") == f"dns;mx.{name}" and fields["Diagnostic-Code"].startswith("smtp;"), report.octets
    assert "really not" in fields["Diagnostic-Code"] and "never" in report.human and f"x@{name}" in report.human
    assert report.fields["Reporting-MTA"].replace(" ", "") == "dns;mail.example.test" and report.fields["Arrival-Date"]
    assert report.message["To"].addresses[0].addr_spec == "alice@example.test" and b"m@client.example" in report.original.as_bytes()


@pytest.mark.parametrize("what, answer", [
    ("drop at banner", {"banner": DROP}), ("drop at ehlo", {"ehlo": DROP, "helo": DROP}), ("drop at mail", {"mail": DROP}),
    ("drop at rcpt", {"rcpt": DROP}), ("drop at data", {"data": DROP}), ("drop at end", {"end": DROP}),
    ("garbage at banner", {"banner": b"\x00\xff\x13 hello there\r\n"}), ("garbage at ehlo", {"ehlo": b"what?\r\n"}),
    ("garbage at mail", {"mail": b"9999 \x1b[2J\r\n"}), ("garbage at end", {"end": b"\r\n\r\n\r\n"}),
    ("endless banner", {"banner": ENDLESS}), ("endless ehlo", {"ehlo": ENDLESS}), ("endless line", {"mail": b"250 " + b"x" * 200_000 + b"\r\n"}),
    ("reply unasked", {"banner": b"220 hi\r\n250 go\r\n250 go\r\n354 go\r\n250 taken\r\n"}),
])
def test_hostile(world, what, answer):
    """The connection ends, the message stays; nothing hangs, nothing is believed."""
    name = what.replace(" ", "-") + ".example"
    far = world.domain(name, **answer)
    world.send(f"x@{name}")
    row = world.deferred(f"x@{name}")
    assert not far.taken, row
    assert row["last_reply"].isprintable(), row
    drop(world, f"x@{name}")


@pytest.mark.parametrize("what, answers", [
    ("helo only", {"ehlo": "502 5.5.1 what?"}), ("greeting of lines", {"banner": "220 a\n220 b\n220 c"}), ("bare lf", {"banner": b"220 hi\n"}),
    ("bare code", {"mail": b"250\r\n", "rcpt": b"250\r\n", "end": b"250\r\n"}), ("251", {"rcpt": "251 2.1.5 will forward"}),
    ("354 of lines", {"data": "354 go on\nplease"}), ("no enhanced codes", {"mail": "250 ok", "rcpt": "250 ok", "end": "250 ok"}),
    ("small letters", {"ehlo": b"250-far\r\n250-size 10000000\r\n250-8bitmime\r\n250 pipelining\r\n"}),
    ("strange words", {"ehlo": "250 far\nX-WHAT=EVER\nAUTH=LOGIN\n250\nSIZE\n8BITMIME a b c"}), ("other 2yz", {"end": "299 sure"}),
    ("eight bits in a reply", {"mail": b"250 gr\xfc\xdfe\r\n"}), ("closes after quit", {"quit": DROP}),
])
def test_tolerated(world, what, answers):
    name = what.replace(" ", "-") + ".example"
    far = world.domain(name, **answers)
    world.send(f"x@{name}")
    far.wait()
    world.gone(f"x@{name}")
    assert len(far.taken) == 1


def test_nobody_is_hurried_who_does_not_offer_it(world):
    """RFC 2920: one command at a time, unless PIPELINING is offered; and then in groups."""
    patient = world.domain("patient.example", offers=[o for o in OFFERS if o != "PIPELINING"])
    quick = world.domain("quick.example")
    world.send(*(f"u{i}@{name}.example" for name in ("patient", "quick") for i in range(10)))
    patient.wait()
    quick.wait()
    assert patient.early == 0 and quick.early > 0
    assert len(patient.taken[0].recipients) == len(quick.taken[0].recipients) == 10


def test_a_server_that_closes_after_each_message_costs_no_try(world):
    far = world.domain("one-each.example", end=Then("250 2.0.0 taken", DROP))
    for count in range(1, 9):
        mark = world.send("x@one-each.example")
        assert far.wait(count)[-1].mark == mark
    world.gone("x@one-each.example")
    assert len(far.taken) == 8 and "to=x@one-each.example status=4" not in world.site.log_text()


def test_many_recipients_are_several_transactions(world):
    """RFC 5321 §4.5.3.1.8: no more than 100 at once to who says nothing about it."""
    far = world.domain("herd.example")
    names = [f"u{i}@herd.example" for i in range(250)]
    world.send(*names)
    wait_for(lambda: sum(len(t.recipients) for t in far.taken) >= 250, HANG_SECONDS, world.story)
    world.gone(*names)
    assert sorted(a for t in far.taken for a in t.addresses) == sorted(names) and max(len(t.recipients) for t in far.taken) <= 100


def test_impatience_doubles_nothing(world):
    """`queue retry` again and again, hold and release, while everything is on its way."""
    far = world.domain("hurry.example", end=Slow("250 2.0.0 taken"))
    marks = [world.send("x@hurry.example", "y@hurry.example") for _ in range(40)]
    for _ in range(5):
        world.retry("--all")
        world.site.posthouse("queue", "hold", "--recipient", "y@hurry.example")
        world.site.posthouse("queue", "release", "--recipient", "y@hurry.example")
    wait_for(lambda: sum(len(t.recipients) for t in far.taken) >= 80, HANG_SECONDS, world.story)
    world.gone("x@hurry.example", "y@hurry.example")
    counts = [(t.mark, a) for t in far.taken for a in t.addresses]
    assert sorted(counts) == sorted((m, a) for m in marks for a in ("x@hurry.example", "y@hurry.example"))


def test_slow_answers_are_waited_for(world):
    far = world.domain("slow.example", banner=Slow("220 s"), mail=Slow("250 s"), rcpt=Slow("250 s"), end=Slow("250 s"))
    world.send("x@slow.example")
    far.wait()
    world.gone("x@slow.example")


@pytest.mark.parametrize("step", ["banner", "ehlo", "starttls", "handshake", "mail", "rcpt", "data", "end"])
def test_who_hangs_is_left_by_an_end_of_the_suite(world, step):
    """A message in the hands of a server that says nothing is in the queue all the while, and others pass it."""
    name = f"hang-{step}.example"
    answers = {"starttls": Then("220 2.0.0 go", HANG)} if step == "handshake" else {step: HANG}
    far = world.domain(name, **answers, **({"certificate": world.certificate(f"mx.{name}")} if step in ("starttls", "handshake") else {}))
    world.send(f"x@{name}")
    wait_for(lambda: far.sessions, HANG_SECONDS, world.story)
    other = world.domain(f"other-{step}.example")
    world.send(f"x@other-{step}.example")
    other.wait()
    assert world.waiting(f"x@{name}")
    drop(world, f"x@{name}")
    far.release()


def test_each_recipient_gets_the_answer_it_deserves(world):
    far = world.domain("mixed.example", rcpt={"no@mixed.example": "550 5.1.1 unknown", "later@mixed.example": ["450 4.2.1 full", None]})
    mark = world.send("yes@mixed.example", "no@mixed.example", "later@mixed.example", "also@mixed.example")
    assert far.wait()[0].addresses == ["yes@mixed.example", "also@mixed.example"]
    report = world.report("no@mixed.example")
    assert set(report.per) == {"no@mixed.example"}
    assert world.deferred("later@mixed.example")["last_reply"].startswith("450")
    world.retry("--recipient", "later@mixed.example")
    assert far.wait(2)[1].addresses == ["later@mixed.example"]
    world.gone("later@mixed.example")
    assert {far.taken[0].mark, far.taken[1].mark} == {mark} and len(far.taken) == 2


def test_a_server_that_dies_between_its_end_and_its_250(world):
    """RFC 1047: the one case in which a message may arrive twice; and it does not get lost."""
    far = world.domain("dies.example", end=[DIE, None])
    mark = world.send("x@dies.example")
    world.deferred("x@dies.example")
    world.retry("--recipient", "x@dies.example")
    assert [t.mark for t in far.wait(2)] == [mark, mark] and [t.answered for t in far.taken] == [False, True]
    world.gone("x@dies.example")


def test_the_sender_is_warned_once(world):
    world.domain("warned.example", mail="451 4.3.0 later")
    world.send("x@warned.example")
    world.deferred("x@warned.example")
    world.age("x@warned.example", created_ms=5 * HOUR, expires_ms=5 * HOUR)
    for attempt in (2, 3):
        world.retry("--recipient", "x@warned.example")
        world.deferred("x@warned.example", attempt)
    report = world.report("x@warned.example", action="delayed")  # once
    fields = report.per["x@warned.example"]
    assert fields["Status"].startswith("4.") and fields["Will-Retry-Until"], report.octets
    assert "451 4.3.0 later" in report.human
    drop(world, "x@warned.example")


def test_given_up_after_five_days(world):
    world.domain("expired.example", mail="451 4.3.0 later")
    world.send("x@expired.example")
    world.deferred("x@expired.example")
    world.age("x@expired.example", created_ms=121 * HOUR, expires_ms=121 * HOUR)
    world.retry("--recipient", "x@expired.example")
    report = world.report("x@expired.example")
    assert report.per["x@expired.example"]["Status"] == "4.4.7" or report.per["x@expired.example"]["Status"].startswith("5."), report.octets
    assert "451 4.3.0 later" in report.human
    world.gone("x@expired.example")


def test_the_null_sender_is_never_answered(world):
    """RFC 5321 §4.5.5: also not by a report about a report."""
    world.site.posthouse("alias", "add", "out@example.test", "x@null-sender.example")
    world.domain("null-sender.example", rcpt="550 5.1.1 unknown")
    world.receive("out@example.test", sender="")
    world.gone("x@null-sender.example")
    wait_for(lambda: "to=x@null-sender.example status=5.1.1" in world.site.log_text(), HANG_SECONDS, world.story)
    world.gone("")
    assert not world.queue() or all("null-sender" not in row["recipient"] for row in world.queue())
    assert not any(b"null-sender" in m for user in world.users for m in world.site.mailbox(user))


def test_notify_never_and_success(world):
    """RFC 3461: who does not want a report gets none; success is told where the next server does not promise to."""
    plain = [o for o in OFFERS if o != "DSN"]
    world.domain("never.example", rcpt="550 5.1.1 unknown")
    world.domain("relayed.example", offers=plain)
    far = world.domain("passed.example")
    world.send("n@never.example", rcpt=" NOTIFY=NEVER")
    world.gone("n@never.example")
    world.send("s@relayed.example", mail=" ENVID=abc+2B RET=HDRS", rcpt=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@example.test")
    report = world.report("s@relayed.example", action="relayed")
    assert report.fields["Original-Envelope-Id"] == "abc+"
    assert report.per["s@relayed.example"]["Original-Recipient"].replace(" ", "") == "rfc822;first@example.test"
    assert report.original.get_content_type() == "text/rfc822-headers"
    world.send("p@passed.example", mail=" ENVID=abc RET=HDRS", rcpt=" NOTIFY=SUCCESS ORCPT=rfc822;p@passed.example")
    taken = far.wait()[0]
    assert {"ENVID=abc", "RET=HDRS"} <= set(taken.parameters)  # passed on: the next one tells
    assert taken.recipients == [("p@passed.example", ["NOTIFY=SUCCESS", "ORCPT=rfc822;p@passed.example"])]
    world.gone("p@passed.example")
    told = b"".join(world.site.mailbox("alice"))
    assert b"n@never.example" not in told and b"p@passed.example" not in told


EIGHT = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n"
SEVEN = [o for o in OFFERS if o not in ("8BITMIME", "SMTPUTF8")]


def test_eight_bits_to_a_server_with_seven(world):
    """RFC 6152 §3: converted, and the same to who reads it."""
    import email
    far = world.domain("seven.example", offers=SEVEN)
    other = world.domain("eight.example")
    world.send("x@seven.example", mail=" BODY=8BITMIME", header=EIGHT, body="grüße, Ωμέγα\r\n")
    world.send("x@eight.example", mail=" BODY=8BITMIME", header=EIGHT, body="grüße, Ωμέγα\r\n")
    taken = far.wait()[0]
    assert max(taken.data) < 128 and not any(p.startswith("BODY=8") for p in taken.parameters)
    assert email.message_from_bytes(taken.data).get_payload(decode=True).decode() == "grüße, Ωμέγα\r\n"
    taken = other.wait()[0]
    assert "grüße, Ωμέγα\r\n".encode() in taken.data and "BODY=8BITMIME" in taken.parameters


def test_what_is_signed_is_not_converted(world):
    """A signature over the octets would break: it goes back instead."""
    world.domain("seven-signed.example", offers=SEVEN)
    header = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"; micalg=pgp-sha256\r\n"
    body = ("--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrüße\r\n"
            "--b\r\nContent-Type: application/pgp-signature\r\n\r\nsignature\r\n--b--\r\n")
    world.send("x@seven-signed.example", mail=" BODY=8BITMIME", header=header, body=body)
    report = world.report("x@seven-signed.example")
    assert report.per["x@seven-signed.example"]["Status"].startswith("5.6."), report.octets


def test_smtputf8(world):
    """RFC 6531: with a server that has it as it is, back with the reason otherwise."""
    far = world.domain("utf8.example")
    world.domain("ascii.example", offers=SEVEN)
    world.send("δοκιμή@utf8.example", mail=" SMTPUTF8 BODY=8BITMIME")
    taken = far.wait()[0]
    assert taken.addresses == ["δοκιμή@utf8.example"] and "SMTPUTF8" in taken.parameters
    world.send("δοκιμή@ascii.example", mail=" SMTPUTF8 BODY=8BITMIME")
    wait_for(lambda: any(b"5.6.7" in m for m in world.site.mailbox("alice")), HANG_SECONDS, world.story)
    (report,) = [m for m in world.site.mailbox("alice") if b"5.6.7" in m]
    assert b"report-type=" in report


def test_a_domain_in_its_own_script(world):
    """RFC 5890: DNS is asked for the A-label; with an ASCII local part and header no server needs SMTPUTF8 for it."""
    far = world.domain("xn--bcher-kva.example")
    plain = world.domain("xn--mnchen-3ya.example", offers=SEVEN)
    world.send("x@bücher.example", mail=" SMTPUTF8", whole="From: alice@example.test\r\nX-Mark: one\r\n\r\nhello\r\n")
    assert far.wait()[0].addresses in (["x@bücher.example"], ["x@xn--bcher-kva.example"])
    world.send("x@münchen.example", mail=" SMTPUTF8", whole="From: alice@example.test\r\nX-Mark: two\r\n\r\nhello\r\n")
    assert plain.wait()[0].addresses == ["x@xn--mnchen-3ya.example"]


def test_too_large_is_said_before_it_is_sent(world):
    """RFC 1870 §6.1."""
    far = world.domain("small.example", offers=["SIZE 1000", "PIPELINING"])
    world.send("x@small.example", body="a line of text\r\n" * 200)
    assert world.report("x@small.example").per["x@small.example"]["Status"] == "5.3.4"
    assert not any(c.startswith("DATA") for c in far.commands)


def test_what_leaves_is_clean(world):
    """Dots are stuffed, each line ends in CRLF, nothing of the client's session or of Bcc's leaks (promises.md: smuggling out)."""
    far = world.domain("clean.example")
    body = ".\r\n..\r\n.dot\r\nlast. \r\n" + "x" * 900 + "\r\n"
    world.send("x@clean.example", body=body)
    taken = far.wait()[0]
    assert taken.body.decode() == body
    assert b"127.0.0.1" not in taken.data and b"client.example" not in taken.data and b"Return-Path" not in taken.data
    assert taken.data.count(b"\n") == taken.data.count(b"\r\n") == taken.data.count(b"\r")
