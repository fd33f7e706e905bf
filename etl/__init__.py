"""favsync copies a Boomplay user's favourite tracks into a relational database and keeps their history.

The main path is `etl.sync`: read the baseline, extract a snapshot, transform it into changes, load them.

    cli, scheduler    start runs: by hand, on a schedule
    worker            runs due accounts in many processes, from a job queue
    sync              one run of one account, from lock to result
    extract           Boomplay's list becomes one confirmed snapshot; runs no SQL
    transform         raw items become tracks, snapshots become history; pure
    load              writes one snapshot in the caller's transaction
    replay            recomputes the history: rebuild, import, review, retract, prune
    backfill          past exports, or a full refresh that can resume
    reporting         views, queries, exports, digests, the HTML report
    monitor           status, doctor, metrics, webhooks
    accounts          accounts and their tokens
    boomplay          client of Boomplay's API; the only package that uses httpx
    db                engine, tables, bulk statements, locks, migrations
    sandbox           a fake Boomplay API for the demo and the tests
    model             records that all packages share
    config, settings  settings and where they come from; setting_values parses them
    errors, logs, clock

Imports go one way; `docs/architecture.md` shows the order and the path of one item, `docs/glossary.md` the words.
"""

__version__ = "0.1.0"
