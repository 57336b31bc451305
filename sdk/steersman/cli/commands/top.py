"""`steer top`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from steersman.cli import output, session
from steersman.cli.command import Command, Group
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.results import note
from steersman.cli.usage import Use, cores, mebibytes, of_pod, share, sort, use_of
from steersman.client import Api

EPILOG = """\b
Examples:
  steer top nodes
  steer top pods -A --sort-by memory
  steer top pod web-6n-x2x --containers
"""
UNKNOWN = "<unknown>"
# The apiserver waits a few seconds for nodes, and tells of those that do not answer.
ANSWER_S = 20.0


@click.group(cls=Group, epilog=EPILOG)
def command() -> None:
    """Show how much processor time and memory pods and nodes use at this moment."""


SORT = click.option("--sort-by", type=click.Choice(["cpu", "memory"]), help="The largest first.")
HEADERS = click.option("--no-headers", is_flag=True, help="Leave the headings out.")


def pods(
    ctx: click.Context,
    name: str | None,
    namespace: str | None,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    containers: bool,
    total: bool,
    sort_by: str | None,
    no_headers: bool,
) -> None:
    """Show what pods use: all of a namespace, or one."""
    from steersman.metrics.v1.pod_metrics_pb2 import ListPodMetricsRequest, PodMetricsList

    if name and (selector or field_selector or all_namespaces):
        raise CommandError("a name, or -l, --field-selector or -A, not both", USAGE)

    async def work(api: Api) -> Any:
        method = api.channel.unary_unary(
            "/steersman.metrics.v1.Pods/List",
            request_serializer=ListPodMetricsRequest.SerializeToString,
            response_deserializer=PodMetricsList.FromString,
        )
        request = ListPodMetricsRequest(
            namespace="" if all_namespaces else api.namespace,
            name=name or "",
            label_selector=selector,
            field_selector=field_selector,
        )
        if name:
            # Who mistypes it is told so, rather than that it uses nothing.
            await api.pods.get(name, namespace=api.namespace)
        return await api.unary(method, request, idempotent=True, timeout_s=ANSWER_S)

    found: Any = session.run(ctx, namespace, work)
    _tell(found)
    if not found.items:
        note("nothing is measured: there are no such pods that run")
        return
    rows: list[list[str]] = []
    sum_of = Use()
    for use, metrics in sort(((of_pod(each), each) for each in found.items), sort_by or ""):
        place = [metrics.metadata.namespace] if all_namespaces else []
        sum_of += use
        if not containers:
            rows.append([*place, metrics.metadata.name, cores(use.cpu), mebibytes(use.memory)])
            continue
        inner = sort(((use_of(each.usage), each) for each in metrics.containers), sort_by or "")
        rows += [
            [*place, metrics.metadata.name, each.name, cores(use.cpu), mebibytes(use.memory)] for use, each in inner
        ]
    head = [*(["NAMESPACE"] if all_namespaces else []), *(["POD", "NAME"] if containers else ["NAME"])]
    if total:
        empty = [""] * (len(head) - 1)
        rows.append([*empty, "total", cores(sum_of.cpu), mebibytes(sum_of.memory)])
    output.write(output.table([*head, "CPU(cores)", "MEMORY(bytes)"], rows, head=not no_headers))


def nodes(
    ctx: click.Context,
    name: str | None,
    selector: str,
    show_capacity: bool,
    sort_by: str | None,
    no_headers: bool,
) -> None:
    """Show what nodes use, and which share that is of what they have for pods."""
    from steersman.metrics.v1.node_metrics_pb2 import ListNodeMetricsRequest, NodeMetricsList

    if name and selector:
        raise CommandError("a name or -l, not both", USAGE)

    async def work(api: Api) -> tuple[Any, list[Any]]:
        method = api.channel.unary_unary(
            "/steersman.metrics.v1.Nodes/List",
            request_serializer=ListNodeMetricsRequest.SerializeToString,
            response_deserializer=NodeMetricsList.FromString,
        )
        known = [await api.nodes.get(name)] if name else await api.nodes.list(label_selector=selector)
        request = ListNodeMetricsRequest(name=name or "", label_selector=selector)
        return await api.unary(method, request, idempotent=True, timeout_s=ANSWER_S), known

    found, known = session.run(ctx, None, work)
    _tell(found)
    uses = {each.metadata.name: use_of(each.usage) for each in found.items}
    measured = [(uses[node.metadata.name], node) for node in known if node.metadata.name in uses]
    rows = []
    for use, node in sort(measured, sort_by or ""):
        has = use_of(node.status.capacity if show_capacity else node.status.allocatable)
        rows.append(
            [
                node.metadata.name,
                cores(use.cpu),
                share(use.cpu, has.cpu or Decimal(0)),
                mebibytes(use.memory),
                share(use.memory, has.memory or Decimal(0)),
            ]
        )
    rows += [[node.metadata.name, *[UNKNOWN] * 4] for node in known if node.metadata.name not in uses]
    if not rows:
        note("there are no such nodes")
        return
    output.write(
        output.table(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], rows, head=not no_headers)
    )


def _tell(found: Any) -> None:
    for each in found.unanswered:
        note(f"warning: node {each.node} has not answered: {each.reason}")


_POD_OPTIONS = (
    click.argument("name", required=False, metavar="[NAME]"),
    session.namespace_option,
    session.all_namespaces_option,
    session.selector_options,
    click.option("--containers", is_flag=True, help="Each container."),
    click.option("--sum", "total", is_flag=True, help="All together, too."),
    SORT,
    HEADERS,
    click.pass_context,
)
_NODE_OPTIONS = (
    click.argument("name", required=False, metavar="[NAME]"),
    click.option("-l", "--selector", default="", metavar="QUERY", help="All nodes that match."),
    click.option("--show-capacity", is_flag=True, help="Shares of all that they have, not of what is for pods."),
    SORT,
    HEADERS,
    click.pass_context,
)


def _add(body: Any, options: tuple[Any, ...], *names: str) -> None:
    for option in reversed(options):
        body = option(body)
    for index, name in enumerate(names):
        parameters = list(reversed(body.__click_params__))
        command.add_command(
            Command(name, params=parameters, callback=body, help=body.__doc__, epilog=EPILOG, hidden=index > 0)
        )


_add(pods, _POD_OPTIONS, "pods", "pod", "po")
_add(nodes, _NODE_OPTIONS, "nodes", "node", "no")
