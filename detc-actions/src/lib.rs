//! Resources and backends.
