"""Network namespaces for a test: nodes with a bridge, pods on them, hosts outside; all gone when the test ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Answers every TCP connection and UDP datagram with "<name> <address the peer came from>".
SERVER = """
import socket, sys, threading
name, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", port))
if kind == "tcp":
    s.listen(512)
print("ready", flush=True)
while True:
    if kind == "tcp":
        c, peer = s.accept()
        c.sendall(f"{name} {peer[0]}".encode()); c.close()
    else:
        _, peer = s.recvfrom(100)
        s.sendto(f"{name} {peer[0]}".encode(), peer)
"""

# Connects again and again and prints a JSON list: [answer or error, seconds] each.
CLIENT = """
import json, socket, sys, time
kind, host, port, count, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
out = []
for _ in range(count):
    start = time.monotonic()
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(timeout)
    try:
        s.connect((host, port))
        if kind == "udp":
            s.send(b"hello")
        answer = s.recv(100).decode()
    except OSError as error:
        answer = type(error).__name__
    s.close()
    out.append([answer, time.monotonic() - start])
print(json.dumps(out))
"""

# Connects until its input is closed; prints a JSON object {answers: n, failures: [...], longest_s}.
LOOP = """
import json, select, socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
answers, failures, longest = 0, [], 0.0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    start = time.monotonic()
    s = socket.socket(); s.settimeout(3)
    try:
        s.connect((host, port))
        assert s.recv(100), "empty answer"
        answers += 1
    except (OSError, AssertionError) as error:
        failures.append(repr(error))
    s.close()
    longest = max(longest, time.monotonic() - start)
    time.sleep(0.002)
print(json.dumps({"answers": answers, "failures": failures, "longest_s": longest}))
"""


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True)


class Host:
    """A network namespace."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.namespace = f"{world.tag}-{name}"
        ip(f"netns add {self.namespace}")
        world.namespaces.append(self.namespace)
        self.run("ip link set lo up")

    @property
    def prefix(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def run(self, command: str | list[str], *, text: str | None = None) -> str:
        arguments = command.split() if isinstance(command, str) else command
        done = subprocess.run([*self.prefix, *arguments], check=True, capture_output=True, text=True, input=text)
        return done.stdout

    def start(self, arguments: list[str], *, pipes: bool = True, log: Path | None = None) -> subprocess.Popen[str]:
        """Starts a program here; it is killed when the world ends."""
        with contextlib.ExitStack() as stack:
            errors = stack.enter_context(log.open("a")) if log else subprocess.DEVNULL
            process = subprocess.Popen(
                [*self.prefix, *arguments],
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stderr=errors,
                text=True,
            )
        self.world.processes.append(process)
        return process

    def serve(self, port: int, kind: str = "tcp", name: str = "") -> subprocess.Popen[str]:
        process = self.start([sys.executable, "-c", SERVER, name or self.name, str(port), kind])
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def connect(
        self, host: str, port: int, count: int = 1, *, kind: str = "tcp", timeout_s: float = 3
    ) -> list[tuple[str, float]]:
        output = self.run([sys.executable, "-c", CLIENT, kind, host, str(port), str(count), str(timeout_s)])
        return [(answer, seconds) for answer, seconds in json.loads(output)]

    async def ask(
        self, host: str, port: int, count: int = 1, *, kind: str = "tcp", timeout_s: float = 3
    ) -> list[tuple[str, float]]:
        return await asyncio.to_thread(self.connect, host, port, count, kind=kind, timeout_s=timeout_s)

    def loop(self, host: str, port: int) -> subprocess.Popen[str]:
        process = self.start([sys.executable, "-c", LOOP, host, str(port)])
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process


class World:
    """Namespaces that are joined as a cluster is: `node()` makes a node with its bridge, `pod()` a pod on it."""

    def __init__(self) -> None:
        self.tag = f"np{secrets.token_hex(3)}"
        self.namespaces: list[str] = []
        self.processes: list[subprocess.Popen[str]] = []
        self._links = 0

    def build(self) -> None:
        # All nodes and outside hosts meet on this switch.
        self.switch = Host(self, "sw")
        self.switch.run("ip link add br0 type bridge")
        self.switch.run("ip link set br0 up")
        # Frames on the switch are not this host's business.
        self.switch.run("sysctl -qw net.bridge.bridge-nf-call-iptables=0")

    def _veth(self, one: Host, one_name: str, other: Host, other_name: str) -> None:
        self._links += 1
        a, b = f"{self.tag}a{self._links}", f"{self.tag}b{self._links}"
        ip(f"link add {a} type veth peer name {b}")
        for end, host, name in ((a, one, one_name), (b, other, other_name)):
            ip(f"link set {end} netns {host.namespace}")
            host.run(f"ip link set {end} name {name}")
            host.run(f"ip link set {name} up")

    def outside(self, name: str, address: str) -> Host:
        """A host on the switch, with a /24 address."""
        host = Host(self, name)
        self._veth(host, "eth0", self.switch, f"p{self._links}")
        port = f"p{self._links - 1}"
        self.switch.run(f"ip link set {port} master br0")
        host.run(f"ip addr add {address}/24 dev eth0")
        return host

    def node(self, name: str, address: str, gateway: str) -> Host:
        """A node on the switch, with a bridge for pods whose address (a /24) is given."""
        host = self.outside(name, address)
        host.run("ip link add cni0 type bridge")
        host.run("ip link set cni0 up")
        host.run(f"ip addr add {gateway}/24 dev cni0")
        # What has no other way stays here rather than leaving: addresses of Services need a route to be looked up.
        host.run(f"ip route add default via {address.rsplit('.', 1)[0]}.254")
        return host

    def pod(self, node: Host, name: str, address: str) -> Host:
        """A pod on a node's bridge."""
        pod = Host(self, name)
        self._veth(pod, "eth0", node, f"v{name}")
        node.run(f"ip link set v{name} master cni0")
        node.run(f"ip link set v{name} type bridge_slave hairpin on")
        pod.run(f"ip addr add {address}/24 dev eth0")
        pod.run(f"ip route add default via {address.rsplit('.', 1)[0]}.1")
        return pod

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(timeout=10)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        for namespace in reversed(self.namespaces):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


@contextlib.contextmanager
def world() -> Iterator[World]:
    made = World()
    try:
        made.build()
        yield made
    finally:
        made.close()
