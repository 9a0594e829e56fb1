"""Accounts, sessions, and authorize(actor, action, object, purpose)."""
