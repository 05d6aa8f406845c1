"""The torch side: initializers, networks, data and training."""
