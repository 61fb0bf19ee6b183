"""What usermod/stubs/ebnn.pyi says: names, signatures, annotations."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ebnn.files import repo_root

FOLDER = repo_root() / "usermod" / "stubs"


@dataclass(frozen=True)
class Signature:
    """Positional parameters but self (``least`` of them are required), and whether they can be named; keywords."""

    names: tuple[str, ...]
    least: int
    by_name: bool
    keywords: tuple[str, ...]


def _signature(function: ast.FunctionDef) -> Signature:
    args = function.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args) if arg.arg != "self"]
    by_name = any(arg.arg != "self" for arg in args.args)
    keywords = tuple(arg.arg for arg in args.kwonlyargs)
    return Signature(tuple(names), len(names) - len(args.defaults), by_name, keywords)


def _is_property(function: ast.FunctionDef) -> bool:
    return any(isinstance(name, ast.Name) and name.id == "property" for name in function.decorator_list)


class Scope:
    """What a module or a class of the stub has."""

    def __init__(self, node: ast.Module | ast.ClassDef) -> None:
        self.doc = ast.get_docstring(node)
        self.functions: dict[str, Signature] = {}
        self.annotations: dict[str, ast.expr] = {}  # of properties and of variables
        self.classes: dict[str, Scope] = {}
        self.docs: dict[str, str | None] = {}
        for index, part in enumerate(node.body):
            if isinstance(part, ast.ClassDef):
                self.classes[part.name] = Scope(part)
                self.docs[part.name] = self.classes[part.name].doc
            elif isinstance(part, ast.FunctionDef):
                self.docs[part.name] = ast.get_docstring(part)
                self._add(part)
            elif isinstance(part, ast.AnnAssign):
                self.annotations[part.target.id] = part.annotation
                after = node.body[index + 1]
                self.docs[part.target.id] = after.value.value if isinstance(after, ast.Expr) else None

    def _add(self, function: ast.FunctionDef) -> None:
        if _is_property(function):
            self.annotations[function.name] = function.returns
            return
        found = _signature(function)
        before = self.functions.get(function.name, found)  # an overload
        least = min(before.least, found.least)
        self.functions[function.name] = Signature(found.names, least, found.by_name, found.keywords)

    @property
    def names(self) -> set[str]:
        """Everything but special methods."""
        return {name for name in self.docs if not name.startswith("__") or name in self.annotations}


def read() -> Scope:
    """The module ``ebnn``."""
    return Scope(ast.parse((FOLDER / "ebnn.pyi").read_text(encoding="utf-8")))


def types(annotation: ast.expr) -> set[str]:
    """Names of the types that an annotation allows at its top."""
    if isinstance(annotation, ast.BinOp):
        return types(annotation.left) | types(annotation.right)
    if isinstance(annotation, ast.Subscript):
        return types(annotation.slice) if annotation.value.id == "Final" else types(annotation.value)
    return {"NoneType" if isinstance(annotation, ast.Constant) else annotation.id}
