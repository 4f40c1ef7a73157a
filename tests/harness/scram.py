"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as a client (RFC 5802, RFC 7677), and what it binds to a TLS 1.3 connection.

Python's ssl has no exporter. But it writes a key log (SSLKEYLOGFILE): EXPORTER_SECRET in it is all that RFC 8446 §7.5 needs.
"""
import base64
import hashlib
import hmac
import secrets

BINDING_LENGTH = 32


def expand_label(secret, label, context, length, digest):
    """HKDF-Expand-Label (RFC 8446 §7.1)."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    out, block, n = b"", b"", 0
    while len(out) < length:
        n += 1
        block = hmac.digest(secret, block + info + bytes([n]), digest)
        out += block
    return out[:length]


def tls_exporter(sock, keylog):
    """RFC 9266 §2 of a TLS 1.3 socket, by the key log of its context, which must be of this one connection."""
    assert sock.version() == "TLSv1.3", sock.version()
    lines = [line.split() for line in keylog.read_text().splitlines()]
    (secret,) = [bytes.fromhex(words[2]) for words in lines if words and words[0] == "EXPORTER_SECRET"]
    digest = "sha384" if sock.cipher()[0].endswith("SHA384") else "sha256"
    empty = hashlib.new(digest, b"").digest()
    derived = expand_label(secret, b"EXPORTER-Channel-Binding", empty, len(empty), digest)
    return expand_label(derived, b"exporter", empty, BINDING_LENGTH, digest)


def b64(octets):
    return base64.b64encode(octets).decode()


class Scram:
    """One exchange: first(), then final(server's first), then check(server's final)."""

    def __init__(self, login, password, header="n,,", binding=b""):
        self.password, self.header, self.binding = password.encode(), header, binding
        self.bare = f"n={login},r={secrets.token_urlsafe(18)}"

    def first(self):
        return b64((self.header + self.bare).encode())

    def final(self, challenge):
        server = base64.b64decode(challenge, validate=True).decode()
        fields = dict(part.split("=", 1) for part in server.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c={b64(self.header.encode() + self.binding)},r={fields['r']}"
        message = f"{self.bare},{server},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        self.verifier = "v=" + b64(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256"))
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return b64(f"{without_proof},p={b64(proof)}".encode())

    def check(self, challenge):
        """The server knows the password too, and saw the same messages."""
        assert base64.b64decode(challenge, validate=True).decode() == self.verifier
