"""An IMAP client as a test sees it: commands out, responses in as nested lists; nothing is interpreted here.

A response line becomes a list of tokens: atoms and strings as str (octets that are not UTF-8 by surrogateescape), NIL as None, "(...)"
as a list. "BODY[HEADER.FIELDS (Subject)]<0>" stays one atom. A status response gives [.., "OK", code, text] with the code's own
tokens as a list or None.
"""
from harness.wire import Wire

STATUS = ("OK", "NO", "BAD", "BYE", "PREAUTH")


def tokens(data):
    """data: a whole response with its literals in place. Returns the list of its tokens."""
    at, stack = 0, [[]]
    while at < len(data):
        c = data[at : at + 1]
        if c == b" ":
            at += 1
        elif c == b"(":
            stack.append([])
            at += 1
        elif c == b")":
            done = stack.pop()
            stack[-1].append(done)
            at += 1
        elif c == b'"':
            at, text = quoted(data, at + 1)
            stack[-1].append(text)
        elif c in (b"{", b"~") and b"{" in data[at : at + 2]:
            end = data.index(b"}", at)
            size = int(data[data.index(b"{", at) + 1 : end].rstrip(b"+"))
            start = end + 3
            stack[-1].append(data[start : start + size].decode("utf-8", "surrogateescape"))
            at = start + size
        else:
            at, text = atom(data, at)
            stack[-1].append(None if text == "NIL" else text)
    if len(stack) != 1:
        raise AssertionError(f"parentheses do not match: {data!r}")
    return stack[0]


def quoted(data, at):
    out = bytearray()
    while data[at : at + 1] != b'"':
        if data[at : at + 1] == b"\\":
            at += 1
        if at >= len(data):
            raise AssertionError(f"a quoted string has no end: {data!r}")
        out += data[at : at + 1]
        at += 1
    return at + 1, out.decode("utf-8", "surrogateescape")


def atom(data, at):
    start, depth = at, 0
    while at < len(data) and (depth > 0 or data[at : at + 1] not in (b" ", b"(", b")")):
        depth += {b"[": 1, b"]": -1}.get(data[at : at + 1], 0)
        at += 1
    if at == start:
        raise AssertionError(f"no token at {data[at:]!r} in {data!r}")
    return at, data[start:at].decode("utf-8", "surrogateescape")


def status(text):
    """Behind "OK ": (code tokens or None, text)."""
    if not text.startswith(b"["):
        return None, text.decode("utf-8", "surrogateescape")
    at, depth, in_quotes = 0, 0, False
    while True:
        c = text[at : at + 1]
        if c == b'"':
            in_quotes = not in_quotes
        elif not in_quotes:
            depth += {b"[": 1, b"]": -1}.get(c, 0)
        at += 1
        if depth == 0:
            break
    return tokens(text[1 : at - 1]), text[at:].lstrip().decode("utf-8", "surrogateescape")


class Answer:
    """The tagged line of a command and what came before it."""

    def __init__(self, word, code, text, untagged):
        self.word, self.code, self.text, self.untagged = word, code, text, untagged

    def ok(self):
        assert self.word == "OK", f"{self.word} {self.code} {self.text}"
        return self

    def all(self, name):
        """The untagged responses of that kind: "SEARCH" [...], or with a number in front: "FETCH"."""
        return [r for r in self.untagged if name in r[:2]]

    def __repr__(self):
        return f"{self.word} {self.code} {self.text} {self.untagged}"


class Imap:
    def __init__(self, address, timeout=30.0, context=None, hostname=None):
        self.wire = Wire(address, timeout=timeout)
        if context is not None:
            self.wire.start_tls(context, hostname)
        self.count = 0
        self.greeting = self.response()

    def close(self):
        self.wire.close()

    def response(self):
        """One response: tokens, its literals taken in."""
        data = bytearray()
        while True:
            line = self.wire.line()
            data += line
            size = literal_size(line)
            if size is None:
                break
            data += b"\r\n" + self.wire.exactly(size)
        return parse(bytes(data))

    def send(self, text):
        """Sends a command under a new tag; returns the tag. bytes in a tuple become a non-synchronizing literal."""
        self.count += 1
        tag = f"t{self.count}"
        out = tag.encode() + b" "
        for part in [text] if isinstance(text, (str, bytes)) else text:
            if isinstance(part, bytes):
                out += b"{%d+}\r\n" % len(part) + part
            else:
                out += part.encode("utf-8", "surrogateescape")
        self.wire.send(out + b"\r\n")
        return tag

    def finish(self, tag):
        untagged = []
        while True:
            response = self.response()
            if response[0] == tag:
                return Answer(response[1], response[2], response[3], untagged)
            assert response[0] == "*", f"{response} while waiting for {tag}"
            untagged.append(response[1:])

    def command(self, *text):
        return self.finish(self.send(text))

    def login(self, user, password):
        self.command(f'LOGIN "{user}" "{password}"').ok()
        return self


def literal_size(line):
    if not line.endswith(b"}"):
        return None
    start = line.rfind(b"{")
    digits = line[start + 1 : -1] if start >= 0 else b""
    return int(digits) if digits.isdigit() else None


def parse(data):
    tag, _, rest = data.partition(b" ")
    tag = tag.decode()
    word = rest.split(b" ", 1)[0].decode("utf-8", "surrogateescape")
    if tag != "+" and word in STATUS:
        code, text = status(rest[len(word) + 1 :])
        return [tag, word, code, text]
    if tag == "+":
        return ["+", rest.decode("utf-8", "surrogateescape")]
    return [tag, *tokens(rest)]


def uid_set(text):
    """"1:3,5" as a list."""
    out = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        out.extend(range(int(first), int(last or first) + 1))
    return out
