"""`steer`: the table of commands, and the way in."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

# Before anything imports gRPC: its own complaints on standard error are not for people who type commands.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Name, module, and what it is for; the module is imported when the command is called.
COMMANDS: dict[str, tuple[str, str]] = {
    "annotate": ("annotate", "Add, change and remove annotations of objects"),
    "api-resources": ("api_resources", "Show the kinds of objects that there are"),
    "apply": ("apply", "Make objects as manifests say"),
    "attach": ("attach", "Connect to the program of a container"),
    "auth": ("auth", "Ask who you are, and what you may do"),
    "autoscale": ("autoscale", "Let the number of replicas follow the load"),
    "cluster-info": ("cluster_info", "Say where the cluster is and how it is doing"),
    "completion": ("completion", "Let a shell complete commands, kinds and names"),
    "config": ("config", "Show and change which clusters there are"),
    "cordon": ("cordon", "Close nodes for new pods"),
    "cp": ("cp", "Copy files and folders into and out of containers"),
    "create": ("create", "Create objects, of manifests or of a few words"),
    "debug": ("debug", "Look into a pod or a node with tools of your own"),
    "delete": ("delete", "Delete objects"),
    "describe": ("describe", "Show everything about objects, with their events"),
    "diff": ("diff", "Show what applying manifests would change"),
    "drain": ("drain", "Move the pods of nodes away"),
    "edit": ("edit", "Change objects in an editor"),
    "events": ("events", "Show what happened"),
    "exec": ("exec", "Run a command in a container"),
    "explain": ("explain", "Say what a kind is, and what its fields mean"),
    "expose": ("expose", "Make a Service for pods"),
    "get": ("get", "Show objects"),
    "label": ("label", "Add, change and remove labels of objects"),
    "lint": ("lint", "Check manifests by the rules of the server, without one"),
    "logs": ("logs", "Show what a container wrote"),
    "patch": ("patch", "Change a part of objects"),
    "port-forward": ("port_forward", "Connect a local port to a pod's"),
    "replace": ("replace", "Replace objects by what manifests say"),
    "rollout": ("rollout", "Follow, undo, pause and restart rollouts"),
    "run": ("run", "Run an image in a new pod"),
    "scale": ("scale", "Set the number of replicas"),
    "taint": ("taint", "Add, change and remove taints of nodes"),
    "timeline": ("timeline", "Show what happened to an object, and who did it"),
    "top": ("top", "Show what pods and nodes use"),
    "tree": ("tree", "Show what owns an object and what it owns"),
    "uncordon": ("uncordon", "Open nodes for new pods again"),
    "version": ("version", "Show the version"),
    "wait": ("wait", "Wait until objects are as you want them"),
    "why": ("why", "Say why an object is the way it is, and what to do"),
}
# What rooms other than the SDK add, as entry points of this group.
GROUP = "steersman.commands"
OTHERS: dict[str, str] = {
    "down": "Take the cluster on this machine down",
    "store": "Back the store up, restore it, read a key's history",
    "status": "Show how the cluster on this machine is doing",
    "up": "Bring a cluster up on this machine",
}


def main(arguments: Sequence[str] | None = None) -> Any:
    """Runs the command line; ends the process with its exit code."""
    from steersman.cli.failures import told

    try:
        with told():
            from steersman.cli.group import cli

            # Errors in the words come out as exceptions, and are told as all others are.
            result = cli.main(arguments, prog_name="steer", standalone_mode=False)
            if isinstance(result, int) and result:
                raise SystemExit(result)
            return result
    finally:
        if arguments is None:
            # Whoever presses Ctrl-C while the process is on its way out wants no account of it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
