"""Where the command ends: what becomes one line for a user, and what keeps its traceback."""

from __future__ import annotations

import errno
import signal
from typing import Any

import click

from fracrepro.errors import FracreproError, is_out_of_memory
from fracrepro.workflow import interruptions
from fracrepro.workflow.packages import missing_package

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # which come without a file where a library writes
_OUT_OF_MEMORY = "out of memory; what was finished is kept"


class OneLineErrors(click.Group):
    """Turns what a user can get wrong into one line and exit code 2; a defect keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out a command, and say in one line what a user, a signal or the system's limits ended."""
        with interruptions.ending() as ended_by:
            try:
                return self._with_one_line(ctx)
            except BaseException as error:
                number = ended_by()
                if not number and not isinstance(error, KeyboardInterrupt):
                    raise
        # Whatever was raised came of the signal, an import that failed in its middle for example.
        how, code = ("terminated", 143) if number == signal.SIGTERM else ("interrupted", 130)
        click.echo(f"{how}: what was finished is kept, nothing is half-written", err=True)
        ctx.exit(code)

    def _with_one_line(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FracreproError as error:
            self._say(ctx, error)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                self._say(ctx, _OUT_OF_MEMORY)
            if error.filename is None and error.errno not in _FULL:
                raise  # no user's file: a defect
            kept = "; what was finished is kept" if error.errno in _FULL else ""
            self._say(ctx, f"{error.filename or 'writing'}: {error.strerror}{kept}")
        except ModuleNotFoundError as error:
            missing = missing_package(error)
            if missing is None:
                raise
            self._say(ctx, missing)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._say(ctx, _OUT_OF_MEMORY)

    @staticmethod
    def _say(ctx: click.Context, error: FracreproError | str) -> None:
        click.echo(f"error: {error}", err=True)
        ctx.exit(2)
