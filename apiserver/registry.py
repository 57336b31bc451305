"""The verbs of one kind on the store: default, admit, validate, store with a revision guard. The same for every kind.

Here: what happens to an object between a request and the store. Not here: bytes and gRPC (`rpc/`), who may
(`authz/`), rules of kinds (`strategies/`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from steersman import kinds
from steersman.clock import Clock, to_timestamp
from steersman.errors import FieldViolation
from steersman.kinds import Kind
from steersman.meta.v1.options_pb2 import DeleteOptions
from steersman.meta.v1.requests_pb2 import WriteOptions
from steersman.validation import meta

from apiserver import allocation, errors
from apiserver.admission.port import CREATE, DELETE, STATUS, UPDATE, Admission, Charge, Plugin
from apiserver.allocation import Allocator
from apiserver.apply.merge import FieldsConflict, apply_fields, record_update
from apiserver.audit import notes
from apiserver.authn import User
from apiserver.storage.encrypted import is_sealed
from apiserver.storage.port import Claim, Guarded, KeyChanged, KeyExists, Page, Storage, Stored
from apiserver.storage.viewed import ViewedStorage
from apiserver.strategy import Strategy
from apiserver.watchcache.cache import Cache, selectable
from apiserver.watchcache.freshness import Freshness
from apiserver.watchcache.watcher import Entry, Selection

log = structlog.get_logger(__name__)

ROOT = "/registry/"
ATTEMPTS = 8
# The last second that a protobuf timestamp can name.
TIMESTAMP_MAX = 253402300799
OBJECT_BYTES_MAX = 1_500_000
# So many reads at a time go to the store, which is the shortest way for one; more share a question and are answered
# from the cache.
DIRECT_READS_MAX = 2
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


@dataclass(frozen=True)
class Surroundings:
    """What registries share: the store, time, identities, and the admission chain."""

    storage: Storage
    clock: Clock
    new_uid: Callable[[], str]
    new_suffix: Callable[[], str]
    allocator: Allocator
    freshness: Freshness
    admission: list[Plugin] = field(default_factory=list)


@dataclass
class Written:
    """What a write came to.

    Attributes:
        obj: the object as stored, without its resource version.
        revision: revision of the write (for a dry run, of the object before it).
        warnings: for the writer.
    """

    obj: Any
    revision: int
    warnings: list[str] = field(default_factory=list)


Change = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Mode:
    """What kind of change a write is.

    Attributes:
        status: of the status; otherwise the status stays as it is.
        applied: the change has kept the record of who owns which field itself.
        whole: one of the apiserver's own: spec and status may change together, and what is otherwise frozen.
    """

    status: bool = False
    applied: bool = False
    whole: bool = False


SPEC, STATUS_ONLY, APPLIED, WHOLE = Mode(), Mode(status=True), Mode(applied=True), Mode(whole=True)


class Registry:
    """All objects of one kind."""

    def __init__(self, kind: Kind, strategy: Strategy, around: Surroundings) -> None:
        self.kind = kind
        self.strategy = strategy
        self._around = around
        self._storage = around.storage
        stored_as = kind
        if strategy.view is not None:
            # Objects of another kind, seen as this one.
            stored_as = kinds.of(strategy.view.stored)
            self._storage = ViewedStorage(around.storage, strategy.view.shown_of, strategy.view.stored_of)
        self.prefix = f"{ROOT}{stored_as.qualified_plural}/"
        self.cache = Cache(
            self._storage, self.prefix, entry_of=self._entry_of, freshness=around.freshness, indexed=strategy.indexed
        )
        self._direct_reads = 0
        self.field_paths: dict[str, Callable[[Any], str]] = {
            "metadata.name": lambda obj: str(obj.metadata.name),
            "metadata.namespace": lambda obj: str(obj.metadata.namespace),
            **strategy.fields,
        }

    @property
    def resource(self) -> str:
        """The kind's name in messages and rules, "deployments.apps"."""
        return self.kind.qualified_plural

    def key(self, namespace: str, name: str) -> str:
        """Where an object is kept."""
        return f"{self.prefix}{namespace}/{name}" if self.kind.namespaced else f"{self.prefix}{name}"

    def _entry_of(self, stored: Stored) -> Entry:
        obj: Any = self.kind.message.FromString(stored.value)
        return Entry(
            namespace=obj.metadata.namespace,
            name=obj.metadata.name,
            data=stored.value,
            revision=stored.revision,
            labels=dict(obj.metadata.labels),
            fields=selectable(obj, self.field_paths),
            facts=self.strategy.facts(obj),
        )

    def entry(self, stored: Stored) -> Entry:
        """What a stored object can be selected by."""
        return self._entry_of(stored)

    # --- reads ------------------------------------------------------------------------------------------------------

    async def get(self, namespace: str, name: str) -> Stored:
        """The object's bytes.

        Raises:
            ObjectNotFound: there is none.
        """
        self._check_place(namespace, name)
        stored = await self._storage.get(self.key(namespace, name))
        if stored is None:
            raise errors.ObjectNotFound(self.resource, name, namespace)
        return stored

    async def read(self, namespace: str, name: str) -> Stored:
        """As `get`, as new; out of the cache when many read."""
        if self._direct_reads >= DIRECT_READS_MAX and await self._is_caught_up():
            self._check_place(namespace, name)
            key = self.key(namespace, name)
            entry = self.cache.get(key)
            if entry is None:
                raise errors.ObjectNotFound(self.resource, name, namespace)
            return Stored(key, entry.data, entry.revision)
        self._direct_reads += 1
        try:
            return await self.get(namespace, name)
        finally:
            self._direct_reads -= 1

    async def read_all(self, selection: Selection, *, since: int | None) -> tuple[list[tuple[str, Entry]], int] | None:
        """Everything that matches as of one revision, in the order of keys, and that revision; out of the cache.

        Args:
            selection: what is wanted.
            since: a state as of this revision is new enough; None: only the newest is.

        Returns:
            None when the cache cannot tell, or holds what nobody can read: the store then has to be read.
        """
        if not await (self._is_caught_up() if since is None else self._has(since)):
            return None
        return self.cache.select(selection), self.cache.revision

    async def _is_caught_up(self) -> bool:
        # Whether something was passed over is known only when the cache is there: it may be among the latest changes.
        return not self.cache.passed_over and await self.cache.catch_up() and not self.cache.passed_over

    async def _has(self, revision: int) -> bool:
        return self.cache.is_ready and await self.cache.reaches(revision) and not self.cache.passed_over

    async def get_object(self, namespace: str, name: str) -> tuple[Any, int]:
        """The object and its revision; raises as `get`."""
        stored = await self.get(namespace, name)
        return self.kind.message.FromString(stored.value), stored.revision

    def place(self, namespace: str) -> str:
        """What the keys of a namespace's objects ("": of all) begin with."""
        return f"{self.prefix}{namespace}/" if namespace and self.kind.namespaced else self.prefix

    async def list_page(self, namespace: str, *, after: str, limit: int, revision: int) -> Page:
        """A page of the objects of a namespace ("": all), as of one revision.

        Raises:
            Compacted: the revision is gone.
            Undecipherable: one of them cannot be decrypted.
        """
        page = await self._storage.list(self.place(namespace), after=after, limit=limit, revision=revision)
        for item in page.items:
            if is_sealed(item.value):
                raise errors.Undecipherable(item.key, "no key that this apiserver has opens it")
        return page

    def _check_place(self, namespace: str, name: str) -> None:
        if not name:
            raise errors.BadRequest("name", "required")
        if "/" in name or "/" in namespace:
            raise errors.BadRequest("name", "a name holds no '/'")
        if self.kind.namespaced and not namespace:
            raise errors.BadRequest("namespace", f"required: {self.resource} live in namespaces")
        if not self.kind.namespaced and namespace:
            raise errors.BadRequest("namespace", f"{self.resource} live in no namespace")

    # --- create -----------------------------------------------------------------------------------------------------

    async def create(self, user: User, obj: Any, options: WriteOptions) -> Written:
        """Stores a new object.

        Raises:
            ObjectExists: the name is taken.
            InvalidObject: the object breaks rules.
        """
        generated = not obj.metadata.name and bool(obj.metadata.generate_name)
        for attempt in range(ATTEMPTS):
            fresh = self._like(obj)
            if generated:
                fresh.metadata.name = fresh.metadata.generate_name[:58] + self._around.new_suffix()
            try:
                return await self._create_once(user, fresh, options)
            except errors.ObjectExists:
                if not generated or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _create_once(
        self, user: User, obj: Any, options: WriteOptions, *, managed_fields: Sequence[Any] = ()
    ) -> Written:
        metadata = obj.metadata
        owned = [self._like(entry) for entry in managed_fields]
        if metadata.resource_version:
            raise errors.BadRequest("metadata.resourceVersion", "may not be set on an object to be created")
        for name in ("deletion_timestamp", "deletion_grace_period_seconds", "self_link", "managed_fields"):
            metadata.ClearField(name)
        metadata.managed_fields.extend(owned)
        metadata.uid = self._around.new_uid()
        metadata.generation = 1 if "spec" in obj.DESCRIPTOR.fields_by_name else 0
        metadata.creation_timestamp.CopyFrom(to_timestamp(self._around.clock.now(), whole_seconds=True))
        self.strategy.prepare_create(obj)
        self.strategy.default(obj)
        write = Admission(self.kind, CREATE, user, obj)
        await self._admit(write)
        self._raise_invalid(obj, self._violations(obj) + self.strategy.validate_create(obj))
        warnings = [*write.warnings, *self.strategy.warnings(obj)]
        for attempt in range(ATTEMPTS):
            placed = self._like(obj)
            try:
                return await self._store_new(user, placed, options, warnings, write.charge)
            except KeyExists as error:
                # An address that was only proposed went to somebody else meanwhile: propose another.
                proposed = error.key.startswith(allocation.PREFIX) and not self._asks_for(obj, error.key)
                if not proposed or attempt == ATTEMPTS - 1:
                    raise self._taken(obj, error.key) from error
        raise AssertionError("unreachable")

    def _asks_for(self, obj: Any, key: str) -> bool:
        """Whether an object names the value of a shared range itself."""
        wanted = self.strategy.claims(obj, None)
        return any(want.value and allocation.key_of(want.range, want.value) == key for want in wanted)

    async def _store_new(
        self, user: User, obj: Any, options: WriteOptions, warnings: list[str], charge: Charge | None
    ) -> Written:
        metadata = obj.metadata
        claims = await self._around.allocator.assign(obj, self.strategy.claims(obj, None), self._owner(obj))
        if options.dry_run:
            if await self._storage.get(self.key(metadata.namespace, metadata.name)) is not None:
                raise errors.ObjectExists(self.resource, metadata.name, metadata.namespace)
            return Written(obj, 0, warnings)
        key = self.key(metadata.namespace, metadata.name)
        data = self._encode(obj)
        revision = await _settled(charge, lambda guards: self._storage.create(key, data, claims=claims, guards=guards))
        log.debug("created", resource=self.resource, name=metadata.name, user=user.name, revision=revision)
        return Written(obj, revision, warnings)

    def _owner(self, obj: Any) -> str:
        return f"{self.resource}/{obj.metadata.namespace}/{obj.metadata.name}"

    def _taken(self, obj: Any, key: str) -> errors.ApiserverError:
        if key.startswith(allocation.PREFIX):
            range_name, _, value = key.removeprefix(allocation.PREFIX).partition("/")
            what = "cluster IP" if range_name == allocation.CLUSTER_IPS else "node port"
            return errors.Conflicting(self.resource, obj.metadata.name, f"{what} {value} is given to another service")
        return errors.ObjectExists(self.resource, obj.metadata.name, obj.metadata.namespace)

    # --- update -----------------------------------------------------------------------------------------------------

    async def update(self, user: User, obj: Any, options: WriteOptions) -> Written:
        """Replaces an object, except for its status.

        Raises:
            ObjectNotFound: there is none.
            Conflicting: `metadata.resource_version` is set and is not the current one.
            InvalidObject: the object breaks rules, or changes what may not change.
        """

        async def change(old: Any) -> Any:
            new = self._like(obj)
            if not new.metadata.uid:
                new.metadata.uid = old.metadata.uid
            return new

        return await self._modify_given(user, obj, change, options, SPEC)

    async def _modify_given(self, user: User, obj: Any, change: Change, options: WriteOptions, mode: Mode) -> Written:
        """Modifies the object that `obj` names, if it is the one and the version that `obj` says."""
        metadata = obj.metadata
        return await self.modify(
            user,
            metadata.namespace,
            metadata.name,
            change,
            options,
            expected=metadata.resource_version,
            uid=metadata.uid,
            mode=mode,
        )

    async def update_status(self, user: User, obj: Any, options: WriteOptions) -> Written:
        """Replaces an object's status and nothing else; raises as `update`."""

        async def change(old: Any) -> Any:
            new = self._like(old)
            new.status.CopyFrom(obj.status)
            return new

        return await self._modify_given(user, obj, change, options, STATUS_ONLY)

    async def apply(
        self, user: User, obj: Any, options: WriteOptions, *, may_create: Callable[[], None] = lambda: None
    ) -> Written:
        """Creates the object, or makes the given fields so as their owner.

        Args:
            user: who writes.
            obj: the fields.
            options: how to write.
            may_create: raises when the writer may not create the object, should it not be there.

        Raises:
            FieldsOwned: another manager applied a different value, and the write is not forced.
            InvalidObject: what comes out breaks rules.
        """
        manager = options.field_manager
        if not manager:
            raise errors.BadRequest("options.field_manager", "required: it says who owns the applied fields")
        now = to_timestamp(self._around.clock.now(), whole_seconds=True)
        fields_of = self._like(obj)
        if self.kind.has_status and not self.strategy.registers_with_status:
            # A status is observed and not applied; an object that was read and is applied again brings it along.
            fields_of.ClearField("status")
        if not obj.metadata.name:
            raise errors.BadRequest("object.metadata.name", "required: Apply names the object it makes so")

        async def change(old: Any) -> Any:
            try:
                return apply_fields(
                    old, fields_of, manager, api_version=self.kind.api_version, force=options.force, now=now
                )
            except FieldsConflict as error:
                raise errors.FieldsOwned(self.resource, obj.metadata.name, error.owners) from error

        for _ in range(ATTEMPTS):
            try:
                return await self._modify_given(user, obj, change, options, APPLIED)
            except errors.ObjectNotFound:
                if obj.metadata.uid or obj.metadata.resource_version:
                    raise
            may_create()
            blank: Any = self.kind.message()
            blank.metadata.name, blank.metadata.namespace = obj.metadata.name, obj.metadata.namespace
            fresh = await change(blank)
            try:
                return await self._create_once(user, fresh, options, managed_fields=list(fresh.metadata.managed_fields))
            except errors.ObjectExists:
                continue
        raise errors.Conflicting(self.resource, obj.metadata.name, "it is created and deleted again and again")

    async def modify(
        self,
        user: User,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions,
        *,
        expected: str = "",
        uid: str = "",
        mode: Mode = SPEC,
    ) -> Written:
        """Reads, changes and writes an object under its revision, again when somebody else was faster.

        Args:
            user: who writes.
            namespace: namespace of the object.
            name: name of the object.
            change: makes the new object out of (a copy of) the old one; may run several times.
            options: how to write.
            expected: resource version that the object must have; empty: any.
            uid: uid that the object must have; empty: any.
            mode: which half of the object changes, and who keeps the books.

        Raises:
            ObjectNotFound: there is none.
            Conflicting: it is not the expected object, or changes too often.
            InvalidObject: the new object breaks rules.
        """
        self._check_place(namespace, name)
        key = self.key(namespace, name)
        # The cache saves a read; whatever it gets wrong, the guarded write notices.
        cached = self.cache.get(key)
        stored = Stored(key, cached.data, cached.revision) if cached is not None else None
        for _ in range(ATTEMPTS):
            if stored is None or (expected and str(stored.revision) != expected):
                stored, cached = await self.get(namespace, name), None
            if expected and str(stored.revision) != expected:
                why = f"it is at resource version {stored.revision}, the write was made for {expected}"
                raise errors.Conflicting(self.resource, name, why)
            old: Any = self.kind.message.FromString(stored.value)
            if uid and old.metadata.uid != uid:
                if cached is not None:
                    stored, cached = None, None
                    continue
                raise errors.Conflicting(self.resource, name, f"its uid is {old.metadata.uid}, not {uid}")
            try:
                new = await change(self._like(old))
                written = await self._modify_once(user, stored, old, new, options, mode)
            except (errors.StorageUnavailable, errors.StorageFull):
                # It may have happened: nobody does it a second time.
                raise
            except errors.ApiserverError:
                if cached is None:
                    raise
                stored, cached = None, None
                continue
            if isinstance(written, Written) and cached is not None and written.revision == stored.revision:
                # Nothing was written, so nothing has proved that the cache was right.
                stored, cached = None, None
                continue
            if isinstance(written, Written):
                return written
            stored, cached = written.current, None
            if stored is None:
                raise errors.ObjectNotFound(self.resource, name, namespace)
        raise errors.Conflicting(self.resource, name, f"it changed during each of {ATTEMPTS} attempts to write it")

    async def _modify_once(
        self, user: User, stored: Stored, old: Any, new: Any, options: WriteOptions, mode: Mode
    ) -> Written | KeyChanged:
        status = mode.status
        if not mode.whole:
            self._keep_system_fields(new, old, mode)
        if status:
            self.strategy.prepare_status_update(new, old)
        else:
            self.strategy.default(new)
            self.strategy.prepare_update(new, old)
        write = Admission(self.kind, STATUS if status else UPDATE, user, new, self._like(old))
        await self._admit(write)
        violations = meta.validate_update(new.metadata, old.metadata)
        if status:
            violations += self.strategy.validate_status_update(new, old)
        elif not mode.whole:
            violations += self._violations(new) + self.strategy.validate_update(new, old)
        self._raise_invalid(new, violations)
        if not mode.applied and old.metadata.managed_fields:
            now = to_timestamp(self._around.clock.now(), whole_seconds=True)
            record_update(
                new,
                old,
                options.field_manager or user.name,
                api_version=self.kind.api_version,
                subresource="status" if status else "",
                now=now,
            )
        if not status and self.strategy.generation_counts(new, old):
            new.metadata.generation = old.metadata.generation + 1
        warnings = [*write.warnings, *(self.strategy.warnings(new) if not status else [])]
        if new == old:
            return Written(old, stored.revision, warnings)
        if self._is_finished(new):
            return await self._remove(stored, new, options, warnings)
        claims: list[Claim] = []
        if not status:
            claims = await self._around.allocator.assign(new, self.strategy.claims(new, old), self._owner(new))
        if options.dry_run:
            return Written(new, stored.revision, warnings)
        data, releases = self._encode(new), self._released(old, new)
        try:
            revision = await _settled(
                write.charge,
                lambda guards: self._storage.update(
                    stored.key, data, revision=stored.revision, claims=claims, releases=releases, guards=guards
                ),
            )
        except KeyChanged as error:
            return error
        except KeyExists as error:
            raise self._taken(new, error.key) from error
        part = "status" if status else "object"
        log.debug(
            "updated", resource=self.resource, name=new.metadata.name, part=part, user=user.name, revision=revision
        )
        return Written(new, revision, warnings)

    def _keep_system_fields(self, new: Any, old: Any, mode: Mode) -> None:
        """Puts back what no writer decides: identity, times, and the other half of the object."""
        if mode.status:
            wanted = self._like(new.status)
            new.CopyFrom(old)
            new.status.CopyFrom(wanted)
            return
        metadata = new.metadata
        for name in ("creation_timestamp", "deletion_timestamp"):
            metadata.ClearField(name)
            if old.metadata.HasField(name):
                getattr(metadata, name).CopyFrom(getattr(old.metadata, name))
        metadata.ClearField("deletion_grace_period_seconds")
        if old.metadata.HasField("deletion_grace_period_seconds"):
            metadata.deletion_grace_period_seconds = old.metadata.deletion_grace_period_seconds
        metadata.generation = old.metadata.generation
        metadata.generate_name = old.metadata.generate_name
        metadata.ClearField("resource_version")
        metadata.ClearField("self_link")
        if not mode.applied:
            # The record is the apiserver's own, whatever a writer sends.
            metadata.ClearField("managed_fields")
            metadata.managed_fields.MergeFrom(old.metadata.managed_fields)
        if self.kind.has_status:
            new.ClearField("status")
            if old.HasField("status"):
                new.status.CopyFrom(old.status)

    # --- delete -----------------------------------------------------------------------------------------------------

    async def delete(self, user: User, namespace: str, name: str, options: DeleteOptions) -> Written:
        """Deletes an object, or marks it as being deleted while a grace period or finalizers hold it.

        Raises:
            ObjectNotFound: there is none.
            Conflicting: a precondition does not hold.
        """
        stored: Stored | None = await self.get(namespace, name)
        for _ in range(ATTEMPTS):
            if stored is None:
                raise errors.ObjectNotFound(self.resource, name, namespace)
            obj: Any = self.kind.message.FromString(stored.value)
            self.check_preconditions(obj, stored.revision, options)
            await self._admit(Admission(self.kind, DELETE, user, obj, obj))
            write_options = WriteOptions(dry_run=bool(options.dry_run))
            marked = self._marked(obj, options)
            try:
                if self._is_finished(marked):
                    removed = await self._remove(stored, obj, write_options, [])
                    if isinstance(removed, KeyChanged):
                        raise removed
                    return removed
                if marked == obj or write_options.dry_run:
                    return Written(marked, stored.revision)
                revision = await self._storage.update(stored.key, self._encode(marked), revision=stored.revision)
                return Written(marked, revision)
            except KeyChanged as error:
                stored = error.current
        raise errors.Conflicting(self.resource, name, f"it changed during each of {ATTEMPTS} attempts to delete it")

    def check_preconditions(self, obj: Any, revision: int, options: DeleteOptions) -> None:
        """Looks whether an object is the one that is to be deleted.

        Raises:
            Conflicting: it is another one, or another version.
        """
        wanted = options.preconditions
        if wanted.HasField("uid") and wanted.uid != obj.metadata.uid:
            why = f"its uid is {obj.metadata.uid}, not {wanted.uid}"
            raise errors.Conflicting(self.resource, obj.metadata.name, why)
        if wanted.HasField("resource_version") and wanted.resource_version != str(revision):
            why = f"it is at resource version {revision}, not {wanted.resource_version}"
            raise errors.Conflicting(self.resource, obj.metadata.name, why)

    def _marked(self, obj: Any, options: DeleteOptions) -> Any:
        """The object as it looks once it is asked to go."""
        wanted = options.grace_period_seconds if options.HasField("grace_period_seconds") else None
        if wanted is not None and wanted < 0:
            raise errors.BadRequest("options.grace_period_seconds", f"{wanted} is negative")
        grace_s = self.strategy.grace_period_s(obj, wanted)
        marked = self._like(obj)
        metadata = marked.metadata
        self._mark_dependents(metadata, options, self.strategy.dependents)
        if metadata.HasField("deletion_timestamp") and metadata.deletion_grace_period_seconds <= grace_s:
            return marked
        if not metadata.HasField("deletion_timestamp") and metadata.generation:
            metadata.generation += 1
        metadata.deletion_grace_period_seconds = grace_s
        stamp = to_timestamp(self._around.clock.now(), whole_seconds=True)
        stamp.seconds = min(stamp.seconds + grace_s, TIMESTAMP_MAX)
        metadata.deletion_timestamp.CopyFrom(stamp)
        return marked

    @staticmethod
    def _mark_dependents(metadata: Any, options: DeleteOptions, default: str) -> None:
        """Notes what shall become of dependents, as finalizers that the garbage collector acts on.

        What the caller says comes first, then what was noted before, then the kind's default.
        """
        policy = options.propagation_policy
        if not policy and options.HasField("orphan_dependents"):
            policy = "Orphan" if options.orphan_dependents else "Background"
        if not policy and not metadata.HasField("deletion_timestamp") and FOREGROUND not in metadata.finalizers:
            policy = default
        if not policy:
            return
        wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": ""}
        if policy not in wanted:
            raise errors.BadRequest("options.propagation_policy", f"{policy!r} is not one of {', '.join(wanted)}")
        kept = [name for name in metadata.finalizers if name not in (ORPHAN, FOREGROUND)]
        metadata.ClearField("finalizers")
        metadata.finalizers.extend([*kept, *([wanted[policy]] if wanted[policy] else [])])

    def _is_finished(self, obj: Any) -> bool:
        """Whether an object is marked for deletion and nothing holds it any more."""
        metadata = obj.metadata
        return (
            metadata.HasField("deletion_timestamp")
            and not metadata.deletion_grace_period_seconds
            and not metadata.finalizers
            and not (hasattr(obj, "spec") and getattr(obj.spec, "finalizers", None))
        )

    async def _remove(
        self, stored: Stored, obj: Any, options: WriteOptions, warnings: list[str]
    ) -> Written | KeyChanged:
        if options.dry_run:
            return Written(obj, stored.revision, warnings)
        try:
            revision = await self._storage.delete(
                stored.key, revision=stored.revision, releases=self._released(obj, None)
            )
        except KeyChanged as error:
            return error
        return Written(obj, revision, warnings)

    # --- shared -----------------------------------------------------------------------------------------------------

    def _released(self, old: Any, new: Any | None) -> list[str]:
        kept = set(self.strategy.held(new)) if new is not None else set()
        return [allocation.key_of(*held) for held in self.strategy.held(old) if held not in kept]

    def _like(self, message: Any) -> Any:
        copy = type(message)()
        copy.CopyFrom(message)
        return copy

    def _encode(self, obj: Any) -> bytes:
        obj.metadata.ClearField("resource_version")
        data: bytes = obj.SerializeToString()
        if len(data) > OBJECT_BYTES_MAX:
            text = f"the object takes {len(data)} bytes, at most {OBJECT_BYTES_MAX} are stored"
            raise errors.InvalidObject(self.resource, obj.metadata.name, [FieldViolation("", text)])
        return data

    async def _admit(self, write: Admission) -> None:
        for plugin in self._around.admission:
            await plugin.admit(write)
        for name, text in write.notes.items():
            notes.note(name, text)

    def _violations(self, obj: Any) -> list[FieldViolation]:
        found = meta.validate(obj.metadata, namespaced=self.kind.namespaced, name_rule=self.strategy.validate_name)
        return found + self.strategy.validate(obj)

    def _raise_invalid(self, obj: Any, violations: list[FieldViolation]) -> None:
        if violations:
            raise errors.InvalidObject(self.resource, obj.metadata.name or obj.metadata.generate_name, violations)


async def _settled(charge: Charge | None, put: Callable[[Sequence[Guarded]], Awaitable[int]]) -> int:
    """Stores by `put`, with whatever says that the write is paid for."""
    return await put(()) if charge is None else await charge.settle(put)
