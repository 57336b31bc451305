"""`steer run`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from steersman.cli import patching, session
from steersman.cli.command import SPAN, Command, dry_run_option, manager_option, result_option
from steersman.cli.failures import USAGE, CommandError
from steersman.cli.generators import Data, message, networking, pairs, workloads
from steersman.cli.results import Results, note
from steersman.client import Api

EPILOG = """\b
Examples:
  steer run web --image shop/web:1 --port 80 --expose      a pod, and a Service for it
  steer run -it --rm shell --image busybox -- sh           a shell that leaves nothing behind
  steer run once --image busybox --restart Never --attach -- date
  steer run web --image shop/web:1 --env COLOR=blue --dry-run=client -o yaml
"""
# How long the end of a program may take to be known after its output has ended.
END_S = 10.0


@click.command(cls=Command, epilog=EPILOG)
@click.argument("name", metavar="NAME")
@click.argument("words", nargs=-1, metavar="[-- [COMMAND] ARGUMENT...]")
@click.option("--image", required=True, metavar="IMAGE", help="What to run.")
@click.option("--command", "as_command", is_flag=True, help="The words are the program itself, not its arguments.")
@click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", help="A variable.")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="A port that it listens on.")
@click.option("--expose", is_flag=True, help="Also make a Service for the port.")
@click.option("-l", "--labels", multiple=True, metavar="KEY=VALUE,...", help="Labels; run=NAME without any.")
@click.option("--annotations", multiple=True, metavar="KEY=VALUE", help="Annotations.")
@click.option(
    "--restart", type=click.Choice(["Always", "OnFailure", "Never"]), default="Always", show_default=True, help="When."
)
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="With a terminal.")
@click.option("--attach/--no-attach", default=None, help="Show what it writes until it ends; -i does so too.")
@click.option("--rm/--no-rm", default=False, help="Delete the pod afterwards.")
@click.option("--leave-stdin-open", is_flag=True, help="Let others type later, too.")
@click.option("--privileged", is_flag=True, help="It may do everything that its node may.")
@click.option("--image-pull-policy", type=click.Choice(["Always", "IfNotPresent", "Never"]), help="When to pull it.")
@click.option("--overrides", metavar="JSON", help="A merge patch for the pod.")
@click.option("--pod-running-timeout", type=SPAN, default=60.0, metavar="SPAN", help="How long to wait for its start.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of one's own.")
@session.namespace_option
@manager_option
@dry_run_option
@result_option
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    words: tuple[str, ...],
    image: str,
    as_command: bool,
    environment: tuple[str, ...],
    port: int | None,
    expose: bool,
    labels: tuple[str, ...],
    annotations: tuple[str, ...],
    restart: str,
    stdin: bool,
    tty: bool,
    attach: bool | None,
    rm: bool,
    leave_stdin_open: bool,
    privileged: bool,
    image_pull_policy: str | None,
    overrides: str | None,
    pod_running_timeout: float,
    quiet: bool,
    namespace: str | None,
    manager: str,
    dry_run: str,
    fmt: str | None,
) -> None:
    """Run an image in a new pod; with -it as if it ran here."""
    attached = stdin if attach is None else attach
    if rm and not attached:
        raise CommandError("--rm goes with --attach or -i: otherwise nobody waits for the end", USAGE)
    if rm and dry_run != "none":
        raise CommandError("--rm and --dry-run do not go together", USAGE)
    if tty and not stdin:
        raise CommandError("-t goes with -i", USAGE)
    if expose and port is None:
        raise CommandError("--expose goes with --port", USAGE)
    label_map = pairs(labels, "--labels") or {"run": name}
    pod = workloads.pod(
        name,
        image,
        words=words,
        as_command=as_command,
        environment=dict(_variable(word) for word in environment),
        labels=label_map,
        annotations=pairs(annotations, "--annotations"),
        port=port,
        restart=restart,
        stdin=stdin,
        tty=tty,
        stdin_once=stdin and not leave_stdin_open,
        privileged=privileged,
        pull_policy=image_pull_policy or "",
    )
    if overrides is not None:
        pod = _overridden(pod, overrides)
    made = [message(pod)]
    if expose:
        one = networking.exposing(
            name, label_map, networking.exposed_ports([port or 0], {}, "", ""), labels={}, type="ClusterIP"
        )
        made.insert(0, message(one))
    results = Results(fmt, dry_run)
    silent = quiet or (attached and fmt is None and dry_run == "none")
    if dry_run == "client":
        for obj in made:
            obj.metadata.namespace = namespace or ""
            results.show(obj, "created")
        results.close()
        return

    async def work(api: Api) -> int:
        stored = []
        for obj in made:
            one = await api.resource(type(obj)).create(obj, field_manager=manager, dry_run=dry_run == "server")
            stored.append(one)
            if not silent:
                results.show(one, "created")
        results.close()
        if not attached or dry_run != "none":
            return 0
        try:
            return await _attached(api, stored[-1], stdin=stdin, tty=tty, restart=restart, limit_s=pod_running_timeout)
        finally:
            if rm:
                await _remove(api, stored, quiet=quiet)

    raise SystemExit(session.run(ctx, namespace, work))


def _variable(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise CommandError(f"--env {word!r} is not NAME=VALUE", USAGE)
    return key, value


def _overridden(pod: Data, text: str) -> Data:
    try:
        patch = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--overrides is not JSON: {error}", USAGE) from error
    if not isinstance(patch, dict):
        raise CommandError("--overrides is a mapping", USAGE)
    merged: Data = patching.merged(pod, patch)
    return merged


async def _attached(api: Api, pod: Any, *, stdin: bool, tty: bool, restart: str, limit_s: float) -> int:
    from steersman.cli.attaching import exit_code, started, stay

    namespace, name, container = pod.metadata.namespace, pod.metadata.name, pod.spec.containers[0].name
    there = await started(api, namespace, name, container, limit_s)
    await stay(api, there, container, stdin=stdin, tty=tty and sys.stdin.isatty())
    if restart == "Always":
        return 0
    code = await exit_code(api, namespace, name, container, END_S)
    return code or 0


async def _remove(api: Api, objects: list[Any], *, quiet: bool) -> None:
    """Deletes what was made; what is gone already is fine."""
    from steersman import errors
    from steersman.cli import output

    for obj in objects:
        try:
            await api.resource(type(obj)).delete(
                obj.metadata.name, namespace=obj.metadata.namespace, uid=obj.metadata.uid
            )
        except (errors.NotFound, errors.Conflict):
            continue
        if not quiet:
            note(f"{output.full_name(obj)} deleted")
