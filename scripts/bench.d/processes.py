"""Starts and stops the servers of a benchmark: temporary directories, free ports, an end check of their logs.

Used by backend.py, instructions.py, cpu.py and memory.py. A server is stopped by its own pid, whatever happens.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PATIENCE = 120  # seconds; a million lines under callgrind take a while
ALARMS = re.compile(r"\[(alert|crit|emerg|error)\]|Sanitizer")


class Failure(Exception):
    """Something a person has to mend; the message says what."""


def free_ports(count):
    """Ports that are free now. Somebody else may be faster: start() tries again."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def pinned(cpu, command):
    """taskset keeps the pid: it becomes the command."""
    return command if cpu is None else ["taskset", "-c", str(cpu), *command]


def wait_for(what, ready, patience=PATIENCE):
    end = time.monotonic() + patience
    while True:
        value = ready()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {patience} s in vain for {what}")
        time.sleep(0.02)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def write_files(files, directory):
    """Files that a configuration names: {name: function that yields the lines}."""
    for name, lines in files.items():
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in lines())


class Server:
    """One running server. `render` turns ports into the text of its configuration, `command` that into a command line."""

    def __init__(self, name, ports, render, command, cpu=None):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="lobechat-canary-bench-")
        os.chmod(self.dir, 0o711)  # workers read key files again, and may not be root
        self.child = None
        try:
            self._start(ports, render, command, cpu)
        except BaseException:
            self.stop()
            raise

    def _start(self, count, render, command, cpu):
        for _ in range(5):
            self.ports = free_ports(count)
            config = os.path.join(self.dir, "server.conf")
            with open(config, "w", encoding="ascii") as file:
                file.write(render(self.ports, self.dir))
            with open(self.path("error.log"), "wb") as log:
                self.child = subprocess.Popen(
                    pinned(cpu, command(self.dir, config)),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                )
            # A port that another process answers at is no sign of ours, so ours must still be alive afterwards.
            wait_for(f"{self.name} to start", lambda: answers(self.ports[0]) or self.child.poll() is not None)
            if self.child.poll() is None:
                return
            if "Address already in use" not in self.log():
                raise Failure(f"{self.name} does not start:\n{self.log()}")
        raise Failure(f"{self.name} finds no free port")

    @property
    def port(self):
        return self.ports[0]

    @property
    def pid(self):
        return self.child.pid

    def path(self, name):
        return os.path.join(self.dir, name)

    def log(self):
        with open(self.path("error.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def worker(self):
        """The pid of the one worker of an nginx that has a master."""
        listing = f"/proc/{self.pid}/task/{self.pid}/children"

        def children():
            with open(listing, encoding="ascii") as file:
                return file.read().split()

        return int(wait_for(f"the worker of {self.name}", children)[0])

    def check(self):
        """What a server logged while it was measured: a number from a broken server is worth nothing."""
        bad = [line for line in self.log().splitlines() if ALARMS.search(line)]
        if bad:
            raise Failure(f"{self.name} logged:\n" + "\n".join(bad[:5]))

    def stop(self):
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.check()
        finally:
            self.stop()
