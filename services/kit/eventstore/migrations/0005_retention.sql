-- Finds the old marks of one service; runs once per service, with its name in the place of {service}.
CREATE INDEX inbox_at ON {service}.inbox (at);
