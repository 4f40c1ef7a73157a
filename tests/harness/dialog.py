"""Plays the transcripts of tests/dialog against a site. The format is described in README.md.

parse() turns a file into steps and refuses what it does not know; Player runs them. A failure is one DialogError whose text
shows both sides up to the failing line.
"""
import base64
import re
import time
from pathlib import Path

from harness.site import DOMAIN, HOSTNAME, PASSWORD
from harness.wire import TIMEOUT, Wire, WireError, plain_token

C_LINE = re.compile(r"C(\+?)(?:\(([^)]*)\))?:(?: (.*))?$", re.S)
S_WORDS = {"has", "hasnt", "lines", "to"}
DIRECTIVES = {  # name: (fewest arguments, most)
    "port": (1, 1), "session": (1, 1), "starttls": (0, 0), "tls": (0, 0), "login": (1, 2), "user": (1, 2),
    "deliver": (1, 1), "setting": (2, 99), "command": (1, 99), "restart": (0, 0), "split": (0, 0), "nosplit": (0, 0),
    "from": (1, 1), "pause": (1, 1), "silence": (1, 1), "timeout": (1, 1), "expect": (1, 1), "close": (0, 0),
}


class DialogError(AssertionError):
    pass


class Step:
    def __init__(self, number, kind, text, options=()):
        self.number, self.kind, self.text, self.options = number, kind, text, options


def parse(text):
    """Steps of a dialog; DialogError names the line that is not one."""
    steps = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        steps.append(parse_line(number, line))
    return steps


def parse_line(number, line):
    client = C_LINE.match(line)
    if client:
        options = [o.strip() for o in (client.group(2) or "").split(",") if o.strip()]
        for option in options:
            if option not in ("lf", "no crlf") and not re.fullmatch(r"x[0-9]+", option):
                raise DialogError(f"line {number}: unknown option ({option})")
        return Step(number, "C+" if client.group(1) else "C", client.group(3) or "", options)
    if line.startswith("M:"):
        return Step(number, "M", line[3:])
    if line.startswith("S: "):
        return Step(number, "S", line[3:])
    if line in ("S:", "S list"):
        return Step(number, "S" if line == "S:" else "S list", "")
    if line.startswith("S ") and ":" in line:
        word, rest = line[2:].split(":", 1)
        if word in S_WORDS:
            return Step(number, "S " + word, rest[1:])
    if line.startswith("! "):
        words = line[2:].split()
        if words and words[0] in DIRECTIVES:
            least, most = DIRECTIVES[words[0]]
            if least <= len(words) - 1 <= most:
                return Step(number, "! " + words[0], line[2:], words[1:])
    raise DialogError(f"line {number}: not a line of a dialog: {line}")


def settings_of(steps):
    """{key: value} of its `! setting` lines."""
    return {step.options[0]: " ".join(step.options[1:]) for step in steps if step.kind == "! setting"}


class Session:
    def __init__(self, wire, port):
        self.wire, self.port = wire, port
        self.reply = []      # the lines that "S has" looks at
        self.waiting = b""   # of C+: lines

    @property
    def is_pop3(self):
        return self.port.startswith("pop3")

    @property
    def is_imap(self):
        return self.port.startswith("imap")


class Player:
    def __init__(self, site, port, steps, name="dialog"):
        self.site, self.steps, self.name = site, steps, name
        self.port, self.source, self.timeout = port, None, TIMEOUT
        self.sessions, self.current = {}, "main"
        self.variables = {"hostname": HOSTNAME.encode(), "domain": DOMAIN.encode()}
        self.shown = []

    def play(self):
        try:
            for index, step in enumerate(self.steps):
                self.run(step, index)
            for session in self.sessions.values():
                if session.wire.buffer:
                    raise WireError(f"an answer was left unread: {bytes(session.wire.buffer)!r}")
        except (AssertionError, OSError) as problem:
            raise DialogError(self.report(step, problem)) from None
        finally:
            for session in self.sessions.values():
                session.wire.close()

    def report(self, step, problem):
        shown = "\n".join(self.shown[-60:])
        return f"{self.name}:{step.number}: {step.kind} {step.text}\n{problem}\n\nso far:\n{shown}\n"

    def show(self, side, data):
        text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
        mark = "" if self.current == "main" else f"[{self.current}] "
        self.shown.append(f"    {mark}{side} {text[:300]!r}" if not text.isprintable() else f"    {mark}{side} {text[:300]}")

    # --- one step

    def run(self, step, index):
        name = "do_" + step.kind.replace("! ", "directive_").replace("S ", "s_").replace("C+", "c_plus").lower()
        if step.kind != "M":
            getattr(self, name)(step, index)

    def session(self):
        if self.current not in self.sessions:
            wire = Wire(("127.0.0.1", self.site.ports[self.port]), timeout=self.timeout, source=self.source)
            self.sessions[self.current] = Session(wire, self.port)
            if self.port in ("submissions", "pop3s", "imaps"):
                wire.start_tls(self.site.ca.context(), HOSTNAME)
        session = self.sessions[self.current]
        session.wire.timeout = self.timeout
        return session

    def do_c(self, step, index):
        session = self.session()
        data = session.waiting + self.line_to_send(step)
        session.waiting = b""
        session.wire.send(data)

    def do_c_plus(self, step, index):
        session = self.session()
        session.waiting += self.line_to_send(step)

    def line_to_send(self, step):
        end, times = b"\r\n", 1
        for option in step.options:
            if option == "lf":
                end = b"\n"
            elif option == "no crlf":
                end = b""
            else:
                times = int(option[1:])
        data = self.expand(step.text)
        self.show("C:" if times == 1 else f"C (x{times}):", data)
        return (data + end) * times

    def do_s(self, step, index):
        session = self.session()
        pattern = step.text
        session.reply = [self.read_line(session)]
        continues = not (session.is_pop3 or session.is_imap) and not re.match(r"\d\d\d-", pattern)
        while continues and re.match(rb"\d\d\d-", session.reply[-1]):
            session.reply.append(self.read_line(session))
        if not self.matches(pattern, session.reply[-1], bind=True):
            raise WireError(f"wanted: {pattern}\ngot:    {session.reply[-1].decode('utf-8', 'backslashreplace')}")

    def do_s_to(self, step, index):
        session = self.session()
        session.reply = [self.read_line(session)]
        while not self.matches(step.text, session.reply[-1], bind=True):
            session.reply.append(self.read_line(session))

    def read_line(self, session):
        line = session.wire.line()
        self.show("S:", line)
        return line

    def do_s_list(self, step, index):
        session = self.session()
        session.reply = session.wire.pop3_list()
        for line in session.reply[:30]:
            self.show("S |", line)

    def do_s_has(self, step, index):
        if not any(self.matches(step.text, line, bind=True) for line in self.session().reply):
            raise WireError("no line of the last reply is like this")

    def do_s_hasnt(self, step, index):
        found = [line for line in self.session().reply if self.matches(step.text, line, bind=False)]
        if found:
            raise WireError(f"the last reply has such a line: {found[0]!r}")

    def do_s_lines(self, step, index):
        if len(self.session().reply) != int(step.text):
            raise WireError(f"the last list has {len(self.session().reply)} lines")

    # --- text

    def expand(self, text):
        """Escapes, variables and $b64() of a line to send."""
        def base64_of(match):
            return base64.b64encode(self.expand(match.group(1))).decode()

        text = re.sub(r"(?<!\\)\$b64\(([^)]*)\)", base64_of, text)
        out, at = b"", 0
        token = re.compile(r"\\x([0-9a-fA-F]{2})|\\([rnt\\$*])|\$([a-z][a-z0-9_]*)")
        for match in token.finditer(text):
            out += text[at : match.start()].encode()
            at = match.end()
            if match.group(1):
                out += bytes([int(match.group(1), 16)])
            elif match.group(2):
                out += {"r": b"\r", "n": b"\n", "t": b"\t"}.get(match.group(2), match.group(2).encode())
            elif match.group(3) in self.variables:
                out += self.variables[match.group(3)]
            else:
                raise WireError(f"${match.group(3)} is not set")
        return out + text[at:].encode()

    def matches(self, pattern, line, bind):
        """Whether a line is like a pattern; bind: sets the variables it meets first here."""
        regex, at, new = b"", 0, set()
        if self.session().is_imap and pattern.startswith("* "):
            pattern = "\\" + pattern  # an untagged response
        token = re.compile(r"\\x([0-9a-fA-F]{2})|\\([rnt\\$*])|\$b64\(([^)]*)\)|\$([a-z][a-z0-9_]*)|(\*)")
        for match in token.finditer(pattern):
            regex += re.escape(pattern[at : match.start()].encode())
            at = match.end()
            if match.group(5):
                regex += rb".*"
            elif match.group(4) and match.group(4) not in self.variables:
                name = match.group(4).encode()
                regex += rb"(?P=" + name + rb")" if name in new else rb"(?P<" + name + rb">[^ ]+)"
                new.add(name)
            elif match.group(3) is not None:
                regex += re.escape(base64.b64encode(self.expand(match.group(3))))
            else:
                regex += re.escape(self.expand(match.group(0)))
        regex += re.escape(pattern[at:].encode())
        found = re.fullmatch(regex, line, re.S)
        if found and bind:
            self.variables.update({k: v for k, v in found.groupdict().items()})
        return bool(found)

    # --- directives

    def do_directive_port(self, step, index):
        if step.options[0] not in self.site.ports:
            raise WireError(f"no such port: {step.options[0]}")
        self.port = step.options[0]

    def do_directive_from(self, step, index):
        self.source = (step.options[0], 0)

    def do_directive_session(self, step, index):
        self.current = step.options[0]

    def do_directive_setting(self, step, index):
        pass  # the site was started with it

    def do_directive_tls(self, step, index):
        self.show("!", "TLS")
        self.session().wire.start_tls(self.site.ca.context(), HOSTNAME)

    def do_directive_starttls(self, step, index):
        session = self.session()
        if session.is_pop3:
            session.wire.pop3("STLS")
        elif session.is_imap:
            session.wire.imap("STARTTLS")
        else:
            session.wire.smtp("STARTTLS", 220)
        self.do_directive_tls(step, index)

    def do_directive_login(self, step, index):
        session = self.session()
        user = step.options[0] if "@" in step.options[0] else f"{step.options[0]}@{DOMAIN}"
        token = plain_token(user, step.options[1] if len(step.options) > 1 else PASSWORD)
        self.show("!", f"login {user}")
        if session.is_pop3:
            session.wire.pop3("AUTH PLAIN " + token)
        elif session.is_imap:
            session.wire.imap("AUTHENTICATE PLAIN " + token)
        else:
            session.wire.smtp("AUTH PLAIN " + token, 235)

    def do_directive_user(self, step, index):
        quota = step.options[1].split("=", 1)[1] if len(step.options) > 1 else ""
        self.site.fresh_user(step.options[0], quota)

    def do_directive_deliver(self, step, index):
        lines = []
        for following in self.steps[index + 1 :]:
            if following.kind != "M":
                break
            lines.append(self.expand(following.text))
        to = step.options[0] if "@" in step.options[0] else f"{step.options[0]}@{DOMAIN}"
        wire = Wire(("127.0.0.1", self.site.ports["smtp"]), timeout=self.timeout)
        try:
            wire.expect(220)
            wire.smtp("EHLO client.example", 250)
            wire.smtp("MAIL FROM:<sender@remote.example>", 250)
            wire.smtp(f"RCPT TO:<{to}>", 250)
            wire.smtp("DATA", 354)
            for line in lines:
                wire.send((b"." if line.startswith(b".") else b"") + line + b"\r\n")
            wire.smtp(".", 250)
            wire.smtp("QUIT", 221)
        finally:
            wire.close()

    def do_directive_command(self, step, index):
        self.show("!", self.site.posthouse(*(self.expand(word).decode() for word in step.options)))

    def do_directive_restart(self, step, index):
        self.site.restart()

    def do_directive_split(self, step, index):
        self.session().wire.split = True

    def do_directive_nosplit(self, step, index):
        self.session().wire.split = False

    def do_directive_pause(self, step, index):
        time.sleep(float(step.options[0]))

    def do_directive_silence(self, step, index):
        session = self.session()
        came = session.wire.silent(float(step.options[0]))
        if came or session.wire.eof:
            raise WireError(f"not silent: {came!r}" + (" and closed" if session.wire.eof else ""))

    def do_directive_timeout(self, step, index):
        self.timeout = float(step.options[0])

    def do_directive_expect(self, step, index):
        if step.options[0] != "close":
            raise WireError("! expect close")
        rest = self.session().wire.until_close()
        if rest:
            raise WireError(f"before it closed the server said: {rest!r}")
        del self.sessions[self.current]

    def do_directive_close(self, step, index):
        self.session().wire.close()
        del self.sessions[self.current]


def dialog_files(folder):
    """The dialogs of a folder: files without a suffix."""
    return sorted(p for p in Path(folder).iterdir() if p.is_file() and not p.suffix and p.name != "README")
