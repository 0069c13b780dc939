"""When answers changed for good."""

from __future__ import annotations

from nearcast.operations.lab.asking import Answer, above_since_s, changes, rises, settled_s

FAULT_S = 10.0


def settled(*told: tuple[float, str]) -> float:
    return settled_s([Answer(asked_s, asked_s + 0.01, what) for asked_s, what in told], FAULT_S, lambda what: what == "new")


def test_it_counts_from_the_fault_to_the_first_of_the_answers_that_stay() -> None:
    assert settled((9.9, "old"), (10.1, "old"), (10.2, "new"), (10.3, "old"), (10.5, "new"), (10.6, "new")) == 0.5


def test_what_goes_back_at_the_end_has_not_settled() -> None:
    assert settled((9.9, "old"), (10.1, "new"), (10.2, "old")) == float("inf")


def test_what_fitted_before_or_was_never_asked_proves_nothing() -> None:
    assert settled((9.9, "new"), (10.1, "new")) == float("inf")
    assert settled((10.1, "new")) == float("inf")
    assert settled((9.9, "old")) == float("inf")
    assert settled() == float("inf")


def test_a_question_under_way_when_the_fault_befell_proves_nothing() -> None:
    assert settled((9.8, "old"), (9.995, "new"), (10.25, "new")) == 0.25


def test_changes_are_counted_between_neighbours() -> None:
    assert changes([]) == changes(["a"]) == changes(["a", "a"]) == 0
    assert changes(["a", "b", "b", "a"]) == 2


def test_a_value_rises_again_once_it_was_low() -> None:
    assert rises([], 0.95, 0.88) == 0
    assert rises([0.9, 0.94], 0.95, 0.88) == 0
    assert rises([0.95, 0.9, 0.96, 0.88, 0.97], 0.95, 0.88) == 1
    assert rises([0.5, 0.96, 0.87, 0.9, 0.95, 0.1], 0.95, 0.88) == 2


def test_since_when_a_value_is_above() -> None:
    def since_s(*values: float) -> float:
        return above_since_s([Answer(float(at), float(at), each) for at, each in enumerate(values)], 0.95, 0.88)

    assert since_s() == since_s(0.94) == since_s(0.96, 0.87) == since_s(0.96, 0.87, 0.94) == float("inf")
    assert since_s(0.94, 0.95, 0.88, 0.96) == 1
    assert since_s(0.96, 0.87, 0.9, 0.97) == 3
