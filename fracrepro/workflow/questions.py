"""Commands that answer a question about a layer or a model, without a project around them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fracrepro import files
from fracrepro.arguments import suggestion
from fracrepro.errors import ArgumentError, FracreproError
from fracrepro.theory import activations
from fracrepro.workflow.choices import OneOf

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["critical", "diagnose"]


@click.command()
@click.option("--width", type=int, required=True, help="Number of neurons of the layer's output.")
@click.option("--s", "s", type=float, required=True, help="Order of the preserved moment, in [0, 2].")
@click.option("--activation", type=OneOf("activation", "activations"), default="relu", show_default=True)
@click.option(
    "--negative-slope", type=float, help="Slope below zero, for an activation that has one [default: 0.01]."
)
def critical(width: int, s: float, activation: str, negative_slope: float | None) -> None:
    """Print the weight variance that preserves the moment of order s of a layer's output norm."""
    import fracrepro as fr

    given = {} if negative_slope is None else {"negative_slope": negative_slope}
    phi = activations.activation(activation, **given)
    sigma2 = fr.critical_variance(s, width, phi)
    ratio = sigma2 / fr.critical_variance(2.0, width, phi)
    click.echo(f"{sigma2:.17g}  sigma^2 for {phi}, width {width}, s = {s:g}: {ratio:.6g} times Kaiming's")


@click.command()
@click.argument("model", metavar="FILE.py:FUNCTION")
@click.option(
    "--batch",
    type=OneOf("batch", "datasets"),
    default="digits",
    show_default=True,
    help="Data set whose first training images are the batch.",
)
@click.option("--size", type=click.IntRange(min=1), default=128, show_default=True, help="Of the batch.")
@click.option(
    "--flat/--images",
    default=None,
    help="Shape of an input: a vector, or channels × height × width [default: what the model takes].",
)
@click.option("--scheme", type=OneOf("scheme", "schemes"), help="Initialize by this scheme first.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of model and scheme.")
@click.option("--training/--evaluation", default=None, help="Mode of the model [default: as it is].")
@click.option("--csv", "table", type=click.Path(path_type=Path), help="Write the diagnosis there.")
def diagnose(
    model: str,
    batch: str,
    size: int,
    flat: bool | None,
    scheme: str | None,
    seed: int,
    training: bool | None,
    table: Path | None,
) -> None:
    """Say what every layer of a model does to a batch and to a gradient.

    FUNCTION takes no arguments and returns the model, a torch.nn.Module.
    """
    import torch

    from fracrepro.nn import initialize_
    from fracrepro.nn.diagnosis import diagnose

    torch.manual_seed(seed)
    made = made_by(model)
    images = _images(batch, size, made)
    given = _accepted(made, images, flat)
    if scheme is not None:
        report = initialize_(made, scheme, batch=given, generator=torch.Generator().manual_seed(seed))
        filled = int((report["scheme"] != "").sum())
        click.echo(f"initialized by {scheme}: {filled} of {len(report)} parameters")
    frame = diagnose(made, given, training=training)
    if table is not None:
        files.write_text(table, frame.to_csv(index=False))
    click.echo(as_text(frame))


def as_text(frame: Any) -> str:
    """A diagnosis for a terminal: four digits, no empty column, the notes below."""
    columns = [name for name in frame if name not in ("note", "given") and not (frame[name] == "").all()]
    shown = frame[columns].copy()
    shown["shape"] = ["×".join(map(str, shape)) for shape in frame["shape"]]
    numbers = shown.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.3f}")
    notes = [f"{row.layer}: {row.note}" for row in frame.itertuples() if row.note]
    return "\n".join([numbers, *(["", *notes] if notes else [])])


def made_by(address: str) -> nn.Module:
    """Return the model that a function in a file makes.

    Raises:
        ArgumentError: for an address of another form, a file or a function that is not there, one that fails,
            and one that returns no model.
    """
    from torch import nn

    name, colon, function = address.rpartition(":")
    path = Path(name)
    if not colon or not function.isidentifier() or path.suffix != ".py":
        raise ArgumentError(f"model = {address!r}: need FILE.py:FUNCTION")
    if not path.is_file():
        raise ArgumentError(f"model = {address!r}: there is no file {name}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # its name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # where dataclasses and pickles look
    sys.path.insert(0, str(path.resolve().parent))  # for what the file imports from beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises, it is the file that is wrong
        raise ArgumentError(f"model = {address!r}: {name} fails: {_first_line(error)}") from error
    finally:
        sys.path.pop(0)
    made = getattr(module, function, None)
    if not callable(made):
        near = suggestion(function, [key for key, value in vars(module).items() if callable(value)])
        raise ArgumentError(f"model = {address!r}: {name} has no function {function!r}{near}")
    try:
        result = made()
    except FracreproError:
        raise
    except Exception as error:  # the same
        raise ArgumentError(f"model = {address!r}: {function}() fails: {_first_line(error)}") from error
    if not isinstance(result, nn.Module):
        raise ArgumentError(f"model = {address!r}: {function}() returns {type(result).__name__}, no model")
    return result


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def _images(batch: str, size: int, model: nn.Module) -> torch.Tensor:
    """The first training images of a data set between 0 and 1, as the model's parameters are."""
    import torch

    from fracrepro.nn import data

    images = torch.tensor(data.load(batch).train_images[:size])
    kinds = [each for each in model.parameters() if each.is_floating_point()]
    return images.to(kinds[0] if kinds else torch.float32) / 255


def _accepted(model: nn.Module, images: torch.Tensor, flat: bool | None) -> torch.Tensor:
    """The images in the shape that was asked for, or in the first of both that the model takes."""
    from fracrepro.nn.diagnosis import diagnose

    if flat is not None:
        return images.flatten(1) if flat else images
    refusal: ArgumentError | None = None
    first = next((p for p in model.parameters() if p.ndim > 1), None)
    shapes = [images, images.flatten(1)]
    if first is not None and first.ndim == 2:
        shapes.reverse()
    for each in shapes:
        try:
            diagnose(model, each[:2])
        except ArgumentError as error:
            refusal = refusal or error
        else:
            return each
    assert refusal is not None  # both were refused
    raise refusal
