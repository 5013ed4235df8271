"""User-space instructions per request of one gateway process, counted by callgrind.

Used by main.py. The process is single, the backend runs natively beside it, connections are kept alive on both
sides, and counting begins after warm-up. The counts do not depend on what else the machine does.
"""

import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass

import callgrind
import traffic
from processes import Failure

WARM_UP, SLICES, SLICE = 200, 4, 500


@dataclass
class Count:
    """Per request, of one scenario and shape."""

    outside: float  # instructions outside of malloc() and free()
    allocator: float  # inside
    allocations: float
    spread: float  # how far a slice lies from `outside`
    costs: Counter  # by callgrind.Place
    calls: Counter  # by object and function, what it called

    def each(self, plain):
        """What malloc() and free() take depends on where the heap's free chunks happen to lie: for the same calls 300 more
        or less under another configuration. So as many calls as in `plain` count as much as there."""
        same = abs(self.allocations - plain.allocations) < 0.1
        return self.outside + (plain.allocator if same else self.allocator)


def count_all(scenarios, shapes, setting):
    """{scenario: {shape: Count}}, all by their keys"""
    return {scenario.key: count(scenario, shapes, setting) for scenario in scenarios}


def count(scenario, shapes, setting):
    """{key: Count} for {key: Shape}"""
    directory = tempfile.mkdtemp(dir=setting.work)
    before = (
        "valgrind",
        "--tool=callgrind",
        *callgrind.OPTIONS,
        f"--callgrind-out-file={directory}/dump",
        f"--vgdb-prefix={directory}/vgdb",
        f"--log-file={directory}/valgrind.log",
    )
    with scenario.server(setting, before=before) as server:
        dumps = callgrind.Dumps(directory + "/dump")
        return {key: _count(server, shape, dumps, setting) for key, shape in shapes.items()}


def _count(server, shape, dumps, setting):
    with traffic.Client(server.port) as client:
        client.expect(shape, server.name)
        client.repeat(shape, WARM_UP)
        accepted = traffic.connections_accepted(setting.backend.ports[2])
        slices = []
        for _ in range(1 + SLICES):
            client.repeat(shape, SLICE)
            _dump(server, dumps)
            slices.append(dumps.next())
        del slices[0]  # holds what came before as well
        if traffic.connections_accepted(setting.backend.ports[2]) != accepted + 1:
            raise Failure(f"{server.name}: the connections to the backend are not kept alive")
    outside = [dump.split()[0] / SLICE for dump in slices]
    mean = statistics.mean(outside)  # the time, which nginx formats once a second, is spread over all
    requests = SLICE * SLICES
    return Count(
        mean,
        sum(dump.split()[1] for dump in slices) / requests,
        sum(dump.frees for dump in slices) / requests,
        max(abs(one - mean) for one in outside),
        _each(sum((dump.costs for dump in slices), Counter()), requests),
        _each(sum((dump.calls for dump in slices), Counter()), requests),
    )


def _each(costs, requests):
    return Counter({place: cost / requests for place, cost in costs.items()})


def _dump(server, dumps):
    """Has callgrind write what was counted since the last dump."""
    time.sleep(0.05)  # the gateway still cleans up after the last answer
    prefix = os.path.join(os.path.dirname(dumps.prefix), "vgdb")
    done = subprocess.run(
        ["vgdb", f"--vgdb-prefix={prefix}", f"--pid={server.pid}", "dump"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failure(f"vgdb cannot reach callgrind in {server.name}: {done.stderr.strip()}")
