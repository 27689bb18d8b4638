-- atlas:delimiter \n\n\n

-- Written by hand: what the model cannot say. Statements are separated by two
-- blank lines, because functions have semicolons inside.
--
-- A retention job that may delete history first runs
-- SET LOCAL slipway.retention = 'on' in its transaction.
CREATE OR REPLACE FUNCTION deployment_history_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('slipway.retention', true) = 'on' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'deployment_history is append-only: % refused', TG_OP
    USING ERRCODE = 'restrict_violation', TABLE = 'deployment_history';
END
$guard$;


CREATE TRIGGER deployment_history_no_change BEFORE UPDATE OR DELETE ON "deployment_history"
  FOR EACH ROW EXECUTE FUNCTION deployment_history_guard();


CREATE TRIGGER deployment_history_no_truncate BEFORE TRUNCATE ON "deployment_history"
  FOR EACH STATEMENT EXECUTE FUNCTION deployment_history_guard();


INSERT INTO "stream_counter" ("id", "position", "epoch") VALUES (1, 0, replace(gen_random_uuid()::text, '-', ''));
