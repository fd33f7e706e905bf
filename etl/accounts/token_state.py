"""What the service's answers make of a token. Pure.

| state    | means                                                                                   |
|----------|-----------------------------------------------------------------------------------------|
| valid    | not refused                                                                             |
| expiring | not refused, but its time is nearly over, or over, and nothing can renew it             |
| suspect  | refused once; services refuse good tokens too, so it is tried again                     |
| dead     | refused again `CONFIRM_AFTER` or more later, or once after its own end: needs a person  |

Invariant: no answer makes a token be thrown away; a dead one that works again is valid again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from etl.accounts.token_rows import TokenRow, TokenStatus

CONFIRM_AFTER = timedelta(minutes=5)
EXPIRING_WITHIN = timedelta(days=1)
EXPIRING = "expiring"


def accepted(row: TokenRow, now: datetime) -> TokenRow:
    """Return the row after the service took the token."""
    return replace(row, state=TokenStatus.VALID, reason=None, suspect_since=None, updated_at=now)


def refused(row: TokenRow, reason: str, now: datetime, *, is_widespread: bool = False) -> TokenRow:
    """Return the row after the service refused the token. ``is_widespread``: it refuses those of most accounts now."""
    suspect_since = row.suspect_since or now
    is_over = row.expires_at is not None and row.expires_at <= now
    is_confirmed = now - suspect_since >= CONFIRM_AFTER and not is_widespread
    is_dead = row.state is TokenStatus.DEAD or is_over or is_confirmed
    state = TokenStatus.DEAD if is_dead else TokenStatus.SUSPECT
    return replace(row, state=state, reason=reason, suspect_since=suspect_since, updated_at=now)


def displayed_status(row: TokenRow, now: datetime) -> str:
    """Return the state for people: one of the table above."""
    is_ending = row.expires_at is not None and row.expires_at - now <= EXPIRING_WITHIN
    if row.state is TokenStatus.VALID and is_ending and not row.is_renewable:
        return EXPIRING
    return str(row.state)
