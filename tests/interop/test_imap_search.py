"""Random searches over random mail, against a model that decodes with Python's email package and looks at every message.

Also what a search must survive: deep nesting, huge sets, much text, many parts.
"""
import base64
import email
import email.policy
import quopri
import random
import re
import unicodedata
from datetime import date, datetime, timedelta, timezone
from email.header import decode_header
from email.utils import parsedate_to_datetime

import pytest

SEEDS = (3, 11, 2024)
MAILS, SEARCHES = 40, 250
WORDS = ("kilimanjaro", "Größe", "NAÏVE", "café", "Straße", "привет", "ЁЛКА", "日本語", "ﬁne", "plan", "a", "z.", "e\u0301te", "Ångström")
CHARSETS = {"us-ascii": None, "utf-8": "utf-8", "iso-8859-1": "iso-8859-1", "koi8-r": "koi8-r", "iso-2022-jp": "iso-2022-jp"}
FIRST = date(2023, 3, 1)


def fold(text):
    """common/message/fold.h, with another Unicode library."""
    out = []
    for char in text:
        for c in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()):
            code = ord(c)
            mark = unicodedata.category(c) in ("Mn", "Me")
            if mark and (code < 0x700 or 0x1AB0 <= code < 0x1B00 or 0x1DC0 <= code < 0x1E00 or 0x20D0 <= code < 0x2100 or 0xFE20 <= code < 0xFE30):
                continue
            if code in (0xAD, 0x200B, 0x200C, 0x200D, 0xFEFF):
                continue
            out.append(c)
    return "".join(out)


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, charset=None, words=6):
        chosen = [self.random.choice(WORDS) for _ in range(self.random.randint(1, words))]
        if charset:
            chosen = [w for w in chosen if w.encode(charset, "ignore").decode(charset) == w] or ["plan"]
        return " ".join(chosen)

    def encoded(self, text):
        if text.isascii():
            return text
        if self.random.random() < 0.5:
            return "=?utf-8?B?" + base64.b64encode(text.encode()).decode() + "?="
        q = "".join(chr(b) if chr(b).isalnum() and b < 128 else "_" if b == 32 else f"={b:02X}" for b in text.encode())
        return f"=?UTF-8?q?{q}?="

    def part(self):
        charset = self.random.choice(list(CHARSETS))
        kind = self.random.choice(("text/plain", "text/html", "application/octet-stream"))
        raw = ("\r\n".join(self.text(charset if charset != "us-ascii" else "ascii") for _ in range(3)) + "\r\n").encode(
            "ascii" if charset == "us-ascii" else charset)
        how = self.random.choice(("7bit" if max(raw) < 128 else "8bit", "quoted-printable", "base64"))
        if how == "base64":
            raw = base64.encodebytes(raw).replace(b"\n", b"\r\n")
        elif how == "quoted-printable":
            raw = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        head = f"Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {how}\r\n\r\n"
        return head.encode() + raw

    def message(self, number):
        r = self.random
        when = datetime(2023, 3, r.randint(1, 9), r.randint(0, 23), 30, tzinfo=timezone(timedelta(hours=r.randint(-12, 12))))
        head = [f"From: {self.encoded(self.text(words=2))} <from{r.randint(1, 5)}@example.test>",
                f"To: to{r.randint(1, 3)}@example.test", f"Subject: {self.encoded(self.text())}", f"Message-ID: <{number}@x>"]
        if r.random() < 0.8:
            head.append("Date: " + when.strftime("%a, %d %b %Y %H:%M:%S %z"))
        if r.random() < 0.3:
            head.append(f"X-Extra: {self.encoded(self.text(words=3))}")
        if r.random() < 0.4:
            body = self.part()
        else:
            parts = [self.part() for _ in range(r.randint(1, 4))]
            if r.random() < 0.3:
                parts.append(b"Content-Type: message/rfc822\r\n\r\nSubject: inner " + self.encoded(self.text(words=2)).encode() + b"\r\n" + self.part())
            body = b"Content-Type: multipart/mixed; boundary=b0\r\n\r\npreamble kilimanjaro\r\n"
            body += b"".join(b"--b0\r\n" + p + b"\r\n" for p in parts) + b"--b0--\r\nepilogue plan\r\n"
        return ("\r\n".join(head) + "\r\n").encode() + body


def decoded(value):
    words = []
    for text, charset in decode_header(re.sub(r"\r?\n(?=[ \t])", "", str(value))):
        words.append(text.decode(charset or "ascii", "replace") if isinstance(text, bytes) else text)
    return "".join(words).strip()


class Mail:
    def __init__(self, raw, uid, flags, arrived):
        self.raw, self.uid, self.flags, self.arrived = raw, uid, flags, arrived
        parsed = email.message_from_bytes(raw, policy=email.policy.compat32)
        self.fields = [(name.lower(), decoded(value)) for name, value in parsed.items()]
        self.sent = parsedate_to_datetime(parsed["Date"]).date() if parsed["Date"] else None
        self.all_fields, self.bodies = [], []
        for part in parsed.walk():
            self.all_fields += [fold(name.lower() + ": " + decoded(value)) for name, value in part.items()]
            if part.get_content_maintype() == "text":
                charset = part.get_content_charset("ascii")
                self.bodies.append(fold(part.get_payload(decode=True).decode(charset, "replace")))

    def field(self, name):
        return fold(next((value for n, value in self.fields if n == name), ""))

    def matches(self, key):
        kind = key[0]
        if kind == "AND":
            return all(self.matches(k) for k in key[1])
        if kind == "OR":
            return any(self.matches(k) for k in key[1])
        if kind == "NOT":
            return not self.matches(key[1])
        if kind == "SEEN":
            return "\\Seen" in self.flags
        if kind in ("LARGER", "SMALLER"):
            return len(self.raw) > key[1] if kind == "LARGER" else len(self.raw) < key[1]
        if kind in ("FROM", "TO", "SUBJECT"):
            return fold(key[1]) in self.field(kind.lower())
        if kind == "HEADER":
            return any(n == key[1].lower() and fold(key[2]) in fold(v) for n, v in self.fields)
        if kind in ("BODY", "TEXT"):
            texts = self.bodies + (self.all_fields if kind == "TEXT" else [])
            return any(fold(key[1]) in text for text in texts)
        days = {"BEFORE": lambda a, b: a < b, "ON": lambda a, b: a == b, "SINCE": lambda a, b: a >= b}
        sent = kind.startswith("SENT")
        day = self.sent if sent else self.arrived
        return day is not None and days[kind.removeprefix("SENT")](day, key[1])


def random_key(r, depth=0):
    if depth < 3 and r.random() < 0.35:
        kind = r.choice(("AND", "OR", "NOT"))
        if kind == "NOT":
            return (kind, random_key(r, depth + 1))
        return (kind, [random_key(r, depth + 1) for _ in range(2 if kind == "OR" else r.randint(1, 3))])
    kind = r.choice(("SEEN", "LARGER", "SMALLER", "FROM", "TO", "SUBJECT", "HEADER", "BODY", "BODY", "TEXT", "TEXT", "BEFORE", "ON", "SINCE",
                     "SENTBEFORE", "SENTON", "SENTSINCE"))
    if kind == "SEEN":
        return (kind,)
    if kind in ("LARGER", "SMALLER"):
        return (kind, r.randint(300, 1500))
    if "BEFORE" in kind or kind.endswith("ON") or "SINCE" in kind:
        return (kind, FIRST + timedelta(days=r.randint(-1, 10)))
    return (kind, r.choice(("X-Extra", "Subject", "to")), random_text(r)) if kind == "HEADER" else (kind, random_text(r))


def random_text(r):
    words = " ".join(r.choice(WORDS) for _ in range(r.randint(1, 2)))
    words = r.choice((str.upper, str.lower, str, fold))(words)
    begin = r.randint(0, max(0, len(words) - 3))
    return words[begin : begin + r.randint(1, 12)].strip() or "plan"


def written(key):
    """As octets with non-synchronizing literals."""
    kind = key[0]
    if kind == "AND":
        return b"(" + b" ".join(written(k) for k in key[1]) + b")"
    if kind in ("OR", "NOT"):
        return kind.encode() + b" " + b" ".join(written(k) for k in (key[1] if kind == "OR" else [key[1]]))
    out = kind.encode()
    for argument in key[1:]:
        if isinstance(argument, date):
            out += b" " + argument.strftime("%-d-%b-%Y").encode()
        elif isinstance(argument, int):
            out += b" %d" % argument
        else:
            octets = argument.encode()
            out += b" {%d+}\r\n" % len(octets) + octets
    return out


def hits_of(lines):
    found = [line for line in lines if line.startswith(b"* SEARCH")]
    assert len(found) == 1, lines
    return [int(n) for n in found[0].split()[2:]]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_searches(site, seed):
    maker, user = Maker(seed), f"search{seed}"
    site.fresh_user(user)
    wire = site.imap_wire(user)
    mails = []
    for number in range(1, MAILS + 1):
        raw = maker.message(number)
        flags = maker.random.choice(("", "\\Seen"))
        arrived = FIRST + timedelta(days=maker.random.randint(0, 9))
        wire.imap(b"APPEND INBOX (%s) \"%s 12:00:00 +0000\" {%d+}\r\n" % (
            flags.encode(), arrived.strftime("%d-%b-%Y").encode(), len(raw)) + raw)
        mails.append(Mail(raw, number, flags, arrived))
    wire.imap("SELECT INBOX")
    some = 0
    for _ in range(SEARCHES):
        key = random_key(maker.random)
        want = [mail.uid for mail in mails if mail.matches(key)]
        got = hits_of(wire.imap(b"UID SEARCH CHARSET UTF-8 " + written(key)))
        assert got == want, (seed, key)
        some += 0 < len(want) < MAILS
    assert some > SEARCHES / 4
    wire.close()


def test_bombs(site):
    site.fresh_user("searchbomb")
    wire = site.imap_wire("searchbomb")
    parts = b"".join(b"--b\r\nContent-Type: text/plain\r\n\r\npart %d\r\n" % i for i in range(20000))
    raw = b"Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--\r\n"
    wire.imap(b"APPEND INBOX {%d+}\r\n" % len(raw) + raw)
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(2000)) + b"\r\ndeep\r\n"
    wire.imap(b"APPEND INBOX {%d+}\r\n" % len(nested) + nested)
    wire.imap("SELECT INBOX")
    with site.cpu_at_most(30):
        assert hits_of(wire.imap(b"SEARCH BODY \"part 9000\"")) == [1]
        assert hits_of(wire.imap("SEARCH " + "NOT " * 60 + "ALL")) == [1, 2]
        assert hits_of(wire.imap("SEARCH " + "(" * 60 + "ALL" + ")" * 60)) == [1, 2]
        for bomb in ("(" * 200000, "(" * 5000 + "ALL" + ")" * 5000, "NOT (" * 5000, "OR ALL " * 2000 + "ALL"):
            answer = wire.imap("SEARCH " + bomb, want=None)[-1]
            assert re.match(rb"w\d+ (BAD|NO \[LIMIT\])", answer), answer
        assert hits_of(wire.imap("SEARCH " + "1:4294967295,*:1,2,1," * 10000 + "1")) == [1, 2]
        assert hits_of(wire.imap(b"SEARCH " + b" ".join(b"NOT BODY x%dy" % i for i in range(499)))) == [1, 2]
        wire.imap(b"SEARCH TEXT {200000+}\r\n" + b"a" * 200000)
    wire.close()


def test_search_and_goodbye(site):
    """A client that goes away in the middle of a search costs nobody anything."""
    site.fresh_user("searchgone")
    wire = site.imap_wire("searchgone")
    raw = b"Subject: x\r\n\r\n" + b"All work and no play makes Jack a dull boy.\r\n" * 20000
    wire.imap(b"APPEND INBOX {%d+}\r\n" % len(raw) + raw)
    wire.imap("SELECT INBOX")
    for _ in range(5):
        gone = site.imap_wire("searchgone")
        gone.imap("SELECT INBOX")
        gone.send(b"a SEARCH BODY nowhere\r\nb SORT (SUBJECT) UTF-8 BODY play\r\nc THREAD REFERENCES UTF-8 ALL\r\n")
        gone.close()
    assert hits_of(wire.imap("SEARCH BODY \"dull boy\"")) == [1]
    wire.close()
