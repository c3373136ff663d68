"""Notifications: sends mails, and lists the mails about an order."""
