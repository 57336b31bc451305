"""The client's configuration file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from steersman import config
from steersman.config import ConfigError, Context


def context(name: str) -> Context:
    return Context(name, f"unix:/{name}.sock", "apiserver", b"ca", b"cert", b"key")


def test_what_is_saved_can_be_loaded_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config"
    config.save(path, context("one"))
    config.save(path, context("two"))
    assert config.load(path) == context("two")
    assert config.load(path, "one") == context("one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config.remove(path, "two")
    assert config.load(path) == context("one")
    config.remove(path, "one")
    assert not path.exists()
    config.remove(path, "one")


def test_files_are_named_relative_to_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("current-context: a\ncontexts: {a: {server: 'h:1', certificate-authority: pki/ca.crt}}\n")
    assert config.load(path).authority == tmp_path / "pki/ca.crt"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not YAML"),
        ("[]", "it has no contexts"),
        ("contexts: {a: {server: x}}", "it has no context '' (it has: a)"),
        ("current-context: a\ncontexts: {a: {}}", "names no server"),
        ("current-context: a\ncontexts: {a: {server: x, client-key-data: '?'}}", "client-key-data is not base64"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_configuration_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("- precious\n")
    with pytest.raises(ConfigError, match="not overwritten"):
        config.save(path, context("one"))
    assert path.read_text() == "- precious\n"
    with pytest.raises(ConfigError, match="steer up"):
        config.load(tmp_path / "none")
