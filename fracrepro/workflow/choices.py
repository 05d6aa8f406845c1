"""Names on the command line: a registry says which there are, when it is asked."""

from __future__ import annotations

from typing import Any

import click

from fracrepro import arguments
from fracrepro.workflow.options import option_set

__all__ = ["OneOf"]


class OneOf(click.ParamType):
    """A name out of one of the sets of `fracrepro.workflow.options`.

    Args:
        kind: what is named, for the message of a refusal.
        option_set: the name of the set.
    """

    name = "name"

    def __init__(self, kind: str, option_set: str) -> None:
        """Keep both; the registry is not read before a value or the help is asked for."""
        self.kind = kind
        self.option_set = option_set

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; ArgumentError suggests the nearest one."""
        return arguments.choice(self.kind, value, option_set(self.option_set))

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The names for the help, or NAME where the registry needs a package that is missing."""
        try:
            return f"[{' | '.join(option_set(self.option_set))}]"  # the help breaks lines at spaces
        except ModuleNotFoundError:
            return "NAME"
