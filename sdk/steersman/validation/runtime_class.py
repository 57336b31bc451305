"""Rules of RuntimeClasses."""

from __future__ import annotations

from typing import Any

from steersman import quantity
from steersman.errors import FieldViolation
from steersman.validation import names
from steersman.validation.names import violation
from steersman.validation.scheduling import toleration


def runtime_class(obj: Any) -> list[FieldViolation]:
    """What is wrong with a RuntimeClass."""
    found = names.label_1123("handler", obj.handler)
    for name, amount in obj.overhead.pod_fixed.items():
        here = f"overhead.podFixed[{name}]"
        found += names.label_key(here, name)
        try:
            if quantity.parse(amount.value) < 0:
                found += violation(here, f"{amount.value} is negative")
        except ValueError as error:
            found += violation(here, str(error))
    found += names.labels("scheduling.nodeSelector", obj.scheduling.node_selector)
    for index, each in enumerate(obj.scheduling.tolerations):
        found += toleration(f"scheduling.tolerations[{index}]", each)
    return found
