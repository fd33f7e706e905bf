"""A stand-in Boomplay API, shipped with favsync: for its demo, its tests and its benchmarks.

Modelled on the public documentation alone; nothing was recorded from the service. It imports nothing of
favsync's own reading of that API, so that a misunderstanding there is not repeated here. See ``docs/sandbox.md``.

From the door inwards: `sandbox` and `running` (Python), `server` (sockets), `app` (routes), `control`, `oauth`, `lookups` and
`pages` (answers), `world` (state and decisions), then the parts: `catalogue`, `state`, `tokens`, `scenarios`, `switches`,
`faults`.
"""

from etl.sandbox import faults
from etl.sandbox.dirt import DIRT
from etl.sandbox.faults import FAULTS, Fault
from etl.sandbox.running import run
from etl.sandbox.sandbox import Sandbox
from etl.sandbox.scenarios import SCENARIOS
from etl.sandbox.state import SandboxUser, ScriptedChange
from etl.sandbox.switches import POSITIONS, Switches
from etl.sandbox.world import RequestRecord

__all__ = [
    "DIRT",
    "FAULTS",
    "POSITIONS",
    "SCENARIOS",
    "Fault",
    "RequestRecord",
    "Sandbox",
    "SandboxUser",
    "ScriptedChange",
    "Switches",
    "faults",
    "run",
]
