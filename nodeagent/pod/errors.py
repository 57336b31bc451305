"""Why a pod cannot be carried out as it is written; facts as fields."""

from __future__ import annotations


class PodConfigError(Exception):
    """The pod refers to something that does not exist or cannot be; it waits until that changes.

    Attributes:
        message: for the pod's status and events.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MissingObjectError(PodConfigError):
    """A ConfigMap or Secret does not exist.

    Attributes:
        kind: "configmap" or "secret".
        namespace: where it should be.
        name: its name.
    """

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        super().__init__(f'{kind} "{name}" not found')
        self.kind = kind
        self.namespace = namespace
        self.name = name


class MissingKeyError(PodConfigError):
    """A ConfigMap or Secret does not have a key.

    Attributes:
        kind: "configmap" or "secret".
        namespace: where it is.
        name: its name.
        key: what it lacks.
    """

    def __init__(self, kind: str, namespace: str, name: str, key: str) -> None:
        super().__init__(f'{kind} {namespace}/{name} has no key "{key}"')
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.key = key


class MissingTokenError(PodConfigError):
    """There is no token of the pod's service account yet.

    Attributes:
        account: name of the account.
    """

    def __init__(self, account: str) -> None:
        super().__init__(f"there is no token of service account {account!r} yet")
        self.account = account
