"""What runs around the loops."""
