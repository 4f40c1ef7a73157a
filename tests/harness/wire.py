"""One client connection as a test sees it: bytes and lines, deadlines, TLS by the caller's choice.

Every wait is bounded; a wait that runs out raises WireError with what had arrived until then.
"""
import base64
import socket
import ssl
import time

TIMEOUT = 60.0  # against hanging, on a machine however busy


class WireError(AssertionError):
    pass


class Wire:
    def __init__(self, address, timeout=TIMEOUT, source=None):
        self.timeout = timeout
        self.sock = socket.create_connection(address, timeout=timeout, source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.eof = False
        self.split = False

    def start_tls(self, context, server_hostname):
        if self.buffer:
            raise WireError(f"server sent before the handshake: {bytes(self.buffer)!r}")
        self.sock.settimeout(self.timeout)
        self.sock = context.wrap_socket(self.sock, server_hostname=server_hostname)

    def send(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.sock.settimeout(self.timeout)
        if not self.split:
            self.sock.sendall(data)
            return
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def _receive(self, deadline):
        """True: something arrived. False: end of file. Raises at the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout()
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError, BrokenPipeError):
            data = b""
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def line(self):
        """The next line without its CRLF (or bare LF); WireError at the end of file or when time is up."""
        deadline = time.monotonic() + self.timeout
        looked = 0
        while (end := self.buffer.find(b"\n", looked)) < 0:
            looked = len(self.buffer)
            try:
                if not self._receive(deadline):
                    raise WireError(f"server closed the connection; unread: {bytes(self.buffer)!r}")
            except (socket.timeout, TimeoutError):
                raise WireError(f"nothing for {self.timeout:g} s; unread: {bytes(self.buffer)!r}") from None
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]  # a bytearray: this moves its start, not its octets
        return line[:-1] if line.endswith(b"\r") else line

    def exactly(self, size):
        """The next `size` octets."""
        deadline = time.monotonic() + self.timeout
        while len(self.buffer) < size:
            try:
                if not self._receive(deadline):
                    raise WireError(f"server closed the connection; unread: {bytes(self.buffer[:500])!r}")
            except (socket.timeout, TimeoutError):
                raise WireError(f"{len(self.buffer)} of {size} octets after {self.timeout:g} s") from None
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def until_close(self):
        """All that still comes until the server closes."""
        deadline = time.monotonic() + self.timeout
        try:
            while not self.eof and self._receive(deadline):
                pass
        except (socket.timeout, TimeoutError):
            raise WireError(f"not closed after {self.timeout:g} s; unread: {bytes(self.buffer[:500])!r}") from None
        rest, self.buffer = bytes(self.buffer), bytearray()
        return rest

    def silent(self, seconds):
        """What arrives within so many seconds; b"" is silence."""
        try:
            self._receive(time.monotonic() + seconds)
        except (socket.timeout, TimeoutError):
            pass
        return bytes(self.buffer)

    # SMTP
    def reply(self):
        """One SMTP reply (RFC 5321 §4.2.1): its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return lines

    def smtp(self, command, want=None):
        """Sends a command, returns its reply as one text; want: the code it must begin with."""
        self.send(command if isinstance(command, bytes) else command.encode())
        self.send(b"\r\n")
        return self.expect(want)

    def expect(self, want=None):
        text = b"\n".join(self.reply()).decode("utf-8", "backslashreplace")
        if want is not None and not text.startswith(str(want)):
            raise WireError(f"wanted {want}, got {text}")
        return text

    # POP3
    def pop3(self, command, want="+OK"):
        self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        line = self.line().decode("utf-8", "backslashreplace")
        if want is not None and not line.startswith(want):
            raise WireError(f"wanted {want}, got {line}")
        return line

    def pop3_list(self):
        """A multi-line body (RFC 1939 §3), dots unstuffed."""
        lines = []
        while True:
            line = self.line()
            if line == b".":
                return lines
            lines.append(line[1:] if line.startswith(b".") else line)

    # IMAP
    def imap(self, command, want="OK"):
        """Sends a command with a tag of its own; returns all lines up to the tagged one (literals: as lines too)."""
        self.tag_number = getattr(self, "tag_number", 0) + 1
        tag = b"w%d " % self.tag_number
        self.send(tag + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        lines = [self.line()]
        while not lines[-1].startswith(tag):
            lines.append(self.line())
        if want is not None and not lines[-1].startswith(tag + want.encode()):
            raise WireError(f"wanted {want}, got {lines[-1]!r}")
        return lines

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def plain_token(user, password, authzid=""):
    return base64.b64encode(f"{authzid}\0{user}\0{password}".encode()).decode()
