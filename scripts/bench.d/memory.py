"""Memory of one nginx worker without the module, with it, and with a policy in force, after traffic.

Used by main.py for --memory. RSS counts shared pages in full, PSS by their share, private not at all.
"""

import re
from dataclasses import dataclass, replace

import traffic
from scenarios import HASH, LOADED, PLAIN, SPLIT, lines_of_a_file, policies

REQUESTS = 3000


@dataclass
class Memory:
    title: str
    budget: bool
    kilobytes: dict  # Rss, Pss, Private


def rows():
    """(scenario, whether the budget holds for it)"""
    return (
        (PLAIN, False),
        (LOADED, True),
        (replace(HASH, title="one policy, user split"), True),
        (replace(SPLIT, title="one policy, two routes"), True),
        (replace(policies(100), title="100 policies"), True),
        (replace(lines_of_a_file(1_000_000), title="a file of 1 000 000 lines"), False),
    )


def measure(setting):
    return [Memory(scenario.title, budget, _worker(scenario, setting)) for scenario, budget in rows()]


def _worker(scenario, setting):
    with scenario.server(setting, single=False) as server:
        worker = server.worker()
        for shape in traffic.pick("40", "2k").values():
            with traffic.Client(server.port) as client:
                client.repeat(shape, REQUESTS)
        return read(worker)


def read(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        found = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", file.read(), re.M)}
    return {"Rss": found["Rss"], "Pss": found["Pss"], "Private": found["Private_Clean"] + found["Private_Dirty"]}
