"""Where things lie, in a checkout as in an installed copy: configs/ stands beside workbench/."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "configs"


def own_config(path: str) -> Path | None:
    """The config file of this project that `path` names from `configs/` on; None where there is none."""
    parts = Path(path).parts
    if "configs" not in parts:
        return None
    file = ROOT / Path(*parts[parts.index("configs") :])
    return file if file.is_file() else None
