"""`posthouse queue`, `explain`, `route`, `user set` and aliases that lead away, on a running site (README of posthouse/).

The resolver that is set does not answer, so nothing for elsewhere leaves the queue; what the relay does meanwhile is told apart by
looking only at what the commands say they did.
"""
import itertools
import json
import re

import pytest

from harness.site import Site, wait_for

TRUSTED = "127.0.0.5"
COUNTER = itertools.count(1)


@pytest.fixture(scope="module")
def site():
    with Site(settings={"smtp.relay_networks": f"{TRUSTED}/32", "dns.forward": "127.0.0.1@9"}, workers=1) as made:
        yield made


def send(site, recipients, sender="alice@example.test"):
    """The trace of a message in the queue, and its Message-ID."""
    message_id = f"{next(COUNTER)}.queue@example.test"
    with site.wire("smtp", source=(TRUSTED, 0)) as wire:
        wire.smtp("EHLO client.example", 250)
        wire.smtp(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            wire.smtp(f"RCPT TO:<{recipient}>", 250)
        wire.smtp("DATA", 354)
        wire.send(f"From: a@b.example\r\nMessage-ID: <{message_id}>\r\nSubject: x\r\n\r\nhello\r\n.\r\n")
        return re.search(r"queued as (\S+)", wire.expect(250)).group(1), message_id


def ask(site, *words):
    return json.loads(site.posthouse(*words, "--json"))


def listed(site, *words):
    return [row["recipient"] for row in ask(site, "queue", "list", *words)["recipients"]]


def held(site, trace):
    return {row["recipient"]: row["held"] for row in ask(site, "queue", "list", trace)["recipients"]}


@pytest.fixture
def domain():
    return f"d{next(COUNTER)}.example"


def test_list_narrowed_down(site, domain):
    trace, message_id = send(site, [f"a@{domain}", f"b@{domain}"], sender=f"s@{domain}")
    null, _ = send(site, [f"c@{domain}"], sender="")
    assert listed(site, trace) == [f"a@{domain}", f"b@{domain}"]
    assert listed(site, "--sender", f"s@{domain}") == [f"a@{domain}", f"b@{domain}"]
    assert listed(site, "--sender", f"@{domain.upper()}") == [f"a@{domain}", f"b@{domain}"]
    assert listed(site, "--sender", "<>", "--recipient", f"@{domain}") == [f"c@{domain}"]
    assert listed(site, "--recipient", f"b@{domain}") == [f"b@{domain}"]
    assert listed(site, "--recipient", f"@{domain}") == [f"a@{domain}", f"b@{domain}", f"c@{domain}"]
    assert listed(site, trace, "--held") == listed(site, trace, "--older-than", "1d") == []
    assert listed(site, "no-such-trace") == []
    row = ask(site, "queue", "list", null)["recipients"][0]
    assert row["trace"] == null and row["sender"] == "" and row["kind"] == "remote" and row["size"] > 50
    assert ask(site, "queue", "list", trace)["recipients"][0]["message_id"] == message_id


def test_list_by_pages(site, domain):
    names = [f"r{n:02}@{domain}" for n in range(25)]
    trace, _ = send(site, names)
    pages = [ask(site, "queue", "list", trace, "--limit", "10", "--page", str(n)) for n in (1, 2, 3, 4)]
    assert [row["recipient"] for page in pages for row in page["recipients"]] == names
    assert [page["shown"] for page in pages] == [10, 10, 5, 0]
    assert [page["more"] for page in pages] == [True, True, False, False]
    assert pages[0]["queue_recipients"] >= 25
    table = site.posthouse("queue", "list", trace, "--limit", "10").splitlines()
    assert len(table) == 12 and re.match(r"shown 10, there are more: .*; \d+ recipients wait in all$", table[-1])
    column = table[0].index("RECIPIENT")
    assert [line[column : column + len(names[0])] for line in table[1:-1]] == names[:10]  # it lines up
    assert re.search(r"^shown 1 of \d+ recipients of \d+ messages; \d+ held, \d+ due now; there are more", site.posthouse("queue", "list", "--limit", "1"), re.M)


def test_show(site, domain):
    trace, message_id = send(site, [f"a@{domain}", f"b@{domain}"])
    seen = ask(site, "queue", "show", trace)
    assert (seen["trace"], seen["message_id"], seen["sender"]) == (trace, message_id, "alice@example.test")
    assert seen["expires_ms"] - seen["created_ms"] == 5 * 86400 * 1000
    assert [r["recipient"] for r in seen["recipients"]] == [f"a@{domain}", f"b@{domain}"]
    assert seen["recipients"][0]["way"] == f"the servers that the DNS names for {domain}"
    assert "DANE" in seen["recipients"][0]["tls"]
    text = site.posthouse("queue", "show", trace)
    assert f"a@{domain}" in text and "TLS:" in text and "Next:" in text and "Last answer:" in text
    message = site.posthouse("queue", "show", "--message", trace)
    assert message.startswith("Received: from ") and message.endswith("\nhello\n") and message_id in message
    missing = site.posthouse("queue", "show", "nothing", want=3)
    assert missing == ""


def test_hold_release_retry(site, domain):
    trace, _ = send(site, [f"a@{domain}", f"b@{domain}"])
    assert site.posthouse("queue", "hold", trace, "--recipient", f"a@{domain}") == "1 recipient held\n"
    assert held(site, trace) == {f"a@{domain}": True, f"b@{domain}": False}
    assert site.posthouse("queue", "hold", "--recipient", f"@{domain}") == "1 recipient held\n"
    assert site.posthouse("queue", "retry", trace) == "0 recipients due now\n"
    assert "held" in site.posthouse("queue", "list", trace).splitlines()[1]
    assert ask(site, "queue", "release", trace) == {"done": "released", "recipients": 2}
    assert not any(held(site, trace).values())
    assert site.posthouse("queue", "retry", trace) == "2 recipients due now\n"


def test_what_is_not_said_is_not_done(site, domain):
    """The whole queue only with --all; a filter with a slip in it is an error and not everything."""
    trace, _ = send(site, [f"a@{domain}"])
    for verb in ("retry", "hold", "release", "drop"):
        refused = site.posthouse("queue", verb, want=None)
        assert refused.returncode == 2 and "--all" in refused.stderr
    site.posthouse("queue", "reroute", domain, want=2)
    site.posthouse("queue", "drop", trace, "--all", want=2)
    site.posthouse("queue", "drop", "--sender", "alice", want=2)
    site.posthouse("queue", "drop", "--older-than", "soon", want=2)
    site.posthouse("queue", "list", "--limit", "0", want=2)
    assert listed(site, trace) == [f"a@{domain}"]
    refused = site.posthouse("queue", "hold", "nothing", trace, want=None)  # the one that is there is done all the same
    assert refused.returncode == 3 and "nothing" in refused.stderr and refused.stdout == "1 recipient held\n"
    assert held(site, trace) == {f"a@{domain}": True}


def test_drop_and_reroute_are_told(site, domain):
    trace, message_id = send(site, [f"a@{domain}", f"b@{domain}"])
    assert site.posthouse("queue", "reroute", "Other.example", trace) == "2 recipients rerouted\n"
    assert site.posthouse("queue", "drop", trace, "--recipient", f"b@{domain}").startswith("1 recipient dropped")
    assert listed(site, trace) == [f"a@{domain}"]
    wait_for(lambda: site.posthouse("explain", message_id, want=None).returncode == 0, 30, "smtpd writes its part of the story")
    story, = ask(site, "explain", message_id)
    told = [(e["recipient"], e["text"]) for e in story["events"] if e["kind"] == "admin"]
    assert [(r, t.split(",")[0]) for r, t in told] == [
        (f"a@{domain}", "sent by the way of other.example from now on"),
        (f"b@{domain}", "sent by the way of other.example from now on"),
        (f"b@{domain}", "dropped without a report"),
    ]
    assert all("on the command line" in text for _, text in told)
    site.posthouse("queue", "drop", trace)
    site.posthouse("queue", "show", trace, want=3)
    site.posthouse("queue", "reroute", "not a domain", trace, want=2)


def test_explain(site, domain):
    trace, message_id = send(site, [f"a@{domain}"], sender=f"s@{domain}")
    kinds = lambda *words: [e["kind"] for s in ask(site, "explain", *words) for e in s["events"]]
    wait_for(lambda: site.posthouse("explain", trace, want=None).returncode == 0, 30, "the story is written")
    wait_for(lambda: {"received", "queued"} <= set(kinds(trace)), 30, "all of it")
    for words in ([trace], [message_id], [f"<{message_id}>"], [f"a@{domain}"], [f"S@{domain}"], [f"a@{domain}", "--last", "1h"]):
        story, = ask(site, "explain", *words)
        assert story["trace"] == trace and story["message_id"] == message_id and story["sender"] == f"s@{domain}"
        assert story["recipients"] == [f"a@{domain}"]
        times = [e["at_ms"] for e in story["events"]]
        assert times == sorted(times)
        assert [n["recipient"] for n in story["next"]] == [f"a@{domain}"]
    site.posthouse("queue", "hold", trace)
    text = site.posthouse("explain", trace)
    assert text.startswith(f"Message {trace} from s@{domain} to a@{domain}, Message-ID <{message_id}>\n")
    assert re.search(r"^  20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ  came in from .* with ESMTP, 1 recipient", text, re.M)
    assert f"  Next: a@{domain}: held: nothing happens until it is released\n" in text
    assert trace in site.posthouse("explain", "--last", "1h", "--limit", "10000")
    assert site.posthouse("explain", "--last", "0") == ""
    site.posthouse("explain", "nobody@nowhere.example", want=3)
    site.posthouse("explain", want=2)


def test_routes(site):
    secret = "correct horse"
    site.posthouse("route", "add", "*", "--via", "smtp.Relay.example:587", "--tls", "verify", "--user", "us", "--password-stdin",
                   stdin=secret + "\n")
    try:
        assert "Goes to:         smtp.relay.example, port 587 (route *)" in site.posthouse(
            "queue", "show", send(site, ["a@by-route.example"])[0])
        site.posthouse("route", "add", "Plain.example", "--via", "mx")
        site.posthouse("route", "add", "from:example.test", "--via", "[2001:db8::1]:26", "--tls", "none")
        site.posthouse("route", "add", ".below.example", "--via", "lmtp:127.0.0.1:24")
        rows = {row["match"]: row for row in ask(site, "route", "list")}
        assert set(rows) == {"*", "plain.example", "from:example.test", ".below.example"}
        assert rows["*"] == {"match": "*", "via": "smtp.relay.example", "kind": "smtp", "host": "smtp.relay.example", "port": 587,
                             "tls": "verify", "implicit_tls": False, "user": "us"}
        assert rows[".below.example"]["via"] == "lmtp:127.0.0.1"
        assert secret not in site.posthouse("route", "list") + site.posthouse("route", "list", "--json")
        site.posthouse("route", "add", "plain.example", "--via", "other.example", "--implicit-tls")  # replaced
        assert {row["match"]: row["implicit_tls"] for row in ask(site, "route", "list")}["plain.example"]
    finally:
        for row in ask(site, "route", "list"):
            site.posthouse("route", "remove", row["match"])
    assert site.posthouse("route", "list").startswith("no routes")
    site.posthouse("route", "remove", "*", want=3)


@pytest.mark.parametrize("words", [
    ["*"],
    ["a@b.example", "--via", "mx"],
    ["b.example", "--via", "host:0"],
    ["b.example", "--via", "lmtp:host"],
    ["b.example", "--via", "host", "--tls", "some"],
    ["b.example", "--via", "host", "--tls", "none", "--implicit-tls"],
    ["b.example", "--via", "host", "--user", "u", "--password-stdin"],  # a password in the clear
    ["b.example", "--via", "host", "--tls", "may", "--user", "u", "--password-stdin"],
    ["b.example", "--via", "host", "--password-stdin"],
    ["b.example", "--via", "mx", "--user", "u", "--password-stdin"],
])
def test_routes_that_are_refused(site, words):
    site.posthouse("route", "add", *words, stdin="x\n", want=2)
    assert ask(site, "route", "list") == []


def test_user_set(site):
    def shown():
        user = ask(site, "user", "show", "alice@example.test")
        return [user[k] for k in ("file_sent", "detail_folders", "undo_seconds", "recipients_a_day", "new_recipients_a_day")]

    assert shown() == [False, False, 0, 1000, 200]  # as the config file says
    site.posthouse("user", "set", "alice@example.test", "--file-sent", "yes", "--undo", "30s", "--recipients-a-day", "7")
    assert shown() == [True, False, 30, 7, 200]
    site.posthouse("user", "set", "alice@example.test", "--detail-folders", "on", "--new-recipients-a-day", "0")
    assert shown() == [True, True, 30, 7, 0]
    assert "Undo seconds:      30" in site.posthouse("user", "show", "alice@example.test")
    for words in (["--undo", "2h"], ["--undo", "30"], ["--undo", "1ms"], ["--file-sent", "perhaps"], ["--recipients-a-day", "-1"], []):
        site.posthouse("user", "set", "alice@example.test", *words, want=2)
    site.posthouse("user", "set", "nobody@example.test", "--undo", "0", want=3)
    site.posthouse("user", "set", "alice@example.test", "--file-sent", "no", "--detail-folders", "no", "--undo", "default",
                   "--recipients-a-day", "default", "--new-recipients-a-day", "default")
    assert shown() == [False, False, 0, 1000, 200]


def test_an_alias_that_leads_away(site):
    out = site.posthouse("alias", "add", "away@example.test", "a@elsewhere.example", "bob@example.test")
    lines = out.splitlines()
    assert lines[0] == "alias away@example.test -> a@elsewhere.example added" and "SRS" in lines[1]
    assert lines[2] == "alias away@example.test -> bob@example.test added" and len(lines) == 3
    assert {row["address"] for row in ask(site, "alias", "list")} >= {"a@elsewhere.example", "bob@example.test"}
