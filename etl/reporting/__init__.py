"""Answers to questions about the history: views, reports, exports, digests, the HTML report.

For other packages: `views.views` and `create_views`, `query.run_query`, `render.render`, `export.write_relation`,
`digest.digest`, `html.write_report`, `year` and `year_text`, `digest_text`, `parquet`, `timeline.events`, `list_as_of.list_at`,
`run_list.list_runs`, `run_summary`. It writes only `digests`.
"""
