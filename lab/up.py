"""Bringing a lab up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from steersman.client import Api, connect_to
from steersman.core.v1.node_pb2 import Node
from steersman.informer import Informer

from lab import certificates, containerd, machines, network, record, supervision
from lab.down import take_down
from lab.layout import Lab, Machine
from lab.programs import ProgramFailed
from lab.progress import Progress

T = TypeVar("T")

START_DEADLINE_S = 30.0
POLL_S = 0.02


class LabFailed(Exception):
    """The lab did not come up; the message says what was waited for and where to look."""


@dataclass(frozen=True)
class Options:
    """How to bring a lab up.

    Attributes:
        config: the person's configuration file, to which the lab is added.
        node_grace_s: how long a node may be silent before its pods are moved.
        log_level: lowest level that services log.
        etcd: whether a real etcd is the store.
    """

    config: Path
    node_grace_s: float = 40.0
    log_level: str = "info"
    etcd: bool = False


def is_running(lab: Lab) -> bool:
    """Whether a lab of this name runs: it came up completely, and all of its machines are there."""
    known = record.recorded(lab)
    if known is None or not known[1]:
        return False
    return all(network.processes(machine.namespace) for machine in known[0].machines)


def bring_up(lab: Lab, options: Options, progress: Progress, runner: asyncio.Runner) -> None:
    """Brings a lab up from nothing; what is left over from a crash is removed first.

    When it fails, everything that was made is removed again.

    Args:
        lab: the lab.
        options: how.
        progress: told of each step.
        runner: runs what waits for the apiserver. One for the whole command: gRPC keeps to its first event loop.

    Raises:
        LabFailed: a part did not come up in time.
        ProgramFailed: a program that was needed failed.
    """
    if record.has_remains(lab):
        with progress.step("removing what is left of an earlier run"):
            take_down(lab, options.config, grace_s=1.0)
    try:
        with progress.step(f"network of {lab.count} nodes, certificates"):
            _lay_out(lab, options)
        with progress.step("control plane and nodes"):
            for machine in lab.machines:
                machines.start(machine)
            _in_parallel(_equip, lab.nodes)
            runner.run(_nodes_ready(lab))
        certificates.write_admin(lab, options.config)
        record.write(lab, complete=True)
    except BaseException:
        take_down(lab, options.config, grace_s=1.0)
        raise


def _lay_out(lab: Lab, options: Options) -> None:
    lab.home.mkdir(mode=0o700, parents=True)
    record.write(lab, complete=False)
    network.build(lab)
    certificates.issue(lab, datetime.now(UTC))
    lower_oom_score = containerd.may_lower_oom_score()
    for machine in lab.machines:
        machine.logs.mkdir(parents=True)
    for node in lab.nodes:
        text = containerd.configuration(node, lower_oom_score=lower_oom_score)
        (node.home / "containerd.toml").write_text(text)
        _supervise(node, supervision.node_programs(lab, node), options)
    _supervise(
        lab.control, supervision.control_programs(lab, node_grace_s=options.node_grace_s, etcd=options.etcd), options
    )


def _supervise(machine: Machine, programs: list[supervision.Program], options: Options) -> None:
    text = supervision.configuration(machine, programs, log_level=options.log_level)
    (machine.home / "supervisor.conf").write_text(text)


def _equip(node: Machine) -> None:
    """Gives a node its images as soon as its containerd answers."""
    _wait(node.containerd_socket.exists, f"containerd of {node.name}", node)
    archives = containerd.built_images()
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            containerd.import_images(node, archives)
            return
        except ProgramFailed as error:
            if time.monotonic() > deadline:
                raise LabFailed(f"node {node.name} does not take images: {error}") from error
            time.sleep(POLL_S)


def _wait(ready: Callable[[], bool], what: str, machine: Machine) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while not ready():
        if time.monotonic() > deadline:
            said = machines.boot_failure(machine)
            raise LabFailed(
                f"{what} did not come up within {START_DEADLINE_S:g} s; see {machine.logs}"
                + (f": {said}" if said else "")
            )
        time.sleep(POLL_S)


def _in_parallel(work: Callable[[Machine], None], nodes: list[Machine]) -> None:
    with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        for done in [pool.submit(work, node) for node in nodes]:
            done.result()


async def _nodes_ready(lab: Lab) -> None:
    """Waits until the apiserver serves and every node is Ready."""
    async with connect_to(certificates.admin_context(lab)) as api:
        missing: set[str] = {node.name for node in lab.nodes}
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                await _every_node_ready(api, missing)
        except TimeoutError as error:
            where = ", ".join(sorted(missing)) or "the control plane"
            raise LabFailed(f"not ready within {START_DEADLINE_S:g} s: {where}\n{_last_words(lab)}") from error


def _last_words(lab: Lab) -> str:
    """The last line that every service logged: with the lab its logs go, and one of these says why."""
    lines: list[str] = []
    for machine in lab.machines:
        for log in sorted(machine.logs.glob("*.log")):
            text = log.read_text(errors="replace").strip()
            if log.stem in ("machine", "supervisord"):
                continue
            lines.append(f"  {machine.name}/{log.stem}: {text.splitlines()[-1][:300] if text else '(nothing)'}")
    return "\n".join(lines)


async def _every_node_ready(api: Api, missing: set[str]) -> None:
    changed = asyncio.Event()
    nodes: Informer[Node] = Informer(api.nodes)

    def note(_old: Node | None, new: Node | None) -> None:
        if new is not None and any(c.type == "Ready" and c.status == "True" for c in new.status.conditions):
            missing.discard(new.metadata.name)
        changed.set()

    nodes.on_change(note)
    following = asyncio.create_task(nodes.run())
    try:
        while missing:
            changed.clear()
            await changed.wait()
    finally:
        following.cancel()
