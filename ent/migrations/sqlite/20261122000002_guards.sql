-- atlas:delimiter \n\n\n

-- Written by hand: what the model cannot say. Statements are separated by two
-- blank lines, because triggers have semicolons inside.
--
-- A retention job that may delete history inserts (1, 0) here, deletes, and
-- removes the row again in the same transaction. The row refers to a row 0
-- that cannot exist, so a transaction that leaves it behind cannot commit.
CREATE TABLE `retention_guard` (
  `id` integer NOT NULL PRIMARY KEY CHECK (`id` = 1),
  `never` integer NOT NULL CHECK (`never` = 0) REFERENCES `retention_guard` (`id`) DEFERRABLE INITIALLY DEFERRED
);


CREATE TRIGGER `deployment_history_no_update` BEFORE UPDATE ON `deployment_history`
BEGIN
  SELECT RAISE(ABORT, 'deployment_history is append-only: UPDATE refused');
END;


CREATE TRIGGER `deployment_history_no_delete` BEFORE DELETE ON `deployment_history`
WHEN NOT EXISTS (SELECT 1 FROM `retention_guard`)
BEGIN
  SELECT RAISE(ABORT, 'deployment_history is append-only: DELETE refused');
END;


INSERT INTO `stream_counter` (`id`, `position`, `epoch`) VALUES (1, 0, lower(hex(randomblob(16))));
