"""Plugins of others, watched: what they raise, and nonsense that they return, becomes an error with their name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scheduler.columns.cluster import Cluster
from scheduler.columns.rows import Rows
from scheduler.plugins.plugin import SCORE_MAX, Plugin, Scores, size
from scheduler.pod import Template
from scheduler.reasons import Codes
from scheduler.volumes import VolumePlan

Result = TypeVar("Result")
Limit = Callable[[], AbstractContextManager[Any]]
"""Made anew for each call; ends it with an exception when it takes too long."""

# No weighted sum of such scores comes near to what a column can hold.
RAW_MAX = 1 << 40


class PluginError(Exception):
    """A plugin failed.

    Attributes:
        plugin: its name.
        reason: what it did.
    """

    def __init__(self, plugin: str, reason: str) -> None:
        super().__init__(f"plugin {plugin}: {reason}")
        self.plugin = plugin
        self.reason = reason


class Guarded(Plugin):
    """A plugin that raises nothing but `PluginError`, and returns nothing but what makes sense."""

    def __init__(self, inner: Plugin, limit: Limit = nullcontext) -> None:
        """Wraps a plugin.

        Args:
            inner: the plugin.
            limit: how long a call may take.
        """
        super().__init__(inner.reasons)
        self._inner = inner
        self._limit = limit
        self.name, self.reads = inner.name, inner.reads
        self.filters, self.scores, self.normalizes = inner.filters, inner.scores, inner.normalizes
        self.helped_by = inner.helped_by

    def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        try:
            with self._limit():
                return function(*arguments)
        except Exception as error:
            raise PluginError(self.name, f"{type(error).__name__}: {error}") from error

    def _numbers(self, what: str, answer: Any, length: int, *, fractions: bool = False) -> NDArray[Any]:
        if not isinstance(answer, np.ndarray) or answer.dtype.kind not in ("biuf" if fractions else "biu"):
            raise PluginError(self.name, f"{what} returned {type(answer).__name__}, not an array of numbers")
        if answer.shape != (length,):
            raise PluginError(self.name, f"{what} returned {answer.shape} numbers for {length} nodes")
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise PluginError(self.name, f"{what} returned what is no number")
        return answer

    def _between(self, what: str, answer: NDArray[Any], low: int, high: int) -> None:
        if len(answer) and not (low <= answer.min() and answer.max() <= high):
            worst = answer.min() if answer.min() < low else answer.max()
            raise PluginError(self.name, f"{what} returned {worst}, which is not from {low} to {high}")

    def filter(self, pod: Template, cluster: Cluster, rows: Rows) -> Codes | None:
        """See `Plugin.filter`; every number is that of a reason."""
        answer = self._call(self._inner.filter, pod, cluster, rows)
        if answer is None:
            return None
        codes = self._numbers("filter", answer, size(rows))
        self._between("filter", codes, 0, self.reasons.highest)
        return codes.astype(np.int32)

    def score(self, pod: Template, cluster: Cluster, rows: Rows) -> Scores | None:
        """See `Plugin.score`."""
        answer = self._call(self._inner.score, pod, cluster, rows)
        if answer is None:
            return None
        scores = self._numbers("score", answer, size(rows), fractions=True)
        self._between("score", scores, *((-RAW_MAX, RAW_MAX) if self.normalizes else (0, SCORE_MAX)))
        return scores.astype(np.int64)

    def normalize(self, scores: Scores) -> Scores:
        """See `Plugin.normalize`; every score is from 0 to `SCORE_MAX`."""
        if not self.normalizes:
            return scores
        answer = self._numbers("normalize", self._call(self._inner.normalize, scores), len(scores), fractions=True)
        self._between("normalize", answer, 0, SCORE_MAX)
        return answer.astype(np.int64)

    def candidates(self, pod: Template, cluster: Cluster) -> NDArray[np.intp] | None:
        """See `Plugin.candidates`; every number is that of a row."""
        answer = self._call(self._inner.candidates, pod, cluster)
        if answer is None:
            return None
        rows = self._numbers("candidates", answer, len(answer) if isinstance(answer, np.ndarray) else 0)
        self._between("candidates", rows, 0, cluster.height - 1)
        return np.unique(rows).astype(np.intp)

    def reserve(self, pod: Template, cluster: Cluster, row: int) -> VolumePlan | None:
        """See `Plugin.reserve`."""
        answer = self._call(self._inner.reserve, pod, cluster, row)
        if answer is not None and not isinstance(answer, VolumePlan):
            raise PluginError(self.name, f"reserve returned {type(answer).__name__}, not a VolumePlan")
        return answer

    def version(self, cluster: Cluster) -> int:
        """See `Plugin.version`."""
        answer = self._call(self._inner.version, cluster)
        if not isinstance(answer, int):
            raise PluginError(self.name, f"version returned {type(answer).__name__}, not a number")
        return answer
