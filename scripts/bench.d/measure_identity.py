"""Measures verified identity: tokens that are remembered, first ones, and the same by Lua, njs and HAProxy.

Used by main.py. Each gateway has to choose the right release for good and bad tokens before it is measured.
"""

from dataclasses import dataclass, replace

import cpu
import identity_peers
import instructions
import peers
from budgets import first_hs256
from identities import Identities, bearing, check, fresh
from scenarios import PLAIN
from tokens import Keyring

REQUEST, OF_PAGE = ("40", "2k"), ("file", "file-2k", "api")


@dataclass
class First:
    """One way to verify a token that is not remembered."""

    title: str
    token_bytes: int
    plain: instructions.Count
    mine: instructions.Count
    remembered: instructions.Count = None  # of the same, where there is such a thing
    limit: int = None


def measure_instructions(options, setting, report):
    keyring = Keyring(setting.work)
    identities = Identities(keyring)
    report.section("Identity",
                   "Route by a cookie, route by the role in a JSON Web Token (HS256), split by its sub; requests as above"
                   " and a token, as with plain nginx.")
    requests = _requests(keyring, REQUEST)
    others, missing = _peers(options, setting, keyring)
    rows = [PLAIN, _checked(identities.remembered, keyring, "HS256", setting), *others]
    counts = instructions.count_all(rows, requests, setting)
    report.instructions(rows, requests, counts)
    report.cheapest(identities.remembered, others, requests, counts)
    for line in missing:
        print(f"not measured: {line}")
    report.section("Pages with a token", "The same policy; what a browser asks for that has a page and its pin.")
    rows, of_page = [PLAIN, _checked(identities.pinned, keyring, "HS256", setting)], _requests(keyring, OF_PAGE)
    report.instructions(rows, of_page, instructions.count_all(rows, of_page, setting))
    if not options.quick:
        _measure_others(identities, setting, report)
    firsts = _firsts(options, keyring, identities, setting)
    report.section("First verification",
                   "Requests whose token is not remembered; the budget is for what they take more than one that is.")
    report.firsts(firsts)
    if options.profile:
        mine = identities.remembered
        for key, shape in requests.items():
            report.profile(f"{mine.title}, {shape.title}", counts[mine.key][key], counts["plain"][key], setting.module)
        report.profile("JWT (HS256), first, beside remembered", firsts[0].mine, firsts[0].remembered, setting.module)


def measure_cpu(options, setting, report, rounds):
    keyring = Keyring(setting.work)
    requests = _requests(keyring, REQUEST[:1] if options.quick else REQUEST)
    identities = Identities(keyring)
    mine = _checked(identities.remembered, keyring, "HS256", setting)
    rows = [PLAIN, mine, *_peers(options, setting, keyring)[0]]
    report.section("CPU time with a token", f"As above; {rounds} rounds.")
    costs = cpu.compare(rows, requests, setting, rounds, 4000)
    report.cpu(rows, requests, costs)
    rows, of_page = [PLAIN, identities.pinned], _requests(keyring, ("file", "api"))
    report.section("CPU time of pages with a token", "As above.")
    report.cpu(rows, of_page, cpu.compare(rows, of_page, setting, rounds, 4000))


def _requests(keyring, keys):
    return {key: bearing(key, keyring.token("HS256")) for key in keys}


def _checked(gateway, keyring, algorithm, setting):
    check(gateway, keyring, algorithm, setting)
    return gateway


def _peers(options, setting, keyring):
    """(those that verify HS256, what is said of the others)"""
    if options.quick and not options.peers:
        return [], []
    others = [_checked(peer, keyring, "HS256", setting) for peer in identity_peers.installed(setting)]
    return others, [*peers.missing(setting), *identity_peers.missing(setting)]


def _measure_others(identities, setting, report):
    report.section("Remembered",
                   "What else is remembered once verified; each request has a cookie header of 40 bytes and what is named.")
    rows = identities.others(setting)
    # Plain nginx knows of no canary.
    plains = {what: replace(shape, release="stable") for what, _, shape in rows}
    plain = instructions.count(PLAIN, plains, setting)
    report.remembered([
        (what, plain[what], instructions.count(scenario, {what: shape}, setting)[what]) for what, scenario, shape in rows
    ])


def _firsts(options, keyring, identities, setting):
    rows = []
    for algorithm in ("HS256",) if options.quick else ("HS256", "RS256", "ES256"):
        shape = fresh(keyring, algorithm)
        size = len(shape.tokens[0])
        again, first = (_checked(gateway, keyring, algorithm, setting) for gateway in identities.of(algorithm))
        known = {algorithm: replace(shape, tokens=shape.tokens[:1])}
        plain = instructions.count(PLAIN, known, setting)[algorithm]
        rows.append(First(f"module: {algorithm}", size, plain,
                          instructions.count(first, {algorithm: shape}, setting)[algorithm],
                          instructions.count(again, known, setting)[algorithm],
                          first_hs256(size) if algorithm == "HS256" else None))
        if not options.quick and algorithm != "HS256":
            pem = {"public.pem": keyring.public_pem(algorithm).splitlines}
            for peer in identity_peers.haproxy(algorithm, "public.pem", pem):
                check(peer, keyring, algorithm, setting)
                rows.append(First(peer.title, size, plain, instructions.count(peer, known, setting)[algorithm]))
    return rows
