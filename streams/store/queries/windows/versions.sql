-- The last flush of each input partition whose rows are all stored.
SELECT kpart, version FROM checkpoints FINAL
