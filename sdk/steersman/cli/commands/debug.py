"""`steer debug`."""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace as replace_of
from typing import Any

import click

from steersman.cli import output, session
from steersman.cli.attaching import started, stay
from steersman.cli.command import SPAN, Command, manager_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import base, debugging, message, pair
from steersman.cli.generators.debugging import PROFILES, Copying, Tools
from steersman.cli.results import note
from steersman.cli.targets import Target
from steersman.client import Api

EPILOG = """\b
Examples:
  steer debug -it web-6n-x2x --image busybox                  a shell in a running pod
  steer debug -it web-6n-x2x --image busybox --target web     that sees the processes of one of its containers
  steer debug -it node/n1 --image busybox                     on a node; its files are at /host
  steer debug -it web-6n-x2x --copy-to web-debug --image busybox
  steer debug web-6n-x2x --copy-to web-debug --set-image '*=shop/web:debug'
"""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", metavar="POD | node/NAME")
@click.argument("words", nargs=-1, metavar="[-- COMMAND [ARGUMENT]...]")
@click.option("--image", default="", metavar="IMAGE", help="With the tools.")
@click.option(
    "-c", "--container", default="", metavar="NAME", help="Name of the new container, or of the one to change."
)
@click.option("--target", default="", metavar="NAME", help="The container whose processes are to be seen.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="With a terminal.")
@click.option("--attach/--no-attach", default=None, help="Show what it writes; -i does so too.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="A variable.")
@click.option("--arguments-only", is_flag=True, help="The words are arguments of the image's own program.")
@click.option("--profile", type=click.Choice(list(PROFILES)), help="What it may do: general, or sysadmin on a node.")
@click.option("--copy-to", default="", metavar="NAME", help="Leave the pod alone, and make a copy of it.")
@click.option("--replace", is_flag=True, help="Delete the pod that is copied.")
@click.option("--same-node", is_flag=True, help="The copy runs on the same node.")
@click.option(
    "--set-image", "images", multiple=True, metavar="CONTAINER=IMAGE", help="Other images in the copy; *: all."
)
@click.option("--share-processes/--no-share-processes", default=True, help="Containers of the copy see one another.")
@click.option("--keep-labels", is_flag=True, help="The copy has the labels, and what comes with them.")
@click.option("--keep-probes", is_flag=True, help="The copy is probed.")
@click.option("--pod-running-timeout", type=SPAN, default=60.0, metavar="SPAN", help="How long to wait for its start.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of one's own.")
@session.namespace_option
@manager_option
@click.pass_context
def command(
    ctx: click.Context,
    what: str,
    words: tuple[str, ...],
    image: str,
    container: str,
    target: str,
    stdin: bool,
    tty: bool,
    attach: bool | None,
    environment: tuple[str, ...],
    arguments_only: bool,
    profile: str | None,
    copy_to: str,
    replace: bool,
    same_node: bool,
    images: tuple[str, ...],
    share_processes: bool,
    keep_labels: bool,
    keep_probes: bool,
    pod_running_timeout: float,
    quiet: bool,
    namespace: str | None,
    manager: str,
) -> None:
    """Look into a pod or a node with tools of your own."""
    attached = stdin if attach is None else attach
    named = session.one([what] if "/" in what else ["pod", what])
    if named.kind.kind not in ("Pod", "Node"):
        raise CommandError(f"{named.kind.plural} cannot be looked into; pods and nodes can", USAGE)
    on_node = named.kind.kind == "Node"
    if not copy_to and (replace or same_node or images or keep_labels or keep_probes):
        raise CommandError("--replace, --same-node, --set-image and --keep-... go with --copy-to", USAGE)
    if on_node and (copy_to or target):
        raise CommandError("--copy-to and --target are for pods", USAGE)
    if not image and not (copy_to and (images or container)):
        raise CommandError("which image, with the tools? --image IMAGE", USAGE)
    tools = Tools(
        name=container or "debugger",
        image=image,
        words=words,
        arguments_only=arguments_only,
        environment=dict(pair(word, "--env") for word in environment),
        stdin=stdin,
        tty=tty,
        profile=profile or ("sysadmin" if on_node else "general"),
    )

    async def work(api: Api) -> None:
        place = Target(named.kind, named.name or "", "" if on_node else api.namespace)
        found = await place.again(api)
        if on_node:
            pod, looked_at = await node_pod(api, found), tools.name
        elif copy_to:
            pod, looked_at = await copied(api, found)
        else:
            pod, looked_at = await added(api, found)
        if attached:
            there = await started(api, pod.metadata.namespace, pod.metadata.name, looked_at, pod_running_timeout)
            await stay(api, there, looked_at, stdin=stdin, tty=tty and sys.stdin.isatty())

    async def added(api: Api, pod: Any) -> tuple[Any, str]:
        from steersman import errors

        own = tools if container else replace_of(tools, name=f"debugger-{_suffix()}")
        extra = debugging.ephemeral(own, target)
        made = message({**base("v1", "Pod", "p"), "spec": {"containers": [], "ephemeralContainers": [extra]}})
        for _ in range(10):
            if own.name in _names(pod):
                raise CommandError(f"pod/{pod.metadata.name} has a container {own.name!r} already")
            pod.spec.ephemeral_containers.extend(made.spec.ephemeral_containers)
            try:
                pod = await api.pods.update_ephemeral_containers(pod, field_manager=manager)
            except errors.Conflict:
                pod = await api.pods.get(pod.metadata.name, namespace=pod.metadata.namespace)
                continue
            if not quiet:
                note(f"container {own.name} is added to pod/{pod.metadata.name}")
            return pod, own.name
        raise CommandError(f"pod/{pod.metadata.name} changes too fast to add a container to it")

    async def node_pod(api: Api, node: Any) -> Any:
        name = f"node-debugger-{node.metadata.name[:200]}-{_suffix()}"
        pod = message(debugging.node_pod(name, node.metadata.name, tools))
        made = await api.pods.create(pod, field_manager=manager)
        if not quiet:
            note(f"{output.full_name(made)} is on node {node.metadata.name}, whose files are at /host in it")
        return made

    async def copied(api: Api, pod: Any) -> tuple[Any, str]:
        from steersman.manifests import codec

        how = Copying(
            name=copy_to,
            same_node=same_node,
            share_processes=share_processes,
            keep_labels=keep_labels,
            keep_probes=keep_probes,
            images=dict(pair(word, "--set-image") for word in images),
        )
        names = {each.name for each in pod.spec.containers}
        change = container if container in names else ""
        wanted = tools if image or change else None
        made = message(debugging.copied(codec.encode_object(pod), how, wanted, change))
        made = await api.pods.create(made, field_manager=manager)
        if not quiet:
            note(f"{output.full_name(made)} is a copy of pod/{pod.metadata.name}")
        if replace:
            await api.pods.delete(pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid)
        return made, change or (tools.name if wanted is not None else made.spec.containers[0].name)

    session.run(ctx, namespace, work)


def _names(pod: Any) -> set[str]:
    """The names of all of a pod's containers."""
    spec = pod.spec
    extra = (each.ephemeral_container_common for each in spec.ephemeral_containers)
    return {each.name for each in (*spec.init_containers, *spec.containers, *extra)}


def _suffix() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(5))
