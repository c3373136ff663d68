-- The e-mail address that is told when the endpoint is switched off. It is personal data, and therefore in no event.
ALTER TABLE endpoints ADD COLUMN contact text;
