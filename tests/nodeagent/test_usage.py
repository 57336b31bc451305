"""What the node and its containers use: from readings to rates, and what the kernel says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nodeagent.cri.runtime import ContainerUse
from nodeagent.usage.machine import Machine, parse_meminfo, parse_pairs, parse_stat
from nodeagent.usage.meter import Meter
from nodeagent.usage.rates import History, Reading, rate

S = 1_000_000_000


def reading(time_s: float, cpu_s: float, memory: int = 1) -> Reading:
    return Reading(int(time_s * S), int(cpu_s * S), memory)


def test_a_rate_is_what_was_used_since_then() -> None:
    found = rate(reading(10, 5), reading(14, 7, 42))
    assert (found.cpu_nanocores, found.window_ns, found.memory_bytes) == (S // 2, 4 * S, 42)


def test_a_counter_that_began_anew_counts_from_nothing() -> None:
    assert rate(reading(10, 5), reading(12, 1)).cpu_nanocores == S // 2


def test_what_was_never_read_before_has_no_rate_yet() -> None:
    history = History()
    assert history.rates({"a": reading(10, 5)}) == {}
    history.keep({"a": reading(10, 5)})
    assert history.rates({"a": reading(10.1, 5)}) == {}
    assert history.rates({"a": reading(12, 6)})["a"].cpu_nanocores == S // 2


def test_asking_often_does_not_make_windows_short() -> None:
    history = History()
    history.keep({"a": reading(10, 0)})
    for moment in (20.0, 20.1, 20.2, 20.3):
        now = {"a": reading(moment, moment - 10)}
        assert history.rates(now)["a"].window_ns >= 9 * S // 10
        history.keep(now)
    assert history.rates({"a": reading(20.5, 10.5)})["a"].window_ns == int(10.5 * S)


def test_what_is_gone_is_forgotten() -> None:
    history = History()
    history.keep({"a": reading(1, 1), "b": reading(1, 1)})
    history.keep({"b": reading(3, 1)})
    assert history.rates({"a": reading(5, 1), "b": reading(5, 1)}).keys() == {"b"}


STAT = "cpu  100 20 30 1000 50 1 2 3 40 5\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
MEMINFO = "MemTotal:       1000 kB\nMemFree:         300 kB\nMemAvailable:    600 kB\n"


def test_what_the_kernel_says_of_the_machine() -> None:
    assert parse_stat(STAT, 100) == 156 * S // 100
    assert parse_meminfo(MEMINFO) == 400 * 1024
    assert parse_meminfo(MEMINFO.replace("MemAvailable", "Else")) == 700 * 1024
    assert parse_pairs("usage_usec 7\nuser_usec 3\nodd\n") == {"usage_usec": 7, "user_usec": 3}


def test_a_machine_that_is_all_the_nodes(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text(STAT)
    (tmp_path / "meminfo").write_text(MEMINFO)
    found = Machine("/", tmp_path / "none", tmp_path).read(5)
    assert found is not None
    assert (found.time_ns, found.memory_bytes) == (5, 400 * 1024)


def test_a_node_that_shares_its_machine(tmp_path: Path) -> None:
    assert Machine("/n1", tmp_path).read(5) is None
    for folder, files in {
        "cpuacct/n1": {"cpuacct.usage": "7000\n"},
        "memory/n1": {"memory.usage_in_bytes": "100\n", "memory.stat": "cache 5\ntotal_inactive_file 30\n"},
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    assert Machine("/n1", tmp_path).read(5) == Reading(5, 7000, 70)


def test_a_node_that_shares_its_machine_with_one_tree_of_cgroups(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "n1").mkdir()
    for name, text in {
        "cpu.stat": "usage_usec 7\n",
        "memory.current": "100\n",
        "memory.stat": "inactive_file 130\n",
    }.items():
        (tmp_path / "n1" / name).write_text(text)
    assert Machine("n1", tmp_path).read(5) == Reading(5, 7000, 0)


class Clock:
    """A clock on which time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Runtime:
    """Two containers: one uses half a processor, the other nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked = 0

    async def container_use(self) -> list[ContainerUse]:
        self.asked += 1
        now = self._clock.seconds
        return [
            ContainerUse("u1", "busy", "c1", reading(now, now / 2, 10)),
            ContainerUse("u2", "idle", "c2", reading(now, 3, 20)),
        ]


async def test_what_nobody_measured_before_is_measured_twice(tmp_path: Path) -> None:
    clock = Clock()
    runtime = Runtime(clock)
    meter = Meter(runtime, Machine("/absent", tmp_path), clock)  # type: ignore[arg-type]
    measured = await meter.measure()
    assert runtime.asked == 2
    assert {use.name: found.cpu_nanocores for use, found in measured.containers} == {"busy": S // 2, "idle": 0}
    # The kernel says nothing of the node, so it is what its containers use.
    assert measured.node is not None
    assert (measured.node.cpu_nanocores, measured.node.memory_bytes) == (S // 2, 30)
    clock.seconds += 10
    again = await meter.measure()
    assert runtime.asked == 3
    assert again.containers[0][1].window_ns == pytest.approx(11 * S, rel=0.2)
