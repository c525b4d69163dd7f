"""The scrape configuration that we ship, and the dashboards' queries, on a real Prometheus."""

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.packaging import recorded
from tests.packaging.dashboards import queries
from tests.packaging.prometheus import Prometheus, running, wait_until

CONFIG = Path(__file__).parents[2] / "packaging" / "prometheus" / "prometheus.yml"
SHIPPED_TOKEN = "/etc/prometheus/watchdesk.token"
SHIPPED_ADDRESS = "127.0.0.1:8080"


def shipped(folder: Path, address: str, token: str = recorded.TOKEN) -> str:
    """Return the shipped configuration with a token file and an address that are there, scraping each second."""
    file = folder / "watchdesk.token"
    file.write_text(token)
    text = CONFIG.read_text()
    assert text.count(SHIPPED_TOKEN) == 3
    assert text.count(SHIPPED_ADDRESS) == 3  # one of them in the comment that says to replace it
    text = text.replace(SHIPPED_TOKEN, str(file)).replace(SHIPPED_ADDRESS, address)
    return text.replace("scrape_interval: 15s", "scrape_interval: 1s").replace(
        "scrape_timeout: 10s", "scrape_timeout: 1s"
    )


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scraped the recorded collector until rates can be taken."""
    folder = tmp_path_factory.mktemp("prometheus")
    with recorded.serving() as address, running(shipped(folder, address), folder) as server:
        wait_until(lambda: len(server.query('count_over_time(up{customer="acme"}[1m]) >= 3')) == 2)
        wait_until(lambda: len(server.query("count_over_time(watchdesk_fleet_series[1m]) >= 3")) == 1)
        yield server


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(shipped(tmp_path, "127.0.0.1:8080"))
    check = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_fleet_keeps_its_labels() -> None:
    jobs = {job["job_name"]: job for job in yaml.safe_load(CONFIG.read_text())["scrape_configs"]}
    assert jobs["watchdesk-fleet"]["honor_labels"] is True
    assert "honor_labels" not in jobs["watchdesk"]


def test_both_targets_are_scraped_with_the_token(prometheus: Prometheus) -> None:
    assert prometheus.targets_down() == []


def test_instances_and_jobs_are_the_devices_own(prometheus: Prometheus) -> None:
    labels = [labels for labels, _ in prometheus.query('node_load1{customer="acme"}')]
    assert {label["instance"] for label in labels} == {"web1.hq.acme", "pc7.hq.acme"}
    assert {label["job"] for label in labels} == {"agent"}
    assert prometheus.query('{exported_instance=~".+"}') == []


def test_a_wrong_token_gets_nothing(tmp_path: Path) -> None:
    with recorded.serving() as address, running(shipped(tmp_path, address, token="another"), tmp_path) as server:
        wait_until(lambda: any("401" in error for error in server.targets_down()))
        assert server.query('node_load1{customer="acme"}') == []


def test_each_query_of_the_dashboards_has_an_answer(prometheus: Prometheus) -> None:
    answers = {expr: prometheus.query(expr) for expr in queries("web1.hq.acme")}
    assert [expr for expr, answer in answers.items() if not answer] == []
    # A quantile of a histogram in which nothing happened is NaN, and Grafana shows a gap.
    sums = {expr: answer for expr, answer in answers.items() if "histogram_quantile" not in expr}
    assert [expr for expr, answer in sums.items() if any(math.isnan(value) for _, value in answer)] == []


def test_a_query_of_a_name_that_is_not_there_has_none(prometheus: Prometheus) -> None:
    """The test above can fail: a misspelt name does."""
    assert prometheus.query("sum(rate(node_cpu_second_total[1m]))") == []


def test_queries_keep_to_the_chosen_customer(prometheus: Prometheus) -> None:
    for expr in queries("db1.dc.charlie", {"customer": "charlie", "site": "dc"}):
        answers = prometheus.query(expr)
        assert all(labels.get("customer", "charlie") == "charlie" for labels, _ in answers), expr
        assert all(labels.get("instance", "charlie").endswith("charlie") for labels, _ in answers), expr


def test_the_silent_device_is_counted_as_such(prometheus: Prometheus) -> None:
    fleet = queries("web1.hq.acme")
    (silent,) = (expr for expr in fleet if expr.startswith("count(up"))
    assert prometheus.query(silent) == [({}, 1.0)]
    (alive,) = (expr for expr in fleet if expr.startswith("sum(up"))
    assert prometheus.query(alive) == [({}, 2.0)]


def test_shares_are_between_none_and_all(prometheus: Prometheus) -> None:
    shares = [expr for expr in queries("web1.hq.acme") if expr.startswith(("topk(10, 1 -", "max(1 -", "1 -"))]
    assert len(shares) == 7
    for expr in shares:
        assert all(0 <= value <= 1 for _, value in prometheus.query(expr)), expr
