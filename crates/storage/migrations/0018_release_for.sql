-- How a sender asked for a release in the future (RFC 4865): after so many seconds; NULL where it named a time, or did not ask.
ALTER TABLE job ADD COLUMN release_for INTEGER;
