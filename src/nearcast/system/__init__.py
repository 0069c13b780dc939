"""Where the house is put together: the table of services, the whole configuration, and one builder for each bulkhead."""
