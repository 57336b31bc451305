"""`steer expose`."""

from __future__ import annotations

from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import Command, dry_run_option, manager_option, result_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, message, networking, pairs
from steersman.cli.results import Results, Trouble
from steersman.cli.targets import Choice, Target, chosen
from steersman.client import Api

EPILOG = """\b
Examples:
  steer expose deploy/web --port 80 --target-port 8080
  steer expose deploy/web --port 80 --type NodePort --name web-outside
  steer expose pod/web-6n-x2x --port 80                 only this pod, by its labels
  steer expose service/web --port 443 --target-port https --name web-https
"""
KINDS = ("Pod", "Service", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet")


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME...")
@session.file_options
@session.namespace_option
@click.option("--port", "ports", default="", metavar="N,...", help="Ports of the Service; those of the pods without.")
@click.option("--target-port", default="", metavar="N|NAME", help="Port of the pods; the same without.")
@click.option("--protocol", default="", type=click.Choice(["", "TCP", "UDP", "SCTP"]), help="What is spoken.")
@click.option("--name", default="", metavar="NAME", help="Of the Service; the object's without.")
@click.option("--type", "kind", type=click.Choice(list(networking.TYPES.values())), help="How far it reaches.")
@click.option(
    "--selector", default="", metavar="KEY=VALUE,...", help="Labels of the pods; those of the object's without."
)
@click.option(
    "-l", "--labels", multiple=True, metavar="KEY=VALUE,...", help="Labels of the Service; the object's without."
)
@click.option("--cluster-ip", default="", metavar="ADDRESS", help="Its address; None: of the pods alone.")
@click.option("--external-ip", default="", metavar="ADDRESS", help="An address outside that nodes answer for.")
@click.option("--load-balancer-ip", default="", metavar="ADDRESS", help="The address outside.")
@click.option("--external-name", default="", metavar="HOST", help="The host that it stands for.")
@click.option("--session-affinity", default="", type=click.Choice(["", "None", "ClientIP"]), help="Who comes again.")
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    filenames: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    ports: str,
    target_port: str,
    protocol: str,
    name: str,
    kind: str | None,
    selector: str,
    labels: tuple[str, ...],
    cluster_ip: str,
    external_ip: str,
    load_balancer_ip: str,
    external_name: str,
    session_affinity: str,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Make a Service for the pods of an object."""
    numbers = _numbers(ports)

    async def work(api: Api) -> int:
        targets = await chosen(api, Choice(words, filenames, recursive), "expose")
        if name and len(targets) > 1:
            raise CommandError("--name is for one object", USAGE)
        results, trouble = Results(fmt, dry_run), Trouble()
        for target in targets:
            with trouble.told():
                made = message(service_of(target, await target.again(api)))
                made.metadata.namespace = target.namespace
                if dry_run != "client":
                    made = await api.services.create(made, field_manager=manager, dry_run=dry_run == "server")
                results.show(made, "exposed")
        results.close()
        return trouble.code

    def service_of(target: Target, obj: Any) -> Data:
        pods, known = (pairs([selector], "--selector") if selector else selected(target, obj)), protocols(obj)
        wanted = numbers or list(known)
        if not wanted:
            raise CommandError(f"{target} names no ports; --port N does", USAGE)
        return networking.exposing(
            name or target.name,
            pods,
            networking.exposed_ports(wanted, known, target_port, protocol),
            labels=pairs(labels, "--labels") if labels else dict(obj.metadata.labels),
            type=kind or "",
            cluster_ip=cluster_ip,
            external_ip=external_ip,
            load_balancer_ip=load_balancer_ip,
            external_name=external_name,
            affinity=session_affinity,
        )

    raise SystemExit(session.run(ctx, namespace, work))


def _numbers(text: str) -> list[int]:
    numbers = []
    for part in text.split(",") if text else []:
        if not part.strip().isdecimal() or not 1 <= int(part) <= 65535:
            raise CommandError(f"--port {part!r} is not a port: 1 to 65535", USAGE)
        numbers.append(int(part))
    return numbers


def selected(target: Target, obj: Any) -> dict[str, str]:
    """The labels of the pods that an object stands for. Pure.

    Raises:
        CommandError: it stands for none, or says which in a way that a Service cannot.
    """
    if target.kind.kind not in KINDS:
        raise CommandError(f"{target}: {target.kind.plural} cannot be exposed", USAGE)
    if target.kind.kind == "Pod":
        if not obj.metadata.labels:
            raise CommandError(f"{target} has no labels by which a Service could find it")
        return dict(obj.metadata.labels)
    found = obj.spec.selector
    if not hasattr(found, "match_labels"):
        if not found:
            raise CommandError(f"{target} selects no pods")
        return dict(found)
    if found.match_expressions:
        raise CommandError(f"{target} selects its pods by expressions, which a Service cannot; --selector names labels")
    return dict(found.match_labels)


def protocols(obj: Any) -> dict[int, str]:
    """The ports of an object's pods (or of a Service), and what is spoken there. Pure."""
    if obj.DESCRIPTOR.name == "Service":
        return {port.port: port.protocol or "TCP" for port in obj.spec.ports}
    spec = obj.spec if obj.DESCRIPTOR.name == "Pod" else obj.spec.template.spec
    return {port.container_port: port.protocol or "TCP" for each in spec.containers for port in each.ports}
