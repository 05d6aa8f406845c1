"""What a row of the table of measured errors is, and what several rows share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fracrepro.theory import activations as act

FIXED = (
    act.Linear(),
    act.ReLU(),
    act.LeakyReLU(0.1),
    act.LeakyReLU(-2.0),
    act.Dropout(act.ReLU(), 0.25),
    act.Dropout(act.LeakyReLU(0.25), 0.25),
)
RANDOM = (act.RReLU(), act.RReLU(-0.25, 0.5), act.Dropout(act.RReLU(), 0.5))
# The other routes.
DEFINITION, MIXTURE = "its definition in 60 digits", "hypergeometric mixture"
QUADRATURE, TALBOT = "adaptive quadrature of the Laplace transform", "Talbot's inversion in 40 digits"
MEIJER = "Meijer's G-function"


@dataclass(frozen=True)
class Row:
    """One line of the table: what is computed, where the page explains it, the other route, the budget."""

    target: str
    quantity: str
    route: str
    measure: str
    budget: float
    differences: Callable[[], Iterable[Any]]

    def error(self) -> float:
        """The largest difference over all points."""
        return max(float(abs(value)) for value in self.differences())


Differences = Callable[..., Iterable[Any]]


class Rows(list[Row]):
    """The rows of a module, entered by a decorator of the functions that yield the differences."""

    def enter(
        self, target: str, quantity: str, route: str, measure: str, budget: float, *arguments: Any
    ) -> Callable[[Differences], Differences]:
        """Make a row of the function below, called with these arguments."""

        def enter(function: Differences) -> Differences:
            self.append(Row(target, quantity, route, measure, budget, lambda: function(*arguments)))
            return function

        return enter
