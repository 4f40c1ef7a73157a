"""What the comparison with another IMAP server needs: responses read into values, and Dovecot's imap process on a pipe."""
import itertools
import os
import pwd
import re
import subprocess
from pathlib import Path

DOVECOT = Path("/usr/lib/dovecot/imap")


class Reader:
    """RFC 9051 §9 responses as Python values: None, bytes (strings), str (atoms), lists."""

    def __init__(self, line, more):
        self.line, self.at = line, 0
        self.more = more  # gives so many octets, then the rest of the line

    def peek(self):
        return self.line[self.at : self.at + 1]

    def value(self):
        c = self.peek()
        if c == b"(":
            return self.list()
        if c == b'"':
            return self.quoted()
        literal = re.compile(rb"~?\{(\d+)\}\r\n$").match(self.line, self.at)
        if literal:
            octets, self.line = self.more(int(literal[1]))
            self.at = 0
            return octets
        return self.atom()

    def list(self):
        items = []
        self.at += 1
        while self.peek() != b")":
            if self.peek() == b" ":
                self.at += 1
            else:
                assert self.peek(), self.line
                items.append(self.value())
        self.at += 1
        return items

    def quoted(self):
        text = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"').match(self.line, self.at)
        assert text, self.line[self.at :]
        self.at = text.end()
        return re.sub(rb"\\(.)", rb"\1", text[1])

    def atom(self):
        # a section's name may hold blanks and parentheses, inside its brackets
        text = re.compile(rb"(?:[^\s()\[\]\"{]|\[[^\]]*\])+").match(self.line, self.at)
        assert text, self.line[self.at :]
        self.at = text.end()
        return None if text[0].upper() == b"NIL" else text[0].decode()


class Imap:
    """One session: read() gives so many octets, readline() a line, write() sends."""

    def __init__(self, read, readline, write):
        self.read, self.readline, self.write = read, readline, write
        self.tag = 0

    def _more(self, size):
        octets = self.read(size)
        assert len(octets) == size
        return octets, self.readline()

    def command(self, text, literal=None, want="OK"):
        """Sends it; returns {message number: {item: value}} of the FETCH responses, items in upper case."""
        self.tag += 1
        tag = b"t%d" % self.tag
        self.write(tag + b" " + text.encode() + b"\r\n")
        fetched = {}
        while True:
            line = self.readline()
            assert line, f"the server hung up after {text[:80]}"
            if line.startswith(b"+"):
                self.write(literal + b"\r\n")
            elif line.startswith(tag + b" "):
                assert line.split()[1].decode() == want, line
                return fetched
            elif match := re.match(rb"\* (\d+) FETCH ", line):
                reader = Reader(line, self._more)
                reader.at = match.end()
                values = reader.list()
                assert reader.line[reader.at :] == b"\r\n", reader.line[reader.at :]
                items = fetched.setdefault(int(match[1]), {})
                items.update((name.upper(), value) for name, value in zip(values[::2], values[1::2]))

    def append(self, mailbox, message, literal8=False):
        self.command(f"APPEND {mailbox} {'~' if literal8 else ''}{{{len(message)}}}", message)


class Dovecot(Imap):
    """The imap process of an installed Dovecot, logged in already, with mail in a folder of its own; no daemon is needed."""

    def __init__(self, folder):
        nobody = pwd.getpwnam("nobody")
        (folder / "run").mkdir()
        (folder / "mail").mkdir()
        os.chown(folder / "mail", nobody.pw_uid, nobody.pw_gid)
        folder.chmod(0o755)
        config = folder / "dovecot.conf"
        config.write_text(
            f"base_dir = {folder}/run\nlog_path = {folder}/mail/log\nssl = no\nfirst_valid_uid = 1\nfirst_valid_gid = 0\n"
            f"mail_location = sdbox:{folder}/mail/box\nmail_uid = {nobody.pw_uid}\nmail_gid = {nobody.pw_gid}\n"
            "mail_save_crlf = yes\n")
        self.process = subprocess.Popen(
            [DOVECOT, "-c", config], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=nobody.pw_uid,
            group=nobody.pw_gid, env={"USER": "nobody", "HOME": str(folder / "mail")})
        super().__init__(self.process.stdout.read, self.process.stdout.readline, self._send)
        assert self.readline().startswith(b"* PREAUTH")

    def _send(self, octets):
        self.process.stdin.write(octets)
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def part_numbers(structure, prefix=""):
    """(number, does it hold a message) of every part of a parsed BODYSTRUCTURE (RFC 9051 §6.4.5.1)."""
    if isinstance(structure[0], list):
        for n, part in enumerate(itertools.takewhile(lambda value: isinstance(value, list), structure), 1):
            yield from one_part(part, f"{prefix}{n}")
    else:
        yield from one_part(structure, f"{prefix}1")


def one_part(part, number):
    if isinstance(part[0], list):
        yield number, False
        yield from part_numbers(part, number + ".")
        return
    message = part[0].lower() == b"message" and part[1].lower() == b"rfc822" and len(part) > 9
    yield number, message
    if message:
        yield from part_numbers(part[8], number + ".")
