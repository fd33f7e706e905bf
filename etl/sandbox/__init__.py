"""A stand-in for the Boomplay API, for favsync's demo, tests and benchmarks. See ``docs/sandbox.md``.

It is modelled on the public documentation alone; nothing was recorded from the service. It imports none of favsync's own
code that reads that API, so that a misunderstanding there is not repeated here. Others use the names below.
"""

from etl.sandbox import faults
from etl.sandbox.distortions import Distortion
from etl.sandbox.faults import FAULTS, Fault
from etl.sandbox.malformed import MALFORMED_ROWS
from etl.sandbox.messages import SandboxReply, SandboxRequest
from etl.sandbox.sandbox import Sandbox
from etl.sandbox.scenarios import SCENARIOS, WRONG_SERVICES
from etl.sandbox.state import SandboxUser, ScriptedChange
from etl.sandbox.switches import POSITIONS, Switches
from etl.sandbox.world import RequestRecord

__all__ = [
    "FAULTS",
    "MALFORMED_ROWS",
    "POSITIONS",
    "SCENARIOS",
    "WRONG_SERVICES",
    "Distortion",
    "Fault",
    "RequestRecord",
    "Sandbox",
    "SandboxReply",
    "SandboxRequest",
    "SandboxUser",
    "ScriptedChange",
    "Switches",
    "faults",
]
