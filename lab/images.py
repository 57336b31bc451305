"""Container images from nothing but files: OCI image layouts, written byte for byte the same every time.

No registry can be reached from a lab, so its images are put together from programs that the machine has. Here: the
layout, a busybox image and a pause image. Not here: who imports them into which containerd:

    python -m lab.images --output build/images
    ctr --namespace k8s.io images import build/images/busybox.tar
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BUSYBOX = "steersman.local/busybox:1"
PAUSE = "steersman.local/pause:1"

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_EPOCH = "1970-01-01T00:00:00Z"


class ImageSourceError(Exception):
    """A program that an image is made from is missing or of no use.

    Attributes:
        path: the program.
        package: the Debian package that has it.
    """

    def __init__(self, path: Path, package: str, reason: str) -> None:
        super().__init__(f"cannot make an image from {path}: {reason} (Debian package {package})")
        self.path = path
        self.package = package


@dataclass(frozen=True)
class File:
    """A regular file in an image."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link in an image."""

    target: str


@dataclass(frozen=True)
class Folder:
    """A folder in an image; the parents of files need not be named."""

    mode: int = 0o755


@dataclass(frozen=True)
class Config:
    """What a container of the image does when its pod says nothing else.

    Attributes:
        entrypoint: the program and its first arguments.
        command: further arguments, which a pod's `args` replace.
        environment: variables; `PATH` is added when it is absent, for a command without a slash is looked up in it.
        working_dir: where it starts.
        user: "uid", "uid:gid" or a name; empty: root.
        labels: free text about the image.
    """

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def layer(entries: Mapping[str, File | Link | Folder]) -> bytes:
    """An uncompressed layer tar with these entries by path (without a leading slash), owned by root, dated 1970."""
    complete: dict[str, File | Link | Folder] = {}
    for path in sorted(entries):
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            complete.setdefault("/".join(parts[:depth]), Folder())
        complete["/".join(parts)] = entries[path]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(complete):
            entry = complete[path]
            info = tarfile.TarInfo(path)
            if isinstance(entry, Folder):
                info.type, info.mode = tarfile.DIRTYPE, entry.mode
                archive.addfile(info)
            elif isinstance(entry, Link):
                info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
                archive.addfile(info)
            else:
                info.size, info.mode = len(entry.content), entry.mode
                archive.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def layout(name: str, layers: Sequence[bytes], config: Config, *, architecture: str | None = None) -> bytes:
    """An OCI image layout as a tar that `ctr images import` takes.

    Args:
        name: full reference that the image gets, "steersman.local/busybox:1".
        layers: uncompressed layer tars, lowest first.
        config: the image's defaults.
        architecture: in Go's words ("amd64"); None: this machine's.
    """
    blobs: dict[str, bytes] = {}

    def descriptor(media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def document(content: object) -> bytes:
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    environment = {"PATH": SEARCH_PATH, **config.environment}
    described = [descriptor(_LAYER_TYPE, content) for content in layers]
    image = {
        "architecture": architecture or ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "Entrypoint": list(config.entrypoint) or None,
            "Cmd": list(config.command) or None,
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "WorkingDir": config.working_dir,
            "User": config.user,
            "Labels": dict(config.labels) or None,
        },
        # The digest of an uncompressed layer is also its diff id.
        "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in described]},
        "history": [{"created": _EPOCH, "created_by": "lab.images"} for _ in described],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": descriptor(_CONFIG_TYPE, document(image)),
        "layers": described,
    }
    entry = descriptor(_MANIFEST_TYPE, document(manifest))
    entry["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    files: dict[str, File | Link | Folder] = {
        "oci-layout": File(document({"imageLayoutVersion": "1.0.0"})),
        "index.json": File(document({"schemaVersion": 2, "manifests": [entry]})),
    }
    files |= {f"blobs/sha256/{digest}": File(content) for digest, content in blobs.items()}
    return layer(files)


def busybox(program: Path = Path("/bin/busybox"), *, name: str = BUSYBOX) -> bytes:
    """An image of Debian's static busybox: a link for every applet, root and nobody as users, `sh` as command.

    Raises:
        ImageSourceError: the program is missing or does not list its applets.
    """
    content = _program(program, "busybox-static")
    try:
        listed = subprocess.run([program, "--list"], capture_output=True, check=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise ImageSourceError(program, "busybox-static", str(error)) from error
    entries: dict[str, File | Link | Folder] = {
        f"bin/{applet}": Link("busybox") for applet in listed.stdout.split() if applet != "busybox"
    }
    entries |= {
        "bin/busybox": File(content, 0o755),
        "usr/bin/env": Link("/bin/busybox"),
        "etc/passwd": File(b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"),
        "etc/group": File(b"root:x:0:\nnogroup:x:65534:\n"),
        "home": Folder(),
        "root": Folder(0o700),
        "tmp": Folder(0o1777),
        "var/tmp": Folder(0o1777),
        "run": Folder(),
        "proc": Folder(),
        "sys": Folder(),
        "dev": Folder(),
    }
    return layout(name, [layer(entries)], Config(command=("sh",)))


def pause(program: Path = Path("/usr/bin/catatonit"), *, name: str = PAUSE) -> bytes:
    """The image of a pod's sandbox: Debian's static catatonit, which waits for ever and reaps orphans.

    Raises:
        ImageSourceError: the program is missing.
    """
    entries = {"catatonit": File(_program(program, "catatonit"), 0o755)}
    return layout(name, [layer(entries)], Config(entrypoint=("/catatonit", "-P"), user="65535:65535"))


def _program(path: Path, package: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageSourceError(path, package, error.strerror or str(error)) from error
    if not content.startswith(b"\x7fELF"):
        raise ImageSourceError(path, package, "it is not an ELF program")
    return content


def main() -> None:
    """Writes both images as tars."""
    parser = argparse.ArgumentParser(prog="python -m lab.images", description="Writes the lab's images as OCI tars.")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder that the tars go to")
    output: Path = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    try:
        made = {"busybox.tar": busybox(), "pause.tar": pause()}
    except ImageSourceError as error:
        raise SystemExit(f"error: {error}") from None
    for name, content in made.items():
        (output / name).write_bytes(content)
        print(output / name)


if __name__ == "__main__":
    main()
