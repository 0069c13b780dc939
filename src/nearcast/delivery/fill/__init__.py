"""The fill: what each appliance is to hold, and how it gets there."""
