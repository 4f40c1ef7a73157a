"""IMAP by clients that nobody here wrote, over implicit TLS and STARTTLS, certificate verified: curl, imaplib, fetchmail, getmail, imapfilter,
imapflow. Those that keep a copy of the mailbox are in test_imap_sync.py, those with a screen in test_imap_screens.py.

Each test has a user of its own, and what the client did is looked at by an IMAP client of ours (harness/imap.py).
"""
import imaplib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.clients import need, new_mark, run, secret_file
from harness.imap import Imap
from harness.site import HOSTNAME, PASSWORD, wait_for

SITE = {"plaintext": False}
NODE = Path(__file__).resolve().parent / "node"


def message(mark, extra=""):
    return (
        f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: {mark}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{mark}@example.test>\r\n{extra}\r\n.dot\r\n..two dots\r\nGr\u00fc\u00dfe\r\n.\r\nthe end\r\n"
    ).encode()


@pytest.fixture
def mark():
    return new_mark()


@pytest.fixture
def user(site):
    """A user of this test's own; by `user add`, so with SCRAM keys."""
    return site.add_user(new_mark())


@pytest.fixture
def peer(site, user):
    """The other client of the same user."""
    made = Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME).login(user, PASSWORD)
    yield made
    made.close()


def append(peer, mailbox, text, flags=""):
    return peer.command(f"APPEND {mailbox} ({flags}) ", text).ok()


def contents(peer, mailbox):
    """[(octets, flags)] in order of UID, looked at without changing anything."""
    peer.command(f"EXAMINE {mailbox}").ok()
    found = []
    for line in peer.command("FETCH 1:* (FLAGS BODY.PEEK[])").untagged:
        if line[1:2] == ["FETCH"]:
            items = dict(zip(line[2][::2], line[2][1::2]))
            found.append((items["BODY[]"].encode("utf-8", "surrogateescape"), set(items["FLAGS"])))
    peer.command("UNSELECT").ok()
    return found


def octets(peer, mailbox):
    return [text for text, _ in contents(peer, mailbox)]


# --- curl

CURL = [
    ("imaps", "imaps", ()),
    ("imap", "imap", ("--ssl-reqd",)),
    ("imap", "imap", ("--ssl-reqd", "--login-options", "AUTH=PLAIN", "--sasl-ir")),
    ("imap", "imap", ("--ssl-reqd", "--login-options", "AUTH=LOGIN")),
]


@pytest.mark.parametrize("port, scheme, options", CURL)
def test_curl(site, user, peer, mark, tmp_path, port, scheme, options):
    need("curl")
    base = ("curl", "-sS", "--cacert", site.ca.cert, "--user", f"{user}:{PASSWORD}", *options)
    url = f"{scheme}://localhost:{site.ports[port]}/"
    (tmp_path / "mail").write_bytes(message(mark))
    listed = run(*base, url)
    assert {'"/" INBOX', '"/" Sent', '"/" Trash'} <= {line.split(") ", 1)[1].strip() for line in listed.splitlines()}
    run(*base, "-T", tmp_path / "mail", url + "INBOX")
    run(*base, "-T", tmp_path / "mail", url + "Sent%20Mail", want=25)  # CURLE_UPLOAD_FAILED: no such mailbox
    assert octets(peer, "INBOX") == [message(mark)]
    assert run(*base, url + "INBOX?SUBJECT%20" + mark).split() == ["*", "SEARCH", "1"]
    assert run(*base, url + "INBOX?NEW%20SUBJECT%20nothing").split() == ["*", "SEARCH"]
    got = subprocess.run([*map(str, base), url + "INBOX;UID=1"], check=True, capture_output=True, timeout=60).stdout
    assert got == message(mark)
    assert run(*base, url + "INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)").strip() == f"Subject: {mark}"
    assert run(*base, url + "INBOX;UID=1;SECTION=TEXT").startswith(".dot\r\n..two dots\r\n")
    assert "\\Flagged" in run(*base, "-X", "STORE 1 +FLAGS (\\Flagged)", url + "INBOX")
    assert "EXISTS" in run(*base, "-X", "EXAMINE INBOX", url)
    assert contents(peer, "INBOX")[0][1] >= {"\\Flagged", "\\Seen"}
    run(*base, "-X", "UID MOVE 1 Archive", url + "INBOX")
    assert octets(peer, "Archive") == [message(mark)] and octets(peer, "INBOX") == []


@pytest.mark.parametrize("port, scheme, options", [CURL[0], CURL[1], CURL[3]])
def test_curl_is_told_of_a_wrong_password(site, user, port, scheme, options):
    need("curl")
    run("curl", "-sS", "--cacert", site.ca.cert, "--user", f"{user}:wrong", *options, f"{scheme}://localhost:{site.ports[port]}/",
        want=67)  # CURLE_LOGIN_DENIED


# --- Python's imaplib

def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def connect(site, port):
    if port == "imaps":
        return imaplib.IMAP4_SSL("localhost", site.ports[port], ssl_context=site.ca.context(), timeout=60)
    client = imaplib.IMAP4("localhost", site.ports[port], timeout=60)
    assert "LOGINDISABLED" in client.capabilities and "STARTTLS" in client.capabilities
    client.starttls(site.ca.context())
    assert "LOGINDISABLED" not in client.capabilities and "STARTTLS" not in client.capabilities
    return client


def mailboxes(client):
    ok(client.create('"Projects/New Year"'))
    ok(client.subscribe('"Projects/New Year"'))
    assert any(b'"Projects/New Year"' in line for line in ok(client.list()))
    assert any(b'"Projects/New Year"' in line for line in ok(client.lsub("Projects", "*")))
    ok(client.rename('"Projects/New Year"', "Projects/Old"))
    ok(client.unsubscribe('"Projects/New Year"'))
    ok(client.delete("Projects/Old"))
    assert client.delete("Projects/Old")[0] == "NO"
    ok(client.namespace())
    ok(client.getquotaroot("INBOX"))
    assert client.getquota('""')[0] == "NO"  # without limits there is no quota root (RFC 9208 §4.1)


def messages(client, mark):
    for n in range(4):
        ok(client.append("INBOX", r"(\Flagged)" if n == 2 else None, imaplib.Time2Internaldate(1_795_000_000 + n), message(f"{mark}-{n % 2}-{n}")))
    assert ok(client.select()) == [b"4"]
    assert client.response("UIDVALIDITY")[1][0].isdigit() and client.response("READ-WRITE")[0] == "READ-WRITE"
    assert ok(client.search(None, "SUBJECT", f'"{mark}-0"')) == [b"1 3"]
    assert ok(client.search("UTF-8", "FLAGGED")) == [b"3"]
    assert ok(client.uid("SEARCH", None, "ALL")) == [b"1 2 3 4"]
    client.literal = "grüße".encode()
    assert ok(client.search("UTF-8", "BODY")) == [b"1 2 3 4"]
    assert ok(client.sort("(REVERSE DATE SUBJECT)", "UTF-8", "ALL"))[0].split() != []
    assert ok(client.uid("SORT", "(REVERSE ARRIVAL)", "UTF-8", "ALL")) == [b"4 3 2 1"]
    assert b"1" in ok(client.thread("REFERENCES", "UTF-8", "ALL"))[0]
    assert b"1" in ok(client.thread("ORDEREDSUBJECT", "US-ASCII", "ALL"))[0]
    data = ok(client.fetch("2", "(FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"))
    assert data[0][1] == message(f"{mark}-1-1") and b"RFC822.SIZE %d" % len(data[0][1]) in data[0][0]
    assert time.mktime(imaplib.Internaldate2tuple(data[0][0])) == 1_795_000_001
    assert ok(client.fetch("2", "(RFC822)"))[0][1] == message(f"{mark}-1-1")
    assert imaplib.ParseFlags(ok(client.fetch("2", "(FLAGS)"))[0]) == (rb"\Seen",)


def changes(client, peer, mark):
    assert b"\\Answered" in ok(client.store("1", "+FLAGS", r"\Answered"))[0]
    ok(client.store("1:3", "-FLAGS.SILENT", r"(\Answered)"))
    ok(client.store("1", "FLAGS", r"($Forwarded Work)"))
    ok(client.copy("1:2", "Archive"))
    ok(client.uid("COPY", "4", "Archive"))
    ok(client.uid("MOVE", "4", "Trash"))
    assert client.copy("1", "Nowhere")[0] == "NO"
    client.response("EXPUNGE")  # of the MOVE; imaplib collects them
    ok(client.store("2", "+FLAGS", r"\Deleted"))
    assert ok(client.expunge()) == [b"2"]
    ok(client.check())
    ok(client.noop())
    assert set(re.findall(rb"[A-Z]+ \d", ok(client.status("Archive", "(MESSAGES UNSEEN UIDNEXT)"))[0])) == {b"MESSAGES 3", b"UNSEEN 2", b"UIDNEXT 4"}
    ok(client.uid("STORE", "3", "+FLAGS", r"(\Deleted)"))
    ok(client.close())
    assert [text for text, _ in contents(peer, "INBOX")] == [message(f"{mark}-0-0")]
    assert contents(peer, "INBOX")[0][1] == {"$Forwarded", "Work"}
    assert octets(peer, "Trash") == [message(f"{mark}-1-3")]


@pytest.mark.parametrize("port", ["imaps", "imap"])
def test_imaplib(site, user, peer, mark, port):
    """The whole of it, with what it checks itself."""
    client = connect(site, port)
    ok(client.login(user, PASSWORD))
    mailboxes(client)
    messages(client, mark)
    changes(client, peer, mark)
    ok(client.select("INBOX", readonly=True))
    assert client.store("1", "+FLAGS", r"\Deleted")[0] == "NO"
    assert client.expunge()[0] == "NO"
    ok(client.unselect())
    ok(client.enable("CONDSTORE"))
    assert client.logout()[0] == "BYE"


@pytest.mark.parametrize("port", ["imaps", "imap"])
def test_imaplib_logs_in_by_authenticate(site, user, port):
    client = connect(site, port)
    with pytest.raises(imaplib.IMAP4.error):
        client.authenticate("PLAIN", lambda _: f"\0{user}\0wrong".encode())
    ok(client.authenticate("PLAIN", lambda _: f"\0{user}\0{PASSWORD}".encode()))
    ok(client.select())
    client.logout()


def test_imaplib_is_told_of_a_wrong_password_and_may_try_again(site, user):
    client = connect(site, "imaps")
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(user, "wrong")
    ok(client.login(user, PASSWORD))
    client.logout()


# --- fetchmail

def fetchmail(site, user, tmp_path, port, tls, more):
    rc = secret_file(tmp_path / "rc", f"""
poll localhost protocol IMAP service {site.ports[port]}
    username "{user}" password "{PASSWORD}" {tls} sslcertck sslcertfile "{site.ca.cert}"
    mda "cat >>{tmp_path / 'out'}" {more}
""")
    return ["fetchmail", "-f", str(rc), "--nosyslog", "--pidfile", str(tmp_path / "pid")], {"FETCHMAILHOME": str(tmp_path), "HOME": str(tmp_path)}


def arrived(tmp_path):
    out = tmp_path / "out"
    return out.read_bytes().replace(b"\r\n", b"\n") if out.exists() else b""


@pytest.mark.parametrize("port, tls", [("imaps", "ssl"), ("imap", "sslproto 'TLS1.2+'")])
@pytest.mark.parametrize("keep", ["keep", "nokeep"])
def test_fetchmail(site, user, peer, mark, tmp_path, port, tls, keep):
    need("fetchmail")
    append(peer, "INBOX", message(mark + "-seen"), "\\Seen")
    append(peer, "INBOX", message(mark + "-new"))
    command, env = fetchmail(site, user, tmp_path, port, tls, keep)
    run(*command, env=env)
    text = arrived(tmp_path)
    assert text.count(mark.encode() + b"-new@") == 1 and b"-seen@" not in text
    assert b"\n.dot\n..two dots\nGr\xc3\xbc\xc3\x9fe\n.\nthe end\n" in text
    run(*command, env=env, want=1)  # 1: no new mail
    left = {b"-new@" in text: flags for text, flags in contents(peer, "INBOX")}
    assert left == ({False: {"\\Seen"}, True: {"\\Seen"}} if keep == "keep" else {False: {"\\Seen"}})


@pytest.mark.parametrize("keep", ["keep", "nokeep"])
def test_fetchmail_idles(site, user, peer, mark, tmp_path, keep):
    """It waits in IDLE and fetches what comes, when it comes: delivered by SMTP, and appended by another client."""
    need("fetchmail")
    command, env = fetchmail(site, user, tmp_path, "imaps", "ssl", f"idle {keep}")
    append(peer, "INBOX", message(mark + "-0"))
    with open(tmp_path / "log", "wb") as log:
        idler = subprocess.Popen([*command, "-vv", "--nodetach"], env={**os.environ, **env}, stdout=log, stderr=log)
    try:
        for n in range(3):
            wait_for(lambda n=n: f"{mark}-{n}@".encode() in arrived(tmp_path), 60, (tmp_path / "log").read_text)
            if keep == "nokeep":
                wait_for(lambda: peer.command("STATUS INBOX (MESSAGES)").ok().untagged[0][2] == ["MESSAGES", "0"], 60,
                         "it deletes what it has")
            time.sleep(0.3)
            if n == 0:
                site.send("a@remote.example", [user], message(f"{mark}-1"))
            elif n == 1:
                append(peer, "INBOX", message(f"{mark}-2"))
        assert "IDLE" in (tmp_path / "log").read_text()
    finally:
        idler.send_signal(signal.SIGTERM)
        idler.wait(20)
    assert [arrived(tmp_path).count(f"Message-ID: <{mark}-{n}@".encode()) for n in range(3)] == [1, 1, 1]
    assert len(octets(peer, "INBOX")) == (3 if keep == "keep" else 0)


# --- getmail

@pytest.mark.parametrize("port, kind", [("imaps", "SimpleIMAPSSLRetriever"), ("imaps", "MultidropIMAPSSLRetriever")])
def test_getmail(site, user, peer, mark, tmp_path, port, kind):
    need("getmail")
    for n, mailbox in enumerate(("INBOX", "Archive", "INBOX")):
        append(peer, mailbox, message(f"{mark}-{n}", "Delivered-To: x@example.test\r\n"))
    rc = secret_file(tmp_path / "getmailrc", f"""[retriever]
type = {kind}
server = localhost
port = {site.ports[port]}
username = {user}
password = {PASSWORD}
ca_certs = {site.ca.cert}
mailboxes = ("INBOX", "Archive")
move_on_delete = Trash
{'envelope_recipient = delivered-to:1' if kind.startswith('Multi') else ''}
[destination]
type = MDA_external
path = /usr/bin/tee
arguments = ("-a", "{tmp_path / 'out'}")
allow_root_commands = true
[options]
delete = true
delivered_to = false
received = false
""")
    run("getmail", "--getmaildir", tmp_path, "--rcfile", rc)
    assert [arrived(tmp_path).count(f"Message-ID: <{mark}-{n}@".encode()) for n in range(3)] == [1, 1, 1]
    assert octets(peer, "INBOX") == octets(peer, "Archive") == []
    assert len(octets(peer, "Trash")) == 3
    run("getmail", "--getmaildir", tmp_path, "--rcfile", rc)
    assert arrived(tmp_path).count(b"Message-ID: ") == 3


# --- imapfilter

@pytest.mark.parametrize("port", ["imaps", "imap"])
def test_imapfilter(site, user, peer, mark, tmp_path, port):
    need("imapfilter")
    for n in range(4):
        append(peer, "INBOX", message(f"{mark}-{n}", "List-Id: <dev.example.test>\r\n" if n % 2 else ""))
    secret_file(tmp_path / "config.lua", f"""
options.create = true
options.subscribe = true
options.certificates = true
options.starttls = true
options.hostnames = true
account = IMAP {{ server = 'localhost', port = {site.ports[port]}, username = '{user}', password = '{PASSWORD}',
    {"ssl = 'auto'" if port == "imaps" else ""} }}
list = account.INBOX:is_unseen() * account.INBOX:contain_field('List-Id', 'dev.example.test')
list:move_messages(account['Lists/dev'])
rest = account.INBOX:contain_subject('{mark}-0') + account.INBOX:match_body('nothing like it')
rest:add_flags({{ '\\\\Flagged', 'Work' }})
rest:mark_seen()
rest:copy_messages(account.Archive)
gone = account.INBOX:contain_subject('{mark}-2')
gone:delete_messages()
boxes, folders = account:list_all()
assert(#boxes > 5)
exist, unread, unseen, uidnext = account['Lists/dev']:check_status()
assert(exist == 2 and unseen == 2 and uidnext == 3, exist .. ' ' .. unseen .. ' ' .. uidnext)
""")
    said = run("imapfilter", "-v", "-c", tmp_path / "config.lua", "-t", site.ca.cert, env={"HOME": str(tmp_path), "IMAPFILTER_HOME": str(tmp_path)})
    assert "BAD" not in said, said
    assert [re.search(rb"Subject: \S+-(\d)", text)[1] for text in octets(peer, "Lists/dev")] == [b"1", b"3"]
    [(text, flags)] = contents(peer, "INBOX")
    assert text == message(mark + "-0") and flags == {"\\Flagged", "\\Seen", "Work"}
    assert octets(peer, "Archive") == [text]
    assert "Lists/dev" in [line[3] for line in peer.command('LIST (SUBSCRIBED) "" "Lists/*"').untagged]


# --- imapflow

@pytest.mark.parametrize("port, tls", [("imaps", "implicit"), ("imap", "starttls")])
def test_imapflow(site, user, peer, mark, port, tls):
    need("node")
    if not (NODE / "node_modules" / "imapflow").is_dir():
        pytest.skip("imapflow is not installed: script/setup gets it where npm is")
    said = run("node", NODE / "walk.js", site.ports[port], tls, user, PASSWORD, mark, env={"NODE_EXTRA_CA_CERTS": str(site.ca.cert)})
    saw = json.loads(said.splitlines()[-1])
    assert saw["secure"] and saw["created"] == "Walk/d\u00e4r"
    assert "CONDSTORE" in saw["enabled"] or "QRESYNC" in saw["enabled"]
    folders = {path: (use, subscribed) for path, use, subscribed in saw["folders"]}
    assert folders["INBOX"] == ("\\Inbox", True) and folders["Sent"] == ("\\Sent", True) and folders["Walk/d\u00e4r"] == (None, True)
    assert saw["appended"] == [1, 2, 3] and saw["exists"] == 3 and saw["woken"] == [3, 4]
    assert saw["fetched"] == [[n + 1, f"{mark}-{n}", "text/plain", True, True, True] for n in range(4)]
    assert saw["searched"] == [2, 3] and saw["downloaded"] == "Gr\u00fc\u00dfe 1\r\n"
    assert saw["copied"] == [[1, 1], [2, 2]] and saw["moved"] == [[3, 1]] and saw["deleted"] and saw["left"] == [2, 4]
    assert (saw["status"]["messages"], saw["status"]["unseen"], saw["status"]["uidNext"]) == (2, 1, 3)
    assert saw["nowhere"] == "none" and saw["quota"] and saw["renamed"] == "Walk/there"
    assert octets(peer, "Archive")[0].startswith(b"From: Alice")
