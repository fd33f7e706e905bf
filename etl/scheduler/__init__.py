"""The unattended service: which account is synced when, and by whom. Sole owner of APScheduler. Imports nothing.

`times` reads schedules and `turns` says when an account's next turn is (both pure); `service` picks who is due from the database
and syncs them, a few at a time; `leader` sees to it that one scheduler at a time does; `heartbeat` is APScheduler, with one job.
"""
