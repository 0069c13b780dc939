"""How the appliances do: their own reports, looks from outside and the votes of others, merged into one view of the host."""
