"""Mail to servers that nobody here wrote, Debian's Postfix and Exim, and between two suites of our own."""
import contextlib
import os
import re
import subprocess

import pytest

from harness.outside import Outside, tlsa
from harness.peers import Exim, Postfix
from harness.site import HANG_SECONDS, Site, wait_for

EIGHT = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


@pytest.fixture(scope="module")
def world():
    with Outside(settings={"smtp.relay_networks": "127.0.0.0/8"}) as made:
        yield made


@pytest.fixture(scope="module", params=[(Postfix, "postfix.example", "127.0.50.1"), (Exim, "exim.example", "127.0.50.2")], ids=["postfix", "exim"])
def peer(request, world):
    kind, domain, address = request.param
    certificate, key = world.certificate(f"mx.{domain}")
    made = kind(world.folder / kind.__name__.lower(), address, world.port, domain)
    chain = made.folder / "chain.pem"
    chain.write_bytes(key.read_bytes() + certificate.read_bytes())
    os.chmod(chain, 0o644)
    world.zone.add(f"{domain}. MX 10 mx.{domain}.", f"mx.{domain}. A {address}", f"_{world.port}._tcp.mx.{domain}. TLSA {tlsa(certificate)}")
    world.zone.publish()
    with made:
        yield made


def test_a_peer_takes_our_mail(world, peer):
    """By DANE, over one connection, each once; eight bits, dots, long lines, many recipients."""
    bodies = ["hello\r\n", "grüße\r\n.\r\n..\r\n", "x" * 900 + "\r\n" + "a line\r\n" * 20_000]
    marks = [world.send(f"u{i}@{peer.domain}", mail=" BODY=8BITMIME", header=EIGHT, body=body) for i, body in enumerate(bodies)]
    messages = peer.wait(len(bodies))
    for mark, body in zip(marks, bodies):
        (found,) = [m for m in messages if f"X-Mark: {mark}".encode() in m]
        assert found.replace(b"\r\n", b"\n").partition(b"\n\n")[2].decode() == body.replace("\r\n", "\n")
        assert b"TLSv1.3" in found or b"TLS1.3" in found, found[:600]
    wait_for(lambda: not world.queue(), HANG_SECONDS, world.story)
    assert len(peer.messages()) == len(bodies)


def test_a_peer_refuses_one_of_two(world, peer):
    before = len(peer.messages())
    world.send(f"nobody@{peer.domain}", f"somebody@{peer.domain}")
    report = world.report(f"nobody@{peer.domain}")
    assert report.per[f"nobody@{peer.domain}"]["Status"].startswith("5.") and "no such user" in report.human
    peer.wait(before + 1)


def test_a_peer_with_smtputf8(world, peer):
    before = len(peer.messages())
    world.send(f"δοκιμή@{peer.domain}", mail=" SMTPUTF8 BODY=8BITMIME", header=EIGHT, body="καλημέρα\r\n")
    assert "καλημέρα".encode() in peer.wait(before + 1)[-1] or any("καλημέρα".encode() in m for m in peer.messages())


def test_postfix_own_tools_from_end_to_end(world):
    """smtp-source with 16 sessions hands in 200 messages, smtp-sink gets each once; told apart by their recipients."""
    source, sink = "/usr/sbin/smtp-source", "/usr/sbin/smtp-sink"
    if not os.path.exists(sink):
        pytest.skip("postfix is not installed")
    folder = world.folder / "sink"
    folder.mkdir()
    os.chmod(folder, 0o777)
    address = "127.0.50.3"
    world.zone.add("sink.example. MX 10 mx.sink.example.", f"mx.sink.example. A {address}")
    world.zone.publish()
    taker = subprocess.Popen([sink, "-u", "nobody", "-R", str(folder), "-d", "box.", f"{address}:{world.port}", "1000"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        subprocess.run([source, "-s", "16", "-m", "200", "-l", "4096", "-d", "-N", "-f", "a@sender.example", "-t", "u@sink.example",
                        f"127.0.0.1:{world.site.ports['smtp']}"], check=True, timeout=HANG_SECONDS, capture_output=True)

        def look():
            text = b"".join(path.read_bytes() for path in folder.glob("box.*"))
            return sorted(re.findall(rb"(?m)^X-Rcpt-Args: .*?<(\d*u\d*@sink\.example)>", text))

        wait_for(lambda: len(look()) >= 200 and not world.queue(), HANG_SECONDS, lambda: f"{len(look())} of 200\n{world.story()}")
        assert len(look()) == len(set(look())) == 200
    finally:
        taker.terminate()
        taker.wait(HANG_SECONDS)


# --- two of our own

@pytest.fixture(scope="module")
def other(world):
    """Another site, on another loopback address and the same port; it knows our world, and we are in it."""
    with contextlib.ExitStack() as stack:
        settings = {**world.settings, "listen.addresses": "127.0.60.1", "server.hostname": "mail.other.test"}
        site = Site(settings=settings, users=())
        certificate, key = site.ca.issue("other", ["mail.other.test", "mail.example.test", "localhost"])
        site.settings.update({"tls.certificate": certificate, "tls.key": key, "listen.smtp": world.port})
        site.ports["smtp"] = world.port
        site.write_config()
        wires = site.answers
        site.answers = lambda name: True  # not on 127.0.0.1
        site.posthouse("domain", "add", "other.test")
        site.add_users(["dora@other.test"])
        stack.enter_context(site)
        site.answers = wires
        world.zone.add("other.test. MX 10 mail.other.test.", "mail.other.test. A 127.0.60.1",
                       f"_{world.port}._tcp.mail.other.test. TLSA {tlsa(certificate)}")
        world.zone.publish()
        yield site


def box(site, user):
    from harness.wire import Wire, plain_token

    with contextlib.closing(Wire(("127.0.60.1", site.ports["pop3"]))) as wire:
        wire.line()
        wire.pop3("AUTH PLAIN " + plain_token(user, "secret"))
        found = []
        for number in range(1, int(wire.pop3("STAT").split()[1]) + 1):
            wire.pop3(f"RETR {number}")
            found.append(b"\r\n".join(wire.pop3_list()) + b"\r\n")
        wire.pop3("QUIT")
    return found


def test_two_suites(world, other):
    """DANE between them, DSN passed on and answered by the last one, REQUIRETLS all the way, a refusal told."""
    mark = world.send("dora@other.test", mail=" ENVID=e1", rcpt=" NOTIFY=SUCCESS ORCPT=rfc822;dora@other.test")

    def look():
        return [m for m in box(other, "dora@other.test") if mark.encode() in m]

    (message,) = wait_for(look, HANG_SECONDS, lambda: world.story() + other.log_tail())
    assert b"by mail.other.test" in message and b"Return-Path: <alice@example.test>" in message and b"TLSv1.3" in message
    world.send("nobody@other.test")
    assert world.report("nobody@other.test").per["nobody@other.test"]["Status"] == "5.1.1"
    mark = world.send("dora@other.test", mail=" REQUIRETLS")
    wait_for(lambda: [m for m in box(other, "dora@other.test") if mark.encode() in m], HANG_SECONDS, lambda: world.story() + other.log_tail())


def test_a_way_back_to_ourselves_is_seen_by_its_address(world, other):
    """RFC 5321 §5.1: no MX that is us may be tried, whatever it is called, nor any after it."""
    from harness.wire import Wire, plain_token

    far = world.far.server()
    world.zone.add("circle.example. MX 10 strange.circle.example.", "circle.example. MX 20 after.circle.example.",
                   "strange.circle.example. A 127.0.60.1", f"after.circle.example. A {far.address}")
    world.zone.publish()
    with contextlib.closing(Wire(("127.0.60.1", other.ports["submissions"]))) as wire:
        wire.start_tls(other.ca.context(), "mail.other.test")
        wire.expect(220)
        wire.smtp("EHLO x", 250)
        wire.smtp("AUTH PLAIN " + plain_token("dora@other.test", "secret"), 235)
        wire.smtp("MAIL FROM:<dora@other.test>", 250)
        wire.smtp("RCPT TO:<x@circle.example>", 250)
        wire.smtp("DATA", 354)
        wire.send("From: dora@other.test\r\nSubject: x\r\n\r\nx\r\n.\r\n")
        wire.expect(250)
    (report,) = wait_for(lambda: [m for m in box(other, "dora@other.test") if b"x@circle.example" in m], HANG_SECONDS, other.log_tail)
    assert b"Status: 5.4.6" in report and not far.sessions
