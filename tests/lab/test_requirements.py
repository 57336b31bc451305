"""What a machine lacks is said before anything is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import requirements
from lab.requirements import RequirementsMissing


def test_without_root_rights_nothing_else_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RequirementsMissing, match="root rights"):
        requirements.check()


@pytest.mark.root
def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequirementsMissing) as caught:
        requirements.check()
    assert "runc (Debian package runc)" in caught.value.missing
    assert "containerd, containerd-shim-runc-v2, ctr (Debian package containerd)" in caught.value.missing


@pytest.mark.root
def test_missing_kernel_features_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        requirements, "_KERNEL_TRIALS", ((["false"], "flying carpets"), (["nobody-has-this"], "unicorns"))
    )
    with pytest.raises(RequirementsMissing) as caught:
        requirements.check()
    [carpets, unicorns] = caught.value.missing
    assert carpets == "flying carpets in the kernel (refused)"
    assert unicorns.startswith("unicorns (")


@pytest.mark.root
def test_this_machine_has_everything() -> None:
    requirements.check()
