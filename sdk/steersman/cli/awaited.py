"""What `steer wait --for` names, as states of objects. Pure."""

from __future__ import annotations

from typing import Any

from steersman import until
from steersman.cli import jsonpath, output
from steersman.cli.failures import USAGE, CommandError
from steersman.until import Until

DELETE, CREATE = "delete", "create"


def state_of(text: str, uid: str = "") -> Until:
    """The state that a `--for` names.

    Args:
        text: "condition=Ready", "condition=Ready=False", "delete", "create", "jsonpath={.status.phase}=Running",
            "jsonpath={.status.podIP}".
        uid: of the object as it is now, so that one that comes after it is not taken for it; "" if it does not matter.

    Raises:
        CommandError: it makes no sense.
    """
    kind, equals, value = text.partition("=")
    kind = kind.lower()
    if kind == DELETE and not equals:
        return Until("gone", lambda obj: obj is None or bool(uid and obj.metadata.uid != uid))
    if kind == CREATE and not equals:
        return until.exists()
    if kind == "condition" and value:
        name, _, wanted = value.partition("=")
        return until.condition(name, wanted or "True")
    if kind == "jsonpath" and value:
        return _of_path(value)
    raise CommandError(
        f"--for {text}: expected condition=NAME[=VALUE], delete, create or jsonpath={{.PATH}}[=VALUE]", USAGE
    )


def _of_path(text: str) -> Until:
    path, equals, wanted = _split(text)
    path = path.strip("'\"")
    try:
        template = jsonpath.relaxed(path)
    except jsonpath.JsonPathError as error:
        raise CommandError(f"--for jsonpath={text}: {error}", USAGE) from error
    if equals and not wanted:
        raise CommandError(f"--for jsonpath={text}: a value is missing after the '='", USAGE)
    wanted = wanted.strip("'\"")

    def holds(obj: Any) -> bool:
        if obj is None:
            return False
        try:
            found = template.find(output.tidy(obj, managed=True))
        except jsonpath.JsonPathError:
            # A list that is still too short, say.
            return False
        if not equals:
            return any(value not in (None, "", [], {}) for value in found)
        return len(found) == 1 and jsonpath.show(found[0]) == wanted

    return Until(f"{path}={wanted}" if equals else f"with a {path}", holds)


def _split(text: str) -> tuple[str, str, str]:
    """A path and the value after it; an equals sign within the path's brackets or braces is the path's."""
    depth = 0
    for index, char in enumerate(text):
        depth += (char in "{[(") - (char in "}])")
        if char == "=" and depth == 0:
            return text[:index], "=", text[index + 1 :]
    return text, "", ""
