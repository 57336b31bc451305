"""The examples of the documentation and of `--help` are lines that `steer` understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from steersman import config
from steersman.config import Context
from steersman.pki import Authority

from tests.sdk.cli.changing.conftest import Steer
from tests.sdk.cli.changing.test_help import every

PAGE = Path(__file__).resolve().parents[4] / "docs" / "cli" / "changing.md"
# Where what is written beside an example begins.
ASIDE = re.compile(r"\s{2,}|\s+#\s|\s+\||\s+>|\s+&&|\$\(")


def lines() -> Iterator[str]:
    for block in re.findall(r"```\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        yield from block.splitlines()
    for _, command in every():
        yield from (command.epilog or "").splitlines()


def examples() -> list[str]:
    found = []
    for line in lines():
        _, begins, rest = line.partition("steer ")
        if begins and not line.lstrip().startswith(("The ", "Ends")):
            found.append(ASIDE.split(rest)[0].strip())
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Steer:
    """The command line of somebody whose cluster is down."""
    folder = tmp_path_factory.mktemp("nowhere")
    now = datetime.now(UTC)
    authority = Authority.create("test", now=now)
    (folder / "ca.crt").write_bytes(authority.pem())
    certificate, key = authority.issue("admin", now=now)
    server = f"unix:{folder}/nobody.sock"
    config.save(folder / "config", Context("t", server, "", folder / "ca.crt", certificate, key))
    return Steer(folder / "config", folder)


def test_there_are_examples() -> None:
    assert len(examples()) > 100


@pytest.mark.parametrize("line", examples())
async def test_an_example_is_understood(nowhere: Steer, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(nowhere.folder)
    done = await nowhere(*shlex.split(line))
    # The cluster is down, or a file of the example is not there; but nobody says that the words make no sense.
    assert done.code in (0, 1, 3), (line, done)
    assert done.code == 0 or "error: " in done.err, (line, done)
