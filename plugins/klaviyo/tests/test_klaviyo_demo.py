"""Klaviyo's part in `synccore demo`, and the hooks of the distribution."""

import synccore_klaviyo
from synccore.hookspecs import DemoInstance
from synccore_klaviyo.mapping.filters import FILTERS
from synccore_klaviyo.sink import SINK


def test_the_demo_brings_a_stand_in_and_routes_to_it():
    (vendor,) = synccore_klaviyo.synccore_demo()
    assert (vendor.role, vendor.name, vendor.type) == ("sink", "marketing", "klaviyo")
    demo: DemoInstance = vendor.start("http://127.0.0.1:1/hooks/shop")
    try:
        assert demo.config["api_url"].startswith("http://127.0.0.1:")
        assert demo.routes["marketing_profiles"]["entity"] == "customer"
        assert demo.counts() == {"profiles": 0, "events": 0}
        assert demo.approve("http://x/") == "http://x/"
    finally:
        demo.close()


def test_the_hooks_hand_over_what_there_is():
    assert list(synccore_klaviyo.synccore_sinks()) == [SINK]
    assert synccore_klaviyo.synccore_template_filters() is FILTERS
    assert all(name.startswith("klaviyo_") for name in FILTERS)


def test_nothing_is_loaded_before_it_is_asked_for():
    import subprocess
    import sys

    code = "import sys, synccore_klaviyo; print([m for m in sys.modules if m.startswith('synccore_klaviyo.')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
