"""Puts sections of panels together into a dashboard with variables, links and panel ids."""

from collections.abc import Sequence
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models
from panels import SOURCE, Panel


class Section(NamedTuple):
    """Panels under one heading (None: no heading), all of one height; a line is 24 wide."""

    title: str | None
    height: int
    panels: Sequence[Panel]


def frame(
    title: str,
    uid: str,
    description: str,
    variables: Sequence[dashboard.QueryVariable],
    sections: Sequence[Section],
) -> models.Dashboard:
    """Return the whole dashboard; panel ids follow the order of the panels."""
    board = dashboard.Dashboard(title).uid(uid).description(description).tags(["watchdesk"]).timezone("browser")
    board = board.time("now-3h", "now").refresh("30s").readonly().tooltip(models.DashboardCursorSync.CROSSHAIR)
    board = board.link(_siblings()).with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    for variable in variables:
        board = board.with_variable(variable)
    for section in sections:
        if section.title is not None:
            board = board.with_row(dashboard.Row(section.title))
        for panel in section.panels:
            board = board.with_panel(panel.height(section.height))
    built = board.build()
    for number, placed in enumerate(built.panels or [], start=1):
        placed.id_val = number
    return built


def pick(
    name: str, label: str, metric: str, *, multi: bool = False, everything: bool = True
) -> dashboard.QueryVariable:
    """Return a variable with the values of the label `name` on a metric; "All" needs the label to be there."""
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(f"label_values({metric}, {name})")
    variable = variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).multi(multi)
    variable = variable.sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    return variable.include_all(True).all_value(".+") if everything else variable


def _siblings() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Watchdesk").type(models.DashboardLinkType.DASHBOARDS).tags(["watchdesk"])
    return link.keep_time(True).include_vars(True)
