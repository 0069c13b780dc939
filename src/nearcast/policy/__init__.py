"""Pure decisions that more than one room needs."""
