"""A load of IMAP commands that knows what must be there: each worker has folders of its own (in an account that gets mail at the same
time), runs one command after the other, and keeps the state that the answers promise.

A command without an answer leaves two states that are right, before it and after it, and nothing between: each time a worker
connects again it reads all its folders and compares. UIDs, UIDVALIDITYs and MODSEQs are remembered over the whole run: none
may be used again or go back.
"""
import copy
import re

from crash.load import TROUBLE, Worker
from harness.imap import Imap, uid_set
from harness.site import DOMAIN, PASSWORD

ROOT = "Work"
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "$label1", "Junk")
FOLDERS_MAX = 6
MESSAGES_MAX = 60
MARK = re.compile(r"X-Load-Id: (\S+)")


class Folder:
    def __init__(self, validity=None):
        self.validity = validity  # None: made by a command that has not told it
        self.next = 1
        self.messages = {}        # uid -> (mark, frozenset of flags)

    def add(self, mark, flags):
        self.messages[self.next] = (mark, frozenset(flags))
        self.next += 1

    def __repr__(self):
        return f"{self.validity}/{self.next}:{ {u: (m, sorted(f)) for u, (m, f) in sorted(self.messages.items())} }"


def same(want, seen):
    return want.keys() == seen.keys() and all(
        folder.messages == seen[name].messages and folder.next == seen[name].next
        and folder.validity in (None, seen[name].validity)
        for name, folder in want.items()
    )


class ImapWorker(Worker):
    def __init__(self, site, books, user, seed):
        super().__init__(site, books, [user], seed)
        self.user, self.client, self.number = user, None, 0
        self.state = {}
        self.after = None     # the state if the command without an answer was done
        self.asked = None     # that command
        self.commands = 0
        self.marks = {}       # (validity, uid) -> mark: never another one
        self.highest = {}     # validity -> (HIGHESTMODSEQ, UIDNEXT)

    def problem(self, text):
        with self.books.lock:
            self.books.problems.append(f"{self.user}: {text}")

    def connect(self):
        self.client = Imap(("127.0.0.1", self.site.ports["imap"]), timeout=15).login(f"{self.user}@{DOMAIN}", PASSWORD)

    def disconnect(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    # --- what is there

    def look(self):
        state = {}
        for response in self.client.command(f'LIST "" "{ROOT}/*"').ok().all("LIST"):
            if "\\Noselect" in response[1] or "\\NonExistent" in response[1]:
                continue
            name = response[3]
            answer = self.client.command(f'EXAMINE "{name}" (CONDSTORE)').ok()
            codes = {r[1][0]: r[1][1:] for r in answer.untagged if r[0] == "OK" and r[1]}
            folder = Folder(int(codes["UIDVALIDITY"][0]))
            folder.next = int(codes["UIDNEXT"][0])
            self.look_at(folder, answer)
            self.remember(name, folder, int(codes["HIGHESTMODSEQ"][0]))
            state[name] = folder
            self.client.command("UNSELECT").ok()
        return state

    def look_at(self, folder, answer):
        if [r for r in answer.untagged if len(r) > 1 and r[1] == "EXISTS"][0][0] == "0":
            return
        fetched = self.client.command("FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-LOAD-ID)])").ok()
        for response in fetched.all("FETCH"):
            found = dict(zip(response[2][::2], response[2][1::2]))
            header = next(v for k, v in found.items() if k.startswith("BODY["))
            mark = MARK.search(header)
            flags = frozenset(f for f in found["FLAGS"] if f != "\\Recent")
            folder.messages[int(found["UID"])] = (mark.group(1) if mark else f"unmarked {header!r}", flags)

    def remember(self, name, folder, highest):
        before, next_before = self.highest.get(folder.validity, (0, 0))
        if highest < before or folder.next < next_before:
            self.problem(f"{name}: HIGHESTMODSEQ {before} -> {highest}, UIDNEXT {next_before} -> {folder.next}")
        self.highest[folder.validity] = (highest, folder.next)
        for uid, (mark, _) in folder.messages.items():
            known = self.marks.setdefault((folder.validity, uid), mark)
            if known != mark:
                self.problem(f"{name}: UID {uid} was {known}, is {mark}")

    def settle(self):
        """After a new connection: the state is one of those that are right."""
        seen = self.look()
        if not same(self.state, seen) and not (self.after is not None and same(self.after, seen)):
            self.problem(f"after {self.asked!r} (unanswered: {self.after is not None}): {seen}, not {self.state} nor {self.after}")
        self.state, self.after, self.asked = seen, None, None

    # --- what is done

    def do(self, after, *command, before=()):
        """One changing command; `after` is the state that its OK promises."""
        for text in before:
            self.client.command(text).ok()
        self.after, self.asked = after, command[0]
        answer = self.client.command(*command)
        if answer.word == "OK":
            self.state = after
            with self.books.lock:
                self.commands += 1
        elif answer.word != "NO":
            self.problem(f"{command[0]}: {answer}")
        self.after = None
        return answer

    def folder(self):
        names = [n for n, f in self.state.items() if f.messages]
        return self.chance.choice(names) if names else None

    def some(self, folder):
        uids = sorted(folder.messages)
        return sorted(self.chance.sample(uids, self.chance.randint(1, min(len(uids), 10))))

    def append(self):
        if not self.state:
            return self.create()
        name = self.chance.choice(sorted(self.state))
        if len(self.state[name].messages) > MESSAGES_MAX:
            return None
        after, parts = copy.deepcopy(self.state), [f'APPEND "{name}"']
        for _ in range(self.chance.choice((1, 1, 1, 5))):
            self.number += 1
            mark, flags = f"{self.name}-{self.number}", self.chance.sample(FLAGS, self.chance.randint(0, 2))
            size = self.chance.choice((10, 3000, 3000, 100_000))
            text = f"X-Load-Id: {mark}\r\nSubject: load\r\n\r\n" + ("y" * 70 + "\r\n") * (size // 72)
            parts += [f' ({" ".join(flags)}) ', text.encode()]
            after[name].add(mark, flags)
        parts[0] += parts.pop(1)
        return self.do(after, *parts)

    def store(self):
        name = self.folder()
        if name is None:
            return None
        after, uids = copy.deepcopy(self.state), self.some(self.state[name])
        flags = frozenset(self.chance.sample(FLAGS, self.chance.randint(1, 3)))
        sign = self.chance.choice(("+", "-", ""))
        for uid in uids:
            mark, now = after[name].messages[uid]
            after[name].messages[uid] = (mark, now | flags if sign == "+" else now - flags if sign == "-" else flags)
        return self.do(after, f"UID STORE {','.join(map(str, uids))} {sign}FLAGS ({' '.join(sorted(flags))})",
                       before=[f'SELECT "{name}"'])

    def expunge(self):
        name = self.folder()
        if name is None:
            return None
        after = copy.deepcopy(self.state)
        for uid in [u for u, m in after[name].messages.items() if "\\Deleted" in m[1]]:
            del after[name].messages[uid]
        return self.do(after, self.chance.choice(("EXPUNGE", "CLOSE")), before=[f'SELECT "{name}"'])

    def copy(self, verb="COPY"):
        name = self.folder()
        others = sorted(n for n, f in self.state.items() if n != name and len(f.messages) < MESSAGES_MAX)
        if name is None or not others:
            return None
        target, after, uids = self.chance.choice(others), copy.deepcopy(self.state), self.some(self.state[name])
        for uid in uids:
            after[target].add(*after[name].messages[uid])
            if verb == "MOVE":
                del after[name].messages[uid]
        answer = self.do(after, f'UID {verb} {",".join(map(str, uids))} "{target}"', before=[f'SELECT "{name}"'])
        codes = [answer.code] + [r[1] for r in answer.untagged if r[0] == "OK"]
        copied = next((c for c in codes if c and c[0] == "COPYUID"), None)
        if answer.word == "OK" and (copied is None or uid_set(copied[2]) != uids):
            self.problem(f"{verb}: {codes}")
        return answer

    def move(self):
        return self.copy("MOVE")

    def create(self):
        if len(self.state) >= FOLDERS_MAX:
            return self.delete()
        self.number += 1
        name, after = f"{ROOT}/{self.name}-{self.number}", copy.deepcopy(self.state)
        after[name] = Folder()
        return self.do(after, f'CREATE "{name}"')

    def rename(self):
        if not self.state:
            return None
        self.number += 1
        name, after = self.chance.choice(sorted(self.state)), copy.deepcopy(self.state)
        new = f"{ROOT}/{self.name}-{self.number}"
        after[new] = after.pop(name)
        return self.do(after, f'RENAME "{name}" "{new}"', before=["NOOP"])

    def delete(self):
        after = copy.deepcopy(self.state)
        name = self.chance.choice(sorted(after))
        del after[name]
        return self.do(after, f'DELETE "{name}"')

    def turn(self):
        try:
            if self.client is None:
                self.connect()
                self.settle()
            actions = ((self.append, 6), (self.store, 5), (self.expunge, 3), (self.copy, 3), (self.move, 4), (self.create, 1),
                       (self.rename, 1))
            functions, weights = zip(*actions)
            self.chance.choices(functions, weights)[0]()
            if not self.chance.randrange(40):
                self.disconnect()  # and look at everything
        except TROUBLE:
            self.disconnect()
            raise

    def audit(self):
        """The load is paused and the suite up."""
        self.disconnect()
        self.connect()
        self.settle()
        self.disconnect()
