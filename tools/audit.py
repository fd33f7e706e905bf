"""Checks the locked packages for known vulnerabilities with pip-audit.

A finding fails (exit 1). If the service cannot be reached, or knows none of the packages, the exit code is 0 and the message says
that nothing was checked: pip-audit itself reports "no known vulnerabilities" for packages that it could not look up.
"""

from __future__ import annotations

import json
import subprocess  # nosec B404
import sys
from collections.abc import Sequence
from typing import Any

TIMEOUT_SECONDS = 180
UNREACHABLE = ("ConnectionError", "ConnectionResetError", "ServiceError", "Timeout", "ProxyError", "SSLError")


def verdict(report: dict[str, Any]) -> tuple[int, str]:
    """Return exit code and message for a report of pip-audit."""
    packages = report["dependencies"]
    checked = [package for package in packages if "vulns" in package]
    unknown = len(packages) - len(checked)
    findings = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in checked
        for vulnerability in package["vulns"]
    ]
    if findings:
        return 1, "\n".join(["audit: FOUND known vulnerabilities", *findings, "`make upgrade` locks newer versions"])
    if not checked:
        return 0, f"audit: NOT DONE, the vulnerability service answered for none of {unknown} packages"
    if unknown:
        return 0, f"audit: nothing known against {len(checked)} packages, {unknown} could not be looked up"
    return 0, f"audit: nothing known against any of {len(packages)} packages"


def failure(stderr: str) -> tuple[int, str]:
    """Return exit code and message if pip-audit printed no report."""
    if any(name in stderr for name in UNREACHABLE):
        return 0, "audit: NOT DONE, the vulnerability service cannot be reached from here"
    return 1, f"audit: pip-audit itself failed\n{stderr}"


def audit(files: Sequence[str]) -> tuple[int, str]:
    """Run pip-audit on the requirement ``files``. Returns exit code and message."""
    named = [argument for file in files for argument in ("-r", file)]
    options = ["--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
    command = [sys.executable, "-m", "pip_audit", *options, *named]
    try:  # a fixed command, no shell
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)  # nosec B603
    except subprocess.TimeoutExpired:
        return failure("Timeout")
    return verdict(json.loads(done.stdout)) if done.stdout.startswith("{") else failure(done.stderr)


if __name__ == "__main__":
    exit_code, message = audit(sys.argv[1:])
    print(message)
    sys.exit(exit_code)
