"""The scheduler service: when each account runs, and who runs it. Importing the package imports nothing.

For others: `schedule.parse`, `service.Service` with its records `FinishedRun` and `ServiceStatus`, `due_sync`, `systemd`,
and `queue`, which owns the rows of `schedules`.
Inside, `schedule` and `next_run` are pure, `leader` has the lock and `workers` the threads.
"""
