"""Flags: explained, checked, and refused in one clear line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from netproxy.__main__ import duration_s, parser


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netproxy", *arguments], capture_output=True, text=True, check=False, timeout=20
    )


def test_every_flag_is_explained() -> None:
    for action in parser()._actions:
        assert action.help, action.option_strings


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("100ms", 0.1), ("1m30s", 90), ("2", 2), ("1h", 3600)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proxy-mode", "ipvs"], "--proxy-mode ipvs: there is only iptables"),
        (["--cluster-cidr", "10.244.0.0/99"], "does not appear to be an IPv4 or IPv6 network"),
        (["--iptables-masquerade-bit", "32"], "is not a number from 0 to 31"),
        (["--nodeport-addresses", "here"], "--nodeport-addresses"),
        (["--iptables-sync-period", "soon"], "is not a duration"),
        (["--bind-address", "0.0.0.0:10256"], "is not a loopback address"),
        (["--config", "/nowhere", "--metrics-address", ""], "/nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
