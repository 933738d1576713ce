"""Migration from and to MLflow: `modelyard import mlflow` and `modelyard export mlflow`.

Both may be stopped at any point and run again: a later run writes only what is missing or changed.
"""
