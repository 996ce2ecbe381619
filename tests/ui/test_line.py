"""The line before a worker: turns, who is served after whom, and what is remembered of whom."""

from __future__ import annotations

from dataclasses import dataclass

from ui.serve.line import REMEMBERED, Line


@dataclass(frozen=True)
class Item:
    owner: str
    name: str


def line_of(*names):
    """Jobs such as "a1": the first letter is who has asked."""
    line: Line[Item] = Line()
    for name in names:
        line.add(Item(name[0], name))
    return line


def served(line, seconds=None):
    found = []
    while len(line):
        item = line.pop()
        found.append(item.name)
        line.served(item, (seconds or {}).get(item.owner, 1.0))
    return found


def test_one_owner_has_a_plain_line():
    assert served(line_of("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_owners_take_turns_whoever_has_asked_for_much():
    line = line_of("a1", "a2", "a3", "a4", "b1", "c1", "b2")
    assert [item.name for item in line] == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    assert served(line) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_what_is_at_work_counts():
    line = line_of("a1", "a2")
    assert line.pop().name == "a1"
    line.add(Item("b", "b1"))
    assert [item.name for item in line] == ["b1", "a2"]


def test_turns_are_of_seconds_and_not_of_jobs():
    line = line_of("a1", "a2", *(f"b{i}" for i in range(8)))
    assert served(line, {"a": 4.0}).index("a2") == 5, "after four jobs of b have had as much time as a's first"


def test_what_somebody_did_not_use_before_is_not_saved_up():
    line = line_of(*(f"a{i}" for i in range(5)))
    served(line)
    for name in ("b1", "b2", "a8", "b3"):
        line.add(Item(name[0], name))
    order = served(line)
    assert order.index("b2") > order.index("a8") or order.index("b3") > order.index("a8")


def test_nobody_who_comes_late_overtakes_for_ever():
    """One job of each newcomer goes before the second of somebody who waits, never before the first."""
    line = line_of("a1", "a2")
    first = line.pop()
    line.served(first, 1.0)
    order = []
    for i in range(30):
        line.add(Item(f"new{i}", f"new{i}"))
        item = line.pop()
        line.served(item, 1.0)
        order.append(item.name)
    assert "a2" in order[:4]


def test_several_at_work_are_charged_each_its_own_seconds():
    line = line_of("a1", "a2", "b1", "b2")
    a1, b1 = line.pop(), line.pop()
    assert (a1.name, b1.name) == ("a1", "b1")
    line.served(b1, 2.0)  # began last and ends first
    line.served(a1, 30.0)
    assert {owner: round(until) for owner, until in line._until.items()} == {"a": 30, "b": 2}
    for name in ("b3", "b4"):
        line.add(Item(name[0], name))
    assert served(line)[-1] == "a2"


def test_what_is_not_wanted_any_more_costs_no_turn():
    line = line_of("a1", "a2", "b1")
    line.remove(next(iter(line)))
    assert served(line) == ["a2", "b1"]
    assert line.clear() == []


def test_owners_are_forgotten_in_the_end():
    line = line_of("a1")
    for i in range(REMEMBERED + 10):
        line.add(Item(f"owner {i}", f"owner {i}"))
        line.remove(list(line)[-1])
    assert len(line._until) <= REMEMBERED + 2 and "a" in line._until, "whoever waits is not"
