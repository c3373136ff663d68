-- Everything that was counted, of all days.
SELECT service, name, labels, slot, sum(value) AS value FROM metrics GROUP BY service, name, labels, slot
