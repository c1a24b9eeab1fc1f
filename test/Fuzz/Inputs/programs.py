"""programs.py FOLDER SEEDS: the JSON of every program in FOLDER, its stored tensors being the one that is there."""

import json
import pathlib
import sys

folder, seeds = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(folder / "Inputs"))
import pt2  # noqa: E402

for path in sorted(folder.glob("*.pt2text")) + sorted(folder.glob("malformed/Inputs/*.txt")):
    model = pt2.Parser().parse(path.read_text()).model()
    for spec in model["graph_module"]["signature"]["input_specs"]:
        for kind, value in spec.items():
            if kind != "user_input":
                value[kind + "_name"] = "w"
    (seeds / (path.name + ".json")).write_text(json.dumps(model))
