"""CPU time per request of a gateway's worker under h2load, side by side with plain proxy_pass.

Used by main.py. All gateways run at once and get their turn in each round; a ratio compares two turns of one round,
so what the machine does besides reaches both. Even then a single ratio says little: the median of many is shown,
with an interval for it.
"""

import os
import re
import statistics
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from math import comb

import traffic
from processes import Failure, pinned

CONNECTIONS = 16


@dataclass
class Cost:
    """Microseconds per request (median), and the ratio to plain with a 95 % interval for its median."""

    each: float
    ratio: float
    low: float
    high: float


def compare(gateways, shapes, setting, rounds, requests):
    """{(gateway, shape): Cost}, by their keys, for gateways whose first is the one all others are compared with."""
    turns = {}
    with ExitStack() as stack:
        running = [(g, _start(stack, g, setting)) for g in gateways]
        for key, shape in shapes.items():
            for gateway, (server, _) in running:
                with traffic.Client(server.port) as client:
                    client.expect(shape, server.name)
                turns[gateway.key, key] = []
        for number in range(-1, rounds):  # the first one warms up
            for key, shape in shapes.items():
                offset = number % len(running)
                for gateway, (server, worker) in running[offset:] + running[:offset]:
                    spent = _turn(server, worker, shape, requests, setting)
                    if number >= 0:
                        turns[gateway.key, key].append(spent)
    base = gateways[0].key
    return {(gateway, key): _cost(spent, turns[base, key]) for (gateway, key), spent in turns.items()}


def _start(stack, gateway, setting):
    server = stack.enter_context(gateway.server(setting, single=False, cpu=setting.gateway_cpu))
    worker = server.worker() if gateway.has_master else server.pid
    return server, worker


def _turn(server, worker, shape, requests, setting):
    """Microseconds of CPU per request."""
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-n{requests}"]
    for name, value in shape.lines():
        command += ["-H", f"{name}: {value}"]
    before = cpu_nanoseconds(worker)
    command = pinned(setting.load_cpu, [*command, f"http://127.0.0.1:{server.port}{shape.path}"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = cpu_nanoseconds(worker) - before
    if not re.search(rf"status codes: {requests} 2xx", done.stdout):
        raise Failure(f"{server.name} under h2load:\n{done.stdout}{done.stderr}{server.log()}")
    return spent / requests / 1000


def cpu_nanoseconds(pid):
    """User and system time: the sum that /proc/PID/stat rounds to hundredths of a second, where the kernel shows it."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])
    except FileNotFoundError:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _cost(spent, base):
    ratios = sorted(mine / plain for mine, plain in zip(spent, base))
    cut = _outside(len(ratios))
    return Cost(statistics.median(spent), statistics.median(ratios), ratios[cut], ratios[-1 - cut])


def _outside(count):
    """How many of `count` sorted values may be left out at either end and the rest still cover the median at 95 %."""
    tail, cut = 0.0, 0
    while True:
        tail += comb(count, cut) / 2**count
        if 2 * tail > 0.05 or cut >= (count - 1) // 2:
            return max(cut - 1, 0)
        cut += 1
