"""The decision: plain pycasbin against the snapshot, warm and first of its kind, at 10 to 10,000 rules.

    python -m benchmarks.decision

Medians of thread CPU, so that other programs on the machine count little; compare ratios between machines.
`plain` is pycasbin's own Enforcer with the same model and rows. `first` is the first question of its kind,
`warm` the same again, `condition` a warm one whose arguments are looked at each time. Agents, roles and tools
grow with the rules, as in a house that grows; `near` is how many rows are for a question's agent and tool.
"""

import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import thread_time_ns

import casbin
from casbin.model import Model

from benchmarks.table import Row
from pratique.capabilities.policy import MODEL, Access, Policy, covers, live, tool_match
from pratique.capabilities.policy import _Rows as Rows
from pratique.capabilities.snapshot import Snapshot

SIZES = (10, 100, 1_000, 10_000)
QUESTIONS = 2_000
NOW_US = 1_767_225_600_000_000
ARGUMENTS = {"amount": 20, "currency": "EUR"}

WARM_BUDGET_US, FIRST_BUDGET_US = 1.0, 15.0


def policy_text(rules: int) -> str:
    """Return a policy with so many rules: a few for everyone, half for roles, half for single agents."""
    agents, roles, namespaces = _house(rules)
    lines = ['[groups]\nleads = ["li@acme.example"]\n[constraints]']
    lines.append("small = \"amount <= 50 and currency == 'EUR'\"")
    lines += [
        f'[agents.a{agent}]\nowner = "o@acme.example"\nroles = ["r{agent % roles}"]'
        for agent in range(agents)
    ]
    lines += [_rule(number, agents, roles, namespaces) for number in range(rules)]
    return "\n".join(lines)


def _house(rules: int) -> tuple[int, int, int]:
    """Return how many agents, roles and namespaces of tools there are."""
    return max(5, rules // 10), max(5, rules // 50), max(5, rules // 25)


def _rule(number: int, agents: int, roles: int, namespaces: int) -> str:
    to = "*" if number < 2 else f"r{number % roles}" if number % 2 else f"a{number // 2 % agents}"
    tools = f'["n{number // 7 % namespaces}.*", "n{number // 3 % namespaces}.do{number}"]'
    kind, more = [
        ("allow", 'tier = "write"\ntaint = "sink"'),
        ("allow", 'tier = "write"\nwhen = "small"'),
        ("allow", 'tier = "irreversible"'),
        ("ask", 'tier = "write"\napprovers = "leads"'),
        ("deny", 'tier = "irreversible"\ntaint = "argument"'),
    ][number % 5]
    return f'[[{kind}]]\nid = "rule-{number}"\nto = "{to}"\ntools = {tools}\n{more}'


def questions(rules: int) -> list[Access]:
    """Return different questions, each of an agent and a tool that some rule is about."""
    agents, roles, namespaces = _house(rules)
    tiers = ("read", "egress", "write", "irreversible")
    found = []
    for number in range(QUESTIONS):
        rule = number * 37 % rules
        agent = rule % roles if rule % 2 else rule // 2 % agents
        tool = f"n{rule // 7 % namespaces}.do{number}"
        taint = "none" if number % 3 else "context"
        found.append(Access(f"a{agent}", "default", tool, tiers[number % len(tiers)], "internal", taint))
    return found


def plain(policy: Policy) -> casbin.Enforcer:
    """Return pycasbin as it comes, with the rows that permit or deny."""
    model = Model()
    model.load_model_from_text(MODEL)
    rows = tuple(row for row in policy.rows if row.kind != "ask")
    enforcer = casbin.Enforcer(model, Rows(rows, policy.links))
    enforcer.add_function("toolMatch", tool_match)
    enforcer.add_function("covers", covers)
    enforcer.add_function("live", lambda now, nbf, exp: live(now, int(nbf), int(exp)))
    enforcer.add_function("cond", policy.condition_holds)
    return enforcer


def microseconds(ask: Callable[[Access], object], asked: Sequence[Access], batch: int) -> float:
    """Return the median over batches of the CPU time of one question."""
    found = []
    for start in range(0, len(asked) - batch + 1, batch):
        these = asked[start : start + batch]
        began = thread_time_ns()
        for access in these:
            ask(access)
        found.append((thread_time_ns() - began) / batch / 1000)
    return median(found)


def measure(rules: int) -> dict[str, float]:
    """Return the medians for one size."""
    began = thread_time_ns()
    policy = Policy(policy_text(rules))
    snapshot = Snapshot(policy, 1)
    loaded = (thread_time_ns() - began) / 1e9
    asked = questions(rules)
    enforcer = plain(policy)

    def fast(access: Access) -> object:
        return snapshot.decide(access, lambda: ARGUMENTS, NOW_US)

    def slow(access: Access) -> object:
        return enforcer.enforce(*access, NOW_US, ARGUMENTS)

    near = sum(sum(1 for _ in snapshot.candidates(access)) for access in asked) / len(asked)
    slow(asked[0])
    gc.collect()
    gc.disable()
    first = microseconds(fast, asked, 50)
    closed = [access for access in asked if not any(row.cond for row in snapshot.coarse_rows(access))]
    opened = [access for access in asked if any(row.cond for row in snapshot.coarse_rows(access))]
    warm = microseconds(fast, closed * 10, 200)
    condition = microseconds(fast, (opened * 2000)[:2000], 200) if opened else float("nan")
    reference = microseconds(slow, asked[: max(6, 20_000 // rules)], 2)
    gc.enable()
    return {
        "plain": reference,
        "first": first,
        "warm": warm,
        "condition": condition,
        "near": near,
        "load": loaded,
    }


def rows(*, quick: bool = False) -> list[Row]:
    """Measure, and return the table's rows."""
    found = []
    for rules in SIZES[:-1] if quick else SIZES:
        of = measure(rules)
        plain, about = of["plain"], f"{rules:,} rules, plain pycasbin {of['plain']:,.0f} µs"
        for what, cost, budget in (
            ("first of its kind", of["first"], FIRST_BUDGET_US),
            ("warm", of["warm"], WARM_BUDGET_US),
            ("warm, with a condition", of["condition"], None),
        ):
            found.append(
                Row(
                    f"decision, {what}",
                    f"{about}, {plain / cost:,.0f} times as long",
                    f"{cost:.2f} µs",
                    "" if budget is None else f"{budget:g} µs",
                    None if budget is None else cost <= budget,
                )
            )
    return found


def main() -> None:
    """Print the table."""
    head = ("rules", "plain", "first", "warm", "condition", "near", "plain/first", "plain/warm", "load s")
    print(("{:>12}" * len(head)).format(*head))
    for rules in SIZES:
        found = measure(rules)
        ratios = found["plain"] / found["first"], found["plain"] / found["warm"]
        print(
            f"{rules:>12,}{found['plain']:>12,.0f}{found['first']:>12.1f}{found['warm']:>12.2f}"
            f"{found['condition']:>12.2f}{found['near']:>12.1f}{ratios[0]:>11,.0f}x{ratios[1]:>11,.0f}x{found['load']:>12.2f}"
        )
    print(f"\nbudget: first at most {FIRST_BUDGET_US:g} µs, warm at most {WARM_BUDGET_US:g} µs; times in µs")


if __name__ == "__main__":
    main()
