"""Pure decisions: settings, failure classes, back-off, strategies, the plan of a call."""
