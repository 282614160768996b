"""Records every stack of one checkout and reads its GitOps tree, with the code of that checkout.

Run by :mod:`ladder.changes.sides` as a file, in an isolated interpreter: ``one_side.py ROOT OUT``. Nothing of another
checkout may be imported, so it knows the project's command line (``ladder record STACK --format json``) and, for the
tree, two functions; where a checkout has others, it says so. What it writes to OUT is one JSON object:
``{"stacks": {name: {"recording": …} or {"problem": …}}, "tree": {"services": …} or {"problem": …}}``.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

_NO_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")


def _refuse_network(event: str, _: tuple[Any, ...]) -> None:
    if event in _NO_NETWORK:
        raise ConnectionRefusedError("a recording has no network")


def main(root: Path, out: Path) -> None:
    """Write what the checkout at ``root`` declares."""
    sys.addaudithook(_refuse_network)
    sys.path.insert(0, str(root))
    names = sorted(path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml") if path.name.count(".") == 2)
    stacks = {name: _stack(name, root / "ladder" / "cli.py") for name in names}
    out.write_text(json.dumps({"stacks": stacks, "tree": _tree(root)}), encoding="utf-8")


def _stack(name: str, own: Path) -> dict[str, Any]:
    said, complained = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            from ladder import cli

            if own.is_file() and not own.samefile(cli.__file__):
                return {"problem": "its own code is not what Python imports"}
            cli.main(["record", "--format", "json", "--", name])
        except SystemExit as error:
            code = error.code
        except Exception as error:  # noqa: BLE001 - another commit's code may fail in any way
            return {"problem": f"its recorder fails: {type(error).__name__}: {error}"}
    if code:
        problem = _document(complained.getvalue())
        return {"problem": problem["error"] if problem and "error" in problem else complained.getvalue()}
    recording = _document(said.getvalue())
    return {"problem": "its recorder writes no JSON object"} if recording is None else {"recording": recording}


def _document(said: str) -> dict[str, Any] | None:
    """The JSON object that was said last: it begins at the last line that is a brace and nothing else."""
    begins = said.rfind("\n{\n") + 1
    try:
        return json.loads(said[begins:])
    except (ValueError, RecursionError):
        return None


def _tree(root: Path) -> dict[str, Any]:
    try:
        from ladder.contract import ladder_settings
        from ladder.tree import read_tree
    except ImportError as error:
        return {"problem": f"its code cannot read the GitOps tree: {error}"}
    try:
        paths = {settings.delivery.path for settings in ladder_settings(root).values()}
        present = [path for path in sorted(paths) if (root / path).is_dir()]
        services = [service for path in present for service in read_tree(root, path).services()]
        return {"services": {f"{each.environment}/{each.name}": _service(each) for each in services}}
    except Exception as error:  # noqa: BLE001 - as above
        return {"problem": str(error)}


def _service(service: Any) -> dict[str, Any]:
    return {
        part: model.model_dump(mode="json", by_alias=True)
        for part, model in (("values", service.overlay), ("version", service.version))
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
