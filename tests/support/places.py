"""Where things are in a checkout."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
PAYLOADS = TESTS / "support" / "recorded"
"""The recorded answers, one a file."""
GUARD = TESTS / "support" / "guard"
"""What keeps processes under test away from other hosts."""
