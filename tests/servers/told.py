"""An MCP server on standard streams that lists what a file says, at each listing anew. Usage: told.py FOLDER

`FOLDER/tools.json` has its tools; a call is written down in `FOLDER/calls`, and answers what
`FOLDER/answer.json` says, or its arguments. `FOLDER/before-call` is waited for, if there is a `FOLDER/hold`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
ABOUT = {"capabilities": {"tools": {}}, "serverInfo": {"name": "told", "version": "1"}}


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def called(params: dict[str, Any]) -> dict[str, Any]:
    with (FOLDER / "calls").open("a") as calls:
        calls.write(json.dumps([params["name"], params.get("arguments", {})]) + "\n")
    while (FOLDER / "hold").exists():
        time.sleep(0.01)
    if (FOLDER / "answer.json").exists():
        return dict(read("answer.json"))
    return {"content": [{"type": "text", "text": json.dumps(params.get("arguments", {}), sort_keys=True)}]}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], **ABOUT}
    if method == "tools/list":
        return {"tools": read("tools.json")}
    return called(params) if method == "tools/call" else None


for line in sys.stdin:
    heard = json.loads(line)
    if "id" not in heard or "method" not in heard:
        continue
    found = answer(heard["method"], heard.get("params") or {})
    said = {"error": {"code": -32601, "message": "no such method"}} if found is None else {"result": found}
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": heard["id"], **said}) + "\n")
    sys.stdout.flush()
