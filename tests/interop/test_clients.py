"""Mail in and out by clients that nobody here wrote, over STARTTLS and implicit TLS, certificate verified.

Each client sends or fetches a message with a mark of its own, and the other side is looked at by poplib (for senders) or in the
client's own mailbox file (for readers). A client that is not installed is a skip with its name.
"""
import contextlib
import poplib
import re
import smtplib
import time

import pytest

from harness.clients import Terminal, need, new_mark, run, secret_file
from harness.site import PASSWORD, body_of
from harness.wire import plain_token

SITE = {"plaintext": False}
ALICE, BOB = "alice@example.test", "bob@example.test"


def message(mark, to=BOB):
    return (
        f"From: Alice <{ALICE}>\r\nTo: {to}\r\nSubject: {mark}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{mark}@example.test>\r\n\r\n.dot\r\n..two dots\r\nGr\u00fc\u00dfe\r\n.\r\nthe end\r\n"
    ).encode()


@pytest.fixture
def mark():
    return new_mark()


@pytest.fixture(autouse=True)
def empty_mailbox(site):
    yield
    with contextlib.closing(site.wire("pop3s")) as wire:
        wire.pop3("AUTH PLAIN " + plain_token(BOB, PASSWORD))
        for number in range(1, int(wire.pop3("STAT").split()[1]) + 1):
            wire.pop3(f"DELE {number}")
        wire.pop3("QUIT")


def the_message(site, mark):
    """Bob's only message; it must be the one with this mark."""
    messages = site.mailbox("bob", port="pop3s")
    assert len(messages) == 1 and mark.encode() in messages[0], messages
    return messages[0]


# --- senders

@pytest.mark.parametrize("port, scheme, options", [
    ("submissions", "smtps", ()),
    ("submission", "smtp", ("--ssl-reqd",)),
    ("submission", "smtp", ("--ssl-reqd", "--login-options", "AUTH=LOGIN")),
    ("submission", "smtp", ("--ssl-reqd", "--login-options", "AUTH=PLAIN", "--sasl-ir")),
])
def test_curl_sends(site, mark, tmp_path, port, scheme, options):
    need("curl")
    (tmp_path / "mail").write_bytes(message(mark))
    run("curl", "-sS", "--cacert", site.ca.cert, *options, "--url", f"{scheme}://localhost:{site.ports[port]}/client.example",
        "--user", f"{ALICE}:{PASSWORD}", "--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", tmp_path / "mail")
    assert body_of(the_message(site, mark)) == message(mark)


def test_curl_is_told_of_a_wrong_password(site, mark, tmp_path):
    need("curl")
    (tmp_path / "mail").write_bytes(message(mark))
    run("curl", "-sS", "--cacert", site.ca.cert, "--url", f"smtps://localhost:{site.ports['submissions']}",
        "--user", f"{ALICE}:wrong", "--mail-from", ALICE, "--mail-rcpt", BOB, "--upload-file", tmp_path / "mail",
        want=67)  # CURLE_LOGIN_DENIED
    assert site.mailbox("bob", port="pop3s") == []


@pytest.mark.parametrize("port, tls", [("submissions", "--tls-on-connect"), ("submission", "--tls")])
@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("pipeline", [(), ("--pipeline",)], ids=["", "pipelined"])
def test_swaks_sends(site, mark, tmp_path, port, tls, auth, pipeline):
    need("swaks")
    (tmp_path / "mail").write_bytes(message(mark).replace(b"\r\n", b"\n"))
    run("swaks", "--server", "127.0.0.1", "--port", site.ports[port], tls, "--tls-verify", "--tls-ca-path", site.ca.cert,
        "--auth", auth, "--auth-user", ALICE, "--auth-password", PASSWORD, "--from", ALICE, "--to", BOB,
        "--data", f"@{tmp_path / 'mail'}", *pipeline)
    assert mark.encode() in the_message(site, mark)


def test_swaks_delivers_on_port_25_with_starttls(site, mark):
    need("swaks")
    run("swaks", "--server", "127.0.0.1", "--port", site.ports["smtp"], "--tls", "--from", "a@remote.example", "--to", BOB,
        "--header", f"Subject: {mark}", "--body", "hello")
    the_message(site, mark)


@pytest.mark.parametrize("port, starttls", [("submissions", "off"), ("submission", "on")])
@pytest.mark.parametrize("auth", ["plain", "login", "scram-sha-256"])
def test_msmtp_sends(site, mark, tmp_path, port, starttls, auth):
    need("msmtp")
    config = secret_file(tmp_path / "msmtprc", f"""
account default
host localhost
port {site.ports[port]}
tls on
tls_starttls {starttls}
tls_trust_file {site.ca.cert}
auth {auth}
user {ALICE}
password {PASSWORD}
from {ALICE}
""")
    run("msmtp", "-C", config, BOB, stdin=message(mark).replace(b"\r\n", b"\n"))
    assert body_of(the_message(site, mark)) == message(mark)


@pytest.mark.parametrize("port", ["submissions", "submission"])
def test_smtplib_sends(site, mark, port):
    with site.smtp(port, login="alice") as client:
        assert client.has_extn("PIPELINING") and client.has_extn("8BITMIME") and client.has_extn("SMTPUTF8")
        assert int(client.esmtp_features["size"]) > 1000000
        client.sendmail(ALICE, [BOB], message(mark))
    assert body_of(the_message(site, mark)) == message(mark)


def test_smtplib_is_told_of_a_wrong_password_and_may_try_again(site):
    with site.smtp("submissions") as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(ALICE, "wrong")
        assert refused.value.smtp_code == 535  # the code that K-9 takes for a wrong password (clients.md 3)
        client.ehlo()
        assert client.login(ALICE, PASSWORD)[0] == 235


def muttrc(site, tmp_path, more):
    return secret_file(tmp_path / "muttrc", f"""
set from="{ALICE}" realname="Alice" use_envelope_from=yes envelope_from_address="{ALICE}"
set certificate_file="{site.ca.cert}" ssl_force_tls=yes ssl_starttls=yes ssl_verify_host=yes
set folder="{tmp_path}" record="" sendmail="" mail_check_stats=no
set header_cache="" message_cachedir="" abort_nosubject=no
{more}
""")


@pytest.mark.parametrize("port, scheme", [("submissions", "smtps"), ("submission", "smtp")])
def test_mutt_sends(site, mark, tmp_path, port, scheme):
    need("mutt")
    rc = muttrc(site, tmp_path, f'set smtp_url="{scheme}://alice%40example.test@localhost:{site.ports[port]}" '
                                f'smtp_pass="{PASSWORD}"')
    run("mutt", "-F", rc, "-s", mark, BOB, stdin=b"hello from mutt\n.\n.dot\n", env={"HOME": str(tmp_path)})
    assert b"hello from mutt\r\n.\r\n.dot\r\n" in the_message(site, mark)


# --- readers

def deliver(site, mark):
    site.send("a@remote.example", [BOB], message(mark))


@pytest.mark.parametrize("port, scheme, options", [
    ("pop3s", "pop3s", ()),
    ("pop3", "pop3", ("--ssl-reqd",)),
    ("pop3", "pop3", ("--ssl-reqd", "--login-options", "AUTH=PLAIN", "--sasl-ir")),
    ("pop3", "pop3", ("--ssl-reqd", "--login-options", "AUTH=LOGIN")),
])
def test_curl_fetches(site, mark, port, scheme, options):
    need("curl")
    deliver(site, mark)
    base = ("curl", "-sS", "--cacert", site.ca.cert, "--user", f"{BOB}:{PASSWORD}", *options)
    url = f"{scheme}://localhost:{site.ports[port]}/"
    assert re.match(r"1 \d+\s*$", run(*base, url))
    assert re.match(r"1 \S+\s*$", run(*base, "-X", "UIDL", url))
    text = run(*base, url + "1")
    assert mark in text and "\r\n.dot\r\n..two dots\r\n" in text and text.endswith("\r\n.\r\nthe end\r\n")
    run(*base, "-X", "DELE 1", "-I", url)
    assert site.mailbox("bob", port="pop3s") == []


@pytest.mark.parametrize("port", ["pop3s", "pop3"])
def test_poplib_fetches(site, mark, port):
    deliver(site, mark)
    context = site.ca.context()
    if port == "pop3s":
        client = poplib.POP3_SSL("localhost", site.ports[port], context=context)
    else:
        client = poplib.POP3("localhost", site.ports[port])
        client.stls(context)
    capabilities = client.capa()
    assert {"TOP", "UIDL", "USER", "SASL", "PIPELINING", "RESP-CODES"} <= set(capabilities)
    client.user(BOB)
    client.pass_(PASSWORD)
    assert client.stat()[0] == 1
    uid = client.uidl(1).split()[2]
    assert client.uidl()[1] == [b"1 " + uid]
    assert b"\r\n".join(client.retr(1)[1]).endswith(b"\r\n.dot\r\n..two dots\r\nGr\xc3\xbc\xc3\x9fe\r\n.\r\nthe end")
    top = client.top(1, 2)[1]
    assert top[-3:] == [b"", b".dot", b"..two dots"]
    client.dele(1)
    client.quit()
    assert site.mailbox("bob", port="pop3s") == []


@pytest.mark.parametrize("port, tls", [("pop3s", "ssl"), ("pop3", "sslproto 'TLS1.2+'")])
def test_fetchmail_fetches(site, mark, tmp_path, port, tls):
    need("fetchmail")
    deliver(site, mark)
    rc = secret_file(tmp_path / "rc", f"""
poll localhost protocol POP3 service {site.ports[port]}
    username "{BOB}" password "{PASSWORD}" {tls} sslcertck sslcertfile "{site.ca.cert}"
    mda "cat >>{tmp_path / 'out'}" fetchall
""")
    env = {"FETCHMAILHOME": str(tmp_path), "HOME": str(tmp_path)}
    run("fetchmail", "-f", rc, "--nosyslog", "--pidfile", tmp_path / "pid", env=env)
    text = (tmp_path / "out").read_bytes()
    assert mark.encode() in text and b"\n.dot\n..two dots\nGr\xc3\xbc\xc3\x9fe\n.\nthe end\n" in text.replace(b"\r\n", b"\n")
    run("fetchmail", "-f", rc, "--nosyslog", "--pidfile", tmp_path / "pid", env=env, want=1)  # 1: no mail


def test_getmail_fetches(site, mark, tmp_path):
    need("getmail")
    deliver(site, mark)
    rc = secret_file(tmp_path / "getmailrc", f"""[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {site.ports['pop3s']}
username = {BOB}
password = {PASSWORD}
ca_certs = {site.ca.cert}
[destination]
type = MDA_external
path = /usr/bin/tee
arguments = ("{tmp_path / 'out'}", )
allow_root_commands = true
[options]
delete = true
delivered_to = false
received = false
""")
    run("getmail", "--getmaildir", tmp_path, "--rcfile", rc)
    text = (tmp_path / "out").read_bytes()
    assert mark.encode() in text and b"\n.dot\n..two dots\n" in text.replace(b"\r\n", b"\n")
    assert site.mailbox("bob", port="pop3s") == []


@pytest.mark.parametrize("port, starttls", [("pop3s", "off"), ("pop3", "on")])
@pytest.mark.parametrize("auth", ["user", "plain", "login", "scram-sha-256"])
def test_mpop_fetches(site, mark, tmp_path, port, starttls, auth):
    need("mpop")
    deliver(site, mark)
    config = secret_file(tmp_path / "mpoprc", f"""
account default
host localhost
port {site.ports[port]}
tls on
tls_starttls {starttls}
tls_trust_file {site.ca.cert}
auth {auth}
user {BOB}
password {PASSWORD}
delivery mbox {tmp_path / 'mbox'}
uidls_file {tmp_path / 'uidls'}
keep on
""")
    run("mpop", "-C", config)
    text = (tmp_path / "mbox").read_bytes().replace(b"\r\n", b"\n")
    assert mark.encode() in text and b"\n.dot\n..two dots\n" in text
    run("mpop", "-C", config)  # its UIDL file says: nothing new
    assert (tmp_path / "mbox").read_bytes().replace(b"\r\n", b"\n") == text
    assert len(site.mailbox("bob", port="pop3s")) == 1


@pytest.mark.parametrize("port, scheme", [("pop3s", "pops"), ("pop3", "pop")])
def test_mutt_reads_and_deletes_in_a_terminal(site, mark, tmp_path, port, scheme):
    need("mutt", "tmux")
    deliver(site, mark)
    rc = muttrc(site, tmp_path, f'set pop_pass="{PASSWORD}" pop_delete=yes quit=yes delete=yes wait_key=no')
    with Terminal(tmp_path, f"mutt -n -F {rc} -f {scheme}://bob%40example.test@localhost:{site.ports[port]}", tmp_path) as terminal:
        terminal.see(mark)
        terminal.keys("Enter")
        terminal.see("..two dots")
        terminal.keys("q")
        terminal.see(mark)
        terminal.keys("d")
        time.sleep(0.2)
        terminal.keys("q")
        terminal.ends()
    assert site.mailbox("bob", port="pop3s") == []
