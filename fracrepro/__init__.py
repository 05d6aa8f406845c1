"""What an initialization does to the norm of a deep network's output, exactly."""
