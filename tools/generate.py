"""Write what is rendered from the operator table: the engine's header and the tables of the SPEC."""

from __future__ import annotations

from ebnn.files import repo_root, write_atomic
from ebnn.ops import generated_files

for path, content in generated_files(repo_root()).items():
    write_atomic(path, content)
