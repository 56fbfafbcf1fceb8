"""The workloads that are compared with other libraries."""
