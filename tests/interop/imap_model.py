"""What IMAP says must be there (RFC 9051, RFC 7162), as simply as it can be written: mailboxes as dictionaries, and for each session the
list of messages that it was told of. `random_steps` drives several sessions, deliveries and POP3 deletions against a site; after
every step all of it must agree.

By hand:  python3 tests/interop/imap_model.py --steps 100000 --seed 7
"""
import argparse
import random
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.imap import Imap, uid_set  # noqa: E402
from harness.site import DOMAIN, PASSWORD, Site  # noqa: E402

FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$label1", "Junk")
MAILBOXES = ("INBOX", "A", "B/C")
KINDS = ("plain", "condstore", "qresync", "rev2")
KEEP_BELOW = 40  # messages in a mailbox; more are expunged, so that a step stays cheap


class Mailbox:
    def __init__(self, name):
        self.name = name
        self.validity = None
        self.next = 1
        self.messages = {}  # uid -> [key, set of flags]
        self.modseq = {}  # uid -> as the observer saw it last
        self.highest = 0
        self.gone = []  # (highest modseq before it went, uid)

    def add(self, key, flags):
        uid = self.next
        self.next += 1
        self.messages[uid] = [key, set(flags)]
        return uid

    def remove(self, uid):
        del self.messages[uid]
        self.gone.append((self.highest, uid))


def normal(flags):
    return {f for f in flags if f != "\\Recent"}


class Session:
    """One client: what it was told, and nothing else."""

    def __init__(self, world, kind):
        self.world = world
        self.kind = kind
        self.kept = None  # (mailbox name, modseq, uids, flags): what a QRESYNC client knew when it left
        self.connect()

    def connect(self):
        self.client = self.world.imap()
        self.box = None
        self.view = []  # uids in the order of its sequence numbers
        self.told = {}  # uid -> flags
        if self.kind == "condstore":
            self.command("ENABLE CONDSTORE")
        elif self.kind == "qresync":
            self.command("ENABLE QRESYNC")
        elif self.kind == "rev2":
            self.command("ENABLE IMAP4rev2")

    # --- what comes in

    def command(self, *text, keeps_numbers=False, want="OK"):
        answer = self.client.command(*text)
        self.world.note(self, text, answer)
        self.take(answer, keeps_numbers)
        if want:
            assert answer.word == want, f"{text} -> {answer}"
        return answer

    def take(self, answer, keeps_numbers=False):
        for response in answer.untagged:
            if len(response) > 1 and response[1] == "EXPUNGE":
                assert not keeps_numbers, "EXPUNGE inside FETCH, STORE or SEARCH by number"
                assert self.kind != "qresync", "EXPUNGE after ENABLE QRESYNC"
                number = int(response[0])
                assert 1 <= number <= len(self.view), f"EXPUNGE {number} of {len(self.view)}"
                self.lose(self.view.pop(number - 1))
            elif response[0] == "VANISHED":
                assert self.kind == "qresync"
                earlier = response[1] == ["EARLIER"]
                assert earlier or not keeps_numbers
                for uid in uid_set(response[-1]):
                    if uid in self.view:
                        assert not earlier, "VANISHED (EARLIER) of a message in the view"
                        self.view.remove(uid)
                        self.lose(uid)
            elif len(response) > 1 and response[1] == "EXISTS":
                last = self.view[-1] if self.view else 0
                self.view += [uid for uid in sorted(self.box.messages) if uid > last]
                assert int(response[0]) == len(self.view), f"EXISTS {response[0]}, not {len(self.view)}"
            elif len(response) > 1 and response[1] == "FETCH":
                self.take_fetch(int(response[0]), response[2])

    def lose(self, uid):
        assert uid not in self.box.messages, f"{uid} was said to be gone"
        self.told.pop(uid, None)

    def take_fetch(self, number, items):
        assert 1 <= number <= len(self.view), f"FETCH of {number}, of {len(self.view)}"
        found = dict(zip(items[::2], items[1::2]))
        if "UID" in found:
            assert self.view[number - 1] == int(found["UID"]), f"{number} is {self.view[number - 1]}, not {found['UID']}"
        uid = self.view[number - 1]
        if "FLAGS" in found:
            flags = normal(found["FLAGS"])
            if uid in self.box.messages:
                assert flags == self.box.messages[uid][1], f"{uid}: {flags}, not {self.box.messages[uid][1]}"
            self.told[uid] = flags
        if "MODSEQ" in found and uid in self.box.modseq and uid in self.box.messages:
            assert int(found["MODSEQ"][0]) >= self.box.modseq[uid], f"MODSEQ of {uid} went back"

    # --- what it does

    def live(self):
        return [uid for uid in self.view if uid in self.box.messages]

    def agree(self):
        """After NOOP the client knows all there is, and nothing else."""
        self.command("NOOP")
        want = sorted(self.box.messages)
        assert self.view == want, f"{self.kind}: {self.view}, not {want}"
        for uid, flags in self.told.items():
            assert flags == self.box.messages[uid][1], f"{self.kind}: {uid} told {flags}, is {self.box.messages[uid][1]}"

    def select(self, box, examine=False):
        verb = "EXAMINE" if examine else "SELECT"
        kept = self.kept if self.kind == "qresync" and self.kept and self.kept[0] == box.name else None
        parameters = ""
        if kept:
            known = f" {kept[2][0]}:{kept[2][-1]}" if kept[2] else ""
            parameters = f" (QRESYNC ({box.validity} {kept[1]}{known}))"
        elif self.kind == "condstore":
            parameters = " (CONDSTORE)"
        self.leave()
        self.view, self.told, self.box = [], {}, box
        answer = self.client.command(f'{verb} "{box.name}"{parameters}')
        self.world.note(self, (verb, box.name, parameters), answer)
        answer.ok()
        self.read_only = examine
        codes = {r[1][0]: r[1][1:] for r in answer.untagged if r[0] == "OK" and r[1]}
        assert int(codes["UIDVALIDITY"][0]) == box.validity
        assert int(codes["UIDNEXT"][0]) == box.next, f"UIDNEXT {codes['UIDNEXT']}, not {box.next}"
        assert answer.code == (["READ-ONLY"] if examine else ["READ-WRITE"])
        exists = [int(r[0]) for r in answer.untagged if len(r) > 1 and r[1] == "EXISTS"]
        assert exists == [len(box.messages)], f"{exists}, not {len(box.messages)}"
        self.view = sorted(box.messages)
        if self.kind in ("condstore", "qresync"):
            self.highest = int(codes["HIGHESTMODSEQ"][0])
            assert self.highest >= box.highest
        if kept:
            self.resync(kept, answer)

    def resync(self, kept, answer):
        """RFC 7162 §3.2.5: what it knew, less what vanished, with what changed, is what is there."""
        known = dict(zip(kept[2], kept[3]))
        for response in answer.untagged:
            if response[0] == "VANISHED":
                assert response[1] == ["EARLIER"]
                for uid in uid_set(response[-1]):
                    assert uid not in self.box.messages, f"VANISHED (EARLIER) {uid}, which is there"
                    known.pop(uid, None)
        for response in answer.untagged:
            if len(response) > 1 and response[1] == "FETCH":
                found = dict(zip(response[2][::2], response[2][1::2]))
                assert int(found["MODSEQ"][0]) > kept[1]
                known[int(found["UID"])] = normal(found["FLAGS"])
                self.take_fetch(int(response[0]), response[2])
        # With known UIDs only those are told of; what is new the client finds by EXISTS and UIDNEXT.
        last = kept[2][-1] if kept[2] else self.box.next
        want = {uid: message[1] for uid, message in self.box.messages.items() if uid <= last}
        assert known == want, f"resync since {kept[1]}: {known}, not {want}"

    def leave(self):
        if self.box is None:
            return
        if self.kind == "qresync" and not self.world.random.randrange(3):
            self.agree()
            uids = list(self.view)
            for uid in uids:
                if uid not in self.told:
                    self.command(f"UID FETCH {uid} (FLAGS)")
            answer = self.command(f'STATUS "{self.box.name}" (HIGHESTMODSEQ)')
            modseq = int(answer.all("STATUS")[0][2][1])
            self.kept = (self.box.name, modseq, uids, [set(self.told[u]) for u in uids])


class World:
    def __init__(self, site, user, seed, sessions=5):
        self.site, self.user = site, user
        self.random = random.Random(seed)
        self.log = []
        self.keys = 0
        self.boxes = {name: Mailbox(name) for name in MAILBOXES}
        self.observer = self.imap()
        for name, box in self.boxes.items():
            if name != "INBOX":
                self.observer.command(f'CREATE "{name}"').ok()
            answer = self.observer.command(f'STATUS "{name}" (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)').ok()
            found = answer.all("STATUS")[0][2]
            found = dict(zip(found[::2], map(int, found[1::2])))
            box.validity, box.next, box.highest = found["UIDVALIDITY"], found["UIDNEXT"], found["HIGHESTMODSEQ"]
        self.observer.command("ENABLE CONDSTORE").ok()
        self.sessions = [Session(self, KINDS[i % len(KINDS)]) for i in range(sessions)]
        self.steps = (
            (self.append, 8), (self.deliver, 3), (self.pop3_delete, 1), (self.store, 14), (self.store_unchanged, 4),
            (self.expunge, 4), (self.uid_expunge, 3), (self.copy, 4), (self.move, 4), (self.fetch_flags, 6),
            (self.fetch_since, 3), (self.fetch_subject, 3), (self.search, 8), (self.noop, 6), (self.select, 5),
            (self.close, 2), (self.reconnect, 1),
        )

    def imap(self):
        return Imap(("127.0.0.1", self.site.ports["imap"])).login(f"{self.user}@{DOMAIN}", PASSWORD)

    def note(self, session, text, answer):
        self.log.append((session.kind, text, repr(answer)[:2000]))
        del self.log[:-60]

    def story(self):
        return "\n".join(f"{kind}: {text} -> {answer}" for kind, text, answer in self.log)

    # --- choosing

    def pick(self, needs_write=False):
        ready = [s for s in self.sessions if s.box is not None and not (needs_write and s.read_only)]
        return self.random.choice(ready) if ready else None

    def some(self, items):
        items = list(items)
        return sorted(self.random.sample(items, self.random.randint(1, min(len(items), 6)))) if items else []

    def some_flags(self):
        return self.random.sample(FLAGS, self.random.randint(0, 3))

    def message(self):
        self.keys += 1
        return self.keys, f"From: a@remote.example\r\nSubject: m{self.keys}\r\n\r\nbody {self.keys}\r\n".encode()

    def set_of(self, session, uids):
        """(uid or not, the set as text): by UID, or by this client's numbers."""
        if self.random.randrange(2):
            return True, ",".join(map(str, uids))
        return False, ",".join(str(session.view.index(u) + 1) for u in uids)

    # --- steps

    def append(self):
        box, flags = self.boxes[self.random.choice(MAILBOXES)], self.some_flags()
        key, data = self.message()
        session = self.random.choice(self.sessions)
        uid = box.add(key, flags)
        answer = session.command(f'APPEND "{box.name}" ({" ".join(flags)}) ', data)
        assert answer.code == ["APPENDUID", str(box.validity), str(uid)], answer.code
        return box

    def deliver(self):
        box = self.boxes["INBOX"]
        key, data = self.message()
        self.site.send("a@remote.example", [f"{self.user}@{DOMAIN}"], data)
        box.add(key, ())
        return box

    def pop3_delete(self):
        box = self.boxes["INBOX"]
        uids = sorted(box.messages)
        chosen = self.some(range(len(uids)))
        client = self.site.pop3(self.user)
        assert client.stat()[0] == len(uids)
        for at in chosen:
            client.dele(at + 1)
            box.remove(uids[at])
        client.quit()
        return box

    def store(self, unchanged_since=None):
        session = self.pick(needs_write=True)
        if session is None or not session.live():
            return None
        box, uids, flags = session.box, self.some(session.live()), set(self.some_flags())
        by_uid, text = self.set_of(session, uids)
        sign, silent = self.random.choice(("+", "-", "")), self.random.choice(("", ".SILENT"))
        modified = set()
        condition = ""
        if unchanged_since is not None:
            condition = f" (UNCHANGEDSINCE {unchanged_since})"
            modified = {u for u in uids if box.modseq[u] > unchanged_since}
        for uid in set(uids) - modified:
            now = box.messages[uid][1]
            now = now | flags if sign == "+" else now - flags if sign == "-" else set(flags)
            box.messages[uid][1] = now
            if silent:  # what the client may think without being told; the server tells what it cannot know
                before = session.told.get(uid)
                if sign == "":
                    session.told[uid] = set(flags)
                elif before is not None:
                    session.told[uid] = before | flags if sign == "+" else before - flags
        answer = session.command(
            f"{'UID ' if by_uid else ''}STORE {text}{condition} {sign}FLAGS{silent} ({' '.join(sorted(flags))})",
            keeps_numbers=not by_uid,
        )
        if modified:
            said = uid_set(answer.code[1]) if answer.code and answer.code[0] == "MODIFIED" else []
            said = said if by_uid else [session.view[n - 1] for n in said]
            assert set(said) == modified, f"MODIFIED {said}, not {modified}"
        else:
            assert not answer.code or answer.code[0] != "MODIFIED", answer.code
        return box

    def store_unchanged(self):
        session = self.pick(needs_write=True)
        if session is None or session.kind not in ("condstore", "qresync") or not session.live():
            return None
        modseqs = [session.box.modseq[u] for u in session.live() if u in session.box.modseq]
        return self.store(self.random.choice(modseqs) if modseqs else None)

    def expunge(self):
        session = self.pick(needs_write=True)
        if session is None:
            return None
        for uid in [u for u, m in session.box.messages.items() if "\\Deleted" in m[1]]:
            session.box.remove(uid)
        session.command("EXPUNGE")
        return session.box

    def uid_expunge(self):
        session = self.pick(needs_write=True)
        if session is None or not session.live():
            return None
        uids = self.some(session.live())
        for uid in uids:
            if "\\Deleted" in session.box.messages[uid][1]:
                session.box.remove(uid)
        session.command(f"UID EXPUNGE {','.join(map(str, uids))}")
        return session.box

    def copy(self, move=False):
        session = self.pick(needs_write=move)
        if session is None or not session.live():
            return None
        box, target = session.box, self.boxes[self.random.choice(MAILBOXES)]
        if len(target.messages) > KEEP_BELOW or (move and target is box):
            return None
        uids = self.some(session.live())
        by_uid, text = self.set_of(session, uids)
        new = [target.add(box.messages[u][0], box.messages[u][1]) for u in uids]
        if move:
            for uid in uids:
                box.remove(uid)
        answer = session.command(f"{'UID ' if by_uid else ''}{'MOVE' if move else 'COPY'} {text} \"{target.name}\"")
        codes = [answer.code] + [r[1] for r in answer.untagged if r[0] == "OK"]
        copied = [c for c in codes if c and c[0] == "COPYUID"]
        assert len(copied) == 1, codes
        assert [int(copied[0][1]), uid_set(copied[0][2]), uid_set(copied[0][3])] == [target.validity, uids, new]
        self.observe(target)
        return box

    def move(self):
        return self.copy(move=True)

    def fetch_flags(self):
        session = self.pick()
        if session is None or not session.live():
            return None
        uids = self.some(session.live())
        by_uid, text = self.set_of(session, uids)
        answer = session.command(f"{'UID ' if by_uid else ''}FETCH {text} (UID FLAGS)", keeps_numbers=not by_uid)
        said = {int(r[2][r[2].index("UID") + 1]) for r in answer.all("FETCH") if "UID" in r[2]}
        assert said >= set(uids), f"{said} without {set(uids) - said}"
        return None

    def fetch_since(self):
        session = self.pick()
        if session is None or session.kind not in ("condstore", "qresync") or not session.box.modseq:
            return None
        session.agree()
        box = session.box
        since = self.random.choice(list(box.modseq.values()) + [box.highest, 1])
        vanished = session.kind == "qresync"
        answer = session.command(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since}{' VANISHED' if vanished else ''})")
        said = {int(r[2][r[2].index("UID") + 1]) for r in answer.all("FETCH")}
        want = {u for u, m in box.modseq.items() if m > since and u in box.messages}
        assert said == want, f"CHANGEDSINCE {since}: {said}, not {want}"
        if vanished:
            gone = {u for r in answer.all("VANISHED") for u in uid_set(r[-1])}
            assert not gone & set(box.messages), gone
            last = max(box.messages, default=0)  # "*" is the largest UID in use
            missing = {u for before, u in box.gone if before >= since and u <= last} - gone
            assert not missing, f"since {since}, not said to have vanished: {missing}"
        return None

    def fetch_subject(self):
        session = self.pick()
        if session is None or not session.live():
            return None
        uids = self.some(session.live())
        by_uid, text = self.set_of(session, uids)
        answer = session.command(
            f"{'UID ' if by_uid else ''}FETCH {text} (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])", keeps_numbers=not by_uid
        )
        seen = set()
        for response in answer.all("FETCH"):
            found = dict(zip(response[2][::2], response[2][1::2]))
            subject = [v for k, v in found.items() if k.startswith("BODY[")]
            if subject:
                uid = int(found["UID"])
                seen.add(uid)
                assert subject[0].strip() == f"Subject: m{session.box.messages[uid][0]}", (uid, subject)
        assert seen == set(uids), f"{seen}, not {set(uids)}"
        return None

    def search(self):
        session = self.pick()
        if session is None or not session.view:
            return None
        box = session.box
        flag = self.random.choice(FLAGS)
        name = flag[1:].upper() if flag.startswith("\\") else f"KEYWORD {flag}"
        has = {u for u, m in box.messages.items() if flag in m[1]}
        alive = [u for u in session.view if u in box.messages]
        chosen = set(self.some(alive))
        if not chosen:
            return None
        numbers = ",".join(str(session.view.index(u) + 1) for u in sorted(chosen))
        program, hits = self.random.choice((
            (name, has),
            (f"NOT {name}", set(alive) - has),
            (f"{numbers} {name}", chosen & has),
            (f"UID {','.join(map(str, sorted(chosen)))} NOT {name}", chosen - has),
            (f"OR {numbers} {name}", chosen | has),
            ("ALL", set(alive)),
        ))
        want = sorted(hits & set(session.view))  # what it has not been told of has no number yet
        by_uid = bool(self.random.randrange(2))
        answer = session.command(f"{'UID ' if by_uid else ''}SEARCH RETURN (ALL) {program}", keeps_numbers=not by_uid)
        found = answer.all("ESEARCH")[0]
        said = uid_set(found[found.index("ALL") + 1]) if "ALL" in found else []
        if not by_uid:
            said = [session.view[n - 1] for n in said]
        assert said == want, f"{program}: {said}, not {want}"
        return None

    def noop(self):
        session = self.pick()
        if session is not None:
            session.agree()
        return None

    def select(self):
        session = self.random.choice(self.sessions)
        session.select(self.boxes[self.random.choice(MAILBOXES)], examine=not self.random.randrange(5))
        return None

    def close(self):
        session = self.pick()
        if session is None:
            return None
        box = session.box
        session.leave()
        if self.random.randrange(2):
            session.command("UNSELECT")
        else:
            if not session.read_only:
                for uid in [u for u, m in box.messages.items() if "\\Deleted" in m[1]]:
                    box.remove(uid)
            before = session.view
            answer = session.client.command("CLOSE").ok()
            assert not answer.all("EXPUNGE") and not answer.all("VANISHED"), (before, answer)
        session.box, session.view, session.told = None, [], {}
        return box

    def reconnect(self):
        session = self.random.choice(self.sessions)
        session.leave()
        session.client.close()
        session.connect()
        return None

    # --- what must be true

    def observe(self, box):
        """What the store says now, through a session of its own."""
        answer = self.observer.command(f'EXAMINE "{box.name}" (CONDSTORE)').ok()
        codes = {r[1][0]: r[1][1:] for r in answer.untagged if r[0] == "OK" and r[1]}
        highest = int(codes["HIGHESTMODSEQ"][0])
        assert highest >= box.highest, f"{box.name}: HIGHESTMODSEQ {highest} after {box.highest}"
        assert int(codes["UIDNEXT"][0]) == box.next, f"{box.name}: UIDNEXT {codes['UIDNEXT']}, not {box.next}"
        seen = {}
        if box.messages:
            fetched = self.observer.command("FETCH 1:* (UID FLAGS MODSEQ)").ok()
            for number, response in enumerate(fetched.all("FETCH"), 1):
                found = dict(zip(response[2][::2], response[2][1::2]))
                assert int(response[0]) == number
                seen[int(found["UID"])] = (normal(found["FLAGS"]), int(found["MODSEQ"][0]))
        assert list(seen) == sorted(box.messages), f"{box.name}: {list(seen)}, not {sorted(box.messages)}"
        for uid, (flags, modseq) in seen.items():
            assert flags == box.messages[uid][1], f"{box.name} {uid}: {flags}, not {box.messages[uid][1]}"
            assert modseq <= highest
            before = box.modseq.get(uid)
            assert before is None or modseq == before or modseq > box.highest, f"{uid}: {before} -> {modseq}"
        box.modseq = {uid: modseq for uid, (_, modseq) in seen.items()}
        box.highest = highest

    def make_room(self):
        for box in self.boxes.values():
            if len(box.messages) <= KEEP_BELOW:
                continue
            uids = self.random.sample(sorted(box.messages), len(box.messages) // 2)
            self.observer.command(f'SELECT "{box.name}"').ok()
            self.observer.command(f"UID STORE {','.join(map(str, uids))} +FLAGS.SILENT (\\Deleted)").ok()
            self.observer.command(f"UID EXPUNGE {','.join(map(str, uids))}").ok()
            for uid in uids:
                box.remove(uid)
            self.observe(box)

    def step(self):
        actions, weights = zip(*self.steps)
        changed = self.random.choices(actions, weights)[0]()
        if changed is not None:
            self.observe(changed)
            self.make_room()

    def agree(self):
        for session in self.sessions:
            if session.box is not None:
                session.agree()


def random_steps(site, user, seed, steps, progress=None):
    world = World(site, user, seed)
    for number in range(1, steps + 1):
        try:
            world.step()
            if number % 50 == 0:
                world.agree()
        except AssertionError as error:
            raise AssertionError(f"{world.story()}\nseed {seed}, step {number}: {error}") from error
        if progress and number % 1000 == 0:
            progress(number)
    world.agree()


def main():
    parser = argparse.ArgumentParser(description="Random IMAP operations against a model")
    parser.add_argument("--steps", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with Site() as site:
        random_steps(site, "alice", arguments.seed, arguments.steps, lambda n: print(f"{n} steps", flush=True))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
