"""`steer get`: every form of output, order and choice."""

from __future__ import annotations

import json
import os
import pty
import queue
import re
import select
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from steersman.cli import colour, output
from steersman.client import DELETED, MODIFIED
from steersman.core.v1 import Pod

from tests.apiserver.objects import config_map, deployment, pod
from tests.sdk.cli.conftest import Cluster


@pytest.fixture
def three(cluster: Cluster, namespace: str) -> str:
    """A namespace with three pods."""
    pods = [pod("web-2", namespace, tier="front"), pod("web-10", namespace, image="b:2"), pod("db", namespace)]
    pods[0].spec.containers.add(name="side", image="s:1")
    pods[1].status.phase = "Running"
    cluster.create(*pods)
    return namespace


def test_tables(cluster: Cluster, three: str) -> None:
    table = cluster.steer("get", "pods", "-n", three)
    assert re.match(r"NAME +READY +STATUS +RESTARTS +AGE\n", table)
    assert [line.split()[0] for line in table.splitlines()] == ["NAME", "db", "web-10", "web-2"]
    assert table == cluster.steer("-n", three, "get", "po")
    assert "NODE" in cluster.steer("get", "pods", "-n", three, "-o", "wide").splitlines()[0]
    assert len(cluster.steer("get", "pods", "-n", three, "--no-headers").splitlines()) == 3
    everywhere = cluster.steer("get", "pods", "-A")
    assert everywhere.startswith("NAMESPACE ")
    assert three in everywhere
    cluster.create(config_map("c", three))
    both = cluster.steer("get", "pods,cm", "-n", three)
    assert "pod/db" in both
    assert "configmap/c" in both


def test_flags_as_kubectl_takes_them(cluster: Cluster, three: str) -> None:
    expected = cluster.steer("get", "pods", "-n", three, "-o", "name")
    for words in (
        [f"-n={three}", "-o=name"],
        [f"-n{three}", "-oname"],
        [f"--namespace={three}", "--output=name"],
        [f"-n={three}", "-o", "name", "--watch=false"],
    ):
        assert cluster.steer("get", "pods", *words) == expected
    assert cluster.steer(f"-n={three}", "get", "pods", "-o=name") == expected
    assert (
        cluster.steer("get", "pods", f"-n={three}", "-l=tier=front", "-o=jsonpath={.items[*].metadata.name}") == "web-2"
    )


def test_labels_and_kinds(cluster: Cluster, three: str) -> None:
    shown = cluster.steer("get", "pods", "-n", three, "-L", "tier,x/none", "--show-labels", "--show-kind")
    head, *rows = shown.splitlines()
    assert head.split()[-3:] == ["TIER", "NONE", "LABELS"]
    assert rows[0].startswith("pod/db ")
    assert rows[0].split()[-3:] == ["<none>", "<none>", "<none>"]
    assert rows[2].split()[-3:] == ["front", "<none>", "tier=front"]


def test_order(cluster: Cluster, three: str) -> None:
    def names(*words: str) -> list[str]:
        return cluster.steer("get", "pods", "-n", three, "-o", "name", *words).split()

    assert names("--sort-by", ".metadata.name") == ["pod/db", "pod/web-2", "pod/web-10"]
    assert names("--sort-by={.spec.containers[0].image}")[-1] == "pod/web-10"
    done = cluster.run("get", "pods", "-n", three, "--sort-by", ".spec.nothing")
    assert done.code == 1
    assert done.err == ("error: --sort-by .spec.nothing: no object has such a field; pod.spec has no field 'nothing'\n")


def test_jsonpath_and_custom_columns(cluster: Cluster, three: str, tmp_path: Path) -> None:
    template = '{range .items[*]}{.metadata.name}={.spec.containers[*].image}{"\\n"}{end}'
    expected = "db=a:1\nweb-10=b:2\nweb-2=a:1 s:1\n"
    assert cluster.steer("get", "pods", "-n", three, "-o", f"jsonpath={template}") == expected
    (tmp_path / "t").write_text(template)
    assert cluster.steer("get", "pods", "-n", three, "-o", f"jsonpath-file={tmp_path / 't'}") == expected
    assert cluster.steer("get", "pod/db", "-n", three, "-o", "jsonpath={.metadata.name}") == "db"
    as_json = cluster.steer("get", "pod/db", "-n", three, "-o", "jsonpath-as-json={.spec.containers[*].image}")
    assert json.loads(as_json) == ["a:1"]
    columns = cluster.steer("get", "pods", "-n", three, "-o", "custom-columns=N:.metadata.name,P:.status.podIP")
    assert columns.splitlines() == ["N        P", "db       <none>", "web-10   <none>", "web-2    <none>"]
    (tmp_path / "c").write_text("N\n.metadata.name\n")
    only = cluster.steer("get", "pods", "-n", three, "-o", f"custom-columns-file={tmp_path / 'c'}", "--no-headers")
    assert only.split() == ["db", "web-10", "web-2"]


@pytest.mark.parametrize(
    ("form", "code", "expected"),
    [
        ("yml", 2, "-o yml: there is no such form; did you mean 'yaml'?"),
        ("jsonpath", 2, "-o jsonpath needs a value"),
        ("jsonpath={.a[}", 2, "-o jsonpath: '[}': ] is missing"),
        ("jsonpath={.items[9]}", 1, "-o jsonpath: there is no element 9, the list has 3"),
        ("custom-columns=A", 2, "'A' is not HEADING:PATH"),
        ("jsonpath-file=/nowhere", 1, "/nowhere: No such file or directory"),
        ("go-template={{.x}}", 2, "-o jsonpath=... is there"),
    ],
)
def test_forms_that_make_no_sense(cluster: Cluster, three: str, form: str, code: int, expected: str) -> None:
    done = cluster.run("get", "pods", "-n", three, "-o", form)
    assert done.code == code
    assert expected in done.err
    assert len(done.err.splitlines()) == 1


def test_yaml_and_json(cluster: Cluster, three: str) -> None:
    one = yaml.safe_load(cluster.steer("get", "pod", "db", "-n", three, "-o", "yaml"))
    assert one["kind"] == "Pod"
    assert "managedFields" not in one["metadata"]
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    cluster.steer("apply", "-n", three, "-f", "-", stdin=json.dumps(manifest))
    assert "managedFields" not in cluster.steer("get", "cm/c", "-n", three, "-o", "yaml")
    assert "managedFields" in cluster.steer("get", "cm/c", "-n", three, "-o", "yaml", "--show-managed-fields")
    assert cluster.json("get", "pods", "db", "web-2", "-n", three)["kind"] == "List"
    empty = cluster.json("get", "pods", "-n", three, "-l", "a=b")
    assert (empty["kind"], empty["items"]) == ("List", [])


def test_what_is_not_there(cluster: Cluster, three: str) -> None:
    done = cluster.run("get", "pods", "nobody", "db", "-n", three)
    assert (done.code, "db" in done.out, "nobody" in done.err) == (4, True, True)
    done = cluster.run("get", "pods", "nobody", "-n", three, "--ignore-not-found")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = cluster.run("get", "pods", "-n", three, "-l", "a=b")
    assert (done.code, done.out, done.err) == (0, "", f"nothing found in namespace {three}\n")
    done = cluster.run("get", "pods", "-n", three, "-l", "a=b", "--ignore-not-found")
    assert (done.code, done.err) == (0, "")


def test_by_manifest(cluster: Cluster, three: str, tmp_path: Path) -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": three}}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(manifest))
    assert cluster.steer("get", "-f", str(tmp_path / "m.yaml"), "-o", "name") == "pod/db\n"
    assert cluster.run("get", "pods", "-f", str(tmp_path / "m.yaml")).code == 2
    assert cluster.run("get").code == 2


def test_scale(cluster: Cluster) -> None:
    cluster.create(deployment("scaled", replicas=2))
    scale = cluster.json("get", "deploy/scaled", "--subresource", "scale")
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 2)
    assert cluster.steer("get", "deploy/scaled", "--subresource=scale").splitlines()[1].split() == ["scaled", "2", "0"]
    assert cluster.run("get", "cm", "x", "--subresource=scale").code == 1
    assert cluster.json("get", "deploy/scaled", "--subresource", "status")["kind"] == "Deployment"


def test_pages_change_nothing(cluster: Cluster, three: str) -> None:
    assert len(cluster.steer("get", "pods", "-n", three, "--chunk-size", "1", "-o", "name").split()) == 3
    assert len(cluster.steer("get", "pods", "-n", three, "--chunk-size=0", "-o", "name").split()) == 3


def test_a_named_object_goes_with_no_selection(cluster: Cluster) -> None:
    for flag in (["-A"], ["-l", "a=b"], ["--field-selector", "a=b"]):
        assert cluster.run("get", "pod/x", *flag).code == 2


class Reader:
    """Lines of a process, each waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def _read(self, out: Any) -> None:
        for line in out:
            self._lines.put(line)

    def line(self, timeout_s: float = 20) -> str:
        return self._lines.get(timeout=timeout_s)


def test_watch_line_by_line(cluster: Cluster, namespace: str) -> None:
    cluster.create(config_map("first", namespace))
    process = cluster.start_process("get", "cm", "-n", namespace, "-w", "--output-watch-events")
    try:
        read = Reader(process)
        assert read.line().split() == ["EVENT", "NAME", "DATA", "AGE"]
        assert read.line().split()[:2] == ["ADDED", "first"]
        cluster.create(config_map("second", namespace, a="1"))
        assert read.line().split()[:3] == ["ADDED", "second", "1"]
        cluster.steer("delete", "cm", "first", "-n", namespace)
        assert read.line().split()[:2] == ["DELETED", "first"]
        process.send_signal(2)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_watch_only_changes_as_json(cluster: Cluster, namespace: str) -> None:
    cluster.create(config_map("first", namespace))
    process = cluster.start_process("get", "cm", "-n", namespace, "--watch-only", "--output-watch-events", "-o", "json")
    try:
        read = Reader(process)
        # It says nothing of what there is: it has begun when a change comes through.
        number = 0
        event: Any = None
        while event is None:
            number += 1
            assert number < 200
            cluster.create(config_map(f"n{number}", namespace))
            with suppress(queue.Empty):
                event = json.loads(read.line(0.1))
        assert event["type"] == "ADDED"
        assert event["object"]["metadata"]["name"].startswith("n")
    finally:
        process.kill()
        process.communicate()


def test_watching_what_is_not_there(cluster: Cluster, namespace: str) -> None:
    assert cluster.run("get", "cm/none", "-n", namespace, "-w").code == 4
    assert cluster.run("get", "cm,pods", "-n", namespace, "-w").code == 2


def test_a_live_table(cluster: Cluster, namespace: str) -> None:
    cluster.create(config_map("first", namespace))
    master, slave = pty.openpty()
    environment = {**os.environ, "STEERCONFIG": str(cluster.config), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "steersman.cli.main", "get", "cm", "-n", namespace, "-w"],
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    screen = b""

    def until(text: bytes) -> None:
        nonlocal screen
        while text not in screen:
            assert select.select([master], [], [], 20)[0], screen
            screen += os.read(master, 65536)

    try:
        until(b"first")
        cluster.create(config_map("second", namespace))
        until(b"second")
        cluster.steer("delete", "cm", "first", "-n", namespace)
        until(b"(deleted)")
        assert b"\x1b[2F\x1b[J" in screen
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_the_lines_of_a_live_table() -> None:
    from datetime import UTC, datetime

    from steersman import kinds
    from steersman.cli.showing import Style
    from steersman.cli.watching import Table
    from steersman.client import WatchEvent

    def event(type: Any, name: str) -> WatchEvent[Pod]:
        return WatchEvent(type, pod(name), "1", False)

    table = Table(kinds.by_name("pods"), Style())
    now = datetime.now(UTC)
    for name in ("c", "a", "b"):
        table.take(event(MODIFIED, name))
    assert [line.split()[0] for line in table.lines(now, 10)] == ["NAME", "a", "b", "c"]
    assert table.lines(now, 3)[-1] == "... and 2 more"
    table.take(event(DELETED, "a"))
    assert table.lines(now, 10)[1].endswith("(deleted)")
    assert [line.split()[0] for line in table.lines(now, 10)] == ["NAME", "b", "c"]


def test_colour_is_for_terminals(cluster: Cluster, three: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in cluster.steer("get", "pods", "-n", three)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[33mPending\x1b[0m" in cluster.steer("get", "pods", "-n", three)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in cluster.steer("get", "pods", "-n", three)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Running", "green"),
        ("CrashLoopBackOff", "red"),
        ("Init:0/2", "yellow"),
        ("1/1", ""),
        ("0/1", "yellow"),
        ("Pending", "yellow"),
        ("Ready", "green"),
        ("Ready,SchedulingDisabled", "yellow"),
        ("NotReady", "yellow"),
        ("Init:Error", "red"),
        ("whatever", ""),
    ],
)
def test_colours_of_words(word: str, expected: str) -> None:
    assert colour.of_status(word) == expected


def test_cells_obey_no_escape_sequences_and_align_wide_characters() -> None:
    assert output.printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb c"
    assert output.lines(["A", "B"], [["名", "x"], ["ab", "y"]], head=False) == ["名   x", "ab   y"]
