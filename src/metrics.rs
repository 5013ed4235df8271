//! Metrics as Prometheus reads them (text format 0.0.4). Served by the API.
