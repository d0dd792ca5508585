"""Files held against the schemas that others publish, copies of which come with check-jsonschema."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.programs import need
from support.running import run_program


def held_against(schema: str, path: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Hold a file against a schema, like `vendor.github-actions`; 0 is the status where it is valid."""
    return run_program([need("check-jsonschema"), "--builtin-schema", schema, str(path)], env=environment)
