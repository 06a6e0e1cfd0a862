"""What a membership says of its plan and its product, by each way it is learnt."""

import pytest


@pytest.mark.parametrize("way", ["webhook", "listing"])
@pytest.mark.parametrize("kind", ["simple", "variation"])
def test_a_members_plan_and_product_are_named_from_the_first_word_on(listening, ears, client, way, kind):
    """Neither stands in the member's record, and a variation is in no list of products."""
    if way == "listing":
        listening.hooks.all.clear()
    ada = listening.add_customer("ada@shop.test")
    year = listening.add_product("Club &amp; friends, a year", kind)
    # Made while running: no sweep has seen it yet.
    member = listening.add_member(ada, listening.add_plan("Gold", "gold", [year]), product_id=year)
    listening.run_queue()
    heard = [*ears.take(), *(client.all("membership") if way == "listing" else ())]
    [told] = [c for c in heard if c.entity == "membership" and c.key == str(member)]
    assert (told.data.product_name, told.data.plan_slug) == ("Club & friends, a year", "gold")
