"""Reads callgrind's dumps: what each instruction of each function cost in the requests of one dump.

Used by instructions.py. The dumps must be written with OPTIONS: no compression, so that each can be read alone.
"""

import glob
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


# What the module does twice a second, however many requests come meanwhile, is left out with all that it calls.
TICK = "canary_clock_ticks"
OPTIONS = (
    "--compress-strings=no", "--compress-pos=no", "--dump-instr=yes", f"--toggle-collect={TICK}", "--collect-atstart=yes",
)


class Place(NamedTuple):
    object: str
    function: str
    address: int


@dataclass
class Dump:
    costs: Counter = field(default_factory=Counter)  # instructions by Place
    calls: Counter = field(default_factory=Counter)  # by object and function, instructions of what it called
    frees: int = 0  # calls of free()

    def split(self):
        """(instructions outside of the C library's allocator, inside)"""
        inside = sum(cost for place, cost in self.costs.items() if _is_allocator(place))
        return sum(self.costs.values()) - inside, inside


ALLOCATOR = re.compile(
    r"(malloc|free|calloc|realloc|posix_memalign|aligned_alloc|malloc_consolidate|_int_(malloc|free|realloc|memalign)"
    r"|_mid_memalign|unlink_chunk|alloc_perturb|sysmalloc|systrim|tcache_\w+)(\.|$)"
)


def _is_allocator(place):
    return place.object.startswith("libc.") and ALLOCATOR.match(place.function) is not None


class Dumps:
    """The dumps of one process, `prefix`.1, .2 and so on, read in order."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.seen = 0

    def next(self):
        """What the dumps that are new hold."""
        dump = Dump()
        numbers = (int(path.rsplit(".", 1)[1]) for path in glob.glob(self.prefix + ".*"))
        for number in sorted(n for n in numbers if n > self.seen):
            self.seen = number
            with open(f"{self.prefix}.{number}", encoding="utf-8", errors="replace") as file:
                _read(file, dump)
        return dump


COST = re.compile(r"0x([0-9a-f]+) \d+ (\d+)$")


def _read(file, dump):
    where = {}
    called = False
    for text in file:
        cost = COST.match(text)
        if cost:
            # The line after "calls=" is the cost of the called function, which is counted where it stands.
            if called:
                dump.calls[where["ob"], where["fn"]] += int(cost[2])
            else:
                dump.costs[Place(where["ob"], where["fn"], int(cost[1], 16))] += int(cost[2])
            called = False
            continue
        key, _, value = text.rstrip("\n").partition("=")
        if key == "ob":
            where["ob"] = os.path.basename(value)
        elif key == "fn":
            where["fn"] = value
        elif key == "cfn":
            where["cfn"] = value
        elif key == "calls":
            called = True
            if where["cfn"] == "free":
                dump.frees += int(value.split()[0])
