"""What a controller runs on: shared informers, reconcilers over work queues, events, an election of a leader.

    def websites(runtime: Runtime) -> None:
        sites = runtime.informer(ConfigMap, label_selector="kind=website")

        @runtime.reconciler(ConfigMap, owns=[Deployment], label_selector="kind=website")
        async def reconcile(key: Key) -> Result | None:
            site = sites.get(key)
            ...

    if __name__ == "__main__":
        main("website-controller", websites)

A reconciler is called with the key of an object whenever that object, or one that it owns, changes; what it reads
comes from informers that are complete before the first call. See `steersman.reconcile` for what its result and its
errors mean.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar, overload

from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from steersman import kinds
from steersman.client import Api
from steersman.clock import Clock, RealClock
from steersman.election import Election, Terms
from steersman.informer import Informer, Key, key_of
from steersman.log import get_logger
from steersman.reconcile import Controller, Metrics, Result
from steersman.recorder import Recorder
from steersman.resource import ResourceClient

log = get_logger(__name__)

M = TypeVar("M", bound=Message)
Reconcile = Callable[[Key], Awaitable[Result | None]]
F = TypeVar("F", bound=Reconcile)
# The keys that a change of an object concerns: from the object before and after it, None where there is none.
Concerned = Callable[[Any, Any], Iterable[Key]]
Setup = Callable[["Runtime"], None]


class Runtime:
    """Make it, set reconcilers up on it, then `start()` and `stop()` it, or use it as an asynchronous context manager.

    Attributes:
        api: the client.
        name: who it is: of its events, and of its Lease.
        clock: where time comes from.
        recorder: records events.
        metrics: counts reconciles.
    """

    def __init__(
        self,
        api: Api,
        name: str,
        *,
        clock: Clock | None = None,
        registry: CollectorRegistry | None = None,
        election: Terms | None = None,
        namespace: str = "",
    ) -> None:
        """Nothing runs yet.

        Args:
            api: the client.
            name: the component.
            clock: where time comes from.
            registry: where metrics are kept.
            election: durations of the election of a leader among several such processes; None: there is none, and
                this one works at once.
            namespace: of the Lease of the election; empty: the client's.
        """
        self.api = api
        self.name = name
        self.clock = clock or RealClock()
        self.recorder = Recorder(api, name, clock=self.clock)
        self.metrics = Metrics(registry or CollectorRegistry())
        self._informers: dict[tuple[str, str, str, str], Informer[Any]] = {}
        self._controllers: list[Controller[Any]] = []
        self._background: list[Callable[[], Awaitable[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._election: Election | None = None
        if election is not None:
            self._terms = election
            self._election = Election(
                api.leases,
                self.clock,
                name=name,
                namespace=namespace or api.namespace,
                identity=f"{socket.gethostname()}_{uuid.uuid4()}",
                terms=election,
                on_change=lambda: None,
            )

    @overload
    def informer(
        self, kind: kinds.Kind, *, namespace: str = ..., label_selector: str = ..., field_selector: str = ...
    ) -> Informer[Any]: ...

    @overload
    def informer(
        self, kind: type[M], *, namespace: str = ..., label_selector: str = ..., field_selector: str = ...
    ) -> Informer[M]: ...

    def informer(
        self,
        kind: kinds.Kind | type[Any],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Informer[Any]:
        """The local copy of a kind's objects, one for all who ask for the same. Ask before `start`."""
        client: ResourceClient[Any] = self.api.resource(kind)
        which = (client.kind.service, namespace, label_selector, field_selector)
        found = self._informers.get(which)
        if found is None:
            found = self._informers[which] = Informer(
                client,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                clock=self.clock,
            )
        return found

    def reconciler(
        self,
        kind: type[Message],
        *,
        owns: Sequence[type[Message]] = (),
        watches: Mapping[type[Message], Concerned] | None = None,
        when: Callable[[Any, Any], bool] | None = None,
        name: str = "",
        workers: int = 4,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Callable[[F], F]:
        """Has the decorated function called with the key of every object that changes; returns it unchanged.

        Args:
            kind: the kind of the objects.
            owns: kinds of objects that these control: a change of one calls for its owner.
            watches: other kinds, with functions that give the keys that a change of one concerns, from the object
                before and after it (None where there is none).
            when: whether a change of an object of the kind itself matters, from the same two; None: every change does.
            name: of the reconciler in logs and metrics; empty: the kind's.
            workers: how many keys are worked on at once.
            namespace: only objects in this namespace; empty: in all.
            label_selector: only objects with such labels.
            field_selector: only objects with such fields.
        """
        of = kinds.of(kind)

        def decorate(reconcile: F) -> F:
            controller: Controller[Key] = Controller(
                name or of.singular, reconcile, workers=workers, clock=self.clock, metrics=self.metrics
            )
            self.add(controller)

            def follow(source: Informer[Any], concerned: Concerned) -> None:
                def changed(old: Any, new: Any) -> None:
                    for key in concerned(old, new):
                        controller.enqueue(key)

                source.on_change(changed)

            def itself(old: Any, new: Any) -> list[Key]:
                return [key_of(new if new is not None else old)] if when is None or when(old, new) else []

            own = self.informer(kind, namespace=namespace, label_selector=label_selector, field_selector=field_selector)
            follow(own, itself)
            for owned in owns:
                follow(self.informer(owned, namespace=namespace), lambda old, new: _owners((old, new), of))
            for watched, concerned in (watches or {}).items():
                follow(self.informer(watched), concerned)
            return reconcile

        return decorate

    def add(self, controller: Controller[Any]) -> None:
        """Runs a controller whose queue is fed by other hands, with the others."""
        self._controllers.append(controller)

    def background(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs something that has no end beside the reconcilers."""
        self._background.append(work)

    def leads(self) -> bool:
        """Whether reconcilers may work here just now."""
        return self._election is None or self._election.leads()

    async def start(self) -> None:
        """Follows the apiserver, and lets the reconcilers work once every informer is complete.

        Where a leader is elected it returns then too, and they work whenever this process leads. Kinds that cannot be
        read just now, or may not be, are logged as warnings and tried again; to give up is the caller's.

        Raises:
            RuntimeError: an informer ended, as by a handler that raised.
        """
        for informer in self._informers.values():
            self._run(informer.run(), f"informer of {informer.kind.plural}")
        self._run(self.recorder.run(), "recorder")
        await self._complete()
        if self._election is None:
            for name, work in self._works():
                self._run(_forever(work), name)
        else:
            self._run(self._election.run(), "election")
            self._run(self._work_while_leading(), "leader")
        log.info("controllers run", runtime=self.name, loops=[controller.name for controller in self._controllers])

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Runs something that has no end. Its end is logged at once: it may be that nobody waits for `ended`."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._tell_end)
        self._tasks.append(task)

    def _tell_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error(f"{task.get_name()} has ended", runtime=self.name, exc_info=task.exception())

    async def _complete(self) -> None:
        """Returns when every informer is complete."""

        async def all_synced() -> None:
            for informer in self._informers.values():
                await informer.synced()

        complete = asyncio.create_task(all_synced())
        try:
            watched: set[asyncio.Future[Any]] = {complete, *self._tasks}
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if not complete.done():
                await self.ended()
        finally:
            complete.cancel()

    def _works(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What works where this process may: names and loops."""
        works: list[tuple[str, Callable[[], Awaitable[None]]]] = [(each.name, each.run) for each in self._controllers]
        return works + [(getattr(work, "__name__", "background"), work) for work in self._background]

    async def _work_while_leading(self) -> None:
        # Often enough that nothing is done any more when another may have taken over.
        pause_s = min(1.0, (self._terms.lease_s - self._terms.renew_s) / 4)
        while True:
            while not self.leads():
                await self.clock.sleep(pause_s)
            tasks = [asyncio.create_task(_forever(work), name=name) for name, work in self._works()]
            try:
                while self.leads():
                    pause = asyncio.create_task(self.clock.sleep(pause_s))
                    try:
                        await asyncio.wait({*tasks, pause}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        pause.cancel()
                    for task in tasks:
                        if task.done():
                            task.result()
                            raise RuntimeError(f"{task.get_name()} has ended")
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def ended(self) -> None:
        """Returns only when something that has no end has ended, by raising what ended it.

        Raises:
            RuntimeError: a loop or an informer ended.
        """
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            cause = None if task.cancelled() else task.exception()
            raise RuntimeError(f"{task.get_name()} has ended") from cause

    async def stop(self) -> None:
        """Stops everything; what was recorded is sent first, and the Lease is given back last. Idempotent."""
        if not self._tasks:
            return
        try:
            await self.recorder.flush()
        finally:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._election is not None:
            await self._election.resign()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def _forever(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def _owners(objects: Iterable[Any], kind: kinds.Kind) -> Iterable[Key]:
    """The keys of the objects of a kind that control others."""
    for obj in objects:
        for reference in obj.metadata.owner_references if obj is not None else ():
            group = reference.api_version.rpartition("/")[0]
            if reference.controller and reference.kind == kind.kind and group == kind.group:
                yield Key(obj.metadata.namespace if kind.namespaced else "", reference.name)


async def run_until(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], Awaitable[None]] | None = None) -> None:
    """Runs a runtime until `stop` is set.

    Args:
        runtime: not started yet.
        stop: set to stop.
        ready: called when every informer is complete.

    Raises:
        RuntimeError: a loop that has no end has ended: a restart is noticed and helps.
    """

    async def work() -> None:
        await runtime.start()
        if ready is not None:
            await ready()
        await runtime.ended()

    working, stopping = asyncio.create_task(work()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await working
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
        await runtime.stop()


def main(name: str, *setups: Setup, description: str = "") -> None:
    """The whole of a controller's program: flags, connection, logging, election, an orderly end on SIGTERM.

    Args:
        name: the component.
        setups: set reconcilers up on the runtime.
        description: for `--help`.
    """
    from steersman.client import connect
    from steersman.config import ConfigError
    from steersman.service import flags, logs
    from steersman.service.run import StartError, run

    parser = flags.parser(name, description or f"Runs {name}.", examples=f"  {name} --leader-elect --log-level debug")
    parser.prog = name
    flags.add_apiserver(parser)
    parser.add_argument("--context", metavar="NAME", help="cluster of the configuration (default: its current one)")
    parser.add_argument(
        "--leader-elect", action="store_true", help="work only while no other such process does, and take over from it"
    )
    arguments = parser.parse_args()
    logs.configure(name, level=arguments.log_level, fmt=arguments.log_format)

    async def start(stop: asyncio.Event) -> None:
        try:
            api = connect(arguments.config, context=arguments.context)
        except ConfigError as error:
            raise StartError(str(error)) from error
        async with api:
            runtime = Runtime(api, name, election=Terms() if arguments.leader_elect else None)
            for setup in setups:
                setup(runtime)
            await run_until(runtime, stop)

    run(start)
