"""Every SMTP and POP3 habit of real clients that the design says we bear with (the client study, sections 2 to 8).

Habits that one line shows are dialogs (dialog/smtp, dialog/pop3); here are those that need more than one line.
"""
import base64
import hashlib
import hmac

import pytest

from harness.site import PASSWORD, wait_for
from harness.wire import plain_token

ALICE = "alice@example.test"


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def wire(site):
    with site.wire("submissions") as made:
        made.smtp("EHLO [127.0.0.1]", 250)
        yield made


@pytest.fixture
def reader(site):
    with site.wire("pop3s") as made:
        yield made


@pytest.mark.parametrize("greeting", ["EHLO [127.0.0.1]", "EHLO [IPv6:::1]", "EHLO laptop", "EHLO my_laptop", "EHLO [10.0.0.7]",
                                      "ehlo client.example", "EHLO client.example ", "HELO laptop"])
def test_any_ehlo_name(site, greeting):
    """Thunderbird sends an address literal of its own, others a bare host name (2.4)."""
    with site.wire("submissions") as wire:
        wire.smtp(greeting, 250)


def test_thunderbird_sends(wire):
    """AUTH PLAIN with initial response, BODY=8BITMIME SIZE=, the connection kept for the next message (2.4)."""
    wire.smtp("AUTH PLAIN " + plain_token(ALICE, PASSWORD), 235)
    for _ in range(2):
        wire.smtp(f"MAIL FROM:<{ALICE}> BODY=8BITMIME SIZE=419", 250)
        wire.smtp("RCPT TO:<bob@example.test>", 250)
        wire.smtp("DATA", 354)
        wire.send(f"From: {ALICE}\r\nTo: bob@example.test\r\nSubject: x\r\nContent-Type: text/plain; charset=UTF-8; "
                  "format=flowed\r\n\r\nGr\u00fc\u00dfe \r\n.\r\n")
        wire.expect(250)
    wire.smtp("QUIT", 221)


def test_thunderbird_reads(site):
    """CAPA, AUTH PLAIN with continuation, STAT, LIST, UIDL, RETR, QUIT; leaves on the server and knows them again (2.5)."""
    site.add_users(["tbird"])
    for n in range(3):
        site.send("a@remote.example", ["tbird@example.test"], f"Subject: {n}\r\n\r\n{n}\r\n")
    seen = []
    for _ in range(2):
        with site.wire("pop3s") as reader:
            reader.pop3("CAPA")
            assert any(line.startswith(b"SASL") and b"PLAIN" in line for line in reader.pop3_list())
            reader.pop3("AUTH PLAIN", "+ ")
            reader.pop3(plain_token("tbird@example.test", PASSWORD))
            reader.pop3("STAT")
            reader.pop3("LIST")
            assert len(reader.pop3_list()) == 3
            reader.pop3("UIDL")
            seen.append(reader.pop3_list())
            reader.pop3("RETR 1")
            reader.pop3_list()
            reader.pop3("QUIT")
    assert seen[0] == seen[1]
    with site.wire("pop3s") as reader:  # leave-on-server turned off later: DELE without RETR
        reader.pop3("AUTH PLAIN " + plain_token("tbird@example.test", PASSWORD))
        for n in range(1, 4):
            reader.pop3(f"DELE {n}")
        reader.pop3("QUIT")
    assert site.mailbox("tbird") == []


def test_auth_login_in_both_forms(site):
    """Outlook's cloud sends the name with the command, others wait to be asked (5, 8.2)."""
    with site.wire("submissions") as wire:
        wire.smtp("EHLO x", 250)
        wire.smtp("AUTH LOGIN " + b64(ALICE), 334)
        wire.smtp(b64(PASSWORD), 235)
    with site.wire("submissions") as wire:
        wire.smtp("EHLO x", 250)
        assert b64("Username:") in wire.smtp("AUTH LOGIN", 334)
        assert b64("Password:") in wire.smtp(b64(ALICE), 334)
        wire.smtp(b64(PASSWORD), 235)


def test_blank_after_the_colon_on_submission(wire):
    """Outlook 365 Apps: MAIL FROM: <a>, RCPT TO: <b> (5)."""
    wire.smtp("AUTH PLAIN " + plain_token(ALICE, PASSWORD), 235)
    wire.smtp(f"MAIL FROM: <{ALICE}>", 250)
    wire.smtp("RCPT TO: <bob@example.test>", 250)
    wire.smtp("RSET", 250)
    wire.smtp(f"mail from:<{ALICE}> size=100", 250)


def test_apple_sends_smtputf8_without_body_8bitmime(wire):
    """Section 4."""
    wire.smtp("AUTH PLAIN " + plain_token(ALICE, PASSWORD), 235)
    wire.smtp(f"MAIL FROM:<{ALICE}> SMTPUTF8", 250)
    wire.smtp("RCPT TO:<bob@example.test>", 250)
    wire.smtp("DATA", 354)
    wire.send(f"From: J\u00f6rg <{ALICE}>\r\nSubject: \u00fc\r\n\r\n\u00e4\r\n.\r\n")
    wire.expect(250)


def test_k9_pipelines_mail_and_rcpt(wire):
    """Section 3; and everything up to DATA in one packet (RFC 2920)."""
    wire.smtp("AUTH PLAIN " + plain_token(ALICE, PASSWORD), 235)
    wire.send(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n")
    wire.expect(250)
    wire.expect(250)
    wire.expect(550)
    wire.expect(354)
    wire.send(f"From: {ALICE}\r\n\r\nx\r\n.\r\nRSET\r\nQUIT\r\n")
    wire.expect(250)
    wire.expect(250)
    wire.expect(221)


@pytest.mark.parametrize("command", ["AUTH", "AUTH "])
def test_outlook_lists_mechanisms_by_bare_auth(reader, command):
    """Section 5: with and without a blank."""
    reader.pop3(command)
    assert {b"PLAIN", b"LOGIN", b"SCRAM-SHA-256"} <= set(reader.pop3_list())


@pytest.mark.parametrize("port", ["submissions", "pop3s"])
def test_mechanisms_that_would_need_the_clear_password_are_not_offered(site, port):
    """curl, fetchmail and Roundcube would pick CRAM-MD5 before PLAIN (8.1)."""
    with site.wire(port) as wire:
        if port == "pop3s":
            wire.pop3("CAPA")
            text = b"\n".join(wire.pop3_list()).decode()
            assert "<" not in wire.greeting.decode()  # no APOP stamp
        else:
            text = wire.smtp("EHLO x", 250)
        assert "PLAIN" in text and "LOGIN" in text and "SCRAM-SHA-256" in text
        for bad in ("CRAM-MD5", "DIGEST", "NTLM", "SHA-1 "):
            assert bad not in text


def scram_final(password, client_first, server_first):
    """RFC 7677: the client's last message, and the signature that the server must show in turn."""
    fields = dict(part.split("=", 1) for part in server_first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))

    def mac(key, text):
        return hmac.new(key, text, "sha256").digest()

    client_key = mac(salted, b"Client Key")
    without_proof = f"c=biws,r={fields['r']}"
    message = f"{client_first},{server_first},{without_proof}".encode()
    signature = mac(hashlib.sha256(client_key).digest(), message)
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    return f"{without_proof},p={base64.b64encode(proof).decode()}", mac(mac(salted, b"Server Key"), message)


def ask(wire, text):
    wire.send(text + "\r\n")
    return wire.line()


def scram_login(wire, login, password, challenge, nonce="rOprNGfwEbeRWgbNEkqO"):
    """A whole exchange: (the server's first message, its last line), the server's signature checked if it sends one."""

    def decoded(line):
        assert line.startswith(challenge), line
        return base64.b64decode(line[len(challenge):].strip(), validate=True).decode()

    first = f"n={login},r={nonce}"
    server_first = decoded(ask(wire, "AUTH SCRAM-SHA-256 " + b64("n,," + first)))
    final, signature = scram_final(password, first, server_first)
    line = ask(wire, b64(final))
    if line.startswith(challenge):
        assert base64.b64decode(decoded(line).removeprefix("v=")) == signature
        line = ask(wire, "")
    return server_first, line


@pytest.mark.parametrize("port, challenge, good, bad", [("submissions", b"334 ", b"235 ", b"535 "),
                                                        ("pop3s", b"+ ", b"+OK", b"-ERR [AUTH]")])
@pytest.mark.parametrize("nonce", ["rOprNGfwEbeRWgbNEkqO", "n" * 256], ids=["usual nonce", "longest nonce"])
def test_scram(site, port, challenge, good, bad, nonce):
    """mbsync picks SCRAM-SHA-256 when it is offered (section 7). The client's empty line answers the server's last word."""
    if "scram@" not in site.posthouse("user", "list"):
        site.add_user("scram")  # not by fresh_user(): its users have no SCRAM keys yet
    for password in ("wrong", PASSWORD):
        with site.wire(port) as wire:
            if port == "submissions":
                wire.smtp("EHLO x", 250)
            _, line = scram_login(wire, "scram@example.test", password, challenge, nonce)
            assert line.startswith(good if password == PASSWORD else bad), line


def salt(server_first):
    return dict(part.split("=", 1) for part in server_first.split(","))["s"]


def pop3_scram(site, login, password):
    """(salt, whether it let us in)"""
    with site.wire("pop3s") as reader:
        server_first, line = scram_login(reader, login, password, b"+ ")
        assert line.startswith((b"+OK", b"-ERR [AUTH]")), line
        return salt(server_first), line.startswith(b"+OK")


def keys_added(site, login):
    return any("auth.scram_keys_added" in line and login in line for line in site.log_text().splitlines())


def pop3_plain(site, login, password):
    with site.wire("pop3s") as reader:
        reader.pop3("AUTH PLAIN " + plain_token(login, password))


def test_scram_after_an_import_with_hashes(site):
    """A hash brings no SCRAM keys. Such a user is nobody to SCRAM until the first PLAIN login; then mbsync may come."""
    login = "imported@example.test"
    site.add_users(["imported"])
    before, ok = pop3_scram(site, login, PASSWORD)
    assert not ok
    nobody, ok = pop3_scram(site, "no.such.user@example.test", PASSWORD)
    assert not ok and len(base64.b64decode(nobody)) == len(base64.b64decode(before))
    pop3_plain(site, login, PASSWORD)
    wait_for(lambda: keys_added(site, login), 5, lambda: f"the keys are written\n{site.log_tail()}")
    after, ok = pop3_scram(site, login, PASSWORD)
    assert ok and after == before  # nor does the salt tell that somebody is a user by now
    assert pop3_scram(site, login, "wrong")[1] is False


def test_a_new_password_after_an_import_is_left_alone(site):
    """Keys come to the imported hash alone: a password that was set in between has its own."""
    login = "changed@example.test"
    site.add_users(["changed"])
    site.posthouse("user", "password", login, "--password-stdin", stdin="another one\n")
    first, ok = pop3_scram(site, login, "another one")
    assert ok
    assert pop3_scram(site, login, PASSWORD)[1] is False
    pop3_plain(site, login, "another one")
    assert pop3_scram(site, login, "another one") == (first, True)
    assert not keys_added(site, login)


@pytest.mark.parametrize("commands", ["capa", "Capa", "user alice@example.test"])
def test_pop3_commands_in_any_case(reader, commands):
    reader.pop3(commands)


def test_user_pass_with_blanks_in_the_password(site):
    """A password may hold blanks, at its end too (RFC 1939 §7: PASS takes one argument, blanks included)."""
    site.add_user("blank", password="two words ")
    with site.wire("pop3s") as reader:
        reader.pop3("USER blank@example.test")
        reader.pop3("PASS two words ")


def test_a_login_name_in_capitals(reader):
    reader.pop3("USER Alice@Example.TEST")
    reader.pop3(f"PASS {PASSWORD}")


def test_twenty_connections_of_one_user(site):
    """At least 20 at once per user and address; an idle submission connection is left alone (8.5)."""
    wires = []
    for _ in range(20):
        wire = site.wire("submissions")
        wire.smtp("EHLO x", 250)
        wire.smtp("AUTH PLAIN " + plain_token(ALICE, PASSWORD), 235)
        wires.append(wire)
    for wire in wires:
        wire.smtp("NOOP", 250)
        wire.close()


def test_quitting_without_quit(site):
    """Thunderbird drops the connection; nothing is deleted and the maildrop is free again at once."""
    site.add_users(["dropper"])
    site.send("a@remote.example", ["dropper@example.test"], "Subject: x\r\n\r\nx\r\n")
    for _ in range(5):
        wire = site.pop3_wire("dropper", port="pop3s")
        wire.pop3("DELE 1")
        wire.close()
        def again():
            try:
                return len(site.mailbox("dropper")) == 1
            except AssertionError:
                return False

        wait_for(again, 5, "the maildrop is free and whole")


def test_messages_of_odd_shape_come_out_over_pop3(site):
    """No blank line after the header, no header at all (5): handed out as they are, and TOP does not fail."""
    site.add_users(["odd"])
    for text in (b"Subject: no blank line\r\n", b"\r\nno header\r\n", b"no colon here\r\n\r\nx\r\n"):
        with site.wire("smtp") as wire:
            wire.smtp("EHLO c", 250)
            wire.smtp("MAIL FROM:<a@remote.example>", 250)
            wire.smtp("RCPT TO:<odd@example.test>", 250)
            wire.smtp("DATA", 354)
            wire.send(text + b".\r\n")
            wire.expect(250)
    with site.pop3_wire("odd", port="pop3s") as reader:
        for number in (1, 2, 3):
            reader.pop3(f"TOP {number} 0")
            reader.pop3_list()
            reader.pop3(f"RETR {number}")
            reader.pop3_list()
