"""TLS as promises.md wants it: versions, names, ALPN, certificates swapped live, nothing injected before STARTTLS."""
import socket
import ssl
import subprocess
import warnings

import pytest

from harness.site import HOSTNAME, PASSWORD, Site, wait_for
from harness.wire import Wire, WireError, plain_token



@pytest.fixture(scope="module")
def site():
    """A site with a second certificate."""
    with Site(second_name="mail.other.test") as made:
        yield made


TLS_PORTS = ("submissions", "pop3s")
START = {"smtp": b"STARTTLS", "submission": b"STARTTLS", "pop3": b"STLS"}


def context_of(site, version=None):
    context = site.ca.context()
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def before_tls(site, port):
    """A connection at the point where the handshake begins."""
    wire = Wire(("127.0.0.1", site.ports[port]))
    if port in START:
        if port != "pop3":
            wire.expect(220)
            wire.smtp("EHLO client.example", 250)
            wire.smtp(START[port], 220)
        else:
            wire.line()
            wire.pop3("STLS")
    return wire


@pytest.mark.parametrize("port", [*TLS_PORTS, *START])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_old_tls_is_refused(site, port, version):
    with before_tls(site, port) as wire, pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            wire.start_tls(context_of(site, version), HOSTNAME)


@pytest.mark.parametrize("port", [*TLS_PORTS, *START])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_new_tls_is_taken(site, port, version):
    with before_tls(site, port) as wire:
        wire.start_tls(context_of(site, version), HOSTNAME)
        assert wire.sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
        wire.send(b"NOOP\r\n" if "pop3" not in port else b"CAPA\r\n")
        wire.line()


@pytest.mark.parametrize("port, protocol", [("submissions", None), ("pop3s", "pop3")])
def test_alpn(site, port, protocol):
    """Another protocol's client is turned away in the handshake (ALPACA); none or ours is welcome. SMTP has no registered name."""
    for offered in (["http/1.1"], ["h2", "http/1.1"], ["imap"]):
        context = site.ca.context()
        context.set_alpn_protocols(offered)
        with Wire(("127.0.0.1", site.ports[port])) as wire, pytest.raises((ssl.SSLError, ConnectionError)):
            wire.start_tls(context, HOSTNAME)
            wire.sock.do_handshake()
            wire.line()
    context = site.ca.context()
    if protocol:
        context.set_alpn_protocols([protocol])
    with Wire(("127.0.0.1", site.ports[port])) as wire:
        wire.start_tls(context, HOSTNAME)
        assert wire.sock.selected_alpn_protocol() == protocol


def test_names(site):
    """SNI picks the certificate; an unknown, odd or dotted name gets the default one and no abort (Outlook for macOS, clients.md 5)."""
    def names_for(sni):
        context = ssl.create_default_context(cafile=str(site.ca.cert))
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", site.ports["pop3s"]), timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname=sni) as tls:
                return [value for kind, value in tls.getpeercert()["subjectAltName"] if kind == "DNS"]

    default = names_for(HOSTNAME)
    assert HOSTNAME in default
    assert names_for("mail.other.test") == ["mail.other.test"]
    for sni in (None, "unknown.example", "%s%n.example", "a" * 60 + ".example"):
        assert names_for(sni) == default
    dotted = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{site.ports['pop3s']}", "-servername", HOSTNAME + ".", "-quiet",
         "-CAfile", str(site.ca.cert)],
        input=b"QUIT\r\n", capture_output=True, timeout=20, check=False)
    assert dotted.stdout.startswith(b"+OK"), dotted.stderr


def test_certificates_are_swapped_live(site):
    """New files are taken over without a signal; a session that lives goes on; HUP does the same."""
    def serial():
        with Wire(("127.0.0.1", site.ports["submissions"])) as wire:
            wire.start_tls(site.ca.context(), HOSTNAME)
            return wire.sock.getpeercert()["serialNumber"]

    with site.wire("submissions") as living, site.pop3_wire("alice", port="pop3s") as reader:
        living.smtp("EHLO client.example", 250)
        for signal_too in (False, True):
            old = serial()
            site.ca.issue("server", [HOSTNAME, "localhost"])
            if signal_too:
                site.process.send_signal(1)
            wait_for(lambda: all(serial() != old for _ in range(4)), 30, "the new certificate is served")
            living.smtp("NOOP", 250)
            reader.pop3("NOOP")


def test_a_broken_certificate_file_changes_nothing(site):
    good = site.certificate.read_bytes()
    try:
        site.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nrubbish\n")
        site.process.send_signal(1)
        for _ in range(20):
            with site.wire("pop3s") as wire:
                assert wire.greeting.startswith(b"+OK")
    finally:
        site.certificate.write_bytes(good)
        site.process.send_signal(1)


@pytest.mark.parametrize("port", START)
def test_nothing_is_injected_before_tls(site, port):
    """Commands in the packet of STARTTLS are never carried out inside TLS (CVE-2011-0411): the connection ends."""
    with Wire(("127.0.0.1", site.ports[port])) as wire:
        wire.line()
        if port != "pop3":
            wire.smtp("EHLO client.example", 250)
        wire.send(START[port] + b"\r\n" + (b"NOOP\r\n" if port != "pop3" else b"CAPA\r\n"))
        answers = wire.until_close()
        assert answers.count(b"\r\n") <= 1, answers


@pytest.mark.parametrize("port", ["smtp", "submission"])
def test_starttls_forgets_what_was_said(site, port):
    """RFC 3207 §4.2: EHLO again; a transaction begun in clear is gone."""
    with site.wire(port) as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp("STARTTLS", 220)
        wire.start_tls(site.ca.context(), HOSTNAME)
        assert wire.smtp("MAIL FROM:<a@remote.example>")[:3] in ("503", "530")
        assert "STARTTLS" not in wire.smtp("EHLO client.example", 250)
        wire.smtp("STARTTLS", "50")


def test_no_password_over_a_clear_connection():
    """Not offered and not taken without TLS, unless the config says so for loopback."""
    with Site(plaintext=False) as site:
        token = plain_token("alice@example.test", PASSWORD)
        with site.wire("submission") as wire:
            assert "AUTH" not in wire.smtp("EHLO client.example", 250)
            wire.smtp("AUTH PLAIN " + token, "538 5.7.11")
            wire.smtp("AUTH LOGIN", "538 5.7.11")
        with site.wire("pop3") as wire:
            wire.pop3("CAPA")
            capabilities = wire.pop3_list()
            assert b"STLS" in capabilities and b"USER" not in capabilities
            assert not [c for c in capabilities if c.startswith(b"SASL") and (b"PLAIN" in c or b"LOGIN" in c)]
            wire.pop3("USER alice@example.test", "-ERR")
            wire.pop3("AUTH PLAIN " + token, "-ERR")


def test_a_tls_connection_cut_in_data_delivers_nothing(site):
    """A TCP close without close_notify inside a message is no end of it."""
    wire = site.wire("smtp")
    wire.smtp("EHLO client.example", 250)
    wire.smtp("STARTTLS", 220)
    wire.start_tls(site.ca.context(), HOSTNAME)
    wire.smtp("EHLO client.example", 250)
    wire.smtp("MAIL FROM:<a@remote.example>", 250)
    wire.smtp("RCPT TO:<bob@example.test>", 250)
    wire.smtp("DATA", 354)
    wire.send(b"Subject: half\r\n\r\nhalf a message\r\n.")
    wire.sock.shutdown(socket.SHUT_RDWR)
    wire.close()
    assert site.mailbox("bob") == []


def test_garbage_instead_of_a_handshake(site):
    for port in TLS_PORTS:
        for octets in (b"EHLO x\r\n" * 10, b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"A" * 20000, b"\0" * 5000):
            with Wire(("127.0.0.1", site.ports[port])) as wire:
                try:
                    wire.send(octets)
                    rest = wire.until_close()
                except OSError:
                    continue
                assert b"220" not in rest and b"+OK" not in rest
    with pytest.raises(WireError):  # and one that says nothing at all is left to the time limit, not answered
        with Wire(("127.0.0.1", site.ports["pop3s"]), timeout=0.5) as wire:
            wire.line()
