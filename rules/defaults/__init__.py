"""What holds where the provider has no table of their own."""

from pathlib import Path

FOLDER = Path(__file__).parent


def baselines() -> str:
    """Return the text of the list of baselines that comes with Watchdesk."""
    return (FOLDER / "baselines.yml").read_text(encoding="utf-8")
