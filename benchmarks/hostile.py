"""A daemon among hostile targets and strangers, for ten minutes: webhooks taken, memory flat, SIGTERM within 25 s.

uv run python benchmarks/hostile.py [SECONDS]
"""

import os
import subprocess
import sys
from pathlib import Path

TEST = Path(__file__).parents[1] / "core/tests/daemon/test_daemon_hostile.py"

if __name__ == "__main__":
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", str(TEST)]
    sys.exit(subprocess.run(command, env=os.environ | {"SYNCCORE_HOSTILE_SECONDS": seconds}, check=False).returncode)  # noqa: S603
