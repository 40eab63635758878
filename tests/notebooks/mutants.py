"""Wrong answers to exercises, made from the right one.

Each notebook gives a solution to each of its exercises. A mutant is that solution with
one slip in it: a sign, a factor, a transposition, an index that is off by one. The
check of the exercise must complain about every mutant. The notebooks' tests run this
module in the notebook's own kernel, after the cell with the solution.
"""

import ast
import copy
import inspect
import textwrap
import warnings

RIGHT = "Right."
OTHER_OPERATOR = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OTHER_NAME = {
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "minimum": "maximum",
    "zeros": "ones",
    "ones": "zeros",
    "triu": "tril",
    "tril": "triu",
}
TRANSPOSITIONS = ("swapaxes", "transpose", "moveaxis", "flip", "roll")


def _slips(node):
    """Replacements of a node, each a slip."""
    new = copy.deepcopy(node)
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.MatMult):
            new.left, new.right = new.right, new.left
            yield new
        elif type(node.op) in OTHER_OPERATOR:
            new.op = OTHER_OPERATOR[type(node.op)]()
            yield new
    elif isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            if type(operator) in OTHER_OPERATOR:
                changed = copy.deepcopy(node)
                changed.ops[i] = OTHER_OPERATOR[type(operator)]()
                yield changed
    elif isinstance(node, ast.UnaryOp):
        if not isinstance(node.op, ast.UAdd):
            yield node.operand
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
        elif isinstance(node.value, float):
            yield ast.Constant(2 * node.value)
    elif isinstance(node, ast.Attribute):
        if node.attr == "T":
            yield node.value
        elif node.attr in OTHER_NAME:
            new.attr = OTHER_NAME[node.attr]
            yield new
    elif isinstance(node, ast.Call) and node.args:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in TRANSPOSITIONS:
            yield node.args[0]


class _Replace(ast.NodeTransformer):
    """Puts a replacement where the node with a number is."""

    def __init__(self, number, replacement):
        self.number, self.replacement, self.seen = number, replacement, -1

    def visit(self, node):
        self.seen += 1
        if self.seen == self.number:
            return self.replacement
        return self.generic_visit(node)


class _Nodes(ast.NodeVisitor):
    """Lists the nodes in the order in which `_Replace` meets them."""

    def __init__(self):
        self.found = []

    def visit(self, node):
        self.found.append(node)
        self.generic_visit(node)


def mutants(function):
    """Pairs of a slip, such as `a + b -> a - b`, and the function with that slip."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    definition.decorator_list = []
    if isinstance(definition.body[0], ast.Expr) and isinstance(
        definition.body[0].value, ast.Constant
    ):
        del definition.body[0]  # its docstring
    nodes = _Nodes()
    nodes.visit(tree)
    for number, node in enumerate(nodes.found):
        for slip in _slips(node):
            changed = _Replace(number, slip).visit(copy.deepcopy(tree))
            ast.fix_missing_locations(changed)
            space = dict(function.__globals__)
            exec(compile(changed, "<mutant>", "exec"), space)
            description = f"{ast.unparse(node)} -> {ast.unparse(slip)}"
            yield description, space[function.__name__]


def assert_slips_are_noticed(check, solution, harmless=()):
    """The check accepts the solution and complains about each of its mutants.

    Args:
        check: Function of an answer that returns `"Right."` or a complaint.
        solution: The right answer, a function.
        harmless: Descriptions of mutants that are right as well.
    """
    assert check(solution) == RIGHT, check(solution)
    unnoticed, number = set(), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for description, mutant in mutants(solution):
            number += 1
            try:
                accepted = check(mutant) == RIGHT
            except Exception:  # a reader sees the traceback
                accepted = False
            if accepted:
                unnoticed.add(description)
    assert number, f"no slip is possible in {solution.__name__}"
    assert unnoticed == set(harmless), (
        f"The check accepts {sorted(unnoticed - set(harmless))}. "
        f"Said to be harmless, but noticed: {sorted(set(harmless) - unnoticed)}."
    )
