"""What needs more than a dialog has, as waiting for the queue, other processes and foreign clients: LMTP (RFC 2033), XCLIENT, the PROXY protocol, ETRN (RFC 1985), reports
on success (RFC 3461), and docs/smtp.md against what is announced.
"""
import ipaddress
import os
import pwd
import re
import smtplib
import ssl
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from harness.site import HOSTNAME, PASSWORD, free_port, wait_for
from harness.wire import Wire, plain_token

ROOT = Path(__file__).resolve().parents[2]
LMTP = free_port()
SENDMAIL = f"/tmp/posthouse-test-sendmail-{os.getpid()}"  # where other users reach it
TRUSTED, XCLIENT, PROXY = "127.0.0.5", "127.0.0.6", "127.0.0.7"
SITE = {"settings": {
    "smtp.relay_networks": f"{TRUSTED}/32", "smtp.xclient_networks": f"{XCLIENT}/32", "smtp.proxy_networks": f"{PROXY}/32",
    "smtp.etrn_domains": "example.org waiting.example", "smtp.expn": "yes", "listen.lmtp": LMTP, "dns.forward": "127.0.0.1@9",
    "limits.connections_per_address": 3, "listen.sendmail_socket": SENDMAIL,
}, "workers": 1}  # each worker counts for itself


def connect(site, port="smtp", source=None):
    return Wire(("127.0.0.1", LMTP if port == "lmtp" else site.ports[port]), source=source and (source, 0))


def lmtp(site, source=TRUSTED):
    wire = connect(site, "lmtp", source)
    wire.expect(220)
    wire.smtp("LHLO foo.edu", 250)
    return wire


@pytest.fixture
def user(site, request):
    name = "x" + re.sub(r"\W", "", request.node.name)[-40:]
    site.add_users([f"{name}@example.test"])
    return name


def received(site, name):
    message, = site.mailbox(name)
    return re.sub(rb"\r\n[ \t]+", b" ", re.search(rb"(?m)^Received: .*\r\n(?:[ \t].*\r\n)*", message).group(0)).decode()


# --- LMTP


def test_rfc_2033_section_4_2(site, user):
    """The RFC's own dialog: of three recipients one does not exist, and one, which does, cannot take it."""
    site.add_users([f"{user}full@example.test"], quota="2K")
    with connect(site, "lmtp", TRUSTED) as wire:
        assert wire.expect(220).startswith(f"220 {HOSTNAME} LMTP")
        lines = wire.smtp("LHLO foo.edu", 250)
        assert all(word in lines for word in ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"))
        wire.send("MAIL FROM:<chris@bar.com>\r\n"
                  f"RCPT TO:<{user}@example.test>\r\nRCPT TO:<nobody-green@example.test>\r\nRCPT TO:<{user}full@example.test>\r\nDATA\r\n")
        for code in (250, 250, 550, 250, 354):
            wire.expect(code)
        wire.send("Subject: x\r\n\r\n" + "Blah blah blah...\r\n" * 200 + ".\r\nQUIT\r\n")
        assert wire.expect(250).startswith("250 2.1.5 ")
        wire.expect(552)
        wire.expect(221)
    assert len(site.mailbox(user)) == 1 and site.mailbox(user + "full") == []
    assert f"from foo.edu ([{TRUSTED}]) by {HOSTNAME} with LMTP id " in received(site, user)


def test_lmtp_full_for_one_only(site, user):
    """452 for the mailbox that is full and may have room tomorrow; the others have it."""
    site.add_users([f"{user}full@example.test"], quota="2K")
    for want in (250, 452):
        with lmtp(site) as wire:
            wire.smtp("MAIL FROM:<chris@bar.com>", 250)
            wire.smtp(f"RCPT TO:<{user}full@example.test>", 250)
            wire.smtp(f"RCPT TO:<{user}@example.test>", 250)
            wire.smtp("DATA", 354)
            wire.send("Subject: x\r\n\r\n" + "x" * 70 + "\r\n" + "y" * 900 + "\r\n.\r\n")
            wire.expect(want)
            wire.expect(250)
    assert len(site.mailbox(user)) == 2 and len(site.mailbox(user + "full")) == 1


def test_lmtp_chunks(site, user):
    """RFC 2033 §4.3, RFC 3030: one reply for a chunk, one for each recipient after the last."""
    with lmtp(site) as wire:
        wire.smtp("MAIL FROM:<chris@bar.com> BODY=8BITMIME", 250)
        wire.smtp(f"RCPT TO:<{user}@example.test>", 250)
        wire.smtp("RCPT TO:<bob@example.test>", 250)
        wire.send("BDAT 12\r\nSubject: x\r\n")
        wire.expect(250)
        wire.send(b"BDAT 6 LAST\r\n\r\n\xc3\xb6\r\n")
        wire.expect(250)
        wire.expect(250)
        wire.smtp("NOOP", 250)
    assert site.mailbox(user)[0].endswith(b"Subject: x\r\n\r\n\xc3\xb6\r\n")


def test_lmtp_over_tls(site, user):
    with lmtp(site) as wire:
        wire.smtp("STARTTLS", 220)
        wire.start_tls(site.ca.context(), HOSTNAME)
        assert "REQUIRETLS" in wire.smtp("LHLO foo.edu", 250)
        wire.smtp("MAIL FROM:<chris@bar.com> REQUIRETLS", 250)
        wire.smtp(f"RCPT TO:<{user}@example.test>", 250)
        wire.smtp("DATA", 354)
        wire.send("Subject: x\r\n\r\nx\r\n.\r\n")
        wire.expect(250)
    assert " with LMTPS " in received(site, user)


def test_lmtp_is_not_for_strangers(site):
    for source in (None, PROXY + "1"):
        with connect(site, "lmtp", source) as wire:
            assert wire.expect(421).startswith("421 4.7.1 ")
            assert wire.until_close() == b""


def test_lmtp_is_not_a_relay(site):
    with lmtp(site) as wire:
        wire.smtp("MAIL FROM:<chris@bar.com>", 250)
        assert wire.smtp("RCPT TO:<x@foreign.example>", 550).startswith("550 5.7.1")
    with connect(site, "lmtp", TRUSTED) as wire:
        wire.expect(220)
        wire.smtp("EHLO foo.edu", 500)
        wire.smtp("HELO foo.edu", 500)


def test_pythons_lmtp_client(site, user):
    with smtplib.LMTP("127.0.0.1", LMTP, source_address=(TRUSTED, 0)) as client:
        client.starttls(context=unverified())
        refused = client.sendmail("a@b.example", [f"{user}@example.test"], "Subject: x\r\n\r\nhello\r\n")
    assert refused == {} and len(site.mailbox(user)) == 1


def unverified():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# --- XCLIENT


def deliver(wire, name, greeted=True):
    if greeted:
        wire.smtp("EHLO its.example", 250)
    wire.smtp("MAIL FROM:<a@b.example>", 250)
    wire.smtp(f"RCPT TO:<{name}@example.test>", 250)
    wire.smtp("DATA", 354)
    wire.send("Subject: x\r\n\r\nx\r\n.\r\n")
    return wire.expect(250)


def test_xclient(site, user):
    with connect(site, source=XCLIENT) as wire:
        wire.expect(220)
        assert re.search(r"XCLIENT NAME ADDR PORT PROTO HELO LOGIN\b(?! )", wire.smtp("EHLO proxy.example", 250))
        wire.smtp("XCLIENT NAME=spike.porcupine.org ADDR=168.100.189.2 PORT=54321", 220)
        wire.smtp("MAIL FROM:<a@b.example>", 503)
        trace = re.search(r"id (\S+)", deliver(wire, user)).group(1)
    assert "from its.example (spike.porcupine.org [168.100.189.2])" in received(site, user)
    wait_for(lambda: "name=spike.porcupine.org" in site.log_text(), 30, "the name in the log")
    story = wait_for(lambda: site.posthouse("explain", trace, want=None).stdout, 30, "its story")
    assert "168.100.189.2" in story and XCLIENT not in story


def test_xclient_counts_for_the_address_it_names(site):
    wires = []
    try:
        for i in range(4):
            wire = connect(site, source=XCLIENT)
            wires.append(wire)
            wire.expect(220)
            wire.smtp("XCLIENT ADDR=198.51.100.77", 421 if i == 3 else 220)
    finally:
        for wire in wires:
            wire.close()


def test_xclient_login(site):
    with connect(site, "submission", XCLIENT) as wire:
        wire.expect(220)
        wire.smtp("XCLIENT ADDR=IPV6:2001:db8::5 LOGIN=alice@example.test", 220)
        wire.smtp("EHLO its.example", 250)
        wire.smtp("MAIL FROM:<bob@example.test>", 550)
        wire.smtp("MAIL FROM:<alice@example.test>", 250)
        wire.smtp("RSET", 250)
        assert "550" in wire.smtp("XCLIENT LOGIN=nobody-at-all@example.test", 550)
    with connect(site, "submission") as wire:
        wire.expect(220)
        assert "XCLIENT" not in wire.smtp("EHLO its.example", 250)
        wire.smtp("XCLIENT LOGIN=alice@example.test", 550)
        wire.smtp("MAIL FROM:<alice@example.test>", 530)


# --- PROXY


def header(address=None, command=0x21, more=b""):
    """Version 2; no address: UNSPEC."""
    body, family = b"", 0
    if address:
        client = ipaddress.ip_address(address)
        family = 0x11 if client.version == 4 else 0x21
        body = client.packed + client.packed + struct.pack("!HH", 54321, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(body + more)) + body + more


@pytest.mark.parametrize("address, shown", [("198.51.100.9", "198.51.100.9"), ("2001:db8::9", "IPv6:2001:db8::9")])
def test_proxy(site, user, address, shown):
    with connect(site, source=PROXY) as wire:
        wire.split = True  # the header octet by octet
        wire.send(header(address, more=b"\x04\x00\x02xy"))
        wire.split = False
        wire.expect(220)
        deliver(wire, user)
    assert f"from its.example ([{shown}])" in received(site, user)


def test_proxy_with_all_in_one_packet(site, user):
    """The client may have spoken before we do (a health check of another sort, or an impatient one)."""
    with connect(site, source=PROXY) as wire:
        wire.send(header("198.51.100.9") + b"EHLO its.example\r\n")
        wire.expect(220)
        wire.expect(250)
        deliver(wire, user, greeted=False)
    assert "([198.51.100.9])" in received(site, user)


def some(wire):
    data = wire.exactly(1) + bytes(wire.buffer)
    wire.buffer.clear()
    return data


def client_hello(context):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=HOSTNAME)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls, incoming, outgoing


def test_proxy_before_tls(site):
    """On 465 the header comes before the handshake, also in one packet with its first octets."""
    with connect(site, "submissions", PROXY) as wire:
        tls, incoming, outgoing = client_hello(site.ca.context())
        wire.send(header("2001:db8::9") + outgoing.read())
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(some(wire))
        wire.send(outgoing.read())
        while True:
            try:
                assert tls.read().startswith(f"220 {HOSTNAME} ".encode())
                break
            except ssl.SSLWantReadError:
                incoming.write(some(wire))
        tls.write(b"EHLO its.example\r\nAUTH PLAIN " + plain_token("alice@example.test", PASSWORD).encode() + b"\r\n")
        wire.send(outgoing.read())
        seen = b""
        while b"235 2.7.0" not in seen:
            try:
                seen += tls.read()
            except ssl.SSLWantReadError:
                incoming.write(some(wire))
    assert "2001:db8::9" in site.log_text()


@pytest.mark.parametrize("octets", [
    b"EHLO its.example\r\n", b"PROXY TCP4 198.51.100.9 192.0.2.1 54321 25\r\n", header("198.51.100.9")[:13] + b"\x12\x00\x0c" + b"x" * 12,
    header("198.51.100.9", command=0x22), header(None, more=b"x" * 4097), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
])
def test_proxy_that_is_none(site, octets):
    for port in ("smtp", "submissions"):
        with connect(site, port, PROXY) as wire:
            wire.send(octets)
            assert wire.until_close() == b""


def test_proxy_itself_and_unknown_clients(site):
    """LOCAL is a health check. A client without an address has no rights by it."""
    for octets in (header(None, command=0x20), header(None)):
        with connect(site, source=PROXY) as wire:
            wire.send(octets)
            wire.expect(220)
            wire.smtp("EHLO its.example", 250)
            wire.smtp("MAIL FROM:<a@b.example>", 250)
            wire.smtp("RCPT TO:<x@foreign.example>", 550)


def test_proxy_gives_the_rights_of_the_client(site):
    with connect(site, source=PROXY) as wire:
        wire.send(header(TRUSTED))
        wire.expect(220)
        wire.smtp("EHLO its.example", 250)
        wire.smtp("MAIL FROM:<a@b.example>", 250)
        wire.smtp("RCPT TO:<x@foreign.example>", 250)
    with connect(site, "lmtp", PROXY) as wire:
        wire.send(header(TRUSTED))
        wire.expect(220)
        wire.smtp("LHLO its.example", 250)


def test_proxy_connections_count_for_their_clients(site):
    """Three at a time of one address; the proxy itself may have more."""
    wires = []
    try:
        for client, code in (("198.51.100.50", 220),) * 3 + (("198.51.100.51", 220), ("198.51.100.50", 421)):
            wire = connect(site, source=PROXY)
            wires.append(wire)
            wire.send(header(client))
            wire.expect(code)
    finally:
        for wire in wires:
            wire.close()


# --- ETRN (RFC 1985), EXPN


def test_etrn(site):
    with site.wire("smtp") as wire:
        wire.smtp("ETRN example.org", 503)
        assert "ETRN" in wire.smtp("EHLO client.example", 250)
        assert wire.smtp("ETRN example.org", 251).startswith("251 ")
        assert wire.smtp("ETRN Example.ORG", 251)
        assert wire.smtp("ETRN foreign.example", 459)
        assert wire.smtp("ETRN @example.org", 251)
        assert wire.smtp("ETRN @mx.example.org", 459)
        assert wire.smtp("ETRN @", 501)
        assert wire.smtp("ETRN", 501)
        wire.smtp("MAIL FROM:<a@b.example>", 250)
        wire.smtp("ETRN example.org", 503)


def etrn(site, domain):
    with site.wire("smtp") as wire:
        wire.smtp("EHLO client.example", 250)
        return wire.smtp(f"ETRN {domain}", 25)


def test_etrn_starts_the_queue(site):
    site.posthouse("route", "add", "waiting.example", "--via", f"[127.0.0.1]:{free_port()}", "--tls", "none")  # nobody listens
    with site.wire("smtp", source=(TRUSTED, 0)) as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp("MAIL FROM:<a@b.example>", 250)
        wire.smtp("RCPT TO:<x@waiting.example>", 250)
        wire.smtp("DATA", 354)
        wire.send("Subject: x\r\n\r\nx\r\n.\r\n")
        assert "queued as" in wire.expect(250)
    wait_for(lambda: etrn(site, "waiting.example").startswith("253 2.0.0 1 "), 60, "tried once, it waits")
    assert etrn(site, "@waiting.example").startswith("253 2.0.0 1 ")


def test_etrn_starts_the_queue_of_all_below(site):
    """RFC 1985 §5: "@" stands for all domains that end in this one; and only for them."""
    names = ("example.org", "a.example.org", "b.a.example.org", "notexample.org")
    for name in names:
        site.posthouse("route", "add", name, "--via", f"[127.0.0.1]:{free_port()}", "--tls", "none")  # nobody listens
    with site.wire("smtp", source=(TRUSTED, 0)) as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp("MAIL FROM:<a@b.example>", 250)
        for name in names:
            wire.smtp(f"RCPT TO:<x@{name}>", 250)
        wire.smtp("DATA", 354)
        wire.send("Subject: x\r\n\r\nx\r\n.\r\n")
        assert "queued as" in wire.expect(250)
    wait_for(lambda: etrn(site, "@example.org").startswith("253 2.0.0 3 "), 60, "all three are tried")
    assert etrn(site, "example.org").startswith("253 2.0.0 1 ")


# --- the sendmail command's socket

AS_USER = """
import socket, sys
wire = socket.socket(socket.AF_UNIX)
wire.settimeout(60)
wire.connect(sys.argv[1])
stream = wire.makefile("rwb", buffering=0)
for line in [b"", b"HELO localhost", b"MAIL FROM:<boss@example.test>", b"RCPT TO:<" + sys.argv[2].encode() + b">", b"DATA",
             b"Subject: cron\\r\\n\\r\\nx\\r\\n.", b"QUIT"]:
    if line:
        wire.sendall(line + b"\\r\\n")
    print(stream.readline().decode().strip())
"""


def send_as(name, recipient):
    return subprocess.run([sys.executable, "-c", AS_USER, SENDMAIL, recipient], user=name, cwd="/", stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize("name, sender", [("root", "boss"), ("nobody", "boss"), ("bin", "bin")])
def test_programs_write_as_their_user(site, user, name, sender):
    """Root and the service's user (nobody, here) as anybody, others as themselves."""
    assert [line[:3] for line in send_as(name, f"{user}@example.test")] == ["220", "250", "250", "250", "354", "250", "221"]
    message, = site.mailbox(user)
    assert message.startswith(f"Return-Path: <{sender}@example.test>\r\n".encode())
    assert f"from localhost (uid {pwd.getpwnam(name).pw_uid})" in received(site, user)
    assert f"\r\nFrom: <{sender}@example.test>\r\n".encode() in message


# --- RFC 3461: who asks to be told is told


def test_a_report_on_success(site, user):
    """§5.2.3, §6.2.3: NOTIFY=SUCCESS for a mailbox here: the message arrives, and its sender has a report with ENVID and ORCPT."""
    with site.wire("submissions") as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp("AUTH PLAIN " + plain_token(f"{user}@example.test", PASSWORD), 235)
        wire.smtp(f"MAIL FROM:<{user}@example.test> RET=HDRS ENVID=QQ314159", 250)
        wire.smtp("RCPT TO:<carol@example.test> NOTIFY=SUCCESS ORCPT=rfc822;Carol@Ivory.EDU", 250)
        wire.smtp("DATA", 354)
        wire.send(f"From: {user}@example.test\r\nSubject: tell me\r\n\r\na body\r\n.\r\n")
        assert "queued as" in wire.expect(250)
    wait_for(lambda: site.mailbox(user), 60, "the report")
    report, = site.mailbox(user)
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"Original-Envelope-Id: QQ314159" in report and re.search(rb"(?i)Original-Recipient: rfc822; ?Carol@Ivory.EDU", report)
    assert re.search(rb"(?i)Action: delivered", report) and b"a body" not in report  # RET=HDRS
    assert any(b"Subject: tell me" in message for message in site.mailbox("carol"))


# --- docs/smtp.md

FOLDERS = {"u/": "tests/unit/smtpd/", "d/": "tests/dialog/smtp/", "i/": "tests/interop/", "c/": "tests/unit/"}


def rows():
    """(RFC, status, keywords, files, tests); files below the root."""
    for line in (ROOT / "docs/smtp.md").read_text().split("\n"):
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 6 and cells[0] not in ("RFC", "---"):
            files = [name if name.startswith(("common/", "storage/")) else "smtpd/" + name for name in cells[4].split()]
            yield cells[0], cells[2], set(cells[3].split()), files, [FOLDERS[name[:2]] + name[2:] for name in cells[5].split()]


def keywords(reply):
    return {line.split()[0] for line in re.findall(r"250[- ]([^\r\n]+)", reply) if not line.startswith(HOSTNAME)}


def announced(site):
    """All that any client is told, anywhere."""
    found = set()
    for source in (None, XCLIENT):
        with site.wire("smtp", source=source and (source, 0)) as wire:
            found |= keywords(wire.smtp("EHLO client.example", 250))
    with site.wire("submission") as wire:
        found |= keywords(wire.smtp("EHLO client.example", 250))
    with site.wire("submissions") as wire:
        found |= keywords(wire.smtp("EHLO client.example", 250))
        wire.smtp("AUTH PLAIN " + plain_token("alice@example.test", PASSWORD), 235)
        found |= keywords(wire.smtp("EHLO client.example", 250))
    with connect(site, "lmtp", TRUSTED) as wire:
        wire.expect(220)
        found |= keywords(wire.smtp("LHLO client.example", 250))
    return found


def test_the_table_says_what_is_announced(site):
    told = {name for _, _, names, _, _ in rows() for name in names}
    real = announced(site)
    assert real - told == set(), "announced, but not in docs/smtp.md"
    assert told - real == set(), "docs/smtp.md says it is announced"
    for rfc, status, names, _, _ in rows():
        assert not (names and status == "no"), rfc


def test_what_the_table_names_is_there():
    for rfc, status, _, files, tests in rows():
        assert status in ("done", "no") or re.fullmatch(r"part of \d+", status), (rfc, status)
        for name in files + tests:
            assert (ROOT / name).is_file(), f"RFC {rfc}: {name}"
        assert status != "done" or (files and tests), f"RFC {rfc}: done, but where is it, and who shows it?"


def test_each_rfc_once():
    numbers = [row[0] for row in rows()]
    assert len(set(numbers)) == len(numbers)
