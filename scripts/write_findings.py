"""Write docs/findings.md from the declarations in the code; ``--check`` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from irplan.catalogue import finding_codes

TARGET = Path(__file__).resolve().parents[1] / "docs" / "findings.md"
HEAD = """# Findings

Made by `scripts/write_findings.py` from the declarations in the code. `info` is to be known;
`warn` travels with every number and is acknowledged at signing; `stop` forbids the signature,
the plan, or an entry in the record. A stop marked *by reason* is lifted by
`--accept CODE="reason"` and stays in the plan or entry with the reason. Words in braces are
filled in when the finding is raised.
"""


def page() -> str:
    """The page as it should be."""
    lines = [HEAD]
    stage = ""
    for code in finding_codes():
        if code["stage"] != stage:
            stage = code["stage"]
            lines += [f"\n## {stage}\n", "| code | severity | forbids | lifted | says |"]
            lines.append("|---|---|---|---|---|")
        lifted = (
            "by reason"
            if code["overridable"]
            else ("never" if code["forbids"] != "nothing" else "")
        )
        forbids = "" if code["forbids"] == "nothing" else code["forbids"]
        meaning = code["meaning"].replace("|", "\\|")
        lines.append(
            f"| `{code['code']}` | {code['severity']} | {forbids} | {lifted} | {meaning} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text(encoding="utf-8") == page() else "docs/findings.md is stale")
    TARGET.write_text(page(), encoding="utf-8")
