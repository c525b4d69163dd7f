"""What every dashboard's panels have in common: the data source, colours, legends and thresholds."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, AMBER, RED, BLUE = "green", "orange", "red", "blue"

# A share of something that runs full: disks, memory, processors.
FULL: Final = ((None, GREEN), (0.8, AMBER), (0.9, RED))

Query = str | tuple[str, str]  # an expression, or one with the legend of its series
Steps = Sequence[tuple[float | None, str]]
Panel = stat.Panel | bargauge.Panel | timeseries.Panel


def stats(
    width: int, title: str, why: str, *queries: Query, unit: str = "short", steps: Steps = ((None, BLUE),)
) -> stat.Panel:
    """Return a panel of large numbers, of the present moment."""
    panel = stat.Panel().span(width).title(title).description(why).datasource(SOURCE).unit(unit)
    panel = panel.thresholds(_thresholds(steps)).reduce_options(_last()).orientation(common_models.VizOrientation.AUTO)
    panel = panel.color_mode(common_models.BigValueColorMode.VALUE).graph_mode(common_models.BigValueGraphMode.NONE)
    for target in _targets(queries, instant=True):
        panel = panel.with_target(target)
    return panel


def ranking(
    width: int, title: str, why: str, query: Query, unit: str = "percentunit", steps: Steps = FULL
) -> bargauge.Panel:
    """Return a panel of horizontal bars, the worst on top; shares fill the bar at 1."""
    panel = bargauge.Panel().span(width).title(title).description(why).datasource(SOURCE).unit(unit).min(0)
    if unit == "percentunit":
        panel = panel.max(1)
    panel = panel.thresholds(_thresholds(steps)).reduce_options(_last())
    panel = panel.orientation(common_models.VizOrientation.HORIZONTAL)
    panel = panel.display_mode(common_models.BarGaugeDisplayMode.BASIC)
    for target in _targets([query], instant=True):
        panel = panel.with_target(target)
    return panel


def graph(
    width: int, title: str, why: str, *queries: Query, unit: str = "short", stack: bool = False
) -> timeseries.Panel:
    """Return a panel of lines over time from zero, or of stacked areas."""
    panel = timeseries.Panel().span(width).title(title).description(why).datasource(SOURCE).unit(unit).axis_soft_min(0)
    if unit == "percentunit":
        panel = panel.axis_soft_max(1)
    panel = panel.line_width(1).fill_opacity(25 if stack else 8).show_points(common_models.VisibilityMode.NEVER)
    if stack:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    panel = panel.legend(_legend()).tooltip(_tooltip())
    for target in _targets(queries, instant=False):
        panel = panel.with_target(target)
    return panel


def mapped(panel: stat.Panel, texts: dict[str, tuple[str, str]]) -> stat.Panel:
    """Return the panel with values shown as words: value -> (word, colour)."""
    options = {
        value: models.ValueMappingResult(text=word, color=colour, index=index)
        for index, (value, (word, colour)) in enumerate(texts.items())
    }
    return panel.mappings([models.ValueMap(options=options)])


def _targets(queries: Sequence[Query], *, instant: bool) -> list[prometheus.Dataquery]:
    found: list[prometheus.Dataquery] = []
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        expression, legend = (query, "__auto") if isinstance(query, str) else query
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).datasource(SOURCE)
        found.append(target.instant() if instant else target.range())
    return found


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    thresholds = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST).show_legend(True)
    return legend.placement(common_models.LegendPlacement.BOTTOM).calcs([])


def _tooltip() -> common.VizTooltipOptions:
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    return tooltip.sort(common_models.SortOrder.DESCENDING)
