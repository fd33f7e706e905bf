"""``favsync runs retract``: take a run out of the history, or put it back."""

from __future__ import annotations

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import WholeNumber, json_option


@click.command("retract", cls=Verb)
@click.argument("run_id", metavar="RUN", type=WholeNumber(1))
@click.option("--undo", is_flag=True, help="Put a retracted run back.")
@json_option
@pass_context
def retract(context: Context, run_id: int, undo: bool) -> None:
    """Take a run out of the history, as if it had never been. It stays on record, and --undo brings it back.

    For a run that read the wrong list, or a wrong file that was imported; any run, not only the newest one.
    """
    from sqlalchemy import Connection

    from etl import clock
    from etl.db.engine import in_transaction, read_transaction
    from etl.db.migrate import ready_engine
    from etl.load.run_lock import run_lock
    from etl.load.runs import find_run
    from etl.replay import retract as retracting

    engine = ready_engine(context.config.database_url.reveal())
    brake = context.config.removal_brake
    with read_transaction(engine) as connection:
        run = find_run(connection, run_id)

    def work(connection: Connection) -> retracting.Retraction:
        if undo:
            return retracting.restore(connection, run_id, brake)
        return retracting.retract(connection, run_id, clock.now(), brake)

    with run_lock(engine, run.account_id, run.account):
        done = in_transaction(engine, work)
    difference = done.difference
    if context.json:
        fields = {
            "run_id": run_id,
            "account": done.account,
            "retracted_at": done.retracted_at,
            "intervals_new": len(difference.missing),
            "intervals_gone": len(difference.surplus),
            "intervals_with_other_bounds": len(difference.unequal),
            "tracks_with_other_facts": done.tracks,
        }
        context.show_json(fields)
        return
    did = "is back in" if undo else "is out of"
    words = difference.words or "no interval changed"
    context.show(f"run {run_id} {did} the history of {done.account}: {words}; facts of {done.tracks:,} tracks changed")
    if not undo:
        context.say(f"`favsync runs retract {run_id} --undo` brings it back")
