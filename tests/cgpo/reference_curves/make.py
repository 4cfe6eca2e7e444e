"""Makes the reference curves, 20 steps of each optimiser: `python tests/cgpo/reference_curves/make.py`.

Run it when an optimiser is added, or when its mathematics was changed on purpose; the diff of the curves then shows
from which step on, and by how much. Names of optimisers as arguments make only theirs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from fixed_learning import Case, learn_case, make_model  # noqa: E402

from cgpo import distributed, plugins  # noqa: E402

STEPS = 20
LEARNING_RATE = 3e-3


def curve(optimizer: str, model: str) -> list[dict[str, Any]]:
    """Loss, gradient norm and the sum of all weights' magnitudes after each step; the default settings."""
    case = Case(model, {"only": {"name": optimizer}}, steps=STEPS, learning_rate=LEARNING_RATE, micro_batch_tokens=256)
    return [
        {"loss": step["losses"]["only"], "grad_norm": step["grad_norm"], "weights": sum(step["weights"].values())}
        for step in learn_case(case)["steps"]
    ]


def main() -> None:
    names = sys.argv[1:] or sorted(plugins.names("cgpo.optimizers"))
    distributed.init_distributed()
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder))
        for name in names:
            lines = ",\n ".join(json.dumps(step) for step in curve(name, model))
            (FOLDER / f"{name}.json").write_text(f"[{lines}]\n", encoding="utf-8")
            print(f"{name}.json")
    distributed.close_distributed()


if __name__ == "__main__":
    main()
