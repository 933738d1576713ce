"""The parts of `MlflowClient`, by resource."""
