from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nearcast.delivery.fill.stock import Stock, name_of
from nearcast.model.fill import FillItem
from nearcast.model.rendition import File

ITEMS = [FillItem(title_id=f"t_{each % 3}", file=File(root=f"{each:064x}", extension="mp4", size_bytes=each + 1)) for each in range(8)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.lists(st.sampled_from(ITEMS), unique=True)),
        st.tuples(st.just("placed"), st.sampled_from(ITEMS)),
        st.tuples(st.just("gone"), st.sampled_from(ITEMS)),
    )
)


@given(st.lists(st.sampled_from(ITEMS), unique=True), STEPS)
def test_totals_are_what_counting_anew_gives(first: list[FillItem], steps: list[tuple[str, object]]) -> None:
    stock = Stock({name_of(each): each.file.size_bytes for each in first})
    held, assigned = set(first), None
    for what, which in steps:
        before, revision = dict(stock.holdings), stock.revision
        if what == "assign":
            assert isinstance(which, list)
            assigned = which
            stock.assign(which)
        elif what == "placed":
            assert isinstance(which, FillItem)
            held.add(which)
            stock.placed(which)
        else:
            assert isinstance(which, FillItem)
            held.discard(which)
            stock.gone(name_of(which))
        assert before == stock.holdings or stock.revision > revision
        assert stock.held_bytes == sum(each.file.size_bytes for each in held)
        assert stock.holdings == {
            title: size for title in ("t_0", "t_1", "t_2") if (size := sum(each.file.size_bytes for each in held if each.title_id == title))
        }
        if assigned is not None:
            assert set(stock.missing.values()) == set(assigned) - held
            assert stock.missing_bytes == sum(each.file.size_bytes for each in set(assigned) - held)
            assert set(stock.surplus()) == {name_of(each) for each in held - set(assigned)}


def test_missing_is_in_order_and_what_was_lost_comes_first() -> None:
    stock = Stock({name_of(ITEMS[2]): 3})
    assert stock.surplus() == [], "nothing is known of what is to be held"
    stock.assign(ITEMS[:4])
    assert list(stock.missing.values()) == [ITEMS[0], ITEMS[1], ITEMS[3]]
    stock.gone(name_of(ITEMS[2]))
    assert next(iter(stock.missing.values())) == ITEMS[2]


def test_a_file_of_another_length_is_not_held() -> None:
    stock = Stock({name_of(ITEMS[2]): 99})
    stock.assign([ITEMS[2]])
    assert list(stock.missing.values()) == [ITEMS[2]]
    stock.placed(ITEMS[2])
    assert (stock.held_bytes, stock.holdings) == (3, {"t_2": 3})
