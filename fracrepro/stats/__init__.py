"""Statistics without torch: tails, paired differences, tests of a mean."""
