"""What makes one store of others: merge, diff, migrate, leave out."""
