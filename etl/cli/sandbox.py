"""``favsync sandbox``: a fake Boomplay API in the foreground."""

from __future__ import annotations

import re
import shlex
import textwrap
from typing import Any

import click

from etl.cli.commands import unknown, verb
from etl.cli.context import Context
from etl.cli.signals import stop_event
from etl.errors import UsageError
from etl.sandbox import SCENARIOS, Sandbox, Switches

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,30}")
_SCENARIO_LINES = "\n".join(
    textwrap.fill(what, 78, initial_indent=f"  {name:<17} ", subsequent_indent=" " * 20)
    for name, what in SCENARIOS.items()
)


@verb("sandbox", epilog=f"\b\nScenarios:\n{_SCENARIO_LINES}")
@click.option(
    "--host",
    type=click.Choice(["127.0.0.1"]),
    default="127.0.0.1",
    help="Address to listen on; only this machine can connect.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Port to listen on; 0 chooses a free one.")
@click.option("--tracks", type=click.IntRange(0, 1_000_000), default=200, help="Number of favourites in the list.")
@click.option(
    "--user", "users", metavar="NAME", multiple=True, help="A user with such a list; repeatable.  [default: ada]"
)
@click.option("--seed", type=int, default=1, help="The same seed produces the same list and faults.")
@click.option("--scenario", metavar="NAME", default="quiet", help="The faults of the service; see below.")
@click.option("--latency-ms", type=click.IntRange(0, 60_000), default=0, help="Delay before each response.")
def sandbox(context: Context, /, **asked: Any) -> None:
    """Run a fake Boomplay API on this machine, until Ctrl-C.

    It has favourites, tokens and, with --scenario, the faults of a real service. The list can be changed while it runs. It
    prints shell commands that make favsync use it: paste them into another terminal. With several users, each token is in a
    variable of its own.
    """
    scenario, users = asked["scenario"], asked["users"] or ("ada",)
    if scenario not in SCENARIOS:
        raise unknown("scenario", scenario, SCENARIOS, remedy="`favsync sandbox --help` lists the scenarios")
    if wrong := [name for name in users if not _NAME.fullmatch(name)]:
        raise UsageError(
            f"{wrong[0]!r} cannot be a user name here", remedy="use letters and digits, beginning with a letter"
        )
    switches = Switches(latency_seconds=asked["latency_ms"] / 1000)
    service = Sandbox(tracks=asked["tracks"], seed=asked["seed"], switches=switches, users=tuple(dict.fromkeys(users)))
    service.play(scenario)
    try:
        service.start(asked["port"])
    except OSError as error:
        fault = f"the sandbox cannot listen on {asked['host']}:{asked['port']}: {error.strerror}"
        raise UsageError(fault, remedy="choose another --port, or omit it for a free one") from error
    with stop_event() as stop, service:
        _announce(context, service)
        stop.wait()


def _announce(context: Context, running: Sandbox) -> None:
    variables, scenario = _variables(running), running.scenario_name
    control = f"{running.url}/_sandbox/"
    context.say(f"scenario {scenario}: {SCENARIOS[scenario]}")
    context.say(f"view and change the list at {control}; Ctrl-C stops the sandbox")
    if context.json:
        context.show_json({"url": running.url, "control": control, "scenario": scenario, "environment": variables})
    else:
        context.show("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))


def _variables(running: Sandbox) -> dict[str, str]:
    user, *others = running.users.values()
    more = {f"TOKEN_OF_{each.name.upper()}": each.access_token for each in (user, *others) if others}
    return more | {
        "BOOMPLAY_API_URL": running.url,
        "BOOMPLAY_APP_ID": running.app_id,
        "BOOMPLAY_APP_SECRET": running.app_secret,
        "BOOMPLAY_ACCESS_TOKEN": user.access_token,
    }
