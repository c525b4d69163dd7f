"""The committed dashboards: built from their source, and sound as Grafana reads them."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.dashboards import FOLDER, fill, load, panels, queries

GRAFANA = FOLDER.parent
BOARDS = load()
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))

WIDTH = 24


def test_the_files_are_what_the_source_builds(tmp_path: Path) -> None:
    subprocess.run([sys.executable, GRAFANA / "build.py", tmp_path], check=True, timeout=60)
    built = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    committed = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    assert built == committed, "run python packaging/grafana/build.py and commit its output"


def test_there_is_one_for_the_fleet_the_device_and_the_incidents() -> None:
    assert {board["uid"] for board in BOARDS.values()} == {
        "watchdesk-fleet",
        "watchdesk-device",
        "watchdesk-incidents",
    }


@each_board
def test_ids_and_titles_are_unique(board: dict[str, Any]) -> None:
    found = list(panels(board))
    assert len({panel["id"] for panel in found}) == len(found)
    assert all(panel["id"] > 0 for panel in found)
    assert len({panel["title"] for panel in found}) == len(found)


@each_board
def test_no_panel_lies_on_another(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in panels(board)]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= WIDTH
        assert place["h"] > 0
    for one, other in itertools.combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@each_board
def test_lines_are_filled(board: dict[str, Any]) -> None:
    lines: dict[int, int] = {}
    for panel in panels(board):
        lines[panel["gridPos"]["y"]] = lines.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(lines.values()) == {WIDTH}


@each_board
def test_each_panel_says_what_it_is(board: dict[str, Any]) -> None:
    for panel in panels(board):
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)


@each_board
def test_variables_are_those_that_the_queries_use(board: dict[str, Any]) -> None:
    names = {variable["name"] for variable in board["templating"]["list"]}
    texts = [target["expr"] for panel in panels(board) for target in panel.get("targets", [])]
    texts += [variable["query"] for variable in board["templating"]["list"]]
    used = {name for text in texts for name in re.findall(r"\$(\w+)", text) if not name.startswith("__")}
    assert used <= names
    assert names - used == {"datasource"}


def test_no_variable_is_left_in_a_filled_query() -> None:
    assert not [expr for expr in queries("web1.hq.acme") if "$" in expr]


def test_a_longer_name_is_not_taken_for_a_shorter() -> None:
    assert fill("$site $site_name", {"site": "hq", "site_name": "Head"}) == "hq Head"


def test_provisioning_is_of_the_first_version_and_points_at_prometheus() -> None:
    (sources,) = (GRAFANA / "provisioning" / "datasources").iterdir()
    (providers,) = (GRAFANA / "provisioning" / "dashboards").iterdir()
    source = yaml.safe_load(sources.read_text())
    provider = yaml.safe_load(providers.read_text())
    assert source["apiVersion"] == provider["apiVersion"] == 1
    assert source["datasources"][0]["type"] == "prometheus"
    assert provider["providers"][0]["type"] == "file"
    assert provider["providers"][0]["options"]["path"].startswith("/var/lib/grafana/")
