"""The mutants of a source file, made by cosmic-ray's operators."""

import ast
import difflib
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

PACKAGE = Path(__file__).resolve().parents[2] / "tfattn"


@dataclass
class Mutant:
    """A file with one thing changed.

    Attributes:
        key: A name that stays as long as the code around it does.
        place: The class and function that it is in.
        lines: Numbers of lines, from 1, of which one is executed where it counts.
        is_decorator: Whether a decorator of a class or a method is removed.
    """

    key: str
    file: str
    place: str
    operator: str
    before: str
    after: str
    lines: range
    source: str
    is_decorator: bool


class _WithoutAnnotations(ast.NodeTransformer):
    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def meaning(source):
    """What a source does, as text: two with the same text are the same program."""
    return ast.dump(_WithoutAnnotations().visit(ast.parse(source)))


def mutants_of(file):
    """Every mutant of a file, each program once."""
    source = (PACKAGE / file).read_text(encoding="utf-8")
    tree = get_ast(source)
    seen, numbers, mutants = {meaning(source)}, Counter(), []
    for name in operator_names():
        operator_class = get_operator(name)
        if operator_class.arguments():  # asks which variables to exchange
            continue
        positions = [
            (node, start, stop)
            for node in ast_nodes(tree)
            for start, stop in operator_class().mutation_positions(node)
        ]
        for occurrence, (node, start, stop) in enumerate(positions):
            mutated = mutate_code(source, operator_class(), occurrence)
            if mutated is None:
                continue
            try:
                program = meaning(mutated)
            except SyntaxError:
                continue
            if program in seen:
                continue
            seen.add(program)
            before, after = changed_lines(source, mutated)
            place = definition(node)
            # The same change of two equal lines of a function is two mutants.
            text = "\n".join((file, place, before, after))
            numbers[text] += 1
            text += f"\n{numbers[text]}"
            mutant = Mutant(
                key=hashlib.sha256(text.encode()).hexdigest()[:10],
                file=file,
                place=place,
                operator=name.split("/")[-1],
                before=before,
                after=after,
                lines=lines_of(node, start, stop),
                source=mutated,
                is_decorator=node.type == "decorator",
            )
            mutants.append(mutant)
    return mutants


def definition(node):
    """The classes and functions around a node, as a dotted name."""
    names = []
    while node is not None:
        if node.type in ("funcdef", "classdef"):
            names.insert(0, node.name.value)
        node = node.parent
    return ".".join(names)


def lines_of(node, start, stop):
    """Lines of which one is executed where the mutant has an effect."""
    statement = None
    while node.parent is not None and node.type != "classdef":
        if node.type == "funcdef" and statement is not None:
            return range(min(statement.start_pos[0], start[0]), stop[0] + 1)
        if node.type in ("parameters", "decorator"):
            # A default, for one, has its effect when the function is called.
            return range(node.parent.start_pos[0], node.parent.end_pos[0] + 1)
        if statement is None and node.type.endswith("stmt"):
            statement = node
        node = node.parent
    return range(node.start_pos[0], node.end_pos[0] + 1)


def changed_lines(before, after):
    """The lines in which two sources differ, of each as one text."""
    pair = before.split("\n"), after.split("\n")
    lines = list(difflib.unified_diff(*pair, n=0, lineterm=""))[2:]
    return tuple(
        " ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+"
    )
