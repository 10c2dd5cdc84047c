"""The wheel holds every package with its data, so that it works away from the checkout."""

import re
import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_wheel_has_all_packages_and_their_data(wheel):
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    inside = set(zipfile.ZipFile(wheel).namelist())
    packages = {Path(n).parent.name for n in listed if re.fullmatch(r"\w+/__init__\.py", n)}
    assert packages >= {"hwgen", "sim", "cost_models", "yosys_scripts", "optimizer"}
    wanted = {n for n in listed if Path(n).parts[0] in packages and (ROOT / n).is_file()}
    assert len(wanted) > 50
    assert wanted <= inside, sorted(wanted - inside)
    assert not any(name.startswith("tests") for name in inside)
