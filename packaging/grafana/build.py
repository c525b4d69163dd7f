"""Writes the dashboards as JSON: `python packaging/grafana/build.py [folder]`, by default beside this file."""

import json
import sys
from pathlib import Path

import device
import fleet
import incidents
from grafana_foundation_sdk.cog.encoder import JSONEncoder

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    """Build every dashboard into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in (fleet, device, incidents):
        board = module.build()
        text = json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / f"{module.__name__}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "dashboards")
