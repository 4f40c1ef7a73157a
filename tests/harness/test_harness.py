"""The harness itself: a dialog must fail when the server is wrong. Played against stand-ins of a few lines."""
import socket
import threading

import pytest

from harness.dialog import DialogError, Player, parse, settings_of


class StandIn:
    """A server that sends the greeting and then, for each line it gets, the next of its answers."""

    def __init__(self, greeting, answers, close=False):
        self.greeting, self.answers, self.close = greeting, answers, close
        self.lines = []
        self.packets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.ports = {name: port for name in ("smtp", "pop3")}
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        peer, _ = self.listener.accept()
        with peer:
            peer.sendall(self.greeting)
            buffer = b""
            answers = list(self.answers)
            while answers:
                data = peer.recv(4096)
                if not data:
                    return
                self.packets.append(data)
                buffer += data
                while b"\n" in buffer and answers:
                    line, buffer = buffer.split(b"\n", 1)
                    self.lines.append(line + b"\n")
                    peer.sendall(answers.pop(0))
            if not self.close:
                peer.recv(4096)


def play(text, greeting, answers, port="smtp", close=False):
    server = StandIn(greeting, answers, close)
    Player(server, port, parse(text), "test").play()
    return server


EHLO = b"250-mail.example.test\r\n250-SIZE 100\r\n250 PIPELINING\r\n"


@pytest.mark.parametrize("text, answers", [
    ("S: 220 *\nC: EHLO x\nS: 250*\nS has: 250?SIZE *".replace("?", "-"), [EHLO]),
    ("S: 220 *\nC: EHLO x\nS: 250-$hostname\nS: 250-SIZE $n\nS: 250 PIPELINING", [EHLO]),
    ("S: 220 *\nC: EHLO x\nS: 250 PIPELINING\nS hasnt: *CHUNKING*", [EHLO]),
    ("# comment\n\nS: 220 hello\nC: NOOP\nS: 250 2.0.0 \\*", [b"250 2.0.0 *\r\n"]),
    ("S: 220 *\nC: QUIT\nS: 221 *\n! expect close", [b"221 bye\r\n"]),
])
def test_a_right_answer_passes(text, answers):
    play(text, b"220 hello\r\n", answers, close=True)


@pytest.mark.parametrize("text, answers, says", [
    ("S: 220 *\nC: EHLO x\nS: 550 *", [EHLO], "wanted: 550"),
    ("S: 220 *\nC: EHLO x\nS: 250*\nS has: *CHUNKING*", [EHLO], "no line"),
    ("S: 220 *\nC: EHLO x\nS: 250*\nS hasnt: *SIZE*", [EHLO], "has such a line"),
    ("S: 220 *\nC: EHLO x\nS: 250*", [EHLO + b"250 more\r\n"], "left unread"),
    ("! timeout 0.2\nS: 220 *\nC: EHLO x\nS: 250*", [b""], "nothing for 0.2 s"),
    ("S: 220 *\nC: QUIT\nS: 221 *\n! expect close", [b"221 bye\r\n220 again\r\n"], "before it closed"),
    ("S: 220 *\n! silence 0.2", [], "closed"),
    ("S: 250 *", [], "wanted: 250"),
])
def test_a_wrong_answer_fails(text, answers, says):
    with pytest.raises(DialogError, match=says):
        play(text, b"220 hello\r\n", answers, close=not says.startswith("nothing"))


def test_what_is_sent():
    text = ("S: 220 *\nC+: one\nC(no crlf): two\\x00\nC(lf): \nS: 250 *\nS: 250 *\n"
            "C(x3): three\nS: 250 *\nS: 250 *\nS: 250 *\nC: $b64(\\x00a) $hostname\nS: 250 *")
    server = play(text, b"220 hello\r\n", [b"250 ok\r\n"] * 6)
    assert server.lines == [b"one\r\n", b"two\x00\n", b"three\r\n", b"three\r\n", b"three\r\n",
                            b"AGE= mail.example.test\r\n"]
    assert server.packets[0].startswith(b"one\r\ntwo")


def test_split_sends_byte_by_byte():
    server = play("S: 220 *\n! split\nC: abcdef\nS: 250 *", b"220 x\r\n", [b"250 ok\r\n"])
    assert server.lines == [b"abcdef\r\n"]


def test_pop3_lists_and_variables():
    text = ("S: +OK*\nC: UIDL\nS: +OK*\nS list\nS lines: 2\nS has: 1 $uid\nC: UIDL 1\nS: +OK 1 $uid\n"
            "C: UIDL 2\nS: +OK 2 $other")
    play(text, b"+OK\r\n", [b"+OK\r\n1 abc\r\n..x\r\n.\r\n", b"+OK 1 abc\r\n", b"+OK 2 def\r\n"], port="pop3")
    with pytest.raises(DialogError, match="wanted"):
        play(text, b"+OK\r\n", [b"+OK\r\n1 abc\r\nx\r\n.\r\n", b"+OK 1 abd\r\n", b"+OK 2 def\r\n"], port="pop3")


@pytest.mark.parametrize("line", ["X: 1", "C(sideways): x", "! fly", "! port", "S maybe: x", "hello"])
def test_a_bad_line_is_named(line):
    with pytest.raises(DialogError, match="line 2"):
        parse("# ok\n" + line)


def test_settings():
    assert settings_of(parse("! setting pop3.delete trash")) == {"pop3.delete": "trash"}
