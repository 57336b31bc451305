"""A plugin that raises, hangs or returns nonsense harms the pods it is asked about, and they are told; others go on."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from steersman.core.v1 import Pod

from scheduler.alarm import Alarm
from scheduler.columns.cluster import Cluster
from scheduler.framework import Framework, Profile
from scheduler.outcomes import ERROR_REASON, Placement, Refusal
from scheduler.plugins.guarded import Guarded, PluginError
from scheduler.plugins.plugin import NODE, Plugin
from scheduler.plugins.registry import defaults
from scheduler.reasons import Reasons
from scheduler.schedule import Schedule
from tests.netproxy.standin import StandIn
from tests.scheduler.objects import node, pod
from tests.scheduler.test_running import RunningScheduler
from tests.waiting import eventually


class Faulty(Plugin):
    """Does what a test says, for pods that are labelled so."""

    name = "Faulty"
    filters = True
    scores = True

    def __init__(self, reasons: Reasons, point: str = "filter", does: Any = None) -> None:
        super().__init__(reasons)
        self.normalizes = point == "normalize"
        self._point = point
        self.does = does

    def _fault(self, point: str, pod: Any) -> Any:
        if self.does is not None and point == self._point and (pod is None or pod.labels.get("bad")):
            return self.does()
        return None

    def filter(self, pod: Any, cluster: Any, rows: Any) -> Any:
        return self._fault("filter", pod)

    def score(self, pod: Any, cluster: Any, rows: Any) -> Any:
        if self._point == "normalize" and pod.labels.get("bad"):
            return np.ones(2, np.int64)
        return self._fault("score", pod)

    def normalize(self, scores: Any) -> Any:
        return self._fault("normalize", None)

    def candidates(self, pod: Any, cluster: Any) -> Any:
        return self._fault("candidates", pod)

    def reserve(self, pod: Any, cluster: Any, row: int) -> Any:
        return self._fault("reserve", pod)


def raises() -> None:
    raise RuntimeError("out of order")


def hangs() -> None:
    while True:
        pass


def with_plugin(*plugins: Plugin, reasons: Reasons) -> Schedule:
    cluster = Cluster()
    profile = Profile("default-scheduler", (*defaults(reasons), *((plugin, 1) for plugin in plugins)))
    schedule = Schedule(cluster, {"default-scheduler": Framework(profile, cluster, reasons, random.Random(1))})
    for name in ("n1", "n2"):
        schedule.node_changed(None, node(name), 0)
    return schedule


@pytest.mark.parametrize(
    ("point", "does", "words"),
    [
        ("filter", raises, "RuntimeError: out of order"),
        ("filter", hangs, "it took longer than 0.05 s"),
        ("filter", lambda: "no", "filter returned str, not an array of numbers"),
        ("filter", lambda: np.array(["no", "yes"]), "not an array of numbers"),
        ("filter", lambda: np.zeros(7, np.int32), r"filter returned (7,) numbers for 2 nodes"),
        ("filter", lambda: np.array([0, 1 << 20]), "filter returned 1048576, which is not from 0 to"),
        ("filter", lambda: np.array([0, -5]), "filter returned -5, which is not from 0 to"),
        ("score", raises, "RuntimeError: out of order"),
        ("score", lambda: np.array([1.0, np.nan]), "score returned what is no number"),
        ("score", lambda: np.array([0, 101]), "score returned 101, which is not from 0 to 100"),
        ("normalize", lambda: np.array([-1, 3]), "normalize returned -1, which is not from 0 to 100"),
        ("candidates", lambda: np.array([99]), "candidates returned 99, which is not from 0 to 1"),
        ("candidates", lambda: [0], "candidates returned list, not an array of numbers"),
    ],
)
def test_the_pod_is_told_and_the_others_go_on(point: str, does: Any, words: str) -> None:
    reasons = Reasons()
    # Only what hangs is to be cut short, however slow the machine is.
    alarm = Alarm(0.05 if does is hangs else 60)
    schedule = with_plugin(Guarded(Faulty(reasons, point, does), alarm.limit), reasons=reasons)
    schedule.pod_changed(None, pod("bad", labels={"bad": "yes"}), 0)
    schedule.pod_changed(None, pod("good"), 0)
    with pytest.raises(PluginError) as caught:
        schedule.attempt(0)
    assert words in str(caught.value)
    (told,) = schedule.abandon(0, str(caught.value))
    assert (told.pod.metadata.name, told.reason) == ("bad", ERROR_REASON)
    assert told.message.startswith("plugin Faulty: ")
    good = schedule.attempt(0)
    assert isinstance(good, Placement)
    assert good.pod.name == "good"
    assert schedule.queue.counts()["backing off"] == 1
    assert [name for name, there in schedule.cluster.pods.placed.items() if there.info.name == "bad"] == []


def test_what_a_plugin_left_half_done_is_done_anew() -> None:
    reasons = Reasons()
    plugin = Faulty(reasons, does=raises)
    plugin.reads = NODE
    schedule = with_plugin(Guarded(plugin), reasons=reasons)
    schedule.node_changed(None, node("n1", unschedulable=True), 0)
    bad = pod("bad", labels={"bad": "yes"})
    schedule.pod_changed(None, bad, 0)
    with pytest.raises(PluginError):
        schedule.attempt(0)
    schedule.abandon(0)
    plugin.does = None
    again = schedule.attempt(100)
    assert isinstance(again, Placement)
    assert again.node == "n2", "nothing that was judged in part is believed"


def test_an_event_survives_a_plugin_that_fails_when_asked_about_it() -> None:
    reasons = Reasons()
    plugin = Faulty(reasons)
    schedule = with_plugin(Guarded(plugin), reasons=reasons)
    waiting = pod("waiting", labels={"bad": "yes"}, cpu="64")
    schedule.pod_changed(None, waiting, 0)
    assert isinstance(schedule.attempt(0), Refusal)
    plugin.does = raises
    schedule.node_changed(None, node("n3", cpu="100"), 100)
    assert schedule.cluster.rows.get("n3") is not None
    with pytest.raises(PluginError):
        schedule.attempt(100)
    plugin.does = None
    schedule.abandon(100)
    placed = schedule.attempt(200)
    assert isinstance(placed, Placement)
    assert placed.node == "n3"


PACKAGE = """
from scheduler.plugins.plugin import Plugin

class Odd(Plugin):
    name = "Odd"
    filters = True

    def filter(self, pod, cluster, rows):
        if pod.labels.get("odd") == "raise":
            raise RuntimeError("out of order")
        while pod.labels.get("odd") == "hang":
            pass

def make(reasons, args):
    return Odd(reasons)
"""
PROFILES = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
  plugins:
    multiPoint:
      enabled: [{name: Odd}]
"""


@pytest.fixture
async def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    """A scheduler with the plugin of a package beside it."""
    package = tmp_path / "package"
    information = package / "odd_plugin-1.0.dist-info"
    information.mkdir(parents=True)
    (package / "odd_plugin.py").write_text(PACKAGE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[steersman.scheduler.plugins]\nOdd = odd_plugin:make\n")
    (tmp_path / "profiles.yaml").write_text(PROFILES)
    monkeypatch.setenv("PYTHONPATH", str(package), prepend=":")
    folder = tmp_path / "api"
    folder.mkdir()
    async with StandIn(folder) as api:
        running = RunningScheduler(api, tmp_path, "scheduler", "--profiles", str(tmp_path / "profiles.yaml"))
        await running.start()
        try:
            yield api
        finally:
            assert running.process is not None
            if running.process.returncode is None:
                running.process.terminate()
            await running.process.wait()


async def test_a_package_of_others_may_fail_in_a_running_scheduler(odd: StandIn) -> None:
    odd.put(node("n1"))
    for name, kind in (("raising", "raise"), ("hanging", "hang"), ("well", "")):
        odd.put(pod(name, labels={"odd": kind}))

    def message(name: str) -> str:
        conditions = odd.get(Pod, name).status.conditions
        return next((one.message for one in conditions if one.type == "PodScheduled"), "")

    await eventually(lambda: odd.get(Pod, "well").spec.node_name)
    assert await eventually(lambda: message("raising")) == (
        "the decision failed: plugin Odd: RuntimeError: out of order"
    )
    assert await eventually(lambda: message("hanging")) == (
        "the decision failed: plugin Odd: TooSlowError: it took longer than 1 s"
    )
