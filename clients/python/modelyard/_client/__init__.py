"""The parts of `MlflowClient`, by noun."""
