"""What ``hwgen cost --json`` and ``hwgen compare --json`` print, as JSON Schema (draft 2020-12).

``python -m cost_models.json_schemas`` writes them to docs/. Both are made of what the code has of
units, targets and resources: a new unit needs no entry.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yosys_scripts
from cost_models.model import AREA
from cost_models.query import MEASURED, PREDICTED, RESOURCES
from hwgen.arguments import Parser, parsed, run_module
from hwgen.fields import require_choice
from hwgen.files import write_text
from hwgen.spec import UNITS
from hwgen.spec.base import spec_fields

Schema = dict[str, Any]
FOLDER = Path("docs")
DRAFT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
AMOUNT: Schema = {"type": "number", "minimum": 0}
AMOUNT_OR_NULL: Schema = {"type": ["number", "null"], "minimum": 0}
SOURCE: Schema = {"enum": [MEASURED, PREDICTED]}


def json_schema(command: str) -> Schema:
    """The schema of what a command prints with ``--json``: ``"cost"`` or ``"compare"``."""
    require_choice("command", command, tuple(SCHEMAS))
    return SCHEMAS[command]()


def _object(properties: Schema, optional: Sequence[str] = (), **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        **more,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _target() -> Schema:
    return {"enum": list(yosys_scripts.TARGETS)}


def _quantity() -> Schema:
    parts = {"value": AMOUNT_OR_NULL, "low": AMOUNT_OR_NULL, "high": AMOUNT_OR_NULL}
    about = "A count, or MHz; low = high = value where it is measured, null where it is not known."
    return _object({**parts, "source": SOURCE}, description=about)


def _energy() -> Schema:
    from cost_models.energy_query import Energy  # And its operands.

    kinds: dict[str, Schema] = {
        **{"float": AMOUNT, "str": TEXT, "str | None": TEXT_OR_NULL},
        "dict[str, str]": {"type": "object", "additionalProperties": TEXT},
        "dict[str, float]": {"type": "object", "additionalProperties": AMOUNT},
    }
    return _object({f.name: kinds[str(f.type)] for f in dataclasses.fields(Energy)})


def _device() -> Schema:
    return _object(
        {
            "name": TEXT,
            "target": _target(),
            "capacity": _object(dict.fromkeys(AREA, COUNT)),
            "utilisation_percent": _object(dict.fromkeys(AREA, AMOUNT_OR_NULL)),
            "copies": COUNT,
            "does_not_fit": TEXT_OR_NULL,
            "may_not_fit": TEXT_OR_NULL,
        }
    )


def _cost() -> Schema:
    """The spec's fields, the target and the figures, in one object."""
    names = dict.fromkeys(f.name for kind in UNITS.values() for f in spec_fields(kind))
    fields: Schema = {n: {"type": ["string", "integer", "boolean", "null"]} for n in names}
    answer = {
        **{name: {"$ref": "#/$defs/quantity"} for name in RESOURCES},
        **{"basis": TEXT, "does_not_fit": TEXT_OR_NULL},
    }
    further = {"energy_pj": _energy(), "energy_ratio": _energy(), "device": _device()}
    properties = {
        "unit": {"enum": list(UNITS)},
        **fields,
        "target": _target(),
        **answer,
        **further,
    }
    return {
        "$schema": DRAFT,
        "title": "hwgen cost --json",
        **_object(properties, optional=(*names, *further)),
        "$defs": {"quantity": _quantity()},
    }


def _compare() -> Schema:
    """A list of flat rows."""
    figures: Schema = {}
    for name in RESOURCES:
        for end in ("", "_low", "_high", "_ratio"):
            figures[f"{name}{end}"] = AMOUNT_OR_NULL
    row = {
        **{"name": TEXT, "target": _target(), "source": SOURCE},
        **figures,
        "does_not_fit": TEXT_OR_NULL,
    }
    return {
        "$schema": DRAFT,
        "title": "hwgen compare --json",
        "type": "array",
        "minItems": 1,
        "items": _object(row),
    }


SCHEMAS: dict[str, Callable[[], Schema]] = {"cost": _cost, "compare": _compare}


def text(command: str) -> str:
    """The schema as the file in docs/ has it."""
    return json.dumps(json_schema(command), indent=1) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Writes the schemas to docs/; it has no options."""
    parsed(Parser(prog="python -m cost_models.json_schemas", description=main.__doc__), arguments)
    for command in SCHEMAS:
        write_text(FOLDER / f"{command}.schema.json", text(command))


if __name__ == "__main__":
    sys.exit(run_module(main))
