"""What is written to and read from the disk, without a runtime."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steersman.core.v1 import ConfigMap, Pod

from lab import images
from nodeagent import logs
from nodeagent.cri.exec import Exit, parse_status
from nodeagent.folders import Folders
from nodeagent.network import cni
from nodeagent.node import capacity, conditions
from nodeagent.node.capacity import Capacity
from nodeagent.node.conditions import NodeState
from nodeagent.node.pressure import Pressure, Threshold, ThresholdError, thresholds
from nodeagent.pod.fields import NodeFacts
from nodeagent.pod.volumes_spec import Payload, VolumeSources
from nodeagent.rotation import rotated_name, surplus
from nodeagent.volumes import atomic
from nodeagent.volumes.manager import Volumes
from tests.nodeagent.made import NOW, later

# Volumes that change all at once.


def test_files_change_all_at_once_and_only_when_they_differ(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, {"a": Payload(b"1", 0o644), "deep/b": Payload(b"2", 0o400)}, NOW)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "deep/b").stat().st_mode & 0o777 == 0o400
    version = (tmp_path / "..data").readlink()
    assert not atomic.write(tmp_path, {"a": Payload(b"1", 0o644), "deep/b": Payload(b"2", 0o400)}, later(1))
    assert (tmp_path / "..data").readlink() == version
    assert atomic.write(tmp_path, {"a": Payload(b"3", 0o644)}, later(1))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["..2026_11_20_05_00_01.000000", "..data", "a"]
    assert (tmp_path / "a").read_bytes() == b"3"


def test_a_write_that_broke_off_is_repaired(tmp_path: Path) -> None:
    atomic.write(tmp_path, {"a": Payload(b"1", 0o644)}, NOW)
    (tmp_path / "..data_tmp").symlink_to("nowhere")
    assert atomic.write(tmp_path, {"a": Payload(b"2", 0o644)}, NOW)
    assert (tmp_path / "a").read_bytes() == b"2"


def test_a_link_that_leads_elsewhere_removes_nothing_there(tmp_path: Path) -> None:
    volume, other = tmp_path / "volume", tmp_path / "other"
    volume.mkdir()
    other.mkdir()
    (other / "precious").touch()
    (volume / "..data").symlink_to("../other")
    atomic.write(volume, {"a": Payload(b"1", 0o644)}, NOW)
    assert (other / "precious").exists()
    assert (volume / "a").read_bytes() == b"1"


# Logs.


def line(text: str, *, stream: str = "stdout", tag: str = "F", second: int = 0) -> bytes:
    return f"2026-11-20T05:00:{second:02d}.123456789Z {stream} {tag} {text}\n".encode()


async def read(path: Path, query: logs.LogQuery, alive: Callable[[], bool] = lambda: False) -> bytes:
    return b"".join([each async for each in logs.read(path, query, alive)])


async def test_parts_of_a_line_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(line("one ", tag="P") + line("two") + b"garbage\n" + line("", stream="stderr") + line("last"))
    assert await read(path, logs.LogQuery()) == b"one two\n\nlast\n"
    stamped = await read(path, logs.LogQuery(timestamps=True))
    assert stamped.splitlines()[0] == b"2026-11-20T05:00:00.123456789Z one two"
    assert stamped.count(b"2026-11-20T05:00:00") == 3


async def test_parts_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(line(str(second), second=second) for second in range(10)))
    assert await read(path, logs.LogQuery(tail_lines=2)) == b"8\n9\n"
    assert await read(path, logs.LogQuery(tail_lines=100)) == b"".join(b"%d\n" % each for each in range(10))
    since = datetime(2026, 11, 20, 5, 0, 7, tzinfo=UTC)
    assert await read(path, logs.LogQuery(since=since)) == b"7\n8\n9\n"
    assert await read(path, logs.LogQuery(limit_bytes=3)) == b"0\n1"


@given(st.lists(st.tuples(st.text("ab ", max_size=5), st.booleans()), max_size=20), st.integers(0, 25))
def test_a_tail_is_the_end_of_the_whole(entries: list[tuple[str, bool]], wanted: int) -> None:
    raw = b"".join(line(text, tag="F" if full else "P") for text, full in entries)
    start = logs.tail_offset(io.BytesIO(raw), wanted)
    pieces = raw[start:].splitlines()
    fulls = sum(1 for each in pieces if (entry := logs.parse(each)) is not None and entry.full)
    total = sum(1 for _, full in entries if full)
    assert raw[start:] == b"" or start == 0 or raw[start - 1 : start] == b"\n"
    assert fulls == min(wanted, total) or wanted == 0


async def test_following_goes_on_in_the_file_that_replaces_a_moved_one(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(line("old"))
    steps = iter(["move", "write", "end"])

    def alive() -> bool:
        match next(steps, "ended"):
            case "move":
                path.rename(tmp_path / "0.log.1")
            case "write":
                path.write_bytes(line("new"))
            case "ended":
                return False
        return True

    assert await read(path, logs.LogQuery(follow=True), alive) == b"old\nnew\n"


def test_moved_logs_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    names = [rotated_name(path, later(second)) for second in range(4)]
    for name in names:
        name.touch()
    assert set(surplus(path, 3)) == set(names[:2])
    assert surplus(path, 9) == []


# Network configuration.


def test_the_network_s_configuration(tmp_path: Path) -> None:
    text = cni.conflist(["10.244.1.0/24", "fd00:1::/64"], bridge="steer0", state=tmp_path / "state", mtu=1450)
    document = json.loads(text)
    bridge, portmap = document["plugins"]
    assert (bridge["type"], bridge["ipMasq"], bridge["hairpinMode"], bridge["mtu"]) == ("bridge", False, True, 1450)
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00:1::/64"}]]
    assert portmap["capabilities"] == {"portMappings": True}
    assert cni.write(tmp_path / "net.d", text)
    assert not cni.write(tmp_path / "net.d", text)
    assert [each.name for each in (tmp_path / "net.d").iterdir()] == ["10-steersman.conflist"]
    with pytest.raises(cni.CidrError):
        cni.conflist(["10.244.1.0/99"], bridge="b", state=tmp_path)
    assert "bridge" in cni.missing_plugins(tmp_path)


# The node.


def test_what_pods_may_have_of_a_machine() -> None:
    machine = Capacity(cpus=2, memory_bytes=4 * 1024**3, disk_bytes=1024**4, pods=110)
    assert machine.quantities()["cpu"] == "2"
    left = machine.allocatable({"cpu": "500m", "memory": "1Gi"})
    assert (left["cpu"], left["memory"], left["pods"]) == ("1500m", "3145728Ki", "110")
    assert capacity.base_units(left)["memory"] == 3 * 1024**3


def test_when_a_machine_is_short() -> None:
    limits = thresholds("memory.available<100Mi,nodefs.available<10%")
    assert limits["memory.available"].is_short(99 * 1024**2, 10**12)
    assert not limits["memory.available"].is_short(101 * 1024**2, 10**12)
    assert limits["nodefs.available"].is_short(9, 100)
    assert not limits["nodefs.available"].is_short(10, 100)
    assert not Threshold().is_short(0, 100)
    assert thresholds("") == {}
    for wrong in ("memory.available=1", "memory<1", "memory.available<lots"):
        with pytest.raises(ThresholdError):
            thresholds(wrong)


def test_conditions_of_a_node() -> None:
    fine = Pressure(False, False, False)
    found = conditions.conditions(NodeState(fine), [], NOW)
    assert {each.type: each.status for each in found} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    broken = NodeState(Pressure(True, False, False), network_problem="no pod CIDR")
    worse = conditions.conditions(broken, found, later(30))
    ready = worse[-1]
    assert (ready.type, ready.status, ready.message) == ("Ready", "False", "no pod CIDR")
    assert ready.last_transition_time.seconds == int(later(30).timestamp())
    disk = next(each for each in worse if each.type == "DiskPressure")
    assert disk.last_transition_time.seconds == int(NOW.timestamp())
    assert conditions.differ(found, worse)
    assert not conditions.differ(found, conditions.conditions(NodeState(fine), found, later(99)))


# Commands.


def test_how_a_command_ended() -> None:
    assert parse_status(b'{"status": "Success"}') == Exit(0)
    failed = {"status": "Failure", "message": "no", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}
    assert parse_status(json.dumps(failed).encode()) == Exit(3, "no")
    assert parse_status(b"").code == 255


# Images.


def test_an_image_is_the_same_every_time() -> None:
    entries: dict[str, images.File | images.Link | images.Folder] = {
        "bin/a": images.File(b"x", 0o755),
        "bin/b": images.Link("a"),
        "tmp": images.Folder(0o1777),
    }
    one = images.layout("example/a:1", [images.layer(entries)], images.Config(command=("a",)), architecture="amd64")
    two = images.layout(
        "example/a:1", [images.layer(dict(reversed(entries.items())))], images.Config(command=("a",)),
        architecture="amd64",
    )  # fmt: skip
    assert one == two


def test_containers_that_start_at_once_prepare_their_pods_volumes_one_after_the_other(tmp_path: Path) -> None:
    volumes = Volumes(Folders(tmp_path))
    pod = Pod()
    pod.metadata.uid = "u"
    for number in range(3):
        pod.spec.volumes.add(name=f"v{number}").volume_source.config_map.local_object_reference.name = "c"
    found = ConfigMap(data={f"key-{number}": "x" for number in range(50)})
    sources = VolumeSources(lambda _: found, lambda _: None, lambda *_: None, NodeFacts())
    barrier = threading.Barrier(8)

    def prepare(number: int) -> int:
        barrier.wait(10)
        return len(volumes.prepare(pod, sources, later(number)))

    for _ in range(5):
        found.data["key-0"] += "x"
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(prepare, range(8))) == [3] * 8
