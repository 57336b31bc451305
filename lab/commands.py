"""`steer up`, `steer down`, `steer status`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from steersman.cli.failures import CommandError, told

if TYPE_CHECKING:
    from lab.layout import Lab
    from lab.progress import Progress

NAME = "lab"


@contextmanager
def _explained() -> Iterator[None]:
    """Turns what can go wrong with a lab into a clear line and an exit code."""
    from lab.images import ImageSourceError
    from lab.layout import LayoutError
    from lab.programs import ProgramFailed
    from lab.record import LabBusy
    from lab.requirements import RequirementsMissing
    from lab.up import LabFailed

    with told():
        try:
            yield
        except RequirementsMissing as error:
            lines = "\n".join(f"  {what}" for what in error.missing)
            raise CommandError(f"this machine lacks what a cluster needs:\n{lines}") from error
        except (LayoutError, LabBusy, LabFailed, ProgramFailed, ImageSourceError) as error:
            raise CommandError(str(error)) from error


def _config_path(ctx: click.Context) -> Path:
    from steersman import config

    given = (ctx.find_root().obj or {}).get("config")
    return Path(given) if given else config.default_path()


_name_option = click.option("--name", default=NAME, show_default=True, metavar="NAME", help="Name of the cluster.")


@click.command(
    epilog="""\b
Examples:
  steer up                      three nodes
  steer up --nodes 5
  steer up --demo               and an example that answers requests
  steer up --name second        a second cluster beside the first
"""
)
@_name_option
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(1, 32), metavar="N", help="How many nodes.")
@click.option("--demo", is_flag=True, help="Apply examples/web.yaml and show its answers.")
@click.option(
    "--node-grace-period",
    default=40.0,
    show_default=True,
    metavar="S",
    help="How long a node may be silent before it counts as lost.",
)
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What services log.",
)
@click.option(
    "--store",
    default="steersman",
    show_default=True,
    type=click.Choice(["steersman", "etcd"]),
    help="What keeps the objects: our store, or a real etcd (Debian's etcd-server).",
)
@click.pass_context
def up(
    ctx: click.Context, name: str, nodes: int, demo: bool, node_grace_period: float, log_level: str, store: str
) -> None:
    """Bring a cluster up on this machine, each node in a network namespace of its own.

    The machine's own network is not touched. When a cluster of this name runs, nothing changes.
    """
    from steersman.service import logs

    from lab import record, requirements
    from lab.layout import Lab
    from lab.progress import Progress
    from lab.up import Options, bring_up, is_running

    with _explained():
        # What the SDK logs while it waits for the apiserver is no news to a person.
        logs.configure("steer", level="error")
        requirements.check(etcd=store == "etcd")
        lab = Lab(name, nodes)
        progress = Progress()
        config = _config_path(ctx)
        with asyncio.Runner() as runner:
            with record.locked(lab):
                if is_running(lab):
                    click.echo(f"The cluster {name!r} is running already; nothing was changed. See: steer status")
                    return
                bring_up(lab, Options(config, node_grace_period, log_level, etcd=store == "etcd"), progress, runner)
            took = time.monotonic() - progress.started
            click.echo(f"The cluster {name!r} of {nodes} nodes is up after {took:.1f} s.", err=True)
            if demo:
                _demo(lab, progress, runner)
        _next_steps(demo)


def _demo(lab: Lab, progress: Progress, runner: asyncio.Runner) -> None:
    from steersman import kinds
    from steersman.cli import columns, output

    from lab import demo
    from lab.layout import Lab
    from lab.progress import Progress

    assert isinstance(lab, Lab)
    assert isinstance(progress, Progress)
    with progress.step("example: apply examples/web.yaml, wait for its pods"):
        example = runner.run(demo.apply(lab))
    now = datetime.now(UTC)
    for title, kind, objects in (
        ("steer get nodes -o wide", kinds.by_api("v1", "Node"), example.nodes),
        ("steer get pods -o wide", kinds.by_api("v1", "Pod"), example.pods),
    ):
        chosen = columns.columns(kind, wide=True, with_namespace=False)
        rows = [columns.cells(obj, chosen, now) for obj in columns.order(kind, objects)]
        click.echo(f"\n$ {title}")
        click.echo(output.table([column.heading for column in chosen], rows))
    click.echo(f"\nFrom node n1, several requests to the Service's address {example.service}:")
    answered = demo.answers(lab, example)
    for answer in answered:
        click.echo(f"  {answer}")
    if not answered:
        raise CommandError("the Service does not answer; see: steer get endpointslices, steer status")
    click.echo(f"{len(set(answered))} different pods answered.")


def _next_steps(demo: bool) -> None:
    steer = Path(sys.argv[0])
    steps = [
        ("get pods -A -o wide", "what runs where"),
        *(
            [("scale deploy/web --replicas 5", "more of it")]
            if demo
            else [("apply -f examples/web.yaml", "run something")]
        ),
        ("describe node n1", "everything about a node"),
        ("down", "take everything away again"),
    ]
    shown = steer.name if str(steer.parent) in os.environ.get("PATH", "").split(":") else _short(steer)
    click.echo("\nNext:")
    width = max(len(words) for words, _ in steps)
    for words, why in steps:
        click.echo(f"  {shown} {words:<{width}}   # {why}")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


@click.command(epilog="\b\nExamples:\n  steer down\n  steer down --name second")
@_name_option
@click.pass_context
def down(ctx: click.Context, name: str) -> None:
    """Take a cluster down: all of its processes, mounts, namespaces, control groups and files.

    Works also on what a crash has left of one.
    """
    from lab import record
    from lab.down import take_down
    from lab.layout import Lab
    from lab.progress import Progress

    with _explained():
        if os.geteuid() != 0:
            raise CommandError("root rights are needed to take a cluster down; try with sudo")
        lab = Lab(name)
        if not record.has_remains(lab):
            click.echo(f"There is no cluster {name!r} on this machine.")
            return
        with record.locked(lab), Progress().step(f"taking the cluster {name!r} down"):
            take_down(lab, _config_path(ctx))


@click.command(epilog="\b\nExamples:\n  steer status\n  steer status --name second")
@_name_option
@click.pass_context
def status(ctx: click.Context, name: str) -> None:
    """Show how a cluster on this machine is doing: every service, its state, and where its log is."""
    from steersman.cli import cells, output

    from lab import record, supervision
    from lab.layout import Lab

    with _explained():
        known = record.recorded(Lab(name))
        if known is None:
            raise CommandError(f"there is no cluster {name!r} on this machine; steer up starts one")
        lab, complete = known
        rows: list[list[str]] = []
        healthy = complete
        for machine in lab.machines:
            try:
                states = supervision.states(machine)
            except supervision.SupervisorAway:
                healthy = False
                rows.append([machine.name, str(machine.address), "-", "DOWN", "-", str(machine.logs)])
                continue
            for state in states:
                healthy = healthy and state.state == "RUNNING"
                since = cells.duration(max(0, int(time.time() - state.since))) if state.since else "-"
                log = str(machine.logs / f"{state.name}.log")
                rows.append([machine.name, str(machine.address), state.name, state.state, since, log])
        click.echo(output.table(["MACHINE", "ADDRESS", "SERVICE", "STATE", "FOR", "LOG"], rows))
        if not healthy:
            raise SystemExit(1)
