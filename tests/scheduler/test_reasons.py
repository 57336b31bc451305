"""Every reason code is explained to people."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_all_codes_are_in_the_page() -> None:
    sources = [*(ROOT / "scheduler" / "plugins").glob("*.py"), ROOT / "scheduler" / "gangs.py"]
    codes = {code for path in sources for code in re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', path.read_text())}
    page = (ROOT / "docs" / "scheduler" / "reasons.md").read_text()
    assert len(codes) > 20
    assert sorted(code for code in codes if f"`{code}`" not in page) == []
