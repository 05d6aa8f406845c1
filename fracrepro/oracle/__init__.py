"""A second route to every law that pages quote, in mpmath, with as many digits as asked for.

R² is the sum of C = A² z² over the coordinates, z standard normal, A the slope on the side where z falls.
Nothing comes from `fracrepro.theory`.  Values have `dps` digits, or more where the caller works with more.
An activation comes in as data, in one of three forms:

* an object whose ``slopes`` has the fields ``positive`` and ``negative``, each a pair (low, high): the slope
  on that side is uniform on [low, high], and fixed where both agree; ``kept``, if there, is the probability
  that no mask strikes;
* a pair ``(positive, negative)`` of such pairs or of plain numbers: ReLU is ``(1, 0)``;
* an object with the fields ``activation`` and ``p``: dropout with probability p after that activation.
"""

from fracrepro.oracle.mixtures import (
    mixture_moment,
    mixture_probability,
    product_probability,
    talbot_probability,
)
from fracrepro.oracle.moments import log_moments, moment, tilted_log_mean
from fracrepro.oracle.transforms import Piece, chi_moment, death, mean_square, pieces, transform

__all__ = [
    "Piece",
    "chi_moment",
    "death",
    "log_moments",
    "mean_square",
    "mixture_moment",
    "mixture_probability",
    "moment",
    "pieces",
    "product_probability",
    "talbot_probability",
    "tilted_log_mean",
    "transform",
]
