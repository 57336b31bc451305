"""Makes the face without `await` of the client's classes: every public method, with its arguments and its docstring.

A coroutine becomes a function that waits, an asynchronous generator an iterator, an asynchronous context manager a
plain one; what a method returns that has a face is given it. Nothing of what the methods do is repeated.
"""

from __future__ import annotations

import ast
from pathlib import Path

# The classes, by the module that has them.
CLASSES = {
    "steersman.resource": ["ResourceClient"],
    "steersman.pods": ["PodClient"],
    "steersman.streams.bindings": ["Bindings"],
    "steersman.streams.process": ["Process"],
    "steersman.streams.connection": ["Connection", "Forward"],
}
FACES = {name for names in CLASSES.values() for name in names}
# Attributes that are of the other side only.
HIDDEN = {"api"}
SPECIAL = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__"}
STREAMS = {"AsyncIterator", "AsyncGenerator"}


class _Module:
    """A source, and where the names in it come from."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.tree = ast.parse(path.read_text())
        self.origins: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.origins[alias.asname or alias.name] = f"from {node.module} import {alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.origins[alias.asname or alias.name] = f"import {alias.name}"
        for node in self.tree.body:
            targets = [node.name] if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else []
            if isinstance(node, ast.Assign):
                targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for target in targets:
                self.origins[target] = f"from {name} import {target}"

    def class_named(self, name: str) -> ast.ClassDef:
        return next(node for node in self.tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _names(node: ast.AST | None) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} if node is not None else set()


def _stream_of(annotation: ast.expr | None) -> ast.expr | None:
    """What an asynchronous iterator's items are; None for anything else."""
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        if annotation.value.id not in STREAMS:
            return None
        items = annotation.slice
        return items.elts[0] if isinstance(items, ast.Tuple) else items
    return None


def _is_generator(node: ast.AsyncFunctionDef | ast.FunctionDef) -> bool:
    return any(isinstance(each, (ast.Yield, ast.YieldFrom)) for each in ast.walk(node))


class _Face:
    """The text of one class, and the names that it needs."""

    def __init__(self, module: _Module, node: ast.ClassDef) -> None:
        self.needed: set[str] = set()
        self.defaults: set[str] = set()
        self._module = module
        self._node = node

    def text(self) -> str:
        name = self._node.name
        bases = ", ".join(ast.unparse(base) for base in self._node.bases)
        own = f"{self._module.name}.{name}"
        generic = "[Any]" if any("Generic" in ast.unparse(base) for base in self._node.bases) else ""
        lines = [f"class {name}({bases}):" if bases else f"class {name}:"]
        for base in self._node.bases:
            self.defaults |= _names(base) - FACES
        doc = ast.get_docstring(self._node, clean=False) or ""
        lines.append(f'    """{doc.replace("an asynchronous context", "a context")}"""\n')
        if not _names(ast.Tuple(self._node.bases)) & FACES:
            lines.append(f"    def __init__(self, portal: Portal, face: {own}{generic}) -> None:")
            lines.append(f'        """Stands for a `{own}`."""')
            lines.append("        self._portal: Portal = portal\n        self._face: Any = face\n")
            lines += self._attributes()
        for node in self._node.body:
            if isinstance(node, (ast.AsyncFunctionDef, ast.FunctionDef)):
                lines += self._method(node)
        return "\n".join(lines) + "\n"

    def _attributes(self) -> list[str]:
        """Public attributes, as properties."""
        lines: list[str] = []
        begin = next(n for n in self._node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
        known = {arg.arg: arg.annotation for arg in begin.args.args}
        for node in ast.walk(begin):
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if not isinstance(target, ast.Attribute) or target.attr.startswith("_") or target.attr in HIDDEN:
                continue
            kind = node.annotation if isinstance(node, ast.AnnAssign) else known.get(target.attr)
            self.needed |= _names(kind)
            returns = ast.unparse(kind) if kind is not None else "Any"
            lines.append(f"    @property\n    def {target.attr}(self) -> {returns}:")
            lines.append(
                f'        """As of the other."""\n        return cast({returns!r}, self._face.{target.attr})\n'
            )
        return lines

    def _method(self, node: ast.AsyncFunctionDef | ast.FunctionDef) -> list[str]:
        name = SPECIAL.get(node.name, node.name)
        if name == node.name and name.startswith("_"):
            return []
        arguments = node.args
        passed = []
        for arg in [*arguments.args[1:], *arguments.kwonlyargs]:
            value = arg.arg
            if (items := _stream_of(arg.annotation)) is not None:
                arg.annotation = ast.Subscript(ast.Name("Iterable"), items)
                value = f"self._portal.feed({value})"
            self.needed |= _names(arg.annotation)
            passed.append(f"{arg.arg}={value}" if arg in arguments.kwonlyargs else value)
        if arguments.vararg is not None:
            passed.append(f"*{arguments.vararg.arg}")
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            self.defaults |= _names(default)
        call = f"self._face.{node.name}({', '.join(passed)})"
        items = _stream_of(node.returns)
        returns = ast.unparse(node.returns or ast.Name("Any"))
        if items is not None:
            returns = f"Iterator[{ast.unparse(items)}]"
        self.needed |= _names(items if items is not None else node.returns)
        body = [f"return {self._result(node, call, returns)}"]
        if returns == "None":
            body = [self._result(node, call, returns)]
        elif returns == "Self":
            body = [self._result(node, call, returns), "return self"]
        lines = [f"    def {name}({ast.unparse(arguments)}) -> {returns}:"]
        if (doc := ast.get_docstring(node, clean=False)) is not None:
            lines.append(f'        """{doc}"""')
        return [*lines, *(f"        {line}" for line in body), ""]

    def _result(self, node: ast.AsyncFunctionDef | ast.FunctionDef, call: str, returns: str) -> str:
        if isinstance(node, ast.FunctionDef):
            return f"{returns}(self._portal, {call})" if returns in FACES else call
        if _is_generator(node):
            return f"self._portal.iterate({call})"
        waited = f"self._portal.call({call})"
        return waited if returns in ("None", "Self") else f"cast({returns!r}, {waited})"


def text(sdk: Path, banner: str, attributes: str) -> str:
    """The module with all faces.

    Args:
        sdk: folder with the package `steersman`.
        banner: first line.
        attributes: text of the class with one property per kind.
    """
    bodies: list[str] = []
    typed: set[str] = set()
    run: set[str] = set()
    for name, classes in CLASSES.items():
        module = _Module(name, sdk / (name.replace(".", "/") + ".py"))
        for wanted in classes:
            face = _Face(module, module.class_named(wanted))
            bodies.append(face.text())
            run |= {module.origins[each] for each in face.defaults if each in module.origins}
            typed |= {module.origins[each] for each in face.needed - FACES if each in module.origins}
            typed.add(f"import {name}")
    return "\n".join(
        [
            banner,
            "from __future__ import annotations\n",
            "from typing import TYPE_CHECKING, Any, cast",
            *sorted(run),
            "from steersman import kinds\n",
            "if TYPE_CHECKING:",
            "    from collections.abc import Iterable, Iterator",
            *(f"    {line}" for line in sorted(typed - run)),
            "    from steersman.sync.portal import Portal",
            attributes,
            *bodies,
        ]
    )
