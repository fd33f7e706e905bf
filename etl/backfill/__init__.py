"""Backfill: past snapshots from files, another database or its export, and a resumable read of the whole list.

Others use `import_files.import_paths` with its `ImportOptions` and `FileImportResult`, and `full_refresh.checkpointing` and
`full_refresh.full_refresh`. `page_checkpoint` reads and writes the table ``walk_pages``.
"""
