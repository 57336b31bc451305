"""Services of others that have a say: what the configuration says of them, and what they said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.pod import Template

SCORE_MAX = 100


@dataclass(frozen=True)
class ExtenderSpec:
    """An extender, as configured.

    Attributes:
        name: its name in messages; unique.
        address: "host:port" or "unix:/path".
        server_name: name that its certificate carries; empty: the host of `address`.
        weight: what its scores are multiplied by.
        ignorable: decisions go on without it when it fails; otherwise the pod waits.
        timeout_s: how long it may take, seconds.
        resources: it is asked only about pods that request one of these; empty: about all.
    """

    name: str
    address: str
    server_name: str = ""
    weight: int = 1
    ignorable: bool = False
    timeout_s: float = 5.0
    resources: frozenset[str] = frozenset()

    def concerns(self, template: Template) -> bool:
        """Whether it is asked about pods of a template."""
        return not self.resources or any(resource in self.resources for resource, _ in template.demand.amounts)


@dataclass(frozen=True)
class Judgement:
    """What an extender said.

    Attributes:
        extender: who said it.
        refusals: node and reason.
        scores: node and score, 0 to 100, before the weight.
    """

    extender: ExtenderSpec
    refusals: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, int] = field(default_factory=dict)
