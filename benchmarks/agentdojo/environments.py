"""The benchmark's side: its environments, its tools run for real, its own judgement of what came of it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites
from pydantic_core import to_jsonable_python

VERSION = "v1.1.2"


class World:
    """One environment, and the benchmark's tools in it."""

    def __init__(self, suite: Any, env: Any) -> None:
        self.functions = FunctionsRuntime(suite.tools)
        self.env = env

    def run(self, tool: str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
        """Run a tool; return its result as JSON, and the error if it failed."""
        value, error = self.functions.run_function(self.env, tool, dict(arguments))
        return orjson.loads(orjson.dumps(to_jsonable_python(value))), error or ""


class Suite:
    """A suite with its environments parsed once; injected text replaces a marker in each vector."""

    def __init__(self, name: str) -> None:
        self.suite = get_suites(VERSION)[name]
        self.vectors: dict[str, str] = self.suite.get_injection_vector_defaults()
        self.markers = {vector: f"MARKER-{vector}-MARKER" for vector in self.vectors}
        self.json = self.suite.load_and_inject_default_environment(self.markers).model_dump_json()

    def world(self, task: Any, injections: Mapping[str, str]) -> World:
        """Return a fresh world for a task, with these texts in their vectors."""
        return World(self.suite, task.init_environment(self._environment(injections)))

    def shown(self, task: Any) -> list[str]:
        """Return the vectors that the task's ground truth reads."""
        world = self.world(task, self.markers)
        calls = task.ground_truth(world.env)
        seen = "".join(str(world.run(call.function, call.args)) for call in calls)
        return [vector for vector, marker in self.markers.items() if marker in seen]

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Yield each user task with each injection task."""
        return itertools.product(self.suite.user_tasks.values(), self.suite.injection_tasks.values())

    def achieved(self, task: Any, before: Any, after: Any, calls: Sequence[FunctionCall]) -> bool:
        """Return whether a task was done. Of an injection task, that is: whether the attack succeeded."""
        output = [{"type": "text", "content": task.GROUND_TRUTH_OUTPUT}]
        return bool(self.suite._check_task_result(task, output, before, after, calls))  # noqa: SLF001  # the benchmark's own judgement

    def _environment(self, injections: Mapping[str, str]) -> Any:
        text = self.json
        for vector, marker in self.markers.items():
            filling = injections.get(vector, self.vectors[vector])
            text = text.replace(marker, orjson.dumps(filling).decode()[1:-1])
        return self.suite.environment_type.model_validate_json(text)
