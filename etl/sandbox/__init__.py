"""A stand-in for the Boomplay API, for favsync's demo, tests and benchmarks. See ``docs/sandbox.md``.

It is modelled on the public documentation alone; nothing was recorded from the service. It imports none of favsync's own
code that reads that API, so that a misunderstanding there is not repeated here. Others use the names below.
"""

from etl.sandbox import faults as faults
from etl.sandbox.distortions import Distortion as Distortion
from etl.sandbox.faults import FAULTS as FAULTS
from etl.sandbox.faults import Fault as Fault
from etl.sandbox.malformed import MALFORMED_ROWS as MALFORMED_ROWS
from etl.sandbox.messages import SandboxReply as SandboxReply
from etl.sandbox.messages import SandboxRequest as SandboxRequest
from etl.sandbox.sandbox import Sandbox as Sandbox
from etl.sandbox.scenarios import SCENARIOS as SCENARIOS
from etl.sandbox.scenarios import WRONG_SERVICES as WRONG_SERVICES
from etl.sandbox.state import SandboxUser as SandboxUser
from etl.sandbox.state import ScriptedChange as ScriptedChange
from etl.sandbox.switches import POSITIONS as POSITIONS
from etl.sandbox.switches import Switches as Switches
from etl.sandbox.world import RequestRecord as RequestRecord
