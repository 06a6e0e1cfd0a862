"""The dashboard: the browser's face of the verbs.

pages.py        put together: home, people, parked, activity, work, routes, instances, glossary, access
site.py         what all pages share: who may see them, forms, templates
view.py         status and trail in words; record_view.py a record, described.py a configuration, chart.py a day
connecting.py   OAuth through the dashboard
"""
