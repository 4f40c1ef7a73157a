"""Thunderbird itself, without a screen, driven through Marionette: an account of its own, mail in and out of its folders, push.

What its buttons do is called by its own scripting interfaces (nsIMsgFolder and what belongs to it); the IMAP is all its own. Its log of
the protocol is read in the end: nothing may have been answered NO or BAD.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from harness.clients import need, new_mark
from harness.imap import Imap
from harness.site import HOSTNAME, PASSWORD, free_port, wait_for

SITE = {"plaintext": False}
pytestmark = pytest.mark.skipif(not os.environ.get("POSTHOUSE_BROWSERS"), reason="by hand: script/setup browsers, POSTHOUSE_BROWSERS=1")
SECONDS = 60
SOCKET_TYPES = {"imap": 2, "imaps": 3}  # nsMsgSocketType: alwaysSTARTTLS, SSL


def message(mark):
    return (f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: {mark}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{mark}@example.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nthe text of {mark}, Gr\u00fc\u00dfe\r\n").encode()


class Marionette:
    """Its protocol: LENGTH:JSON both ways, [0, id, name, arguments] and [1, id, error, result]."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.buffer, self.count = b"", 0
        self.receive()
        self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"timeouts": {"script": SECONDS * 1000}}}})
        self.command("Marionette:SetContext", {"value": "chrome"})

    def receive(self):
        while b":" not in self.buffer:
            self.more()
        size, _, self.buffer = self.buffer.partition(b":")
        while len(self.buffer) < int(size):
            self.more()
        data, self.buffer = self.buffer[: int(size)], self.buffer[int(size) :]
        return json.loads(data)

    def more(self):
        data = self.sock.recv(65536)
        assert data, "thunderbird closed the connection"
        self.buffer += data

    def command(self, name, arguments):
        self.count += 1
        data = json.dumps([0, self.count, name, arguments]).encode()
        self.sock.sendall(b"%d:" % len(data) + data)
        _, _, error, result = self.receive()
        assert error is None, error
        return result

    def script(self, text, *arguments):
        """Runs in the chrome; returns its value."""
        return self.command("WebDriver:ExecuteScript", {"script": PRELUDE + text, "args": list(arguments), "newSandbox": True})["value"]


PRELUDE = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.accounts.map(a => a.incomingServer).find(s => s.type == "imap");
const folder = name => server.rootFolder.descendants.find(f => f.name == name || f.URI.endsWith("/" + name));
const row = (name, mark) => [...folder(name).messages].find(m => m.subject == mark);
"""


def preferences(site, user, port):
    server = "mail.server.server1."
    values = {
        server + "type": "imap", server + "hostname": "localhost", server + "port": site.ports[port], server + "userName": user, server + "name": "it",
        server + "socketType": SOCKET_TYPES[port], server + "authMethod": 3, server + "login_at_startup": False, server + "check_new_mail": True,
        "mail.account.account1.server": "server1", "mail.account.account1.identities": "id1", "mail.accountmanager.accounts": "account1",
        "mail.accountmanager.defaultaccount": "account1", "mail.identity.id1.useremail": user, "mail.identity.id1.fullName": "Bob",
        "mail.identity.id1.valid": True, "mail.provider.suppress_dialog_on_startup": True, "mail.shell.checkDefaultClient": False,
        "mailnews.start_page.enabled": False, "datareporting.policy.dataSubmissionEnabled": False, "app.update.enabled": False,
        "network.captive-portal-service.enabled": False, "extensions.update.enabled": False, "mail.rights.version": 1,
        "app.donation.eoy.version.viewed": 999, "mail.inappnotifications.enabled": False, "network.dns.disableIPv6": True,
    }
    return "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in values.items())


@contextlib.contextmanager
def thunderbird(site, user, port, folder):
    """Started with an empty profile; knows our CA and the password."""
    profile, control = folder / "profile", free_port()
    profile.mkdir()
    (profile / "user.js").write_text(preferences(site, user, port) + f'user_pref("marionette.port", {control});\n')
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen(
            ["thunderbird", "--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", str(profile)], stdout=out, stderr=out, start_new_session=True,
            env={**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1", "MOZ_LOG": "IMAP:5,timestamp,sync", "MOZ_LOG_FILE": str(folder / "imap")},
        )
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", control)) == 0, SECONDS, lambda: (folder / "out").read_text(errors="replace"))
        made = Marionette(control)
        made.script("""Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(arguments[0], "CT,,");
            const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
            login.init("imap://localhost", null, "imap://localhost", arguments[1], arguments[2], "", "");
            Services.logins.addLoginAsync(login);""",
                    "".join(site.ca.cert.read_text().split("-----")[2].split()), user, PASSWORD)
        time.sleep(0.5)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


@pytest.fixture
def user(site):
    return site.add_user("u" + new_mark()[5:15])


@pytest.fixture
def peer(site, user):
    made = Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME).login(user, PASSWORD)
    yield made
    made.close()


def contents(peer, mailbox):
    """{subject: flags}"""
    if peer.command(f'EXAMINE "{mailbox}"').word != "OK":
        return {}
    rows = [dict(zip(line[2][::2], line[2][1::2])) for line in peer.command("FETCH 1:* (FLAGS BODY.PEEK[])").ok().all("FETCH")]
    peer.command("UNSELECT").ok()
    return {re.search(r"Subject: (\S+)", row["BODY[]"])[1]: set(row["FLAGS"]) for row in rows if "BODY[]" in row}


def log_of(folder):
    return "".join(path.read_text(errors="replace") for path in folder.glob("imap*"))


@pytest.mark.parametrize("port", ["imaps", "imap"])
def test_thunderbird(site, user, peer, tmp_path, port):
    """First sync, push of a delivery, flags, a tag, move, copy, delete, folders made, renamed and removed, bodies as they were."""
    need("thunderbird")
    marks = [new_mark() for _ in range(5)]
    for mark in marks[:4]:
        peer.command("APPEND INBOX () ", message(mark)).ok()

    with thunderbird(site, user, port, tmp_path) as bird:
        def holds(name, mark, want=True):
            wait_for(lambda: bird.script("return !!folder(arguments[0]) && !!row(arguments[0], arguments[1])", name, mark) == want, SECONDS,
                     f"{mark} in {name}: {want}")

        def there(condition, what):
            wait_for(condition, SECONDS, lambda: f"{what}\n{bird.script('return server.rootFolder.descendants.map(f => f.URI)')}")

        bird.script("server.performExpand(null); server.getNewMessages(server.rootFolder, null, null)")
        there(lambda: bird.script("return server.rootFolder.descendants.length") >= 6, "the folders")
        bird.script("folder('INBOX').updateFolder(null)")
        for mark in marks[:4]:
            holds("INBOX", mark)
        assert bird.script("return ['Sent', 'Drafts', 'Trash', 'Junk', 'Archive'].map(n => folder(n).flags & (Ci.nsMsgFolderFlags.SpecialUse)).every(f => f)")
        # What arrives while it still looks for what there is, it may overlook: an EXISTS inside the answer to its UID FETCH is only counted.
        there(lambda: re.search(r"S-INBOX:SendData: \d+ IDLE", log_of(tmp_path)), "IDLE in INBOX")
        site.send("a@remote.example", [user], message(marks[4]))
        holds("INBOX", marks[4])  # nobody asked

        bird.script("folder('INBOX').markMessagesFlagged([row('INBOX', arguments[0])], true)", marks[0])
        bird.script("folder('INBOX').markMessagesRead([row('INBOX', arguments[0])], true)", marks[0])
        bird.script("folder('INBOX').addKeywordsToMessages([row('INBOX', arguments[0])], '$label1')", marks[0])
        there(lambda: contents(peer, "INBOX")[marks[0]] == {"\\Flagged", "\\Seen", "$label1"}, "flags")
        bird.script("MailServices.copy.copyMessages(folder('INBOX'), [row('INBOX', arguments[0])], folder('Archive'), true, null, null, false)", marks[1])
        there(lambda: marks[1] in contents(peer, "Archive") and marks[1] not in contents(peer, "INBOX"), "moved")
        bird.script("MailServices.copy.copyMessages(folder('INBOX'), [row('INBOX', arguments[0])], folder('Sent'), false, null, null, false)", marks[2])
        there(lambda: marks[2] in contents(peer, "Sent") and marks[2] in contents(peer, "INBOX"), "copied")
        bird.script("folder('INBOX').deleteMessages([row('INBOX', arguments[0])], null, false, true, null, false)", marks[3])
        there(lambda: marks[3] in contents(peer, "Trash") and marks[3] not in contents(peer, "INBOX"), "deleted")

        bird.script("server.rootFolder.createSubfolder('M\u00e4de & more', null)")
        there(lambda: "M&AOQ-de &- more" in [line[3] for line in peer.command('LIST (SUBSCRIBED) "" "*"').untagged], "a folder")
        there(lambda: bird.script("return !!folder('M\u00e4de & more')"), "its folder")
        bird.script("folder('M\u00e4de & more').rename('Renamed', null)")
        there(lambda: "Renamed" in [line[3] for line in peer.command('LIST (SUBSCRIBED) "" "*"').untagged], "renamed")
        wait_for(lambda: bird.script("return folder('INBOX').msgDatabase && row('INBOX', arguments[0]).messageSize", marks[0]) == len(message(marks[0])), SECONDS, "its size")
    said = log_of(tmp_path)
    for command in ("authenticate PLAIN", "COMPRESS DEFLATE", "ENABLE UTF8=ACCEPT", "uid move"):
        assert re.search(r"SendData: \d+ " + command, said), command
    assert re.search(r"CreateNewLineFromSocket: \d+ OK", said)
    assert [line for line in said.splitlines() if "Internal Syntax Error" in line] == []  # it gives up a connection after one
    assert [line for line in said.splitlines() if re.search(r"CreateNewLineFromSocket: \d+ (NO|BAD)", line)] == []
