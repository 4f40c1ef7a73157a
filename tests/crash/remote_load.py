"""A load of mail to other servers, alone and mixed with recipients here, and the other servers, which count what they take.

Everybody who must get a message once stands in the books (load.py) by a name: an address elsewhere; a user here; "sent:USER", the
copy in the sender's Sent folder; "report:USER", the bounce about a recipient who was refused. A far end counts a copy when it has the
end of data. A second copy at a far end is allowed only when the first one's 250 may not have been read, and each is named in `doubles`: that is
what SMTP leaves open (RFC 1047). A command after the 250 shows that it was read, and written down: then no second copy is allowed.
"""
import contextlib
import re
import threading
import time
from collections import Counter

from crash.load import Deliverer
from harness.far_end import DIE, DROP, FarEnd
from harness.imap import Imap
from harness.site import DOMAIN, HANG_SECONDS, PASSWORD, wait_for

DOMAINS = ("far.example", "other.example", "third.example")
LOCAL_PARTS = ("a", "b", "c", "d", "e")
REFUSED = "nobody"
TEAM = "team"  # an alias: a user here and an address elsewhere
ID = re.compile(rb"(?im)^X-Load-Id: (\S+)\r?$")
DIED = "the far end died between taking it and its 250"
NOT_READ = "killed; nothing came after the 250 on that connection"
WRONG = "no reason"
WRITTEN_SECONDS = 2  # a commit with the disk that everybody uses


class Copy:
    """What a far end took, for some recipients."""

    def __init__(self, session, mark, recipients, answered):
        self.session, self.mark, self.recipients, self.answered = session, mark, recipients, answered
        self.read = self.quit = False  # a command came after it; QUIT came
        self.at = time.monotonic()

    def doubt(self, kills):
        """Why a second copy is allowed, or WRONG. kills: when the relay was killed."""
        if not self.answered:
            return DIED
        if self.read or self.session.sock.fileno() >= 0:
            return WRONG  # nothing follows a 250, not even a drain's QUIT, before it is written down
        if any(self.session.started <= kill < self.at for kill in kills):
            return NOT_READ  # it was still on its way in when the relay was already dead
        return NOT_READ if any(0 <= kill - self.at <= WRITTEN_SECONDS for kill in kills) else WRONG

    def story(self, kills):
        around = [f"{kill - self.at:+.3f}" for kill in kills if kill >= self.session.started][:3]
        return (f"[answered {self.answered}, read {self.read}, quit {self.quit}, session {self.session.number}, "
                f"killed after {', '.join(around) or 'no'} s]")


class Others:
    """Three servers, of which each at times dies, drops the line or says 451, or does what `always` says (None: takes everything)."""

    def __init__(self, far, chance):
        self.far, self.chance, self.lock, self.always = far, chance, threading.Lock(), "as it comes"
        self.copies, self.said, self.allowed, self.kills = [], Counter(), Counter(), []
        self.servers = {
            domain: far.server(end=self.end, mail=self.came, rset=self.came, noop=self.came, quit=self.ended,
                               rcpt=lambda session, argument: "550 5.1.1 no such user" if f"<{REFUSED}" in argument else None)
            for domain in DOMAINS
        }

    def end(self, session, data):
        found = ID.search(data.partition(b"\r\n\r\n")[0] + b"\r\n")
        mark = found.group(1).decode() if found else "unmarked"
        with self.lock:
            what = self.always
            if what == "as it comes":
                what = self.chance.choices((None, DIE, DROP, "451 4.3.0 not now"), (85, 5, 5, 5))[0]
            self.said[str(what)] += 1
            if what in (None, DIE):
                copy = Copy(session, mark, [address for address, _ in session.recipients], what is None)
                self.copies.append(copy)
                session.copies = [*getattr(session, "copies", ()), copy]
        return what

    def came(self, session, argument):
        for copy in getattr(session, "copies", ()):
            copy.read = True

    def ended(self, session, argument):
        for copy in getattr(session, "copies", ()):
            copy.read = copy.quit = True

    def add_routes(self, site):
        for domain, server in self.servers.items():
            site.posthouse("route", "add", domain, "--via", f"{server.address}:{self.far.port}")

    def audit(self, books, doubles):
        """Puts what is allowed twice into the books, then compares; (lost, doubled)."""
        listings = {f"{part}@{domain}": {} for domain in DOMAINS for part in LOCAL_PARTS}
        for number, copy in enumerate(list(self.copies)):
            for address in copy.recipients:
                listings.setdefault(address, {})[f"copy{number}"] = copy.mark
        lost = doubled = 0
        for address, listing in listings.items():
            for uidl, mark in listing.items():
                books.saw(address, uidl, mark)
            self.allow(books, doubles, address, listing)
            before = len(books.problems)
            more = books.audit(address, listing)
            lost, doubled = lost + more[0], doubled + more[1]
            books.problems[before:] = [f"{problem} {self.story(address, problem)}" for problem in books.problems[before:]]
        return lost, doubled

    def story(self, address, problem):
        return " ".join(copy.story(self.kills) for copy in self.copies if copy.mark in problem.split() and address in copy.recipients)

    def allow(self, books, doubles, address, listing):
        for mark, count in Counter(listing.values()).items():
            promised = address in books.acknowledged.get(mark, ()) or (address, mark) in books.partly
            unknown = books.unknown.get((address, mark), 0)
            extra = count - promised - unknown
            if extra <= 0 or not promised and not unknown:  # all is well, or nobody sent that
                continue
            doubts = [copy.doubt(self.kills) for copy in self.copies if copy.mark == mark and address in copy.recipients]
            already = self.allowed[address, mark]  # each doubtful copy allows one more, once
            for doubt in [doubt for doubt in doubts if doubt != WRONG][already : already + extra]:
                doubles[doubt] += 1
                books.unknown[address, mark] += 1
                self.allowed[address, mark] += 1


class RemoteDeliverer(Deliverer):
    """Sends as `login` by submission, or from elsewhere to an alias that leads out: to others, to users here, to both."""

    def choose(self):
        here = self.chance.sample(self.users, self.chance.choice((0, 0, 1, 2)))
        if self.login is None:
            return [f"{TEAM}@{DOMAIN}"], [self.users[0], f"a@{DOMAINS[0]}"]
        domains = self.chance.sample(DOMAINS, self.chance.choice((1, 1, 2)))
        remote = [f"{part}@{domain}" for domain in domains for part in self.chance.sample(LOCAL_PARTS, self.chance.choice((1, 1, 3)))]
        names = [*remote, *here, f"sent:{self.login}"]
        recipients = remote + [f"{user}@{DOMAIN}" for user in here]
        if self.chance.random() < 0.1:
            recipients.append(f"{REFUSED}@{domains[0]}")
            names.append(f"report:{self.login}")
        self.chance.shuffle(recipients)
        return recipients, names


class RemoteLoad:
    """What kill9.py adds to its load; `senders` are users of the site to whom nobody else writes."""

    def __init__(self, site, load, port, chance, senders, seed):
        self.site, self.load, self.senders = site, load, senders
        self.far = FarEnd(port)
        self.far.__enter__()
        self.others, self.doubles, self.reports = Others(self.far, chance), Counter(), {}
        self.others.add_routes(site)
        site.posthouse("alias", "add", f"{TEAM}@{DOMAIN}", f"{load.users[0]}@{DOMAIN}", f"a@{DOMAINS[0]}")
        for sender in senders:
            site.posthouse("user", "set", f"{sender}@{DOMAIN}", "--file-sent", "yes", "--recipients-a-day", "0", "--new-recipients-a-day", "0")
        for number, login in enumerate([*senders, None]):
            load.add(RemoteDeliverer(site, load.books, load.users, seed * 100 + 60 + number, login=login))

    def close(self):
        self.far.__exit__()

    def waiting(self):
        return self.site.posthouse("queue", "list", "--limit", "20")

    def drain(self):
        """Until nothing is in the queue any more: by the relay's own schedule, nobody asks it to try."""
        self.others.always = None
        wait_for(lambda: "@" not in self.waiting(), 2 * HANG_SECONDS, lambda: f"the queue is empty\n{self.waiting()}\n{self.site.log_tail()}")
        time.sleep(0.1)

    def audit(self):
        """The queue drained, the load paused. (lost, doubled)."""
        lost, doubled = self.others.audit(self.load.books, self.doubles)
        for sender in self.senders:
            for name, listing in ((f"sent:{sender}", self.sent(sender)), (f"report:{sender}", self.inbox(sender))):
                more = self.load.books.audit(name, listing)
                lost, doubled = lost + more[0], doubled + more[1]
        self.others.always = "as it comes"
        return lost, doubled

    def sent(self, user):
        with contextlib.closing(Imap(("127.0.0.1", self.site.ports["imap"])).login(f"{user}@{DOMAIN}", PASSWORD)) as client:
            answer = client.command("EXAMINE Sent").ok()
            if [r for r in answer.untagged if len(r) > 1 and r[1] == "EXISTS"][0][0] == "0":
                return {}
            listing = {}
            for response in client.command("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-LOAD-ID)])").ok().all("FETCH"):
                found = dict(zip(response[2][::2], response[2][1::2]))
                header = next(value for key, value in found.items() if key.startswith("BODY["))
                listing[found["UID"]] = re.search(r"X-Load-Id: (\S+)", header).group(1)
            return listing

    def inbox(self, user):
        """The reports: the message that each is about."""
        listing = {}
        for number, text in enumerate(self.site.mailbox(user)):
            marks = ID.findall(text)
            listing[f"{user}-{number}"] = marks[0].decode() if b"Final-Recipient:" in text and len(marks) == 1 else f"odd-{number}"
        self.reports[user] = len(listing)
        return listing

    def table(self):
        said = ", ".join(f"{count} {what}" for what, count in sorted(self.others.said.items()))
        rows = [("far ends", f"{len(self.others.copies)} taken; answers: {said}"), ("reports", sum(self.reports.values()))]
        return rows + [(f"twice, allowed ({count})", what) for what, count in self.doubles.most_common()]
