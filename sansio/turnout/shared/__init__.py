"""The state that several processes share over Valkey: limits, budgets, cooldowns. Pure: no socket, no clock."""
