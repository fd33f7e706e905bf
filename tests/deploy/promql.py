"""What a PromQL expression asks for, read by a parser that knows Prometheus's types."""

from __future__ import annotations

from collections.abc import Iterable

import promql_parser
from prometheus_client.parser import text_string_to_metric_families

Series = dict[str, set[str]]
"""By the name of a metric: the labels that it has, or is asked by."""


def asked(expression: str) -> Series:
    """Return the metrics that an expression reads, each with the labels that it is chosen by.

    Raises: ValueError, where Prometheus would refuse it: brackets, names of functions, a rate of what is no range.
    """
    found: Series = {}

    def visit(part: object) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            found.setdefault(part.name, set()).update(each.name for each in part.matchers.matchers)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def metrics_in(exposition: str) -> Series:
    """Return the metrics of a text in Prometheus's format."""
    found: Series = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def unanswered(expressions: Iterable[str], exposition: str, elsewhere: Iterable[str] = ()) -> list[str]:
    """Return what the expressions ask for and the text does not tell: a metric, or a label of one."""
    there = metrics_in(exposition)
    missing = []
    for expression in expressions:
        for name, labels in asked(expression).items():
            if name not in there and name not in elsewhere:
                missing.append(name)
            missing += [f"{name}{{{label}}}" for label in labels - there.get(name, labels)]
    return missing
