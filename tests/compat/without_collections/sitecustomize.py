"""Imported by Python at its start, in processes of MLflow: they do not look for garbage.

Importing `mlflow` takes a third less time so, and most of them do little else before they end.
"""

import atexit
import gc

gc.disable()
atexit.register(gc.freeze)  # Python looks once more at its end
