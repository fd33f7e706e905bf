"""A Singer tap piped into target-postgres, as Meltano runs them. With a second argument ``rows``: a table for the markets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Copy the list."""
    url, shape = sys.argv[1], sys.argv[2]
    tools = Path(sys.executable).parent
    settings = Path(os.environ["WORK_FOLDER"]) / "target.json"
    settings.write_text(
        json.dumps(
            {
                "sqlalchemy_url": url.replace("postgresql://", "postgresql+psycopg://"),
                "default_target_schema": "favourites",
                "hard_delete": False,
                "activate_version": False,
            }
        )
    )
    environment = os.environ | {"STREAMS": shape, "SINGER_SDK_LOG_LEVEL": "WARNING", "LOGLEVEL": "WARNING"}
    tap = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("singer_tap.py"))], stdout=subprocess.PIPE, env=environment
    )
    target = subprocess.run(
        [tools / "target-postgres", "--config", settings],
        stdin=tap.stdout,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return tap.wait() or target.returncode


if __name__ == "__main__":
    sys.exit(main())
