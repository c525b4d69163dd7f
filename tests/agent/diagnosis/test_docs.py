"""docs/diagnoses.md says what the code says: `python -m tests.agent.diagnosis.test_docs` prints the rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.diagnosis.catalogue import Diagnosis, catalogue

PAGE = Path(__file__).parents[3] / "docs" / "diagnoses.md"


def rows() -> dict[str, str]:
    """Return the beginning of each diagnosis' row: name, what it finds, arguments, class, cost, systems."""
    return {name: _row(one) for name, one in catalogue().items()}


def _row(one: Diagnosis) -> str:
    told: dict[str, Any] = one.describe()
    arguments = "; ".join(_argument(name, bounds) for name, bounds in told["arguments"].items()) or "–"
    privacy = told["privacy"] + "".join(f" ({level} with {name})" for name, level in told["raised"].items())
    cells = (f"`{one.name}`", told["summary"].rstrip("."), arguments, privacy, told["cost"], ", ".join(told["systems"]))
    return "| " + " | ".join(cells) + " |"


def _argument(name: str, bounds: Mapping[str, Any]) -> str:
    text = f"`{name}`"
    if "choices" in bounds:
        text += " " + " / ".join(bounds["choices"])
    elif "min" in bounds:
        text += f" {bounds['min']}–{bounds['max']}"
    if "default" not in bounds:
        return text + ", needed"
    default = bounds["default"]
    return text if default in ("", False, 0) or "choices" in bounds else f"{text} ({default})"


def test_the_page_tells_of_each_diagnosis_what_the_code_says() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    told = {line.split("`")[1]: line for line in lines}
    assert list(told) == list(rows())
    for name, row in rows().items():
        assert told[name].startswith(row), f"the row of {name} should begin: {row}"
        assert len(told[name]) > len(row) + 5, f"the row of {name} does not say what ran"


if __name__ == "__main__":
    print("\n".join(rows().values()))
