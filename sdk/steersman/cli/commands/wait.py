"""`steer wait`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from steersman.cli import output, session
from steersman.cli.awaited import CREATE, state_of
from steersman.cli.command import SPAN, Command
from steersman.cli.failures import FAILED, NOT_FOUND, CommandError, say
from steersman.cli.targets import Choice, Target, choice_options, chosen

if TYPE_CHECKING:
    from steersman.client import Api
    from steersman.until import Until

EPILOG = """\b
Examples:
  steer wait pod/web-0 --for=condition=Ready --timeout=60s
  steer wait deploy/web --for=condition=Available
  steer wait pods -l app=web --for=condition=Ready=false
  steer wait pods --all --for=delete
  steer wait job/sum --for=condition=Complete --for=condition=Failed --any
  steer wait pod/web-0 --for=jsonpath='{.status.phase}'=Running
  steer wait cm/late --for=create
"""
# After this long a person is told what is being waited for.
PATIENCE_S = 2.0
WEEK_S = 7 * 86400.0


@click.command(cls=Command, epilog=EPILOG)
@click.argument("what", nargs=-1, metavar="KIND/NAME... | KIND NAME... | KIND -l QUERY | KIND --all")
@session.namespace_option
@choice_options(all_namespaces=True)
@click.option("--for", "states", multiple=True, required=True, metavar="STATE", help="What to wait for.")
@click.option("--any", "any_state", is_flag=True, help="Of several states, wait for any and not for all.")
@click.option("--timeout", type=SPAN, default=30.0, metavar="SPAN", help="How long; 0: look once; -1s: a week. [30s]")
@click.option("-o", "--output", "fmt", type=click.Choice(["yaml", "json", "name"]), help="Show the objects then.")
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    namespace: str | None,
    filenames: tuple[str, ...],
    recursive: bool,
    selector: str,
    field_selector: str,
    everything: bool,
    all_namespaces: bool,
    states: tuple[str, ...],
    any_state: bool,
    timeout: float,
    fmt: str | None,
) -> None:
    """Wait until objects are as you want them."""
    # Before anything is waited for: a state that makes no sense.
    for state in states:
        state_of(state)
    choice = Choice(what, filenames, recursive, selector, field_selector, everything, all_namespaces)

    async def work(api: Api) -> int:
        targets = await chosen(api, choice, "wait for")
        if not targets:
            if states == ("delete",):
                return 0
            raise CommandError("there are no such objects to wait for")
        timeout_s = WEEK_S if timeout < 0 else timeout
        waits = [_Wait(api, target, states, any_state, quiet=fmt is not None) for target in targets]
        codes = await _all(waits, timeout_s)
        objects = [wait.found for wait in waits if wait.found is not None]
        if fmt == "name":
            for obj in objects:
                output.write(output.full_name(obj))
        elif fmt is not None and objects:
            output.write(output.documents(objects, fmt, as_list=len(waits) > 1))
        return max(codes)

    code = session.run(ctx, namespace, work)
    if code:
        raise SystemExit(code)


async def _all(waits: list[_Wait], timeout_s: float) -> list[int]:
    """Waits for all at once, and tells a person on a terminal what is still to come."""
    from steersman.cli.progress import Progress

    progress = Progress()
    running = {asyncio.create_task(wait.run(timeout_s)): wait for wait in waits}
    pending = set(running)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    codes: list[int] = []
    try:
        while pending:
            done, pending = await asyncio.wait(pending, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            if done:
                progress.clear()
            for task in done:
                codes.append(running[task].tell(task))
            waited = loop.time() - begun
            if pending and waited >= PATIENCE_S:
                names = [str(running[task].target) for task in pending]
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                wanted = next(iter(running.values())).wanted
                progress.show(f"waiting for {min(names)}{more} to be {wanted}: {waited:.0f} s of {timeout_s:g} s")
    finally:
        progress.clear()
        for task in pending:
            task.cancel()
    return codes


class _Wait:
    """The wait for one object."""

    def __init__(self, api: Api, target: Target, states: tuple[str, ...], any_state: bool, *, quiet: bool) -> None:
        self._api = api
        self.target = target
        self._states = states
        self._any = any_state
        self._may_come = CREATE in states
        self._quiet = quiet
        self.wanted = ""
        self.found: Any = None

    def _until(self, uid: str) -> Until:
        from steersman import until

        states = [state_of(text, uid) for text in self._states]
        return until.any_of(*states) if self._any else until.all_of(*states)

    async def run(self, timeout_s: float) -> Any:
        from steersman import errors

        client: Any = self._api.resource(self.target.kind)
        wanted = self._until("")
        self.wanted = wanted.text
        try:
            now: Any = await self.target.again(self._api)
        except errors.NotFound:
            if not wanted(None) and not self._may_come:
                raise
            now = None
        if now is not None:
            wanted = self._until(now.metadata.uid)
        if wanted(now):
            return now
        return await client.wait(
            self.target.name, wanted, namespace=self.target.namespace, timeout_s=max(0.001, timeout_s)
        )

    def tell(self, task: asyncio.Task[Any]) -> int:
        """Says what came of it; the exit code."""
        from steersman import errors
        from steersman.until import WaitTimeout

        try:
            self.found = task.result()
        except WaitTimeout as error:
            after = f"after {error.timeout_s:g} s"
            if error.last is None:
                say(f"{self.target}: it is not there {after}")
            else:
                about = f"{self.target.kind.singular}/{self.target.name}"
                say(f"{self.target}: it is not {self.wanted} {after} (steer why {about})")
            return FAILED
        except errors.NotFound as error:
            say(error.message)
            return NOT_FOUND
        if not self._quiet:
            output.write(f"{self.target} is {self.wanted}")
        return 0
