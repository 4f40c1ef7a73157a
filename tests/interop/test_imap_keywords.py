"""Keywords that come and go: many more names than there are numbers for, so numbers get other names while sessions of several workers have
rows with the old ones; and the mailbox they have selected is renamed, emptied by a rename, deleted."""
import random

from harness.imap import Imap
from harness.site import DOMAIN, PASSWORD

NUMBERS = 58  # FLAG_KEYWORD_COUNT
ONE = b"Subject: one\r\n\r\nbody\r\n"
KINDS = ("", "ENABLE CONDSTORE", "ENABLE QRESYNC", "ENABLE IMAP4rev2")


class Observer:
    """Believes what it is told of flags, and holds the server to naming keywords in FLAGS before they are used."""

    def __init__(self, site, user, enable, mailbox="INBOX"):
        self.client = Imap(("127.0.0.1", site.ports["imap"])).login(f"{user}@{DOMAIN}", PASSWORD)
        self.names, self.flags = set(), {}
        if enable:
            self.client.command(enable).ok()
        self.do(f"SELECT {mailbox}").ok()
        self.do("UID FETCH 1:* (UID FLAGS)").ok()

    def do(self, command):
        answer = self.client.command(command)
        self.hear(answer.untagged)
        return answer

    def hear(self, untagged):
        for response in untagged:
            if response[0] == "FLAGS":
                self.names = set(response[1])
            elif response[1] == "FETCH":
                items = dict(zip(response[2][::2], response[2][1::2]))
                assert set(items["FLAGS"]) <= self.names, f"{items['FLAGS']} before FLAGS named them"
                self.flags[int(items["UID"])] = set(items["FLAGS"])

    def idle(self):
        self.tag = self.client.send("IDLE")
        assert self.client.response()[0] == "+"

    def done(self):
        self.client.wire.send(b"DONE\r\n")
        self.hear(self.client.finish(self.tag).ok().untagged)


def test_many_more_names_than_numbers(site):
    site.fresh_user("names")
    chance = random.Random(58)
    setup = Observer(site, "names", "")
    for _ in range(12):
        setup.client.command("APPEND INBOX ", ONE).ok()
    truth = {uid: set() for uid in range(1, 13)}
    observers = [Observer(site, "names", kind) for kind in KINDS * 2]
    refused = 0
    for step in range(600):
        uids = chance.sample(sorted(truth), chance.randint(1, 4))
        names = {f"k{chance.randrange(150)}" for _ in range(chance.randint(1, 9))}
        sign = chance.choice(("+", "+", "-", ""))
        after = {uid: truth[uid] | names if sign == "+" else truth[uid] - names if sign == "-" else names for uid in uids}
        before = set().union(*truth.values())
        fits = sign == "-" or len(before | names) <= NUMBERS
        sleeper = chance.choice(observers)
        sleeper.idle()
        writer = chance.choice([o for o in observers if o is not sleeper])
        answer = writer.do(f"UID STORE {','.join(map(str, uids))} {sign}FLAGS ({' '.join(sorted(names))})")
        if fits:
            assert answer.word == "OK", f"step {step}: {answer}"
            truth.update(after)
        else:
            assert answer.word == "NO" and answer.code == ["LIMIT"], f"step {step}: {answer}"
            refused += 1
        sleeper.done()
        for observer in observers if step % 5 == 0 else [sleeper, writer]:
            observer.do("NOOP").ok()
            assert observer.flags == truth, f"step {step}"
        if step % 7 == 0:
            late = Observer(site, "names", chance.choice(KINDS))
            assert late.flags == truth, f"step {step}: who comes new"
            late.client.close()
    assert 0 < refused < 450
    for observer in observers:
        observer.do("UID FETCH 1:* (UID FLAGS)").ok()
        assert observer.flags == truth
        observer.client.close()
    setup.client.close()


def test_the_selected_mailbox_is_renamed_and_deleted(site):
    """Eight sessions of two workers have it: names change below them, UIDs and flags stay; when it is deleted each is told, and a new one of
    that name is another mailbox."""
    site.fresh_user("moving")
    writer = Imap(("127.0.0.1", site.ports["imap"])).login(f"moving@{DOMAIN}", PASSWORD)
    validities = set()
    for turn in range(6):
        writer.command("CREATE a/b").ok()
        validity, first = (int(n) for n in writer.command("APPEND a/b ", ONE).ok().code[1:])
        assert first == 1 and validity not in validities
        validities.add(validity)
        observers = [Observer(site, "moving", kind, "a/b") for kind in KINDS * 2]
        observers[0].idle()
        writer.command("SUBSCRIBE a/b").ok()
        writer.command("RENAME a x").ok()
        assert writer.command("APPEND x/b ", ONE).ok().code == ["APPENDUID", str(validity), "2"]
        assert observers[0].client.response()[1:] == ["2", "EXISTS"]
        for observer in observers[1:]:
            observer.do(f"UID STORE 1 +FLAGS (t{turn})").ok()
        observers[0].done()
        for observer in observers:
            observer.do("NOOP").ok()
            assert observer.flags[1] == {f"t{turn}"}
        names = [r[-1] for r in writer.command('LSUB "" *').ok().untagged]
        assert "a/b" in names and "x/b" not in names  # RFC 9051 §6.3.6
        writer.command("UNSUBSCRIBE a/b").ok()
        observers[1].idle()
        writer.command("DELETE x/b").ok()
        assert observers[1].client.response()[:2] == ["*", "BYE"]
        for observer in observers[2:]:
            observer.client.send("NOOP")
            assert observer.client.response()[:2] == ["*", "BYE"]
        for observer in (observers[0],):
            observer.client.send("UID STORE 1 +FLAGS (late)")
            assert observer.client.response()[:2] == ["*", "BYE"]
        for observer in observers:
            observer.client.close()
        writer.command("DELETE x").ok()
    writer.close()


def test_inbox_is_renamed_below_those_who_have_it(site):
    """Its messages go, its UIDs go on, and a client that comes back with QRESYNC learns that they went."""
    site.fresh_user("inboxes")
    writer = Imap(("127.0.0.1", site.ports["imap"])).login(f"inboxes@{DOMAIN}", PASSWORD)
    last, highest = 0, 0
    for turn in range(4):
        for _ in range(3):
            last += 1
            assert int(writer.command("APPEND INBOX ", ONE).ok().code[2]) == last
        quick = Observer(site, "inboxes", "ENABLE QRESYNC")
        known = {r[1][0]: r[1][1] for r in quick.do("SELECT INBOX").ok().untagged if r[0] == "OK" and len(r[1]) > 1}
        assert int(known["HIGHESTMODSEQ"]) > highest
        highest = int(known["HIGHESTMODSEQ"])
        plain = Observer(site, "inboxes", "")
        quick.idle()
        writer.command(f"RENAME INBOX old{turn}").ok()
        assert quick.client.response()[1:] == ["VANISHED", f"{last - 2}:{last}"]
        assert plain.do("NOOP").ok().untagged == [["1", "EXPUNGE"]] * 3
        quick.done()
        back = Observer(site, "inboxes", "ENABLE QRESYNC", f"INBOX (QRESYNC ({known['UIDVALIDITY']} {known['HIGHESTMODSEQ']}))")
        answer = back.do(f"SELECT INBOX (QRESYNC ({known['UIDVALIDITY']} {known['HIGHESTMODSEQ']}))").ok()
        assert answer.all("VANISHED") == [["VANISHED", ["EARLIER"], f"{last - 2}:{last}"]]
        stale = back.do(f"SELECT old{turn} (QRESYNC ({known['UIDVALIDITY']} {known['HIGHESTMODSEQ']}))").ok()
        assert stale.all("VANISHED") == stale.all("FETCH") == []  # another UIDVALIDITY
        for observer in (quick, plain, back):
            observer.client.close()
    writer.close()
