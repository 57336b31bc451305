"""The forms that `-o` names: what objects are written as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from steersman.cli.failures import USAGE, CommandError

if TYPE_CHECKING:
    from steersman.cli.custom_columns import CustomColumn
    from steersman.cli.jsonpath import Template

# Those that stand alone, and those that go on with an equals sign.
PLAIN = ("wide", "yaml", "json", "name")
WITH_VALUE = ("jsonpath", "jsonpath-as-json", "jsonpath-file", "custom-columns", "custom-columns-file")


@dataclass(frozen=True)
class Form:
    """A form of output.

    Attributes:
        name: as in `-o`; "" is a table.
        template: of the forms of JSONPath.
        columns: of the forms of custom columns.
    """

    name: str = ""
    template: Template | None = None
    columns: Sequence[CustomColumn] = field(default=())

    @property
    def is_table(self) -> bool:
        """Whether it is the table of the kind."""
        return self.name in ("", "wide")


class FormType(click.ParamType[Form]):
    """The value of `-o`."""

    name = "FORM"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What `--help` shows."""
        return "|".join([*PLAIN, "jsonpath=TEMPLATE", "custom-columns=SPEC"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Form:
        """The form of a word."""
        return value if isinstance(value, Form) else form_of(value)


FORM = FormType()


def form_of(text: str) -> Form:
    """The form that `-o` names.

    Raises:
        CommandError: there is no such form, or its template makes no sense.
    """
    from steersman.cli import custom_columns, jsonpath

    name, equals, value = text.partition("=")
    if name in PLAIN and not equals:
        return Form(name)
    if name not in WITH_VALUE:
        from steersman.cli.nearest import meant

        words = meant(name, [*PLAIN, *WITH_VALUE]) or f"; forms are {', '.join([*PLAIN, *WITH_VALUE])}"
        if name.startswith(("go-template", "template")):
            words = "; -o jsonpath=... is there"
        raise CommandError(f"-o {name}: there is no such form{words}", USAGE)
    if not value:
        example = "NAME:.metadata.name" if name.startswith("custom") else "'{.metadata.name}'"
        raise CommandError(f"-o {name} needs a value, as in -o {name.removesuffix('-file')}={example}", USAGE)
    try:
        if name.endswith("-file"):
            value = Path(value).read_text(encoding="utf-8")
        if name.startswith("custom-columns"):
            read = custom_columns.of_template if name.endswith("-file") else custom_columns.of_spec
            return Form("custom-columns", columns=read(value))
        return Form(name.removesuffix("-file"), template=jsonpath.parse(value))
    except (custom_columns.CustomColumnsError, jsonpath.JsonPathError, UnicodeDecodeError) as error:
        raise CommandError(f"-o {name}: {error}", USAGE) from error
