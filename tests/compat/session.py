"""Runs the tutorial's scripts as one session, in an environment with MLflow.

It is run as `python -m tests.compat.session`, and prints the output of the scripts. A script with
arguments that the client rejects before sending ends with the error, and the next one continues.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

TUTORIAL = Path(__file__).parent / "tutorial.md"


def main() -> None:
    import mlflow

    warnings.simplefilter("ignore")
    names: dict[str, Any] = {"__name__": "__main__"}
    scripts = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
    for script in scripts:
        if "run_id_from_above" in script:
            run_id = mlflow.last_active_run().info.run_id
            script = script.replace("run_id_from_above", run_id)  # noqa: PLW2901
        names["new_data"] = names.get("X_test")
        try:
            exec(compile(script, "<tutorial>", "exec"), names)  # noqa: S102 - runs the tutorial
        except TypeError as error:
            print("TypeError:", error)  # noqa: T201
    print("Predictions:", list(map(int, names["predictions"][:3])))  # noqa: T201


if __name__ == "__main__":
    main()
