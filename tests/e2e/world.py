"""A whole cluster for tests, driven by `steer` as a person would drive it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import network
from lab.layout import ROOT_VARIABLE, Lab, Machine
from tests.waiting import eventually_sync

# What keeps the cluster's objects: "steersman", or "etcd" for a real one.
STORE = os.environ.get("E2E_STORE", "steersman")
REPOSITORY = Path(__file__).resolve().parent.parent.parent
STEER = Path(sys.executable).with_name("steer")
EXAMPLE = REPOSITORY / "examples" / "web.yaml"


@dataclass
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass
class World:
    """A cluster of its own, beside any other."""

    name: str
    folder: Path
    nodes: int = 3
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def lab(self) -> Lab:
        return Lab(self.name, self.nodes, self.folder / "lab")

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, ROOT_VARIABLE: str(self.folder / "lab"), "STEERCONFIG": str(self.config)}

    def run(self, *words: str, stdin: str | None = None, timeout_s: float = 120) -> Done:
        """Runs `steer` and returns what came of it."""
        done = subprocess.run(
            [STEER, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=timeout_s,
            cwd=self.folder,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def steer(self, *words: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Runs `steer`, which must succeed, and returns what it printed."""
        done = self.run(*words, stdin=stdin, timeout_s=timeout_s)
        assert done.code == 0, f"steer {' '.join(words)}: {done.code}\n{done.out}\n{done.err}"
        return done.out

    def json(self, *words: str) -> Any:
        """What `steer get ... -o json` shows."""
        return json.loads(self.steer("get", *words, "-o", "json"))

    def items(self, *words: str) -> list[Any]:
        """The objects that `steer get KIND` shows."""
        found: list[Any] = self.json(*words)["items"]
        return found

    def pods(self, selector: str = "app=web") -> list[Any]:
        """Pods that are ready and not on their way out."""
        return [pod for pod in self.items("pods", "-l", selector) if is_ready(pod)]

    def inside(self, machine: Machine, *command: str, timeout_s: float = 30) -> Done:
        """Runs a command in a machine's network namespace."""
        done = subprocess.run(
            ["nsenter", f"--net={network.NAMESPACES / machine.namespace}", *command],
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start_inside(self, machine: Machine, *command: str) -> subprocess.Popen[str]:
        """Starts a program in a machine's network namespace; it is ended with the world."""
        child = subprocess.Popen(
            ["nsenter", f"--net={network.NAMESPACES / machine.namespace}", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.children.append(child)
        return child

    def service_url(self) -> str:
        """Where the example's Service answers, from inside the cluster."""
        spec = self.json("service", "web")["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"

    def process_of(self, machine: Machine, service: str) -> int:
        """The process of a service, in the numbers of this machine; 0 when there is none."""
        program = STORE if service == "store" else service
        for pid in network.processes(machine.namespace):
            words = command_of(pid)
            if words[1:3] == ["-m", service] or (words and Path(words[0]).name == program):
                return pid
        return 0

    def running_process_of(self, machine: Machine, service: str) -> int:
        """The same, waited for: a signal to process 0 would end this very test."""
        pid: int = eventually_sync(lambda: self.process_of(machine, service), 30)
        assert pid > 1
        return pid


def is_ready(pod: Any) -> bool:
    """Whether a pod (as JSON) is ready and stays."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def command_of(pid: int) -> list[str]:
    """The words that started a process; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def processes_of_pod(uid: str) -> list[int]:
    """The processes in a pod's cgroups, in the numbers of this machine, without the one that only holds it open."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            inside = f"pod{uid}" in (entry / "cgroup").read_text()
        except OSError:
            continue
        if inside and "catatonit" not in " ".join(command_of(int(entry.name))):
            found.append(int(entry.name))
    return found


@contextmanager
def world(nodes: int = 3) -> Iterator[World]:
    """A world whose cluster is not up yet; whatever is there at the end is taken down."""
    folder = Path(tempfile.mkdtemp(prefix="se", dir="/tmp"))
    made = World(f"t{secrets.token_hex(3)}", folder, nodes)
    try:
        yield made
    finally:
        for child in made.children:
            if child.poll() is None:
                child.kill()
            child.communicate()
        done = made.run("down", "--name", made.name)
        left = [*(folder / "lab").glob("*/")]
        subprocess.run(["rm", "-rf", folder], check=True)
        assert done.code == 0, done.err
        assert not left, f"left behind: {left}"
        assert not network.namespaces(made.lab.namespace_prefix)
