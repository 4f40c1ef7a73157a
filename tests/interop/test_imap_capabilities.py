"""docs/imap.md against the server: what is announced, and that the files and tests it names are there."""
import hashlib
import hmac
import base64
import re
from pathlib import Path

import pytest

from harness.site import HOSTNAME, Site, plain_token

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"u/": "tests/unit/imapd/", "d/": "tests/dialog/imap/", "i/": "tests/interop/"}


def rows():
    """(RFC, title, status, announces, files, tests) of both tables; files with their folder."""
    folder = "imapd/"
    for line in (ROOT / "docs/imap.md").read_text().split("\n"):
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 6 and cells[0] not in ("RFC", "---"):
            files = [folder + name for name in cells[4].split()]
            tests = [FOLDERS[name[:2]] + name[2:] for name in cells[5].split()]
            yield cells[0], cells[1], cells[2], set(cells[3].split()), files, tests
        elif "common/sasl/" in line:
            folder = "common/sasl/"


def capabilities(line):
    """Of "* OK [CAPABILITY ...] ..." or "* CAPABILITY ..."; values are cut off where a name has one only here."""
    words = re.search(rb"CAPABILITY ([^\]\r\n]*)", line).group(1).decode().split()
    return {re.sub(r"^APPENDLIMIT=\d+$", "APPENDLIMIT", word) for word in words}


@pytest.fixture(scope="module")
def site():
    with Site(settings={"auth.plaintext_on_loopback": "no"}) as made:
        yield made


@pytest.fixture(scope="module")
def announced(site):
    """What is announced in any state, in the clear or not: {where: set}."""
    seen = {}
    with site.wire("imap") as wire:
        seen["greeting"] = capabilities(wire.greeting)
        wire.imap("STARTTLS")
        wire.start_tls(site.ca.context(), HOSTNAME)
        seen["tls"] = capabilities(wire.imap("CAPABILITY")[0])
        token = plain_token("alice@example.test", "secret")
        seen["tagged ok"] = capabilities(wire.imap("AUTHENTICATE PLAIN " + token)[-1])
        seen["login"] = capabilities(wire.imap("CAPABILITY")[0])
        wire.imap("SELECT INBOX")
        seen["selected"] = capabilities(wire.imap("CAPABILITY")[0])
    with site.wire("imaps") as wire:
        seen["implicit"] = capabilities(wire.greeting)
    return seen


def test_the_table_says_what_is_announced(announced):
    told = {name: rfc for rfc, _, _, names, _, _ in rows() for name in names}
    real = set().union(*announced.values())
    assert real - set(told) == set(), "announced, but not in docs/imap.md"
    assert set(told) - real == set(), "docs/imap.md says it is announced"
    for rfc, _, status, names, _, _ in rows():
        assert not (names and status == "no"), rfc


def test_what_the_table_names_is_there():
    for rfc, _, status, _, files, tests in rows():
        assert status in ("done", "no", "not yet announced") or re.fullmatch(r"part of \d+", status), (rfc, status)
        for name in files + tests:
            assert (ROOT / name).is_file(), f"RFC {rfc}: {name}"
        assert status != "done" or (files and tests), f"RFC {rfc}: done, but where is it, and who shows it?"


def test_each_rfc_once():
    numbers = [row[0] for row in rows()]
    assert sorted(set(numbers)) == sorted(numbers)


def test_where_each_is_announced(announced):
    """RFC 9051 §6.1.1, §6.2.1, §6.2.3: nothing that needs TLS is offered before; afterwards everything is told unasked."""
    assert announced["tagged ok"] == announced["login"] == announced["selected"]
    assert {"STARTTLS", "LOGINDISABLED"} <= announced["greeting"]
    assert not any(name.startswith("AUTH=") for name in announced["greeting"])
    assert not {"STARTTLS", "LOGINDISABLED"} & announced["tls"]
    assert {"AUTH=PLAIN", "AUTH=LOGIN", "AUTH=SCRAM-SHA-256", "SASL-IR"} <= announced["tls"] == announced["implicit"]
    assert not any(name.startswith("AUTH=") or name == "SASL-IR" for name in announced["login"])
    for names in announced.values():
        assert {"IMAP4rev1", "LITERAL+", "ID", "ENABLE"} <= names
        assert not {"AUTH=CRAM-MD5", "AUTH=DIGEST-MD5", "AUTH=NTLM", "LITERAL-"} & names  # clients would prefer them


def b64(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("initial", [True, False])
def test_scram(site, initial):
    """RFC 7677, RFC 5802 §3, with and without SASL-IR: the server proves itself too."""
    first = "n=alice@example.test,r=fyko+d2lbbFgONRv9qkxdawL"
    with site.wire("imaps") as wire:
        if initial:
            wire.send(f"a AUTHENTICATE SCRAM-SHA-256 {b64(('n,,' + first).encode())}\r\n")
        else:
            wire.send("a AUTHENTICATE SCRAM-SHA-256\r\n")
            assert wire.line() == b"+ "
            wire.send(b64(("n,," + first).encode()) + "\r\n")
        server = base64.b64decode(wire.line()[2:]).decode()
        values = dict(part.split("=", 1) for part in server.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", b"secret", base64.b64decode(values["s"]), int(values["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        last = f"c=biws,r={values['r']}"
        message = f"{first},{server},{last}".encode()
        proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.sha256(key).digest(), message, "sha256")))
        wire.send(b64(f"{last},p={b64(proof)}".encode()) + "\r\n")
        verifier = base64.b64decode(wire.line()[2:]).decode()
        assert verifier == "v=" + b64(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256"))
        wire.send("\r\n")
        assert wire.line().startswith(b"a OK [CAPABILITY ")
        wire.imap("LOGOUT")
