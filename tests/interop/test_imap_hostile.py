"""IMAP's rows of the threat table that come after login: another user's mail, hostile arguments, sets, names, and the log.

Reading, logging in, COMPRESS and deaf clients: test_imap_threats.py; patterns and names of mailboxes: test_imap_mailboxes.py; searches:
test_imap_search.py; sizes of APPEND: test_imap_append.py.
"""
import re

import pytest

from harness.imap import Imap
from harness.site import PASSWORD, SANITIZED

VICTIM, THIEF = "victim@example.test", "thief@example.test"
SECRET = b"From: x@example.test\r\nSubject: top-secret-subject\r\nMessage-ID: <secret@example.test>\r\n\r\ntop-secret-body\r\n"
OWN = b"From: x@example.test\r\nSubject: my own\r\n\r\nmy own\r\n"
PRIVATE = "Private-4711"
COMMAND_SECONDS = 4  # of CPU time, for any one hostile command


@pytest.fixture
def client(site, request):
    user = re.sub(r"\W", "", request.node.name)[:40].lower()
    site.fresh_user(user)
    made = Imap(("127.0.0.1", site.ports["imap"])).login(f"{user}@example.test", PASSWORD)
    yield made
    made.close()


def login(site, user):
    return Imap(("127.0.0.1", site.ports["imap"])).login(user, PASSWORD)


def costs_little(site, client, *text):
    with site.cpu_at_most(COMMAND_SECONDS):
        return client.command(*text)


# --- another user's mailboxes

@pytest.fixture(scope="module")
def victim(site):
    """An account with a mailbox of its own name, three messages in two mailboxes, a subscription and ids that can be guessed."""
    site.add_users([VICTIM, THIEF])
    client = login(site, VICTIM)
    client.command(f"CREATE {PRIVATE}").ok()
    client.command(f"SUBSCRIBE {PRIVATE}").ok()
    for mailbox in ("INBOX", PRIVATE, PRIVATE):
        client.command(f"APPEND {mailbox} (\\Flagged) ", SECRET).ok()
    yield client
    client.close()


def state_of(client):
    """All that could be changed of the victim's."""
    state = [client.command('LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ MAILBOXID))').ok().untagged]
    for mailbox in ("INBOX", PRIVATE):
        client.command(f"EXAMINE {mailbox}").ok()
        state.append(client.command("FETCH 1:* (UID FLAGS BODY.PEEK[])").ok().untagged)
        client.command("UNSELECT").ok()
    return repr(state)


# Every command that takes the name of a mailbox: %s.
BY_NAME = (
    "SELECT %s", "EXAMINE %s", "SELECT %s (CONDSTORE)", "SELECT %s (QRESYNC (1 1))", "DELETE %s", "RENAME %s Mine", "RENAME INBOX %s/x", "STATUS %s (MESSAGES)",
    "COPY 1 %s", "UID COPY 1 %s", "MOVE 1 %s", "UID MOVE 1 %s", "GETQUOTAROOT %s", "APPEND %s {3+}\r\nabc", "CREATE %s", "SUBSCRIBE %s", "UNSUBSCRIBE %s",
    'LIST "" %s', 'LIST %s "*"', 'LSUB "" %s', 'LSUB %s "*"', 'LIST (SUBSCRIBED RECURSIVEMATCH) "" %s RETURN (CHILDREN STATUS (MESSAGES UNSEEN))',
    'LIST "" (%s "*") RETURN (STATUS (MESSAGES SIZE UIDNEXT))',
)
# Every name that could be taken for a way to the victim.
NAMES = (
    PRIVATE, f"{VICTIM}/{PRIVATE}", f"victim/{PRIVATE}", f"user/victim/{PRIVATE}", f"user.victim.{PRIVATE}", f"Other Users/{VICTIM}/INBOX", f"~victim/{PRIVATE}",
    f"#users/{VICTIM}/INBOX", f"../{VICTIM}/{PRIVATE}", f"../../1/{PRIVATE}", f"/{PRIVATE}", f"INBOX/../{PRIVATE}", f"{VICTIM}", "1", "F1", "1/INBOX",
    f"{PRIVATE}' OR '1'='1", f"x' UNION SELECT name FROM mailbox --", f'{PRIVATE}\\" OR 1=1', "%s%s%n", f"shared/{PRIVATE}",
    "imap://victim@localhost/INBOX", f"{PRIVATE};UIDVALIDITY=1", f"&AAA-{PRIVATE}", f"INBOX&AAA-{PRIVATE}",
)


def test_no_name_leads_to_another_users_mailbox(site, victim):
    """Every command that takes a name, with every name of another user's (Cyrus 2026: seven commands forgot to ask)."""
    before = state_of(victim)
    thief = login(site, THIEF)
    thief.command("APPEND INBOX ", OWN).ok()
    uidvalidities = re.findall(r"'UIDVALIDITY', '(\d+)'", before)
    for name in NAMES:
        for command in BY_NAME:
            thief.command("SELECT INBOX").ok()
            answer = thief.command(command % f'"{name}"')
            said = repr(answer)
            assert "top-secret" not in said, (command, name)
            for number in uidvalidities:
                assert number not in said, (command, name, answer)
            if answer.word == "OK" and command.startswith(("SELECT", "EXAMINE")):
                assert ["0", "EXISTS"] in answer.untagged or ["1", "EXISTS"] in answer.untagged  # one of its own that an earlier command made
            if answer.word == "BAD":  # ten end a session
                thief.close()
                thief = login(site, THIEF)
    for mailbox in ("INBOX", "Mine"):
        if thief.command(f'SELECT "{mailbox}"').word == "OK":
            assert "top-secret" not in repr(thief.command("FETCH 1:* (BODY.PEEK[])").ok())
    thief.close()
    assert state_of(victim) == before


# Every command that takes UIDs or numbers: %s.
BY_UID = (
    "FETCH %s (UID FLAGS BODY.PEEK[])", "UID FETCH %s (BODY.PEEK[])", "STORE %s +FLAGS (\\Deleted)", "UID STORE %s FLAGS (Stolen)", "COPY %s Trash", "UID COPY %s Trash",
    "MOVE %s Trash", "UID MOVE %s Trash", "UID EXPUNGE %s", "UID SEARCH UID %s", "SEARCH %s", "UID SORT (DATE) UTF-8 UID %s", "UID THREAD REFERENCES UTF-8 UID %s",
    "UID FETCH %s (FLAGS) (CHANGEDSINCE 1)", "UID FETCH %s BINARY.PEEK[1]", "UID FETCH %s (PREVIEW EMAILID THREADID)",
)


def test_no_number_leads_to_another_users_message(site, victim):
    """UIDs, sequence numbers and object ids name what is in the mailbox that is open, and nothing else."""
    before = state_of(victim)
    thief = login(site, THIEF)
    ids = set(re.findall(r"\['([MT]\d+)'\]", repr(_ids(victim))))
    thief.command("CREATE Empty")
    for mailbox in ("Empty", "Sent"):
        for numbers in ("1", "1:*", "*", "2", "1:4294967295", "4294967295"):
            for command in BY_UID:
                thief.command(f"SELECT {mailbox}").ok()
                answer = thief.command(command % numbers)
                assert "top-secret" not in repr(answer) and "\\Flagged" not in repr(answer.all("FETCH")), (command, numbers)
                assert answer.all("FETCH") == [], (command, numbers)
                if answer.word == "BAD":
                    thief.close()
                    thief = login(site, THIEF)
        for key in ids:
            kind = "EMAILID" if key.startswith("M") else "THREADID"
            assert [line for line in thief.command(f"UID SEARCH {kind} {key}").untagged if line[0] == "SEARCH" and len(line) > 1] == []
    thief.close()
    assert ids and state_of(victim) == before


def _ids(client):
    client.command(f"EXAMINE {PRIVATE}").ok()
    answer = client.command("FETCH 1:* (EMAILID THREADID)").untagged
    client.command("UNSELECT").ok()
    return answer


def test_another_users_mailbox_is_answered_like_none_at_all(site, victim):
    """Not even that it is there can be told (RFC 5530 section 5): the same words as for a name that nobody has."""
    thief = login(site, THIEF)
    for command in ("SELECT %s", "EXAMINE %s", "STATUS %s (MESSAGES)", "DELETE %s", "RENAME %s Other", "APPEND %s {3}"):
        there, nowhere = (thief.command(command % name) for name in (f"{PRIVATE}/x", "Nobody-0815/x"))
        assert (there.word, there.code, there.text, there.untagged) == (nowhere.word, nowhere.code, nowhere.text, nowhere.untagged), command
    thief.close()


# --- arguments

BOMBS = {
    "parentheses": b"(" * 1_000_000,
    "closing parentheses": b")" * 1_000_000,
    "a list of flags": b"STORE 1 FLAGS (" + b"a " * 400_000 + b")",
    "nested lists": b"FETCH 1 " + b"(" * 100_000 + b"FLAGS" + b")" * 100_000,
    "fields": b"FETCH 1 (BODY[HEADER.FIELDS (" + b"a " * 120_000 + b")])",
    "items": b"FETCH 1 (" + b"FLAGS " * 40_000 + b"FLAGS)",
    "section numbers": b"FETCH 1 BODY[" + b"1." * 100_000 + b"1]",
    "quotes": b'LIST "" "' + b'\\"' * 100_000 + b'"',
    "an atom": b"SELECT " + b"x" * 1_000_000,
    "ID": b"ID (" + b'"a" "b" ' * 30_000 + b")",
    "returns": b'LIST "" "*" RETURN (' + b"CHILDREN " * 25_000 + b")",
    "sort keys": b"SORT (" + b"REVERSE SUBJECT " * 15_000 + b") UTF-8 ALL",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_of_one_command(site, client, name):
    """1 MB of "(" kills the peer's process: here it is a BAD (or an answer), soon, within the budget, and the session goes on."""
    client.command("APPEND INBOX ", OWN).ok()
    client.command("SELECT INBOX").ok()
    pids = site.pids("imapd")
    before = site.pss_kib()
    with site.cpu_at_most(COMMAND_SECONDS):
        client.wire.send(b"bomb " + BOMBS[name] + b"\r\n")
        assert client.finish("bomb").word in ("OK", "NO", "BAD")
    client.command("NOOP").ok()
    after = site.pss_kib()
    assert site.pids("imapd") == pids
    assert SANITIZED or max(after[pid] - before.get(pid, 0) for pid in pids) < 16 * 1024


SETS = ("1:4294967295", "4294967295:1", "*:1", ",".join(["1:*"] * 10_000), ",".join(["4294967295:1"] * 5_000), ",".join(str(n) for n in range(20_000, 0, -1)),
        ",".join(f"{n}:{n + 50}" for n in range(1, 9_000)), "1," * 50_000 + "1", "*," * 50_000 + "*")


@pytest.mark.parametrize("number", range(len(SETS)))
def test_huge_reversed_and_overlapping_sets(site, client, number):
    """Linear time, each message once."""
    text = SETS[number]
    for _ in range(3):
        client.command("APPEND INBOX ", OWN).ok()
    client.command("SELECT INBOX").ok()
    wanted = 3 if set(text) - set("*,") and text.strip("1,") else 1
    answer = costs_little(site, client, f"UID FETCH {text} (UID)").ok()
    assert len(answer.all("FETCH")) == wanted
    assert len(costs_little(site, client, f"UID STORE {text} +FLAGS (\\Seen)").ok().all("FETCH")) == wanted
    assert len(costs_little(site, client, f"UID SEARCH UID {text}").ok().all("SEARCH")[0]) == 1 + wanted
    costs_little(site, client, f"UID COPY {text} Trash").ok()
    costs_little(site, client, f"UID FETCH {text} (FLAGS) (CHANGEDSINCE 1)").ok()
    costs_little(site, client, f"UID MOVE {text} Archive").ok()
    row = client.command("STATUS Archive (MESSAGES)").ok().all("STATUS")[0][2]
    assert row == ["MESSAGES", str(wanted)]


@pytest.mark.parametrize("text", ["0", "0:1", "1:0", "4294967296", "18446744073709551617", "-1", "+1", "1:", ":1", "1,,2", "1:2:3", "0x1", "**", "", "1 ,2", "99999999999999999999:*", "$1"])
def test_sets_that_are_none(client, text):
    client.command("APPEND INBOX ", OWN).ok()
    client.command("SELECT INBOX").ok()
    for command in ("FETCH %s (FLAGS)", "UID FETCH %s (FLAGS)", "STORE %s FLAGS ()", "UID COPY %s Trash"):
        assert client.command(command % text).word == "BAD", command
    client.command("NOOP").ok()


@pytest.mark.parametrize("literal", ["{}", "{-1}", "{+}", "{4294967296}", "{18446744073709551616}", "{99999999999999999999999}", "{1x}", "{0x10}", "{ 5}", "{5", "~{}"])
def test_literals_that_are_none(client, literal):
    """{} is not zero, 2^64 is not zero; the session goes on (RFC 9051 section 4.3)."""
    for command in ("SELECT ", "APPEND INBOX ", "STATUS ", "CREATE ", "SEARCH TEXT "):
        answer = client.command(command + literal)
        assert answer.word in ("BAD", "NO"), (command, answer)
        if command == "APPEND INBOX ":  # bad commands in a row would end the session
            client.command("NOOP").ok()
    client.command("NOOP").ok()


@pytest.mark.parametrize("number", ["4294967296", "9223372036854775808", "18446744073709551616", "99999999999999999999999999"])
def test_numbers_do_not_overflow(client, number):
    """Out of range is a BAD; a number that 64 bits can hold is what it is: nothing begins there, nothing is so large."""
    client.command("APPEND INBOX ", OWN).ok()
    client.command("SELECT INBOX").ok()
    for command in ("FETCH 1 BODY.PEEK[]<%s.1>", "UID FETCH 1 (FLAGS) (CHANGEDSINCE %s)", "SEARCH LARGER %s", "SEARCH MODSEQ %s", "FETCH 1 BODY.PEEK[%s]",
                    "SEARCH OLDER %s"):
        answer = client.command(command % number)
        assert answer.word in ("OK", "BAD") and "my own" not in repr(answer), answer
        assert all(len(line) == 1 for line in answer.all("SEARCH")), answer
    answer = client.command(f"STORE 1 (UNCHANGEDSINCE {number}) FLAGS.SILENT (\\Draft)")
    assert answer.word == ("OK" if int(number) < 2**63 else "BAD"), answer


# --- names

@pytest.mark.parametrize("name", [b"a\x01b", b"a\x7fb", b"\x1b[2Jx", b"a\tb", b"\x08\x08", b"a\nb", b"a\r\nx LOGOUT\r\nb", b"a\x00b"])
@pytest.mark.parametrize("command", [b"CREATE %s", b"SUBSCRIBE %s", b"RENAME Sent %s"])
def test_control_characters_in_names_are_refused(client, name, command):
    """As a literal, where they can come at all; nothing of them is taken for a command (Dovecot takes LF in names)."""
    answer = client.command((command % (b"{%d+}\r\n" % len(name) + name)).decode("latin-1"))
    assert answer.word in ("NO", "BAD"), answer
    assert not any(ord(c) < 32 for line in client.command('LIST "" "*"').ok().untagged for c in line[3])


def test_encoded_control_characters_are_refused(client):
    """LF and ESC in modified UTF-7; and what is no modified UTF-7 (NUL, half a surrogate) stays the letters that it is."""
    for name in ("a&AAo-b", "&ABs-", "&AH8-", "a&AIU-b"):
        assert client.command(f'CREATE "{name}"').word == "NO", name
    for name in ("a&AAA-b", "&2AA-", "&AGE-", "&", "a&b"):
        client.command(f'CREATE "{name}"').ok()
        assert name.replace("&", "&-") in [line[3] for line in client.command('LIST "" "*"').ok().untagged], name


# --- the log

def test_the_log_cannot_be_forged(site, victim):
    """Names, tags, logins, ID and patterns with line ends, escapes and what looks like a log line: one event stays one line, and no mail is in it."""
    marker = "2026-01-01T00:00:00.000Z error forged"
    thief = login(site, THIEF)
    for text in (f"a\r\n{marker}", f"a\n{marker}", f"\x1b[31m{marker}", f"a\x00{marker}"):
        octets = text.encode()
        for command in ("SELECT ", "CREATE ", "ID (\"name\" ", 'LIST "" ', "SEARCH TEXT "):
            thief.wire.send(b"x " + command.encode() + b"{%d+}\r\n" % len(octets) + octets + (b")" if command.startswith("ID") else b"") + b"\r\n")
            thief.finish("x")
        thief.close()
        thief = login(site, THIEF)
        with site.wire("imap") as wire:
            wire.send(b"x LOGIN {%d+}\r\n" % len(octets) + octets + b" my-secret-guess\r\n")
            wire.line()
            wire.send(octets + b"\r\n")
    thief.close()
    log = site.log_text()
    for line in log.splitlines():
        assert not line.startswith(marker) and "\x1b" not in line and "\x00" not in line
    for secret in ("top-secret", "my-secret-guess", "my own"):
        assert secret not in log
