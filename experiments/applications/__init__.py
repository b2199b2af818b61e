"""Programs that learn from real data, and whose models are then applied to a text or a picture of one's own."""
