"""The report: tables to figures to one HTML page."""
