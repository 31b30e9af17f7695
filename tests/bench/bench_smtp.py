"""smtp: our engine alone against smtp-source, straight into smtp-sink."""
from bench_path import engine, smtp_source
from bench_row import Comparison, Side


def smtp_row(connections):
    title = f"straight into smtp-sink, {connections} connection{'s' * (connections > 1)}"
    return Comparison("smtp", title, 20000, 1000,
                      (Side("smtp-source", smtp_source(connections)), Side("our engine alone", engine(connections))))


COMPARISONS = (smtp_row(1), smtp_row(10), smtp_row(50))
