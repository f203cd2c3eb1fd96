-- Fix the positions.
INSERT INTO {scratch}.positions SELECT * FROM checkpoints FINAL
