"""`steer drain`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from steersman.cli import session
from steersman.cli.command import MANAGER, SPAN, Command, dry_run_option
from steersman.cli.cordoning import nodes, set_closed
from steersman.cli.draining import Plan, Rules, name_of, plan
from steersman.cli.failures import FAILED, CommandError, say
from steersman.cli.gone import all_gone
from steersman.cli.progress import Progress
from steersman.cli.results import Results, Trouble, note
from steersman.cli.targets import Target
from steersman.client import Api
from steersman.retry import Backoff

EPILOG = """\b
Examples:
  steer drain n1 --ignore-daemonsets                     move all pods away, as their budgets allow
  steer drain n1 --ignore-daemonsets --delete-emptydir-data --timeout 5m
  steer drain n1 --pod-selector app=web                  only these
  steer drain n1 --dry-run                               which would go?
  steer uncordon n1                                      open it again afterwards
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="NODE...")
@click.option("-l", "--selector", default="", metavar="QUERY", help="All nodes that match.")
@click.option("--pod-selector", default="", metavar="QUERY", help="Only the pods that match.")
@click.option("--ignore-daemonsets", is_flag=True, help="Leave the pods of DaemonSets where they are.")
@click.option("--delete-emptydir-data", is_flag=True, help="Lose what pods keep in emptyDir volumes.")
@click.option("--force", is_flag=True, help="Also delete pods that nobody makes again.")
@click.option("--grace-period", type=int, default=-1, metavar="S", help="Seconds to stop in; -1: the pods' own.")
@click.option("--timeout", type=SPAN, default=0.0, metavar="SPAN", help="Give up after 90s, 5m; 0: never.")
@click.option("--disable-eviction", is_flag=True, help="Delete without asking the budgets for disruption.")
@click.option(
    "--skip-wait-for-delete-timeout",
    type=click.IntRange(0),
    default=0,
    metavar="S",
    help="Do not wait for pods that are being deleted for longer than this.",
)
@dry_run_option
@click.pass_context
def command(
    ctx: click.Context,
    words: tuple[str, ...],
    selector: str,
    pod_selector: str,
    ignore_daemonsets: bool,
    delete_emptydir_data: bool,
    force: bool,
    grace_period: int,
    timeout: float,
    disable_eviction: bool,
    skip_wait_for_delete_timeout: int,
    dry_run: str,
) -> None:
    """Close nodes for new pods and move their pods away, as far as budgets for disruption allow.

    A budget that allows none now is waited for. When something forbids draining a node (pods that would be lost), none
    of its pods goes; the node stays closed.
    """
    rules = Rules(ignore_daemonsets, delete_emptydir_data, force)

    async def work(api: Api) -> int:
        trouble, results = Trouble(), Results(None, dry_run)
        for target in await nodes(api, words, selector, "drain"):
            with trouble.told():
                await drain(api, target, results)
        return trouble.code

    async def drain(api: Api, target: Target, results: Results) -> None:
        await set_closed(api, target, closed=True, manager=MANAGER, dry_run=dry_run, results=results)
        pods = await api.pods.list(label_selector=pod_selector, field_selector=f"spec.nodeName={target.name}")
        sets = {(each.metadata.namespace, each.metadata.name) for each in await api.daemonsets.list()}
        decided = plan(pods, sets, rules)
        _check(target, decided)
        waited = [pod for pod in decided.go if not _is_stuck(pod, skip_wait_for_delete_timeout)]
        moving = Moving(api, None if grace_period < 0 else grace_period, dry_run, evict=not disable_eviction)
        left = await moving.run(waited, timeout or None)
        if left:
            names = ", ".join(name_of(pod) for pod in left)
            raise CommandError(f"{target}: not drained within {timeout:g} s; left: {names}")
        results.show(await target.again(api), "drained")

    raise SystemExit(session.run(ctx, None, work))


def _check(target: Target, decided: Plan) -> None:
    """Says what is to be known.

    Raises:
        CommandError: something forbids it.
    """
    if decided.forbidden:
        for text, pods in decided.forbidden.items():
            say(f"{target}: {_names(pods)} {text}")
        raise CommandError(
            f"{target} is not drained, and stays cordoned (steer uncordon {target.name} opens it)", FAILED
        )
    for text, pods in decided.warnings.items():
        note(f"warning: {_names(pods)} {text}")


def _names(pods: list[str]) -> str:
    return ", ".join(pods)


def _is_stuck(pod: Any, limit_s: int) -> bool:
    import time

    if not limit_s or not pod.metadata.HasField("deletion_timestamp"):
        return False
    return bool(time.time() - pod.metadata.deletion_timestamp.seconds > limit_s)


class Moving:
    """Makes pods go, each as soon as its budgets allow it."""

    def __init__(self, api: Api, grace_period_s: int | None, dry_run: str, *, evict: bool) -> None:
        self._api = api
        self._grace_period_s = grace_period_s
        self._dry_run = dry_run
        self._evict = evict
        self._progress = Progress()

    async def run(self, pods: list[Any], timeout_s: float | None) -> list[Any]:
        """Makes pods go and waits until they are gone.

        Returns:
            Those that are still there after `timeout_s` seconds.

        Raises:
            ApiError: one may not be evicted at all.
        """
        results = Results(None, self._dry_run)
        verb = "evicted" if self._evict else "deleted"
        if self._dry_run == "client":
            for pod in pods:
                results.show(pod, verb)
            return []
        left = {pod.metadata.uid: pod for pod in pods}

        async def one(pod: Any) -> None:
            await self._start(pod)
            if self._dry_run == "server":
                results.show(pod, verb)
                return
            await all_gone(self._api, [pod], name=name_of)
            del left[pod.metadata.uid]
            self._progress.clear()
            results.show(pod, verb)
            self._say_left(left)

        try:
            async with asyncio.timeout(timeout_s):
                await _together([one(pod) for pod in pods])
        except TimeoutError:
            return list(left.values())
        finally:
            self._progress.clear()
        return []

    async def _start(self, pod: Any) -> None:
        """Evicts or deletes a pod, trying again while a budget forbids it; one that is gone already is fine."""
        from steersman import errors

        backoff = Backoff(base_s=0.5, limit_s=5.0)
        metadata = pod.metadata
        said = False
        options: Mapping[str, Any] = {
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "grace_period_s": self._grace_period_s,
            "dry_run": self._dry_run == "server",
        }
        while True:
            try:
                if self._evict:
                    await self._api.pods.evict(metadata.name, **options)
                else:
                    await self._api.pods.delete(metadata.name, **options)
                return
            except errors.NotFound:
                return
            except errors.Conflict:
                # Another pod has its name by now, or it changes so fast that nobody could look at it.
                if not await self._is_there(pod):
                    return
                await asyncio.sleep(backoff.next_s())
            except errors.Exhausted as error:
                if self._dry_run == "server":
                    note(f"{name_of(pod)} would have to wait: {error.message}")
                    return
                if not said:
                    self._progress.clear()
                    note(f"{name_of(pod)} waits: {error.message}")
                    said = True
                await asyncio.sleep(backoff.next_s())

    async def _is_there(self, pod: Any) -> bool:
        from steersman import errors

        try:
            current = await self._api.pods.get(pod.metadata.name, namespace=pod.metadata.namespace)
        except errors.NotFound:
            return False
        return bool(current.metadata.uid == pod.metadata.uid)

    def _say_left(self, left: Mapping[str, Any]) -> None:
        if left:
            self._progress.show(f"waiting for {len(left)} to go: {', '.join(map(name_of, left.values()))}")


async def _together(works: list[Any]) -> None:
    """Does all at once; when one fails the others are given up."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
