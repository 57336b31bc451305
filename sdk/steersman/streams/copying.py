"""Copying files and folders into and out of containers, through `tar` in the container.

    await copy_to(api, "web-0", Path("site"), "/www", namespace="default")
    await copy_from(api, "web-0", "/var/log/app", Path("logs"))

As `cp -r` has it: when the target is an existing folder, or ends with "/", what is copied comes into it under its own
name; otherwise the target is its new name. Permissions and times are kept, owners are not. What a container sends is
never trusted: nothing of it lands outside of the target (`steersman.streams.unpacking`).
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.core.v1.pod_pb2 import PodExecRequest, PodExecStart
from steersman.streams import tarstream
from steersman.streams.tarstream import FILE, FOLDER, SYMLINK, ArchiveError, Entry
from steersman.streams.unpacking import Unpacker, UnpackError, parts_of

PIECE = 64 * 1024
# So much of what tar complains about is kept.
COMPLAINTS_MAX = 4096
# How a shell, or the runtime itself, says that there is no such program.
NO_PROGRAM = frozenset({126, 127, 128, 255})
NO_TAR = "there is no tar in the container's image, and copying needs it"


class CopyError(Exception):
    """Something was not copied, or not all of it; the message says what and why."""


@dataclass
class Copied:
    """What was copied.

    Attributes:
        files: how many files and links.
        bytes: how many bytes of content.
        left_out: what was not copied, and why.
    """

    files: int = 0
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)


# --- into a container -----------------------------------------------------------------------------------------------


async def copy_to(
    api: Any,
    pod: str,
    source: str | os.PathLike[str],
    target: str,
    *,
    namespace: str = "",
    container: str = "",
    preserve: bool = True,
) -> Copied:
    """Copies a file or a folder of this machine into a container.

    Args:
        api: the client.
        pod: the pod's name.
        source: what to copy; a link that is named here is followed, others are copied as links.
        target: path in the container.
        namespace: the pod's; empty: the client's.
        container: which; empty: the only one, or the pod's default.
        preserve: whether to keep permissions.

    Raises:
        CopyError: it cannot be read here or written there.
        ApiError: the container cannot be reached.
    """
    path, name = _named_here(Path(source))
    run = _Run(api, pod, namespace, container)
    folder, base = await _place(run, target, name)
    copied = Copied()
    archive = _pack(path, base, copied, preserve=preserve)
    await run.consume(_extracting(folder), archive)
    return copied


def _named_here(source: Path) -> tuple[Path, str]:
    """What a path of this machine leads to, and its name."""
    if not source.exists():
        raise CopyError(f"{source}: there is no such file or folder here")
    path = source.resolve() if source.is_symlink() else source
    return path, source.name if source.name not in ("", "..") else source.resolve().name


async def stream_to(
    api: Any, pod: str, archive: AsyncIterator[bytes], target: str, *, namespace: str = "", container: str = ""
) -> None:
    """Unpacks a tar archive in a folder of a container, which must exist.

    Raises:
        CopyError: it cannot be unpacked there.
        ApiError: the container cannot be reached.
    """
    await _Run(api, pod, namespace, container).consume(_extracting(target or "."), archive)


async def _place(run: _Run, target: str, name: str) -> tuple[str, str]:
    """The folder and the name in it under which something is put."""
    if not target:
        raise CopyError("copy where to? the path in the container is empty")
    if target.endswith("/") or posixpath.basename(target) in (".", "..") or await run.is_folder(target):
        return target.rstrip("/") or "/", name
    return posixpath.dirname(target) or ".", posixpath.basename(target)


def _extracting(folder: str) -> list[str]:
    # m: the time of copying; p: permissions; o: no owners.
    return ["tar", "xmpof", "-", "-C", folder]


async def _pack(source: Path, base: str, copied: Copied, *, preserve: bool) -> AsyncIterator[bytes]:
    """A tar archive of a file or a folder, as it is read."""
    for path, name in _walk(source, base):
        try:
            entry, file = await asyncio.to_thread(_look, path, name, preserve)
        except OSError as error:
            raise CopyError(f"{path}: {error.strerror}") from error
        if entry is None:
            copied.left_out.append(f"{path}: neither file, folder nor link")
            continue
        yield tarstream.header(entry)
        if file is not None:
            try:
                async for piece in _content(file, entry.size):
                    copied.bytes += len(piece)
                    yield piece
            except OSError as error:
                raise CopyError(f"{path}: {error.strerror}") from error
            finally:
                os.close(file)
            yield tarstream.padding(entry.size)
        copied.files += entry.kind != FOLDER
    yield tarstream.END


def _walk(source: Path, base: str) -> Iterator[tuple[Path, str]]:
    """What is to be copied, folders before what is in them, and its name in the archive."""
    left = [(source, base)]
    while left:
        path, name = left.pop()
        yield path, name
        if path.is_dir() and not path.is_symlink():
            try:
                inner = sorted(path.iterdir(), reverse=True)
            except OSError as error:
                raise CopyError(f"{path}: {error.strerror}") from error
            left += [(each, f"{name}/{each.name}") for each in inner]


def _look(path: Path, name: str, preserve: bool) -> tuple[Entry | None, int | None]:
    """An entry for what is there, and a descriptor of its content if it is a file."""
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode) & 0o777
    if not preserve:
        mode = 0o755 if stat.S_ISDIR(found.st_mode) or mode & 0o100 else 0o644
    if stat.S_ISLNK(found.st_mode):
        return Entry(name, SYMLINK, 0o777, found.st_mtime, link=str(path.readlink())), None
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, FOLDER, mode, found.st_mtime), None
    if not stat.S_ISREG(found.st_mode):
        return None, None
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    return Entry(name, FILE, mode, found.st_mtime, os.fstat(file).st_size), file


async def _content(file: int, size: int) -> AsyncIterator[bytes]:
    """Exactly so many bytes of a file: what grows meanwhile is cut, and what shrinks is filled up."""
    left = size
    while left:
        piece = await asyncio.to_thread(os.read, file, min(PIECE, left))
        if not piece:
            piece = bytes(min(PIECE, left))
        left -= len(piece)
        yield piece


# --- out of a container ---------------------------------------------------------------------------------------------


async def copy_from(
    api: Any,
    pod: str,
    source: str,
    target: str | os.PathLike[str],
    *,
    namespace: str = "",
    container: str = "",
    preserve: bool = True,
    warn: Callable[[str], None] = lambda _: None,
) -> Copied:
    """Copies a file or a folder of a container to this machine.

    Args:
        api: the client.
        pod: the pod's name.
        source: path in the container; with "/." at its end: what is in the folder, without the folder itself.
        target: path here.
        namespace: the pod's; empty: the client's.
        container: which; empty: the only one, or the pod's default.
        preserve: whether to keep permissions and times.
        warn: told at once of what is left out.

    Raises:
        CopyError: it cannot be read there or written here, or the container sent what was not asked for.
        ApiError: the container cannot be reached.
    """
    folder, base = _split(source)
    place = _place_here(target, base)
    copied = Copied()

    def left_out(text: str) -> None:
        copied.left_out.append(text)
        warn(text)

    run = _Run(api, pod, namespace, container)
    unpacker = await asyncio.to_thread(Unpacker, place.parent, place.name, preserve=preserve, warn=left_out)
    with unpacker:
        reader = tarstream.Reader()
        seen = False
        try:
            async with aclosing(run.output(["tar", "cf", "-", "-C", folder, f"./{base}"])) as pieces:
                async for data in pieces:
                    seen = True
                    await asyncio.to_thread(_unpack, reader, unpacker, base, data)
            if not seen:
                raise CopyError(f"{source}: nothing came")
            reader.close()
            await asyncio.to_thread(unpacker.finish)
        except (ArchiveError, UnpackError) as error:
            raise CopyError(f"{source}: {error}") from error
        except OSError as error:
            raise CopyError(f"{target}: {error.strerror}") from error
        copied.files, copied.bytes = unpacker.files, unpacker.bytes
    return copied


def _place_here(target: str | os.PathLike[str], base: str) -> Path:
    """The path of this machine that what is called `base` there gets here."""
    path = Path(target)
    inside = os.fspath(target).endswith("/") or path.is_dir()
    place = path / base if inside and base != "." else path
    # A folder that is named by a link, or as "..", is the folder itself.
    place = place.resolve() if place.is_dir() else place.absolute()
    if not place.parent.is_dir():
        raise CopyError(f"{place.parent}: there is no such folder here")
    return place


def _split(source: str) -> tuple[str, str]:
    """The folder of a path and the name in it."""
    if not source:
        raise CopyError("copy what? the path in the container is empty")
    if source.rstrip("/") == "":
        return "/", "."
    contents = posixpath.basename(source) == "."
    path = source.rstrip("/")
    if contents or posixpath.basename(path) == "..":
        return path, "."
    return posixpath.dirname(path) or ".", posixpath.basename(path)


def _unpack(reader: tarstream.Reader, unpacker: Unpacker, base: str, data: bytes) -> None:
    for piece in reader.feed(data):
        if isinstance(piece, bytes):
            unpacker.write(piece)
            continue
        parts = parts_of(piece.name)
        if base != ".":
            if not parts or parts[0] != base:
                raise UnpackError(piece.name, f"was not asked for; {base!r} was")
            parts = parts[1:]
        unpacker.begin(piece, parts)


async def stream_from(
    api: Any, pod: str, source: str, *, namespace: str = "", container: str = ""
) -> AsyncIterator[bytes]:
    """Yields a tar archive of a file or a folder of a container.

    Raises:
        CopyError: it cannot be read there.
        ApiError: the container cannot be reached.
    """
    folder, base = _split(source)
    run = _Run(api, pod, namespace, container)
    async with aclosing(run.output(["tar", "cf", "-", "-C", folder, f"./{base}"])) as pieces:
        async for data in pieces:
            yield data


# --- commands in the container --------------------------------------------------------------------------------------


class _Run:
    """Commands in one container."""

    def __init__(self, api: Any, pod: str, namespace: str, container: str) -> None:
        self._api = api
        self._start = PodExecStart(namespace=namespace or api.namespace, name=pod, container=container)

    async def is_folder(self, path: str) -> bool:
        """Whether there is a folder; an image without `test` has none that one could know of."""
        code = 1
        async with aclosing(self._call(["test", "-d", path], None)) as answers:
            async for answer in answers:
                if answer.WhichOneof("message") == "exit_code":
                    code = answer.exit_code
        return code == 0

    async def consume(self, command: list[str], data: AsyncIterator[bytes]) -> None:
        """Runs a command that reads."""
        async with aclosing(self.output(command, data)) as pieces:
            async for _ in pieces:
                continue

    async def output(self, command: list[str], data: AsyncIterator[bytes] | None = None) -> AsyncGenerator[bytes]:
        """Runs a tar, with `data` as its input, and yields what it writes.

        Raises:
            CopyError: it did not end well.
        """
        complaints = b""
        code: int | None = None
        wrote = False
        async with aclosing(self._call(command, data)) as answers:
            async for answer in answers:
                match answer.WhichOneof("message"):
                    case "stdout":
                        wrote = True
                        yield answer.stdout
                    case "stderr":
                        complaints = (complaints + answer.stderr)[:COMPLAINTS_MAX]
                    case "exit_code":
                        code = answer.exit_code
        if code == 0:
            return
        words = complaints.decode(errors="replace").strip().replace("\n", "; ")
        if code in NO_PROGRAM and not wrote and ("tar:" not in words or "not found" in words):
            raise CopyError(NO_TAR)
        if code is None:
            raise CopyError("the container went away in the middle of it")
        raise CopyError(words or f"tar ended with {code}")

    async def _call(self, command: list[str], data: AsyncIterator[bytes] | None) -> AsyncGenerator[Any]:
        start = PodExecStart()
        start.CopyFrom(self._start)
        start.command.extend(command)
        start.stdin = data is not None
        failure: list[CopyError] = []
        over = asyncio.Event()

        async def requests() -> AsyncIterator[PodExecRequest]:
            yield PodExecRequest(start=start)
            if data is not None:
                try:
                    async for piece in data:
                        yield PodExecRequest(stdin=piece)
                except CopyError as error:
                    # The call is ended below, and this told rather than what tar says to half an archive.
                    failure.append(error)
                yield PodExecRequest(stdin_eof=True)
            await over.wait()

        try:
            async with aclosing(self._api.pods.exec(requests())) as answers:
                async for answer in answers:
                    yield answer
        finally:
            over.set()
        if failure:
            raise failure[0]
