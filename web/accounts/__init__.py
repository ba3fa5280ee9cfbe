"""Accounts: names, passwords, sessions, throttled guessing, and leaving for good."""
