"""How mail to other servers is protected: opportunistic TLS, DANE, MTA-STS, REQUIRETLS; each shown to refuse what is wrong and to deliver
what is right (RFC 3207, RFC 7672, RFC 8461, RFC 8689)."""
import sqlite3

import pytest

from harness.far_end import DROP, OFFERS, Then, server_context
from harness.outside import Outside, tlsa
from harness.site import HANG_SECONDS, openssl, wait_for

REQUIRE = [*OFFERS, "REQUIRETLS"]


@pytest.fixture(scope="module")
def world():
    with Outside() as made:
        yield made


def held_back(world, address, far, *words):
    """It waits, the reason is told, and the server never saw a sender or a recipient."""
    row = world.deferred(address)
    assert any(word in row["last_reply"] for word in words), row["last_reply"]
    assert not far.taken and not any(c.startswith(("MAIL", "RCPT")) for c in far.commands)
    world.site.posthouse("queue", "drop", "--recipient", address)


def dane(world, name, *lines, **options):
    """Records of _PORT._tcp.mx.NAME, for domain(records=...)."""
    return [f"_{world.port}._tcp.mx TLSA {line}" for line in lines]


# --- opportunistic

def test_tls_is_used_where_it_is_offered(world):
    far = world.domain("may.example", certificate=world.certificate("whatever.example", ca=world.other_ca))
    world.send("x@may.example")
    assert far.wait()[0].tls == "TLSv1.3"  # nobody asked for the right certificate
    assert far.commands[:2] == ["EHLO mail.example.test", "STARTTLS"] and far.commands[2] == "EHLO mail.example.test"


@pytest.mark.parametrize("how", ["refused", "broken", "dropped"])
def test_opportunistic_tls_that_fails_costs_no_mail(world, how):
    """RFC 7435: what cannot be had is done without, now or at the next try."""
    answer = {"refused": "454 4.7.0 not now", "broken": b"220 go\r\nthis is no TLS at all, not even nearly", "dropped": Then("220 go", DROP)}[how]
    name = f"may-{how}.example"
    far = world.domain(name, certificate=world.certificate(f"mx.{name}"), starttls=answer)
    world.send(f"x@{name}")

    def look():
        if not far.taken and any(row["attempts"] for row in world.waiting(f"x@{name}")):
            world.retry("--recipient", f"x@{name}")
        return far.taken

    (taken,) = wait_for(look, HANG_SECONDS, world.story)
    assert taken.tls is None


def test_nothing_injected_before_tls_is_believed(world):
    """RFC 3207 §4.2, CVE-2011-0411 the other way round: replies sent in one packet with the 220."""
    far = world.domain("inject.example", certificate=world.certificate("mx.inject.example"),
                       starttls=b"220 go\r\n250-evil\r\n250 8BITMIME\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n")
    world.send("x@inject.example")
    taken = far.wait()[0]  # without TLS, in a connection of its own
    assert taken.session.number == 1 and taken.tls is None and len(far.sessions) == 2


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_not_spoken_but_mail_goes(world):
    """A server with nothing newer than TLS 1.1 gets opportunistic mail in the clear: RFC 8996, RFC 7435."""
    import ssl

    context = server_context(*world.certificate("mx.old.example"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    far = world.domain("old.example", tls=context)
    world.send("x@old.example")
    assert far.wait()[0].tls is None


# --- DANE

@pytest.mark.parametrize("usage, to", [("3 1 1", "{}"), ("2 0 1", "mx.{}"), ("2 0 1", "{}"), ("2 0 1", "alias.{}")])
def test_dane_with_the_right_certificate(world, usage, to):
    """No certificate authority is asked: nobody trusts this one. Under usage 2 it is for the host, the domain, or the alias that led there
    (RFC 7672 §3.2.2)."""
    import hashlib
    import subprocess

    name = f"{to.replace('.', '-').format('dane')}-{usage[0]}.example"
    certificate, key = world.certificate(to.format(name), ca=world.other_ca)
    record = tlsa(certificate)
    if usage != "3 1 1":
        der = subprocess.run(["openssl", "x509", "-in", world.other_ca.cert, "-outform", "DER"], check=True, capture_output=True).stdout
        record = "2 0 1 " + hashlib.sha256(der).hexdigest()
        chain = world.folder / "chain.pem"
        chain.write_bytes(certificate.read_bytes() + world.other_ca.cert.read_bytes())
        certificate = chain
    far = world.domain(name, certificate=(certificate, key), records=dane(world, name, record))
    world.zone.add(f"alias.{name}. CNAME {name}.")
    world.zone.publish()
    world.send(f"x@alias.{name}" if usage != "3 1 1" else f"x@{name}")
    assert far.wait()[0].tls


@pytest.mark.parametrize("how", ["wrong certificate", "stripped", "refused", "wrong name under 2"])
def test_dane_refuses(world, how):
    name = how.replace(" ", "-") + ".example"
    certificate = world.certificate(f"mx.{name}", ca=world.other_ca)
    record = tlsa(certificate[0])
    options = {"certificate": certificate}
    if how == "wrong certificate":
        options["certificate"] = world.certificate(f"mx.{name}.other", f"mx.{name}")  # by an authority that is trusted: does not count
    elif how == "stripped":
        del options["certificate"]
    elif how == "refused":
        options["starttls"] = "454 4.7.0 not today"
    else:
        import hashlib
        import subprocess

        der = subprocess.run(["openssl", "x509", "-in", world.ca.cert, "-outform", "DER"], check=True, capture_output=True).stdout
        record = "2 0 1 " + hashlib.sha256(der).hexdigest()
        other, key = world.certificate("mx.somebody-else.example")
        chain = world.folder / "wrong-chain.pem"
        chain.write_bytes(other.read_bytes() + world.ca.cert.read_bytes())
        options["certificate"] = (chain, key)
    far = world.domain(name, records=dane(world, name, record), **options)
    world.send(f"x@{name}")
    held_back(world, f"x@{name}", far, "TLS", "certificate", "STARTTLS", "454", "name")


def test_dane_with_a_forged_record(world):
    """A bogus TLSA answer is not "no TLSA": the mail waits (RFC 7672 §2.1.2)."""
    name = "dane-forged.example"
    certificate = world.certificate(f"mx.{name}")
    record = tlsa(certificate[0])
    wrong = "3 1 1 " + "ab" * 32
    far = world.domain(name, kind="forged", forge=(record[6:], wrong[6:]), certificate=certificate, records=dane(world, name, record))
    world.send(f"x@{name}")
    held_back(world, f"x@{name}", far, "DNSSEC", "TLSA")


def test_tlsa_without_dnssec_means_nothing(world):
    name = "dane-insecure.example"
    far = world.domain(name, secure=False, certificate=world.certificate(f"mx.{name}"), records=dane(world, name, "3 1 1 " + "00" * 32))
    world.send(f"x@{name}")
    assert far.wait()[0].tls


@pytest.mark.parametrize("right", [True, False])
def test_dane_of_a_secure_alias_out_of_dnssec(world, right):
    """RFC 7672 §2.2.3: the MX and its alias are signed, the zone that it leads to is not: the alias' own TLSA records hold, and its name is asked for."""
    name, host = f"dane-alias-{right}.example".lower(), f"hoster-{right}.example".lower()
    certificate = world.certificate(f"mx.{name}", ca=world.other_ca)
    other = world.certificate(f"mx.{host}")
    far = world.domain(host, secure=False, certificate=certificate if right else other)
    world.zone.add(f"{name}. MX 10 mx.{name}.", f"mx.{name}. CNAME mx.{host}.", f"_{world.port}._tcp.mx.{name}. TLSA {tlsa(certificate[0])}")
    world.zone.publish()
    world.send(f"x@{name}")
    if right:
        assert far.wait()[0].tls
    else:
        held_back(world, f"x@{name}", far, "TLS", "certificate")


def test_unusable_tlsa_still_asks_for_tls(world):
    """RFC 7672 §3.1.3, §2.2: usage 0 and 1 are not for SMTP; but there is no going back to the clear."""
    name = "dane-unusable.example"
    far = world.domain(name, records=dane(world, name, "1 1 1 " + "00" * 32))
    world.send(f"x@{name}")
    held_back(world, f"x@{name}", far, "TLS", "STARTTLS")


# --- MTA-STS

def test_sts_enforce_with_the_right_certificate(world):
    name = "sts.example"
    far = world.domain(name, certificate=world.certificate(f"mx.{name}"), records=world.sts(name, "enforce"))
    for count in (1, 2):
        world.send(f"x@{name}")
        assert far.wait(count)[-1].tls
    assert world.policies.asked.count(name) == 1  # and kept


def expired_certificate(world, name):
    """By the authority that is trusted, over since 2001."""
    folder = world.folder / "expired"
    folder.mkdir()
    (folder / "index").write_text("")
    (folder / "serial").write_text("77\n")
    key, request, certificate = folder / "key", folder / "csr", folder / "pem"
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-addext",
            f"subjectAltName=DNS:{name}", "-keyout", key, "-out", request)
    (folder / "conf").write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
                                 "default_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n")
    openssl("ca", "-batch", "-config", folder / "conf", "-cert", world.ca.cert, "-keyfile", world.ca.key, "-in", request, "-out", certificate, "-notext",
            "-startdate", "20000101000000Z", "-enddate", "20010101000000Z")
    return certificate, key


@pytest.mark.parametrize("how", ["wrong certificate", "wrong name", "expired", "stripped", "not in policy"])
def test_sts_enforce_refuses(world, how):
    name = "sts-" + how.replace(" ", "-") + ".example"
    options = {"certificate": world.certificate(f"mx.{name}")}
    mx = None
    if how == "wrong certificate":
        options["certificate"] = world.certificate(f"mx.{name}.x", f"mx.{name}", ca=world.other_ca)
    elif how == "wrong name":
        options["certificate"] = world.certificate("mx.elsewhere.example")
    elif how == "expired":
        options["certificate"] = expired_certificate(world, f"mx.{name}")
    elif how == "stripped":
        options = {}
    else:
        mx = ["mx.elsewhere.example"]
    far = world.domain(name, records=world.sts(name, "enforce", mx), **options)
    world.send(f"x@{name}")
    held_back(world, f"x@{name}", far, "TLS", "certificate", "STARTTLS", "MTA-STS", "name", "expired")


def test_sts_testing_does_not_hold_mail(world):
    name = "sts-testing.example"
    far = world.domain(name, records=world.sts(name, "testing"))
    world.send(f"x@{name}")
    assert far.wait()[0].tls is None


@pytest.mark.parametrize("how", ["404", "html", "wrong name", "no version", "two records"])
def test_a_policy_that_cannot_be_had_is_none(world, how):
    """RFC 8461 §3.3, §5: before any policy is known, mail goes as if there were none."""
    name = f"sts-{how.replace(' ', '-')}-none.example"
    records = world.sts(name, "enforce", status=404 if how == "404" else 200, kind="text/html" if how == "html" else "text/plain",
                        right_name=how != "wrong name")
    if how == "no version":
        world.policies.policies[name] = (200, "text/plain", f"mode: enforce\r\nmx: mx.{name}\r\nmax_age: 86400\r\n")
    elif how == "two records":
        records.append('_mta-sts TXT "v=STSv1; id=2;"')
    far = world.domain(name, records=records)
    world.send(f"x@{name}")
    assert far.wait()[0].tls is None


def test_a_kept_policy_holds_while_it_cannot_be_fetched_and_no_longer(world):
    """RFC 8461 §3.2, §3.3: kept over a restart, enforced while the policy server is gone, given up when it has expired."""
    name = "sts-kept.example"
    certificate = world.certificate(f"mx.{name}")
    far = world.domain(name, certificate=certificate, records=world.sts(name, "enforce"))
    world.send(f"x@{name}")
    far.wait()
    del world.policies.policies[name]
    far.tls_context = None  # somebody strips STARTTLS
    world.site.restart()
    world.send(f"y@{name}")
    row = world.deferred(f"y@{name}")
    assert "TLS" in row["last_reply"], row
    assert len(far.taken) == 1
    world.site.stop()
    with sqlite3.connect(world.site.data / "relay.db") as db:
        assert db.execute("UPDATE sts_policy SET expires = 1000 WHERE domain = ?", (name,)).rowcount == 1
    world.site.start()
    world.retry("--recipient", f"y@{name}")
    assert far.wait(2)[1].tls is None


def test_dane_comes_before_sts(world):
    """RFC 8461 §2: a policy must not undo what DANE says."""
    name = "dane-and-sts.example"
    certificate = world.certificate(f"mx.{name}", ca=world.other_ca)
    far = world.domain(name, certificate=certificate, records=world.sts(name, "enforce") + dane(world, name, tlsa(certificate[0])))
    world.send(f"x@{name}")
    assert far.wait()[0].tls


# --- REQUIRETLS

def test_requiretls_is_delivered_where_it_can_be(world):
    name = "require.example"
    far = world.domain(name, offers=REQUIRE, certificate=world.certificate(f"mx.{name}"))
    world.send(f"x@{name}", mail=" REQUIRETLS")
    taken = far.wait()[0]
    assert taken.tls and "REQUIRETLS" in taken.parameters
    assert not any("MAIL" in c for c in far.commands[: far.commands.index("STARTTLS")])


@pytest.mark.parametrize("how", ["not offered", "no tls", "wrong certificate", "insecure dns"])
def test_requiretls_refuses(world, how):
    """RFC 8689 §4.2.1, §5: never without; told to the sender with 5.7.10 or 5.7.30 at once, or held."""
    name = "require-" + how.replace(" ", "-") + ".example"
    options = {"offers": REQUIRE, "certificate": world.certificate(f"mx.{name}")}
    if how == "not offered":
        del options["offers"]
    elif how == "no tls":
        del options["certificate"]
    elif how == "wrong certificate":
        options["certificate"] = world.certificate(f"mx.{name}.x", f"mx.{name}", ca=world.other_ca)
    else:
        options["secure"] = False
    far = world.domain(name, **options)
    world.send(f"x@{name}", mail=" REQUIRETLS")

    def look():
        return f"to=x@{name} status=" in world.site.log_text()

    wait_for(look, HANG_SECONDS, world.story)
    waiting = world.waiting(f"x@{name}")
    if waiting:
        held_back(world, f"x@{name}", far, "TLS", "certificate", "STARTTLS")
    else:
        report = world.report(f"x@{name}")
        assert report.per[f"x@{name}"]["Status"] in ("5.7.10", "5.7.30"), report.octets
        assert b"hello" not in report.octets  # RFC 8689 §5: not more than the header goes back
    assert not far.taken


def test_tls_required_no(world):
    """RFC 8689 §5: a message about broken TLS gets through although TLS is broken."""
    name = "tls-no.example"
    certificate = world.certificate(f"mx.{name}")
    far = world.domain(name, certificate=world.certificate("mx.other.example"), records=dane(world, name, tlsa(certificate[0])))
    world.send(f"x@{name}", header="TLS-Required: No\r\n")
    far.wait()


# --- the admin's word

@pytest.mark.parametrize("level, tls, delivered", [
    ("none", True, "clear"), ("may", False, "clear"), ("encrypt", True, "tls"), ("encrypt", False, None), ("verify", True, "tls"), ("verify", False, None),
])
def test_an_override(world, level, tls, delivered):
    name = f"override-{level}-{'tls' if tls else 'clear'}.example"
    far = world.domain(name, secure=False, **({"certificate": world.certificate(f"mx.{name}")} if tls else {}))
    world.site.posthouse("route", "add", name, "--via", "mx", "--tls", level)
    world.send(f"x@{name}")
    if delivered is None:
        held_back(world, f"x@{name}", far, "TLS", "STARTTLS")
    else:
        assert (far.wait()[0].tls is not None) == (delivered == "tls")
