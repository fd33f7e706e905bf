"""Workers: many processes on many machines that sync the due accounts of one PostgreSQL database. Needs the extra `worker`.

The calendar is ours (`etl.scheduler.queue`), the queue is Procrastinate's, which no other package imports. For others:
`service.Worker` and `engine_tables`. Importing the package imports nothing.
"""
