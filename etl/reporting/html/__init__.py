"""The HTML report: one file with charts and a map that needs no network.

For other packages: `write_report`, `write_year`.
"""

from etl.reporting.html.page import write_report
from etl.reporting.html.year_page import write_year

__all__ = ["write_report", "write_year"]
