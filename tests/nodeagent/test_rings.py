"""What decides does not touch the world."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nodeagent.pod

FORBIDDEN = {"grpc", "asyncio", "subprocess", "random", "time", "socket", "os", "threading", "structlog"}
ADAPTERS = ("nodeagent.cri", "nodeagent.volumes", "nodeagent.network", "nodeagent.node", "nodeagent.rpc")
FILES = sorted(Path(next(iter(nodeagent.pod.__path__))).glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_decisions_import_values_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            assert name.split(".")[0] not in FORBIDDEN
            assert not name.startswith(ADAPTERS)
