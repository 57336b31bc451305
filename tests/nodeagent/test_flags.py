"""Flags, and the one line that says what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from steersman.service.run import StartError

from nodeagent.__main__ import config_of, parser


def parsed(*arguments: str) -> object:
    return config_of(parser().parse_args(["--node-ip", "10.0.0.1", *arguments]))


def test_settings_from_flags() -> None:
    config = config_of(
        parser().parse_args(
            [
                *["--node-name", "n7", "--node-ip", "10.0.0.7,fd00::7", "--bind-address", ":11250"],
                *["--node-lease-renew-interval", "500ms", "--sync-frequency", "5m", "--cluster-dns", "10.96.0.10"],
                *["--system-reserved", "cpu=500m,memory=1Gi", "--container-log-max-size", "1Mi"],
            ]
        )
    )
    assert (config.node_name, list(config.node_ips), config.port) == ("n7", ["10.0.0.7", "fd00::7"], 11250)
    assert (config.lease_renew_s, config.sync_s, config.log_bytes_max) == (0.5, 300, 1024 * 1024)
    assert config.reserved == {"cpu": "500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    "wrong",
    [
        ["--node-ip", "ten"],
        ["--node-lease-renew-interval", "soon"],
        ["--node-lease-renew-interval", "-1s"],
        ["--node-labels", "a"],
    ],
)
def test_a_wrong_value_names_its_flag(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_values_that_do_not_fit() -> None:
    with pytest.raises(StartError, match="--bind-address"):
        parsed("--bind-address", "10250")
    with pytest.raises(StartError, match="--container-log-max-size"):
        parsed("--container-log-max-size", "big")


def test_every_flag_is_explained_and_mistakes_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nodeagent"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    for action in parser()._actions:
        assert action.help, action.option_strings
        assert action.option_strings[0] in shown
    for arguments in (
        [],
        ["--insecure", "--bind-address", "0.0.0.0:10250", "--node-ip", "10.0.0.1"],
        ["--insecure", "--bind-address", "127.0.0.1:0", "--node-ip", "10.0.0.1", "--config", str(tmp_path / "none")],
    ):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert done.returncode != 0
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
