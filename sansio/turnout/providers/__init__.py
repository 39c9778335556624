"""The providers' protocols as pure state machines, and the catalog that knows them by name."""
