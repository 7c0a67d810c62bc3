"""Random rows and random filters over them, with what CEL says of each: an evaluator of the few forms that are made here.

A form is an object with the text of its expression and `value(row)`, which raises CelError where CEL's evaluation fails.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any


class CelError(Exception):
    """The evaluation fails."""


@dataclass(frozen=True)
class Row:
    id: int | str
    payload: dict[str, Any] | None


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(left, right):
    """Heterogeneous equality: values of unlike types differ, numbers are compared across their types."""
    if is_number(left) and is_number(right):
        return left == right if type(left) is type(right) else float(left) == float(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def ordered(left, right):
    """Both, as what may be ordered."""
    if is_number(left) and is_number(right):
        return (left, right) if type(left) is type(right) else (float(left), float(right))
    if type(left) is type(right) and isinstance(left, (str, bool)):
        return left, right
    raise CelError


def literal(value):
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


@dataclass(frozen=True)
class Constant:
    constant: Any

    @property
    def text(self):
        return literal(self.constant)

    def value(self, row):
        return self.constant


@dataclass(frozen=True)
class Identity:
    text = "id"

    def value(self, row):
        return row.id


@dataclass(frozen=True)
class Field:
    path: tuple[str, ...]
    is_indexed: bool = False

    @property
    def text(self):
        return "payload" + "".join(f'["{name}"]' if self.is_indexed else f".{name}" for name in self.path)

    def value(self, row):
        found = row.payload or {}
        for name in self.path:
            if not isinstance(found, dict) or name not in found:
                raise CelError
            found = found[name]
        return found


@dataclass(frozen=True)
class Has:
    field: Field

    @property
    def text(self):
        return f"has(payload.{'.'.join(self.field.path)})"

    def value(self, row):
        parent = Field(self.field.path[:-1]).value(row)
        if not isinstance(parent, dict):
            raise CelError
        return self.field.path[-1] in parent


COMPARISONS = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": lambda left, right: (lambda pair: pair[0] < pair[1])(ordered(left, right)),
    "<=": lambda left, right: (lambda pair: pair[0] <= pair[1])(ordered(left, right)),
    ">": lambda left, right: (lambda pair: pair[0] > pair[1])(ordered(left, right)),
    ">=": lambda left, right: (lambda pair: pair[0] >= pair[1])(ordered(left, right)),
}


@dataclass(frozen=True)
class Comparison:
    operator: str
    left: Any
    right: Any

    @property
    def text(self):
        return f"{self.left.text} {self.operator} {self.right.text}"

    def value(self, row):
        return COMPARISONS[self.operator](self.left.value(row), self.right.value(row))


@dataclass(frozen=True)
class In:
    left: Any
    right: Any

    @property
    def text(self):
        return f"{self.left.text} in {self.right.text}"

    def value(self, row):
        wanted, within = self.left.value(row), self.right.value(row)
        if isinstance(within, list):
            return any(equal(wanted, item) for item in within)
        if isinstance(within, dict) and (isinstance(wanted, (str, bool)) or is_number(wanted)):
            return isinstance(wanted, str) and wanted in within
        raise CelError


TESTS_OF_TEXT = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
}


@dataclass(frozen=True)
class TextTest:
    function: str
    operand: Any
    part: str

    @property
    def text(self):
        return f"{self.operand.text}.{self.function}({literal(self.part)})"

    def value(self, row):
        operand = self.operand.value(row)
        if not isinstance(operand, str):
            raise CelError
        return TESTS_OF_TEXT[self.function](operand, self.part)


@dataclass(frozen=True)
class SizeTest:
    operand: Any
    least: int

    @property
    def text(self):
        return f"size({self.operand.text}) >= {self.least}"

    def value(self, row):
        operand = self.operand.value(row)
        if not isinstance(operand, (str, list, dict)):
            raise CelError
        return len(operand) >= self.least


@dataclass(frozen=True)
class Exists:
    operand: Field
    wanted: Any

    @property
    def text(self):
        return f"{self.operand.text}.exists(item, item == {literal(self.wanted)})"

    def value(self, row):
        operand = self.operand.value(row)
        if not isinstance(operand, (list, dict)):
            raise CelError
        return any(equal(item, self.wanted) for item in operand)


def as_bool(value):
    if not isinstance(value, bool):
        raise CelError
    return value


@dataclass(frozen=True)
class Logic:
    operator: str
    operands: tuple[Any, ...]

    @property
    def text(self):
        return f" {self.operator} ".join(f"({operand.text})" for operand in self.operands)

    def value(self, row):
        decisive, failed = self.operator == "||", False
        for operand in self.operands:
            try:
                if as_bool(operand.value(row)) == decisive:
                    return decisive
            except CelError:
                failed = True
        if failed:
            raise CelError
        return not decisive


@dataclass(frozen=True)
class Not:
    operand: Any

    @property
    def text(self):
        return f"!({self.operand.text})"

    def value(self, row):
        return not as_bool(self.operand.value(row))


@dataclass(frozen=True)
class Conditional:
    condition: Any
    then: Any
    otherwise: Any

    @property
    def text(self):
        return f"({self.condition.text}) ? ({self.then.text}) : ({self.otherwise.text})"

    def value(self, row):
        return (self.then if as_bool(self.condition.value(row)) else self.otherwise).value(row)


def matches(form, row):
    try:
        return form.value(row) is True
    except CelError:
        return False


# ----------------------------------------------------------------------------------------------------------- Random ones

TEXTS = ["en", "de", "fr", "déjà", "日本", "", "e", "en-GB", "a\nb", 'q"uote', "😀"]
NUMBERS = [0, 1, -1, 7, 42, 2**53 + 1, 2**53, -(2**62), 0.5, -0.5, 1.0, 42.0, 1e300, float(2**53)]
FIELDS = [("lang",), ("rank",), ("price",), ("flag",), ("tags",), ("mixed",), ("nested", "a"), ("nested", "b", "c"), ("absent",)]


def random_value(rng):
    return rng.choice([rng.choice(TEXTS), rng.choice(NUMBERS), rng.random() < 0.5, None])


def random_payload(rng, index):
    if rng.random() < 0.05:
        return None
    payload = {"lang": rng.choice(TEXTS[:5]), "rank": index, "price": rng.choice(NUMBERS), "flag": rng.random() < 0.5}
    payload["tags"] = [rng.choice(TEXTS) for _ in range(rng.randrange(4))]
    payload["mixed"] = rng.choice([random_value(rng), [random_value(rng)], {"en": 1}])
    payload["nested"] = rng.choice([{"a": rng.choice(NUMBERS), "b": {"c": rng.choice(TEXTS)}}, {"a": None}, {}, "no map", None])
    for name in rng.sample(sorted(payload), rng.choice([0, 0, 1, 3])):
        del payload[name]
    return payload


def random_operand(rng):
    if rng.random() < 0.1:
        return Identity()
    return Field(rng.choice(FIELDS), rng.random() < 0.2)


def random_constant(rng, num_rows):
    return rng.choice([rng.randrange(num_rows), random_value(rng), rng.choice(NUMBERS), rng.choice(TEXTS)])


def random_comparison(rng, num_rows):
    sides = [random_operand(rng), Constant(random_constant(rng, num_rows))]
    if rng.random() < 0.1:
        sides[1] = random_operand(rng)
    if rng.random() < 0.2:
        sides.reverse()
    operators = ["==", "!="] if Constant(None) in sides else list(COMPARISONS)
    return Comparison(rng.choice(operators), *sides)


def random_leaf(rng, num_rows):
    kind = rng.randrange(12)
    if kind < 4:
        return random_comparison(rng, num_rows)
    if kind == 4:
        return Comparison(rng.choice(["<", ">=", "<=", ">"]), Field(("rank",)), Constant(rng.randrange(num_rows)))
    if kind == 5:
        return In(random_operand(rng), Constant([random_constant(rng, num_rows) for _ in range(rng.randrange(1, 14))]))
    if kind == 6:
        return In(Constant(rng.choice(TEXTS)), Field(rng.choice([("tags",), ("mixed",), ("lang",)])))
    if kind == 7:
        return Has(Field(rng.choice(FIELDS)))
    if kind == 8:
        return TextTest(rng.choice(list(TESTS_OF_TEXT)), random_operand(rng), rng.choice(TEXTS))
    if kind == 9:
        return Field(rng.choice([("flag",), ("mixed",)]))
    if kind == 10:
        return SizeTest(Field(rng.choice(FIELDS)), rng.randrange(4))
    return Exists(Field(rng.choice([("tags",), ("mixed",), ("nested",)])), rng.choice(TEXTS + [1]))


def random_form(rng, num_rows, depth=3):
    kind = rng.randrange(8) if depth > 0 else 7
    if kind < 4:
        count = rng.randrange(2, 4)
        operands = tuple(random_form(rng, num_rows, depth - 1) for _ in range(count))
        return Logic("&&" if kind < 2 else "||", operands)
    if kind == 4:
        return Not(random_form(rng, num_rows, depth - 1))
    if kind == 5 and rng.random() < 0.4:
        return Conditional(*(random_form(rng, num_rows, depth - 1) for _ in range(3)))
    return random_leaf(rng, num_rows)


def make_rows(seed, count, identify):
    rng = random.Random(seed)
    return [Row(identify(index), random_payload(rng, index)) for index in range(count)]


