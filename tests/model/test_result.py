"""What a report says of itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.boomplay.retry import FailureClass
from etl.errors import CredentialsError
from etl.model.result import RunResult

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("account", ["ada", "default"])
def test_the_remedy_names_the_account_in_the_commands(account: str) -> None:
    failed = RunResult(account, "manual", NOON, error=CredentialsError("refused", remedy=FailureClass.TOKEN.value))
    assert f"`favsync accounts login {account}`, `favsync accounts set {account} --token`" in failed.remedy
    assert "BOOMPLAY_ACCESS_TOKEN" in failed.remedy


def test_a_run_that_went_well_has_no_remedy() -> None:
    assert RunResult("ada", "manual", NOON, outcome="succeeded").remedy == ""
