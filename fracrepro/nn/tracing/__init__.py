"""What follows each layer of a model: seen in a run, or read off the order of its modules."""

from fracrepro.nn.tracing.found import Found, find
from fracrepro.nn.tracing.preserve import preserved
from fracrepro.nn.tracing.record import run

__all__ = ["Found", "find", "preserved", "run"]
