"""`steer cluster-info`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import colour, output, session
from steersman.cli.command import Command
from steersman.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from steersman.client import Api

EPILOG = """\b
Examples:
  steer cluster-info
  steer cluster-info dump -n kube-system      every object of a namespace, for somebody who is to help
  steer cluster-info dump -A > everything.yaml
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", required=False, metavar="[dump]")
@session.namespace_option
@session.all_namespaces_option
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json"]), default="yaml", help="Form of the dump.")
@click.pass_context
def command(ctx: click.Context, what: str | None, namespace: str | None, all_namespaces: bool, fmt: str) -> None:
    """Say where the cluster is and how it is doing."""
    if what not in (None, "dump"):
        raise CommandError(f"{what!r}: only dump can be said there", USAGE)

    async def work(api: Api) -> None:
        if what == "dump":
            await _dump(api, "" if all_namespaces else api.namespace, fmt)
        else:
            await _info(api, session.context_of(ctx, namespace).server)

    session.run(ctx, namespace, work)


def _strong(text: str) -> str:
    return colour.painted(text, "green") if colour.enabled(sys.stdout) else text


async def _info(api: Api, server: str) -> None:
    from steersman import errors

    services = []
    try:
        services = await api.services.list(namespace="kube-system")
        nodes: list[Any] | None = await api.nodes.list()
    except errors.Forbidden:
        nodes = None
    output.write(f"Steersman control plane is running at {_strong(server)}")
    for service in services:
        if (
            service.metadata.labels.get("kubernetes.io/cluster-service") == "true"
            or service.metadata.name == "kube-dns"
        ):
            name = service.metadata.labels.get("kubernetes.io/name", service.metadata.name)
            ports = ",".join(f"{port.port}/{port.protocol}" for port in service.spec.ports)
            output.write(f"{name} is running at {_strong(service.spec.cluster_ip)} ({ports})")
    if nodes is not None:
        ready = sum(any(c.type == "Ready" and c.status == "True" for c in node.status.conditions) for node in nodes)
        versions = Counter(node.status.node_info.kubelet_version for node in nodes)
        said = ", ".join(f"{count} of {version}" for version, count in sorted(versions.items()) if version)
        output.write(f"{ready} of {len(nodes)} nodes are ready" + (f" ({said})" if said else ""))


async def _dump(api: Api, namespace: str, fmt: str) -> None:
    """Every object but secrets: it is for somebody else's eyes."""
    from steersman import errors, kinds

    data = []
    for kind in kinds.every():
        if kind.kind == "Secret" or (namespace and not kind.namespaced and kind.kind != "Node"):
            continue
        try:
            found = await api.resource(kind).list(namespace=namespace if kind.namespaced else "")
        except errors.Forbidden:
            click.echo(f"could not look at {kind.plural}: you may not list them", err=True)
            continue
        data += [output.tidy(obj) for obj in found]
    output.write(output.document(output.listed(data), fmt))
