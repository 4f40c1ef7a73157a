"""SCRAM-SHA-256-PLUS on every port where users log in (RFC 5802 §6): with `[auth] channel_binding` bound to this very connection
(tls-exporter, RFC 9266; tls-unique, RFC 5929) or to our certificate (tls-server-end-point), and neither a client nor somebody
between us talks it away; without the setting it is not there, and a client that says so is right."""
import base64
import hashlib
import re
import ssl
import subprocess

import pytest

from harness.clients import need
from harness.scram import Scram, tls_exporter
from harness.site import HOSTNAME, PASSWORD, Site
from harness.wire import Wire

ALICE = "alice@example.test"
PLUS = "SCRAM-SHA-256-PLUS"
ALL = ["PLAIN", "LOGIN", "SCRAM-SHA-256", PLUS]
BOUND = "p=tls-exporter,,"
UNIQUE = "p=tls-unique,,"
TO_CERTIFICATE = "p=tls-server-end-point,,"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

# protocol: (its challenge, success, wrong login, not what the mechanism expects, no such mechanism)
WORDS = {
    "submission": (b"334 ", b"235 ", b"535 ", b"501 ", b"504 "),
    "pop3": (b"+ ", b"+OK", b"-ERR [AUTH]", b"-ERR that is not", b"-ERR no such"),
    "imap": (b"+ ", b"a OK", b"a NO [AUTHENTICATIONFAILED]", b"a BAD that is not", b"a NO "),
}
START = {"submission": "STARTTLS", "pop3": "STLS", "imap": "a STARTTLS"}
PORTS = ["submission", "submissions", "pop3", "pop3s", "imap", "imaps"]


@pytest.fixture(scope="module")
def site():
    with Site(settings={"auth.channel_binding": "yes"}) as made:
        yield made


@pytest.fixture(scope="module")
def site_without():
    with Site() as made:
        yield made


class Login:
    """A connection with TLS, ready for the first words of a login."""

    def __init__(self, site, port, folder, version=TLS_1_3):
        self.protocol = port.removesuffix("s")
        self.challenge, self.good, self.wrong, self.malformed, self.unknown = WORDS[self.protocol]
        self.keylog = folder / "keylog"
        self.keylog.unlink(missing_ok=True)  # of this one connection
        context = site.ca.context(minimum_version=version, maximum_version=version, keylog_filename=str(self.keylog))
        self.wire = Wire(("127.0.0.1", site.ports[port]))
        if port == self.protocol:
            self.greet()
            self.wire.send(START[port] + "\r\n")
            self.wire.line()
        self.wire.start_tls(context, HOSTNAME)
        self.mechanisms = self.offered(greeting=port != self.protocol)

    def greet(self):
        if self.protocol != "submission":
            return self.wire.line().decode()
        self.wire.expect(220)
        return self.wire.smtp("EHLO client.example", 250)

    def offered(self, greeting):
        if self.protocol == "submission":
            text = self.greet() if greeting else self.wire.smtp("EHLO client.example", 250)
            (names,) = [line[9:].split() for line in text.split("\n") if line[4:].startswith("AUTH ")]
        elif self.protocol == "pop3":
            if greeting:
                self.greet()
            self.wire.pop3("CAPA")
            (names,) = [line.decode().split()[1:] for line in self.wire.pop3_list() if line.startswith(b"SASL ")]
            self.wire.pop3("AUTH")
            assert [line.decode() for line in self.wire.pop3_list()] == names
        else:
            text = self.greet() if greeting else self.wire.imap("CAPABILITY")[0].decode()
            words = text.split("]")[0].split()
            names = [word[5:] for word in words if word.startswith("AUTH=")]
        return names

    def ask(self, text):
        self.wire.send(text + "\r\n")
        return self.wire.line()

    def begin(self, mechanism, first):
        return self.ask(("a AUTHENTICATE" if self.protocol == "imap" else "AUTH") + f" {mechanism} {first}")

    def run(self, mechanism, scram):
        """The line that ends it; the server's signature is checked when it sends one."""
        line = self.begin(mechanism, scram.first())
        if line.startswith(self.challenge):
            line = self.ask(scram.final(line[len(self.challenge):]))
        if line.startswith(self.challenge):
            scram.check(line[len(self.challenge):])
            line = self.ask("")
        return line

    def binding(self):
        return tls_exporter(self.wire.sock, self.keylog)

    def certificate(self):
        return hashlib.sha256(self.wire.sock.getpeercert(binary_form=True)).digest()  # it is signed by ECDSA with SHA-256

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()


@pytest.mark.parametrize("port", PORTS)
def test_a_login_is_bound_to_its_connection(site, port, tmp_path):
    with Login(site, port, tmp_path) as login:
        assert login.mechanisms == ALL
        line = login.run(PLUS, Scram(ALICE, PASSWORD, BOUND, login.binding()))
        assert line.startswith(login.good), line
        if login.protocol == "imap":
            assert b"AUTH=" not in line


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["tls12", "tls13"])
@pytest.mark.parametrize("port", PORTS)
def test_a_login_is_bound_to_the_certificate(site, port, version, tmp_path):
    with Login(site, port, tmp_path, version) as login:
        assert login.mechanisms == ALL
        line = login.run(PLUS, Scram(ALICE, PASSWORD, TO_CERTIFICATE, bytes(32)))
        assert line.startswith(login.wrong), line
        line = login.run(PLUS, Scram(ALICE, PASSWORD, TO_CERTIFICATE, login.certificate()))
        assert line.startswith(login.good), line


@pytest.mark.parametrize("port", ["submissions", "pop3s", "imaps"])
def test_what_another_connection_binds_is_refused(site, port, tmp_path):
    """A man in the middle has two connections: the client's octets are not ours, though the password is right."""
    with Login(site, port, tmp_path) as other:
        octets = other.binding()
    with Login(site, port, tmp_path) as login:
        own = login.binding()
        assert own != octets
        line = login.run(PLUS, Scram(ALICE, PASSWORD, BOUND, octets))
        assert line.startswith(login.wrong), line
        line = login.run(PLUS, Scram(ALICE, "wrong", BOUND, own))
        assert line.startswith(login.wrong), line


@pytest.mark.parametrize("port", ["submissions", "pop3s", "imaps"])
@pytest.mark.parametrize("mechanism, header, answer", [
    ("SCRAM-SHA-256", "n,,", "good"),
    ("SCRAM-SHA-256", "y,,", "wrong"),  # it was offered: somebody took it out of the list
    ("SCRAM-SHA-256", BOUND, "malformed"),
    (PLUS, "n,,", "malformed"),
    (PLUS, "y,,", "wrong"),
    (PLUS, "p=tls-unique,,", "malformed"),
    (PLUS, TO_CERTIFICATE, "wrong"),  # without its octets
])
def test_binding_flags(site, port, tmp_path, mechanism, header, answer):
    with Login(site, port, tmp_path) as login:
        line = login.run(mechanism, Scram(ALICE, PASSWORD, header))
        assert line.startswith(getattr(login, answer)), line


@pytest.mark.parametrize("port", PORTS)
def test_below_tls_1_3_it_is_tls_unique(site, port, tmp_path):
    """RFC 5802 §6.1. Python computes it by itself."""
    with Login(site, port, tmp_path, TLS_1_2) as login:
        octets = login.wire.sock.get_channel_binding("tls-unique")
        line = login.run(PLUS, Scram(ALICE, PASSWORD, UNIQUE, bytes(len(octets))))
        assert line.startswith(login.wrong), line
        line = login.run("SCRAM-SHA-256", Scram(ALICE, PASSWORD, "y,,"))
        assert line.startswith(login.wrong), line
        if login.protocol != "pop3":  # which hangs up after three
            line = login.run(PLUS, Scram(ALICE, PASSWORD, BOUND, bytes(32)))
            assert line.startswith(login.malformed), line
        line = login.run(PLUS, Scram(ALICE, PASSWORD, UNIQUE, octets))
        assert line.startswith(login.good), line


@pytest.mark.parametrize("version, name", [("TLS1.3", "tls-exporter"), ("TLS1.2", "tls-unique")])
@pytest.mark.parametrize("protocol, port", [("imap", "imap"), ("smtp", "submission")])
def test_gsasl(site, protocol, port, version, name):
    """Another's client, from its own list of mechanisms: GNU SASL, with its own TLS (GnuTLS)."""
    need("gsasl")
    done = subprocess.run(
        ["gsasl", "--verbose", f"--{protocol}", f"--connect=localhost:{site.ports[port]}", "--starttls", "-a", ALICE, "-p", PASSWORD,
         f"--x509-ca-file={site.ca.cert}", f"--priority=NORMAL:-VERS-ALL:+VERS-{version}"],
        input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert PLUS.encode() in done.stdout and base64.b64encode(f"p={name},,"[:12].encode()) in done.stdout


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["tls12", "tls13"])
@pytest.mark.parametrize("port", PORTS)
def test_not_there_without_the_setting(site_without, port, version, tmp_path):
    """Neither announced nor taken; and "y", which says that it was not announced, is an honest word."""
    with Login(site_without, port, tmp_path, version) as login:
        assert login.mechanisms == ALL[:-1]
        line = login.begin(PLUS, Scram(ALICE, PASSWORD, TO_CERTIFICATE, login.certificate()).first())
        assert line.startswith(login.unknown), line
        line = login.begin("SCRAM-SHA-256", Scram(ALICE, PASSWORD, TO_CERTIFICATE, login.certificate()).first())
        assert line.startswith(login.malformed), line
        line = login.run("SCRAM-SHA-256", Scram(ALICE, PASSWORD, "y,,"))
        assert line.startswith(login.good), line


@pytest.mark.parametrize("port", ["submission", "pop3", "imap"])
def test_not_there_on_loopback_in_the_clear(site, port):
    """Dialogs may log in without TLS on loopback; there is nothing to bind to."""
    ask = {"submission": "EHLO x", "pop3": "CAPA", "imap": "a CAPABILITY"}[port]
    with site.wire(port) as wire:
        wire.send(ask + "\r\n")
        lines = wire.reply() if port == "submission" else wire.pop3_list() if port == "pop3" else [wire.line()]
        text = b"\n".join([*lines, wire.greeting])
        assert b"SCRAM-SHA-256" in text and b"-PLUS" not in text


def test_openssl_exports_the_same(site, tmp_path):
    """The client of these tests computes the octets by itself; here is another's word for the same key schedule."""
    keylog = tmp_path / "keylog"
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{site.ports['pop3s']}", "-servername", HOSTNAME, "-tls1_3",
         "-keylogfile", str(keylog), "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"],
        input=b"QUIT\r\n", capture_output=True, timeout=20, check=False)
    text = done.stdout.decode("ascii", "replace")
    (exported,) = re.findall(r"Keying material: ([0-9A-F]{64})", text)

    class Seen:
        version = staticmethod(lambda: "TLSv1.3")
        cipher = staticmethod(lambda: (text.split("Cipher is ")[1].split()[0],))

    assert tls_exporter(Seen, keylog).hex().upper() == exported, text
