"""IMAP by clients that keep a copy of the whole account: mbsync and offlineimap, both ways, run after run, against what the other side did."""
import mailbox
import random
import re
import time

import pytest

from harness.clients import need, new_mark, run, secret_file
from harness.imap import Imap
from harness.site import HOSTNAME, PASSWORD

pytestmark = pytest.mark.slow

SITE = {"plaintext": False}
MAILBOXES = ("INBOX", "Archive", "Sent", "Projects/2026")
FLAGS = {"F": "\\Flagged", "R": "\\Answered", "S": "\\Seen"}  # as the name of a file in a Maildir has them
ROUNDS = 8


def message(mark):
    return (f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: {mark}\r\n"
            f"Message-ID: <{mark}@example.test>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nGr\u00fc\u00dfe\r\n.\r\nFrom here\r\n")


def mark_of(text):
    return re.search(r"Subject: (\S+)", text)[1]


class Remote:
    """The account as another client sees and changes it."""

    def __init__(self, site, user):
        self.imap = Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME).login(user, PASSWORD)

    def do(self, text, *more):
        return self.imap.command(text, *more).ok()

    def mailboxes(self):
        return sorted(line[3] for line in self.do('LIST "" "*"').untagged if "\\Noselect" not in line[1])

    def rows(self, name):
        """[(uid, mark, flags)]"""
        self.do(f'EXAMINE "{name}"')
        rows = []
        for line in self.do("FETCH 1:* (UID FLAGS BODY.PEEK[])").all("FETCH"):
            items = dict(zip(line[2][::2], line[2][1::2]))
            mark = mark_of(items["BODY[]"])
            assert body(items["BODY[]"]) == body(message(mark))
            rows.append((int(items["UID"]), mark, frozenset(items["FLAGS"])))
        self.do("UNSELECT")
        return rows

    def contents(self, name):
        rows = {mark: flags for _, mark, flags in self.rows(name)}
        assert len(rows) == len(self.rows(name)), "a message is there twice"
        return rows

    def add(self, name, mark, flags=frozenset()):
        self.do(f'APPEND "{name}" ({" ".join(sorted(flags))}) ', message(mark).encode())

    def change(self, name, mark, flags):
        uid = next(uid for uid, other, _ in self.rows(name) if other == mark)
        self.do(f'SELECT "{name}"')
        if flags is None:
            self.do(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
            self.do(f"UID EXPUNGE {uid}")
        else:
            self.do(f"UID STORE {uid} FLAGS.SILENT ({' '.join(sorted(flags))})")
        self.do("UNSELECT")

    def status(self):
        items = "UIDVALIDITY UIDNEXT HIGHESTMODSEQ MESSAGES"
        return {name: dict(zip(*[iter(self.do(f'STATUS "{name}" ({items})').all("STATUS")[0][2])] * 2)) for name in self.mailboxes()}

    def move(self, name, mark, to):
        uid = next(uid for uid, other, _ in self.rows(name) if other == mark)
        self.do(f'SELECT "{name}"')
        self.do(f'UID MOVE {uid} "{to}"')
        self.do("UNSELECT")


def body(text):
    """Without the fields that a client adds for itself (X-TUID, X-OfflineIMAP)."""
    return re.sub(r"(?m)^X-\S+: .*\r?\n", "", text.replace("\r\n", "\n"))


class Local:
    """A Maildir for each mailbox, below one folder."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, name):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        return mailbox.Maildir(self.folder / name, create=True)

    def contents(self, name):
        rows = {}
        for mail in self.open(name):
            text = mail.as_bytes().decode()
            mark = mark_of(text)
            assert mark not in rows, "a message is there twice"
            assert body(text) == body(message(mark))
            rows[mark] = frozenset(FLAGS[c] for c in mail.get_flags() if c in FLAGS)
        return rows

    def add(self, name, mark, flags=frozenset()):
        letters = "".join(c for c in sorted(FLAGS) if FLAGS[c] in flags)
        self.open(name)
        (self.folder / name / "cur" / f"{time.time_ns()}.{new_mark()}:2,{letters}").write_bytes(message(mark).replace("\r\n", "\n").encode())

    def change(self, name, mark, flags):
        box = self.open(name)
        key = next(key for key in box.iterkeys() if mark_of(box.get_bytes(key).decode()) == mark)
        if flags is None:
            box.remove(key)
            return
        path = box._lookup(key)
        (box_path := self.folder / name / path).rename(
            self.folder / name / "cur" / (box_path.name.split(":")[0] + ":2," + "".join(c for c in sorted(FLAGS) if FLAGS[c] in flags)))


@pytest.fixture
def user(site):
    return site.add_user(new_mark())


@pytest.fixture
def remote(site, user):
    made = Remote(site, user)
    made.do('CREATE "Projects/2026"')
    yield made
    made.imap.close()


def change_something(rng, side, wanted, number):
    """One change on one side; `wanted` is what both shall have in the end."""
    name = rng.choice(MAILBOXES)
    what = rng.choice(("add", "add", "flag", "flag", "delete"))
    if what == "add" or not wanted[name]:
        mark, flags = f"{number}-{new_mark()}", frozenset(rng.sample(sorted(FLAGS.values()), rng.randrange(3)))
        side.add(name, mark, flags)
        wanted[name][mark] = flags
        return
    mark = rng.choice(sorted(wanted[name]))
    if mark.startswith(f"{number}-") or mark in wanted["touched"]:
        return  # of this round: each message is changed by one side and once
    wanted["touched"].add(mark)
    if what == "delete":
        side.change(name, mark, None)
        del wanted[name][mark]
    else:
        wanted[name][mark] = frozenset(rng.sample(sorted(FLAGS.values()), rng.randrange(4)))
        side.change(name, mark, wanted[name][mark])


def both_ways(remote, local, synchronize, seed):
    rng = random.Random(seed)
    wanted = {name: {} for name in MAILBOXES}
    for n in range(30):
        mark = f"start-{new_mark()}"
        name = rng.choice(MAILBOXES)
        remote.add(name, mark)
        wanted[name][mark] = frozenset()
    synchronize()
    validity = {name: items["UIDVALIDITY"] for name, items in remote.status().items()}
    for number in range(ROUNDS):
        wanted["touched"] = set()
        for _ in range(rng.randrange(8)):
            change_something(rng, remote, wanted, number)
            change_something(rng, local, wanted, number)
        synchronize()
        for name in MAILBOXES:
            assert local.contents(name) == wanted[name], (seed, number, name)
            assert remote.contents(name) == wanted[name], (seed, number, name)
    before = remote.status()
    assert {name: items["UIDVALIDITY"] for name, items in before.items()} == validity
    synchronize()
    assert remote.status() == before  # nothing to do: nothing is done


# --- mbsync

def mbsyncrc(site, user, folder, tls, mechanism):
    port, kind = ("imaps", "IMAPS") if tls == "implicit" else ("imap", "STARTTLS")
    return secret_file(folder / "rc", f"""
FSync no

IMAPAccount remote
Host localhost
Port {site.ports[port]}
User {user}
Pass {PASSWORD}
SSLType {kind}
CertificateFile {site.ca.cert}
{f"AuthMechs {mechanism}" if mechanism else ""}

IMAPStore remote
Account remote

MaildirStore local
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim
AltMap yes

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
""")


def mbsync(rc, *more):
    said = run("mbsync", "-Dn", "-c", rc, *more, "-a", env={"HOME": str(rc.parent)})
    assert not re.search(r"(?m)^\d+ (BAD|NO) ", said) and "Warning" not in said, said
    return said


@pytest.mark.parametrize("seed, tls, mechanism", [(1, "implicit", ""), (2, "starttls", "SCRAM-SHA-256"), (3, "implicit", "PLAIN"), (4, "starttls", "LOGIN")])
def test_mbsync_both_ways(site, user, remote, tmp_path, seed, tls, mechanism):
    need("mbsync")
    rc = mbsyncrc(site, user, tmp_path, tls, mechanism)
    (tmp_path / "mail").mkdir()
    both_ways(remote, Local(tmp_path / "mail"), lambda: mbsync(rc), seed)


def test_mbsync_makes_and_removes_mailboxes(site, user, remote, tmp_path):
    need("mbsync")
    rc = mbsyncrc(site, user, tmp_path, "implicit", "")
    (tmp_path / "mail").mkdir()
    mbsync(rc)
    local = Local(tmp_path / "mail")
    local.add("Made/here &AOQ-", "here")  # mbsync does not decode names
    remote.do('CREATE "Made/there &AOQ-"')
    remote.add("Made/there &AOQ-", "there")
    mbsync(rc)
    assert remote.contents("Made/here &AOQ-") == {"here": frozenset()}
    assert local.contents("Made/there &AOQ-") == {"there": frozenset()}
    remote.do('DELETE "Projects/2026"')
    mbsync(rc)
    assert not (tmp_path / "mail" / "Projects" / "2026" / "cur").exists()
    assert "Projects/2026" not in remote.mailboxes()


def test_mbsync_of_many(site, user, remote, tmp_path):
    """1,000 messages up, and down again into another copy."""
    need("mbsync")
    marks = [f"many-{n}" for n in range(1000)]
    for folder in ("one", "two"):
        (tmp_path / folder / "mail").mkdir(parents=True)
    first = Local(tmp_path / "one" / "mail")
    for n, mark in enumerate(marks):
        first.add("INBOX", mark, frozenset(["\\Seen"] if n % 3 else []))
    mbsync(mbsyncrc(site, user, tmp_path / "one", "implicit", ""))
    mbsync(mbsyncrc(site, user, tmp_path / "two", "starttls", ""))
    wanted = {mark: frozenset(["\\Seen"] if n % 3 else []) for n, mark in enumerate(marks)}
    assert Local(tmp_path / "two" / "mail").contents("INBOX") == wanted
    assert remote.contents("INBOX") == wanted


# --- offlineimap

def offlineimaprc(site, user, folder, tls):
    port = "imaps" if tls == "implicit" else "imap"
    return secret_file(folder / "rc", f"""
[general]
accounts = it
metadata = {folder}/state
ui = basic
[Account it]
localrepository = local
remoterepository = remote
[Repository local]
type = Maildir
localfolders = {folder}/mail
sep = /
utf8foldernames = yes
[Repository remote]
type = IMAP
remotehost = localhost
remoteport = {site.ports[port]}
remoteuser = {user}
remotepass = {PASSWORD}
ssl = {"yes" if tls == "implicit" else "no"}
starttls = {"no" if tls == "implicit" else "yes"}
sslcacertfile = {site.ca.cert}
ssl_version = tls1_2
tls_level = tls_secure
""")


def offlineimap(rc):
    """With TLS 1.2: behind STARTTLS its library reads and writes one TLS object in two threads, and sometimes hangs on TLS 1.3's tickets."""
    tls = rc.parent / "openssl.conf"
    tls.write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n")
    said = run("offlineimap", "-c", rc, "-o", env={"HOME": str(rc.parent), "OPENSSL_CONF": str(tls)})
    assert "ERROR" not in said and " BAD " not in said, said
    return said


@pytest.mark.parametrize("seed, tls", [(5, "implicit"), (6, "starttls")])
def test_offlineimap_both_ways(site, user, remote, tmp_path, seed, tls):
    need("offlineimap")
    rc = offlineimaprc(site, user, tmp_path, tls)
    (tmp_path / "mail").mkdir()
    both_ways(remote, Local(tmp_path / "mail"), lambda: offlineimap(rc), seed)
