"""deploy/prometheus-alerts.yaml: the form of the rules, and that they speak of numbers that favsync tells."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import yaml
from prometheus_client.parser import text_string_to_metric_families

from etl.monitor.metrics import Metrics
from etl.scheduler.service import Pulse, Ran
from etl.sync import Report
from tests.house.source import ROOT
from tests.unit.monitor.test_status import status

RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
FROM_ELSEWHERE = {"node_textfile_mtime_seconds"}


def told() -> set[str]:
    metrics = Metrics(lambda: [status()], Pulse)
    metrics.count(Ran(Report("ada", "schedule", datetime.now(UTC), outcome="succeeded"), {"429": 1}))
    return {
        sample.name for family in text_string_to_metric_families(metrics.text().decode()) for sample in family.samples
    }


def test_every_rule_has_a_name_of_its_own_a_severity_and_words_that_say_what_to_do():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 8
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))


def test_every_number_that_a_rule_asks_for_is_told():
    asked = {name for rule in RULES for name in re.findall(r"[a-z]+(?:_[a-z]+)+", rule["expr"])}
    assert asked - FROM_ELSEWHERE <= told()
    assert {"favsync_accounts_stale", "favsync_oldest_proven_sync_seconds", "favsync_accounts_token_dead"} <= asked


def test_the_brackets_of_every_expression_are_closed():
    for rule in RULES:
        for left, right in ("()", "[]", "{}"):
            assert rule["expr"].count(left) == rule["expr"].count(right), rule["alert"]


def test_every_verb_that_a_description_names_exists():
    from etl.cli import VERBS

    words = " ".join(rule["annotations"]["description"] for rule in RULES)
    assert set(re.findall(r"favsync ([a-z]+)", words)) <= set(VERBS)
