"""The ways of a message that are not "one user, one MX": smart hosts, LMTP, forwarding with SRS, here and there at once, Sent, undo, limits
(RFC 4954, RFC 2033, RFC 6409; design.md)."""
import contextlib
import json
import re
import signal
import socket
import threading

import pytest

from harness.far_end import OFFERS, server_context
from harness.outside import Outside
from harness.site import HANG_SECONDS, wait_for
from harness.wire import plain_token

SITE = {"queue.connections_per_destination": 2}


@pytest.fixture(scope="module")
def world():
    with Outside(settings=SITE) as made:
        yield made


def options(world, user, *words):
    world.site.posthouse("user", "set", f"{user}@example.test", *words)


@pytest.fixture
def user(world, request):
    name = "w" + re.sub(r"\W", "", request.node.name)[5:40]
    world.site.add_users([f"{name}@example.test"])
    return name


def having(world, user, mark, count=1):
    """Until the user has that message; the copies."""
    return wait_for(lambda: len(found := [m for m in world.site.mailbox(user) if f"X-Mark: {mark}".encode() in m]) >= count and found, HANG_SECONDS,
                    lambda: f"{mark} for {user}\n{world.story()}")


# --- the admin's routes

@pytest.mark.parametrize("how", ["STARTTLS", "implicit TLS", "LOGIN"])
def test_a_smart_host_with_a_password(world, how):
    name = f"smart-{how.split()[0].lower()}.example"
    certificate = server_context(*world.certificate(f"relay.{name}"))
    offers = OFFERS
    far = world.far.server(offers=offers, tls=certificate, users={"us": "pass word"}, implicit_tls=how == "implicit TLS")
    if how == "LOGIN":
        far.answers["ehlo"] = lambda session, _: "\n".join(["250 far", "AUTH LOGIN" if session.tls else "STARTTLS"])
    world.zone.add(f"relay.{name}. A {far.address}", f"{name}. MX 0 .")
    world.zone.publish()
    more = ["--implicit-tls"] if how == "implicit TLS" else []
    world.site.posthouse("route", "add", name, "--via", f"relay.{name}:{world.port}", "--tls", "verify", "--user", "us", "--password-stdin", *more,
                         stdin="pass word\n")
    world.send(f"x@{name}")
    taken = far.wait()[0]
    assert taken.tls and taken.user == "us"


def test_a_wrong_password_at_the_smart_host_bounces_nothing(world):
    name = "smart-wrong.example"
    far = world.far.server(tls=server_context(*world.certificate(f"relay.{name}")), users={"us": "right"})
    world.zone.add(f"relay.{name}. A {far.address}")
    world.zone.publish()
    world.site.posthouse("route", "add", name, "--via", f"relay.{name}", "--tls", "verify", "--user", "us", "--password-stdin", stdin="wrong\n")
    world.send(f"x@{name}")
    assert "535" in world.deferred(f"x@{name}")["last_reply"]
    far.users["us"] = "wrong"
    world.retry("--recipient", f"x@{name}")
    far.wait()


def test_a_password_never_travels_in_the_clear(world):
    """Not on the loopback: there it may. The route asks for TLS, and there is none."""
    name = "smart-clear.example"
    far = world.far.server(users={"us": "secret"})
    world.zone.add(f"relay.{name}. A {far.address}")
    world.zone.publish()
    world.site.posthouse("route", "add", name, "--via", f"relay.{name}", "--tls", "encrypt", "--user", "us", "--password-stdin", stdin="secret\n")
    world.send(f"x@{name}")
    world.deferred(f"x@{name}")
    assert not any(c.startswith("AUTH") for c in far.commands) and not far.taken
    world.site.posthouse("queue", "drop", "--recipient", f"x@{name}")


def test_a_route_for_a_sender_domain(world):
    far = world.domain("by-sender.example")
    smart = world.far.server()
    world.site.posthouse("domain", "add", "sender.test")
    world.site.posthouse("alias", "add", "*@sender.test", "alice@example.test")
    world.site.posthouse("route", "add", "from:sender.test", "--via", f"[{smart.address}]:{world.port}")
    world.send("x@by-sender.example", sender="alice@sender.test")
    world.send("x@by-sender.example")
    assert smart.wait()[0].sender == "alice@sender.test" and far.wait()[0].sender == "alice@example.test"
    world.gone("x@by-sender.example")
    assert len(smart.taken) == len(far.taken) == 1


def test_lmtp_answers_each_recipient(world):
    name = "lmtp.example"
    far = world.far.server(lmtp=True, end={f"no@{name}": "550 5.1.1 nobody here", f"later@{name}": ["450 4.2.2 full", None]})
    world.site.posthouse("route", "add", name, "--via", f"lmtp:[{far.address}]:{world.port}")
    world.send(f"yes@{name}", f"no@{name}", f"later@{name}")
    assert far.wait()[0].addresses == [f"yes@{name}"]
    assert far.commands[0].startswith("LHLO ")
    assert set(world.report(f"no@{name}").per) == {f"no@{name}"}
    world.deferred(f"later@{name}")
    world.retry("--recipient", f"later@{name}")
    assert far.wait(2)[1].addresses == [f"later@{name}"]


class UnixLmtp(threading.Thread):
    """Takes everything, over a Unix socket."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.listener, self.lines = socket.socket(socket.AF_UNIX), []
        self.listener.bind(str(path))
        path.chmod(0o777)
        self.listener.listen()
        self.start()

    def run(self):
        with self.listener, self.listener.accept()[0] as sock, sock.makefile("rwb") as stream:
            answer = lambda text: (stream.write(text.encode() + b"\r\n"), stream.flush())
            answer("220 here")
            for line in iter(stream.readline, b""):
                self.lines.append(line.decode().strip())
                if line == b"DATA\r\n":
                    answer("354 go on")
                    while stream.readline() != b".\r\n":
                        pass
                answer("250 ok")


def test_lmtp_over_a_unix_socket(world):
    path = world.folder / "lmtp"  # a folder that others may enter, also where pytest's own is deeper
    there = UnixLmtp(path)
    world.site.posthouse("route", "add", "socket.example", "--via", f"lmtp:{path}")
    world.send("x@socket.example")
    world.gone("x@socket.example")
    assert there.lines[0].startswith("LHLO ") and "RCPT TO:<x@socket.example>" in there.lines[2]


def test_reroute(world):
    """An admin sends what waits for a dead domain somewhere else: at once, not at the next try."""
    world.zone.add("moved.example. A 127.0.99.9")
    far = world.domain("newplace.example")
    world.send("x@moved.example")
    world.deferred("x@moved.example")
    world.site.posthouse("queue", "reroute", "newplace.example", "--recipient", "x@moved.example")
    assert far.wait()[0].addresses == ["x@moved.example"]


# --- forwarding

def test_forwarding_with_srs_and_the_bounce_that_comes_back(world, user):
    """A stranger's mail goes on under a sender of ours; when it fails, the stranger hears of it, and nobody can use us to send anything else."""
    stranger = world.domain("stranger.example")
    far = world.domain("abroad.example")
    world.site.posthouse("alias", "add", "gone@example.test", "new@abroad.example", f"{user}@example.test")
    mark = world.receive("gone@example.test", sender="someone@stranger.example")
    taken = far.wait()[0]
    assert taken.mark == mark and taken.addresses == ["new@abroad.example"]
    assert re.fullmatch(r"SRS0=\S+=stranger\.example=someone@example\.test", taken.sender), taken.sender
    assert b"From: someone@stranger.example\r\n" in taken.data  # the header is nobody's to change
    assert len(having(world, user, mark)) == 1
    returned = world.receive(taken.sender, sender="")
    back = stranger.wait()[0]
    assert back.mark == returned and back.sender == "" and back.addresses == ["someone@stranger.example"]
    with contextlib.closing(world.site.wire("smtp")) as wire:
        wire.smtp("EHLO x", 250)
        wire.smtp("MAIL FROM:<spam@stranger.example>", 250)
        wire.smtp(f"RCPT TO:<{taken.sender}>", "55")  # only reports may use it
        wire.smtp("RSET", 250)
        wire.smtp("MAIL FROM:<>", 250)
        forged = taken.sender.replace("someone@", "victim@")
        wire.smtp(f"RCPT TO:<{forged}>", "55")


def test_a_forwarded_message_that_fails_is_told_to_who_sent_it(world):
    stranger = world.domain("author.example")
    world.domain("refuses.example", rcpt="550 5.1.1 nobody")
    world.site.posthouse("alias", "add", "left@example.test", "x@refuses.example")
    world.receive("left@example.test", sender="who@author.example")
    taken = stranger.wait()[0]
    assert taken.sender == "" and taken.addresses == ["who@author.example"] and b"multipart/report" in taken.data


def test_our_own_users_mail_is_forwarded_under_their_own_name(world):
    far = world.domain("own.example")
    world.site.posthouse("alias", "add", "list@example.test", "a@own.example", "b@own.example")
    world.send("list@example.test")
    taken = far.wait()[0]
    assert taken.sender == "alice@example.test" and sorted(taken.addresses) == ["a@own.example", "b@own.example"]


def test_a_loop_of_forwarding_ends(world):
    """Our alias leads to a server that leads back to us."""
    site = world.site
    site.posthouse("alias", "add", "round@example.test", "x@loop.example")

    def send_back(session, data):
        with contextlib.closing(site.wire("smtp")) as wire:
            wire.smtp("EHLO loop.example")
            wire.smtp(f"MAIL FROM:<{session.sender[0]}>", 250)
            wire.smtp("RCPT TO:<round@example.test>", 250)
            wire.smtp("DATA", 354)
            wire.send(b"Received: from a by loop.example; Sat, 21 Nov 2026 10:00:00 +0000\r\n" * 10 + data + b".\r\n")
            return wire.expect()

    far = world.domain("loop.example", end=send_back)
    world.receive("round@example.test", sender="who@loop-author.example")
    wait_for(lambda: any(" 5.4.6" in line or "loop" in line for line in site.log_text().splitlines() if "x@loop.example" in line and "failed" in line),
             HANG_SECONDS, world.story)
    assert len(far.taken) < 20


# --- here and there

def test_here_and_there_at_once(world, user):
    """Nobody gets it twice, nobody waits for the other."""
    far = world.domain("there.example", end=["451 4.3.0 later", None])
    mark = world.send(f"{user}@example.test", "bob@example.test", "x@there.example")
    assert len(having(world, user, mark)) == len(having(world, "bob", mark)) == 1
    world.deferred("x@there.example")
    world.retry("--recipient", "x@there.example")
    far.wait()
    world.gone("x@there.example")
    assert len(having(world, user, mark)) == len(having(world, "bob", mark)) == len(far.taken) == 1


def test_the_copy_in_sent_is_there_once(world, user):
    """Whatever happens to the message; and the client's own APPEND finds it."""
    options(world, user, "--file-sent", "yes")
    far = world.domain("sent.example", mail=["451 4.3.0 later", None])
    mark = "sent-once"
    text = f"From: {user}@example.test\r\nMessage-ID: <sent@client.example>\r\nX-Mark: {mark}\r\nSubject: x\r\n\r\nhello\r\n".encode()
    world.send("x@sent.example", user=user, whole=text)
    with world.site.imap_wire(user) as imap:
        assert re.search(rb"APPENDUID \d+ 1\]", imap.imap(b"APPEND Sent (\\Seen) {%d+}\r\n%s" % (len(text), text))[-1])
    world.deferred("x@sent.example")
    world.retry("--recipient", "x@sent.example")
    far.wait()
    world.gone("x@sent.example")
    with world.site.imap_wire(user) as imap:
        assert b"MESSAGES 1" in b"".join(imap.imap("STATUS Sent (MESSAGES)"))


def test_a_detail_goes_to_the_folder_of_that_name(world, user):
    options(world, user, "--detail-folders", "yes")
    with world.site.imap_wire(user) as imap:
        imap.imap("CREATE Lists")  # the local part has no case
        mark = world.receive(f"{user}+lists@example.test")
        other = world.receive(f"{user}+nothing@example.test")
        wait_for(lambda: b"MESSAGES 1" in b"".join(imap.imap("STATUS Lists (MESSAGES)")), HANG_SECONDS, world.story)
    assert having(world, user, other) and not [m for m in world.site.mailbox(user) if mark.encode() in m]


def test_undo(world, user):
    """What waits for its time to come can be taken back; what was not goes out when it is released."""
    options(world, user, "--undo", "1h")
    far = world.domain("undo.example")
    world.send("x@undo.example", user=user)
    first = world.trace
    mark = world.send("y@undo.example", user=user)
    (row,) = world.waiting("x@undo.example")
    assert row["attempts"] == 0 and row["next_attempt_ms"] - row["created_ms"] > 3500_000
    world.site.posthouse("queue", "drop", first)
    world.retry("--recipient", "y@undo.example")
    assert [t.mark for t in far.wait()] == [mark]
    world.gone("y@undo.example", "x@undo.example")
    assert len(far.taken) == 1


def test_undo_takes_back_what_an_alias_sends_on(world, user):
    """It is a message of its own, named after the one that was handed in."""
    options(world, user, "--undo", "1h")
    far = world.domain("sent-on.example")
    world.site.posthouse("alias", "add", "on@example.test", "x@sent-on.example")
    world.send("on@example.test", "y@sent-on.example", user=user)
    assert {row["trace"] for row in json.loads(world.site.posthouse("queue", "list", world.trace, "--json"))["recipients"]} == {
        world.trace, f"{world.trace}-1"}
    assert "y@sent-on.example" in world.site.posthouse("queue", "show", world.trace)
    assert "2 recipients dropped" in world.site.posthouse("queue", "drop", world.trace)
    world.gone("x@sent-on.example", "y@sent-on.example")
    assert not far.taken


def in_sent(world, user):
    with world.site.imap_wire(user) as imap:
        return int(re.search(rb"MESSAGES (\d+)", b"".join(imap.imap("STATUS Sent (MESSAGES)"))).group(1))


def test_undone_leaves_nothing_in_sent(world, user):
    """The sender's copy waits with the message; when its time comes the client may have put its own there."""
    options(world, user, "--undo", "1h", "--file-sent", "yes")
    far = world.domain("unsent.example")
    world.send("x@unsent.example", user=user)
    world.site.posthouse("queue", "drop", world.trace)
    world.gone("x@unsent.example", f"{user}@example.test")
    assert in_sent(world, user) == 0
    world.send("y@unsent.example", user=user)
    world.site.posthouse("queue", "retry", world.trace)
    wait_for(lambda: in_sent(world, user) == 1, HANG_SECONDS, world.story)
    text = f"From: {user}@example.test\r\nMessage-ID: <mine@client.example>\r\nX-Mark: mine\r\nSubject: x\r\n\r\nhello\r\n".encode()
    world.send("z@unsent.example", user=user, whole=text)
    with world.site.imap_wire(user) as imap:
        imap.imap(b"APPEND Sent (\\Seen) {%d+}\r\n%s" % (len(text), text))
    world.site.posthouse("queue", "retry", world.trace)
    world.gone("z@unsent.example", f"{user}@example.test")
    assert in_sent(world, user) == 2
    assert len(far.wait(2)) == 2


def test_limits_of_a_day(world, user):
    """Against stolen passwords: the third recipient has to wait, with words that say why; local mail does not count."""
    options(world, user, "--recipients-a-day", "2")
    far = world.domain("limited.example")
    world.send("a@limited.example", "b@limited.example", user=user)
    far.wait()
    with contextlib.closing(world.site.wire("submissions")) as wire:
        wire.smtp("EHLO x", 250)
        wire.smtp("AUTH PLAIN " + plain_token(f"{user}@example.test", "secret"), 235)
        wire.smtp(f"MAIL FROM:<{user}@example.test>", 250)
        wire.smtp("RCPT TO:<c@limited.example>", "451 4.7.1")
        wire.smtp("RCPT TO:<bob@example.test>", 250)


def test_hold_and_release(world):
    far = world.domain("held.example", mail=["451 4.3.0 later", None])
    world.send("x@held.example")
    world.deferred("x@held.example")
    world.site.posthouse("queue", "hold", "--recipient", "x@held.example")
    world.retry("--recipient", "x@held.example")
    assert world.waiting("x@held.example")[0]["held"] and not far.taken
    world.site.posthouse("queue", "release", "--recipient", "x@held.example")
    far.wait()


def test_a_message_for_later(world):
    """FUTURERELEASE (RFC 4865)."""
    far = world.domain("future.example")
    mark = world.send("x@future.example", mail=" HOLDFOR=36000")
    (row,) = world.waiting("x@future.example")
    assert row["attempts"] == 0 and row["next_attempt_ms"] - row["created_ms"] >= 35_000_000
    world.retry("--recipient", "x@future.example")
    assert far.wait()[0].mark == mark


def test_binary_mail(world):
    """RFC 3030: it becomes lines when it comes in, so every server can take it, and nobody loses an octet."""
    import email

    far = world.domain("binary.example", offers=[*OFFERS, "CHUNKING", "BINARYMIME"])
    plain = world.domain("text.example")
    octets = bytes(range(256)) * 20 + b"\r\n.\r\n\n\r"
    message = (b"From: alice@example.test\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
               b"Content-Transfer-Encoding: binary\r\n\r\n" + octets)
    with contextlib.closing(world.site.wire("submissions")) as wire:
        wire.smtp("EHLO x", 250)
        wire.smtp("AUTH PLAIN " + plain_token("alice@example.test", "secret"), 235)
        wire.smtp("MAIL FROM:<alice@example.test> BODY=BINARYMIME", 250)
        for name in ("binary", "text"):
            wire.smtp(f"RCPT TO:<x@{name}.example>", 250)
        wire.send(b"BDAT %d LAST\r\n%s" % (len(message), message))
        wire.expect(250)
    for server in (far, plain):
        assert email.message_from_bytes(server.wait()[0].data).get_payload(decode=True) == octets


def test_a_large_message_goes_in_one_chunk(world):
    """BDAT where it is offered (RFC 3030 §2): no looking for dots."""
    far = world.domain("chunking.example", offers=[*OFFERS, "CHUNKING"])
    body = ".dots\r\n.\r\n" + "a line\r\n" * 150_000
    world.send("x@chunking.example", body=body)
    assert far.wait()[0].body.decode() == body
    assert any(c.startswith("BDAT ") for c in far.commands) and "DATA" not in far.commands, [c[:60] for c in far.commands]


# --- the suite changes under it

@pytest.mark.parametrize("how", ["reload", "restart"])
def test_what_is_under_way_is_finished_once(world, how):
    """A server that takes its time with its 250 while the relay is replaced or stopped."""
    gate = threading.Event()
    far = world.domain(f"{how}.example", end=lambda session, data: gate.wait(HANG_SECONDS) and None)
    world.send(f"x@{how}.example")
    far.wait_command("DATA")
    old, receivers = world.site.pids("relayd"), set(world.site.pids("smtpd"))
    if how == "reload":  # with another setting: a new relay takes over
        world.site.settings["queue.connections"] = 90
        world.site.write_config()
        world.site.process.send_signal(signal.SIGHUP)
        wait_for(lambda: set(world.site.pids("relayd")) - set(old), HANG_SECONDS, world.story)
        gate.set()
        wait_for(lambda: not receivers & set(world.site.pids("smtpd")), HANG_SECONDS, world.story)
    else:
        threading.Timer(0.3, gate.set).start()
        world.site.restart()
    far.wait()
    world.gone(f"x@{how}.example")
    assert len(far.taken) == 1
    other = world.domain(f"after-{how}.example")
    world.send(f"x@after-{how}.example")
    other.wait()


def test_the_story_is_told(world):
    """posthouse explain: who, where to, the other server's words, what was used."""
    world.domain("story.example", certificate=world.certificate("mx.story.example"), rcpt=["450 4.2.0 not just now", None])
    world.send("x@story.example")
    trace = world.trace
    world.deferred("x@story.example")
    world.retry("--recipient", "x@story.example")
    world.gone("x@story.example")

    def told():
        text = world.site.posthouse("explain", trace)
        return all(words in text for words in ("not just now", "mx.story.example", "alice@example.test", "250 2.0.0 taken")) and text

    text = wait_for(told, HANG_SECONDS, lambda: world.site.posthouse("explain", trace))
    assert text.index("not just now") < text.index("250 2.0.0 taken")
    assert all(words in world.site.posthouse("explain", trace, "--json") for words in ("certificate=mx.story.example", "route=mx", "policy=", "tls=TLSv1.3"))
