"""What a process that dies in a call leaves, forgotten: deaths at calls have to see it."""

from .form import core, plugin

__all__ = ["DEATHS"]

DEATHS = (
    core(
        "forget that what a process was about when it died may have been written, seen by deaths at calls",
        "store/_rules/returning.py",
        "    maybe_applied = max(maybe_applied, :maybe_applied)\n",
        "    maybe_applied = maybe_applied\n",
        "tests/test_crash_points.py::test_a_death_at_any_call_loses_and_doubles_nobody[Ledger]",
    ),
    plugin(
        "klaviyo",
        "note what is in a job once it was posted, seen by deaths at calls",
        "jobs.py",
        "        self._state.put({name: intent})\n        try:\n",
        "        try:\n",
        "tests/test_crash_points.py::test_a_death_while_some_are_handed_over_in_a_job_loses_and_doubles_nobody"
        "[call, leaves-importing]",
    ),
    plugin(
        "salesforce",
        "note what is in a job once it began, seen by deaths at calls",
        "jobs.py",
        """        state.put({_INTENT + job: intent, _BEGUN + job: self._context.clock.now().isoformat()})
        try:
            self._client.job_upload(job, part.file)
            self._begin(job)
""",
        """        try:
            self._client.job_upload(job, part.file)
            self._begin(job)
            state.put({_INTENT + job: intent, _BEGUN + job: self._context.clock.now().isoformat()})
""",
        "tests/test_crash_points.py::test_a_death_while_some_are_handed_over_in_a_job_loses_and_doubles_nobody"
        "[call, leaves-crm]",
    ),
)
