"""Copying through tar: archives taken apart and made, and hostile ones kept from doing harm; without any cluster."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steersman.core.v1.pod_pb2 import PodExecRequest, PodExecResponse
from steersman.streams import tarstream
from steersman.streams.copying import CopyError, copy_from, copy_to, stream_from, stream_to
from steersman.streams.tarstream import ArchiveError, Entry
from steersman.streams.unpacking import Unpacker, UnpackError, parts_of, stays_inside

# --- the format -----------------------------------------------------------------------------------------------------


def archive(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as made:
        for info, content in entries:
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return file.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode, made.mtime = kind, link, mode, 1_700_000_000
    return made


def read(data: bytes, piece: int) -> list[tuple[Entry, bytes]]:
    reader, found = tarstream.Reader(), []
    for start in range(0, len(data), piece):
        for each in reader.feed(data[start : start + piece]):
            if isinstance(each, bytes):
                found[-1] = (found[-1][0], found[-1][1] + each)
            else:
                found.append((each, b""))
    reader.close()
    return found


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("piece", [1, 511, 512, 4096, 10**6])
def test_an_archive_is_read_however_its_bytes_come(form: int, piece: int) -> None:
    long = "f" * 90 if form == tarfile.USTAR_FORMAT else "d" * 120 + "/" + "f" * 130
    data = archive(
        (info("top/", tarfile.DIRTYPE, mode=0o755), b""),
        (info(long), b"x" * 1000),
        (info("empty"), b""),
        (info("exact"), b"y" * 512),
        (info("link", tarfile.SYMTYPE, "exact"), b""),
        (info("second", tarfile.LNKTYPE, "exact"), b""),
        form=form,
    )
    found = read(data, piece)
    assert [(e.name.rstrip("/"), e.kind, len(c)) for e, c in found] == [
        ("top", "folder", 0),
        (long, "file", 1000),
        ("empty", "file", 0),
        ("exact", "file", 512),
        ("link", "symlink", 0),
        ("second", "hardlink", 0),
    ]
    assert found[4][0].link == "exact"
    assert found[1][0].mtime == 1_700_000_000


@given(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0/"), min_size=1, max_size=200),
    st.binary(max_size=2000),
    st.integers(0, 0o777),
)
def test_what_is_written_is_read_again(name: str, content: bytes, mode: int) -> None:
    entry = Entry(name, "file", mode, 5.0, len(content))
    data = tarstream.header(entry) + content + tarstream.padding(len(content)) + tarstream.END
    assert read(data, 512) == [(entry, content)]
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        [member] = opened.getmembers()
        assert (member.name, member.mode, member.uid) == (name, mode, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 512,
        archive((info("a"), b"xyz"))[:600],
        archive((info("a"), b"xyz"))[:1024],
        tarstream.header(Entry("a", "file", size=5)) + b"12",
        info("a", b"S").tobuf(),
        info("a", b"L").tobuf()[:124] + b"77777777777\0" + info("a", b"L").tobuf()[136:],
    ],
)
def test_what_is_no_archive_or_only_its_beginning(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        read(data, 512)


@given(st.binary(max_size=3000))
def test_any_bytes_are_an_archive_or_none(data: bytes) -> None:
    try:
        read(data, 512)
    except ArchiveError:
        return


def mangled(data: bytes, position: int, value: int) -> bytes:
    made = bytearray(data)
    made[position % len(made)] = value
    return bytes(made)


@given(st.integers(0, 5000), st.integers(0, 255))
def test_an_archive_with_a_wrong_byte(position: int, value: int) -> None:
    data = archive((info("d" * 150), b"x" * 700), (info("b"), b""), form=tarfile.PAX_FORMAT)
    try:
        read(mangled(data, position, value), 512)
    except ArchiveError:
        return


# --- a hostile archive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "depth", "inside"),
    [
        ("a", 0, True),
        ("a/b", 0, True),
        ("./a", 0, True),
        ("..", 0, False),
        ("../a", 0, False),
        ("../a", 1, True),
        ("../../a", 1, False),
        ("a/..", 1, False),
        ("/etc/passwd", 3, False),
        ("a/../../b", 3, False),
    ],
)
def test_whether_a_link_stays_inside(link: str, depth: int, inside: bool) -> None:
    assert stays_inside(link, depth) is inside


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a/..", "x\0y"])
def test_names_that_lead_out(name: str) -> None:
    with pytest.raises(UnpackError):
        parts_of(name)


def unpack(folder: Path, *entries: tuple[Entry, bytes], preserve: bool = True) -> list[str]:
    warnings: list[str] = []
    with Unpacker(folder, "top", preserve=preserve, warn=warnings.append) as unpacker:
        for entry, content in entries:
            unpacker.begin(entry, parts_of(entry.name)[1:])
            unpacker.write(content)
        unpacker.finish()
    return warnings


def test_nothing_is_written_through_links(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (inside / "top").mkdir(parents=True)
    (inside / "top" / "way").symlink_to(outside)
    (inside / "top" / "file").symlink_to(outside / "kept")
    os.link(outside / "kept", inside / "top" / "twin")
    with pytest.raises(UnpackError, match="nothing is written through it"):
        unpack(inside, (Entry("top/way/new", "file", size=1), b"x"))
    unpack(inside, (Entry("top/file", "file", size=1), b"x"), (Entry("top/twin", "file", size=1), b"y"))
    assert (outside / "kept").read_text() == "kept"
    assert sorted(each.name for each in outside.iterdir()) == ["kept"]
    assert (inside / "top" / "file").read_text() == "x"
    assert not (inside / "top" / "file").is_symlink()


def test_links_of_an_archive(tmp_path: Path) -> None:
    warnings = unpack(
        tmp_path,
        (Entry("top", "folder", 0o755), b""),
        (Entry("top/a", "file", 0o640, 5.0, 1), b"x"),
        (Entry("top/good", "symlink", link="a"), b""),
        (Entry("top/d/up", "symlink", link="../a"), b""),
        (Entry("top/out", "symlink", link="../../etc"), b""),
        (Entry("top/absolute", "symlink", link="/etc/passwd"), b""),
        (Entry("top/second", "hardlink", link="top/a"), b""),
        (Entry("top/device", "other"), b""),
    )
    assert len(warnings) == 3
    assert (tmp_path / "top" / "good").read_text() == (tmp_path / "top" / "d" / "up").read_text() == "x"
    assert (tmp_path / "top" / "second").samefile(tmp_path / "top" / "a")
    assert not (tmp_path / "top" / "out").is_symlink()
    # A second name for something outside, by way of a link that is inside.
    with pytest.raises(UnpackError):
        unpack(tmp_path, (Entry("top/x", "hardlink", link="../secret"), b""))
    with pytest.raises(UnpackError, match="no file"):
        unpack(tmp_path, (Entry("top/x", "hardlink", link="top/good"), b""))


def test_permissions_are_kept_and_the_dangerous_ones_are_not(tmp_path: Path) -> None:
    unpack(
        tmp_path,
        (Entry("top", "folder", 0o500, 7.0), b""),
        (Entry("top/run", "file", 0o6777, 5.0, 1), b"x"),
        (Entry("top/read", "file", 0o400, 5.0, 0), b""),
    )
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "top").iterdir()}
    assert modes == {"run": 0o777, "read": 0o400}
    assert stat.S_IMODE((tmp_path / "top").stat().st_mode) == 0o500
    assert (tmp_path / "top" / "run").stat().st_mtime == 5.0
    (tmp_path / "top").chmod(0o700)


# --- both ways, with this machine's tar as the container's ----------------------------------------------------------


class Here:
    """A container that is a folder of this machine; remembers which commands it was asked for."""

    def __init__(self, folder: Path, path: str = os.environ["PATH"]) -> None:
        self.folder = folder
        self.namespace = "default"
        self.commands: list[list[str]] = []
        self.pods = SimpleNamespace(exec=self.exec)
        self._path = path

    async def exec(self, requests: AsyncIterator[PodExecRequest]) -> AsyncIterator[PodExecResponse]:
        start = (await anext(requests)).start
        self.commands.append(list(start.command))
        try:
            process = await asyncio.create_subprocess_exec(
                *start.command, stdin=-1, stdout=-1, stderr=-1, cwd=self.folder, env={"PATH": self._path}
            )
        except FileNotFoundError:
            yield PodExecResponse(exit_code=127)
            return
        assert process.stdin and process.stdout and process.stderr

        async def feed() -> None:
            assert process.stdin
            async for request in requests:
                if request.stdin_eof:
                    break
                process.stdin.write(request.stdin)
                await process.stdin.drain()
            process.stdin.close()

        feeding = asyncio.create_task(feed()) if start.stdin else None
        while piece := await process.stdout.read(1000):
            yield PodExecResponse(stdout=piece)
        complaints = await process.stderr.read()
        if complaints:
            yield PodExecResponse(stderr=complaints)
        yield PodExecResponse(exit_code=await process.wait())
        if feeding is not None:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


@pytest.fixture
def there(tmp_path: Path) -> Here:
    (tmp_path / "container").mkdir()
    return Here(tmp_path / "container")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    (folder / "site" / "deep").mkdir(parents=True)
    (folder / "site" / "index.html").write_bytes(os.urandom(200_000))
    (folder / "site" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "site" / "run.sh").chmod(0o750)
    (folder / "site" / "deep" / "a b ü").write_text("x")
    (folder / "site" / "link").symlink_to("index.html")
    (folder / "site" / "empty").mkdir()
    return folder


def same(one: Path, other: Path) -> bool:
    return subprocess.run(["diff", "-r", "--no-dereference", one, other], check=False).returncode == 0


async def test_a_folder_goes_there_and_comes_back(there: Here, here: Path) -> None:
    copied = await copy_to(there, "p", here / "site", "www")
    assert (copied.files, copied.left_out) == (4, [])
    assert same(here / "site", there.folder / "www")
    assert stat.S_IMODE((there.folder / "www" / "run.sh").stat().st_mode) == 0o750
    await copy_to(there, "p", here / "site", "www")
    assert same(here / "site", there.folder / "www" / "site")
    back = await copy_from(there, "p", "www/site", here / "back")
    assert back.files == 4
    assert same(here / "site", here / "back")
    assert stat.S_IMODE((here / "back" / "run.sh").stat().st_mode) == 0o750
    await copy_from(there, "p", "www/site/", f"{here}/")
    await copy_from(there, "p", f"{there.folder}/www/site/.", here / "contents")
    assert same(here / "site", here / "contents")


async def test_a_file_gets_a_new_name_or_keeps_its_own(there: Here, here: Path) -> None:
    (there.folder / "in").mkdir()
    await copy_to(there, "p", here / "site" / "run.sh", "renamed.sh")
    await copy_to(there, "p", here / "site" / "run.sh", "in")
    await copy_to(there, "p", here / "site" / "link", "in/followed")
    assert (there.folder / "renamed.sh").read_text() == (there.folder / "in" / "run.sh").read_text() == "#!/bin/sh\n"
    assert not (there.folder / "in" / "followed").is_symlink()
    await copy_from(there, "p", "renamed.sh", here / "new.sh")
    await copy_from(there, "p", "renamed.sh", here)
    assert (here / "new.sh").read_text() == (here / "renamed.sh").read_text() == "#!/bin/sh\n"
    (there.folder / "-odd").write_text("x")
    await copy_from(there, "p", "-odd", here)
    assert (here / "-odd").read_text() == "x"


async def test_permissions_may_be_left_behind(there: Here, here: Path) -> None:
    (here / "site" / "run.sh").chmod(0o700)
    await copy_to(there, "p", here / "site" / "run.sh", "run.sh", preserve=False)
    assert stat.S_IMODE((there.folder / "run.sh").stat().st_mode) == 0o755
    (there.folder / "secret").write_text("x")
    (there.folder / "secret").chmod(0o400)
    await copy_from(there, "p", "secret", here / "secret", preserve=False)
    assert (here / "secret").stat().st_mode & 0o200


async def test_what_is_neither_file_nor_folder_is_left_out(there: Here, here: Path) -> None:
    os.mkfifo(here / "site" / "pipe")
    copied = await copy_to(there, "p", here / "site", "www")
    assert len(copied.left_out) == 1
    os.mkfifo(there.folder / "www" / "pipe")
    told: list[str] = []
    back = await copy_from(there, "p", "www", here / "back", warn=told.append)
    assert told == back.left_out == ["./www/pipe: left out, neither file, folder nor link"]


async def test_archives_as_streams(there: Here, here: Path) -> None:
    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 700):
            yield data[start : start + 700]

    (there.folder / "in").mkdir()
    await stream_to(there, "p", pieces(archive((info("a"), b"x" * 5000))), "in")
    assert (there.folder / "in" / "a").read_bytes() == b"x" * 5000
    data = b"".join([each async for each in stream_from(there, "p", "in")])
    assert [entry.name for entry, _ in read(data, 512)] == ["./in", "./in/a"]


async def test_what_cannot_be_copied(there: Here, here: Path, tmp_path: Path) -> None:
    for work, says in (
        (copy_to(there, "p", here / "nope", "x"), "there is no such file or folder here"),
        (copy_to(there, "p", here / "site", ""), "is empty"),
        (copy_to(there, "p", here / "site", "no/such/folder"), "no/such"),
        (copy_from(there, "p", "", here), "is empty"),
        (copy_from(there, "p", "nope", here), "nope"),
        (copy_from(there, "p", ".", here / "no" / "such"), "there is no such folder here"),
    ):
        with pytest.raises(CopyError, match=says):
            await work
    bare = Here(there.folder, path=str(tmp_path / "nowhere"))
    for work in (copy_to(bare, "p", here / "site", "x"), copy_from(bare, "p", "x", here)):
        with pytest.raises(CopyError, match="there is no tar in the container's image"):
            await work


class Hostile(Here):
    """A container whose tar answers with an archive of its own making."""

    def __init__(self, folder: Path, data: bytes, code: int = 0) -> None:
        super().__init__(folder)
        self._data, self._code = data, code

    async def exec(self, requests: AsyncIterator[PodExecRequest]) -> AsyncIterator[PodExecResponse]:
        yield PodExecResponse(stdout=self._data)
        yield PodExecResponse(exit_code=self._code)


@pytest.mark.parametrize(
    "entries",
    [
        [(info("../evil"), b"x")],
        [(info("/evil"), b"x")],
        [(info("./logs/../../evil"), b"x")],
        [(info("./other/evil"), b"x")],
        [(info("./logs/"), b""), (info("./logs/l", tarfile.SYMTYPE, "/tmp"), b""), (info("./logs/l/../../evil"), b"x")],
        [(info("./logs/l", tarfile.SYMTYPE, "a"), b""), (info("./logs/l/evil"), b"x")],
        [(info("./logs/l", tarfile.LNKTYPE, "../../../etc/passwd"), b"")],
    ],
)
async def test_a_hostile_archive_writes_nothing_outside(tmp_path: Path, entries: Any) -> None:
    target = tmp_path / "a" / "b"
    target.mkdir(parents=True)
    container = Hostile(tmp_path, archive(*entries))
    with pytest.raises(CopyError):
        await copy_from(container, "p", "/var/logs", target)
    assert not list(tmp_path.rglob("evil"))


async def test_a_link_in_the_place_of_what_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    target.mkdir(parents=True)
    container = Hostile(tmp_path, archive((info("./logs", tarfile.SYMTYPE, ".."), b""), (info("./logs/x"), b"x")))
    copied = await copy_from(container, "p", "/var/logs", target)
    assert len(copied.left_out) == 1
    assert list(tmp_path.rglob("x")) == [target / "logs" / "x"]


async def test_an_archive_that_breaks_off(tmp_path: Path) -> None:
    data = archive((info("./logs"), b"x" * 5000))
    with pytest.raises(CopyError, match="breaks off"):
        await copy_from(Hostile(tmp_path, data[:3000]), "p", "/var/logs", tmp_path / "x")
    with pytest.raises(CopyError, match="tar ended with 2"):
        await copy_from(Hostile(tmp_path, data, code=2), "p", "/var/logs", tmp_path / "x")
