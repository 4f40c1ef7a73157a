"""Every IMAP habit of real clients that the design says we bear with (the client study, sections 2 to 5, 7 and 8).

One test for each habit, by name; Thunderbird's sessions are played back as they were recorded. Those that a transcript shows whole are
dialogs (dialog/imap).
"""
import re
import threading
import time

import pytest

from harness.imap import Imap
from harness.site import HOSTNAME, PASSWORD
from harness.wire import plain_token

MAIL = (b"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: number %d\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
        b"Message-ID: <%d@example.test>\r\n\r\nbody %d with a needle\r\n")
COUNT = 9


def mail(number):
    return MAIL % (number, number, number)


@pytest.fixture
def user(site, request):
    name = re.sub(r"\W", "", request.node.name)[:40].lower()
    site.fresh_user(name)
    return f"{name}@example.test"


@pytest.fixture
def client(site, user):
    made = Imap(("127.0.0.1", site.ports["imap"])).login(user, PASSWORD)
    yield made
    made.close()


@pytest.fixture
def other(site, user):
    """Another session of the same user."""
    made = Imap(("127.0.0.1", site.ports["imap"])).login(user, PASSWORD)
    yield made
    made.close()


def append(client, mailbox="INBOX", number=1, flags=""):
    return client.command(f"APPEND {mailbox} ({flags}) ", mail(number)).ok()


@pytest.fixture
def inbox(client):
    """The session with nine messages selected."""
    for number in range(1, COUNT + 1):
        append(client, number=number)
    client.command("SELECT INBOX").ok()
    return client


def fetched(answer):
    """{sequence number: {item: value}} of the FETCH responses."""
    return {int(line[0]): dict(zip(line[2][::2], line[2][1::2])) for line in answer.untagged if line[1:2] == ["FETCH"]}


def listed(answer):
    """{name: attributes} of LIST or LSUB."""
    return {line[3]: set(line[1]) for line in answer.untagged if line[0] in ("LIST", "LSUB")}


def searched(answer):
    return [int(n) for line in answer.all("SEARCH") for n in line[1:]]


# --- how commands are sent

def test_commands_in_lower_and_mixed_case(inbox):
    for command in ("noop", "Uid Fetch 1:* (flags)", "uid search undeleted body \"needle\"", "sTatus \"Sent\" (messages)", "list \"\" \"*\"",
                    "uid store 1 +Flags (\\Seen)", "examine inbox", "lsub \"\" *", "Namespace"):
        inbox.command(command).ok()


def test_tags_may_be_any_number_or_word(client):
    for tag in (b"27", b"0", b"00000000000000000000000001", b"A5", b"a.b", b"$1", b"B41", b"x" * 60):
        client.wire.send(tag + b" NOOP\r\n")
        assert client.wire.line().startswith(tag + b" OK")


def test_an_empty_line_before_a_command(inbox):
    """Apple Mail (4, 8.2): "\\r\\nB41 UID MOVE 475 "Trash"". Also several, and before the first command of all."""
    inbox.wire.send(b'\r\nB41 UID MOVE 4 "Trash"\r\n\r\n\r\nB42 NOOP\r\n')
    assert inbox.finish("B41").word == "OK"
    assert inbox.finish("B42").word == "OK"


def test_an_empty_line_before_login(site, user):
    with site.wire("imap") as wire:
        wire.send(b"\r\na CAPABILITY\r\n\r\n")
        assert wire.line().startswith(b"* CAPABILITY ")
        assert wire.line().startswith(b"a OK")
        wire.imap("AUTHENTICATE PLAIN " + plain_token(user, PASSWORD))


def test_lines_may_end_with_lf(client):
    client.wire.send(b"a NOOP\nb STATUS INBOX (MESSAGES)\n")
    assert client.finish("a").word == client.finish("b").word == "OK"


def test_done_and_commands_in_one_packet(inbox, other):
    """iOS 18, mutt, neomutt (4, 8.2): while news comes or not, nothing behind DONE is lost, over many rounds."""
    other.command("SELECT INBOX").ok()
    for n in range(60):
        idle = inbox.send("IDLE")
        while inbox.response()[0] != "+":
            pass
        other.command(f"STORE {n % COUNT + 1} {'+-'[n // COUNT % 2]}FLAGS.SILENT (\\Flagged)").ok()
        if n % 3 == 0:
            time.sleep(0.01)
        inbox.wire.send(b"DONE\r\n"
                        b"x%d STATUS Sent (MESSAGES)\r\ny%d UID FETCH %d (FLAGS)\r\nz%d NOOP\r\n" % (n, n, n % COUNT + 1, n))
        inbox.finish(idle).ok()
        assert inbox.finish(f"x{n}").ok().all("STATUS")
        flags = fetched(inbox.finish(f"y{n}").ok())[n % COUNT + 1]["FLAGS"]
        assert ("\\Flagged" in flags) == (n // COUNT % 2 == 0)
        inbox.finish(f"z{n}").ok()


def test_exists_right_after_idle(inbox, other):
    """K-9 (3): what had come before IDLE is told at once."""
    append(other, number=10)
    inbox.send("IDLE")
    lines = [inbox.response(), inbox.response()]
    assert ["*", "10", "EXISTS"] in lines and any(line[0] == "+" for line in lines)
    inbox.wire.send(b"DONE\r\n")


def test_pipelined_namespace_and_list(client):
    """Apple Mail (4), in one packet."""
    client.wire.send(b'A5 NAMESPACE\r\nA6 LIST "" "*" RETURN (SPECIAL-USE)\r\n')
    assert client.finish("A5").ok().all("NAMESPACE") == [["NAMESPACE", [["", "/"]], None, None]]
    assert listed(client.finish("A6").ok())["Sent"] >= {"\\Sent"}


def test_pipelined_enable_and_list(client):
    """mutt 2.2 (7): ENABLE UTF8=ACCEPT because ENABLE is offered, then ENABLE QRESYNC, LIST, STATUS and SELECT without waiting."""
    client.wire.send(b'a0001 ENABLE UTF8=ACCEPT\r\na0002 ENABLE QRESYNC\r\na0003 LIST "" ""\r\na0004 LSUB "" "*"\r\n'
                     b'a0005 STATUS "Sent" (UIDNEXT UIDVALIDITY UNSEEN RECENT MESSAGES)\r\na0006 SELECT "INBOX" (CONDSTORE)\r\n')
    client.finish("a0001").ok()
    assert client.finish("a0002").ok().all("ENABLED") == [["ENABLED", "QRESYNC"]]
    assert client.finish("a0003").ok().all("LIST") == [["LIST", ["\\Noselect"], "/", ""]]
    assert "Sent" in listed(client.finish("a0004").ok())
    assert len(client.finish("a0005").ok().all("STATUS")[0][2]) == 10
    assert "READ-WRITE" in client.finish("a0006").ok().code


def test_answers_keep_the_order_of_commands(inbox):
    """Mail.app (4) and mbsync (7) queue commands and count on the order of the tagged lines."""
    inbox.wire.send(b"".join(b"q%d UID FETCH %d (BODY.PEEK[])\r\n" % (n, n) for n in range(1, COUNT + 1)))
    for n in range(1, COUNT + 1):
        assert fetched(inbox.finish(f"q{n}").ok())[n]["BODY[]"].encode() == mail(n)


def test_a_client_that_drops_the_connection(site, user):
    """Thunderbird (2.1, 2.2) never logs out; its wizard only authenticates. Nothing is held back from the next session."""
    for _ in range(30):
        with site.wire("imap") as wire:
            wire.imap("AUTHENTICATE PLAIN " + plain_token(user, PASSWORD))
            wire.imap("SELECT INBOX")
    client = Imap(("127.0.0.1", site.ports["imap"])).login(user, PASSWORD)
    append(client)
    client.close()


def test_twenty_connections_of_one_user(site, user):
    """At least 20 of a user and address, all in IDLE (8.5); Thunderbird keeps five, phones and webmail come on top (2.2)."""
    clients = [Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME).login(user, PASSWORD) for _ in range(24)]
    for client in clients[1:]:
        client.command("SELECT INBOX").ok()
        client.send("IDLE")
        assert client.response()[0] == "+"
    append(clients[0])
    for client in clients[1:]:
        assert client.response() == ["*", "1", "EXISTS"]
    for client in clients:
        client.close()


def test_many_short_sessions(site, user):
    """Roundcube (7): a login for every click, about 38 in half a minute, is no brute force and no burden."""
    for _ in range(60):
        with site.wire("imap") as wire:
            wire.imap("AUTHENTICATE PLAIN " + plain_token(user, PASSWORD))
            wire.imap('ID ("name" "Roundcube" "version" "1.6.5" "os" "Linux" "command" "mail/list")')
            wire.imap("STATUS INBOX (MESSAGES UNSEEN)")
            wire.imap("LOGOUT")


# --- login

def test_login_in_every_form(site, user):
    """LOGIN with atoms, quoted strings, literals; AUTHENTICATE with and without initial response (2.3, 5, 7)."""
    name, secret = user.encode(), PASSWORD.encode()
    for command in (b"LOGIN %s %s" % (name, secret), b'login "%s" "%s"' % (name, secret),
                    b"LOGIN {%d+}\r\n%s {%d+}\r\n%s" % (len(name), name, len(secret), secret)):
        with site.wire("imap") as wire:
            wire.imap(command)
    token = plain_token(user, PASSWORD)
    with site.wire("imap") as wire:
        wire.send(b"27 authenticate PLAIN\r\n")
        assert wire.line().rstrip() == b"+"
        wire.send(token + "\r\n")
        assert wire.line().startswith(b"27 OK [CAPABILITY IMAP4rev1 ")
    with site.wire("imap") as wire:
        wire.imap("AUTHENTICATE PLAIN " + token)


def test_capabilities_come_by_themselves(site, user):
    """In the greeting, and in the tagged OK of the login, so that nobody needs to ask (8.1)."""
    with site.wire("imap") as wire:
        assert re.match(rb"\* OK \[CAPABILITY [^]]*AUTH=PLAIN[^]]*\] ", wire.greeting)
        for bad in (b"CRAM-MD5", b"DIGEST-MD5", b"NTLM", b"SCRAM-SHA-1 "):
            assert bad not in wire.greeting
        line = wire.imap(f"LOGIN {user} {PASSWORD}")[-1]
        assert re.match(rb"w1 OK \[CAPABILITY [^]]*IDLE[^]]*\] ", line)
        offered = line.split(b"]")[0].split()
        for needed in (b"LITERAL+", b"UIDPLUS", b"MOVE", b"IDLE", b"NAMESPACE", b"ID", b"LIST-EXTENDED", b"SPECIAL-USE", b"CONDSTORE", b"QRESYNC"):
            assert needed in offered  # 8.4


def test_id_of_any_client_before_and_after_login(site, user):
    """Apple's (4), Thunderbird's (2.1), imapflow's before login (7), NIL."""
    texts = ('("name" "com.apple.email.maild" "version" "3818.100.11.2.3" "os" "iOS" "os-version" "18.0 (22A3354)" "vendor" "Apple Inc")',
             '("name" "Thunderbird" "version" "153.7.0")', "NIL", '("name" NIL)')
    with site.wire("imap") as wire:
        for text in texts:
            assert wire.imap("ID " + text)[0].startswith(b"* ID ")
        wire.imap(f"LOGIN {user} {PASSWORD}")
        for text in texts:
            wire.imap("ID " + text)


# --- mailboxes

def test_the_usual_mailboxes_are_there(client):
    """Made and subscribed by the server, with their use, in LIST, LIST-EXTENDED and LSUB; INBOX subscribed too (4, 5, 8.3)."""
    uses = {"Sent": "\\Sent", "Drafts": "\\Drafts", "Trash": "\\Trash", "Junk": "\\Junk", "Archive": "\\Archive"}
    for command in ('LIST "" "*"', 'LIST "" * RETURN (SPECIAL-USE)', 'LIST (SPECIAL-USE) "" "*" RETURN (SUBSCRIBED)', 'LSUB "" "*"', 'lsub "" *',
                    'list (subscribed) "" "*" return (special-use)', 'LIST "" "*" RETURN (SPECIAL-USE CHILDREN SUBSCRIBED)'):
        names = listed(client.command(command).ok())
        for name, use in uses.items():
            assert use in names[name], command
        assert "INBOX" in names or "(SPECIAL-USE) " in command


def test_a_child_under_a_missing_parent(client):
    """Thunderbird's archive: create "Archive/2026", subscribe, list (2.2, 8.3); and several levels at once."""
    for name in ("Archive/2026", "Nowhere/yet/deep"):
        client.command(f'create "{name}"').ok()
        client.command(f'subscribe "{name}"').ok()
        assert list(listed(client.command(f'list "" "{name}"').ok())) == [name]
    client.command('CREATE "Slash/"').ok()  # a trailing separator (RFC 9051 section 6.3.4)
    client.command('SELECT "Slash"').ok()


def test_status_of_a_mailbox_that_only_has_children(client):
    """imapflow (7) asks and expects NO, and goes on."""
    client.command('CREATE "Parent/Child"').ok()
    client.command('DELETE "Parent"')  # where the server made one
    assert client.command('STATUS "Parent" (MESSAGES)').word == "NO"
    client.command('STATUS "Parent/Child" (MESSAGES)').ok()


def test_status_of_the_selected_mailbox(inbox):
    """Thunderbird, mutt and others do (2.2, 7), though they should not (RFC 9051 section 6.3.11)."""
    answer = inbox.command('STATUS "INBOX" (UIDNEXT MESSAGES UNSEEN RECENT)').ok()
    row = answer.all("STATUS")[0][2]
    assert dict(zip(row[::2], row[1::2])) == {"UIDNEXT": "10", "MESSAGES": "9", "UNSEEN": "9", "RECENT": "0"}


def test_subscribe_and_unsubscribe_of_names_that_are_gone(client):
    """Thunderbird's rename: unsubscribe of the old name comes after the rename (2.2)."""
    client.command('create "Old &ANw-mlaut"').ok()
    client.command('subscribe "Old &ANw-mlaut"').ok()
    client.command('rename "Old &ANw-mlaut" "New &- Co"').ok()
    client.command('subscribe "New &- Co"').ok()
    client.command('unsubscribe "Old &ANw-mlaut"').ok()
    assert [name for name in listed(client.command('list (subscribed) "" "*"').ok()) if "New" in name or "Old" in name] == ["New &- Co"]


def test_list_of_nothing(client):
    """list "" "Trash/*" before emptying the trash (2.2), LSUB of nothing: OK, no lines."""
    for command in ('list "" "Trash/*"', 'LSUB "" "nothing*"', 'list (subscribed) "" "Old/*" return (special-use)'):
        assert client.command(command).ok().untagged == []


def test_append_without_date_or_flags(client):
    """Thunderbird: append "Sent" (\\Seen) {n+} without a date; others without flags, or with both (2.2, RFC 9051 section 6.3.12)."""
    for n, arguments in enumerate(('"Sent" (\\Seen)', "Sent", '"Sent" ()', '"Sent" "21-Nov-2026 10:00:00 +0100"', '"Sent" (\\Seen \\Draft) " 1-Jan-1999 00:00:00 +0000"')):
        answer = client.command(f"append {arguments} ", mail(n)).ok()
        assert answer.code[0] == "APPENDUID" and answer.code[2] == str(n + 1)
        client.command("noop").ok()


def test_append_to_a_missing_mailbox_says_trycreate(client):
    assert client.command("APPEND Nowhere ", mail(1)).code == ["TRYCREATE"]


# --- messages

def test_uid_fetch_beyond_the_end(inbox):
    """`UID fetch <uidnext>:* (FLAGS)` answers with the last message, once (2.2)."""
    for text in ("10:*", "*:10", "4294967295:*", "*", "9:*"):
        assert list(fetched(inbox.command(f"UID fetch {text} (FLAGS)").ok())) == [9]
    assert fetched(inbox.command("UID FETCH 100:200 (FLAGS)").ok()) == {}


def test_uid_fetch_in_an_empty_mailbox(client):
    client.command("SELECT Sent").ok()
    for text in ("1:*", "*", "5:*"):
        assert fetched(client.command(f"UID fetch {text} (FLAGS)").ok()) == {}
    assert searched(client.command("UID SEARCH *:*").ok()) == []
    client.command("store 1:* +FLAGS.SILENT (\\Deleted)")  # emptying a trash that is empty; any answer, no loss of the session
    client.command("expunge").ok()


def test_uid_commands_of_messages_that_are_gone(inbox, other):
    """Answered NO, Apple Mail sticks to it for ever (4): OK."""
    inbox.command("UID STORE 4 +FLAGS.SILENT (\\Deleted)").ok()
    inbox.command("UID EXPUNGE 4").ok()
    for command in ("MOVE 4 Trash", "COPY 4 Trash", "STORE 4 +FLAGS (\\Seen)", "FETCH 4 (FLAGS BODY.PEEK[])", "EXPUNGE 4", "SEARCH UID 4", "MOVE 475 Trash"):
        assert inbox.command("UID " + command).ok().code is None, command
    other.command("SELECT INBOX").ok()
    other.command("UID MOVE 5 Archive").ok()
    inbox.command("UID MOVE 5 Trash").ok()  # gone, and this session was not told yet
    assert [row for row in inbox.command("STATUS Trash (MESSAGES)").ok().all("STATUS")] == [["STATUS", "Trash", ["MESSAGES", "0"]]]


def test_sets_as_thunderbird_writes_them(inbox):
    answer = inbox.command('uid move 6:7,2 "Trash"').ok()
    [code] = [line[1] for line in answer.untagged if line[0] == "OK"]  # before the EXPUNGEs (RFC 6851 section 4.3)
    assert code[0] == "COPYUID" and code[2:] == ["2,6:7", "1:3"]
    inbox.command('uid copy 1,3:5,9 "Archive"').ok()
    assert searched(inbox.command("UID SEARCH ALL").ok()) == [1, 3, 4, 5, 8, 9]


def test_changedsince_0(inbox):
    """iOS 16.5 (4): not allowed by the grammar, and accepted."""
    answer = inbox.command("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)").ok()
    assert all("MODSEQ" in items for items in fetched(answer).values()) and len(fetched(answer)) == COUNT
    inbox.command("FETCH 1:3 (FLAGS) (CHANGEDSINCE 0)").ok()
    inbox.command("UNSELECT").ok()
    inbox.command("SELECT INBOX (CONDSTORE)").ok()


def test_search_by_sequence_number_and_set(inbox):
    """Roundcube: UID SEARCH 7, UID SEARCH ALL (7); K-9: UID SEARCH *:*, 1:n SINCE d NOT DELETED (3)."""
    inbox.command("UID STORE 2 +FLAGS.SILENT (\\Deleted)").ok()
    inbox.command("EXPUNGE").ok()
    assert searched(inbox.command("UID SEARCH 7").ok()) == [8]
    assert searched(inbox.command("UID SEARCH *:*").ok()) == [9]
    assert searched(inbox.command("UID SEARCH 1:3 SINCE 1-Jan-2020 NOT DELETED").ok()) == [1, 3, 4]
    assert searched(inbox.command("uid SEARCH UNDELETED BODY \"needle\"").ok()) == [1, 3, 4, 5, 6, 7, 8, 9]
    assert searched(inbox.command("UID SEARCH HEADER MESSAGE-ID 5@example.test").ok()) == [5]
    assert searched(inbox.command("UID SEARCH HEADER MESSAGE-ID <5@example.test>").ok()) == [5]
    assert searched(inbox.command("SEARCH UNSEEN UNDELETED").ok()) == list(range(1, 9))
    assert searched(inbox.command("UID SEARCH CHARSET UTF-8 SUBJECT {8+}\r\nnumber 3").ok()) == [3]


def test_obsolete_fetch_items(inbox):
    """fetchmail: FETCH 1:3 RFC822.SIZE, FETCH 1 RFC822.HEADER, BODY.PEEK[TEXT] (7, 8.2); no parentheses needed."""
    assert {n: int(items["RFC822.SIZE"]) for n, items in fetched(inbox.command("FETCH 1:3 RFC822.SIZE").ok()).items()} == {n: len(mail(n)) for n in (1, 2, 3)}
    header, text = mail(1).decode().split("\r\n\r\n")
    assert fetched(inbox.command("FETCH 1 RFC822.HEADER").ok())[1] == {"RFC822.HEADER": header + "\r\n\r\n"}
    assert fetched(inbox.command("FETCH 1 BODY.PEEK[TEXT]").ok())[1] == {"BODY[TEXT]": text}
    assert fetched(inbox.command("FETCH 1 FLAGS").ok())[1] == {"FLAGS": []}
    assert fetched(inbox.command("FETCH 1 RFC822.TEXT").ok())[1]["RFC822.TEXT"] == text
    assert fetched(inbox.command("FETCH 1 (RFC822)").ok())[1]["RFC822"] == mail(1).decode()
    assert fetched(inbox.command("FETCH 1 FLAGS").ok())[1] == {"FLAGS": ["\\Seen"]}
    for macro in ("ALL", "FAST", "FULL", "(FLAGS UID FLAGS)"):
        inbox.command(f"FETCH 1 {macro}").ok()


def test_k9_opens_a_folder(inbox):
    """EXAMINE to read, a fetch of up to 100 UIDs with its list of fields, in pieces when large (3)."""
    inbox.command('EXAMINE "INBOX"').ok()
    uids = ",".join(str(n) for n in range(100, 0, -1))
    answer = inbox.command(f"UID FETCH {uids} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (date subject from content-type to cc bcc reply-to "
                           "message-id references in-reply-to list-post list-unsubscribe sender X-K9mail-Identity Chat-Version)])").ok()
    assert len(fetched(answer)) == COUNT
    inbox.command("UID FETCH 1:9 (UID BODYSTRUCTURE)").ok()
    got = fetched(inbox.command("UID FETCH 3 (UID BODY.PEEK[]<0.20>)").ok())[3]
    assert got == {"UID": "3", "BODY[]<0>": mail(3)[:20].decode()}
    inbox.command('SELECT "INBOX"').ok()
    inbox.command("UID STORE 3 +FLAGS.SILENT (\\Deleted)").ok()
    inbox.command("UID EXPUNGE 3").ok()


def test_flags_as_clients_name_them(inbox):
    """+Flags, FLAGS without parentheses, keywords with $ and without, NonJunk (2.2)."""
    for command, want in (("uid store 1 +Flags (\\Flagged)", {"\\Flagged"}), ("uid store 1 +FLAGS ($label1)", {"\\Flagged", "$label1"}),
                          ("uid store 1 +FLAGS (Junk)", {"\\Flagged", "$label1", "Junk"}), ("uid store 1 -FLAGS (NonJunk)", None),
                          ("uid store 1 -flags \\Flagged", {"$label1", "Junk"}), ("UID STORE 1 FLAGS ()", set())):
        got = fetched(inbox.command(command).ok())
        if want is not None:
            assert set(got[1]["FLAGS"]) == want, command


# --- Thunderbird's recorded sessions (2.1, 2.2)

THUNDERBIRD_FIELDS = ("(From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To Received)")


class Thunderbird:
    """One connection: its tags count on, and no answer may be NO or BAD."""

    def __init__(self, site, user, first_tag):
        self.imap = Imap(("127.0.0.1", site.ports["imaps"]), context=site.ca.context(), hostname=HOSTNAME)
        self.tag = first_tag
        assert self.imap.greeting[2][0] == "CAPABILITY"
        self.imap.wire.send(b"%d authenticate PLAIN\r\n" % self.tag)
        assert self.imap.response() == ["+", ""]
        self.imap.wire.send(plain_token(user, PASSWORD) + "\r\n")
        self.capabilities = self.imap.finish(str(self.tag)).ok().code[1:]

    def say(self, command, literal=None):
        self.tag += 1
        line = b"%d " % self.tag + command.encode()
        if literal is not None:
            line += b" {%d+}\r\n" % len(literal) + literal
        self.imap.wire.send(line + b"\r\n")
        return self.imap.finish(str(self.tag)).ok()

    def idle(self):
        self.tag += 1
        self.imap.wire.send(b"%d IDLE\r\n" % self.tag)
        assert self.imap.response()[0] == "+"

    def done(self):
        self.imap.wire.send(b"DONE\r\n")
        return self.imap.finish(str(self.tag)).ok()

    def drop(self):
        self.imap.close()


def fetch_new(bird, following, want):
    """What it does whenever there may be news: noop, flags from UIDNEXT on, headers, then the whole message."""
    bird.say("noop")
    rows = fetched(bird.say(f"UID fetch {following}:* (FLAGS)"))
    assert [int(items["UID"]) for items in rows.values()] == [want]
    if want < following:
        return
    [items] = fetched(bird.say(f"UID fetch {want} (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS {THUNDERBIRD_FIELDS}])")).values()
    assert set(items) == {"UID", "RFC822.SIZE", "FLAGS", f"BODY[HEADER.FIELDS {THUNDERBIRD_FIELDS}]"}
    [items] = fetched(bird.say(f"UID fetch {want} (UID RFC822.SIZE BODY.PEEK[])")).values()
    assert len(items["BODY[]"].encode()) == int(items["RFC822.SIZE"])


def folder_list(bird):
    assert bird.say("namespace").all("NAMESPACE") == [["NAMESPACE", [["", "/"]], None, None]]
    assert bird.say('ID ("name" "Thunderbird" "version" "153.7.0")').all("ID")
    names = listed(bird.say('list (subscribed) "" "*" return (special-use)'))
    assert all("\\Subscribed" in attributes for attributes in names.values())
    for name in ("Archive", "Drafts", "Trash", "Junk", "Sent"):
        assert "\\" + name in names[name]
    assert list(listed(bird.say('list "" "INBOX"'))) == ["INBOX"]


def test_thunderbird_synchronizes_first(site, user, inbox):
    """Section 2.1, both connections."""
    folders, mailbox = Thunderbird(site, user, 27), Thunderbird(site, user, 19)
    folder_list(folders)
    mailbox.say('ID ("name" "Thunderbird" "version" "153.7.0")')
    answer = mailbox.say('select "INBOX"')
    assert answer.code == ["READ-WRITE"] and ["9", "EXISTS"] in answer.untagged and answer.all("FLAGS")
    codes = {line[1][0]: line[1][1:] for line in answer.untagged if line[0] == "OK"}
    assert {"PERMANENTFLAGS", "UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ"} <= set(codes) and "\\*" in codes["PERMANENTFLAGS"][0]
    rows = fetched(mailbox.say("UID fetch 1:* (FLAGS)"))
    assert [int(items["UID"]) for items in rows.values()] == list(range(1, COUNT + 1))
    rows = fetched(mailbox.say(f"UID fetch 1:9 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS {THUNDERBIRD_FIELDS}])"))
    assert all("Subject: number" in items[f"BODY[HEADER.FIELDS {THUNDERBIRD_FIELDS}]"] for items in rows.values()) and len(rows) == COUNT
    rows = fetched(mailbox.say("UID fetch 1:9 (UID RFC822.SIZE BODY.PEEK[])"))
    assert [items["BODY[]"].encode() for items in rows.values()] == [mail(n) for n in range(1, COUNT + 1)]
    assert fetched(mailbox.say("uid store 6 +Flags (\\Seen)"))[6]["FLAGS"] == ["\\Seen"]
    mailbox.idle()
    mailbox.done()
    folders.drop()
    mailbox.drop()


def test_thunderbird_at_work(site, user, inbox):
    """Section 2.2: new mail in IDLE, moving, copying, tags, junk, folders, archive, search, sent mail, emptying the trash."""
    bird = Thunderbird(site, user, 300)
    bird.say('select "INBOX"')
    fetch_new(bird, 10, 9)
    bird.idle()
    append(inbox, number=10)
    assert bird.imap.response() == ["*", "10", "EXISTS"]
    bird.done()
    fetch_new(bird, 10, 10)
    moved = bird.say('uid move 2 "Trash"')
    assert "COPYUID" in repr(moved) and moved.all("EXPUNGE") == [["2", "EXPUNGE"]]
    fetch_new(bird, 11, 10)
    bird.say('uid copy 3:4,6 "Archive"')
    for change in ("+Flags (\\Flagged)", "+FLAGS ($label1)", "+FLAGS (Junk)", "-FLAGS (NonJunk)", "+Flags (\\Deleted)"):
        bird.say(f"uid store 5 {change}")
    bird.say("check")
    assert bird.say("expunge").all("EXPUNGE") == [["4", "EXPUNGE"]]
    bird.say('create "Archive/2026"')
    bird.say('subscribe "Archive/2026"')
    assert list(listed(bird.say('list "" "Archive/2026"'))) == ["Archive/2026"]
    bird.say('uid move 7 "Archive/2026"')
    bird.say('create "&ANw-mlaut &- Co"')
    bird.say('subscribe "&ANw-mlaut &- Co"')
    assert list(listed(bird.say('list "" "&ANw-mlaut &- Co"'))) == ["&ANw-mlaut &- Co"]
    bird.say('list (subscribed) "" "&ANw-mlaut &- Co/*" return (special-use)')
    bird.say('rename "&ANw-mlaut &- Co" "other"')
    bird.say('subscribe "other"')
    bird.say('unsubscribe "&ANw-mlaut &- Co"')
    bird.say('list "" "other"')
    assert searched(bird.say('uid SEARCH UNDELETED BODY "needle"')) == [1, 3, 4, 6, 8, 9, 10]
    assert bird.say('append "Sent" (\\Seen)', mail(11)).code[0] == "APPENDUID"
    bird.say("noop")
    row = bird.say('STATUS "Archive" (UIDNEXT MESSAGES UNSEEN RECENT)').all("STATUS")[0][2]
    assert dict(zip(row[::2], row[1::2])) == {"UIDNEXT": "4", "MESSAGES": "3", "UNSEEN": "3", "RECENT": "0"}
    bird.say('select "Archive"')
    bird.say("noop")
    bird.say('select "Trash"')
    bird.say("store 1:* +FLAGS.SILENT (\\Deleted)")
    assert bird.say("expunge").all("EXPUNGE") == [["1", "EXPUNGE"]]
    bird.say('list "" "Trash/*"')
    bird.idle()
    bird.drop()


def test_thunderbird_fetches_large_messages_in_chunks(site, user, client):
    """Above 96 KiB, by BODY[]<offset.size>, 64 KiB and growing (2.3); COMPRESS where it is offered is test_imap_compress's."""
    body = mail(1) + b"".join(b"%08d line of a large message\r\n" % n for n in range(20000))
    client.command("APPEND INBOX ", body).ok()
    bird = Thunderbird(site, user, 1)
    bird.say('select "INBOX"')
    got, size = "", 65536
    while len(got) < len(body):
        [items] = fetched(bird.say(f"UID fetch 1 (UID RFC822.SIZE BODY.PEEK[]<{len(got)}.{size}>)")).values()
        got += items[f"BODY[]<{len(got)}>"]
        size += size // 2
    assert got.encode() == body
    bird.drop()


def test_five_thunderbird_connections_and_a_delivery(site, user, inbox):
    """One folder each, all in IDLE (2.2); a delivery wakes the one that has INBOX open, within a moment, and no other."""
    birds = [Thunderbird(site, user, 1) for _ in range(5)]
    for bird, name in zip(birds, ("INBOX", "Sent", "Trash", "Archive", "Junk")):
        bird.say(f'select "{name}"')
        bird.idle()
    sender = threading.Thread(target=site.send, args=("a@remote.example", [user], mail(12)))
    sender.start()
    assert birds[0].imap.response() == ["*", "10", "EXISTS"]
    sender.join()
    for bird in birds[1:]:
        assert bird.imap.wire.silent(0.3) == b""
    for bird in birds:
        bird.drop()
