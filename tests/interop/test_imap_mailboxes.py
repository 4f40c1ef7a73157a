"""Mailboxes by IMAP: many of them, hostile patterns, and what other sessions see (RFC 9051 sections 6.3.4 to 6.3.11)."""
import threading
import time

import pytest

from harness.site import PASSWORD, SANITIZED

MAILBOXES = 300 if SANITIZED else 3000


def connect(site, user):
    wire = site.wire("imap")
    wire.imap(f"LOGIN {user}@example.test {PASSWORD}")
    return wire


@pytest.fixture
def wire(site, request):
    name = "boxes" + str(abs(hash(request.node.name)) % 10**9)
    site.add_users([f"{name}@example.test"])
    with connect(site, name) as made:
        made.user = name
        yield made


def pipeline(wire, commands):
    """Sends all at once; every one must be OK."""
    data = b"".join(b"q%d %s\r\n" % (n, command.encode()) for n, command in enumerate(commands))
    sender = threading.Thread(target=wire.sock.sendall, args=(data,))  # not with TLS: a connection of OpenSSL is not for two threads at once
    sender.start()
    for n in range(len(commands)):
        line = wire.line()
        while line.startswith(b"* "):
            line = wire.line()
        assert line.startswith(b"q%d OK" % n), line
    sender.join()


def names(lines):
    """The names of LIST responses, unquoted."""
    return [line.split(b' "/" ', 1)[1].strip(b'"').decode() for line in lines if line.startswith((b"* LIST", b"* LSUB"))]


@pytest.fixture(scope="module")
def crowd(site):
    """An account with many mailboxes, some below others."""
    site.add_users(["crowd@example.test"])
    wire = connect(site, "crowd")
    wire.timeout = 120
    pipeline(wire, [f"CREATE folder{n % 50}/{'a' * 200}{n}" for n in range(MAILBOXES)])
    yield wire
    wire.close()


def test_list_of_many(crowd):
    """Each once, parents before children, with STATUS behind each; and the same once more."""
    first = names(crowd.imap('LIST "" "*"'))
    assert len(first) == len(set(first)) == MAILBOXES + 50 + 6
    seen = set()
    for name in first:
        assert "/" not in name or name.rsplit("/", 1)[0] in seen
        seen.add(name)
    lines = crowd.imap('LIST "" "*" RETURN (STATUS (MESSAGES) SUBSCRIBED)')
    assert names(lines) == first
    assert sum(line.startswith(b"* STATUS") for line in lines) == len(first)
    assert len(names(crowd.imap('LIST "" "%"'))) == 56
    assert len(names(crowd.imap('LIST "folder7/" "%"'))) == MAILBOXES // 50


def test_a_client_that_does_not_read(site, crowd):
    """Long answers, many of them, unread for a while: the server waits, others are served, and all comes."""
    slow = connect(site, "crowd")
    count = 20
    slow.send(b"".join(b's%d LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))\r\n' % n for n in range(count)))
    for _ in range(20):
        crowd.imap("NOOP")
        time.sleep(0.02)
    slow.timeout = 120
    tags = []
    while len(tags) < count:
        line = slow.line()
        if not line.startswith(b"* "):
            tags.append(line)
    assert all(line.startswith(b"s%d OK" % n) for n, line in enumerate(tags))
    slow.close()


@pytest.mark.parametrize("pattern", ["*a" * 400 + "*b", "%a" * 400 + "%b", "*%" * 100_00 + "x", "*" * 60_000, "%*a" * 300 + "b",
                                     "folder%/" + "*a" * 300 + "%b"])
def test_wildcard_bombs(site, crowd, pattern):
    """Against names of 200 a's: time goes by the length, not by what could be tried."""
    with site.cpu_at_most(4):
        crowd.imap('LIST "" "' + pattern + '"')
        crowd.imap('LSUB "" "' + pattern + '"')


def test_many_patterns(crowd):
    """As many as the grammar lets through, without wildcards; too many with them are refused."""
    lines = crowd.imap('LIST "" (' + " ".join(f"folder{n}" for n in range(900)) + ")")
    assert len(names(lines)) == 50
    crowd.imap('LIST "" (' + " ".join("*a*" for n in range(900)) + ")", want="NO [LIMIT]")


def test_no_more_mailboxes_than_there_may_be(wire):
    """A limit is a NO, and what is there stays usable."""
    wire.imap("CREATE " + "/".join("x" * 30 for _ in range(32)))
    wire.imap("CREATE " + "/".join("x" for _ in range(33)), want="NO [LIMIT]")
    wire.imap("CREATE " + "y" * 1000)
    wire.imap("CREATE " + "y" * 1001, want="NO [LIMIT]")
    wire.imap("RENAME " + "y" * 1000 + " " + "z" * 1001, want="NO [LIMIT]")
    wire.imap("RENAME " + "x" * 30 + " below/" + "z" * 30, want="NO [LIMIT]")  # its deepest child would be too deep
    assert "y" * 1000 in names(wire.imap('LIST "" "y*"'))


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/../b", ".", "~root", "*", "%", "a*b", "#news", "INBOX ", "a\tb", " a"])
def test_names_are_names(wire, name):
    """No name is a path or a pattern: it is refused, or is what it is (and cannot be read as another)."""
    quoted = '"' + name + '"'
    answer = wire.imap("CREATE " + quoted, want=None)[-1]
    if b" OK " not in answer:
        assert b" NO [CANNOT]" in answer or b" NO [ALREADYEXISTS]" in answer
        return
    assert any(line.startswith(b"* STATUS ") for line in wire.imap(f"STATUS {quoted} (MESSAGES)"))
    wire.imap("DELETE " + quoted)
    wire.imap(f"STATUS {quoted} (MESSAGES)", want="NO [NONEXISTENT]")
    assert len(names(wire.imap('LIST "" "INBOX"'))) == 1


def test_other_sessions_see_it(site, wire):
    """Created, renamed and deleted here, at once so there."""
    with connect(site, wire.user) as other:
        wire.imap("CREATE a/b")
        assert names(other.imap('LIST "" "a*"')) == ["a", "a/b"]
        other.imap("RENAME a c")
        wire.imap("STATUS a/b (MESSAGES)", want="NO [NONEXISTENT]")
        wire.imap("APPEND c/b {5+}\r\nA: b\n")
        other.imap("DELETE c/b")
        wire.imap("APPEND c/b {5+}\r\nA: b\n", want="NO [TRYCREATE]")


def test_the_selected_mailbox_is_deleted(site, wire):
    """By oneself: no mailbox is selected any more. By another session: told so."""
    wire.imap("CREATE mine")
    wire.imap("SELECT mine")
    wire.imap("DELETE mine")
    wire.imap("FETCH 1 FLAGS", want="BAD")
    wire.imap("SELECT INBOX")
    wire.imap("CREATE theirs")
    with connect(site, wire.user) as other:
        other.imap("SELECT theirs")
        wire.imap("DELETE theirs")
        other.send(b"x NOOP\r\n")
        assert b"deleted" in other.line()


def test_the_selected_mailbox_is_renamed(site, wire):
    """Its view goes on; so does what comes into it."""
    wire.imap("CREATE before")
    wire.imap("SELECT before")
    with connect(site, wire.user) as other:
        other.imap("RENAME before after")
        other.imap("APPEND after {5+}\r\nA: b\n")
    assert b"* 1 EXISTS" in wire.imap("NOOP")


def test_append_to_the_selected_mailbox(wire):
    """EXISTS comes before the tagged OK, for each of many (RFC 9051 section 6.3.12)."""
    wire.imap("SELECT INBOX")
    for n in range(1, 4):
        assert b"* %d EXISTS" % n in wire.imap("APPEND INBOX {5+}\r\nA: b\n")
    wire.send(b"".join(b"x%d APPEND INBOX {5+}\r\nA: b\n\r\n" % n for n in range(40)))
    told, done = 3, 0
    while done < 40:
        line = wire.line()
        if line.endswith(b" EXISTS"):
            told = int(line.split()[1])
        elif line.startswith(b"x"):
            assert line.startswith(b"x%d OK [APPENDUID" % done), line
            done += 1
            assert told >= 3 + done
    assert told == 43


def test_status_of_the_selected_mailbox(wire):
    """Clients ask although they should not (RFC 9051 section 6.3.11)."""
    wire.imap("APPEND INBOX (\\Seen) {5+}\r\nA: b\n")
    wire.imap("SELECT INBOX")
    wire.imap("APPEND INBOX {5+}\r\nA: b\n")
    assert b"* STATUS INBOX (MESSAGES 2 UNSEEN 1)" in wire.imap("STATUS INBOX (MESSAGES UNSEEN)")


def test_status_enables_condstore(wire):
    """RFC 7162 section 3.1: the first such command tells HIGHESTMODSEQ of what is selected."""
    wire.imap("SELECT INBOX")
    lines = wire.imap("STATUS Sent (HIGHESTMODSEQ)")
    assert any(line.startswith(b"* OK [HIGHESTMODSEQ ") for line in lines)
    lines = wire.imap("STATUS Sent (HIGHESTMODSEQ)")
    assert not any(line.startswith(b"* OK [HIGHESTMODSEQ ") for line in lines)


def test_subscriptions_have_a_limit(wire):
    if SANITIZED:
        pytest.skip("too slow under a sanitizer")
    wire.timeout = 120
    pipeline(wire, [f"SUBSCRIBE s{n}" for n in range(500)])
    assert len(names(wire.imap('LSUB "" "s*"'))) == 500
    assert len(names(wire.imap('LIST (SUBSCRIBED) "" "s%"'))) == 500


def test_normal_form_is_told_to_rev2(wire):
    """OLDNAME (RFC 9051 section 6.3.9.7), where IMAP4rev2 is enabled."""
    assert any(b"IMAP4rev2" in line for line in wire.imap("ENABLE IMAP4rev2"))
    wire.sock.settimeout(20)
    lines = wire.imap('CREATE "e\u0301"')
    assert '* LIST () "/" "\u00e9" ("OLDNAME" ("e\u0301"))'.encode() in lines
