"""The rule packs that come with Watchdesk: plain Prometheus rule files, one for each class of devices."""

from pathlib import Path

FOLDER = Path(__file__).parent


def load() -> dict[str, str]:
    """Return the text of each pack by its file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yml"))}
