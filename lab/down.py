"""Taking a lab down: everything that was made for it, also when it never came up completely."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from steersman import config

from lab import machines, network
from lab.layout import Lab


def take_down(lab: Lab, client_config: Path, *, grace_s: float = 5.0) -> bool:
    """Ends all processes of a lab and removes its namespaces, mounts, cgroups, files and client configuration.

    Goes by what is there and not by what was written down, so that it also works after a crash at any point.
    Idempotent.

    Args:
        lab: the lab; only its name counts.
        client_config: the person's configuration file, from which the lab is taken.
        grace_s: seconds that services get to stop by themselves.

    Returns:
        Whether there was anything.
    """
    found = network.namespaces(lab.namespace_prefix)
    something = bool(found) or lab.home.exists()
    machines.end_all(found, grace_s=grace_s)
    for namespace in found:
        network.remove(namespace)
    machines.unmount_below(lab.home)
    machines.remove_cgroups(lab)
    if lab.home.exists():
        shutil.rmtree(lab.home)
    with suppress(config.ConfigError):
        config.remove(client_config, lab.name)
    return something
