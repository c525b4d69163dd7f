"""Incidents: what is open, what comes in, what is closed, and which rules raise the most."""

from assemble import Section, frame, pick
from grafana_foundation_sdk.models.dashboard import Dashboard
from panels import AMBER, BLUE, GREEN, RED, graph, ranking, stats

SCOPE = 'customer=~"$customer"'


def build() -> Dashboard:
    """Return the dashboard, for one customer or all."""
    return frame(
        "Watchdesk incidents",
        uid="watchdesk-incidents",
        description="Incidents that the collector opened and resolved, by priority, customer and rule.",
        variables=[pick("customer", "Customer", "watchdesk_incidents_open", multi=True)],
        sections=[_now(), _flow(), _rules()],
    )


def _now() -> Section:
    waiting = f"sum(watchdesk_incidents_open{{{SCOPE}}}) or vector(0)"
    critical = f'sum(watchdesk_incidents_open{{{SCOPE}, severity="critical"}}) or vector(0)'
    return Section(
        None,
        4,
        [
            stats(4, "Open", "Incidents open now.", waiting, steps=((None, GREEN), (1, AMBER))),
            stats(4, "Critical", "Open now, of severity critical.", critical, steps=((None, GREEN), (1, RED))),
            stats(4, "Opened", "In the shown time.", _sum("opened")),
            stats(4, "Resolved", "In the shown time, by recovery or by a person.", _sum("resolved")),
            stats(
                8,
                "Rules loaded",
                "Alerting rules that are evaluated; 0 means that no ticket will ever be raised.",
                "sum(watchdesk_rules_loaded)",
                steps=((None, RED), (1, BLUE)),
            ),
        ],
    )


def _sum(what: str) -> str:
    return f"sum(increase(watchdesk_incidents_{what}_total{{{SCOPE}}}[$__range])) or vector(0)"


def _flow() -> Section:
    rate = "sum(increase(watchdesk_incidents_{}_total{{{}}}[1h])) or vector(0)"
    return Section(
        "Queue",
        9,
        [
            graph(
                12,
                "Open by priority",
                "What the desk has before it.",
                (f"sum by (priority) (watchdesk_incidents_open{{{SCOPE}}})", "{{priority}}"),
                stack=True,
            ),
            graph(
                12,
                "Opened and resolved",
                "In the hour before each moment. Where the first stays above the second, the queue grows.",
                (rate.format("opened", SCOPE), "opened"),
                (rate.format("resolved", SCOPE), "resolved"),
            ),
        ],
    )


def _rules() -> Section:
    warm = ((None, BLUE), (10, AMBER), (50, RED))
    opened = f"watchdesk_incidents_opened_total{{{SCOPE}}}[$__range]"
    return Section(
        "Where they come from",
        9,
        [
            ranking(
                8,
                "Open by customer",
                "The ten customers with the most open incidents.",
                (f"topk(10, sum by (customer) (watchdesk_incidents_open{{{SCOPE}}}))", "{{customer}}"),
                unit="short",
                steps=warm,
            ),
            ranking(
                8,
                "Opened by rule",
                "The ten rules that opened the most in the shown time: candidates for a better threshold.",
                (f"topk(10, sum by (alertname) (increase({opened})))", "{{alertname}}"),
                unit="short",
                steps=warm,
            ),
            graph(
                8,
                "Rule errors",
                "Evaluations that failed, a second; such a rule raises no ticket until it is mended.",
                (
                    "sum by (rule) (rate(watchdesk_rule_errors_total[$__rate_interval])) or on () vector(0)",
                    "{{rule}}",
                ),
            ),
        ],
    )
