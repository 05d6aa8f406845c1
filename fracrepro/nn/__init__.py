"""The torch side: initializers, schemes, networks, data, training and diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fracrepro.nn.diagnosis import diagnose
    from fracrepro.nn.initialize import initialize_

__all__ = ["diagnose", "initialize_"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: the registry of schemes does without."""
    if name == "initialize_":
        from fracrepro.nn.initialize import initialize_

        return initialize_
    if name == "diagnose":
        from fracrepro.nn.diagnosis import diagnose

        return diagnose
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
