"""Prints where a request spends more than the same request through plain proxy_pass.

Used by main.py for --profile. Code of the standard library and of crates is put down to the line of this project
that it was inlined into: addr2line knows it from the module's line tables. malloc() and free() stand here with what
they took, which is partly chance (see instructions.Count).
"""

import os
import re
import subprocess
from collections import Counter


def show(mine, plain, module):
    """For two of instructions.Count."""
    extra = _difference(mine.costs, plain.costs)
    _table(("object",), _sum(extra, lambda place: (place.object,)), 8)
    functions = _sum(extra, lambda place: (place.object, place.function))
    _table(("object", "function"), functions, 25)
    own, deep = os.path.basename(module), functions + _difference(mine.calls, plain.calls)
    print("\nOf the module, with all that they call (recursion counts more than once):")
    _table(("function",), Counter({(name,): cost for (object, name), cost in deep.items() if object == own}), 40)
    inside = Counter({p.address: cost for p, cost in extra.items() if p.object == own and cost})
    lines, functions = _lines(list(inside), module), {}
    for line, function in lines.values():
        functions.setdefault(line, function)
    named = lambda address: lines.get(address, ("?", ""))[0]
    _table(("line", "function"), _sum(inside, lambda a: (named(a), functions.get(named(a), ""))), 40)


def _difference(mine, plain):
    extra = mine.copy()
    extra.subtract(plain)
    return extra


def _sum(costs, name):
    groups = Counter()
    for place, cost in costs.items():
        groups[name(place)] += cost
    return groups


def _table(head, groups, count):
    print(f"\n{'+':>8}  {'  '.join(head)}")
    ranked = sorted(groups.items(), key=lambda item: -abs(item[1]))
    for group, cost in ranked[:count]:
        if abs(cost) >= 1:
            print(f"{cost:>+8.0f}  {'  '.join(group)}")


def _lines(addresses, module):
    """{address: (line, function)} of the innermost frame in src/, else of the outermost."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        done = subprocess.run(
            ["addr2line", "-i", "-a", "-f", "-C", "-e", module],
            input="".join(f"{address:#x}\n" for address in addresses),
            capture_output=True, text=True, check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    found = {}
    for block in re.split(r"^0x(?=[0-9a-f]+$)", done.stdout, flags=re.M)[1:]:
        address, *frames = block.splitlines()
        frames = [(place.split(" (")[0], re.sub(r"<.*>$", "", function)) for function, place in zip(frames[::2], frames[1::2])]
        own = [(place[len(here) + 1 :], function) for place, function in frames if place.startswith(here + "/src/")]
        found[int(address, 16)] = (own or [(os.path.basename(frames[-1][0]), frames[-1][1])])[0]
    return found
