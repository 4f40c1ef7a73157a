"""Which server gets the mail for a domain: MX, addresses, DNS in trouble, ourselves (RFC 5321 §5.1, RFC 7505; promises.md)."""
import pytest

from harness.far_end import DROP, HANG, OFFERS, Then
from harness.outside import Outside
from harness.site import HANG_SECONDS, HOSTNAME, wait_for


@pytest.fixture(scope="module")
def world():
    with Outside() as made:
        yield made


def test_the_one_with_the_lowest_preference_comes_first(world):
    far = [world.far.server() for _ in range(3)]
    world.zone.add(
        "many.example. MX 30 mx3.many.example.", "many.example. MX 10 mx1.many.example.", "many.example. MX 20 mx2.many.example.",
        *(f"mx{i + 1}.many.example. A {server.address}" for i, server in enumerate(far)),
    )
    world.zone.publish()
    world.send("x@many.example")
    far[0].wait()
    world.gone("x@many.example")
    assert not far[1].sessions and not far[2].sessions


@pytest.mark.parametrize("how", ["closed", "greets 554", "greets 421", "drops", "ehlo 421", "mail 451", "rcpt 450"])
def test_the_next_one_is_tried(world, how):
    """RFC 5321 §5.1: a host that cannot be used now is not the end."""
    answers = {
        "closed": {}, "greets 554": {"banner": Then("554 5.3.2 no service here", DROP)}, "greets 421": {"banner": Then("421 4.3.2 busy", DROP)},
        "drops": {"banner": DROP}, "ehlo 421": {"ehlo": Then("421 4.3.2 busy", DROP), "helo": DROP},
        "mail 451": {"mail": "451 4.3.0 not now"}, "rcpt 450": {"rcpt": "450 4.2.0 not now"},
    }[how]
    name = how.replace(" ", "-") + ".example"
    first = "127.0.99.1" if how == "closed" else world.far.server(**answers).address
    second = world.far.server()
    world.zone.add(f"{name}. MX 10 mx1.{name}.", f"{name}. MX 20 mx2.{name}.", f"mx1.{name}. A {first}", f"mx2.{name}. A {second.address}")
    world.zone.publish()
    world.send(f"x@{name}")
    second.wait()
    world.gone(f"x@{name}")


def test_hosts_of_one_preference_share_the_load(world):
    """RFC 5321 §5.1: in random order. Over many domains with the same two hosts both are met."""
    far = [world.far.server() for _ in range(2)]
    world.zone.add(f"even1.example. A {far[0].address}", f"even2.example. A {far[1].address}")
    names = [f"even-{i}.example" for i in range(24)]  # one chance in 8 million to fail
    for name in names:
        world.zone.add(f"{name}. MX 10 even1.example.", f"{name}. MX 10 even2.example.")
    world.zone.publish()
    world.send(*(f"x@{name}" for name in names))
    wait_for(lambda: sum(len(server.taken) for server in far) == len(names), HANG_SECONDS, world.story)
    assert far[0].taken and far[1].taken


def test_without_mx_the_address_counts(world):
    far = world.far.server()
    world.zone.add(f"bare.example. A {far.address}")
    world.zone.publish()
    world.send("x@bare.example")
    far.wait()


def test_a_host_with_ipv6_alone(world):
    far = world.domain("six.example", address="::1")
    world.send("x@six.example")
    far.wait()


def test_both_families_of_a_host(world):
    """IPv6 does not answer there: IPv4 does."""
    far = world.domain("both.example", records=["mx AAAA 2001:db8::25"])
    world.send("x@both.example")
    far.wait()


def test_an_alias_of_a_domain_and_of_a_host(world):
    """RFC 5321 §5.1, and what RFC 2181 §10.3 forbids but everybody does: an MX that is an alias."""
    far = world.domain("real.example", records=["alias CNAME mx"])
    world.zone.add("other.example. CNAME real.example.", "third.example. MX 10 alias.real.example.")
    world.zone.publish()
    world.send("x@other.example", "y@third.example")
    far.wait(2)
    assert sorted(a for t in far.taken for a in t.addresses) == ["x@other.example", "y@third.example"]


def test_an_address_literal(world):
    far = world.far.server()
    world.send(f"x@[{far.address}]")
    far.wait()
    assert far.taken[0].addresses == [f"x@[{far.address}]"]


@pytest.mark.parametrize("name, records, status, words", [
    ("null.example", ["null.example. MX 0 ."], "5.1.10", "takes no mail"),
    ("nowhere.gone", [], "5.1.2", "does not exist"),
    ("nothing.example", ["nothing.example. TXT \"no mail\""], "5.1.2", "no mail server and no address"),
    ("dangling.example", ["dangling.example. MX 10 mx.nowhere.gone."], "5.4.4", "has an address"),
    ("self.example", [f"self.example. MX 10 {HOSTNAME}.", f"{HOSTNAME}. A 127.0.0.1"], "5.4.6", "this one"),
])
def test_what_is_wrong_for_good(world, name, records, status, words):
    world.zone.add(*records)
    world.zone.publish()
    world.send(f"x@{name}")
    report = world.report(f"x@{name}")
    assert report.per[f"x@{name}"]["Status"] == status and words in report.human, report.octets


@pytest.mark.parametrize("name", ["servfail.example", "alias-loop.example"])
def test_dns_in_trouble_is_no_reason_to_bounce(world, name):
    if name == "servfail.example":
        world.zone.child(name, [], kind="missing")
    else:
        world.zone.add(f"{name}. CNAME b.{name}.", f"b.{name}. CNAME {name}.")
    world.zone.publish()
    world.send(f"x@{name}")
    row = world.deferred(f"x@{name}")
    assert "DNS" in row["last_reply"], row
    world.site.posthouse("queue", "drop", "--recipient", f"x@{name}")


@pytest.mark.parametrize("kind", ["forged", "expired", "stripped"])
def test_bogus_answers_hold_the_mail(world, kind):
    """Nobody gets it, whoever says so; and nobody's mail is returned for it."""
    name = f"{kind}.example"
    far = world.domain(name, kind=kind)
    world.send(f"x@{name}")
    row = world.deferred(f"x@{name}")
    assert "DNS" in row["last_reply"], row
    assert not far.sessions
    world.site.posthouse("queue", "drop", "--recipient", f"x@{name}")


def test_connections_are_used_again(world):
    """Many messages, few connections; never RSET's or QUIT's business."""
    far = world.domain("again.example")
    marks = [world.send("x@again.example") for _ in range(20)]
    far.wait(20)
    assert sorted(t.mark for t in far.taken) == sorted(marks)
    assert len(far.sessions) <= 10


def test_several_recipients_are_one_transaction(world):
    far = world.domain("crowd.example")
    names = [f"u{i}@crowd.example" for i in range(90)]
    world.send(*names)
    far.wait()
    assert sorted(far.taken[0].addresses) == sorted(names) and len(far.taken) == 1


def test_rcptmax_and_452_split_a_transaction(world):
    """RFC 9422 §4.2, RFC 5321 §4.5.3.1.10: the rest goes in the next one, at once."""
    names = [f"u{i}@limit.example" for i in range(10)]
    far = world.domain("limit.example", offers=[*OFFERS, "LIMITS RCPTMAX=4"])
    world.send(*names)
    wait_for(lambda: sum(len(t.recipients) for t in far.taken) == 10, HANG_SECONDS, world.story)
    assert max(len(t.recipients) for t in far.taken) <= 4
    others = [f"u{i}@full.example" for i in range(10)]
    full = world.domain("full.example", rcpt=lambda session, _: "452 4.5.3 too many" if len(session.recipients) >= 3 else None)
    world.send(*others)
    wait_for(lambda: sum(len(t.recipients) for t in full.taken) == 10, HANG_SECONDS, world.story)
    assert sorted(a for t in full.taken for a in t.addresses) == sorted(others)


def test_a_dead_and_a_hanging_domain_hold_nobody_up(world):
    hang = world.domain("hang.example", banner=HANG)
    good = world.domain("quick.example")
    world.zone.add("dead.example. MX 10 mx.dead.example.", "mx.dead.example. A 127.0.99.2")
    world.zone.publish()
    for _ in range(20):
        world.send("x@hang.example", "x@dead.example")
    world.send("x@quick.example")
    good.wait()
    assert len(world.waiting("x@hang.example")) == 20
    world.site.posthouse("queue", "drop", "--recipient", "@hang.example")
    world.site.posthouse("queue", "drop", "--recipient", "@dead.example")
    hang.release()
