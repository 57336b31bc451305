"""Images through CRI: what is there, and fetching what is not."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass

import cri
from steersman.core.v1.secret_pb2 import Secret

from nodeagent.cri.channel import RuntimeChannel
from nodeagent.errors import ImageError, RuntimeFailedError

PULL_TIMEOUT_S = 3600.0
DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True)
class PresentImage:
    """An image that the node has.

    Attributes:
        id: content that it stands for.
        uid: user that it runs as; None when it names one, or none.
        user: name of the user that it runs as; "" when it is a number, or none.
        names: references and digests it is known by.
        size_bytes: size on disk.
    """

    id: str
    uid: int | None
    user: str
    names: tuple[str, ...]
    size_bytes: int


def _present(image: cri.Image) -> PresentImage:
    return PresentImage(
        id=image.id,
        uid=image.uid.value if image.HasField("uid") else None,
        user=image.username,
        names=(*image.repo_digests, *image.repo_tags),
        size_bytes=image.size,
    )


def pull_policy(image: str, given: str) -> str:
    """Always, IfNotPresent or Never; without one, `:latest` and no tag at all mean Always."""
    if given:
        return given
    last = image.rpartition("/")[2]
    if "@" in last:
        return "IfNotPresent"
    tag = last.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def credentials(image: str, secrets: Iterable[Secret]) -> list[cri.AuthConfig]:
    """What pull secrets say about the registry of an image; most specific first."""
    reference = image if _has_registry(image) else f"{DEFAULT_REGISTRY}/{image}"
    found: list[tuple[int, cri.AuthConfig]] = []
    for secret in secrets:
        for key in (".dockerconfigjson", ".dockercfg"):
            if key not in secret.data:
                continue
            try:
                document = json.loads(secret.data[key])
            except ValueError:
                continue
            entries = document.get("auths", document if key == ".dockercfg" else {})
            for registry, entry in entries.items():
                prefix = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
                prefix = prefix.removesuffix("/v1").removesuffix("/v2").replace("index.docker.io", DEFAULT_REGISTRY)
                if reference == prefix or reference.startswith(f"{prefix}/"):
                    found.append((len(prefix), _auth(entry)))
    return [auth for _, auth in sorted(found, key=lambda each: -each[0])]


def _has_registry(image: str) -> bool:
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def _auth(entry: dict[str, str]) -> cri.AuthConfig:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth") and not username:
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            username = ""
    return cri.AuthConfig(username=username, password=password, identity_token=entry.get("identitytoken", ""))


class Images:
    """The runtime's images. The same image is fetched once at a time, however many pods wait for it."""

    def __init__(self, channel: RuntimeChannel) -> None:
        self._channel = channel
        self._pulls: dict[str, asyncio.Lock] = {}

    async def find(self, image: str) -> PresentImage | None:
        """The image if it is present.

        Raises:
            RuntimeFailedError: the runtime failed.
        """
        answer = await self._channel.call(
            "ImageService/ImageStatus",
            cri.ImageStatusRequest(image=cri.ImageSpec(image=image)),
            cri.ImageStatusResponse,
        )
        return _present(answer.image) if answer.HasField("image") else None

    async def every(self) -> list[PresentImage]:
        """All images of the node, largest first.

        Raises:
            RuntimeFailedError: the runtime failed.
        """
        answer = await self._channel.call("ImageService/ListImages", cri.ListImagesRequest(), cri.ListImagesResponse)
        return sorted(map(_present, answer.images), key=lambda each: -each.size_bytes)

    async def pull(self, image: str, secrets: Iterable[Secret], sandbox: cri.PodSandboxConfig) -> PresentImage:
        """Fetches an image, with each fitting credential until one works.

        Raises:
            ImageError: it cannot be had.
        """
        lock = self._pulls.setdefault(image, asyncio.Lock())
        async with lock:
            failure = ""
            for auth in [*credentials(image, secrets), None]:
                request = cri.PullImageRequest(image=cri.ImageSpec(image=image), sandbox_config=sandbox)
                if auth is not None:
                    request.auth.CopyFrom(auth)
                try:
                    await self._channel.call(
                        "ImageService/PullImage", request, cri.PullImageResponse, timeout_s=PULL_TIMEOUT_S
                    )
                    found = await self.find(image)
                    if found is not None:
                        return found
                    failure = "the runtime does not show it after fetching it"
                except RuntimeFailedError as error:
                    reason = "InvalidImageName" if "invalid reference format" in error.message else "ErrImagePull"
                    if reason == "InvalidImageName":
                        raise ImageError(reason, error.message) from error
                    failure = error.message
            raise ImageError("ErrImagePull", failure)
