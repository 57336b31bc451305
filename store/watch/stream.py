"""The watches of one client connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from etcd.rpc_pb2 import ResponseHeader, WatchCreateRequest, WatchRequest, WatchResponse

from store.errors import Compacted
from store.mvcc.interval import Interval
from store.mvcc.keyspace import Keyspace
from store.watch.hub import WatchHub
from store.watch.watcher import Watcher

NO_WATCH = -1
COMPACTED = "etcdserver: mvcc: required revision has been compacted"
ID_TAKEN = "mvcc: duplicate watch ID provided on the WatchStream"
EMPTY_RANGE = "mvcc: watcher range is empty"
# Answers of watches that agreed to fragments are cut to about this size.
FRAGMENT_BYTES = 1024 * 1024
# Answers are taken together up to about this size.
BATCH_BYTES = 32 * 1024


class WatchStream:
    """Takes requests, and gives answers when asked. `ready` is set while there may be something to answer."""

    def __init__(
        self,
        hub: WatchHub,
        keyspace: Callable[[], Keyspace],
        header: Callable[[int], ResponseHeader],
        header_field: Callable[[int], bytes],
    ) -> None:
        """A stream without watches.

        Args:
            hub: where its watches are announced.
            keyspace: the keyspace as it is at the moment of the call.
            header: a response header for a revision.
            header_field: the same, serialised, as the field of a response.
        """
        self._hub = hub
        self._keyspace = keyspace
        self._header = header
        self._header_field = header_field
        self._watchers: dict[int, Watcher] = {}
        self._notify: dict[int, bool] = {}
        self._fragmented: set[int] = set()
        self._next_identifier = 0
        self._controls: deque[WatchResponse] = deque()
        self._waking: deque[Watcher] = deque()
        self._progress_wanted = False
        self.ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._watchers)

    # -- requests ----------------------------------------------------------------------------------------------

    def handle(self, request: WatchRequest) -> None:
        """Takes in one request of the client."""
        kind = request.WhichOneof("request_union")
        if kind == "create_request":
            self._create(request.create_request)
        elif kind == "cancel_request":
            self._cancel(request.cancel_request.watch_id)
        elif kind == "progress_request":
            self._progress_wanted = True
        self.ready.set()

    def _create(self, request: WatchCreateRequest) -> None:
        key = request.key or b"\0"
        refusal = self._refusal(key, request)
        revision = self._keyspace().revision
        if refusal is not None:
            self._control(watch_id=NO_WATCH, created=True, canceled=True, cancel_reason=refusal)
            return
        identifier = request.watch_id or self._free_identifier()
        watcher = Watcher(
            identifier,
            Interval(key, request.range_end),
            request.start_revision or revision + 1,
            with_before=request.prev_kv,
            no_puts=WatchCreateRequest.NOPUT in request.filters,
            no_deletes=WatchCreateRequest.NODELETE in request.filters,
            wake=self._wake,
        )
        watcher.synced = watcher.next_revision > revision
        self._watchers[identifier] = watcher
        if request.progress_notify:
            self._notify[identifier] = True
        if request.fragment:
            self._fragmented.add(identifier)
        self._hub.add(watcher)
        self._control(watch_id=identifier, created=True)
        if not watcher.synced:
            self._wake(watcher)

    def _refusal(self, key: bytes, request: WatchCreateRequest) -> str | None:
        if request.start_revision < 0:
            return COMPACTED
        if request.watch_id in self._watchers and request.watch_id != 0:
            return ID_TAKEN
        if request.range_end not in (b"", b"\0") and key >= request.range_end:
            return EMPTY_RANGE
        return None

    def _free_identifier(self) -> int:
        while self._next_identifier in self._watchers:
            self._next_identifier += 1
        identifier = self._next_identifier
        self._next_identifier += 1
        return identifier

    def _cancel(self, identifier: int) -> None:
        if self._drop(identifier):
            self._control(watch_id=identifier, canceled=True)

    def _drop(self, identifier: int) -> bool:
        watcher = self._watchers.pop(identifier, None)
        if watcher is None:
            return False
        self._hub.remove(watcher)
        self._notify.pop(identifier, None)
        self._fragmented.discard(identifier)
        return True

    def _control(self, **fields: object) -> None:
        response = WatchResponse(**fields)  # type: ignore[arg-type]
        response.header.CopyFrom(self._header(self._keyspace().revision))
        self._controls.append(response)

    def close(self) -> None:
        """Ends all watches."""
        for identifier in list(self._watchers):
            self._drop(identifier)

    # -- answers -----------------------------------------------------------------------------------------------

    def _wake(self, watcher: Watcher) -> None:
        if not watcher.queued:
            watcher.queued = True
            self._waking.append(watcher)
            self.ready.set()

    def notify_progress(self) -> None:
        """Tells the watches that asked for it how far history has come, unless they were told something since."""
        for identifier, quiet in self._notify.items():
            watcher = self._watchers[identifier]
            if quiet and watcher.synced and not watcher.queued:
                self._control(watch_id=identifier)
            self._notify[identifier] = True
        self.ready.set()

    def take(self, size: int = BATCH_BYTES) -> list[bytes]:
        """The next answers to send, serialised, in order: about `size` bytes of them. Nothing when all is said.

        Send them before taking the next: what is not taken costs no memory.
        """
        answers: list[bytes] = []
        taken = 0
        while taken < size:
            while self._controls:
                answers.append(self._controls.popleft().SerializeToString())
                taken += len(answers[-1])
            if not self._waking:
                break
            watcher = self._waking.popleft()
            watcher.queued = False
            if self._watchers.get(watcher.identifier) is watcher:
                taken += self._tell(watcher, answers)
        else:
            return answers
        self.ready.clear()
        if self._progress_wanted:
            self._progress_wanted = False
            header = self._header(self._keyspace().revision)
            answers.append(WatchResponse(header=header, watch_id=NO_WATCH).SerializeToString())
        return answers

    def _tell(self, watcher: Watcher, answers: list[bytes]) -> int:
        """Adds what the watcher has to tell; returns how many bytes that is."""
        keyspace = self._keyspace()
        identifier = watcher.identifier
        try:
            events = watcher.take(keyspace)
        except Compacted as error:
            self._drop(identifier)
            self._control(
                watch_id=identifier,
                canceled=True,
                compact_revision=error.compact_revision,
                cancel_reason=COMPACTED,
            )
            return 0
        synced = watcher.synced
        if not synced:
            self._wake(watcher)
        if not events:
            return 0
        if identifier in self._notify:
            self._notify[identifier] = False
        # A watch that is still catching up has not heard all there is up to the newest revision.
        head = self._header_field(keyspace.revision if synced else watcher.next_revision - 1) + watcher.name
        if identifier not in self._fragmented:
            answers.append(head + (events[0] if len(events) == 1 else b"".join(events)))
            return len(answers[-1])
        size = 0
        for part, more in _fragments(events):
            answers.append(head + (b"\x38\x01" if more else b"") + b"".join(part))
            size += len(answers[-1])
        return size


def _fragments(events: list[bytes]) -> Iterator[tuple[list[bytes], bool]]:
    """`events` in parts of about `FRAGMENT_BYTES`, each with whether more follow."""
    part: list[bytes] = []
    size = 0
    for event in events:
        if part and size + len(event) > FRAGMENT_BYTES:
            yield part, True
            part, size = [], 0
        part.append(event)
        size += len(event)
    yield part, False
