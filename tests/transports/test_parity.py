"""The blocking and the async driver are one driver: the same syntax but for `await`, and the same behaviour."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

from turnout_io import concurrent, sync

# What async code calls otherwise.
NAMES = {
    "AsyncChatStream": "ChatStream",
    "AsyncHttpResponse": "HttpResponse",
    "AsyncRouter": "Router",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}
# Nothing can be awaited in a finalizer, so there the two differ on purpose.
FINALIZERS = {"__del__", "abandon"}


class Blocking(ast.NodeTransformer):
    """Async code as blocking code."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]  # NodeTransformer.visit is untyped

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        plain = ast.FunctionDef(**{field: getattr(node, field) for field in node._fields})
        return self.visit(ast.copy_location(plain, node))  # type: ignore[no-any-return]  # as above

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if node.name in FINALIZERS:
            return None
        node.name = NAMES.get(node.name, node.name)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = NAMES.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = NAMES.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        docstring = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if docstring else self.generic_visit(node)


def shape(module: ModuleType, name: str) -> str:
    tree = ast.parse(inspect.getsource(module))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            body = Blocking().visit(ast.Module(body=list(node.body), type_ignores=[]))
            return ast.unparse(body)
    raise AssertionError(f"{module.__name__} has no class {name}")


@pytest.mark.parametrize(("blocking", "other"), [("_Run", "_Run"), ("ChatStream", "AsyncChatStream")])
def test_the_two_drivers_have_one_shape(blocking: str, other: str) -> None:
    assert shape(sync, blocking) == shape(concurrent, other)
