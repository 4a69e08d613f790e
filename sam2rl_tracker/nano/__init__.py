"""Training `nano`, the model in the package."""
