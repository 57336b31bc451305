"""`steer` as a person runs it, on a real apiserver in the test's own process."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from steersman import config
from steersman.cli.main import main
from steersman.client import Api
from steersman.config import Context

from tests.apiserver.conftest import Served, identities, served
from tests.controllers.conftest import running

__all__ = ["api", "identities", "running", "served", "steer"]


@dataclass(frozen=True)
class Done:
    """What a command came to: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Steer:
    """The command line of one user.

    Attributes:
        file: the client configuration.
        folder: where files for it may be put.
    """

    file: Path
    folder: Path

    async def __call__(self, *words: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> Done:
        """Runs a command to its end, beside the apiserver; a traceback fails the test."""

        def run() -> Done:
            code: Any = 0
            with CliRunner().isolation(input=stdin, env=env) as (out, err, _):
                try:
                    main(["--config", str(self.file), *words])
                except SystemExit as ended:
                    code = ended.code
                sys.stdout.flush()
                sys.stderr.flush()
                return Done(int(code or 0), out.getvalue().decode(), err.getvalue().decode())

        return await asyncio.to_thread(run)

    async def ok(self, *words: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> str:
        """Runs a command that must succeed; returns what it printed."""
        done = await self(*words, stdin=stdin, env=env)
        assert done.code == 0, f"steer {' '.join(words)}: {done}"
        return done.out

    async def json(self, *words: str, stdin: str | bytes = "") -> Any:
        """What a command prints as JSON."""
        return json.loads(await self.ok(*words, "-o", "json", stdin=stdin))

    def write(self, name: str, content: str) -> str:
        """Puts a file into the folder; returns its path."""
        path = self.folder / name
        path.write_text(content)
        return str(path)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the apiserver logs is not to stand among what `steer` prints."""
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def api(served: Served) -> Api:
    """The administrator's client, to prepare and to look."""
    return served.as_user("admin", "system:masters")


@pytest.fixture
def steer(served: Served, tmp_path: Path) -> Steer:
    """The administrator's command line."""
    return command_line(served, tmp_path, "admin", "system:masters")


def command_line(served: Served, folder: Path, user: str, *groups: str) -> Steer:
    """The command line of a user."""
    certificate, key = served.authority.issue(user, groups=groups, now=datetime.now(UTC))
    path = folder / f"{user}.config"
    server = f"localhost:{served.apiserver.ports[0]}"
    config.save(path, Context("t", server, "", served.ca, certificate, key))
    return Steer(path, folder)
