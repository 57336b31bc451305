"""The client without `await`: made from the other, with its verbs, its types and its errors."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import steersman.sync
from steersman import errors, pods, resource, until
from steersman.client import ADDED, BOOKMARK
from steersman.core.v1 import ConfigMap
from steersman.streams import connection, process
from steersman.sync import Api

from tests.plane import plane_in_thread


@pytest.fixture(scope="module")
def configuration_file() -> Iterator[Path]:
    """The configuration of a control plane that lives in a thread of its own."""
    with plane_in_thread("apiserver") as path:
        yield path


@pytest.fixture
def api(configuration_file: Path) -> Iterator[Api]:
    with steersman.sync.connect(configuration_file) as connected:
        yield connected
        for one in connected.configmaps.list(namespace="default", label_selector="test=sync"):
            connected.configmaps.delete(one.metadata.name)


def made(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata={"name": name, "namespace": "default", "labels": {"test": "sync"}}, data=data)


def test_objects_are_written_and_read(api: Api) -> None:
    api.configmaps.create(made("one", a="1"))
    assert api.configmaps.get("one").data == {"a": "1"}
    changed = api.configmaps.modify("one", lambda found: found.data.update(a="2"))
    assert changed.data == {"a": "2"}
    assert [one.metadata.name for one in api.resource(ConfigMap).list(label_selector="test=sync")] == ["one"]
    api.configmaps.delete("one")
    with pytest.raises(errors.NotFound, match="one"):
        api.configmaps.get("one")


def test_a_watch_is_an_iterator(api: Api) -> None:
    api.configmaps.create(made("seen"))
    events = api.configmaps.watch(namespace="default", label_selector="test=sync")
    first, second = next(events), next(events)
    assert (first.type, first.object and first.object.metadata.name) == (ADDED, "seen")
    assert (second.type, second.initial_state_end) == (BOOKMARK, True)
    events.close()  # type: ignore[attr-defined]


def test_waiting_blocks_the_caller_only(api: Api) -> None:
    later = threading.Timer(0.05, lambda: api.configmaps.create(made("later")))
    later.start()
    found = api.configmaps.wait("later", until.exists(), timeout_s=30)
    assert found is not None
    later.join()


def test_a_connection_serves_several_threads(api: Api) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round in range(10):
                api.configmaps.create(made(f"t{number}-{round}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(api.configmaps.list(label_selector="test=sync")) == 40


def test_a_closed_connection_says_so(configuration_file: Path) -> None:
    api = steersman.sync.connect(configuration_file)
    assert api.namespaces.get("default").metadata.name == "default"
    api.close()
    api.close()
    with pytest.raises(RuntimeError, match="closed"):
        api.namespaces.get("default")


def test_a_callback_that_would_wait_for_itself_is_told(api: Api) -> None:
    api.configmaps.create(made("one"))
    with pytest.raises(RuntimeError, match="callback"):
        api.configmaps.modify("one", lambda found: api.configmaps.get("one") and None)


def test_threads_end_with_their_connection(configuration_file: Path) -> None:
    before = threading.active_count()
    for _ in range(5):
        with steersman.sync.connect(configuration_file) as api:
            api.namespaces.list()
    assert threading.active_count() == before


def run_program(text: str, configuration: Path) -> str:
    """What a program prints that has a connection `api` at hand; warnings of Python are errors of it."""
    begin = f"import os, pathlib, steersman.sync\napi = steersman.sync.connect(pathlib.Path({str(configuration)!r}))\n"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", begin + text],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_program_may_end_in_the_middle_of_a_watch(configuration_file: Path) -> None:
    text = "events = api.namespaces.watch()\nprint(next(events).object.metadata.name != '')\n"
    assert run_program(text, configuration_file) == "True\n"


def test_the_fork_of_a_process_is_told_to_connect_by_itself(configuration_file: Path) -> None:
    text = """
events = api.namespaces.watch()
next(events)
if (child := os.fork()) == 0:
    try:
        api.namespaces.list()
    except RuntimeError as error:
        print(error, flush=True)
    events.close()
    api.close()
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
print(next(events).object is not None)
api.close()
"""
    said, parents = run_program(text, configuration_file).splitlines()
    assert "fork" in said
    assert parents == "True"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_iterator_may_be_collected_in_the_connection_s_own_thread(api: Api) -> None:
    api.configmaps.create(made("one"))
    held: list[Any] = [api.configmaps.watch(namespace="default", name="one")]
    next(held[0])
    api.configmaps.modify("one", lambda _found: held.clear())
    assert api.configmaps.get("one").metadata.name == "one"


def test_a_missing_configuration_starts_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(steersman.config.ConfigError):
        steersman.sync.connect(tmp_path / "nosuch")
    assert threading.active_count() == before


def public(of: type[Any]) -> dict[str, Callable[..., Any]]:
    found = inspect.getmembers(of, inspect.isfunction)
    return {name: function for name, function in found if not name.startswith("_")}


@pytest.mark.parametrize(
    ("face", "of"),
    [
        (steersman.sync.ResourceClient, resource.ResourceClient),
        (steersman.sync.PodClient, pods.PodClient),
        (steersman.sync.Process, process.Process),
        (steersman.sync.Connection, connection.Connection),
    ],
)
def test_every_method_is_there_with_its_arguments_and_waits(face: type[Any], of: type[Any]) -> None:
    assert public(face).keys() == public(of).keys()
    for name, function in public(face).items():
        assert not inspect.iscoroutinefunction(function), name
        assert list(inspect.signature(function).parameters) == list(inspect.signature(public(of)[name]).parameters)
        assert function.__doc__ == public(of)[name].__doc__
