"""Notifications: mails, once each, over SMTP."""
