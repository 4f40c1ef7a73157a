"""Every mail of the vectors in our IMAP server and in an installed Dovecot, item by item: sizes, ENVELOPE, BODY, BODYSTRUCTURE, headers, every
part and its MIME header. What differs is explained by one of RULES, by a row of the message library's own table of ugly mails
(tests/unit/message/ugly_mails_table.h), or by a row of OTHERS; anything else fails, and so does a row that is not needed."""
import os
import re
import tempfile
from pathlib import Path

import pytest

from imap_peer import DOVECOT, Dovecot, Imap, part_numbers

ROOT = Path(__file__).resolve().parents[2]
VECTORS = Path(os.environ.get("POSTHOUSE_VECTORS", ROOT.parent / "shared" / "vectors"))
TABLE = ROOT / "tests/unit/message/ugly_mails_table.h"
FILES = sorted(VECTORS.glob("**/*.eml"))
FIELDS = "(From Subject Received To X-Not-There)"
ITEMS = ["RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
         "RFC822.HEADER", f"BODY.PEEK[HEADER.FIELDS {FIELDS}]", f"BODY.PEEK[HEADER.FIELDS.NOT {FIELDS}]",
         "BODY.PEEK[]<10.100>", "BODY.PEEK[TEXT]<3.1000000>", "BODY.PEEK[99]", "BODY.PEEK[1.99.MIME]"]
PARTS_MAX = 300  # of one mail
STRUCTURE = ("BODY", "BODYSTRUCTURE")

# (file, item): why, for what no rule covers
OTHERS = {
    ("001.eml", "BODYSTRUCTURE"):
        "To: Undisclosed Recipients is no address (RFC 5322 §3.4): all of it stands where a person can read it; Dovecot cuts it at the blank",
}


def subject_blanks(item, ours, theirs, mail):
    """RFC 5322 §2.2.3: unfolding takes away line ends, no blanks; Dovecot makes one blank of several in a subject."""
    if item != "ENVELOPE" or ours[1] is None or theirs[1] is None:
        return False
    return ours[:1] + ours[2:] == theirs[:1] + theirs[2:] and re.sub(rb"\s+", b" ", ours[1]) == theirs[1]


def nul(item, ours, theirs, mail):
    """Octets go out as they came (RFC 9051 §4.3 has no NUL in a literal; Dovecot sends 0x80 instead, which is another message)."""
    return isinstance(ours, bytes) and b"\0" in ours and ours.replace(b"\0", b"\x80") == theirs


def boundary_line_end(item, ours, theirs, mail):
    """A header that the boundary follows at once: RFC 2046 §5.1.1 gives the line end before it to the boundary, but it also ends the
    header's last line (RFC 9051 §6.4.5.1: the header with its blank line)."""
    return item.endswith((".MIME]", ".HEADER]")) and ours == theirs + b"\r\n"


def no_blank_line(item, ours, theirs, mail):
    """RFC 9051 §6.4.5.1: no blank line where the message has no body and no blank line; Dovecot adds one to HEADER.FIELDS."""
    return "HEADER.FIELDS" in item and b"\r\n\r\n" not in mail and theirs in (ours + b"\r\n", ours + b"\r\n\r\n")


def lone_cr(item, ours, theirs, mail):
    """RFC 5322 §2.3 forbids a lone CR; it came, so it goes out. Dovecot makes a line end of it, and so another message."""
    if not re.search(rb"\r(?!\n)", mail):
        return False
    return not isinstance(ours, bytes) or all(line in mail for line in ours.split(b"\r\n"))


RULES = (subject_blanks, nul, boundary_line_end, no_blank_line, lone_cr)


def library_rows():
    """(file, item) of the table of ugly mails; a different structure makes different parts."""
    return set(re.findall(r'^\{ "([^"]+)", "([A-Z0-9.]+)"', TABLE.read_text(), re.M))


def folded(value):
    if isinstance(value, list):
        return [folded(each) for each in value]
    return value.lower() if isinstance(value, bytes) else value


def same(item, ours, theirs):
    if item in STRUCTURE or item == "ENVELOPE":
        return folded(ours) == folded(theirs)  # type names have no case (RFC 2045 §5.1)
    return ours == theirs


def items_of_parts(structures):
    numbers = {}
    for structure in structures:
        numbers.update(part_numbers(structure))
    for number, holds_message in list(numbers.items())[:PARTS_MAX]:
        yield from (f"BODY.PEEK[{number}]", f"BODY.PEEK[{number}.MIME]")
        if holds_message:
            yield from (f"BODY.PEEK[{number}.HEADER]", f"BODY.PEEK[{number}.TEXT]")


class Comparison:
    """ours, theirs: fetch(number, items) -> {item: value}"""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs
        self.rows = library_rows()
        self.explained = {rule.__name__: 0 for rule in RULES}
        self.used, self.unexplained = set(), []
        self.equal = 0

    def explain(self, name, item, ours, theirs, mail):
        for rule in RULES:
            if rule(item, ours, theirs, mail):
                self.explained[rule.__name__] += 1
                return True
        key = "BODYSTRUCTURE" if item in STRUCTURE or re.match(r"BODY\[\d", item) else item
        for row in ((name, item), (name, key)):
            if row in OTHERS or row in self.rows:
                self.used.add(row)
                return True
        return False

    def fetch(self, number, items, name, mail):
        ours, theirs = self.ours(number, items), self.theirs(number, items)
        assert len(ours) == len(set(items)), f"{name}: {len(ours)} items came of {len(set(items))}"
        for item, value in ours.items():
            if same(item, value, theirs.get(item)):
                self.equal += 1
            elif not self.explain(name, item, value, theirs.get(item), mail):
                self.unexplained.append(f"{name} {item}\n  ours   {value!r}\n  theirs {theirs.get(item)!r}")
        return [answer[item] for answer in (ours, theirs) for item in ("BODYSTRUCTURE",) if item in answer]

    def mail(self, number, name, mail):
        structures = self.fetch(number, ITEMS, name, mail)
        items = list(items_of_parts(structures))
        for at in range(0, len(items), 100):
            self.fetch(number, items[at : at + 100], name, mail)


def crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def check(ours, theirs, mails):
    comparison = Comparison(ours, theirs)
    for number, (path, mail) in enumerate(zip(FILES, mails), 1):
        comparison.mail(number, path.name, mail)
    print(f"{len(mails)} mails: {comparison.equal} items equal; explained: {comparison.explained}, {len(comparison.used)} by rows")
    assert not comparison.unexplained, "\n".join(comparison.unexplained)
    assert set(OTHERS) <= comparison.used, f"rows not needed: {set(OTHERS) - comparison.used}"


@pytest.fixture
def dovecot():
    if not DOVECOT.exists():
        pytest.skip("no dovecot-imapd is installed to compare with")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own may not be entered by nobody
        session = Dovecot(Path(folder))
        yield session
        session.close()


@pytest.mark.skipif(not FILES, reason="no test vectors (set POSTHOUSE_VECTORS to their folder)")
def test_every_mail_as_in_dovecot(site, dovecot):
    site.fresh_user("peer")
    mails = [crlf(path.read_bytes()) for path in FILES]
    with site.wire("imap") as wire:
        stream = wire.sock.makefile("rwb", buffering=1 << 16)

        def write(octets):
            stream.write(octets)
            stream.flush()

        ours = Imap(stream.read, stream.readline, write)
        ours.command("LOGIN peer@example.test secret")
        for session in (ours, dovecot):
            session.command("CREATE Peer")
            for mail in mails:
                # RFC 3516 §4.4: NUL needs a literal8; Dovecot would change the encoding then, and takes them without
                session.append("Peer", mail, session is ours and b"\0" in mail)
            session.command("SELECT Peer")
        check(*(lambda number, items, session=session: session.command(f"FETCH {number} ({' '.join(items)})")[number]
                for session in (ours, dovecot)), mails)
