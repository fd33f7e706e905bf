"""The audit says which of three things happened: a finding, a clean result, or no answer."""

from __future__ import annotations

import pytest

from tools import audit

CLEAN = {"name": "alembic", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found"}
VULNERABLE = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "CVE-2014-1402", "fix_versions": ["2.7.2"]}]}


def test_a_finding_fails_and_is_named() -> None:
    code, message = audit.verdict({"dependencies": [CLEAN, UNKNOWN, VULNERABLE]})
    assert code == 1
    assert "jinja2 2.4.1: CVE-2014-1402, fixed in 2.7.2" in message


def test_a_clean_result_says_how_many_were_asked_about() -> None:
    assert audit.verdict({"dependencies": [CLEAN]}) == (0, "audit: nothing known against any of 1 packages")


def test_a_partly_known_list_is_not_called_clean() -> None:
    code, message = audit.verdict({"dependencies": [CLEAN, UNKNOWN]})
    assert code == 0
    assert "1 could not be looked up" in message


def test_a_service_that_answers_for_nothing_is_no_clean_result() -> None:
    code, message = audit.verdict({"dependencies": [UNKNOWN]})
    assert code == 0
    assert "NOT DONE" in message


@pytest.mark.parametrize(
    ("stderr", "code"), [("requests.exceptions.ConnectionError: …", 0), ("invalid requirements input: x.txt", 1)]
)
def test_only_a_service_that_is_out_of_reach_is_forgiven(stderr: str, code: int) -> None:
    assert audit.failure(stderr)[0] == code
