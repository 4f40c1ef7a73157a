"""News of a mailbox across sessions, processes and protocols: who idles is told at once, who asks is told all, whoever changed it."""
import concurrent.futures
import contextlib
import random
import smtplib
import sqlite3
import time

import pytest
from harness.imap import Imap
from harness.site import DOMAIN, HANG_SECONDS, PASSWORD
from harness.wire import WireError

ONE = b"Subject: one\r\n\r\nbody\r\n"


def session(site, user, *commands):
    client = Imap(("127.0.0.1", site.ports["imap"])).login(f"{user}@{DOMAIN}", PASSWORD)
    for command in commands:
        client.command(command).ok()
    return client


def idle(client):
    client.tag = client.send("IDLE")
    assert client.response()[0] == "+"


def done(client):
    client.wire.send(b"DONE\r\n")
    return client.finish(client.tag).ok()


def heard(client, count):
    return [client.response()[1:] for _ in range(count)]


def deliver(site, user, message=ONE):
    site.send("a@remote.example", [f"{user}@{DOMAIN}"], message)


def quiet(client, seconds):
    client.wire.sock.settimeout(seconds)
    with pytest.raises(TimeoutError):
        client.wire.sock.recv(1)
    client.wire.sock.settimeout(30)


def test_everything_reaches_who_idles(site):
    """SMTP, POP3 and another session's STORE, EXPUNGE, COPY and MOVE; three ways to be told of it."""
    site.fresh_user("push")
    plain = session(site, "push", "SELECT INBOX")
    aware = session(site, "push", "ENABLE CONDSTORE", "SELECT INBOX")
    quick = session(site, "push", "ENABLE QRESYNC", "EXAMINE INBOX")
    other = session(site, "push", "SELECT INBOX")
    for client in (plain, aware, quick):
        idle(client)
    for number in range(1, 6):
        deliver(site, "push")
        for client in (plain, aware, quick):
            assert heard(client, 1) == [[str(number), "EXISTS"]]
    assert other.command("STORE 2:3 +FLAGS (\\Seen)").word == "BAD"  # it was told of none of them, until now
    other.command("STORE 2:3 +FLAGS (\\Seen)").ok()
    assert heard(plain, 2) == [[str(n), "FETCH", ["UID", str(n), "FLAGS", ["\\Seen"]]] for n in (2, 3)]
    for client in (aware, quick):
        modseqs = {fetch[2][3][0] for fetch in heard(client, 2)}
        assert len(modseqs) == 1  # one change of two messages
    pop3 = site.pop3("push")
    pop3.dele(1)
    pop3.dele(4)
    pop3.quit()
    for client in (plain, aware):
        assert heard(client, 2) == [["1", "EXPUNGE"], ["3", "EXPUNGE"]]
    assert heard(quick, 1) == [["VANISHED", "1,4"]]
    assert other.command("NOOP").ok().untagged == [["1", "EXPUNGE"], ["3", "EXPUNGE"]]
    answer = other.command("MOVE 1 Trash").ok()
    assert answer.untagged[0][:2] == ["OK", ["COPYUID", answer.untagged[0][1][1], "2", "1"]]
    assert heard(plain, 1) == heard(aware, 1) == [["1", "EXPUNGE"]]
    assert heard(quick, 1) == [["VANISHED", "2"]]
    other.command("COPY 1:2 INBOX").ok()
    for client in (plain, aware, quick):
        assert heard(client, 1) == [["4", "EXISTS"]]
        done(client)
        assert client.command("NOOP").ok().untagged == []
        client.close()
    other.close()


def test_only_its_own_account_is_told(site):
    site.fresh_user("woken")
    site.fresh_user("asleep")
    woken, asleep = (session(site, name, "SELECT INBOX") for name in ("woken", "asleep"))
    elsewhere = session(site, "woken", "SELECT Sent")
    for client in (woken, asleep, elsewhere):
        idle(client)
    deliver(site, "woken")
    assert heard(woken, 1) == [["1", "EXISTS"]]
    quiet(asleep, 1.5)
    quiet(elsewhere, 0.2)
    for client in (woken, asleep, elsewhere):
        client.close()


def test_a_command_sees_what_was_delivered_before_it(site):
    site.fresh_user("fresh")
    client = session(site, "fresh", "SELECT INBOX")
    for number in range(1, 40):
        deliver(site, "fresh")
        assert client.command("NOOP").ok().untagged == [[str(number), "EXISTS"]]
    client.close()


def test_a_burst(site):
    """More hints than a socket holds, while the loop is busy with something else."""
    users = [f"burst{n}" for n in range(4)]
    for user in users:
        site.fresh_user(user)
    clients = [session(site, user, "SELECT INBOX") for user in users]
    for client in clients:
        idle(client)
    for _ in range(25):
        site.send("a@remote.example", [f"{user}@{DOMAIN}" for user in users], ONE)
    for client in clients:
        last = 0
        while last < 25:
            last = int(client.response()[1])
        assert done(client).untagged == []
        client.close()


def test_lost_hints(site):
    """Nobody can tell imapd any more: who asks is told all the same, and who idles a little later."""
    site.fresh_user("lost")
    asks, idles = (session(site, "lost", "SELECT INBOX") for _ in range(2))
    idle(idles)
    names = list((site.data / "run" / "notify").glob("imapd.*"))
    assert names
    for name in names:
        name.unlink()
    try:
        time.sleep(1.2)  # senders read the names again
        deliver(site, "lost")
        time.sleep(1.1)
        assert asks.command("NOOP").ok().untagged == [["1", "EXISTS"]]
        idles.wire.timeout = HANG_SECONDS  # the files of idle accounts are looked at every 10 s (imapd/watch.h)
        assert heard(idles, 1) == [["1", "EXISTS"]]
    finally:
        asks.close()
        idles.close()
        site.restart()


def test_too_old_for_the_change_feed(site):
    """Tombstones are kept for a time only. A session that stands before them, and a client that comes back, learn the rest by comparing."""
    site.fresh_user("old")
    deliver(site, "old")
    deliver(site, "old")
    session(site, "old", "SELECT INBOX", "STORE 1 +FLAGS (\\Seen)", "CLOSE").close()
    client = session(site, "old", "ENABLE QRESYNC")
    codes = [r[1] for r in client.command("SELECT INBOX").ok().untagged if r[0] == "OK"]
    known = {c[0]: c[1] for c in codes}
    other = session(site, "old", "SELECT INBOX")
    idles = session(site, "old", "SELECT INBOX")
    idle(idles)
    for name in (site.data / "run" / "notify").glob("imapd.*"):
        name.unlink()
    try:
        time.sleep(1.2)
        pop3 = site.pop3("old")
        pop3.dele(1)
        pop3.quit()
        deliver(site, "old")
        newest = max((site.data / "accounts").iterdir(), key=lambda path: int(path.name))
        with contextlib.closing(sqlite3.connect(newest / "mail.db")) as db:
            now = "(SELECT modseq FROM account)"
            db.execute(f"UPDATE account_constant SET tombstone_floor = {now}, mailbox_floor = {now}")
            db.commit()
        time.sleep(1.1)
        assert client.command("NOOP").ok().untagged == [["VANISHED", "1"], ["2", "EXISTS"]]
        assert other.command("NOOP").ok().untagged == [["1", "EXPUNGE"], ["2", "EXISTS"]]
        assert heard(idles, 2) == [["1", "EXPUNGE"], ["2", "EXISTS"]]
        back = session(site, "old", "ENABLE QRESYNC")
        answer = back.command(f"SELECT INBOX (QRESYNC ({known['UIDVALIDITY']} {known['HIGHESTMODSEQ']} 1:2))").ok()
        assert answer.all("VANISHED") == [["VANISHED", ["EARLIER"], "1"]]
        back.close()
    finally:
        for one in (client, other, idles):
            one.close()
        site.restart()


def test_many_changes_to_a_client_that_does_not_read(site):
    """News waits for room in the output queue, and nothing of it is lost."""
    site.fresh_user("many")
    writer = session(site, "many")
    parts = ["APPEND INBOX"]
    for _ in range(500):
        parts += [" () ", ONE]
    for _ in range(4):
        writer.command(*parts).ok()
    writer.command("SELECT INBOX").ok()
    for _ in range(3):
        writer.command("COPY 1:* INBOX").ok()
    count = 2000 * 8
    slow = session(site, "many", "SELECT INBOX")
    idle(slow)
    flags = {}
    for name in ("\\Seen", "\\Flagged", "\\Draft", "\\Answered"):
        writer.command(f"STORE 1:* +FLAGS.SILENT ({name})").ok()
    while len(flags) < count or any(len(f) < 4 for f in flags.values()):
        response = slow.response()
        assert response[2] == "FETCH", response
        flags[response[1]] = response[3][3]
    writer.command(f"STORE 1:{count // 2} +FLAGS.SILENT (\\Deleted)").ok()
    writer.command("EXPUNGE").ok()
    left = count
    while left > count // 2:
        left -= slow.response()[2] == "EXPUNGE"
    assert done(slow).untagged == []
    assert len(slow.command("FETCH 1:* (UID FLAGS)").ok().all("FETCH")) == count // 2
    slow.close()
    writer.close()


def told_by_hint(client, asks, count):
    """Hears of the last message well before the look at the files. On a machine so busy that a second means nothing the answers to
    another session do: the hint was there before it asked."""
    client.wire.timeout, patience = 1, 3
    while True:
        try:
            if int(client.response()[1]) == count:
                return
        except WireError:
            assert patience > 0, "told by the look at the files, not by the hint"
            patience -= 1
            asks.command("NOOP").ok()


def test_the_last_of_a_burst(site):
    """A delivery may be durable just after the index was read for the one before it, and its hint comes before that is put to use."""
    site.fresh_user("brisk")
    client, asks = (session(site, "brisk", "SELECT INBOX") for _ in range(2))
    idle(client)
    senders = [smtplib.SMTP("127.0.0.1", site.ports["smtp"]) for _ in range(3)]
    chance = random.Random(7)

    def send(sender, count, wait):
        time.sleep(wait)
        for _ in range(count):
            sender.sendmail("a@remote.example", [f"brisk@{DOMAIN}"], ONE)

    total = 0
    with concurrent.futures.ThreadPoolExecutor(len(senders)) as pool:
        for _ in range(150):
            counts = [chance.randint(1, 3) for _ in senders]
            total += sum(counts)
            list(pool.map(send, senders, counts, [chance.random() * 0.003 for _ in senders]))
            told_by_hint(client, asks, total)
    for sender in senders:
        sender.quit()
    client.wire.timeout = HANG_SECONDS
    done(client)
    client.close()
    asks.close()


def eight_thousand(site, user):
    """A session of a user with so many messages."""
    site.fresh_user(user)
    writer = session(site, user, "ENABLE QRESYNC")
    parts = ["APPEND INBOX"]
    for _ in range(1000):
        parts += [" () ", ONE]
    for _ in range(4):
        writer.command(*parts).ok()
    writer.command("SELECT INBOX").ok()
    writer.command("COPY 1:* INBOX").ok()
    return writer


@pytest.mark.parametrize("command", ["EXPUNGE", "MOVE 8000 Trash"])
def test_the_number_of_an_expunge_is_not_ahead_of_what_is_told(site, command):
    """RFC 7162 §3.2, RFC 6851 §4.4: with more news than the output queue takes, HIGHESTMODSEQ stays below what is still to be told, in the tagged
    line too."""
    writer = eight_thousand(site, "ahead")
    client = session(site, "ahead", "ENABLE QRESYNC", "SELECT INBOX")
    writer.command("STORE 8000 +FLAGS.SILENT (\\Deleted)").ok()
    writer.command("STORE 1:4000 +FLAGS.SILENT (\\Flagged)").ok()
    writer.command("STORE 4001:7999 +FLAGS.SILENT (\\Seen)").ok()
    told, modseqs, early = {}, [], 0
    answer = client.command(command).ok()
    while True:
        for response in answer.untagged:
            if len(response) > 1 and response[1] == "FETCH":
                told[response[0]] = int(response[2][3][0])
            elif response[0] == "OK" and response[1][0] == "HIGHESTMODSEQ":
                modseqs.append(int(response[1][1]))
        if answer.code:
            assert answer.code[0] == "HIGHESTMODSEQ"
            modseqs.append(int(answer.code[1]))
        if len(told) == 7999:
            break
        early = len(modseqs)
        answer = client.command("NOOP").ok()
    assert early >= 2, "all came at once: nothing was tested"
    assert max(modseqs[:early]) < min(told.values()), "a client that left then would never have learned the rest"
    assert modseqs[-1] >= max(told.values())
    client.close()
    writer.close()


def test_select_while_news_wait(site):
    """RFC 7162 §3.2.5: HIGHESTMODSEQ of SELECT is of what SELECT tells; what the session had still to be told before is told with it."""
    writer = eight_thousand(site, "anew")
    client = session(site, "anew", "ENABLE QRESYNC")
    codes = dict((r[1][0], r[1][-1]) for r in client.command("SELECT INBOX").ok().untagged if r[0] == "OK" and r[1])
    writer.command("STORE 1:4000 +FLAGS.SILENT (\\Flagged)").ok()
    writer.command("STORE 4001:7999 +FLAGS.SILENT (\\Seen)").ok()
    behind = len(client.command("NOOP").ok().all("FETCH"))
    assert 0 < behind < 7999, "all came at once: nothing was tested"
    writer.command("STORE 8000 +FLAGS.SILENT (\\Draft)").ok()
    answer = client.command(f"SELECT INBOX (QRESYNC ({codes['UIDVALIDITY']} {codes['HIGHESTMODSEQ']}))").ok()
    highest = [int(r[1][1]) for r in answer.untagged if r[0] == "OK" and r[1] and r[1][0] == "HIGHESTMODSEQ"]
    told = [int(dict(zip(r[2][::2], r[2][1::2]))["MODSEQ"][0]) for r in answer.all("FETCH")]
    assert len(told) == 8000 and highest[-1] == max(told)
    writer.command("STORE 1 +FLAGS.SILENT (\\Answered)").ok()
    (later,) = client.command("NOOP").ok().all("FETCH")
    assert int(dict(zip(later[2][::2], later[2][1::2]))["MODSEQ"][0]) > highest[-1]
    client.close()
    writer.close()


def test_the_last_ones_vanish(site):
    """RFC 7162 §3.2.6: the last message was in "1:*" of the client's cache, though "*" is another one by now, or none."""
    site.fresh_user("tail")
    writer = session(site, "tail", "ENABLE QRESYNC")
    for _ in range(4):
        writer.command("APPEND INBOX ", ONE).ok()
    codes = [r[1] for r in writer.command("SELECT INBOX").ok().untagged if r[0] == "OK" and r[1]]
    since = dict((c[0], c[-1]) for c in codes)["HIGHESTMODSEQ"]
    for gone, want in (("3:4", "3:4"), ("1:2", "1:4")):
        writer.command(f"UID STORE {gone} +FLAGS.SILENT (\\Deleted)").ok()
        writer.command("EXPUNGE").ok()
        client = session(site, "tail", "ENABLE QRESYNC", "SELECT INBOX")
        answer = client.command(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since} VANISHED)").ok()
        assert answer.untagged == [["VANISHED", ["EARLIER"], want]]
        client.close()
    writer.close()
