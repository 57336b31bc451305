"""Flags as kubectl has them, for a parser that has them a little differently. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import click

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def plain(params: Sequence[click.Parameter], words: Sequence[str]) -> list[str]:
    """Words as click reads them, out of words as kubectl reads them. Pure.

    Raises:
        click.BadParameter: a flag that is on or off is said to be something else.
    """
    options = [param for param in params if isinstance(param, click.Option)]
    alone = {name: f"{name}={option.flag_value}" for option in options for name in _alone(option)}
    flags = {name: option for option in options if option.is_flag for name in option.opts if name.startswith("--")}
    short = {name for option in options if not option.is_flag for name in option.opts if not name.startswith("--")}
    found: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*found, *words[index:]]
        name, equals, value = word.partition("=")
        if word in alone:
            found.append(alone[word])
        elif equals and name in short:
            found += [name, value]
        elif equals and name in flags:
            if value.lower() not in _TRUTH:
                raise click.BadParameter(f"{value!r} is neither true nor false", param_hint=name)
            if _TRUTH[value.lower()]:
                found.append(name)
            elif flags[name].secondary_opts:
                found.append(flags[name].secondary_opts[0])
        else:
            found.append(word)
    return found


def _alone(option: click.Option) -> list[str]:
    """The names under which an option may stand without its value."""
    valueless = not option.is_flag and isinstance(option.flag_value, str)
    return [name for name in option.opts if name.startswith("--")] if valueless else []
