"""IMAP by clients with a screen, played with in a terminal: mutt and neomutt (with QRESYNC), alpine, aerc."""
import re

import pytest

from harness.clients import Terminal, need, new_mark, secret_file
from harness.imap import Imap
from harness.site import HOSTNAME, PASSWORD, wait_for

pytestmark = pytest.mark.slow

SITE = {"plaintext": False}


def message(mark):
    return (f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: {mark}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{mark}@example.test>\r\n\r\nbody of {mark}\r\n").encode()


@pytest.fixture
def user(site):
    return site.add_user("u" + new_mark()[5:15])


@pytest.fixture
def peer(site, user):
    made = Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME).login(user, PASSWORD)
    yield made
    made.close()


def append(peer, mailbox, mark, flags=""):
    peer.command(f"APPEND {mailbox} ({flags}) ", message(mark)).ok()


def contents(peer, mailbox):
    """{subject: flags}"""
    peer.command(f'EXAMINE "{mailbox}"').ok()
    found = {}
    for line in peer.command("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").all("FETCH"):
        items = dict(zip(line[2][::2], line[2][1::2]))
        for name, value in items.items():
            if name.startswith("BODY["):  # else it is news of flags
                found[re.search(r"Subject: (\S+)", value)[1]] = set(items["FLAGS"])
    peer.command("UNSELECT").ok()
    return found


# --- mutt and neomutt

def muttrc(site, user, tmp_path, tls, more=""):
    return secret_file(tmp_path / "muttrc", f"""
set from="{user}" realname="Alice" imap_pass="{PASSWORD}"
set certificate_file="{site.ca.cert}" ssl_starttls=yes ssl_force_tls=yes ssl_verify_host=yes
set folder="{tls[1]}://{user.replace('@', '%40')}@localhost:{site.ports[tls[0]]}/"
set spoolfile="+INBOX" mbox_type=Maildir record="" postponed="+Drafts"
set header_cache="{tmp_path}/headers" imap_qresync=yes imap_condstore=yes imap_idle=yes timeout=2 mail_check=1
set quit=yes delete=yes move=no wait_key=no confirmappend=no confirmcreate=no mark_old=no sort=mailbox-order
set imap_check_subscribed=yes index_format="%4C %Z %s"
{more}
""")


@pytest.mark.parametrize("tls", [("imaps", "imaps"), ("imap", "imap")], ids=["implicit", "starttls"])
@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt(site, user, peer, tmp_path, program, tls):
    """Reads, flags, saves, deletes; what others did meanwhile comes in by IDLE, and by QRESYNC when it opens again."""
    need(program, "tmux")
    for name in ("one", "two", "three", "four"):
        append(peer, "INBOX", f"message-{name}")
    rc = muttrc(site, user, tmp_path, tls)
    command = f"{program} -n -d2 -F {rc}" if program == "mutt" else f"{program} -n -d2 -l {tmp_path}/debug -F {rc}"
    with Terminal(tmp_path, command, tmp_path) as screen:
        screen.see("message-one", "message-four")
        screen.keys("1", "Enter", "Enter")
        screen.see("body of message-one")
        screen.keys("i")
        screen.see("message-four")
        screen.keys("2", "Enter", "F", "3", "Enter", "s", "C-u")
        screen.keys("=Archive", "Enter", "4", "Enter", "d", "$")
        screen.see_no_more("message-four")
        append(peer, "INBOX", "message-five")
        screen.see("message-five")
        screen.keys("q")
        screen.ends()
    assert contents(peer, "INBOX") == {"message-one": {"\\Seen"}, "message-two": {"\\Flagged"}, "message-five": set()}
    assert set(contents(peer, "Archive")) == {"message-three"}
    append(peer, "INBOX", "message-six")
    peer.command("SELECT INBOX").ok()
    peer.command("STORE 1 +FLAGS (\\Deleted)").ok()
    peer.command("STORE 3 +FLAGS (\\Flagged)").ok()
    peer.command("EXPUNGE").ok()
    peer.command("UNSELECT").ok()
    with Terminal(tmp_path, command, tmp_path) as screen:
        screen.see("message-two", "message-five", "message-six")
        assert "message-one" not in screen.screen()
        screen.keys("C", "C-u", "=Sent", "Enter")
        wait_for(lambda: contents(peer, "Sent"), 30, lambda: f"a copy in Sent\n{screen.screen()}")
        screen.keys("c", "C-u", "=Archive", "Enter")
        screen.see("message-three")
        screen.keys("q")
        screen.ends()
    said = "".join(path.read_text(errors="replace") for path in [*tmp_path.glob(".muttdebug*"), *tmp_path.glob("debug*")] if path.is_file())
    assert "ENABLE QRESYNC" in said and re.search(r"UID FETCH 1:\d+ \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)", said)
    if program == "mutt":  # neomutt 20220429 counts wrongly when the first message has vanished, says so and reads all again
        assert "VANISHED (EARLIER) 1" in said and "QRESYNC failed" not in said
    assert not re.search(r"a\d{4} BAD", said), re.findall(r".*a\d{4} BAD.*", said)


def test_mutt_postpones_and_makes_folders(site, user, peer, tmp_path):
    need("mutt", "tmux")
    rc = muttrc(site, user, tmp_path, ("imaps", "imaps"), 'set editor="true" autoedit=yes include=no abort_unmodified=no postpone=yes')
    with Terminal(tmp_path, f"mutt -n -F {rc}", tmp_path) as screen:
        screen.see("Mutt:")
        screen.keys("c", "?")
        screen.see("Archive", "Trash")
        screen.keys("C", "Projects/new", "Enter")
        screen.see("Mailbox created")
        screen.keys("q", "m", "bob@example.test", "Enter", "message-draft", "Enter")
        screen.see("Security:")
        screen.keys("P")
        screen.see("Message postponed")
        screen.keys("q")
        screen.ends()
    assert set(contents(peer, "Drafts")) == {"message-draft"}
    assert contents(peer, "Projects/new") == {}


# --- alpine

def test_alpine(site, user, peer, tmp_path):
    need("alpine", "tmux")
    for name in ("one", "two", "three"):
        append(peer, "INBOX", f"message-{name}")
    host = f"localhost:{site.ports['imaps']}/ssl/user={user}"
    secret_file(tmp_path / ".pinerc", f"""
personal-name=Alice
inbox-path={{{host}}}INBOX
folder-collections=Mail {{{host}}}[]
feature-list=quit-without-confirm,expunge-without-confirm,enable-flag-cmd,auto-move-read-msgs,save-will-not-delete
default-fcc=
last-version-used=9.99
""")
    with Terminal(tmp_path, "alpine -i", tmp_path, {"SSL_CERT_FILE": str(site.ca.cert)}) as screen:
        screen.see("Ret Accept")  # the keys of the prompt: alpine's "Opening" may stand where the prompt itself did
        screen.keys(PASSWORD, "Enter")
        screen.see("Preserve password")
        screen.keys("n")
        screen.see("message-one", "message-three")
        screen.keys("Enter")
        screen.see("body of message")
        screen.keys("<")
        screen.see("message-three")
        screen.keys("n", "d")
        screen.keys("x")
        screen.see_no_more("message-two")
        screen.keys("q")
        screen.ends()
    assert set(contents(peer, "INBOX")) == {"message-one", "message-three"}


# --- aerc

def test_aerc(site, user, peer, tmp_path):
    need("aerc", "tmux")
    for name in ("one", "two", "three"):
        append(peer, "INBOX", f"message-{name}")
    config = tmp_path / ".config" / "aerc"
    secret_file(config / "accounts.conf", f"""
[it]
source = imaps://{user.replace('@', '%40')}:{PASSWORD}@localhost:{site.ports['imaps']}
default = INBOX
from = Alice <{user}>
""")
    with Terminal(tmp_path, "aerc", tmp_path, {"SSL_CERT_FILE": str(site.ca.cert)}) as screen:
        screen.see("message-one", "message-three")
        screen.keys(":select 1", "Enter", ":flag", "Enter")  # the newest is first, number 0
        wait_for(lambda: contents(peer, "INBOX")["message-two"] == {"\\Flagged"}, 30, screen.screen)
        screen.keys(":select 2", "Enter", ":move Archive", "Enter")
        screen.see_no_more("message-one")
        screen.keys(":select 0", "Enter", ":delete-message", "Enter")
        wait_for(lambda: set(contents(peer, "INBOX")) == {"message-two"}, 30, screen.screen)
        screen.keys(":quit", "Enter")
        screen.ends()
    assert set(contents(peer, "Archive")) == {"message-one"}
