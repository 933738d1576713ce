"""Moving in from MLflow, and out to it: `modelyard import mlflow` and `modelyard export mlflow`.

Both may be stopped at any point and run again: what is there already is left alone.
"""
