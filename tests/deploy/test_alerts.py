"""deploy/prometheus-alerts.yaml: Prometheus can read the rules, and they speak of numbers that favsync tells."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
import yaml

from etl.monitor.metrics import Metrics
from etl.monitor.overview import CalendarStatus, summed
from etl.scheduler.service import FinishedRun, ServiceStatus
from etl.sync import RunResult
from tests.deploy.promql import asked, metrics_in, unanswered
from tests.house.source import ROOT
from tests.monitor.test_status import status

RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
FROM_ELSEWHERE = {"node_textfile_mtime_seconds"}


def exposition() -> str:
    metrics = Metrics(lambda: summed([status()]), ServiceStatus, calendar=lambda: CalendarStatus(0, 0.0, 0))
    metrics.count(FinishedRun(RunResult("ada", "schedule", datetime.now(UTC), outcome="succeeded"), {"429": 1}))
    return metrics.text().decode()


def test_every_rule_has_a_unique_name_severity_and_remedy():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 8
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))


def test_metrics_in_rules_exist_with_their_labels():
    assert unanswered([rule["expr"] for rule in RULES], exposition(), FROM_ELSEWHERE) == []
    names = {name for rule in RULES for name in asked(rule["expr"])}
    assert {"favsync_accounts_stale", "favsync_oldest_proven_sync_seconds", "favsync_accounts_token_dead"} <= names


def test_the_words_name_only_labels_that_the_number_has():
    there = metrics_in(exposition())
    for rule in RULES:
        labels = {label for name in asked(rule["expr"]) for label in there.get(name, ())}
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= labels, rule["alert"]


@pytest.mark.parametrize(
    "wrong",
    ["sum(favsync_up", "favsync_up >", "rate(favsync_runs_total) > 0", "summ(favsync_up)", "favsync_up[5m] > 1"],
)
def test_an_expression_that_prometheus_would_refuse_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        asked(wrong)


def test_a_missing_metric_or_label_is_found():
    missing = unanswered(["favsync_gone > 0", 'favsync_runs_total{outcom="failed"} > 0'], exposition())
    assert missing == ["favsync_gone", "favsync_runs_total{outcom}"]


def test_every_verb_that_a_description_names_exists():
    from etl.cli import VERBS

    words = " ".join(rule["annotations"]["description"] for rule in RULES)
    assert set(re.findall(r"favsync ([a-z]+)", words)) <= set(VERBS)
